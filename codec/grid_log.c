/* codec/grid_log.c - the exponential and logarithm behind the log grid.
 *
 * 2^y = 2^n * 2^(j/64) * 2^f with |f| <= 1/128: the first by writing an exponent,
 * the second from a table, the third by its Taylor polynomial of degree 5, whose
 * rest is below 2^-54 there.
 */
#include "codec/grid_log.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "codec/cpu.h"

/* 2^(j/64), each the nearest double. */
static const double roots[64] = {
        0x1p+0, 0x1.02c9a3e778061p+0, 0x1.059b0d3158574p+0, 0x1.0874518759bc8p+0,
        0x1.0b5586cf9890fp+0, 0x1.0e3ec32d3d1a2p+0, 0x1.11301d0125b51p+0, 0x1.1429aaea92de0p+0,
        0x1.172b83c7d517bp+0, 0x1.1a35beb6fcb75p+0, 0x1.1d4873168b9aap+0, 0x1.2063b88628cd6p+0,
        0x1.2387a6e756238p+0, 0x1.26b4565e27cddp+0, 0x1.29e9df51fdee1p+0, 0x1.2d285a6e4030bp+0,
        0x1.306fe0a31b715p+0, 0x1.33c08b26416ffp+0, 0x1.371a7373aa9cbp+0, 0x1.3a7db34e59ff7p+0,
        0x1.3dea64c123422p+0, 0x1.4160a21f72e2ap+0, 0x1.44e086061892dp+0, 0x1.486a2b5c13cd0p+0,
        0x1.4bfdad5362a27p+0, 0x1.4f9b2769d2ca7p+0, 0x1.5342b569d4f82p+0, 0x1.56f4736b527dap+0,
        0x1.5ab07dd485429p+0, 0x1.5e76f15ad2148p+0, 0x1.6247eb03a5585p+0, 0x1.6623882552225p+0,
        0x1.6a09e667f3bcdp+0, 0x1.6dfb23c651a2fp+0, 0x1.71f75e8ec5f74p+0, 0x1.75feb564267c9p+0,
        0x1.7a11473eb0187p+0, 0x1.7e2f336cf4e62p+0, 0x1.82589994cce13p+0, 0x1.868d99b4492edp+0,
        0x1.8ace5422aa0dbp+0, 0x1.8f1ae99157736p+0, 0x1.93737b0cdc5e5p+0, 0x1.97d829fde4e50p+0,
        0x1.9c49182a3f090p+0, 0x1.a0c667b5de565p+0, 0x1.a5503b23e255dp+0, 0x1.a9e6b5579fdbfp+0,
        0x1.ae89f995ad3adp+0, 0x1.b33a2b84f15fbp+0, 0x1.b7f76f2fb5e47p+0, 0x1.bcc1e904bc1d2p+0,
        0x1.c199bdd85529cp+0, 0x1.c67f12e57d14bp+0, 0x1.cb720dcef9069p+0, 0x1.d072d4a07897cp+0,
        0x1.d5818dcfba487p+0, 0x1.da9e603db3285p+0, 0x1.dfc97337b9b5fp+0, 0x1.e502ee78b3ff6p+0,
        0x1.ea4afa2a490dap+0, 0x1.efa1bee615a27p+0, 0x1.f50765b6e4540p+0, 0x1.fa7c1819e90d8p+0,
};

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* OUT[i] of IN[i]; N is a multiple of LANES. */
typedef void lanes_function(const double *in, size_t n, double *out);

struct log_lanes {
        lanes_function *exp2;
        lanes_function *log2;
};

/* Loops have this fixed length, which compilers turn into vector instructions. */
#define LANES 64

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

ALWAYS_INLINE double
double_of(int64_t bits)
{
        double x;

        memcpy(&x, &bits, sizeof x);
        return x;
}

/* Keeps exponents positive while they are shifted; even. */
#define BIAS ((uint64_t) 2048)

/* 2^n for -1022 <= n <= 1023, as an unsigned number that wraps around. */
ALWAYS_INLINE double
power_of_two(uint64_t n)
{
        return double_of((int64_t) ((n + 1023) << 52));
}

/* Y from -1100 to 1100; NaN becomes -1100.  As integers, magnitudes of doubles
 * compare without branches. */
ALWAYS_INLINE double
clamped(double y)
{
        int64_t bits = bits_of(y), magnitude = bits & INT64_MAX, most = bits_of(1100);
        int64_t below = magnitude > bits_of(INFINITY) ? INT64_MIN : bits & INT64_MIN;

        return double_of((magnitude < most ? magnitude : most) | below);
}

/* Two factors of a power of two, so that subnormal results are rounded once and overflow
 * comes out as infinity.  Looking up the roots is a loop of its own. */
