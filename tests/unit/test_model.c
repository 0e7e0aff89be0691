/* tests/unit/test_model.c - networks are exact, and models come back as they went or
 * not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sample_model.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- inference ---- */

/* The definition, in 64-bit integers. */
static int64_t
sum_by_definition(const struct connection *c, const int32_t *a, unsigned o)
{
        int64_t acc = c->bias[o];

        for (unsigned i = 0; i < c->in; i++)
                acc += (int64_t) c->weight[(size_t) o * c->in + i] * a[i];
        return acc;
}

static void
check_sums(unsigned in, unsigned out, bool wide, int32_t input_max, size_t rows)
{
        uint64_t seed = in * 31 + out;
        struct connection c = sample_connection(in, out, ACTIVATION_NONE, wide, input_max, 0,
                                                &seed);
        float *input = malloc(rows * in * sizeof *input);
        int32_t *values = malloc(rows * in * sizeof *values);
        int32_t *output = malloc(rows * out * sizeof *output);
        struct autoencoder owner = { .nconnections = 1, .connection = { c } };
        struct arena arena = { 0 };

        for (size_t i = 0; i < rows * in; i++) {
                /* the extremes as often as all else */
                values[i] = i % 2 ? input_max
                                  : (int32_t) (sample_random(&seed) % (uint64_t) (input_max + 1));
                input[i] = (float) values[i];
        }
        assert_true(connection_prepare(&owner.connection[0]));
        assert_int_equal(network_run(owner.connection, 1, input, rows, &arena, output), CAEFS_OK);
        for (size_t r = 0; r < rows; r++)
                for (unsigned o = 0; o < out; o++)
                        assert_int_equal(output[r * out + o],
                                         sum_by_definition(owner.connection, values + r * in, o));
        autoencoder_release(&owner);
        arena_free(&arena);
        free(input);
        free(values);
        free(output);
}

static void
test_sums_are_exact(void **state)
{
        (void) state;
        check_sums(1, 1, false, 1, 1);
        check_sums(512, 64, false, 255, 100);
        check_sums(512, 64, false, 4095, 3);            /* fan-in must be split */
        check_sums(3000, 5, false, 1023, 2);
        check_sums(64, 512, true, 1023, 65);
        check_sums(7, 3, true, 4095, 129);
}

static void
test_largest_sums_are_exact(void **state)
{
        struct autoencoder owner = { .nconnections = 1 };
        struct connection *c = &owner.connection[0];
        enum { IN = 4128 };
        static float input[IN];
        struct arena arena = { 0 };
        uint64_t seed = 1;
        int32_t output;

        (void) state;
        *c = sample_connection(IN, 1, ACTIVATION_NONE, false, 4095, 0, &seed);
        for (unsigned i = 0; i < IN; i++) {
                c->weight[i] = NETWORK_NARROW_WEIGHT;
                input[i] = 4095;
        }
        c->bias[0] = INT32_MAX - IN * 4095 * 127;
        assert_true(connection_prepare(c));
        assert_int_equal(network_run(c, 1, input, 1, &arena, &output), CAEFS_OK);
        assert_int_equal(output, INT32_MAX);
        autoencoder_release(&owner);
        arena_free(&arena);
}

static void
test_overflow_is_refused(void **state)
{
        struct autoencoder owner = { .nconnections = 1 };
        uint64_t seed = 1;

        (void) state;
        owner.connection[0] = sample_connection(4, 1, ACTIVATION_NONE, false, 4095, 0, &seed);
        owner.connection[0].weight[0] = 1;
        owner.connection[0].bias[0] = INT32_MAX - 4094;
        assert_false(connection_prepare(&owner.connection[0]));
        autoencoder_release(&owner);
}

/* The table rises, is symmetric, and is the logistic function to a level. */
static void
test_sigmoid(void **state)
{
        struct autoencoder owner = { .nconnections = 1 };
        struct connection *c = &owner.connection[0];
        uint64_t seed = 1;

        (void) state;
        *c = sample_connection(1, 1, ACTIVATION_SIGMOID, false, 1, 1000, &seed);
        assert_true(connection_prepare(c));
        for (int i = 1; i < 1024; i++)
                assert_true(c->table[i] >= c->table[i - 1]);
        for (int n = 1; n < 512; n++)
                assert_int_equal(c->table[512 + n] + c->table[512 - n], 1000);
        assert_int_equal(c->table[512], 500);
        assert_int_equal(c->table[512 + 64], 731);      /* 1 / (1 + exp(-1)) = 0.73106 */
        assert_int_equal(c->table[512 - 128], 119);     /* 1 / (1 + exp(2)) = 0.11920 */
        autoencoder_release(&owner);
}

static void
test_relu_clamps(void **state)
{
        struct autoencoder owner = { .nconnections = 1 };
        struct connection *c = &owner.connection[0];
        struct arena arena = { 0 };
        uint64_t seed = 1;
        const float input[] = { 0, 1, 2, 10 };
        int32_t output[4];

        (void) state;
        *c = sample_connection(1, 1, ACTIVATION_RELU, false, 10, 20, &seed);
        c->weight[0] = 6;
        c->bias[0] = -5;
        c->multiplier = 3;
        c->shift = 1;
        assert_true(connection_prepare(c));
        assert_int_equal(network_run(c, 1, input, 4, &arena, output), CAEFS_OK);
        assert_int_equal(output[0], 0);
        assert_int_equal(output[1], 2);         /* 1 * 3 / 2, halves up */
        assert_int_equal(output[2], 11);
        assert_int_equal(output[3], 20);
        autoencoder_release(&owner);
        arena_free(&arena);
}

