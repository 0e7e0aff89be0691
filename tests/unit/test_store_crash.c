/* A crash at any change of the disk leaves every file old or new, keeps what was synced,
 * and leaves a store that opens and is clean.
 *
 * One run of a workload is recorded; then the disk is made as a crash after the Nth
 * change leaves it, with what was not synced lost or kept, and looked at.  With
 * CAEFS_TEST_LONG every N is tried, else a sample. */

#include "tests/unit/store_fixture.h"

#include "tests/crash/record.h"

#define NAMES        6
#define VERSIONS_MAX 64
#define SAMPLES      40
#define NEVER        SIZE_MAX

/* What a name once led to. */
struct version {
        bool   is_absent;
        char  *data;
        size_t size;
        size_t started;         /* changes recorded before it was begun */
        size_t promised;        /* when it was known to be durable */
};

struct named {
        struct version version[VERSIONS_MAX];
        size_t         count;
};

static struct named names[NAMES];

static struct version *
begin_version(unsigned name, const char *data, size_t size)
{
        struct named *n = &names[name];

        assert_true(n->count < VERSIONS_MAX);
        struct version *v = &n->version[n->count++];
        *v = (struct version) { .started = record_count(), .promised = NEVER, .size = size };
        v->is_absent = data == NULL;
        if (data != NULL) {
                v->data = malloc(size + 1);
                memcpy(v->data, data, size);
        }
        return v;
}

static void
promise(unsigned name)
{
        struct named *n = &names[name];

        if (n->count > 0 && n->version[n->count - 1].promised == NEVER)
                n->version[n->count - 1].promised = record_count();
}

static void
promise_all(void)
{
        for (unsigned i = 0; i < NAMES; i++)
                promise(i);
}

static const char *
name_of(unsigned i)
{
        static char name[8];

        snprintf(name, sizeof name, "f%u", i);
        return name;
}

/* ---- the workload ------------------------------------------------------- */

enum how { PLAIN, SYNCED, RENAMED };

static void
put_version(struct store *s, unsigned name, size_t size, uint64_t seed, enum how how)
{
        struct store_file *f;
        struct stat        st;
        char              *data = malloc(size);
        const char        *target = how == RENAMED ? "temporary" : name_of(name);

        fill_noise(data, size, seed);
        if (store_lookup(s, ROOT, target, &st) == CAEFS_OK) {
                begin_version(name, data, size);
                assert_ok(store_file_open(s, st.st_ino, O_RDWR | O_TRUNC, &f));
        } else {
                /* A new file may be found empty: it was created, and not yet closed. */
                if (how != RENAMED)
                        begin_version(name, "", 0);
                begin_version(name, data, size);
                assert_ok(store_create(s, &nobody, ROOT, target, 0644, O_RDWR, &st, &f));
        }
        put(f, data, size / 2, 0);
        put(f, data + size / 2, size - size / 2, size / 2);
        assert_ok(store_file_flush(f));
        if (how == SYNCED) {
                assert_ok(store_file_sync(f, false));
                promise(name);
        }
        store_file_release(f);
        if (how == RENAMED)
                assert_ok(store_rename(s, ROOT, "temporary", ROOT, name_of(name), 0));
        store_forget(s, st.st_ino, 1);
        free(data);
}

/* Writes over two places of what is there: a crash in between would show. */
static void
patch_version(struct store *s, unsigned name, const char *text)
{
        struct named      *n = &names[name];
        struct version    *old = &n->version[n->count - 1];
        struct store_file *f;
        struct stat        st;

        if (n->count == 0 || old->is_absent || old->size < 100)
                return;
        struct version *v = begin_version(name, old->data, old->size);
        size_t          last = v->size - strlen(text);
        memcpy(v->data + 50, text, strlen(text));
        memcpy(v->data + last, text, strlen(text));
        assert_ok(store_lookup(s, ROOT, name_of(name), &st));
        assert_ok(store_file_open(s, st.st_ino, O_RDWR, &f));
        put(f, text, strlen(text), 50);
        put(f, text, strlen(text), last);
        store_file_release(f);
        store_forget(s, st.st_ino, 1);
}

static void
append_version(struct store *s, unsigned name, const char *text)
{
        struct named      *n = &names[name];
        struct version    *old = &n->version[n->count - 1];
        struct store_file *f;
        struct stat        st;

        if (n->count == 0 || old->is_absent)
                return;
        char *data = malloc(old->size + strlen(text));
        memcpy(data, old->data, old->size);
        memcpy(data + old->size, text, strlen(text));
        size_t          at = old->size;
        struct version *v = begin_version(name, data, at + strlen(text));
        (void) v;
        free(data);
        assert_ok(store_lookup(s, ROOT, name_of(name), &st));
        assert_ok(store_file_open(s, st.st_ino, O_RDWR, &f));
        put(f, text, strlen(text), at);
        store_file_release(f);
        store_forget(s, st.st_ino, 1);
}

static void
remove_version(struct store *s, unsigned name)
{
        struct named *n = &names[name];

        if (n->count == 0 || n->version[n->count - 1].is_absent)
                return;
        begin_version(name, NULL, 0);
        assert_ok(store_unlink(s, ROOT, name_of(name)));
}

