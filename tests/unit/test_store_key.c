/* test_store_key.c - files of a series in a store: which refer to which, and what becomes
 * of them when files are deleted, renamed and written again. */
#include <math.h>

#include "tests/unit/store_fixture.h"

#include "fs/store_key.h"
#include "meta/meta.h"

#define VALUES 20000
#define SIZE   (128 + 4 * VALUES)
#define BOUND  0.05

/* Noise that is the same in every step. */
static float
noise_at(uint64_t i)
{
        uint64_t z = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return (float) ((z ^ z >> 31) >> 40) / (1 << 24);
}

/* Step T of series SERIES as a .npy file; the same memory every time. */
static const void *
step_of(unsigned series, unsigned t)
{
        static char file[SIZE];
        float       value;

        memset(file, ' ', 128);
        memcpy(file, "\x93NUMPY\x01\0\x76\0", 10);
        file[10 + snprintf(file + 10, 118, "{'descr': '<f4', 'fortran_order': False, "
                           "'shape': (%d,), }", VALUES)] = ' ';
        file[127] = '\n';
        for (size_t i = 0; i < VALUES; i++) {
                value = 100 * noise_at(i + series * (uint64_t) VALUES)
                        + (float) sin((double) i * 0.01 + t);
                memcpy(file + 128 + 4 * i, &value, 4);
        }
        return file;
}

static const char *
name_of(unsigned t)
{
        static char name[16];

        snprintf(name, sizeof name, "p_%04u.npy", t);
        return name;
}

static void
seal_all(struct store *s)
{
        uint64_t left = 1;

        assert_ok(store_sync_tree(s, ROOT, false, NULL, &left));
        assert_int_equal(left, 0);
}

/* Writes and seals steps FIRST to LAST. */
static void
make_steps(struct store *s, unsigned first, unsigned last)
{
        for (unsigned t = first; t <= last; t++) {
                write_file(s, ROOT, name_of(t), step_of(0, t), SIZE);
                seal_all(s);
        }
}

static uint64_t
key_of(struct store *s, const char *name)
{
        struct store_file_info info;

        assert_ok(store_file_info(s, stat_name(s, ROOT, name).st_ino, &info));
        assert_string_equal(info.state, "sealed");
        return info.key;
}

static void
assert_step(struct store *s, const char *name, unsigned series, unsigned t)
{
        size_t      n;
        const char *written = step_of(series, t);
        char       *served = read_inode(s, stat_name(s, ROOT, name).st_ino, &n);

        assert_int_equal(n, SIZE);
        for (size_t i = 128; i < SIZE; i += 4) {
                float a, b;
                memcpy(&a, written + i, 4);
                memcpy(&b, served + i, 4);
                assert_true(fabs((double) a - (double) b) <= BOUND);
        }
        free(served);
}

static uint64_t
count_objects(struct store *s)
{
        struct store_check_report report;

        assert_ok(store_check(s, &(struct store_scrub) { 0 }, NULL, tell_problem, NULL,
                              &report));
        assert_int_equal(report.problems, 0);
        return report.objects;
}

static int
setup(void **state)
{
        fixture_setup(state);
        struct fixture *f = *state;
        assert_ok(store_property_set(f->store, ROOT, "bound", "abs:0.05"));
        return 0;
}

/* ---- names ---------------------------------------------------------------- */

