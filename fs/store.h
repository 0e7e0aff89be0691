/* fs/store.h - the file system without FUSE.
 *
 * A store is a directory (doc/design.md, "The store"): a SQLite catalogue,
 * immutable objects, and staging files that hold the exact bytes of files being
 * written.  This interface is what the mount and the tools stand on; tests use it
 * without a mount.  It speaks of inodes and open files in POSIX terms.
 *
 * Permissions: the kernel checks them (default_permissions); the store keeps
 * owner and mode, clears setuid and setgid where POSIX says so, and does not
 * judge access.
 *
 * The life of a file: staged (bytes as written, in STORE/staging) -> sealed (an
 * object, encoded by a background worker, verified, durable) -> written again:
 * staged.  While a file is open for writing after its last commit its new bytes
 * are a draft; flush, fsync, rename and the last close commit the draft to the
 * catalogue.  A crash drops drafts: the file is its old self, or, committed, its
 * new one.  A file is sealed only while nobody has it open.
 *
 * Grouping: changes of names and attributes go into one SQLite transaction that
 * is committed at fsync, every commit interval, and when the store closes; so a crash leaves
 * a consistent prefix.  Staged bytes that a transaction speaks of are made durable
 * before it commits.  What a closed file holds is committed when it is sealed, after five
 * intervals at the latest, and at once by fsync and before a rename of it: most files
 * are sealed by then, and never written to the disk as they were.
 *
 * Thread safety: every function may be called from any thread, except store_open()
 * and store_close().  Locks are documented in fs/store_internal.h.
 */
#ifndef CAEFS_FS_STORE_H
#define CAEFS_FS_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "codec/object.h"
#include "common/error.h"

struct cache_entry;
struct store;
struct store_file;              /* an open file description */

#define STORE_ROOT_INODE 1
#define STORE_NAME_MAX   255    /* bytes of a name */

typedef uint64_t store_inode;

/* ---- stores ------------------------------------------------------------- */

struct store_options {
        bool     read_only;             /* nothing is written; see store_open() */
        double   commit_interval;       /* seconds; 0: the default, 1 */
        double   seal_delay;            /* seconds a closed file waits; 0: none */
        unsigned seal_threads;          /* workers; 0: the default, the number of cores */
        bool     no_background;         /* tests and tools: nothing runs unless asked */
        uint64_t cache_bytes;           /* of decoded chunks; 0: the default, 256 MiB */

        bool     caller_stamps;         /* who writes and truncates says the times as well, by
                                         * store_setattr(): the kernel, with its writeback cache */

        /* Called after INODE was sealed: its st_blocks, and under a bound its values,
         * are others now.  From a worker, without locks; or NULL. */
        void   (*sealed)(void *context, store_inode inode);
        void    *sealed_context;

        /* Not NULL: what is wrong with the structure of the store is mended before it is opened, and told
         * here, one sentence each.  Damaged files and those that no row needs go to
         * STORE/quarantine. */
        void   (*repair)(void *context, const char *sentence);
        void    *repair_context;
};

/* Makes an empty store in PATH, which is created or must be an empty directory. */
enum caefs_err store_make(const char *path);

/* Opens and recovers.  CAEFS_ERR_BUSY: another writer has it, or, for writing, readers do;
 * CAEFS_ERR_VERSION.
 *
 * Read-only, any number may have it open, on many machines, and nothing in it is changed.  They
 * share a lock, so that nobody writes meanwhile.  When a writer of the same machine has it,
 * they follow what it commits; when one of another has it, they are refused. */
enum caefs_err store_open(const char *path, const struct store_options *o, struct store **out);

/* Read-only beside a writer: what is in it changes under us. */
bool store_is_live(const struct store *s);

/* Commits, stops workers, closes.  All files must be released before. */
enum caefs_err store_close(struct store *s);

/* Everything so far is durable when it returns. */
enum caefs_err store_commit(struct store *s);

