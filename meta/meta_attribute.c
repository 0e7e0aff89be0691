/* meta/meta_attribute.c - extended attributes and properties. */
#include "meta/meta_internal.h"

/* The deletion of a row that must be there. */
static enum caefs_err
delete_attribute(struct meta *m, enum statement id, const char *types, uint64_t ino,
                 const char *name)
{
        enum caefs_err err = meta_change(m, id, types, ino, name);

        if (err == CAEFS_OK && sqlite3_changes(m->db) == 0)
                err = CAEFS_ERR_NO_ATTRIBUTE;
        return err;
}

static enum caefs_err
list_names(struct meta *m, enum statement id, uint64_t ino, struct bytes *names)
{
        sqlite3_stmt *s = meta_bind(m, id, "i", ino);
        enum caefs_err err;

        bytes_clear(names);
        while ((err = meta_step(m, s)) == CAEFS_OK)
                meta_column_append(s, 0, true, names);
        if (err == CAEFS_ERR_NO_ENTRY)
                err = names->failed ? CAEFS_ERR_NOMEM : CAEFS_OK;
        return err;
}

enum caefs_err
meta_xattr_read(struct meta *m, uint64_t ino, const char *name, struct bytes *value)
{
        sqlite3_stmt *s = meta_bind(m, ST_XATTR_READ, "in", ino, name);
        enum caefs_err err = meta_step(m, s);

        bytes_clear(value);
        if (err == CAEFS_ERR_NO_ENTRY)
                return CAEFS_ERR_NO_ATTRIBUTE;
        if (err != CAEFS_OK)
                return err;
        meta_column_append(s, 0, false, value);
        meta_done(s);
        return value->failed ? CAEFS_ERR_NOMEM : CAEFS_OK;
}

enum caefs_err
meta_xattr_write(struct meta *m, uint64_t ino, const char *name, const void *value,
                 size_t size)
{
        m->weight += size;
        /* A pointer that is not NULL, so that no bytes are an empty value. */
        return meta_change(m, ST_XATTR_WRITE, "inb", ino, name,
                           size == 0 ? (const void *) "" : value, size);
}

enum caefs_err
meta_xattr_delete(struct meta *m, uint64_t ino, const char *name)
{
        return delete_attribute(m, ST_XATTR_DELETE, "in", ino, name);
}

enum caefs_err
meta_xattr_list(struct meta *m, uint64_t ino, struct bytes *names)
{
        return list_names(m, ST_XATTR_LIST, ino, names);
}

enum caefs_err
meta_property_read(struct meta *m, uint64_t ino, const char *name, char *value, size_t size)
{
        sqlite3_stmt *s = meta_bind(m, ST_PROPERTY_READ, "is", ino, name);
        enum caefs_err err = meta_step(m, s);

        if (err == CAEFS_OK) {
                meta_column_text(s, 0, value, size);
                meta_done(s);
        }
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_ERR_NO_ATTRIBUTE : err;
}

enum caefs_err
meta_property_write(struct meta *m, uint64_t ino, const char *name, const char *value)
{
        return meta_change(m, ST_PROPERTY_WRITE, "iss", ino, name, value);
}

enum caefs_err
meta_property_delete(struct meta *m, uint64_t ino, const char *name)
{
        return delete_attribute(m, ST_PROPERTY_DELETE, "is", ino, name);
}

enum caefs_err
meta_property_list(struct meta *m, uint64_t ino, struct bytes *names)
{
        return list_names(m, ST_PROPERTY_LIST, ino, names);
}

enum caefs_err
meta_property_each(struct meta *m, uint64_t ino,
                   void (*take)(void *context, const char *name, const char *value),
                   void *context)
{
        sqlite3_stmt  *s = meta_bind(m, ST_PROPERTY_ALL, "i", ino);
        enum caefs_err err;

        while ((err = meta_step(m, s)) == CAEFS_OK) {
                const char *name = (const char *) sqlite3_column_text(s, 0);
                const char *value = (const char *) sqlite3_column_text(s, 1);
                if (name != NULL && value != NULL)
                        take(context, name, value);
        }
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}
