/* Sealing: what a file is afterwards, when it may happen, and rewriting without drift. */

#include "tests/unit/store_fixture.h"

#include <math.h>
#include <pthread.h>

#include "fs/cache.h"

/* A .npy file of N float32, in memory; the caller frees. */
static void *
npy_of(const float *values, size_t n, size_t *size)
{
        char  header[128];
        int   used = snprintf(header, sizeof header, "\x93NUMPY\x01%c\x76%c{'descr': '<f4', "
                              "'fortran_order': False, 'shape': (%zu,), }", 0, 0, n);
        char *file = malloc(128 + 4 * n);

        memset(file, ' ', 128);
        memcpy(file, header, (size_t) used);
        file[127] = '\n';
        memcpy(file + 128, values, 4 * n);
        *size = 128 + 4 * n;
        return file;
}

static float *
smooth_values(size_t n)
{
        float *v = malloc(4 * n);

        for (size_t i = 0; i < n; i++)
                v[i] = (float) (sin((double) i * 0.001) * 100 + cos((double) i * 0.0173));
        return v;
}

static void
seal_all(struct store *s)
{
        uint64_t left = 1;

        assert_ok(store_sync_tree(s, ROOT, false, NULL, &left));
        assert_int_equal(left, 0);
}

static void
assert_state(struct store *s, const char *name, const char *state)
{
        struct store_file_info info;

        assert_ok(store_file_info(s, stat_name(s, ROOT, name).st_ino, &info));
        assert_string_equal(info.state, state);
}

/* ------------------------------------------------------------------------- */

static void
test_seal_lossless(void **state)
{
        struct fixture *f = *state;
        size_t          n = 300000;
        char           *noise = malloc(n), *text = calloc(1, n);
        struct stat     before;

        fill_noise(noise, n, 7);
        snprintf(text, n, "only the start of a long run of zeros");
        write_file(f->store, ROOT, "noise", noise, n);
        write_file(f->store, ROOT, "zeros", text, n);
        write_file(f->store, ROOT, "small", "hello", 5);
        before = stat_name(f->store, ROOT, "noise");
        seal_all(f->store);
        for (int round = 0; round < 2; round++) {
                assert_state(f->store, "noise", "sealed");
                assert_content(f->store, ROOT, "noise", noise, n);
                assert_content(f->store, ROOT, "zeros", text, n);
                assert_content(f->store, ROOT, "small", "hello", 5);
                assert_true(stat_name(f->store, ROOT, "zeros").st_blocks == 1);
                assert_true(stat_name(f->store, ROOT, "small").st_blocks == 1);
                struct stat after = stat_name(f->store, ROOT, "noise");
                assert_memory_equal(&after.st_mtim, &before.st_mtim, sizeof after.st_mtim);
                assert_memory_equal(&after.st_ctim, &before.st_ctim, sizeof after.st_ctim);
                assert_int_equal(after.st_size, n);
                fixture_reopen(f);
        }
        free(noise);
        free(text);
}

static void
test_seal_within_bound(void **state)
{
        struct fixture        *f = *state;
        size_t                 n = 200000, size, got;
        float                 *values = smooth_values(n);
        struct store_file_info info;

        values[10] = NAN;
        values[11] = -0.0f;
        values[12] = INFINITY;
        char *file = npy_of(values, n, &size);
        assert_ok(store_property_set(f->store, ROOT, "bound", "abs:0.01"));
        store_inode ino = write_file(f->store, ROOT, "a.npy", file, size);
        seal_all(f->store);
        assert_ok(store_file_info(f->store, ino, &info));
        assert_string_equal(info.state, "sealed");
        assert_true(info.stored_bytes * 4 < info.logical_bytes);
        assert_true(info.lossy_values > 0);
        assert_true(info.worst <= 0.01 && info.worst_over_bound <= 1);
        fixture_reopen(f);
        char *served = read_inode(f->store, ino, &got);
        assert_int_equal(got, size);
        assert_memory_equal(served, file, 128);
        const float *x = (const float *) (served + 128);
        assert_memory_equal(&x[10], &values[10], 12);
        for (size_t i = 13; i < n; i++)
                assert_true(fabs((double) x[i] - (double) values[i]) <= 0.01);
        free(served);
        free(file);
        free(values);
}

