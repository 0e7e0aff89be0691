/* codec/residual_mixing.c - adaptive binary models, mixed per bit (codec/mixer.h).
 *
 * Blocks of 64 residuals first say whether all of them are zero.  A residual is then a
 * path of binary decisions: zero or not; sign; larger than 1, 2 …; for large ones the
 * bits below the leading one.  The contexts are neighbours (left ones, and one row back:
 * how large they are, and exactly which), running averages, and what followed when the
 * same residuals were seen before.
 *
 * Encoder and decoder are one function: what they have in common cannot differ. */
#include "codec/binary_coder.h"
#include "codec/mixer.h"
#include "codec/residual_guide.h"
#include "codec/residual_coder.h"

#define BLOCK          64
#define MARGIN         16       /* zeros before the first code */
#define MATCH_MINIMUM  6        /* residuals that must agree for a match */
#define MATCH_LONG     16       /* the same, where many do */
#define ROLLING_SHIFT  2        /* 32 / MATCH_LONG */
#define MATCH_MISSES   8        /* of 16 forecasts: a match that goes on nevertheless */
#define MATCH_LONGEST  400
#define ROW_BITS       14       /* what followed which neighbours */
#define ROW_SLOTS      ((size_t) 1 << ROW_BITS)
#define DEEPEST        10       /* bits of a mantissa that are mixed */
#define CLASS_LAST     65       /* of 2^63, the largest magnitude */

/* Nodes of the decision path; the ones most used lie together. */
enum {
        NODE_START_1 = 0,               /* class at least 1: not zero */
        NODE_SIGN = 1,
        NODE_UP = 1,                    /* + J: class at least J, 2 to 31, J - 1 being reached */
        NODE_START = 32,                /* + J: class at least J, 2 to 31, the first question */
        NODE_DOWN = 64,                 /* + J: class at least J, 1 to 31, not J + 1 */
        NODE_MANTISSA = 96,             /* first two bits below the leading one, by class */
        NODE_MANTISSA_LAST = 126,
        NODE_BLOCK = 127,
        NODE_DEEP = 128,                /* third to tenth bit of the mantissa */
        NODE_CLASS_LAST = 30            /* classes above share their nodes */
};

struct stream {
        bool                  encodes;
        struct binary_encoder encoder;
        struct binary_decoder decoder;
        struct mixer          mixer;
        struct adaptive_bit   raw[64];  /* third bit and on of long mantissas */
        struct adaptive_bit   told[64]; /* the same: is it what the match tells? */
};

/* A residual as contexts see it: sign, and a magnitude that is exact to 8 and
 * then has two steps an octave. */
static inline int8_t
context_code(int64_t r)
{
        uint64_t m = r < 0 ? 0 - (uint64_t) r : (uint64_t) r;
        unsigned code = (unsigned) m;

        if (m > 8) {
                unsigned top = 63 - (unsigned) __builtin_clzll(m);
                code = 8 + (top - 3) * 2 + (unsigned) (m >> (top - 1) & 1);
                if (code > 120)
                        code = 120;
        }
        return (int8_t) (r < 0 ? -(int) code : (int) code);
}

/* Where the coder is. */
struct place {
        const struct residuals *r;
        int8_t                 *code;   /* (MARGIN + count) context codes, from -MARGIN */
        size_t                  at;
        size_t                  segment_start;
        size_t                  row;
        uint32_t                hidden_row;     /* the row of all segments; 0: their own */
        unsigned                kind;
        unsigned                sum;            /* of neighbouring codes, weighing 7 */
        uint32_t                fast, slow;     /* running averages of magnitudes */
        uint32_t               *last_seen[2];   /* by hash of few or many: position + 1 */
        unsigned                seen_bits;
        size_t                  match;          /* position that foretells, + 1; 0: none */
        unsigned                match_length;
        uint32_t                rolling;        /* hash of the last MATCH_LONG codes */
        uint32_t                missed;         /* a bit for each of the last forecasts */
        const struct residual_guide *guide;     /* or NULL */
        const uint8_t          *class;          /* by the guide, of the first residual; NULL:
                                                 * nothing is told of this segment */
};

