/* One call to the system fails: the caller is told why, nothing that was acknowledged is lost,
 * the store stays sound and goes on working, if need be after it was opened again.
 *
 * A workload runs again and again, each time with another call of it failing, in
 * another way.  With CAEFS_TEST_LONG every call fails in every way, else a sample. */

#include "tests/unit/store_versions.h"

#include "tests/crash/shim.h"

#define SAMPLES 150

/* How a call fails. */
enum way { IO_ERROR, DEVICE_FULL, QUOTA_USED, INTERRUPTED, SHORT_WRITE, WAYS };

static const struct {
        int            errno_value;
        enum caefs_err err;
} ways[WAYS] = {
        [IO_ERROR] = { EIO, CAEFS_ERR_IO },
        [DEVICE_FULL] = { ENOSPC, CAEFS_ERR_NO_SPACE },
        [QUOTA_USED] = { EDQUOT, CAEFS_ERR_QUOTA },
        [INTERRUPTED] = { EINTR, CAEFS_ERR_INTERRUPTED },
        [SHORT_WRITE] = { 0, CAEFS_ERR_NO_SPACE },
};

static struct {
        char     root[128];
        size_t   target;        /* the call that fails, of those that can */
        enum way way;
        size_t   calls;         /* so far, that can */
        size_t   total;         /* all of the workload */
        bool     fired;
        bool     has_lost_bytes;
        char     what[64];
} fault;

static size_t now;

static size_t
versions_now(void)
{
        return now;
}

/* ---- the fault ---------------------------------------------------------- */

static bool
exists(const struct shim_call *call)
{
        char path[400];

        snprintf(path, sizeof path, "%s/%.200s", fault.root, call->name);
        return access(path, F_OK) == 0;
}

/* Can a call fail so?  Reading never wants space; SQLite's own VFS goes on when it is
 * interrupted. */
static bool
is_possible(const struct shim_call *call, enum way way)
{
        switch (way) {
        case IO_ERROR:
                return call->kind != SHIM_UNLINK || exists(call);
        case DEVICE_FULL:
        case QUOTA_USED:
                return call->kind != SHIM_READ && call->kind != SHIM_OPEN &&
                       call->kind != SHIM_UNLINK;
        case INTERRUPTED:
                return !call->is_catalogue && call->kind != SHIM_RENAME &&
                       call->kind != SHIM_UNLINK;
        default:
                return call->kind == SHIM_WRITE && call->length > 1;
        }
}

/* What was not synced is gone, as the page cache forgets what it could not write. */
static void
lose_bytes(const struct shim_call *call)
{
        char path[400];

        snprintf(path, sizeof path, "%s/%.200s", fault.root, call->name);
        int fd = open(path, O_WRONLY);
        fault.has_lost_bytes = strncmp(call->name, "staging/", 8) == 0 && fd >= 0;
        if (fault.has_lost_bytes)
                for (off_t at = 0, end = lseek(fd, 0, SEEK_END); at < end; at += 64)
                        assert_int_equal(pwrite(fd, "lost", 4, at), 4);
        if (fd >= 0)
                close(fd);
}

static int
before(struct shim_call *call)
{
        if (!is_possible(call, fault.way) || fault.calls++ != fault.target)
                return 0;
        fault.fired = true;
        snprintf(fault.what, sizeof fault.what, "call %zu, kind %d of %.20s, way %d",
                 fault.target, call->kind, call->name, fault.way);
        if (fault.way == SHORT_WRITE) {
                call->length /= 2;
                return 0;
        }
        if (call->kind == SHIM_SYNC && fault.way == IO_ERROR)
                lose_bytes(call);
        return ways[fault.way].errno_value;
}

static const struct shim_observer observer = { .before = before };

/* ---- the workload ------------------------------------------------------- */

static void
open_again(struct fixture *f)
{
        struct store_options o = { .no_background = true, .seal_threads = 1 };

        store_close(f->store);
        f->store = NULL;
        if (store_open(f->path, &o, &f->store) != CAEFS_OK) {
                assert_true(fault.fired);
                assert_ok(store_open(f->path, &o, &f->store));
        }
}