/* One value changed, again and again: no other value moves, and no error adds up. */
static void
test_seal_rewrite_without_drift(void **state)
{
        struct fixture    *f = *state;
        size_t             n = 50000, size, got;
        float             *values = smooth_values(n);
        struct store_file *file;

        char *bytes = npy_of(values, n, &size);
        assert_ok(store_property_set(f->store, ROOT, "bound", "abs:0.5"));
        store_inode ino = write_file(f->store, ROOT, "a.npy", bytes, size);
        seal_all(f->store);
        char *first = read_inode(f->store, ino, &got);
        for (int round = 0; round < 12; round++) {
                size_t   at = 128 + 4 * (1000 + 37 * (size_t) round);
                uint64_t page = at / 4096 * 4096;
                float    value = 1e6f + (float) round;
                char     buffer[4096];

                /* As a page cache does it: read a page, change a value, write the page. */
                assert_ok(store_file_open(f->store, ino, O_RDWR, &file));
                assert_ok(store_file_read(file, buffer, sizeof buffer, page, &got));
                memcpy(buffer + at - page, &value, 4);
                memcpy(first + at, &value, 4);
                put(file, buffer, got, page);
                store_file_release(file);
                seal_all(f->store);
                if (round % 4 == 3)
                        fixture_reopen(f);
        }
        char        *last = read_inode(f->store, ino, &got);
        const float *x = (const float *) (last + 128), *y = (const float *) (first + 128);
        for (size_t i = 0; i < n; i++)
                if (y[i] < 1e5f)
                        assert_memory_equal(&x[i], &y[i], 4);
                else
                        assert_true(fabs((double) x[i] - (double) y[i]) <= 0.5);
        assert_clean(f->store, true);
        free(first);
        free(last);
        free(bytes);
        free(values);
}

static void
test_seal_waits_for_readers(void **state)
{
        struct fixture    *f = *state;
        struct store      *s = f->store;
        size_t             n = 400000, size, got;
        float             *values = smooth_values(n);
        uint64_t           left;
        struct store_file *file;
        char               buffer[4096];
        struct stat        st;

        char *bytes = npy_of(values, n, &size);
        assert_ok(store_property_set(s, ROOT, "bound", "abs:1"));
        store_inode ino = write_file(s, ROOT, "a.npy", bytes, size);
        assert_ok(store_lookup(s, ROOT, "a.npy", &st));         /* as a kernel keeps it */
        assert_ok(store_file_open(s, ino, O_RDONLY, &file));
        assert_ok(store_sync_tree(s, ROOT, false, NULL, &left));
        assert_int_equal(left, 1);
        /* The bytes that the reader began with. */
        assert_ok(store_file_read(file, buffer, sizeof buffer, 65536, &got));
        assert_memory_equal(buffer, bytes + 65536, sizeof buffer);
        assert_state(s, "a.npy", "staged");
        store_file_release(file);
        seal_all(s);
        assert_state(s, "a.npy", "sealed");
        assert_ok(store_file_open(s, ino, O_RDONLY, &file));
        assert_true(store_file_changed(file));
        store_file_release(file);
        assert_ok(store_file_open(s, ino, O_RDONLY, &file));
        assert_false(store_file_changed(file));
        /* Written while an encoding is parked: that encoding is thrown away. */
        store_file_release(file);
        write_file(s, ROOT, "a.npy", bytes, size);
        assert_ok(store_file_open(s, ino, O_RDWR, &file));
        assert_ok(store_sync_tree(s, ROOT, false, NULL, &left));
        assert_int_equal(left, 1);
        put(file, "X", 1, 130000);
        bytes[130000] = 'X';
        store_file_release(file);
        assert_content(s, ROOT, "a.npy", bytes, size);
        store_forget(s, ino, 1);
        assert_clean(s, true);
        free(bytes);
        free(values);
}

static void *
release_later(void *context)
{
        usleep(50000);
        store_file_release(context);
        return NULL;
}

static void
test_seal_sync_waits_for_close(void **state)
{
        struct fixture    *f = *state;
        struct store_file *file = create(f->store, ROOT, "a");
        pthread_t          thread;
        uint64_t           left = 7;

        put(file, "hello", 5, 0);
        assert_int_equal(pthread_create(&thread, NULL, release_later, file), 0);
        assert_ok(store_sync_tree(f->store, ROOT, true, NULL, &left));
        assert_int_equal(left, 0);
        pthread_join(thread, NULL);
        assert_state(f->store, "a", "sealed");
}

