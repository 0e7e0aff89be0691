/* The file system without FUSE: names, attributes, open files, what a reopen keeps. */

#include "tests/unit/store_fixture.h"

#include <sys/xattr.h>

/* ---- names -------------------------------------------------------------- */

static void
test_store_make_refuses_what_is_not_empty(void **state)
{
        struct fixture *f = *state;

        assert_err(store_make(f->path), CAEFS_ERR_NOT_EMPTY);
        assert_err(store_make(f->directory), CAEFS_ERR_NOT_EMPTY);
}

static void
test_store_open_is_exclusive(void **state)
{
        struct fixture      *f = *state;
        struct store_options o = { .no_background = true };
        struct store        *second;
        char                 pid[32];

        assert_err(store_open(f->path, &o, &second), CAEFS_ERR_BUSY);
        snprintf(pid, sizeof pid, "%d", (int) getpid());
        assert_non_null(strstr(caefs_detail(), pid));
        assert_err(store_open(f->directory, &o, &second), CAEFS_ERR_NO_ENTRY);
}

static void
test_store_lookup(void **state)
{
        struct store *s = ((struct fixture *) *state)->store;
        struct stat   st;

        assert_absent(s, ROOT, "a");
        store_inode d = make_directory(s, ROOT, "a");
        assert_int_equal(stat_name(s, ROOT, "a").st_ino, d);
        char name[258];
        memset(name, 'x', 257);
        name[256] = '\0';
        assert_err(store_lookup(s, ROOT, name, &st), CAEFS_ERR_NAME_TOO_LONG);
        assert_err(store_mkdir(s, &nobody, ROOT, name, 0755, &st), CAEFS_ERR_NAME_TOO_LONG);
        name[255] = '\0';
        assert_ok(store_mkdir(s, &nobody, ROOT, name, 0755, &st));
        /* Any byte but NUL and slash. */
        assert_ok(store_mkdir(s, &nobody, ROOT, "\x01\xff \n'\"", 0755, &st));
        assert_int_equal(stat_name(s, ROOT, "\x01\xff \n'\"").st_ino, st.st_ino);
        assert_err(store_mkdir(s, &nobody, ROOT, "a", 0755, &st), CAEFS_ERR_EXISTS);
        assert_err(store_mkdir(s, &nobody, ROOT, "..", 0755, &st), CAEFS_ERR_EXISTS);
        assert_err(store_rmdir(s, ROOT, ".."), CAEFS_ERR_NOT_EMPTY);
}

/* An NFS server comes back with a number after everything was forgotten. */
static void
test_store_lookup_by_number(void **state)
{
        struct fixture *f = *state;
        struct stat     st;

        store_inode d = make_directory(f->store, ROOT, "d");
        store_inode e = make_directory(f->store, d, "e");
        store_inode file = write_file(f->store, e, "file", "x", 1);
        fixture_reopen(f);
        struct store *s = f->store;
        assert_ok(store_lookup(s, file, ".", &st));
        assert_int_equal(st.st_ino, file);
        assert_int_equal(st.st_size, 1);
        assert_ok(store_lookup(s, e, "..", &st));
        assert_int_equal(st.st_ino, d);
        assert_ok(store_lookup(s, file, "..", &st));
        assert_int_equal(st.st_ino, e);
        assert_ok(store_lookup(s, ROOT, "..", &st));
        assert_int_equal(st.st_ino, ROOT);
        assert_err(store_lookup(s, 987654321, ".", &st), CAEFS_ERR_STALE);
        /* Unlinked: not found again, not even while it is in memory, and its number is never
         * another's. */
        assert_ok(store_unlink(s, e, "file"));
        assert_err(store_lookup(s, file, ".", &st), CAEFS_ERR_STALE);
        assert_err(store_lookup(s, file, "..", &st), CAEFS_ERR_STALE);
        store_forget(s, file, 2);
        fixture_reopen(f);
        assert_err(store_lookup(f->store, file, ".", &st), CAEFS_ERR_STALE);
        assert_int_not_equal(write_file(f->store, e, "file", "x", 1), file);
}

