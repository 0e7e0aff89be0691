/* codec/table_fit.c - learning a predictor from one table.
 *
 * Columns are fitted in their order, in closed loop: each sees the earlier ones as the
 * decoder will.  Terms are picked one by one, each time the one that the remaining error
 * correlates with most (orthogonal matching pursuit: Pati et al., 1993), until one
 * more is not worth its bytes; parents likewise, as long as the classes that their
 * residuals make save bits.
 */
#include "codec/table_fit.h"

#include <math.h>
#include <stdlib.h>

#include "codec/least_squares.h"

#define SAMPLE_ROWS      16384
#define PRODUCTS         4e8    /* at most, of the sample: bounds the time */
#define TERM_BITS        18.0   /* of a model */
#define TERM_GAIN        0.003  /* bits a value that a term must save: decoding has to stay fast */
#define PARENT_BITS      10.0
#define CLASS_BITS       4.0
#define PARENT_ROWS      8192
#define PARENTS_TRIED    96

struct fit {
        struct table_run run;
        struct table_predictor *predictor;
        const int32_t *target;
        struct arena  *arena;
        size_t   m;                     /* rows of the sample */
        size_t   stride;                /* between them */
        double  *feature[2];            /* (ncolumns, m): values, differences */
        double  *gram[2];               /* (ncolumns, ncolumns), lower triangle */
        double  *weight[2];             /* (m), squared */
        double  *wanted[2];             /* (m): what terms are to give, of this column */
        double  *rhs;                   /* (ncolumns) */
        double  *scratch;               /* (m) */
        int32_t *residual[2];           /* (m) */
        int32_t *sum;                   /* (m) of the parents' magnitudes */
        uint32_t *histogram;            /* (ncolumns, TABLE_CLASSES, TABLE_TOKENS) */
};

/* ---- memory ---- */

static enum caefs_err
fit_make(const int32_t *target, size_t nrows, int32_t step, struct arena *arena,
         struct table_predictor *p, struct fit *f)
{
        const struct field_geometry g = { .count = nrows * p->ncolumns, .step = step };
        const size_t n = p->ncolumns;
        const double most = fmax(512, PRODUCTS / ((double) n * (double) n));

        *f = (struct fit) { .predictor = p, .target = target, .arena = arena };
        enum caefs_err err = table_run_make(&g, p, arena, &f->run);
        if (err != CAEFS_OK)
                return err;
        f->m = nrows < SAMPLE_ROWS ? nrows : SAMPLE_ROWS;
        f->m = (double) f->m > most ? (size_t) most : f->m;
        f->stride = nrows / f->m;
        bool complete = true;
        for (int i = 0; i < 2; i++) {
                f->feature[i] = arena_array(arena, n * f->m, sizeof(double));
                f->gram[i] = arena_array(arena, n * n, sizeof(double));
                f->weight[i] = arena_array(arena, f->m, sizeof(double));
                f->wanted[i] = arena_array(arena, f->m, sizeof(double));
                f->residual[i] = arena_array(arena, f->m, sizeof(int32_t));
                complete &= f->feature[i] && f->gram[i] && f->weight[i] && f->wanted[i]
                        && f->residual[i];
        }
        f->rhs = arena_array(arena, n, sizeof *f->rhs);
        f->scratch = arena_array(arena, f->m, sizeof *f->scratch);
        f->sum = arena_array(arena, f->m, sizeof *f->sum);
        f->histogram = arena_array(arena, n * TABLE_CLASSES * TABLE_TOKENS, sizeof *f->histogram);
        if (!complete || !f->rhs || !f->scratch || !f->sum || !f->histogram)
                return caefs_fail(CAEFS_ERR_NOMEM, "table: no memory to learn");
        memset(f->histogram, 0, n * TABLE_CLASSES * TABLE_TOKENS * sizeof *f->histogram);
        return CAEFS_OK;
}

/* The value of the reference row, about as the decoder will have it. */
static int32_t
referenced_target(const struct fit *f, size_t column, size_t row)
{
        const uint32_t back = f->run.reference[row];
        const int32_t  step = f->run.step;

        if (back == 0)
                return 0;
        return step * residual_of(f->target[column * f->run.nrows + row - back], 0, step);
}

/* Rows with a near reference tell more than others of what depends on what. */
static void
weigh_rows(struct fit *f)
{
        for (size_t k = 0; k < f->m; k++) {
                double sum = 0;
                for (size_t c = 0; c < f->run.ncolumns; c++) {
                        const size_t row = k * f->stride;
                        const double d = fabs((double) f->target[c * f->run.nrows + row]
                                              - referenced_target(f, c, row)) / f->run.step;
                        sum += fmin(d, 64);
                }
                const double scale = 1 + sum / (double) f->run.ncolumns;
                f->weight[0][k] = 1;
                f->weight[1][k] = 1 / (scale * scale);
        }
}

