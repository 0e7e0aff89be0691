/* codec/residual_estimate.c - what residuals would cost, without coding them.
 *
 * Entropy of the token given how large the two residuals before it are: the static
 * coder's own terms, with fewer classes and without a row back.  One pass. */
#include <string.h>

#include "codec/residual.h"
#include "codec/token.h"

#define CLASSES 16
#define TOKENS  144             /* of 64-bit codes by the rule below: 136 */

static const struct token_rule rule = { .split = 4, .msb = 1 };

/* What a cell of the histogram costs to be described. */
static const double bits_a_cell = 2;

struct histogram {
        uint32_t count[CLASSES][TOKENS];
};

/* The class that codes U1 and, before it, U2 make for what follows. */
static inline unsigned
class_after(uint64_t u1, uint64_t u2)
{
        const uint64_t limit = UINT64_C(1) << 32;
        uint64_t sum = 2 * (u1 < limit ? u1 : limit) + (u2 < limit ? u2 : limit);
        unsigned length = 63 - (unsigned) __builtin_clzll(2 * sum + 1);

        return length < CLASSES ? length : CLASSES - 1;
}

/* log2(c) to 0.002, the same on every machine and without a call: the exponent of the
 * double, and a polynomial of its mantissa.  C > 0. */
static inline double
rough_log2(uint32_t c)
{
        double d = c;
        uint64_t u;

        memcpy(&u, &d, sizeof u);
        double exponent = (double) (int32_t) (u >> 52) - 1023;
        u = (u & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1023) << 52;
        memcpy(&d, &u, sizeof d);
        double m = d - 1;
        return exponent + m * (1 + (1 - m) * (0.44 - m * (0.2417 - m * 0.0823)));
}

/* Bits of WEIGHT times as many residuals as were counted. */
static double
class_bits(const uint32_t count[TOKENS], double weight)
{
        uint32_t sum = 0, cells = 0;
        double bits = 0;

        for (unsigned t = 0; t < TOKENS; t++) {
                sum += count[t];
                cells += count[t] > 0;
        }
        for (unsigned t = 0; t < TOKENS && sum > 0; t++)
                if (count[t] > 0)
                        bits += count[t] * (token_raw_bits(rule, t) - rough_log2(count[t]));
        return sum > 0 ? cells * bits_a_cell + weight * (bits + sum * rough_log2(sum)) : 0;
}

static double
histogram_bits(const struct histogram *h, double weight)
{
        double bits = 0;

        for (unsigned c = 0; c < CLASSES; c++)
                bits += class_bits(h->count[c], weight);
        return bits;
}

/* Tokens of small codes, which are most. */
#define SMALL 256

static inline __attribute__((always_inline)) void
count_residuals(const void *r, bool wide, size_t n, struct histogram *h)
{
        uint8_t small[SMALL];
        uint64_t u1 = 0, u2 = 0;

        for (unsigned u = 0; u < SMALL; u++)
                small[u] = (uint8_t) token_of(rule, u);
        for (size_t i = 0; i < n; i++) {
                uint64_t u = zigzag_encode(wide ? ((const int64_t *) r)[i] :
                                                  ((const int32_t *) r)[i]);
                h->count[class_after(u1, u2)][u < SMALL ? small[u] : token_of(rule, u)]++;
                u2 = u1;
                u1 = u;
        }
}

double
residual_estimate(const int32_t *r, size_t n)
{
        return residual_estimate_sample(r, n, false, n);
}

double
residual_estimate_wide(const int64_t *r, size_t n)
{
        return residual_estimate_sample(r, n, true, n);
}

double
residual_estimate_sample(const void *r, size_t n, bool wide, size_t count)
{
        struct histogram h = { 0 };

        if (n == 0)
                return 0;
        if (wide)
                count_residuals(r, true, n, &h);
        else
                count_residuals(r, false, n, &h);
        return histogram_bits(&h, (double) count / (double) n);
}
