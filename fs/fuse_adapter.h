/* fs/fuse_adapter.h - what the parts of the FUSE adapter share.
 *
 * The adapter translates: requests of the kernel into calls of fs/store.h, and
 * enum caefs_err into errno.  It keeps no file system state but the list of open
 * handles, which the kernel does not always give back when a mount goes away.
 *
 * FUSE's inode numbers are the store's, and the root is 1 in both.  Numbers from
 * CONTROL_INODE_FIRST on are the hidden directory of fs/fuse_control.h.
 *
 * Coherence with the kernel's page cache.  Pages are kept across opens, because
 * content changes only through the mount, with one exception: sealing under a
 * bound changes what a file serves.  A file is sealed only while nobody has it
 * open, and the first open after that does not ask for FOPEN_KEEP_CACHE, upon
 * which the kernel drops its pages.  Attributes (st_blocks) are dropped by a
 * notification after sealing, so that the attribute timeout may be long.
 */
#ifndef CAEFS_FS_FUSE_ADAPTER_H
#define CAEFS_FS_FUSE_ADAPTER_H

#define FUSE_USE_VERSION 314

#include <fuse3/fuse_lowlevel.h>
#include <pthread.h>

#include "fs/metrics.h"
#include "fs/store.h"

/* Seconds that the kernel may believe names and attributes.  The mount is the
 * only writer, and what changes behind the kernel's back is notified; unless it
 * is a read-only one beside a writer. */
#define ADAPTER_TIMEOUT      3600.0
#define ADAPTER_TIMEOUT_LIVE 1.0

/* One open file of the kernel's.  fuse_file_info.fh points to it. */
struct adapter_handle {
        struct store_file     *file;
        fuse_ino_t             inode;
        bool                   writable;
        struct adapter_handle *next, *previous; /* protected by adapter.lock */
};

struct adapter {
        struct store      *store;
        struct control    *control;
        struct statistics *statistics;
        const char        *store_path, *mountpoint;
        struct timespec    since;               /* when it was mounted */
        bool               read_only;
        double             timeout;             /* one of the above */

        struct fuse_session *session;           /* constant while requests are served */
        pthread_mutex_t      notify_lock;       /* held while the kernel is told of sealing */
        bool                 mounted;           /* protected by notify_lock */

        pthread_mutex_t        lock;    /* taken alone: nothing is called under it */
        struct adapter_handle *handles; /* protected by lock */
        uint64_t               open_files;      /* protected by lock: how many handles */
        unsigned               helpers; /* protected by lock: threads that answer a request */
        pthread_cond_t         no_helpers;      /* helpers has become 0 */
};

static inline struct adapter *
adapter_of(fuse_req_t req)
{
        return fuse_req_userdata(req);
}

struct store_caller adapter_caller(fuse_req_t req);

/* Answers REQ with ERR; errors that nobody but an administrator can explain are
 * logged with their sentence. */
void adapter_reply(fuse_req_t req, enum caefs_err err);

/* Answers with an entry on CAEFS_OK, else with the error. */
void adapter_reply_entry(fuse_req_t req, enum caefs_err err, const struct stat *st);
void adapter_reply_attributes(fuse_req_t req, enum caefs_err err, const struct stat *st);
void adapter_fill_entry(const struct adapter *a, struct fuse_entry_param *entry,
                        const struct stat *st);

/* Set-group-ID goes when the caller, who has changed the file, is not in its group.  ST is what
 * INODE is, before and after. */
enum caefs_err adapter_drop_group_privilege(fuse_req_t req, fuse_ino_t inode, struct stat *st);

/* A buffer of SIZE bytes that belongs to the calling thread until it asks again or
 * ends; NULL when memory is out. */
void *adapter_buffer(size_t size);

/* True for the one name of the root that users cannot have. */
bool adapter_reserved_name(fuse_ino_t parent, const char *name);

/* Handles.  adapter_handle_new() takes FILE over, also when it fails (NULL). */
struct adapter_handle *adapter_handle_new(struct adapter *a, struct store_file *file,
                                          fuse_ino_t inode, bool writable);
void adapter_handle_free(struct adapter *a, struct adapter_handle *h);
bool adapter_has_writer(struct adapter *a, fuse_ino_t inode);
void adapter_handles_free(struct adapter *a);

/* A thread that answers one request which must wait for others.  WORK ends with
 * adapter_helper_done().  False when no thread could be had. */
bool adapter_helper_start(struct adapter *a, void *(*work)(void *), void *argument);
void adapter_helper_done(struct adapter *a);
void adapter_helpers_wait(struct adapter *a);

static inline struct adapter_handle *
adapter_handle(const struct fuse_file_info *fi)
{
        return (struct adapter_handle *) (uintptr_t) fi->fh;
}

/* What to describe to fs/metrics.h. */
struct metrics_of adapter_metrics(struct adapter *a);

/* Puts counting and a clock around each of OPS, once all are there (fuse_statistics.c). */
void adapter_measure_operations(struct fuse_lowlevel_ops *ops);

/* The operations, by file: each adds its own to OPS. */
void adapter_name_operations(struct fuse_lowlevel_ops *ops);            /* fuse_names.c */
void adapter_attribute_operations(struct fuse_lowlevel_ops *ops);       /* fuse_attributes.c */
void adapter_file_operations(struct fuse_lowlevel_ops *ops);            /* fuse_files.c */
void adapter_directory_operations(struct fuse_lowlevel_ops *ops);       /* fuse_directory.c */

#endif