MIXER_INLINE bool
code_bit(struct stream *s, unsigned node, bool has_match, bool expected, bool bit)
{
        uint32_t p1 = mixer_predict(&s->mixer, node, has_match, expected);

        if (s->encodes)
                binary_encode(&s->encoder, bit, p1);
        else
                bit = binary_decode(&s->decoder, p1);
        mixer_update(&s->mixer, bit);
        return bit;
}

MIXER_INLINE bool
code_raw_bit(struct stream *s, struct adaptive_bit *a, bool bit)
{
        if (s->encodes) {
                adaptive_encode(&s->encoder, a, bit);
                return bit;
        }
        return adaptive_decode(&s->decoder, a);
}

MIXER_INLINE bool
code_fixed_bit(struct stream *s, uint32_t p1, bool bit)
{
        if (s->encodes)
                binary_encode(&s->encoder, bit, p1);
        else
                bit = binary_decode(&s->decoder, p1);
        return bit;
}

MIXER_INLINE unsigned
magnitude(int8_t code)
{
        return (unsigned) (code < 0 ? -code : code);
}

MIXER_INLINE unsigned
at_most(unsigned v, unsigned limit)
{
        return v < limit ? v : limit;
}

/* 0, 1, 2 … then coarser: 24 classes of a running average or a sum. */
MIXER_INLINE unsigned
coarse(uint32_t v)
{
        if (v < 4)
                return v;
        unsigned top = 31 - (unsigned) __builtin_clz(v);
        return at_most(2 * top + (v >> (top - 1) & 1), 31);
}

MIXER_INLINE uint32_t
hash_codes(const int8_t *before, unsigned n, uint32_t h)
{
        for (unsigned i = 1; i <= n; i++)
                h = mixer_hash(h, (uint32_t) (uint8_t) before[-(ptrdiff_t) i]);
        return h;
}

/* 0: no match; else 1 to 63, by its length and by how often it was wrong of late. */
MIXER_INLINE unsigned
match_trust(const struct place *p)
{
        if (p->match == 0)
                return 0;
        unsigned n = p->match_length;
        unsigned length = n < 8 ? n : n < 16 ? 8 + (n - 8) / 4 : n < 32 ? 10 + (n - 16) / 8 :
                          n < 64 ? 12 : n < 200 ? 13 : n < MATCH_LONGEST ? 14 : 15;
        unsigned wrong = (unsigned) __builtin_popcount(p->missed & 0xffff);
        return 1 + length + 16 * (wrong == 0 ? 0u : wrong < 3 ? 1u : 2u);
}

/* The residual BACK before the current one, of which contexts CODE only know the size. */
static inline uint32_t
exact(const struct place *p, size_t back)
{
        return p->at < back ? 0 : (uint32_t) residual_get(p->r, p->at - back);
}

/* Where the same few values come again and again, which one it was tells most. */
MIXER_INLINE void
set_exact_contexts(struct mixer *m, const struct place *p, bool row)
{
        uint32_t left = exact(p, 1), two = mixer_hash(left, exact(p, 2));

        m->context[7] = mixer_hash(left, 70);
        m->context[8] = mixer_hash(two, 80);
        m->context[9] = mixer_hash(mixer_hash(two, exact(p, 3)), 90);
        m->context[10] = mixer_hash(mixer_hash(left, exact(p, row ? p->row : 4)), 100);
}

/* How large the residual is likely to be, as the guide says. */
MIXER_INLINE void
set_guided_contexts(struct mixer *m, const struct place *p, unsigned level, unsigned near)
{
        unsigned class = p->class[p->at];

        if (m->match_context == 0)
                m->context[6] = mixer_hash(class * 4096u + near, 335);
        m->context[9] = mixer_hash(mixer_hash(class, at_most(level, 11)), 333);
        m->select = at_most(level, 7) * 4 + at_most(class / 4, 3);
}

