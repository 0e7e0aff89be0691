/* test_grid.c - values become integers and come back as each grid promises. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/grid_fit.h"
#include "codec/grid_log.h"
#include "codec/value.h"

#define COUNT 5000

/* xorshift64*: small and the same everywhere. */
static uint64_t random_state = 88172645463325252;

static double
random_unit(void)
{
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return (double) ((random_state * 0x2545f4914f6cdd1d) >> 11) * 0x1p-53;
}

static size_t
holes_in(const uint8_t *hole, size_t n)
{
        size_t holes = 0;

        for (size_t i = 0; i < n; i++)
                holes += hole[i];
        return holes;
}

/* G written and read again. */
static struct grid
through_record(const struct grid *g, struct arena *arena)
{
        struct bytes  record = { 0 };
        struct grid   back;

        assert_int_equal(grid_write(g, &record), CAEFS_OK);
        struct cursor in = cursor_of(record.data, record.size);
        assert_int_equal(grid_parse(&in, g->dtype, arena, &back), CAEFS_OK);
        assert_int_equal(cursor_left(&in), 0);
        assert_int_equal(back.kind, g->kind);
        assert_int_equal(back.wide, g->wide);
        assert_int_equal(back.step, g->step);
        bytes_free(&record);
        return back;
}

/* Doubles that lie on G come back bit for bit, through a record as well. */
static void
assert_exact(const struct grid *fitted, const double *x, size_t n, size_t allowed_holes)
{
        static int64_t integers[COUNT];
        static uint8_t hole[COUNT];
        static double  back[COUNT];
        struct arena   arena = { 0 };
        struct grid    g = through_record(fitted, &arena);

        memset(hole, 0, sizeof hole);
        grid_forward(&g, x, n, 1, integers, hole);
        grid_inverse(&g, integers, n, 1, back);
        assert_in_range(holes_in(hole, n), 0, allowed_holes);
        for (size_t i = 0; i < n; i++)
                if (!hole[i])
                        assert_memory_equal(&x[i], &back[i], sizeof x[i]);
        arena_free(&arena);
}

static void
statistics(const double *x, size_t n, struct value_statistics *s)
{
        value_statistics_of(DTYPE_F64, x, n, 1, NULL, s);
}

static void
test_linear_steps_reach_both_sides(void **state)
{
        static double  x[COUNT], back[COUNT];
        static int32_t integers[COUNT];
        static uint8_t hole[COUNT];
        struct value_statistics s;
        struct grid    g;

        (void) state;
        for (int i = 0; i < COUNT; i++)
                x[i] = 100 * (random_unit() - 0.3);
        statistics(x, COUNT, &s);
        assert_true(grid_fit_linear(DTYPE_F64, &s, 0.01, &g));
        assert_int_equal(g.step, GRID_STEP);
        memset(hole, 0, sizeof hole);
        grid_forward(&g, x, COUNT, 1, integers, hole);
        assert_int_equal(holes_in(hole, COUNT), 0);
        /* What prediction may add: from 1 - step/2 to step/2. */
        for (int shift = 1 - GRID_STEP / 2; shift <= GRID_STEP / 2; shift += GRID_STEP - 1) {
                int32_t moved[COUNT];
                for (int i = 0; i < COUNT; i++)
                        moved[i] = integers[i] + shift;
                grid_inverse(&g, moved, COUNT, 1, back);
                for (int i = 0; i < COUNT; i++)
                        assert_true(fabs(back[i] - x[i]) <= 0.01);
        }
        /* And little of the bound is given away. */
        assert_true(g.unit * GRID_STEP >= 0.02 * 0.999);
}

