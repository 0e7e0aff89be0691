/* test_object.c - objects give back what was put in, or an error.
 *
 * The container is tested with the real codec below it: sizes, checksums,
 * damage, rewriting, threads.  CAEFS_TEST_LONG=1 runs more rounds.
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

#include "codec/npy.h"
#include "codec/object.h"
#include "codec/object_index.h"
#include "tests/unit/memory_file.h"

#define KIB ((size_t) 1024)

/* ---- helpers ---------------------------------------------------------------- */

/* splitmix64: small, seeded, the same everywhere. */
static uint64_t random_state;

static uint64_t
random_bits(void)
{
        uint64_t z = random_state += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
}

static bool
long_test(void)
{
        const char *text = getenv("CAEFS_TEST_LONG");

        return text != NULL && *text != '\0';
}

static struct object_report
encode(struct bytes *file, const struct object_options *o, struct bytes *object)
{
        const struct byte_source source = source_of(file);
        const struct byte_sink   sink = { .write = write_memory, .context = object };
        struct object_report     report;

        bytes_clear(object);
        assert_int_equal(object_encode(&source, o, &sink, &report), CAEFS_OK);
        assert_false(object->failed);
        assert_int_equal(report.logical_bytes, file->size);
        assert_int_equal(report.stored_bytes, object->size);
        return report;
}

static struct object *
open_object(struct bytes *object)
{
        const struct byte_source source = source_of(object);
        struct object           *o;

        assert_int_equal(object_open(&source, NULL, &o), CAEFS_OK);
        return o;
}

/* All bytes an object serves, into OUT (cleared first). */
static void
decode(const struct object *o, struct bytes *out)
{
        size_t n = (size_t) object_info(o)->logical_bytes;

        bytes_clear(out);
        assert_non_null(bytes_reserve(out, n + 1));
        out->size = n;
        assert_int_equal(object_read(o, out->data, n, 0), CAEFS_OK);
}

static void
assert_same(const struct bytes *a, const struct bytes *b)
{
        assert_int_equal(a->size, b->size);
        if (a->size > 0)
                assert_memory_equal(a->data, b->data, a->size);
}

/* A smooth value with a little noise at place I of an array. */
static double
smooth_value(size_t i)
{
        return sin((double) i * 0.003) * 50 + (double) (random_bits() % 1000) * 1e-4;
}

static void
put_f32(struct bytes *b, double v)
{
        float f = (float) v;

        bytes_put(b, &f, sizeof f);
}

/* A .npy file of smooth f32 or f64 values. */
static void
make_npy(struct bytes *file, enum dtype dtype, bool fortran, unsigned ndim,
         const uint64_t *extent)
{
        struct npy_header h = { .dtype = dtype, .fortran = fortran, .shape.ndim = ndim };

        for (unsigned i = 0; i < ndim; i++)
                h.shape.extent[i] = extent[i];
        bytes_clear(file);
        npy_write(&h, NPY_PAD_64, file);
        for (uint64_t i = 0; i < shape_count(&h.shape); i++) {
                if (dtype == DTYPE_F32)
                        put_f32(file, smooth_value(i));
                else
                        bytes_put_f64(file, smooth_value(i));
        }
}

static double
value_at(const struct bytes *file, enum dtype dtype, size_t header, size_t i)
{
        float  f;
        double d;

        if (dtype == DTYPE_F32) {
                memcpy(&f, file->data + header + i * sizeof f, sizeof f);
                return f;
        }
        memcpy(&d, file->data + header + i * sizeof d, sizeof d);
        return d;
}

/* ---- what goes in comes out ----------------------------------------------------- */

static void
assert_chunks_cover(const struct object *o)
{
        const struct object_info *info = object_info(o);
        uint64_t                  at = 0, stored = 0;

        for (size_t i = 0; i < info->nchunks; i++) {
                struct chunk_extent e;
                assert_int_equal(object_chunk(o, i, &e), CAEFS_OK);
                assert_int_equal(e.offset, at);
                assert_true(e.length > 0);
                assert_int_equal(object_chunk_at(o, e.offset), i);
                assert_int_equal(object_chunk_at(o, e.offset + e.length - 1), i);
                const struct region *r = object_region(o, e.region);
                assert_true(e.offset >= r->offset &&
                            e.offset + e.length <= r->offset + r->length);
                at += e.length;
                stored += e.stored;
        }
        assert_int_equal(at, info->logical_bytes);
        assert_true(stored < info->stored_bytes);
        struct chunk_extent e;
        assert_int_equal(object_chunk(o, info->nchunks, &e), CAEFS_ERR_ARGUMENT);
}

