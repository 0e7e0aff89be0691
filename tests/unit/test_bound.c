/* test_bound.c - whatever goes in, what comes out is within its bound.
 *
 * Random and adversarial arrays of every dtype, shape, mode and bound through
 * chunk_encode() and chunk_decode(), judged by a comparison of the test's own.
 * CAEFS_TEST_LONG=1 runs many more cases, CAEFS_TEST_CASES=N that many;
 * CAEFS_TEST_SEED=N begins with another one.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/chunk.h"
#include "tests/random_array.h"
#include "tools/judge.h"

#define MAX_COUNT 6000

/* One case. */
struct trial {
        struct chunk_geometry geometry;
        struct chunk_bound    bound;
        struct chunk_options  options;
        double                amount[MAX_COUNT];
        size_t                count;
        unsigned              kind;
        uint8_t              *keep;     /* or NULL */
};

static void
bound_random(struct trial *t)
{
        const struct shape *s = &t->geometry.shape;
        size_t              last = s->ndim > 0 ? s->extent[s->ndim - 1] : 1;
        bool columns = t->geometry.scope != SCOPE_ARRAY && s->ndim >= 2 && last > 1;

        static const enum bound_mode modes[] = { BOUND_LOSSLESS, BOUND_ABS, BOUND_PWREL };
        t->bound.mode = modes[random_below(3)];
        t->bound.amount = t->amount;
        t->bound.namounts = columns && t->bound.mode == BOUND_ABS && random_below(2) != 0 ? last : 1;
        for (size_t i = 0; i < t->bound.namounts; i++)
                t->amount[i] = random_below(20) == 0 ? 0 : random_amount(t->bound.mode);
        if (t->bound.namounts == 1 && t->amount[0] == 0)
                t->amount[0] = 1e-3;
}

static bool
value_holds(const struct trial *t, double amount, const uint8_t *was, const uint8_t *is)
{
        enum dtype d = t->geometry.dtype;
        double     x, y;

        if (memcmp(was, is, dtype_size(d)) == 0)
                return true;
        if (t->bound.mode == BOUND_LOSSLESS || !dtype_is_float(d))
                return false;
        values_to_doubles(d, was, 1, 1, &x);
        values_to_doubles(d, is, 1, 1, &y);
        if (!isfinite(x) || !isfinite(y) || (x == 0 && (signbit(x) || y == 0)))
                return false;
        if (t->bound.mode == BOUND_PWREL && (x == 0 || y == 0 || signbit(x) != signbit(y)))
                return false;
        return judge_value(t->bound.mode, amount, x, y);
}

static void
check_values(const struct trial *t, const uint8_t *was, const uint8_t *is)
{
        size_t width = dtype_size(t->geometry.dtype);

        for (size_t i = 0; i < t->count; i++) {
                double amount = t->amount[t->bound.namounts > 1 ? i % t->bound.namounts : 0];
                bool   exact = t->keep != NULL && t->keep[i] != 0;
                if (exact ? memcmp(was + i * width, is + i * width, width) == 0
                          : value_holds(t, amount, was + i * width, is + i * width))
                        continue;
                fail_msg("value %zu of %zu, kind %u, dtype %s, mode %s, bound %g: %016llx -> %016llx",
                         i, t->count, t->kind, dtype_name(t->geometry.dtype),
                         bound_mode_name(t->bound.mode), amount,
                         (unsigned long long) value_bits(t->geometry.dtype, was, i),
                         (unsigned long long) value_bits(t->geometry.dtype, is, i));
        }
}

static void
trial_random(struct trial *t, uint8_t *values, uint8_t *keep)
{
        *t = (struct trial) { .kind = (unsigned) random_below(RANDOM_KINDS) };
        t->geometry.dtype = random_dtype();
        t->geometry.big_endian = random_below(4) == 0;
        t->options.effort = random_below(20) == 0 ? EFFORT_MAX : (enum effort) random_below(2);
        t->geometry.shape = random_shape((unsigned) random_below(7), MAX_COUNT);
        t->count = shape_count(&t->geometry.shape);
        t->geometry.scope = (enum scope) random_below(3);
        values_random(t->geometry.dtype, t->kind, t->count, values);
        bound_random(t);
        if (random_below(4) == 0) {
                unsigned one_in = 1 + (unsigned) random_below(50);
                for (size_t i = 0; i < t->count; i++)
                        keep[i] = random_below(one_in) == 0;
                t->keep = keep;
        }
}