/* True when it went well.  A failure must be the one that was made; when the catalogue could
 * not be written the store refuses all changes until it is opened again. */
static bool
went_well(struct fixture *f, enum caefs_err err)
{
        now++;
        if (err == CAEFS_OK)
                return true;
        if (!fault.fired)
                fail_msg("%s (%s) without a fault", caefs_err_text(err), caefs_detail());
        if (err != ways[fault.way].err && caefs_err_errno(err) != EIO)
                fail_msg("\"%s\" (%s) after %s", caefs_err_text(err), caefs_detail(),
                         fault.what);
        doubt_all();
        if (strstr(caefs_detail(), "catalogue") != NULL)
                open_again(f);
        return false;
}

/* Writes all of NAME and, with SYNC, makes it durable; true when all of that went well. */
static bool
write_whole(struct fixture *f, const char *name, const char *data, size_t size, bool sync)
{
        struct stat        st;
        struct store_file *file;
        size_t             done;
        enum caefs_err     err = store_lookup(f->store, ROOT, name, &st);

        if (err == CAEFS_OK)
                err = store_file_open(f->store, st.st_ino, O_RDWR | O_TRUNC, &file);
        else if (err == CAEFS_ERR_NO_ENTRY)
                err = store_create(f->store, &nobody, ROOT, name, 0644, O_RDWR, &st, &file);
        if (err != CAEFS_OK)
                return went_well(f, err);
        err = store_file_write(file, data, size / 2, 0, &done);
        if (err == CAEFS_OK)
                err = store_file_write(file, data + size / 2, size - size / 2, size / 2, &done);
        if (err == CAEFS_OK)
                err = store_file_flush(file);
        if (err == CAEFS_OK && sync)
                err = store_file_sync(file, false);
        store_file_release(file);
        store_forget(f->store, st.st_ino, 1);
        return went_well(f, err);
}

/* In place: whoever is interrupted leaves a part. */
static void
put_in_place(struct fixture *f, unsigned name, size_t size, bool sync)
{
        char *data = malloc(size);

        fill_noise(data, size, now + 1);
        begin_version(name, "", 0);
        begin_version(name, data, size / 2);
        begin_version(name, data, size);
        if (write_whole(f, name_of(name), data, size, sync) && sync)
                promise(name);
        free(data);
}

static void
put_by_rename(struct fixture *f, unsigned name, size_t size)
{
        char *data = malloc(size);

        fill_noise(data, size, now + 1);
        if (write_whole(f, "temporary", data, size, true)) {
                begin_version(name, data, size);
                went_well(f, store_rename(f->store, ROOT, "temporary", ROOT, name_of(name), 0));
        } else {
                store_unlink(f->store, ROOT, "temporary");
        }
        free(data);
}

/* A few bytes within a file of two halves, synced. */
static void
patch(struct fixture *f, unsigned name)
{
        struct version    *old = current(name);
        struct store_file *file;
        struct stat        st;
        size_t             done, got;

        if (old == NULL || store_lookup(f->store, ROOT, name_of(name), &st) != CAEFS_OK)
                return;
        char *data = malloc((size_t) st.st_size + 1);
        enum caefs_err err = store_file_open(f->store, st.st_ino, O_RDWR, &file);
        if (err == CAEFS_OK) {
                err = store_file_read(file, data, (size_t) st.st_size, 0, &got);
                if (err == CAEFS_OK && got > 200) {
                        memcpy(data + 100, "patched", 7);
                        begin_version(name, data, got);
                        err = store_file_write(file, "patched", 7, 100, &done);
                        if (err == CAEFS_OK)
                                err = store_file_sync(file, true);
                }
                store_file_release(file);
        }
        store_forget(f->store, st.st_ino, 1);
        if (went_well(f, err) && err == CAEFS_OK)
                promise(name);
        free(data);
}

static void
make_durable(struct fixture *f)
{
        if (went_well(f, store_commit(f->store)))
                promise_all();
}

static void
seal_all(struct fixture *f)
{
        uint64_t left = 0;

        if (went_well(f, store_sync_tree(f->store, ROOT, false, NULL, &left)) && left == 0)
                promise_all();
}