static void
test_store_directory_links(void **state)
{
        struct fixture *f = *state;
        struct store   *s = f->store;

        store_inode a = make_directory(s, ROOT, "a");
        store_inode b = make_directory(s, a, "b");
        make_directory(s, b, "c");
        assert_int_equal(stat_name(s, ROOT, "a").st_nlink, 3);
        assert_err(store_rmdir(s, ROOT, "a"), CAEFS_ERR_NOT_EMPTY);
        assert_err(store_unlink(s, ROOT, "a"), CAEFS_ERR_IS_DIRECTORY);
        assert_ok(store_rename(s, b, "c", ROOT, "c", 0));
        assert_int_equal(stat_name(s, a, "b").st_nlink, 2);
        assert_ok(store_rmdir(s, a, "b"));
        assert_int_equal(stat_name(s, ROOT, "a").st_nlink, 2);
        fixture_reopen(f);
        assert_int_equal(stat_name(f->store, ROOT, "a").st_nlink, 2);
        assert_int_equal(stat_name(f->store, ROOT, "c").st_nlink, 2);
        write_file(f->store, ROOT, "file", "x", 1);
        assert_err(store_rmdir(f->store, ROOT, "file"), CAEFS_ERR_NOT_DIRECTORY);
}

static void
test_store_link(void **state)
{
        struct store *s = ((struct fixture *) *state)->store;
        struct stat   st;

        store_inode file = write_file(s, ROOT, "one", "hello", 5);
        store_inode d = make_directory(s, ROOT, "d");
        assert_ok(store_link(s, file, d, "two", &st));
        assert_int_equal(st.st_nlink, 2);
        assert_err(store_link(s, file, d, "two", &st), CAEFS_ERR_EXISTS);
        assert_err(store_link(s, d, ROOT, "e", &st), CAEFS_ERR_PERMISSION);
        assert_ok(store_unlink(s, ROOT, "one"));
        assert_content(s, d, "two", "hello", 5);
        assert_int_equal(stat_name(s, d, "two").st_nlink, 1);
}

static void
test_store_symlink(void **state)
{
        struct fixture *f = *state;
        struct stat     st;
        char            target[5000], again[5000];

        memset(target, 't', sizeof target);
        target[4096] = '\0';
        assert_err(store_symlink(f->store, &nobody, ROOT, "l", target, &st),
                   CAEFS_ERR_NAME_TOO_LONG);
        target[4095] = '\0';
        assert_ok(store_symlink(f->store, &nobody, ROOT, "l", target, &st));
        assert_int_equal(st.st_size, 4095);
        assert_true(S_ISLNK(st.st_mode));
        fixture_reopen(f);
        assert_ok(store_readlink(f->store, st.st_ino, again, sizeof again));
        assert_string_equal(again, target);
        assert_err(store_readlink(f->store, ROOT, again, sizeof again), CAEFS_ERR_ARGUMENT);
}

static void
test_store_mknod(void **state)
{
        struct fixture *f = *state;
        struct stat     st;

        assert_ok(store_mknod(f->store, &nobody, ROOT, "fifo", S_IFIFO | 0666, 0, &st));
        assert_int_equal(st.st_mode, S_IFIFO | 0644);
        assert_ok(store_mknod(f->store, &nobody, ROOT, "null", S_IFCHR | 0600, 0x103, &st));
        fixture_reopen(f);
        assert_int_equal(stat_name(f->store, ROOT, "null").st_rdev, 0x103);
        assert_true(S_ISFIFO(stat_name(f->store, ROOT, "fifo").st_mode));
}

static void
test_store_setgid_directory(void **state)
{
        struct store *s = ((struct fixture *) *state)->store;
        struct stat   st, want = { .st_mode = 02775, .st_gid = 77 };

        store_inode d = make_directory(s, ROOT, "d");
        struct store_caller root = { 0 };
        assert_ok(store_setattr(s, &root, d, NULL, STORE_SET_MODE | STORE_SET_GID, &want, &st));
        assert_ok(store_mkdir(s, &nobody, d, "sub", 0755, &st));
        assert_int_equal(st.st_gid, 77);
        assert_true(st.st_mode & S_ISGID);
        write_file(s, d, "file", "x", 1);
        assert_int_equal(stat_name(s, d, "file").st_gid, 77);
        assert_false(stat_name(s, d, "file").st_mode & S_ISGID);
}

