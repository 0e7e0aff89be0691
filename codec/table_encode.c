/* codec/table_encode.c - the family `table`: encoding.  See codec/table.h.
 *
 * Everything but the references and the bases was decided when the model was made.
 */
#include "codec/table.h"

#include <math.h>
#include <stdlib.h>

#include "codec/model.h"

struct encoding {
        struct table_run run;
        const uint8_t   *hole;          /* by place in the chunk, or NULL */
        int32_t         *target;        /* (ncolumns, nrows), less the bases */
        int32_t         *base;          /* (ncolumns) */
        int32_t         *residual;      /* (ncolumns, nrows) */
        uint8_t         *kind;          /* (ncolumns, nrows) */
        size_t           count[TABLE_KINDS];
};

static int
compare_values(const void *a, const void *b)
{
        const int32_t x = *(const int32_t *) a, y = *(const int32_t *) b;

        return (x > y) - (x < y);
}

/* The middle of up to 127 of a column's values. */
static int32_t
middle_value(const struct table_run *run, const int32_t *grid, size_t column)
{
        int32_t      sample[127];
        const size_t n = run->nrows < 127 ? run->nrows : 127;

        for (size_t i = 0; i < n; i++)
                sample[i] = grid[table_place(run, run->nrows * i / n, column)];
        qsort(sample, n, sizeof *sample, compare_values);
        return sample[n / 2];
}

static enum caefs_err
encoding_make(const struct field *f, const struct table_predictor *p, struct arena *arena,
              struct encoding *e)
{
        const size_t   count = f->geometry.count;
        enum caefs_err err = table_run_make(&f->geometry, p, arena, &e->run);

        e->hole = f->hole;
        e->target = arena_array(arena, count, sizeof *e->target);
        e->base = arena_array(arena, p->ncolumns, sizeof *e->base);
        e->residual = arena_array(arena, count, sizeof *e->residual);
        e->kind = arena_array(arena, count, sizeof *e->kind);
        if (err != CAEFS_OK || !e->target || !e->base || !e->residual || !e->kind)
                return caefs_fail(CAEFS_ERR_NOMEM, "table: no memory for %zu values", count);
        memset(e->count, 0, sizeof e->count);
        for (size_t c = 0; c < p->ncolumns; c++) {
                e->base[c] = middle_value(&e->run, f->grid, c);
                for (size_t r = 0; r < e->run.nrows; r++) {
                        const size_t at = table_place(&e->run, r, c);
                        const bool   hole = f->hole != NULL && f->hole[at];
                        e->target[c * e->run.nrows + r] = hole ? 0 : (int32_t)
                                ((uint32_t) ((const int32_t *) f->grid)[at] - (uint32_t) e->base[c]);
                }
        }
        return CAEFS_OK;
}

static void
code_block(struct encoding *e, size_t column, size_t from, size_t n)
{
        const struct table_run *run = &e->run;
        const bool     difference = run->predictor->column[column].difference;
        const size_t   start = column * run->nrows + from;
        int32_t        predicted[TABLE_BLOCK];

        table_prepare(run, column, from, n, predicted, e->kind + start);
        for (size_t i = 0; i < n; i++) {
                const int32_t referenced = table_referenced(run, column, from + i);
                const int32_t p = difference
                        ? (int32_t) ((uint32_t) predicted[i] + (uint32_t) referenced)
                        : predicted[i];
                const bool    hole = e->hole != NULL
                        && e->hole[table_place(run, from + i, column)];
                const int32_t residual = hole ? 0 : residual_of(e->target[start + i], p, run->step);
                e->residual[start + i] = residual;
                e->count[e->kind[start + i]]++;
                table_keep(run, column, from + i, p, referenced, residual);
        }
}

