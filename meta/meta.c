/* meta/meta.c - the connection, its transaction, and how statements run. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "meta/meta_internal.h"
#include "meta/page_vfs.h"

#define CACHE_KIB   "16384"
#define CACHE_BYTES ((uint64_t) 16384 << 10)

/* A page that a change touches, and which no other did: see meta_weight(). */
#define CHANGE_WEIGHT 4096

static const struct {
        int            code;
        enum caefs_err err;
} codes[] = {
        { SQLITE_FULL, CAEFS_ERR_NO_SPACE },   { SQLITE_NOMEM, CAEFS_ERR_NOMEM },
        { SQLITE_CORRUPT, CAEFS_ERR_CORRUPT }, { SQLITE_NOTADB, CAEFS_ERR_CORRUPT },
        { SQLITE_BUSY, CAEFS_ERR_BUSY },       { SQLITE_LOCKED, CAEFS_ERR_BUSY },
        { SQLITE_READONLY, CAEFS_ERR_READ_ONLY }, { SQLITE_TOOBIG, CAEFS_ERR_LIMIT },
        { SQLITE_CONSTRAINT, CAEFS_ERR_EXISTS },
};

enum caefs_err
meta_fail(struct meta *m, int code)
{
        enum caefs_err err = CAEFS_ERR_IO;

        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
                if (codes[i].code == (code & 0xff))
                        err = codes[i].err;
        /* To SQLite a quota is an error like any other. */
        if (err == CAEFS_ERR_IO && sqlite3_system_errno(m->db) == EDQUOT)
                err = CAEFS_ERR_QUOTA;
        /* SQLite has taken back changes that callers were told of. */
        if (m->is_open && sqlite3_get_autocommit(m->db)) {
                m->is_open = false;
                m->has_failed = m->has_failed || m->weight > 0;
        }
        return caefs_fail(err, "the catalogue: %s", sqlite3_errmsg(m->db));
}

static sqlite3_stmt *
statement_of(struct meta *m, enum statement id)
{
        if (m->statement[id] == NULL) {
                int code = sqlite3_prepare_v3(m->db, statement_text[id], -1,
                                              SQLITE_PREPARE_PERSISTENT,
                                              &m->statement[id], NULL);
                if (code != SQLITE_OK)
                        meta_fail(m, code);
        }
        return m->statement[id];
}

static int
bind_one(sqlite3_stmt *s, int index, char type, va_list *arguments)
{
        const char *text;

        switch (type) {
        case 'i':
                return sqlite3_bind_int64(s, index, va_arg(*arguments, int64_t));
        case 'd':
                return sqlite3_bind_double(s, index, va_arg(*arguments, double));
        case 's':
                text = va_arg(*arguments, const char *);
                return sqlite3_bind_text(s, index, text, -1, SQLITE_TRANSIENT);
        case 'n':
                text = va_arg(*arguments, const char *);
                return sqlite3_bind_blob64(s, index, text, strlen(text), SQLITE_TRANSIENT);
        default: {
                const void *data = va_arg(*arguments, const void *);
                size_t size = va_arg(*arguments, size_t);
                if (data == NULL)
                        return sqlite3_bind_null(s, index);
                return sqlite3_bind_blob64(s, index, data, size, SQLITE_STATIC);
        }
        }
}

static sqlite3_stmt *
bind_all(struct meta *m, enum statement id, const char *types, va_list *arguments)
{
        sqlite3_stmt *s = statement_of(m, id);

        if (s == NULL)
                return NULL;
        for (int i = 0; types[i] != '\0'; i++) {
                int code = bind_one(s, i + 1, types[i], arguments);
                if (code != SQLITE_OK) {
                        meta_fail(m, code);
                        return NULL;
                }
        }
        return s;
}

sqlite3_stmt *
meta_bind(struct meta *m, enum statement id, const char *types, ...)
{
        va_list arguments;

        va_start(arguments, types);
        sqlite3_stmt *s = bind_all(m, id, types, &arguments);
        va_end(arguments);
        return s;
}