static void
test_log_steps_reach_both_sides(void **state)
{
        static double  x[COUNT], back[COUNT];
        static int32_t integers[COUNT];
        static uint8_t hole[COUNT];
        static const double bounds[] = { 1e-6, 1e-3, 0.1, 0.5, 0.9, 3 };
        struct value_statistics s;
        struct grid    g;

        (void) state;
        for (int i = 0; i < COUNT; i++)
                x[i] = ldexp(1 + random_unit(), (int) (random_unit() * 40) - 20);
        statistics(x, COUNT, &s);
        for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++) {
                assert_true(grid_fit_log(DTYPE_F64, &s, bounds[b], &g));
                memset(hole, 0, sizeof hole);
                grid_forward(&g, x, COUNT, 1, integers, hole);
                assert_int_equal(holes_in(hole, COUNT), 0);
                int32_t lowest = g.step == 1 ? 0 : (int32_t) (1 - g.step / 2);
                int32_t highest = g.step == 1 ? 0 : (int32_t) (g.step / 2);
                for (int end = 0; end < 2; end++) {
                        int32_t moved[COUNT];
                        for (int i = 0; i < COUNT; i++)
                                moved[i] = integers[i] + (end == 0 ? lowest : highest);
                        grid_inverse(&g, moved, COUNT, 1, back);
                        for (int i = 0; i < COUNT; i++)
                                assert_true(fabs(back[i] - x[i]) <= bounds[b] * x[i]);
                }
        }
}

/* The table and polynomial against the C library, and its limits. */
static void
test_exp2(void **state)
{
        static const double special[] = { -INFINITY, INFINITY, NAN, 0, 1, -1074, 1023 };
        double out[sizeof special / sizeof special[0]];

        (void) state;
        for (int i = 0; i < 100000; i++) {
                double y = (random_unit() - 0.5) * 2040, x;
                exp2_block(&y, 1, &x);
                assert_true(fabs(x - exp2(y)) <= 4e-16 * exp2(y));
        }
        exp2_block(special, sizeof special / sizeof special[0], out);
        assert_true(out[0] == 0 && isinf(out[1]) && out[2] == 0);
        assert_true(out[3] == 1 && out[4] == 2 && out[5] == 0x1p-1074 && out[6] == 0x1p1023);
}

static void
test_log_centre(void **state)
{
        (void) state;
        for (double e = 1e-6; e < 0.5; e *= 1.5) {
                double high = log2(1 + e), low = log2(1 - e);
                assert_true(fabs(log_centre(high - low) - (high + low) / 2) < 1e-5 * e);
        }
}

static void
test_bits_hold_everything(void **state)
{
        static const double x[] = { 0.0, -0.0, INFINITY, -INFINITY, NAN, -NAN, 0x1p-1074, -0x1p-1074,
                                    1.5, -1.5, 1e300, -1e300 };
        struct grid g;

        (void) state;
        grid_fit_bits(DTYPE_F64, x, sizeof x / sizeof x[0], 1, &g);
        assert_int_equal(g.kind, GRID_BITS);
        assert_true(g.wide);
        assert_exact(&g, x, sizeof x / sizeof x[0], 0);
}

/* Zero bits at the end of all values make narrow integers. */
static void
test_bits_drop_zeros(void **state)
{
        static double x[COUNT];
        struct grid   g;

        (void) state;
        for (int i = 0; i < COUNT; i++)
                x[i] = ldexp(floor(random_unit() * 65536) + 65536, -3) * (i % 2 != 0 ? 1 : -1);
        for (int i = 0; i < COUNT; i += 2)
                x[i] = fabs(x[i]);
        grid_fit_bits(DTYPE_F64, x, COUNT / 2, 2, &g);
        assert_true(g.shift >= 36);
        assert_exact(&g, x, COUNT, 0);
        assert_false(g.wide);
}

static void
test_decimals(void **state)
{
        static double x[COUNT];
        struct value_statistics s;
        struct grid   g;

        (void) state;
        for (int d = 0; d < 9; d++) {
                for (int i = 0; i < COUNT; i++)
                        x[i] = rint((random_unit() - 0.5) * 1e6) / powers_of_ten[d];
                statistics(x, COUNT, &s);
                assert_true(grid_fit_decimal(DTYPE_F64, x, COUNT, 1, &s, &g));
                assert_int_equal(g.exponent, d);
                assert_false(g.wide);
                /* Negative zeros are holes only to the caller, who compares bits. */
                for (int i = 0; i < COUNT; i++)
                        x[i] = x[i] == 0 ? 0 : x[i];
                assert_exact(&g, x, COUNT, 0);
        }
}

