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

/* 2^n for -1022 <= n <= 1023. */
static inline double
power_of_two(int64_t n)
{
        uint64_t bits = (uint64_t) (n + 1023) << 52;
        double   x;

        memcpy(&x, &bits, sizeof x);
        return x;
}

static inline double
exp2_one(double y)
{
        y = y > -1100 ? y : -1100;      /* NaN as well */
        y = y < 1100 ? y : 1100;
        double  nearest = (y * 64 + 0x1.8p52) - 0x1.8p52;
        double  f = y - nearest * 0x1p-6;
        int64_t k = (int64_t) nearest;
        int64_t n = (k - (k & 63)) / 64;

        double p = 0x1.5d87fe78a6731p-10;
        p = p * f + 0x1.3b2ab6fba4e77p-7;
        p = p * f + 0x1.c6b08d704a0c0p-5;
        p = p * f + 0x1.ebfbdff82c58fp-3;
        p = p * f + 0x1.62e42fefa39efp-1;
        p = p * f + 1;
        /* Two factors, so that subnormal results are rounded once and overflow
         * comes out as infinity. */
        int64_t half = n / 2;
        return roots[k & 63] * p * power_of_two(half) * power_of_two(n - half);
}

void
exp2_block(const double *y, size_t n, double *out)
{
        for (size_t i = 0; i < n; i++)
                out[i] = exp2_one(y[i]);
}

void
log2_block(const double *x, size_t n, double *out)
{
        for (size_t i = 0; i < n; i++)
                out[i] = log2(fabs(x[i]));
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
