/* tests/crash/shim.h - stands between a store and the system.
 *
 * Every call that the store makes through fs/io.h, and every one that SQLite makes through
 * its VFS, on a file below a directory passes here: an observer is asked before it and
 * told after it.  So a test can write down what happens (tests/crash/record.h), or make
 * a call fail.
 *
 * Thread safety: calls of several threads are let through one at a time, so that
 * their order is the observer's, which needs no lock of its own.  Installing and removing are for
 * one thread, while no store is open.
 */
#ifndef CAEFS_TESTS_CRASH_SHIM_H
#define CAEFS_TESTS_CRASH_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum shim_kind {
        SHIM_OPEN, SHIM_CREATE, SHIM_READ, SHIM_WRITE, SHIM_TRUNCATE, SHIM_ALLOCATE, SHIM_SYNC,
        SHIM_SYNC_ALL, SHIM_RENAME, SHIM_UNLINK,
};

struct shim_call {
        enum shim_kind kind;
        bool           is_catalogue;    /* SQLite makes it */
        const char    *name;            /* below the root; "": the root itself */
        const char    *to;              /* of RENAME: below the root */
        int            file;            /* what AFTER gave for the open file; -1: none */
        const void    *data;            /* of WRITE */
        size_t         length;          /* of WRITE: BEFORE may make it less */
        uint64_t       offset;          /* of WRITE and ALLOCATE; the size of TRUNCATE */
        uint64_t       extent;          /* of ALLOCATE */
        int            mode;            /* of ALLOCATE, as fallocate(2) */
};

struct shim_observer {
        /* 0: it happens.  An errno: it fails with that, and does not happen.  Or NULL. */
        int (*before)(struct shim_call *call);
        /* It has happened.  For OPEN and CREATE: a number for the file.  Or NULL. */
        int (*after)(const struct shim_call *call);
};

/* For files below ROOT, an absolute path without links.  Nothing is really synced. */
void shim_install(const char *root, const struct shim_observer *observer);
void shim_remove(void);

#endif
