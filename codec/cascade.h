/* codec/cascade.h - the passes of a pyramid, coarse to fine.
 *
 * An array of four axes (axis 3 the fastest; unused ones have extent 1) is halved
 * along some axes a number of times.  What is left at the end is the base.  Each
 * pass then doubles one axis again: the known points become the even ones, and
 * the odd ones between them are what the pass rebuilds (codec/stencil.h).  Axes
 * that are not halved (time, say) keep their extent throughout: a target then has
 * neighbours before it on that axis.
 *
 * Zhao et al., Optimizing error-bounded lossy compression for scientific data by
 * dynamic spline interpolation (SZ3), 2021; with levels of smaller steps: Liu et
 * al., Dynamic quality metric oriented error bounded lossy compression (QoZ), 2022.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_CASCADE_H
#define CAEFS_CODEC_CASCADE_H

#include "codec/stencil.h"

#define CASCADE_MAX_LEVELS 28
#define CASCADE_MAX_PASSES (AXES * CASCADE_MAX_LEVELS + 1)

/* How an array is taken apart.  */
struct cascade_plan {
        unsigned levels;                /* 0: the base is everything */
        unsigned split;                 /* bit a: axis a is halved */
        unsigned order[AXES];           /* in which axes are doubled on each level */
        unsigned tighten;               /* 0 to CASCADE_MAX_TIGHTEN: how much smaller
                                         * steps get on coarser levels */
};

#define CASCADE_MAX_TIGHTEN 15

struct cascade {
        unsigned    npasses;            /* at least 1: the base */
        struct pass pass[CASCADE_MAX_PASSES];
};

/* Halvings until an axis of this extent has one point. */
unsigned cascade_levels_of(size_t extent);

void cascade_build(const struct cascade_plan *plan, const size_t extent[AXES], struct cascade *c);

/* The step of a level: STEP on level 1, then by a factor 8 / (8 + tighten) smaller
 * each level, down to a quarter. */
int32_t cascade_step(const struct cascade_plan *plan, int32_t step, unsigned level);

size_t pass_count(const struct pass *p);                /* targets */
size_t pass_rows(const struct pass *p);
void   pass_row_index(const struct pass *p, size_t row, size_t index[AXES - 1]);

#endif