/* Values in the byte order that the geometry says. */
static void
to_chunk_order(const struct trial *t, uint8_t *values)
{
        if (t->geometry.big_endian)
                values_swap(values, t->count, dtype_size(t->geometry.dtype), values);
}

static void
run_trial(uint64_t seed, struct arena *arena)
{
        static struct trial t;
        static _Alignas(8) uint8_t values[MAX_COUNT * 8], served[MAX_COUNT * 8], back[MAX_COUNT * 8];
        static uint8_t      keep[MAX_COUNT];
        struct bytes        coded = { 0 };
        struct chunk_report report;

        random_state = seed * 0x2545f4914f6cdd1d;
        trial_random(&t, values, keep);
        to_chunk_order(&t, values);
        if (chunk_encode(&t.geometry, &t.bound, &t.options, values, t.keep, arena, &coded, served,
                         &report) != CAEFS_OK)
                fail_msg("seed %llu: chunk_encode: %s", (unsigned long long) seed, caefs_detail());
        if (chunk_decode(&t.geometry, coded.data, coded.size, arena, back) != CAEFS_OK)
                fail_msg("seed %llu: chunk_decode: %s", (unsigned long long) seed, caefs_detail());
        assert_memory_equal(served, back, t.count * dtype_size(t.geometry.dtype));
        /* Never much larger than the values themselves. */
        assert_true(coded.size <= t.count * dtype_size(t.geometry.dtype) + 16);
        to_chunk_order(&t, values);
        to_chunk_order(&t, back);
        check_values(&t, values, back);
        bytes_free(&coded);
}

static bool
long_test(void)
{
        const char *text = getenv("CAEFS_TEST_LONG");

        return text != NULL && *text == '1';
}

static void
test_random_arrays(void **state)
{
        const char  *count = getenv("CAEFS_TEST_CASES");
        const char  *from = getenv("CAEFS_TEST_SEED");
        uint64_t     cases = count != NULL ? strtoull(count, NULL, 10) : long_test() ? 200000 : 1000;
        uint64_t     first = from != NULL ? strtoull(from, NULL, 10) : 1;
        struct arena arena = { 0 };

        (void) state;
        for (uint64_t seed = first; seed < first + cases; seed++)
                run_trial(seed, &arena);
        arena_free(&arena);
}

/* Among the smallest subnormals a share of a value is no number of the dtype, and must
 * not be rounded up to one. */
static void
test_share_of_a_subnormal(void **state)
{
        static double values[2000], back[2000];
        double        amount = 0x1.5bp-10;
        struct arena  arena = { 0 };
        struct bytes  coded = { 0 };
        struct chunk_report   report;
        struct chunk_geometry g = { .dtype = DTYPE_F64, .shape = { 1, { 2000 } } };
        struct chunk_bound    b = { BOUND_PWREL, &amount, 1 };
        struct chunk_options  o = { EFFORT_BALANCED, 0 };

        (void) state;
        random_state = 11;
        for (int i = 0; i < 2000; i++)
                values[i] = rint(exp(random_unit() * 16)) * 0x1p-1074;
        assert_int_equal(chunk_encode(&g, &b, &o, values, NULL, &arena, &coded, NULL, &report),
                         CAEFS_OK);
        assert_int_equal(chunk_decode(&g, coded.data, coded.size, &arena, back), CAEFS_OK);
        for (int i = 0; i < 2000; i++)
                assert_true(judge_value(BOUND_PWREL, amount, values[i], back[i]));
        bytes_free(&coded);
        arena_free(&arena);
}