static void
test_store_rename_replaces(void **state)
{
        struct fixture *f = *state;
        struct store   *s = f->store;

        write_file(s, ROOT, "a", "AAAA", 4);
        write_file(s, ROOT, "b", "B", 1);
        assert_err(store_rename(s, ROOT, "a", ROOT, "b", RENAME_NOREPLACE), CAEFS_ERR_EXISTS);
        assert_ok(store_rename(s, ROOT, "a", ROOT, "b", RENAME_EXCHANGE));
        assert_content(s, ROOT, "a", "B", 1);
        assert_ok(store_rename(s, ROOT, "b", ROOT, "a", 0));
        assert_absent(s, ROOT, "b");
        assert_content(s, ROOT, "a", "AAAA", 4);
        fixture_reopen(f);
        assert_content(f->store, ROOT, "a", "AAAA", 4);
}

static void
test_store_rename_directories(void **state)
{
        struct store *s = ((struct fixture *) *state)->store;

        store_inode a = make_directory(s, ROOT, "a");
        store_inode b = make_directory(s, a, "b");
        store_inode c = make_directory(s, b, "c");
        assert_err(store_rename(s, ROOT, "a", c, "a", 0), CAEFS_ERR_ARGUMENT);
        assert_err(store_rename(s, ROOT, "a", a, "a", 0), CAEFS_ERR_ARGUMENT);
        assert_err(store_rename(s, ROOT, "a", b, "c", RENAME_EXCHANGE), CAEFS_ERR_ARGUMENT);
        make_directory(s, ROOT, "full");
        write_file(s, stat_name(s, ROOT, "full").st_ino, "x", "x", 1);
        make_directory(s, ROOT, "empty");
        assert_err(store_rename(s, ROOT, "a", ROOT, "full", 0), CAEFS_ERR_NOT_EMPTY);
        assert_ok(store_rename(s, ROOT, "a", ROOT, "empty", 0));
        write_file(s, ROOT, "file", "x", 1);
        assert_err(store_rename(s, ROOT, "file", ROOT, "empty", 0), CAEFS_ERR_IS_DIRECTORY);
        assert_err(store_rename(s, ROOT, "empty", ROOT, "file", 0), CAEFS_ERR_NOT_DIRECTORY);
        assert_ok(store_rename(s, b, "c", ROOT, "file", RENAME_EXCHANGE));
        assert_int_equal(stat_name(s, ROOT, "file").st_ino, c);
        struct stat root;
        assert_ok(store_getattr(s, ROOT, &root));
        assert_int_equal(root.st_nlink, 2 + 3);
}

/* ---- walking ------------------------------------------------------------ */

struct walk {
        char     name[512][16];
        size_t   count;
        size_t   limit;         /* entries a call may take */
        uint64_t next;
};

static bool
take_entry(void *context, const char *name, const struct stat *st, uint64_t next)
{
        struct walk *w = context;

        (void) st;
        if (w->limit == 0)
                return false;
        w->limit--;
        snprintf(w->name[w->count++], sizeof w->name[0], "%s", name);
        w->next = next;
        return true;
}

