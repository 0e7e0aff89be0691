/* meta/meta_repair.c - mending what meta_check_structure() finds.
 *
 * Each repair first tells what it will change, one sentence a row, with the names that
 * files had; then it changes that.  Their order matters: the first ones see to it that every name
 * leads somewhere, then what has no name gets one in lost+found, and counts come last.
 */
#include <stdio.h>

#include "meta/meta_internal.h"

/* The path that entry D gives to its file; where it does not lead to the root, the directory's
 * number and the name. */
#define PATH_OF_D \
        "coalesce((WITH RECURSIVE up(ino, path, depth) AS (" \
        "   VALUES (d.parent, CAST(d.name AS TEXT), 0)" \
        "   UNION ALL SELECT e.parent, CAST(e.name AS TEXT) || '/' || path, depth + 1" \
        "   FROM up JOIN dirent e ON e.ino = up.ino AND up.ino <> 1 WHERE depth < 2000)" \
        "  SELECT '/' || path FROM up WHERE ino = 1 LIMIT 1)," \
        " printf('directory %d: %s', d.parent, CAST(d.name AS TEXT)))"

#define IS_DIRECTORY(row) "(" row ".mode & 61440) = 16384"

/* Regular files whose bytes are nowhere, and links that lead nowhere. */
#define WITHOUT_CONTENT \
        "(state = 2 AND NOT EXISTS (SELECT 1 FROM object o WHERE o.id = i.object))" \
        " OR (state = 1 AND generation = 0) OR state NOT IN (0, 1, 2)" \
        " OR ((mode & 61440) = 40960 AND nlink <> 0" \
        "     AND NOT EXISTS (SELECT 1 FROM symlink s WHERE s.ino = i.ino))"

#define BAD_NAME \
        "length(CAST(name AS BLOB)) NOT BETWEEN 1 AND 255 OR instr(CAST(name AS BLOB), x'2f')" \
        " OR instr(CAST(name AS BLOB), x'00') OR CAST(name AS BLOB) IN (x'2e', x'2e2e')" \
        " OR typeof(name) <> 'blob'"

#define ROW_OF_NOBODY(table) \
        { "SELECT printf('%s of inode %d, which is not there: removed', '" table "', ino)" \
          " FROM " table " WHERE ino NOT IN (SELECT ino FROM inode)", \
          "DELETE FROM " table " WHERE ino NOT IN (SELECT ino FROM inode)" }

struct repair {
        const char *tell;       /* a SELECT with a sentence a row */
        const char *change;     /* done when there was one */
};

static const struct repair of_names[] = {
        { "SELECT 'the root directory is not there: made anew' WHERE NOT EXISTS"
          " (SELECT 1 FROM inode WHERE ino = 1 AND (mode & 61440) = 16384 AND nlink > 0)",
          "INSERT INTO inode (ino, mode, nlink, uid, gid, rdev, atime, ctime, mtime, state, size,"
          " generation, object) VALUES (1, 16877, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
          " ON CONFLICT (ino) DO UPDATE SET mode = 16877, nlink = 2, state = 0, size = 0,"
          " generation = 0, object = 0" },

        { "SELECT printf('%s: inode %d is not there: the name is removed', " PATH_OF_D ", d.ino)"
          " FROM dirent d WHERE d.ino NOT IN (SELECT ino FROM inode)",
          "DELETE FROM dirent WHERE ino NOT IN (SELECT ino FROM inode)" },

        { "SELECT printf('%s: inode %d is no directory: the name is removed', " PATH_OF_D
          ", d.parent) FROM dirent d WHERE d.parent NOT IN"
          " (SELECT p.ino FROM inode p WHERE " IS_DIRECTORY("p") ")",
          "DELETE FROM dirent WHERE parent NOT IN"
          " (SELECT p.ino FROM inode p WHERE " IS_DIRECTORY("p") ")" },

        { "SELECT printf('%s: no name that a file can have: it is #%d now', " PATH_OF_D
          ", d.entry) FROM dirent d WHERE " BAD_NAME,
          "UPDATE OR REPLACE dirent SET name = CAST('#' || entry AS BLOB) WHERE " BAD_NAME },

        { "SELECT printf('%s: a second name of directory %d: removed', " PATH_OF_D ", d.ino)"
          " FROM dirent d JOIN inode i ON i.ino = d.ino WHERE " IS_DIRECTORY("i")
          " AND (d.ino = 1 OR d.entry > (SELECT min(entry) FROM dirent f WHERE f.ino = d.ino))",
          "DELETE FROM dirent WHERE entry IN (SELECT d.entry FROM dirent d"
          " JOIN inode i ON i.ino = d.ino WHERE " IS_DIRECTORY("i")
          " AND (d.ino = 1 OR d.entry > (SELECT min(entry) FROM dirent f WHERE f.ino = d.ino)))" },

        { "SELECT printf('%s: what it held is not there: the name is removed', " PATH_OF_D ")"
          " FROM dirent d JOIN inode i ON i.ino = d.ino WHERE " WITHOUT_CONTENT,
          "DELETE FROM dirent WHERE ino IN (SELECT ino FROM inode i WHERE " WITHOUT_CONTENT ")" },

        { "SELECT printf('inode %d: what it held is not there: removed', ino)"
          " FROM inode i WHERE " WITHOUT_CONTENT,
          "DELETE FROM inode AS i WHERE " WITHOUT_CONTENT },

        { "SELECT printf('inode %d: %d bytes, but its object serves %d: so many now', i.ino,"
          " i.size, o.logical) FROM inode i JOIN object o ON o.id = i.object"
          " WHERE i.state = 2 AND o.logical <> i.size",
          "UPDATE inode AS i SET size = (SELECT logical FROM object o WHERE o.id = i.object)"
          " WHERE state = 2 AND size <> (SELECT logical FROM object o WHERE o.id = i.object)" },

        { "SELECT printf('inode %d: the object that it rewrites is not there', ino) FROM inode i"
          " WHERE state <> 2 AND object <> 0 AND object NOT IN (SELECT id FROM object)",
          "UPDATE inode SET object = 0 WHERE state <> 2 AND object <> 0"
          " AND object NOT IN (SELECT id FROM object)" },

        ROW_OF_NOBODY("xattr"),
        ROW_OF_NOBODY("property"),
        ROW_OF_NOBODY("symlink"),
};

