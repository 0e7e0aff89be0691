/* codec/residual_general.c - residuals as plain bytes through codec/pack.h.
 *
 * For data that repeats exactly: a match says in a few bytes what costs a context
 * coder every residual again.  Zigzag codes in the narrowest element (1, 2, 4 or 8 bytes)
 * that holds them all. */
#include "codec/pack.h"
#include "codec/residual_coder.h"

/* Element size and a length, at most. */
#define HEADER 11

unsigned
residual_element_bytes(const struct residuals *r)
{
        uint64_t all = 0;

        for (size_t i = 0; i < r->count; i++)
                all |= zigzag_encode(residual_get(r, i));
        return all >> 32 ? 8 : all >> 16 ? 4 : all >> 8 ? 2 : 1;
}

static void
write_elements(const struct residuals *r, unsigned size, uint8_t *at)
{
        for (size_t i = 0; i < r->count; i++) {
                uint64_t u = zigzag_encode(residual_get(r, i));
                for (unsigned k = 0; k < size; k++)
                        *at++ = (uint8_t) (u >> (8 * k));
        }
}

static void
read_elements(const struct residuals *r, unsigned size, const uint8_t *at)
{
        for (size_t i = 0; i < r->count; i++) {
                uint64_t u = 0;
                for (unsigned k = 0; k < size; k++)
                        u |= (uint64_t) *at++ << (8 * k);
                residual_set(r, i, zigzag_decode(u));
        }
}

/* The most that stands before the packed bytes. */
#define HEADER_BYTES 6

static enum caefs_err
general_encode(const struct residuals *r, enum effort effort, size_t limit,
               struct arena *arena, struct bytes *out)
{
        struct bytes packed = { 0 };
        unsigned size = residual_element_bytes(r);
        struct arena_mark mark = arena_mark(arena);
        uint8_t *raw = arena_array(arena, r->count, size);

        if (raw == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        write_elements(r, size, raw);
        bool below = false;
        enum caefs_err err = limit <= HEADER_BYTES ? CAEFS_OK :
                pack_encode_below(raw, r->count * size, effort, limit - HEADER_BYTES, &packed,
                                  &below);
        if (err == CAEFS_OK && below) {
                bytes_put_u8(out, (uint8_t) size);
                bytes_put_varint(out, packed.size);
                bytes_put(out, packed.data, packed.size);
                if (out->failed)
                        err = caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        }
        bytes_free(&packed);
        arena_release(arena, mark);
        return err;
}

static enum caefs_err
general_decode(struct cursor *in, const struct residuals *r, struct arena *arena)
{
        unsigned size = cursor_u8(in);
        size_t packed_size = cursor_varint_max(in, cursor_left(in));
        const uint8_t *packed = cursor_take(in, packed_size);

        if (in->failed || (size != 1 && size != 2 && size != 4 && size != 8) ||
            (size == 8 && !r->wide))
                return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: impossible element size");
        struct arena_mark mark = arena_mark(arena);
        uint8_t *raw = arena_array(arena, r->count, size);
        if (raw == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        enum caefs_err err = pack_decode(packed, packed_size, raw, r->count * size);
        if (err == CAEFS_OK)
                read_elements(r, size, raw);
        arena_release(arena, mark);
        return err;
}

const struct residual_coder residual_coder_general = {
        .encode = general_encode,
        .decode = general_decode,
};
