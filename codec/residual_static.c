/* codec/residual_static.c - static interleaved rANS with context classes.
 *
 * A coding is: a header (token rule, precision, lanes, models and which kind uses which) as
 * adaptive bits; states; words; raw bits.  The encoder runs backwards from states that
 * carry the first two bytes a lane of raw bits, which the decoder finds when it is
 * done: so the states cost half of their size, or a few bytes where raw bits are many. */
#include <math.h>

#include "codec/cpu.h"
#include "codec/rans_layout.h"
#include "codec/residual_coder.h"
#include "codec/token_rows.h"

#define MAX_KINDS   64          /* kinds beyond share the last one's model */
#define SEED_BYTES  2           /* raw bytes that the first state of a lane carries */

/* What the header says. */
struct static_header {
        struct token_rule     rule;
        struct rans_precision precision;
        unsigned              lanes;
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
header_write(const struct static_header *h, struct bytes *out)
{
        struct binary_encoder e = binary_encoder_of(out);
        struct adaptive_number which;

        adaptive_number_init(&which);
        even_bits_encode(&e, h->rule.split, 3);
        even_bits_encode(&e, h->rule.msb, 2);
        even_bits_encode(&e, h->precision.scale - RANS_SCALE_MIN, 2);
        even_bits_encode(&e, h->precision.fineness, 2);
        even_bits_encode(&e, h->lanes == RANS_LANES, 1);
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
        h->rule.split = even_bits_decode(&d, 3);
        h->rule.msb = even_bits_decode(&d, 2);
        h->precision.scale = RANS_SCALE_MIN + even_bits_decode(&d, 2);
        h->precision.fineness = even_bits_decode(&d, 2);
        h->lanes = even_bits_decode(&d, 1) == 1 ? RANS_LANES : RANS_LANES / 2;
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
        uint32_t *table = arena_array(arena, (classes << h->precision.scale) + RANS_TABLE_MARGIN,
                                      sizeof *table);
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

/* Steps FROM to TO of a segment, and the partial one behind if REST > 0. */
static bool
decode_steps(struct rans_lanes *lanes, const struct rans_steps *s, rans_decode_function *many,
             uint8_t *tokens, size_t from, size_t to, size_t rest)
{
        while (from < to) {
                from += many(lanes, s, tokens + from * lanes->count, to - from);
                if (from == to)
                        break;
                if (!rans_decode_lanes(lanes, s, tokens + from * lanes->count, lanes->count))
                        return false;
                from++;
        }
        return rest == 0 ||
               rans_decode_lanes(lanes, s, tokens + to * lanes->count, (unsigned) rest);
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

/* Tokens in steps: those of each segment lie behind a margin of zeros. */
static size_t
steps_size(const struct residuals *r)
{
        return r->count + r->nsegments * RANS_MARGIN + RANS_TAIL;
}

/* Where the steps of segment I begin, AT being the residuals before it. */
static size_t
steps_start(size_t i, size_t at)
{
        return (i + 1) * RANS_MARGIN + at;
}

/* All tokens, to STEPS; their raw bits are added to *RAW_BITS. */
static enum caefs_err
decode_tokens(struct rans_lanes *lanes, const struct residuals *r, const struct static_header *h,
              const struct kinds *kinds, uint8_t *steps, uint64_t *raw_bits, struct arena *arena)
{
        size_t table_at[RANS_MODELS], at = 0;
        rans_decode_function *many = rans_decode_best();
        struct rans_contexts *contexts = arena_array(arena, h->nmodels, sizeof *contexts);
        uint32_t *table = build_tables(h, table_at, arena);

        if (table == NULL || contexts == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        for (unsigned i = 0; i < h->nmodels; i++)
                rans_contexts_of(&contexts[i], &h->model[i]);
        for (size_t i = 0; i < r->nsegments; i++) {
                struct rans_layout l = rans_layout_of(&r->segment[i], h->lanes);
                unsigned model = h->model_of_kind[kinds->of_segment[i]];
                uint8_t *tokens = steps + steps_start(i, at);
                struct rans_steps s = {
                        .table = table + table_at[model], .scale = h->precision.scale,
                        .contexts = &contexts[model]
                };
                memset(tokens - RANS_MARGIN, 0, RANS_MARGIN);
                if (!decode_segment(lanes, &s, many, &l, tokens))
                        return caefs_fail(CAEFS_ERR_CORRUPT, "residuals end early");
                *raw_bits += token_raw_total(h->rule, tokens, l.count);
                at += l.count;
        }
        return CAEFS_OK;
}

/* What the states carry must be all that is left of them. */
static bool
take_seed(const struct rans_lanes *lanes, size_t used, uint8_t *seed)
{
        for (unsigned l = 0; l < lanes->count; l++) {
                uint32_t v = lanes->state[l] - RANS_LOW;
                if (v > UINT16_MAX)
                        return false;
                seed[2 * l] = (uint8_t) v;
                seed[2 * l + 1] = (uint8_t) (v >> 8);
        }
        for (size_t i = used; i < SEED_BYTES * lanes->count; i++)
                if (seed[i] != 0)
                        return false;
        return true;
}

/* All raw bits, of which the states have the first and IN the rest, the arena's. */
static enum caefs_err
read_raw(uint64_t bits, const struct rans_lanes *lanes, struct cursor *in, uint8_t **raw,
         struct arena *arena)
{
        size_t size = (size_t) ((bits + 7) / 8), seed = SEED_BYTES * lanes->count;
        size_t rest = size > seed ? size - seed : 0;
        const uint8_t *tail = cursor_take(in, rest);

        *raw = tail == NULL ? NULL : arena_alloc(arena, seed + rest + TOKEN_RAW_MARGIN);
        if (tail != NULL && *raw == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        if (tail == NULL || !take_seed(lanes, size < seed ? size : seed, *raw))
                return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: raw bits are damaged");
        memcpy(*raw + seed, tail, rest);
        memset(*raw + seed + rest, 0, TOKEN_RAW_MARGIN);
        return CAEFS_OK;
}

/* A whole block of rows to the residuals at R. */
static void
join_block(const struct rans_layout *l, size_t block, token_join_function *join, size_t element,
           const uint8_t *tokens, struct token_reader *in, char *r)
{
        void *row[RANS_LANES];

        for (size_t k = 0; k < l->lanes; k++)
                row[k] = r + rans_layout_row_start(l, block, k) * element;
        join(in, tokens, l->lanes, row);
}

/* The same for a last block: some rows are short or missing. */
static void
join_last_block(const struct rans_layout *l, size_t block, token_join_function *join,
                size_t element, uint8_t *tokens, struct token_reader *in, char *r)
{
        for (size_t k = 0; k < l->lanes; k++, tokens += RANS_BLOCK) {
                size_t n = rans_layout_row_length(l, block, k);
                int64_t some[TOKEN_ROW];
                void *row = some;
                if (n == 0)
                        continue;
                memset(tokens + n, 0, RANS_BLOCK - n);
                join(in, tokens, 1, &row);
                memcpy(r + rans_layout_row_start(l, block, k) * element, some, n * element);
        }
}

/* Tokens and raw bits become residuals. */
static void
join_tokens(const struct residuals *r, const struct static_header *h, const uint8_t *steps,
            struct token_reader *in)
{
        size_t element = r->wide ? sizeof(int64_t) : sizeof(int32_t), at = 0;
        token_join_function *join = token_join_best(r->wide);
        uint8_t rows[RANS_BLOCK * RANS_LANES];

        for (size_t i = 0; i < r->nsegments; i++) {
                struct rans_layout l = rans_layout_of(&r->segment[i], h->lanes);
                size_t whole = l.nsteps / RANS_BLOCK;
                const uint8_t *from = steps + steps_start(i, at);
                char *to = (char *) r->value + at * element;
                for (size_t b = 0; b < rans_layout_blocks(&l); b++, from += RANS_BLOCK * l.lanes) {
                        rans_layout_back(&l, from, rows);
                        if (b < whole)
                                join_block(&l, b, join, element, rows, in, to);
                        else
                                join_last_block(&l, b, join, element, rows, in, to);
                }
                at += l.count;
        }
}

static enum caefs_err
read_states(struct rans_lanes *lanes, unsigned count, struct cursor *in)
{
        lanes->count = count;
        for (unsigned l = 0; l < count; l++) {
                lanes->state[l] = cursor_u32(in);
                if (lanes->state[l] < RANS_LOW)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: impossible state");
        }
        lanes->word = in->at;
        lanes->end = in->end;
        return CAEFS_OK;
}

static enum caefs_err
decode_in_arena(struct cursor *in, const struct residuals *r, struct arena *arena)
{
        struct kinds kinds;
        struct static_header *h = arena_alloc(arena, sizeof *h);
        uint8_t *steps = arena_alloc(arena, steps_size(r)), *raw;
        struct token_reader *reader = arena_alloc(arena, sizeof *reader);
        struct rans_lanes lanes;
        uint64_t raw_bits = 0;

        if (h == NULL || steps == NULL || reader == NULL || !kinds_find(&kinds, r, arena))
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        enum caefs_err err = header_read(h, kinds.count, r->wide ? 64 : 32, in, arena);
        if (err == CAEFS_OK)
                err = read_states(&lanes, h->lanes, in);
        if (err == CAEFS_OK)
                err = decode_tokens(&lanes, r, h, &kinds, steps, &raw_bits, arena);
        if (err != CAEFS_OK)
                return err;
        in->at = lanes.word;
        err = read_raw(raw_bits, &lanes, in, &raw, arena);
        if (err != CAEFS_OK)
                return err;
        token_reader_init(reader, h->rule, raw);
        join_tokens(r, h, steps, reader);
        return CAEFS_OK;
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

/* Residuals that the choice of a rule goes by. */
#define RULE_SAMPLE 4096

/* Has a token for each that the rules tried tell apart. */
static const struct token_rule finest_rule = { 6, 2 };

/* COUNT of the sample by FINE's tokens, counted again by the tokens of RULE. */
static void
count_by_rule(const uint32_t fine[TOKEN_LIMIT], struct token_rule rule, unsigned width,
              uint32_t count[TOKEN_LIMIT])
{
        memset(count, 0, TOKEN_LIMIT * sizeof *count);
        for (unsigned t = 0; t < token_count(finest_rule, width); t++)
                if (fine[t] > 0)
                        count[token_of(rule, token_base(finest_rule, t))] += fine[t];
}

/* The rule that suits R, by a sample, and about how many bits R takes with it. */
static struct token_rule
choose_rule(const struct residuals *r, double *bits)
{
        /* Codes of 64 bits have more tokens than the finest rule has numbers for: 296. */
        unsigned width = r->wide ? 64 : 32, count_width = r->wide ? 54 : 32;
        size_t stride = r->count / RULE_SAMPLE + 1;
        uint32_t fine[TOKEN_LIMIT] = { 0 }, count[TOKEN_LIMIT];
        struct token_rule best = rules[0];

        for (size_t k = 0; k < r->count; k += stride) {
                uint64_t code = zigzag_encode(residual_get(r, k));
                unsigned token = token_of(finest_rule, code);
                fine[token < TOKEN_LIMIT ? token : TOKEN_LIMIT - 1]++;
        }
        *bits = INFINITY;
        for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
                if (!token_rule_valid(rules[i], width))
                        continue;
                /* Where residuals are large, more tokens of their own blur the contexts. */
                if (rules[i].split > 4 && *bits > 7 * (double) r->count)
                        break;
                count_by_rule(fine, rules[i], count_width, count);
                double cost = rule_cost(count, stride, rules[i], token_count(rules[i], width));
                if (cost < *bits) {
                        *bits = cost;
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

/* Where states cost less than this share of the size, there are 64 of them. */
#define LANES_SHARE 400

/* What the passes of the encoder leave for each other; all the arena's. */
struct static_work {
        struct static_header   header;
        struct kinds           kinds;
        uint8_t               *steps;   /* tokens, by steps_start() */
        uint16_t              *cell;    /* (count) in the order of the steps */
        struct rans_histogram *histogram;       /* (kinds.count) */
        struct cell_counts    *counts;          /* of one segment */
        uint8_t               *raw;     /* raw bits */
        size_t                 raw_size;
};

/* The rows of block BLOCK, from the residuals at R. */
static void
split_block(const struct rans_layout *l, size_t block, token_split_function *split,
            size_t element, const char *r, struct token_writer *out, uint8_t *tokens)
{
        const void *row[RANS_LANES];

        for (size_t k = 0; k < l->lanes; k++)
                row[k] = r + rans_layout_row_start(l, block, k) * element;
        split(out, row, l->lanes, tokens);
}

/* The same for a last block: some rows are short or missing. */
static void
split_last_block(const struct rans_layout *l, size_t block, token_split_function *split,
                 size_t element, const char *r, struct token_writer *out, uint8_t *tokens)
{
        for (size_t k = 0; k < l->lanes; k++, tokens += RANS_BLOCK) {
                size_t n = rans_layout_row_length(l, block, k);
                int64_t some[TOKEN_ROW] = { 0 };
                const void *row = some;
                memcpy(some, r + rans_layout_row_start(l, block, k) * element, n * element);
                split(out, &row, 1, tokens);
        }
}

static void
split_segment(const struct rans_layout *l, token_split_function *split, size_t element,
              const char *r, struct token_writer *out, uint8_t *steps)
{
        uint8_t rows[RANS_BLOCK * RANS_LANES];
        size_t whole = l->nsteps / RANS_BLOCK;

        for (size_t b = 0; b < rans_layout_blocks(l); b++, steps += RANS_BLOCK * l->lanes) {
                if (b < whole)
                        split_block(l, b, split, element, r, out, rows);
                else
                        split_last_block(l, b, split, element, r, out, rows);
                rans_layout_forward(l, rows, steps);
        }
}

/* Residuals to tokens, in steps, and raw bits. */
static void
split_residuals(struct static_work *w, const struct residuals *r)
{
        size_t element = r->wide ? sizeof(int64_t) : sizeof(int32_t), at = 0;
        token_split_function *split = token_split_best(r->wide);
        struct token_writer out = { .rule = w->header.rule, .raw = w->raw };

        for (size_t i = 0; i < r->nsegments; i++) {
                struct rans_layout l = rans_layout_of(&r->segment[i], w->header.lanes);
                uint8_t *steps = w->steps + steps_start(i, at);
                memset(steps - RANS_MARGIN, 0, RANS_MARGIN);
                split_segment(&l, split, element, (const char *) r->value + at * element, &out,
                              steps);
                at += l.count;
        }
        w->raw_size = (size_t) (token_writer_finish(&out) - w->raw);
}

/* What count_cells() counts with. */
struct cell_counts {
        uint32_t even[RANS_CELLS], odd[RANS_CELLS];
};

/* Cells are counted in turns by two arrays: an element that was just written would be
 * waited for. */
static void
count_cells(const uint16_t *cell, size_t n, struct cell_counts *c)
{
        for (size_t i = 0; i + 2 <= n; i += 2) {
                c->even[cell[i]]++;
                c->odd[cell[i + 1]]++;
        }
        if (n % 2 != 0)
                c->even[cell[n - 1]]++;
}

/* Adds C, which is empty afterwards, to H; tokens are below NTOKENS. */
static void
move_counts(struct rans_histogram *h, struct cell_counts *c, unsigned ntokens)
{
        if (ntokens > h->ntokens)
                h->ntokens = ntokens;
        for (unsigned level = 0; level < RANS_LEVELS; level++) {
                uint32_t *even = c->even + level * RANS_CELL_PITCH;
                uint32_t *odd = c->odd + level * RANS_CELL_PITCH;
                for (unsigned t = 0; t < ntokens; t++) {
                        h->count[level][t] += even[t] + odd[t];
                        even[t] = odd[t] = 0;
                }
        }
}

static unsigned
most_of(const uint8_t *steps, size_t n)
{
        uint8_t most = 0;

        for (size_t i = 0; i < n; i++)
                most = steps[i] > most ? steps[i] : most;
        return most;
}

/* Cells that are found and then counted: they stay in the nearest cache. */
#define PIECE 4096

static void
scan_steps(const uint8_t *steps, size_t n, const size_t distance[RANS_NEIGHBOURS],
           uint16_t *cell, struct cell_counts *counts)
{
        rans_cells_function *find_cells = rans_cells_best();

        for (size_t i = 0; i < n; i += PIECE) {
                size_t piece = n - i < PIECE ? n - i : PIECE;
                find_cells(steps + i, piece, distance, cell + i);
                count_cells(cell + i, piece, counts);
        }
}

/* Cells of all tokens, in the order of the steps; they are counted by kind. */
static void
scan_all(struct static_work *w, const struct residuals *r)
{
        struct cell_counts *counts = w->counts;
        size_t at = 0;

        memset(w->histogram, 0, w->kinds.count * sizeof *w->histogram);
        memset(counts, 0, sizeof *counts);
        for (size_t i = 0; i < r->nsegments; i++) {
                struct rans_layout l = rans_layout_of(&r->segment[i], w->header.lanes);
                struct rans_histogram *h = &w->histogram[w->kinds.of_segment[i]];
                const uint8_t *steps = w->steps + steps_start(i, at);
                size_t middle = l.first_row_step <= l.nsteps ? l.first_row_step * l.lanes : l.count;
                uint16_t *cell = w->cell + at;
                scan_steps(steps, middle, l.distance[0], cell, counts);
                scan_steps(steps + middle, l.count - middle, l.distance[1], cell + middle, counts);
                move_counts(h, counts, most_of(steps, l.count) + 1);
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

/* Models that kinds share. */
struct sharing {
        struct rans_outline none, kind;         /* empty; the kind at hand */
        struct rans_outline model[RANS_MODELS / 4];
        int64_t             cost[RANS_MODELS / 4];
};

/* The model that becomes least longer by the kind at hand, or a new one. */
static unsigned
choose_model(const struct sharing *s, unsigned nmodels)
{
        int64_t least = rans_outline_cost(&s->kind, &s->none);
        bool full = nmodels == RANS_MODELS / 4;
        unsigned best = nmodels;

        for (unsigned m = 0; m < nmodels; m++) {
                int64_t more = rans_outline_cost(&s->kind, &s->model[m]) - s->cost[m];
                if (more <= least || (full && m == 0)) {
                        least = more;
                        best = m;
                }
        }
        return best;
}

/* Gives each kind a model.  Histograms of the models end up in MODEL. */
static bool
share_models(struct static_work *w, struct rans_histogram *model, struct arena *arena)
{
        struct static_header *h = &w->header;
        struct sharing *s = arena_alloc(arena, sizeof *s);

        if (s == NULL)
                return false;
        s->none = (struct rans_outline) { 0 };
        h->nmodels = 0;
        for (unsigned k = 0; k < w->kinds.count; k++) {
                rans_outline_of(&s->kind, &w->histogram[k]);
                unsigned best = choose_model(s, h->nmodels);
                if (best == h->nmodels) {
                        model[h->nmodels++] = w->histogram[k];
                        s->model[best] = s->kind;
                } else {
                        add_histogram(&model[best], &w->histogram[k]);
                        rans_outline_add(&s->model[best], &s->kind);
                }
                s->cost[best] = rans_outline_cost(&s->model[best], &s->none);
                h->model_of_kind[k] = (uint8_t) best;
        }
        return true;
}

static bool
build_models(struct static_work *w, struct arena *arena)
{
        struct rans_histogram *model = w->histogram;

        w->header.nmodels = 1;
        w->header.model_of_kind[0] = 0;
        if (w->kinds.count > 1) {
                model = arena_array(arena, RANS_MODELS / 4, sizeof *model);
                if (model == NULL || !share_models(w, model, arena))
                        return false;
        }
        for (unsigned i = 0; i < w->header.nmodels; i++)
                if (!rans_model_build(&w->header.model[i], &model[i], w->header.precision, arena))
                        return false;
        return true;
}

/* The states with which encoding begins. */
static void
seed_states(struct rans_lanes *lanes, const struct static_work *w)
{
        lanes->count = w->header.lanes;
        for (unsigned l = 0; l < lanes->count; l++) {
                uint32_t low = 2 * l < w->raw_size ? w->raw[2 * l] : 0;
                uint32_t high = 2 * l + 1 < w->raw_size ? w->raw[2 * l + 1] : 0;
                lanes->state[l] = RANS_LOW + (low | high << 8);
        }
}

/* The range of each cell. */
struct ranges {
        uint32_t of[RANS_CELLS];
};

static void
set_ranges(struct ranges *ranges, const struct rans_model *m)
{
        for (unsigned level = 0; level < RANS_LEVELS; level++) {
                const struct rans_class *c = &m->class[m->class_of_level[level]];
                for (unsigned t = 0; t < m->ntokens; t++)
                        ranges->of[level * RANS_CELL_PITCH + t] = rans_range(c->frequency[t], c->start[t]);
        }
}

/* Steps whose ranges are looked up together, before they are coded. */
#define RANGE_STEPS 16

/* Codes a segment's tokens, last one first, writing words before END; returns
 * where they now begin. */
static uint8_t *
encode_segment(struct rans_lanes *lanes, const struct ranges *ranges, unsigned scale,
               rans_encode_function *many, const uint16_t *cell, size_t count, uint8_t *end)
{
        uint32_t range[RANGE_STEPS * RANS_LANES];
        size_t piece = count % (RANGE_STEPS * lanes->count);

        /* The partial piece is the last, and coded first. */
        for (size_t left = count; left > 0; piece = RANGE_STEPS * lanes->count) {
                if (piece == 0)
                        continue;
                left -= piece;
                for (size_t i = 0; i < piece; i++)
                        range[i] = ranges->of[cell[left + i]];
                size_t nsteps = piece / lanes->count, rest = piece % lanes->count;
                end = rans_encode_lanes(lanes, range + piece - rest, (unsigned) rest, scale, end);
                end = many(lanes, range, nsteps, scale, end);
        }
        return end;
}

/* All words, before END; returns where they begin, NULL when memory is out. */
static uint8_t *
encode_tokens(struct static_work *w, const struct residuals *r, struct rans_lanes *lanes,
              uint8_t *end, struct arena *arena)
{
        struct ranges *ranges = arena_array(arena, w->header.nmodels, sizeof *ranges);
        rans_encode_function *many = rans_encode_best();
        size_t at = r->count;

        if (ranges == NULL)
                return NULL;
        for (unsigned i = 0; i < w->header.nmodels; i++)
                set_ranges(&ranges[i], &w->header.model[i]);
        for (size_t i = r->nsegments; i-- > 0;) {
                at -= r->segment[i].count;
                end = encode_segment(lanes, &ranges[w->header.model_of_kind[w->kinds.of_segment[i]]],
                                     w->header.precision.scale, many, w->cell + at,
                                     r->segment[i].count, end);
        }
        return end;
}

/* States, words and raw bits. */
static bool
write_stream(struct static_work *w, const struct residuals *r, struct arena *arena,
             struct bytes *out)
{
        struct rans_lanes lanes;
        uint8_t *room = arena_alloc(arena, RANS_WORD_MARGIN + 2 * r->count);
        size_t seed = SEED_BYTES * w->header.lanes;

        if (room == NULL)
                return false;
        uint8_t *end = room + RANS_WORD_MARGIN + 2 * r->count;
        seed_states(&lanes, w);
        uint8_t *word = encode_tokens(w, r, &lanes, end, arena);
        if (word == NULL)
                return false;
        for (unsigned l = 0; l < lanes.count; l++)
                bytes_put_u32(out, lanes.state[l]);
        bytes_put(out, word, (size_t) (end - word));
        if (w->raw_size > seed)
                bytes_put(out, w->raw + seed, w->raw_size - seed);
        return true;
}

static bool
alloc_work(struct static_work *w, const struct residuals *r, struct arena *arena)
{
        w->steps = arena_alloc(arena, steps_size(r));
        w->cell = arena_array(arena, r->count, sizeof *w->cell);
        w->raw = arena_alloc(arena, r->count * TOKEN_RAW_ROOM(r->wide) + TOKEN_RAW_MARGIN);
        w->histogram = arena_array(arena, w->kinds.count, sizeof *w->histogram);
        w->counts = arena_alloc(arena, sizeof *w->counts);
        return w->steps != NULL && w->cell != NULL && w->raw != NULL && w->histogram != NULL &&
               w->counts != NULL;
}

static bool
encode_in_arena(struct static_work *w, const struct residuals *r, struct arena *arena,
                struct bytes *out)
{
        double bits;

        if (!kinds_find(&w->kinds, r, arena) || !alloc_work(w, r, arena))
                return false;
        w->header.rule = choose_rule(r, &bits);
        w->header.precision = choose_precision(r->count);
        w->header.lanes = bits / 8 > LANES_SHARE * RANS_LANES ? RANS_LANES : RANS_LANES / 2;
        w->header.nkinds = w->kinds.count;
        split_residuals(w, r);
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
        if (limit <= 4 * RANS_LANES / 2)
                return CAEFS_OK;
        struct static_work *w = arena_alloc(arena, sizeof *w);
        bool good = w != NULL && encode_in_arena(w, r, arena, out) && !out->failed;
        arena_release(arena, mark);
        if (good && out->size - start >= limit)
                out->size = start;
        return good ? CAEFS_OK : caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
}

const struct residual_coder residual_coder_static = {
        .encode = static_encode,
        .decode = static_decode,
};
