/* codec/column_encode.c - the family `column`: which columns predict which.
 *
 * Products of all columns with each other, in the same row and one row apart, are
 * summed once over a sample of rows.  For each column, terms are then picked one
 * by one, each time the one that the remaining error correlates with most
 * (orthogonal matching pursuit: Pati et al., 1993), and after 1, 2, 4 … terms the
 * residuals of the sample are estimated with the coefficients rounded.
 */
#include "codec/column.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/least_squares.h"

#define MAX_FITTED 192                  /* columns up to which all pairs are looked at */

/* The encoder's workplace.  Feature c < ncolumns is column c in the same row,
 * feature ncolumns + c the same one row before. */
struct fit {
        struct table    table;
        enum effort     effort;
        const uint8_t  *hole;           /* (nrows, ncolumns) or NULL */
        size_t          nfeatures;
        size_t          m;              /* rows in the sample */
        double         *feature;        /* (nfeatures, m) */
        double         *gram;           /* (nfeatures, nfeatures), full */
        double         *first_products;     /* (nfeatures): each times the first */
        double         *predicted;      /* (m) */
        double         *scratch;        /* (m) */
        int64_t        *sample_residual;/* (m) */
        int64_t        *sum;            /* (nrows) */
        double          largest;        /* magnitude of any value */
};

static int
compare_int64(const void *a, const void *b)
{
        int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
        return (x > y) - (x < y);
}

static int64_t
grid_at(const struct field *f, size_t i)
{
        return f->geometry.wide ? ((const int64_t *) f->grid)[i] : ((const int32_t *) f->grid)[i];
}

static int64_t
middle_value(const struct field *f, const struct table *t, size_t column)
{
        int64_t sample[127];
        for (size_t i = 0; i < 127; i++) {
                size_t row = (size_t) ((double) t->nrows * i / 127);
                sample[i] = grid_at(f, row * t->ncolumns + column);
        }
        qsort(sample, 127, sizeof *sample, compare_int64);
        return sample[63];
}

/* Columns out of rows, less their bases. */
static void
load_columns(const struct field *f, struct fit *fit, struct column_model *model)
{
        struct table *t = &fit->table;
        for (size_t c = 0; c < t->ncolumns; c++) {
                memset(&model[c], 0, sizeof model[c]);
                model[c].base = middle_value(f, t, c);
        }
        for (size_t row = 0; row < t->nrows; row++)
                for (size_t c = 0; c < t->ncolumns; c++) {
                        uint64_t v = (uint64_t) grid_at(f, row * t->ncolumns + c) -
                                     (uint64_t) model[c].base;
                        int64_t value = t->wide ? (int64_t) v : (int32_t) v;
                        t->value[c * t->nrows + row] = value;
                        fit->largest = fmax(fit->largest, fabs((double) value));
                }
}

/* ---- the sample ---- */

static void
fill_features(struct fit *fit)
{
        const struct table *t = &fit->table;
        size_t run = 32, runs = (fit->m + run - 1) / run;
        for (size_t k = 0; k < fit->m; k++) {
                size_t start = runs > 1 ? (size_t) ((double) (t->nrows - 1 - run) *
                                                    (double) (k / run) / (double) (runs - 1)) : 0;
                size_t row = 1 + start + k % run;
                for (size_t c = 0; c < fit->nfeatures / 2; c++) {
                        const int64_t *value = t->value + c * t->nrows + row;
                        fit->feature[c * fit->m + k] = (double) value[0];
                        fit->feature[(fit->nfeatures / 2 + c) * fit->m + k] = (double) value[-1];
                }
        }
}

/* All products, both triangles, and what rounding to steps will add. */
static void
fill_gram(struct fit *fit)
{
        size_t n = fit->nfeatures;
        double variance = fit->table.step > 1 ? (double) fit->table.step * fit->table.step / 12 : 0;
        memset(fit->gram, 0, n * n * sizeof *fit->gram);
        memset(fit->first_products, 0, n * sizeof *fit->first_products);
        least_squares_add(fit->feature, fit->m, (unsigned) n, fit->m, fit->feature, NULL,
                          fit->scratch, fit->gram, n, fit->first_products);
        for (size_t i = 0; i < n; i++) {
                for (size_t j = 0; j < i; j++)
                        fit->gram[j * n + i] = fit->gram[i * n + j];
                fit->gram[i * n + i] += variance * (double) fit->m;
        }
}

