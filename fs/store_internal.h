/* fs/store_internal.h - what the files of the store share.
 *
 * THE LOCKS, in the order in which they are taken.  A thread that holds one takes
 * only those below it.
 *
 *   content.sealing   one sealing of a file at a time; held over a whole encoding
 *   content.bytes     rwlock: readers and writers of a file's bytes; whoever gives the
 *                     file another staging generation holds it for writing
 *   store.commit      one commit at a time; held over the syncing of staged bytes
 *   store.catalogue   struct meta, and every change of names.  Not held while data are
 *                     encoded, decoded, read or written
 *   store.drafts      the list of inodes whose flushed content is not in the catalogue
 *   store.table       which inodes are in memory, their references, cached names
 *   store.spilling    small bytes on their way to a staging file
 *   stripes           attributes and state of an inode (stripe_of); never two at once,
 *                     and held for a few loads and stores only
 *   queue, objects, models_lock, trials_lock, totals_lock, cache, decoders, ahead
 *                     leaves: nothing is taken below them
 *
 * AN INODE IN MEMORY is there while the kernel refers to it (lookups) or a thread
 * or list holds it (holds).  Its row is the catalogue's, except for the content of a regular
 * file, of which there are three, kept in struct content while they can differ:
 *
 *   row.content   as readers and writers see it now
 *   flushed       as it was at the last flush: what the next commit will say
 *   stored        as the catalogue (with its open transaction) says it
 *
 * A DRAFT is row.content ahead of flushed.  A crash loses it, and what is flushed
 * but not stored; the file is then what the last commit said.
 *
 * GENERATIONS.  Each staging file is INO.GENERATION, numbers never used twice while the
 * store is open.  Bytes below content.settled belong to a closed file: an overwrite
 * there starts a new generation with a copy, appending does not.
 */
#ifndef CAEFS_FS_STORE_INTERNAL_H
#define CAEFS_FS_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "fs/cache.h"
#include "fs/io.h"
#include "fs/store.h"
#include "meta/meta.h"

#define STORE_SIZE_MAX      ((uint64_t) 16 << 40)       /* of a file */
#define STORE_TARGET_MAX    4095                        /* bytes of a symlink's target */
#define STORE_XATTR_MAX     65536                       /* bytes of a value */
#define STORE_LINK_MAX      ((uint32_t) 1 << 31)
#define STORE_BLOCK_SIZE    65536                       /* st_blksize */
#define STORE_INLINE_MAX    16384       /* objects up to this size are in the catalogue */
#define STORE_RESERVE_BYTES ((uint64_t) 16 << 20)
#define STORE_WEIGHT_MAX    (STORE_RESERVE_BYTES / 2)   /* of one transaction */
#define STORE_STRIPES       64
#define STORE_KEY_SERIES    64          /* whose trials are remembered */
#define STAGING_NAME_SIZE   48          /* of "INO.GENERATION" */
#define OBJECT_NAME_SIZE    32          /* of "ab/ID" */
#define OBJECT_DIRECTORIES  256

struct inode;
struct ahead;
struct decoders;
struct opened_object;
struct sealed_result;
struct seal_queue;
struct object_table;
struct loaded_model;

/* A content with the number of its flush: a later one is never replaced by an earlier. */
struct draft {
        struct meta_content content;
        uint64_t            version;    /* of its bytes: they change without what CONTENT says */
        uint64_t            sequence;
};

/* Reads that follow one another, of whoever has the file open. */
struct read_run {
        uint64_t next;                  /* where the last read ended */
        uint64_t length;                /* bytes read in a row up to there */
        uint64_t ahead;                 /* file bytes below are asked for already */
};

/* The bytes of a staging file that is not there yet (store_small.c). */
struct small {
        char  *data;
        size_t size, capacity;          /* what is beyond is zero */
        bool   is_used;
        bool   is_spilling;             /* being written: not to be changed */
};

/* What a regular file needs while it is open, flushed but not stored, or being sealed. */
struct content {
        pthread_mutex_t  sealing;
        pthread_rwlock_t bytes;