/* Residuals by kind, in the order in which they are asked for. */
static int32_t *
sort_by_kind(const struct encoding *e, struct arena *arena)
{
        const size_t n = e->run.nrows * e->run.ncolumns;
        int32_t     *sorted = arena_array(arena, n, sizeof *sorted), *next[TABLE_KINDS];

        if (sorted == NULL)
                return NULL;
        for (unsigned k = 0; k < TABLE_KINDS; k++)
                next[k] = k == 0 ? sorted : next[k - 1] + e->count[k - 1];
        for (size_t i = 0; i < n; i++)
                *next[e->kind[i]]++ = e->residual[i];
        return sorted;
}

static enum caefs_err
write_references(const struct encoding *e, enum effort effort, struct arena *arena,
                 struct bytes *side)
{
        const struct residual_segment segment = { e->run.nrows, 0, 0 };
        int32_t *coded = arena_array(arena, e->run.nrows, sizeof *coded);

        if (coded == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "table: no memory for references");
        for (size_t i = 0; i < e->run.nrows; i++)
                coded[i] = (int32_t) zigzag_decode(e->run.reference[i]);
        return residual_encode(coded, &segment, 1, effort, arena, side);
}

static enum caefs_err
write_side(const struct encoding *e, unsigned predictor, enum effort effort, struct arena *arena,
           struct bytes *side)
{
        bytes_put_varint(side, predictor);
        for (size_t c = 0; c < e->run.ncolumns; c++)
                bytes_put_signed(side, e->base[c]);
        for (unsigned k = 0; k < TABLE_KINDS; k++)
                bytes_put_varint(side, e->count[k]);
        enum caefs_err err = e->run.predictor->references
                ? write_references(e, effort, arena, side) : CAEFS_OK;
        return err == CAEFS_OK && side->failed
                ? caefs_fail(CAEFS_ERR_NOMEM, "table: no memory") : err;
}

/* Fills OUT but for its side. */
static enum caefs_err
write_residuals(const struct encoding *e, struct arena *arena, struct prediction *out,
                double *bits)
{
        const int32_t *sorted = sort_by_kind(e, arena);

        out->segment = arena_array(arena, TABLE_KINDS, sizeof *out->segment);
        if (sorted == NULL || out->segment == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "table: no memory for residuals");
        out->residual = sorted;
        out->count = e->run.nrows * e->run.ncolumns;
        out->nsegments = TABLE_KINDS;
        for (unsigned k = 0; k < TABLE_KINDS; k++) {
                out->segment[k] = (struct residual_segment) { .count = e->count[k], .kind = k };
                if (e->count[k] > 0)
                        *bits += residual_estimate(sorted, e->count[k]);
                sorted += e->count[k];
        }
        return CAEFS_OK;
}

enum caefs_err
table_encode(const struct field *f, struct arena *arena, struct prediction *out, double *bits)
{
        const struct table_part *part = model_part(f->geometry.model, FAMILY_TABLE);
        const unsigned index = table_predictor_for(part, &f->geometry);
        const struct table_predictor *p = &part->predictor[index];
        struct encoding e;

        *out = (struct prediction) { 0 };
        *bits = 0;
        enum caefs_err err = encoding_make(f, p, arena, &e);
        if (err == CAEFS_OK && p->references)
                err = table_find_references(e.target, e.run.nrows, p->ncolumns, e.run.step, arena,
                                            e.run.reference);
        if (err != CAEFS_OK)
                return err;
        for (size_t c = 0; c < p->ncolumns; c++)
                for (size_t from = 0; from < e.run.nrows; from += TABLE_BLOCK) {
                        const size_t left = e.run.nrows - from;
                        code_block(&e, c, from, left < TABLE_BLOCK ? left : TABLE_BLOCK);
                }
        err = write_side(&e, index, f->effort, arena, &out->side);
        if (err == CAEFS_OK)
                err = write_residuals(&e, arena, out, bits);
        if (err != CAEFS_OK)
                bytes_free(&out->side);
        *bits += 8 * (double) out->side.size;
        return err;
}