/* ---- terms ---- */

static double
product(const double *a, const double *b, const double *weight, size_t n)
{
        double sum[4] = { 0 };
        size_t i = 0;

        for (; i + 4 <= n; i += 4)
                for (size_t j = 0; j < 4; j++)
                        sum[j] += a[i + j] * b[i + j] * weight[i + j];
        for (; i < n; i++)
                sum[0] += a[i] * b[i] * weight[i];
        return sum[0] + sum[1] + sum[2] + sum[3];
}

static double
gram_at(const struct fit *f, int mode, size_t a, size_t b)
{
        return f->gram[mode][a > b ? a * f->run.ncolumns + b : b * f->run.ncolumns + a];
}

/* Least squares over the chosen columns; false when there is no answer. */
static bool
solve(const struct fit *f, int mode, const struct table_column *c, double *solution)
{
        double gram[LEAST_SQUARES_MAX * LEAST_SQUARES_MAX], rhs[LEAST_SQUARES_MAX];

        for (unsigned a = 0; a < c->nterms; a++) {
                rhs[a] = f->rhs[c->term[a].column];
                for (unsigned b = 0; b <= a; b++)
                        gram[a * LEAST_SQUARES_MAX + b] =
                                gram_at(f, mode, c->term[a].column, c->term[b].column);
        }
        return least_squares_solve(gram, LEAST_SQUARES_MAX, rhs, c->nterms, solution);
}

/* The column before COLUMN whose product with the remaining error explains most; COLUMN:
 * none. */
static size_t
best_term(const struct fit *f, int mode, size_t column, const struct table_column *c,
          const double *solution)
{
        double best = 0;
        size_t found = column;

        for (size_t j = 0; j < column; j++) {
                double left = f->rhs[j];
                const double own = gram_at(f, mode, j, j);
                bool taken = own <= 0;
                for (unsigned k = 0; k < c->nterms && !taken; k++) {
                        left -= solution[k] * gram_at(f, mode, j, c->term[k].column);
                        taken = c->term[k].column == j;
                }
                if (!taken && left * left / own > best) {
                        best = left * left / own;
                        found = j;
                }
        }
        return found;
}

static void
round_coefficients(struct table_column *c, const double *solution)
{
        unsigned kept = 0;

        for (unsigned k = 0; k < c->nterms; k++) {
                const double scaled = solution[k] * (1 << TABLE_SHIFT);
                const long   rounded = lround(fmax(-TABLE_MAX_COEFFICIENT,
                                                   fmin(TABLE_MAX_COEFFICIENT, scaled)));
                c->term[kept].column = c->term[k].column;
                c->term[kept].coefficient = (int32_t) rounded;
                kept += rounded != 0;
        }
        c->nterms = kept;
}

static void
fit_terms(struct fit *f, int mode, size_t column, struct table_column *c)
{
        const double noise = (double) f->run.step * f->run.step / 12;
        const double rows = (double) f->run.nrows;
        double total = 0, before, solution[TABLE_MAX_TERMS] = { 0 }, next[TABLE_MAX_TERMS];

        c->nterms = 0;
        for (size_t k = 0; k < f->m; k++)
                total += f->weight[mode][k];
        for (size_t j = 0; j < column; j++)
                f->rhs[j] = product(f->feature[mode] + j * f->m, f->wanted[mode],
                                    f->weight[mode], f->m);
        const double all = product(f->wanted[mode], f->wanted[mode], f->weight[mode], f->m);
        before = all;
        while (c->nterms < TABLE_MAX_TERMS) {
                const size_t j = best_term(f, mode, column, c, solution);
                if (j == column)
                        break;
                c->term[c->nterms++].column = (uint16_t) j;
                double after = all;
                const bool solved = solve(f, mode, c, next);
                for (unsigned k = 0; k < c->nterms && solved; k++)
                        after -= next[k] * f->rhs[c->term[k].column];
                const double gain = 0.5 * rows * log2((before / total + noise)
                                                      / (fmax(after, 0) / total + noise));
                if (!solved || gain < TERM_BITS + TERM_GAIN * rows) {
                        c->nterms--;
                        break;
                }
                memcpy(solution, next, sizeof solution);
                before = after;
        }
        round_coefficients(c, solution);
}

