/* codec/grid_lanes.h - the usual grids of contiguous values, for several CPUs.
 *
 * All give the same numbers: every value is one chain of IEEE operations, without
 * contraction.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_GRID_LANES_H
#define CAEFS_CODEC_GRID_LANES_H

#include <stddef.h>
#include <stdint.h>

/* x' = origin + k * unit. */
struct grid_line {
        double origin;
        double unit;
        double inverse;         /* 1 / unit */
        double shift;           /* added before integers are rounded to nearest */
        double limit;           /* integers stay below it, which is at most 2^30 */
};

/* OUT[i] is the integer of X[i], and HOLE[i] is set to 1 and OUT[i] to 0 where there is
 * none; N is a multiple of GRID_LANES_BLOCK. */
typedef void grid_line_forward(const struct grid_line *g, const float *x, size_t n,
                               int32_t *out, uint8_t *hole);

/* OUT[i] is the value of K[i], rounded to float. */
typedef void grid_line_inverse(const struct grid_line *g, const int32_t *k, size_t n, float *out);

#define GRID_LANES_BLOCK 64

struct grid_lanes {
        grid_line_forward *forward;
        grid_line_inverse *inverse;
};

/* The fastest that this CPU has. */
const struct grid_lanes *grid_lanes(void);

#endif