/* A rewrite keeps every value exact, merges with earlier ones, and stays small. */
static void
test_amend_a_thousand_times(void **state)
{
        enum { COUNT = 2000 };
        static float  values[COUNT], back[COUNT];
        double        amount = 1e-3;
        struct arena  arena = { 0 };
        struct bytes  coded = { 0 }, next = { 0 };
        struct chunk_report   report;
        struct chunk_geometry g = { .dtype = DTYPE_F32, .shape = { 2, { 20, 100 } } };
        struct chunk_bound    b = { BOUND_ABS, &amount, 1 };
        struct chunk_options  o = { EFFORT_BALANCED, 0 };

        (void) state;
        for (int i = 0; i < COUNT; i++)
                values[i] = (float) (sin(i * 0.01) * cos(i * 0.0003));
        assert_int_equal(chunk_encode(&g, &b, &o, values, NULL, &arena, &coded, values, &report),
                         CAEFS_OK);
        size_t first = coded.size;
        random_state = 7;
        for (int i = 0; i < 1000; i++) {
                values[1321] = (float) random_unit();
                bytes_clear(&next);
                assert_int_equal(chunk_amend(&g, coded.data, coded.size, values, &arena, &next,
                                             &report), CAEFS_OK);
                assert_int_equal(chunk_decode(&g, next.data, next.size, &arena, back), CAEFS_OK);
                assert_memory_equal(values, back, sizeof values);
                assert_true(next.size <= first + 24);
                assert_int_equal(report.patched, 1);
                struct bytes swap = coded;
                coded = next;
                next = swap;
        }
        bytes_free(&coded);
        bytes_free(&next);
        arena_free(&arena);
}

/* Values that must come back bit for bit do, whatever the bound. */
static void
test_constant_costs_nothing(void **state)
{
        static double values[4096];
        double        amount = 1e-3;
        struct arena  arena = { 0 };
        struct bytes  coded = { 0 };
        struct chunk_report   report;
        struct chunk_geometry g = { .dtype = DTYPE_F64, .shape = { 1, { 4096 } } };
        struct chunk_bound    b = { BOUND_LOSSLESS, &amount, 1 };
        struct chunk_options  o = { EFFORT_BALANCED, 0 };

        (void) state;
        for (int i = 0; i < 4096; i++)
                values[i] = 1.5;
        assert_int_equal(chunk_encode(&g, &b, &o, values, NULL, &arena, &coded, NULL, &report),
                         CAEFS_OK);
        assert_int_equal(coded.size, 3);
        bytes_free(&coded);
        arena_free(&arena);
}

/* Decoders meet any bytes with an error or some values, never with a crash. */
static void
test_damaged_bytes(void **state)
{
        enum { COUNT = 900 };
        static float  values[COUNT], back[COUNT];
        double        amount = 1e-2;
        struct arena  arena = { 0 };
        struct bytes  coded = { 0 };
        struct chunk_report   report;
        struct chunk_geometry g = { .dtype = DTYPE_F32, .shape = { 2, { 30, 30 } } };
        struct chunk_options  o = { EFFORT_BALANCED, 0 };

        (void) state;
        for (int mode = BOUND_LOSSLESS; mode <= BOUND_PWREL; mode++) {
                struct chunk_bound b = { mode == BOUND_REL ? BOUND_ABS : (enum bound_mode) mode,
                                         &amount, 1 };
                for (int i = 0; i < COUNT; i++)
                        values[i] = i % 7 == 0 ? NAN : (float) sin(i * 0.1);
                bytes_clear(&coded);
                assert_int_equal(chunk_encode(&g, &b, &o, values, NULL, &arena, &coded, NULL,
                                              &report), CAEFS_OK);
                random_state = 3;
                for (int i = 0; i < 3000; i++) {
                        size_t  at = random_below(coded.size);
                        uint8_t was = coded.data[at];
                        coded.data[at] ^= (uint8_t) (1u << random_below(8));
                        size_t  size = random_below(3) == 0 ? random_below(coded.size) : coded.size;
                        (void) chunk_decode(&g, coded.data, size, &arena, back);
                        coded.data[at] = was;
                }
        }
        bytes_free(&coded);
        arena_free(&arena);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_constant_costs_nothing),
                cmocka_unit_test(test_random_arrays),
                cmocka_unit_test(test_share_of_a_subnormal),
                cmocka_unit_test(test_amend_a_thousand_times),
                cmocka_unit_test(test_damaged_bytes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