static void
test_store_read_directory(void **state)
{
        struct store *s = ((struct fixture *) *state)->store;
        struct walk   w = { 0 };
        char          name[16];

        for (int i = 0; i < 200; i++) {
                snprintf(name, sizeof name, "f%d", i);
                write_file(s, ROOT, name, "x", 1);
        }
        /* Entries that stay come once, although others go and come during the walk. */
        for (int round = 0; round < 100; round++) {
                w.limit = 7;
                assert_ok(store_read_directory(s, ROOT, w.next, false, take_entry, &w));
                if (w.limit == 7)
                        break;
                snprintf(name, sizeof name, "f%d", 2 * round);
                if (round < 40)
                        assert_ok(store_unlink(s, ROOT, name));
                snprintf(name, sizeof name, "n%d", round);
                if (round < 10)
                        write_file(s, ROOT, name, "x", 1);
        }
        assert_string_equal(w.name[0], ".");
        assert_string_equal(w.name[1], "..");
        for (int i = 1; i < 200; i += 2) {
                size_t seen = 0;
                snprintf(name, sizeof name, "f%d", i);
                for (size_t k = 0; k < w.count; k++)
                        seen += strcmp(w.name[k], name) == 0;
                assert_int_equal(seen, 1);
        }
        /* With references, each counts one lookup. */
        w = (struct walk) { .limit = 3 };
        assert_ok(store_read_directory(s, ROOT, 0, true, take_entry, &w));
        store_forget(s, stat_name(s, ROOT, w.name[2]).st_ino, 1);
}

/* ---- attributes --------------------------------------------------------- */

static void
test_store_setattr(void **state)
{
        struct fixture *f = *state;
        struct stat     st, want = {
                .st_mode = 04711,
                .st_uid = 5,
                .st_gid = 6,
                .st_atim = { 1000000000, 123456789 },
                .st_mtim = { -5, 999999999 },
        };

        store_inode ino = write_file(f->store, ROOT, "a", "x", 1);
        assert_ok(store_setattr(f->store, &nobody, ino, NULL, STORE_SET_MODE | STORE_SET_ATIME |
                                STORE_SET_MTIME, &want, &st));
        assert_int_equal(st.st_mode, S_IFREG | 04711);
        fixture_reopen(f);
        st = stat_name(f->store, ROOT, "a");
        assert_int_equal(st.st_atim.tv_sec, 1000000000);
        assert_int_equal(st.st_atim.tv_nsec, 123456789);
        assert_int_equal(st.st_mtim.tv_sec, -5);
        assert_int_equal(st.st_mtim.tv_nsec, 999999999);
        /* Who gives a file away loses set-user-ID with it. */
        assert_ok(store_setattr(f->store, &nobody, ino, NULL, STORE_SET_UID | STORE_SET_GID,
                                &want, &st));
        assert_int_equal(st.st_mode, S_IFREG | 0711);
        assert_int_equal(st.st_uid, 5);
        assert_int_equal(st.st_gid, 6);
}

static void
test_store_xattr(void **state)
{
        struct fixture *f = *state;
        struct store   *s = f->store;
        char            value[64];
        size_t          n;

        store_inode ino = write_file(s, ROOT, "a", "x", 1);
        assert_err(store_getxattr(s, ino, "user.a", value, sizeof value, &n),
                   CAEFS_ERR_NO_ATTRIBUTE);
        assert_err(store_getxattr(s, ino, "security.capability", value, sizeof value, &n),
                   CAEFS_ERR_NO_ATTRIBUTE);
        assert_err(store_setxattr(s, ino, "user.a", "v", 1, XATTR_REPLACE),
                   CAEFS_ERR_NO_ATTRIBUTE);
        assert_ok(store_setxattr(s, ino, "user.a", "value", 5, XATTR_CREATE));
        assert_err(store_setxattr(s, ino, "user.a", "v", 1, XATTR_CREATE), CAEFS_ERR_EXISTS);
        assert_ok(store_setxattr(s, ino, "user.empty", "", 0, 0));
        assert_err(store_setxattr(s, ino, "other.a", "v", 1, 0), CAEFS_ERR_UNSUPPORTED);
        assert_ok(store_setxattr(s, ino, "user.caefs.bound", "rel:1e-3", 8, 0));
        fixture_reopen(f);
        s = f->store;
        assert_ok(store_getxattr(s, ino, "user.a", NULL, 0, &n));
        assert_int_equal(n, 5);
        assert_err(store_getxattr(s, ino, "user.a", value, 4, &n), CAEFS_ERR_RANGE);
        assert_ok(store_getxattr(s, ino, "user.a", value, 5, &n));
        assert_memory_equal(value, "value", 5);
        assert_ok(store_listxattr(s, ino, value, sizeof value, &n));
        assert_int_equal(n, sizeof "user.a" + sizeof "user.empty" + sizeof "user.caefs.bound");
        assert_ok(store_removexattr(s, ino, "user.a"));
        assert_err(store_removexattr(s, ino, "user.a"), CAEFS_ERR_NO_ATTRIBUTE);
        assert_ok(store_getxattr(s, ino, "user.caefs.stat.state", value, sizeof value, &n));
        assert_memory_equal(value, "staged", n);
        assert_err(store_setxattr(s, ino, "user.caefs.stat.state", "x", 1, 0),
                   CAEFS_ERR_PERMISSION);
}

