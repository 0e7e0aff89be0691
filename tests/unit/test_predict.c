/* tests/unit/test_predict.c - every family: what is encoded comes back within half
 * a step, whatever the numbers, the shape and the holes; and hostile bytes give an
 * error or some numbers, never a crash. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/cascade.h"
#include "codec/difference.h"
#include "codec/predict.h"
#include "codec/rows.h"
#include "codec/stencil_lanes.h"
#include "codec/stride.h"

/* splitmix64: the same numbers on every machine. */
static uint64_t
next_random(uint64_t *state)
{
        uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

/* Kinds of numbers. */
enum content { CONSTANT, SMOOTH, ROUGH, EXTREME, REPEATING, CONTENTS };

static int64_t
make_value(enum content kind, size_t i, const struct shape *s, bool wide, uint64_t *state)
{
        size_t row = s->extent[s->ndim - 1];
        int64_t x = (int64_t) (i % row), y = (int64_t) (i / row % 64);
        switch (kind) {
        case CONSTANT:
                return -77777;
        case SMOOTH:
                return 40 * x * x - 13 * x * y + 9000 * y + (int64_t) (next_random(state) % 3);
        case ROUGH:
                return (int64_t) (next_random(state) % 2000000) - 1000000;
        case EXTREME:
                switch (next_random(state) % 4) {
                case 0: return wide ? INT64_MIN : INT32_MIN;
                case 1: return wide ? INT64_MAX : INT32_MAX;
                case 2: return 0;
                default: return wide ? (int64_t) next_random(state)
                                     : (int32_t) next_random(state);
                }
        default:
                return (int64_t) (i % 37) * 5000 + (int64_t) (i / 37);
        }
}

/* A field with memory of its own. */
struct case_data {
        struct field field;
        void        *grid;
        uint8_t     *hole;
};

static void
case_make(struct case_data *c, const struct shape *shape, enum content kind, bool wide,
          int64_t step, bool holes, enum scope scope, enum effort effort)
{
        uint64_t state = 1 + (uint64_t) kind;
        size_t count = (size_t) shape_count(shape);
        memset(c, 0, sizeof *c);
        c->grid = calloc(count, wide ? 8 : 4);
        c->hole = holes ? calloc(count, 1) : NULL;
        assert_non_null(c->grid);
        for (size_t i = 0; i < count; i++) {
                int64_t v = make_value(kind, i, shape, wide, &state);
                if (wide)
                        ((int64_t *) c->grid)[i] = v;
                else
                        ((int32_t *) c->grid)[i] = (int32_t) v;
                if (holes)
                        c->hole[i] = i / 11 % 3 == 1 || next_random(&state) % 50 == 0;
        }
        c->field = (struct field) {
                .geometry = { .shape = *shape, .count = count, .wide = wide, .step = step,
                              .scope = scope },
                .grid = c->grid, .hole = c->hole, .effort = effort };
}

static void
case_free(struct case_data *c)
{
        free(c->grid);
        free(c->hole);
}

static uint64_t
distance(const struct case_data *c, const void *grid, size_t i)
{
        if (c->field.geometry.wide) {
                uint64_t d = ((const uint64_t *) grid)[i] - ((const uint64_t *) c->grid)[i];
                return (int64_t) d < 0 ? -d : d;
        }
        uint32_t d = ((const uint32_t *) grid)[i] - ((const uint32_t *) c->grid)[i];
        return (int32_t) d < 0 ? -d : d;
}

static void
code_residuals(const struct case_data *c, const struct prediction *p, struct arena *arena,
               struct bytes *out)
{
        enum caefs_err err = c->field.geometry.wide
                ? residual_encode_wide(p->residual, p->segment, p->nsegments, EFFORT_FAST, arena, out)
                : residual_encode(p->residual, p->segment, p->nsegments, EFFORT_FAST, arena, out);
        assert_int_equal(err, CAEFS_OK);
}

static void
assert_segments_cover(const struct prediction *p)
{
        size_t sum = 0;
        for (size_t i = 0; i < p->nsegments; i++)
                sum += p->segment[i].count;
        assert_int_equal(sum, p->count);
        assert_true(p->nsegments <= RESIDUAL_MAX_SEGMENTS);
}

/* Distances are modulo the width: where a number within half a step does not fit,
 * the one beyond the other end is as near. */
static void
round_trip(const struct family_methods *family, const struct case_data *c)
{
        struct arena arena = { 0 };
        struct prediction p;
        struct bytes coded = { 0 };
        double bits = -1;
        if (!family->applies(&c->field))
                return;
        assert_int_equal(family->encode(&c->field, &arena, &p, &bits), CAEFS_OK);
        assert_true(bits >= 0);
        assert_segments_cover(&p);
        code_residuals(c, &p, &arena, &coded);
        size_t count = c->field.geometry.count;
        void *grid = malloc(count * 8);
        struct cursor side = cursor_of(p.side.data, p.side.size);
        struct cursor in = cursor_of(coded.data, coded.size);
        assert_int_equal(family->decode(&c->field.geometry, &side, &in, &arena, grid), CAEFS_OK);
        assert_int_equal(cursor_left(&side), 0);
        assert_int_equal(cursor_left(&in), 0);
        uint64_t most = (uint64_t) c->field.geometry.step / 2;
        for (size_t i = 0; i < count; i++)
                if (c->hole == NULL || !c->hole[i])
                        assert_true(distance(c, grid, i) <= most);
        free(grid);
        bytes_free(&coded);
        bytes_free(&p.side);
        arena_free(&arena);
}

static const struct shape shapes[] = {
        { 1, { 1 } }, { 1, { 2 } }, { 1, { 9 } }, { 1, { 1001 } },
        { 2, { 1, 1 } }, { 2, { 1, 300 } }, { 2, { 300, 1 } }, { 2, { 47, 33 } },
        { 2, { 200, 7 } }, { 3, { 1, 1, 65 } }, { 3, { 9, 17, 21 } }, { 3, { 2, 31, 64 } },
        { 4, { 3, 5, 9, 13 } }, { 4, { 2, 1, 24, 40 } }, { 4, { 1, 1, 1, 1 } },
};

#define NSHAPES (sizeof shapes / sizeof *shapes)

static void
every_case(const struct family_methods *family, bool wide, int64_t step, bool holes)
{
        for (size_t i = 0; i < NSHAPES; i++)
                for (int kind = 0; kind < CONTENTS; kind++)
                        for (int scope = SCOPE_ARRAY; scope <= SCOPE_CHANNEL; scope += 2) {
                                struct case_data c;
                                if (scope != SCOPE_ARRAY && shapes[i].ndim < 2)
                                        continue;
                                enum effort effort = (enum effort) ((i + (size_t) kind) % 3);
                                case_make(&c, &shapes[i], kind, wide, step, holes, scope, effort);
                                round_trip(family, &c);
                                case_free(&c);
                        }
}

static const struct family_methods *const families[] = {
        &family_lorenzo, &family_pyramid, &family_column, &family_recall,
};

#define NFAMILIES (sizeof families / sizeof *families)

static void
test_exact(void **state)
{
        (void) state;
        for (size_t f = 0; f < NFAMILIES; f++)
                every_case(families[f], false, 1, false);
}

static void
test_within_half_a_step(void **state)
{
        static const int64_t steps[] = { 2, 127, 1000003 };
        (void) state;
        for (size_t f = 0; f < NFAMILIES; f++)
                for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
                        every_case(families[f], false, steps[i], false);
}

static void
test_holes(void **state)
{
        (void) state;
        for (size_t f = 0; f < NFAMILIES; f++) {
                every_case(families[f], false, 1, true);
                every_case(families[f], false, 128, true);
        }
}

static void
test_wide(void **state)
{
        (void) state;
        for (size_t f = 0; f < NFAMILIES; f++) {
                every_case(families[f], true, 1, false);
                every_case(families[f], true, 1, true);
        }
}

/* A hole leaves a residual of zero: it costs as good as nothing. */
static void
test_holes_have_no_residual(void **state)
{
        const struct shape shape = { 2, { 40, 50 } };
        (void) state;
        for (size_t f = 0; f < 2; f++) {
                struct case_data c;
                struct arena arena = { 0 };
                struct prediction p;
                double bits;
                case_make(&c, &shape, ROUGH, false, 128, true, SCOPE_ARRAY, EFFORT_BALANCED);
                memset(c.hole, 1, c.field.geometry.count);
                assert_int_equal(families[f]->encode(&c.field, &arena, &p, &bits), CAEFS_OK);
                for (size_t i = 0; i < p.count; i++)
                        assert_int_equal(((const int32_t *) p.residual)[i], 0);
                bytes_free(&p.side);
                arena_free(&arena);
                case_free(&c);
        }
}

/* Fields that a family is made for cost little. */
static void
test_prediction_works(void **state)
{
        const struct shape shape = { 2, { 64, 64 } };
        (void) state;
        for (size_t f = 0; f < 2; f++) {
                struct case_data c;
                struct arena arena = { 0 };
                struct prediction p;
                double bits;
                case_make(&c, &shape, SMOOTH, false, 16, false, SCOPE_ARRAY, EFFORT_BALANCED);
                assert_int_equal(families[f]->encode(&c.field, &arena, &p, &bits), CAEFS_OK);
                assert_true(bits < 3.0 * (double) c.field.geometry.count);
                bytes_free(&p.side);
                arena_free(&arena);
                case_free(&c);
        }
}

/* Flat data with rows of 37 values: the encoder finds the row length. */
static void
test_hidden_stride(void **state)
{
        const struct shape shape = { 1, { 9000 } };
        struct case_data c;
        struct arena arena = { 0 };
        size_t lag[4] = { 0 };
        (void) state;
        case_make(&c, &shape, REPEATING, false, 1, false, SCOPE_ARRAY, EFFORT_BALANCED);
        assert_true(stride_search(c.grid, 9000, 16, EFFORT_BALANCED, &arena, lag, 4) > 0);
        assert_int_equal(lag[0], 37);
        arena_free(&arena);
        case_free(&c);
}

/* A window of differences is what differences of everything have there. */
static void
test_difference_window(void **state)
{
        static const struct difference steps[] = {
                { 60, 1200, 1200 }, { 12, 60, 60 }, { 1, 12, 12 }, { 1, 1200, 1200 }, { 1, 1200, 5 },
        };
        int32_t x[1200], y[1200], out[1200];
        int32_t scratch[5 * 1200];
        uint64_t random = 3;
        (void) state;
        for (size_t i = 0; i < 1200; i++)
                x[i] = y[i] = (int32_t) next_random(&random);
        difference_forward(steps, 5, false, y, 1200, 0);
        for (size_t start = 0; start < 1200; start += 97) {
                size_t n = 1200 - start < 150 ? 1200 - start : 150;
                difference_window(steps, 5, false, x, start, n, out, scratch);
                assert_memory_equal(out, y + start, n * sizeof *out);
        }
        difference_inverse(steps, 5, false, y, 1200, 1, 0);
        assert_memory_equal(x, y, sizeof x);
}

/* y = x - origin, differenced by the definition, one step after another. */
static void
difference_plainly(const struct difference *d, size_t nsteps, int64_t *y, size_t n, int64_t origin)
{
        for (size_t i = 0; i < n; i++)
                y[i] = (int64_t) ((uint64_t) y[i] - (uint64_t) origin);
        for (size_t s = 0; s < nsteps; s++)
                for (size_t i = n; i-- > 0; )
                        if (i % d[s].period >= d[s].lag && i % d[s].period < d[s].limit)
                                y[i] = (int64_t) ((uint64_t) y[i] - (uint64_t) y[i - d[s].lag]);
}

/* Both widths, nested steps or not, and back with a step and an origin. */
static void
assert_differences(const struct difference *d, size_t nsteps)
{
        enum { COUNT = 1200 };
        int64_t x[COUNT], want[COUNT], wide[COUNT];
        int32_t narrow[COUNT];
        uint64_t random = 11;
        for (size_t i = 0; i < COUNT; i++) {
                x[i] = want[i] = wide[i] = (int64_t) next_random(&random);
                narrow[i] = (int32_t) x[i];
        }
        difference_plainly(d, nsteps, want, COUNT, -12345);
        difference_forward(d, nsteps, true, wide, COUNT, -12345);
        difference_forward(d, nsteps, false, narrow, COUNT, -12345);
        assert_memory_equal(wide, want, sizeof wide);
        for (size_t i = 0; i < COUNT; i++)
                assert_int_equal(narrow[i], (int32_t) want[i]);
        difference_inverse(d, nsteps, true, wide, COUNT, 1, -12345);
        assert_memory_equal(wide, x, sizeof wide);
        difference_inverse(d, nsteps, false, narrow, COUNT, 5, -12345 * 5 + 3);
        for (size_t i = 0; i < COUNT; i++)
                assert_int_equal(narrow[i], (int32_t) ((uint32_t) x[i] * 5 + 3));
}

static void
test_differences(void **state)
{
        static const struct difference steps[] = {
                { 300, 1200, 1200 }, { 60, 300, 300 }, { 20, 60, 60 }, { 1, 20, 20 },
                { 1, 1200, 1200 }, { 3, 1200, 1200 }, { 1, 1200, 3 },
        };
        static const char *const instructions[] = { "scalar", "avx2", "avx512" };
        (void) state;
        for (unsigned i = 0; i < 3; i++) {
                setenv("CAEFS_SIMD", instructions[i], 1);
                for (size_t from = 0; from < 7; from++)
                        for (size_t n = 0; from + n <= 7; n++)
                                assert_differences(steps + from, n);
        }
        unsetenv("CAEFS_SIMD");
}

/* Passes cover an array exactly once, whatever is halved and in what order. */
static void
test_cascade_covers(void **state)
{
        static const size_t extents[][AXES] = {
                { 1, 1, 1, 1 }, { 1, 1, 1, 1000 }, { 1, 1, 7, 9 }, { 3, 5, 64, 33 }, { 2, 2, 2, 2 },
        };
        (void) state;
        for (size_t e = 0; e < 5; e++)
                for (unsigned split = 0; split < 16; split++)
                        for (unsigned levels = 0; levels <= CASCADE_MAX_LEVELS; levels += 2) {
                                struct cascade_plan plan = { levels, split, { 2, 0, 3, 1 }, 0 };
                                struct cascade c;
                                size_t sum = 0;
                                cascade_build(&plan, extents[e], &c);
                                for (unsigned i = 0; i < c.npasses; i++)
                                        sum += pass_count(&c.pass[i]);
                                assert_int_equal(sum, extents[e][0] * extents[e][1] *
                                                      extents[e][2] * extents[e][3]);
                                assert_memory_equal(c.pass[c.npasses - 1].whole, extents[e],
                                                    sizeof extents[e]);
                        }
}

/* Random rows and coefficients. */
static void
make_sources(struct row_stencil *r, const int32_t *value, uint64_t *random)
{
        memset(r, 0, sizeof *r);
        r->nsources = (unsigned) (next_random(random) % 24);
        r->shift = (unsigned) (next_random(random) % (STENCIL_MAX_SHIFT + 1));
        r->reference.at = value + next_random(random) % 40;
        for (unsigned i = 0; i < r->nsources; i++)
                r->source[i] = (struct row_source) {
                        value + next_random(random) % 40, 0,
                        (int32_t) (next_random(random) % 40001) - 20000 };
}

/* The prediction by its definition, in 64 bits, then cut. */
static int32_t
predict_plainly(const struct row_stencil *r, size_t x)
{
        uint64_t sum = r->shift > 0 ? UINT64_C(1) << (r->shift - 1) : 0;
        for (unsigned i = 0; i < r->nsources; i++)
                sum += (uint64_t) r->source[i].coefficient * (uint64_t) r->source[i].at[x];
        return (int32_t) ((uint32_t) r->reference.at[x] +
                          (uint32_t) ((int32_t) (uint32_t) sum >> r->shift));
}

/* Whatever the CPU, the numbers of the definition; what is coded comes back within half a
 * step, and rebuilding gives what coding left. */
static void
assert_rows(const struct stencil_lanes *lanes)
{
        enum { LENGTH = 200 };
        int32_t value[LENGTH + 64], target[LENGTH + ROWS_LANES], residual[LENGTH + ROWS_LANES];
        int32_t coded[LENGTH + ROWS_LANES], rebuilt[LENGTH + ROWS_LANES];
        uint64_t random = 17;
        for (unsigned round = 0; round < 2000; round++) {
                struct row_stencil r;
                size_t n = 1 + next_random(&random) % LENGTH;
                int32_t step = round % 3 == 0 ? 127 : 1 << round % 9;
                for (size_t i = 0; i < LENGTH + 64; i++)
                        value[i] = (int32_t) next_random(&random);
                for (size_t i = 0; i < n; i++)
                        target[i] = (int32_t) next_random(&random);
                make_sources(&r, value, &random);
                stencil_residual(lanes, &r, n, step, target, NULL, residual, coded);
                stencil_rebuild(lanes, &r, n, step, residual, rebuilt);
                assert_memory_equal(coded, rebuilt, n * sizeof *coded);
                for (size_t x = 0; x < n; x++) {
                        uint32_t p = (uint32_t) predict_plainly(&r, x);
                        int32_t miss = (int32_t) ((uint32_t) target[x] - (uint32_t) coded[x]);
                        assert_int_equal(rebuilt[x], (int32_t) (p + (uint32_t) residual[x] * (uint32_t) step));
                        assert_true(miss <= step / 2 && miss >= -step / 2);
                }
        }
}

static void
test_rows(void **state)
{
        static const char *const instructions[] = { "scalar", "avx2", "avx512" };
        (void) state;
        for (unsigned i = 0; i < 3; i++) {
                setenv("CAEFS_SIMD", instructions[i], 1);
                assert_rows(stencil_lanes());
        }
        unsetenv("CAEFS_SIMD");
}

/* Decodes damaged parameters with good residuals: any answer but a crash. */
static void
decode_damaged(const struct family_methods *family, const struct case_data *c,
               const uint8_t *side_bytes, size_t side_size, const struct bytes *coded)
{
        struct arena arena = { 0 };
        struct cursor side = cursor_of(side_bytes, side_size);
        struct cursor in = cursor_of(coded->data, coded->size);
        void *grid = malloc(c->field.geometry.count * 8);
        enum caefs_err err = family->decode(&c->field.geometry, &side, &in, &arena, grid);
        assert_true(err == CAEFS_OK || err == CAEFS_ERR_CORRUPT);
        free(grid);
        arena_free(&arena);
}

static void
damage(const struct family_methods *family, const struct case_data *c)
{
        struct arena arena = { 0 };
        struct prediction p;
        struct bytes coded = { 0 };
        double bits;
        uint64_t random = 99;
        if (!family->applies(&c->field))
                return;
        assert_int_equal(family->encode(&c->field, &arena, &p, &bits), CAEFS_OK);
        code_residuals(c, &p, &arena, &coded);
        uint8_t *bad = malloc(p.side.size + 64);
        for (unsigned round = 0; round < 600; round++) {
                size_t n = p.side.size;
                memcpy(bad, p.side.data, n);
                if (round % 3 == 0)
                        n = next_random(&random) % (n + 1);
                for (size_t i = next_random(&random) % 3; i > 0 && n > 0; i--)
                        bad[next_random(&random) % n] = (uint8_t) next_random(&random);
                if (round % 7 == 0)
                        for (n = 0; n < next_random(&random) % 64; n++)
                                bad[n] = (uint8_t) next_random(&random);
                decode_damaged(family, c, bad, n, &coded);
        }
        free(bad);
        bytes_free(&coded);
        bytes_free(&p.side);
        arena_free(&arena);
}

static void
test_hostile_parameters(void **state)
{
        static const struct shape some[] = {
                { 1, { 700 } }, { 2, { 40, 6 } }, { 3, { 6, 10, 12 } }, { 4, { 3, 4, 5, 6 } },
        };
        (void) state;
        for (size_t f = 0; f < NFAMILIES; f++)
                for (size_t i = 0; i < 4; i++)
                        for (int wide = 0; wide <= 1; wide++) {
                                struct case_data c;
                                enum scope scope = i > 0 ? SCOPE_COLUMN : SCOPE_ARRAY;
                                case_make(&c, &some[i], SMOOTH, wide, wide ? 1 : 64, false, scope,
                                          EFFORT_BALANCED);
                                damage(families[f], &c);
                                case_free(&c);
                        }
}

static void
test_registry(void **state)
{
        (void) state;
        assert_ptr_equal(family_by_number(FAMILY_LORENZO), &family_lorenzo);
        assert_ptr_equal(family_by_number(FAMILY_PYRAMID), &family_pyramid);
        assert_ptr_equal(family_by_name("column"), &family_column);
        assert_null(family_by_number(0));
        assert_null(family_by_number(1000));
        assert_null(family_by_name("no such family"));
}

/* ---- with an earlier field ---- */

/* A case and a field that it follows: by and large three quarters of it. */
struct following {
        struct case_data c;
        struct grid      grid;
        struct reference reference;
        void            *values;
};

static void
following_make(struct following *f, const struct shape *shape, enum content kind, bool wide,
               bool holes, enum effort effort)
{
        uint64_t random = 3;
        case_make(&f->c, shape, kind, wide, wide ? 1 : 128, holes, SCOPE_ARRAY, effort);
        size_t count = f->c.field.geometry.count;
        f->values = calloc(count, 8);
        assert_non_null(f->values);
        f->grid = (struct grid) { .kind = GRID_LINEAR, .dtype = DTYPE_F64, .step = 128, .unit = 1 };
        if (wide)
                f->grid = (struct grid) { .kind = GRID_BITS, .dtype = DTYPE_I64, .wide = true,
                                          .step = 1 };
        for (size_t i = 0; i < count; i++)
                if (wide)
                        ((int64_t *) f->values)[i] = ((const int64_t *) f->c.grid)[i] / 4 * 3;
                else
                        ((double *) f->values)[i] = ((const int32_t *) f->c.grid)[i] * 0.75
                                + (double) (next_random(&random) % 3);
        f->reference = (struct reference) { .dtype = f->grid.dtype, .values = f->values,
                                            .count = count };
        f->c.field.geometry.reference = &f->reference;
        f->c.field.geometry.grid = &f->grid;
}

static void
following_free(struct following *f)
{
        case_free(&f->c);
        free(f->values);
}

static void
test_follow(void **state)
{
        (void) state;
        for (size_t i = 0; i < NSHAPES; i++)
                for (int kind = 0; kind < CONTENTS; kind++)
                        for (int variant = 0; variant < 4; variant++) {
                                struct following f;
                                following_make(&f, &shapes[i], kind, variant & 1, variant & 2,
                                               (enum effort) (i % 3));
                                double bits = 0;
                                struct arena arena = { 0 };
                                struct prediction p = { 0 };
                                assert_true(family_follow.applies(&f.c.field));
                                assert_int_equal(family_follow.encode(&f.c.field, &arena, &p,
                                                                      &bits), CAEFS_OK);
                                bytes_free(&p.side);
                                arena_free(&arena);
                                /* Where nothing varies there is no scale. */
                                if (!isinf(bits))
                                        round_trip(&family_follow, &f.c);
                                following_free(&f);
                        }
}

/* Noise that was there before costs next to nothing; and nothing is asked of a reference
 * that lies elsewhere, is too short, or of another type. */
static void
test_follow_pays(void **state)
{
        const struct shape shape = { 2, { 64, 64 } };
        (void) state;
        for (int wide = 0; wide <= 1; wide++) {
                struct following f;
                struct arena arena = { 0 };
                struct prediction with, without;
                double with_bits, without_bits;
                following_make(&f, &shape, ROUGH, wide, false, EFFORT_BALANCED);
                const struct field *field = &f.c.field;
                assert_int_equal(family_follow.encode(field, &arena, &with, &with_bits), CAEFS_OK);
                assert_int_equal(family_lorenzo.encode(field, &arena, &without, &without_bits),
                                 CAEFS_OK);
                assert_true(with_bits < without_bits / 2);
                f.reference.at = 1;
                assert_false(family_follow.applies(field));
                f.reference.at = REFERENCE_NOWHERE;
                assert_false(family_follow.applies(field));
                f.reference.at = 0;
                f.reference.dtype = DTYPE_F32;
                assert_false(family_follow.applies(field));
                f.c.field.geometry.reference = NULL;
                assert_false(family_follow.applies(field));
                bytes_free(&with.side);
                bytes_free(&without.side);
                arena_free(&arena);
                following_free(&f);
        }
}

/* Decoding without the reference, with half of it, or with nonsense is an error. */
static void
test_follow_needs_its_reference(void **state)
{
        const struct shape shape = { 2, { 20, 20 } };
        struct following f;
        struct arena arena = { 0 };
        struct prediction p;
        struct bytes coded = { 0 };
        double bits;
        int32_t grid[400];
        (void) state;
        following_make(&f, &shape, ROUGH, false, false, EFFORT_BALANCED);
        struct field_geometry *g = &f.c.field.geometry;
        damage(&family_follow, &f.c);
        assert_int_equal(family_follow.encode(&f.c.field, &arena, &p, &bits), CAEFS_OK);
        code_residuals(&f.c, &p, &arena, &coded);
        for (int round = 0; round < 3; round++) {
                struct cursor side = cursor_of(p.side.data, p.side.size);
                struct cursor in = cursor_of(coded.data, coded.size);
                f.reference.count = round == 0 ? 399 : 400;
                f.reference.at = round == 1 ? REFERENCE_NOWHERE : 0;
                g->reference = round == 2 ? NULL : &f.reference;
                assert_int_equal(family_follow.decode(g, &side, &in, &arena, grid),
                                 round == 2 ? CAEFS_ERR_MODEL : CAEFS_ERR_CORRUPT);
        }
        bytes_free(&p.side);
        bytes_free(&coded);
        arena_free(&arena);
        following_free(&f);
}

/* Above to the right must lie before the value itself. */
static void
test_recall_distances(void **state)
{
        (void) state;
        static const size_t left[] = { 1, 3, 4, 500, 3 }, above[] = { 3, 3, 3, 1, 503 };
        struct field_geometry g = {
                .shape = { 1, { 1000 } }, .count = 1000, .step = 1, .scope = SCOPE_ARRAY
        };
        int32_t grid[1000];
        for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
                struct arena arena = { 0 };
                struct bytes side = { 0 };
                bytes_put_varint(&side, left[i]);
                bytes_put_varint(&side, above[i]);
                bytes_put_varint(&side, 7);
                struct cursor in = cursor_of(side.data, side.size), none = cursor_of(NULL, 0);
                assert_int_equal(family_recall.decode(&g, &in, &none, &arena, grid),
                                 CAEFS_ERR_CORRUPT);
                const char *said = caefs_detail();
                assert_true((strstr(said, "left") != NULL) == (left[i] >= above[i]));
                bytes_free(&side);
                arena_free(&arena);
        }
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_recall_distances),
                cmocka_unit_test(test_follow),
                cmocka_unit_test(test_follow_pays),
                cmocka_unit_test(test_follow_needs_its_reference),
                cmocka_unit_test(test_registry),
                cmocka_unit_test(test_difference_window),
                cmocka_unit_test(test_differences),
                cmocka_unit_test(test_cascade_covers),
                cmocka_unit_test(test_hidden_stride),
                cmocka_unit_test(test_rows),
                cmocka_unit_test(test_exact),
                cmocka_unit_test(test_within_half_a_step),
                cmocka_unit_test(test_holes),
                cmocka_unit_test(test_wide),
                cmocka_unit_test(test_holes_have_no_residual),
                cmocka_unit_test(test_prediction_works),
                cmocka_unit_test(test_hostile_parameters),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