static void
test_names_that_count(void **state)
{
        static const struct {
                const char *a, *b;
                bool        earlier;
        } pairs[] = {
                { "p_0000.npy", "p_0001.npy", true },  { "p_0001.npy", "p_0000.npy", false },
                { "p_0001.npy", "p_0001.npy", false }, { "p_9.npy", "p_10.npy", true },
                { "p_09.npy", "p_9.npy", false },      { "p_0001.npy", "q_0002.npy", false },
                { "v.1890.02.01.nc", "v.1890.03.01.nc", true },
                { "v.1890.12.01.nc", "v.1891.01.01.nc", true },
                { "a1.f32", "a2.f64", false },         { "a.f32", "a.f64", false },
                { "step1", "step12", true },           { "1", "2", true },
                { "", "1", false },                    { "p_1x", "p_2", false },
        };
        static const struct {
                const char *name;
                uint64_t    n;
                const char *multiple;
        } multiples[] = {
                { "p_0007.npy", 4, "p_0004.npy" }, { "p_0003.npy", 4, "p_0000.npy" },
                { "p_0008.npy", 4, NULL },         { "p_17", 10, "p_10" },
                { "p_9", 4, "p_8" },               { "p_103", 10, "p_100" },
                { "p_11", 12, "p_0" },             { "nothing.f32", 2, NULL },
                { "run2_t0005_x.npy", 2, "run2_t0004_x.npy" },
                { "p_99999999999999999999.npy", 2, NULL },
        };
        char out[32];

        (void) state;
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
                assert_int_equal(key_name_is_earlier(pairs[i].a, pairs[i].b), pairs[i].earlier);
        for (size_t i = 0; i < sizeof multiples / sizeof *multiples; i++) {
                bool made = key_name_of_multiple(multiples[i].name, multiples[i].n, out,
                                                 sizeof out);
                assert_int_equal(made, multiples[i].multiple != NULL);
                if (made)
                        assert_string_equal(out, multiples[i].multiple);
        }
}

/* ---- choosing -------------------------------------------------------------- */

static void
test_a_series_refers_back(void **state)
{
        struct fixture *f = *state;

        make_steps(f->store, 0, 5);
        write_file(f->store, ROOT, "other.npy", step_of(0, 9), SIZE);
        seal_all(f->store);
        for (int round = 0; round < 2; round++) {
                uint64_t first = key_of(f->store, name_of(1));
                assert_int_equal(key_of(f->store, name_of(0)), 0);
                assert_true(first != 0);
                assert_int_equal(key_of(f->store, name_of(2)), first);
                assert_int_equal(key_of(f->store, name_of(3)), first);
                assert_int_equal(key_of(f->store, name_of(4)), 0);
                assert_true(key_of(f->store, name_of(5)) > first);
                assert_int_equal(key_of(f->store, "other.npy"), 0);
                assert_true(stat_name(f->store, ROOT, name_of(1)).st_blocks * 2 <
                            stat_name(f->store, ROOT, name_of(0)).st_blocks);
                for (unsigned t = 0; t < 6; t++)
                        assert_step(f->store, name_of(t), 0, t);
                fixture_reopen(f);
        }
}

static void
test_the_property(void **state)
{
        struct fixture *f = *state;

        assert_err(store_property_set(f->store, ROOT, "key", "1"), CAEFS_ERR_ARGUMENT);
        assert_err(store_property_set(f->store, ROOT, "key", "some"), CAEFS_ERR_ARGUMENT);
        assert_err(store_property_set(f->store, ROOT, "key", "3x"), CAEFS_ERR_ARGUMENT);
        assert_ok(store_property_set(f->store, ROOT, "key", "none"));
        make_steps(f->store, 0, 1);
        assert_int_equal(key_of(f->store, name_of(1)), 0);
        assert_ok(store_property_set(f->store, ROOT, "key", "5"));
        make_steps(f->store, 4, 8);
        uint64_t four = key_of(f->store, name_of(4)), six = key_of(f->store, name_of(6));
        assert_true(four != 0 && six != 0 && four != six);
        assert_int_equal(key_of(f->store, name_of(5)), 0);
        assert_int_equal(key_of(f->store, name_of(7)), six);
        assert_int_equal(key_of(f->store, name_of(8)), six);
}

/* Steps that have nothing in common refer to nothing. */
static void
test_a_series_without_use(void **state)
{
        struct fixture *f = *state;

        for (unsigned t = 0; t < 5; t++) {
                write_file(f->store, ROOT, name_of(t), step_of(t + 1, t), SIZE);
                seal_all(f->store);
                assert_int_equal(key_of(f->store, name_of(t)), 0);
                assert_step(f->store, name_of(t), t + 1, t);
        }
}

/* ---- what happens to keys ---------------------------------------------------- */

