/* fs/fuse_mount.h - serving a store as a mounted file system.
 *
 * All that the rest of caefs sees of FUSE.  The process that calls fuse_mount()
 * serves the mount until somebody unmounts it or a signal asks it to end.
 *
 * Thread model: one thread waits for signals, libfuse's own threads serve
 * requests (a thread a request, at most THREADS), the store's workers seal.  No
 * thread is made before fuse_mount() is called, so a caller may fork() first.  A process of
 * its own watches over the mount (fs/fuse_unmount.h).
 */
#ifndef CAEFS_FS_FUSE_MOUNT_H
#define CAEFS_FS_FUSE_MOUNT_H

#include <stdbool.h>

#include "fs/store.h"

struct fuse_mount_options {
        const char *store;              /* path of the store, absolute */
        const char *mountpoint;         /* absolute */
        struct store_options store_options;     /* sealed is set by fuse_mount() */
        const char *kernel_options;     /* comma separated, for libfuse; may be "" */
        unsigned threads;               /* at most this many requests at once; 0: 16 */
        unsigned read_ahead_kib;        /* of the kernel; 0: leave as it is */
        unsigned names;                 /* of files kept in memory; 0: 65536 */
        bool     drain;                 /* seal everything before ending */
        bool     guard;                 /* when the process is killed, its mount goes too */
        const char *metrics_file;       /* absolute, see fs/metrics.h; NULL: none */
        double   metrics_interval;      /* seconds */

        /* Called once, when the mount is there and requests will be answered; NULL: nobody. */
        void   (*ready)(void *context);
        void    *context;
};

/* CAEFS_OK when /dev/fuse can be opened, else an error that says what to do. */
enum caefs_err fuse_mount_possible(void);

/* Opens the store, mounts it, and serves it until the end; unmounts and closes the
 * store.  Errors come with a sentence.  Call it once in a process. */
enum caefs_err fuse_mount(const struct fuse_mount_options *o);

/* Takes a mount down, as umount(8).  CAEFS_ERR_BUSY when files are open. */
enum caefs_err fuse_unmount(const char *mountpoint);

/* A mount of ours is at MOUNTPOINT, an absolute path, and its process has died. */
bool           fuse_mount_is_dead(const char *mountpoint);
enum caefs_err fuse_unmount_dead(const char *mountpoint);

/* Who has STORE mounted, as the mount itself wrote it down: fills WHO with words
 * such as "process 17, at /mnt/data"; false when nobody wrote. */
bool fuse_mount_holder(const char *store, char *who, size_t size);

#endif