static void
assert_parts_read_alike(const struct object *o, const struct bytes *whole)
{
        uint8_t part[5000];

        for (int i = 0; i < 30 && whole->size > 0; i++) {
                size_t offset = (size_t) (random_bits() % whole->size);
                size_t n = (size_t) (random_bits() % sizeof part);
                if (n > whole->size - offset)
                        n = whole->size - offset;
                assert_int_equal(object_read(o, part, n, offset), CAEFS_OK);
                assert_memory_equal(part, whole->data + offset, n);
        }
        assert_int_equal(object_read(o, part, 1, whole->size), CAEFS_ERR_ARGUMENT);
}

static void
assert_lossless_round_trip(struct bytes *file, const struct object_options *o)
{
        struct bytes object = { 0 }, back = { 0 };

        encode(file, o, &object);
        struct object *opened = open_object(&object);
        assert_int_equal(object_info(opened)->logical_bytes, file->size);
        assert_int_equal(object_info(opened)->stored_bytes, object.size);
        assert_chunks_cover(opened);
        decode(opened, &back);
        assert_same(file, &back);
        assert_parts_read_alike(opened, file);
        object_close(opened);
        bytes_free(&object);
        bytes_free(&back);
}

static void
test_lossless_shapes(void **state)
{
        static const struct { unsigned ndim; uint64_t extent[8]; } shapes[] = {
                { 0, { 0 } },
                { 1, { 1 } },
                { 1, { 20000 } },
                { 2, { 300, 41 } },
                { 2, { 1, 7000 } },
                { 2, { 7000, 1 } },
                { 3, { 1, 50, 100 } },
                { 3, { 9, 30, 70 } },
                { 4, { 3, 5, 20, 30 } },
                { 6, { 2, 1, 3, 4, 20, 30 } },
                { 8, { 2, 3, 1, 2, 5, 4, 3, 2 } },
        };
        struct bytes file = { 0 };

        (void) state;
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
                for (int variant = 0; variant < 8; variant++) {
                        struct object_options o = {
                                .scope = (enum scope) ((variant + i) % 3),
                                .effort = EFFORT_FAST,
                                .chunk = variant & 1 ? 4 * KIB : 0,
                        };
                        make_npy(&file, variant & 2 ? DTYPE_F32 : DTYPE_F64, variant >= 4,
                                 shapes[i].ndim, shapes[i].extent);
                        assert_lossless_round_trip(&file, &o);
                }
        bytes_free(&file);
}

static void
test_opaque_and_empty(void **state)
{
        static const size_t   sizes[] = { 0, 1, 2, 127, 4096, 4097, 6144, 50000 };
        struct object_options o = { .chunk = 4 * KIB, .bound = { BOUND_REL, 1e-2 } };
        struct bytes          file = { 0 };

        (void) state;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                bytes_clear(&file);
                for (size_t j = 0; j < sizes[i]; j++)
                        bytes_put_u8(&file, (uint8_t) (random_bits() % 7));
                assert_lossless_round_trip(&file, &o);
        }
        bytes_free(&file);
}

/* A file that goes on after its values, and integers: exact under any bound. */
static void
test_exact_parts(void **state)
{
        static const uint64_t extent[2] = { 100, 30 };
        struct object_options o = { .bound = { BOUND_REL, 1e-2 } };
        struct bytes          file = { 0 }, object = { 0 }, back = { 0 };

        (void) state;
        make_npy(&file, DTYPE_F32, false, 2, extent);
        bytes_put(&file, "and a tail", 10);
        encode(&file, &o, &object);
        struct object *opened = open_object(&object);
        assert_int_equal(object_info(opened)->nregions, 3);
        decode(opened, &back);
        assert_memory_equal(file.data + file.size - 10, back.data + back.size - 10, 10);
        assert_memory_equal(file.data, back.data, 128);
        object_close(opened);

        struct npy_header h = { .dtype = DTYPE_I32, .shape = { 1, { 5000 } } };
        bytes_clear(&file);
        npy_write(&h, NPY_PAD_64, &file);
        for (uint32_t i = 0; i < 5000; i++)
                bytes_put_u32(&file, i * i);
        assert_lossless_round_trip(&file, &o);
        bytes_free(&file);
        bytes_free(&object);
        bytes_free(&back);
}

/* ---- bounds ----------------------------------------------------------------------- */

