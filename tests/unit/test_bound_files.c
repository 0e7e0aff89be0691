/* test_bound_files.c - whole files come back within their bound, rewritten or not.
 *
 * Random and adversarial files (raw and .npy, either byte order, C and Fortran
 * order, every dtype) under every mode, scope and effort through object_encode(),
 * then changed in places and rewritten.  What is served is judged by
 * tools/judge.c, which has an opinion of its own about what a bound is.
 * CAEFS_TEST_LONG=1 runs many more cases, CAEFS_TEST_CASES=N that many;
 * CAEFS_TEST_SEED=N begins with another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/npy.h"
#include "codec/object.h"
#include "tests/random_array.h"
#include "tests/unit/memory_file.h"
#include "tools/judge.h"

#define MAX_COUNT 6000

/* One file, what is asked of it, and what it became. */
struct trial {
        uint64_t              seed;
        unsigned              kind;
        struct npy_header     header;   /* what the values are, .npy or raw */
        bool                  raw;
        struct bytes          file;
        struct object_options options;
        struct bytes          object;
        struct object        *opened;   /* of OBJECT */
        struct bytes          served;   /* all that OBJECT gives */
};

static void
trial_free(struct trial *t)
{
        object_close(t->opened);
        bytes_free(&t->file);
        bytes_free(&t->object);
        bytes_free(&t->served);
}

/* A bound, a scope and an effort. */
static void
options_random(struct object_options *o)
{
        o->bound.mode = (enum bound_mode) random_below(5);
        o->bound.amount = o->bound.mode == BOUND_LOSSLESS ? 0 : random_amount(o->bound.mode);
        o->scope = (enum scope) random_below(3);
        o->effort = random_below(20) == 0 ? EFFORT_MAX : (enum effort) random_below(2);
        o->chunk = random_below(2) == 0 ? 0 : (size_t) 1 << (8 + random_below(7));
        o->threads = 1 + (random_below(16) == 0);
}

static void
file_random(struct trial *t)
{
        static _Alignas(8) uint8_t values[MAX_COUNT * 8];
        struct npy_header *h = &t->header;

        h->dtype = random_dtype();
        if (h->dtype == DTYPE_BF16)             /* no .npy file has it */
                t->raw = true;
        h->big_endian = dtype_size(h->dtype) > 1 && random_below(4) == 0;
        h->shape = random_shape((unsigned) random_below(6), MAX_COUNT);
        h->fortran = !t->raw && h->shape.ndim >= 2 && random_below(4) == 0;
        size_t n = (size_t) shape_count(&h->shape);
        values_random(h->dtype, t->kind, n, values);
        if (h->big_endian)
                values_swap(values, n, dtype_size(h->dtype), values);
        if (!t->raw)
                npy_write(h, NPY_PAD_64, &t->file);
        bytes_put(&t->file, values, n * dtype_size(h->dtype));
        if (t->raw)
                t->options.hint = (struct layout_hint) {
                        .mode = LAYOUT_RAW,
                        .dtype = h->dtype,
                        .big_endian = h->big_endian,
                        .shape = h->shape,
                };
}

/* Encodes the file (as a rewrite of PREVIOUS, or NULL) and decodes it. */
static void
round_trip(struct trial *t, const struct object *previous)
{
        const struct byte_source file = source_of(&t->file);
        const struct byte_sink   sink = { .write = write_memory, .context = &t->object };
        struct object_report     report;

        t->options.previous = previous;
        if (object_encode(&file, &t->options, &sink, &report) != CAEFS_OK)
                fail_msg("seed %llu: object_encode: %s", (unsigned long long) t->seed,
                         caefs_detail());
        const struct byte_source object = source_of(&t->object);
        if (object_open(&object, NULL, &t->opened) != CAEFS_OK)
                fail_msg("seed %llu: object_open: %s", (unsigned long long) t->seed,
                         caefs_detail());
        size_t n = (size_t) object_info(t->opened)->logical_bytes;
        assert_int_equal(n, t->file.size);
        assert_non_null(bytes_reserve(&t->served, n + 1));
        t->served.size = n;
        if (object_read(t->opened, t->served.data, n, 0) != CAEFS_OK)
                fail_msg("seed %llu: object_read: %s", (unsigned long long) t->seed,
                         caefs_detail());
        assert_true(report.worst_over_bound <= 1);
        /* Whatever it is, storing it costs little more than the file itself. */
        assert_true(t->object.size <= n + n / 8 + 16 * report.chunks + 400);
}

