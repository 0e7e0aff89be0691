/* A full disk: writers are told, nothing that was kept is lost, and removing helps.
 * The disk is a small tmpfs in a mount namespace of the test's own. */

#include "tests/unit/store_fixture.h"

#include <sched.h>
#include <sys/mount.h>

#define SIZE ((size_t) 1 << 20)

static bool
mount_small_disk(const char *directory)
{
        uid_t uid = geteuid();
        char  map[64];

        if (unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) < 0)
                return false;
        if (uid != 0) {
                snprintf(map, sizeof map, "0 %u 1", (unsigned) uid);
                int fd = open("/proc/self/uid_map", O_WRONLY);
                if (fd < 0 || write(fd, map, strlen(map)) < 0)
                        return false;
                close(fd);
        }
        return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("none", directory, "tmpfs", 0, "size=48m") == 0;
}

/* Writes files until one does not fit; how many did. */
static unsigned
fill_up(struct store *s, char *data)
{
        struct store_file *f;
        struct stat        st;
        size_t             done;
        char               name[16];

        for (unsigned i = 0;; i++) {
                snprintf(name, sizeof name, "f%u", i);
                fill_noise(data, SIZE, i);
                enum caefs_err err = store_create(s, &nobody, ROOT, name, 0644, O_RDWR, &st,
                                                  &f);
                if (err == CAEFS_OK) {
                        err = store_file_write(f, data, SIZE, 0, &done);
                        if (err == CAEFS_OK)
                                assert_ok(store_file_sync(f, false));
                        store_file_release(f);
                        store_forget(s, st.st_ino, 1);
                }
                if (err != CAEFS_OK) {
                        assert_int_equal(err, CAEFS_ERR_NO_SPACE);
                        store_unlink(s, ROOT, name);
                        return i;
                }
        }
}

static void
assert_files(struct store *s, unsigned from, unsigned to, char *data)
{
        char name[16];

        for (unsigned i = from; i < to; i++) {
                snprintf(name, sizeof name, "f%u", i);
                fill_noise(data, SIZE, i);
                assert_content(s, ROOT, name, data, SIZE);
        }
}

/* Names too are refused, at some point; until then they are kept. */
static unsigned
fill_with_directories(struct store *s)
{
        struct stat st;
        char        name[16];

        for (unsigned i = 0; i < 100000; i++) {
                snprintf(name, sizeof name, "d%u", i);
                enum caefs_err err = store_mkdir(s, &nobody, ROOT, name, 0755, &st);
                if (err != CAEFS_OK) {
                        assert_int_equal(err, CAEFS_ERR_NO_SPACE);
                        return i;
                }
                store_forget(s, st.st_ino, 1);
        }
        return 100000;
}

static void
test_store_full(void **state)
{
        struct fixture f = { 0 };
        char          *data = malloc(SIZE);
        struct stat    st;
        uint64_t       left;

        (void) state;
        snprintf(f.directory, sizeof f.directory, "/tmp/caefs-full.XXXXXX");
        assert_non_null(mkdtemp(f.directory));
        if (!mount_small_disk(f.directory)) {
                rmdir(f.directory);
                skip();
        }
        snprintf(f.path, sizeof f.path, "%s/store", f.directory);
        assert_ok(store_make(f.path));
        fixture_open(&f);
        unsigned files = fill_up(f.store, data);
        assert_true(files > 10 && files < 48);
        fill_with_directories(f.store);
        assert_ok(store_commit(f.store));
        assert_files(f.store, 0, files, data);
        /* Encoding finds no room for an object of noise: the file stays as it is. */
        assert_ok(store_sync_tree(f.store, ROOT, false, NULL, &left));
        assert_files(f.store, 0, files, data);
        fixture_reopen(&f);
        assert_files(f.store, 0, files, data);
        assert_err(store_mkdir(f.store, &nobody, ROOT, "more", 0755, &st), CAEFS_ERR_NO_SPACE);
        /* Removing works, and makes room. */
        assert_ok(store_unlink(f.store, ROOT, "f0"));
        for (unsigned i = 1; i < files / 2; i++) {
                char name[16];
                snprintf(name, sizeof name, "f%u", i);
                assert_ok(store_unlink(f.store, ROOT, name));
        }
        assert_ok(store_commit(f.store));
        assert_ok(store_commit(f.store));
        assert_ok(store_mkdir(f.store, &nobody, ROOT, "more", 0755, &st));
        store_forget(f.store, st.st_ino, 1);
        assert_ok(store_sync_tree(f.store, ROOT, false, NULL, &left));
        assert_int_equal(left, 0);
        assert_files(f.store, files / 2, files, data);
        assert_clean(f.store, true);
        assert_ok(store_close(f.store));
        free(data);
        assert_int_equal(umount(f.directory), 0);
        rmdir(f.directory);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_store_full),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