static void
test_a_deleted_key_is_kept_while_needed(void **state)
{
        struct fixture *f = *state;

        make_steps(f->store, 0, 3);
        assert_ok(store_unlink(f->store, ROOT, name_of(0)));
        for (int round = 0; round < 2; round++) {
                assert_int_equal(count_objects(f->store), 4);
                for (unsigned t = 1; t < 4; t++)
                        assert_step(f->store, name_of(t), 0, t);
                fixture_reopen(f);
        }
        assert_ok(store_unlink(f->store, ROOT, name_of(2)));
        assert_ok(store_unlink(f->store, ROOT, name_of(1)));
        assert_int_equal(count_objects(f->store), 2);
        assert_step(f->store, name_of(3), 0, 3);
        assert_ok(store_unlink(f->store, ROOT, name_of(3)));
        assert_int_equal(count_objects(f->store), 0);
}

static void
test_a_key_is_renamed_and_rewritten(void **state)
{
        struct fixture *f = *state;

        make_steps(f->store, 0, 2);
        uint64_t key = key_of(f->store, name_of(1));
        assert_ok(store_rename(f->store, ROOT, name_of(0), ROOT, "elsewhere", 0));
        assert_step(f->store, name_of(1), 0, 1);
        write_file(f->store, ROOT, "elsewhere", step_of(7, 0), SIZE);
        assert_step(f->store, name_of(1), 0, 1);
        seal_all(f->store);
        fixture_reopen(f);
        assert_int_equal(key_of(f->store, name_of(1)), key);
        assert_step(f->store, name_of(1), 0, 1);
        assert_step(f->store, name_of(2), 0, 2);
        assert_step(f->store, "elsewhere", 7, 0);
        assert_int_equal(count_objects(f->store), 4);
        assert_ok(store_rename(f->store, ROOT, "elsewhere", ROOT, name_of(1), 0));
        assert_ok(store_unlink(f->store, ROOT, name_of(2)));
        assert_int_equal(count_objects(f->store), 1);
}

/* A value is changed in a file that has a key: the others keep the bits they were served with. */
static void
test_rewriting_keeps_the_key(void **state)
{
        struct fixture    *f = *state;
        struct store_file *file;
        size_t             n;
        const float        value = 4.5f;

        make_steps(f->store, 0, 1);
        uint64_t    key = key_of(f->store, name_of(1));
        store_inode ino = stat_name(f->store, ROOT, name_of(1)).st_ino;
        char       *before = read_inode(f->store, ino, &n);
        assert_ok(store_file_open(f->store, ino, O_RDWR, &file));
        put(file, &value, 4, 128 + 4000);
        assert_ok(store_file_flush(file));
        store_file_release(file);
        assert_ok(store_unlink(f->store, ROOT, name_of(0)));
        seal_all(f->store);
        fixture_reopen(f);
        memcpy(before + 128 + 4000, &value, 4);
        assert_content(f->store, ROOT, name_of(1), before, n);
        assert_int_equal(key_of(f->store, name_of(1)), key);
        assert_int_equal(count_objects(f->store), 2);
        free(before);
}

/* Encoded while somebody reads it, and its key is deleted before it can take its place:
 * it is encoded again. */
static void
test_a_key_goes_before_it_is_named(void **state)
{
        struct fixture    *f = *state;
        struct store_file *file;
        uint64_t           left;

        make_steps(f->store, 0, 0);
        store_inode ino = write_file(f->store, ROOT, name_of(1), step_of(0, 1), SIZE);
        assert_ok(store_file_open(f->store, ino, O_RDONLY, &file));
        assert_ok(store_sync_tree(f->store, ROOT, false, NULL, &left));
        assert_int_equal(left, 1);
        assert_ok(store_unlink(f->store, ROOT, name_of(0)));
        assert_ok(store_commit(f->store));
        store_file_release(file);
        assert_ok(store_sync_tree(f->store, ROOT, false, NULL, &left));
        assert_int_equal(left, 1);
        seal_all(f->store);
        assert_int_equal(key_of(f->store, name_of(1)), 0);
        assert_step(f->store, name_of(1), 0, 1);
        assert_int_equal(count_objects(f->store), 1);
}

