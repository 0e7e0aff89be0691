/* tests/unit/test_train.c - the trainer learns, repeats itself, and declines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "codec/train.h"
#include "codec/train_network.h"
#include "tests/unit/sample_model.h"

/* ---- the learner ---- */

#define BLOCK 12
#define ROWS  6

static void
make_learner(struct learner *l, enum activation hidden, float *x)
{
        static const unsigned layer[] = { BLOCK, 7, 2 };
        struct random r;

        random_seed(&r, 4);
        float mean[BLOCK];
        for (unsigned i = 0; i < BLOCK; i++)
                mean[i] = 0.5f;
        for (unsigned i = 0; i < BLOCK * ROWS; i++)
                x[i] = (float) random_unit(&r);
        assert_int_equal(learner_init(l, layer, 3, hidden, ROWS, mean, &r, NULL), CAEFS_OK);
}

/* The loss falls by the gradient times the step, for every kind of parameter. */
static void
check_gradient(enum activation hidden)
{
        float x[BLOCK * ROWS];
        struct learner l;
        double worst = 0, largest = 0;

        make_learner(&l, hidden, x);
        learner_step(&l, x, ROWS, 0);
        for (size_t i = 0; i < l.nparameters; i++) {
                const float kept = l.parameter[i], step = 1e-2f;
                l.parameter[i] = kept + step;
                double above = learner_loss(&l, x, ROWS) * BLOCK;
                l.parameter[i] = kept - step;
                double below = learner_loss(&l, x, ROWS) * BLOCK;
                l.parameter[i] = kept;
                double measured = (above - below) / (2 * (double) step);
                worst = fmax(worst, fabs(measured - (double) l.gradient[i]));
                largest = fmax(largest, fabs(measured));
        }
        assert_true(largest > 0);
        assert_true(worst < 0.02 * largest);
        learner_release(&l);
}

static void
test_gradients(void **state)
{
        (void) state;
        check_gradient(ACTIVATION_SIGMOID);
        check_gradient(ACTIVATION_RELU);
}

/* What is installed is what was validated: the integer network says what the
 * learner in its second stage says. */
static void
check_export(enum activation hidden, bool wide)
{
        float x[BLOCK * ROWS], input[BLOCK * ROWS];
        int32_t output[BLOCK * ROWS];
        struct autoencoder a;
        struct arena arena = { 0 };
        struct learner l;

        make_learner(&l, hidden, x);
        for (unsigned i = 0; i < BLOCK * ROWS; i++) {   /* levels that the input has */
                input[i] = roundf(x[i] * 1023);
                x[i] = input[i] / 1023;
        }
        for (int i = 0; i < 300; i++)
                learner_step(&l, x, ROWS, 1e-2f);
        learner_quantise(&l, x, ROWS, wide ? NETWORK_WIDE_WEIGHT : NETWORK_NARROW_WEIGHT);
        learner_loss(&l, x, ROWS);
        assert_int_equal(learner_export(&l, &a), CAEFS_OK);
        for (unsigned k = 0; k < a.nconnections; k++)
                assert_true(connection_prepare(&a.connection[k]));
        assert_int_equal(network_run(a.connection, a.nconnections, input, ROWS, &arena, output),
                         CAEFS_OK);
        const float *expected = l.slice[0].output[l.nlayers - 1];
        for (unsigned i = 0; i < BLOCK * ROWS; i++)
                assert_true(fabs((double) output[i] / a.one - (double) expected[i / BLOCK * matrix_padded(BLOCK) + i % BLOCK]) < 0.02);
        autoencoder_release(&a);
        arena_free(&arena);
        learner_release(&l);
}

static void
test_export_agrees(void **state)
{
        (void) state;
        check_export(ACTIVATION_SIGMOID, false);
        check_export(ACTIVATION_RELU, false);
        check_export(ACTIVATION_RELU, true);
}

/* A model taken up again says the same before it learns anything. */
static void
test_adoption(void **state)
{
        static const unsigned layer[] = { BLOCK, 8, 2 };
        struct model *m = sample_model(BLOCK, 2, ACTIVATION_SIGMOID, false, 31);
        const struct autoencoder *a = model_autoencoder(m);
        float x[BLOCK * ROWS], input[BLOCK * ROWS], mean[BLOCK] = { 0 };
        int32_t output[BLOCK * ROWS];
        struct arena arena = { 0 };
        struct learner l;
        struct random r;

        (void) state;
        random_seed(&r, 8);
        for (unsigned i = 0; i < BLOCK * ROWS; i++) {
                input[i] = (float) random_below(&r, 1024);
                x[i] = input[i] / 1023;
        }
        assert_int_equal(learner_init(&l, layer, 3, ACTIVATION_SIGMOID, ROWS, mean, &r, NULL), CAEFS_OK);
        assert_true(learner_adopt(&l, a));
        learner_loss(&l, x, ROWS);
        assert_int_equal(network_run(a->connection, a->nconnections, input, ROWS, &arena, output),
                         CAEFS_OK);
        const float *y = l.slice[0].output[l.nlayers - 1];
        for (unsigned i = 0; i < BLOCK * ROWS; i++)
                assert_true(fabs((double) output[i] / a->one - (double) y[i / BLOCK * matrix_padded(BLOCK) + i % BLOCK]) < 0.05 * 16);
        learner_release(&l);
        assert_int_equal(learner_init(&l, layer, 3, ACTIVATION_RELU, ROWS, mean, &r, NULL), CAEFS_OK);
        assert_false(learner_adopt(&l, a));
        learner_release(&l);
        arena_free(&arena);
        model_free(m);
}

