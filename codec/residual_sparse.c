/* codec/residual_sparse.c - the scheme of the CAE papers, with integer steps.
 *
 * A bitmap says which residuals are not zero, and goes through bzip2; those that
 * are not zero follow, packed.  (High-Ratio Lossy Compression, sec. 4, where the
 * values are half-precision floats; whole steps hold the bound by construction.)
 * The bitmap is packed by codec/pack.h, which has bzip2 among its methods. */
#include "codec/pack.h"
#include "codec/residual_coder.h"

/* Writes the bitmap, lowest bit first, and the number of bits set. */
static size_t
write_bitmap(const struct residuals *r, uint8_t *bitmap)
{
        size_t set = 0;

        memset(bitmap, 0, (r->count + 7) / 8);
        for (size_t i = 0; i < r->count; i++) {
                if (residual_get(r, i) == 0)
                        continue;
                bitmap[i / 8] |= (uint8_t) (1u << (i % 8));
                set++;
        }
        return set;
}

static void
write_values(const struct residuals *r, unsigned size, uint8_t *at)
{
        for (size_t i = 0; i < r->count; i++) {
                uint64_t u = zigzag_encode(residual_get(r, i));
                if (u == 0)
                        continue;
                for (unsigned k = 0; k < size; k++)
                        *at++ = (uint8_t) (u >> (8 * k));
        }
}

/* DATA packed, behind its packed length. */
static enum caefs_err
put_packed(const uint8_t *data, size_t n, enum effort effort, struct bytes *out)
{
        struct bytes packed = { 0 };
        enum caefs_err err = pack_encode(data, n, effort, &packed);

        bytes_put_varint(out, packed.size);
        bytes_put(out, packed.data, packed.size);
        bytes_free(&packed);
        return err;
}

static enum caefs_err
take_packed(struct cursor *in, uint8_t *data, size_t n)
{
        size_t size = cursor_varint_max(in, cursor_left(in));
        const uint8_t *packed = cursor_take(in, size);

        if (packed == NULL)
                return caefs_fail(CAEFS_ERR_CORRUPT, "residuals are cut short");
        return pack_decode(packed, size, data, n);
}

static enum caefs_err
sparse_encode(const struct residuals *r, enum effort effort, size_t limit, struct arena *arena,
              struct bytes *out)
{
        struct arena_mark mark = arena_mark(arena);
        size_t start = out->size;
        unsigned size = residual_element_bytes(r);
        uint8_t *bitmap = arena_alloc(arena, (r->count + 7) / 8);
        size_t set = bitmap == NULL ? 0 : write_bitmap(r, bitmap);
        uint8_t *values = arena_array(arena, set, size);

        if (bitmap == NULL || values == NULL) {
                arena_release(arena, mark);
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        }
        write_values(r, size, values);
        bytes_put_u8(out, (uint8_t) size);
        enum caefs_err err = put_packed(bitmap, (r->count + 7) / 8, effort, out);
        if (err == CAEFS_OK && set > 0)
                err = put_packed(values, set * size, effort, out);
        arena_release(arena, mark);
        if (err == CAEFS_OK && out->size - start >= limit)
                out->size = start;
        return err;
}

/* Bits of the bitmap; those behind the last residual must be clear. */
static bool
count_set(const uint8_t *bitmap, size_t count, size_t *set)
{
        *set = 0;
        for (size_t i = 0; i < (count + 7) / 8; i++)
                *set += (unsigned) __builtin_popcount(bitmap[i]);
        return count % 8 == 0 || bitmap[count / 8] >> (count % 8) == 0;
}

static void
read_values(const struct residuals *r, unsigned size, const uint8_t *bitmap, const uint8_t *at)
{
        for (size_t i = 0; i < r->count; i++) {
                uint64_t u = 0;
                if (bitmap[i / 8] >> (i % 8) & 1)
                        for (unsigned k = 0; k < size; k++)
                                u |= (uint64_t) *at++ << (8 * k);
                residual_set(r, i, zigzag_decode(u));
        }
}

static enum caefs_err
decode_in_arena(struct cursor *in, const struct residuals *r, struct arena *arena)
{
        unsigned size = cursor_u8(in);
        uint8_t *bitmap = arena_alloc(arena, (r->count + 7) / 8);
        size_t set;

        if (bitmap == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        if ((size != 1 && size != 2 && size != 4 && size != 8) || (size == 8 && !r->wide))
                return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: impossible element size");
        enum caefs_err err = take_packed(in, bitmap, (r->count + 7) / 8);
        if (err != CAEFS_OK)
                return err;
        if (!count_set(bitmap, r->count, &set))
                return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: bitmap is too long");
        uint8_t *values = arena_array(arena, set, size);
        if (values == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        if (set > 0)
                err = take_packed(in, values, set * size);
        if (err == CAEFS_OK)
                read_values(r, size, bitmap, values);
        return err;
}

static enum caefs_err
sparse_decode(struct cursor *in, const struct residuals *r, struct arena *arena)
{
        struct arena_mark mark = arena_mark(arena);
        enum caefs_err err = decode_in_arena(in, r, arena);

        arena_release(arena, mark);
        return err;
}

const struct residual_coder residual_coder_sparse = {
        .encode = sparse_encode,
        .decode = sparse_decode,
};