/* What others refer to is not encoded again: it would have to stay. */
static void
test_recompressing_a_series(void **state)
{
        struct fixture                *f = *state;
        const struct store_recompress  again = { 0 };
        struct store_recompress_report report;

        make_steps(f->store, 0, 1);
        uint64_t key = key_of(f->store, name_of(1));
        assert_ok(store_property_set(f->store, ROOT, "effort", "max"));
        assert_ok(store_recompress_tree(f->store, ROOT, &again, NULL, &report));
        assert_int_equal(report.files, 2);
        assert_int_equal(key_of(f->store, name_of(1)), key);
        assert_int_equal(count_objects(f->store), 2);
        assert_ok(store_property_set(f->store, ROOT, "bound", "abs:1"));
        assert_ok(store_recompress_tree(f->store, ROOT, &again, NULL, &report));
        assert_int_equal(count_objects(f->store), 2);
}

/* ---- damage ------------------------------------------------------------------ */

static void
count_problem(void *context, const char *sentence)
{
        (void) sentence;
        ++*(unsigned *) context;
}

/* Puts ROW in the place of the row of its object. */
static void
replace_row(struct meta *m, const struct meta_object *row)
{
        struct bytes data = { 0 };

        if (row->is_inline)
                assert_ok(meta_object_data(m, row->id, &data));
        assert_ok(meta_object_delete(m, row->id));
        assert_ok(meta_object_insert(m, row, data.data));
        bytes_free(&data);
}

/* What a catalogue may say that no caefs wrote: the key is not there; two objects refer to
 * each other; one refers to itself. */
static void
test_references_that_lead_nowhere(void **state)
{
        struct fixture *f = *state;
        char            path[128];

        make_steps(f->store, 0, 1);
        uint64_t           key = key_of(f->store, name_of(1)), later = 0;
        store_inode        ino = stat_name(f->store, ROOT, name_of(1)).st_ino;
        struct meta_object first, second;
        struct meta       *m;
        struct meta_inode  inode;
        snprintf(path, sizeof path, "%s/caefs.db", f->path);
        for (int variant = 0; variant < 3; variant++) {
                unsigned problems = 0;
                assert_ok(store_close(f->store));
                f->store = NULL;
                assert_ok(meta_open(path, META_WRITE, &m));
                assert_ok(meta_inode_read(m, ino, &inode));
                later = inode.content.object;
                if (variant == 0)
                        assert_ok(meta_object_read(m, key, &first));
                assert_ok(meta_object_read(m, later, &second));
                assert_false(first.is_inline);
                if (variant == 0) {
                        assert_ok(meta_object_delete(m, key));
                } else if (variant == 1) {
                        first.reference = later;
                        assert_ok(meta_object_insert(m, &first, NULL));
                } else {
                        second.reference = later;
                        replace_row(m, &second);
                }
                assert_ok(meta_commit(m));
                meta_close(m);
                fixture_open(f);
                struct store_check_report report;
                assert_ok(store_check(f->store, &(struct store_scrub) { 0 }, NULL,
                                      count_problem, &problems, &report));
                assert_true(problems > 0);
                struct store_file *file;
                char               byte;
                size_t             got;
                assert_ok(store_file_open(f->store, ino, O_RDONLY, &file));
                assert_err(store_file_read(file, &byte, 1, SIZE / 2, &got), CAEFS_ERR_MODEL);
                store_file_release(file);
        }
        assert_ok(store_close(f->store));
        f->store = NULL;
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names_that_count),
                TEST(test_a_series_refers_back),
                TEST(test_the_property),
                TEST(test_a_series_without_use),
                TEST(test_a_deleted_key_is_kept_while_needed),
                TEST(test_a_key_is_renamed_and_rewritten),
                TEST(test_rewriting_keeps_the_key),
                TEST(test_a_key_goes_before_it_is_named),
                TEST(test_recompressing_a_series),
                TEST(test_references_that_lead_nowhere),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