        /* All below: stripe of the inode. */
        unsigned users;                 /* freed with the last */
        unsigned handles;               /* open files */
        unsigned writers;               /* of them, those that may write */
        int      fd;                    /* staging file of row.content; -1: not open */
        struct small small;             /* or its bytes */
        int64_t  written;               /* when the bytes last changed; 0: not since it is here */
        uint64_t version;               /* grows with every change of the bytes */
        uint64_t settled;               /* bytes that may not be overwritten in place */
        bool                has_new_times;      /* since the last flush, in memory alone */
        struct draft        flushed;
        struct draft        stored;
        uint64_t *generations;          /* staging files that exist */
        unsigned  ngenerations;
        uint64_t  lost_upto;            /* generations up to this are lost: see store_draft.c */
        struct opened_object *object;   /* of row.content.object while handles > 0; or NULL */
        struct read_run       run;
        struct sealed_result *parked;   /* waits for the last close; or NULL */
        struct progress      *encoding; /* of the sealing under way: cancelled by a write */

        /* store.drafts */
        bool          is_listed;
        bool          is_ordered;       /* a name depends on it: see draft_order() */
        int64_t       listed;           /* when: monotonic_ns() */
        struct inode *next_draft;
};

/* A name under which an inode was found; store.table. */
struct dentry {
        struct dentry *next_in_bucket;
        struct dentry *next_of_inode;
        uint64_t       parent;
        struct inode  *inode;
        bool           is_used;         /* asked for since the hand came by */
        char           name[];
};

struct inode {
        struct inode  *next;            /* in its bucket; store.table */
        uint64_t       lookups;         /* of the kernel; store.table */
        uint32_t       holds;           /* of threads and lists; store.table */
        struct dentry *names;           /* store.table */
        struct meta_inode row;          /* stripe; row.ino is constant */
        struct content   *content;      /* stripe; NULL: stored == flushed == row.content */
        bool             changed;       /* sealed since it was last open; stripe */
};

struct inode_table {
        struct inode  **bucket;
        size_t          nbuckets;       /* a power of two */
        size_t          count;
        struct dentry **name_bucket;    /* nbuckets as well */
        size_t          names;
        size_t          hand;           /* store_idle_names() went so far */
};

/* How the last files of a series fared with a key (store_key.c). */
struct key_trials {
        uint64_t series;
        unsigned failures;              /* in a row */
        unsigned skip;                  /* files to leave alone */
};

struct store {
        char                *path;
        struct store_options options;
        int                  root_fd, staging_fd, objects_fd, lock_fd, reserve_fd;

        bool                 is_live;   /* read beside a writer: what is in memory is looked up
                                         * again each time; constant */

        pthread_mutex_t commit;
        pthread_mutex_t catalogue;
        struct meta    *meta;           /* catalogue */
        uint64_t        change;         /* catalogue: grows with every change */
        uint64_t        committed;      /* catalogue: the change that is durable */
        uint64_t        next_object;    /* catalogue: the least number for a new object */
        bool            has_trash;      /* catalogue: rows of trash wait for the commit */
        _Atomic uint64_t reserve_missing; /* commit to write: bytes of it not allocated */

        pthread_mutex_t drafts;
        struct inode   *first_draft, *last_draft;
        size_t          ordered_drafts; /* those of the list that are */
        size_t          listed_drafts;  /* all of the list */

        pthread_mutex_t    table_lock;
        struct inode_table table;

        pthread_mutex_t  spilling;
        _Atomic uint64_t small_bytes;   /* in memory for staged files */
        pthread_mutex_t  stripe[STORE_STRIPES];

        _Atomic uint64_t next_generation;
        _Atomic int64_t  last_write;            /* of any file: monotonic_ns() */
        _Atomic int64_t  space_checked;         /* when there was ample space: milliseconds */

        pthread_t       committer;
        bool            has_committer;
        pthread_mutex_t wake_lock;      /* a leaf */
        pthread_cond_t  wake;           /* the committer: stop, or too much to commit */
        bool            stop;           /* wake_lock */
        pthread_cond_t  closed;         /* wake_lock: a file lost its last handle */