/* The contexts of the residual at P. */
MIXER_INLINE void
set_contexts(struct mixer *m, struct place *p, int64_t foretold)
{
        const int8_t *c = p->code + p->at;
        size_t inside = p->at - p->segment_start;
        bool row = p->row >= 2 && inside > p->row;
        int8_t left = c[-1], left2 = c[-2];
        int8_t above = 0, above_left = 0, above_right = 0, above2 = 0;
        unsigned sum = 2 * magnitude(left) + magnitude(left2);

        if (row) {
                const int8_t *a = c - p->row;
                above = a[0];
                above_left = a[-1];
                above_right = a[1];
                if (inside >= 2 * p->row)
                        above2 = a[-(ptrdiff_t) p->row];
                sum += 2 * magnitude(above) + magnitude(above_left) + magnitude(above_right);
        } else {
                sum += magnitude(left) + magnitude(left2) + magnitude(c[-3]) + magnitude(c[-4]);
        }
        p->sum = sum;
        unsigned level = sum < 16 ? sum : 8 + coarse(sum);
        uint32_t kind = p->kind * 2 + row;
#define PAIR(a, b) ((uint32_t) (uint8_t) (a) << 8 | (uint8_t) (b))
        m->context[0] = mixer_hash(level << 8, kind);
        m->context[4] = mixer_hash(coarse(p->fast) << 16 | coarse(p->slow) << 8 |
                                   at_most(magnitude(left), 3), 4);
        if (row) {
                m->context[1] = mixer_hash(PAIR(left, above), 1);
                m->context[2] = mixer_hash(at_most(magnitude(left), 7) << 24 |
                                           at_most(magnitude(left2), 7) << 16 |
                                           at_most(magnitude(above), 7) << 8 |
                                           at_most(magnitude(above2), 7), 2);
                m->context[3] = mixer_hash(PAIR(above, above_right) << 8 | (uint8_t) above_left, 3);
                m->context[5] = mixer_hash(PAIR(left, left2) << 16 | PAIR(above, above_left), 5);
        } else {
                m->context[1] = mixer_hash(PAIR(left, left2), 1);
                m->context[2] = mixer_hash(PAIR(left, left2) << 8 | (uint8_t) c[-3], 2);
                uint32_t recent = 0;
                for (int i = 1; i <= 8; i++)
                        recent = recent << 3 | at_most(magnitude(c[-i]), i < 5 ? 7 : 2);
                m->context[3] = mixer_hash(recent, 3);
                m->context[5] = hash_codes(c, 5, 5);
        }
#undef PAIR
        unsigned trust = match_trust(p);
        m->context[6] = trust == 0 ? hash_codes(c, 3, 6 + kind * 16 + (row ? (uint8_t) above : 0)) :
                        mixer_hash((uint32_t) (uint8_t) context_code(foretold), 1000 + trust);
        set_exact_contexts(m, p, row);
        m->select = at_most(level, 31);
        m->match_context = trust;
        if (p->class != NULL)
                set_guided_contexts(m, p, level, at_most(magnitude(left), 3) * 64 +
                                                 at_most(magnitude(above), 3));
}

/* Magnitude classes: 1 to 4 as they are, then one an octave of m - 1. */
MIXER_INLINE unsigned
class_of(uint64_t m)
{
        return m <= 4 ? (unsigned) m : 2 + 64 - (unsigned) __builtin_clzll(m - 1);
}

/* The class where the questions begin: a forecast by the match or the neighbours. */
MIXER_INLINE unsigned
guess_class(const struct place *p, unsigned told)
{
        unsigned code = p->sum / 7;

        if (p->match_length >= 8)
                return told < 1 ? 1 : told;
        if (code <= 2)
                return 1;
        return code <= 4 ? code : code <= 8 ? 5 : 6 + (code - 8) / 2;
}

