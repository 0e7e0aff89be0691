/* codec/patch.c - values kept exactly, beside a coding that does not hold them. */
#include "codec/patch.h"

#include <stdlib.h>
#include <string.h>

#include "codec/pack.h"
#include "codec/symbols.h"
#include "codec/value.h"

#define FILL_LIMIT (SYMBOLS_LIMIT - 2)  /* 0 is "not patched", the last is "literal" */

/* Bits that occur often enough to be listed. */
struct fills {
        uint64_t bits[FILL_LIMIT];
        size_t   count[FILL_LIMIT];
        unsigned n;
};

static int
compare_bits(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return (x > y) - (x < y);
}

/* Keeps the FILL_LIMIT most frequent, most frequent first. */
static void
fills_add(struct fills *f, uint64_t bits, size_t count)
{
        unsigned at = f->n < FILL_LIMIT ? f->n++ : FILL_LIMIT - 1;

        if (at == FILL_LIMIT - 1 && f->count[at] >= count)
                return;
        for (; at > 0 && f->count[at - 1] < count; at--) {
                f->bits[at] = f->bits[at - 1];
                f->count[at] = f->count[at - 1];
        }
        f->bits[at] = bits;
        f->count[at] = count;
}

/* SORTED, (n): a fill is at least two values and one in 64. */
static void
fills_find(const uint64_t *sorted, size_t n, struct fills *f)
{
        for (size_t i = 0; i < n;) {
                size_t from = i;
                while (i < n && sorted[i] == sorted[from])
                        i++;
                if (i - from >= 2 && i - from >= n / 64)
                        fills_add(f, sorted[from], i - from);
        }
}

/* Index of BITS among the fills, or their number. */
static unsigned
fills_index(const struct fills *f, uint64_t bits)
{
        unsigned i = 0;

        while (i < f->n && f->bits[i] != bits)
                i++;
        return i;
}

static enum caefs_err
literals_write(const uint64_t *bits, size_t n, unsigned width, enum effort effort,
               struct arena *arena, struct bytes *out)
{
        uint8_t     *raw = arena_array(arena, n, width);
        struct bytes packed = { 0 };

        if (raw == NULL)
                return CAEFS_ERR_NOMEM;
        for (size_t i = 0; i < n; i++)
                for (unsigned b = 0; b < width; b++)
                        raw[i * width + b] = (uint8_t) (bits[i] >> (8 * b));
        enum caefs_err err = pack_encode(raw, n * width, effort, &packed);
        if (n > 1)
                bytes_put_varint(out, packed.size < n * width ? packed.size : 0);
        if (n > 1 && packed.size < n * width)
                bytes_put(out, packed.data, packed.size);
        else
                bytes_put(out, raw, n * width);
        bytes_free(&packed);
        return err;
}

/* Bits of the values where WHERE is set, ascending in position. */
static size_t
patched_bits(enum dtype t, const void *values, const uint8_t *where, size_t count, uint64_t *bits)
{
        size_t n = 0;

        for (size_t i = 0; i < count; i++)
                if (where[i] != 0)
                        bits[n++] = value_bits(t, values, i);
        return n;
}

enum caefs_err
patch_encode(enum dtype t, const void *values, const uint8_t *where, size_t count, size_t row,
             enum effort effort, struct arena *arena, struct bytes *out)
{
        struct arena_mark mark = arena_mark(arena);
        unsigned     width = dtype_size(t);
        struct fills fills = { .n = 0 };
        uint64_t    *bits = arena_array(arena, count, sizeof *bits);
        uint8_t     *symbol = arena_alloc(arena, count);

        if (bits == NULL || symbol == NULL)
                return CAEFS_ERR_NOMEM;
        size_t n = patched_bits(t, values, where, count, bits);
        qsort(bits, n, sizeof *bits, compare_bits);
        fills_find(bits, n, &fills);
        size_t nliterals = 0;
        for (size_t i = 0; i < count; i++) {
                uint64_t b = where[i] != 0 ? value_bits(t, values, i) : 0;
                unsigned at = where[i] != 0 ? fills_index(&fills, b) : 0;
                symbol[i] = where[i] != 0 ? (uint8_t) (at + 1) : 0;
                if (where[i] != 0 && at == fills.n)
                        bits[nliterals++] = b;
        }
        bytes_put_u8(out, (uint8_t) (fills.n * 2 + (nliterals > 0)));
        for (unsigned i = 0; i < fills.n; i++)
                for (unsigned b = 0; b < width; b++)
                        bytes_put_u8(out, (uint8_t) (fills.bits[i] >> (8 * b)));
        enum caefs_err err = symbols_encode(symbol, count, row, fills.n + 1 + (nliterals > 0),
                                            effort, arena, out);
        if (err == CAEFS_OK && nliterals > 0)
                err = literals_write(bits, nliterals, width, effort, arena, out);
        arena_release(arena, mark);
        return err == CAEFS_OK && out->failed ? CAEFS_ERR_NOMEM : err;
}

/* N literals as (n * width) bytes in value order at RAW. */
static enum caefs_err
literals_read(struct cursor *in, size_t n, unsigned width, uint8_t *raw)
{
        size_t packed_size = n > 1 ? cursor_varint_max(in, cursor_left(in)) : 0;
        const uint8_t *coded = cursor_take(in, packed_size > 0 ? packed_size : n * width);

        if (coded == NULL)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: exact values are cut short");
        if (packed_size > 0)
                return pack_decode(coded, packed_size, raw, n * width);
        memcpy(raw, coded, n * width);
        return CAEFS_OK;
}

static uint64_t
little_endian(const uint8_t *raw, unsigned width)
{
        uint64_t v = 0;

        for (unsigned b = 0; raw != NULL && b < width; b++)
                v |= (uint64_t) raw[b] << (8 * b);
        return v;
}

static enum caefs_err
patch_read(struct cursor *in, enum dtype t, size_t count, size_t row, struct arena *arena,
           void *values)
{
        unsigned width = dtype_size(t), head = cursor_u8(in), nfills = head / 2;
        unsigned nsymbols = nfills + 1 + head % 2;
        uint64_t fill[FILL_LIMIT];
        uint8_t *symbol = arena_alloc(arena, count);

        if (symbol == NULL)
                return CAEFS_ERR_NOMEM;
        if (nfills > FILL_LIMIT || nsymbols < 2)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: malformed patch");
        for (unsigned i = 0; i < nfills; i++)
                fill[i] = little_endian(cursor_take(in, width), width);
        enum caefs_err err = symbols_decode(in, count, row, nsymbols, arena, symbol);
        if (err != CAEFS_OK)
                return err;
        size_t nliterals = 0;
        for (size_t i = 0; i < count; i++)
                nliterals += symbol[i] > nfills;
        uint8_t *raw = arena_array(arena, nliterals + 1, width);
        if (raw == NULL)
                return CAEFS_ERR_NOMEM;
        if (head % 2 != 0)
                err = literals_read(in, nliterals, width, raw);
        for (size_t i = 0; i < count && err == CAEFS_OK; i++) {
                if (symbol[i] == 0)
                        continue;
                if (symbol[i] > nfills) {
                        value_put_bits(t, values, i, little_endian(raw, width));
                        raw += width;
                } else {
                        value_put_bits(t, values, i, fill[symbol[i] - 1]);
                }
        }
        return err;
}

enum caefs_err
patch_apply(struct cursor *in, enum dtype t, size_t count, size_t row, struct arena *arena,
            void *values)
{
        struct arena_mark mark = arena_mark(arena);
        enum caefs_err    err = patch_read(in, t, count, row, arena, values);

        arena_release(arena, mark);
        return err;
}
