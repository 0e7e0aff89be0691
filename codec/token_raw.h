/* codec/token_raw.h - raw bits, one field after another.
 *
 * Private to the codecs of rows (codec/token_rows.h).
 *
 * Thread safety: none; an object belongs to one thread at a time.
 */
#ifndef CAEFS_CODEC_TOKEN_RAW_H
#define CAEFS_CODEC_TOKEN_RAW_H

#include <string.h>

#include "codec/token_rows.h"

static inline uint64_t
little_endian(uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        return __builtin_bswap64(v);
#else
        return v;
#endif
}

/* V has N bits, at most 56. */
static inline void
token_put_raw(struct token_writer *w, uint64_t v, unsigned n)
{
        w->pending |= v << w->npending;
        uint64_t bytes = little_endian(w->pending);
        memcpy(w->raw, &bytes, sizeof bytes);
        w->npending += n;
        w->raw += w->npending / 8;
        w->pending >>= w->npending / 8 * 8;
        w->npending %= 8;
}

static inline uint64_t
token_load_raw(const uint8_t *raw, uint64_t bit)
{
        uint64_t v;

        memcpy(&v, raw + (bit >> 3), sizeof v);
        return little_endian(v) >> (bit & 7);
}

/* The N bits that come next, at most 63. */
static inline uint64_t
token_take_raw(struct token_reader *in, unsigned n)
{
        uint64_t v = token_load_raw(in->raw, in->bit);

        if (n > 57)
                v = (v & UINT32_MAX) | token_load_raw(in->raw, in->bit + 32) << 32;
        in->bit += n;
        return v & ((UINT64_C(1) << n) - 1);
}

/* The zigzag code of TOKEN, with its raw bits. */
static inline uint64_t
token_take_code(struct token_reader *in, unsigned token)
{
        return in->base[token] + token_take_raw(in, in->nraw[token]);
}

#endif
