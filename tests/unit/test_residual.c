/* tests/unit/test_residual.c - every coder gives back what it was given, and
 * none trusts what it reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/residual_coder.h"

static const struct residual_coder *const coders[] = {
        &residual_coder_static, &residual_coder_mixing,
        &residual_coder_sparse, &residual_coder_general
};
#define CODERS (sizeof coders / sizeof coders[0])

/* splitmix64: the same numbers everywhere. */
static uint64_t
next_random(uint64_t *state)
{
        uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

        z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
        return z ^ z >> 31;
}

enum pattern {
        PATTERN_CONSTANT, PATTERN_GEOMETRIC, PATTERN_SPARSE, PATTERN_RANDOM, PATTERN_EXTREME,
        PATTERN_REPEATING, PATTERN_ONE, PATTERN_COUNT
};

/* Mostly small numbers of either sign. */
static int64_t
geometric(uint64_t *seed)
{
        uint64_t bits = next_random(seed);
        int64_t m = __builtin_ctzll(bits | UINT64_C(1) << 40);

        return bits >> 63 ? m : -m;
}

static int64_t
residual_of_pattern(enum pattern p, size_t i, bool wide, uint64_t *seed)
{
        int64_t low = wide ? INT64_MIN : INT32_MIN, high = wide ? INT64_MAX : INT32_MAX;

        switch (p) {
        case PATTERN_CONSTANT:  return -3;
        case PATTERN_GEOMETRIC: return geometric(seed);
        case PATTERN_SPARSE:    return next_random(seed) % 97 == 0 ? geometric(seed) : 0;
        case PATTERN_RANDOM:
                return wide ? (int64_t) next_random(seed) : (int32_t) next_random(seed);
        case PATTERN_EXTREME:
                return (const int64_t[]) { low, high, 0, -1, 1, low + 1 }[next_random(seed) % 6];
        case PATTERN_REPEATING: return (int64_t) (i % 37 * 11 % 37) - 18;
        case PATTERN_ONE:       return i == 700 ? 5 : 0;
        default:                return 0;
        }
}

static void
fill(void *to, size_t n, enum pattern p, bool wide, uint64_t seed)
{
        for (size_t i = 0; i < n; i++) {
                int64_t r = residual_of_pattern(p, i, wide, &seed);
                if (wide)
                        ((int64_t *) to)[i] = r;
                else
                        ((int32_t *) to)[i] = (int32_t) r;
        }
}

/* Sequences of segments: COUNT residuals in all. */
static size_t
make_segments(struct residual_segment segment[8], size_t count, unsigned shape)
{
        static const size_t rows[] = { 0, 3, 16, 100, 1, 2000 };
        size_t n = shape % 2 == 0 ? 1 : 1 + shape % 7;

        for (size_t i = 0; i < n; i++) {
                segment[i].count = i + 1 < n ? count / (2 * n) : count;
                segment[i].row = rows[(shape + i) % 6];
                segment[i].kind = (unsigned) (i * shape) % 3;
                count -= segment[i].count;
        }
        return n;
}

/* Buffers of exact size, so that a sanitizer sees every step outside. */
struct fixture {
        struct residuals        given, found;
        struct residual_segment segment[8];
        struct arena            arena;
        struct bytes            coded;
};

static void
fixture_init(struct fixture *f, size_t count, enum pattern p, bool wide, unsigned shape)
{
        size_t size = count * (wide ? 8 : 4);

        *f = (struct fixture) { 0 };
        f->given = (struct residuals) {
                .value = malloc(size), .count = count, .wide = wide, .segment = f->segment,
                .nsegments = make_segments(f->segment, count, shape)
        };
        f->found = f->given;
        f->found.value = malloc(size);
        assert_true(size == 0 || (f->given.value != NULL && f->found.value != NULL));
        fill(f->given.value, count, p, wide, count * 31 + shape);
        memset(f->found.value, 0x5a, size);
}

static void
fixture_free(struct fixture *f)
{
        free(f->given.value);
        free(f->found.value);
        arena_free(&f->arena);
        bytes_free(&f->coded);
}

static void
assert_found(const struct fixture *f)
{
        assert_memory_equal(f->given.value, f->found.value,
                            f->given.count * (f->given.wide ? 8 : 4));
}