        struct cache        *cache;     /* decoded chunks */
        struct object_table *objects;   /* opened objects */
        struct decoders     *decoders;  /* places and arenas of decoding threads */
        struct ahead        *ahead;     /* decoding ahead of readers; or NULL */
        pthread_mutex_t      models_lock;
        struct loaded_model *models;    /* models_lock; never shortened before the end */
        struct seal_queue   *queue;     /* and its workers */
        pthread_mutex_t      trials_lock;
        struct key_trials    trials[STORE_KEY_SERIES];  /* trials_lock */

        _Atomic uint64_t seals_done, seals_failed, sealed_bytes, sealed_stored_bytes;
        pthread_mutex_t     totals_lock;
        struct totals_reader *totals;   /* totals_lock; made at first use */
};

struct store_file {
        struct store *store;
        struct inode *inode;            /* held */
        int           flags;            /* as open(2) */
        bool          changed;          /* store_file_changed() */
};

/* ---- store_commit.c ----------------------------------------------------- */

/* How much an operation needs: changes that free space must work on a full disk. */
enum space_need { SPACE_NONE, SPACE_SOME };

/* Takes the catalogue mutex and makes the changes until change_end() one whole.
 * Without CAEFS_OK nothing is locked. */
enum caefs_err change_begin(struct store *s, enum space_need need);
/* Keeps or undoes them, by ERR, which is returned, and gives the mutex back. */
enum caefs_err change_end(struct store *s, enum caefs_err err);
/* The same with the mutex held before and after. */
enum caefs_err change_begin_locked(struct store *s);
enum caefs_err change_end_locked(struct store *s, enum caefs_err err);

/* Makes every change so far durable.  With DRAFTS the flushed contents of all files
 * too; else only of those on which names depend. */
enum caefs_err commit_changes(struct store *s, bool drafts);
/* The catalogue alone, and only when its transaction has grown large; commit and
 * catalogue held. */
enum caefs_err commit_if_heavy(struct store *s);

enum caefs_err committer_start(struct store *s);
void           committer_stop(struct store *s);

/* Removes files that committed trash rows speak of. */
enum caefs_err trash_empty(struct store *s);

bool store_space_is_low(struct store *s);
/* There was more than enough a moment ago, when store_space_is_low() last looked. */
bool store_space_is_ample(struct store *s);

/* ---- store_draft.c ------------------------------------------------------ */

/* row.content becomes flushed, and is listed for the next commit. */
void draft_flush(struct store *s, struct inode *inode);
/* From now on no commit may leave INODE's flushed content behind: a name was moved on
 * its account.  Catalogue held. */
void draft_order(struct store *s, struct inode *inode);
/* Could the bytes of the current generation not be synced?  Then CAEFS_ERR_IO. */
enum caefs_err draft_check(struct store *s, struct inode *inode);
/* Makes the flushed bytes of one file durable and writes its row. */
enum caefs_err draft_store(struct store *s, struct inode *inode);
/* The same for all of the list that were flushed before LISTED; commit held. */
enum caefs_err draft_store_all(struct store *s, int64_t listed);
/* The same for those on which names depend; commit and catalogue held. */
enum caefs_err draft_store_ordered(struct store *s);
/* Writes DRAFT as the row and trashes what it replaces; within a change. */
enum caefs_err draft_write_row(struct store *s, struct inode *inode,
                               const struct draft *draft);
/* The row of an object that no file has any more and the file behind it, unless others refer
 * to it: then they go with the last of these.  Within a change. */
enum caefs_err object_discard(struct store *s, uint64_t id);

/* ---- store_inode.c ------------------------------------------------------ */

enum caefs_err inode_table_init(struct inode_table *t);
void           inode_table_free(struct inode_table *t);

/* The inode, read from the catalogue if need be, with one hold.  The _locked form has
 * the catalogue mutex. */
enum caefs_err inode_hold(struct store *s, uint64_t ino, struct inode **out);
enum caefs_err inode_hold_locked(struct store *s, uint64_t ino, struct inode **out);
/* An inode that is not in memory, and whose row is ROW; catalogue held. */
enum caefs_err inode_hold_new(struct store *s, const struct meta_inode *row,
                              struct inode **out);