/* 400 rows of 6 columns with ranges from 1e-6 to 1e3, the last one constant. */
static void
make_table(struct bytes *file, bool fortran)
{
        struct npy_header h = { .dtype = DTYPE_F64, .fortran = fortran, .shape.ndim = 2 };
        static const double scale[6] = { 1e3, 1, 1e-6, 10, 1e-2, 0 };

        h.shape.extent[0] = fortran ? 6 : 400;
        h.shape.extent[1] = fortran ? 400 : 6;
        bytes_clear(file);
        npy_write(&h, NPY_PAD_64, file);
        for (size_t i = 0; i < 2400; i++) {
                size_t row = fortran ? i % 400 : i / 6;
                size_t column = fortran ? i / 400 : i % 6;
                double v = 3 + scale[column] * (sin((double) row * 0.05) +
                                                (double) (random_bits() % 1000) * 1e-4);
                bytes_put_f64(file, row == 17 && column == 1 ? NAN : v);
        }
}

static void
assert_table_within(const struct bytes *file, const struct bytes *back, bool fortran, double e)
{
        assert_int_equal(file->size, back->size);
        assert_memory_equal(file->data, back->data, 128);
        for (size_t column = 0; column < 6; column++) {
                double low = INFINITY, high = -INFINITY, worst = 0;
                for (size_t row = 0; row < 400; row++) {
                        size_t i = fortran ? column * 400 + row : row * 6 + column;
                        double x = value_at(file, DTYPE_F64, 128, i);
                        double y = value_at(back, DTYPE_F64, 128, i);
                        if (isnan(x)) {
                                assert_memory_equal(file->data + 128 + i * 8,
                                                    back->data + 128 + i * 8, 8);
                                continue;
                        }
                        low = fmin(low, x);
                        high = fmax(high, x);
                        worst = fmax(worst, fabs(x - y));
                }
                assert_true(worst <= e * (high - low));
        }
}

static void
test_column_ranges(void **state)
{
        struct bytes file = { 0 }, object = { 0 }, back = { 0 };

        (void) state;
        for (int fortran = 0; fortran < 2; fortran++)
                for (int scope = SCOPE_COLUMN; scope <= SCOPE_CHANNEL; scope++) {
                        struct object_options o = {
                                .bound = { BOUND_REL, 1e-3 },
                                .scope = (enum scope) scope,
                                .chunk = 4 * KIB,
                        };
                        make_table(&file, fortran);
                        struct object_report r = encode(&file, &o, &object);
                        assert_true(r.worst_over_bound <= 1);
                        assert_true(r.lossy_values > 0);
                        struct object *opened = open_object(&object);
                        decode(opened, &back);
                        assert_table_within(&file, &back, fortran, 1e-3);
                        object_close(opened);
                }
        bytes_free(&file);
        bytes_free(&object);
        bytes_free(&back);
}

/* The range is the whole array's, not the chunk's. */
static void
test_array_range(void **state)
{
        static const uint64_t extent[1] = { 30000 };
        static const struct bound bounds[] = {
                { BOUND_REL, 1e-2 }, { BOUND_ABS, 0.5 }, { BOUND_PWREL, 1e-2 }, { BOUND_PSNR, 50 },
        };
        struct bytes file = { 0 }, object = { 0 }, back = { 0 };

        (void) state;
        make_npy(&file, DTYPE_F32, false, 1, extent);
        for (size_t b = 0; b < 4; b++) {
                struct object_options o = { .bound = bounds[b], .chunk = 4 * KIB };
                struct object_report  r = encode(&file, &o, &object);
                struct object        *opened = open_object(&object);
                decode(opened, &back);
                double worst = 0, worst_share = 0, low = INFINITY, high = -INFINITY, squares = 0;
                for (size_t i = 0; i < 30000; i++) {
                        double x = value_at(&file, DTYPE_F32, 128, i);
                        double d = fabs(x - value_at(&back, DTYPE_F32, 128, i));
                        worst = fmax(worst, d);
                        squares += d * d;
                        low = fmin(low, x);
                        high = fmax(high, x);
                        if (x != 0)
                                worst_share = fmax(worst_share, d / fabs(x));
                }
                assert_true(worst > 0);
                assert_true(r.worst >= worst * 0.999);
                if (bounds[b].mode == BOUND_REL)
                        assert_true(worst <= 1e-2 * (high - low));
                if (bounds[b].mode == BOUND_ABS)
                        assert_true(worst <= 0.5);
                if (bounds[b].mode == BOUND_PWREL)
                        assert_true(worst_share <= 1e-2);
                if (bounds[b].mode == BOUND_PSNR)
                        assert_true(20 * log10((high - low) / sqrt(squares / 30000)) >= 50);
                const struct object_info *info = object_info(opened);
                assert_int_equal(info->bound.mode, bounds[b].mode);
                assert_true(info->bound.amount == bounds[b].amount);
                if (info->worst_known)
                        assert_true(info->worst >= worst && info->worst <= worst * 1.04);
                object_close(opened);
        }
        bytes_free(&file);
        bytes_free(&object);
        bytes_free(&back);
}

