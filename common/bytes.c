/* common/bytes.c - growing byte buffers and bounded reading. */
#include "common/bytes.h"

#include <stdlib.h>

void
bytes_free(struct bytes *b)
{
        free(b->data);
        *b = (struct bytes) { 0 };
}

void
bytes_clear(struct bytes *b)
{
        b->size = 0;
        b->failed = false;
}

uint8_t *
bytes_reserve(struct bytes *b, size_t n)
{
        if (b->failed)
                return NULL;
        if (n <= b->capacity - b->size)
                return b->data + b->size;
        size_t want = b->capacity < 64 ? 64 : b->capacity * 2;
        if (n > SIZE_MAX / 4 || b->size > SIZE_MAX / 4) {
                b->failed = true;
                return NULL;
        }
        if (want < b->size + n)
                want = b->size + n;
        uint8_t *grown = realloc(b->data, want);
        if (grown == NULL) {
                b->failed = true;
                return NULL;
        }
        b->data = grown;
        b->capacity = want;
        return b->data + b->size;
}

void
bytes_put(struct bytes *b, const void *data, size_t n)
{
        if (n == 0)
                return;
        uint8_t *at = bytes_reserve(b, n);
        if (at == NULL)
                return;
        memcpy(at, data, n);
        b->size += n;
}

void
bytes_put_u8(struct bytes *b, uint8_t v)
{
        bytes_put(b, &v, 1);
}

/* The lowest N bytes of V, lowest first. */
static void
put_little_endian(struct bytes *b, uint64_t v, unsigned n)
{
        uint8_t raw[8];

        for (unsigned i = 0; i < n; i++)
                raw[i] = (uint8_t) (v >> (8 * i));
        bytes_put(b, raw, n);
}

void
bytes_put_u16(struct bytes *b, uint16_t v)
{
        put_little_endian(b, v, 2);
}

void
bytes_put_u32(struct bytes *b, uint32_t v)
{
        put_little_endian(b, v, 4);
}

void
bytes_put_u64(struct bytes *b, uint64_t v)
{
        put_little_endian(b, v, 8);
}

void
bytes_put_f64(struct bytes *b, double v)
{
        uint64_t bits;

        memcpy(&bits, &v, sizeof bits);
        bytes_put_u64(b, bits);
}

void
bytes_put_varint(struct bytes *b, uint64_t v)
{
        uint8_t  raw[10];
        unsigned n = 0;

        for (; v >= 0x80; v >>= 7)
                raw[n++] = (uint8_t) (v | 0x80);
        raw[n++] = (uint8_t) v;
        bytes_put(b, raw, n);
}

void
bytes_put_signed(struct bytes *b, int64_t v)
{
        bytes_put_varint(b, zigzag_encode(v));
}

struct cursor
cursor_of(const void *data, size_t n)
{
        const uint8_t *at = data;

        return (struct cursor) { .at = at, .end = n == 0 ? at : at + n };
}

size_t
cursor_left(const struct cursor *c)
{
        return (size_t) (c->end - c->at);
}

const uint8_t *
cursor_take(struct cursor *c, size_t n)
{
        if (c->failed || n > cursor_left(c)) {
                c->failed = true;
                return NULL;
        }
        const uint8_t *at = c->at;
        if (n > 0)
                c->at += n;
        return at;
}

static uint64_t
take_little_endian(struct cursor *c, unsigned n)
{
        const uint8_t *raw = cursor_take(c, n);
        uint64_t       v = 0;

        if (raw == NULL)
                return 0;
        for (unsigned i = 0; i < n; i++)
                v |= (uint64_t) raw[i] << (8 * i);
        return v;
}

uint8_t
cursor_u8(struct cursor *c)
{
        return (uint8_t) take_little_endian(c, 1);
}

uint16_t
cursor_u16(struct cursor *c)
{
        return (uint16_t) take_little_endian(c, 2);
}

uint32_t
cursor_u32(struct cursor *c)
{
        return (uint32_t) take_little_endian(c, 4);
}

uint64_t
cursor_u64(struct cursor *c)
{
        return take_little_endian(c, 8);
}

double
cursor_f64(struct cursor *c)
{
        uint64_t bits = cursor_u64(c);
        double   v;

        memcpy(&v, &bits, sizeof v);
        return v;
}

uint64_t
cursor_varint(struct cursor *c)
{
        uint64_t v = 0;

        for (unsigned shift = 0; shift < 64; shift += 7) {
                uint8_t byte = cursor_u8(c);
                if (shift == 63 && byte > 1)
                        break;          /* more than 64 bits */
                v |= (uint64_t) (byte & 0x7f) << shift;
                if (byte < 0x80)
                        return c->failed ? 0 : v;
        }
        c->failed = true;
        return 0;
}

int64_t
cursor_signed(struct cursor *c)
{
        return zigzag_decode(cursor_varint(c));
}

uint64_t
cursor_varint_max(struct cursor *c, uint64_t max)
{
        uint64_t v = cursor_varint(c);

        if (v > max) {
                c->failed = true;
                return 0;
        }
        return v;
}
