/* fs/fuse_control_job.h - work that a control file starts and reports on.
 *
 * Sealing or recompressing a tree can take hours.  It runs in a thread of its own, so that no
 * request waits for it longer than the interval of a progress line, and it is told to
 * stop when the control file is closed.
 *
 * Thread safety: the functions of one job may be called from any thread, but not
 * at once with control_job_free().
 */
#ifndef CAEFS_FS_FUSE_CONTROL_JOB_H
#define CAEFS_FS_FUSE_CONTROL_JOB_H

#include "fs/store.h"

struct control_job;

#define CONTROL_JOB_LINE 640            /* bytes of the longest line, with its NUL */

/* Starts sealing everything at or below INODE, or, with AGAIN (copied), encoding it again. */
enum caefs_err control_job_start(struct store *store, store_inode inode,
                                 const struct store_recompress *again,
                                 struct control_job **out);

/* The next line of fs/fuse_control.h into LINE and its length; 0 after the last.
 * Waits a moment when nothing has happened. */
size_t control_job_next_line(struct control_job *j, char line[CONTROL_JOB_LINE]);

/* Asks it to stop, waits until it has, and frees it.  NULL: nothing. */
void control_job_free(struct control_job *j);

#endif
