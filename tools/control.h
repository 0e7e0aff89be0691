/*
 * control.h - the tools' side of a mount's control files
 * (fs/fuse_control.h).  ROOT is the mount point.
 *
 * Thread safety: all functions from any thread.
 */

#ifndef CAEFS_TOOL_CONTROL_H
#define CAEFS_TOOL_CONTROL_H

#include <jansson.h>
#include <sys/types.h>

#include "codec/model.h"
#include "fs/store.h"

/*
 * What the mount says of itself: the path of its store, for the caller to
 * free, and the process that serves it.  CAEFS_ERR_UNSUPPORTED: it is no
 * mount of caefs.
 */
enum caefs_err control_identity(const char *root, char **store, pid_t *pid);

enum caefs_err control_sync(const char *root, store_inode inode,
                            struct progress *progress, uint64_t *left);
enum caefs_err control_recompress(const char *root, store_inode inode,
                                  const struct store_recompress *o,
                                  struct progress *progress,
                                  struct store_recompress_report *report);
enum caefs_err control_explain(const char *root, store_inode inode,
                               json_t **out);

enum caefs_err control_models(const char *root, json_t **out);
/* Sums over the store, as describe_totals(). */
enum caefs_err control_totals(const char *root, json_t **out);
enum caefs_err control_model_get(const char *root, uint64_t hash,
                                 struct model **out);
/* RECORD: how it was trained, JSON; NULL: not known. */
enum caefs_err control_model_add(const char *root, const struct model *m,
                                 const char *record);
/* fs/describe.h, describe_stored_model(). */
enum caefs_err control_model_show(const char *root, uint64_t hash, json_t **out);
enum caefs_err control_model_remove(const char *root, uint64_t hash);

#endif