/* Every bound comes back as it was said, whatever its digits. */
static void
test_bound_is_recorded(void **state)
{
        static const double amounts[] = {
                1e-3, 0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, 123456789, 0.30000000000000004,
        };
        struct bytes file = { 0 }, object = { 0 };

        (void) state;
        bytes_put(&file, "abc", 3);
        for (size_t i = 0; i < sizeof amounts / sizeof *amounts; i++) {
                struct object_options o = { .bound = { BOUND_ABS, amounts[i] } };
                encode(&file, &o, &object);
                struct object *opened = open_object(&object);
                assert_true(object_info(opened)->bound.amount == amounts[i]);
                object_close(opened);
        }
        bytes_free(&file);
        bytes_free(&object);
}

/* ---- size -------------------------------------------------------------------------- */

static void
test_small_overhead(void **state)
{
        static const uint64_t extent[1] = { 181890 };
        struct object_options o = { .bound = { BOUND_PWREL, 0.1 }, .effort = EFFORT_BALANCED };
        struct bytes          file = { 0 }, object = { 0 };
        struct chunk_extent   e;

        (void) state;
        make_npy(&file, DTYPE_F64, false, 1, extent);
        encode(&file, &o, &object);
        struct object *opened = open_object(&object);
        assert_int_equal(object_info(opened)->nchunks, 2);
        assert_int_equal(object_chunk(opened, 0, &e), CAEFS_OK);
        assert_int_equal(e.stored, 0);          /* the header of NumPy */
        assert_int_equal(object_chunk(opened, 1, &e), CAEFS_OK);
        assert_true(object.size - e.stored <= 26);
        object_close(opened);
        bytes_free(&file);
        bytes_free(&object);
}

/* ---- threads ------------------------------------------------------------------------ */

static void
count_progress(struct progress *p)
{
        ++*(unsigned *) p->context;
}

static void
test_threads_give_the_same_object(void **state)
{
        static const uint64_t extent[2] = { 400, 250 };
        struct bytes file = { 0 }, one = { 0 }, many = { 0 };

        (void) state;
        make_npy(&file, DTYPE_F32, false, 2, extent);
        for (unsigned threads = 1; threads <= 7; threads += 3) {
                unsigned              reports = 0;
                struct progress       p = { .report = count_progress, .context = &reports };
                struct object_options o = {
                        .bound = { BOUND_REL, 1e-3 },
                        .chunk = 16 * KIB,
                        .threads = threads,
                        .progress = &p,
                };
                struct object_report r = encode(&file, &o, threads == 1 ? &one : &many);
                assert_int_equal(p.done, file.size);
                assert_int_equal(reports, r.chunks);
                if (threads > 1)
                        assert_same(&one, &many);
        }
        bytes_free(&file);
        bytes_free(&one);
        bytes_free(&many);
}

static void
cancel_after_three(struct progress *p)
{
        if (++*(unsigned *) p->context == 3)
                p->cancelled = true;
}

struct failing {
        struct bytes *file;
        unsigned      reads_left;
};

static enum caefs_err
failing_read(void *context, void *buffer, size_t n, uint64_t offset)
{
        struct failing *f = context;

        if (f->reads_left-- == 0)
                return caefs_fail(CAEFS_ERR_IO, "the disk is gone");
        return read_memory(f->file, buffer, n, offset);
}

static enum caefs_err
full_write(void *context, const void *data, size_t n)
{
        (void) data;
        size_t *left = context;
        if (n > *left)
                return caefs_fail(CAEFS_ERR_NO_SPACE, "the device is full");
        *left -= n;
        return CAEFS_OK;
}

