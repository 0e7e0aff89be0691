/* fs/fuse_control_internal.h - what the parts of the control directory share.
 *
 * Its few files are a table of nodes.  A file under models/ has an inode number made of
 * its hash, because the kernel may ask for it again by number alone.
 */
#ifndef CAEFS_FS_FUSE_CONTROL_INTERNAL_H
#define CAEFS_FS_FUSE_CONTROL_INTERNAL_H

#include "common/bytes.h"
#include "fs/fuse_control.h"
#include "fs/fuse_control_job.h"

/* Everything here may change at any time. */
#define CONTROL_TIMEOUT 0.0

enum node {
        NODE_DIRECTORY, NODE_STORE, NODE_SYNC, NODE_EXPLAIN, NODE_MODELS_JSON, NODE_MODELS,
        NODE_MODEL_JSON, NODE_RECORD, NODE_RECOMPRESS, NODE_STATS, NODE_STATS_JSON,
        NODE_TOTALS_JSON,
        NODE_COUNT,
        NODE_MODEL = NODE_COUNT,        /* any file in models/ */
};

/* An open control file; protected by its lock, since a program may read and write
 * one descriptor from two threads. */
struct control_handle {
        pthread_mutex_t        lock;
        enum node              node;
        uint64_t               hash;            /* NODE_MODEL; constant */
        bool                   upload;          /* NODE_MODEL, NODE_RECORD, opened for writing;
                                                 * constant */
        bool                   installed;       /* the upload was taken over */
        struct bytes           bytes;           /* what is read, or what was uploaded */
        struct control_job    *job;             /* NODE_SYNC, once it has been told what */
        struct control_handle *next, *previous; /* protected by control.lock */
};

struct control {
        struct adapter        *adapter;
        struct store          *store;           /* the adapter's */
        uid_t                  owner;
        gid_t                  group;
        pthread_mutex_t        lock;            /* taken alone */
        struct control_handle *handles;         /* protected by lock */
};

/* ---- fuse_control_names.c ------------------------------------------------ */

enum node      control_node_of(fuse_ino_t inode);
void           control_model_stat(const struct control *c, const struct store_model *m,
                                  struct stat *st);
enum caefs_err control_find_model(struct control *c, fuse_ino_t inode, struct store_model *out);
void           control_fill_entry(struct fuse_entry_param *entry, const struct stat *st);

/* ---- fuse_control_answer.c ----------------------------------------------- */

/* Fills H with what can be read of its node from the start. */
enum caefs_err control_prepare(struct control *c, struct control_handle *h);
/* Takes what was written to H, whose lock is held: a question, or a part of an upload. */
enum caefs_err control_take(fuse_req_t req, struct control_handle *h, const char *data,
                            size_t size, off_t offset);
/* Takes over what was uploaded through H, whose lock is held. */
enum caefs_err control_install(struct control *c, struct control_handle *h);

#endif