/* What C leaves of the sample. */
static void
leave(struct fit *f, int mode, const struct table_column *c)
{
        memset(f->scratch, 0, f->m * sizeof *f->scratch);
        for (unsigned k = 0; k < c->nterms; k++) {
                const double *x = f->feature[mode] + c->term[k].column * f->m;
                const double  coefficient = c->term[k].coefficient / (double) (1 << TABLE_SHIFT);
                for (size_t i = 0; i < f->m; i++)
                        f->scratch[i] += coefficient * x[i];
        }
        for (size_t i = 0; i < f->m; i++)
                f->residual[mode][i] = (int32_t) fmax(-1e9, fmin(1e9, rint(
                        (f->wanted[mode][i] - f->scratch[i]) / f->run.step)));
}

/* ---- parents ---- */

/* Bits of COUNT residuals whose magnitudes add up to SUM, distributed geometrically. */
static double
geometric_bits(double count, double sum)
{
        if (count == 0 || sum == 0)
                return 0;
        const double mean = sum / count;
        return count * ((1 + mean) * log2(1 + mean) - mean * log2(mean) + mean / (1 + mean));
}

struct bucket {
        double count;
        double sum;
};

/* Bits of the sample's residuals when classed by the parents so far and COLUMN. */
static double
parent_bits(const struct fit *f, int mode, size_t column, size_t every)
{
        const uint16_t *magnitude = f->run.magnitude + column * f->run.nrows;
        struct bucket bucket[TABLE_LARGEST_BUCKET + 1] = { { 0 } };
        double bits = 0;

        for (size_t k = 0; k < f->m; k += every) {
                struct bucket *b = &bucket[table_bucket(f->sum[k] + magnitude[k * f->stride])];
                b->count++;
                b->sum += abs(f->residual[mode][k]);
        }
        for (unsigned i = 0; i <= TABLE_LARGEST_BUCKET; i++)
                bits += geometric_bits(bucket[i].count, bucket[i].sum)
                        + (bucket[i].count > 0 ? CLASS_BITS : 0);
        return bits;
}

static double
unclassed_bits(const struct fit *f, int mode, size_t every)
{
        double count = 0, sum = 0;

        for (size_t k = 0; k < f->m; k += every) {
                count++;
                sum += abs(f->residual[mode][k]);
        }
        return geometric_bits(count, sum);
}

static bool
is_parent(const struct table_column *c, size_t column)
{
        for (unsigned k = 0; k < c->nparents; k++)
                if (c->parent[k] == column)
                        return true;
        return false;
}

static void
fit_parents(struct fit *f, int mode, size_t column, struct table_column *c)
{
        const size_t every = (f->m + PARENT_ROWS - 1) / PARENT_ROWS;
        const size_t from = column > PARENTS_TRIED ? column - PARENTS_TRIED : 0;
        double bits = unclassed_bits(f, mode, every);

        c->nparents = 0;
        memset(f->sum, 0, f->m * sizeof *f->sum);
        while (c->nparents < TABLE_MAX_PARENTS) {
                double least = INFINITY;
                size_t best = column;
                for (size_t j = from; j < column; j++) {
                        const double with = is_parent(c, j) ? INFINITY
                                : parent_bits(f, mode, j, every);
                        if (with < least) {
                                least = with;
                                best = j;
                        }
                }
                if (best == column || least + PARENT_BITS > bits * 0.998)
                        break;
                bits = least;
                c->parent[c->nparents++] = (uint16_t) best;
                for (size_t k = 0; k < f->m; k++)
                        f->sum[k] += f->run.magnitude[best * f->run.nrows + k * f->stride];
        }
}

/* The lowest bucket that matters: nearly all sums lie at or above it. */
static void
place_classes(const struct fit *f, struct table_column *c)
{
        size_t count[TABLE_LARGEST_BUCKET + 1] = { 0 }, below = 0;

        for (size_t k = 0; k < f->m; k++)
                count[table_bucket(f->sum[k])]++;
        c->first = 0;
        while (c->first < TABLE_LARGEST_BUCKET && (below += count[c->first]) < f->m / 50)
                c->first++;
        for (unsigned k = 0; k < TABLE_CLASSES; k++)
                c->kind[k] = (uint8_t) k;       /* until kinds are made: the class */
}

/* ---- columns ---- */

static void
want(struct fit *f, size_t column)
{
        for (size_t k = 0; k < f->m; k++) {
                const size_t row = k * f->stride;
                f->wanted[0][k] = f->target[column * f->run.nrows + row];
                f->wanted[1][k] = f->wanted[0][k] - referenced_target(f, column, row);
        }
}