enum caefs_err
meta_step(struct meta *m, sqlite3_stmt *statement)
{
        if (statement == NULL)
                return CAEFS_ERR_IO;    /* meta_bind() has said why */
        int code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
                return CAEFS_OK;
        enum caefs_err err = code == SQLITE_DONE ? CAEFS_ERR_NO_ENTRY : meta_fail(m, code);
        meta_done(statement);
        return err;
}

void
meta_done(sqlite3_stmt *statement)
{
        sqlite3_reset(statement);
        /* Bound values of the caller's may not outlive the call. */
        sqlite3_clear_bindings(statement);
}

static enum caefs_err
run(struct meta *m, enum statement id)
{
        enum caefs_err err = meta_step(m, statement_of(m, id));

        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}

enum caefs_err
meta_begin(struct meta *m)
{
        if (m->has_failed)
                return caefs_fail(CAEFS_ERR_IO, "the catalogue could not be written earlier; "
                                  "changes are refused until the store is opened again");
        if (m->mode != META_WRITE)
                return CAEFS_ERR_READ_ONLY;
        if (m->is_open)
                return CAEFS_OK;
        enum caefs_err err = run(m, ST_BEGIN);
        m->is_open = err == CAEFS_OK;
        return err;
}

enum caefs_err
meta_change(struct meta *m, enum statement id, const char *types, ...)
{
        enum caefs_err err = meta_begin(m);
        if (err != CAEFS_OK)
                return err;

        va_list arguments;
        va_start(arguments, types);
        sqlite3_stmt *s = bind_all(m, id, types, &arguments);
        va_end(arguments);
        m->weight += CHANGE_WEIGHT;
        err = meta_step(m, s);
        if (err == CAEFS_OK)
                meta_done(s);
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}

enum caefs_err
meta_mark(struct meta *m)
{
        enum caefs_err err = meta_begin(m);

        return err != CAEFS_OK ? err : run(m, ST_MARK);
}

void
meta_keep(struct meta *m)
{
        run(m, ST_KEEP);
}

void
meta_undo(struct meta *m)
{
        if (!m->is_open)
                return;         /* SQLite has undone it all, and has_failed is set */
        run(m, ST_UNDO);
        run(m, ST_KEEP);
}

enum caefs_err
meta_commit(struct meta *m)
{
        if (m->has_failed)
                return meta_begin(m);
        if (!m->is_open)
                return CAEFS_OK;
        enum caefs_err err = run(m, ST_COMMIT);
        if (err != CAEFS_OK) {
                if (!sqlite3_get_autocommit(m->db)) {
                        char why[256];
                        snprintf(why, sizeof why, "%s", caefs_detail());
                        run(m, ST_ROLLBACK);
                        caefs_fail(err, "%s", why);
                }
                m->has_failed = true;
        }
        m->is_open = false;
        m->weight = 0;
        return err;
}

bool
meta_is_changed(const struct meta *m)
{
        return m->weight > 0;
}

uint64_t
meta_weight(const struct meta *m)
{
        int cached = 0, unused;

        /* Changed pages are in the cache, since spilling is off; most changes share theirs with
         * others. */
        if (m->weight < CACHE_BYTES / 8 ||
            sqlite3_db_status(m->db, SQLITE_DBSTATUS_CACHE_USED, &cached, &unused, 0) != SQLITE_OK)
                return m->weight;
        return m->weight < (uint64_t) cached ? m->weight : (uint64_t) cached;
}

bool
meta_has_failed(const struct meta *m)
{
        return m->has_failed;
}

enum meta_mode
meta_mode(const struct meta *m)
{
        return m->mode;
}

void
meta_column_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
        const void *text = sqlite3_column_blob(statement, column);
        size_t n = (size_t) sqlite3_column_bytes(statement, column);

        if (text == NULL)
                n = 0;
        if (n > size - 1)
                n = size - 1;
        if (n > 0)
                memcpy(out, text, n);
        out[n] = '\0';
}

void
meta_column_append(sqlite3_stmt *statement, int column, bool nul, struct bytes *out)
{
        const void *text = sqlite3_column_blob(statement, column);

        if (text != NULL)
                bytes_put(out, text, (size_t) sqlite3_column_bytes(statement, column));
        if (nul)
                bytes_put_u8(out, 0);
}

