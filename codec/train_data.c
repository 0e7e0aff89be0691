/* codec/train_data.c - gathering, sampling and normalising. */
#include "codec/train_data.h"

#include <math.h>
#include <stdlib.h>

#include "codec/value.h"

/* One piece in so many is held back, and at least one. */
#define HELD_SHARE 6

void
train_data_release(struct train_data *d)
{
        for (size_t i = 0; d->amounts != NULL && i < d->ninputs; i++)
                free(d->amounts[i]);
        free(d->amounts);
        free(d->held);
        free(d->value);
        *d = (struct train_data) { 0 };
}

static uint64_t
region_count(const struct train_input *in)
{
        return in->region.length / dtype_size(in->region.dtype);
}

/* Values of one row of a table, or 1. */
static size_t
columns_of(const struct train_input *in, enum scope scope)
{
        const struct shape *s = &in->region.shape;

        return scope != SCOPE_ARRAY && s->ndim > 1 ? s->extent[s->ndim - 1] : 1;
}

enum caefs_err
train_piece_read(const struct train_piece *p, void *buffer)
{
        const struct train_input *in = p->input;
        const size_t width = dtype_size(in->region.dtype);

        return in->source->read(in->source->context, buffer, p->count * width,
                                in->region.offset + p->first * width);
}

/* ---- bounds ---- */

struct range {
        double low, high;
};

/* Widens RANGE (columns) by the finite values of a piece that starts a row. */
static void
widen(struct range *range, size_t columns, const double *value, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                struct range *r = &range[i % columns];
                if (!isfinite(value[i]))
                        continue;
                r->low = value[i] < r->low ? value[i] : r->low;
                r->high = value[i] > r->high ? value[i] : r->high;
        }
}

/* The values of P in host byte order as doubles. */
static enum caefs_err
read_doubles(const struct train_piece *p, void *raw, double *value)
{
        const struct region *r = &p->input->region;
        enum caefs_err err = train_piece_read(p, raw);

        if (err != CAEFS_OK)
                return err;
        if (r->big_endian)
                values_swap(raw, p->count, dtype_size(r->dtype), raw);
        values_to_doubles(r->dtype, raw, p->count, 1, value);
        return CAEFS_OK;
}

/* The allowed error of one column: PSNR's as the step of a uniform error. */
static double
amount_of(const struct bound *b, const struct range *r)
{
        const double extent = r->high > r->low ? r->high - r->low : 0;

        if (b->mode == BOUND_REL)
                return b->amount * extent;
        return extent * pow(10, -b->amount / 20) * sqrt(3.0);
}

/* ---- pieces ---- */

/* Workplace of the gathering. */
struct gathering {
        const struct train_options *options;
        struct train_data          *data;
        struct train_piece         *piece;      /* all of them, in order */
        size_t                      npieces, capacity;
        size_t                      largest;    /* values of a piece */
        void                       *raw;
        double                     *value;
        double                      steps;      /* sum of normalised steps */
        size_t                      nsteps;
};

static enum caefs_err
add_piece(struct gathering *g, struct train_piece p)
{
        if (g->npieces == g->capacity) {
                size_t capacity = g->capacity == 0 ? 64 : 2 * g->capacity;
                struct train_piece *grown = realloc(g->piece, capacity * sizeof *grown);
                if (grown == NULL)
                        return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory");
                g->piece = grown;
                g->capacity = capacity;
        }
        g->piece[g->npieces++] = p;
        if (p.count > g->largest)
                g->largest = p.count;
        return CAEFS_OK;
}

/* A piece of so many values looks like this array, as far as whole rows go. */
static struct shape
piece_shape(const struct shape *s, size_t count)
{
        struct shape shape = { .ndim = 1, .extent = { count } };
        uint64_t row = 1;

        for (unsigned a = s->ndim; a-- > 1;) {
                if (count % (row * s->extent[a]) != 0 || shape.ndim == 4)
                        break;
                row *= s->extent[a];
                memmove(&shape.extent[1], &shape.extent[0], shape.ndim * sizeof shape.extent[0]);
                shape.ndim++;
                shape.extent[1] = s->extent[a];
                shape.extent[0] = count / row;
        }
        return shape;
}

