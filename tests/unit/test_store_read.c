/* Reading sealed files: in place, ahead of sequential readers, each chunk decoded once. */

#include "tests/unit/store_fixture.h"

#include "fs/store_internal.h"

#define CHUNK  ((size_t) 64 << 10)
#define CHUNKS 48
#define SIZE   (CHUNK * CHUNKS)

/* Opaque bytes that do not compress well, so that chunks are what they are asked to be. */
static void
fill(uint8_t *data, size_t n)
{
        uint64_t x = 88172645463325252u;

        for (size_t i = 0; i < n; i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                data[i] = (uint8_t) (x >> 60);
        }
}

/* A sealed file of DATA; the store is open anew, with its threads, and has read nothing. */
static store_inode
make_sealed(struct fixture *f, const uint8_t *data)
{
        struct store_options o = { .no_background = false };
        struct store_file   *file;
        struct stat          st;
        size_t               put;

        assert_ok(store_property_set(f->store, ROOT, "chunk", "65536"));
        assert_ok(store_property_set(f->store, ROOT, "effort", "fast"));
        assert_ok(store_create(f->store, &nobody, ROOT, "f", 0644, O_RDWR, &st, &file));
        assert_ok(store_file_write(file, data, SIZE, 0, &put));
        store_file_release(file);
        assert_ok(store_sync_tree(f->store, ROOT, true, NULL, NULL));
        store_forget(f->store, st.st_ino, 1);
        assert_ok(store_close(f->store));
        assert_ok(store_open(f->path, &o, &f->store));
        return st.st_ino;
}

static void
assert_view(struct fixture *f, struct store_file *file, const uint8_t *data, size_t n,
            uint64_t offset)
{
        uint8_t          *buffer = malloc(n);
        struct store_view v;
        size_t            seen = 0;

        assert_ok(store_file_view(file, buffer, n, offset, &v));
        for (unsigned i = 0; i < v.npieces; i++) {
                assert_memory_equal(v.piece[i].iov_base, data + offset + seen,
                                    v.piece[i].iov_len);
                seen += v.piece[i].iov_len;
        }
        assert_int_equal(seen, offset + n > SIZE ? SIZE - offset : n);
        store_view_release(f->store, &v);
        free(buffer);
}

static void
test_sequential(void **state)
{
        struct fixture    *f = *state;
        uint8_t           *data = malloc(SIZE);
        struct store_file *file;

        fill(data, SIZE);
        store_inode inode = make_sealed(f, data);
        assert_ok(store_file_open(f->store, inode, O_RDONLY, &file));
        for (uint64_t at = 0; at < SIZE; at += CHUNK)
                assert_view(f, file, data, CHUNK, at);
        struct cache_counts counts = cache_counts(f->store->cache);
        /* Somebody was asked to decode ahead, and nobody decoded what another had. */
        assert_true(file->inode->content->run.ahead >= SIZE);
        assert_int_equal(counts.misses, object_info(object_of(file->inode->content->object))->nchunks);
        store_file_release(file);
        free(data);
}

static void
test_ahead_without_reader(void **state)
{
        struct fixture    *f = *state;
        uint8_t           *data = malloc(SIZE);
        struct store_file *file;

        fill(data, SIZE);
        store_inode inode = make_sealed(f, data);
        assert_ok(store_file_open(f->store, inode, O_RDONLY, &file));
        assert_view(f, file, data, 4 * CHUNK, 0);
        uint64_t object = object_id(file->inode->content->object);
        for (int i = 0; i < 2000 && !cache_has(f->store->cache, object, 8); i++)
                usleep(5000);
        assert_true(cache_has(f->store->cache, object, 8));
        /* It ends with work under way: nothing may be left behind. */
        store_file_release(file);
        free(data);
}

static void
test_random(void **state)
{
        struct fixture    *f = *state;
        uint8_t           *data = malloc(SIZE);
        struct store_file *file;

        fill(data, SIZE);
        store_inode inode = make_sealed(f, data);
        assert_ok(store_file_open(f->store, inode, O_RDONLY, &file));
        assert_view(f, file, data, 4096, 0);    /* a header: no promise of more */
        for (unsigned i = 0; i < 20; i++)
                assert_view(f, file, data, CHUNK / 2, (i * 29 + 7) % CHUNKS * CHUNK + 100);
        assert_int_equal(file->inode->content->run.ahead, 0);
        /* Across chunks, more than a view has pieces, and the end. */
        assert_view(f, file, data, 3 * CHUNK, 10 * CHUNK + 17);
        assert_view(f, file, data, 20 * CHUNK, 20 * CHUNK + 1);
        assert_view(f, file, data, CHUNK, SIZE - 5);
        store_file_release(file);
        free(data);
}