/* Seals everything staged at or below INODE and makes it durable; waits for files
 * that are open until they close, or, with WAIT false, leaves them staged. Counts what could
 * not be sealed in *LEFT (may be NULL). */
enum caefs_err store_sync_tree(struct store *s, store_inode inode, bool wait,
                               struct progress *progress, uint64_t *left);

/* Encoding sealed files again, with the properties and the model of today. */
struct store_recompress {
        bool         has_bound;         /* BOUND instead of the property */
        struct bound bound;
        bool         add_loss;          /* where something was lost already, count the bound from
                                         * what is served now: the losses add up */
        bool         wait;              /* for files that are open */
};

struct store_recompress_report {
        uint64_t files;                 /* looked at */
        uint64_t replaced;
        uint64_t exact;                 /* lost values that had to come back bit for bit, since
                                         * the bound leaves no room for more loss */
        uint64_t tighter;               /* of those: lost more than today's bound would allow */
        uint64_t bytes_before, bytes_after;     /* stored, of all files looked at */
        uint64_t left;                  /* in use, or failed */
};

/* Encodes each sealed file at or below INODE again and keeps what is smaller.  Against the
 * values that were written first, nothing is ever further off than the larger of the bound it
 * was stored with and today's; with ADD_LOSS, than their sum.  With HAS_BOUND the new
 * encoding is kept in any case, and when it frees the file of a model that is not today's.
 * Without it, an object that others refer to stays: it could not be removed.
 * Times and other attributes stay. */
enum caefs_err store_recompress_tree(struct store *s, store_inode inode,
                                     const struct store_recompress *o,
                                     struct progress *progress,
                                     struct store_recompress_report *report);

/* ---- who is asking ------------------------------------------------------ */

struct store_caller {
        uid_t  uid;
        gid_t  gid;
        mode_t umask;
};

/* ---- names -------------------------------------------------------------- */

/* struct stat has st_ino, st_mode, st_nlink, st_uid, st_gid, st_rdev, st_size
 * (logical), st_blksize, st_blocks (stored bytes / 512, at least 1 for a file
 * that is not empty), and the times. */

/* Finds NAME in DIRECTORY; "." is any inode itself and ".." the directory above, STALE when it
 * is gone: what an NFS server asks to open a handle again.  Each success of lookup, make, create, link … counts one
 * reference of the caller's (the kernel's) to the inode; store_forget() gives N
 * back.  Inodes with references stay in memory and, unlinked, on disk. */
enum caefs_err store_lookup(struct store *s, store_inode directory, const char *name,
                            struct stat *st);
void           store_forget(struct store *s, store_inode inode, uint64_t n);

enum caefs_err store_mknod(struct store *s, const struct store_caller *c, store_inode directory,
                           const char *name, mode_t mode, dev_t device, struct stat *st);
enum caefs_err store_mkdir(struct store *s, const struct store_caller *c, store_inode directory,
                           const char *name, mode_t mode, struct stat *st);
enum caefs_err store_symlink(struct store *s, const struct store_caller *c, store_inode directory,
                             const char *name, const char *target, struct stat *st);
enum caefs_err store_link(struct store *s, store_inode inode, store_inode directory,
                          const char *name, struct stat *st);
enum caefs_err store_unlink(struct store *s, store_inode directory, const char *name);
enum caefs_err store_rmdir(struct store *s, store_inode directory, const char *name);

/* FLAGS: those of renameat2(2), all of them.  A whiteout belongs to whom the file belongs that
 * went away. */
enum caefs_err store_rename(struct store *s, store_inode from, const char *from_name,
                            store_inode to, const char *to_name, unsigned flags);

enum caefs_err store_readlink(struct store *s, store_inode inode, char *target, size_t size);

/* Walks a directory from OFFSET (0: the start; else what the last entry gave as
 * its NEXT).  FILL returns false when it is full: that entry is not consumed.  An
 * entry that is there for the whole walk comes exactly once. "." and ".." come first.
 * With REFERENCE each entry that FILL takes counts a reference, as lookup does
 * (readdirplus), except "." and "..". */
