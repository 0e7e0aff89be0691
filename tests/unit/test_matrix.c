/* tests/unit/test_matrix.c - products of matrices, element-wise passes and teams of
 * threads: right, and the same whatever the CPU has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "codec/matrix.h"
#include "codec/train_lanes.h"
#include "codec/train_network.h"
#include "common/team.h"

static const char *const levels[] = { "scalar", "avx2", "avx512" };

/* ---- products ---- */

#define MOST_M 21
#define MOST_N 112
#define MOST_K 37

struct sample {
        float a[MOST_M * MOST_K], b[MOST_K * MOST_N], c[MOST_M * MOST_N];
};

/* Whole numbers, or anything. */
static void
draw(struct random *r, bool whole, float *x, size_t n)
{
        for (size_t i = 0; i < n; i++)
                x[i] = whole ? (float) random_below(r, 255) - 127 : (float) random_unit(r) - 0.5f;
}

static void
multiply(const struct sample *s, size_t m, size_t n, size_t k, bool across, bool add, float *c)
{
        const struct matrix_product p = {
                .m = m, .n = n, .k = k,
                .a = s->a, .a_row = across ? 1 : k, .a_column = across ? m : 1,
                .b = s->b, .b_row = n, .c = c, .c_row = n, .add = add,
        };

        memcpy(c, s->c, m * n * sizeof *c);
        matrix_multiply_here()(&p);
}

static void
check_product(const struct sample *s, size_t m, size_t n, size_t k, bool across, bool add,
              const float *c)
{
        for (size_t i = 0; i < m; i++)
                for (size_t j = 0; j < n; j++) {
                        double sum = add ? (double) s->c[i * n + j] : 0;
                        for (size_t p = 0; p < k; p++)
                                sum += (double) s->a[across ? p * m + i : i * k + p] *
                                       (double) s->b[p * n + j];
                        assert_true((double) c[i * n + j] == sum);
                }
}

/* Of whole numbers products are exact, for all shapes of tiles. */
static void
test_products_are_exact(void **state)
{
        struct sample *s = malloc(sizeof *s);
        float *c = malloc(sizeof s->c);
        struct random r;

        (void) state;
        random_seed(&r, 1);
        draw(&r, true, s->a, MOST_M * MOST_K);
        draw(&r, true, s->b, MOST_K * MOST_N);
        draw(&r, true, s->c, MOST_M * MOST_N);
        for (size_t level = 0; level < 3; level++) {
                setenv("CAEFS_SIMD", levels[level], 1);
                for (size_t m = 1; m <= MOST_M; m++)
                        for (size_t n = MATRIX_LANES; n <= MOST_N; n += MATRIX_LANES) {
                                const size_t k = 1 + (m * 7 + n) % MOST_K;
                                multiply(s, m, n, k, m % 2, n % 32, c);
                                check_product(s, m, n, k, m % 2, n % 32, c);
                        }
        }
        unsetenv("CAEFS_SIMD");
        free(c);
        free(s);
}

/* Products of anything are the same with AVX2 and with AVX-512. */
static void
test_vectors_agree(void **state)
{
        struct sample *s = malloc(sizeof *s);
        float *c = malloc(sizeof s->c), *other = malloc(sizeof s->c);
        struct random r;

        (void) state;
        random_seed(&r, 2);
        draw(&r, false, s->a, MOST_M * MOST_K);
        draw(&r, false, s->b, MOST_K * MOST_N);
        draw(&r, false, s->c, MOST_M * MOST_N);
        setenv("CAEFS_SIMD", "avx2", 1);
        multiply(s, MOST_M, MOST_N, MOST_K, false, true, c);
        setenv("CAEFS_SIMD", "avx512", 1);
        multiply(s, MOST_M, MOST_N, MOST_K, false, true, other);
        assert_memory_equal(c, other, sizeof s->c);
        unsetenv("CAEFS_SIMD");
        free(c);
        free(other);
        free(s);
}

/* ---- element by element ---- */

#define COUNT 1003

