/* test_object_key.c - objects that refer to an earlier one of a series. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/npy.h"
#include "codec/object.h"
#include "tests/unit/memory_file.h"

/* ---- helpers ---------------------------------------------------------------- */

/* splitmix64 of a place: noise that is the same in every step of a series. */
static double
noise_at(uint64_t i)
{
        uint64_t z = (i + 1) * 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return (double) ((z ^ z >> 31) >> 40) / (1 << 24);
}

#define COLUMNS 100

/* Step T of a series of ROWS x COLUMNS: noise that stays, and a little that moves. */
static void
make_step(struct bytes *file, enum dtype dtype, bool big_endian, uint64_t rows, unsigned t)
{
        struct npy_header h = { .dtype = dtype, .big_endian = big_endian,
                                .shape = { 2, { rows, COLUMNS } } };

        bytes_clear(file);
        npy_write(&h, NPY_PAD_64, file);
        for (uint64_t i = 0; i < rows * COLUMNS; i++) {
                double   v = 100 * noise_at(i) + sin((double) i * 0.01 + t) + 2 * t;
                float    narrow = (float) v;
                uint64_t bits = 0;
                unsigned width = dtype_size(dtype);
                memcpy(&bits, dtype == DTYPE_F64 ? (const void *) &v : &narrow, width);
                for (unsigned b = 0; b < width; b++)
                        bytes_put_u8(file, (uint8_t) (bits >> 8 * (big_endian ? width - 1 - b : b)));
        }
}

static struct object_report
encode(struct bytes *file, const struct object *key, const struct object *previous,
       struct bytes *out)
{
        const struct byte_source    source = { read_memory, file, file->size };
        const struct byte_sink      sink = { write_memory, out };
        const struct object_options o = {
                .bound = { BOUND_REL, 1e-3 },
                .effort = EFFORT_BALANCED,
                .chunk = 16384,
                .key = key,
                .previous = previous,
        };
        struct object_report report;

        bytes_clear(out);
        assert_int_equal(object_encode(&source, &o, &sink, &report), CAEFS_OK);
        assert_int_equal(report.stored_bytes, out->size);
        assert_true(report.worst_over_bound <= 1);
        return report;
}

/* Finds what it is told to find, whoever asks. */
static const struct object *
give(void *context, uint64_t identity)
{
        (void) identity;
        return context;
}

static struct object *
open_with(struct bytes *coded, const struct object *key)
{
        const struct byte_source   source = { read_memory, coded, coded->size };
        const struct object_finder finder = { .key = give, .context = (void *) key };
        struct object             *o;

        assert_int_equal(object_open(&source, &finder, &o), CAEFS_OK);
        return o;
}

/* How many chunks of O give CAEFS_ERR_MODEL; all others are read. */
static size_t
count_missing(const struct object *o)
{
        struct arena arena = { 0 };
        size_t       missing = 0;

        for (size_t i = 0; i < object_info(o)->nchunks; i++) {
                struct chunk_extent e;
                assert_int_equal(object_chunk(o, i, &e), CAEFS_OK);
                void          *buffer = malloc((size_t) e.length);
                enum caefs_err err = object_read_chunk(o, i, &arena, buffer);
                assert_true(err == CAEFS_OK || err == CAEFS_ERR_MODEL);
                missing += err != CAEFS_OK;
                free(buffer);
        }
        arena_free(&arena);
        return missing;
}

/* O serves FILE within the bound; NaN never occurs here. */
static void
assert_serves(const struct object *o, const struct bytes *file)
{
        uint8_t *served = malloc(file->size);

        assert_int_equal(object_info(o)->logical_bytes, file->size);
        assert_int_equal(object_read(o, served, file->size, 0), CAEFS_OK);
        for (size_t i = 128; i + 4 <= file->size; i += 4) {
                float a, b;
                memcpy(&a, file->data + i, 4);
                memcpy(&b, served + i, 4);
                assert_true(fabsf(a - b) < 0.2);
        }
        free(served);
}

/* A key, and a later step that refers to it. */
struct series {
        struct bytes   key_file, file, key_bytes, bytes;
        struct object *key;
        struct object_report report;
};

