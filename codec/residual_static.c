/* codec/residual_static.c - static interleaved rANS with context classes.
 *
 * A coding is: a header (token rule, precision, models and which kind uses which) as
 * adaptive bits; 32 states; words; raw bits.  The encoder runs backwards from states
 * that carry the first 64 bytes of raw bits, which the decoder finds when it is
 * done: so the states cost half of their size, or a few bytes where raw bits are many. */
#include <math.h>

#include "codec/rans_layout.h"
#include "codec/residual_coder.h"
#include "codec/token_expand.h"

#define MAX_KINDS   64          /* kinds beyond share the last one's model */
#define STATE_BYTES (4 * RANS_LANES)
#define SEED_BYTES  (2 * RANS_LANES)    /* raw bytes that the first states carry */

/* What the header says. */
struct static_header {
        struct token_rule     rule;
        struct rans_precision precision;
        unsigned              nkinds;
        unsigned              nmodels;
        uint8_t               model_of_kind[MAX_KINDS];
        struct rans_model     model[RANS_MODELS];
};

/* Kinds in the order in which they first occur. */
struct kinds {
        unsigned  count;
        unsigned  number[MAX_KINDS];    /* residual_segment.kind */
        uint8_t  *of_segment;           /* (nsegments) index */
};

static bool
kinds_find(struct kinds *k, const struct residuals *r, struct arena *arena)
{
        k->count = 0;
        k->of_segment = arena_alloc(arena, r->nsegments);
        if (k->of_segment == NULL)
                return false;
        for (size_t s = 0; s < r->nsegments; s++) {
                unsigned i = 0;
                while (i < k->count && k->number[i] != r->segment[s].kind)
                        i++;
                if (i == MAX_KINDS)
                        i = MAX_KINDS - 1;
                else if (i == k->count)
                        k->number[k->count++] = r->segment[s].kind;
                k->of_segment[s] = (uint8_t) i;
        }
        return true;
}

/* --- The header ------------------------------------------------------------ */

static void
write_bits(struct binary_encoder *e, unsigned v, unsigned n)
{
        while (n-- > 0)
                binary_encode(e, v >> n & 1, 32768);
}

static unsigned
read_bits(struct binary_decoder *d, unsigned n)
{
        unsigned v = 0;

        while (n-- > 0)
                v = v << 1 | binary_decode(d, 32768);
        return v;
}

static void
header_write(const struct static_header *h, struct bytes *out)
{
        struct binary_encoder e = binary_encoder_of(out);
        struct adaptive_number which;

        adaptive_number_init(&which);
        write_bits(&e, h->rule.split, 3);
        write_bits(&e, h->rule.msb, 2);
        write_bits(&e, h->precision.scale - RANS_SCALE_MIN, 2);
        write_bits(&e, h->precision.fineness, 2);
        if (h->nkinds > 1) {
                adaptive_number_encode(&e, &which, h->nmodels - 1);
                for (unsigned i = 1; i < h->nkinds && h->nmodels > 1; i++)
                        adaptive_number_encode(&e, &which, h->model_of_kind[i]);
        }
        for (unsigned i = 0; i < h->nmodels; i++)
                rans_model_write(&h->model[i], h->precision, &e);
        binary_encoder_finish(&e);
}

/* Which model each kind uses; the first kind uses the first. */
static bool
read_models_of_kinds(struct static_header *h, struct binary_decoder *d)
{
        struct adaptive_number which;

        adaptive_number_init(&which);
        memset(h->model_of_kind, 0, sizeof h->model_of_kind);
        h->nmodels = 1;
        if (h->nkinds <= 1)
                return true;
        uint32_t more = adaptive_number_decode(d, &which);
        if (more >= RANS_MODELS || more >= h->nkinds)
                return false;
        h->nmodels = more + 1;
        for (unsigned i = 1; i < h->nkinds && h->nmodels > 1; i++) {
                uint32_t model = adaptive_number_decode(d, &which);
                if (model >= h->nmodels)
                        return false;
                h->model_of_kind[i] = (uint8_t) model;
        }
        return true;
}