static void
test_store_properties(void **state)
{
        struct store         *s = ((struct fixture *) *state)->store;
        struct store_property p;

        store_inode d = make_directory(s, ROOT, "d");
        store_inode file = write_file(s, d, "a", "x", 1);
        assert_ok(store_property_get(s, file, "bound", &p));
        assert_string_equal(p.value, "lossless");
        assert_string_equal(p.source, "default");
        assert_ok(store_property_set(s, d, "bound", "abs:0.5"));
        assert_ok(store_property_get(s, file, "bound", &p));
        assert_string_equal(p.value, "abs:0.5");
        assert_string_equal(p.source, "inherited");
        assert_int_equal(p.from, d);
        assert_ok(store_property_set(s, file, "bound", "lossless"));
        assert_ok(store_property_get(s, file, "bound", &p));
        assert_string_equal(p.source, "local");
        assert_ok(store_property_set(s, file, "bound", NULL));
        assert_err(store_property_set(s, file, "bound", NULL), CAEFS_ERR_NO_ATTRIBUTE);
        static const char *const wrong[][2] = {
                { "bound", "abs:-1" }, { "bound", "abs" },     { "scope", "all" },
                { "effort", "much" },  { "codec", "magic" },   { "model", "xyz" },
                { "model", "0123456789abcdef" },               { "dtype", "f31" },
                { "dims", "1,0" },     { "dims", "1,,2" },     { "layout", "x" },
                { "seal", "idle:" },   { "chunk", "1" },       { "no-such", "x" },
        };
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                caefs_detail_clear();
                assert_err(store_property_set(s, d, wrong[i][0], wrong[i][1]),
                           CAEFS_ERR_ARGUMENT);
                assert_true(caefs_detail()[0] != '\0');
        }
        assert_ok(store_property_set(s, d, "dims", "10,20,30"));
        assert_ok(store_property_set(s, d, "seal", "idle:2.5"));
        assert_ok(store_property_set(s, d, "chunk", "256K"));
}

/* ---- open files --------------------------------------------------------- */

static void
test_store_write_read(void **state)
{
        struct fixture *f = *state;
        struct store   *s = f->store;
        size_t          n = 3 << 20, got;
        char           *data = malloc(n), *again = malloc(n);

        fill_noise(data, n, 1);
        struct store_file *file = create(s, ROOT, "a");
        /* Out of order, as a page cache writes. */
        put(file, data + (n / 2), n - n / 2, n / 2);
        put(file, data, n / 2, 0);
        assert_ok(store_file_read(file, again, n, 0, &got));
        assert_memory_equal(again, data, n);
        assert_ok(store_file_read(file, again, 100, n - 10, &got));
        assert_int_equal(got, 10);
        assert_ok(store_file_read(file, again, 100, n + 10, &got));
        assert_int_equal(got, 0);
        store_file_release(file);
        fixture_reopen(f);
        assert_content(f->store, ROOT, "a", data, n);
        assert_true(stat_name(f->store, ROOT, "a").st_blocks > 0);
        free(data);
        free(again);
}

