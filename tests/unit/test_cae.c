/* tests/unit/test_cae.c - the family gives every value back within half a step,
 * whatever the model is good for, and trusts nothing it reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sample_model.h"

/* A coded field and what it was made from. */
struct coded {
        struct field_geometry geometry;
        int32_t              *grid;
        struct bytes          side;
        struct bytes          residuals;
};

static void
coded_free(struct coded *c)
{
        free(c->grid);
        bytes_free(&c->side);
        bytes_free(&c->residuals);
}

static void
encode(struct coded *c, const uint8_t *hole, enum effort effort)
{
        const struct field f = {
                .geometry = c->geometry, .grid = c->grid, .hole = hole, .effort = effort,
        };
        struct prediction p = { 0 };
        struct arena arena = { 0 };
        double bits = 0;

        assert_true(family_cae.applies(&f));
        assert_int_equal(family_cae.encode(&f, &arena, &p, &bits), CAEFS_OK);
        assert_int_equal(p.count, c->geometry.count);
        c->side = p.side;
        assert_int_equal(residual_encode(p.residual, p.segment, p.nsegments, effort, &arena,
                                         &c->residuals), CAEFS_OK);
        arena_free(&arena);
}

static enum caefs_err
decode(const struct coded *c, int32_t *grid)
{
        struct cursor side = cursor_of(c->side.data, c->side.size);
        struct cursor residuals = cursor_of(c->residuals.data, c->residuals.size);
        struct arena arena = { 0 };
        enum caefs_err err = family_cae.decode(&c->geometry, &side, &residuals, &arena, grid);

        arena_free(&arena);
        return err;
}

static void
check(struct coded *c, const uint8_t *hole, enum effort effort)
{
        const size_t count = c->geometry.count;
        int32_t *back = malloc(count * sizeof *back);

        encode(c, hole, effort);
        assert_int_equal(decode(c, back), CAEFS_OK);
        for (size_t i = 0; i < count; i++)
                if (hole == NULL || !hole[i]) {
                        /* the grid wraps around at its ends */
                        int64_t error = (int32_t) ((uint32_t) back[i] - (uint32_t) c->grid[i]);
                        assert_true(2 * llabs(error) <= c->geometry.step);
                }
        free(back);
}

/* COUNT values of a given kind. */
static struct coded
field_of(int kind, size_t count, int64_t step, const struct model *m)
{
        struct coded c = {
                .geometry = {
                        .shape = { .ndim = 1, .extent = { count } }, .count = count,
                        .step = step, .model = m,
                },
                .grid = malloc(count * sizeof(int32_t)),
        };
        uint64_t seed = (uint64_t) kind;

        for (size_t i = 0; i < count; i++) {
                int64_t wave = (int64_t) (i % 100) * (100 - (int64_t) (i % 100));
                c.grid[i] = kind == 0   ? 0
                            : kind == 1 ? (int32_t) (wave * 40)
                            : kind == 2 ? (int32_t) sample_random(&seed)
                            : kind == 3 ? (i % 2 ? INT32_MAX : INT32_MIN)
                                        : (int32_t) (wave * 40) + sample_between(&seed, 50);
        }
        return c;
}

static void
test_round_trips(void **state)
{
        static const size_t counts[] = { 1, 15, 16, 17, 1000 };
        static const int64_t steps[] = { 1, 2, 129, 1 << 20 };

        (void) state;
        for (int variant = 0; variant < 4; variant++) {
                struct model *m = sample_model(16, variant % 2 ? 3 : 1,
                                               variant / 2 ? ACTIVATION_RELU : ACTIVATION_SIGMOID,
                                               variant == 1, 11 + (uint64_t) variant);
                assert_non_null(m);
                for (size_t n = 0; n < sizeof counts / sizeof *counts; n++)
                        for (size_t s = 0; s < sizeof steps / sizeof *steps; s++)
                                for (int kind = 0; kind < 5; kind++) {
                                        struct coded c = field_of(kind, counts[n], steps[s], m);
                                        check(&c, NULL, (enum effort) (kind % 3));
                                        coded_free(&c);
                                }
                model_free(m);
        }
}

static void
test_holes(void **state)
{
        struct model *m = sample_model(16, 1, ACTIVATION_RELU, false, 21);
        uint8_t hole[500];

        (void) state;
        for (int pattern = 0; pattern < 3; pattern++) {
                struct coded c = field_of(4, sizeof hole, 65, m);
                for (size_t i = 0; i < sizeof hole; i++) {
                        hole[i] = pattern == 0 ? 1 : pattern == 1 ? i < 40 : i % 7 == 0;
                        if (hole[i])
                                c.grid[i] = INT32_MIN + (int32_t) i;
                }
                check(&c, hole, EFFORT_BALANCED);
                coded_free(&c);
        }
        model_free(m);
}

