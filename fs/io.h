/* fs/io.h - every change the store makes to files of its own goes through here.
 *
 * The catalogue aside, nothing in fs/store*.c calls open, write, rename …
 * itself.  So a test can stand in between: record the order of changes, lose those
 * that were not synced, or fail the Nth.
 *
 * The functions have the meaning, results and errno of the system calls they are
 * named after.  Paths are relative to a directory's descriptor.
 *
 * Thread safety: any number of threads.
 */
#ifndef CAEFS_FS_IO_H
#define CAEFS_FS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct io_methods {
        int     (*open)(int directory, const char *name, int flags, mode_t mode);
        int     (*close)(int fd);
        ssize_t (*read)(int fd, void *data, size_t n, uint64_t offset);
        ssize_t (*write)(int fd, const void *data, size_t n, uint64_t offset);
        int     (*sync)(int fd, bool data_only);
        int     (*sync_all)(int fd);            /* syncfs(2) */
        int     (*truncate)(int fd, uint64_t size);
        int     (*allocate)(int fd, int mode, uint64_t offset, uint64_t length);
        /* The first N bytes of FROM to TO, which is empty; sharing blocks and keeping
         * holes where the system can. */
        int     (*copy)(int from, int to, uint64_t n);
        int     (*rename)(int from_directory, const char *from, int to_directory,
                          const char *to);
        int     (*unlink)(int directory, const char *name);
        int     (*mkdir)(int directory, const char *name, mode_t mode);
};

/* The system's own; what io points to unless a test changes it before a store is
 * opened. */
extern const struct io_methods  io_system;
extern const struct io_methods *io;

/* All of N bytes, over as many calls as it takes; -1 with errno, EIO where the file ends. */
int io_read_all(int fd, void *data, size_t n, uint64_t offset);
int io_write_all(int fd, const void *data, size_t n, uint64_t offset);

#endif