/* ---- opening ------------------------------------------------------------ */

enum caefs_err
meta_execute(struct meta *m, const char *sql)
{
        int code = sqlite3_exec(m->db, sql, NULL, NULL, NULL);

        return code == SQLITE_OK ? CAEFS_OK : meta_fail(m, code);
}

static enum caefs_err
pragma_number(struct meta *m, const char *sql, int64_t *value)
{
        sqlite3_stmt *s;
        int code = sqlite3_prepare_v2(m->db, sql, -1, &s, NULL);

        if (code != SQLITE_OK)
                return meta_fail(m, code);
        code = sqlite3_step(s);
        *value = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
        enum caefs_err err = code == SQLITE_ROW ? CAEFS_OK : meta_fail(m, code);
        sqlite3_finalize(s);
        return err;
}

/* PATH as a URI: what would end or change it is escaped. */
static void
uri_of(const char *path, const char *parameters, struct bytes *uri)
{
        static const char digits[] = "0123456789ABCDEF";

        bytes_put(uri, "file:", 5);
        for (; *path != '\0'; path++) {
                unsigned char c = (unsigned char) *path;
                if (strchr("?#%", c) != NULL) {
                        bytes_put_u8(uri, '%');
                        bytes_put_u8(uri, (uint8_t) digits[c >> 4]);
                        bytes_put_u8(uri, (uint8_t) digits[c & 15]);
                } else {
                        bytes_put_u8(uri, c);
                }
        }
        bytes_put(uri, parameters, strlen(parameters) + 1);
}