static void
test_noise_is_not_decimal(void **state)
{
        static double x[COUNT];
        struct value_statistics s;
        struct grid   g;

        (void) state;
        for (int i = 0; i < COUNT; i++)
                x[i] = random_unit();
        statistics(x, COUNT, &s);
        assert_false(grid_fit_decimal(DTYPE_F64, x, COUNT, 1, &s, &g));
        assert_false(grid_fit_binary(DTYPE_F64, x, COUNT, 1, &s, &g));
        assert_false(grid_fit_digits(DTYPE_F64, x, COUNT, 1, &s, &g));
        assert_false(grid_fit_single(DTYPE_F64, x, COUNT, 1, &g));
}

static void
test_fixed_point_and_single(void **state)
{
        static double x[COUNT];
        struct value_statistics s;
        struct grid   g;

        (void) state;
        for (int i = 0; i < COUNT; i++)
                x[i] = ldexp(rint((random_unit() - 0.5) * 100000) + 0.5, -7);
        statistics(x, COUNT, &s);
        assert_true(grid_fit_binary(DTYPE_F64, x, COUNT, 1, &s, &g));
        assert_int_equal(g.exponent, -8);
        assert_exact(&g, x, COUNT, 0);
        for (int i = 0; i < COUNT; i++)
                x[i] = (float) (random_unit() - 0.5);
        assert_true(grid_fit_single(DTYPE_F64, x, COUNT, 1, &g));
        assert_false(g.wide);
        assert_exact(&g, x, COUNT, 0);
}

/* Text of six significant digits over many decades, as strtod() reads it. */
static void
test_significant_digits(void **state)
{
        static double x[COUNT];
        struct value_statistics s;
        struct grid   g;

        (void) state;
        for (int i = 0; i < COUNT; i++) {
                char text[40];
                snprintf(text, sizeof text, "%.5e",
                         (random_unit() - 0.5) * pow(10, random_unit() * 20 - 10));
                x[i] = strtod(text, NULL);
        }
        statistics(x, COUNT, &s);
        assert_true(grid_fit_digits(DTYPE_F64, x, COUNT, 1, &s, &g));
        assert_int_equal(g.digits, 6);
        assert_false(g.wide);
        assert_exact(&g, x, COUNT, COUNT / 100);
}

/* 16-bit integers with scale and offset, unpacked to float32. */
static void
test_packed_integers(void **state)
{
        static float   x[COUNT], back[COUNT];
        static int32_t integers[COUNT];
        static uint8_t hole[COUNT];
        struct arena   arena = { 0 };
        struct grid    table, g;
        bool           fits;

        (void) state;
        for (int i = 0; i < COUNT; i++)
                x[i] = (float) (floor(random_unit() * 3000) * 1.7265635 + 50123.77);
        assert_int_equal(grid_fit_table(DTYPE_F32, x, COUNT, 1, 4096, &arena, &table, &fits),
                         CAEFS_OK);
        assert_true(fits);
        assert_int_equal(grid_fit_packed(&table, &arena, &g, &fits), CAEFS_OK);
        assert_true(fits);
        g = through_record(&g, &arena);
        memset(hole, 0, sizeof hole);
        grid_forward(&g, x, COUNT, 1, integers, hole);
        grid_inverse(&g, integers, COUNT, 1, back);
        assert_int_equal(holes_in(hole, COUNT), 0);
        assert_memory_equal(x, back, sizeof x);
        arena_free(&arena);
}

