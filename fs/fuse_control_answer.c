/* fs/fuse_control_answer.c - what the files of the control directory say and take. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/model.h"
#include "fs/describe.h"
#include "fs/fuse_control_internal.h"

/* ---- reading ------------------------------------------------------------ */

static enum caefs_err
put_json(struct bytes *out, json_t *json)
{
        char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17));

        json_decref(json);
        if (text == NULL)
                return CAEFS_ERR_NOMEM;
        bytes_clear(out);
        bytes_put(out, text, strlen(text));
        bytes_put(out, "\n", 1);
        free(text);
        return out->failed ? CAEFS_ERR_NOMEM : CAEFS_OK;
}

static enum caefs_err
put_store_text(const struct adapter *a, struct bytes *out)
{
        char text[64];

        bytes_put(out, "store ", 6);
        bytes_put(out, a->store_path, strlen(a->store_path));
        bytes_put(out, "\nmountpoint ", 12);
        bytes_put(out, a->mountpoint, strlen(a->mountpoint));
        snprintf(text, sizeof text, "\npid %ld\nread_only %d\nversion %s\n", (long) getpid(),
                 a->read_only, PACKAGE_VERSION);
        bytes_put(out, text, strlen(text));
        return out->failed ? CAEFS_ERR_NOMEM : CAEFS_OK;
}

static enum caefs_err
put_model(struct control *c, uint64_t hash, struct bytes *out)
{
        const struct model *m;
        const void *blob;
        size_t size;
        const enum caefs_err err = store_model_find(c->store, hash, &m);

        if (err != CAEFS_OK)
                return err;
        blob = model_blob(m, &size);
        bytes_put(out, blob, size);
        return out->failed ? CAEFS_ERR_NOMEM : CAEFS_OK;
}

enum caefs_err
control_prepare(struct control *c, struct control_handle *h)
{
        struct metrics_of figures;
        json_t *json;
        enum caefs_err err = CAEFS_OK;

        switch (h->node) {
        case NODE_STORE:
                return put_store_text(c->adapter, &h->bytes);
        case NODE_MODELS_JSON:
                err = describe_models(c->store, &json);
                return err != CAEFS_OK ? err : put_json(&h->bytes, json);
        case NODE_STATS:
                figures = adapter_metrics(c->adapter);
                return metrics_text(&figures, &h->bytes);
        case NODE_STATS_JSON:
                figures = adapter_metrics(c->adapter);
                err = metrics_json(&figures, &json);
                return err != CAEFS_OK ? err : put_json(&h->bytes, json);
        case NODE_TOTALS_JSON:
                err = describe_totals(c->store, &json);
                return err != CAEFS_OK ? err : put_json(&h->bytes, json);
        case NODE_MODEL:
                return h->upload ? CAEFS_OK : put_model(c, h->hash, &h->bytes);
        default:
                return CAEFS_OK;
        }
}

/* ---- questions ---------------------------------------------------------- */

static bool
parse_number(const char *text, store_inode *inode)
{
        char *end;

        errno = 0;
        *inode = strtoull(text, &end, 10);
        return errno == 0 && end != text && *end == '\0' && isdigit((unsigned char) *text);
}

/* "INODE\n" */
static enum caefs_err
parse_inode(const char *data, size_t size, store_inode *inode)
{
        char text[32];

        if (size == 0 || size >= sizeof text || data[size - 1] != '\n')
                return CAEFS_ERR_ARGUMENT;
        memcpy(text, data, size - 1);
        text[size - 1] = '\0';
        return parse_number(text, inode) ? CAEFS_OK : CAEFS_ERR_ARGUMENT;
}

/* Whoever may read a file may know how it is stored. */
static bool
may_read(fuse_req_t req, const struct stat *st)
{
        const struct fuse_ctx *ctx = fuse_req_ctx(req);

        if (ctx->uid == 0 || ctx->uid == st->st_uid)
                return true;
        return st->st_mode & (ctx->gid == st->st_gid ? S_IRGRP : S_IROTH);
}

static enum caefs_err
explain(fuse_req_t req, struct control *c, struct control_handle *h, store_inode inode)
{
        struct stat st;
        json_t *json;
        enum caefs_err err = store_getattr(c->store, inode, &st);

        if (err == CAEFS_OK && !may_read(req, &st))
                err = CAEFS_ERR_ACCESS;
        if (err == CAEFS_OK)
                err = describe_explain(c->store, inode, &json);
        return err != CAEFS_OK ? err : put_json(&h->bytes, json);
}

static enum caefs_err
sync_tree(struct control *c, struct control_handle *h, store_inode inode)
{
        if (h->job != NULL)
                return CAEFS_ERR_BUSY;
        return control_job_start(c->store, inode, NULL, &h->job);
}

