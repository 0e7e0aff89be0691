/* meta/meta.h - the catalogue: names, inodes, attributes, properties, models,
 * objects, and what is to be thrown away.
 *
 * One SQLite connection in WAL mode stands behind it; sqlite3.h is included in
 * meta/ alone.  The catalogue is the only authority on what a store holds.
 *
 * Transactions.  The first change begins one; it stays open over many calls
 * until meta_commit().  Reads go through the same connection and see what is not yet
 * committed.  A change that takes several calls is made whole by meta_mark() and
 * meta_undo().  When SQLite has had to roll the transaction back (disk full in a
 * commit), every later call fails with CAEFS_ERR_IO: what callers were told has
 * not happened, so nothing may build upon it.
 *
 * Nothing is cached here but prepared statements.
 *
 * Thread safety: none.  The store holds its catalogue mutex around every call.
 */
#ifndef CAEFS_META_META_H
#define CAEFS_META_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"

#define META_ROOT_INODE 1
#define META_NAME_MAX   255     /* bytes of a name */

/* The first entry number; readdir uses the smaller ones for "." and "..". */
#define META_FIRST_ENTRY 3

struct meta;

/* ---- the database ------------------------------------------------------- */

enum meta_mode {
        META_WRITE,
        META_READ,              /* beside a living writer: sees what it commits */
        META_READ_IMMUTABLE,    /* nobody writes, and the WAL is empty */
        META_READ_LOG,          /* nobody writes, and a dead writer left a WAL: its index is
                                 * made in memory, and nothing beside the catalogue */
};

/* Makes the catalogue PATH, which must not exist, with an empty root directory
 * that belongs to UID and GID; NOW is in nanoseconds since 1970. */
enum caefs_err meta_make(const char *path, uint32_t uid, uint32_t gid, int64_t now);

/* Opens it, and brings an older schema up to date when MODE is META_WRITE.
 * CAEFS_ERR_VERSION: written by a newer caefs.  CAEFS_ERR_CORRUPT: no catalogue. */
enum caefs_err meta_open(const char *path, enum meta_mode mode, struct meta **out);

/* Drops what is not committed.  NULL: nothing. */
void meta_close(struct meta *m);

/* Durable when it returns.  On failure the catalogue is as it was at the last
 * commit and refuses every later change. */
enum caefs_err meta_commit(struct meta *m);

/* True from the first change until the commit. */
bool meta_is_changed(const struct meta *m);

/* Bytes of changes in the open transaction, roughly and rather too many: what
 * its commit may need on the disk. */
uint64_t meta_weight(const struct meta *m);

/* True after a failed commit. */
bool meta_has_failed(const struct meta *m);
enum meta_mode meta_mode(const struct meta *m);

/* A point to return to.  One at a time: meta_mark(), changes, then meta_keep()
 * or meta_undo(). */
enum caefs_err meta_mark(struct meta *m);
void           meta_keep(struct meta *m);
void           meta_undo(struct meta *m);

/* The checksums of pages, and SQLite's own check of them and of indexes; each finding is told. */
typedef void meta_tell(void *context, const char *sentence);
enum caefs_err meta_check_pages(struct meta *m, meta_tell *tell, void *context);

/* ---- inodes ------------------------------------------------------------- */

/* The numbers are in the schema. */
enum meta_state {
        META_EMPTY = 0,         /* no bytes; all that are not regular files */
        META_STAGED = 1,        /* exact bytes in staging/INO.GENERATION */
        META_SEALED = 2,        /* bytes in OBJECT */
};

/* What a regular file holds. */
struct meta_content {
        enum meta_state state;
        uint64_t        size;           /* logical bytes; of a symlink, its target's */
        uint64_t        generation;     /* staged: of the staging file; else 0 */
        uint64_t        object;         /* sealed: its object; staged: the object that it
                                         * rewrites; 0: none */
        int64_t         mtime;          /* nanoseconds since 1970 */
};

