/* meta/meta_check.c - is the catalogue what it should be? */
#include "meta/meta_internal.h"

#include <stdio.h>

#include "meta/page_vfs.h"

/* Each gives one sentence a row: what is wrong. */
static const char *const structure_checks[] = {
        "SELECT printf('directory %d: \"%s\" leads to inode %d, which is not there',"
        "              parent, CAST(name AS TEXT), ino)"
        " FROM dirent d WHERE NOT EXISTS (SELECT 1 FROM inode i WHERE i.ino = d.ino)",

        "SELECT printf('inode %d: \"%s\" is in it, but it is no directory',"
        "              d.parent, CAST(d.name AS TEXT))"
        " FROM dirent d LEFT JOIN inode p ON p.ino = d.parent"
        " WHERE p.ino IS NULL OR (p.mode & 61440) <> 16384",

        "SELECT printf('inode %d: %d names, but its link count is %d', i.ino,"
        "              (SELECT count(*) FROM dirent d WHERE d.ino = i.ino), i.nlink)"
        " FROM inode i WHERE (i.mode & 61440) <> 16384"
        " AND i.nlink <> (SELECT count(*) FROM dirent d WHERE d.ino = i.ino)",

        "SELECT printf('directory %d: its link count is %d and should be %d', ino, nlink, should)"
        " FROM (SELECT i.ino, i.nlink, 2 + (SELECT count(*) FROM dirent d"
        "         JOIN inode c ON c.ino = d.ino"
        "         WHERE d.parent = i.ino AND (c.mode & 61440) = 16384) AS should"
        "       FROM inode i WHERE (i.mode & 61440) = 16384 AND i.nlink <> 0)"
        " WHERE nlink <> should",

        "WITH RECURSIVE reached(ino) AS (VALUES (1) UNION"
        "   SELECT d.ino FROM reached r JOIN dirent d ON d.parent = r.ino"
        "   JOIN inode c ON c.ino = d.ino AND (c.mode & 61440) = 16384)"
        " SELECT printf('directory %d cannot be reached from the root', i.ino) FROM inode i"
        " WHERE (i.mode & 61440) = 16384 AND i.nlink <> 0"
        " AND i.ino NOT IN (SELECT ino FROM reached)",

        "SELECT printf('inode %d: its object %d is not there', i.ino, i.object)"
        " FROM inode i WHERE i.object <> 0"
        " AND NOT EXISTS (SELECT 1 FROM object o WHERE o.id = i.object)",

        "SELECT printf('inode %d: %d bytes, but its object %d serves %d', i.ino, i.size,"
        "              o.id, o.logical)"
        " FROM inode i JOIN object o ON o.id = i.object"
        " WHERE i.state = 2 AND o.logical <> i.size",

        "SELECT printf('inode %d: sealed without an object', ino) FROM inode"
        " WHERE state = 2 AND object = 0",

        "SELECT printf('object %d: no file needs it', id) FROM object o"
        " WHERE NOT EXISTS (SELECT 1 FROM inode i WHERE i.object = o.id AND i.object <> 0)"
        " AND NOT EXISTS (SELECT 1 FROM object d WHERE d.reference = o.id AND d.reference <> 0)",

        "SELECT printf('object %d: refers to object %d, which is not there', id, reference)"
        " FROM object o WHERE reference <> 0"
        " AND NOT EXISTS (SELECT 1 FROM object k WHERE k.id = o.reference)",

        "SELECT printf('object %d: refers to object %d, which refers to another', o.id, k.id)"
        " FROM object o JOIN object k ON k.id = o.reference"
        " WHERE o.reference <> 0 AND k.reference <> 0",

        "SELECT printf('object %d: needs model %016llx, which is not there', id, model)"
        " FROM object o WHERE model <> 0"
        " AND NOT EXISTS (SELECT 1 FROM model m WHERE m.hash = o.model)",

        "SELECT printf('symlink %d: no target', ino) FROM inode i"
        " WHERE (i.mode & 61440) = 40960 AND i.nlink <> 0"
        " AND NOT EXISTS (SELECT 1 FROM symlink s WHERE s.ino = i.ino)",

        "SELECT printf('%s of inode %d, which is not there', 'an attribute', ino) FROM xattr a"
        " WHERE NOT EXISTS (SELECT 1 FROM inode i WHERE i.ino = a.ino)",

        "SELECT printf('%s of inode %d, which is not there', 'a property', ino) FROM property a"
        " WHERE NOT EXISTS (SELECT 1 FROM inode i WHERE i.ino = a.ino)",
};