static void
test_seal_old_objects_go(void **state)
{
        struct fixture *f = *state;
        char            command[256];
        size_t          n = 100000;
        char           *noise = malloc(n);

        for (int round = 0; round < 3; round++) {
                fill_noise(noise, n, (uint64_t) round);
                write_file(f->store, ROOT, "a", noise, n);
                seal_all(f->store);
        }
        assert_ok(store_commit(f->store));
        snprintf(command, sizeof command, "test $(find '%s/objects' '%s/staging' -type f | "
                 "wc -l) = 1", f->path, f->path);
        assert_int_equal(system(command), 0);
        assert_ok(store_unlink(f->store, ROOT, "a"));
        assert_ok(store_commit(f->store));
        snprintf(command, sizeof command, "test $(find '%s/objects' '%s/staging' -type f | "
                 "wc -l) = 0", f->path, f->path);
        assert_int_equal(system(command), 0);
        free(noise);
}

static void
test_seal_truncate_and_grow(void **state)
{
        struct fixture *f = *state;
        size_t          n = 200000;
        char           *data = calloc(1, n + 1000);
        struct stat     st, want = { .st_size = 150001 };

        fill_noise(data, n, 3);
        store_inode ino = write_file(f->store, ROOT, "a", data, n);
        seal_all(f->store);
        assert_ok(store_setattr(f->store, &nobody, ino, NULL, STORE_SET_SIZE, &want, &st));
        memset(data + 150001, 0, n - 150001);
        assert_content(f->store, ROOT, "a", data, 150001);
        seal_all(f->store);
        want.st_size = (off_t) n + 1000;
        assert_ok(store_setattr(f->store, &nobody, ino, NULL, STORE_SET_SIZE, &want, &st));
        seal_all(f->store);
        fixture_reopen(f);
        assert_content(f->store, ROOT, "a", data, n + 1000);
        free(data);
}

/* Damage costs the chunk it hits, is told, and never becomes a number. */
static void
test_seal_damage(void **state)
{
        struct fixture           *f = *state;
        size_t                    n = 16 << 20, good = 0, bad = 0, got;
        char                     *noise = malloc(n), *buffer = malloc(65536);
        char                      command[512];
        struct store_file        *file;
        struct store_check_report report;

        fill_noise(noise, n, 11);
        store_inode ino = write_file(f->store, ROOT, "a", noise, n);
        seal_all(f->store);
        assert_ok(store_close(f->store));
        snprintf(command, sizeof command, "o=$(find '%s/objects' -type f) && printf '\\1\\2\\3' "
                 "| dd of=\"$o\" bs=1 seek=4000000 conv=notrunc status=none", f->path);
        assert_int_equal(system(command), 0);
        fixture_open(f);
        assert_ok(store_file_open(f->store, ino, O_RDONLY, &file));
        for (size_t at = 0; at < n; at += 65536) {
                enum caefs_err err = store_file_read(file, buffer, 65536, at, &got);
                if (err == CAEFS_OK) {
                        assert_memory_equal(buffer, noise + at, 65536);
                        good++;
                } else {
                        assert_int_equal(err, CAEFS_ERR_CORRUPT);
                        bad++;
                }
        }
        store_file_release(file);
        assert_true(bad > 0 && good > bad);
        assert_ok(store_check(f->store, NULL, NULL, NULL, NULL, &report));
        assert_int_equal(report.problems, 0);
        assert_ok(store_check(f->store, &(struct store_scrub) { 0 }, NULL, NULL, NULL, &report));
        assert_int_equal(report.problems, 1);
        /* A file that is cut is found without reading it. */
        snprintf(command, sizeof command, "truncate -s 1000000 $(find '%s/objects' -type f)",
                 f->path);
        assert_int_equal(system(command), 0);
        assert_ok(store_check(f->store, NULL, NULL, NULL, NULL, &report));
        assert_int_equal(report.problems, 1);
        assert_ok(store_unlink(f->store, ROOT, "a"));
        free(noise);
        free(buffer);
}