typedef bool store_fill(void *context, const char *name, const struct stat *st, uint64_t next);
enum caefs_err store_read_directory(struct store *s, store_inode inode, uint64_t offset,
                                    bool reference, store_fill *fill, void *context);

/* ---- attributes --------------------------------------------------------- */

enum caefs_err store_getattr(struct store *s, store_inode inode, struct stat *st);

/* Which of ST to set; SIZE goes through FILE when the caller has it open, else NULL. */
enum {
        STORE_SET_MODE = 1, STORE_SET_UID = 2, STORE_SET_GID = 4, STORE_SET_SIZE = 8,
        STORE_SET_ATIME = 16, STORE_SET_MTIME = 32, STORE_SET_ATIME_NOW = 64,
        STORE_SET_MTIME_NOW = 128, STORE_SET_CTIME = 256,
};
enum caefs_err store_setattr(struct store *s, const struct store_caller *c, store_inode inode,
                             struct store_file *file, unsigned what, const struct stat *want,
                             struct stat *st);

/* POSIX ACLs (system.posix_acl_access, system.posix_acl_default) keep step with the mode and
 * are inherited; who may set them and what they allow is for the kernel to judge.
 *
 * SIZE 0 asks for the length.  user.caefs.NAME are properties (meta), validated;
 * user.caefs.effective.NAME and user.caefs.stat.NAME are computed and read-only. */
enum caefs_err store_getxattr(struct store *s, store_inode inode, const char *name,
                              void *value, size_t size, size_t *length);
enum caefs_err store_setxattr(struct store *s, store_inode inode, const char *name,
                              const void *value, size_t size, int flags);
enum caefs_err store_listxattr(struct store *s, store_inode inode, char *list, size_t size,
                               size_t *length);
enum caefs_err store_removexattr(struct store *s, store_inode inode, const char *name);

enum caefs_err store_statfs(struct store *s, struct statvfs *out);

/* ---- open files --------------------------------------------------------- */

/* FLAGS as open(2): access mode, O_TRUNC, O_APPEND. */
enum caefs_err store_create(struct store *s, const struct store_caller *c, store_inode directory,
                            const char *name, mode_t mode, int flags, struct stat *st,
                            struct store_file **out);
enum caefs_err store_file_open(struct store *s, store_inode inode, int flags,
                               struct store_file **out);

/* True when INODE was sealed since it was last open, or this is its first open: what a
 * cache above holds of it is not what F serves.  Only the first open after that says so. */
bool store_file_changed(const struct store_file *f);

/* Reads up to N bytes; *GOT is less only at the end of the file.  A damaged chunk
 * is CAEFS_ERR_CORRUPT for reads that touch it, and only for those. */
enum caefs_err store_file_read(struct store_file *f, void *buffer, size_t n, uint64_t offset,
                               size_t *got);

/* The same without a copy where that can be: PIECEs, one after the other, are the bytes.
 * They stay as they are until store_view_release(), whatever becomes of the file. */
#define STORE_VIEW_PIECES 16
struct store_view {
        struct iovec        piece[STORE_VIEW_PIECES];
        unsigned            npieces;

        /* The store's. */
        struct cache_entry *pinned[STORE_VIEW_PIECES];
        bool                is_passed[STORE_VIEW_PIECES];
};

/* Fills V.  BUFFER, of N bytes, is for what cannot be seen in place and must stay as long as
 * the view does.  Without CAEFS_OK there is nothing to release. */
enum caefs_err store_file_view(struct store_file *f, void *buffer, size_t n, uint64_t offset,
                               struct store_view *v);
void           store_view_release(struct store *s, struct store_view *v);

enum caefs_err store_file_write(struct store_file *f, const void *data, size_t n,
                                uint64_t offset, size_t *put);