static void
series_make(struct series *s)
{
        *s = (struct series) { 0 };
        make_step(&s->key_file, DTYPE_F32, false, 300, 0);
        make_step(&s->file, DTYPE_F32, false, 300, 1);
        encode(&s->key_file, NULL, NULL, &s->key_bytes);
        s->key = open_with(&s->key_bytes, NULL);
        s->report = encode(&s->file, s->key, NULL, &s->bytes);
}

static void
series_free(struct series *s)
{
        object_close(s->key);
        bytes_free(&s->key_file);
        bytes_free(&s->file);
        bytes_free(&s->key_bytes);
        bytes_free(&s->bytes);
}

/* ---- the use of it ------------------------------------------------------------ */

static void
test_a_later_step_is_small(void **state)
{
        struct series s;
        struct bytes  alone = { 0 };

        (void) state;
        series_make(&s);
        encode(&s.file, NULL, NULL, &alone);
        assert_true(s.bytes.size < alone.size / 2);
        assert_int_equal(s.report.key, object_info(s.key)->identity);
        assert_true(s.report.family_values[FAMILY_FOLLOW] > 0);
        struct object *o = open_with(&s.bytes, s.key);
        assert_int_equal(object_info(o)->key, object_info(s.key)->identity);
        assert_true(object_info(o)->nchunks > 4);
        assert_int_equal(count_missing(o), 0);
        assert_serves(o, &s.file);
        object_close(o);
        bytes_free(&alone);
        series_free(&s);
}

/* Byte order of either does not matter; a longer key is as good. */
static void
test_other_order_and_length(void **state)
{
        struct bytes key_file = { 0 }, file = { 0 }, key_bytes = { 0 }, coded = { 0 };

        (void) state;
        for (int variant = 0; variant < 4; variant++) {
                make_step(&key_file, DTYPE_F64, variant & 1, 340, 0);
                make_step(&file, DTYPE_F64, variant & 2, 300, 1);
                encode(&key_file, NULL, NULL, &key_bytes);
                struct object       *key = open_with(&key_bytes, NULL);
                struct object_report r = encode(&file, key, NULL, &coded);
                assert_int_equal(r.key, object_info(key)->identity);
                struct object *o = open_with(&coded, key);
                assert_int_equal(count_missing(o), 0);
                object_close(o);
                object_close(key);
        }
        bytes_free(&key_file);
        bytes_free(&file);
        bytes_free(&key_bytes);
        bytes_free(&coded);
}

/* A key that is of no use leaves no trace. */
static void
test_useless_keys(void **state)
{
        struct bytes key_file = { 0 }, file = { 0 }, key_bytes = { 0 }, coded = { 0 }, alone = { 0 };

        (void) state;
        make_step(&file, DTYPE_F32, false, 300, 0);
        encode(&file, NULL, NULL, &alone);
        make_step(&key_file, DTYPE_F64, false, 300, 0);
        for (int variant = 0; variant < 2; variant++) {
                if (variant == 1) {
                        bytes_clear(&key_file);
                        bytes_put(&key_file, "no array", 8);
                }
                encode(&key_file, NULL, NULL, &key_bytes);
                struct object       *key = open_with(&key_bytes, NULL);
                struct object_report r = encode(&file, key, NULL, &coded);
                assert_int_equal(r.key, 0);
                assert_int_equal(coded.size, alone.size);
                assert_memory_equal(coded.data, alone.data, alone.size);
                object_close(key);
        }
        bytes_free(&key_file);
        bytes_free(&file);
        bytes_free(&key_bytes);
        bytes_free(&coded);
        bytes_free(&alone);
}

/* ---- rewriting ------------------------------------------------------------------ */

/* What is rewritten keeps its key, whatever key it is offered, and what nobody changed. */
static void
test_rewriting_keeps_the_key(void **state)
{
        struct series s;
        struct bytes  again = { 0 }, other_bytes = { 0 };

        (void) state;
        series_make(&s);
        struct object *previous = open_with(&s.bytes, s.key);
        assert_int_equal(object_read(previous, s.file.data, s.file.size, 0), CAEFS_OK);
        s.file.data[s.file.size / 2] ^= 1;
        encode(&s.key_file, NULL, NULL, &other_bytes);
        struct object       *other = open_with(&other_bytes, NULL);
        struct object_report r = encode(&s.file, other, previous, &again);
        assert_int_equal(r.key, object_info(s.key)->identity);
        assert_int_equal(r.chunks - r.carried, 2);      /* the touched one, and the header */
        struct object *o = open_with(&again, s.key);
        uint8_t       *served = malloc(s.file.size);
        assert_int_equal(object_read(o, served, s.file.size, 0), CAEFS_OK);
        assert_memory_equal(served, s.file.data, s.file.size);
        free(served);
        object_close(o);
        object_close(other);
        object_close(previous);
        bytes_free(&again);
        bytes_free(&other_bytes);
        series_free(&s);
}

