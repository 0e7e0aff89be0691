/* codec/pack_backend.h - zstd, bzip2 and liblzma without their containers.
 *
 * Each writes as few bytes of its own as the library allows: no magic numbers,
 * no sizes, no checksums where they can be left out.  Private to codec/pack.c.
 *
 * Thread safety: any number of threads.
 */
#ifndef CAEFS_CODEC_PACK_BACKEND_H
#define CAEFS_CODEC_PACK_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/types.h"
#include "common/bytes.h"

/* Encoders append to OUT; false when the result would take LIMIT bytes or more
 * (OUT is then as it was) or when memory is out (OUT has failed).  N is at least 1. */
bool backend_zstd_encode(const uint8_t *data, size_t n, int level, size_t limit,
                         struct bytes *out);
bool backend_bzip2_encode(const uint8_t *data, size_t n, size_t limit, struct bytes *out);

/* PROPERTIES as in an .lzma header: (pb * 5 + lp) * 9 + lc; written as the first
 * byte.  PRESET 0 to 9 as of xz; 9 is its extreme form. */
bool backend_lzma_encode(const uint8_t *data, size_t n, unsigned properties, unsigned preset,
                         size_t limit, struct bytes *out);

/* Decoders read all of IN and give exactly N bytes, or fail. */
enum caefs_err backend_zstd_decode(const uint8_t *in, size_t in_size, uint8_t *data, size_t n);
enum caefs_err backend_bzip2_decode(const uint8_t *in, size_t in_size, uint8_t *data, size_t n);
enum caefs_err backend_lzma_decode(const uint8_t *in, size_t in_size, uint8_t *data, size_t n);

#endif