static enum caefs_err
header_read(struct static_header *h, unsigned nkinds, unsigned width, struct cursor *in,
            struct arena *arena)
{
        struct binary_decoder d = binary_decoder_of(in);
        unsigned classes = 0;

        h->nkinds = nkinds;
        h->rule.split = read_bits(&d, 3);
        h->rule.msb = read_bits(&d, 2);
        h->precision.scale = RANS_SCALE_MIN + read_bits(&d, 2);
        h->precision.fineness = read_bits(&d, 2);
        if (!token_rule_valid(h->rule, width) || !read_models_of_kinds(h, &d))
                return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: impossible static header");
        for (unsigned i = 0; i < h->nmodels; i++) {
                enum caefs_err err = rans_model_read(&h->model[i], token_count(h->rule, width),
                                                     h->precision, &d, arena);
                if (err != CAEFS_OK)
                        return err;
                classes += h->model[i].nclasses;
        }
        if (!binary_decoder_finish(&d) || in->failed || classes > RANS_ALL_CLASSES)
                return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: impossible static header");
        return CAEFS_OK;
}

/* --- Decoding -------------------------------------------------------------- */

/* Tables of all models behind each other; AT[i] is where model I's begin. */
static uint32_t *
build_tables(const struct static_header *h, size_t at[RANS_MODELS], struct arena *arena)
{
        size_t classes = 0;

        for (unsigned i = 0; i < h->nmodels; i++) {
                at[i] = classes << h->precision.scale;
                classes += h->model[i].nclasses;
        }
        uint32_t *table = arena_array(arena, classes << h->precision.scale, sizeof *table);
        if (table == NULL)
                return NULL;
        for (unsigned i = 0; i < h->nmodels; i++) {
                const struct rans_model *m = &h->model[i];
                for (unsigned c = 0; c < m->nclasses; c++)
                        rans_decode_table(&m->class[c], m->ntokens, h->precision.scale,
                                          table + at[i] + ((size_t) c << h->precision.scale));
        }
        return table;
}

static void
set_classes(struct rans_steps *s, const struct rans_model *m)
{
        s->nclasses = m->nclasses;
        s->class_start[0] = 0;
        for (unsigned level = 1; level < RANS_LEVELS; level++)
                if (m->class_of_level[level] != m->class_of_level[level - 1])
                        s->class_start[m->class_of_level[level]] = rans_level_start[level];
}

/* Steps FROM to TO of a segment, and the partial one behind if REST > 0. */
static bool
decode_steps(struct rans_lanes *lanes, const struct rans_steps *s, rans_decode_function *many,
             uint8_t *tokens, size_t from, size_t to, size_t rest)
{
        while (from < to) {
                from += many(lanes, s, tokens + from * RANS_LANES, to - from);
                if (from == to)
                        break;
                if (!rans_decode_lanes(lanes, s, tokens + from * RANS_LANES, RANS_LANES))
                        return false;
                from++;
        }
        return rest == 0 ||
               rans_decode_lanes(lanes, s, tokens + to * RANS_LANES, (unsigned) rest);
}

static bool
decode_segment(struct rans_lanes *lanes, struct rans_steps *s, rans_decode_function *many,
               const struct rans_layout *l, uint8_t *tokens)
{
        bool rows = l->first_row_step <= l->nsteps;
        size_t middle = rows ? l->first_row_step : l->nsteps;

        memcpy(s->distance, l->distance[0], sizeof s->distance);
        if (!decode_steps(lanes, s, many, tokens, 0, middle, rows ? 0 : l->rest))
                return false;
        if (!rows)
                return true;
        memcpy(s->distance, l->distance[1], sizeof s->distance);
        return decode_steps(lanes, s, many, tokens, middle, l->nsteps, l->rest);
}

static size_t
longest_segment(const struct residuals *r)
{
        size_t longest = 0;

        for (size_t i = 0; i < r->nsegments; i++)
                if (r->segment[i].count > longest)
                        longest = r->segment[i].count;
        return longest;
}

