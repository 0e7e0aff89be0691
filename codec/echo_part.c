/* codec/echo_part.c - examples as bytes and back (doc/format.md, "Models"). */
#include "codec/echo.h"

#include <stdlib.h>

#include "codec/chunk.h"
#include "codec/value.h"

void
echo_example_write(enum dtype dtype, const struct shape *shape, const struct bytes *coded,
                   struct bytes *part)
{
        bytes_put_u8(part, (uint8_t) dtype);
        bytes_put_u8(part, (uint8_t) shape->ndim);
        for (unsigned a = 0; a < shape->ndim; a++)
                bytes_put_varint(part, shape->extent[a]);
        bytes_put_varint(part, coded->size);
        bytes_put(part, coded->data, coded->size);
}

/* What is read before memory is asked for. */
struct head {
        struct chunk_geometry geometry;
        size_t                count;
        const uint8_t        *coded;
        size_t                size;
};

static enum caefs_err
parse_head(struct cursor *in, size_t room, struct head *out)
{
        struct shape   *s = &out->geometry.shape;
        const unsigned  dtype = cursor_u8(in), ndim = cursor_u8(in);
        uint64_t        count = 1;

        *out = (struct head) { .geometry.dtype = (enum dtype) dtype, .geometry.shape.ndim = ndim };
        if (in->failed || dtype <= DTYPE_BYTES || dtype >= DTYPE_COUNT || ndim < 1
            || ndim > SHAPE_MAX_DIMENSIONS)
                return caefs_fail(CAEFS_ERR_CORRUPT, "model: an example is malformed");
        for (unsigned a = 0; a < ndim; a++) {
                s->extent[a] = cursor_varint_max(in, room);
                if (in->failed || s->extent[a] == 0 || count > room / s->extent[a])
                        return caefs_fail(CAEFS_ERR_CORRUPT, "model: an example is too large");
                count *= s->extent[a];
        }
        out->count = count;
        out->size = cursor_varint_max(in, cursor_left(in));
        out->coded = cursor_take(in, out->size);
        return in->failed ? caefs_fail(CAEFS_ERR_CORRUPT, "model: an example is cut short")
                          : CAEFS_OK;
}

static enum caefs_err
parse_example(struct cursor *in, size_t room, struct echo_example *out)
{
        const bool     big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
        struct arena   arena = { 0 };
        struct head    h;
        enum caefs_err err = parse_head(in, room, &h);

        if (err != CAEFS_OK)
                return err;
        const unsigned width = dtype_size(h.geometry.dtype);
        out->values = aligned_alloc(64, (h.count * width + 63) / 64 * 64);
        if (out->values == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "model: no memory for an example");
        err = chunk_decode(&h.geometry, h.coded, h.size, &arena, out->values);
        arena_free(&arena);
        if (err == CAEFS_OK && big)
                values_swap(out->values, h.count, width, out->values);
        out->reference = (struct reference) {
                .dtype = h.geometry.dtype, .values = out->values, .count = h.count,
                .at = REFERENCE_NOWHERE,
        };
        return err;
}

static void
release(void *part)
{
        struct echo_examples *e = part;

        for (size_t i = 0; i < e->count; i++)
                free(e->example[i].values);
        free(e->example);
        free(e);
}

static enum caefs_err
parse(struct cursor *in, void **out)
{
        struct echo_examples *e = calloc(1, sizeof *e);
        size_t         room = ECHO_MAX_KNOWN;
        enum caefs_err err = CAEFS_OK;

        if (e == NULL || (e->example = calloc(ECHO_MAX_EXAMPLES, sizeof *e->example)) == NULL) {
                free(e);
                return caefs_fail(CAEFS_ERR_NOMEM, "model: no memory");
        }
        while (err == CAEFS_OK && cursor_left(in) > 0) {
                if (e->count == ECHO_MAX_EXAMPLES)
                        err = caefs_fail(CAEFS_ERR_CORRUPT, "model: more than %d examples",
                                         ECHO_MAX_EXAMPLES);
                else
                        err = parse_example(in, room, &e->example[e->count++]);
                if (err == CAEFS_OK)
                        room -= e->example[e->count - 1].reference.count;
        }
        if (err == CAEFS_OK)
                *out = e;
        else
                release(e);
        return err;
}

const struct family_part echo_part = {
        .parse = parse,
        .release = release,
};