/* Cuts one input into pieces of whole rows and blocks, as even as they get. */
static enum caefs_err
cut_input(struct gathering *g, const struct train_input *in)
{
        const uint64_t total = region_count(in);
        const size_t columns = columns_of(in, g->options->scope);
        size_t unit = columns > 1 ? columns : g->data->block;
        size_t length = TRAIN_PIECE_BYTES / dtype_size(in->region.dtype) / unit * unit;

        if (length < unit)
                length = unit;
        if (total < 2 * length)         /* so that something can be held back */
                length = ((size_t) total * 4 / 5 + unit - 1) / unit * unit;
        for (uint64_t first = 0; first < total; first += length) {
                size_t count = total - first < length ? (size_t) (total - first) : length;
                struct train_piece p = {
                        .input = in, .first = first, .count = count,
                        .shape = piece_shape(&in->region.shape, count),
                        .namounts = columns,
                };
                enum caefs_err err = add_piece(g, p);
                if (err != CAEFS_OK)
                        return err;
        }
        return CAEFS_OK;
}

static enum caefs_err
cut_inputs(struct gathering *g, const struct train_input *input, size_t ninputs)
{
        for (size_t i = 0; i < ninputs; i++) {
                enum caefs_err err = cut_input(g, &input[i]);
                if (err != CAEFS_OK)
                        return err;
                g->data->total_bytes += input[i].region.length;
        }
        g->raw = malloc(g->largest * 8);
        g->value = malloc(g->largest * sizeof *g->value);
        if (g->raw == NULL || g->value == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for a piece");
        return CAEFS_OK;
}

/* Amounts of one input from the ranges of its columns. */
static enum caefs_err
find_amounts(struct gathering *g, const struct train_input *in, double **out)
{
        const struct bound *b = &g->options->bound;
        const size_t columns = columns_of(in, g->options->scope);
        struct range *range = malloc(columns * sizeof *range);
        double *amounts = malloc(columns * sizeof *amounts);
        enum caefs_err err = CAEFS_OK;

        if (range == NULL || amounts == NULL)
                err = caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for %zu columns", columns);
        for (size_t c = 0; err == CAEFS_OK && c < columns; c++)
                range[c] = (struct range) { .low = INFINITY, .high = -INFINITY };
        for (size_t i = 0; err == CAEFS_OK && b->mode != BOUND_ABS && i < g->npieces; i++) {
                if (g->piece[i].input != in)
                        continue;
                err = read_doubles(&g->piece[i], g->raw, g->value);
                if (err == CAEFS_OK)
                        widen(range, columns, g->value, g->piece[i].count);
        }
        for (size_t c = 0; err == CAEFS_OK && c < columns; c++)
                amounts[c] = b->mode == BOUND_ABS ? b->amount : amount_of(b, &range[c]);
        free(range);
        if (err == CAEFS_OK)
                *out = amounts;
        else
                free(amounts);
        return err;
}

/* Makes the bound absolute for every input, where it can be. */
static enum caefs_err
resolve_bounds(struct gathering *g, const struct train_input *input)
{
        const enum bound_mode mode = g->options->bound.mode;

        if (mode == BOUND_LOSSLESS || mode == BOUND_PWREL)
                return CAEFS_OK;
        for (size_t i = 0; i < g->data->ninputs; i++) {
                enum caefs_err err = find_amounts(g, &input[i], &g->data->amounts[i]);
                if (err != CAEFS_OK)
                        return err;
        }
        for (size_t i = 0; i < g->npieces; i++)
                g->piece[i].amounts = g->data->amounts[g->piece[i].input - input];
        return CAEFS_OK;
}

/* ---- which pieces ---- */

/* Pieces from FIRST on are held back, one in EVERY, as many as fit the limit. */
static enum caefs_err
hold_back(struct gathering *g, size_t first, size_t every, bool *is_held)
{
        const size_t limit = TRAIN_MAX_HELD / TRAIN_PIECE_BYTES;
        const size_t candidates = (g->npieces - first + every - 1) / every;
        const size_t thinning = (candidates + limit - 1) / limit;

        g->data->held = malloc((candidates + 1) * sizeof *g->data->held);
        if (g->data->held == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory");
        for (size_t i = g->npieces; i-- > first;) {
                if ((g->npieces - 1 - i) % (every * thinning) != 0)
                        continue;
                g->data->held[g->data->nheld++] = g->piece[i];
                is_held[i] = true;
        }
        return CAEFS_OK;
}

/* Number of pieces that the wanted proportion of the values takes. */
static size_t
pieces_wanted(const struct gathering *g)
{
        uint64_t total = 0, sum = 0;
        size_t n = 0;

        for (size_t i = 0; i < g->npieces; i++)
                total += g->piece[i].count;
        while (n < g->npieces && (double) sum < (double) total * g->options->proportion)
                sum += g->piece[n++].count;
        return n;
}

/* A single short piece of a proportion is shortened, down to a few blocks. */
static void
shorten_last(struct gathering *g, size_t wanted)
{
        uint64_t total = 0, sum = 0;

        for (size_t i = 0; i < g->npieces; i++)
                total += g->piece[i].count;
        for (size_t i = 0; i + 1 < wanted; i++)
                sum += g->piece[i].count;
        struct train_piece *last = &g->piece[wanted - 1];
        double left = (double) total * g->options->proportion - (double) sum;
        size_t unit = g->data->block;
        size_t keep = ((size_t) left + unit - 1) / unit * unit;
        if (keep < TRAIN_LEAST_BLOCKS * unit && wanted == 1)
                keep = TRAIN_LEAST_BLOCKS * unit;
        if (keep >= unit && keep < last->count) {
                last->count = keep;
                last->shape = piece_shape(&last->input->region.shape, keep);
        }
}

/* ---- blocks ---- */

/* VALUE, (n) with the bound's transform; what it cannot hold becomes NaN. */
static void
transform(const struct bound *b, double *value, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (b->mode == BOUND_PWREL)
                        value[i] = value[i] == 0 ? NAN : log2(fabs(value[i]));
                if (!isfinite(value[i]))
                        value[i] = NAN;
        }
}

static enum caefs_err
read_transformed(const struct gathering *g, const struct train_piece *p)
{
        const enum dtype t = p->input->region.dtype;
        enum caefs_err err = read_doubles(p, g->raw, g->value);

        if (err == CAEFS_OK && g->options->bound.mode == BOUND_LOSSLESS)
                for (size_t i = 0; i < p->count; i++)
                        g->value[i] = (double) value_key(t, value_bits(t, g->raw, i));
        else if (err == CAEFS_OK)
                transform(&g->options->bound, g->value, p->count);
        return err;
}

/* One column of a piece to 0..1; what is missing repeats the value before.  Returns
 * what 1 stands for. */
static double
normalise(const double *value, size_t n, size_t stride, float *out)
{
        struct range r = { .low = INFINITY, .high = -INFINITY };
        float last = 0;

        for (size_t i = 0; i < n; i++) {
                double v = value[i * stride];
                r.low = v < r.low ? v : r.low;
                r.high = v > r.high ? v : r.high;
        }
        const double scale = r.high > r.low ? 1 / (r.high - r.low) : 0;
        for (size_t i = 0; i < n; i++) {
                double v = value[i * stride];
                last = isnan(v) ? last : (float) ((v - r.low) * scale);
                out[i * stride] = last;
        }
        return r.high > r.low ? r.high - r.low : 0;
}

/* Counts the step of a column whose values extend so far. */
static void
note_step(struct gathering *g, const struct train_piece *p, size_t column, double extent)
{
        double step = 0;

        if (extent <= 0)
                return;
        if (p->amounts != NULL)
                step = 2 * p->amounts[column];
        else if (g->options->bound.mode == BOUND_PWREL && g->options->bound.amount < 1)
                step = 2 * atanh(g->options->bound.amount) / log(2);
        g->steps += step / extent;
        g->nsteps++;
}

/* The blocks of a piece at OUT, the last one padded; returns how many. */
static size_t
piece_blocks(struct gathering *g, const struct train_piece *p, float *out)
{
        const size_t columns = columns_of(p->input, g->options->scope);
        const size_t block = g->data->block;
        const size_t nblocks = (p->count + block - 1) / block;

        for (size_t c = 0; c < columns; c++)
                note_step(g, p, c, normalise(g->value + c, p->count / columns, columns, out + c));
        for (size_t i = p->count; i < nblocks * block; i++)
                out[i] = out[i - 1];
        return nblocks;
}

/* Learns from the first WANTED pieces that are not held back, one in EVERY. */
static enum caefs_err
gather_blocks(struct gathering *g, size_t wanted, const bool *is_held)
{
        struct train_data *d = g->data;
        size_t values = 0;

        for (size_t i = 0; i < wanted; i++)
                values += is_held[i] ? 0 : g->piece[i].count + d->block;
        const size_t every = (values + TRAIN_MAX_VALUES - 1) / TRAIN_MAX_VALUES;
        if (every == 0)
                return CAEFS_OK;
        d->value = malloc((values / every + 2 * (g->largest + d->block)) * sizeof *d->value);
        if (d->value == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for %zu values", values);
        size_t room = values / every + 2 * (g->largest + d->block);
        size_t seen = 0;
        for (size_t i = 0; i < wanted; i++) {
                const struct train_piece *p = &g->piece[i];
                if (is_held[i] || seen++ % every != 0 ||
                    d->nblocks * d->block + p->count + d->block > room)
                        continue;
                enum caefs_err err = read_transformed(g, p);
                if (err != CAEFS_OK)
                        return err;
                d->nblocks += piece_blocks(g, p, d->value + d->nblocks * d->block);
                d->learnt_values += p->count;
        }
        d->step = g->nsteps > 0 ? g->steps / (double) g->nsteps : 0;
        return CAEFS_OK;
}

static enum caefs_err
choose_and_gather(struct gathering *g)
{
        const size_t wanted = pieces_wanted(g);
        const bool rest = wanted < g->npieces;
        bool *is_held = calloc(g->npieces + 1, sizeof *is_held);

        if (is_held == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory");
        enum caefs_err err = hold_back(g, rest ? wanted : 0, rest ? 1 : HELD_SHARE, is_held);
        if (err == CAEFS_OK && wanted > 0 && g->options->proportion < 1)
                shorten_last(g, wanted);
        if (err == CAEFS_OK)
                err = gather_blocks(g, wanted, is_held);
        free(is_held);
        return err;
}

enum caefs_err
train_data_gather(const struct train_input *input, size_t ninputs,
                  const struct train_options *o, size_t block, struct train_data *out)
{
        *out = (struct train_data) { .block = block, .ninputs = ninputs };
        out->amounts = calloc(ninputs, sizeof *out->amounts);
        struct gathering g = { .options = o, .data = out };
        enum caefs_err err = out->amounts == NULL ? caefs_fail(CAEFS_ERR_NOMEM, "train: no memory")
                                                  : cut_inputs(&g, input, ninputs);

        if (err == CAEFS_OK)
                err = resolve_bounds(&g, input);
        if (err == CAEFS_OK)
                err = choose_and_gather(&g);
        free(g.piece);
        free(g.raw);
        free(g.value);
        if (err != CAEFS_OK)
                train_data_release(out);
        return err;
}
