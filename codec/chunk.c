/* codec/chunk.c - one chunk: values in, bytes out, decodable alone. */
#include "codec/chunk.h"

#include <string.h>

#include "codec/chunk_columns.h"
#include "codec/chunk_plane.h"
#include "codec/pack.h"
#include "codec/patch.h"
#include "codec/value.h"

#define COUNT_LIMIT ((uint64_t) 1 << 28)

/* Extents of 1 say nothing, and families take at most four: the slowest ones are
 * taken together.  KEEP_LAST: the last extent are columns. */
static void
shape_collapse(const struct shape *in, bool keep_last, struct shape *out)
{
        struct shape s = { .ndim = 0 };

        for (unsigned i = 0; i < in->ndim; i++)
                if (in->extent[i] != 1 || (keep_last && i == in->ndim - 1))
                        s.extent[s.ndim++] = in->extent[i];
        if (s.ndim == 0)
                s.extent[s.ndim++] = 1;
        if (s.ndim == 1 && keep_last)
                s = (struct shape) { .ndim = 2, .extent = { 1, s.extent[0] } };
        unsigned surplus = s.ndim > 4 ? s.ndim - 4 : 0;
        *out = (struct shape) { .ndim = s.ndim - surplus };
        for (unsigned i = 0; i < out->ndim; i++)
                out->extent[i] = s.extent[i + surplus];
        for (unsigned i = 0; i < surplus; i++)
                out->extent[0] *= s.extent[i];
}

static enum caefs_err
plane_of(const struct chunk_geometry *g, struct plane *p)
{
        uint64_t count = shape_count(&g->shape);
        bool     columns = g->scope != SCOPE_ARRAY && g->shape.ndim >= 2
                && g->shape.extent[g->shape.ndim - 1] > 1;

        if (g->dtype <= DTYPE_BYTES || g->dtype >= DTYPE_COUNT || count == 0
            || count > COUNT_LIMIT)
                return caefs_fail(CAEFS_ERR_ARGUMENT, "chunk: no such dtype or shape");
        *p = (struct plane) {
                .dtype = g->dtype, .count = count, .columns = 1,
                .model = g->model, .reference = g->reference,
        };
        shape_collapse(&g->shape, columns, &p->shape);
        if (columns) {
                p->columns = p->shape.extent[p->shape.ndim - 1];
                p->scope = g->scope;
        }
        return CAEFS_OK;
}

/* Whether values in memory can be used where they are. */
static bool
usable_in_place(const struct chunk_geometry *g, const void *values)
{
        bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

        return g->big_endian == host_big && (uintptr_t) values % dtype_size(g->dtype) == 0;
}

/* Chunk order to host order or back; the same operation. */
static void
reorder(const struct chunk_geometry *g, const void *in, size_t count, void *out)
{
        unsigned width = dtype_size(g->dtype);
        bool     host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

        if (g->big_endian != host_big)
                values_swap(in, count, width, out);
        else
                memcpy(out, in, count * width);
}

static enum caefs_err
to_host(const struct chunk_geometry *g, const void *values, size_t count, struct arena *arena,
        const void **host)
{
        if (usable_in_place(g, values)) {
                *host = values;
                return CAEFS_OK;
        }
        void *copy = arena_array(arena, count, dtype_size(g->dtype));
        if (copy == NULL)
                return CAEFS_ERR_NOMEM;
        reorder(g, values, count, copy);
        *host = copy;
        return CAEFS_OK;
}

/* A bound that allows nothing is no bound; integers are always lossless. */
static enum caefs_err
bound_of(const struct plane *p, const struct chunk_bound *b, const uint8_t *keep,
         struct plane_bound *out)
{
        bool any = false;

        *out = (struct plane_bound) { .mode = BOUND_LOSSLESS, .keep = keep };
        if (b->mode == BOUND_LOSSLESS || !dtype_is_float(p->dtype))
                return CAEFS_OK;
        if ((b->mode != BOUND_ABS && b->mode != BOUND_PWREL)
            || (b->namounts != 1 && b->namounts != p->columns))
                return caefs_fail(CAEFS_ERR_ARGUMENT, "chunk: no such bound");
        for (size_t i = 0; i < b->namounts; i++)
                any |= b->amount[i] > 0;
        if (any)
                *out = (struct plane_bound) { b->mode, b->amount, b->namounts, keep };
        return CAEFS_OK;
}

