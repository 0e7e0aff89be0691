/* tests/unit/test_echo.c - the family `echo` finds what comes again, gives every value
 * back within half a step, and trusts nothing it reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/chunk.h"
#include "codec/echo.h"
#include "codec/model.h"
#include "codec/pack.h"

enum { BLOCK = 8, AREA = BLOCK * BLOCK, BLOCKS = 64, COUNT = BLOCKS * AREA };

static uint64_t
next_random(uint64_t *seed)
{
        *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        return *seed >> 33;
}

static void
noise(double *value)
{
        uint64_t seed = 9;

        for (size_t i = 0; i < COUNT; i++)
                value[i] = 1 + (double) next_random(&seed) / 1e9;
}

/* Blocks of noise; each of the second half is one of the first, turned by block % 4. */
static void
turned_blocks(double *value)
{
        uint64_t seed = 9;

        noise(value);
        for (size_t b = BLOCKS / 2; b < BLOCKS; b++) {
                const double *from = value + next_random(&seed) % (BLOCKS / 2) * AREA;
                for (size_t k = 0; k < AREA; k++) {
                        size_t row = k / BLOCK, column = k % BLOCK;
                        if (b & 1)
                                column = BLOCK - 1 - column;
                        if (b & 2)
                                row = BLOCK - 1 - row;
                        value[b * AREA + k] = from[row * BLOCK + column];
                }
        }
}

static const struct chunk_geometry plain = {
        .dtype = DTYPE_F64, .shape = { .ndim = 1, .extent = { COUNT } }, .scope = SCOPE_ARRAY,
};

/* Encodes with FAMILY alone, decodes, compares under an absolute bound AMOUNT (0: bit for
 * bit); returns the size. */
static size_t
coded_size(const struct chunk_geometry *g, const double *value, double amount, int family,
           struct chunk_report *report)
{
        const struct chunk_bound bound = {
                .mode = amount > 0 ? BOUND_ABS : BOUND_LOSSLESS, .amount = &amount, .namounts = 1,
        };
        const struct chunk_options options = { .effort = EFFORT_BALANCED, .family = family };
        struct arena arena = { 0 };
        struct bytes out = { 0 };
        double *back = malloc(COUNT * sizeof *back);

        assert_int_equal(chunk_encode(g, &bound, &options, value, NULL, &arena, &out, NULL,
                                      report), CAEFS_OK);
        assert_int_equal(chunk_decode(g, out.data, out.size, &arena, back), CAEFS_OK);
        for (size_t i = 0; i < COUNT; i++)
                assert_true(back[i] - value[i] <= amount && value[i] - back[i] <= amount);
        const size_t size = out.size;
        arena_free(&arena);
        bytes_free(&out);
        free(back);
        return size;
}

/* Noise that comes again, turned, costs half of what noise costs. */
static void
test_blocks_come_again(void **state)
{
        static const double amount[] = { 0, 1e-6, 1e-2 };
        double *value = malloc(COUNT * sizeof *value), *other = malloc(COUNT * sizeof *other);
        struct chunk_report report;

        (void) state;
        turned_blocks(value);
        noise(other);
        for (size_t i = 0; i < sizeof amount / sizeof *amount; i++) {
                const size_t found = coded_size(&plain, value, amount[i], 0, &report);
                assert_int_equal(report.family, FAMILY_ECHO);
                assert_false(report.uses_model);
                assert_true(10 * found < 6 * coded_size(&plain, other, amount[i], 0, &report));
        }
        free(value);
        free(other);
}

/* A model whose example is VALUE. */
static struct model *
model_of(const double *value, double amount)
{
        const struct chunk_bound bound = { .mode = BOUND_ABS, .amount = &amount, .namounts = 1 };
        const struct chunk_options options = { .effort = EFFORT_BALANCED };
        const struct model_info info = { .bound = { BOUND_ABS, amount } };
        struct model_part part = { .family = FAMILY_ECHO };
        struct arena arena = { 0 };
        struct bytes coded = { 0 };
        struct model *m = NULL;

        assert_int_equal(chunk_encode(&plain, &bound, &options, value, NULL, &arena, &coded, NULL,
                                      NULL), CAEFS_OK);
        echo_example_write(DTYPE_F64, &plain.shape, &coded, &part.bytes);
        assert_int_equal(model_build(&info, &part, 1, &m), CAEFS_OK);
        arena_free(&arena);
        bytes_free(&coded);
        bytes_free(&part.bytes);
        return m;
}

/* What a model has as an example costs next to nothing, though the example was stored
 * within a bound; without the model it cannot be read. */