/* Only if it is in memory; else NULL. */
struct inode  *inode_hold_present(struct store *s, uint64_t ino);
void           inode_hold_again(struct store *s, struct inode *inode);
/* NULL: nothing.  The catalogue mutex must not be held. */
void           inode_release(struct store *s, struct inode *inode);
/* The row of an unlinked inode goes, and what it refers to becomes trash.  Nothing held. */
enum caefs_err inode_purge(struct store *s, const struct meta_inode *row);
/* One hold becomes a lookup of the kernel's. */
void           inode_hold_to_lookup(struct store *s, struct inode *inode);

/* A copy of the row as it is now. */
struct meta_inode inode_row(struct store *s, struct inode *inode);
pthread_mutex_t  *stripe_of(struct store *s, const struct inode *inode);
void              inode_stat(struct store *s, struct inode *inode, struct stat *st);
void              stat_of_row(struct store *s, const struct meta_inode *row, struct stat *st);

/* Which attributes of an inode become those of a row. */
enum {
        ROW_MODE = 1, ROW_OWNER = 2, ROW_NLINK = 4, ROW_ATIME = 8, ROW_MTIME = 16, ROW_CTIME = 32,
};
struct inode_update {
        struct inode     *inode;
        struct meta_inode row;
        unsigned          which;
};
/* Writes them to the catalogue and, if that went well, to memory; no inode twice.
 * Within a change and as its last step: memory is not undone. */
enum caefs_err inodes_write(struct store *s, const struct inode_update *updates, size_t count);

/* Cached names.  dentry_find() gives the inode with one hold, or NULL. */
struct inode *dentry_find(struct store *s, uint64_t parent, const char *name);
void          dentry_add(struct store *s, uint64_t parent, const char *name,
                         struct inode *inode);
void          dentry_remove(struct store *s, uint64_t parent, const char *name);

int64_t now_ns(void);           /* since 1970 */
int64_t monotonic_ns(void);

/* ---- store_name.c ------------------------------------------------------- */

/* Makes an inode of ROW's type, mode and device under NAME; one hold on it. */
enum caefs_err name_make(struct store *s, const struct store_caller *c, store_inode directory,
                         const char *name, struct meta_inode *row, const char *target,
                         struct inode **out);

/* ---- store_acl.c -------------------------------------------------------- */

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

bool acl_is_name(const char *name);

/* All within a change.  Sets the ACL NAME of ROW's inode; ROW->mode becomes what an access
 * ACL says.  CAEFS_ERR_ARGUMENT: VALUE is no ACL. */
enum caefs_err acl_set(struct store *s, struct meta_inode *row, const char *name,
                       const void *value, size_t size);
/* One that is not there is removed too. */
enum caefs_err acl_remove(struct store *s, uint64_t ino, const char *name);
/* After chmod: the access ACL says what ROW->mode says. */
enum caefs_err acl_follow_mode(struct store *s, const struct meta_inode *row);
/* What ROW, which is about to be made in PARENT, inherits: its mode is limited by PARENT's
 * default ACL, which comes in ACL (empty before), or else by the umask. */
enum caefs_err acl_inherit(struct store *s, const struct meta_inode *parent, mode_t umask,
                           struct meta_inode *row, struct bytes *acl);
/* And, once ROW has a number, its ACLs; ACL is changed. */
enum caefs_err acl_inherit_write(struct store *s, const struct meta_inode *row,
                                 struct bytes *acl);

/* ---- store_staging.c ---------------------------------------------------- */

/* The content of a regular file, made if it was not there, with one user more. */
enum caefs_err content_get(struct store *s, struct inode *inode, struct content **out);
void           content_put(struct store *s, struct inode *inode);

/* At the end of a store, when one thread is left: encodings that wait for a close, or
 * else all contents that a failed commit has left behind. */
void contents_abandon(struct store *s, bool only_parked);

void staging_name(uint64_t ino, uint64_t generation, char name[STAGING_NAME_SIZE]);
/* False when NAME is no staging file's. */
bool staging_name_parse(const char *name, uint64_t *ino, uint64_t *generation);

/* A descriptor of the current staging file, which stays the content's. */
enum caefs_err staging_open(struct store *s, struct inode *inode, int *fd);

/* Makes the bytes from OFFSET on writable in place, in a staging file that has the
 * first KEEP bytes of the file (UINT64_MAX: all); content.bytes held for writing. */