/* A directory that cannot be reached: one without a name, else one of a ring, whose name is
 * removed. */
static const char unreachable[] =
        "WITH RECURSIVE reached(ino) AS (VALUES (1) UNION"
        "   SELECT d.ino FROM reached r JOIN dirent d ON d.parent = r.ino"
        "   JOIN inode c ON c.ino = d.ino AND (c.mode & 61440) = 16384)"
        " SELECT i.ino FROM inode i WHERE (i.mode & 61440) = 16384 AND i.nlink <> 0"
        " AND i.ino NOT IN (SELECT ino FROM reached)"
        " ORDER BY EXISTS (SELECT 1 FROM dirent d WHERE d.ino = i.ino), i.ino LIMIT 1";

static const char nameless[] =
        "SELECT i.ino FROM inode i WHERE i.nlink > 0 AND i.ino <> 1"
        " AND NOT EXISTS (SELECT 1 FROM dirent d WHERE d.ino = i.ino) LIMIT 1";

static const struct repair of_counts[] = {
        { "SELECT printf('inode %d: %d names, not %d', ino, count, nlink) FROM"
          " (SELECT ino, nlink, (SELECT count(*) FROM dirent d WHERE d.ino = i.ino) AS count"
          "  FROM inode i WHERE (mode & 61440) <> 16384) WHERE nlink <> count",
          "UPDATE inode AS i SET nlink = (SELECT count(*) FROM dirent d WHERE d.ino = i.ino)"
          " WHERE (mode & 61440) <> 16384"
          " AND nlink <> (SELECT count(*) FROM dirent d WHERE d.ino = i.ino)" },

        { "SELECT printf('directory %d: its link count is %d, not %d', ino, should, nlink) FROM"
          " (SELECT i.ino, i.nlink, 2 + (SELECT count(*) FROM dirent d"
          "         JOIN inode c ON c.ino = d.ino WHERE d.parent = i.ino AND " IS_DIRECTORY("c")
          ") AS should FROM inode i WHERE " IS_DIRECTORY("i") " AND i.nlink <> 0)"
          " WHERE nlink <> should",
          "UPDATE inode AS i SET nlink = 2 + (SELECT count(*) FROM dirent d"
          " JOIN inode c ON c.ino = d.ino WHERE d.parent = i.ino AND " IS_DIRECTORY("c") ")"
          " WHERE " IS_DIRECTORY("i") " AND nlink <> 0" },
};

/* ---- running them ------------------------------------------------------- */

static enum caefs_err
run_repairs(struct meta *m, const struct repair *repairs, size_t count, meta_tell *tell,
            void *context)
{
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                bool found = false;
                err = meta_tell_rows(m, repairs[i].tell, tell, context, &found);
                if (err == CAEFS_OK && found)
                        err = meta_execute(m, repairs[i].change);
        }
        return err;
}

