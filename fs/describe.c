/* fs/describe.c - files and models as JSON. */
#include "fs/describe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/model.h"
#include "codec/predict.h"

/* JSON has no infinities and no NaN. */
static json_t *
real(double v)
{
        return isfinite(v) ? json_real(v) : json_null();
}

static json_t *
integer(uint64_t v)
{
        return json_integer((json_int_t) v);
}

static json_t *
hash_or_null(uint64_t hash)
{
        char text[17];

        if (hash == 0)
                return json_null();
        model_hash_format(hash, text);
        return json_string(text);
}

static const char *
codec_name(int family)
{
        const struct family_methods *methods = family_by_number((unsigned) family);

        return methods != NULL ? methods->name : "exact";
}

/* The path of the file that is referred to, "" when it is gone; null: there is none. */
static json_t *
key_path(struct store *s, uint64_t object)
{
        char   *path = NULL;
        json_t *text = NULL;

        if (object == 0)
                return json_null();
        if (store_key_path(s, object, &path) == CAEFS_OK)
                text = json_string(path);
        free(path);
        return text != NULL ? text : json_string("");
}

static json_t *
file_object(struct store *s, const struct store_file_info *info)
{
        return json_pack("{s:s, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s}",
                         "state", info->state,
                         "logical_bytes", integer(info->logical_bytes),
                         "stored_bytes", integer(info->stored_bytes),
                         "bound", info->bound,
                         "codec", info->codec,
                         "max_error", real(info->worst),
                         "max_error_over_bound", real(info->worst_over_bound),
                         "model", hash_or_null(info->model),
                         "key", key_path(s, info->key),
                         "lossy_values", integer(info->lossy_values),
                         "fallback", info->fallback);
}

enum caefs_err
describe_totals(struct store *s, json_t **out)
{
        struct store_totals t;
        const enum caefs_err err = store_totals(s, true, &t);

        if (err != CAEFS_OK)
                return err;
        *out = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                         "files", integer(t.files),
                         "logical_bytes", integer(t.logical_bytes),
                         "staged_files", integer(t.staged_files),
                         "staged_bytes", integer(t.staged_bytes),
                         "objects", integer(t.objects),
                         "stored_bytes", integer(t.stored_bytes + t.staged_bytes),
                         "models", integer(t.models),
                         "model_bytes", integer(t.model_bytes));
        return *out == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
}

enum caefs_err
describe_file(struct store *s, store_inode inode, json_t **out)
{
        struct store_file_info info = { .state = "" };
        const enum caefs_err err = store_file_info(s, inode, &info);

        if (err != CAEFS_OK)
                return err;
        *out = file_object(s, &info);
        return *out != NULL ? CAEFS_OK : CAEFS_ERR_NOMEM;
}

/* ---- explain ------------------------------------------------------------ */

static json_t *
region_object(const struct region *r)
{
        json_t *shape = json_array();

        for (unsigned i = 0; i < r->shape.ndim; i++)
                json_array_append_new(shape, integer(r->shape.extent[i]));
        return json_pack("{s:o, s:o, s:s, s:b, s:o}",
                         "offset", integer(r->offset),
                         "length", integer(r->length),
                         "dtype", dtype_name(r->dtype),
                         "big_endian", r->big_endian,
                         "shape", shape);
}

static json_t *
chunk_object(const struct chunk_extent *e)
{
        return json_pack("{s:o, s:o, s:o, s:o, s:s}",
                         "offset", integer(e->offset),
                         "length", integer(e->length),
                         "stored", integer(e->stored),
                         "region", integer(e->region),
                         "codec", codec_name(e->family));
}

static enum caefs_err
fill_from_object(const struct object *o, json_t *regions, json_t *chunks)
{
        const struct object_info *info = object_info(o);

        for (size_t i = 0; i < info->nregions; i++)
                if (json_array_append_new(regions, region_object(object_region(o, i))) != 0)
                        return CAEFS_ERR_NOMEM;
        for (size_t i = 0; i < info->nchunks; i++) {
                struct chunk_extent e;
                const enum caefs_err err = object_chunk(o, i, &e);

                if (err != CAEFS_OK)
                        return err;
                if (json_array_append_new(chunks, chunk_object(&e)) != 0)
                        return CAEFS_ERR_NOMEM;
        }
        return CAEFS_OK;
}