/* ---- blobs ---- */

static void
test_round_trip(void **state)
{
        struct model *m = sample_model(16, 2, ACTIVATION_SIGMOID, true, 5), *again;
        struct autoencoder a = sample_autoencoder(16, 2, ACTIVATION_SIGMOID, true, 5);
        size_t size, size_again;

        (void) state;
        assert_non_null(m);
        const void *blob = model_blob(m, &size);
        assert_int_equal(model_parse(blob, size, &again), CAEFS_OK);
        assert_memory_equal(model_blob(again, &size_again), blob, size);
        assert_true(model_hash(again) == model_hash(m) && size_again == size);
        assert_true(model_hash(m) == XXH3_64bits(blob, size));
        for (unsigned k = 0; k < 4; k++) {
                const struct connection *c = &model_autoencoder(again)->connection[k];
                assert_memory_equal(c->weight, a.connection[k].weight,
                                    (size_t) c->in * c->out * sizeof *c->weight);
                assert_memory_equal(c->bias, a.connection[k].bias, c->out * sizeof *c->bias);
        }
        const struct model_info *info = model_info(again);
        assert_int_equal(info->nlayers, 5);
        assert_int_equal(info->layer[2], 2);
        assert_int_equal(info->parameters, 17 * 8 + 9 * 2 + 3 * 8 + 9 * 16);
        assert_int_equal(info->train_values, 12345);
        assert_true(info->bound.mode == BOUND_PWREL && info->bound.amount == 0.1);
        autoencoder_release(&a);
        model_free(again);
        model_free(m);
}

static void
test_every_truncation_and_flip_is_refused(void **state)
{
        struct model *m = sample_model(8, 1, ACTIVATION_RELU, false, 6), *out;
        size_t size;
        const uint8_t *blob = model_blob(m, &size);
        uint8_t *copy = malloc(size);

        (void) state;
        for (size_t n = 0; n < size; n++) {
                assert_int_not_equal(model_parse(blob, n, &out), CAEFS_OK);
                assert_null(out);
        }
        for (size_t i = 0; i < size * 8; i++) {
                memcpy(copy, blob, size);
                copy[i / 8] ^= (uint8_t) (1 << i % 8);
                assert_int_not_equal(model_parse(copy, size, &out), CAEFS_OK);
        }
        free(copy);
        model_free(m);
}

/* With a checksum that fits: whatever comes, it is a model within the limits or an
 * error, and never more memory than a hostile blob is worth. */
static void
test_forged_blobs(void **state)
{
        struct model *m = sample_model(8, 1, ACTIVATION_RELU, false, 7), *out;
        uint64_t seed = 3;
        size_t size;
        const uint8_t *blob = model_blob(m, &size);
        uint8_t *copy = malloc(size);

        (void) state;
        for (int trial = 0; trial < 20000; trial++) {
                memcpy(copy, blob, size);
                for (int flips = trial % 3; flips >= 0; flips--) {
                        size_t at = 5 + sample_random(&seed) % (size - 13);
                        copy[at] = (uint8_t) sample_random(&seed);
                }
                uint64_t sum = XXH3_64bits(copy, size - 8);
                memcpy(copy + size - 8, &sum, 8);
                if (model_parse(copy, size, &out) == CAEFS_OK) {
                        assert_true(model_info(out)->parameters <= NETWORK_MAX_PARAMETERS);
                        model_free(out);
                }
        }
        free(copy);
        model_free(m);
}

static void
test_newer_version(void **state)
{
        struct model *m = sample_model(8, 1, ACTIVATION_RELU, false, 8), *out;
        size_t size;
        const uint8_t *blob = model_blob(m, &size);
        uint8_t *copy = malloc(size);

        (void) state;
        memcpy(copy, blob, size);
        copy[4]++;
        assert_int_equal(model_parse(copy, size, &out), CAEFS_ERR_VERSION);
        free(copy);
        model_free(m);
}

static void
test_hash_text(void **state)
{
        char text[17];
        uint64_t hash;

        (void) state;
        model_hash_format(UINT64_C(0x0123456789abcdef), text);
        assert_string_equal(text, "0123456789abcdef");
        assert_true(model_hash_parse(text, &hash) && hash == UINT64_C(0x0123456789abcdef));
        assert_false(model_hash_parse("", &hash));
        assert_false(model_hash_parse("0123456789abcde", &hash));
        assert_false(model_hash_parse("0123456789abcdef0", &hash));
        assert_false(model_hash_parse("0123456789ABCDEF", &hash));
        model_free(NULL);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sums_are_exact),
                cmocka_unit_test(test_largest_sums_are_exact),
                cmocka_unit_test(test_overflow_is_refused),
                cmocka_unit_test(test_sigmoid),
                cmocka_unit_test(test_relu_clamps),
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_every_truncation_and_flip_is_refused),
                cmocka_unit_test(test_forged_blobs),
                cmocka_unit_test(test_newer_version),
                cmocka_unit_test(test_hash_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