struct meta_inode {
        uint64_t            ino;
        uint32_t            mode;       /* st_mode */
        uint32_t            nlink;      /* 0: unlinked, still open */
        uint32_t            uid;
        uint32_t            gid;
        uint64_t            rdev;
        int64_t             atime;      /* nanoseconds since 1970 */
        int64_t             ctime;
        struct meta_content content;

        /* Read only: they follow from other rows. */
        uint64_t            stored_bytes;       /* sealed: of its object */
        bool                has_xattrs;         /* there is one at least */
        bool                has_capability;     /* security.capability is there */
};

/* CAEFS_ERR_NO_ENTRY. */
enum caefs_err meta_inode_read(struct meta *m, uint64_t ino, struct meta_inode *out);

/* Gives INODE->ino a number that was never used before. */
enum caefs_err meta_inode_insert(struct meta *m, struct meta_inode *inode);

/* Everything but the content; content.mtime is written unless KEEP_MTIME. */
enum caefs_err meta_inode_write(struct meta *m, const struct meta_inode *inode,
                                bool keep_mtime);

/* The content alone, and the change time that goes with it. */
enum caefs_err meta_inode_write_content(struct meta *m, uint64_t ino,
                                        const struct meta_content *content, int64_t ctime);

/* The row with its target, attributes and properties. */
enum caefs_err meta_inode_delete(struct meta *m, uint64_t ino);

/* Numbers above AFTER, ascending, at most LIMIT of them; *COUNT of them come. */
enum caefs_err meta_unlinked_list(struct meta *m, uint64_t after, uint64_t *inodes,
                                  size_t limit, size_t *count);
enum caefs_err meta_staged_list(struct meta *m, uint64_t after, struct meta_inode *inodes,
                                size_t limit, size_t *count);

/* The largest staging generation in any row. */
enum caefs_err meta_generation_max(struct meta *m, uint64_t *generation);

/* Keeps numbers that a lost transaction may have shown to somebody from being given again. */
enum caefs_err meta_inode_skip(struct meta *m, uint64_t count);

/* Why a file could not be sealed, as a sentence; NULL: all is well. */
enum caefs_err meta_trouble_write(struct meta *m, uint64_t ino, const char *sentence);
enum caefs_err meta_trouble_read(struct meta *m, uint64_t ino, char *sentence, size_t size);

enum caefs_err meta_target_write(struct meta *m, uint64_t ino, const char *target);
/* Cut to SIZE - 1 bytes and a NUL.  CAEFS_ERR_NO_ENTRY. */
enum caefs_err meta_target_read(struct meta *m, uint64_t ino, char *target, size_t size);

/* ---- names -------------------------------------------------------------- */

struct meta_entry {
        uint64_t entry;                 /* grows with every insertion, never reused */
        uint64_t parent;
        uint64_t ino;
        char     name[META_NAME_MAX + 1];
};

/* CAEFS_ERR_NO_ENTRY. */
enum caefs_err meta_entry_find(struct meta *m, uint64_t parent, const char *name,
                               struct meta_entry *out);
/* The first name that INO was given, of those it still has. */
enum caefs_err meta_entry_of(struct meta *m, uint64_t ino, struct meta_entry *out);
enum caefs_err meta_entry_insert(struct meta *m, uint64_t parent, const char *name,
                                 uint64_t ino, uint64_t *entry);
enum caefs_err meta_entry_delete(struct meta *m, uint64_t entry);
/* The same entry under another name: a walk that is under way still meets it once. */
enum caefs_err meta_entry_move(struct meta *m, uint64_t entry, uint64_t parent,
                               const char *name);
enum caefs_err meta_entry_point(struct meta *m, uint64_t entry, uint64_t ino);
/* Entries of PARENT above AFTER, in order, at most LIMIT. */
enum caefs_err meta_entry_list(struct meta *m, uint64_t parent, uint64_t after,
                               struct meta_entry *entries, size_t limit, size_t *count);
/* Entries of PARENT whose names come before NAME byte by byte, the nearest first. */
enum caefs_err meta_entry_before(struct meta *m, uint64_t parent, const char *name,
                                 struct meta_entry *entries, size_t limit, size_t *count);