static void
test_sigmoid(void **state)
{
        (void) state;
        for (size_t level = 0; level < 3; level++) {
                float y[COUNT];
                setenv("CAEFS_SIMD", levels[level], 1);
                for (size_t i = 0; i < COUNT; i++)
                        y[i] = ((float) i - COUNT / 2) * 0.25f;
                train_lanes()->sigmoid(y, COUNT);
                for (size_t i = 0; i < COUNT; i++) {
                        double x = ((double) i - COUNT / 2) * 0.25;
                        assert_true(fabs((double) y[i] - 1 / (1 + exp(-x))) < 2e-7);
                }
        }
        unsetenv("CAEFS_SIMD");
}

static void
test_lanes_agree(void **state)
{
        const struct lanes_levels rounding = { .low = -0.2f, .high = 0.3f, .step = 0.01f };
        const struct lanes_adam adam = { .rate = 0.01f, .correction = 1.5f };
        float first[6][COUNT], x[6][COUNT];
        double error = 0;
        struct random r;

        (void) state;
        for (size_t level = 0; level < 3; level++) {
                setenv("CAEFS_SIMD", levels[level], 1);
                const struct train_lanes *lanes = train_lanes();
                random_seed(&r, 3);
                draw(&r, false, x[0], 6 * COUNT);
                for (size_t i = 0; i < COUNT; i++)
                        x[2][i] = fabsf(x[2][i]);
                lanes->adam(&adam, x[0], x[1], x[2], x[3], COUNT);
                lanes->sigmoid(x[4], COUNT);
                lanes->sigmoid_gradient(x[4], x[5], COUNT);
                lanes->round_levels(&rounding, x[0], COUNT);
                lanes->relu(x[0], COUNT);
                lanes->relu_gradient(x[0], 0.2f, x[5], COUNT);
                lanes->add(x[5], x[0], COUNT);
                lanes->round_steps(x[1], 0.01f, x[1], COUNT);
                double e = lanes->error(x[0], x[1], COUNT, 2, x[4]) + (double) lanes->largest(x[3], COUNT);
                if (level == 0) {
                        memcpy(first, x, sizeof x);
                        error = e;
                }
                assert_memory_equal(first, x, sizeof x);
                assert_true(e == error);
        }
        unsetenv("CAEFS_SIMD");
}

static void
test_transpose(void **state)
{
        enum { ROWS = 37, WIDTH = 21, OUT_ROW = 48 };
        float x[ROWS * WIDTH], out[WIDTH * OUT_ROW] = { 0 };

        (void) state;
        for (size_t i = 0; i < ROWS * WIDTH; i++)
                x[i] = (float) i;
        train_lanes()->transpose(x, WIDTH, ROWS, WIDTH, out, OUT_ROW);
        for (size_t i = 0; i < WIDTH; i++)
                for (size_t j = 0; j < OUT_ROW; j++)
                        assert_true(out[i * OUT_ROW + j] == (j < ROWS ? x[j * WIDTH + i] : 0));
}

/* ---- teams ---- */

#define TASKS 17

struct tally {
        atomic_uint done[TASKS];
        unsigned    job;
};

static void
count(void *context, size_t task)
{
        struct tally *t = context;

        atomic_fetch_add(&t->done[task], t->job);
}

/* Every task of every job is done once, with threads awake and asleep. */
static void
test_team(void **state)
{
        struct tally t = { 0 };
        unsigned expected = 0;

        (void) state;
        for (unsigned nthreads = 0; nthreads < 4; nthreads++) {
                struct team *team = team_new(nthreads);
                for (t.job = 1; t.job <= 300; t.job++) {
                        team_run(team, count, &t, TASKS);
                        expected += t.job;
                        for (size_t i = 0; i < TASKS; i++)
                                assert_int_equal(atomic_load(&t.done[i]), expected);
                        if (t.job % 100 == 0)
                                nanosleep(&(struct timespec) { .tv_nsec = 2000000 }, NULL);
                }
                team_free(team);
        }
        team_run(NULL, count, &t, TASKS);
        assert_int_equal(atomic_load(&t.done[TASKS - 1]), expected + t.job);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_products_are_exact),
                cmocka_unit_test(test_vectors_agree),
                cmocka_unit_test(test_sigmoid),
                cmocka_unit_test(test_lanes_agree),
                cmocka_unit_test(test_transpose),
                cmocka_unit_test(test_team),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
