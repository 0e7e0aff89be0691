/* codec/recall_mixing.c - ranks and escapes through mixed adaptive models.
 *
 * A decision sees which tables agree, how neighbours fared and where in its block the
 * value is.
 *
 * Encoder and decoder are one function: what they have in common cannot differ. */
#include "codec/binary_coder.h"
#include "codec/mixer.h"
#include "codec/recall.h"

#define SLOT_BITS_LEAST 12
#define SLOT_BITS_MOST  18
#define RANK_REACH      4       /* ranks looked at to the left */

/* Nodes of decisions. */
enum {
        NODE_CANDIDATE = 0,             /* + J: is it candidate J? */
        NODE_CLASS = 8,                 /* + K: has the escape more than K bits? */
        NODE_SIGN = 8 + 65,
        NODE_MANTISSA = NODE_SIGN + 1,  /* first two bits below the leading one */
        NODE_MANTISSA_CLASSES = 17      /* escapes of more bits share them */
};
_Static_assert(NODE_MANTISSA + 3 * (NODE_MANTISSA_CLASSES - 1) <= MIXER_NODES, "nodes suffice");
_Static_assert(RECALL_CANDIDATES <= NODE_CLASS, "nodes suffice");

struct mixed {
        bool                  encodes;
        struct binary_encoder encoder;
        struct binary_decoder decoder;
        struct mixer         *mixer;
        uint8_t              *rank;     /* (count), with zeros for what lies before */
};

static bool
code_bit(struct mixed *x, unsigned node, bool bit)
{
        uint32_t p1 = mixer_predict(x->mixer, node, false, false);

        if (x->encodes)
                binary_encode(&x->encoder, bit, p1);
        else
                bit = binary_decode(&x->decoder, p1);
        mixer_update(x->mixer, bit);
        return bit;
}

static bool
code_even_bit(struct mixed *x, bool bit)
{
        if (!x->encodes)
                return binary_decode(&x->decoder, 32768);
        binary_encode(&x->encoder, bit, 32768);
        return bit;
}

/* ---- contexts ---- */

/* The known values and ranks beside value AT. */
struct beside {
        int64_t  left, above, behind, corner;
        uint32_t ranks;                 /* left, above, behind: 4 bits each */
        uint32_t run;                   /* ranks of the last four, and above to the right */
        uint32_t equal;                 /* which of the values are equal */
        uint32_t position;              /* in its block */
};

static inline uint32_t
fold(int64_t v)
{
        return (uint32_t) v ^ (uint32_t) ((uint64_t) v >> 32) * UINT32_C(0x85EBCA6B);
}

static struct beside
look_beside(const struct recall *m, const struct mixed *x, size_t at)
{
        const int64_t *s = m->symbol + at;
        const uint8_t *r = x->rank + at;
        ptrdiff_t      left = (ptrdiff_t) m->lag[0], above = (ptrdiff_t) m->lag[1],
                       behind = (ptrdiff_t) m->lag[2];
        struct beside  b = {
                .left = s[-left], .above = s[-above], .behind = s[-behind],
                .corner = s[-above - left],
                .ranks = r[-left] | (uint32_t) r[-above] << 4 | (uint32_t) r[-behind] << 8,
                .run = r[-1] | (uint32_t) r[-2] << 4 | (uint32_t) r[-3] << 8
                       | (uint32_t) r[-4] << 12 | (uint32_t) r[left - above] << 16,
                .position = (uint32_t) (at % m->lag[2]),
        };
        b.equal = (b.left == b.above) | (b.left == b.behind) << 1 | (b.above == b.behind) << 2
                | (b.corner == b.left) << 3 | (b.corner == b.above) << 4;
        return b;
}

static void
candidate_contexts(const struct recall *m, struct mixed *x, const struct recall_view *v,
                   const struct beside *b, unsigned j)
{
        int64_t   c = v->candidate[j];
        uint32_t *context = x->mixer->context, agree = 0, number = 0, trust = 0;
        uint32_t  is = (uint32_t) (c == b->left) | (uint32_t) (c == b->above) << 1
                | (uint32_t) (c == b->behind) << 2 | j << 3;

        for (unsigned k = 0; k < RECALL_CONTEXTS; k++) {
                unsigned t = m->trust[v->where[k]];
                if (t == 0 || m->slot[v->where[k]] != c)
                        continue;
                agree |= 1u << k;
                number++;
                trust = t > trust ? t : trust;
        }
        context[0] = mixer_hash(1 + (v->confidence << 8), b->equal << 8 | is);
        context[1] = mixer_hash(2 + (trust << 8), agree << 8 | is);
        context[2] = mixer_hash(3 + (b->ranks << 8), b->equal << 8 | is);
        context[3] = mixer_hash(4 + (is << 8), b->run);
        context[4] = mixer_hash(5 + (trust << 16) + (number << 8), (b->ranks & 0xff) << 8 | is);
        context[5] = mixer_hash(6 + (is << 8), b->position);
        context[6] = mixer_hash(mixer_hash(7 + (is << 8), fold(b->left)), fold(b->above));
        x->mixer->select = v->confidence | (b->equal == 31) << 4;
}

static unsigned
bits_of(uint64_t v)
{
        return v == 0 ? 0 : 64 - (unsigned) __builtin_clzll(v);
}

static inline uint64_t
distance(int64_t a, int64_t b)
{
        return a < b ? (uint64_t) b - (uint64_t) a : (uint64_t) a - (uint64_t) b;
}

