/* codec/difference.h - differences over a lag, one after another.
 *
 * A row of integers x becomes
 *
 *     y[i] = x[i] - x[i - lag]    where lag <= i mod period < limit,
 *     y[i] = x[i]                 elsewhere,
 *
 * in integers that wrap around.  One such step along each axis of an array is
 * the Lorenzo predictor of that many dimensions (Ibarria et al., Out-of-core
 * compression and decompression of large n-dimensional scalar fields, 2003);
 * the same step twice is a difference of second order.  The inverse is a prefix
 * sum for each step, last step first.
 *
 * The integers are int64_t when WIDE, else int32_t.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_DIFFERENCE_H
#define CAEFS_CODEC_DIFFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 1 <= lag < limit <= period. */
struct difference {
        size_t lag;
        size_t period;
        size_t limit;
};

/* Two strides, a step for each of four axes, a second order, and the head. */
#define DIFFERENCE_MAX 8

/* All N >= 1 values at X in place: forward those of x - origin, and the inverse gives
 * origin + step * x. */
void difference_forward(const struct difference *d, size_t nsteps, bool wide, void *x, size_t n,
                        int64_t origin);
void difference_inverse(const struct difference *d, size_t nsteps, bool wide, void *x, size_t n,
                        int64_t step, int64_t origin);

/* OUT, (n), becomes what difference_forward() would leave at X[start] to
 * X[start + n - 1]; X is left alone.  SCRATCH holds nsteps * n integers. */
void difference_window(const struct difference *d, size_t nsteps, bool wide, const void *x,
                       size_t start, size_t n, void *out, void *scratch);

#endif
