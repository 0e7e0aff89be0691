/* Many threads on one store, with its committer and workers: nobody sees a byte that was
 * not written, nothing is left behind.  Most useful under ThreadSanitizer. */

#include "tests/unit/store_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 6
#define ROUNDS  60
#define NAMES   5               /* so few that threads meet */
#define SIZE    60000

struct actor {
        struct store *store;
        unsigned      number;
        uint64_t      random;
        uint64_t      writes, reads;
};

static uint64_t
next_random(struct actor *a)
{
        a->random ^= a->random << 13;
        a->random ^= a->random >> 7;
        a->random ^= a->random << 17;
        return a->random;
}

/* Every file holds one byte value, over and over: torn content shows. */
static void
write_uniform(struct actor *a, const char *name)
{
        struct store_file *f;
        struct stat        st;
        static char        data[256][SIZE];
        unsigned           value = (unsigned) (next_random(a) & 0xff);
        char               temporary[32];
        size_t             put_bytes;

        memset(data[a->number], (int) value, SIZE);
        snprintf(temporary, sizeof temporary, "new-%u", a->number);
        assert_ok(store_create(a->store, &nobody, ROOT, temporary, 0644, O_RDWR, &st, &f));
        assert_ok(store_file_write(f, data[a->number], SIZE, 0, &put_bytes));
        assert_ok(store_file_flush(f));
        store_file_release(f);
        assert_ok(store_rename(a->store, ROOT, temporary, ROOT, name, 0));
        store_forget(a->store, st.st_ino, 1);
        a->writes++;
}

static void
read_uniform(struct actor *a, const char *name)
{
        struct store_file *f;
        struct stat        st;
        static char        data[256][SIZE];
        size_t             got;

        if (store_lookup(a->store, ROOT, name, &st) != CAEFS_OK)
                return;
        if (store_file_open(a->store, st.st_ino, O_RDONLY, &f) == CAEFS_OK) {
                char *at = data[a->number];
                assert_ok(store_file_read(f, at, SIZE, 0, &got));
                assert_int_equal(got, SIZE);
                for (size_t i = 1; i < got; i++)
                        if (at[i] != at[0])
                                fail_msg("%s: torn at %zu", name, i);
                store_file_release(f);
                a->reads++;
        }
        store_forget(a->store, st.st_ino, 1);
}

static bool
count_entry(void *context, const char *name, const struct stat *st, uint64_t next)
{
        (void) name;
        (void) st;
        (void) next;
        (*(size_t *) context)++;
        return true;
}

static void *
act(void *context)
{
        struct actor *a = context;
        char          name[16];
        size_t        entries = 0;

        for (int round = 0; round < ROUNDS; round++) {
                snprintf(name, sizeof name, "f%u", (unsigned) (next_random(a) % NAMES));
                switch (next_random(a) % 8) {
                case 0:
                case 1:
                        write_uniform(a, name);
                        break;
                case 2:
                        store_unlink(a->store, ROOT, name);
                        break;
                case 3:
                        assert_ok(store_read_directory(a->store, ROOT, 0, false, count_entry,
                                                       &entries));
                        break;
                case 4:
                        if (round % 10 == 0)
                                assert_ok(store_commit(a->store));
                        break;
                default:
                        read_uniform(a, name);
                }
        }
        return NULL;
}