/* "INODE[ bound=B][ add-loss]\n" */
static enum caefs_err
recompress(struct control *c, struct control_handle *h, const char *data, size_t size)
{
        struct store_recompress again = { .wait = true };
        char text[128], *rest = text, *word;
        store_inode inode;

        if (h->job != NULL)
                return CAEFS_ERR_BUSY;
        if (size == 0 || size >= sizeof text || data[size - 1] != '\n')
                return CAEFS_ERR_ARGUMENT;
        memcpy(text, data, size - 1);
        text[size - 1] = '\0';
        word = strsep(&rest, " ");
        if (!parse_number(word, &inode))
                return CAEFS_ERR_ARGUMENT;
        while ((word = strsep(&rest, " ")) != NULL) {
                if (strcmp(word, "add-loss") == 0)
                        again.add_loss = true;
                else if (strncmp(word, "bound=", 6) == 0 && bound_parse(word + 6, &again.bound))
                        again.has_bound = true;
                else
                        return CAEFS_ERR_ARGUMENT;
        }
        return control_job_start(c->store, inode, &again, &h->job);
}

/* "HASH\n" */
static enum caefs_err
show_model(struct control *c, struct control_handle *h, const char *data, size_t size)
{
        char text[17] = "";
        uint64_t hash;
        json_t *json;
        enum caefs_err err;

        if (size != sizeof text || data[sizeof text - 1] != '\n')
                return CAEFS_ERR_ARGUMENT;
        memcpy(text, data, sizeof text - 1);
        if (!model_hash_parse(text, &hash))
                return CAEFS_ERR_ARGUMENT;
        err = describe_stored_model(c->store, hash, &json);
        return err != CAEFS_OK ? err : put_json(&h->bytes, json);
}

/* ---- uploads ------------------------------------------------------------ */

static enum caefs_err
upload(struct control_handle *h, const char *data, size_t size, off_t offset)
{
        if (!h->upload)
                return CAEFS_ERR_PERMISSION;
        if ((uint64_t) offset != h->bytes.size)
                return CAEFS_ERR_ARGUMENT;
        if (size > MODEL_MAX_BYTES - h->bytes.size)
                return CAEFS_ERR_FILE_TOO_BIG;
        bytes_put(&h->bytes, data, size);
        return h->bytes.failed ? CAEFS_ERR_NOMEM : CAEFS_OK;
}

/* "HASH\n" and the record. */
static enum caefs_err
keep_record(struct control *c, struct control_handle *h)
{
        char text[17] = "";
        uint64_t hash;
        json_t *json;
        enum caefs_err err;

        if (h->bytes.size <= sizeof text || h->bytes.data[sizeof text - 1] != '\n')
                return CAEFS_ERR_ARGUMENT;
        memcpy(text, h->bytes.data, sizeof text - 1);
        if (!model_hash_parse(text, &hash))
                return CAEFS_ERR_ARGUMENT;
        json = json_loadb((const char *) h->bytes.data + sizeof text,
                          h->bytes.size - sizeof text, 0, NULL);
        if (json == NULL)
                return caefs_fail(CAEFS_ERR_ARGUMENT, "the record is not JSON");
        json_decref(json);
        bytes_put(&h->bytes, "", 1);
        if (h->bytes.failed)
                return CAEFS_ERR_NOMEM;
        err = store_model_record_set(c->store, hash,
                                     (const char *) h->bytes.data + sizeof text);
        h->installed = err == CAEFS_OK;
        return err;
}

static enum caefs_err
keep_model(struct control *c, struct control_handle *h)
{
        struct model *m;
        enum caefs_err err = model_parse(h->bytes.data, h->bytes.size, &m);

        if (err != CAEFS_OK)
                return err;
        if (model_hash(m) != h->hash)
                err = caefs_fail(CAEFS_ERR_ARGUMENT, "the model has another hash than its name");
        else
                err = store_model_add(c->store, m, NULL);
        model_free(m);
        h->installed = err == CAEFS_OK;
        return err;
}

enum caefs_err
control_take(fuse_req_t req, struct control_handle *h, const char *data, size_t size,
             off_t offset)
{
        struct control *c = adapter_of(req)->control;
        store_inode inode = 0;
        enum caefs_err err;

        if (h->node == NODE_MODEL || h->node == NODE_RECORD)
                return upload(h, data, size, offset);
        if (h->node == NODE_RECOMPRESS)
                return recompress(c, h, data, size);
        if (h->node == NODE_MODEL_JSON)
                return show_model(c, h, data, size);
        if (h->node != NODE_SYNC && h->node != NODE_EXPLAIN)
                return CAEFS_ERR_PERMISSION;
        err = parse_inode(data, size, &inode);
        if (err != CAEFS_OK)
                return err;
        return h->node == NODE_SYNC ? sync_tree(c, h, inode) : explain(req, c, h, inode);
}

enum caefs_err
control_install(struct control *c, struct control_handle *h)
{
        return h->node == NODE_RECORD ? keep_record(c, h) : keep_model(c, h);
}
