/* codec/patch.h - values kept exactly, beside a coding that does not hold them.
 *
 * A patch is a set of positions with the bits of the value at each.  Bits that
 * occur often (fill values, zeros, one NaN) are listed once and named by the
 * plane of positions; the others follow as literals.
 *
 * Thread safety: any number of threads, each with its own arena.
 */
#ifndef CAEFS_CODEC_PATCH_H
#define CAEFS_CODEC_PATCH_H

#include "codec/types.h"
#include "common/arena.h"
#include "common/bytes.h"

/* Appends the patch that holds VALUES (count, host order) wherever WHERE, (count),
 * is not zero.  ROW is the distance to the value above, 0: none. */
enum caefs_err patch_encode(enum dtype t, const void *values, const uint8_t *where,
                            size_t count, size_t row, enum effort effort,
                            struct arena *arena, struct bytes *out);

/* Puts the patch's bits into VALUES; reads up to its end and trusts nothing. */
enum caefs_err patch_apply(struct cursor *in, enum dtype t, size_t count, size_t row,
                           struct arena *arena, void *values);

#endif
