/* fs/describe.h - what a store says of its files and models, as JSON.
 *
 * One description serves the mount's control files and the tools that open a
 * store directly, so both show the same.  The caller owns the json_t that
 * a function gives (json_decref).
 *
 * A file:
 *   { "state": "staged" | "sealed" | "empty", "logical_bytes", "stored_bytes",
 *     "bound", "codec", "max_error", "max_error_over_bound",
 *     "model": "16 hex digits" or null, "key": the path of the file it is predicted from,
 *     "" when that is gone, or null, "lossy_values", "fallback": why not all of it is within
 *     a bound, or "" }
 * An explanation is a file's description with
 *     "regions": [ { "offset", "length", "dtype", "big_endian", "shape": [ ... ] } ],
 *     "chunks": [ { "offset", "length", "stored", "region", "codec" } ]
 * both empty unless the file is sealed.
 * A model:
 *   { "hash", "bytes", "objects": how many need it, "created": seconds since 1970 }
 *
 * Thread safety: all functions from any thread.
 */
#ifndef CAEFS_FS_DESCRIBE_H
#define CAEFS_FS_DESCRIBE_H

#include <jansson.h>

#include "fs/store.h"

#define DESCRIBE_VERSION 1              /* "output_version" of what is printed */

/* The extended attribute of a mount that holds a file's description. */
#define DESCRIBE_ATTRIBUTE "user.caefs.stat.json"

enum caefs_err describe_file(struct store *s, store_inode inode, json_t **out);
enum caefs_err describe_explain(struct store *s, store_inode inode, json_t **out);
enum caefs_err describe_models(struct store *s, json_t **out);         /* an array */

/* Sums over the store (store_totals(), fresh): "files", "logical_bytes", "staged_files",
 * "staged_bytes", "objects", "stored_bytes": of objects and staged files, "models",
 * "model_bytes". */
enum caefs_err describe_totals(struct store *s, json_t **out);

/* A model's own words: family, layers, parameters, bound, training. */
json_t *describe_model(const struct model *m);

/* The same with what the store knows of it:
 *     "hash", "bytes", "directories": paths that have it as their property, "files": paths
 *     that cannot be read without it (of both the first DESCRIBE_USERS), "record": how
 *     it was trained, or null
 * CAEFS_ERR_NO_ENTRY. */
#define DESCRIBE_USERS 16
enum caefs_err describe_stored_model(struct store *s, uint64_t hash, json_t **out);

#endif
