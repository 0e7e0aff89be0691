/* fuzz_roundtrip.c - any values under any bound come back within it.
 *
 * The first bytes of the input choose dtype, scope, shape, effort, mode and
 * bound; the others are the values.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/chunk.h"
#include "codec/value.h"

#define HEAD 8

/* From libFuzzer, which declares it nowhere. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
holds(enum dtype t, enum bound_mode mode, double amount, uint64_t was, uint64_t is)
{
        uint64_t raw[2] = { 0, 0 };
        double   x, y;

        if (was == is)
                return true;
        if (mode == BOUND_LOSSLESS || !dtype_is_float(t))
                return false;
        value_put_bits(t, &raw[0], 0, was);
        value_put_bits(t, &raw[1], 0, is);
        values_to_doubles(t, &raw[0], 1, 1, &x);
        values_to_doubles(t, &raw[1], 1, 1, &y);
        if (!isfinite(x) || !isfinite(y) || (x == 0 && signbit(x)))
                return false;
        if (mode == BOUND_ABS)
                return fabs(y - x) <= amount;
        return x != 0 && y != 0 && signbit(x) == signbit(y) && fabs(y - x) <= amount * fabs(x);
}

/* Encodes, decodes and compares (n) values; aborts where the bound does not hold. */
static void
round_trip(const struct chunk_geometry *g, const struct chunk_bound *b, enum effort effort,
           const void *values, size_t n)
{
        unsigned             width = dtype_size(g->dtype);
        void                *back = calloc(n, width);
        struct chunk_options o = { .effort = effort };
        struct chunk_report  report;
        struct arena         arena = { 0 };
        struct bytes         coded = { 0 };

        if (back == NULL
            || chunk_encode(g, b, &o, values, NULL, &arena, &coded, NULL, &report) != CAEFS_OK
            || chunk_decode(g, coded.data, coded.size, &arena, back) != CAEFS_OK)
                abort();
        for (size_t i = 0; i < n; i++)
                if (!holds(g->dtype, b->mode, b->amount[0], value_bits(g->dtype, values, i),
                           value_bits(g->dtype, back, i)))
                        abort();
        bytes_free(&coded);
        arena_free(&arena);
        free(back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const enum bound_mode modes[] = { BOUND_LOSSLESS, BOUND_ABS, BOUND_PWREL };

        if (size < HEAD + 8)
                return 0;
        enum dtype t = (enum dtype) (1 + data[0] % (DTYPE_COUNT - 1));
        double     amount = ldexp(1 + data[4] / 256.0, (int8_t) data[3]);
        size_t     n = (size - HEAD) / dtype_size(t), last = 1 + data[2] % 16u;
        if (last > n)
                last = 1;
        n -= n % last;
        struct chunk_geometry g = {
                .dtype = t,
                .scope = (enum scope) (data[5] % 3),
                .shape = { 2, { n / last, last } },
        };
        struct chunk_bound b = { modes[data[1] % 3], &amount, 1 };
        void              *values = malloc(n * dtype_size(t));
        if (values == NULL)
                return 0;
        memcpy(values, data + HEAD, n * dtype_size(t));
        round_trip(&g, &b, (enum effort) (data[6] % 3), values, n);
        free(values);
        return 0;
}