/* Up or down from GUESS to CLASS. */
MIXER_INLINE unsigned
code_class(struct stream *s, unsigned guess, unsigned class, bool has_match, unsigned told)
{
        unsigned node = guess == 1 ? NODE_START_1 : NODE_START + at_most(guess, NODE_CLASS_LAST);
        unsigned j = guess;

        if (code_bit(s, node, has_match, told >= j, class >= j)) {
                for (; j < CLASS_LAST; j++) {
                        node = NODE_UP + at_most(j + 1, NODE_CLASS_LAST);
                        if (!code_bit(s, node, has_match && told >= j, told > j, class > j))
                                break;
                }
                return j;
        }
        while (--j > 0) {
                node = NODE_DOWN + at_most(j, NODE_CLASS_LAST);
                if (code_bit(s, node, has_match && told <= j, told >= j, class >= j))
                        break;
        }
        return j;
}

/* Magnitude of a residual of CLASS; the bits of M - 1 below its leading one. */
MIXER_INLINE uint64_t
code_mantissa(struct stream *s, unsigned class, uint64_t m, bool agrees, uint64_t foretold)
{
        uint64_t v = 1;

        for (unsigned i = class - 3; i-- > 0;) {
                bool bit = (m - 1) >> i & 1, expected = (foretold - 1) >> i & 1;
                unsigned depth = class - 4 - i;
                if (depth < 2) {
                        unsigned node = NODE_MANTISSA + 3 * (class - 5) +
                                        (depth == 0 ? 0 : 1 + (unsigned) (v & 1));
                        bit = code_bit(s, at_most(node, NODE_MANTISSA_LAST), agrees, expected, bit);
                        agrees = agrees && bit == expected;
                } else if (depth < DEEPEST) {
                        s->mixer.path = (uint32_t) v * UINT32_C(0x9E3779B1) + class;
                        bit = code_bit(s, NODE_DEEP + depth - 2, agrees, expected, bit);
                        agrees = agrees && bit == expected;
                } else if (agrees) {
                        bit = code_raw_bit(s, &s->told[s->mixer.match_context], bit == expected) ?
                              expected : !expected;
                        agrees = bit == expected;
                } else {
                        bit = code_raw_bit(s, &s->raw[i], bit);
                }
                v = v << 1 | bit;
        }
        s->mixer.path = 0;
        return v + 1;
}

/* The residual at P; to be coded, or, when decoding, found. */
MIXER_INLINE int64_t
code_residual(struct stream *s, struct place *p, int64_t r)
{
        bool has_match = p->match != 0;
        int64_t foretold = has_match ? residual_get(p->r, p->match - 1) : 0;
        uint64_t m = r < 0 ? 0 - (uint64_t) r : (uint64_t) r;
        uint64_t told = foretold < 0 ? 0 - (uint64_t) foretold : (uint64_t) foretold;

        set_contexts(&s->mixer, p, foretold);
        unsigned told_class = class_of(told);
        unsigned class = code_class(s, guess_class(p, told_class), class_of(m),
                                    has_match, told_class);
        if (class == 0)
                return 0;
        bool agrees = has_match && class == told_class;
        bool negative = code_bit(s, NODE_SIGN, agrees, foretold < 0, r < 0);
        agrees = agrees && negative == (foretold < 0);
        m = class <= 4 ? class : code_mantissa(s, class, m, agrees, told);
        return (int64_t) (negative ? 0 - m : m);
}

/* How many codes before P and before FROM agree. */
static inline unsigned
agreement(const struct place *p, size_t from)
{
        const int8_t *now = p->code + p->at, *then = p->code + from;
        unsigned length = 0;

        while (length < MATCH_LONGEST && length < from &&
               then[-1 - (ptrdiff_t) length] == now[-1 - (ptrdiff_t) length])
                length++;
        return length;
}

