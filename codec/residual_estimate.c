/* codec/residual_estimate.c - what residuals would cost, without coding them.
 *
 * Entropy of the token given how large the two residuals before it are: the static
 * coder's own terms, with fewer classes and without a row back.  One pass. */
#include <string.h>

#include "codec/cpu.h"
#include "codec/residual.h"
#include "codec/token.h"

#define CLASSES 16
#define TOKENS  144             /* of 64-bit codes by the rule below: 136 */

static const struct token_rule rule = { .split = 4, .msb = 1 };

/* What a cell of the histogram costs to be described. */
static const double bits_a_cell = 2;

struct histogram {
        uint32_t count[CLASSES][TOKENS];        /* a cell's number is class * TOKENS + token */
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

/* Narrow residuals that are done together: cells are found by loops that vectorise. */
#define PIECE 1024

/* X as the bits of a floating-point number, never rounded up: where bits are lost, the
 * highest one of them is cleared. */
static inline uint32_t
float_bits(uint32_t x)
{
        float f = (float) (x & ~(x >> 24));
        uint32_t bits;

        memcpy(&bits, &f, sizeof bits);
        return bits;
}

/* CODE begins with those of the two residuals before the first of N. */
static inline __attribute__((always_inline)) void
find_cells(const int32_t *restrict r, size_t n, uint32_t code[restrict PIECE + 2],
           uint16_t cell[restrict PIECE])
{
        /* From LARGE on a sum is of the last class; tokens below PLAIN are codes. */
        const uint32_t large = 1u << (CLASSES - 2), plain = 1u << rule.split;

        for (size_t i = 0; i < n; i++)
                code[i + 2] = (uint32_t) r[i] << 1 ^ (uint32_t) (r[i] >> 31);
        for (size_t i = 0; i < n; i++) {
                uint32_t u = code[i + 2], u1 = code[i + 1], u2 = code[i];
                uint32_t sum = 2 * (u1 < large ? u1 : large) + (u2 < large ? u2 : large);
                uint32_t class = (float_bits(2 * (sum < large ? sum : large) + 1) >> 23) - 127;
                /* Exponent and the bit below the leading one: what the rule asks for. */
                uint32_t token = plain + (float_bits(u) >> 22) - ((127 + rule.split) << rule.msb);
                uint32_t direct = 0 - (uint32_t) (u < plain);
                cell[i] = (uint16_t) (class * TOKENS + ((u & direct) | (token & ~direct)));
        }
}

typedef void cells_function(const int32_t *r, size_t n, uint32_t code[PIECE + 2],
                            uint16_t cell[PIECE]);

static void
cells_plain(const int32_t *r, size_t n, uint32_t code[PIECE + 2], uint16_t cell[PIECE])
{
        find_cells(r, n, code, cell);
}

#if defined(__x86_64__)
TARGET_AVX2 static void
cells_avx2(const int32_t *r, size_t n, uint32_t code[PIECE + 2], uint16_t cell[PIECE])
{
        find_cells(r, n, code, cell);
}

TARGET_AVX512 static void
cells_avx512(const int32_t *r, size_t n, uint32_t code[PIECE + 2], uint16_t cell[PIECE])
{
        find_cells(r, n, code, cell);
}
#endif

static cells_function *
cells_best(void)
{
        switch (cpu_level()) {
#if defined(__x86_64__)
        case CPU_AVX512: return cells_avx512;
        case CPU_AVX2:   return cells_avx2;
#endif
        default:         return cells_plain;
        }
}

static void
count_narrow(const int32_t *r, size_t n, struct histogram *h)
{
        cells_function *cells = cells_best();
        /* By turns: an element that was just written would be waited for. */
        struct histogram other = { 0 };
        uint32_t *even = &h->count[0][0], *odd = &other.count[0][0];
        uint32_t code[PIECE + 2] = { 0 };
        uint16_t cell[PIECE];

        for (size_t at = 0; at < n; at += PIECE) {
                size_t piece = n - at < PIECE ? n - at : PIECE;
                cells(r + at, piece, code, cell);
                for (size_t i = 0; i + 2 <= piece; i += 2) {
                        even[cell[i]]++;
                        odd[cell[i + 1]]++;
                }
                if (piece % 2 != 0)
                        even[cell[piece - 1]]++;
                code[0] = code[PIECE];
                code[1] = code[PIECE + 1];
        }
        for (unsigned i = 0; i < CLASSES * TOKENS; i++)
                even[i] += odd[i];
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