static void
test_tables(void **state)
{
        struct model *m = sample_model(6, 2, ACTIVATION_SIGMOID, false, 22);

        (void) state;
        for (unsigned columns = 2; columns <= 12; columns += 2) {
                struct coded c = field_of(4, 240, 33, m);
                c.geometry.shape = (struct shape) { .ndim = 2,
                                                    .extent = { 240 / columns, columns } };
                c.geometry.scope = SCOPE_COLUMN;
                for (size_t i = 0; i < 240; i++)
                        c.grid[i] += (int32_t) (i % columns) * 1000000;
                check(&c, NULL, EFFORT_MAX);
                coded_free(&c);
        }
        model_free(m);
}

/* A decoder that multiplies a fixed pattern, 0 to 127, with its latent. */
static struct model *
pattern_model(const int32_t *pattern, unsigned block)
{
        const struct model_info info = { .bound.mode = BOUND_LOSSLESS };
        struct cae_part p = {
                .autoencoder = sample_autoencoder(block, 1, ACTIVATION_RELU, false, 23),
        };
        struct model_part part = { .family = FAMILY_CAE };
        struct autoencoder *a = &p.autoencoder;
        struct connection *hidden = &a->connection[2], *last = &a->connection[3];
        struct model *m = NULL;

        for (unsigned u = 0; u < hidden->out; u++) {
                hidden->weight[u] = u == 0;
                hidden->bias[u] = 0;
        }
        hidden->multiplier = 2;         /* times 2, shifted by 1: the latent itself */
        hidden->shift = 1;
        for (unsigned o = 0; o < block; o++) {
                memset(&last->weight[(size_t) o * last->in], 0, last->in * sizeof(int16_t));
                last->weight[(size_t) o * last->in] = (int16_t) pattern[o];
                last->bias[o] = 0;
        }
        a->one = 255 * 127;
        assert_int_equal(cae_part_write(&p, &part.bytes), CAEFS_OK);
        assert_int_equal(model_build(&info, &part, 1, &m), CAEFS_OK);
        bytes_free(&part.bytes);
        autoencoder_release(a);
        return m;
}

/* Blocks that are multiples of a rough pattern: differences are no use, one latent
 * says it all, and the search finds it whatever the encoder thinks. */
static void
test_one_latent_is_enough(void **state)
{
        enum { BLOCK = 64, BLOCKS = 200, COUNT = BLOCK * BLOCKS };
        int32_t pattern[BLOCK];
        uint64_t seed = 5;

        (void) state;
        for (unsigned o = 0; o < BLOCK; o++)
                pattern[o] = o < 2 ? 127 * (int32_t) o : (int32_t) (sample_random(&seed) % 128);
        struct model *m = pattern_model(pattern, BLOCK);
        struct coded c = field_of(0, COUNT, 64, m);
        for (size_t i = 0; i < COUNT; i++) {
                int64_t z = i / BLOCK == 0 ? 255 : (int64_t) (i / BLOCK * 7919 % 256);
                c.grid[i] = (int32_t) (z * pattern[i % BLOCK] * (255 << 12) / (255 * 127)) - 5000;
        }
        check(&c, NULL, EFFORT_BALANCED);
        assert_true(c.side.size + c.residuals.size < BLOCKS * 3 / 2);
        coded_free(&c);
        model_free(m);
}

static void
test_damage_is_an_error_or_a_number(void **state)
{
        struct model *m = sample_model(16, 2, ACTIVATION_RELU, false, 24);
        struct coded c = field_of(4, 400, 17, m);
        int32_t *back = malloc(400 * sizeof *back);
        uint64_t seed = 6;

        (void) state;
        encode(&c, NULL, EFFORT_FAST);
        for (size_t n = 0; n < c.side.size; n++) {
                struct coded cut = c;
                cut.side.size = n;
                assert_int_not_equal(decode(&cut, back), CAEFS_OK);
        }
        for (int trial = 0; trial < 5000; trial++) {
                size_t at = sample_random(&seed) % c.side.size;
                uint8_t was = c.side.data[at];
                c.side.data[at] = (uint8_t) sample_random(&seed);
                decode(&c, back);
                c.side.data[at] = was;
        }
        assert_int_equal(decode(&c, back), CAEFS_OK);
        free(back);
        coded_free(&c);
        model_free(m);
}

static void
test_missing_model(void **state)
{
        static const uint8_t side[] = { 0, 0, 0, 0, 0 };
        struct coded c = field_of(0, 10, 1, NULL);
        int32_t back[10];

        (void) state;
        bytes_put(&c.side, side, sizeof side);
        assert_int_equal(decode(&c, back), CAEFS_ERR_MODEL);
        coded_free(&c);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trips),
                cmocka_unit_test(test_holes),
                cmocka_unit_test(test_tables),
                cmocka_unit_test(test_one_latent_is_enough),
                cmocka_unit_test(test_damage_is_an_error_or_a_number),
                cmocka_unit_test(test_missing_model),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
