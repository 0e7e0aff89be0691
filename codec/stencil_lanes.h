/* codec/stencil_lanes.h - the inner loops of codec/stencil_row.c, for several CPUs.
 *
 * All are integers modulo 2^32, so all give the same numbers.  Rows are handled
 * ROWS_LANES targets at a time, past their end if need be.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_STENCIL_LANES_H
#define CAEFS_CODEC_STENCIL_LANES_H

#include "codec/stencil.h"

struct stencil_lanes {
        /* SUM[x]: over the sources, with rounding. */
        void (*sum)(const struct row_stencil *r, size_t n, int32_t *sum);

        /* ROW[x] = prediction + step * residual[x]. */
        void (*rebuild)(const struct row_stencil *r, size_t n, int32_t step,
                        const int32_t *residual, int32_t *row);

        /* RESIDUAL and ROW from TARGET, with a step of 2^LOG_STEP. */
        void (*code)(const struct row_stencil *r, size_t n, unsigned log_step,
                     const int32_t *target, int32_t *residual, int32_t *row);
};

/* The fastest for this CPU. */
const struct stencil_lanes *stencil_lanes(void);

#endif
