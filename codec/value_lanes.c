/* codec/value_lanes.c - passes over contiguous float32, for several CPUs.
 *
 * Loops of a fixed length without branches, which compilers turn into vector
 * instructions for each CPU they are compiled for.  Doubles that are not negative
 * compare like their bits do.
 */
#include "codec/value_lanes.h"

#include <string.h>

#include "codec/cpu.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define INFINITE_BITS 0x7f800000

ALWAYS_INLINE void
span_block(const int32_t *restrict bits, struct float_span *s, int32_t *largest)
{
        int32_t  low = s->low, high = s->high, most = 0, zeros = 0, negatives = 0;
        uint32_t smallest = s->smallest;

        for (size_t i = 0; i < VALUE_LANES_BLOCK; i++) {
                int32_t magnitude = bits[i] & INT32_MAX;
                int32_t key = bits[i] ^ (bits[i] >> 31 & INT32_MAX);
                uint32_t less = (uint32_t) magnitude - 1;
                low = key < low ? key : low;
                high = key > high ? key : high;
                most = magnitude > most ? magnitude : most;
                smallest = less < smallest ? less : smallest;
                zeros += magnitude == 0;
                negatives += bits[i] < 0;
        }
        s->low = low;
        s->high = high;
        s->smallest = smallest;
        s->zeros += (size_t) zeros;
        s->negatives += (size_t) negatives;
        *largest = most > *largest ? most : *largest;
}

ALWAYS_INLINE bool
span_all(const float *x, size_t n, struct float_span *span)
{
        struct float_span s = *span;
        int32_t           largest = 0;

        for (size_t i = 0; i < n; i += VALUE_LANES_BLOCK) {
                int32_t bits[VALUE_LANES_BLOCK];
                memcpy(bits, x + i, sizeof bits);
                span_block(bits, &s, &largest);
        }
        if (largest >= INFINITE_BITS)
                return false;
        *span = s;
        return true;
}

ALWAYS_INLINE int64_t
magnitude_bits(double x)
{
        int64_t bits;

        memcpy(&bits, &x, sizeof bits);
        return bits & INT64_MAX;
}

ALWAYS_INLINE double
double_of(int64_t bits)
{
        double x;

        memcpy(&x, &bits, sizeof x);
        return x;
}

/* Largest error of a block, as bits. */
ALWAYS_INLINE int64_t
error_block(const float *restrict x, const float *restrict y)
{
        int64_t largest = 0;

        for (size_t i = 0; i < VALUE_LANES_BLOCK; i++) {
                int64_t error = magnitude_bits((double) y[i] - (double) x[i]);
                largest = error > largest ? error : largest;
        }
        return largest;
}

ALWAYS_INLINE bool
any_minus_zero(const float *x, const float *y)
{
        int32_t a[VALUE_LANES_BLOCK], b[VALUE_LANES_BLOCK], found = 0;

        memcpy(a, x, sizeof a);
        memcpy(b, y, sizeof b);
        for (size_t i = 0; i < VALUE_LANES_BLOCK; i++)
                found |= (a[i] == INT32_MIN) | (b[i] == INT32_MIN);
        return found != 0;
}

ALWAYS_INLINE bool
within_all(const float *x, const float *y, size_t n, double limit, double *worst)
{
        int64_t largest = 0;
        bool    zero = false;

        for (size_t i = 0; i < n; i += VALUE_LANES_BLOCK) {
                int64_t error = error_block(x + i, y + i);
                largest = error > largest ? error : largest;
                zero |= any_minus_zero(x + i, y + i);
        }
        *worst = double_of(largest);
        return !zero && largest <= magnitude_bits(limit);
}

/* What a block adds: bits of the largest error, and of its share of what is allowed;
 * TOO_FAR is negative where one is too large. */
struct relative_errors {
        int64_t worst, share, too_far;
};

ALWAYS_INLINE void
relative_block(const float *restrict x, const float *restrict y, double relative,
               struct relative_errors *r)
{
        int64_t worst = r->worst, largest = r->share, too_far = r->too_far;

        for (size_t i = 0; i < VALUE_LANES_BLOCK; i++) {
                double  was = x[i], is = y[i];
                int64_t error = magnitude_bits(is - was);
                double  allowed = double_of(magnitude_bits(was)) * relative;
                /* Where nothing is allowed and nothing is wrong the share is 0. */
                int64_t share = magnitude_bits(double_of(error) / (allowed + 0x1p-1000));
                too_far |= magnitude_bits(allowed * (1 - 0x1p-50)) - error;
                worst = error > worst ? error : worst;
                largest = share > largest ? share : largest;
        }
        *r = (struct relative_errors) { worst, largest, too_far };
}

ALWAYS_INLINE bool
signs_differ(const float *x, const float *y)
{
        int32_t a[VALUE_LANES_BLOCK], b[VALUE_LANES_BLOCK], differ = 0;

        memcpy(a, x, sizeof a);
        memcpy(b, y, sizeof b);
        for (size_t i = 0; i < VALUE_LANES_BLOCK; i++)
                differ |= a[i] ^ b[i];
        return differ < 0;
}

ALWAYS_INLINE bool
relative_all(const float *x, const float *y, size_t n, double relative, double *worst,
             double *share)
{
        struct relative_errors r = { 0 };
        bool                   differ = false;

        for (size_t i = 0; i < n; i += VALUE_LANES_BLOCK) {
                relative_block(x + i, y + i, relative, &r);
                differ |= signs_differ(x + i, y + i);
        }
        *worst = double_of(r.worst);
        *share = double_of(r.share);
        return !differ && r.too_far >= 0;
}

#define DEFINE_LANES(SUFFIX, TARGET)                                                    \
TARGET static bool                                                                      \
span_##SUFFIX(const float *x, size_t n, struct float_span *span)                        \
{                                                                                       \
        return span_all(x, n, span);                                                    \
}                                                                                       \
                                                                                        \
TARGET static bool                                                                      \
within_##SUFFIX(const float *x, const float *y, size_t n, double limit, double *worst)  \
{                                                                                       \
        return within_all(x, y, n, limit, worst);                                       \
}                                                                                       \
                                                                                        \
TARGET static bool                                                                      \
relative_##SUFFIX(const float *x, const float *y, size_t n, double relative,            \
                  double *worst, double *share)                                         \
{                                                                                       \
        return relative_all(x, y, n, relative, worst, share);                           \
}                                                                                       \
                                                                                        \
static const struct value_lanes lanes_##SUFFIX = {                                      \
        span_##SUFFIX, within_##SUFFIX, relative_##SUFFIX                               \
};

DEFINE_LANES_OF_EVERY_CPU

const struct value_lanes *
value_lanes(void)
{
        return LANES_OF_THIS_CPU;
}
