/* A crash at any change of the disk leaves every file old or new, keeps what was synced,
 * and leaves a store that opens and is clean.
 *
 * One run of a workload is recorded; then the disk is made as a crash after the Nth
 * change leaves it, with what was not synced lost, kept, torn or out of order, and looked
 * at.  Tried are a sample of N and of the kinds of loss, with CAEFS_TEST_LONG about
 * every N. */

#include "tests/unit/store_versions.h"

#include <linux/falloc.h>
#include <linux/fs.h>

#include "codec/model.h"
#include "tests/crash/record.h"
#include "tests/unit/sample_model.h"

#define SAMPLES      100
#define LONG_SAMPLES 2500

/* A model that was added, and when that was promised. */
static struct {
        uint64_t hash;
        size_t   promised;
} kept_model = { .promised = NEVER };

static size_t
versions_now(void)
{
        return record_count();
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

static struct store_file *
open_name(struct store *s, unsigned name, struct stat *st)
{
        struct store_file *f;

        assert_ok(store_lookup(s, ROOT, name_of(name), st));
        assert_ok(store_file_open(s, st->st_ino, O_RDWR, &f));
        return f;
}

/* Writes over two places of what is there: a crash in between would show. */
static void
patch_version(struct store *s, unsigned name, const char *text)
{
        struct version *old = current(name);
        struct stat     st;

        if (old == NULL || old->size < 100)
                return;
        struct version *v = begin_version(name, old->data, old->size);
        size_t          last = v->size - strlen(text);
        memcpy(v->data + 50, text, strlen(text));
        memcpy(v->data + last, text, strlen(text));
        struct store_file *f = open_name(s, name, &st);
        put(f, text, strlen(text), 50);
        put(f, text, strlen(text), last);
        store_file_release(f);
        store_forget(s, st.st_ino, 1);
}

static void
append_version(struct store *s, unsigned name, const char *text)
{
        struct version *old = current(name);
        struct stat     st;

        if (old == NULL)
                return;
        size_t at = old->size, n = strlen(text);
        char  *data = malloc(at + n);
        memcpy(data, old->data, at);
        memcpy(data + at, text, n);
        begin_version(name, data, at + n);
        free(data);
        struct store_file *f = open_name(s, name, &st);
        put(f, text, n, at);
        store_file_release(f);
        store_forget(s, st.st_ino, 1);
}

/* Cuts it, or makes it longer with zeros. */
static void
resize_version(struct store *s, unsigned name, size_t size)
{
        struct version *old = current(name);
        struct stat     st, want = { .st_size = (off_t) size };

        if (old == NULL)
                return;
        char *data = calloc(1, size + 1);
        memcpy(data, old->data, old->size < size ? old->size : size);
        begin_version(name, data, size);
        free(data);
        struct store_file *f = open_name(s, name, &st);
        assert_ok(store_setattr(s, &nobody, st.st_ino, f, STORE_SET_SIZE, &want, &st));
        store_file_release(f);
        store_forget(s, st.st_ino, 1);
}

static void
punch_version(struct store *s, unsigned name, uint64_t offset, uint64_t length)
{
        struct version *old = current(name);
        struct stat     st;

        if (old == NULL || old->size < offset + length)
                return;
        struct version *v = begin_version(name, old->data, old->size);
        memset(v->data + offset, 0, length);
        struct store_file *f = open_name(s, name, &st);
        assert_ok(store_file_allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                                      length));
        store_file_release(f);
        store_forget(s, st.st_ino, 1);
}

static void
exchange_versions(struct store *s, unsigned a, unsigned b)
{
        struct version *old = current(a), *other = current(b);

        if (old == NULL || other == NULL)
                return;
        begin_version(b, old->data, old->size);
        begin_version(a, other->data, other->size);
        char other_name[8];
        snprintf(other_name, sizeof other_name, "%s", name_of(b));
        assert_ok(store_rename(s, ROOT, name_of(a), ROOT, other_name, RENAME_EXCHANGE));
}

/* Floats of a walk: they shrink, so that encoding them again may pay. */
static void
put_values(struct store *s, unsigned name, size_t count, uint64_t seed)
{
        double  *values = malloc(count * sizeof *values);
        uint64_t random = seed;
        double   at = 0;

        for (size_t i = 0; i < count; i++) {
                at += sample_between(&random, 100);
                values[i] = at;
        }
        begin_version(name, "", 0);
        begin_version(name, (char *) values, count * sizeof *values);
        write_file(s, ROOT, name_of(name), values, count * sizeof *values);
        free(values);
}

