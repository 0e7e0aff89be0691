/* tests/unit/test_table.c - the family `table`: what a predictor learns from a table, any
 * table comes back with, within half a step; a part that is damaged is refused or harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/model.h"
#include "codec/table_fit.h"
#include "codec/train.h"
#include "tests/unit/sample_model.h"

enum { ROWS = 600, COLUMNS = 12, STEP = 128 };

/* ---- tables ---- */

/* Rows that depend on few things, and resemble one of some earlier rows if REPEATS. */
static int32_t *
make_table(size_t nrows, size_t ncolumns, bool repeats, uint64_t seed)
{
        int32_t *grid = calloc(nrows * ncolumns, sizeof *grid);

        assert_non_null(grid);
        for (size_t r = 0; r < nrows; r++) {
                const bool again = repeats && r > 20 && sample_random(&seed) % 4 != 0;
                const size_t old = again ? sample_random(&seed) % r : 0;
                const int32_t a = sample_between(&seed, 200000), b = sample_between(&seed, 90000);
                for (size_t c = 0; c < ncolumns; c++)
                        grid[r * ncolumns + c] = again
                                ? grid[old * ncolumns + c] + (c == 3 ? 1000 : 0)
                                : repeats ? sample_between(&seed, 200000)
                                : (int32_t) c * 5000 + a / (int32_t) (1 + c % 5)
                                  + (c % 2 ? b : -b) / 2 + sample_between(&seed, 300);
        }
        return grid;
}

/* Columns one after another, for table_fit(). */
static int32_t *
columns_of(const int32_t *grid, size_t nrows, size_t ncolumns, bool transposed)
{
        int32_t *target = malloc(nrows * ncolumns * sizeof *target);

        assert_non_null(target);
        for (size_t i = 0; i < nrows * ncolumns; i++)
                target[i] = transposed ? grid[i] : grid[i % nrows * ncolumns + i / nrows];
        return target;
}

static struct bytes
learn(const int32_t *grid, size_t nrows, size_t ncolumns, bool transposed, bool references)
{
        struct table_part part = { .npredictors = 1 };
        struct table_predictor *p = &part.predictor[0];
        struct arena arena = { 0 };
        struct bytes bytes = { 0 };
        int32_t *target = columns_of(grid, nrows, ncolumns, transposed);
        double bits;

        p->transposed = transposed;
        p->references = references;
        p->ncolumns = (unsigned) (transposed ? nrows : ncolumns);
        assert_int_equal(table_fit(target, transposed ? ncolumns : nrows, STEP, &arena, p, &bits),
                         CAEFS_OK);
        assert_true(bits > 0);
        assert_int_equal(table_part_write(&part, &bytes), CAEFS_OK);
        table_part_release(&part);
        arena_free(&arena);
        free(target);
        return bytes;
}

static struct model *
model_of(const struct bytes *bytes)
{
        const struct model_info info = { .bound = { BOUND_REL, 0.01 }, .scope = SCOPE_COLUMN };
        const struct model_part part = { .family = FAMILY_TABLE, .bytes = *bytes };
        struct model *m = NULL;

        (void) model_build(&info, &part, 1, &m);
        return m;
}

/* ---- coding ---- */

struct coded {
        struct field_geometry geometry;
        struct bytes          side;
        struct bytes          residuals;
};

static struct coded
encode(const int32_t *grid, size_t nrows, size_t ncolumns, int64_t step, const uint8_t *hole,
       const struct model *m)
{
        struct coded c = {
                .geometry = {
                        .shape = { .ndim = 2, .extent = { nrows, ncolumns } },
                        .count = nrows * ncolumns, .step = step, .scope = SCOPE_COLUMN, .model = m,
                },
        };
        const struct field f = { .geometry = c.geometry, .grid = grid, .hole = hole,
                                 .effort = EFFORT_BALANCED };
        struct prediction p = { 0 };
        struct arena arena = { 0 };
        double bits = 0;

        assert_true(family_table.applies(&f));
        assert_int_equal(family_table.encode(&f, &arena, &p, &bits), CAEFS_OK);
        assert_int_equal(p.count, c.geometry.count);
        c.side = p.side;
        assert_int_equal(residual_encode(p.residual, p.segment, p.nsegments, EFFORT_BALANCED,
                                         &arena, &c.residuals), CAEFS_OK);
        arena_free(&arena);
        return c;
}

