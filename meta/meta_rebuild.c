/* meta/meta_rebuild.c - a new catalogue from what can be read of a damaged one. */
#include <stdio.h>
#include <string.h>

#include "meta/meta_internal.h"
#include "meta/page_vfs.h"

#define LOST_NUMBERS ((uint64_t) 1 << 20)
#define STEP_MAX     ((int64_t) 1 << 62)

/* Each table, and the column that its rows are walked by. */
static const struct {
        const char *name;
        const char *key;
} tables[] = {
        { "inode", "ino" },   { "dirent", "entry" },    { "symlink", "ino" }, { "xattr", "ino" },
        { "property", "ino" }, { "model", "hash" },     { "object", "id" },   { "history", "id" },
        { "trash", "kind" },
};

struct copy {
        struct meta  *from, *to;
        meta_tell    *tell;
        void         *context;
        const char   *table, *key;
        sqlite3_stmt *insert;
        uint64_t      rows;
};

enum caefs_err
meta_examine(const char *path, bool *is_sound, meta_tell *tell, void *context)
{
        struct meta   *m;
        bool           found = false;
        enum caefs_err err = meta_open(path, META_WRITE, &m);

        *is_sound = false;
        if (err != CAEFS_OK)
                return err == CAEFS_ERR_CORRUPT ? CAEFS_OK : err;
        err = meta_check_pages(m, tell, context);
        if (err == CAEFS_OK)
                err = meta_tell_rows(m, "PRAGMA integrity_check(1)", NULL, NULL, &found);
        *is_sound = err == CAEFS_OK && !found && page_vfs_damage(m->db).unproved == 0;
        meta_close(m);
        return err == CAEFS_ERR_CORRUPT ? CAEFS_OK : err;
}

static int
prepare_insert(struct copy *c, sqlite3_stmt *row)
{
        char sql[256];
        int  n = snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO %s VALUES (?", c->table);

        for (int i = 1; i < sqlite3_column_count(row); i++)
                n += snprintf(sql + n, sizeof sql - (size_t) n, ",?");
        snprintf(sql + n, sizeof sql - (size_t) n, ")");
        return sqlite3_prepare_v2(c->to->db, sql, -1, &c->insert, NULL);
}

static int
copy_row(struct copy *c, sqlite3_stmt *row)
{
        int code = c->insert == NULL ? prepare_insert(c, row) : SQLITE_OK;

        for (int i = 0; code == SQLITE_OK && i < sqlite3_column_count(row); i++)
                code = sqlite3_bind_value(c->insert, i + 1, sqlite3_column_value(row, i));
        if (code == SQLITE_OK)
                code = sqlite3_step(c->insert);
        sqlite3_reset(c->insert);
        c->rows += (uint64_t) sqlite3_changes(c->to->db);
        return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Copies rows from KEY on in the direction of ORDER until the end (SQLITE_OK) or to where the
 * table cannot be read (what it says); *LAST becomes the last key that was copied. */
static int
copy_run(struct copy *c, const char *comparison, const char *order, int64_t *last)
{
        char          sql[256];
        sqlite3_stmt *row;

        snprintf(sql, sizeof sql, "SELECT * FROM %s WHERE %s %s ? ORDER BY %s %s", c->table,
                 c->key, comparison, c->key, order);
        int code = sqlite3_prepare_v2(c->from->db, sql, -1, &row, NULL);
        if (code == SQLITE_OK)
                code = sqlite3_bind_int64(row, 1, *last);
        while (code == SQLITE_OK && (code = sqlite3_step(row)) == SQLITE_ROW) {
                *last = sqlite3_column_int64(row, 0);
                code = copy_row(c, row);
        }
        sqlite3_finalize(row);
        return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Over what cannot be read in ever larger steps, and from behind back to it. */
static void
copy_table(struct copy *c)
{
        char    sentence[192];
        int64_t last = INT64_MIN, gap_from, step;

        while (copy_run(c, ">=", "ASC", &last) != SQLITE_OK) {
                gap_from = last;
                int64_t next = last < 0 ? 0 : last;
                for (step = 1; step < STEP_MAX && next < INT64_MAX - step; step *= 2) {
                        last = next += step;
                        uint64_t rows = c->rows;
                        if (copy_run(c, ">=", "ASC", &last) == SQLITE_OK || c->rows > rows)
                                break;
                }
                int64_t back = next;
                copy_run(c, "<=", "DESC", &back);
                snprintf(sentence, sizeof sentence, "the catalogue: rows of %s between %lld and "
                         "%lld cannot all be read", c->table, (long long) gap_from,
                         (long long) back);
                c->tell(c->context, sentence);
                if (step >= STEP_MAX || next >= INT64_MAX - step)
                        break;
        }
        sqlite3_finalize(c->insert);
        c->insert = NULL;
}

enum caefs_err
meta_rebuild(const char *from, const char *to, meta_tell *tell, void *context)
{
        struct copy    c = { .tell = tell, .context = context };
        enum caefs_err err = meta_open(from, META_READ, &c.from);

        if (err != CAEFS_OK)
                return err;
        err = meta_make(to, 0, 0, 0);
        if (err == CAEFS_OK)
                err = meta_open(to, META_WRITE, &c.to);
        if (err == CAEFS_OK)
                err = meta_begin(c.to);
        if (err == CAEFS_OK)
                err = meta_execute(c.to, "DELETE FROM inode; DELETE FROM history");
        for (size_t i = 0; err == CAEFS_OK && i < sizeof tables / sizeof tables[0]; i++) {
                c.table = tables[i].name;
                c.key = tables[i].key;
                copy_table(&c);
        }
        /* Numbers that were given and cannot be read are not given again. */
        if (err == CAEFS_OK)
                err = meta_inode_skip(c.to, LOST_NUMBERS);
        if (err == CAEFS_OK)
                err = meta_commit(c.to);
        meta_close(c.to);
        meta_close(c.from);
        return err;
}