enum caefs_err staging_prepare(struct store *s, struct inode *inode, uint64_t offset,
                               uint64_t keep);

/* The file has SIZE bytes now at least, or, with EXACT, exactly; and new times. */
void content_touch(struct store *s, struct inode *inode, uint64_t size, bool exact);

/* Truncates or extends; content.bytes not held.  The caller has a handle: else the file could be
 * sealed meanwhile. */
enum caefs_err content_resize(struct store *s, struct inode *inode, uint64_t size);
/* The same for one that has none. */
enum caefs_err content_truncate(struct store *s, struct inode *inode, uint64_t size);

/* Bytes of a regular file as they are now; content.bytes held. */
enum caefs_err content_read(struct store *s, struct inode *inode, void *buffer, size_t n,
                            uint64_t offset);
/* The same as store_file_view(); content.bytes need not be held while the view is used. */
enum caefs_err content_view(struct store *s, struct inode *inode, void *buffer, size_t n,
                            uint64_t offset, struct store_view *v);

/* Remembers that a staging file exists; stripe held.  False: memory is out. */
bool content_add_generation(struct content *c, uint64_t generation);

/* ---- store_small.c ------------------------------------------------------ */

/* May a generation of SIZE bytes be kept in memory? */
bool small_may_hold(struct store *s, uint64_t size);
/* The first SIZE bytes of INODE as it is now; content.bytes held. */
enum caefs_err small_fill(struct store *s, struct inode *inode, struct small *m, uint64_t size);
/* The stripe is held, or nobody else knows M. */
void           small_free(struct store *s, struct small *m);

/* These do it in memory, or return false: then the staging file is to be used.  For writing
 * and resizing content.bytes is held for writing. */
bool small_write(struct store *s, struct inode *inode, const void *data, size_t n,
                 uint64_t offset);
bool small_resize(struct store *s, struct inode *inode, uint64_t size);
bool small_read(struct store *s, struct inode *inode, uint64_t generation, void *buffer,
                size_t n, uint64_t offset);

bool small_is_used(struct store *s, struct inode *inode);

/* From here on there is a staging file; nothing happens when there is one already.
 * The catalogue may be held. */
enum caefs_err small_spill(struct store *s, struct inode *inode);

/* ---- store_object.c ----------------------------------------------------- */

enum caefs_err object_table_make(struct store *s);
void           object_table_free(struct store *s);
/* Opened, with one reference. */
enum caefs_err object_acquire(struct store *s, uint64_t id, struct opened_object **out);
void           object_release(struct store *s, struct opened_object *o);
/* Its file was removed: its bytes on disk are free only once it is closed, which is now or
 * when its last user has gone. */
void           object_forget(struct store *s, uint64_t id);
/* One reference more to an object that the caller has one to. */
void           object_use_again(struct store *s, struct opened_object *o);
const struct object *object_of(const struct opened_object *o);
uint64_t       object_id(const struct opened_object *o);
/* The id of the object that O refers to; 0: none. */
uint64_t       object_reference(const struct opened_object *o);
void object_name(uint64_t id, char name[OBJECT_NAME_SIZE]);
/* The names in the directory that the object's file is in are durable when it returns. */
enum caefs_err object_directory_sync(struct store *s, uint64_t id);

/* ---- store_read.c ------------------------------------------------------- */

enum caefs_err decoders_make(struct store *s);
void           decoders_free(struct store *s);

/* The bytes of a sealed file through the cache of chunks. */
enum caefs_err object_read_cached(struct store *s, struct opened_object *o, void *buffer,
                                  size_t n, uint64_t offset);
/* The same from within the decoding of a chunk. */
enum caefs_err object_read_nested(struct store *s, struct opened_object *o, void *buffer,
                                  size_t n, uint64_t offset);
/* As store_file_view().  IN_A_ROW: the reads before this one led here, and the next will lead
 * on. */
enum caefs_err object_view(struct store *s, struct opened_object *o, void *buffer, size_t n,
                           uint64_t offset, bool in_a_row, struct store_view *v);
/* One piece that is the caller's. */
void view_add_buffer(struct store_view *v, void *data, size_t n);

/* Has chunk INDEX decoded for those who come. */
enum caefs_err object_decode_ahead(struct store *s, struct opened_object *o, size_t index);

