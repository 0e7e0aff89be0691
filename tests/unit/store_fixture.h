/* tests/unit/store_fixture.h - a store in a directory of its own, for tests. */
#ifndef CAEFS_TESTS_STORE_FIXTURE_H
#define CAEFS_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "fs/store.h"

#define ROOT STORE_ROOT_INODE

/* Shows the words of both errors. */
#define assert_err(expression, expected)                                              \
        do {                                                                          \
                enum caefs_err got_ = (expression);                                   \
                if (got_ != (expected))                                               \
                        fail_msg("%s: \"%s\" (%s) instead of \"%s\"", #expression,    \
                                 caefs_err_text(got_), caefs_detail(),                \
                                 caefs_err_text(expected));                           \
        } while (0)
#define assert_ok(expression) assert_err(expression, CAEFS_OK)

static const struct store_caller nobody = { .uid = 1000, .gid = 1000, .umask = 022 };

struct fixture {
        char          directory[64];    /* holds the store and whatever else */
        char          path[80];         /* the store */
        struct store *store;
};

static inline void
fixture_open(struct fixture *f)
{
        struct store_options o = { .no_background = true };

        assert_ok(store_open(f->path, &o, &f->store));
}

static inline void
fixture_reopen(struct fixture *f)
{
        assert_ok(store_close(f->store));
        f->store = NULL;
        fixture_open(f);
}

static inline int
fixture_setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);

        snprintf(f->directory, sizeof f->directory, "/tmp/caefs-test.XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        snprintf(f->path, sizeof f->path, "%s/store", f->directory);
        assert_ok(store_make(f->path));
        fixture_open(f);
        *state = f;
        return 0;
}

static inline void
tell_problem(void *context, const char *sentence)
{
        (void) context;
        print_error("check: %s\n", sentence);
}

static inline void
assert_clean(struct store *s, bool read_all)
{
        struct store_check_report report;

        assert_ok(store_check(s, read_all ? &(struct store_scrub) { 0 } : NULL, NULL,
                              tell_problem, NULL, &report));
        assert_int_equal(report.problems, 0);
}

static inline int
fixture_teardown(void **state)
{
        struct fixture *f = *state;
        char            command[128];

        if (f->store != NULL) {
                assert_clean(f->store, true);
                assert_ok(store_close(f->store));
        }
        snprintf(command, sizeof command, "rm -rf '%s'", f->directory);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

/* ---- files -------------------------------------------------------------- */

static inline store_inode
make_directory(struct store *s, store_inode parent, const char *name)
{
        struct stat st;

        assert_ok(store_mkdir(s, &nobody, parent, name, 0755, &st));
        return st.st_ino;
}

static inline struct store_file *
create(struct store *s, store_inode parent, const char *name)
{
        struct store_file *f;
        struct stat        st;

        assert_ok(store_create(s, &nobody, parent, name, 0644, O_RDWR, &st, &f));
        return f;
}

static inline void
put(struct store_file *f, const void *data, size_t n, uint64_t offset)
{
        size_t done;

        assert_ok(store_file_write(f, data, n, offset, &done));
        assert_int_equal(done, n);
}

/* Creates or truncates NAME, writes DATA and closes. */
static inline store_inode
write_file(struct store *s, store_inode parent, const char *name, const void *data, size_t n)
{
        struct stat        st;
        struct store_file *f;

        if (store_lookup(s, parent, name, &st) == CAEFS_OK)
                assert_ok(store_file_open(s, st.st_ino, O_RDWR | O_TRUNC, &f));
        else
                assert_ok(store_create(s, &nobody, parent, name, 0644, O_RDWR, &st, &f));
        put(f, data, n, 0);
        assert_ok(store_file_flush(f));
        store_file_release(f);
        store_forget(s, st.st_ino, 1);
        return st.st_ino;
}

/* All bytes of an inode; the caller frees. */
static inline void *
read_inode(struct store *s, store_inode ino, size_t *n)
{
        struct stat        st;
        struct store_file *f;
        size_t             got;

        assert_ok(store_file_open(s, ino, O_RDONLY, &f));
        assert_ok(store_getattr(s, ino, &st));
        char *data = malloc((size_t) st.st_size + 1);
        assert_ok(store_file_read(f, data, (size_t) st.st_size + 1, 0, &got));
        assert_int_equal(got, st.st_size);
        store_file_release(f);
        *n = got;
        return data;
}

static inline void
assert_content(struct store *s, store_inode parent, const char *name, const void *data,
               size_t n)
{
        struct stat st;
        size_t      got;

        assert_ok(store_lookup(s, parent, name, &st));
        void *bytes = read_inode(s, st.st_ino, &got);
        assert_int_equal(got, n);
        assert_memory_equal(bytes, data, n);
        free(bytes);
        store_forget(s, st.st_ino, 1);
}

static inline struct stat
stat_name(struct store *s, store_inode parent, const char *name)
{
        struct stat st;

        assert_ok(store_lookup(s, parent, name, &st));
        store_forget(s, st.st_ino, 1);
        return st;
}

static inline void
assert_absent(struct store *s, store_inode parent, const char *name)
{
        struct stat st;

        assert_err(store_lookup(s, parent, name, &st), CAEFS_ERR_NO_ENTRY);
}

/* Data that repeats nowhere: a xorshift generator. */
static inline void
fill_noise(void *data, size_t n, uint64_t seed)
{
        unsigned char *at = data;
        uint64_t       x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

        for (size_t i = 0; i < n; i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                at[i] = (unsigned char) (x >> 32);
        }
}

#endif