/* All tokens, in the order of the residuals, to TOKENS. */
static enum caefs_err
decode_tokens(struct rans_lanes *lanes, const struct residuals *r, const struct static_header *h,
              const struct kinds *kinds, uint8_t *tokens, struct arena *arena)
{
        size_t at[RANS_MODELS];
        struct rans_steps steps = { .scale = h->precision.scale };
        rans_decode_function *many = rans_decode_best();
        uint32_t *table = build_tables(h, at, arena);
        uint8_t *work = arena_alloc(arena, RANS_MARGIN + longest_segment(r));

        if (table == NULL || work == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        memset(work, 0, RANS_MARGIN);
        for (size_t i = 0; i < r->nsegments; i++) {
                struct rans_layout l = rans_layout_of(&r->segment[i]);
                unsigned model = h->model_of_kind[kinds->of_segment[i]];
                steps.table = table + at[model];
                set_classes(&steps, &h->model[model]);
                if (!decode_segment(lanes, &steps, many, &l, work + RANS_MARGIN))
                        return caefs_fail(CAEFS_ERR_CORRUPT, "residuals end early");
                rans_layout_back(&l, work + RANS_MARGIN, tokens);
                tokens += l.count;
        }
        return CAEFS_OK;
}

/* What the states carry must be all that is left of them. */
static bool
take_seed(const struct rans_lanes *lanes, size_t used, uint8_t seed[SEED_BYTES])
{
        for (unsigned l = 0; l < RANS_LANES; l++) {
                uint32_t v = lanes->state[l] - RANS_LOW;
                if (v > UINT16_MAX)
                        return false;
                seed[2 * l] = (uint8_t) v;
                seed[2 * l + 1] = (uint8_t) (v >> 8);
        }
        for (size_t i = used; i < SEED_BYTES; i++)
                if (seed[i] != 0)
                        return false;
        return true;
}

/* Tokens and raw bits, the rest of which comes from IN, become residuals. */
static enum caefs_err
expand(const struct residuals *r, const struct static_header *h, const uint8_t *tokens,
       const struct rans_lanes *lanes, struct cursor *in, struct arena *arena)
{
        size_t size = (size_t) ((token_raw_total(h->rule, tokens, r->count) + 7) / 8);
        size_t rest = size > SEED_BYTES ? size - SEED_BYTES : 0;
        const uint8_t *tail = cursor_take(in, rest);
        uint8_t *raw = tail == NULL ? NULL : arena_alloc(arena, SEED_BYTES + rest +
                                                        TOKEN_RAW_MARGIN);
        if (tail != NULL && raw == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        if (tail == NULL || !take_seed(lanes, size < SEED_BYTES ? size : SEED_BYTES, raw))
                return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: raw bits are damaged");
        memcpy(raw + SEED_BYTES, tail, rest);
        memset(raw + SEED_BYTES + rest, 0, TOKEN_RAW_MARGIN);
        if (r->wide)
                token_expand_wide(h->rule, tokens, r->count, raw, r->value);
        else
                token_expand(h->rule, tokens, r->count, raw, r->value);
        return CAEFS_OK;
}

static enum caefs_err
decode_in_arena(struct cursor *in, const struct residuals *r, struct arena *arena)
{
        struct kinds kinds;
        struct static_header *h = arena_alloc(arena, sizeof *h);
        uint8_t *tokens = arena_alloc(arena, r->count);

        if (h == NULL || tokens == NULL || !kinds_find(&kinds, r, arena))
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        enum caefs_err err = header_read(h, kinds.count, r->wide ? 64 : 32, in, arena);
        if (err != CAEFS_OK)
                return err;
        struct rans_lanes lanes;
        for (unsigned l = 0; l < RANS_LANES; l++) {
                lanes.state[l] = cursor_u32(in);
                if (lanes.state[l] < RANS_LOW)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: impossible state");
        }
        lanes.word = in->at;
        lanes.end = in->end;
        err = decode_tokens(&lanes, r, h, &kinds, tokens, arena);
        if (err != CAEFS_OK)
                return err;
        in->at = lanes.word;
        return expand(r, h, tokens, &lanes, in, arena);
}

static enum caefs_err
static_decode(struct cursor *in, const struct residuals *r, struct arena *arena)
{
        struct arena_mark mark = arena_mark(arena);
        enum caefs_err err = decode_in_arena(in, r, arena);

        arena_release(arena, mark);
        return err;
}

/* --- Encoding -------------------------------------------------------------- */

/* Rules that are tried, in order of how few tokens they make. */
static const struct token_rule rules[] = {
        { 4, 1 }, { 4, 2 }, { 5, 1 }, { 5, 2 }, { 6, 1 }
};

/* What tables and time are worth, in bits: of a token that occurs, once; and of
 * a residual that has raw bits, since it takes longer to decode. */
static const double bits_a_token = 20, bits_a_raw = 0.03;

/* Bits for the tokens in COUNT, a sample of one in STRIDE, with raw bits and table. */
static double
rule_cost(const uint32_t *count, size_t stride, struct token_rule rule, unsigned ntokens)
{
        double sum = 0, bits = 0, table = 0;

        for (unsigned t = 0; t < ntokens; t++) {
                if (count[t] == 0)
                        continue;
                unsigned raw = token_raw_bits(rule, t);
                sum += count[t];
                table += bits_a_token;
                bits += count[t] * (raw + (raw > 0 ? bits_a_raw : 0) - log2(count[t]));
        }
        return table + (double) stride * (bits + (sum > 0 ? sum * log2(sum) : 0));
}

/* The rule that suits R, by a sample. */
static struct token_rule
choose_rule(const struct residuals *r)
{
        unsigned width = r->wide ? 64 : 32;
        size_t stride = r->count / 8192 + 1;
        struct token_rule best = rules[0];
        double least = INFINITY;

        for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
                uint32_t count[TOKEN_LIMIT] = { 0 };
                if (!token_rule_valid(rules[i], width))
                        continue;
                /* Where residuals are large, more tokens of their own blur the contexts. */
                if (rules[i].split > 4 && least > 7 * (double) r->count)
                        break;
                for (size_t k = 0; k < r->count; k += stride)
                        count[token_of(rules[i], zigzag_encode(residual_get(r, k)))]++;
                double cost = rule_cost(count, stride, rules[i], token_count(rules[i], width));
                if (cost < least) {
                        least = cost;
                        best = rules[i];
                }
        }
        return best;
}

/* Precision by how many residuals there are to pay for it. */
static struct rans_precision
choose_precision(size_t count)
{
        return (struct rans_precision) {
                .scale = count >= 1 << 16 ? 12 : count >= 1 << 13 ? 11 : 10,
                .fineness = count >= 1 << 18 ? 3 : count >= 1 << 15 ? 2 : count >= 1 << 12 ? 1 : 0
        };
}

/* What the passes of the encoder leave for each other; all the arena's. */
struct static_work {
        struct static_header   header;
        struct kinds           kinds;
        uint8_t               *tokens;  /* (count) in the order of the residuals */
        uint8_t               *steps;   /* the same in steps, each segment behind a margin */
        uint8_t               *level;   /* (count) context level of each */
        struct rans_histogram *histogram;       /* (kinds.count) */
        struct bytes           raw;     /* raw bits; freed by the caller */
};

/* Appends N low bits of V behind the BIT bits that RAW has. */
static void
put_raw_bits(struct bytes *raw, uint64_t *pending, unsigned *npending, uint64_t v, unsigned n)
{
        while (n > 0) {
                unsigned take = n < 64 - *npending ? n : 64 - *npending;
                *pending |= (take < 64 ? v & ((UINT64_C(1) << take) - 1) : v) << *npending;
                *npending += take;
                v = take < 64 ? v >> take : 0;
                n -= take;
                if (*npending == 64) {
                        bytes_put_u64(raw, *pending);
                        *pending = 0;
                        *npending = 0;
                }
        }
}

static void
make_tokens(struct static_work *w, const struct residuals *r)
{
        struct token_rule rule = w->header.rule;
        uint64_t pending = 0;
        unsigned npending = 0;

        for (size_t i = 0; i < r->count; i++) {
                uint64_t code = zigzag_encode(residual_get(r, i));
                unsigned token = token_of(rule, code);
                w->tokens[i] = (uint8_t) token;
                if (code >= UINT64_C(1) << rule.split)
                        put_raw_bits(&w->raw, &pending, &npending, code,
                                     token_raw_bits(rule, token));
        }
        for (; npending > 0; npending -= npending < 8 ? npending : 8) {
                bytes_put_u8(&w->raw, (uint8_t) pending);
                pending >>= 8;
        }
}

/* Context sums of N tokens at STEPS, with neighbours at DISTANCE before them. */
static inline __attribute__((always_inline)) void
find_sums(const uint8_t *restrict steps, size_t n, const size_t distance[RANS_NEIGHBOURS],
          uint8_t *restrict sum)
{
        const uint8_t *d0 = steps - distance[0], *d1 = steps - distance[1],
                      *d2 = steps - distance[2], *d3 = steps - distance[3],
                      *d4 = steps - distance[4];

        for (size_t i = 0; i < n; i++)
                sum[i] = (uint8_t) rans_context_sum(d0[i], d1[i], d2[i], d3[i], d4[i]);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void
find_sums_avx2(const uint8_t *steps, size_t n, const size_t distance[RANS_NEIGHBOURS],
               uint8_t *sum)
{
        find_sums(steps, n, distance, sum);
}
#endif

static void
find_sums_best(const uint8_t *steps, size_t n, const size_t distance[RANS_NEIGHBOURS],
               uint8_t *sum)
{
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx2")) {
                find_sums_avx2(steps, n, distance, sum);
                return;
        }
#endif
        find_sums(steps, n, distance, sum);
}

/* LEVEL gets the context levels of a segment in STEPS, before which RANS_MARGIN
 * zeros lie; tokens are counted by them. */
static void
scan_segment(const struct rans_layout *l, const uint8_t level_of_sum[256], const uint8_t *steps,
             uint8_t *level, struct rans_histogram *h)
{
        size_t middle = l->first_row_step <= l->nsteps ? l->first_row_step * RANS_LANES : l->count;

        find_sums_best(steps, middle, l->distance[0], level);
        find_sums_best(steps + middle, l->count - middle, l->distance[1], level + middle);
        unsigned most = 0;
        for (size_t i = 0; i < l->count; i++) {
                level[i] = level_of_sum[level[i]];
                h->count[level[i]][steps[i]]++;
                most = steps[i] >= most ? steps[i] + 1u : most;
        }
        if (most > h->ntokens)
                h->ntokens = most;
}

/* Where the steps of segment I begin, AT being the residuals before it. */
static size_t
steps_start(size_t i, size_t at)
{
        return (i + 1) * RANS_MARGIN + at;
}

static void
scan_all(struct static_work *w, const struct residuals *r)
{
        uint8_t level_of_sum[256];
        size_t at = 0;

        rans_level_table(level_of_sum);
        memset(w->histogram, 0, w->kinds.count * sizeof *w->histogram);
        for (size_t i = 0; i < r->nsegments; i++) {
                struct rans_layout l = rans_layout_of(&r->segment[i]);
                uint8_t *steps = w->steps + steps_start(i, at);
                memset(steps - RANS_MARGIN, 0, RANS_MARGIN);
                rans_layout_forward(&l, w->tokens + at, steps);
                scan_segment(&l, level_of_sum, steps, w->level + at,
                             &w->histogram[w->kinds.of_segment[i]]);
                at += l.count;
        }
}

static void
add_histogram(struct rans_histogram *to, const struct rans_histogram *h)
{
        if (h->ntokens > to->ntokens)
                to->ntokens = h->ntokens;
        for (unsigned level = 0; level < RANS_LEVELS; level++)
                for (unsigned t = 0; t < h->ntokens; t++)
                        to->count[level][t] += h->count[level][t];
}

/* Gives each kind the model that it makes least longer, or one of its own.
 * Histograms of the models end up in MODEL. */
static void
share_models(struct static_work *w, struct rans_histogram *model, struct rans_histogram *joined)
{
        struct static_header *h = &w->header;
        double cost[RANS_MODELS];

        h->nmodels = 0;
        for (unsigned k = 0; k < w->kinds.count; k++) {
                double alone = rans_histogram_cost(&w->histogram[k]), least = alone;
                unsigned best = h->nmodels;
                for (unsigned m = 0; m < h->nmodels; m++) {
                        *joined = model[m];
                        add_histogram(joined, &w->histogram[k]);
                        double more = rans_histogram_cost(joined) - cost[m];
                        if (more <= least || (best == RANS_MODELS / 4 && m == 0)) {
                                least = more;
                                best = m;
                        }
                }
                if (best == h->nmodels) {
                        model[h->nmodels++] = w->histogram[k];
                        cost[best] = alone;
                } else {
                        add_histogram(&model[best], &w->histogram[k]);
                        cost[best] += least;
                }
                h->model_of_kind[k] = (uint8_t) best;
        }
}

static bool
build_models(struct static_work *w, struct arena *arena)
{
        /* One more for trying. */
        struct rans_histogram *model = arena_array(arena, RANS_MODELS / 4 + 1, sizeof *model);

        if (model == NULL)
                return false;
        share_models(w, model, &model[RANS_MODELS / 4]);
        for (unsigned i = 0; i < w->header.nmodels; i++)
                if (!rans_model_build(&w->header.model[i], &model[i], w->header.precision, arena))
                        return false;
        return true;
}

/* The states with which encoding begins. */
static void
seed_states(struct rans_lanes *lanes, const struct bytes *raw)
{
        for (unsigned l = 0; l < RANS_LANES; l++) {
                uint32_t low = 2 * l < raw->size ? raw->data[2 * l] : 0;
                uint32_t high = 2 * l + 1 < raw->size ? raw->data[2 * l + 1] : 0;
                lanes->state[l] = RANS_LOW + (low | high << 8);
        }
}

/* How a token is put into a state: x becomes x + BIAS + (x / frequency) * MORE,
 * the quotient being the upper half of x * RECIPROCAL (F. Giesen, ryg_rans). */
struct put {
        uint64_t reciprocal;
        uint64_t limit;         /* from here on a word leaves first */
        uint32_t bias;
        uint32_t more;
};

static struct put
put_of(uint32_t frequency, uint32_t start, unsigned scale)
{
        struct put p = {
                .limit = (uint64_t) frequency << (32 - scale),
                .bias = start,
                .more = (1u << scale) - frequency,
        };

        if (frequency >= 2) {
                p.reciprocal = UINT64_MAX / frequency + 1;
        } else {                /* 2^64 has no room: x - 1 is found, and made up for */
                p.reciprocal = UINT64_MAX;
                p.bias += (1u << scale) - 1;
        }
        return p;
}

/* (nclasses) times TOKEN_LIMIT. */
static struct put *
puts_of_model(const struct rans_model *m, unsigned scale, struct arena *arena)
{
        struct put *puts = arena_array(arena, (size_t) m->nclasses * TOKEN_LIMIT, sizeof *puts);

        if (puts == NULL)
                return NULL;
        for (unsigned c = 0; c < m->nclasses; c++)
                for (unsigned t = 0; t < m->ntokens; t++)
                        puts[c * TOKEN_LIMIT + t] = put_of(m->class[c].frequency[t],
                                                           m->class[c].start[t], scale);
        return puts;
}

/* Codes a segment's tokens, last one first, writing words before END; returns
 * where they now begin. */
static uint8_t *
encode_segment(struct rans_lanes *lanes, const struct rans_model *m, const struct put *puts,
               const uint8_t *steps, const uint8_t *level, size_t count, uint8_t *end)
{
        for (size_t i = count; i-- > 0;) {
                const struct put *p = &puts[m->class_of_level[level[i]] * TOKEN_LIMIT + steps[i]];
                uint32_t x = lanes->state[i % RANS_LANES];
                bool full = x >= p->limit;
                end[-1] = (uint8_t) (x >> 8);
                end[-2] = (uint8_t) x;
                end -= full ? 2 : 0;
                x = full ? x >> 16 : x;
                uint64_t quotient = (uint64_t) (((unsigned __int128) x * p->reciprocal) >> 64);
                lanes->state[i % RANS_LANES] = x + p->bias + (uint32_t) quotient * p->more;
        }
        return end;
}

/* States, words and raw bits. */
static bool
write_stream(struct static_work *w, const struct residuals *r, struct arena *arena,
             struct bytes *out)
{
        struct rans_lanes lanes;
        uint8_t *room = arena_array(arena, r->count + 1, 2);
        struct put *puts[RANS_MODELS];
        size_t at = r->count;

        for (unsigned i = 0; i < w->header.nmodels; i++) {
                puts[i] = puts_of_model(&w->header.model[i], w->header.precision.scale, arena);
                if (puts[i] == NULL)
                        return false;
        }
        if (room == NULL)
                return false;
        uint8_t *end = room + 2 * r->count + 2, *word = end;
        seed_states(&lanes, &w->raw);
        for (size_t i = r->nsegments; i-- > 0;) {
                unsigned model = w->header.model_of_kind[w->kinds.of_segment[i]];
                at -= r->segment[i].count;
                word = encode_segment(&lanes, &w->header.model[model], puts[model],
                                      w->steps + steps_start(i, at), w->level + at,
                                      r->segment[i].count, word);
        }
        for (unsigned l = 0; l < RANS_LANES; l++)
                bytes_put_u32(out, lanes.state[l]);
        bytes_put(out, word, (size_t) (end - word));
        if (w->raw.size > SEED_BYTES)
                bytes_put(out, w->raw.data + SEED_BYTES, w->raw.size - SEED_BYTES);
        return true;
}

static bool
encode_in_arena(struct static_work *w, const struct residuals *r, struct arena *arena,
                struct bytes *out)
{
        w->tokens = arena_alloc(arena, r->count);
        w->steps = arena_alloc(arena, r->count + r->nsegments * RANS_MARGIN);
        w->level = arena_alloc(arena, r->count);
        if (w->tokens == NULL || w->steps == NULL || w->level == NULL ||
            !kinds_find(&w->kinds, r, arena))
                return false;
        w->histogram = arena_array(arena, w->kinds.count, sizeof *w->histogram);
        if (w->histogram == NULL)
                return false;
        w->header.rule = choose_rule(r);
        w->header.precision = choose_precision(r->count);
        w->header.nkinds = w->kinds.count;
        make_tokens(w, r);
        scan_all(w, r);
        if (!build_models(w, arena))
                return false;
        header_write(&w->header, out);
        return write_stream(w, r, arena, out);
}

static enum caefs_err
static_encode(const struct residuals *r, enum effort effort, size_t limit, struct arena *arena,
              struct bytes *out)
{
        struct arena_mark mark = arena_mark(arena);
        size_t start = out->size;

        (void) effort;
        if (limit <= STATE_BYTES)
                return CAEFS_OK;
        struct static_work *w = arena_alloc(arena, sizeof *w);
        if (w == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        w->raw = (struct bytes) { 0 };
        bool good = encode_in_arena(w, r, arena, out) && !w->raw.failed && !out->failed;
        bytes_free(&w->raw);
        arena_release(arena, mark);
        if (good && out->size - start >= limit)
                out->size = start;
        return good ? CAEFS_OK : caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
}

const struct residual_coder residual_coder_static = {
        .encode = static_encode,
        .decode = static_decode,
};
