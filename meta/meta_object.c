/* meta/meta_object.c - objects, models, and trash. */
#include <string.h>

#include "meta/meta_internal.h"

enum caefs_err
meta_object_next(struct meta *m, uint64_t *id)
{
        sqlite3_stmt *s = meta_bind(m, ST_OBJECT_NEXT, "");
        enum caefs_err err = meta_step(m, s);

        *id = 1;
        if (err == CAEFS_OK) {
                *id = (uint64_t) sqlite3_column_int64(s, 0);
                meta_done(s);
        }
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}

enum caefs_err
meta_object_insert(struct meta *m, const struct meta_object *o, const void *data)
{
        if (data != NULL)
                m->weight += o->stored_bytes;
        return meta_change(m, ST_OBJECT_INSERT, "iiissddiiisb", o->id, o->logical_bytes,
                           o->stored_bytes, o->bound, o->codec, o->worst,
                           o->worst_over_bound, o->model, o->reference, o->lossy_values,
                           o->fallback, data, (size_t) o->stored_bytes);
}

static void
object_of_row(sqlite3_stmt *s, struct meta_object *out)
{
        out->id = (uint64_t) sqlite3_column_int64(s, 0);
        out->logical_bytes = (uint64_t) sqlite3_column_int64(s, 1);
        out->stored_bytes = (uint64_t) sqlite3_column_int64(s, 2);
        meta_column_text(s, 3, out->bound, sizeof out->bound);
        meta_column_text(s, 4, out->codec, sizeof out->codec);
        out->worst = sqlite3_column_double(s, 5);
        out->worst_over_bound = sqlite3_column_double(s, 6);
        out->model = (uint64_t) sqlite3_column_int64(s, 7);
        out->lossy_values = (uint64_t) sqlite3_column_int64(s, 8);
        meta_column_text(s, 9, out->fallback, sizeof out->fallback);
        out->is_inline = sqlite3_column_int(s, 10);
        out->reference = (uint64_t) sqlite3_column_int64(s, 11);
}

enum caefs_err
meta_object_read(struct meta *m, uint64_t id, struct meta_object *out)
{
        sqlite3_stmt *s = meta_bind(m, ST_OBJECT_READ, "i", id);
        enum caefs_err err = meta_step(m, s);

        if (err == CAEFS_OK) {
                object_of_row(s, out);
                meta_done(s);
        }
        return err;
}

static enum caefs_err
read_bytes(struct meta *m, sqlite3_stmt *s, struct bytes *out)
{
        enum caefs_err err = meta_step(m, s);

        bytes_clear(out);
        if (err != CAEFS_OK)
                return err;
        meta_column_append(s, 0, false, out);
        meta_done(s);
        return out->failed ? CAEFS_ERR_NOMEM : CAEFS_OK;
}

enum caefs_err
meta_object_data(struct meta *m, uint64_t id, struct bytes *data)
{
        return read_bytes(m, meta_bind(m, ST_OBJECT_DATA, "i", id), data);
}

enum caefs_err
meta_object_delete(struct meta *m, uint64_t id)
{
        return meta_change(m, ST_OBJECT_DELETE, "i", id);
}

static enum caefs_err
read_number(struct meta *m, sqlite3_stmt *s, uint64_t *number)
{
        enum caefs_err err = meta_step(m, s);

        if (err != CAEFS_OK)
                return err;
        *number = (uint64_t) sqlite3_column_int64(s, 0);
        meta_done(s);
        return CAEFS_OK;
}

enum caefs_err
meta_object_file(struct meta *m, uint64_t id, uint64_t *ino)
{
        return read_number(m, meta_bind(m, ST_OBJECT_FILE, "i", id), ino);
}

enum caefs_err
meta_object_dependents(struct meta *m, uint64_t id, uint64_t *count)
{
        return read_number(m, meta_bind(m, ST_OBJECT_DEPENDENTS, "i", id), count);
}

enum caefs_err
meta_object_list(struct meta *m, uint64_t after, struct meta_object *objects, size_t limit,
                 size_t *count)
{
        sqlite3_stmt *s = meta_bind(m, ST_OBJECT_LIST, "ii", after, (uint64_t) limit);
        enum caefs_err err;

        *count = 0;
        while ((err = meta_step(m, s)) == CAEFS_OK)
                object_of_row(s, &objects[(*count)++]);
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}

/* ---- models ------------------------------------------------------------- */

enum caefs_err
meta_model_insert(struct meta *m, uint64_t hash, const void *blob, size_t size,
                  const char *record_json, int64_t created)
{
        m->weight += size;
        return meta_change(m, ST_MODEL_INSERT, "iisb", hash, created, record_json, blob, size);
}