static void
judge_file(const struct trial *t)
{
        size_t values = 0;

        for (size_t i = 0; i < object_info(t->opened)->nregions; i++) {
                const struct region *r = object_region(t->opened, i);
                struct verdict       v;
                char                 bound[32];
                assert_int_equal(judge_region(r, &t->options.bound, t->options.scope,
                                              t->file.data + r->offset,
                                              t->served.data + r->offset, &v), CAEFS_OK);
                if (r->dtype != DTYPE_BYTES)
                        values += (size_t) v.values;
                if (v.broken == 0)
                        continue;
                bound_format(&t->options.bound, bound);
                fail_msg("seed %llu: %llu of %llu values, first %llu, %s %s %s effort %s kind %u "
                         "raw %d be %d fortran %d: %g of the bound", (unsigned long long) t->seed,
                         (unsigned long long) v.broken, (unsigned long long) v.values,
                         (unsigned long long) v.first_broken, dtype_name(r->dtype), bound,
                         scope_name(t->options.scope), effort_name(t->options.effort), t->kind,
                         t->raw, r->big_endian, r->fortran, v.worst_over_bound);
        }
        /* The layout was seen for what it is: nothing was judged as bytes. */
        assert_int_equal(values, shape_count(&t->header.shape));
}

/* Changes some values; most stay what the first object serves, some what they were. */
static void
change_file(const struct trial *from, struct trial *to)
{
        unsigned width = dtype_size(from->header.dtype);
        size_t   n = (size_t) shape_count(&from->header.shape);
        size_t   start = from->file.size - n * width;
        unsigned one_in = 1 + (unsigned) random_below(200);

        bytes_put(&to->file, from->served.data, from->served.size);
        for (size_t i = 0; i < n; i++) {
                uint8_t *at = to->file.data + start + i * width;
                if (random_below(one_in) != 0)
                        continue;
                if (random_below(2) == 0)
                        memcpy(at, from->file.data + start + i * width, width);
                else
                        value_put_bits(from->header.dtype, at, 0, random_bits());
        }
}

/* What nobody changed since it was served is served again, bit for bit. */
static void
assert_kept(const struct trial *old, const struct trial *new)
{
        unsigned width = dtype_size(old->header.dtype);
        size_t   n = (size_t) shape_count(&old->header.shape);
        size_t   start = old->file.size - n * width;

        for (size_t i = 0; i < n; i++) {
                size_t at = start + i * width;
                if (memcmp(old->served.data + at, new->file.data + at, width) == 0 &&
                    memcmp(old->served.data + at, new->served.data + at, width) != 0)
                        fail_msg("seed %llu: value %zu was not changed and does not stay",
                                 (unsigned long long) old->seed, i);
        }
}

static void
run_trial(uint64_t seed)
{
        random_state = seed * 0x9fb21c651e98df25;

        struct trial first = {
                .seed = seed,
                .kind = (unsigned) random_below(RANDOM_KINDS),
                .raw = random_below(2) == 0,
        };
        options_random(&first.options);
        file_random(&first);
        round_trip(&first, NULL);
        judge_file(&first);
        if (random_below(2) == 0) {
                struct trial second = first;
                second.file = second.object = second.served = (struct bytes) { 0 };
                second.opened = NULL;
                if (random_below(2) == 0)       /* today's properties are others */
                        options_random(&second.options);
                second.options.hint = first.options.hint;
                change_file(&first, &second);
                round_trip(&second, first.opened);
                judge_file(&second);
                assert_kept(&first, &second);
                trial_free(&second);
        }
        trial_free(&first);
}

static bool
long_test(void)
{
        const char *text = getenv("CAEFS_TEST_LONG");

        return text != NULL && *text == '1';
}

static void
test_random_files(void **state)
{
        const char *count = getenv("CAEFS_TEST_CASES");
        const char *from = getenv("CAEFS_TEST_SEED");
        uint64_t    cases = count != NULL ? strtoull(count, NULL, 10) : long_test() ? 100000 : 400;
        uint64_t    first = from != NULL ? strtoull(from, NULL, 10) : 1;

        (void) state;
        for (uint64_t seed = first; seed < first + cases; seed++)
                run_trial(seed);
}

/* ---- the judge itself ------------------------------------------------------------ */

