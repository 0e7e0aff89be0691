/* fs/fuse_upkeep.h - what a mount does at intervals: the file of figures, the watchdog.
 *
 * Thread model: one thread, made by upkeep_start() only when there is something to do.
 */
#ifndef CAEFS_FS_FUSE_UPKEEP_H
#define CAEFS_FS_FUSE_UPKEEP_H

#include "fs/fuse_adapter.h"

struct upkeep;

/* METRICS_FILE (NULL: none) is written every INTERVAL seconds and once more at the end.  When
 * the service manager asks for it, it is told that we live, as often as it wants, each
 * time after the mount has answered a request.  *OUT is NULL when there is nothing to do.
 * What the strings point to must outlive it. */
enum caefs_err upkeep_start(struct adapter *a, const char *metrics_file, double interval,
                            struct upkeep **out);
void           upkeep_stop(struct upkeep *u);   /* NULL: nothing */

#endif
