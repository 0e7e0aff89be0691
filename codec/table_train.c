/* codec/table_train.c - the family `table` learns.
 *
 * Pieces with the same number of columns are one table.  Three sorts of predictors are
 * fitted to each, and the one that leaves fewest bits is kept: within rows alone, by
 * reference rows, and, for a matrix that has far more columns than rows, transposed.
 * The clock is looked at between tables only.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/table_fit.h"
#include "codec/train_family.h"
#include "codec/train_run.h"
#include "codec/value.h"

#define LEAST_ROWS   32
#define MAX_VALUES   ((size_t) 4 << 20)         /* of one table */
#define GRID_STEP    128                        /* doc/format.md, "Grids" */

/* A table gathered from pieces, on a grid as an encoder would lay it. */
struct gathered {
        size_t   nrows;
        size_t   ncolumns;
        int32_t *grid;                  /* (nrows, ncolumns) */
};

static int
compare_values(const void *a, const void *b)
{
        const int32_t x = *(const int32_t *) a, y = *(const int32_t *) b;

        return (x > y) - (x < y);
}

/* Values of one piece at 64 units a bound; what no grid holds becomes 0. */
static enum caefs_err
lay_piece(const struct train_piece *p, struct arena *arena, int32_t *grid)
{
        const struct region *r = &p->input->region;
        const unsigned width = dtype_size(r->dtype);
        void   *raw = arena_array(arena, p->count, width);
        double *value = arena_array(arena, p->count, sizeof *value);

        if (raw == NULL || value == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for a table");
        enum caefs_err err = train_piece_read(p, raw);
        if (err != CAEFS_OK)
                return err;
        if (r->big_endian)
                values_swap(raw, p->count, width, raw);
        values_to_doubles(r->dtype, raw, p->count, 1, value);
        for (size_t i = 0; i < p->count; i++) {
                const double amount = p->amounts[p->namounts > 1 ? i % p->namounts : 0];
                const double g = amount > 0 ? floor(value[i] / (amount / (GRID_STEP / 2))) : 0;
                grid[i] = g > -1e9 && g < 1e9 ? (int32_t) g : 0;
        }
        return CAEFS_OK;
}

/* Fills TARGET, columns one after another, less their middles; TRANSPOSED: what is a row in
 * memory is a column here. */
static enum caefs_err
make_target(const struct gathered *g, bool transposed, struct arena *arena, int32_t *target)
{
        const size_t ncolumns = transposed ? g->nrows : g->ncolumns;
        const size_t nrows = transposed ? g->ncolumns : g->nrows;
        int32_t *sorted = arena_array(arena, nrows, sizeof *sorted);

        if (sorted == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for a table");
        for (size_t c = 0; c < ncolumns; c++) {
                for (size_t r = 0; r < nrows; r++)
                        sorted[r] = target[c * nrows + r] =
                                g->grid[transposed ? c * nrows + r : r * ncolumns + c];
                qsort(sorted, nrows, sizeof *sorted, compare_values);
                for (size_t r = 0; r < nrows; r++)
                        target[c * nrows + r] -= sorted[nrows / 2];
        }
        return CAEFS_OK;
}

/* ---- one table ---- */

static enum caefs_err
try_sort(const struct gathered *g, bool transposed, bool references, struct arena *arena,
         struct table_predictor *best, double *least)
{
        const struct arena_mark mark = arena_mark(arena);
        struct table_predictor p = {
                .transposed = transposed, .references = references,
                .ncolumns = (unsigned) (transposed ? g->nrows : g->ncolumns),
        };
        int32_t *target = arena_array(arena, g->nrows * g->ncolumns, sizeof *target);
        double bits = INFINITY;

        if (target == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for a table");
        enum caefs_err err = make_target(g, transposed, arena, target);
        if (err == CAEFS_OK)
                err = table_fit(target, transposed ? g->ncolumns : g->nrows, GRID_STEP, arena, &p,
                                &bits);
        arena_release(arena, mark);
        if (err == CAEFS_OK && bits < *least) {
                free(best->column);
                *best = p;
                *least = bits;
        } else {
                free(p.column);
        }
        return err;
}

static enum caefs_err
fit_gathered(const struct gathered *g, struct arena *arena, struct table_part *part)
{
        struct table_predictor best = { 0 };
        double least = INFINITY;
        enum caefs_err err = CAEFS_OK;

        if (g->ncolumns <= TABLE_MAX_COLUMNS && g->nrows >= LEAST_ROWS) {
                err = try_sort(g, false, false, arena, &best, &least);
                if (err == CAEFS_OK)
                        err = try_sort(g, false, true, arena, &best, &least);
        }
        if (err == CAEFS_OK && g->nrows <= TABLE_MAX_COLUMNS && g->nrows > 1
            && g->ncolumns >= 4 * g->nrows && g->ncolumns >= LEAST_ROWS)
                err = try_sort(g, true, false, arena, &best, &least);
        if (best.column != NULL && err == CAEFS_OK)
                part->predictor[part->npredictors++] = best;
        else
                free(best.column);
        return err;
}

/* ---- all tables ---- */

/* Every piece there is, learnt from or held back, by index. */
struct all_pieces {
        const struct train_pieces *pieces;
        size_t                     n;           /* those that may be looked at */
        enum scope                 scope;
};

static const struct train_piece *
piece_at(const struct all_pieces *all, size_t i)
{
        const struct train_pieces *p = all->pieces;

        return i < p->nlearnt ? &p->learnt[i] : &p->held[i - p->nlearnt];
}

static size_t
columns_at(const struct all_pieces *all, size_t i)
{
        const struct train_piece *p = piece_at(all, i);

        return p->amounts == NULL ? 1 : train_piece_columns(p, all->scope);
}

/* The pieces from FIRST on that have its number of columns, as one table. */
static enum caefs_err
gather(const struct all_pieces *all, size_t first, struct arena *arena, struct gathered *g)
{
        size_t count = 0;
        enum caefs_err err = CAEFS_OK;

        *g = (struct gathered) { .ncolumns = columns_at(all, first) };
        for (size_t i = first; i < all->n; i++)
                if (columns_at(all, i) == g->ncolumns)
                        count += piece_at(all, i)->count;
        g->grid = arena_array(arena, count, sizeof *g->grid);
        if (g->grid == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for a table");
        count = 0;
        for (size_t i = first; i < all->n && err == CAEFS_OK; i++) {
                const struct train_piece *p = piece_at(all, i);
                const struct arena_mark mark = arena_mark(arena);
                if (columns_at(all, i) != g->ncolumns
                    || (count > 0 && count + p->count > MAX_VALUES))
                        continue;
                err = lay_piece(p, arena, g->grid + count);
                count += p->count;
                arena_release(arena, mark);
        }
        g->nrows = count / g->ncolumns;
        return err;
}

static bool
seen_before(const struct all_pieces *all, size_t i)
{
        for (size_t k = 0; k < i; k++)
                if (columns_at(all, k) == columns_at(all, i))
                        return true;
        return false;
}

static enum caefs_err
learn(const struct training *t, bool everything, struct bytes *out)
{
        const struct all_pieces all = {
                .pieces = t->pieces, .scope = t->options->scope,
                .n = t->pieces->nlearnt + (everything ? t->pieces->nheld : 0),
        };
        /* A part that has shown its worth may take as long again to be completed. */
        const double end = t->deadline + (everything ? t->options->time_limit : 0);
        struct table_part *part = calloc(1, sizeof *part);
        struct arena arena = { 0 };
        enum caefs_err err = part == NULL
                ? caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for a table") : CAEFS_OK;

        for (size_t i = 0; i < all.n && err == CAEFS_OK
                           && part->npredictors < TABLE_MAX_PREDICTORS; i++) {
                const struct arena_mark mark = arena_mark(&arena);
                struct gathered g;
                if (columns_at(&all, i) < 2 || seen_before(&all, i))
                        continue;
                if (part->npredictors > 0 && train_clock() >= end)
                        break;
                err = gather(&all, i, &arena, &g);
                if (err == CAEFS_OK)
                        err = fit_gathered(&g, &arena, part);
                arena_release(&arena, mark);
        }
        arena_free(&arena);
        if (err == CAEFS_OK && part->npredictors > 0) {
                bytes_clear(out);
                err = table_part_write(part, out);
        }
        if (part != NULL)
                table_part_release(part);
        free(part);
        return err;
}

static enum caefs_err
train(const struct training *t, struct bytes *part, struct train_result *out)
{
        enum caefs_err err = learn(t, false, part);

        if (err == CAEFS_OK && part->size == 0)
                snprintf(out->why, sizeof out->why, "there is no table here: two dimensions, "
                         "bounds by column");
        return err;
}

static enum caefs_err
complete(const struct training *t, struct bytes *part)
{
        return learn(t, true, part);
}

const struct trainable trainable_table = {
        .family = FAMILY_TABLE,
        .train = train,
        .complete = complete,
};
