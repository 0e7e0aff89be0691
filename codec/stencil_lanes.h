/* codec/stencil_lanes.h - the inner loops of codec/stencil_row.c, for several CPUs.
 *
 * All give the same numbers: sums are exact (codec/stencil.h), so neither their
 * order nor fused multiply-add changes them.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_STENCIL_LANES_H
#define CAEFS_CODEC_STENCIL_LANES_H

#include <string.h>

#include "codec/stencil.h"

/* 1.5 * 2^52: a sum below 2^51 added to it stands in the low bits of the double. */
#define STENCIL_MAGIC 6755399441055744.0

struct stencil_lanes {
        /* SUM[x] for targets LO to HI, where no source is clamped. */
        void (*sum)(const struct row_stencil *r, size_t lo, size_t hi, double *sum);

        /* ROW[x] = prediction + step * residual[x] for the same; RESIDUAL NULL: the
         * prediction alone.  ROW overlaps neither RESIDUAL nor a source. */
        void (*rebuild)(const struct row_stencil *r, size_t lo, size_t hi,
                        const int32_t *residual, int32_t step, int32_t *row);
};

extern const struct stencil_lanes stencil_lanes_plain;

#if defined(__x86_64__)
extern const struct stencil_lanes stencil_lanes_avx2;
extern const struct stencil_lanes stencil_lanes_avx512;
#endif

static inline uint64_t
bits_of_double(double d)
{
        uint64_t u;
        memcpy(&u, &d, sizeof u);
        return u;
}

static inline uint64_t
half_of_shift(unsigned shift)
{
        return shift > 0 ? UINT64_C(1) << (shift - 1) : 0;
}

/* Added to the bits of MAGIC + sum: what is left is the sum with its rounding. */
static inline uint64_t
stencil_offset(const struct row_stencil *r)
{
        return half_of_shift(r->shift) - bits_of_double(STENCIL_MAGIC);
}

#endif