static enum caefs_err
decode(const struct coded *c, int32_t *grid)
{
        struct cursor side = cursor_of(c->side.data, c->side.size);
        struct cursor residuals = cursor_of(c->residuals.data, c->residuals.size);
        struct arena arena = { 0 };
        enum caefs_err err = family_table.decode(&c->geometry, &side, &residuals, &arena, grid);

        arena_free(&arena);
        return err;
}

static void
coded_free(struct coded *c)
{
        bytes_free(&c->side);
        bytes_free(&c->residuals);
}

/* Returns the bytes that the table takes. */
static size_t
check(const int32_t *grid, size_t nrows, size_t ncolumns, int64_t step, const uint8_t *hole,
      const struct model *m)
{
        struct coded c = encode(grid, nrows, ncolumns, step, hole, m);
        int32_t *back = malloc(c.geometry.count * sizeof *back);
        const size_t size = c.side.size + c.residuals.size;

        assert_int_equal(decode(&c, back), CAEFS_OK);
        for (size_t i = 0; i < c.geometry.count; i++) {
                /* the grid wraps around at its ends */
                const int64_t error = (int32_t) ((uint32_t) back[i] - (uint32_t) grid[i]);
                assert_true((hole != NULL && hole[i]) || 2 * llabs(error) <= step);
        }
        free(back);
        coded_free(&c);
        return size;
}

/* ---- tests ---- */

/* A model serves tables of any content, not only what it learnt from. */
static void
test_round_trips(void **state)
{
        static const int64_t steps[] = { 1, 2, STEP, 1 << 20 };

        (void) state;
        for (int sort = 0; sort < 3; sort++) {
                int32_t *grid = make_table(ROWS, COLUMNS, sort == 1, 3);
                int32_t *wide = make_table(COLUMNS, ROWS, false, 5);
                struct bytes part = sort < 2 ? learn(grid, ROWS, COLUMNS, false, sort == 1)
                                             : learn(wide, COLUMNS, ROWS, true, false);
                struct model *m = model_of(&part);
                const size_t nrows = sort < 2 ? ROWS : COLUMNS, ncolumns = sort < 2 ? COLUMNS : ROWS;
                int32_t *table = sort < 2 ? grid : wide;
                uint8_t *hole = calloc(ROWS * COLUMNS, 1);
                uint64_t seed = 9;

                assert_non_null(m);
                for (size_t i = 0; i < ROWS * COLUMNS; i++)
                        hole[i] = sample_random(&seed) % 7 == 0;
                for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
                        check(table, nrows, ncolumns, steps[s], NULL, m);
                        check(table, nrows, ncolumns, steps[s], hole, m);
                }
                for (size_t i = 0; i < ROWS * COLUMNS; i++)
                        table[i] = i % 3 == 0 ? INT32_MIN : i % 3 == 1 ? INT32_MAX
                                 : (int32_t) sample_random(&seed);
                check(table, nrows, ncolumns, 1, NULL, m);
                check(table, nrows, ncolumns, STEP, hole, m);
                if (sort < 2) {
                        check(table, 1, ncolumns, STEP, NULL, m);
                        check(table, 3, ncolumns, STEP, NULL, m);
                }
                model_free(m);
                bytes_free(&part);
                free(hole);
                free(grid);
                free(wide);
        }
}

static void
test_references_find_what_resembles(void **state)
{
        int32_t *grid = make_table(ROWS, COLUMNS, true, 7);
        struct bytes alone = learn(grid, ROWS, COLUMNS, false, false);
        struct bytes referring = learn(grid, ROWS, COLUMNS, false, true);
        struct model *a = model_of(&alone), *b = model_of(&referring);

        (void) state;
        assert_true(2 * check(grid, ROWS, COLUMNS, STEP, NULL, b)
                    < check(grid, ROWS, COLUMNS, STEP, NULL, a));
        model_free(a);
        model_free(b);
        bytes_free(&alone);
        bytes_free(&referring);
        free(grid);
}