static void
test_store_truncate(void **state)
{
        struct fixture *f = *state;
        struct store   *s = f->store;
        struct stat     st, want = { .st_size = 3 };
        char            expected[10] = "hel";

        store_inode ino = write_file(s, ROOT, "a", "hello world", 11);
        assert_ok(store_setattr(s, &nobody, ino, NULL, STORE_SET_SIZE, &want, &st));
        assert_int_equal(st.st_size, 3);
        want.st_size = 10;
        assert_ok(store_setattr(s, &nobody, ino, NULL, STORE_SET_SIZE, &want, &st));
        assert_content(s, ROOT, "a", expected, 10);
        fixture_reopen(f);
        assert_content(f->store, ROOT, "a", expected, 10);
        want.st_size = (off_t) 1 << 50;
        assert_err(store_setattr(f->store, &nobody, ino, NULL, STORE_SET_SIZE, &want, &st),
                   CAEFS_ERR_FILE_TOO_BIG);
        write_file(f->store, ROOT, "a", "z", 1);
        assert_content(f->store, ROOT, "a", "z", 1);
}

static void
test_store_holes(void **state)
{
        struct store *s = ((struct fixture *) *state)->store;
        uint64_t      at;

        struct store_file *file = create(s, ROOT, "sparse");
        put(file, "x", 1, (1 << 20) - 1);
        assert_ok(store_file_seek(file, 0, SEEK_DATA, &at));
        assert_true(at > 0 && at < 1 << 20);
        assert_ok(store_file_seek(file, at, SEEK_HOLE, &at));
        assert_int_equal(at, 1 << 20);
        assert_err(store_file_seek(file, 1 << 20, SEEK_DATA, &at), CAEFS_ERR_NO_MORE_DATA);
        /* A page of zeros could be a hole; a file with bytes never has no blocks. */
        struct stat st = stat_name(s, ROOT, "sparse");
        assert_true(st.st_blocks >= 1 && st.st_blocks < (1 << 20) / 512);
        put(file, "data", 4, 0);
        assert_ok(store_file_allocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4));
        char   byte[4];
        size_t got;
        assert_ok(store_file_read(file, byte, 4, 0, &got));
        assert_memory_equal(byte, "\0\0\0\0", 4);
        assert_ok(store_file_allocate(file, 0, 1 << 20, 4096));
        assert_int_equal(stat_name(s, ROOT, "sparse").st_size, (1 << 20) + 4096);
        store_file_release(file);
}

static void
test_store_unlinked_file_lives_on(void **state)
{
        struct fixture *f = *state;
        struct store   *s = f->store;
        char            text[8];
        size_t          got;

        struct store_file *file = create(s, ROOT, "a");
        put(file, "hello", 5, 0);
        assert_ok(store_file_flush(file));
        assert_ok(store_unlink(s, ROOT, "a"));
        put(file, "J", 1, 0);
        assert_ok(store_file_read(file, text, sizeof text, 0, &got));
        assert_int_equal(got, 5);
        assert_memory_equal(text, "Jello", 5);
        assert_ok(store_commit(s));
        store_file_release(file);
        assert_ok(store_commit(s));
        /* The kernel still refers to the inode; when it forgets, nothing is left. */
        store_forget(s, 2, 1);
        assert_ok(store_commit(s));
        struct stat st;
        assert_err(store_getattr(s, 2, &st), CAEFS_ERR_NO_ENTRY);
        assert_clean(s, false);
}

static void
test_store_copy(void **state)
{
        struct store *s = ((struct fixture *) *state)->store;
        uint64_t      copied;

        struct store_file *from = create(s, ROOT, "from"), *to = create(s, ROOT, "to");
        put(from, "0123456789", 10, 0);
        assert_ok(store_file_copy(from, 2, to, 1, 100, &copied));
        assert_int_equal(copied, 8);
        assert_err(store_file_copy(from, 0, from, 5, 10, &copied), CAEFS_ERR_ARGUMENT);
        store_file_release(from);
        store_file_release(to);
        assert_content(s, ROOT, "to", "\00023456789", 9);
}

