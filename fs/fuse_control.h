/* fs/fuse_control.h - the hidden directory .caefs at the root of a mount.
 *
 * How tools speak to the process that serves a mount.  The directory is not
 * listed, but can be looked up by name.  All its files are read and written past
 * the page cache, one request a call.
 *
 *   .caefs/store        read: lines "store PATH", "mountpoint PATH", "pid N",
 *                       "read_only 0|1", "version TEXT"
 *   .caefs/stats        read: operations and other figures as text, and
 *   .caefs/stats.json   as JSON (fs/metrics.h)
 *   .caefs/totals.json  read: commits, then sums over the whole store (fs/describe.h)
 *   .caefs/sync         write the decimal number of an inode and a newline; everything
 *                       at or below it is sealed and made durable.  Reads then
 *                       give lines: "progress DONE TOTAL" while it goes on, and last
 *                       "end LEFT", LEFT being how many files could not be sealed, or
 *                       "error NUMBER SENTENCE" (NUMBER an enum caefs_err), then
 *                       the end of the file.  Closing stops it.
 *                       Reads must have room for a line (640 bytes).
 *   .caefs/recompress   write an inode number, optionally " bound=B" and " add-loss", and a
 *                       newline; every sealed file at or below it is encoded again
 *                       (store_recompress_tree()).  Reads give lines as those of sync, the
 *                       last "end LEFT FILES REPLACED EXACT TIGHTER BEFORE AFTER".
 *   .caefs/explain      write an inode number and a newline, read JSON (fs/describe.h)
 *                       from offset 0
 *   .caefs/models.json  read: the models of the store (fs/describe.h)
 *   .caefs/models/HASH  a model's blob, HASH being 16 hex digits.  Reading exports it.
 *                       Creating, writing from first byte to last and closing installs
 *                       it; close(2) fails when it is no model, or not of that hash.
 *                       Removing it removes the model, unless an object or a property
 *                       needs it.
 *   .caefs/model        write HASH and a newline, read JSON: the model, who needs it, how it
 *                       was trained (fs/describe.h)
 *   .caefs/record       write HASH, a newline and JSON from first byte to last, and close:
 *                       how the model was trained, kept beside it
 *
 * Beside it, the extended attribute user.caefs.stat.json of any file gives its
 * state, sizes, codec and error (fs/describe.h) in one call.
 *
 * Permissions are those of the files' modes: models are written and trees recompressed by
 * root and by the user who mounted, an explanation is given to who may read the file.
 *
 * Thread safety: all functions from any thread.
 */
#ifndef CAEFS_FS_FUSE_CONTROL_H
#define CAEFS_FS_FUSE_CONTROL_H

#include "fs/fuse_adapter.h"

#define CONTROL_NAME        ".caefs"
#define CONTROL_INODE_FIRST ((fuse_ino_t) 1 << 62)

struct control;

struct control *control_new(struct adapter *a);         /* NULL when memory is out */
void            control_free(struct control *c);        /* stops and closes what is open */

static inline bool
control_owns(fuse_ino_t inode)
{
        return inode >= CONTROL_INODE_FIRST;
}

/* The operations for inodes that control_owns(); each answers REQ. */
void control_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void control_getattr(fuse_req_t req, fuse_ino_t inode);
void control_readdir(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset);
void control_readdirplus(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset);
void control_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi);
void control_create(fuse_req_t req, fuse_ino_t parent, const char *name,
                    struct fuse_file_info *fi);
void control_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void control_read(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *fi);
void control_write(fuse_req_t req, const char *data, size_t size, off_t offset,
                   struct fuse_file_info *fi);
void control_fsync(fuse_req_t req, struct fuse_file_info *fi);
void control_release(fuse_req_t req, struct fuse_file_info *fi);

#endif