static void
escape_contexts(struct mixed *x, const struct recall_view *v, const struct beside *b)
{
        uint32_t *context = x->mixer->context;
        unsigned  across = bits_of(distance(b->left, b->above)),
                  slope = bits_of(distance(b->left, b->corner)),
                  depth = bits_of(distance(b->above, b->behind));

        context[0] = mixer_hash(11, across);
        context[1] = mixer_hash(12 + (across << 8), slope << 8 | depth);
        context[2] = mixer_hash(13 + (b->ranks << 8), across);
        context[3] = mixer_hash(14, fold(v->expected));
        context[4] = mixer_hash(15, b->run & 0xff);
        context[5] = mixer_hash(16, b->position);
        context[6] = mixer_hash(mixer_hash(17, fold(b->left)), fold(b->above));
        x->mixer->select = across > 31 ? 31 : across;
}

/* ---- one value ---- */

static int64_t
code_escape(struct mixed *x, int64_t r)
{
        uint64_t magnitude = r < 0 ? 0 - (uint64_t) r : (uint64_t) r;
        unsigned class = x->encodes ? bits_of(magnitude) : 64, k = 0;

        while (k < 64 && code_bit(x, NODE_CLASS + k, k < class))
                k++;
        if (k == 0)
                return 0;
        bool     negative = code_bit(x, NODE_SIGN, r < 0);
        unsigned node = NODE_MANTISSA
                + 3 * ((k < NODE_MANTISSA_CLASSES ? k : NODE_MANTISSA_CLASSES - 1) - 1);
        uint64_t value = 1;
        for (unsigned i = 1; i < k; i++) {
                bool bit = magnitude >> (k - 1 - i) & 1;
                bit = i == 1 ? code_bit(x, node, bit)
                    : i == 2 ? code_bit(x, node + 1 + (unsigned) (value & 1), bit)
                             : code_even_bit(x, bit);
                value = value << 1 | bit;
        }
        return (int64_t) (negative ? 0 - value : value);
}

/* Codes value AT: its symbol is there when encoding, and comes there when decoding. */
static void
code_value(struct recall *m, struct mixed *x, const struct field_geometry *g, size_t at)
{
        struct recall_view v;
        int64_t           *symbol = &m->symbol[at];

        recall_look(m, at, &v);
        struct beside b = look_beside(m, x, at);
        unsigned      rank = 0;
        for (; rank < v.ncandidates; rank++) {
                candidate_contexts(m, x, &v, &b, rank);
                if (code_bit(x, NODE_CANDIDATE + rank,
                             x->encodes && v.candidate[rank] == *symbol))
                        break;
        }
        if (rank < v.ncandidates) {
                *symbol = v.candidate[rank];
        } else {
                rank = RECALL_ESCAPE;
                escape_contexts(x, &v, &b);
                uint64_t r = (uint64_t) *symbol - (uint64_t) v.expected;
                r = (uint64_t) code_escape(x, g->wide ? (int64_t) r : (int32_t) r)
                        + (uint64_t) v.expected;
                *symbol = g->wide ? (int64_t) r : (int32_t) r;
        }
        x->rank[at] = (uint8_t) rank;
        recall_learn(m, at, &v, rank);
}

static bool
mixed_begin(struct mixed *x, const struct recall *m, const struct field_geometry *g,
            struct arena *arena)
{
        size_t reach = RANK_REACH;

        for (unsigned i = 0; i < RECALL_LAGS; i++)
                reach = m->lag[i] > reach ? m->lag[i] : reach;
        x->rank = arena_alloc(arena, reach + g->count);
        x->mixer = arena_alloc(arena, sizeof *x->mixer);
        if (x->rank == NULL || x->mixer == NULL)
                return false;
        memset(x->mixer, 0, sizeof *x->mixer);
        memset(x->rank, 0, reach);
        x->rank += reach;
        x->mixer->slot_bits = SLOT_BITS_LEAST;
        while (x->mixer->slot_bits < SLOT_BITS_MOST
               && (size_t) 1 << x->mixer->slot_bits < 4 * g->count)
                x->mixer->slot_bits++;
        for (unsigned k = 0; k < MIXER_MODELS; k++) {
                x->mixer->slot[k] = arena_array(arena, (size_t) 1 << x->mixer->slot_bits,
                                                sizeof(uint32_t));
                if (x->mixer->slot[k] == NULL)
                        return false;
        }
        mixer_init(x->mixer);
        return true;
}

enum caefs_err
recall_mixed_encode(struct recall *m, const struct field_geometry *g, struct arena *arena,
                    struct bytes *out)
{
        struct mixed x = { .encodes = true, .encoder = binary_encoder_of(out) };

        if (!mixed_begin(&x, m, g, arena))
                return caefs_fail(CAEFS_ERR_NOMEM, "recall: no memory for %zu values", g->count);
        for (size_t at = 0; at < g->count; at++)
                code_value(m, &x, g, at);
        binary_encoder_finish(&x.encoder);
        return CAEFS_OK;
}

enum caefs_err
recall_mixed_decode(struct recall *m, const struct field_geometry *g, struct arena *arena,
                    struct cursor *in)
{
        struct mixed x = { .decoder = binary_decoder_of(in) };

        if (!mixed_begin(&x, m, g, arena))
                return caefs_fail(CAEFS_ERR_NOMEM, "recall: no memory for %zu values", g->count);
        for (size_t at = 0; at < g->count && !in->failed; at++)
                code_value(m, &x, g, at);
        if (!binary_decoder_finish(&x.decoder) || in->failed)
                return caefs_fail(CAEFS_ERR_CORRUPT, "recall: ends early");
        return CAEFS_OK;
}