static void
test_view_stays(void **state)
{
        struct fixture    *f = *state;
        uint8_t           *data = malloc(SIZE), *buffer = malloc(CHUNK);
        struct store_file *file;
        struct store_view  v;
        size_t             put;

        fill(data, SIZE);
        store_inode inode = make_sealed(f, data);
        assert_ok(store_file_open(f->store, inode, O_RDWR, &file));
        assert_ok(store_file_view(file, buffer, CHUNK, 100, &v));
        assert_ok(store_file_write(file, "other", 5, 100, &put));
        assert_memory_equal(v.piece[0].iov_base, data + 100, v.piece[0].iov_len);
        store_view_release(f->store, &v);
        memcpy(data + 100, "other", 5);
        assert_view(f, file, data, CHUNK, 0);   /* staged now: a copy */
        store_file_release(file);
        free(data);
        free(buffer);
}

/* ---- without the catalogue ---------------------------------------------- */

/* What a loader does for each sample, on a file that was used before. */
static void *
use_warm_file(void *argument)
{
        struct fixture      *f = argument;
        static const char   *names[] = { "f", "staged" };
        struct store_file   *file;
        struct stat          st;
        char                 buffer[4096], value[64];
        size_t               got;

        for (int i = 0; i < 2; i++) {
                if (store_lookup(f->store, ROOT, names[i], &st) != CAEFS_OK ||
                    store_getattr(f->store, st.st_ino, &st) != CAEFS_OK ||
                    store_file_open(f->store, st.st_ino, O_RDONLY, &file) != CAEFS_OK)
                        return NULL;
                enum caefs_err err = store_file_read(file, buffer, sizeof buffer, 5, &got);
                if (err == CAEFS_OK)
                        err = store_file_flush(file);
                store_file_release(file);
                if (err != CAEFS_OK || got == 0 ||
                    store_getxattr(f->store, st.st_ino, "security.capability", value,
                                   sizeof value, &got) != CAEFS_ERR_NO_ATTRIBUTE)
                        return NULL;
                store_forget(f->store, st.st_ino, 1);
        }
        return f;
}

/* SQLite is only used with the catalogue's lock, which somebody has all the while. */
static void
test_warm_without_catalogue(void **state)
{
        struct fixture    *f = *state;
        uint8_t           *data = malloc(SIZE);
        struct store_file *file, *staged;
        struct stat        st, kept;
        size_t             put;
        pthread_t          thread;
        void              *result = NULL;
        struct timespec    end;

        fill(data, SIZE);
        store_inode inode = make_sealed(f, data);
        assert_ok(store_lookup(f->store, ROOT, "f", &kept));
        assert_int_equal(kept.st_ino, inode);
        assert_ok(store_file_open(f->store, inode, O_RDONLY, &file));
        assert_view(f, file, data, 4096, 0);
        store_file_release(file);
        /* Open, so that nobody seals it. */
        assert_ok(store_create(f->store, &nobody, ROOT, "staged", 0644, O_RDWR, &st, &staged));
        assert_ok(store_file_write(staged, data, 10000, 0, &put));
        assert_ok(store_commit(f->store));

        pthread_mutex_lock(&f->store->catalogue);
        assert_int_equal(pthread_create(&thread, NULL, use_warm_file, f), 0);
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += 60;
        int joined = pthread_timedjoin_np(thread, &result, &end);
        pthread_mutex_unlock(&f->store->catalogue);
        if (joined != 0)
                pthread_join(thread, &result);
        assert_int_equal(joined, 0);
        assert_non_null(result);
        store_file_release(staged);
        store_forget(f->store, st.st_ino, 1);
        store_forget(f->store, kept.st_ino, 1);
        free(data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_sequential),
                TEST(test_ahead_without_reader),
                TEST(test_random),
                TEST(test_view_stays),
                TEST(test_warm_without_catalogue),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