static enum caefs_err
values_decode(const struct plane *p, struct cursor in, struct arena *arena, void *values)
{
        if (cursor_left(&in) > 0
            && (in.at[0] & (HEAD_FAMILY | HEAD_STORAGE)) == STORAGE_COLUMNS)
                return columns_decode(p, in, arena, values);
        return plane_decode(p, in.at, cursor_left(&in), arena, values);
}

/* Splits CODED into the overlay of later rewrites, which comes first where there
 * is one, and what was encoded. */
static enum caefs_err
overlay_split(const void *coded, size_t size, struct cursor *base, struct cursor *overlay)
{
        const uint8_t *raw = coded;

        *base = cursor_of(coded, size);
        *overlay = (struct cursor) { 0 };
        if (size == 0 || raw[0] != HEAD_OVERLAY)
                return CAEFS_OK;
        cursor_u8(base);
        size_t         n = cursor_varint_max(base, cursor_left(base));
        const uint8_t *patch = cursor_take(base, n);
        if (base->failed)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: overlay is cut short");
        *overlay = cursor_of(patch, n);
        return CAEFS_OK;
}

/* Decodes into host order.  WITH_OVERLAY: as later rewrites left it. */
static enum caefs_err
host_decode(const struct plane *p, const void *coded, size_t size, bool with_overlay,
            struct arena *arena, void *values)
{
        struct cursor  base, overlay;
        enum caefs_err err = overlay_split(coded, size, &base, &overlay);

        if (err == CAEFS_OK)
                err = values_decode(p, base, arena, values);
        if (err == CAEFS_OK && with_overlay && cursor_left(&overlay) > 0)
                err = patch_apply(&overlay, p->dtype, p->count, plane_row(p), arena, values);
        return err;
}

enum caefs_err
chunk_decode(const struct chunk_geometry *g, const void *coded, size_t size,
             struct arena *arena, void *values)
{
        struct plane      p;
        struct arena_mark mark = arena_mark(arena);
        enum caefs_err    err = plane_of(g, &p);

        if (err != CAEFS_OK)
                return err;
        if (usable_in_place(g, values))
                return host_decode(&p, coded, size, true, arena, values);
        void *host = arena_array(arena, p.count, dtype_size(p.dtype));
        err = host == NULL ? CAEFS_ERR_NOMEM : host_decode(&p, coded, size, true, arena, host);
        if (err == CAEFS_OK)
                reorder(g, host, p.count, values);
        arena_release(arena, mark);
        return err;
}

bool
chunk_uses_reference(const void *coded, size_t size)
{
        struct cursor base, overlay;

        if (overlay_split(coded, size, &base, &overlay) != CAEFS_OK)
                return false;
        const struct family_methods *family = family_by_number(cursor_u8(&base) & HEAD_FAMILY);
        return family != NULL && family->uses_reference;
}

/* The last word: what chunk_decode() makes of OUT from START on holds the bound.
 * HOST has the values, DECODED receives what is served. */
static enum caefs_err
prove(const struct plane *p, const struct plane_bound *b, const void *host,
      const struct bytes *out, size_t start, struct arena *arena, void *decoded,
      struct chunk_report *report)
{
        uint8_t *where = arena_alloc(arena, p->count);

        if (where == NULL)
                return CAEFS_ERR_NOMEM;
        enum caefs_err err = host_decode(p, out->data + start, out->size - start, true, arena,
                                         decoded);
        if (err == CAEFS_OK && plane_verify(p, b, host, decoded, where, report) > 0)
                err = caefs_fail(CAEFS_ERR_BOUND, "chunk: its coding does not hold the bound");
        return err;
}

static enum caefs_err
encode_host(const struct plane *p, const struct plane_bound *b, const struct chunk_options *o,
            const void *host, struct arena *arena, struct bytes *out, void *decoded,
            struct chunk_report *report)
{
        size_t         start = out->size;
        bool           regrouped = false;
        enum caefs_err err = plane_encode(p, b, o, host, arena, out, decoded, report);

        if (err == CAEFS_OK)
                err = columns_try(p, b, o, host, arena, start, out, &regrouped, report);
        /* What plane_encode() leaves has been proved by it, byte for byte. */
        return err == CAEFS_OK && regrouped
                ? prove(p, b, host, out, start, arena, decoded, report) : err;
}

