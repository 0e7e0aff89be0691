/* codec/column.c - the family `column`: parameters, and decoding.  See codec/column.h. */
#include "codec/column.h"

#include <string.h>

#define LONG_COLUMN 512                 /* rows from which statistics are its own */

void
column_table(const struct field_geometry *g, struct table *t)
{
        t->ncolumns = g->shape.extent[g->shape.ndim - 1];
        t->nrows = g->count / t->ncolumns;
        t->wide = g->wide;
        t->step = g->step;
        t->value = NULL;
}

void
column_segments(const struct table *t, struct residual_segment *segment)
{
        for (size_t c = 0; c < t->ncolumns; c++)
                segment[c] = (struct residual_segment) {
                        t->nrows, 0, t->nrows >= LONG_COLUMN ? (unsigned) c : 0 };
}

static void
add_term(int64_t *restrict sum, const int64_t *restrict value, int64_t coefficient, size_t n)
{
        uint64_t c = (uint64_t) coefficient;
        for (size_t i = 0; i < n; i++)
                sum[i] = (int64_t) ((uint64_t) sum[i] + c * (uint64_t) value[i]);
}

int64_t
column_sums(const struct table *t, size_t column, const struct column_model *m, int64_t *sum)
{
        int64_t own = 0, half = m->shift > 0 ? INT64_C(1) << (m->shift - 1) : 0;
        for (size_t i = 0; i < t->nrows; i++)
                sum[i] = half;
        for (unsigned k = 0; k < m->nterms; k++) {
                const struct column_term *term = &m->term[k];
                const int64_t *value = t->value + term->column * t->nrows;
                if (term->column == column)
                        own = (int64_t) ((uint64_t) own + (uint64_t) term->coefficient);
                else if (term->previous)
                        add_term(sum + 1, value, term->coefficient, t->nrows - 1);
                else
                        add_term(sum, value, term->coefficient, t->nrows);
        }
        return own;
}

/* RESIDUAL, as wide as the grid, becomes the column's values. */
static void
rebuild_column(const struct table *t, size_t column, const struct column_model *m,
               const void *residual, int64_t *sum)
{
        int64_t *value = t->value + column * t->nrows, before = 0;
        uint64_t own = (uint64_t) column_sums(t, column, m, sum);
        for (size_t i = 0; i < t->nrows; i++) {
                int64_t r = t->wide ? ((const int64_t *) residual)[i]
                                    : ((const int32_t *) residual)[i];
                int64_t full = (int64_t) ((uint64_t) sum[i] + own * (uint64_t) before);
                before = value[i] = column_rebuilt(t, column_prediction(t, m, full), r);
        }
}

/* ---- parameters ---- */

static enum caefs_err
parse_model(struct cursor *side, size_t column, struct column_model *m)
{
        m->nterms = cursor_u8(side);
        m->base = cursor_signed(side);
        m->shift = m->nterms > 0 ? cursor_u8(side) : 0;
        if (side->failed || m->nterms > COLUMN_MAX_TERMS || m->shift > COLUMN_MAX_SHIFT)
                return caefs_fail(CAEFS_ERR_CORRUPT, "column: parameters are malformed");
        for (unsigned i = 0; i < m->nterms; i++) {
                uint64_t where = cursor_varint_max(side, 2 * (uint64_t) column + 1);
                m->term[i].column = where / 2;
                m->term[i].previous = where & 1;
                m->term[i].coefficient = cursor_signed(side);
                if (side->failed || where == 2 * (uint64_t) column)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "column: a term is malformed");
        }
        return CAEFS_OK;
}

static enum caefs_err
parse_side(const struct table *t, struct cursor *side, struct column_model *model)
{
        for (size_t c = 0; c < t->ncolumns; c++) {
                enum caefs_err err = parse_model(side, c, &model[c]);
                if (err != CAEFS_OK)
                        return err;
        }
        if (cursor_left(side) > 0)
                return caefs_fail(CAEFS_ERR_CORRUPT, "column: parameters are too long");
        return CAEFS_OK;
}

/* ---- decoding ---- */

/* Back to rows, with the bases; by blocks of rows, so that both sides stay cached. */
static void
place_rows(const struct table *t, const struct column_model *model, void *grid)
{
        for (size_t row = 0; row < t->nrows; row += 64) {
                size_t end = row + 64 < t->nrows ? row + 64 : t->nrows;
                for (size_t c = 0; c < t->ncolumns; c++) {
                        const int64_t *value = t->value + c * t->nrows;
                        uint64_t base = (uint64_t) model[c].base;
                        for (size_t i = row; i < end; i++) {
                                uint64_t v = (uint64_t) value[i] + base;
                                if (t->wide)
                                        ((int64_t *) grid)[i * t->ncolumns + c] = (int64_t) v;
                                else
                                        ((int32_t *) grid)[i * t->ncolumns + c] = (int32_t) v;
                        }
                }
        }
}

static bool
fits(const struct field_geometry *g)
{
        if (g->shape.ndim < 2)
                return false;
        size_t columns = g->shape.extent[g->shape.ndim - 1];
        return columns >= 2 && columns <= COLUMN_MAX;
}

static enum caefs_err
column_decode(const struct field_geometry *g, struct cursor *side, struct cursor *coded,
              struct arena *arena, void *grid)
{
        if (!fits(g))
                return caefs_fail(CAEFS_ERR_CORRUPT, "column: not for such a chunk");
        struct table t;
        column_table(g, &t);
        size_t size = g->wide ? sizeof(int64_t) : sizeof(int32_t);
        struct column_model *model = arena_array(arena, t.ncolumns, sizeof *model);
        struct residual_segment *segment = arena_array(arena, t.ncolumns, sizeof *segment);
        uint8_t *residual = arena_array(arena, g->count, size);
        int64_t *sum = arena_array(arena, t.nrows, sizeof *sum);
        t.value = arena_array(arena, g->count, sizeof *t.value);
        if (!model || !segment || !residual || !sum || !t.value)
                return caefs_fail(CAEFS_ERR_NOMEM, "column: no memory for %zu values", g->count);
        enum caefs_err err = parse_side(&t, side, model);
        if (err != CAEFS_OK)
                return err;
        column_segments(&t, segment);
        err = g->wide ? residual_decode_wide(coded, (int64_t *) residual, segment, t.ncolumns, arena)
                      : residual_decode(coded, (int32_t *) residual, segment, t.ncolumns, arena);
        if (err != CAEFS_OK)
                return err;
        for (size_t c = 0; c < t.ncolumns; c++)
                rebuild_column(&t, c, &model[c], residual + c * t.nrows * size, sum);
        place_rows(&t, model, grid);
        return CAEFS_OK;
}

static bool
column_applies(const struct field *f)
{
        const struct field_geometry *g = &f->geometry;
        return fits(g) && g->count / g->shape.extent[g->shape.ndim - 1] >= 8 &&
               (g->scope != SCOPE_ARRAY || g->shape.extent[g->shape.ndim - 1] <= 128);
}

const struct family_methods family_column = {
        .name = "column",
        .applies = column_applies,
        .encode = column_encode,
        .decode = column_decode,
};
