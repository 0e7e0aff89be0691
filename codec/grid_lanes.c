/* codec/grid_lanes.c - the usual grids of contiguous values, for several CPUs.
 *
 * Loops of a fixed length, which compilers turn into vector instructions for each CPU
 * they are compiled for.
 */
#include "codec/grid_lanes.h"

#include <string.h>

#include "codec/cpu.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* No grid integer: limits are far below it. */
#define NONE INT32_MIN

/* 1.5 * 2^52: the sum with a small number has that, rounded to nearest, in its low
 * bits. */
#define MAGIC 0x1.8p52

ALWAYS_INLINE int64_t
bits_of(double x)
{
        int64_t bits;

        memcpy(&bits, &x, sizeof bits);
        return bits;
}

/* NONE where X is out of reach, or NaN.  Comparing magnitudes as integers leaves a loop
 * without branches. */
ALWAYS_INLINE void
forward_block(const struct grid_line *g, const float *restrict x, int32_t *restrict out)
{
        double  origin = g->origin, inverse = g->inverse, shift = g->shift;
        int64_t limit = bits_of(g->limit);

        for (size_t i = 0; i < GRID_LANES_BLOCK; i++) {
                double  q = ((double) x[i] - origin) * inverse + shift;
                int64_t k = bits_of(q + MAGIC) - bits_of(MAGIC);
                int64_t out_of_reach = -(int64_t) ((bits_of(q) & INT64_MAX) >= limit);
                out[i] = (int32_t) ((k & ~out_of_reach) | (NONE & out_of_reach));
        }
}

ALWAYS_INLINE void
mark_none(int32_t *restrict out, uint8_t *restrict hole)
{
        int32_t least = 0;

        for (size_t i = 0; i < GRID_LANES_BLOCK; i++)
                least = out[i] < least ? out[i] : least;
        for (size_t i = 0; least == NONE && i < GRID_LANES_BLOCK; i++) {
                hole[i] |= out[i] == NONE;
                out[i] = out[i] == NONE ? 0 : out[i];
        }
}

ALWAYS_INLINE void
inverse_block(const struct grid_line *g, const int32_t *restrict k, float *restrict out)
{
        double origin = g->origin, unit = g->unit;

        for (size_t i = 0; i < GRID_LANES_BLOCK; i++)
                out[i] = (float) ((double) k[i] * unit + origin);
}

#define DEFINE_LANES(SUFFIX, TARGET)                                                    \
TARGET static void                                                                      \
forward_##SUFFIX(const struct grid_line *g, const float *x, size_t n, int32_t *out,     \
                 uint8_t *hole)                                                         \
{                                                                                       \
        for (size_t i = 0; i < n; i += GRID_LANES_BLOCK) {                              \
                forward_block(g, x + i, out + i);                                       \
                mark_none(out + i, hole + i);                                           \
        }                                                                               \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
inverse_##SUFFIX(const struct grid_line *g, const int32_t *k, size_t n, float *out)     \
{                                                                                       \
        for (size_t i = 0; i < n; i += GRID_LANES_BLOCK)                                \
                inverse_block(g, k + i, out + i);                                       \
}                                                                                       \
                                                                                        \
static const struct grid_lanes lanes_##SUFFIX = { forward_##SUFFIX, inverse_##SUFFIX };

DEFINE_LANES_OF_EVERY_CPU

const struct grid_lanes *
grid_lanes(void)
{
        return LANES_OF_THIS_CPU;
}