static enum caefs_err
fit_make(struct fit *fit, const struct field *f, struct arena *arena)
{
        static const size_t rows[] = { 512, 2048, 8192 };
        struct table *t = &fit->table;
        memset(fit, 0, sizeof *fit);
        column_table(&f->geometry, t);
        fit->effort = f->effort;
        fit->hole = f->hole;
        fit->m = t->nrows - 1 < rows[f->effort] ? t->nrows - 1 : rows[f->effort];
        if (fit->m > 32)
                fit->m -= fit->m % 32;
        fit->nfeatures = t->ncolumns <= MAX_FITTED && t->nrows >= 64 ? 2 * t->ncolumns : 0;
        t->value = arena_array(arena, f->geometry.count, sizeof(int64_t));
        fit->sum = arena_array(arena, t->nrows, sizeof(int64_t));
        fit->feature = arena_array(arena, fit->nfeatures * fit->m + 1, sizeof(double));
        fit->gram = arena_array(arena, fit->nfeatures * fit->nfeatures + 1, sizeof(double));
        fit->first_products = arena_array(arena, fit->nfeatures + 1, sizeof(double));
        fit->predicted = arena_array(arena, fit->m, sizeof(double));
        fit->scratch = arena_array(arena, fit->m, sizeof(double));
        fit->sample_residual = arena_array(arena, fit->m, sizeof(int64_t));
        if (!t->value || !fit->sum || !fit->feature || !fit->gram || !fit->first_products || !fit->predicted ||
            !fit->scratch || !fit->sample_residual)
                return caefs_fail(CAEFS_ERR_NOMEM, "column: no memory for %zu values",
                                  f->geometry.count);
        return CAEFS_OK;
}

/* ---- one column ---- */

struct candidate {
        struct column_model model;
        double              bits;       /* of the whole column */
};

static size_t
feature_of(const struct fit *fit, const struct column_term *term)
{
        return term->column + (term->previous ? fit->table.ncolumns : 0);
}

static double
model_bits(const struct column_model *m)
{
        double bits = 24;
        for (unsigned i = 0; i < m->nterms; i++)
                bits += 16 + 7 * ceil(log2(1.0 + fabs(2.0 * (double) m->term[i].coefficient)) / 7);
        return bits;
}

/* Estimates a model on the sample. */
static void
consider(struct fit *fit, size_t column, const struct column_model *m, struct candidate *best)
{
        const double *target = fit->feature + column * fit->m;
        memset(fit->predicted, 0, fit->m * sizeof *fit->predicted);
        for (unsigned k = 0; k < m->nterms; k++) {
                const double *value = fit->feature + feature_of(fit, &m->term[k]) * fit->m;
                double c = ldexp((double) m->term[k].coefficient, -(int) m->shift);
                for (size_t i = 0; i < fit->m; i++)
                        fit->predicted[i] += c * value[i];
        }
        double step = (double) fit->table.step;
        for (size_t i = 0; i < fit->m; i++)
                fit->sample_residual[i] =
                        (int64_t) fmax(fmin(floor((target[i] - fit->predicted[i]) / step + 0.5), 9e18), -9e18);
        double bits = residual_estimate_wide(fit->sample_residual, fit->m) *
                      ((double) fit->table.nrows / (double) fit->m) + model_bits(m);
        if (bits < best->bits)
                *best = (struct candidate) { *m, bits };
}

/* The feature not used yet that the error correlates with most; nfeatures: none. */
static size_t
next_feature(const struct fit *fit, size_t column, const size_t *used, unsigned nused,
             const double *solution)
{
        size_t n = fit->nfeatures, best = n, ncolumns = fit->table.ncolumns;
        double most = 0;
        for (size_t f = 0; f < n; f++) {
                size_t c = f % ncolumns;
                if (c > column || f == column || fit->gram[f * n + f] <= 0)
                        continue;
                double r = fit->gram[f * n + column];
                bool seen = false;
                for (unsigned k = 0; k < nused; k++) {
                        r -= fit->gram[f * n + used[k]] * solution[k];
                        seen |= used[k] == f;
                }
                double score = r * r / fit->gram[f * n + f];
                if (!seen && score > most) {
                        most = score;
                        best = f;
                }
        }
        return best;
}

/* Least squares on the features picked so far. */
static bool
solve_picked(const struct fit *fit, size_t column, const size_t *used, unsigned nused,
             double *solution)
{
        double gram[COLUMN_MAX_TERMS * COLUMN_MAX_TERMS], rhs[COLUMN_MAX_TERMS];
        size_t n = fit->nfeatures;
        for (unsigned i = 0; i < nused; i++) {
                for (unsigned j = 0; j <= i; j++)
                        gram[i * COLUMN_MAX_TERMS + j] = fit->gram[used[i] * n + used[j]];
                rhs[i] = fit->gram[used[i] * n + column];
        }
        return least_squares_solve(gram, COLUMN_MAX_TERMS, rhs, nused, solution);
}

/* Rounds a solution; false when a sum could leave 62 bits. */
static bool
to_model(const struct fit *fit, const size_t *used, unsigned nused, const double *solution,
         int64_t base, struct column_model *m)
{
        double weight = 0, smallest = 1e300;
        *m = (struct column_model) { .base = base };
        for (unsigned i = 0; i < nused; i++)
                smallest = fmin(smallest, fabs(solution[i]) + 1e-12);
        int shift = 7 - (int) floor(log2(smallest));
        m->shift = shift < 4 ? 4 : shift > 16 ? 16 : (unsigned) shift;
        for (unsigned i = 0; i < nused; i++) {
                double c = rint(ldexp(solution[i], (int) m->shift));
                weight += fabs(c);
                if (c == 0 || !(fabs(c) < 4e18))
                        continue;
                m->term[m->nterms++] = (struct column_term) {
                        used[i] % fit->table.ncolumns, used[i] >= fit->table.ncolumns, (int64_t) c };
        }
        return weight * (fit->largest + 1) < 4e18;
}

