/* codec/value_lanes.h - passes over contiguous float32, for several CPUs.
 *
 * All work on the bits as integers, or are one chain of IEEE operations for each
 * value, so they give the same on every CPU.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_VALUE_LANES_H
#define CAEFS_CODEC_VALUE_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lengths are multiples of this. */
#define VALUE_LANES_BLOCK 64

/* What float32 values span, when all are finite. */
struct float_span {
        size_t   zeros;         /* of either sign */
        size_t   negatives;     /* sign bit set, zeros included */
        int32_t  low, high;     /* keys: codec/value.h */
        uint32_t smallest;      /* bits of the smallest magnitude but zero, less 1;
                                 * UINT32_MAX: all are zero */
};

struct value_lanes {
        /* Adds (n) values to SPAN; false, with SPAN as it was, when one is not finite. */
        bool (*span)(const float *x, size_t n, struct float_span *span);

        /* True when each |y - x| is at most LIMIT as rounded to double, *WORST being the
         * largest; all are numbers and none is -0. */
        bool (*within)(const float *x, const float *y, size_t n, double limit, double *worst);

        /* True when each |y - x| is clearly within RELATIVE * |x|, RELATIVE being below 1,
         * and has the sign of x.  *WORST and *SHARE: the largest, and the largest as a
         * share of what is allowed. */
        bool (*within_relative)(const float *x, const float *y, size_t n, double relative,
                                double *worst, double *share);
};

/* The fastest that this CPU has. */
const struct value_lanes *value_lanes(void);

#endif