/* Cancelling, a failing source and a full sink end the work with their own error. */
static void
test_failures_are_passed_on(void **state)
{
        static const uint64_t extent[2] = { 400, 250 };
        struct bytes file = { 0 }, object = { 0 };

        (void) state;
        make_npy(&file, DTYPE_F32, false, 2, extent);
        for (unsigned threads = 1; threads <= 4; threads += 3) {
                struct byte_source   source = source_of(&file);
                struct byte_sink     sink = { .write = write_memory, .context = &object };
                struct object_report r;
                unsigned             reports = 0;
                struct progress      p = { .report = cancel_after_three, .context = &reports };
                struct object_options o = {
                        .effort = EFFORT_FAST,
                        .chunk = 16 * KIB,
                        .threads = threads,
                        .progress = &p,
                };
                assert_int_equal(object_encode(&source, &o, &sink, &r), CAEFS_ERR_INTERRUPTED);
                o.progress = NULL;
                for (unsigned reads = 0; reads < 12; reads++) {
                        struct failing f = { .file = &file, .reads_left = reads };
                        source.read = failing_read;
                        source.context = &f;
                        assert_int_equal(object_encode(&source, &o, &sink, &r), CAEFS_ERR_IO);
                        assert_string_equal(caefs_detail(), "the disk is gone");
                }
                source = source_of(&file);
                size_t left = 30 * KIB;
                sink = (struct byte_sink) { .write = full_write, .context = &left };
                assert_int_equal(object_encode(&source, &o, &sink, &r), CAEFS_ERR_NO_SPACE);
        }
        bytes_free(&file);
        bytes_free(&object);
}

/* ---- damage --------------------------------------------------------------------------- */

/* Opens and reads everything: an error, or exactly EXPECTED.  True: it was read. */
static bool
error_or_identical(struct bytes *object, const struct bytes *expected)
{
        const struct byte_source source = source_of(object);
        struct object           *o;
        enum caefs_err           err = object_open(&source, NULL, &o);

        if (err != CAEFS_OK) {
                assert_true(err == CAEFS_ERR_CORRUPT || err == CAEFS_ERR_VERSION ||
                            err == CAEFS_ERR_MODEL);
                assert_true(*caefs_detail() != '\0');
                return false;
        }
        bool   all = true;
        struct arena arena = { 0 };
        for (size_t i = 0; i < object_info(o)->nchunks; i++) {
                struct chunk_extent e;
                assert_int_equal(object_chunk(o, i, &e), CAEFS_OK);
                assert_true(e.offset + e.length <= expected->size);
                uint8_t *buffer = malloc((size_t) e.length);
                assert_non_null(buffer);
                err = object_read_chunk(o, i, &arena, buffer);
                if (err == CAEFS_OK)
                        assert_memory_equal(buffer, expected->data + e.offset, e.length);
                else
                        assert_true(err == CAEFS_ERR_CORRUPT || err == CAEFS_ERR_MODEL ||
                                    err == CAEFS_ERR_VERSION);
                all = all && err == CAEFS_OK;
                free(buffer);
        }
        arena_free(&arena);
        object_close(o);
        return all;
}

/* A few objects of different kinds, small enough to damage everywhere. */
static void
make_small_object(unsigned kind, struct bytes *object, struct bytes *served)
{
        static const uint64_t extent[2] = { 30, 60 };
        struct object_options o = {
                .bound = { kind % 2 ? BOUND_REL : BOUND_LOSSLESS, kind % 2 ? 1e-2 : 0 },
                .scope = kind % 3 == 2 ? SCOPE_COLUMN : SCOPE_ARRAY,
                .chunk = kind % 4 >= 2 ? 4 * KIB : 0,
        };
        struct bytes file = { 0 };

        make_npy(&file, kind % 3 ? DTYPE_F64 : DTYPE_F32, false, 2, extent);
        if (kind == 5)
                bytes_put(&file, "tail", 4);
        encode(&file, &o, object);
        struct object *opened = open_object(object);
        decode(opened, served);
        object_close(opened);
        bytes_free(&file);
}

static void
test_bit_flips(void **state)
{
        struct bytes object = { 0 }, served = { 0 };

        (void) state;
        for (unsigned kind = 0; kind < 6; kind++) {
                make_small_object(kind, &object, &served);
                size_t step = long_test() ? 1 : 1 + object.size * 8 / 4000;
                for (size_t bit = 0; bit < object.size * 8; bit += step) {
                        /* Densely at both ends: head, index, trailer. */
                        if (bit > 64 && bit + 1200 < object.size * 8)
                                bit += (size_t) (random_bits() % 5);
                        object.data[bit / 8] ^= (uint8_t) (1 << bit % 8);
                        error_or_identical(&object, &served);
                        object.data[bit / 8] ^= (uint8_t) (1 << bit % 8);
                }
                assert_true(error_or_identical(&object, &served));
        }
        bytes_free(&object);
        bytes_free(&served);
}

