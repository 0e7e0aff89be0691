/* fs/fuse_forget.h - asks the kernel to forget names, so that memory stays bounded.
 *
 * The kernel keeps what it has looked up until it needs the memory itself, and we must keep
 * what it knows.  When there are more names than are wanted, those that were not asked
 * for lately are taken back from it; it asks again when somebody uses them, and the pages
 * that it has of such a file go as well.
 *
 * Thread model: one thread.  The kernel may let it wait for a directory whose lock
 * somebody holds who waits for a request of ours: so it must be stopped while requests are
 * served, or after the kernel has dropped them.
 */
#ifndef CAEFS_FS_FUSE_FORGET_H
#define CAEFS_FS_FUSE_FORGET_H

#include "fs/fuse_adapter.h"

struct forgetter;

/* From KEEP names on (0: 65536). */
enum caefs_err forgetter_start(struct adapter *a, size_t keep, struct forgetter **out);

/* NULL: nothing.  May be called twice, from any thread; free is the last. */
void forgetter_stop(struct forgetter *f);
void forgetter_free(struct forgetter *f);

#endif