static enum caefs_err
encode_any(struct fixture *f, enum effort effort)
{
        return f->given.wide ?
                residual_encode_wide(f->given.value, f->segment, f->given.nsegments, effort,
                                     &f->arena, &f->coded) :
                residual_encode(f->given.value, f->segment, f->given.nsegments, effort,
                                &f->arena, &f->coded);
}

static enum caefs_err
decode_any(struct fixture *f, struct cursor *in)
{
        return f->given.wide ?
                residual_decode_wide(in, f->found.value, f->segment, f->given.nsegments,
                                     &f->arena) :
                residual_decode(in, f->found.value, f->segment, f->given.nsegments, &f->arena);
}

/* Lengths around the sizes of lanes, steps and blocks. */
static const size_t lengths[] = {
        0, 1, 2, 31, 32, 33, 63, 64, 65, 127, 500, 1000, 1025, 2047, 3333, 5000
};
#define LENGTHS (sizeof lengths / sizeof lengths[0])

/* Also behind what a coding ends with there may be other bytes: they are not read. */
static void
round_trip(size_t count, enum pattern p, bool wide, unsigned shape, enum effort effort)
{
        struct fixture f;

        fixture_init(&f, count, p, wide, shape);
        bytes_put_u8(&f.coded, 0xee);
        assert_int_equal(encode_any(&f, effort), CAEFS_OK);
        size_t size = f.coded.size;
        bytes_put_u64(&f.coded, UINT64_C(0x1122334455667788));
        struct cursor in = cursor_of(f.coded.data + 1, f.coded.size - 1);
        assert_int_equal(decode_any(&f, &in), CAEFS_OK);
        assert_ptr_equal(in.at, f.coded.data + size);
        assert_found(&f);
        fixture_free(&f);
}

static void
test_round_trip(void **state)
{
        (void) state;
        for (size_t l = 0; l < LENGTHS; l++)
                for (enum pattern p = 0; p < PATTERN_COUNT; p++)
                        for (unsigned shape = 0; shape < 3; shape++)
                                for (unsigned wide = 0; wide < 2; wide++)
                                        round_trip(lengths[l], p, wide, shape * 5 + p,
                                                   (enum effort) ((l + p) % 2));
}

static void
test_round_trip_max(void **state)
{
        (void) state;
        for (enum pattern p = 0; p < PATTERN_COUNT; p++)
                for (unsigned wide = 0; wide < 2; wide++)
                        round_trip(3000, p, wide, p, EFFORT_MAX);
}

/* Each coder by itself, alone in its buffer: what the choice might never take. */
static void
coder_round_trip(const struct residual_coder *coder, size_t count, enum pattern p, bool wide,
                 unsigned shape)
{
        struct fixture f;

        fixture_init(&f, count, p, wide, shape);
        assert_int_equal(coder->encode(&f.given, EFFORT_FAST, SIZE_MAX / 8, &f.arena, &f.coded),
                         CAEFS_OK);
        assert_true(f.coded.size > 0);
        uint8_t *exact = malloc(f.coded.size);
        memcpy(exact, f.coded.data, f.coded.size);
        struct cursor in = cursor_of(exact, f.coded.size);
        assert_int_equal(coder->decode(&in, &f.found, &f.arena), CAEFS_OK);
        assert_int_equal(cursor_left(&in), 0);
        assert_found(&f);
        free(exact);
        fixture_free(&f);
}

static void
test_each_coder(void **state)
{
        (void) state;
        for (size_t c = 0; c < CODERS; c++)
                for (size_t l = 1; l < LENGTHS; l++)
                        for (enum pattern p = 0; p < PATTERN_COUNT; p++)
                                for (unsigned wide = 0; wide < 2; wide++)
                                        coder_round_trip(coders[c], lengths[l], p, wide,
                                                         (unsigned) l * 3 + p);
}

static void
test_lengths_around_steps(void **state)
{
        (void) state;
        for (size_t n = 1; n < 300; n++) {
                coder_round_trip(&residual_coder_static, n, PATTERN_GEOMETRIC, n % 2, (unsigned) n);
                coder_round_trip(&residual_coder_mixing, n, PATTERN_SPARSE, n % 2, (unsigned) n);
        }
}

static const char *const instruction_sets[] = { "scalar", "avx2", "avx512" };