enum caefs_err
meta_tell_rows(struct meta *m, const char *sql, meta_tell *tell, void *context, bool *found)
{
        sqlite3_stmt *s;
        char sentence[512];
        int code = sqlite3_prepare_v2(m->db, sql, -1, &s, NULL);

        if (code != SQLITE_OK)
                return meta_fail(m, code);
        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
                meta_column_text(s, 0, sentence, sizeof sentence);
                if (sqlite3_stricmp(sentence, "ok") == 0)
                        continue;
                *found = true;
                if (tell != NULL)
                        tell(context, sentence);
        }
        enum caefs_err err = code == SQLITE_DONE ? CAEFS_OK : meta_fail(m, code);
        sqlite3_finalize(s);
        /* That it cannot be read is a finding too. */
        if (err == CAEFS_ERR_CORRUPT) {
                *found = true;
                if (tell != NULL)
                        tell(context, caefs_detail());
        }
        return err == CAEFS_ERR_CORRUPT ? CAEFS_OK : err;
}

struct page_listener {
        meta_tell *tell;
        void      *context;
};

static void
tell_page(void *context, uint32_t page, bool is_mended)
{
        const struct page_listener *l = context;
        char sentence[128];

        snprintf(sentence, sizeof sentence, "the catalogue: page %u %s", page,
                 is_mended ? "is damaged in one bit, and is read as it was"
                           : "does not match its checksum");
        l->tell(l->context, sentence);
}

enum caefs_err
meta_check_pages(struct meta *m, meta_tell *tell, void *context)
{
        bool                   found;
        struct page_vfs_damage before = page_vfs_damage(m->db);
        struct page_listener   listener = { tell, context };
        char                   sentence[128];

        if (before.mended > 0) {
                snprintf(sentence, sizeof sentence,
                         "the catalogue: page %u was damaged in one bit, and was put right",
                         before.page);
                tell(context, sentence);
        }
        page_vfs_check(m->db, tell_page, &listener);
        return meta_tell_rows(m, "PRAGMA integrity_check", tell, context, &found);
}

enum caefs_err
meta_check_structure(struct meta *m, meta_tell *tell, void *context)
{
        bool           found;
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; err == CAEFS_OK &&
                           i < sizeof structure_checks / sizeof structure_checks[0]; i++)
                err = meta_tell_rows(m, structure_checks[i], tell, context, &found);
        return err;
}

/* The COUNT numbers of the one row that statement ID gives. */
static enum caefs_err
read_numbers(struct meta *m, enum statement id, uint64_t *const *numbers, int count)
{
        sqlite3_stmt *s = meta_bind(m, id, "");
        enum caefs_err err = meta_step(m, s);

        if (err != CAEFS_OK)
                return err;
        for (int i = 0; i < count; i++)
                *numbers[i] = (uint64_t) sqlite3_column_int64(s, i);
        meta_done(s);
        return CAEFS_OK;
}

enum caefs_err
meta_totals(struct meta *m, struct meta_totals *out)
{
        uint64_t *const files[] = { &out->files, &out->logical_bytes, &out->staged_files,
                                    &out->staged_bytes };
        uint64_t *const objects[] = { &out->objects, &out->stored_bytes };
        uint64_t *const models[] = { &out->models, &out->model_bytes };

        *out = (struct meta_totals) { 0 };
        enum caefs_err err = read_numbers(m, ST_TOTALS_FILES, files, 4);
        if (err == CAEFS_OK)
                err = read_numbers(m, ST_TOTALS_OBJECTS, objects, 2);
        if (err == CAEFS_OK)
                err = read_numbers(m, ST_TOTALS_MODELS, models, 2);
        return err;
}

enum caefs_err
meta_fallbacks(struct meta *m, size_t limit,
               void (*tell)(void *context, const char *reason, uint64_t objects), void *context)
{
        sqlite3_stmt *s = meta_bind(m, ST_FALLBACKS, "i", (int64_t) limit);
        enum caefs_err err;
        char reason[128];

        while ((err = meta_step(m, s)) == CAEFS_OK) {
                meta_column_text(s, 0, reason, sizeof reason);
                tell(context, reason, (uint64_t) sqlite3_column_int64(s, 1));
        }
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}