static void
test_store_threads(void **state)
{
        struct fixture      *f = *state;
        struct store_options o = {
                .commit_interval = 0.02, .seal_threads = 2, .cache_bytes = 200000,
        };
        struct actor         actor[THREADS];
        pthread_t            thread[THREADS];
        uint64_t             reads = 0, writes = 0;

        assert_ok(store_close(f->store));
        assert_ok(store_open(f->path, &o, &f->store));
        for (unsigned i = 0; i < THREADS; i++) {
                actor[i] = (struct actor) { .store = f->store, .number = i, .random = i + 1 };
                assert_int_equal(pthread_create(&thread[i], NULL, act, &actor[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++) {
                pthread_join(thread[i], NULL);
                reads += actor[i].reads;
                writes += actor[i].writes;
        }
        assert_true(reads > 0 && writes > 0);
        assert_ok(store_sync_tree(f->store, ROOT, true, NULL, NULL));
        assert_clean(f->store, true);
        fixture_reopen(f);
}

/* One inode, written through one handle and read through others. */
struct shared {
        struct store *store;
        store_inode   ino;
        atomic_bool   stop;
};

static void *
keep_reading(void *context)
{
        struct shared     *sh = context;
        struct store_file *f;
        unsigned char      page[4096];
        size_t             got;

        while (!atomic_load(&sh->stop)) {
                assert_ok(store_file_open(sh->store, sh->ino, O_RDONLY, &f));
                assert_ok(store_file_read(f, page, sizeof page, 8192, &got));
                for (size_t i = 1; i < got; i++)
                        if (page[i] != page[0])
                                fail_msg("torn at %zu", i);
                store_file_release(f);
        }
        return NULL;
}

static void
test_store_threads_one_file(void **state)
{
        struct fixture      *f = *state;
        struct store_options o = { .commit_interval = 0.01, .seal_threads = 2 };
        struct shared        sh = { 0 };
        pthread_t            reader[2];
        unsigned char        page[4096];
        struct store_file   *file;
        struct stat          st;

        assert_ok(store_close(f->store));
        assert_ok(store_open(f->path, &o, &f->store));
        char *zeros = calloc(1, 65536);
        sh.store = f->store;
        sh.ino = write_file(f->store, ROOT, "a", zeros, 65536);
        free(zeros);
        assert_ok(store_lookup(f->store, ROOT, "a", &st));
        for (int i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&reader[i], NULL, keep_reading, &sh), 0);
        for (int round = 0; round < 100; round++) {
                memset(page, round, sizeof page);
                assert_ok(store_file_open(f->store, sh.ino, O_RDWR, &file));
                put(file, page, sizeof page, 8192);
                if (round % 20 == 0)
                        assert_ok(store_file_sync(file, false));
                store_file_release(file);
                usleep(2000);           /* now and then a sealing comes in between */
        }
        atomic_store(&sh.stop, true);
        for (int i = 0; i < 2; i++)
                pthread_join(reader[i], NULL);
        store_forget(f->store, sh.ino, 1);
        fixture_reopen(f);
        char *bytes = read_inode(f->store, sh.ino, &(size_t) { 0 });
        assert_memory_equal(bytes + 8192, page, sizeof page);
        free(bytes);
}

static void
resize_inode(struct store *s, store_inode ino, off_t size, int64_t mtime)
{
        struct stat st, want = { .st_size = size, .st_mtim.tv_sec = mtime };

        assert_ok(store_setattr(s, &nobody, ino, NULL, STORE_SET_SIZE | STORE_SET_MTIME, &want,
                                &st));
        assert_int_equal(st.st_size, size);
}

/* A file that is truncated by its name, while it is sealed and others close it. */
static void
test_store_threads_truncation(void **state)
{
        struct fixture      *f = *state;
        struct store_options o = { .commit_interval = 0.01, .seal_threads = 2 };
        struct shared        sh = { 0 };
        pthread_t            reader;
        struct stat          st;
        size_t               size;

        assert_ok(store_close(f->store));
        assert_ok(store_open(f->path, &o, &f->store));
        char *zeros = calloc(1, 65536);
        sh.store = f->store;
        sh.ino = write_file(f->store, ROOT, "a", zeros, 65536);
        free(zeros);
        assert_ok(store_lookup(f->store, ROOT, "a", &st));
        assert_int_equal(pthread_create(&reader, NULL, keep_reading, &sh), 0);
        for (int round = 0; round < 300; round++) {
                resize_inode(f->store, sh.ino, 20000 + round * 100, 1000000 + round);
                usleep((useconds_t) (round % 40) * 100);
        }
        atomic_store(&sh.stop, true);
        pthread_join(reader, NULL);
        store_forget(f->store, sh.ino, 1);
        fixture_reopen(f);
        assert_ok(store_getattr(f->store, sh.ino, &st));
        assert_int_equal(st.st_size, 20000 + 299 * 100);
        assert_int_equal(st.st_mtim.tv_sec, 1000000 + 299);
        char *bytes = read_inode(f->store, sh.ino, &size);
        for (size_t i = 0; i < size; i++)
                assert_int_equal(bytes[i], 0);
        free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_store_threads),
                TEST(test_store_threads_one_file),
                TEST(test_store_threads_truncation),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