enum caefs_err meta_directory_is_empty(struct meta *m, uint64_t ino, bool *empty);

/* ---- extended attributes and properties --------------------------------- */

/* VALUE is appended to (cleared first).  CAEFS_ERR_NO_ATTRIBUTE. */
enum caefs_err meta_xattr_read(struct meta *m, uint64_t ino, const char *name,
                               struct bytes *value);
enum caefs_err meta_xattr_write(struct meta *m, uint64_t ino, const char *name,
                                const void *value, size_t size);
enum caefs_err meta_xattr_delete(struct meta *m, uint64_t ino, const char *name);
/* Every name with its NUL, one after the other. */
enum caefs_err meta_xattr_list(struct meta *m, uint64_t ino, struct bytes *names);

enum caefs_err meta_property_read(struct meta *m, uint64_t ino, const char *name,
                                  char *value, size_t size);
enum caefs_err meta_property_write(struct meta *m, uint64_t ino, const char *name,
                                   const char *value);
enum caefs_err meta_property_delete(struct meta *m, uint64_t ino, const char *name);
enum caefs_err meta_property_list(struct meta *m, uint64_t ino, struct bytes *names);
/* TAKE is called for each that INO has itself; it may not call the catalogue. */
enum caefs_err meta_property_each(struct meta *m, uint64_t ino,
                                  void (*take)(void *context, const char *name,
                                               const char *value), void *context);

/* ---- objects ------------------------------------------------------------ */

struct meta_object {
        uint64_t id;
        uint64_t logical_bytes;
        uint64_t stored_bytes;
        char     bound[32];             /* as bound_format() writes it */
        char     codec[64];             /* families, largest first */
        double   worst;                 /* largest |x' - x| */
        double   worst_over_bound;
        uint64_t model;                 /* hash of the model it needs; 0: none */
        uint64_t reference;             /* the object that it refers to, its key; 0: none */
        uint64_t lossy_values;
        char     fallback[96];          /* why not all of it is within a bound; or "" */
        bool     is_inline;             /* its bytes are in the catalogue */
};

/* The number of an object that is about to be made: above all that exist. */
enum caefs_err meta_object_next(struct meta *m, uint64_t *id);

/* DATA, (stored_bytes), goes into the catalogue; NULL: the object is a file. */
enum caefs_err meta_object_insert(struct meta *m, const struct meta_object *object,
                                  const void *data);
enum caefs_err meta_object_read(struct meta *m, uint64_t id, struct meta_object *out);
/* The bytes of an object that is in the catalogue. */
enum caefs_err meta_object_data(struct meta *m, uint64_t id, struct bytes *data);
enum caefs_err meta_object_delete(struct meta *m, uint64_t id);
/* Objects above AFTER, ascending. */
enum caefs_err meta_object_list(struct meta *m, uint64_t after, struct meta_object *objects,
                                size_t limit, size_t *count);

/* An inode whose bytes it is, or whose bytes it was before they were rewritten.
 * CAEFS_ERR_NO_ENTRY: none. */
enum caefs_err meta_object_file(struct meta *m, uint64_t id, uint64_t *ino);
/* How many objects refer to it. */
enum caefs_err meta_object_dependents(struct meta *m, uint64_t id, uint64_t *count);

/* ---- models and history ------------------------------------------------- */

struct meta_model {
        uint64_t hash;
        uint64_t bytes;
        uint64_t objects;               /* how many need it */
        int64_t  created;               /* seconds since 1970 */
};

/* Nothing happens when a model of that hash is there. */
enum caefs_err meta_model_insert(struct meta *m, uint64_t hash, const void *blob, size_t size,
                                 const char *record_json, int64_t created);