/* With its key lost the old object serves nothing; the file can be written again all the same. */
static void
test_rewriting_after_the_key_was_lost(void **state)
{
        struct series s;
        struct bytes  again = { 0 };

        (void) state;
        series_make(&s);
        struct object       *previous = open_with(&s.bytes, NULL);
        struct object_report r = encode(&s.file, NULL, previous, &again);
        assert_int_equal(r.key, 0);
        struct object *o = open_with(&again, NULL);
        assert_int_equal(count_missing(o), 0);
        assert_serves(o, &s.file);
        object_close(o);
        object_close(previous);
        bytes_free(&again);
        series_free(&s);
}

/* ---- what must not be ------------------------------------------------------------- */

/* No key, another key, the object itself, one that has a key: chunks that need it say so,
 * and the others are read. */
static void
test_wrong_keys(void **state)
{
        struct series  s;
        struct bytes   other_bytes = { 0 };

        (void) state;
        series_make(&s);
        make_step(&s.file, DTYPE_F32, false, 300, 7);
        encode(&s.file, NULL, NULL, &other_bytes);
        struct object *right = open_with(&s.bytes, s.key);
        struct object *other = open_with(&other_bytes, NULL);
        const struct object *wrong[] = { NULL, other, right };
        for (size_t i = 0; i < 3; i++) {
                struct object *o = open_with(&s.bytes, wrong[i]);
                size_t         missing = count_missing(o);
                assert_true(missing > 0 && missing < object_info(o)->nchunks);
                object_close(o);
        }
        object_close(right);
        object_close(other);
        bytes_free(&other_bytes);
        series_free(&s);
}

/* A key that refers to another object is refused when it is offered. */
static void
test_no_key_of_a_key(void **state)
{
        struct series s;
        struct bytes  out = { 0 };

        (void) state;
        series_make(&s);
        struct object              *later = open_with(&s.bytes, s.key);
        const struct byte_source    source = { read_memory, &s.file, s.file.size };
        const struct byte_sink      sink = { write_memory, &out };
        const struct object_options o = { .key = later };
        struct object_report        report;
        assert_int_equal(object_encode(&source, &o, &sink, &report), CAEFS_ERR_ARGUMENT);
        object_close(later);
        bytes_free(&out);
        series_free(&s);
}

/* A damaged key chunk: only what lies on it cannot be read. */
static void
test_damaged_key(void **state)
{
        struct series s;
        struct arena  arena = { 0 };
        size_t        damaged = 0;

        (void) state;
        series_make(&s);
        struct object      *o = open_with(&s.bytes, s.key);
        struct chunk_extent e;
        s.key_bytes.data[2000] ^= 0x55;
        for (size_t i = 0; i < object_info(o)->nchunks; i++) {
                assert_int_equal(object_chunk(o, i, &e), CAEFS_OK);
                void          *buffer = malloc((size_t) e.length);
                enum caefs_err err = object_read_chunk(o, i, &arena, buffer);
                assert_true(err == CAEFS_OK || err == CAEFS_ERR_CORRUPT);
                damaged += err != CAEFS_OK;
                free(buffer);
        }
        assert_int_equal(damaged, 1);
        arena_free(&arena);
        object_close(o);
        series_free(&s);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_later_step_is_small),
                cmocka_unit_test(test_other_order_and_length),
                cmocka_unit_test(test_useless_keys),
                cmocka_unit_test(test_rewriting_keeps_the_key),
                cmocka_unit_test(test_rewriting_after_the_key_was_lost),
                cmocka_unit_test(test_wrong_keys),
                cmocka_unit_test(test_no_key_of_a_key),
                cmocka_unit_test(test_damaged_key),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