static void
test_examples(void **state)
{
        double *value = malloc(COUNT * sizeof *value), *back = malloc(COUNT * sizeof *back);
        struct chunk_geometry g = plain;
        struct chunk_report report;

        (void) state;
        turned_blocks(value);
        struct model *m = model_of(value, 1e-3);
        g.model = m;
        assert_true(coded_size(&g, value, 1e-3, 0, &report) < 100);
        assert_int_equal(report.family, FAMILY_ECHO);
        assert_true(report.uses_model);

        const double amount = 1e-3;
        const struct chunk_bound bound = { .mode = BOUND_ABS, .amount = &amount, .namounts = 1 };
        const struct chunk_options options = { .effort = EFFORT_BALANCED };
        struct arena arena = { 0 };
        struct bytes out = { 0 };
        assert_int_equal(chunk_encode(&g, &bound, &options, value, NULL, &arena, &out, NULL,
                                      NULL), CAEFS_OK);
        assert_int_equal(chunk_decode(&plain, out.data, out.size, &arena, back), CAEFS_ERR_MODEL);
        arena_free(&arena);
        bytes_free(&out);
        model_free(m);
        free(value);
        free(back);
}

/* An earlier object's values serve as well, aligned or not. */
static void
test_reference(void **state)
{
        double *value = malloc(COUNT * sizeof *value);
        struct chunk_geometry g = plain;
        struct chunk_report report;

        (void) state;
        turned_blocks(value);
        const struct reference before = {
                .dtype = DTYPE_F64, .values = value, .count = COUNT / 2, .at = REFERENCE_NOWHERE,
        };
        const size_t alone = coded_size(&g, value, 1e-6, 0, &report);
        g.reference = &before;
        assert_true(5 * coded_size(&g, value, 1e-6, 0, &report) < alone);
        assert_int_equal(report.family, FAMILY_QUOTE);
        free(value);
}

/* Whatever SIDE says, decoding ends with integers or an error. */
static void
test_hostile_side(void **state)
{
        enum { N = 512, TRIALS = 20000 };
        const struct grid grid = { .kind = GRID_LINEAR, .dtype = DTYPE_F64, .step = 4, .unit = 1 };
        struct field f = {
                .geometry = {
                        .shape = { .ndim = 1, .extent = { N } }, .count = N, .step = 4,
                        .grid = &grid,
                },
                .effort = EFFORT_BALANCED,
        };
        static int32_t value[N], back[N];
        struct arena arena = { 0 };
        struct prediction p;
        uint64_t seed = 4;
        size_t refused = 0;
        double bits;

        (void) state;
        for (size_t i = 0; i < N; i++)
                value[i] = i < N / 2 ? (int32_t) next_random(&seed) : value[N - 1 - i];
        f.grid = value;
        assert_int_equal(family_echo.encode(&f, &arena, &p, &bits), CAEFS_OK);
        assert_true(p.count == 0 && bits < 40 * N);
        uint8_t *side = malloc(p.side.size);
        for (int trial = 0; trial < TRIALS; trial++) {
                struct arena own = { 0 };
                size_t size = trial % 8 == 0 ? next_random(&seed) % p.side.size : p.side.size;
                memcpy(side, p.side.data, p.side.size);
                for (int flips = trial % 5; flips > 0; flips--)
                        side[next_random(&seed) % 24] = (uint8_t) next_random(&seed);
                struct cursor in = cursor_of(side, size), coded = cursor_of(side, size);
                refused += family_echo.decode(&f.geometry, &in, &coded, &own, back) != CAEFS_OK;
                arena_free(&own);
        }
        assert_true(refused > TRIALS / 2);
        struct cursor in = cursor_of(p.side.data, p.side.size), none = { 0 };
        assert_int_equal(family_echo.decode(&f.geometry, &in, &none, &arena, back), CAEFS_OK);
        for (size_t i = 0; i < N; i++)
                assert_true(abs(back[i] - value[i]) <= 2);
        free(side);
        bytes_free(&p.side);
        arena_free(&arena);
}

/* Parts that are cut short or too large are refused before memory is asked for. */
static void
test_hostile_part(void **state)
{
        double *value = malloc(COUNT * sizeof *value);
        size_t size;

        (void) state;
        turned_blocks(value);
        struct model *m = model_of(value, 1e-2);
        const uint8_t *blob = model_blob(m, &size);
        struct model_part part = { .family = FAMILY_ECHO };
        const struct model_info info = { .bound.mode = BOUND_LOSSLESS };
        struct model *out;
        static const uint8_t huge[] = {
                DTYPE_F64, 2, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f, 1, 0,
        };

        bytes_put(&part.bytes, huge, sizeof huge);
        assert_int_equal(model_build(&info, &part, 1, &out), CAEFS_ERR_CORRUPT);
        for (size_t n = 1; n < 200; n++) {
                bytes_clear(&part.bytes);
                bytes_put(&part.bytes, blob + 20, n);
                assert_int_not_equal(model_build(&info, &part, 1, &out), CAEFS_OK);
        }
        bytes_free(&part.bytes);
        model_free(m);
        free(value);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_blocks_come_again),
                cmocka_unit_test(test_examples),
                cmocka_unit_test(test_reference),
                cmocka_unit_test(test_hostile_side),
                cmocka_unit_test(test_hostile_part),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