/* Looks for the residuals before P further back, unless a good match goes on. */
static inline void
find_match(struct place *p)
{
        static const unsigned least[2] = { MATCH_MINIMUM, MATCH_LONG };

        for (unsigned k = 2; k-- > 0;) {
                if (p->at < least[k])
                        continue;
                uint32_t h = k == 0 ? hash_codes(p->code + p->at, MATCH_MINIMUM, 77) : p->rolling;
                uint32_t *seen = &p->last_seen[k][h * UINT32_C(0x9E3779B1) >> (32 - p->seen_bits)];
                if (*seen != 0 && p->match_length < least[k]) {
                        unsigned length = agreement(p, *seen - 1);
                        if (length >= least[k] && length > p->match_length) {
                                p->match = *seen;
                                p->match_length = length;
                                p->missed = 0;
                        }
                }
                *seen = (uint32_t) p->at + 1;
        }
}

/* The forecast for the residual that has just been coded was right or not. */
static inline void
judge_match(struct place *p, bool right)
{
        if (p->match == 0)
                return;
        p->match++;
        p->missed = p->missed << 1 | !right;
        if (right) {
                p->match_length += p->match_length < MATCH_LONGEST;
        } else {
                p->match_length = 0;
                if (__builtin_popcount(p->missed & 0xffff) > MATCH_MISSES)
                        p->match = 0;
        }
}

/* P has coded R: averages, match, next place. */
static inline void
step_forward(struct place *p, int64_t r)
{
        int8_t code = context_code(r);
        uint32_t m = at_most(magnitude(code), 40) << 8;

        p->code[p->at] = code;
        p->fast += ((int32_t) m - (int32_t) p->fast) / 8;
        p->slow += ((int32_t) m - (int32_t) p->slow) / 64;
        judge_match(p, p->match != 0 && residual_get(p->r, p->match - 1) == r);
        /* The last MATCH_LONG codes, and no others, are in 32 bits: each leaves at the top. */
        p->rolling = p->rolling * (UINT32_C(0x2F0B4C47) << ROLLING_SHIFT) + (uint8_t) code + 1;
        p->at++;
        find_match(p);
}

/* Contexts of a block's flag: what blocks before it, and a row back, were. */
MIXER_INLINE void
set_block_contexts(struct mixer *m, const struct place *p, uint32_t history, size_t n)
{
        bool up = false, up_next = false;

        if (p->row != 0 && p->at - p->segment_start >= p->row + n) {
                const int8_t *a = p->code + p->at - p->row;
                for (size_t i = 0; i < n && i < p->row; i++)
                        up |= a[i] != 0;
                up_next = a[-1] != 0;
        }
        uint32_t above = up * 2u + up_next;
        m->context[0] = mixer_hash(1u << 20, history & 1);
        m->context[1] = mixer_hash(2u << 20, history & 3);
        m->context[2] = mixer_hash(3u << 20, (history & 1) << 2 | above);
        m->context[3] = mixer_hash(4u << 20, history & 15);
        m->context[4] = mixer_hash(5u << 20, coarse(p->slow) << 4 | (history & 1));
        m->context[5] = mixer_hash(6u << 20, (history & 7) << 2 | above);
        m->context[6] = mixer_hash(7u << 20, history & 255);
        for (unsigned k = MIXER_TRUSTED; k < MIXER_MODELS; k++)
                m->context[k] = mixer_hash(k << 20, (history & 3) << 2 | above);
        m->select = above * 8 + (history & 7);
        if (p->class != NULL) {
                unsigned most = 0;
                for (size_t i = 0; i < n; i++)
                        most = p->class[p->at + i] > most ? p->class[p->at + i] : most;
                m->context[3] = mixer_hash(12u << 20, most << 2 | above);
                m->context[6] = mixer_hash(13u << 20, most << 3 | (history & 7));
        }
}