enum caefs_err
meta_model_data(struct meta *m, uint64_t hash, struct bytes *blob)
{
        return read_bytes(m, meta_bind(m, ST_MODEL_DATA, "i", hash), blob);
}

enum caefs_err
meta_model_record(struct meta *m, uint64_t hash, struct bytes *json)
{
        return read_bytes(m, meta_bind(m, ST_MODEL_RECORD, "i", hash), json);
}

enum caefs_err
meta_model_record_write(struct meta *m, uint64_t hash, const char *json)
{
        m->weight += strlen(json);
        return meta_change(m, ST_MODEL_RECORD_WRITE, "si", json, hash);
}

static enum caefs_err
read_numbers(struct meta *m, sqlite3_stmt *s, uint64_t *number, size_t *count)
{
        enum caefs_err err;

        *count = 0;
        while ((err = meta_step(m, s)) == CAEFS_OK)
                number[(*count)++] = (uint64_t) sqlite3_column_int64(s, 0);
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}

enum caefs_err
meta_model_owners(struct meta *m, uint64_t hash, uint64_t *inodes, size_t limit, size_t *count)
{
        return read_numbers(m, meta_bind(m, ST_MODEL_OWNERS, "ii", hash, (uint64_t) limit),
                            inodes, count);
}

enum caefs_err
meta_model_files(struct meta *m, uint64_t hash, uint64_t *inodes, size_t limit, size_t *count)
{
        return read_numbers(m, meta_bind(m, ST_MODEL_FILES, "ii", hash, (uint64_t) limit),
                            inodes, count);
}

enum caefs_err
meta_model_delete(struct meta *m, uint64_t hash)
{
        sqlite3_stmt *s = meta_bind(m, ST_MODEL_USES, "i", hash);
        enum caefs_err err = meta_step(m, s);

        if (err != CAEFS_OK)
                return err;
        int64_t objects = sqlite3_column_int64(s, 0), properties = sqlite3_column_int64(s, 1);
        meta_done(s);
        if (objects > 0 || properties > 0)
                return caefs_fail(CAEFS_ERR_BUSY, "model %016llx is needed by %lld objects and "
                                  "%lld properties", (unsigned long long) hash,
                                  (long long) objects, (long long) properties);
        return meta_change(m, ST_MODEL_DELETE, "i", hash);
}

enum caefs_err
meta_model_list(struct meta *m, size_t skip, struct meta_model *models, size_t limit,
                size_t *count)
{
        sqlite3_stmt *s = meta_bind(m, ST_MODEL_LIST, "ii", (uint64_t) limit, (uint64_t) skip);
        enum caefs_err err;

        *count = 0;
        while ((err = meta_step(m, s)) == CAEFS_OK)
                models[(*count)++] = (struct meta_model) {
                        .hash = (uint64_t) sqlite3_column_int64(s, 0),
                        .bytes = (uint64_t) sqlite3_column_int64(s, 1),
                        .objects = (uint64_t) sqlite3_column_int64(s, 2),
                        .created = sqlite3_column_int64(s, 3),
                };
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}

/* ---- trash -------------------------------------------------------------- */

enum caefs_err
meta_trash_insert(struct meta *m, const struct meta_trash *t)
{
        return meta_change(m, ST_TRASH_INSERT, "iii", (uint64_t) t->kind, t->id,
                           t->generation);
}

enum caefs_err
meta_trash_delete(struct meta *m, const struct meta_trash *t)
{
        return meta_change(m, ST_TRASH_DELETE, "iii", (uint64_t) t->kind, t->id,
                           t->generation);
}

enum caefs_err
meta_trash_find(struct meta *m, const struct meta_trash *t)
{
        sqlite3_stmt *s = meta_bind(m, ST_TRASH_FIND, "iii", (uint64_t) t->kind, t->id,
                                    t->generation);
        enum caefs_err err = meta_step(m, s);

        if (err == CAEFS_OK)
                meta_done(s);
        return err;
}

enum caefs_err
meta_trash_list(struct meta *m, struct meta_trash *trash, size_t limit, size_t *count)
{
        sqlite3_stmt *s = meta_bind(m, ST_TRASH_LIST, "i", (uint64_t) limit);
        enum caefs_err err;

        *count = 0;
        while ((err = meta_step(m, s)) == CAEFS_OK) {
                struct meta_trash *t = &trash[(*count)++];
                t->kind = sqlite3_column_int(s, 0);
                t->id = (uint64_t) sqlite3_column_int64(s, 1);
                t->generation = (uint64_t) sqlite3_column_int64(s, 2);
        }
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}