static void
test_truncations(void **state)
{
        struct bytes object = { 0 }, served = { 0 };

        (void) state;
        for (unsigned kind = 0; kind < 6; kind++) {
                make_small_object(kind, &object, &served);
                struct bytes cut = object;
                for (cut.size = 0; cut.size < object.size; cut.size++)
                        assert_false(error_or_identical(&cut, &served));
                bytes_put_u8(&object, 0);
                assert_false(error_or_identical(&object, &served));
        }
        bytes_free(&object);
        bytes_free(&served);
}

static void
test_random_bytes_are_no_object(void **state)
{
        struct bytes noise = { 0 };
        unsigned     rounds = long_test() ? 200000 : 5000;

        (void) state;
        for (unsigned i = 0; i < rounds; i++) {
                bytes_clear(&noise);
                if (i % 2)
                        bytes_put(&noise, object_magic, OBJECT_MAGIC_SIZE);
                for (size_t n = random_bits() % (i % 4 < 2 ? 16 : 200); n > 0; n--)
                        bytes_put_u8(&noise, (uint8_t) random_bits());
                const struct byte_source source = source_of(&noise);
                struct object           *o;
                assert_int_equal(object_open(&source, NULL, &o), CAEFS_ERR_CORRUPT);
                assert_null(o);
        }
        bytes_free(&noise);
}

/* An index that lies and has a checksum to prove it: no crash, and no memory beyond
 * what chunks may take. */
static void
test_hostile_index(void **state)
{
        struct bytes object = { 0 }, served = { 0 }, forged = { 0 };
        unsigned     rounds = long_test() ? 100000 : 3000;

        (void) state;
        for (unsigned i = 0; i < rounds; i++) {
                if (i % 500 == 0)
                        make_small_object(i / 500 % 6, &object, &served);
                uint64_t index_size;
                size_t   trailer;
                uint32_t checksum;
                assert_int_equal(trailer_parse(object.data + object.size - TRAILER_MAX,
                                               TRAILER_MAX, &index_size, &trailer, &checksum),
                                 CAEFS_OK);
                size_t start = object.size - trailer - (size_t) index_size;
                bytes_clear(&forged);
                bytes_put(&forged, object.data, object.size - trailer);
                for (unsigned j = 0; j <= i % 4; j++)
                        forged.data[start + random_bits() % index_size] = (uint8_t) random_bits();
                trailer_write(forged.data + start, (size_t) index_size, forged.size, &forged);

                const struct byte_source source = source_of(&forged);
                struct object           *o;
                if (object_open(&source, NULL, &o) != CAEFS_OK)
                        continue;
                struct arena arena = { 0 };
                for (size_t c = 0; c < object_info(o)->nchunks && c < 4; c++) {
                        struct chunk_extent e;
                        object_chunk(o, c, &e);
                        assert_true(e.length <= CHUNK_MAX * 3 / 2);
                        void *buffer = e.length <= 64 * KIB ? malloc((size_t) e.length) : NULL;
                        if (buffer != NULL)
                                (void) !object_read_chunk(o, c, &arena, buffer);
                        free(buffer);
                }
                arena_free(&arena);
                object_close(o);
        }
        bytes_free(&object);
        bytes_free(&served);
        bytes_free(&forged);
}

static void
test_newer_version(void **state)
{
        struct bytes   object = { 0 }, served = { 0 };
        struct object *o;

        (void) state;
        make_small_object(0, &object, &served);
        object.data[OBJECT_MAGIC_SIZE - 1] = OBJECT_VERSION + 1;
        const struct byte_source source = source_of(&object);
        assert_int_equal(object_open(&source, NULL, &o), CAEFS_ERR_VERSION);
        bytes_free(&object);
        bytes_free(&served);
}