/* ---- store_ahead.c ------------------------------------------------------ */

enum caefs_err ahead_make(struct store *s);
/* Stops its threads; what they were asked for is dropped. */
void           ahead_free(struct store *s);

/* INODE, whose object is O, is being read from OFFSET on.  True when that follows what was read
 * before; the next chunks are then decoded meanwhile. */
bool ahead_note_read(struct store *s, struct inode *inode, struct opened_object *o, size_t n,
                     uint64_t offset);

/* ---- store_model.c ------------------------------------------------------ */

void models_free(struct store *s);

/* ---- store_property.c --------------------------------------------------- */

/* The property seal. */
struct seal_policy {
        bool   is_manual;
        double idle;            /* seconds without a write */
};
bool seal_policy_parse(const char *value, struct seal_policy *policy);

/* The value that holds for INO; catalogue held. */
enum caefs_err property_resolve_locked(struct store *s, uint64_t ino, const char *name,
                                       struct store_property *out);
/* The properties of INO as what object_encode() takes; NAME, of STORE_NAME_MAX + 1
 * bytes, becomes the file's.  Catalogue not held. */
enum caefs_err property_options(struct store *s, uint64_t ino, struct object_options *out,
                                char *name);

/* ---- store_seal.c, store_queue.c ---------------------------------------- */

enum seal_outcome {
        SEAL_DONE,              /* sealed, or there is nothing to seal */
        SEAL_OPEN,              /* somebody has it open */
        SEAL_CHANGED,           /* it was written meanwhile */
        SEAL_FAILED,            /* it cannot be: the catalogue says why */
};

/* Encodes INO and swaps, now, in this thread.  PROGRESS may be NULL. */
enum seal_outcome seal_inode(struct store *s, struct inode *inode, struct progress *progress);
/* Throws away an encoding that waits for the last close. */
void seal_drop_parked(struct store *s, struct inode *inode);

/* Begins to seal what is closed, and what an earlier run left staged. */
enum caefs_err queue_start(struct store *s);
/* Stops the workers; encodings under way are given up, their files stay staged. */
void           queue_stop(struct store *s);
/* INO was closed: it is looked at in DELAY seconds.  Nothing happens without a queue. */
void           queue_add(struct store *s, uint64_t ino, double delay);
/* Seals a small file that is due, when many wait; nothing held. */
void           queue_help(struct store *s);

/* Files that wait, and those being sealed. */
uint64_t       queue_waiting(struct store *s);

/* ---- store_statistics.c ------------------------------------------------- */

/* Counts a file that has been sealed. */
void seal_note(struct store *s, struct inode *inode);
void totals_close(struct store *s);

/* ---- store_sync.c ------------------------------------------------------- */

/* A file lost its last handle: whoever waits for that looks again. */
void sync_note_closed(struct store *s);

/* What is done to each staged (or SEALED) file of a tree. */
struct tree_work {
        bool  sealed;
        bool  wait;                     /* for those that are open, until they close */
        enum seal_outcome (*each)(void *context, struct store *s, struct inode *inode,
                                  struct progress *progress);   /* from several threads */
        void *context;
};
/* Does it for all at or below INO, and makes it durable; LEFT (may be NULL) counts those that
 * did not come out SEAL_DONE.  The first failure's sentence is left in caefs_detail(). */
enum caefs_err tree_run(struct store *s, store_inode ino, const struct tree_work *work,
                        struct progress *progress, uint64_t *left);

/* ---- store_lock.c ------------------------------------------------------- */

enum lock_state {
        LOCK_NONE,              /* the system below has no locks: nobody may write, we trust */
        LOCK_SHARED,            /* nobody writes while we are here */
        LOCK_OF_WRITER,         /* a writer of this machine has it */
};

/* Both leave the descriptor in lock_fd, with which the lock goes.  CAEFS_ERR_BUSY. */
enum caefs_err lock_for_writing(struct store *s);
enum caefs_err lock_for_reading(struct store *s, enum lock_state *state);

/* ---- store_open.c ------------------------------------------------------- */

/* Temporary names in staging/ begin with this. */
#define TEMPORARY_PREFIX "new."

#endif