/* The column as it will be decoded; its residuals are counted by class. */
static void
close_loop(struct fit *f, size_t column)
{
        const struct table_run *run = &f->run;
        const bool difference = f->predictor->column[column].difference;
        uint32_t *histogram = f->histogram + column * TABLE_CLASSES * TABLE_TOKENS;
        int32_t   predicted[TABLE_BLOCK];
        uint8_t   class[TABLE_BLOCK];

        for (size_t from = 0; from < run->nrows; from += TABLE_BLOCK) {
                const size_t n = run->nrows - from < TABLE_BLOCK ? run->nrows - from : TABLE_BLOCK;
                table_prepare(run, column, from, n, predicted, class);
                for (size_t i = 0; i < n; i++) {
                        const int32_t referenced = table_referenced(run, column, from + i);
                        const int32_t p = difference
                                ? (int32_t) ((uint32_t) predicted[i] + (uint32_t) referenced)
                                : predicted[i];
                        const int32_t residual =
                                residual_of(f->target[column * run->nrows + from + i], p, run->step);
                        table_keep(run, column, from + i, p, referenced, residual);
                        histogram[class[i] * TABLE_TOKENS + table_token(residual)]++;
                }
        }
}

/* The column becomes one that later ones may depend on. */
static void
add_feature(struct fit *f, size_t column)
{
        const size_t at = column * f->run.nrows;

        for (size_t k = 0; k < f->m; k++) {
                f->feature[0][column * f->m + k] = f->run.value[at + k * f->stride];
                f->feature[1][column * f->m + k] = f->run.difference[at + k * f->stride];
        }
        for (int mode = 0; mode < 2; mode++)
                for (size_t j = 0; j <= column; j++)
                        f->gram[mode][column * f->run.ncolumns + j] =
                                product(f->feature[mode] + column * f->m,
                                        f->feature[mode] + j * f->m, f->weight[mode], f->m);
}

static void
fit_column(struct fit *f, size_t column)
{
        struct table_column *c = &f->predictor->column[column], other = { 0 };
        double bits[2] = { INFINITY, INFINITY };

        want(f, column);
        fit_terms(f, 0, column, c);
        leave(f, 0, c);
        if (f->predictor->references) {
                bits[0] = residual_estimate(f->residual[0], f->m) + TERM_BITS * c->nterms;
                fit_terms(f, 1, column, &other);
                leave(f, 1, &other);
                bits[1] = residual_estimate(f->residual[1], f->m) + TERM_BITS * other.nterms;
        }
        c->difference = bits[1] < bits[0];
        if (c->difference) {
                c->nterms = other.nterms;
                memcpy(c->term, other.term, sizeof c->term);
        }
        fit_parents(f, c->difference, column, c);
        place_classes(f, c);
        close_loop(f, column);
        add_feature(f, column);
}

/* ---- all of it ---- */

/* Bits of the references, and of what residuals have beside their tokens. */
static double
other_bits(const struct fit *f)
{
        const size_t n = f->run.ncolumns * TABLE_CLASSES * TABLE_TOKENS;
        double bits = 0;

        for (size_t i = 0; i < n; i++)
                bits += (double) f->histogram[i] * table_token_bits(i % TABLE_TOKENS);
        for (size_t r = 0; r < f->run.nrows && f->predictor->references; r++)
                bits += 2 + log2(1 + (double) f->run.reference[r]);
        return bits;
}

static enum caefs_err
fit_kinds(struct fit *f, double *bits)
{
        const size_t n = f->run.ncolumns * TABLE_CLASSES;
        uint8_t *kind = arena_array(f->arena, n, sizeof *kind);

        if (kind == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "table: no memory to learn");
        *bits = table_make_kinds(f->histogram, n, f->arena, kind) + other_bits(f);
        for (size_t c = 0; c < f->run.ncolumns; c++)
                memcpy(f->predictor->column[c].kind, kind + c * TABLE_CLASSES, TABLE_CLASSES);
        return CAEFS_OK;
}

enum caefs_err
table_fit(const int32_t *target, size_t nrows, int32_t step, struct arena *arena,
          struct table_predictor *p, double *bits)
{
        const struct arena_mark mark = arena_mark(arena);
        struct fit f;

        p->column = calloc(p->ncolumns, sizeof *p->column);
        if (p->column == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "table: no memory to learn");
        enum caefs_err err = fit_make(target, nrows, step, arena, p, &f);
        if (err == CAEFS_OK && p->references)
                err = table_find_references(target, nrows, p->ncolumns, step, arena,
                                            f.run.reference);
        if (err == CAEFS_OK) {
                weigh_rows(&f);
                for (size_t c = 0; c < p->ncolumns; c++)
                        fit_column(&f, c);
                err = fit_kinds(&f, bits);
        }
        arena_release(arena, mark);
        return err;
}
