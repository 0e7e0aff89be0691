/* codec/network_lanes.c - loops that compilers turn into vector instructions for each CPU
 * they are compiled for.
 */
#include "codec/network_lanes.h"

#include "codec/cpu.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE void
accumulate(const float *restrict product, int32_t scale, int32_t *restrict sum, size_t n)
{
        for (size_t i = 0; i < n; i++)
                sum[i] += (int32_t) product[i] * scale;
}

ALWAYS_INLINE void
place(const struct lanes_scale *s, const int32_t *sum, int32_t *out, size_t n)
{
        const int64_t multiplier = s->multiplier, half = (int64_t) 1 << (s->shift - 1);
        const unsigned shift = s->shift;
        const uint32_t low = s->low;

        for (size_t i = 0; i < n; i++)
                out[i] = (int32_t) (low + (uint32_t) ((sum[i] * multiplier + half) >> shift));
}

#define DEFINE_LANES(SUFFIX, TARGET)                                                    \
TARGET static void                                                                      \
accumulate_##SUFFIX(const float *product, int32_t scale, int32_t *sum, size_t n)        \
{                                                                                       \
        accumulate(product, scale, sum, n);                                             \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
place_##SUFFIX(const struct lanes_scale *s, const int32_t *sum, int32_t *out, size_t n) \
{                                                                                       \
        place(s, sum, out, n);                                                          \
}                                                                                       \
                                                                                        \
static const struct network_lanes lanes_##SUFFIX = { accumulate_##SUFFIX, place_##SUFFIX };

DEFINE_LANES_OF_EVERY_CPU

const struct network_lanes *
network_lanes(void)
{
        return LANES_OF_THIS_CPU;
}
