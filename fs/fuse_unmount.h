/* fs/fuse_unmount.h - whether a mount is ours, and the guard of a mount.
 *
 * A process that is killed leaves its mount behind, and whoever looks at it gets ENOTCONN until
 * somebody takes it away.  The guard does: a small process that waits for the end of ours and, if
 * that was not announced, detaches what is mounted and dead.  (libfuse's auto_unmount detaches
 * whatever is there by then, which may be the next mount, and needs fusermount3 for root too.)
 */
#ifndef CAEFS_FS_FUSE_UNMOUNT_H
#define CAEFS_FS_FUSE_UNMOUNT_H

#include <stdbool.h>

/* What was mounted last at MOUNTPOINT, an absolute path, is a mount of caefs, dead or not. */
bool mount_is_ours(const char *mountpoint);

/* Before the process has threads, descriptors of a store or a mount.  Gives a descriptor for
 * guard_dismiss(); -1: there is no guard. */
int  guard_start(const char *mountpoint);
/* The mount is down, or will be: the guard need not look. */
void guard_dismiss(int guard);

#endif