/* Terms make the residuals of dependent columns a fraction of what they are alone. */
static void
test_columns_predict_each_other(void **state)
{
        int32_t *grid = make_table(ROWS, COLUMNS, false, 7);
        struct bytes part = learn(grid, ROWS, COLUMNS, false, false);
        struct model *m = model_of(&part);

        (void) state;
        /* two columns of ten bits or so; of the others less than three bits */
        assert_true(8 * check(grid, ROWS, COLUMNS, STEP, NULL, m)
                    < ROWS * (2 * 12 + (COLUMNS - 2) * 5));
        model_free(m);
        bytes_free(&part);
        free(grid);
}

static void
test_applies_to_its_columns_only(void **state)
{
        int32_t *grid = make_table(ROWS, COLUMNS, false, 3);
        struct bytes part = learn(grid, ROWS, COLUMNS, false, false);
        struct model *m = model_of(&part);
        struct field f = { .geometry = {
                .shape = { .ndim = 2, .extent = { COLUMNS, ROWS } }, .count = ROWS * COLUMNS,
                .step = 1, .model = m } };

        (void) state;
        assert_false(family_table.applies(&f));
        f.geometry.shape = (struct shape) { .ndim = 1, .extent = { ROWS * COLUMNS } };
        assert_false(family_table.applies(&f));
        f.geometry.shape = (struct shape) { .ndim = 2, .extent = { ROWS, COLUMNS } };
        assert_true(family_table.applies(&f));
        f.geometry.wide = true;
        assert_false(family_table.applies(&f));
        f.geometry.wide = false;
        f.geometry.model = NULL;
        assert_false(family_table.applies(&f));
        model_free(m);
        bytes_free(&part);
        free(grid);
}

static void
test_kinds_keep_alike_together(void **state)
{
        uint32_t histogram[40][TABLE_TOKENS] = { { 0 } };
        struct arena arena = { 0 };
        uint8_t kind[40];

        (void) state;
        for (size_t i = 0; i < 40; i++)
                histogram[i][i % 4 * 10] = 1000;
        assert_true(table_make_kinds(histogram[0], 40, &arena, kind) < 100);
        for (size_t i = 0; i < 40; i++) {
                assert_true(kind[i] < TABLE_KINDS);
                assert_int_equal(kind[i], kind[i % 4]);
                assert_true(i % 4 == 0 || kind[i] != kind[0]);
        }
        arena_free(&arena);
}

/* ---- what is not trusted ---- */

static void
refuse(struct table_column first, struct table_column second, bool references)
{
        struct table_column columns[2] = { first, second };
        struct table_part part = { .npredictors = 1, .predictor = { {
                .ncolumns = 2, .references = references, .column = columns } } };
        struct bytes bytes = { 0 };

        assert_int_equal(table_part_write(&part, &bytes), CAEFS_OK);
        assert_null(model_of(&bytes));
        bytes_free(&bytes);
}

static void
test_parts_out_of_range_are_refused(void **state)
{
        const struct table_column good = { 0 };

        (void) state;
        refuse((struct table_column) { .nterms = 1 }, good, false);
        refuse(good, (struct table_column) { .nterms = 1, .term = { { 1, 5 } } }, false);
        refuse(good, (struct table_column) { .nterms = 1, .term = {
                { 0, TABLE_MAX_COEFFICIENT + 1 } } }, false);
        refuse(good, (struct table_column) { .nparents = 1, .parent = { 1 } }, false);
        refuse(good, (struct table_column) { .nparents = TABLE_MAX_PARENTS + 1 }, false);
        refuse(good, (struct table_column) { .nparents = 1, .first = 64 }, false);
        refuse(good, (struct table_column) { .kind = { TABLE_KINDS } }, false);
        refuse(good, (struct table_column) { .nterms = TABLE_MAX_TERMS + 1 }, true);
}

static void
test_damaged_parts_are_refused_or_harmless(void **state)
{
        int32_t *grid = make_table(ROWS, COLUMNS, true, 3);
        struct bytes part = learn(grid, ROWS, COLUMNS, false, true);

        (void) state;
        for (size_t cut = 0; cut < part.size; cut++) {
                const struct bytes shorter = { .data = part.data, .size = cut };
                struct model *m = model_of(&shorter);
                assert_null(m);
        }
        for (size_t i = 0; i < part.size; i++) {
                const uint8_t was = part.data[i];
                part.data[i] ^= (uint8_t) (1 << i % 8);
                struct model *m = model_of(&part);
                struct field f = { .geometry = {
                        .shape = { .ndim = 2, .extent = { 50, COLUMNS } }, .count = 50 * COLUMNS,
                        .step = STEP, .model = m } };
                if (family_table.applies(&f))
                        check(grid, 50, COLUMNS, STEP, NULL, m);
                model_free(m);
                part.data[i] = was;
        }
        bytes_free(&part);
        free(grid);
}