enum caefs_err
chunk_encode(const struct chunk_geometry *g, const struct chunk_bound *b,
             const struct chunk_options *o, const void *values, const uint8_t *keep,
             struct arena *arena, struct bytes *out, void *served, struct chunk_report *report)
{
        struct plane        p;
        struct plane_bound  bound;
        struct chunk_report local;
        const void         *host;
        struct arena_mark   mark = arena_mark(arena);
        enum caefs_err      err = plane_of(g, &p);

        report = report != NULL ? report : &local;
        *report = (struct chunk_report) { 0 };
        if (err == CAEFS_OK)
                err = bound_of(&p, b, keep, &bound);
        if (err == CAEFS_OK)
                err = to_host(g, values, p.count, arena, &host);
        bool  direct = served != NULL && served != values && usable_in_place(g, served);
        void *decoded = direct ? served : arena_array(arena, p.count, dtype_size(p.dtype));
        if (err == CAEFS_OK && decoded == NULL)
                err = CAEFS_ERR_NOMEM;
        if (err == CAEFS_OK)
                err = encode_host(&p, &bound, o, host, arena, out, decoded, report);
        if (err == CAEFS_OK && served != NULL && !direct)
                reorder(g, decoded, p.count, served);
        arena_release(arena, mark);
        return err;
}

/* The overlay that turns what BASE serves into HOST. */
static enum caefs_err
overlay_encode(const struct plane *p, struct cursor base, const void *host, struct arena *arena,
               struct bytes *overlay, struct chunk_report *report)
{
        struct plane_bound lossless = { .mode = BOUND_LOSSLESS };
        void              *old = arena_array(arena, p->count, dtype_size(p->dtype));
        uint8_t           *where = arena_alloc(arena, p->count);

        if (old == NULL || where == NULL)
                return CAEFS_ERR_NOMEM;
        memset(where, 0, p->count);
        enum caefs_err err = values_decode(p, base, arena, old);
        if (err != CAEFS_OK)
                return err;
        report->patched = plane_verify(p, &lossless, host, old, where, NULL);
        return report->patched == 0 ? CAEFS_OK
                : patch_encode(p->dtype, host, where, p->count, plane_row(p), EFFORT_BALANCED,
                               arena, overlay);
}

static enum caefs_err
amend_host(const struct plane *p, const void *old, size_t old_size, const void *host,
           struct arena *arena, struct bytes *out, struct chunk_report *report)
{
        struct plane_bound lossless = { .mode = BOUND_LOSSLESS };
        struct bytes       overlay = { 0 };
        struct cursor      base, earlier;
        size_t             start = out->size;
        enum caefs_err     err = overlay_split(old, old_size, &base, &earlier);

        if (err == CAEFS_OK)
                err = overlay_encode(p, base, host, arena, &overlay, report);
        if (err == CAEFS_OK && report->patched > 0) {
                bytes_put_u8(out, HEAD_OVERLAY);
                bytes_put_varint(out, overlay.size);
                bytes_put(out, overlay.data, overlay.size);
        }
        bytes_put(out, base.at, cursor_left(&base));
        bytes_free(&overlay);
        void *decoded = arena_array(arena, p->count, dtype_size(p->dtype));
        if (err == CAEFS_OK && (decoded == NULL || out->failed))
                err = CAEFS_ERR_NOMEM;
        return err == CAEFS_OK
                ? prove(p, &lossless, host, out, start, arena, decoded, report) : err;
}

enum caefs_err
chunk_amend(const struct chunk_geometry *g, const void *old, size_t old_size,
            const void *values, struct arena *arena, struct bytes *out,
            struct chunk_report *report)
{
        struct plane        p;
        struct chunk_report local;
        const void         *host;
        struct arena_mark   mark = arena_mark(arena);
        enum caefs_err      err = plane_of(g, &p);

        report = report != NULL ? report : &local;
        *report = (struct chunk_report) { 0 };
        if (err == CAEFS_OK)
                err = to_host(g, values, p.count, arena, &host);
        if (err == CAEFS_OK)
                err = amend_host(&p, old, old_size, host, arena, out, report);
        arena_release(arena, mark);
        return err;
}

enum caefs_err
chunk_encode_bytes(const void *data, size_t n, enum effort effort, struct bytes *out)
{
        return pack_encode(data, n, effort, out);
}

enum caefs_err
chunk_decode_bytes(const void *coded, size_t size, void *data, size_t n)
{
        return pack_decode(coded, size, data, n);
}
