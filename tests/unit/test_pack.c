/* tests/unit/test_pack.c - packed bytes come back, small, and damage is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/pack.h"
#include "codec/pack_backend.h"

static uint64_t
next_random(uint64_t *state)
{
        uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

        z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
        return z ^ z >> 31;
}

enum pattern { TEXT, NOISE, SMOOTH_2, SMOOTH_4, SMOOTH_8, CONSTANT, PATTERN_COUNT };

static void
fill(uint8_t *data, size_t n, enum pattern p, uint64_t seed)
{
        static const char words[] = "the bytes on disk are latents plus deltas ";
        static const size_t size_of[] = { 1, 1, 2, 4, 8, 1 };
        uint64_t v = 0;

        for (size_t i = 0; i < n; i++) {
                size_t k = i % size_of[p];
                if (k == 0)
                        v += 1000 + next_random(&seed) % 64;
                switch (p) {
                case TEXT:     data[i] = (uint8_t) words[(i + i / 97 * 5) % (sizeof words - 1)]; break;
                case NOISE:    data[i] = (uint8_t) next_random(&seed); break;
                case CONSTANT: data[i] = 0x41; break;
                default:       data[i] = (uint8_t) (v >> (8 * k)); break;
                }
        }
}

static size_t
round_trip(size_t n, enum pattern p, enum effort effort)
{
        uint8_t *data = malloc(n + 1), *back = malloc(n + 1);
        struct bytes packed = { 0 };

        assert_true(data != NULL && back != NULL);
        fill(data, n, p, n);
        bytes_put_u8(&packed, 0x77);
        assert_int_equal(pack_encode(data, n, effort, &packed), CAEFS_OK);
        assert_int_equal(packed.data[0], 0x77);
        assert_int_equal(pack_decode(packed.data + 1, packed.size - 1, back, n), CAEFS_OK);
        assert_memory_equal(data, back, n);
        size_t size = packed.size - 1;
        assert_true(size <= n + 1);
        bytes_free(&packed);
        free(data);
        free(back);
        return size;
}

static void
test_round_trip(void **state)
{
        (void) state;
        static const size_t lengths[] = { 0, 1, 2, 3, 7, 8, 9, 100, 1001, 5000 };

        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++)
                for (enum pattern p = 0; p < PATTERN_COUNT; p++)
                        for (enum effort e = EFFORT_FAST; e <= EFFORT_MAX; e++)
                                round_trip(lengths[l], p, e);
}

/* Longer than the sample that methods are chosen on. */
static void
test_long(void **state)
{
        (void) state;
        for (enum pattern p = 0; p < PATTERN_COUNT; p++) {
                round_trip(200003, p, EFFORT_FAST);
                round_trip(120001, p, EFFORT_BALANCED);
        }
}

static void
test_sizes(void **state)
{
        (void) state;
        assert_int_equal(round_trip(50000, CONSTANT, EFFORT_FAST), 2);
        assert_int_equal(round_trip(50000, NOISE, EFFORT_BALANCED), 50001);
        assert_true(round_trip(50000, TEXT, EFFORT_BALANCED) < 1000);
        /* A sum of steps of 1000 to 1063: six bits an element. */
        assert_true(round_trip(80000, SMOOTH_8, EFFORT_BALANCED) < 10000 * 6 / 8 * 5 / 4);
        assert_true(round_trip(80000, SMOOTH_4, EFFORT_BALANCED) < 20000 * 6 / 8 * 5 / 4);
}

static void
test_limit(void **state)
{
        (void) state;
        uint8_t data[4000];
        struct bytes packed = { 0 };
        bool below;

        fill(data, sizeof data, NOISE, 1);
        assert_int_equal(pack_encode_below(data, sizeof data, EFFORT_BALANCED, 3000, &packed,
                                           &below), CAEFS_OK);
        assert_false(below);
        assert_int_equal(packed.size, 0);
        fill(data, sizeof data, TEXT, 1);
        assert_int_equal(pack_encode_below(data, sizeof data, EFFORT_BALANCED, 3000, &packed,
                                           &below), CAEFS_OK);
        assert_true(below);
        assert_true(packed.size > 0 && packed.size < 3000);
        bytes_free(&packed);
}

/* What each backend wrote, alone in memory of its exact size. */
static void
assert_backend(const struct bytes *coded, const uint8_t *data, size_t n,
               enum caefs_err (*decode)(const uint8_t *, size_t, uint8_t *, size_t))
{
        uint8_t *exact = malloc(coded->size), *back = malloc(n);

        assert_true(coded->size > 0 && exact != NULL && back != NULL);
        memcpy(exact, coded->data, coded->size);
        assert_int_equal(decode(exact, coded->size, back, n), CAEFS_OK);
        assert_memory_equal(back, data, n);
        assert_int_equal(decode(exact, coded->size - 1, back, n), CAEFS_ERR_CORRUPT);
        assert_int_equal(decode(exact, coded->size, back, n - 1), CAEFS_ERR_CORRUPT);
        assert_int_equal(decode(exact, 0, back, n), CAEFS_ERR_CORRUPT);
        free(exact);
        free(back);
}

static void
test_backends(void **state)
{
        (void) state;
        static const size_t lengths[] = { 200, 3000, 70000 };
        static uint8_t data[70000];

        for (size_t l = 0; l < 3; l++) {
                struct bytes coded = { 0 };
                size_t n = lengths[l];
                fill(data, n, TEXT, 2);
                assert_true(backend_zstd_encode(data, n, 19, n, &coded));
                assert_backend(&coded, data, n, backend_zstd_decode);
                bytes_clear(&coded);
                assert_true(backend_bzip2_encode(data, n, n, &coded));
                assert_backend(&coded, data, n, backend_bzip2_decode);
                for (unsigned properties = 0; properties < 225; properties += 31) {
                        bytes_clear(&coded);
                        if (backend_lzma_encode(data, n, properties, 6, n, &coded))
                                assert_backend(&coded, data, n, backend_lzma_decode);
                        else
                                assert_true(properties % 9 + properties / 9 % 5 > 4);
                }
                bytes_free(&coded);
        }
}

/* Every method byte over damaged data: some bytes or an error, nothing else. */
static void
test_damage(void **state)
{
        (void) state;
        uint64_t seed = 4;
        uint8_t data[2000], back[2000];

        for (unsigned i = 0; i < 600; i++) {
                struct bytes packed = { 0 };
                fill(data, sizeof data, i % PATTERN_COUNT, i);
                assert_int_equal(pack_encode(data, sizeof data, EFFORT_FAST, &packed), CAEFS_OK);
                if (i % 3 == 0)
                        packed.data[0] = (uint8_t) next_random(&seed);
                else
                        packed.data[next_random(&seed) % packed.size] ^= (uint8_t) (1u << i % 8);
                size_t size = i % 5 == 0 ? next_random(&seed) % packed.size : packed.size;
                uint8_t *exact = malloc(size + 1);
                memcpy(exact, packed.data, size);
                enum caefs_err err = pack_decode(exact, size, back, sizeof back);
                assert_true(err == CAEFS_OK || err == CAEFS_ERR_CORRUPT);
                free(exact);
                bytes_free(&packed);
        }
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_long),
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_limit),
                cmocka_unit_test(test_backends),
                cmocka_unit_test(test_damage),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
