/* codec/residual_estimate.c - what residuals would cost, without coding them.
 *
 * Entropy of the magnitude's bit length given the bit length before it (so runs
 * of zeros come out as cheap as they are), plus the bits below the leading one and
 * the sign.  Sixteen classes are enough to tell predictors apart. */
#include "codec/residual.h"

#include <math.h>

#define CLASSES 66

/* 0 for 0, else bits of |V| and one for the sign: 2 for 1, 3 for 2 and 3 … */
static inline unsigned
zigzag_bits(uint64_t u)
{
        return u == 0 ? 0 : 64 - (unsigned) __builtin_clzll(u);
}

/* -sum n log2 (n / sum), in bits. */
static double
histogram_bits(const uint32_t *n, size_t count)
{
        double sum = 0, bits = 0;

        for (size_t i = 0; i < count; i++) {
                sum += n[i];
                if (n[i] > 0)
                        bits -= n[i] * log2(n[i]);
        }
        return sum > 0 ? bits + sum * log2(sum) : 0;
}

/* A class with few values still has to be described: about half a logarithm
 * a cell in use. */
static double
table_bits(uint32_t (*joint)[CLASSES])
{
        double bits = 0;

        for (size_t before = 0; before < CLASSES; before++) {
                bits += histogram_bits(joint[before], CLASSES);
                for (size_t now = 0; now < CLASSES; now++)
                        if (joint[before][now] > 0)
                                bits += (now > 1 ? now - 1.0 : now) * joint[before][now];
        }
        return bits;
}

double
residual_estimate(const int32_t *r, size_t n)
{
        uint32_t joint[CLASSES][CLASSES] = { 0 };
        unsigned before = 0;

        for (size_t i = 0; i < n; i++) {
                unsigned now = zigzag_bits((uint32_t) zigzag_encode(r[i]));
                joint[before][now]++;
                before = now;
        }
        return table_bits(joint);
}

double
residual_estimate_wide(const int64_t *r, size_t n)
{
        uint32_t joint[CLASSES][CLASSES] = { 0 };
        unsigned before = 0;

        for (size_t i = 0; i < n; i++) {
                unsigned now = zigzag_bits(zigzag_encode(r[i]));
                joint[before][now]++;
                before = now;
        }
        return table_bits(joint);
}
