/* common/bytes.h - growing byte buffers and bounded reading.
 *
 * struct bytes is what encoders append to; struct cursor is how every parser
 * reads bytes it does not trust.  Both remember their first failure, so that a
 * run of calls needs one check at its end: bytes.failed (no memory) and
 * cursor.failed (read past the end, or a number that does not fit).
 *
 * Integers are little-endian.  A varint is LEB128: seven bits a byte, lowest
 * first, at most ten bytes.  A signed varint is zigzag coded first.
 *
 * Thread safety: none; an object belongs to one thread at a time.
 */
#ifndef CAEFS_COMMON_BYTES_H
#define CAEFS_COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* All zero is an empty buffer.  DATA is owned and freed by bytes_free(). */
struct bytes {
        uint8_t *data;
        size_t   size;
        size_t   capacity;
        bool     failed;        /* memory ran out: contents are not complete */
};

void bytes_free(struct bytes *b);       /* leaves an empty buffer */
void bytes_clear(struct bytes *b);      /* keeps the memory */

/* Room for N more bytes at the end: the place, or NULL on failure.  The caller
 * fills them and then adds what it used to b->size. */
uint8_t *bytes_reserve(struct bytes *b, size_t n);

void bytes_put(struct bytes *b, const void *data, size_t n);
void bytes_put_u8(struct bytes *b, uint8_t v);
void bytes_put_u16(struct bytes *b, uint16_t v);
void bytes_put_u32(struct bytes *b, uint32_t v);
void bytes_put_u64(struct bytes *b, uint64_t v);
void bytes_put_f64(struct bytes *b, double v);          /* its IEEE bits */
void bytes_put_varint(struct bytes *b, uint64_t v);
void bytes_put_signed(struct bytes *b, int64_t v);

/* Reads from AT up to END and never past it. */
struct cursor {
        const uint8_t *at;
        const uint8_t *end;
        bool           failed;  /* sticky; all later reads give 0 */
};

struct cursor cursor_of(const void *data, size_t n);
size_t        cursor_left(const struct cursor *c);

/* The next N bytes in place, or NULL (and failed) when fewer are left. */
const uint8_t *cursor_take(struct cursor *c, size_t n);

uint8_t  cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
double   cursor_f64(struct cursor *c);
uint64_t cursor_varint(struct cursor *c);
int64_t  cursor_signed(struct cursor *c);

/* A varint that must be at most MAX, else failed. */
uint64_t cursor_varint_max(struct cursor *c, uint64_t max);

/* Zigzag: 0, -1, 1, -2 … become 0, 1, 2, 3 … */
static inline uint64_t
zigzag_encode(int64_t v)
{
        return ((uint64_t) v << 1) ^ (uint64_t) (v >> 63);
}

static inline int64_t
zigzag_decode(uint64_t u)
{
        return (int64_t) (u >> 1) ^ -(int64_t) (u & 1);
}

#endif
