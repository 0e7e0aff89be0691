/* tests/unit/test_train_survey.c - what a survey sees, and the share it recommends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/train_survey.h"

#define PLENTY 10000000

static double
share(double cv, double cv_first, double cv_rest, uint64_t count)
{
        const char *why = NULL;
        double p = train_proportion(cv, cv_first, cv_rest, count, &why);

        assert_non_null(why);
        return p;
}

/* The coefficients of variation of the paper's Table II. */
static void
test_guidance(void **state)
{
        (void) state;
        assert_true(share(0.5, 0.5, 0.5, PLENTY) == 0.05);
        assert_true(share(0.0412, 0.79, 0.04, PLENTY) == 0.05);         /* S3DP */
        assert_true(share(0.007613, 0.0076, 0.0076, PLENTY) > 0.05);    /* yf17Temp */
        assert_true(share(0.000473, 0.00047, 0.00047, PLENTY)           /* Sedov-Pres */
                    > share(0.007613, 0.0076, 0.0076, PLENTY));
        assert_true(share(1e-6, 1e-6, 1e-6, PLENTY) <= 1);
        /* Never from fewer values than are learnt from in no time. */
        assert_true(share(0.5, 0.5, 0.5, 100) == 1);
        assert_true(share(0.5, 0.5, 0.5, 65536) * 65536 >= 32768);
        /* A half without variation is no difference to speak of. */
        assert_true(share(0.5, 0.5, 0, PLENTY) == 0.05);
}

static enum caefs_err
read_memory(void *context, void *buffer, size_t n, uint64_t offset)
{
        memcpy(buffer, (const char *) context + offset, n);
        return CAEFS_OK;
}

static double
noise(uint64_t *seed)
{
        *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        return (double) (*seed >> 11) / 9007199254740992.0;
}

/* NARRAYS of 64 by 512 values; each is the one before and CHANGE times noise. */
static void
survey_series(size_t narrays, double change, struct train_survey *out)
{
        enum { ROWS = 64, COLUMNS = 512, COUNT = ROWS * COLUMNS };
        float *value = malloc(narrays * COUNT * sizeof *value);
        struct byte_source source[8];
        struct train_input input[8];
        struct train_options o = { .bound = { BOUND_ABS, 0.01 }, .proportion = 1 };
        uint64_t seed = 1;

        assert_non_null(value);
        for (size_t a = 0; a < narrays; a++) {
                float *v = value + a * COUNT;
                for (size_t i = 0; i < COUNT; i++)
                        v[i] = a == 0 ? (float) (10 + noise(&seed))
                                      : v[i - COUNT] + (float) (change * noise(&seed));
                source[a] = (struct byte_source) { read_memory, v, COUNT * sizeof *v };
                input[a] = (struct train_input) {
                        .source = &source[a],
                        .region = { .length = COUNT * sizeof *v, .dtype = DTYPE_F32,
                                    .shape = { .ndim = 2, .extent = { ROWS, COLUMNS } } },
                };
        }
        assert_int_equal(train_survey(input, narrays, &o, out), CAEFS_OK);
        free(value);
}

static void
test_series(void **state)
{
        struct train_survey s;

        (void) state;
        survey_series(4, 0.02, &s);
        assert_int_equal(s.lead, TRAIN_LEAD_EARLIER);
        assert_true(s.entropy_lead[TRAIN_LEAD_EARLIER] < s.entropy_neighbours);
        assert_true(s.ratio_expected > 1.5 * s.ratio);
        /* 50 steps of twice the bound, uniform. */
        assert_true(fabs(s.entropy - log2(50)) < 0.2);
        assert_true(s.raw_bytes == 4 * 64 * 512 * 4 && s.values > 0 && s.seconds_expected > 0);
        /* Uniform between 10 and 11. */
        assert_true(fabs(s.cv - sqrt(1.0 / 12) / 10.5) < 0.01);
}

static void
test_nothing_known(void **state)
{
        struct train_survey s;

        (void) state;
        survey_series(1, 0, &s);
        assert_int_equal(s.lead, TRAIN_LEAD_NONE);
        assert_true(s.ratio_expected == s.ratio);
        assert_true(s.entropy_lead[TRAIN_LEAD_EARLIER] == 0);
        survey_series(4, 3, &s);
        assert_int_equal(s.lead, TRAIN_LEAD_NONE);
        assert_int_equal(train_survey(NULL, 0, &(struct train_options) { .proportion = 1 }, &s),
                         CAEFS_ERR_ARGUMENT);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_guidance),
                cmocka_unit_test(test_series),
                cmocka_unit_test(test_nothing_known),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