enum caefs_err meta_model_data(struct meta *m, uint64_t hash, struct bytes *blob);
/* How it was trained, JSON, or nothing; cleared first.  CAEFS_ERR_NO_ENTRY. */
enum caefs_err meta_model_record(struct meta *m, uint64_t hash, struct bytes *json);
enum caefs_err meta_model_record_write(struct meta *m, uint64_t hash, const char *json);
/* Inodes that need it, at most LIMIT: by their property, or by their object or the one that
 * it refers to. */
enum caefs_err meta_model_owners(struct meta *m, uint64_t hash, uint64_t *inodes, size_t limit,
                                 size_t *count);
enum caefs_err meta_model_files(struct meta *m, uint64_t hash, uint64_t *inodes, size_t limit,
                                size_t *count);
/* CAEFS_ERR_BUSY while an object or a property needs it; CAEFS_ERR_NO_ENTRY. */
enum caefs_err meta_model_delete(struct meta *m, uint64_t hash);
/* Models in the order in which they came, after the first SKIP. */
enum caefs_err meta_model_list(struct meta *m, size_t skip, struct meta_model *models,
                               size_t limit, size_t *count);

/* ---- trash -------------------------------------------------------------- */

/* A file that no row will need once the transaction is committed, and which is
 * removed after that.  The row outlives a crash between the two. */
struct meta_trash {
        enum { META_TRASH_STAGING = 1, META_TRASH_OBJECT = 2 } kind;
        uint64_t id;                    /* of an object, or the inode number */
        uint64_t generation;            /* of a staging file; 0 */
};

enum caefs_err meta_trash_insert(struct meta *m, const struct meta_trash *trash);
enum caefs_err meta_trash_delete(struct meta *m, const struct meta_trash *trash);
/* CAEFS_ERR_NO_ENTRY when it is not trash. */
enum caefs_err meta_trash_find(struct meta *m, const struct meta_trash *trash);
enum caefs_err meta_trash_list(struct meta *m, struct meta_trash *trash, size_t limit,
                               size_t *count);

/* ---- checks ------------------------------------------------------------- */

/* Runs the checks of structure: entries without inodes, wrong link counts, files
 * without objects, objects without files, unreachable directories, models that are
 * missing.  Each finding is told. */
enum caefs_err meta_check_structure(struct meta *m, meta_tell *tell, void *context);

/* Sums over everything, which read every row once: a second for millions. */
struct meta_totals {
        uint64_t files;                 /* regular ones */
        uint64_t logical_bytes;         /* of them */
        uint64_t staged_files;          /* not sealed yet */
        uint64_t staged_bytes;          /* of those */
        uint64_t objects;
        uint64_t stored_bytes;          /* of the objects */
        uint64_t models;
        uint64_t model_bytes;
};
enum caefs_err meta_totals(struct meta *m, struct meta_totals *out);

/* The reasons why objects are not all within a bound, and how many have each; the most
 * frequent first, LIMIT at most. */
enum caefs_err meta_fallbacks(struct meta *m, size_t limit,
                              void (*tell)(void *context, const char *reason, uint64_t objects),
                              void *context);

/* ---- repairs ------------------------------------------------------------ */

/* Can all of the catalogue PATH be read and trusted?  What is wrong is told; nobody else may
 * have it open.  When it cannot be opened at all it is not sound. */
enum caefs_err meta_examine(const char *path, bool *is_sound, meta_tell *tell, void *context);

/* Makes the catalogue TO, which must not exist, from what can be read of FROM. */
enum caefs_err meta_rebuild(const char *from, const char *to, meta_tell *tell, void *context);

/* Mends what meta_check_structure() finds, as far as rows can: names that lead nowhere are
 * removed, what has no name gets one in /lost+found, link counts are set.  Each change is told,
 * with the name that a file had. */
enum caefs_err meta_repair_structure(struct meta *m, meta_tell *tell, void *context);

/* The bytes of INO are nowhere: meta_repair_structure() will remove it. */
enum caefs_err meta_lose_content(struct meta *m, uint64_t ino);

/* The first object above AFTER that no file needs; 0: none. */
enum caefs_err meta_object_unused(struct meta *m, uint64_t after, uint64_t *id);

#endif
