/* fs/fuse_holder.h - who has a store mounted, as the mount itself wrote it down.
 *
 * Advice for messages, and for how long to wait: the store's lock is what counts.
 * fuse_mount_holder() of fs/fuse_mount.h reads it.
 */
#ifndef CAEFS_FS_FUSE_HOLDER_H
#define CAEFS_FS_FUSE_HOLDER_H

void holder_write(const char *store, const char *mountpoint);
void holder_remove(const char *store);

/* umount(8) returns while the process of the mount is still closing the store: seconds for
 * which it is worth to wait for that. */
int  holder_patience(const char *store);

#endif