/* ---- the trainer ---- */

/* An array in memory as a source. */
static enum caefs_err
read_memory(void *context, void *buffer, size_t n, uint64_t offset)
{
        memcpy(buffer, (const char *) context + offset, n);
        return CAEFS_OK;
}

static struct train_input
input_of(struct byte_source *source, const float *value, size_t count)
{
        *source = (struct byte_source) {
                .read = read_memory, .context = (void *) (uintptr_t) value, .size = count * 4,
        };
        return (struct train_input) {
                .source = source,
                .region = {
                        .length = count * 4, .dtype = DTYPE_F32,
                        .shape = { .ndim = 1, .extent = { count } },
                },
        };
}

/* Blocks of 64 that repeat a rough shape at a varying level. */
static float *
patterned(size_t blocks)
{
        float *value = malloc(blocks * 64 * sizeof *value);
        float shape[64];
        struct random r;

        random_seed(&r, 17);
        for (int i = 0; i < 64; i++)
                shape[i] = (float) random_unit(&r) + 0.5f;
        for (size_t b = 0; b < blocks; b++) {
                float level = 1 + 3 * (float) random_unit(&r);
                for (int i = 0; i < 64; i++)
                        value[b * 64 + i] = level * powf(shape[i], level);
        }
        return value;
}

static float *
noise(size_t count)
{
        float *value = malloc(count * sizeof *value);
        struct random r;

        random_seed(&r, 18);
        for (size_t i = 0; i < count; i++)
                value[i] = (float) random_unit(&r) + 1;
        return value;
}

static struct train_options
quick_options(void)
{
        return (struct train_options) {
                .bound = { BOUND_PWREL, 0.1 },
                .layer = { 64, 16, 1 }, .nlayers = 3,
                .proportion = 1, .epochs = 60, .time_limit = 300, .seed = 1,
        };
}

static void
test_learns_what_repeats(void **state)
{
        float *value = patterned(4000);
        struct byte_source source;
        struct train_input in = input_of(&source, value, 4000 * 64);
        struct train_options o = quick_options();
        struct train_result r;

        (void) state;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &r), CAEFS_OK);
        assert_non_null(r.model);
        assert_true(r.model_bytes < r.plain_bytes);
        assert_true(r.validation_loss < 0.01);
        assert_int_equal(model_info(r.model)->layer[0], 64);
        assert_int_equal(model_info(r.model)->nlayers, 5);
        model_free(r.model);
        free(value);
}

static uint64_t
hash_of_training(const struct train_input *in, const struct train_options *o)
{
        struct train_result r;

        assert_int_equal(train_model(in, 1, o, NULL, NULL, &r), CAEFS_OK);
        assert_non_null(r.model);
        uint64_t hash = model_hash(r.model);
        model_free(r.model);
        return hash;
}

static void
test_same_seed_same_model(void **state)
{
        float *value = patterned(600);
        struct byte_source source;
        struct train_input in = input_of(&source, value, 600 * 64);
        struct train_options o = quick_options();

        (void) state;
        o.force = true;
        o.epochs = 10;
        o.threads = 1;
        uint64_t first = hash_of_training(&in, &o);
        o.threads = 2;
        assert_true(hash_of_training(&in, &o) == first);
        o.seed = 2;
        assert_true(hash_of_training(&in, &o) != first);
        free(value);
}

/* The learner's latents with a penalty, and without, after the same steps. */
static double
latents_after(float sparsity)
{
        float x[BLOCK * ROWS];
        struct learner l;
        double sum = 0;

        make_learner(&l, ACTIVATION_SIGMOID, x);
        l.sparsity = sparsity;
        for (int i = 0; i < 500; i++)
                learner_step(&l, x, ROWS, 1e-2f);
        learner_loss(&l, x, ROWS);
        const float *latent = l.slice[0].output[l.nencoder - 1];
        for (unsigned r = 0; r < ROWS; r++)
                for (unsigned z = 0; z < 2; z++)
                        sum += fabs((double) latent[r * matrix_padded(2) + z]);
        learner_release(&l);
        return sum;
}

static void
test_sparsity(void **state)
{
        (void) state;
        assert_true(latents_after(0.5f) < 0.2 * latents_after(0));
}

/* Of several seeds the best is kept: never worse than the first alone. */
static void
test_seeds(void **state)
{
        float *value = patterned(600);
        struct byte_source source;
        struct train_input in = input_of(&source, value, 600 * 64);
        struct train_options o = quick_options();
        struct train_result one, best;

        (void) state;
        o.family = FAMILY_CAE;
        o.force = true;
        o.epochs = 10;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &one), CAEFS_OK);
        o.seeds = 3;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &best), CAEFS_OK);
        assert_true(best.validation_loss <= one.validation_loss);
        model_free(one.model);
        model_free(best.model);
        free(value);
}

