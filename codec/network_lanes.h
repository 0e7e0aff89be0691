/* codec/network_lanes.h - what exact inference does element by element, for several CPUs.
 *
 * Integer arithmetic, the same on all of them.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_NETWORK_LANES_H
#define CAEFS_CODEC_NETWORK_LANES_H

#include <stddef.h>
#include <stdint.h>

/* A scale as multiplier / 2^shift, and what is added to its product with a sum. */
struct lanes_scale {
        int64_t  multiplier;    /* 0 to 2^31: products have at most 62 bits */
        unsigned shift;         /* 1 to 62 */
        uint32_t low;
};

struct network_lanes {
        /* SUM (n) += scale * PRODUCT, whole numbers below 2^24 held as float. */
        void (*accumulate)(const float *product, int32_t scale, int32_t *sum, size_t n);

        /* OUT (n) = low + SUM * multiplier / 2^shift, rounded, modulo 2^32; OUT may be SUM. */
        void (*place)(const struct lanes_scale *s, const int32_t *sum, int32_t *out, size_t n);
};

/* The fastest for this CPU (codec/cpu.h). */
const struct network_lanes *network_lanes(void);

#endif
