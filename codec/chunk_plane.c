/* codec/chunk_plane.c - decoding one plane. */
#include "codec/chunk_plane.h"

#include <string.h>

#include "codec/pack.h"
#include "codec/patch.h"
#include "codec/symbols.h"
#include "codec/value.h"

size_t
plane_row(const struct plane *p)
{
        return p->shape.ndim < 2 ? 0 : p->shape.extent[p->shape.ndim - 1];
}

struct field_geometry
plane_field(const struct plane *p, const struct grid *grid, size_t ngrids)
{
        return (struct field_geometry) {
                .shape = p->shape,
                .count = p->count,
                .wide = grid->wide,
                .step = grid->step,
                .scope = p->scope,
                .model = p->model,
                .reference = p->reference,
                .grid = ngrids == 1 ? grid : NULL,
        };
}

/* The bits' high bytes, down to the last that is not zero, highest last. */
static enum caefs_err
constant_decode(const struct plane *p, struct cursor *in, void *values)
{
        unsigned       width = dtype_size(p->dtype);
        size_t         n = cursor_left(in);
        const uint8_t *raw = cursor_take(in, n);
        uint64_t       bits = 0;

        if (n > width)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: bytes after its constant");
        for (size_t b = 0; b < n; b++)
                bits |= (uint64_t) raw[b] << (8 * (width - n + b));
        for (size_t i = 0; i < p->count; i++)
                value_put_bits(p->dtype, values, i, bits);
        return CAEFS_OK;
}

/* Little-endian bytes of the values to host order, in place. */
static void
from_little_endian(const struct plane *p, void *values)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        values_swap(values, p->count, dtype_size(p->dtype), values);
#else
        (void) p;
        (void) values;
#endif
}

static enum caefs_err
storage_decode(const struct plane *p, unsigned head, struct cursor *in, void *values)
{
        size_t size = p->count * dtype_size(p->dtype);

        if ((head & HEAD_STORAGE) == STORAGE_CONSTANT)
                return constant_decode(p, in, values);
        if ((head & HEAD_STORAGE) != STORAGE_BYTES)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: no known way of storage");
        enum caefs_err err = pack_decode(in->at, cursor_left(in), values, size);
        if (err == CAEFS_OK)
                from_little_endian(p, values);
        return err;
}

/* The records of many columns: their size, their packed size or 0, the bytes. */
static enum caefs_err
grids_unpack(struct cursor *in, struct arena *arena, struct cursor *records)
{
        size_t         size = cursor_varint_max(in, (size_t) 1 << 26);
        size_t         packed_size = cursor_varint_max(in, cursor_left(in));
        const uint8_t *coded = cursor_take(in, packed_size > 0 ? packed_size : size);

        if (in->failed)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: grids are cut short");
        *records = cursor_of(coded, size);
        if (packed_size == 0)
                return CAEFS_OK;
        uint8_t *raw = arena_alloc(arena, size + 1);
        if (raw == NULL)
                return CAEFS_ERR_NOMEM;
        *records = cursor_of(raw, size);
        return pack_decode(coded, packed_size, raw, size);
}

/* One grid, or one for each column; all as wide and with the same step. */
static enum caefs_err
grids_parse(const struct plane *p, unsigned head, struct cursor *in, struct arena *arena,
            struct grid **out, size_t *ngrids)
{
        size_t         n = head & HEAD_GRIDS ? p->columns : 1;
        struct grid   *grid = arena_array(arena, n, sizeof *grid);
        struct cursor  records = *in;
        enum caefs_err err = CAEFS_OK;

        if (grid == NULL)
                return CAEFS_ERR_NOMEM;
        if (head & HEAD_GRIDS)
                err = grids_unpack(in, arena, &records);
        for (size_t i = 0; i < n && err == CAEFS_OK; i++) {
                err = grid_parse(&records, p->dtype, arena, &grid[i]);
                if (err == CAEFS_OK && (grid[i].wide != grid[0].wide
                                        || grid[i].step != grid[0].step))
                        err = caefs_fail(CAEFS_ERR_CORRUPT, "chunk: grids do not agree");
        }
        if (!(head & HEAD_GRIDS))
                *in = records;
        *out = grid;
        *ngrids = n;
        return err;
}