static void
test_store_append_keeps_generation(void **state)
{
        struct fixture *f = *state;
        struct store   *s = f->store;
        struct store_file *file;

        store_inode ino = write_file(s, ROOT, "log", "one ", 4);
        assert_ok(store_commit(s));
        assert_ok(store_file_open(s, ino, O_WRONLY | O_APPEND, &file));
        put(file, "two", 3, 0);
        store_file_release(file);
        assert_content(s, ROOT, "log", "one two", 7);
        assert_ok(store_file_open(s, ino, O_RDWR, &file));
        put(file, "ONE", 3, 0);
        store_file_release(file);
        assert_content(s, ROOT, "log", "ONE two", 7);
        assert_clean(s, false);
        fixture_reopen(f);
        assert_content(f->store, ROOT, "log", "ONE two", 7);
}

static void
test_store_read_only(void **state)
{
        struct fixture      *f = *state;
        struct store_options o = { .read_only = true };
        struct store        *s;
        struct stat          st;
        struct store_file   *file;

        store_inode ino = write_file(f->store, ROOT, "a", "hello", 5);
        /* Beside a writer it sees what is committed; after one, without a lock. */
        assert_ok(store_commit(f->store));
        for (int closed = 0; closed < 2; closed++) {
                if (closed) {
                        assert_ok(store_close(f->store));
                        f->store = NULL;
                }
                assert_ok(store_open(f->path, &o, &s));
                assert_content(s, ROOT, "a", "hello", 5);
                assert_err(store_mkdir(s, &nobody, ROOT, "d", 0755, &st), CAEFS_ERR_READ_ONLY);
                assert_err(store_unlink(s, ROOT, "a"), CAEFS_ERR_READ_ONLY);
                assert_err(store_file_open(s, ino, O_RDWR, &file), CAEFS_ERR_READ_ONLY);
                assert_ok(store_close(s));
        }
        fixture_open(f);
}

static void
test_store_newer_version(void **state)
{
        struct fixture      *f = *state;
        struct store_options o = { .no_background = true };
        char                 command[256];
        struct store        *s;

        assert_ok(store_close(f->store));
        f->store = NULL;
        /* user_version is at byte 60 of the database (sqlite.org/fileformat.html).  More than
         * a bit is changed: that would be put right. */
        snprintf(command, sizeof command,
                 "printf '\\0\\0\\1\\143' | dd of='%s/caefs.db' bs=1 seek=60 conv=notrunc "
                 "status=none", f->path);
        assert_int_equal(system(command), 0);
        assert_err(store_open(f->path, &o, &s), CAEFS_ERR_VERSION);
        assert_non_null(strstr(caefs_detail(), "newer"));
        o.read_only = true;
        assert_err(store_open(f->path, &o, &s), CAEFS_ERR_VERSION);
}

static void
test_store_resolve(void **state)
{
        struct store *s = ((struct fixture *) *state)->store;
        store_inode   found;

        store_inode a = make_directory(s, ROOT, "a");
        store_inode b = write_file(s, a, "b", "x", 1);
        assert_ok(store_resolve(s, "/a//b", &found));
        assert_int_equal(found, b);
        store_forget(s, found, 1);
        assert_ok(store_resolve(s, "/", &found));
        assert_int_equal(found, ROOT);
        assert_err(store_resolve(s, "/a/c", &found), CAEFS_ERR_NO_ENTRY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_store_make_refuses_what_is_not_empty),
                TEST(test_store_open_is_exclusive),
                TEST(test_store_lookup),
                TEST(test_store_lookup_by_number),
                TEST(test_store_directory_links),
                TEST(test_store_link),
                TEST(test_store_symlink),
                TEST(test_store_mknod),
                TEST(test_store_setgid_directory),
                TEST(test_store_rename_replaces),
                TEST(test_store_rename_directories),
                TEST(test_store_read_directory),
                TEST(test_store_setattr),
                TEST(test_store_xattr),
                TEST(test_store_properties),
                TEST(test_store_write_read),
                TEST(test_store_truncate),
                TEST(test_store_holes),
                TEST(test_store_unlinked_file_lives_on),
                TEST(test_store_copy),
                TEST(test_store_append_keeps_generation),
                TEST(test_store_read_only),
                TEST(test_store_newer_version),
                TEST(test_store_resolve),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