/* The number that SQL selects; 0: none. */
static enum caefs_err
select_number(struct meta *m, const char *sql, int64_t *number)
{
        sqlite3_stmt *s;
        int           code = sqlite3_prepare_v2(m->db, sql, -1, &s, NULL);

        *number = 0;
        if (code == SQLITE_OK)
                code = sqlite3_step(s);
        if (code == SQLITE_ROW)
                *number = sqlite3_column_int64(s, 0);
        enum caefs_err err = code == SQLITE_ROW || code == SQLITE_DONE ? CAEFS_OK
                                                                       : meta_fail(m, code);
        sqlite3_finalize(s);
        return err;
}

/* The directory for what has no name, made if it is not there. */
static enum caefs_err
lost_and_found(struct meta *m, int64_t *ino)
{
        static const char find[] =
                "SELECT d.ino FROM dirent d JOIN inode i ON i.ino = d.ino"
                " WHERE d.parent = 1 AND d.name = CAST('lost+found' AS BLOB)"
                " AND (i.mode & 61440) = 16384";
        enum caefs_err err = select_number(m, find, ino);

        if (err != CAEFS_OK || *ino != 0)
                return err;
        err = meta_execute(m,
                "INSERT INTO inode (mode, nlink, uid, gid, rdev, atime, ctime, mtime, state, size,"
                " generation, object) VALUES (16832, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)");
        *ino = sqlite3_last_insert_rowid(m->db);
        char sql[192];
        snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO dirent (parent, name, ino)"
                 " VALUES (1, CAST('lost+found' AS BLOB), %lld)", (long long) *ino);
        return err == CAEFS_OK ? meta_execute(m, sql) : err;
}

/* Gives each inode that FIND selects, one after the other, a name in lost+found. */
static enum caefs_err
name_lost(struct meta *m, const char *find, meta_tell *tell, void *context)
{
        int64_t        ino, parent;
        char           sql[256], sentence[128];
        enum caefs_err err;

        while ((err = select_number(m, find, &ino)) == CAEFS_OK && ino != 0) {
                err = lost_and_found(m, &parent);
                snprintf(sql, sizeof sql, "DELETE FROM dirent WHERE ino = %lld;"
                         "INSERT OR REPLACE INTO dirent (parent, name, ino)"
                         " VALUES (%lld, CAST('#%lld' AS BLOB), %lld)", (long long) ino,
                         (long long) parent, (long long) ino, (long long) ino);
                if (err == CAEFS_OK)
                        err = meta_execute(m, sql);
                if (err != CAEFS_OK)
                        return err;
                snprintf(sentence, sizeof sentence,
                         "inode %lld cannot be reached: it is /lost+found/#%lld now",
                         (long long) ino, (long long) ino);
                tell(context, sentence);
        }
        return err;
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum caefs_err
meta_repair_structure(struct meta *m, meta_tell *tell, void *context)
{
        enum caefs_err err = meta_begin(m);

        if (err != CAEFS_OK)
                return err;
        m->weight++;            /* so that the commit is made */
        err = run_repairs(m, of_names, COUNT(of_names), tell, context);
        if (err == CAEFS_OK)
                err = name_lost(m, unreachable, tell, context);
        if (err == CAEFS_OK)
                err = name_lost(m, nameless, tell, context);
        return err == CAEFS_OK ? run_repairs(m, of_counts, COUNT(of_counts), tell, context) : err;
}

enum caefs_err
meta_lose_content(struct meta *m, uint64_t ino)
{
        char sql[128];

        enum caefs_err err = meta_begin(m);
        snprintf(sql, sizeof sql, "UPDATE inode SET state = 1, generation = 0, object = 0"
                 " WHERE ino = %llu", (unsigned long long) ino);
        return err == CAEFS_OK ? meta_execute(m, sql) : err;
}

enum caefs_err
meta_object_unused(struct meta *m, uint64_t after, uint64_t *id)
{
        char    sql[320];
        int64_t number;

        snprintf(sql, sizeof sql,
                 "SELECT id FROM object o WHERE id > %llu"
                 " AND NOT EXISTS (SELECT 1 FROM inode i WHERE i.object = o.id AND i.object <> 0)"
                 " AND NOT EXISTS (SELECT 1 FROM object d WHERE d.reference = o.id"
                 "                 AND d.reference <> 0) ORDER BY id LIMIT 1",
                 (unsigned long long) after);
        enum caefs_err err = select_number(m, sql, &number);
        *id = (uint64_t) number;
        return err;
}
