/* codec/residual_estimate.c - what residuals would cost, without coding them.
 *
 * Entropy of the token given how large the two residuals before it are: the static
 * coder's own terms, with fewer classes and without a row back.  One pass. */
#include <math.h>

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
        uint64_t sum = (u1 | u2) >> 32 ? UINT32_MAX : u1 + u1 + u2;
        unsigned length = sum == 0 ? 0 : 64 - (unsigned) __builtin_clzll(sum);

        return length < CLASSES ? length : CLASSES - 1;
}

/* Bits of WEIGHT times as many residuals as were counted. */
static double
class_bits(const uint32_t count[TOKENS], double weight)
{
        double sum = 0, bits = 0, cells = 0;

        for (unsigned t = 0; t < TOKENS; t++) {
                if (count[t] == 0)
                        continue;
                cells++;
                sum += count[t];
                bits += count[t] * (token_raw_bits(rule, t) - log2(count[t]));
        }
        return sum > 0 ? cells * bits_a_cell + weight * (bits + sum * log2(sum)) : 0;
}

static double
histogram_bits(const struct histogram *h, double weight)
{
        double bits = 0;

        for (unsigned c = 0; c < CLASSES; c++)
                bits += class_bits(h->count[c], weight);
        return bits;
}

static void
count_narrow(const int32_t *r, size_t n, struct histogram *h)
{
        uint64_t u1 = 0, u2 = 0;

        for (size_t i = 0; i < n; i++) {
                uint64_t u = zigzag_encode(r[i]);
                h->count[class_after(u1, u2)][token_of(rule, u)]++;
                u2 = u1;
                u1 = u;
        }
}

static void
count_wide(const int64_t *r, size_t n, struct histogram *h)
{
        uint64_t u1 = 0, u2 = 0;

        for (size_t i = 0; i < n; i++) {
                uint64_t u = zigzag_encode(r[i]);
                h->count[class_after(u1, u2)][token_of(rule, u)]++;
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
                count_wide(r, n, &h);
        else
                count_narrow(r, n, &h);
        return histogram_bits(&h, (double) count / (double) n);
}