static void
encode_again(struct store *s)
{
        const struct store_recompress  o = { .has_bound = true };
        struct store_recompress_report report;

        assert_ok(store_recompress_tree(s, ROOT, &o, NULL, &report));
        assert_true(report.replaced > 0);
        promise_all();
}

/* Names, attributes and models that no version speaks of: they only must not disturb. */
static void
change_names(struct store *s, uint64_t round)
{
        char        name[16], moved[16];
        struct stat st;

        snprintf(name, sizeof name, "d%d", (int) round);
        snprintf(moved, sizeof moved, "e%d", (int) round);
        store_inode d = make_directory(s, ROOT, name);
        assert_ok(store_symlink(s, &nobody, d, "link", "../f0", &st));
        store_forget(s, st.st_ino, 1);
        assert_ok(store_setxattr(s, d, "user.colour", "green", 5, 0));
        assert_ok(store_property_set(s, d, "effort", "fast"));
        assert_ok(store_rename(s, ROOT, name, ROOT, moved, 0));
        if (round % 2 == 1) {
                assert_ok(store_unlink(s, d, "link"));
                assert_ok(store_rmdir(s, ROOT, moved));
        }
        store_forget(s, d, 1);
}

static void
add_model(struct store *s)
{
        struct model *model = sample_model(16, 4, ACTIVATION_RELU, false, 1);

        assert_non_null(model);
        kept_model.hash = model_hash(model);
        assert_ok(store_model_add(s, model, "{}"));
        kept_model.promised = record_count();
        model_free(model);
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
run_round(struct store *s, uint64_t round)
{
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
        change_names(s, round);
        put_values(s, 6, 9000 + round, round);
        put_version(s, 7, 60000, 10 * round + 9, PLAIN);
        resize_version(s, 7, round % 2 == 0 ? 30000 : 90000);
        exchange_versions(s, 7, 5);
        punch_version(s, 7, 4096, 1000);
        if (round == 1)
                add_model(s);
        assert_ok(store_sync_tree(s, ROOT, false, NULL, NULL));
        promise_all();
        encode_again(s);
        put_version(s, 8, 1000, round, SYNCED);
        resize_version(s, 8, 10);
}

static void
open_store(struct fixture *f, bool background)
{
        const struct store_options o = {
                .no_background = !background, .commit_interval = 0.005, .seal_threads = 2,
        };

        assert_ok(store_open(f->path, &o, &f->store));
}

/* Closed in between, so that SQLite moves its log into the catalogue.  With BACKGROUND files are
 * sealed and changes committed by other threads meanwhile. */
static void
run_workload(struct fixture *f, bool background)
{
        open_store(f, background);
        for (uint64_t round = 0; round < 4; round++) {
                run_round(f->store, round);
                if (round == 1) {
                        assert_ok(store_close(f->store));
                        promise_all();
                        open_store(f, background);
                }
        }
        assert_ok(store_close(f->store));
        f->store = NULL;
}

/* ---- looking at what is left -------------------------------------------- */

static void
look_at(struct store *s, size_t changes, int loss)
{
        const struct model *model;
        char                what[64];

        snprintf(what, sizeof what, "after %zu changes, loss %d", changes, loss);
        assert_versions(s, changes, what);
        if (kept_model.promised <= changes)
                assert_ok(store_model_find(s, kept_model.hash, &model));
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
crash_everywhere(struct fixture *f, bool background)
{
        assert_ok(store_close(f->store));
        f->store = NULL;
        kept_model.promised = NEVER;
        record_start(f->path);
        run_workload(f, background);
        record_stop();

        size_t total = record_count();
        size_t cuts = getenv("CAEFS_TEST_LONG") != NULL ? LONG_SAMPLES : SAMPLES;
        for (size_t i = 0; i < cuts; i++)
                crash_at(f, i * (total + 1) / cuts, (enum record_loss) (i % RECORD_LOSSES));
        print_message("%zu changes, %zu crashes\n", total, cuts);
        versions_free();
        record_free();
}

static void
test_store_crash(void **state)
{
        crash_everywhere(*state, false);
}

static void
test_store_crash_background(void **state)
{
        crash_everywhere(*state, true);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_store_crash, fixture_setup,
                                                fixture_teardown),
                cmocka_unit_test_setup_teardown(test_store_crash_background, fixture_setup,
                                                fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
