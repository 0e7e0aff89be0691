/* codec/train_data.c - pieces become normalised blocks. */
#include "codec/train_data.h"

#include <math.h>
#include <stdlib.h>

#include "codec/value.h"

void
train_data_release(struct train_data *d)
{
        free(d->value);
        *d = (struct train_data) { 0 };
}

/* Workplace of the gathering. */
struct gathering {
        const struct train_options *options;
        struct train_data          *data;
        size_t                      largest;    /* values of a piece */
        void                       *raw;
        double                     *value;
        double                      steps;      /* sum of normalised steps */
        size_t                      nsteps;
};

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
        struct { double low, high; } r = { .low = INFINITY, .high = -INFINITY };
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
        const size_t columns = train_piece_columns(p, g->options->scope);
        const size_t block = g->data->block;
        const size_t nblocks = (p->count + block - 1) / block;

        for (size_t c = 0; c < columns; c++)
                note_step(g, p, c, normalise(g->value + c, p->count / columns, columns, out + c));
        for (size_t i = p->count; i < nblocks * block; i++)
                out[i] = out[i - 1];
        return nblocks;
}

/* Learns from the pieces, or from one in so many of them. */
static enum caefs_err
gather_blocks(struct gathering *g, const struct train_pieces *pieces)
{
        struct train_data *d = g->data;
        size_t values = 0;

        for (size_t i = 0; i < pieces->nlearnt; i++)
                values += pieces->learnt[i].count + d->block;
        const size_t every = (values + TRAIN_MAX_VALUES - 1) / TRAIN_MAX_VALUES;
        if (every == 0)
                return CAEFS_OK;
        const size_t room = values / every + 2 * (g->largest + d->block);
        d->value = malloc(room * sizeof *d->value);
        if (d->value == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for %zu values", values);
        for (size_t i = 0; i < pieces->nlearnt; i += every) {
                const struct train_piece *p = &pieces->learnt[i];
                if (d->nblocks * d->block + p->count + d->block > room)
                        break;
                enum caefs_err err = read_transformed(g, p);
                if (err != CAEFS_OK)
                        return err;
                d->nblocks += piece_blocks(g, p, d->value + d->nblocks * d->block);
                d->learnt_values += p->count;
        }
        d->step = g->nsteps > 0 ? g->steps / (double) g->nsteps : 0;
        return CAEFS_OK;
}

enum caefs_err
train_data_gather(const struct train_pieces *pieces, const struct train_options *o, size_t block,
                  struct train_data *out)
{
        struct gathering g = { .options = o, .data = out, .largest = pieces->largest };

        *out = (struct train_data) { .block = block };
        g.raw = malloc(g.largest * 8 + 1);
        g.value = malloc((g.largest + 1) * sizeof *g.value);
        enum caefs_err err = g.raw == NULL || g.value == NULL
                ? caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for a piece")
                : gather_blocks(&g, pieces);
        free(g.raw);
        free(g.value);
        if (err != CAEFS_OK)
                train_data_release(out);
        return err;
}