static void
test_table(void **state)
{
        static double x[COUNT];
        struct arena  arena = { 0 };
        struct grid   g;
        bool          fits;

        (void) state;
        for (int i = 0; i < COUNT; i++)
                x[i] = sqrt(floor(random_unit() * 100)) - 3;
        assert_int_equal(grid_fit_table(DTYPE_F64, x, COUNT, 1, 100, &arena, &g, &fits), CAEFS_OK);
        assert_true(fits);
        assert_exact(&g, x, COUNT, 0);
        assert_int_equal(grid_fit_table(DTYPE_F64, x, COUNT, 1, 99, &arena, &g, &fits), CAEFS_OK);
        assert_false(fits);
        arena_free(&arena);
}

/* Keys are ordered as the values are, for every dtype, and give the bits back. */
static void
test_keys_are_ordered(void **state)
{
        (void) state;
        for (int t = DTYPE_F16; t < DTYPE_COUNT; t++) {
                int64_t before = INT64_MIN;
                for (int i = -50; i <= 50; i++) {
                        bool    is_unsigned = t >= DTYPE_U8;
                        double  x = is_unsigned ? i + 50 : i;
                        char    value[8];
                        values_from_doubles((enum dtype) t, &x, 1, 1, value);
                        uint64_t bits = value_bits((enum dtype) t, value, 0);
                        int64_t  key = value_key((enum dtype) t, bits);
                        assert_true(key > before || i == -50);
                        assert_int_equal(value_bits_of_key((enum dtype) t, key), bits);
                        before = key;
                }
        }
}

/* Every half and bfloat16 becomes a double and itself again; rounding is to even. */
static void
test_narrow_floats(void **state)
{
        (void) state;
        for (int t = DTYPE_F16; t <= DTYPE_BF16; t++)
                for (uint32_t bits = 0; bits < 65536; bits++) {
                        uint16_t was = (uint16_t) bits, is;
                        double   x;
                        values_to_doubles((enum dtype) t, &was, 1, 1, &x);
                        values_from_doubles((enum dtype) t, &x, 1, 1, &is);
                        if (x == x)
                                assert_int_equal(was, is);
                }
        const double   ties[] = { 1 + 0x1p-11, 1 + 0x3p-11, 65519.9, 65520, 0x1p-25, 0x1.1p-25 };
        const uint16_t want[] = { 0x3c00, 0x3c02, 0x7bff, 0x7c00, 0x0000, 0x0001 };
        for (size_t i = 0; i < 6; i++) {
                uint16_t is;
                values_from_doubles(DTYPE_F16, &ties[i], 1, 1, &is);
                assert_int_equal(is, want[i]);
        }
}

static void
test_short_doubles(void **state)
{
        (void) state;
        for (unsigned nbytes = 2; nbytes <= 9; nbytes++)
                for (int i = 0; i < 100; i++) {
                        double       x = ldexp(random_unit() + 0.5, i - 50);
                        double       below = short_double_below(x, nbytes);
                        struct bytes b = { 0 };
                        assert_true(below <= x && below > x * (1 - ldexp(1, 12 - 7 * (int) nbytes + 1)));
                        bytes_put_short_double(&b, below);
                        assert_in_range(b.size, 1, nbytes);
                        struct cursor in = cursor_of(b.data, b.size);
                        assert_true(cursor_short_double(&in) == below);
                        bytes_free(&b);
                }
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_linear_steps_reach_both_sides),
                cmocka_unit_test(test_log_steps_reach_both_sides),
                cmocka_unit_test(test_exp2),
                cmocka_unit_test(test_log_centre),
                cmocka_unit_test(test_bits_hold_everything),
                cmocka_unit_test(test_bits_drop_zeros),
                cmocka_unit_test(test_decimals),
                cmocka_unit_test(test_noise_is_not_decimal),
                cmocka_unit_test(test_fixed_point_and_single),
                cmocka_unit_test(test_significant_digits),
                cmocka_unit_test(test_packed_integers),
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_keys_are_ordered),
                cmocka_unit_test(test_narrow_floats),
                cmocka_unit_test(test_short_doubles),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
