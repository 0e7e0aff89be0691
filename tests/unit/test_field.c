/* tests/unit/test_field.c - the family `field`: what is encoded with a model comes back
 * within half a step, whatever its shape; what was learnt makes their like smaller; blocks
 * are found; and hostile parts and chunks give an error or some numbers, never a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/field.h"
#include "tests/unit/sample_model.h"

enum { STEP = 128, ROWS = 40, COLUMNS = 56, COUNT = ROWS * COLUMNS, FIELDS = 3 };

static const struct shape plane_shape = { .ndim = 2, .extent = { ROWS, COLUMNS } };

/* A coast that every field has, waves that move with INDEX, and some noise. */
static void
make_field(unsigned index, size_t count, size_t columns, int32_t *grid)
{
        uint64_t seed = index;

        for (size_t i = 0; i < count; i++) {
                int32_t x = (int32_t) (i % columns), y = (int32_t) (i / columns);
                bool    land = (x / 9 + y / 7) % 3 == 0;
                int32_t wave = (x + (int32_t) index * 3) % 20 * 90 + y * y;
                grid[i] = land ? 0 : 5000 + wave + sample_between(&seed, 200);
        }
}

/* ---- a model ---- */

static void
learn(const struct shape *shape, const struct field_view *view, size_t nfields,
      struct bytes *part)
{
        struct arena          arena = { 0 };
        struct pyramid_plane *plane = arena_array(&arena, view->nblocks, sizeof *plane);
        int32_t              *residual[FIELDS];
        int32_t              *grid = arena_array(&arena, view->count, sizeof *grid);

        assert_non_null(plane);
        assert_non_null(grid);
        for (unsigned k = 0; k < FIELDS; k++) {
                residual[k] = arena_array(&arena, view->count + ROWS_LANES, sizeof **residual);
                assert_non_null(residual[k]);
                make_field(k, view->count, COLUMNS, grid);
                for (size_t i = 0, at = 0; i < view->nblocks; i++) {
                        struct pyramid_array a = {
                                .value = grid + at, .step = STEP, .effort = EFFORT_BALANCED,
                                .given = k > 0 ? &plane[i] : NULL,
                        };
                        struct pyramid_plane p;
                        memcpy(a.extent, view->block[i].extent, sizeof a.extent);
                        assert_int_equal(pyramid_code(&a, &arena, &p, residual[k] + at),
                                         CAEFS_OK);
                        plane[i] = p;
                        at += view->block[i].count;
                }
        }
        field_pattern_write(shape, view, plane, part);
        assert_int_equal(field_primed_write(view, plane, (const int32_t *const *) residual, nfields,
                                            part), CAEFS_OK);
        arena_free(&arena);
}

static struct model *
make_model(const struct shape *shape, const struct field_view *view, size_t nfields)
{
        const struct model_info info = { .bound = { BOUND_ABS, 1 } };
        struct model_part part = { .family = FAMILY_FIELD };
        struct model *m;

        learn(shape, view, nfields, &part.bytes);
        assert_int_equal(model_build(&info, &part, 1, &m), CAEFS_OK);
        bytes_free(&part.bytes);
        return m;
}

static struct model *
make_plane_model(size_t nfields)
{
        struct field_view view;

        field_view_of_shape(&plane_shape, &view);
        return make_model(&plane_shape, &view, nfields);
}

/* ---- there and back ---- */

static struct field
field_of(const struct model *m, const struct shape *shape, const int32_t *grid,
         const uint8_t *hole)
{
        return (struct field) {
                .geometry = { .shape = *shape, .count = (size_t) shape_count(shape),
                              .step = STEP, .model = m },
                .grid = grid, .hole = hole, .effort = EFFORT_BALANCED,
        };
}

static enum caefs_err
decode(const struct field *f, const void *side, size_t size, struct arena *arena, int32_t *grid)
{
        static const uint8_t empty[] = { 0 };           /* a coding of no residuals */
        struct cursor in = cursor_of(side, size), coded = cursor_of(empty, sizeof empty);

        return family_field.decode(&f->geometry, &in, &coded, arena, grid);
}

/* Encodes, checks what comes back, and leaves the coding in SIDE. */
static size_t
check(const struct field *f, struct bytes *side)
{
        struct arena      arena = { 0 };
        struct prediction p;
        double            bits;
        const int32_t    *grid = f->grid;
        int32_t          *back = calloc(f->geometry.count, sizeof *back);

        assert_non_null(back);
        assert_true(family_field.applies(f));
        assert_int_equal(family_field.encode(f, &arena, &p, &bits), CAEFS_OK);
        assert_int_equal(p.count, 0);
        assert_int_equal(decode(f, p.side.data, p.side.size, &arena, back), CAEFS_OK);
        for (size_t i = 0; i < f->geometry.count; i++)
                if (f->hole == NULL || f->hole[i] == 0)
                        assert_in_range(labs((long) back[i] - grid[i]), 0, STEP / 2);
        size_t size = p.side.size;
        if (side != NULL)
                *side = p.side;
        else
                bytes_free(&p.side);
        free(back);
        arena_free(&arena);
        return size;
}

