/* meta/meta_entry.c - names in directories. */
#include <string.h>

#include "meta/meta_internal.h"

static enum caefs_err
entry_of_row(sqlite3_stmt *s, struct meta_entry *out)
{
        int size = sqlite3_column_bytes(s, 3);

        out->entry = (uint64_t) sqlite3_column_int64(s, 0);
        out->parent = (uint64_t) sqlite3_column_int64(s, 1);
        out->ino = (uint64_t) sqlite3_column_int64(s, 2);
        meta_column_text(s, 3, out->name, sizeof out->name);
        if (size < 1 || size > META_NAME_MAX || strlen(out->name) != (size_t) size ||
            strchr(out->name, '/') != NULL)
                return caefs_fail(CAEFS_ERR_CORRUPT, "directory %llu: entry %llu has no name",
                                  (unsigned long long) out->parent,
                                  (unsigned long long) out->entry);
        return CAEFS_OK;
}

static enum caefs_err
read_entry(struct meta *m, sqlite3_stmt *s, struct meta_entry *out)
{
        enum caefs_err err = meta_step(m, s);

        if (err == CAEFS_OK) {
                err = entry_of_row(s, out);
                meta_done(s);
        }
        return err;
}

enum caefs_err
meta_entry_find(struct meta *m, uint64_t parent, const char *name, struct meta_entry *out)
{
        return read_entry(m, meta_bind(m, ST_ENTRY_FIND, "in", parent, name), out);
}

enum caefs_err
meta_entry_of(struct meta *m, uint64_t ino, struct meta_entry *out)
{
        return read_entry(m, meta_bind(m, ST_ENTRY_OF, "i", ino), out);
}

enum caefs_err
meta_entry_insert(struct meta *m, uint64_t parent, const char *name, uint64_t ino,
                  uint64_t *entry)
{
        enum caefs_err err = meta_change(m, ST_ENTRY_INSERT, "ini", parent, name, ino);

        if (err == CAEFS_OK && entry != NULL)
                *entry = (uint64_t) sqlite3_last_insert_rowid(m->db);
        return err;
}

enum caefs_err
meta_entry_delete(struct meta *m, uint64_t entry)
{
        return meta_change(m, ST_ENTRY_DELETE, "i", entry);
}

enum caefs_err
meta_entry_move(struct meta *m, uint64_t entry, uint64_t parent, const char *name)
{
        return meta_change(m, ST_ENTRY_MOVE, "ini", parent, name, entry);
}

enum caefs_err
meta_entry_point(struct meta *m, uint64_t entry, uint64_t ino)
{
        return meta_change(m, ST_ENTRY_POINT, "ii", ino, entry);
}

static enum caefs_err
read_entries(struct meta *m, sqlite3_stmt *s, struct meta_entry *entries, size_t *count)
{
        enum caefs_err err;

        *count = 0;
        while ((err = meta_step(m, s)) == CAEFS_OK) {
                err = entry_of_row(s, &entries[*count]);
                if (err != CAEFS_OK) {
                        meta_done(s);
                        return err;
                }
                (*count)++;
        }
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}

enum caefs_err
meta_entry_list(struct meta *m, uint64_t parent, uint64_t after, struct meta_entry *entries,
                size_t limit, size_t *count)
{
        return read_entries(m, meta_bind(m, ST_ENTRY_LIST, "iii", parent, after,
                                         (uint64_t) limit), entries, count);
}

enum caefs_err
meta_entry_before(struct meta *m, uint64_t parent, const char *name, struct meta_entry *entries,
                  size_t limit, size_t *count)
{
        return read_entries(m, meta_bind(m, ST_ENTRY_BEFORE, "ini", parent, name,
                                         (uint64_t) limit), entries, count);
}

enum caefs_err
meta_directory_is_empty(struct meta *m, uint64_t ino, bool *empty)
{
        sqlite3_stmt *s = meta_bind(m, ST_ENTRY_ANY, "i", ino);
        enum caefs_err err = meta_step(m, s);

        *empty = err == CAEFS_ERR_NO_ENTRY;
        if (err == CAEFS_OK)
                meta_done(s);
        return *empty ? CAEFS_OK : err;
}
