/* fs/store_model.c - the models of a store. */
#include <inttypes.h>
#include <stdlib.h>

#include "codec/model.h"
#include "fs/store_internal.h"

#define LIST_BATCH 64

/* A model in memory, until the store closes: objects refer to it. */
struct loaded_model {
        struct loaded_model *next;
        uint64_t             hash;
        struct model        *model;
};

enum caefs_err
store_model_add(struct store *s, const struct model *m, const char *record_json)
{
        size_t         size;
        const void    *blob = model_blob(m, &size);
        enum caefs_err err = change_begin(s, SPACE_SOME);

        if (err != CAEFS_OK)
                return err;
        err = meta_model_insert(s->meta, model_hash(m), blob, size, record_json,
                                now_ns() / 1000000000);
        if (err == CAEFS_OK && record_json != NULL)
                err = meta_model_record_write(s->meta, model_hash(m), record_json);
        err = change_end(s, err);
        return err == CAEFS_OK ? commit_changes(s, false) : err;
}

enum caefs_err
store_model_list(struct store *s, store_model_fill *fill, void *context)
{
        struct meta_model models[LIST_BATCH];
        size_t            count = LIST_BATCH, skip = 0;
        enum caefs_err    err = CAEFS_OK;
        bool              go_on = true;

        while (err == CAEFS_OK && go_on && count == LIST_BATCH) {
                pthread_mutex_lock(&s->catalogue);
                err = meta_model_list(s->meta, skip, models, LIST_BATCH, &count);
                pthread_mutex_unlock(&s->catalogue);
                for (size_t i = 0; err == CAEFS_OK && go_on && i < count; i++) {
                        struct store_model m = {
                                .hash = models[i].hash,
                                .bytes = models[i].bytes,
                                .objects = models[i].objects,
                                .created = models[i].created,
                        };
                        go_on = fill(context, &m);
                }
                skip += count;
        }
        return err;
}

/* The one in memory, or NULL. */
static const struct model *
find_loaded(struct store *s, uint64_t hash)
{
        pthread_mutex_lock(&s->models_lock);
        struct loaded_model *l = s->models;
        while (l != NULL && l->hash != hash)
                l = l->next;
        pthread_mutex_unlock(&s->models_lock);
        return l == NULL ? NULL : l->model;
}

static enum caefs_err
load(struct store *s, uint64_t hash, struct model **out)
{
        struct bytes blob = { 0 };

        pthread_mutex_lock(&s->catalogue);
        enum caefs_err err = meta_model_data(s->meta, hash, &blob);
        pthread_mutex_unlock(&s->catalogue);
        if (err == CAEFS_OK)
                err = model_parse(blob.data, blob.size, out);
        bytes_free(&blob);
        if (err == CAEFS_OK && model_hash(*out) != hash) {
                model_free(*out);
                err = caefs_fail(CAEFS_ERR_CORRUPT, "model %016" PRIx64 " is damaged", hash);
        }
        return err;
}

enum caefs_err
store_model_find(struct store *s, uint64_t hash, const struct model **out)
{
        struct model *model;

        *out = find_loaded(s, hash);
        if (*out != NULL)
                return CAEFS_OK;
        enum caefs_err err = load(s, hash, &model);
        if (err != CAEFS_OK)
                return err;
        struct loaded_model *l = malloc(sizeof *l);
        if (l == NULL) {
                model_free(model);
                return CAEFS_ERR_NOMEM;
        }
        /* Should another thread have loaded it too, both stay, and both are right. */
        *l = (struct loaded_model) { .hash = hash, .model = model };
        pthread_mutex_lock(&s->models_lock);
        l->next = s->models;
        s->models = l;
        pthread_mutex_unlock(&s->models_lock);
        *out = model;
        return CAEFS_OK;
}

enum caefs_err
store_model_remove(struct store *s, uint64_t hash)
{
        enum caefs_err err = change_begin(s, SPACE_NONE);

        return err != CAEFS_OK ? err : change_end(s, meta_model_delete(s->meta, hash));
}

/* ---- where it came from, and who needs it -------------------------------- */

enum caefs_err
store_model_record(struct store *s, uint64_t hash, struct bytes *json)
{
        pthread_mutex_lock(&s->catalogue);
        enum caefs_err err = meta_model_record(s->meta, hash, json);
        pthread_mutex_unlock(&s->catalogue);
        return err;
}

enum caefs_err
store_model_record_set(struct store *s, uint64_t hash, const char *json)
{
        struct bytes   before = { 0 };
        enum caefs_err err = change_begin(s, SPACE_SOME);

        if (err != CAEFS_OK)
                return err;
        err = meta_model_record(s->meta, hash, &before);
        bytes_free(&before);
        if (err == CAEFS_OK)
                err = meta_model_record_write(s->meta, hash, json);
        return change_end(s, err);
}

static enum caefs_err
tell_paths(struct store *s, const uint64_t *ino, size_t n, bool by_property,
           store_model_user *tell, void *context)
{
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; i < n && err == CAEFS_OK; i++) {
                char *path;
                err = store_path(s, ino[i], &path);
                if (err == CAEFS_OK)
                        tell(context, by_property, path);
                free(path);
        }
        return err;
}

enum caefs_err
store_model_users(struct store *s, uint64_t hash, size_t limit, store_model_user *tell,
                  void *context)
{
        size_t    nowners = 0, nfiles = 0;
        uint64_t *ino = calloc(2 * limit + 1, sizeof *ino);

        if (ino == NULL)
                return CAEFS_ERR_NOMEM;
        pthread_mutex_lock(&s->catalogue);
        enum caefs_err err = meta_model_owners(s->meta, hash, ino, limit, &nowners);
        if (err == CAEFS_OK)
                err = meta_model_files(s->meta, hash, ino + limit, limit, &nfiles);
        pthread_mutex_unlock(&s->catalogue);
        if (err == CAEFS_OK)
                err = tell_paths(s, ino, nowners, true, tell, context);
        if (err == CAEFS_OK)
                err = tell_paths(s, ino + limit, nfiles, false, tell, context);
        free(ino);
        return err;
}

void
models_free(struct store *s)
{
        while (s->models != NULL) {
                struct loaded_model *l = s->models;
                s->models = l->next;
                model_free(l->model);
                free(l);
        }
}
