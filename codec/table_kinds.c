/* codec/table_kinds.c - which columns and classes of a table share statistics.
 *
 * Lloyd's method (1982) with the bits that one distribution takes when coded as another
 * (Kullback and Leibler) as distance.
 */
#include <math.h>

#include "codec/table_fit.h"

#define ROUNDS 12

unsigned
table_token(int32_t residual)
{
        const uint64_t u = zigzag_encode(residual);

        if (u < 16)
                return (unsigned) u;
        const unsigned octave = 63 - (unsigned) __builtin_clzll(u);
        return 16 + 2 * (octave - 4) + (unsigned) (u >> (octave - 1) & 1);
}

unsigned
table_token_bits(unsigned token)
{
        return token < 16 ? 0 : (token - 16) / 2 + 3;
}

struct kinds {
        const uint32_t *histogram;
        size_t          n;
        double        (*count)[TABLE_TOKENS];           /* (TABLE_KINDS) */
        double        (*bits)[TABLE_TOKENS];            /* (TABLE_KINDS): of each token */
};

static void
sum_up(const struct kinds *k, const uint8_t *kind)
{
        for (unsigned i = 0; i < TABLE_KINDS; i++)
                for (unsigned t = 0; t < TABLE_TOKENS; t++)
                        k->count[i][t] = 0;
        for (size_t j = 0; j < k->n; j++)
                for (unsigned t = 0; t < TABLE_TOKENS; t++)
                        k->count[kind[j]][t] += k->histogram[j * TABLE_TOKENS + t];
        for (unsigned i = 0; i < TABLE_KINDS; i++) {
                double total = 0;
                for (unsigned t = 0; t < TABLE_TOKENS; t++)
                        total += k->count[i][t] + 0.02;
                for (unsigned t = 0; t < TABLE_TOKENS; t++)
                        k->bits[i][t] = log2(total / (k->count[i][t] + 0.02));
        }
}

/* Bits of one histogram's tokens coded as those of a kind. */
static double
bits_as(const struct kinds *k, size_t j, unsigned kind)
{
        double bits = 0;

        for (unsigned t = 0; t < TABLE_TOKENS; t++)
                bits += k->histogram[j * TABLE_TOKENS + t] * k->bits[kind][t];
        return bits;
}

static double
assign(const struct kinds *k, uint8_t *kind)
{
        double total = 0;

        for (size_t j = 0; j < k->n; j++) {
                double least = INFINITY;
                for (unsigned i = 0; i < TABLE_KINDS; i++) {
                        const double bits = bits_as(k, j, i);
                        if (bits < least) {
                                least = bits;
                                kind[j] = (uint8_t) i;
                        }
                }
                total += least;
        }
        return total;
}

/* At first, by the mean of their tokens: kinds of about as many values each. */
static void
begin(const struct kinds *k, uint8_t *kind)
{
        double of_token[TABLE_TOKENS * 4] = { 0 }, all = 0, before = 0;

        for (int pass = 0; pass < 2; pass++) {
                for (size_t j = 0; j < k->n; j++) {
                        double count = 0, sum = 0;
                        for (unsigned t = 0; t < TABLE_TOKENS; t++) {
                                count += k->histogram[j * TABLE_TOKENS + t];
                                sum += (double) t * k->histogram[j * TABLE_TOKENS + t];
                        }
                        const size_t mean = count > 0 ? (size_t) (4 * sum / count) : 0;
                        if (pass == 0)
                                of_token[mean] += count;
                        else
                                kind[j] = (uint8_t) (of_token[mean] * (TABLE_KINDS - 1));
                        all += pass == 0 ? count : 0;
                }
                for (size_t m = 0; pass == 0 && m < TABLE_TOKENS * 4; m++) {
                        const double own = of_token[m];
                        of_token[m] = all > 0 ? (before + own / 2) / all : 0;
                        before += own;
                }
        }
}

double
table_make_kinds(const uint32_t *histogram, size_t n, struct arena *arena, uint8_t *kind)
{
        struct kinds k = {
                .histogram = histogram, .n = n,
                .count = arena_array(arena, TABLE_KINDS, sizeof *k.count),
                .bits = arena_array(arena, TABLE_KINDS, sizeof *k.bits),
        };
        double total = 0;

        if (k.count == NULL || k.bits == NULL)
                return INFINITY;
        begin(&k, kind);
        for (int round = 0; round < ROUNDS; round++) {
                sum_up(&k, kind);
                total = assign(&k, kind);
        }
        return total;
}
