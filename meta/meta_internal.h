/* meta/meta_internal.h - what the files of meta/ share: statements.
 *
 * Every SQL text is in the table of meta/statements.c under a name of enum
 * statement, prepared at its first use and kept.  Values are bound by a string of
 * types, one letter a parameter:
 *
 *     i  int64_t or uint64_t     s  const char *, NULL: NULL
 *     d  double                  n  const char *, as a BLOB (a name)
 *     b  const void *, size_t    (NULL: NULL)
 */
#ifndef CAEFS_META_META_INTERNAL_H
#define CAEFS_META_META_INTERNAL_H

#include <sqlite3.h>

#include "meta/meta.h"

enum statement {
        ST_BEGIN, ST_COMMIT, ST_ROLLBACK, ST_MARK, ST_KEEP, ST_UNDO,
        ST_INODE_READ, ST_INODE_INSERT, ST_INODE_WRITE, ST_INODE_WRITE_KEEP_MTIME,
        ST_INODE_CONTENT, ST_INODE_DELETE, ST_INODE_SKIP, ST_UNLINKED_LIST, ST_STAGED_LIST,
        ST_GENERATION_MAX, ST_TROUBLE_WRITE, ST_TROUBLE_READ, ST_TARGET_WRITE,
        ST_TARGET_READ, ST_TARGET_DELETE,
        ST_ENTRY_FIND, ST_ENTRY_OF, ST_ENTRY_INSERT, ST_ENTRY_DELETE, ST_ENTRY_MOVE,
        ST_ENTRY_POINT, ST_ENTRY_LIST, ST_ENTRY_BEFORE,
        ST_ENTRY_ANY,
        ST_XATTR_READ, ST_XATTR_WRITE, ST_XATTR_DELETE, ST_XATTR_LIST, ST_XATTR_CLEAR,
        ST_PROPERTY_READ, ST_PROPERTY_WRITE, ST_PROPERTY_DELETE, ST_PROPERTY_LIST,
        ST_PROPERTY_ALL,
        ST_PROPERTY_CLEAR,
        ST_OBJECT_NEXT, ST_OBJECT_INSERT, ST_OBJECT_READ, ST_OBJECT_DATA, ST_OBJECT_DELETE,
        ST_OBJECT_LIST, ST_OBJECT_FILE, ST_OBJECT_DEPENDENTS,
        ST_MODEL_INSERT, ST_MODEL_DATA, ST_MODEL_RECORD, ST_MODEL_RECORD_WRITE, ST_MODEL_USES,
        ST_MODEL_OWNERS, ST_MODEL_FILES, ST_MODEL_DELETE, ST_MODEL_LIST,
        ST_TRASH_INSERT, ST_TRASH_DELETE, ST_TRASH_LIST, ST_TRASH_FIND,
        ST_TOTALS_FILES, ST_TOTALS_OBJECTS, ST_TOTALS_MODELS, ST_FALLBACKS,
        ST_COUNT
};

struct meta {
        sqlite3      *db;
        sqlite3_stmt *statement[ST_COUNT];      /* NULL until first used */
        bool          is_open;                  /* a transaction is */
        bool          has_failed;               /* a transaction was lost */
        uint64_t      weight;                   /* bytes, since the last commit */
        enum meta_mode mode;
};

extern const char *const statement_text[ST_COUNT];

/* The newest schema; what brings version V - 1 to V is schema_step[V]. */
#define SCHEMA_VERSION     1
#define SCHEMA_APPLICATION 0x63616566           /* "caef" */
extern const char *const schema_step[SCHEMA_VERSION + 1];

/* The error for what SQLite has just reported, with its words as the sentence. */
enum caefs_err meta_fail(struct meta *m, int code);

/* A statement with its values bound, ready for meta_step(); NULL with a sentence. */
sqlite3_stmt *meta_bind(struct meta *m, enum statement id, const char *types, ...);

/* The next row: CAEFS_OK, or CAEFS_ERR_NO_ENTRY when there is none, or what went wrong.
 * After anything but CAEFS_OK the statement is reset. */
enum caefs_err meta_step(struct meta *m, sqlite3_stmt *statement);

/* Binds, runs to the end, and counts the change. */
enum caefs_err meta_change(struct meta *m, enum statement id, const char *types, ...);

/* Runs SQL that has no results. */
enum caefs_err meta_execute(struct meta *m, const char *sql);

/* Tells (TELL may be NULL) the first column of every row of SQL, but for those that say "ok";
 * *FOUND becomes true when there is one.  That it cannot be read is told as well. */
enum caefs_err meta_tell_rows(struct meta *m, const char *sql, meta_tell *tell, void *context,
                              bool *found);

/* Begins the transaction unless it is open. */
enum caefs_err meta_begin(struct meta *m);

/* Gives a statement back: its row is no longer valid. */
void meta_done(sqlite3_stmt *statement);

/* A text or BLOB column as a string of at most SIZE - 1 bytes; cut when longer. */
void meta_column_text(sqlite3_stmt *statement, int column, char *out, size_t size);

/* Appends the column and, with NUL, a NUL byte. */
void meta_column_append(sqlite3_stmt *statement, int column, bool nul, struct bytes *out);

#endif