static void
change_names(struct fixture *f)
{
        struct stat st;

        if (went_well(f, store_mkdir(f->store, &nobody, ROOT, "d", 0755, &st))) {
                went_well(f, store_setxattr(f->store, st.st_ino, "user.colour", "red", 3, 0));
                went_well(f, store_property_set(f->store, st.st_ino, "effort", "fast"));
                store_forget(f->store, st.st_ino, 1);
        }
        begin_version(2, NULL, 0);
        if (store_lookup(f->store, ROOT, name_of(2), &st) == CAEFS_OK) {
                store_forget(f->store, st.st_ino, 1);
                went_well(f, store_unlink(f->store, ROOT, name_of(2)));
        }
}

static void
run_workload(struct fixture *f)
{
        const struct store_recompress  again = { .has_bound = true };
        struct store_recompress_report report;

        put_in_place(f, 0, 5000, true);
        put_by_rename(f, 1, 40000);
        put_in_place(f, 2, 70000, false);
        make_durable(f);
        put_by_rename(f, 0, 20000);
        seal_all(f);
        patch(f, 0);
        patch(f, 1);
        change_names(f);
        put_in_place(f, 3, 1000, true);
        put_in_place(f, 3, 1100, true);
        seal_all(f);
        went_well(f, store_recompress_tree(f->store, ROOT, &again, NULL, &report));
        put_by_rename(f, 4, 30000);
        open_again(f);
        put_in_place(f, 4, 30, true);
        make_durable(f);
}

/* ---- one fault ---------------------------------------------------------- */

/* Once it is over all works, and the files are what they may be. */
static void
look_at(struct fixture *f)
{
        static const char text[] = "this must work";

        /* Until then a file that could not be synced may read as anything. */
        if (!fault.has_lost_bytes)
                assert_versions(f->store, now, fault.what);
        open_again(f);
        assert_versions(f->store, now, fault.what);
        write_file(f->store, ROOT, "afterwards", text, sizeof text);
        assert_ok(store_sync_tree(f->store, ROOT, false, NULL, NULL));
        assert_ok(store_commit(f->store));
        assert_content(f->store, ROOT, "afterwards", text, sizeof text);
        assert_clean(f->store, true);
}

static void
run_with_fault(size_t target, enum way way)
{
        struct store_options o = { .no_background = true, .seal_threads = 1 };
        struct fixture       f = { 0 };
        char                 command[128];

        snprintf(f.directory, sizeof f.directory, "%s/caefs-fault.XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        assert_non_null(mkdtemp(f.directory));
        snprintf(f.path, sizeof f.path, "%s/store", f.directory);
        assert_ok(store_make(f.path));
        memset(&fault, 0, sizeof fault);
        snprintf(fault.root, sizeof fault.root, "%s", f.path);
        fault.target = target;
        fault.way = way;
        now = 0;
        shim_install(f.path, &observer);
        if (store_open(f.path, &o, &f.store) != CAEFS_OK) {
                assert_true(fault.fired);
                assert_ok(store_open(f.path, &o, &f.store));
        }
        run_workload(&f);
        fault.total = fault.calls;
        fault.target = SIZE_MAX;
        look_at(&f);
        assert_ok(store_close(f.store));
        shim_remove();
        versions_free();
        snprintf(command, sizeof command, "rm -rf '%s'", f.directory);
        assert_int_equal(system(command), 0);
}

static void
test_store_fault(void **state)
{
        bool   is_long = getenv("CAEFS_TEST_LONG") != NULL;
        size_t runs = 0, fired = 0;

        (void) state;
        for (int way = 0; way < WAYS; way++) {
                run_with_fault(SIZE_MAX, (enum way) way);
                size_t total = fault.total;
                size_t step = is_long ? 1 : total / (SAMPLES / WAYS) + 1;
                assert_true(total > 20);
                for (size_t n = 0; n < total; n += step, runs++) {
                        run_with_fault(n, (enum way) way);
                        fired += fault.fired;
                }
        }
        print_message("%zu faults\n", fired);
        /* A run may make a few calls more or less than another. */
        assert_true(fired > runs * 9 / 10);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_store_fault),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