/* Few epochs get further from a model than from nothing; a model of other layers is
 * refused. */
static void
test_warm_start(void **state)
{
        float *value = patterned(1200);
        struct byte_source source;
        struct train_input in = input_of(&source, value, 1200 * 64);
        struct train_options o = quick_options();
        struct train_result first, cold, warm;

        (void) state;
        o.family = FAMILY_CAE;
        o.force = true;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &first), CAEFS_OK);
        assert_non_null(first.model);
        o.epochs /= 5;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &cold), CAEFS_OK);
        o.warm_start = first.model;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &warm), CAEFS_OK);
        assert_non_null(warm.model);
        assert_true(warm.validation_loss < cold.validation_loss);
        model_free(warm.model);
        o.layer[1] = 17;
        assert_int_not_equal(train_model(&in, 1, &o, NULL, NULL, &warm), CAEFS_OK);
        model_free(cold.model);
        model_free(first.model);
        free(value);
}

static void
test_declines_noise(void **state)
{
        float *value = noise(1 << 16);
        struct byte_source source;
        struct train_input in = input_of(&source, value, 1 << 16);
        struct train_options o = quick_options();
        struct train_result r;

        (void) state;
        o.epochs = 5;
        o.bound.amount = 0.001;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &r), CAEFS_OK);
        assert_null(r.model);
        assert_true(r.why[0] != '\0' && r.plain_bytes > 0);
        o.force = true;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &r), CAEFS_OK);
        assert_non_null(r.model);
        model_free(r.model);
        free(value);
}

static bool
stop_at_once(void *context, const struct train_progress *p)
{
        assert_true(train_knows(p->family) && p->epoch <= p->epochs);
        (*(int *) context)++;
        return p->epoch == 0;
}

static void
test_stopping_keeps_the_best(void **state)
{
        float *value = patterned(600);
        struct byte_source source;
        struct train_input in = input_of(&source, value, 600 * 64);
        struct train_options o = quick_options();
        struct train_result r;
        int calls = 0;

        (void) state;
        o.force = true;
        o.epochs = 1000000;
        assert_int_equal(train_model(&in, 1, &o, stop_at_once, &calls, &r), CAEFS_OK);
        assert_non_null(r.model);
        assert_true(calls >= 2 && r.epochs < 1000000);
        model_free(r.model);
        free(value);
}

static void
test_constant_and_special_values(void **state)
{
        float *value = noise(1 << 14);
        struct byte_source source;
        struct train_input in = input_of(&source, value, 1 << 14);
        struct train_options o = quick_options();
        struct train_result r;

        (void) state;
        o.force = true;
        o.epochs = 3;
        for (int kind = 0; kind < 5; kind++) {
                for (size_t i = 0; i < 1 << 14; i++)
                        value[i] = kind == 0 ? 7.0f : kind == 1 ? NAN : kind == 2 ? 0.0f
                                   : kind == 3 ? (i % 3 ? INFINITY : -1e38f) : (i % 2 ? 3e38f : -0.0f);
                for (int mode = BOUND_LOSSLESS; mode <= BOUND_PSNR; mode++) {
                        o.bound = (struct bound) { (enum bound_mode) mode,
                                                   mode == BOUND_PSNR ? 60 : 0.01 };
                        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &r), CAEFS_OK);
                        assert_true(isfinite(r.validation_loss));
                        model_free(r.model);
                }
        }
        free(value);
}

static void
test_little_data_and_bad_options(void **state)
{
        float *value = noise(500);
        struct byte_source source;
        struct train_input in = input_of(&source, value, 500);
        struct train_options o = quick_options();
        struct train_result r;

        (void) state;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &r), CAEFS_OK);
        assert_null(r.model);
        assert_int_equal(train_model(&in, 0, &o, NULL, NULL, &r), CAEFS_OK);
        assert_null(r.model);
        o.force = true;
        o.family = FAMILY_CAE;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &r), CAEFS_ERR_ARGUMENT);
        o = quick_options();
        o.proportion = 0;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &r), CAEFS_ERR_ARGUMENT);
        o = quick_options();
        o.layer[0] = 1 << 20;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &r), CAEFS_ERR_ARGUMENT);
        o = quick_options();
        o.family = FAMILY_LORENZO;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &r), CAEFS_ERR_UNSUPPORTED);
        free(value);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_gradients),
                cmocka_unit_test(test_export_agrees),
                cmocka_unit_test(test_adoption),
                cmocka_unit_test(test_learns_what_repeats),
                cmocka_unit_test(test_same_seed_same_model),
                cmocka_unit_test(test_sparsity),
                cmocka_unit_test(test_seeds),
                cmocka_unit_test(test_warm_start),
                cmocka_unit_test(test_declines_noise),
                cmocka_unit_test(test_stopping_keeps_the_best),
                cmocka_unit_test(test_constant_and_special_values),
                cmocka_unit_test(test_little_data_and_bad_options),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