/* One damaged chunk leaves the others readable. */
static void
test_damage_is_local(void **state)
{
        static const uint64_t extent[1] = { 20000 };
        struct object_options o = { .chunk = 16 * KIB };
        struct bytes          file = { 0 }, object = { 0 };
        struct arena          arena = { 0 };
        uint8_t               buffer[32 * 1024];
        struct chunk_extent   e;

        (void) state;
        make_npy(&file, DTYPE_F64, false, 1, extent);
        encode(&file, &o, &object);
        struct object *opened = open_object(&object);
        uint64_t       at = OBJECT_MAGIC_SIZE;
        for (size_t i = 0; i < 3; i++, at += e.stored)
                object_chunk(opened, i, &e);
        object_chunk(opened, 3, &e);
        object.data[at + e.stored / 2] ^= 0x55;
        for (size_t i = 0; i < object_info(opened)->nchunks; i++)
                assert_int_equal(object_read_chunk(opened, i, &arena, buffer),
                                 i == 3 ? CAEFS_ERR_CORRUPT : CAEFS_OK);
        arena_free(&arena);
        object_close(opened);
        bytes_free(&file);
        bytes_free(&object);
}

/* ---- rewriting -------------------------------------------------------------------------- */

/* FILE is rewritten over OBJECT, which becomes the new one; BACK is what it serves. */
static struct object_report
rewrite(struct bytes *file, struct object_options o, struct bytes *object, struct bytes *back)
{
        struct bytes   next = { 0 };
        struct object *previous = open_object(object);

        o.previous = previous;
        struct object_report r = encode(file, &o, &next);
        object_close(previous);
        bytes_free(object);
        *object = next;
        struct object *opened = open_object(object);
        decode(opened, back);
        object_close(opened);
        return r;
}

/* Served bytes are written back with one value changed, again and again. */
static void
test_a_thousand_rewrites(void **state)
{
        static const uint64_t extent[2] = { 80, 100 };
        struct bytes          file = { 0 }, object = { 0 }, served = { 0 }, back = { 0 };

        (void) state;
        for (int mode = BOUND_ABS; mode <= BOUND_PWREL; mode++) {
                struct object_options o = {
                        .bound = { (enum bound_mode) mode, 1e-2 },
                        .effort = EFFORT_FAST,
                        .chunk = 8 * KIB,
                };
                make_npy(&file, DTYPE_F32, false, 2, extent);
                encode(&file, &o, &object);
                struct object *opened = open_object(&object);
                decode(opened, &served);
                object_close(opened);
                size_t   first_size = object.size;
                unsigned rounds = mode == BOUND_REL || long_test() ? 1000 : 100;
                for (unsigned i = 0; i < rounds; i++) {
                        size_t at = 128 + 4 * (size_t) (random_bits() % 8000);
                        float  v = (float) smooth_value(at);
                        bytes_clear(&file);
                        bytes_put(&file, served.data, served.size);
                        memcpy(file.data + at, &v, sizeof v);
                        rewrite(&file, o, &object, &back);
                        float got;
                        memcpy(&got, back.data + at, sizeof got);
                        double allowed = mode == BOUND_PWREL ? 1e-2 * fabs((double) v)
                                       : mode == BOUND_REL ? 1e-2 * 101 : 1e-2;
                        assert_true(fabs((double) got - (double) v) <= allowed);
                        memcpy(file.data + at, &got, sizeof got);
                        assert_same(&file, &back);
                        bytes_clear(&served);
                        bytes_put(&served, back.data, back.size);
                }
                /* A patch costs, but it does not pile up. */
                assert_true(object.size < first_size + rounds * 12 + 4096);
        }
        bytes_free(&file);
        bytes_free(&object);
        bytes_free(&served);
        bytes_free(&back);
}

/* Bytes nobody changed: every chunk is carried, and the object stays as it is. */
static void
test_unchanged_is_carried(void **state)
{
        static const uint64_t extent[2] = { 80, 100 };
        struct object_options o = { .bound = { BOUND_REL, 1e-2 }, .chunk = 8 * KIB };
        struct bytes          file = { 0 }, object = { 0 }, served = { 0 }, back = { 0 };
        struct bytes          before = { 0 };

        (void) state;
        make_npy(&file, DTYPE_F32, false, 2, extent);
        encode(&file, &o, &object);
        struct object *opened = open_object(&object);
        decode(opened, &served);
        object_close(opened);
        bytes_put(&before, object.data, object.size);
        struct object_report r = rewrite(&served, o, &object, &back);
        assert_int_equal(r.carried, r.chunks - 1);      /* all but the header, which is made */
        assert_int_equal(r.lossy_values, 0);
        assert_same(&served, &back);
        assert_same(&before, &object);

        /* Also when today's bound is another one. */
        o.bound = (struct bound) { .mode = BOUND_LOSSLESS };
        r = rewrite(&served, o, &object, &back);
        assert_int_equal(r.carried, r.chunks - 1);
        assert_same(&served, &back);
        bytes_free(&file);
        bytes_free(&object);
        bytes_free(&served);
        bytes_free(&back);
        bytes_free(&before);
}