static void
test_fields_come_back(void **state)
{
        static const struct shape shapes[] = {
                { .ndim = 2, .extent = { ROWS, COLUMNS } },
                { .ndim = 2, .extent = { 7, 100 } },
                { .ndim = 1, .extent = { 1013 } },
                { .ndim = 3, .extent = { 5, 9, 11 } },
                { .ndim = 4, .extent = { 2, 1, 8, 8 } },
        };
        static int32_t grid[COUNT];
        static uint8_t hole[COUNT];

        (void) state;
        for (size_t i = 0; i < COUNT; i++)
                hole[i] = i % 17 == 3;
        for (size_t nfields = 0; nfields <= FIELDS; nfields += FIELDS) {
                struct model *m = make_plane_model(nfields);
                for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
                        struct field f = field_of(m, &shapes[i], grid, NULL);
                        make_field(9, f.geometry.count, COLUMNS, grid);
                        check(&f, NULL);
                        f.hole = hole;
                        check(&f, NULL);
                }
                model_free(m);
        }
}

/* A stack as large as a chunk, most of it of one value. */
static void
test_stacks_come_back(void **state)
{
        const struct shape stack = { .ndim = 3, .extent = { 2 * FIELD_MAX_FLAT / COUNT, ROWS,
                                                            COLUMNS } };
        struct model *m = make_plane_model(FIELDS);
        struct field  f = field_of(m, &stack, NULL, NULL);
        int32_t      *grid = calloc(f.geometry.count, sizeof *grid);

        (void) state;
        assert_non_null(grid);
        f.grid = grid;
        for (size_t i = 0; i < f.geometry.count; i += (size_t) 16 * COUNT)
                make_field(1, COUNT, COLUMNS, grid + i);
        check(&f, NULL);
        f.geometry.count = FIELD_MAX_VALUES + 1;
        assert_false(family_field.applies(&f));
        free(grid);
        model_free(m);
}

static void
test_extreme_numbers_come_back(void **state)
{
        static int32_t grid[COUNT];
        uint64_t       seed = 4;
        struct model  *m = make_plane_model(1);
        struct field   f = field_of(m, &plane_shape, grid, NULL);

        (void) state;
        for (size_t i = 0; i < COUNT; i++)
                grid[i] = i % 5 == 0 ? INT32_MAX - STEP : i % 7 == 0 ? INT32_MIN + STEP
                        : (int32_t) sample_between(&seed, INT32_MAX / 2);
        check(&f, NULL);
        model_free(m);
}

/* What was learnt of their like is worth something; and mixing at EFFORT_MAX. */
static void
test_what_was_learnt_makes_fields_smaller(void **state)
{
        static int32_t grid[COUNT];
        size_t         size[2], most;

        (void) state;
        make_field(9, COUNT, COLUMNS, grid);
        for (unsigned k = 0; k < 2; k++) {
                struct model *m = make_plane_model(k * FIELDS);
                struct field  f = field_of(m, &plane_shape, grid, NULL);
                size[k] = check(&f, NULL);
                f.effort = EFFORT_MAX;
                most = check(&f, NULL);
                model_free(m);
        }
        assert_true(size[1] < size[0] * 19 / 20);
        assert_true(most <= size[1]);
}

static void
test_where_it_applies(void **state)
{
        static int32_t grid[COUNT];
        struct model  *m = make_plane_model(0);
        struct field   f = field_of(m, &plane_shape, grid, NULL);

        (void) state;
        assert_true(family_field.applies(&f));
        f.effort = EFFORT_FAST;
        assert_false(family_field.applies(&f));
        f.effort = EFFORT_BALANCED;
        f.geometry.step = 1;
        assert_false(family_field.applies(&f));
        f.geometry.step = STEP;
        f.geometry.scope = SCOPE_COLUMN;
        assert_false(family_field.applies(&f));
        f.geometry.scope = SCOPE_ARRAY;
        f.geometry.model = NULL;
        assert_false(family_field.applies(&f));
        model_free(m);
}

/* ---- blocks ---- */

/* Three blocks of a mesh: rows of 24, 48 and 30. */
static const struct field_block mesh[] = {
        { { 1, 1, 20, 24 }, 480 }, { { 1, 1, 32, 48 }, 1536 }, { { 1, 1, 16, 30 }, 480 },
};
#define MESH_COUNT (480 + 1536 + 480)

static void
make_mesh(unsigned index, int32_t *grid)
{
        uint64_t seed = index;
        size_t   at = 0;

        for (size_t b = 0; b < 3; b++)
                for (size_t i = 0; i < mesh[b].count; i++, at++) {
                        double x = (double) (i % mesh[b].extent[3]) / (double) mesh[b].extent[3];
                        double y = (double) (i / mesh[b].extent[3]) / 16.0 + (double) b;
                        grid[at] = (int32_t) (40000 * x * x + 9000 * y * y + 3000 * x * y * index)
                                + sample_between(&seed, 20);
                }
}

