/* codec/object_cut.c - how a region is cut into chunks. */
#include "codec/object_index.h"

bool
region_has_columns(const struct region *r, enum scope scope)
{
        return scope != SCOPE_ARRAY && r->shape.ndim >= 2 && dtype_is_float(r->dtype) &&
               region_columns(r) <= CUT_MAX_COLUMNS;
}

uint64_t
region_columns(const struct region *r)
{
        /* Fortran's order walks memory with the array's last axis slowest. */
        return r->shape.extent[r->fortran ? 0 : r->shape.ndim - 1];
}

/* Values below axis A of S. */
static uint64_t
values_below(const struct shape *s, unsigned a)
{
        uint64_t n = 1;

        for (unsigned i = a + 1; i < s->ndim; i++)
                n *= s->extent[i];
        return n;
}

/* S without extents of 1, except at the axes FIRST to LAST - 1, which stay. */
static struct shape
without_ones(const struct shape *s, unsigned first, unsigned last)
{
        struct shape out = { 0 };

        for (unsigned i = 0; i < s->ndim; i++)
                if (s->extent[i] != 1 || (i >= first && i < last))
                        out.extent[out.ndim++] = s->extent[i];
        if (out.ndim == 0)
                out.extent[out.ndim++] = 1;
        return out;
}

/* The shape that matters for cutting; sets what follows from the scope. */
static struct shape
cutting_shape(const struct region *r, enum scope scope, struct cut *c)
{
        if (r->dtype == DTYPE_BYTES)
                return (struct shape) { .ndim = 1, .extent = { r->length } };
        if (!region_has_columns(r, scope))
                return without_ones(&r->shape, 0, 0);
        if (r->fortran) {
                c->slice_is_column = true;
                struct shape s = without_ones(&r->shape, 0, 1);
                if (s.ndim == 1)                /* columns of one value */
                        s.extent[s.ndim++] = 1;
                return s;
        }
        c->scope = scope;
        /* The columns, and an axis to cut above them. */
        unsigned     n = r->shape.ndim;
        struct shape s = without_ones(&r->shape, n - 1, n);
        if (s.ndim == 1) {
                s.extent[1] = s.extent[0];
                s.extent[0] = 1;
                s.ndim = 2;
        }
        return s;
}

void
cut_region(const struct region *r, enum scope scope, uint64_t chunk, struct cut *c)
{
        *c = (struct cut) { .scope = SCOPE_ARRAY, .value_size = dtype_size(r->dtype) };
        struct shape s = cutting_shape(r, scope, c);
        unsigned     last = c->scope == SCOPE_ARRAY ? s.ndim - 1 : s.ndim - 2;
        unsigned     axis = c->slice_is_column ? 1 : 0;

        while (axis < last && values_below(&s, axis) * c->value_size > chunk)
                axis++;
        for (unsigned i = axis + 1; i < s.ndim; i++)
                c->row.extent[c->row.ndim++] = s.extent[i];
        c->row_values = values_below(&s, axis);
        c->slice_rows = s.extent[axis];
        c->slices = 1;
        for (unsigned i = 0; i < axis; i++)
                c->slices *= s.extent[i];
        c->rows = chunk / (c->row_values * c->value_size);
        if (c->rows == 0)
                c->rows = 1;
        c->pieces = (c->slice_rows + c->rows / 2) / c->rows;
        if (c->pieces == 0)
                c->pieces = 1;
}

uint64_t
cut_count(const struct cut *c)
{
        return c->slices * c->pieces;
}

/* ROWS rows as the codec wants them: 1 to 4 extents, no superfluous ones. */
static struct shape
chunk_shape(const struct cut *c, uint64_t rows)
{
        struct shape s = { 0 };
        unsigned     axes_needed = c->scope == SCOPE_ARRAY ? 1 : 2;

        if (rows != 1 || c->row.ndim < axes_needed)
                s.extent[s.ndim++] = rows;
        for (unsigned i = 0; i < c->row.ndim; i++)
                s.extent[s.ndim++] = c->row.extent[i];
        while (s.ndim > 4) {
                s.extent[0] *= s.extent[1];
                for (unsigned i = 1; i + 1 < s.ndim; i++)
                        s.extent[i] = s.extent[i + 1];
                s.ndim--;
        }
        return s;
}

void
cut_chunk(const struct cut *c, uint64_t index, uint64_t *offset, uint64_t *length,
          struct shape *shape)
{
        uint64_t piece = index % c->pieces;
        uint64_t first = piece * c->rows;
        uint64_t rows = piece + 1 == c->pieces ? c->slice_rows - first : c->rows;
        uint64_t row_bytes = c->row_values * c->value_size;

        *offset = (index / c->pieces * c->slice_rows + first) * row_bytes;
        *length = rows * row_bytes;
        *shape = chunk_shape(c, rows);
}

uint64_t
cut_find(const struct cut *c, uint64_t offset)
{
        uint64_t row = offset / (c->row_values * c->value_size);
        uint64_t piece = row % c->slice_rows / c->rows;

        if (piece >= c->pieces)
                piece = c->pieces - 1;
        return row / c->slice_rows * c->pieces + piece;
}