/* MODE as fallocate(2): 0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE. */
enum caefs_err store_file_allocate(struct store_file *f, int mode, uint64_t offset,
                                   uint64_t length);

/* WHENCE SEEK_DATA or SEEK_HOLE. */
enum caefs_err store_file_seek(struct store_file *f, uint64_t offset, int whence,
                               uint64_t *found);

/* copy_file_range(2). */
enum caefs_err store_file_copy(struct store_file *from, uint64_t from_offset,
                               struct store_file *to, uint64_t to_offset, uint64_t n,
                               uint64_t *copied);

enum caefs_err store_file_flush(struct store_file *f);          /* a close(2): commits the draft */
enum caefs_err store_file_sync(struct store_file *f, bool data_only);   /* durable */
void           store_file_release(struct store_file *f);        /* the last close */

/* ---- properties --------------------------------------------------------- */

/* NAME without prefix: bound, scope, effort, codec, model, dtype, dims, layout, seal,
 * chunk, key.  VALUE NULL removes (inherit). CAEFS_ERR_ARGUMENT with a sentence. */
enum caefs_err store_property_set(struct store *s, store_inode inode, const char *name,
                                  const char *value);

/* Whether it could be set anywhere, with a sentence; that a model is there is not looked at. */
enum caefs_err store_property_check(const char *name, const char *value);

struct store_property {
        char value[256];
        char source[16];        /* "local", "inherited", "default" */
        store_inode from;       /* where an inherited value is set */
};
enum caefs_err store_property_get(struct store *s, store_inode inode, const char *name,
                                  struct store_property *out);

/* NULL-terminated names of all properties. */
const char *const *store_property_names(void);

/* ---- models ------------------------------------------------------------- */

/* Keeps MODEL in the catalogue, and how it was trained (JSON; NULL: not known).  When it is
 * there already only the record is new. */
enum caefs_err store_model_add(struct store *s, const struct model *m, const char *record_json);

struct store_model {
        uint64_t hash;
        uint64_t bytes;
        uint64_t objects;       /* how many need it */
        int64_t  created;       /* seconds since 1970 */
};
typedef bool store_model_fill(void *context, const struct store_model *m);
enum caefs_err store_model_list(struct store *s, store_model_fill *fill, void *context);
/* The model, kept by the store until it closes. CAEFS_ERR_NO_ENTRY. */
enum caefs_err store_model_find(struct store *s, uint64_t hash, const struct model **out);
/* CAEFS_ERR_BUSY while a file's object or a property needs it. */
enum caefs_err store_model_remove(struct store *s, uint64_t hash);

/* The record of its training: JSON, or nothing when it came without.  CAEFS_ERR_NO_ENTRY
 * when there is no such model. */
enum caefs_err store_model_record(struct store *s, uint64_t hash, struct bytes *json);
enum caefs_err store_model_record_set(struct store *s, uint64_t hash, const char *json);

/* Tells at most LIMIT paths whose property names the model, and at most LIMIT of files that
 * cannot be read without it; such a file's first name, "" when it has none any more. */
typedef void store_model_user(void *context, bool by_property, const char *path);
enum caefs_err store_model_users(struct store *s, uint64_t hash, size_t limit,
                                 store_model_user *tell, void *context);

/* ---- looking inside ----------------------------------------------------- */

struct store_file_info {
        char     state[16];             /* "staged", "sealed", "empty" */
        uint64_t logical_bytes;
        uint64_t stored_bytes;
        char     bound[32];             /* the object's; "" when staged */
        char     codec[64];             /* families, largest first, e.g. "lorenzo+patch" */
        double   worst, worst_over_bound;
        uint64_t model;                 /* hash or 0 */
        uint64_t key;                   /* object that it refers to, or 0 */
        uint64_t lossy_values;
        char     fallback[96];          /* why not all of it is within a bound; or "" */
};
enum caefs_err store_file_info(struct store *s, store_inode inode, struct store_file_info *out);

