/* meta/meta_rebuild.c - a new catalogue from what can be read of a damaged one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- where the schema is damaged ---------------------------------------- */

#define PAGE_SIZE      4096
#define HEADER_COUNTS  28       /* in page 1: pages, first free page, free pages; 4 bytes each */

/* The page numbers where tables and indexes of M begin: all others that it has, being empty, are of the
 * schema. */
static enum caefs_err
find_roots(struct meta *m, bool *is_root, uint32_t npages)
{
        sqlite3_stmt *s;
        int code = sqlite3_prepare_v2(m->db, "SELECT rootpage FROM sqlite_schema", -1, &s, NULL);

        while (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
                int64_t page = sqlite3_column_int64(s, 0);
                if (page > 0 && page <= npages)
                        is_root[page] = true;
                code = SQLITE_OK;
        }
        enum caefs_err err = code == SQLITE_DONE ? CAEFS_OK : meta_fail(m, code);
        sqlite3_finalize(s);
        return err;
}

/* Page NUMBER of FRESH over that of OUT, whose size in pages the first one says. */
static int
graft_page(int fresh, int out, uint32_t number, uint32_t npages)
{
        unsigned char page[PAGE_SIZE];
        off_t         at = (off_t) (number - 1) * PAGE_SIZE;

        if (pread(fresh, page, sizeof page, at) != PAGE_SIZE)
                return -1;
        if (number == 1) {
                memset(page + HEADER_COUNTS, 0, 12);
                for (int i = 0; i < 4; i++)
                        page[HEADER_COUNTS + i] = (unsigned char) (npages >> (24 - 8 * i));
                page_vfs_seal(page, number);
        }
        return pwrite(out, page, sizeof page, at) == PAGE_SIZE ? 0 : -1;
}

static int
copy_bytes(int from, int to)
{
        char    buffer[16 * PAGE_SIZE];
        ssize_t n;
        off_t   at = 0;

        while ((n = pread(from, buffer, sizeof buffer, at)) > 0) {
                if (pwrite(to, buffer, (size_t) n, at) != n)
                        return -1;
                at += n;
        }
        return n < 0 ? -1 : 0;
}

/* OUT becomes a copy of FROM with the schema of FRESH, an empty catalogue.  Tables begin at the
 * same pages in both, since caefs makes them all at once and never moves them. */
static enum caefs_err
graft(const char *from, const char *fresh, const char *out)
{
        struct meta   *m;
        struct stat    st = { 0 }, fresh_st = { 0 };
        enum caefs_err err = meta_open(fresh, META_READ_IMMUTABLE, &m);

        if (err != CAEFS_OK)
                return err;
        int fds[3] = { open(from, O_RDONLY | O_CLOEXEC), open(fresh, O_RDONLY | O_CLOEXEC),
                       open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) };
        if (fds[0] < 0 || fds[1] < 0 || fds[2] < 0 || fstat(fds[0], &st) < 0 ||
            fstat(fds[1], &fresh_st) < 0 || copy_bytes(fds[0], fds[2]) < 0)
                err = caefs_fail_errno("%s", out);
        uint32_t npages = (uint32_t) (st.st_size / PAGE_SIZE);
        uint32_t fresh_pages = (uint32_t) (fresh_st.st_size / PAGE_SIZE);
        bool    *is_root = calloc((size_t) fresh_pages + 1, sizeof *is_root);
        if (err == CAEFS_OK)
                err = is_root == NULL ? CAEFS_ERR_NOMEM : find_roots(m, is_root, fresh_pages);
        for (uint32_t i = 1; err == CAEFS_OK && i <= fresh_pages && i <= npages; i++)
                if (!is_root[i] && graft_page(fds[1], fds[2], i, npages) < 0)
                        err = caefs_fail_errno("%s", out);
        free(is_root);
        meta_close(m);
        for (int i = 0; i < 3; i++)
                if (fds[i] >= 0)
                        close(fds[i]);
        return err;
}

/* Opens FROM for reading or, when its schema is damaged, a copy GRAFTED of it with that of FRESH. */
static enum caefs_err
open_damaged(const char *from, const char *fresh, const char *grafted, struct meta **out)
{
        enum caefs_err err = meta_open(from, META_READ, out);

        if (err == CAEFS_OK && sqlite3_exec((*out)->db, "SELECT * FROM inode, dirent, object LIMIT 0",
                                            NULL, NULL, NULL) == SQLITE_OK)
                return CAEFS_OK;
        if (err == CAEFS_OK)
                meta_close(*out);
        else if (err != CAEFS_ERR_CORRUPT)
                return err;
        err = graft(from, fresh, grafted);
        return err == CAEFS_OK ? meta_open(grafted, META_READ_IMMUTABLE, out) : err;
}

/* ---- all of it ---------------------------------------------------------- */

static enum caefs_err
copy_tables(struct copy *c)
{
        enum caefs_err err = meta_begin(c->to);

        if (err == CAEFS_OK)
                err = meta_execute(c->to, "DELETE FROM inode; DELETE FROM history");
        for (size_t i = 0; err == CAEFS_OK && i < sizeof tables / sizeof tables[0]; i++) {
                c->table = tables[i].name;
                c->key = tables[i].key;
                copy_table(c);
        }
        /* Numbers that were given and cannot be read are not given again. */
        if (err == CAEFS_OK)
                err = meta_inode_skip(c->to, LOST_NUMBERS);
        return err == CAEFS_OK ? meta_commit(c->to) : err;
}

enum caefs_err
meta_rebuild(const char *from, const char *to, meta_tell *tell, void *context)
{
        struct copy    c = { .tell = tell, .context = context };
        struct bytes   grafted = { 0 };
        enum caefs_err err = meta_make(to, 0, 0, 0);

        if (err != CAEFS_OK)
                return err;
        bytes_put(&grafted, to, strlen(to));
        bytes_put(&grafted, ".grafted", sizeof ".grafted");
        if (grafted.failed)
                return CAEFS_ERR_NOMEM;
        err = open_damaged(from, to, (const char *) grafted.data, &c.from);
        if (err == CAEFS_OK)
                err = meta_open(to, META_WRITE, &c.to);
        if (err == CAEFS_OK)
                err = copy_tables(&c);
        meta_close(c.to);
        meta_close(c.from);
        unlink((const char *) grafted.data);
        bytes_free(&grafted);
        return err;
}