static void
test_damaged_chunks_do_no_harm(void **state)
{
        enum { FEW = 40 };
        int32_t *grid = make_table(ROWS, COLUMNS, true, 3), back[FEW * COLUMNS];
        struct bytes part = learn(grid, ROWS, COLUMNS, false, true);
        struct model *m = model_of(&part);
        struct coded c = encode(grid, FEW, COLUMNS, STEP, NULL, m);

        (void) state;
        for (size_t cut = 0; cut < c.side.size; cut++) {
                struct coded shorter = c;
                shorter.side.size = cut;
                assert_int_not_equal(decode(&shorter, back), CAEFS_OK);
        }
        for (size_t i = 0; i < c.side.size; i++)
                for (unsigned bit = 0; bit < 8; bit++) {
                        c.side.data[i] ^= (uint8_t) (1 << bit);
                        (void) decode(&c, back);
                        c.side.data[i] ^= (uint8_t) (1 << bit);
                }
        /* a predictor that the model has not */
        c.side.data[0] = 1;
        assert_int_equal(decode(&c, back), CAEFS_ERR_CORRUPT);
        c.side.data[0] = 0;
        c.geometry.model = NULL;
        assert_int_equal(decode(&c, back), CAEFS_ERR_CORRUPT);
        coded_free(&c);
        model_free(m);
        bytes_free(&part);
        free(grid);
}

/* ---- training ---- */

static enum caefs_err
read_memory(void *context, void *buffer, size_t size, uint64_t offset)
{
        memcpy(buffer, (const char *) context + offset, size);
        return CAEFS_OK;
}

static uint64_t
train(const int32_t *grid, size_t nrows, size_t ncolumns, bool *pays)
{
        double *value = malloc(nrows * ncolumns * sizeof *value);
        const struct byte_source source = {
                .read = read_memory, .context = value, .size = nrows * ncolumns * 8,
        };
        const struct train_input in = { .source = &source, .region = {
                .length = source.size, .dtype = DTYPE_F64,
                .shape = { .ndim = 2, .extent = { nrows, ncolumns } } } };
        const struct train_options o = { .bound = { BOUND_REL, 1e-3 }, .scope = SCOPE_COLUMN,
                                         .family = FAMILY_TABLE, .proportion = 1, .seed = 1 };
        struct train_result r;
        uint64_t hash = 0;

        for (size_t i = 0; i < nrows * ncolumns; i++)
                value[i] = grid[i] / 1000.0;
        assert_int_equal(train_model(&in, 1, &o, NULL, NULL, &r), CAEFS_OK);
        *pays = r.model != NULL;
        if (r.model != NULL) {
                assert_non_null(model_part(r.model, FAMILY_TABLE));
                hash = model_hash(r.model);
        }
        model_free(r.model);
        free(value);
        return hash;
}

static void
test_training(void **state)
{
        int32_t *grid = make_table(8000, COLUMNS, true, 11);
        bool pays;

        (void) state;
        const uint64_t hash = train(grid, 8000, COLUMNS, &pays);
        assert_true(pays);
        assert_true(train(grid, 8000, COLUMNS, &pays) == hash);
        /* of noise nothing is to be learnt */
        uint64_t seed = 4;
        for (size_t i = 0; i < 2000 * COLUMNS; i++)
                grid[i] = sample_between(&seed, 100000);
        (void) train(grid, 2000, COLUMNS, &pays);
        assert_false(pays);
        free(grid);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trips),
                cmocka_unit_test(test_references_find_what_resembles),
                cmocka_unit_test(test_columns_predict_each_other),
                cmocka_unit_test(test_applies_to_its_columns_only),
                cmocka_unit_test(test_kinds_keep_alike_together),
                cmocka_unit_test(test_parts_out_of_range_are_refused),
                cmocka_unit_test(test_damaged_parts_are_refused_or_harmless),
                cmocka_unit_test(test_damaged_chunks_do_no_harm),
                cmocka_unit_test(test_training),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