static enum caefs_err
connect_to(const char *path, enum meta_mode mode, bool create, struct meta **out)
{
        static const char *const parameters[] = {
                [META_WRITE] = "", [META_READ] = "", [META_READ_IMMUTABLE] = "?immutable=1",
                [META_READ_LOG] = "",
        };
        int flags = mode != META_WRITE ? SQLITE_OPEN_READONLY
                    : create           ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                       : SQLITE_OPEN_READWRITE;
        struct meta *m = calloc(1, sizeof *m);
        struct bytes uri = { 0 };

        *out = NULL;
        if (m == NULL)
                return CAEFS_ERR_NOMEM;
        m->mode = mode;
        uri_of(path, parameters[mode], &uri);
        if (uri.failed) {
                meta_close(m);
                return CAEFS_ERR_NOMEM;
        }
        int code = sqlite3_open_v2((const char *) uri.data, &m->db,
                                   flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
                                           SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                                   page_vfs_name(mode != META_READ_LOG));
        bytes_free(&uri);
        enum caefs_err err = code == SQLITE_OK ? CAEFS_OK : meta_fail(m, code);
        if (err == CAEFS_OK) {
                sqlite3_busy_timeout(m->db, 5000);
                /* A hostile catalogue may not run code through its schema. */
                sqlite3_db_config(m->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
                sqlite3_db_config(m->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
                sqlite3_db_config(m->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
                *out = m;
        } else {
                meta_close(m);
        }
        return err;
}

/* Spilling is off so that the log is written by commits alone, where the store has
 * made sure of the space; a transaction's pages are few (meta_weight). */
static const char settings[] =
        "PRAGMA journal_mode = WAL;"
        "PRAGMA synchronous = FULL;"
        "PRAGMA cache_spill = OFF;"
        "PRAGMA cache_size = -" CACHE_KIB ";"
        "PRAGMA wal_autocheckpoint = 4096;"
        "PRAGMA temp_store = MEMORY;"
        "PRAGMA journal_size_limit = 33554432;";

static enum caefs_err
check_version(struct meta *m, const char *path, int64_t *version)
{
        int64_t application;
        enum caefs_err err = pragma_number(m, "PRAGMA application_id", &application);

        if (err == CAEFS_OK)
                err = pragma_number(m, "PRAGMA user_version", version);
        if (err != CAEFS_OK)
                return err;
        if (application != SCHEMA_APPLICATION || *version < 1)
                return caefs_fail(CAEFS_ERR_CORRUPT, "%s is not the catalogue of a store",
                                  path);
        if (*version > SCHEMA_VERSION)
                return caefs_fail(CAEFS_ERR_VERSION,
                                  "%s was written by a newer caefs (schema %lld, this one "
                                  "knows up to %d): use that version",
                                  path, (long long) *version, SCHEMA_VERSION);
        return CAEFS_OK;
}

static enum caefs_err
migrate(struct meta *m, int64_t version)
{
        enum caefs_err err = CAEFS_OK;

        for (; err == CAEFS_OK && version < SCHEMA_VERSION; version++) {
                err = meta_execute(m, "BEGIN IMMEDIATE");
                if (err == CAEFS_OK)
                        err = meta_execute(m, schema_step[version + 1]);
                if (err == CAEFS_OK)
                        err = meta_execute(m, "COMMIT");
        }
        return err;
}

enum caefs_err
meta_open(const char *path, enum meta_mode mode, struct meta **out)
{
        struct meta *m;
        int64_t version;

        *out = NULL;
        enum caefs_err err = connect_to(path, mode, false, &m);
        if (err != CAEFS_OK)
                return err;
        /* SQLite keeps the log's index in memory when it need not share it.  The locks that
         * this would take are the store's: unix-none has none. */
        if (mode == META_READ_LOG)
                err = meta_execute(m, "PRAGMA locking_mode = EXCLUSIVE");
        if (err == CAEFS_OK)
                err = check_version(m, path, &version);
        if (err == CAEFS_OK && mode == META_WRITE)
                err = meta_execute(m, settings);
        if (err == CAEFS_OK && mode == META_WRITE) {
                err = migrate(m, version);
                /* After a crash pages may be torn that the log has whole.  Should it fail, the
                 * log is still there. */
                sqlite3_wal_checkpoint_v2(m->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        } else if (err == CAEFS_OK && version < SCHEMA_VERSION)
                err = caefs_fail(CAEFS_ERR_VERSION, "%s has an older schema: "
                                 "open the store for writing once", path);
        if (err != CAEFS_OK) {
                meta_close(m);
                return err;
        }
        *out = m;
        return CAEFS_OK;
}

static enum caefs_err
insert_root(struct meta *m, uint32_t uid, uint32_t gid, int64_t now)
{
        char sql[512];

        snprintf(sql, sizeof sql,
                 "INSERT INTO inode (ino, mode, nlink, uid, gid, rdev, atime, ctime, mtime,"
                 " state, size, generation, object)"
                 " VALUES (%d, %u, 2, %u, %u, 0, %lld, %lld, %lld, 0, 0, 0, 0);"
                 "INSERT INTO history (time, kind) VALUES (%lld, 'mkfs');",
                 META_ROOT_INODE, S_IFDIR | 0755u, uid, gid, (long long) now,
                 (long long) now, (long long) now, (long long) (now / 1000000000));
        return meta_execute(m, sql);
}

/* Before anything is in the database. */
static enum caefs_err
reserve_checksums(struct meta *m)
{
        int reserved = PAGE_VFS_RESERVED;
        int code = sqlite3_file_control(m->db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);

        return code == SQLITE_OK ? meta_execute(m, "PRAGMA page_size = 4096") : meta_fail(m, code);
}

enum caefs_err
meta_make(const char *path, uint32_t uid, uint32_t gid, int64_t now)
{
        struct meta *m;
        enum caefs_err err = connect_to(path, META_WRITE, true, &m);

        if (err != CAEFS_OK)
                return err;
        err = reserve_checksums(m);
        if (err == CAEFS_OK)
                err = meta_execute(m, settings);
        if (err == CAEFS_OK)
                err = migrate(m, 0);
        if (err == CAEFS_OK)
                err = insert_root(m, uid, gid, now);
        meta_close(m);
        return err;
}

void
meta_close(struct meta *m)
{
        if (m == NULL)
                return;
        for (int i = 0; i < ST_COUNT; i++)
                sqlite3_finalize(m->statement[i]);
        sqlite3_close(m->db);
        free(m);
}