/* Codes or finds all N residuals of a block behind its flag. */
MIXER_INLINE void
code_block(struct stream *s, struct place *p, size_t n, uint32_t *history)
{
        bool any = false;

        for (size_t i = 0; s->encodes && i < n; i++)
                any |= residual_get(p->r, p->at + i) != 0;
        bool told = false;
        for (size_t i = 0; p->match != 0 && i < n && p->match - 1 + i < p->at; i++)
                told |= p->code[p->match - 1 + i] != 0;
        set_block_contexts(&s->mixer, p, *history, n);
        s->mixer.match_context = match_trust(p);
        any = code_bit(s, NODE_BLOCK, p->match != 0, told, any);
        *history = *history << 1 | any;
        if (!any) {
                if (!s->encodes)
                        for (size_t i = 0; i < n; i++)
                                residual_set(p->r, p->at + i, 0);
                memset(p->code + p->at, 0, n);
                p->at += n;
                p->fast = 0;
                p->slow -= p->slow / 2;
                p->rolling = 0;
                if (told)
                        p->match = p->match_length = 0;
                if (p->match != 0)
                        p->match += n;
                return;
        }
        for (size_t i = 0; i < n; i++) {
                int64_t r = s->encodes ? residual_get(p->r, p->at) : 0;
                r = code_residual(s, p, r);
                if (!s->encodes)
                        residual_set(p->r, p->at, r);
                step_forward(p, r);
        }
}

/* Rows that a segment does not know of: blocks of 2^k values, as adaptive meshes have. */
#define HIDDEN_ROW_LEAST 8
#define HIDDEN_ROWS      10             /* 8 to 4096 */
#define HIDDEN_ROW_ODDS  4096           /* in 65536ths: that there is one */

/* Whether all segments have the row of P->HIDDEN_ROW, and which. */
MIXER_INLINE void
code_hidden_row(struct stream *s, struct place *p)
{
        bool hidden = p->hidden_row != 0;
        unsigned k = hidden ? (unsigned) __builtin_ctz(p->hidden_row / HIDDEN_ROW_LEAST) : 0;

        if (!code_fixed_bit(s, HIDDEN_ROW_ODDS, hidden))
                return;
        unsigned found = 0;
        for (unsigned i = 4; i-- > 0;)
                found = found << 1 | code_fixed_bit(s, 32768, k >> i & 1);
        p->hidden_row = HIDDEN_ROW_LEAST << found;
}

MIXER_INLINE void
code_all(struct stream *s, struct place *p)
{
        code_hidden_row(s, p);
        for (size_t i = 0; i < p->r->nsegments; i++) {
                const struct residual_segment *segment = &p->r->segment[i];
                uint32_t history = 0;
                p->segment_start = p->at;
                p->row = p->hidden_row != 0 ? p->hidden_row : segment->row;
                p->kind = segment->kind;
                p->class = NULL;
                if (p->guide != NULL && p->guide->before(p->guide->context, p->r->value))
                        p->class = p->guide->class;
                for (size_t left = segment->count; left > 0;) {
                        size_t n = left < BLOCK ? left : BLOCK;
                        code_block(s, p, n, &history);
                        left -= n;
                        if (!s->encodes && s->decoder.in->failed)
                                return;
                }
        }
}