/* The same bytes, and from them the same residuals. */
static void
instruction_sets_agree(const struct residual_coder *coder, size_t count, enum pattern p,
                       unsigned shape)
{
        struct fixture f;
        struct bytes first = { 0 };

        fixture_init(&f, count, p, shape % 2, shape);
        for (size_t i = 0; i < 3; i++) {
                setenv("CAEFS_SIMD", instruction_sets[i], 1);
                struct bytes *to = i == 0 ? &first : &f.coded;
                bytes_clear(to);
                assert_int_equal(coder->encode(&f.given, EFFORT_BALANCED, SIZE_MAX / 8, &f.arena,
                                               to), CAEFS_OK);
                assert_int_equal(to->size, first.size);
                assert_memory_equal(to->data, first.data, first.size);
                struct cursor in = cursor_of(to->data, to->size);
                memset(f.found.value, 1, f.found.count * 4);
                assert_int_equal(coder->decode(&in, &f.found, &f.arena), CAEFS_OK);
                assert_found(&f);
        }
        unsetenv("CAEFS_SIMD");
        bytes_free(&first);
        fixture_free(&f);
}

/* As large as it takes for all vector paths and for 64 lanes, with rows and raw bits. */
static void
test_instruction_sets_agree(void **state)
{
        (void) state;
        for (unsigned shape = 0; shape < 6; shape++) {
                for (size_t c = 0; c < 2; c++)
                        instruction_sets_agree(coders[c], 20011, PATTERN_GEOMETRIC, shape);
                for (enum pattern p = 0; p < PATTERN_COUNT; p++) {
                        instruction_sets_agree(&residual_coder_static, 5003, p, shape);
                        instruction_sets_agree(&residual_coder_static, 150001, p, shape);
                }
        }
}

/* Damaged bytes give some numbers or an error, on every instruction set the same. */
static void
decode_damaged(struct fixture *f, const uint8_t *bytes, size_t n)
{
        uint64_t hash[3] = { 0 };
        enum caefs_err err[3];
        size_t size = f->found.count * (f->found.wide ? 8 : 4);

        for (size_t i = 0; i < 3; i++) {
                uint8_t *exact = malloc(n == 0 ? 1 : n);
                memcpy(exact, bytes, n);
                setenv("CAEFS_SIMD", instruction_sets[i], 1);
                struct cursor in = cursor_of(exact, n);
                err[i] = decode_any(f, &in);
                assert_true(err[i] == CAEFS_OK || err[i] == CAEFS_ERR_CORRUPT);
                for (size_t k = 0; err[i] == CAEFS_OK && k < size; k++)
                        hash[i] = hash[i] * 31 + ((const uint8_t *) f->found.value)[k];
                free(exact);
        }
        unsetenv("CAEFS_SIMD");
        assert_int_equal(err[0], err[1]);
        assert_int_equal(err[0], err[2]);
        assert_true(hash[0] == hash[1] && hash[0] == hash[2]);
}

static void
test_bit_flips(void **state)
{
        (void) state;
        uint64_t seed = 11;

        for (enum pattern p = 0; p < PATTERN_COUNT; p++) {
                for (unsigned number = 0; number <= CODERS; number++) {
                        struct fixture f;
                        fixture_init(&f, 3000, p, p % 2, p);
                        if (number == 0) {
                                assert_int_equal(encode_any(&f, EFFORT_BALANCED), CAEFS_OK);
                        } else {
                                bytes_put_u8(&f.coded, (uint8_t) number);
                                assert_int_equal(coders[number - 1]->encode(
                                        &f.given, EFFORT_FAST, SIZE_MAX / 8, &f.arena, &f.coded),
                                        CAEFS_OK);
                        }
                        for (unsigned i = 0; i < 40; i++) {
                                size_t bit = next_random(&seed) % (8 * f.coded.size);
                                if (i % 2 == 0)         /* headers are the tender part */
                                        bit %= 8 * (f.coded.size < 40 ? f.coded.size : 40);
                                f.coded.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
                                decode_damaged(&f, f.coded.data, f.coded.size);
                                f.coded.data[bit / 8] ^= (uint8_t) (1u << bit % 8);
                        }
                        for (unsigned i = 0; i < 10; i++)
                                decode_damaged(&f, f.coded.data,
                                               next_random(&seed) % f.coded.size);
                        fixture_free(&f);
                }
        }
}