ALWAYS_INLINE void
exp2_lanes(const double *restrict y, double *restrict out)
{
        double  f[LANES], root[LANES];
        int64_t k[LANES];

        for (size_t i = 0; i < LANES; i++) {
                double within = clamped(y[i]), sum = within * 64 + MAGIC;
                f[i] = within - (sum - MAGIC) * 0x1p-6;
                k[i] = bits_of(sum) - bits_of(MAGIC) + (int64_t) (64 * BIAS);
        }
        for (size_t i = 0; i < LANES; i++)
                root[i] = roots[k[i] & 63];
        for (size_t i = 0; i < LANES; i++) {
                /* Halves as of a division that rounds to zero. */
                uint64_t n = (uint64_t) k[i] >> 6, negative = n < BIAS;
                uint64_t half = ((n - BIAS + 4 * BIAS + negative) >> 1) - 2 * BIAS;
                double   p = 0x1.5d87fe78a6731p-10;
                p = p * f[i] + 0x1.3b2ab6fba4e77p-7;
                p = p * f[i] + 0x1.c6b08d704a0c0p-5;
                p = p * f[i] + 0x1.ebfbdff82c58fp-3;
                p = p * f[i] + 0x1.62e42fefa39efp-1;
                p = p * f[i] + 1;
                out[i] = root[i] * p * power_of_two(half) * power_of_two(n - BIAS - half);
        }
}

/* x = 2^e * m with m from about sqrt(1/2) to sqrt(2), and log2(m) by the series of the
 * inverse hyperbolic tangent of (m - 1) / (m + 1), which is below 0.172: 11 terms leave
 * less than 2^-58.  Right for normal numbers; what others give is no number that a
 * value has. */
ALWAYS_INLINE void
log2_lanes(const double *restrict x, double *restrict out)
{
        const int64_t root = 0x3fe6a09e00000000;        /* bits of about sqrt(1/2) */

        for (size_t i = 0; i < LANES; i++) {
                int64_t bits = bits_of(x[i]) & INT64_MAX;
                int64_t above = bits - root;
                int64_t e = (int64_t) ((uint64_t) above >> 52 << 52);
                double  m = double_of(bits - e);
                /* The exponent, sign-extended from 12 bits, as a double. */
                double  exponent = double_of((int64_t) ((((uint64_t) above + ((uint64_t) 2048 << 52))
                                                         >> 52) | 0x4330000000000000))
                                   - (0x1p52 + 2048);
                double  t = (m - 1) / (m + 1), t2 = t * t;
                double  p = 2.0 / 21;
                p = p * t2 + 2.0 / 19;
                p = p * t2 + 2.0 / 17;
                p = p * t2 + 2.0 / 15;
                p = p * t2 + 2.0 / 13;
                p = p * t2 + 2.0 / 11;
                p = p * t2 + 2.0 / 9;
                p = p * t2 + 2.0 / 7;
                p = p * t2 + 2.0 / 5;
                p = p * t2 + 2.0 / 3;
                p = p * t2 + 2.0;
                out[i] = exponent + p * t * 0x1.71547652b82fep+0;
        }
}

#define DEFINE_LANES(SUFFIX, TARGET)                                            \
TARGET static void                                                              \
exp2_##SUFFIX(const double *y, size_t n, double *out)                           \
{                                                                               \
        for (size_t i = 0; i < n; i += LANES)                                   \
                exp2_lanes(y + i, out + i);                                     \
}                                                                               \
                                                                                \
TARGET static void                                                              \
log2_##SUFFIX(const double *x, size_t n, double *out)                           \
{                                                                               \
        for (size_t i = 0; i < n; i += LANES)                                   \
                log2_lanes(x + i, out + i);                                     \
}                                                                               \
                                                                                \
static const struct log_lanes lanes_##SUFFIX = { exp2_##SUFFIX, log2_##SUFFIX };

DEFINE_LANES_OF_EVERY_CPU

static const struct log_lanes *
log_lanes(void)
{
        return LANES_OF_THIS_CPU;
}

/* F on all of IN, the last few in a block of their own. */
static void
apply(lanes_function *f, const double *in, size_t n, double *out)
{
        size_t whole = n / LANES * LANES;
        double rest[LANES], done[LANES];

        f(in, whole, out);
        if (whole == n)
                return;
        for (size_t i = 0; i < LANES; i++)
                rest[i] = whole + i < n ? in[whole + i] : 1;
        f(rest, LANES, done);
        memcpy(out + whole, done, (n - whole) * sizeof *out);
}

void
exp2_block(const double *y, size_t n, double *out)
{
        apply(log_lanes()->exp2, y, n, out);
}

void
log2_block(const double *x, size_t n, double *out)
{
        apply(log_lanes()->log2, x, n, out);
}

double
log_centre(double width)
{
        /* -(z^2/2 - z^4/12 + z^6/45 - 17 z^8/2520 + 31 z^10/14175) / ln2 with
         * z = width ln2 / 2, the Taylor series of ln cosh. */
        double w2 = width * width;
        double p = -0x1.52c9a90c7606bp-24;
        p = p * w2 + 0x1.0fe45e0f09de9p-19;
        p = p * w2 - 0x1.d20aa8a0ddeecp-15;
        p = p * w2 + 0x1.c6b08d704a0c0p-10;
        p = p * w2 - 0x1.62e42fefa39efp-4;
        return p * w2;
}
