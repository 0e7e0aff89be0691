/* codec/sample.h - estimates from a sample of many residuals; for encoders only.
 *
 * Thread safety: pure functions, each call with its own arena.
 */
#ifndef CAEFS_CODEC_SAMPLE_H
#define CAEFS_CODEC_SAMPLE_H

#include "codec/types.h"
#include "common/arena.h"

/* About how many values are enough to tell two predictions of COUNT values apart,
 * by effort; at most COUNT. */
size_t sample_size(size_t count, enum effort effort);

/* Where window W of N begins, of those that may begin at 0 to ROOM.  Each has a stretch of
 * its own and lies in it where the golden ratio says: windows at equal distances would
 * all see the same columns of an array whose rows divide that distance. */
static inline size_t
sample_window(size_t w, size_t n, size_t room)
{
        double turn = (double) w * 0.61803398874989485;

        return (size_t) ((double) room * ((double) w + turn - (double) (size_t) turn) / (double) n);
}

/* residual_estimate() of all COUNT residuals, int64_t when WIDE, else int32_t, from
 * windows spread over them that hold about WANTED.  From all of them when memory is
 * out. */
double sample_estimate(const void *residual, size_t count, bool wide, size_t wanted,
                       struct arena *arena);

#endif