static void
commit_all(struct store *s)
{
        assert_ok(store_commit(s));
        promise_all();
}

static void
run_workload(struct store *s)
{
        for (uint64_t round = 0; round < 4; round++) {
                put_version(s, 0, 5000, 10 * round + 1, SYNCED);
                put_version(s, 1, 70000, 10 * round + 2, PLAIN);
                put_version(s, 2, 300, 10 * round + 3, RENAMED);
                if (round % 2 == 0)
                        commit_all(s);
                put_version(s, 3, 40000, 10 * round + 4, RENAMED);
                append_version(s, 0, "and more");
                patch_version(s, 1, "patched while staged");
                assert_ok(store_sync_tree(s, ROOT, false, NULL, NULL));
                promise_all();
                patch_version(s, 3, "patched when sealed");
                put_version(s, 4, 20000, 10 * round + 5, PLAIN);
                put_version(s, 4, 21000, 10 * round + 6, PLAIN);
                if (round == 2)
                        commit_all(s);
                remove_version(s, 2);
                put_version(s, 5, 9000, 10 * round + 7, SYNCED);
                remove_version(s, 4);
                put_version(s, 4, 100, 10 * round + 8, RENAMED);
        }
}

/* ---- looking at what is left -------------------------------------------- */

static bool
is_allowed(const struct named *n, size_t index, size_t changes)
{
        if (n->version[index].started > changes)
                return false;
        for (size_t later = index + 1; later < n->count; later++)
                if (n->version[later].promised <= changes)
                        return false;
        return true;
}

/* Absence is a version when none was ever promised. */
static bool
may_be_absent(const struct named *n, size_t changes)
{
        for (size_t i = 0; i < n->count; i++)
                if (n->version[i].is_absent && is_allowed(n, i, changes))
                        return true;
        for (size_t i = 0; i < n->count; i++)
                if (n->version[i].promised <= changes)
                        return false;
        return true;
}

static bool
may_be(const struct named *n, const char *data, size_t size, size_t changes)
{
        for (size_t i = 0; i < n->count; i++) {
                const struct version *v = &n->version[i];
                if (!v->is_absent && v->size == size && memcmp(v->data, data, size) == 0 &&
                    is_allowed(n, i, changes))
                        return true;
        }
        return false;
}

static void
look_at(struct store *s, size_t changes, int loss)
{
        struct stat st;
        size_t      size;

        for (unsigned i = 0; i < NAMES; i++) {
                if (store_lookup(s, ROOT, name_of(i), &st) != CAEFS_OK) {
                        if (!may_be_absent(&names[i], changes))
                                fail_msg("%s is lost after %zu changes, loss %d", name_of(i),
                                         changes, loss);
                        continue;
                }
                char *data = read_inode(s, st.st_ino, &size);
                if (!may_be(&names[i], data, size, changes))
                        fail_msg("%s (%zu bytes) is neither old nor new after %zu changes, "
                                 "loss %d", name_of(i), size, changes, loss);
                free(data);
                store_forget(s, st.st_ino, 1);
        }
}

/* Where disks are rebuilt, hundreds of times: in memory if there is enough. */
static const char *
scratch_directory(const struct fixture *f)
{
        static const uint64_t enough = (uint64_t) 256 << 20;
        struct statvfs        v;

        if (statvfs("/dev/shm", &v) == 0 && v.f_bavail * v.f_frsize >= enough &&
            access("/dev/shm", W_OK) == 0)
                return "/dev/shm";
        return f->directory;
}

static void
crash_at(const struct fixture *f, size_t changes, enum record_loss loss)
{
        struct store_options o = { .no_background = true };
        struct store        *s;
        char                 path[128], command[160];

        snprintf(path, sizeof path, "%s/caefs-crashed.%d", scratch_directory(f),
                 (int) getpid());
        record_replay(path, changes, loss, changes);
        assert_ok(store_open(path, &o, &s));
        look_at(s, changes, loss);
        assert_clean(s, true);
        assert_ok(store_close(s));
        /* What recovery did is durable, and there is nothing left to recover. */
        assert_ok(store_open(path, &o, &s));
        look_at(s, changes, loss);
        assert_clean(s, false);
        assert_ok(store_close(s));
        snprintf(command, sizeof command, "rm -rf '%s'", path);
        assert_int_equal(system(command), 0);
}

static void
test_store_crash(void **state)
{
        struct fixture *f = *state;

        assert_ok(store_close(f->store));
        record_start(f->path);
        fixture_open(f);
        run_workload(f->store);
        assert_ok(store_close(f->store));
        f->store = NULL;
        record_stop();

        size_t total = record_count();
        size_t step = getenv("CAEFS_TEST_LONG") != NULL ? 1 : total / SAMPLES + 1;
        for (size_t n = 0; n <= total; n += step)
                for (int loss = RECORD_KEEP_ALL; loss <= RECORD_DROP_SOME; loss++)
                        crash_at(f, n, (enum record_loss) loss);
        for (unsigned i = 0; i < NAMES; i++)
                for (size_t k = 0; k < names[i].count; k++)
                        free(names[i].version[k].data);
        record_free();
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_store_crash, fixture_setup,
                                                fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
