/* tests/unit/store_versions.h - what files of a store may hold after something went wrong.
 *
 * A test tells what a file is about to become (begin_version) and what it was promised
 * to be from now on (promise).  Afterwards a file is one of the versions that were
 * begun and that no later promise has put an end to.
 */
#ifndef CAEFS_TESTS_STORE_VERSIONS_H
#define CAEFS_TESTS_STORE_VERSIONS_H

#include "tests/unit/store_fixture.h"

#define NAMES        9
#define VERSIONS_MAX 64
#define NEVER        SIZE_MAX

/* The time: a number that grows.  The test's. */
static size_t versions_now(void);

/* What a name once led to. */
struct version {
        bool   is_absent;
        char  *data;
        size_t size;
        size_t started;         /* when it was begun */
        size_t promised;        /* when it was known to be durable */
        bool   is_doubtful;     /* perhaps an earlier one is the current one */
};

struct named {
        struct version version[VERSIONS_MAX];
        size_t         count;
};

static struct named names[NAMES];

static inline struct version *
begin_version(unsigned name, const char *data, size_t size)
{
        struct named *n = &names[name];

        assert_true(n->count < VERSIONS_MAX);
        struct version *v = &n->version[n->count++];
        *v = (struct version) { .started = versions_now(), .promised = NEVER, .size = size };
        v->is_absent = data == NULL;
        if (data != NULL) {
                v->data = malloc(size + 1);
                memcpy(v->data, data, size);
        }
        return v;
}

static inline void
promise(unsigned name)
{
        struct named *n = &names[name];

        if (n->count > 0 && n->version[n->count - 1].promised == NEVER &&
            !n->version[n->count - 1].is_doubtful)
                n->version[n->count - 1].promised = versions_now();
}

static inline void
promise_all(void)
{
        for (unsigned i = 0; i < NAMES; i++)
                promise(i);
}

/* What was not promised so far may have been lost: it cannot be promised any more. */
static inline void
doubt_all(void)
{
        for (unsigned i = 0; i < NAMES; i++)
                if (names[i].count > 0)
                        names[i].version[names[i].count - 1].is_doubtful = true;
}

static inline const char *
name_of(unsigned i)
{
        static char name[8];

        snprintf(name, sizeof name, "f%u", i);
        return name;
}

/* The current version of a name, or NULL when it is absent. */
static inline struct version *
current(unsigned name)
{
        struct named *n = &names[name];

        return n->count == 0 || n->version[n->count - 1].is_absent
                       ? NULL
                       : &n->version[n->count - 1];
}

static inline bool
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
static inline bool
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

static inline bool
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

/* Every name is absent or a version, each as it may be at the time CHANGES. */
static inline void
assert_versions(struct store *s, size_t changes, const char *what)
{
        struct stat st;
        size_t      size;

        for (unsigned i = 0; i < NAMES; i++) {
                if (store_lookup(s, ROOT, name_of(i), &st) != CAEFS_OK) {
                        if (!may_be_absent(&names[i], changes))
                                fail_msg("%s is lost (%s)", name_of(i), what);
                        continue;
                }
                char *data = read_inode(s, st.st_ino, &size);
                if (!may_be(&names[i], data, size, changes))
                        fail_msg("%s (%zu bytes) is neither old nor new (%s)", name_of(i),
                                 size, what);
                free(data);
                store_forget(s, st.st_ino, 1);
        }
}

static inline void
versions_free(void)
{
        for (unsigned i = 0; i < NAMES; i++) {
                for (size_t k = 0; k < names[i].count; k++)
                        free(names[i].version[k].data);
                names[i].count = 0;
        }
}

#endif