/* Judges two values against their changed copies under BOUND. */
static struct verdict
judge_pair(const char *bound_text, double was0, double was1, double is0, double is1)
{
        const double        was[2] = { was0, was1 }, is[2] = { is0, is1 };
        const struct region r = { .length = sizeof was, .dtype = DTYPE_F64, .shape = { 1, { 2 } } };
        struct bound        b;
        struct verdict      v;

        assert_true(bound_parse(bound_text, &b));
        assert_int_equal(judge_region(&r, &b, SCOPE_ARRAY, was, is, &v), CAEFS_OK);
        assert_int_equal(v.values, 2);
        return v;
}

static void
test_judge_finds_what_is_broken(void **state)
{
        (void) state;
        assert_int_equal(judge_pair("lossless", 1, NAN, 1, NAN).broken, 0);
        assert_int_equal(judge_pair("lossless", 0, 1, -0.0, 1).broken, 1);
        assert_int_equal(judge_pair("abs:0.5", 1, 2, 1.5, 2).broken, 0);
        assert_int_equal(judge_pair("abs:0.5", 1, 2, 1.5000001, 2).broken, 1);
        assert_int_equal(judge_pair("abs:0.5", 1, 2, 1, 2.75).first_broken, 1);
        assert_int_equal(judge_pair("abs:9", -0.0, 2, 0, 2).broken, 1);
        assert_int_equal(judge_pair("abs:9", INFINITY, 2, 1e308, 2).broken, 1);
        assert_int_equal(judge_pair("abs:9", 1, 2, NAN, 2).broken, 1);
        assert_int_equal(judge_pair("rel:0.25", 0, 4, 1, 3).broken, 0);
        assert_int_equal(judge_pair("rel:0.25", 0, 4, 1, 5.01).broken, 1);
        assert_int_equal(judge_pair("rel:0.25", 4, 4, 4, 4.0001).broken, 1);
        assert_int_equal(judge_pair("pwrel:0.5", 4, -4, 6, -2).broken, 0);
        assert_int_equal(judge_pair("pwrel:2", 4, 1, -4, 1).broken, 1);
        assert_int_equal(judge_pair("pwrel:0.5", 0, 1, 1e-300, 1).broken, 1);
        /* A third of the smallest subnormals' magnitude, where 0.2 * |x| would round up. */
        assert_int_equal(judge_pair("pwrel:0.2", 3 * 0x1p-1074, 1, 4 * 0x1p-1074, 1).broken, 1);
        assert_int_equal(judge_pair("psnr:20", 0, 10, 1, 9).broken, 0);
        assert_int_equal(judge_pair("psnr:20", 0, 10, 1.1, 8.9).broken, 2);
        assert_true(judge_pair("abs:0.5", 1, 2, 1.25, 2).worst_over_bound == 0.5);
        assert_int_equal(judge_pair("abs:0.5", 1, 2, 1.25, 2).changed, 1);
}

/* Each column has its own range, whichever order memory has. */
static void
test_judge_by_column(void **state)
{
        const float         was[4] = { 0, 100, 1, 200 };
        const struct bound  b = { BOUND_REL, 0.1 };
        struct region       r = { .length = sizeof was, .dtype = DTYPE_F32, .shape = { 2, { 2, 2 } } };
        struct verdict      v;
        float               is[4] = { 0.09f, 109, 1, 200 };

        (void) state;
        assert_int_equal(judge_region(&r, &b, SCOPE_COLUMN, was, is, &v), CAEFS_OK);
        assert_int_equal(v.broken, 0);
        is[0] = 0.2f;
        assert_int_equal(judge_region(&r, &b, SCOPE_COLUMN, was, is, &v), CAEFS_OK);
        assert_int_equal(v.broken, 1);
        assert_int_equal(judge_region(&r, &b, SCOPE_ARRAY, was, is, &v), CAEFS_OK);
        assert_int_equal(v.broken, 0);
        /* As Fortran has it: columns (0, 100) and (1, 200). */
        r.fortran = true;
        is[0] = 9;
        is[1] = 100;
        is[3] = 215;
        assert_int_equal(judge_region(&r, &b, SCOPE_COLUMN, was, is, &v), CAEFS_OK);
        assert_int_equal(v.broken, 0);
        is[1] = 115;
        assert_int_equal(judge_region(&r, &b, SCOPE_COLUMN, was, is, &v), CAEFS_OK);
        assert_int_equal(v.first_broken, 1);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_judge_finds_what_is_broken),
                cmocka_unit_test(test_judge_by_column),
                cmocka_unit_test(test_random_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