static void
test_blocks_are_found(void **state)
{
        static int32_t       first[MESH_COUNT], second[MESH_COUNT];
        const int32_t *const grids[] = { first, second };
        struct arena         arena = { 0 };
        struct field_view    v;

        (void) state;
        make_mesh(1, first);
        make_mesh(2, second);
        assert_int_equal(field_blocks_find(grids, 2, MESH_COUNT, STEP, &arena, &v), CAEFS_OK);
        assert_int_equal(v.nblocks, 3);
        for (size_t b = 0; b < 3; b++) {
                assert_int_equal(v.block[b].extent[2], mesh[b].extent[2]);
                assert_int_equal(v.block[b].extent[3], mesh[b].extent[3]);
        }
        const struct shape flat = { .ndim = 1, .extent = { MESH_COUNT } };
        struct model *m = make_model(&flat, &v, 1);
        struct field  f = field_of(m, &flat, first, NULL);
        check(&f, NULL);
        model_free(m);
        arena_free(&arena);
}

/* Whatever the numbers, blocks cover the field. */
static void
test_blocks_cover_noise(void **state)
{
        static int32_t       grid[3001];
        const int32_t *const grids[] = { grid };
        struct arena         arena = { 0 };
        struct field_view    v;
        uint64_t             seed = 3;
        size_t               sum = 0;

        (void) state;
        for (size_t i = 0; i < 3001; i++)
                grid[i] = sample_between(&seed, 1000000);
        assert_int_equal(field_blocks_find(grids, 1, 3001, STEP, &arena, &v), CAEFS_OK);
        assert_in_range(v.nblocks, 1, FIELD_MAX_BLOCKS);
        for (size_t b = 0; b < v.nblocks; b++) {
                assert_int_equal(v.block[b].count, v.block[b].extent[2] * v.block[b].extent[3]);
                sum += v.block[b].count;
        }
        assert_int_equal(sum, 3001);
        arena_free(&arena);
}

/* ---- hostile bytes ---- */

static void
test_damaged_parts_are_refused_or_read(void **state)
{
        struct field_view view;
        struct bytes      part = { 0 };
        uint64_t          seed = 5;

        (void) state;
        field_view_of_shape(&plane_shape, &view);
        learn(&plane_shape, &view, 2, &part);
        for (size_t size = 0; size < part.size; size += size < 64 ? 1 : 37) {
                struct cursor in = cursor_of(part.data, size);
                void         *parsed;
                assert_int_not_equal(field_part.parse(&in, &parsed), CAEFS_OK);
        }
        for (unsigned k = 0; k < 300; k++) {
                size_t        at = sample_random(&seed) % (k % 2 ? part.size : 48);
                uint8_t       kept = part.data[at];
                struct cursor in = cursor_of(part.data, part.size);
                void         *parsed;
                part.data[at] = (uint8_t) sample_random(&seed);
                if (field_part.parse(&in, &parsed) == CAEFS_OK)
                        field_part.release(parsed);
                part.data[at] = kept;
        }
        bytes_free(&part);
}

static void
test_damaged_chunks_are_refused_or_read(void **state)
{
        static int32_t grid[COUNT], back[COUNT];
        struct model  *m = make_plane_model(1);
        struct field   f = field_of(m, &plane_shape, grid, NULL);
        struct bytes   side = { 0 };
        struct arena   arena = { 0 };
        uint64_t       seed = 6;

        (void) state;
        make_field(9, COUNT, COLUMNS, grid);
        check(&f, &side);
        for (size_t size = 0; size < side.size; size++) {
                assert_int_not_equal(decode(&f, side.data, size, &arena, back), CAEFS_OK);
                arena_free(&arena);
        }
        for (unsigned k = 0; k < 500; k++) {
                size_t  at = sample_random(&seed) % (k % 2 ? side.size : 8);
                uint8_t kept = side.data[at];
                side.data[at] = (uint8_t) sample_random(&seed);
                (void) decode(&f, side.data, side.size, &arena, back);
                arena_free(&arena);
                side.data[at] = kept;
        }
        /* the pattern is for its own shape only */
        const struct shape other = { .ndim = 2, .extent = { COLUMNS, ROWS } };
        struct field turned = field_of(m, &other, grid, NULL);
        assert_true(side.data[0] & FIELD_SIDE_PATTERN);
        assert_int_equal(decode(&turned, side.data, side.size, &arena, back), CAEFS_ERR_CORRUPT);
        bytes_free(&side);
        arena_free(&arena);
        model_free(m);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fields_come_back),
                cmocka_unit_test(test_stacks_come_back),
                cmocka_unit_test(test_extreme_numbers_come_back),
                cmocka_unit_test(test_what_was_learnt_makes_fields_smaller),
                cmocka_unit_test(test_where_it_applies),
                cmocka_unit_test(test_blocks_are_found),
                cmocka_unit_test(test_blocks_cover_noise),
                cmocka_unit_test(test_damaged_parts_are_refused_or_read),
                cmocka_unit_test(test_damaged_chunks_are_refused_or_read),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