static void
search_terms(struct fit *fit, size_t column, struct candidate *best)
{
        unsigned most = fit->effort == EFFORT_FAST ? 4 : fit->effort == EFFORT_MAX ? 24 : 12;
        size_t used[COLUMN_MAX_TERMS];
        double solution[LEAST_SQUARES_MAX];
        for (unsigned n = 0; n < most; ) {
                size_t f = next_feature(fit, column, used, n, solution);
                if (f == fit->nfeatures)
                        break;
                used[n++] = f;
                if (!solve_picked(fit, column, used, n, solution))
                        break;
                struct column_model m;
                if (to_model(fit, used, n, solution, best->model.base, &m))
                        consider(fit, column, &m, best);
        }
}

/* The model of a column: nothing, the row before, or a regression. */
static void
choose_model(struct fit *fit, size_t column, struct column_model *model)
{
        struct candidate best = { .bits = 1e300 };
        consider(fit, column, model, &best);
        struct column_model previous = { .base = model->base, .nterms = 1,
                                         .term = { { column, true, 1 } } };
        consider(fit, column, &previous, &best);
        search_terms(fit, column, &best);
        *model = best.model;
}

static int64_t
residual_wide(const struct table *t, int64_t value, int64_t prediction)
{
        if (t->wide)
                return (int64_t) ((uint64_t) value - (uint64_t) prediction);
        return residual_of((int32_t) value, (int32_t) prediction, (int32_t) t->step);
}

/* Residuals of a column; its values become what the decoder will have. */
static void
code_column(struct fit *fit, size_t column, const struct column_model *m, void *residual)
{
        const struct table *t = &fit->table;
        int64_t *value = t->value + column * t->nrows, before = 0;
        uint64_t own = (uint64_t) column_sums(t, column, m, fit->sum);
        for (size_t i = 0; i < t->nrows; i++) {
                int64_t full = (int64_t) ((uint64_t) fit->sum[i] + own * (uint64_t) before);
                int64_t p = column_prediction(t, m, full);
                bool hole = fit->hole != NULL && fit->hole[i * t->ncolumns + column];
                int64_t r = hole ? 0 : residual_wide(t, value[i], p);
                if (t->wide)
                        ((int64_t *) residual)[i] = r;
                else
                        ((int32_t *) residual)[i] = (int32_t) r;
                before = value[i] = column_rebuilt(t, p, r);
        }
}

static void
write_model(const struct column_model *m, struct bytes *side)
{
        bytes_put_u8(side, (uint8_t) m->nterms);
        bytes_put_signed(side, m->base);
        if (m->nterms > 0)
                bytes_put_u8(side, (uint8_t) m->shift);
        for (unsigned i = 0; i < m->nterms; i++) {
                bytes_put_varint(side, 2 * m->term[i].column + m->term[i].previous);
                bytes_put_signed(side, m->term[i].coefficient);
        }
}

enum caefs_err
column_encode(const struct field *f, struct arena *arena, struct prediction *out, double *bits)
{
        struct fit fit;
        memset(out, 0, sizeof *out);
        enum caefs_err err = fit_make(&fit, f, arena);
        struct table *t = &fit.table;
        size_t size = t->wide ? sizeof(int64_t) : sizeof(int32_t);
        struct column_model *model = arena_array(arena, t->ncolumns, sizeof *model);
        struct residual_segment *segment = arena_array(arena, t->ncolumns, sizeof *segment);
        uint8_t *residual = arena_array(arena, f->geometry.count, size);
        if (err == CAEFS_OK && (!model || !segment || !residual))
                err = caefs_fail(CAEFS_ERR_NOMEM, "column: no memory");
        if (err != CAEFS_OK)
                return err;
        load_columns(f, &fit, model);
        fill_features(&fit);
        fill_gram(&fit);
        *bits = 0;
        for (size_t c = 0; c < t->ncolumns; c++) {
                uint8_t *at = residual + c * t->nrows * size;
                if (fit.nfeatures > 0)
                        choose_model(&fit, c, &model[c]);
                code_column(&fit, c, &model[c], at);
                write_model(&model[c], &out->side);
                *bits += t->wide ? residual_estimate_wide((int64_t *) at, t->nrows)
                                 : residual_estimate((int32_t *) at, t->nrows);
        }
        column_segments(t, segment);
        out->residual = residual;
        out->count = f->geometry.count;
        out->segment = segment;
        out->nsegments = t->ncolumns;
        *bits += 8.0 * (double) out->side.size;
        if (!out->side.failed)
                return CAEFS_OK;
        bytes_free(&out->side);
        return caefs_fail(CAEFS_ERR_NOMEM, "column: no memory");
}