static enum caefs_err
family_decode(const struct plane *p, unsigned head, const struct grid *grid, size_t ngrids,
              struct cursor *in, struct arena *arena, void **integers)
{
        const struct family_methods *family = family_by_number(head & HEAD_FAMILY);
        struct field_geometry        field = plane_field(p, grid, ngrids);

        if (family != NULL && !family->uses_reference)
                field.reference = NULL;
        if (family == NULL)
                return caefs_fail(CAEFS_ERR_VERSION, "chunk: coded by a family this version does "
                                  "not know (%u)", head & HEAD_FAMILY);
        if (family->needs_model && p->model == NULL)
                return caefs_fail(CAEFS_ERR_MODEL, "chunk: its model is missing");
        size_t         side_size = cursor_varint_max(in, cursor_left(in));
        const uint8_t *raw = cursor_take(in, side_size);
        if (in->failed)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: cut short");
        struct cursor side = cursor_of(raw, side_size);
        *integers = arena_array(arena, p->count, grid->wide ? 8 : 4);
        if (*integers == NULL)
                return CAEFS_ERR_NOMEM;
        return family->decode(&field, &side, in, arena, *integers);
}

#define APPLY_SIGNS(TYPE)                                                       \
        do {                                                                    \
                TYPE *v = values;                                               \
                for (size_t i = 0; i < n; i++)                                  \
                        v[i] |= (TYPE) ((TYPE) (sign[i] != 0) << (8 * sizeof *v - 1));  \
        } while (0)

static void
signs_apply(const struct plane *p, const uint8_t *sign, void *values)
{
        size_t n = p->count;

        switch (dtype_size(p->dtype)) {
        case 1:
                APPLY_SIGNS(uint8_t);
                break;
        case 2:
                APPLY_SIGNS(uint16_t);
                break;
        case 4:
                APPLY_SIGNS(uint32_t);
                break;
        default:
                APPLY_SIGNS(uint64_t);
        }
}

#undef APPLY_SIGNS

static enum caefs_err
predicted_decode(const struct plane *p, unsigned head, struct cursor *in, struct arena *arena,
                 void *values)
{
        struct grid   *grid;
        size_t         ngrids;
        uint8_t       *sign = NULL;
        void          *integers = NULL;
        enum caefs_err err;

        if (head & HEAD_SIGNS) {
                sign = arena_alloc(arena, p->count);
                if (sign == NULL)
                        return CAEFS_ERR_NOMEM;
                err = symbols_decode(in, p->count, plane_row(p), 2, arena, sign);
                if (err != CAEFS_OK)
                        return err;
        }
        err = grids_parse(p, head, in, arena, &grid, &ngrids);
        if (err == CAEFS_OK)
                err = family_decode(p, head, grid, ngrids, in, arena, &integers);
        if (err != CAEFS_OK)
                return err;
        for (size_t c = 0; c < ngrids; c++)
                grid_inverse(&grid[c], (const char *) integers + c * (grid[c].wide ? 8 : 4),
                             p->count / ngrids, ngrids,
                             (char *) values + c * dtype_size(p->dtype));
        if (sign != NULL)
                signs_apply(p, sign, values);
        return CAEFS_OK;
}

enum caefs_err
plane_decode(const struct plane *p, const uint8_t *coded, size_t size, struct arena *arena,
             void *values)
{
        struct cursor in = cursor_of(coded, size), patch = { 0 };
        unsigned      head = cursor_u8(&in);

        if (in.failed || head & HEAD_OVERLAY
            || ((head & HEAD_FAMILY) == 0 && (head & HEAD_STORAGE) == STORAGE_COLUMNS))
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: malformed head");
        if (head & HEAD_PATCH) {
                size_t         patch_size = cursor_varint_max(&in, cursor_left(&in));
                const uint8_t *raw = cursor_take(&in, patch_size);
                if (in.failed)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: patch is cut short");
                patch = cursor_of(raw, patch_size);
        }
        struct arena_mark mark = arena_mark(arena);
        enum caefs_err    err = (head & HEAD_FAMILY) == 0
                ? storage_decode(p, head, &in, values)
                : predicted_decode(p, head, &in, arena, values);
        if (err == CAEFS_OK && head & HEAD_PATCH)
                err = patch_apply(&patch, p->dtype, p->count, plane_row(p), arena, values);
        arena_release(arena, mark);
        return err;
}