static enum caefs_err
add_object(struct store *s, store_inode inode, json_t *regions, json_t *chunks)
{
        const struct object *o;
        enum caefs_err err = store_object_get(s, inode, &o);

        if (err != CAEFS_OK)
                return err;
        err = fill_from_object(o, regions, chunks);
        store_object_release(s, o);
        return err;
}

enum caefs_err
describe_explain(struct store *s, store_inode inode, json_t **out)
{
        struct store_file_info info = { .state = "" };
        json_t *description, *regions, *chunks;
        enum caefs_err err = store_file_info(s, inode, &info);

        if (err != CAEFS_OK)
                return err;
        description = file_object(s, &info);
        regions = json_array();
        chunks = json_array();
        if (json_object_set_new(description, "regions", regions) != 0 ||
            json_object_set_new(description, "chunks", chunks) != 0)
                err = CAEFS_ERR_NOMEM;
        if (err == CAEFS_OK && strcmp(info.state, "sealed") == 0)
                err = add_object(s, inode, regions, chunks);
        if (err != CAEFS_OK) {
                json_decref(description);
                return err;
        }
        *out = description;
        return CAEFS_OK;
}

/* ---- models ------------------------------------------------------------- */

static bool
add_model(void *context, const struct store_model *m)
{
        json_t *models = context;

        return json_array_append_new(models, json_pack("{s:o, s:o, s:o, s:I}",
                                                       "hash", hash_or_null(m->hash),
                                                       "bytes", integer(m->bytes),
                                                       "objects", integer(m->objects),
                                                       "created", (json_int_t) m->created)) == 0;
}

enum caefs_err
describe_models(struct store *s, json_t **out)
{
        enum caefs_err err;

        *out = json_array();
        if (*out == NULL)
                return CAEFS_ERR_NOMEM;
        err = store_model_list(s, add_model, *out);
        if (err != CAEFS_OK)
                json_decref(*out);
        return err;
}

json_t *
describe_model(const struct model *m)
{
        const struct model_info *info = model_info(m);
        json_t *layers = json_array();
        json_t *parts = json_object();
        char bound[32];

        for (int f = 0; f < MODEL_MAX_PARTS; f++)
                if (info->part_bytes[f] > 0)
                        json_object_set_new(parts, codec_name(f), integer(info->part_bytes[f]));
        for (unsigned i = 0; i < info->nlayers && i < MODEL_MAX_LAYERS; i++)
                json_array_append_new(layers, json_integer(info->layer[i]));
        bound_format(&info->bound, bound);
        return json_pack("{s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:i, s:o, s:o, s:o}",
                         "parts", parts,
                         "layers", layers,
                         "parameters", integer(info->parameters),
                         "bound", bound,
                         "scope", scope_name(info->scope),
                         "train_values", integer(info->train_values),
                         "proportion", real(info->proportion),
                         "epochs", (int) info->epochs,
                         "seed", integer(info->seed),
                         "train_loss", real(info->train_loss),
                         "validation_loss", real(info->validation_loss));
}

static void
add_user(void *context, bool by_property, const char *path)
{
        json_t *users = json_object_get(context, by_property ? "directories" : "files");

        json_array_append_new(users, json_string(path));
}

/* How it was trained; null when nobody knows, or when it is not JSON. */
static enum caefs_err
read_record(struct store *s, uint64_t hash, json_t **out)
{
        struct bytes text = { 0 };
        const enum caefs_err err = store_model_record(s, hash, &text);

        *out = json_loadb((const char *) text.data, text.size, 0, NULL);
        if (*out == NULL)
                *out = json_null();
        bytes_free(&text);
        return err;
}

enum caefs_err
describe_stored_model(struct store *s, uint64_t hash, json_t **out)
{
        const struct model *m;
        json_t *record;
        size_t size;
        enum caefs_err err = store_model_find(s, hash, &m);

        if (err != CAEFS_OK)
                return err;
        *out = describe_model(m);
        model_blob(m, &size);
        err = read_record(s, hash, &record);
        json_object_set_new(*out, "hash", hash_or_null(hash));
        json_object_set_new(*out, "bytes", integer(size));
        json_object_set_new(*out, "directories", json_array());
        json_object_set_new(*out, "files", json_array());
        json_object_set_new(*out, "record", record);
        if (err == CAEFS_OK)
                err = store_model_users(s, hash, DESCRIBE_USERS, add_user, *out);
        if (err != CAEFS_OK)
                json_decref(*out);
        return err;
}