/* A file that grows keeps its chunks, and every value it had. */
static void
test_append(void **state)
{
        struct object_options o = {
                .bound = { BOUND_ABS, 1e-2 },
                .chunk = 8 * KIB,
                .hint = { .dtype = DTYPE_F32 },
        };
        struct bytes file = { 0 }, object = { 0 }, back = { 0 };

        (void) state;
        for (size_t i = 0; i < 20000; i++)
                put_f32(&file, smooth_value(i));
        encode(&file, &o, &object);
        struct object *opened = open_object(&object);
        decode(opened, &back);
        size_t old_size = back.size;
        object_close(opened);
        bytes_clear(&file);
        bytes_put(&file, back.data, back.size);
        for (size_t i = 0; i < 9000; i++)
                put_f32(&file, smooth_value(20000 + i));
        struct object_report r = rewrite(&file, o, &object, &back);
        assert_true(r.carried >= 8);
        assert_memory_equal(file.data, back.data, old_size);
        bytes_free(&file);
        bytes_free(&object);
        bytes_free(&back);
}

/* Another chunk size, another shape, another header: values keep their bits. */
static void
test_other_geometry_keeps_values(void **state)
{
        static const uint64_t extent[2] = { 80, 100 };
        struct object_options o = { .bound = { BOUND_ABS, 1e-1 }, .chunk = 8 * KIB };
        struct bytes          file = { 0 }, object = { 0 }, served = { 0 }, back = { 0 };

        (void) state;
        make_npy(&file, DTYPE_F32, false, 2, extent);
        encode(&file, &o, &object);
        struct object *opened = open_object(&object);
        decode(opened, &served);
        object_close(opened);
        o.chunk = 12 * KIB;
        rewrite(&served, o, &object, &back);
        assert_same(&served, &back);

        /* "80, 100" becomes "100, 80": the same bytes in another shape. */
        char *shape = memmem(served.data, 128, "(80, 100)", 9);
        assert_non_null(shape);
        memcpy(shape, "(100, 80)", 9);
        rewrite(&served, o, &object, &back);
        assert_same(&served, &back);
        bytes_free(&file);
        bytes_free(&object);
        bytes_free(&served);
        bytes_free(&back);
}

/* What a damaged chunk held cannot be kept; the rest is. */
static void
test_rewrite_over_damage(void **state)
{
        static const uint64_t extent[2] = { 80, 100 };
        struct object_options o = { .bound = { BOUND_ABS, 1e-1 }, .chunk = 8 * KIB };
        struct bytes          file = { 0 }, object = { 0 }, served = { 0 }, back = { 0 };

        (void) state;
        make_npy(&file, DTYPE_F32, false, 2, extent);
        encode(&file, &o, &object);
        struct object *opened = open_object(&object);
        decode(opened, &served);
        object_close(opened);
        object.data[OBJECT_MAGIC_SIZE + 40] ^= 1;       /* in the first chunk */
        rewrite(&served, o, &object, &back);
        assert_int_equal(served.size, back.size);
        assert_memory_equal(served.data + 128 + 12 * KIB, back.data + 128 + 12 * KIB,
                            served.size - 128 - 12 * KIB);
        bytes_free(&file);
        bytes_free(&object);
        bytes_free(&served);
        bytes_free(&back);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lossless_shapes),
                cmocka_unit_test(test_opaque_and_empty),
                cmocka_unit_test(test_exact_parts),
                cmocka_unit_test(test_column_ranges),
                cmocka_unit_test(test_array_range),
                cmocka_unit_test(test_bound_is_recorded),
                cmocka_unit_test(test_small_overhead),
                cmocka_unit_test(test_threads_give_the_same_object),
                cmocka_unit_test(test_failures_are_passed_on),
                cmocka_unit_test(test_bit_flips),
                cmocka_unit_test(test_truncations),
                cmocka_unit_test(test_random_bytes_are_no_object),
                cmocka_unit_test(test_hostile_index),
                cmocka_unit_test(test_newer_version),
                cmocka_unit_test(test_damage_is_local),
                cmocka_unit_test(test_a_thousand_rewrites),
                cmocka_unit_test(test_unchanged_is_carried),
                cmocka_unit_test(test_append),
                cmocka_unit_test(test_other_geometry_keeps_values),
                cmocka_unit_test(test_rewrite_over_damage),
        };

        random_state = 1;
        return cmocka_run_group_tests_name("object", tests, NULL, NULL);
}