static void
test_random_bytes(void **state)
{
        (void) state;
        uint64_t seed = 5;
        uint8_t noise[600];

        for (unsigned i = 0; i < 1500; i++) {
                struct fixture f;
                fixture_init(&f, next_random(&seed) % 2000, PATTERN_ONE, i % 2, i);
                for (size_t k = 0; k < sizeof noise; k++)
                        noise[k] = (uint8_t) next_random(&seed);
                noise[0] = (uint8_t) (i % 6);
                decode_damaged(&f, noise, next_random(&seed) % sizeof noise);
                fixture_free(&f);
        }
}

/* Neighbours that are alike make residuals cheaper than their histogram says. */
static void
test_context_beats_order_zero(void **state)
{
        (void) state;
        struct fixture f;
        uint64_t seed = 3;

        fixture_init(&f, 65536, PATTERN_CONSTANT, false, 0);
        int32_t *r = f.given.value;
        for (size_t i = 0; i < 65536; i++)
                r[i] = i / 1024 % 2 == 0 ? 0 : (int32_t) (next_random(&seed) % 32) - 16;
        assert_int_equal(encode_any(&f, EFFORT_FAST), CAEFS_OK);
        /* Order 0: 1 bit for which half, and half of the time 5: 28,672 bytes. */
        assert_true(f.coded.size < 22000);
        fixture_free(&f);
}

static void
test_zeros_are_nearly_free(void **state)
{
        (void) state;
        struct fixture f;
        uint64_t seed = 9;

        fixture_init(&f, 181890, PATTERN_CONSTANT, false, 0);
        int32_t *r = f.given.value;
        memset(r, 0, 181890 * sizeof *r);
        assert_int_equal(encode_any(&f, EFFORT_BALANCED), CAEFS_OK);
        assert_int_equal(f.coded.size, 1);
        f.coded.size = 0;
        for (unsigned i = 0; i < 200; i++)
                r[next_random(&seed) % 181890] = i % 2 == 0 ? 1 : -1;
        assert_int_equal(encode_any(&f, EFFORT_BALANCED), CAEFS_OK);
        /* Entropy: 200 (log2(181890 / 200) + 1.44 + 1) bits, 307 bytes. */
        assert_true(f.coded.size < 420);
        fixture_free(&f);
}

static void
test_repetition_is_found(void **state)
{
        (void) state;
        struct fixture f;
        uint64_t seed = 21;

        fixture_init(&f, 60000, PATTERN_RANDOM, false, 0);
        int32_t *r = f.given.value;
        for (size_t i = 0; i < 60000; i++)
                r[i] = i < 3000 ? (int32_t) (next_random(&seed) % 1000) : r[i - 3000];
        assert_int_equal(encode_any(&f, EFFORT_BALANCED), CAEFS_OK);
        assert_true(f.coded.size < 8000);
        fixture_free(&f);
}

static void
test_estimate_follows_cost(void **state)
{
        (void) state;
        struct fixture f;

        for (enum pattern p = PATTERN_GEOMETRIC; p <= PATTERN_RANDOM; p++) {
                fixture_init(&f, 40000, p, false, 0);
                double bits = residual_estimate(f.given.value, f.given.count);
                assert_int_equal(encode_any(&f, EFFORT_FAST), CAEFS_OK);
                /* The lanes' states are not in the estimate. */
                double coded = 8.0 * (double) f.coded.size;
                assert_true(bits < coded * 1.1 && bits > (coded - 8 * 128) * 0.9);
                fixture_free(&f);
        }
        assert_true(residual_estimate(NULL, 0) == 0);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_round_trip_max),
                cmocka_unit_test(test_each_coder),
                cmocka_unit_test(test_lengths_around_steps),
                cmocka_unit_test(test_instruction_sets_agree),
                cmocka_unit_test(test_bit_flips),
                cmocka_unit_test(test_random_bytes),
                cmocka_unit_test(test_context_beats_order_zero),
                cmocka_unit_test(test_zeros_are_nearly_free),
                cmocka_unit_test(test_repetition_is_found),
                cmocka_unit_test(test_estimate_follows_cost),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