/* Where the file is whose object others refer to, for the caller to free; "" when it was
 * rewritten or deleted since. */
enum caefs_err store_key_path(struct store *s, uint64_t object, char **path);

/* The object of a sealed file, for explain; the caller closes with store_object_release(). */
enum caefs_err store_object_get(struct store *s, store_inode inode, const struct object **out);
void           store_object_release(struct store *s, const struct object *o);

/* Path relative to the root ("/a/b") to inode, one reference as lookup. */
enum caefs_err store_resolve(struct store *s, const char *path, store_inode *inode);

/* The other way: the first of its names, for the caller to free; "" when it has none. */
enum caefs_err store_path(struct store *s, store_inode inode, char **path);

/* ---- figures ------------------------------------------------------------ */

/* Sums over the whole store, as of a commit. */
#define STORE_FALLBACKS 16
struct store_totals {
        uint64_t files, logical_bytes;          /* regular files */
        uint64_t staged_files, staged_bytes;    /* of them: not sealed yet */
        uint64_t objects, stored_bytes;         /* sealed; keys whose file is gone count too */
        uint64_t models, model_bytes;
        unsigned fallbacks;                     /* reasons below, the most frequent first */
        struct {
                char     reason[96];
                uint64_t objects;
        } fallback[STORE_FALLBACKS];
};
/* Reads every row of the catalogue, beside the others: nobody waits for it.  What was read
 * before is given again while nothing was committed since, and, unless FRESH, while reading
 * anew would take more than a twentieth of the time.  FRESH: commits first. */
enum caefs_err store_totals(struct store *s, bool fresh, struct store_totals *out);

/* What is in memory and under way, since the store was opened. */
struct store_counts {
        uint64_t cache_hits, cache_misses, cache_evictions;     /* decoded chunks */
        uint64_t cache_bytes, cache_limit_bytes;
        uint64_t inodes, names;                 /* in memory */
        uint64_t seals_done, seals_failed;
        uint64_t seals_waiting;                 /* files that will be looked at, or are */
        uint64_t sealed_bytes, sealed_stored_bytes;     /* of those done: logical, and stored */
};
void store_counts(struct store *s, struct store_counts *out);

/* ---- letting go ---------------------------------------------------------- */

struct store_idle_name {
        store_inode directory;
        char        name[STORE_NAME_MAX + 1];
};

/* Some names (at most LIMIT; how many is returned) of files that nobody has open and that were
 * not asked for lately: they are in memory because they were looked up and not
 * forgotten.  Goes on where it was; a call that returns none may be followed by one
 * that does. */
size_t store_idle_names(struct store *s, struct store_idle_name *names, size_t limit);
size_t store_names_in_memory(struct store *s);

/* ---- integrity ---------------------------------------------------------- */

struct store_check_report {
        uint64_t files, objects, bytes;
        uint64_t problems;
        bool     resumed;               /* the scrub went on where an earlier one had stopped, */
        uint64_t problems_before;       /* which had told of so many */
};

/* How to read and prove all contents. */
struct store_scrub {
        uint64_t rate;                  /* bytes a second at most; 0: no limit */
        bool     keeps_place;           /* in the store when it is stopped, and begins at the
                                         * place that an earlier one has kept, */
        bool     from_start;            /* but for this */
};

/* Structure: catalogue, names, link counts, models, objects and staging present, orphans (not
 * when it is open for reading alone).  With SCRUB (or NULL) every chunk of every object is
 * decoded and proved as well, and every staged byte is read.  Each problem is told to TELL in one
 * sentence.  The store may be in use meanwhile.  CAEFS_ERR_INTERRUPTED when PROGRESS (or NULL) was cancelled. */
enum caefs_err store_check(struct store *s, const struct store_scrub *scrub,
                           struct progress *progress,
                           void (*tell)(void *context, const char *sentence), void *context,
                           struct store_check_report *out);

#endif