/* With workers: what was closed becomes sealed by itself, also after a restart. */
static void
test_seal_in_background(void **state)
{
        struct fixture        *f = *state;
        struct store_options   o = { .commit_interval = 0.05 };
        struct store_file_info info;
        size_t                 n = 100000;
        char                  *noise = malloc(n);

        fill_noise(noise, n, 5);
        store_inode old = write_file(f->store, ROOT, "old", noise, n);
        make_directory(f->store, ROOT, "d");
        store_inode d = stat_name(f->store, ROOT, "d").st_ino;
        assert_ok(store_property_set(f->store, d, "seal", "manual"));
        store_inode manual = write_file(f->store, d, "manual", noise, n);
        assert_ok(store_close(f->store));
        assert_ok(store_open(f->path, &o, &f->store));
        store_inode new = write_file(f->store, ROOT, "new", noise, n);
        for (int i = 0; i < 1000; i++) {
                assert_ok(store_file_info(f->store, old, &info));
                bool done = strcmp(info.state, "sealed") == 0;
                assert_ok(store_file_info(f->store, new, &info));
                if (done && strcmp(info.state, "sealed") == 0)
                        break;
                usleep(10000);
        }
        assert_state(f->store, "old", "sealed");
        assert_state(f->store, "new", "sealed");
        assert_ok(store_file_info(f->store, manual, &info));
        assert_string_equal(info.state, "staged");
        seal_all(f->store);
        assert_ok(store_file_info(f->store, manual, &info));
        assert_string_equal(info.state, "sealed");
        assert_content(f->store, ROOT, "old", noise, n);
        free(noise);
}

/* ---- the cache ---------------------------------------------------------- */

struct filling {
        int            calls;
        enum caefs_err err;
};

static enum caefs_err
fill_bytes(void *context, void *buffer)
{
        struct filling *f = context;

        f->calls++;
        memset(buffer, f->calls, 100);
        return f->err;
}

static void
test_cache(void **state)
{
        struct cache       *c = cache_new(250);
        struct cache_entry *a, *b, *d;
        struct filling      f = { 0 };

        (void) state;
        assert_ok(cache_pin(c, 1, 0, 100, fill_bytes, &f, &a));
        assert_ok(cache_pin(c, 1, 0, 100, fill_bytes, &f, &b));
        assert_ptr_equal(a, b);
        assert_int_equal(f.calls, 1);
        cache_unpin(c, a);
        cache_unpin(c, b);
        assert_ok(cache_pin(c, 1, 1, 100, fill_bytes, &f, &b));
        assert_ok(cache_pin(c, 1, 2, 100, fill_bytes, &f, &d));
        /* The third passed the limit: the one that nobody used went. */
        assert_int_equal(cache_counts(c).bytes, 200);
        assert_ok(cache_pin(c, 1, 0, 100, fill_bytes, &f, &a));
        assert_int_equal(f.calls, 4);
        cache_unpin(c, a);
        cache_unpin(c, b);
        cache_unpin(c, d);
        f.err = CAEFS_ERR_CORRUPT;
        assert_err(cache_pin(c, 2, 0, 100, fill_bytes, &f, &a), CAEFS_ERR_CORRUPT);
        f.err = CAEFS_OK;
        assert_ok(cache_pin(c, 2, 0, 100, fill_bytes, &f, &a));
        cache_unpin(c, a);
        cache_free(c);
}

/* Readers of much pass by without taking more than a half. */
static void
test_cache_passed(void **state)
{
        struct cache       *c = cache_new(1000);
        struct cache_entry *e;
        struct filling      f = { 0 };

        (void) state;
        for (uint64_t i = 0; i < 4; i++) {
                assert_ok(cache_pin(c, 1, i, 100, fill_bytes, &f, &e));
                cache_unpin(c, e);
        }
        for (uint64_t i = 0; i < 20; i++) {
                assert_ok(cache_pin(c, 2, i, 100, fill_bytes, &f, &e));
                cache_unpin_passed(c, e);
        }
        assert_true(cache_has(c, 1, 0) && cache_has(c, 1, 3));
        assert_true(cache_has(c, 2, 0) && cache_has(c, 2, 4) && !cache_has(c, 2, 10));
        /* Within that half what was passed stays, and others make room. */
        for (uint64_t i = 4; i < 8; i++) {
                assert_ok(cache_pin(c, 1, i, 100, fill_bytes, &f, &e));
                cache_unpin(c, e);
        }
        assert_true(cache_has(c, 2, 0) && !cache_has(c, 1, 0) && cache_has(c, 1, 7));
        assert_true(cache_counts(c).bytes <= 1000);
        cache_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cache),
                cmocka_unit_test(test_cache_passed),
                TEST(test_seal_lossless),
                TEST(test_seal_within_bound),
                TEST(test_seal_rewrite_without_drift),
                TEST(test_seal_waits_for_readers),
                TEST(test_seal_sync_waits_for_close),
                TEST(test_seal_old_objects_go),
                TEST(test_seal_truncate_and_grow),
                TEST(test_seal_damage),
                TEST(test_seal_in_background),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