static void
code_all_plain(struct stream *s, struct place *p)
{
        code_all(s, p);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void
code_all_avx2(struct stream *s, struct place *p)
{
        code_all(s, p);
}
#endif

/* CAEFS_SIMD=scalar asks for the plain one; the results are the same. */
static void
code_all_best(struct stream *s, struct place *p)
{
#if defined(__x86_64__)
        const char *wish = getenv("CAEFS_SIMD");

        if (__builtin_cpu_supports("avx2") && (wish == NULL || strcmp(wish, "scalar") != 0)) {
                code_all_avx2(s, p);
                return;
        }
#endif
        code_all_plain(s, p);
}

/* Tables sized by how much there is to learn: 2^bits slots. */
static unsigned
table_bits(size_t count, unsigned most)
{
        unsigned bits = 10;

        while (bits < most && (size_t) 1 << bits < 4 * count)
                bits++;
        return bits;
}

/* A stream and a place at the first residual; false when memory is out. */
static bool
start(struct stream **s, struct place *p, const struct residuals *r, struct arena *arena)
{
        unsigned bits = table_bits(r->count, 18);

        *s = arena_alloc(arena, sizeof **s);
        uint32_t *slots = arena_array(arena, (size_t) MIXER_MODELS << bits, sizeof *slots);
        int8_t *code = arena_alloc(arena, MARGIN + r->count);
        *p = (struct place) { .r = r, .seen_bits = table_bits(r->count, 17) };
        uint32_t *seen = arena_array(arena, (size_t) 2 << p->seen_bits, sizeof *seen);
        if (*s == NULL || slots == NULL || code == NULL || seen == NULL)
                return false;
        memset(seen, 0, 2 * sizeof *seen << p->seen_bits);
        p->last_seen[0] = seen;
        p->last_seen[1] = seen + ((size_t) 1 << p->seen_bits);
        memset(code, 0, MARGIN);
        p->code = code + MARGIN;
        (*s)->mixer.slot_bits = bits;
        for (unsigned k = 0; k < MIXER_MODELS; k++)
                (*s)->mixer.slot[k] = slots + ((size_t) k << bits);
        mixer_init(&(*s)->mixer);
        for (size_t i = 0; i < sizeof (*s)->raw / sizeof (*s)->raw[0]; i++)
                (*s)->raw[i] = (*s)->told[i] = ADAPTIVE_BIT;
        return true;
}

/* How often a residual is what followed the last time the same neighbours, the left one
 * and the one ROW back, were seen: does that row tell something? */
static size_t
row_score(const struct residuals *r, size_t row, int64_t *seen)
{
        size_t right = 0;

        memset(seen, 0, ROW_SLOTS * sizeof *seen);
        for (size_t i = row; i < r->count; i++) {
                int64_t now = residual_get(r, i), left = residual_get(r, i - 1);
                int64_t above = residual_get(r, i - row);
                if ((now | left | above) == 0)
                        continue;
                uint32_t h = mixer_hash((uint32_t) left, (uint32_t) above) * UINT32_C(0x2C1B3C6D);
                int64_t *slot = &seen[h >> (32 - ROW_BITS)];
                right += now != 0 && *slot == now;
                *slot = now;
        }
        return right;
}

/* The hidden row that tells most. */
static enum caefs_err
find_hidden_row(const struct residuals *r, struct arena *arena, uint32_t *row)
{
        struct arena_mark mark = arena_mark(arena);
        int64_t *seen = arena_array(arena, ROW_SLOTS, sizeof *seen);
        size_t best = 0;

        if (seen == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        for (unsigned k = 0; k < HIDDEN_ROWS; k++) {
                size_t score = row_score(r, (size_t) HIDDEN_ROW_LEAST << k, seen);
                if (score > best) {
                        best = score;
                        *row = UINT32_C(8) << k;
                }
        }
        arena_release(arena, mark);
        return CAEFS_OK;
}

static enum caefs_err
encode_with_row(const struct residuals *r, uint32_t hidden_row, struct arena *arena,
                struct bytes *out)
{
        struct arena_mark mark = arena_mark(arena);
        struct stream *s;
        struct place p;

        bool good = r->count < UINT32_MAX && start(&s, &p, r, arena);
        if (good) {
                p.hidden_row = hidden_row;
                s->encodes = true;
                s->encoder = binary_encoder_of(out);
                code_all_best(s, &p);
                binary_encoder_finish(&s->encoder);
        }
        arena_release(arena, mark);
        return good && !out->failed ? CAEFS_OK :
                caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
}

/* A second attempt with a hidden row is made for so many residuals that are not zero. */
#define SECOND_ATTEMPT 65536

static bool
is_short(const struct residuals *r)
{
        size_t nonzero = 0;

        for (size_t i = 0; i < r->count; i++)
                nonzero += residual_get(r, i) != 0;
        return nonzero <= SECOND_ATTEMPT;
}

static enum caefs_err
mixing_encode(const struct residuals *r, enum effort effort, size_t limit, struct arena *arena,
              struct bytes *out)
{
        size_t start = out->size;
        uint32_t row = 0;
        enum caefs_err err = encode_with_row(r, 0, arena, out);

        if (err == CAEFS_OK && effort == EFFORT_MAX && is_short(r))
                err = find_hidden_row(r, arena, &row);
        if (err == CAEFS_OK && row != 0) {
                struct bytes other = { 0 };
                err = encode_with_row(r, row, arena, &other);
                if (err == CAEFS_OK && other.size < out->size - start) {
                        out->size = start;
                        bytes_put(out, other.data, other.size);
                }
                bytes_free(&other);
        }
        if (out->size - start >= limit)
                out->size = start;
        return err;
}

static enum caefs_err
mixing_decode(struct cursor *in, const struct residuals *r, struct arena *arena)
{
        struct arena_mark mark = arena_mark(arena);
        struct stream *s;
        struct place p;
        bool whole = false;

        bool good = r->count < UINT32_MAX && start(&s, &p, r, arena);
        if (good) {
                s->encodes = false;
                s->decoder = binary_decoder_of(in);
                code_all_best(s, &p);
                whole = !in->failed && binary_decoder_finish(&s->decoder);
        }
        arena_release(arena, mark);
        if (!good)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        return whole ? CAEFS_OK : caefs_fail(CAEFS_ERR_CORRUPT, "residuals are cut short");
}

const struct residual_coder residual_coder_mixing = {
        .encode = mixing_encode,
        .decode = mixing_decode,
};

/* ---- with a guide ---- */

static struct residuals
residuals_of(const int32_t *r, const struct residual_segment *segment, size_t nsegments)
{
        struct residuals all = { .value = (int32_t *) r, .segment = segment, .nsegments = nsegments };

        for (size_t i = 0; i < nsegments; i++)
                all.count += segment[i].count;
        return all;
}

enum caefs_err
residual_encode_guided(const int32_t *r, const struct residual_segment *segment, size_t nsegments,
                       const struct residual_guide *guide, struct arena *arena, struct bytes *out)
{
        const struct residuals all = residuals_of(r, segment, nsegments);
        struct arena_mark mark = arena_mark(arena);
        struct stream *s;
        struct place p;

        bool good = all.count < UINT32_MAX && start(&s, &p, &all, arena);
        if (good) {
                p.guide = guide;
                s->encodes = true;
                s->encoder = binary_encoder_of(out);
                code_all_best(s, &p);
                binary_encoder_finish(&s->encoder);
        }
        arena_release(arena, mark);
        return good && !out->failed ? CAEFS_OK :
                caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
}

enum caefs_err
residual_decode_guided(struct cursor *in, int32_t *r, const struct residual_segment *segment,
                       size_t nsegments, const struct residual_guide *guide, struct arena *arena)
{
        const struct residuals all = residuals_of(r, segment, nsegments);
        struct stream *s;
        struct place p;

        if (all.count >= UINT32_MAX || !start(&s, &p, &all, arena))
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        p.guide = guide;
        s->encodes = false;
        s->decoder = binary_decoder_of(in);
        code_all_best(s, &p);
        return !in->failed && binary_decoder_finish(&s->decoder) ? CAEFS_OK
                : caefs_fail(CAEFS_ERR_CORRUPT, "residuals are cut short");
}
