/* fs/fuse_control.c - the hidden directory .caefs.
 *
 * Its few files are a table.  A file under models/ has an inode number made of
 * its hash, because the kernel may ask for it again by number alone. */
#include "fs/fuse_control.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/model.h"
#include "common/bytes.h"
#include "fs/describe.h"
#include "fs/fuse_control_job.h"

/* Everything here may change at any time. */
#define CONTROL_TIMEOUT 0.0

enum node {
        NODE_DIRECTORY, NODE_STORE, NODE_SYNC, NODE_EXPLAIN, NODE_MODELS_JSON, NODE_MODELS,
        NODE_MODEL_JSON, NODE_RECORD, NODE_RECOMPRESS,
        NODE_COUNT,
        NODE_MODEL = NODE_COUNT,        /* any file in models/ */
};

static const struct {
        const char *name;
        mode_t      mode;
} nodes[NODE_COUNT] = {
        [NODE_DIRECTORY]   = { CONTROL_NAME, S_IFDIR | 0755 },
        [NODE_STORE]       = { "store", S_IFREG | 0444 },
        [NODE_SYNC]        = { "sync", S_IFREG | 0666 },
        [NODE_EXPLAIN]     = { "explain", S_IFREG | 0666 },
        [NODE_MODELS_JSON] = { "models.json", S_IFREG | 0444 },
        [NODE_MODELS]      = { "models", S_IFDIR | 0755 },
        [NODE_MODEL_JSON]  = { "model", S_IFREG | 0666 },
        [NODE_RECORD]      = { "record", S_IFREG | 0644 },
        [NODE_RECOMPRESS]  = { "recompress", S_IFREG | 0644 },
};

/* An open control file; protected by its lock, since a program may read and write
 * one descriptor from two threads. */
struct control_handle {
        pthread_mutex_t        lock;
        enum node              node;
        uint64_t               hash;            /* NODE_MODEL; constant */
        bool                   upload;          /* NODE_MODEL, NODE_RECORD, opened for writing;
                                                 * constant */
        bool                   installed;       /* the upload was taken over */
        struct bytes           bytes;           /* what is read, or what was uploaded */
        struct control_job    *job;             /* NODE_SYNC, once it has been told what */
        struct control_handle *next, *previous; /* protected by control.lock */
};

struct control {
        struct store          *store;
        char                  *store_path;
        char                  *mountpoint;
        bool                   read_only;
        uid_t                  owner;
        gid_t                  group;
        struct timespec        since;
        pthread_mutex_t        lock;            /* taken alone */
        struct control_handle *handles;         /* protected by lock */
};

struct control *
control_new(struct store *store, const char *store_path, const char *mountpoint, bool read_only)
{
        struct control *c = calloc(1, sizeof *c);

        if (c == NULL)
                return NULL;
        c->store = store;
        c->store_path = strdup(store_path);
        c->mountpoint = strdup(mountpoint);
        c->read_only = read_only;
        c->owner = geteuid();
        c->group = getegid();
        clock_gettime(CLOCK_REALTIME, &c->since);
        pthread_mutex_init(&c->lock, NULL);
        return c;
}

/* ---- handles ------------------------------------------------------------ */

static struct control_handle *
handle_new(struct control *c, enum node node, uint64_t hash, bool upload)
{
        struct control_handle *h = calloc(1, sizeof *h);

        if (h == NULL)
                return NULL;
        pthread_mutex_init(&h->lock, NULL);
        h->node = node;
        h->hash = hash;
        h->upload = upload;
        pthread_mutex_lock(&c->lock);
        h->next = c->handles;
        if (h->next != NULL)
                h->next->previous = h;
        c->handles = h;
        pthread_mutex_unlock(&c->lock);
        return h;
}

static void
handle_free(struct control *c, struct control_handle *h)
{
        pthread_mutex_lock(&c->lock);
        if (h->previous != NULL)
                h->previous->next = h->next;
        else
                c->handles = h->next;
        if (h->next != NULL)
                h->next->previous = h->previous;
        pthread_mutex_unlock(&c->lock);
        control_job_free(h->job);
        bytes_free(&h->bytes);
        pthread_mutex_destroy(&h->lock);
        free(h);
}

void
control_free(struct control *c)
{
        if (c == NULL)
                return;
        while (c->handles != NULL)
                handle_free(c, c->handles);
        pthread_mutex_destroy(&c->lock);
        free(c->store_path);
        free(c->mountpoint);
        free(c);
}

static struct control_handle *
handle_of(const struct fuse_file_info *fi)
{
        return (struct control_handle *) (uintptr_t) fi->fh;
}

/* ---- inodes ------------------------------------------------------------- */

/* Bit 61 says model; the lowest three bits of the hash have no room. */
#define MODEL_BIT ((fuse_ino_t) 1 << 61)

static fuse_ino_t
inode_of_node(enum node node)
{
        return CONTROL_INODE_FIRST + (fuse_ino_t) node;
}

static fuse_ino_t
inode_of_model(uint64_t hash)
{
        return CONTROL_INODE_FIRST | MODEL_BIT | (hash >> 3);
}

static enum node
node_of(fuse_ino_t inode)
{
        if (inode & MODEL_BIT)
                return NODE_MODEL;
        return (enum node) (inode - CONTROL_INODE_FIRST);
}

struct model_search {
        fuse_ino_t         inode;
        struct store_model found;
        bool               is_there;
};

static bool
is_model(void *context, const struct store_model *m)
{
        struct model_search *search = context;

        if (inode_of_model(m->hash) != search->inode)
                return true;
        search->found = *m;
        search->is_there = true;
        return false;
}

static enum caefs_err
find_model(struct control *c, fuse_ino_t inode, struct store_model *out)
{
        struct model_search search = { .inode = inode };
        const enum caefs_err err = store_model_list(c->store, is_model, &search);

        if (err != CAEFS_OK)
                return err;
        if (!search.is_there)
                return CAEFS_ERR_NO_ENTRY;
        *out = search.found;
        return CAEFS_OK;
}

static void
node_stat(const struct control *c, enum node node, struct stat *st)
{
        *st = (struct stat) {
                .st_ino = inode_of_node(node),
                .st_mode = nodes[node].mode,
                .st_nlink = S_ISDIR(nodes[node].mode) ? 2 : 1,
                .st_uid = c->owner,
                .st_gid = c->group,
                .st_blksize = 4096,
                .st_mtim = c->since,
                .st_ctim = c->since,
                .st_atim = c->since,
        };
}

static void
model_stat(const struct control *c, const struct store_model *m, struct stat *st)
{
        node_stat(c, NODE_STORE, st);
        st->st_mode = S_IFREG | 0644;
        st->st_ino = inode_of_model(m->hash);
        st->st_size = (off_t) m->bytes;
        st->st_blocks = (blkcnt_t) ((m->bytes + 511) / 512);
        st->st_mtim = (struct timespec) { .tv_sec = m->created };
        st->st_ctim = st->st_mtim;
}

/* True when a model of this inode is being uploaded. */
static bool
is_uploading(struct control *c, fuse_ino_t inode, struct store_model *out)
{
        const struct control_handle *h;

        pthread_mutex_lock(&c->lock);
        for (h = c->handles; h != NULL; h = h->next)
                if (h->upload && h->node == NODE_MODEL && inode_of_model(h->hash) == inode)
                        break;
        if (h != NULL)
                *out = (struct store_model) { .hash = h->hash, .created = c->since.tv_sec };
        pthread_mutex_unlock(&c->lock);
        return h != NULL;
}

static enum caefs_err
inode_stat(struct control *c, fuse_ino_t inode, struct stat *st)
{
        const enum node node = node_of(inode);
        struct store_model m;
        enum caefs_err err;

        if (node != NODE_MODEL) {
                if (node > NODE_MODEL)
                        return CAEFS_ERR_STALE;
                node_stat(c, node, st);
                return CAEFS_OK;
        }
        err = find_model(c, inode, &m);
        if (err == CAEFS_ERR_NO_ENTRY && is_uploading(c, inode, &m))
                err = CAEFS_OK;
        if (err == CAEFS_OK)
                model_stat(c, &m, st);
        return err;
}

/* ---- names -------------------------------------------------------------- */

static enum caefs_err
inode_of_name(fuse_ino_t parent, const char *name, fuse_ino_t *inode)
{
        uint64_t hash;

        if (!control_owns(parent)) {
                *inode = inode_of_node(NODE_DIRECTORY);
                return CAEFS_OK;
        }
        if (node_of(parent) == NODE_MODELS) {
                if (!model_hash_parse(name, &hash))
                        return CAEFS_ERR_NO_ENTRY;
                *inode = inode_of_model(hash);
                return CAEFS_OK;
        }
        for (enum node n = NODE_STORE; n < NODE_COUNT; n++)
                if (strcmp(nodes[n].name, name) == 0) {
                        *inode = inode_of_node(n);
                        return CAEFS_OK;
                }
        return CAEFS_ERR_NO_ENTRY;
}

static void
fill_entry(struct fuse_entry_param *entry, const struct stat *st)
{
        *entry = (struct fuse_entry_param) {
                .ino = st->st_ino, .generation = 1, .attr = *st,
                .attr_timeout = CONTROL_TIMEOUT, .entry_timeout = CONTROL_TIMEOUT,
        };
}

void
control_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct control *c = adapter_of(req)->control;
        struct fuse_entry_param entry;
        struct stat st;
        fuse_ino_t inode = 0;
        enum caefs_err err = inode_of_name(parent, name, &inode);

        if (err == CAEFS_OK)
                err = inode_stat(c, inode, &st);
        if (err != CAEFS_OK) {
                adapter_reply(req, err);
                return;
        }
        fill_entry(&entry, &st);
        fuse_reply_entry(req, &entry);
}

void
control_getattr(fuse_req_t req, fuse_ino_t inode)
{
        struct stat st;
        const enum caefs_err err = inode_stat(adapter_of(req)->control, inode, &st);

        if (err != CAEFS_OK)
                adapter_reply(req, err);
        else
                fuse_reply_attr(req, &st, CONTROL_TIMEOUT);
}

void
control_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct control *c = adapter_of(req)->control;
        uint64_t hash;
        enum caefs_err err = CAEFS_ERR_PERMISSION;

        if (node_of(parent) == NODE_MODELS)
                err = model_hash_parse(name, &hash) ? store_model_remove(c->store, hash)
                                                    : CAEFS_ERR_NO_ENTRY;
        adapter_reply(req, err);
}

/* ---- listing ------------------------------------------------------------ */

struct control_listing {
        fuse_req_t      req;
        struct control *control;
        char           *buffer;
        size_t          size, used;
        bool            plus;
        off_t           offset;         /* entries to leave out */
        off_t           next;           /* number of the entry after this */
};

static bool
list_entry(struct control_listing *l, const char *name, const struct stat *st)
{
        struct fuse_entry_param entry;
        char *at = l->buffer + l->used;
        const size_t room = l->size - l->used;
        size_t needed;

        if (l->next++ < l->offset)
                return true;
        fill_entry(&entry, st);
        entry.ino = 0;                  /* looked up when somebody asks */
        needed = l->plus ? fuse_add_direntry_plus(l->req, at, room, name, &entry, l->next)
                         : fuse_add_direntry(l->req, at, room, name, st, l->next);
        if (needed > room)
                return false;
        l->used += needed;
        return true;
}

static bool
list_model(void *context, const struct store_model *m)
{
        struct control_listing *l = context;
        char name[17];
        struct stat st;

        model_hash_format(m->hash, name);
        model_stat(l->control, m, &st);
        return list_entry(l, name, &st);
}

static void
list_nodes(struct control_listing *l)
{
        struct stat st;

        for (enum node n = NODE_STORE; n < NODE_COUNT; n++) {
                node_stat(l->control, n, &st);
                if (!list_entry(l, nodes[n].name, &st))
                        return;
        }
}

static void
list(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, bool plus)
{
        struct control *c = adapter_of(req)->control;
        struct control_listing l = { .req = req, .control = c, .buffer = adapter_buffer(size),
                                     .size = size, .plus = plus, .offset = offset };
        struct stat st;
        enum caefs_err err = CAEFS_OK;

        if (l.buffer == NULL) {
                adapter_reply(req, CAEFS_ERR_NOMEM);
                return;
        }
        node_stat(c, node_of(inode), &st);
        if (list_entry(&l, ".", &st) && list_entry(&l, "..", &st)) {
                if (node_of(inode) == NODE_MODELS)
                        err = store_model_list(c->store, list_model, &l);
                else
                        list_nodes(&l);
        }
        if (err != CAEFS_OK)
                adapter_reply(req, err);
        else
                fuse_reply_buf(req, l.buffer, l.used);
}

void
control_readdir(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset)
{
        list(req, inode, size, offset, false);
}

void
control_readdirplus(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset)
{
        list(req, inode, size, offset, true);
}

/* ---- opening ------------------------------------------------------------ */

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
put_store_text(struct control *c, struct bytes *out)
{
        char text[64];

        bytes_put(out, "store ", 6);
        bytes_put(out, c->store_path, strlen(c->store_path));
        bytes_put(out, "\nmountpoint ", 12);
        bytes_put(out, c->mountpoint, strlen(c->mountpoint));
        snprintf(text, sizeof text, "\npid %ld\nread_only %d\nversion %s\n", (long) getpid(),
                 c->read_only, PACKAGE_VERSION);
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

/* What can be read from the start. */
static enum caefs_err
prepare(struct control *c, struct control_handle *h)
{
        json_t *json;
        enum caefs_err err = CAEFS_OK;

        switch (h->node) {
        case NODE_STORE:
                return put_store_text(c, &h->bytes);
        case NODE_MODELS_JSON:
                err = describe_models(c->store, &json);
                return err != CAEFS_OK ? err : put_json(&h->bytes, json);
        case NODE_MODEL:
                return h->upload ? CAEFS_OK : put_model(c, h->hash, &h->bytes);
        default:
                return CAEFS_OK;
        }
}

static void
use_handle(struct fuse_file_info *fi, struct control_handle *h)
{
        fi->fh = (uintptr_t) h;
        fi->direct_io = 1;
}

void
control_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        struct control *c = adapter_of(req)->control;
        struct store_model m = { .hash = 0 };
        struct control_handle *h;
        enum caefs_err err = CAEFS_OK;

        if (node_of(inode) == NODE_MODEL)
                err = find_model(c, inode, &m);
        if (err != CAEFS_OK) {
                adapter_reply(req, err);
                return;
        }
        h = handle_new(c, node_of(inode), m.hash,
                       (node_of(inode) == NODE_MODEL || node_of(inode) == NODE_RECORD) &&
                       (fi->flags & O_ACCMODE) != O_RDONLY);
        if (h == NULL) {
                adapter_reply(req, CAEFS_ERR_NOMEM);
                return;
        }
        err = prepare(c, h);
        use_handle(fi, h);
        if (err != CAEFS_OK)
                adapter_reply(req, err);
        if (err != CAEFS_OK || fuse_reply_open(req, fi) != 0)
                handle_free(c, h);
}

void
control_create(fuse_req_t req, fuse_ino_t parent, const char *name, struct fuse_file_info *fi)
{
        struct control *c = adapter_of(req)->control;
        struct store_model m = { .created = c->since.tv_sec };
        struct fuse_entry_param entry;
        struct control_handle *h;
        struct stat st;

        if (!control_owns(parent) || node_of(parent) != NODE_MODELS) {
                adapter_reply(req, CAEFS_ERR_PERMISSION);
                return;
        }
        if (!model_hash_parse(name, &m.hash)) {
                adapter_reply(req, CAEFS_ERR_ARGUMENT);
                return;
        }
        h = handle_new(c, NODE_MODEL, m.hash, true);
        if (h == NULL) {
                adapter_reply(req, CAEFS_ERR_NOMEM);
                return;
        }
        model_stat(c, &m, &st);
        fill_entry(&entry, &st);
        use_handle(fi, h);
        if (fuse_reply_create(req, &entry, fi) != 0)
                handle_free(c, h);
}

/* ---- reading and writing ------------------------------------------------ */

static void
read_bytes(fuse_req_t req, struct control_handle *h, size_t size, off_t offset)
{
        const size_t at = (uint64_t) offset < h->bytes.size ? (size_t) offset : h->bytes.size;
        const size_t left = h->bytes.size - at;

        fuse_reply_buf(req, (const char *) h->bytes.data + at, left < size ? left : size);
}

static void
read_line(fuse_req_t req, struct control_handle *h, size_t size)
{
        char line[CONTROL_JOB_LINE];
        size_t length;

        if (size < sizeof line) {
                adapter_reply(req, CAEFS_ERR_ARGUMENT);
                return;
        }
        length = control_job_next_line(h->job, line);
        fuse_reply_buf(req, line, length);
}

void
control_read(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *fi)
{
        struct control_handle *h = handle_of(fi);

        pthread_mutex_lock(&h->lock);
        if (h->job != NULL)
                read_line(req, h, size);
        else
                read_bytes(req, h, size, offset);
        pthread_mutex_unlock(&h->lock);
}

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

static enum caefs_err
take_write(fuse_req_t req, struct control_handle *h, const char *data, size_t size, off_t offset)
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

void
control_write(fuse_req_t req, const char *data, size_t size, off_t offset,
              struct fuse_file_info *fi)
{
        struct control_handle *h = handle_of(fi);
        enum caefs_err err;

        pthread_mutex_lock(&h->lock);
        err = take_write(req, h, data, size, offset);
        pthread_mutex_unlock(&h->lock);
        if (err != CAEFS_OK)
                adapter_reply(req, err);
        else
                fuse_reply_write(req, size);
}

/* ---- closing ------------------------------------------------------------ */

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
install(struct control *c, struct control_handle *h)
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

void
control_flush(fuse_req_t req, struct fuse_file_info *fi)
{
        struct control_handle *h = handle_of(fi);
        enum caefs_err err = CAEFS_OK;

        pthread_mutex_lock(&h->lock);
        if (h->upload && !h->installed && h->bytes.size != 0)
                err = (h->node == NODE_RECORD ? keep_record : install)(adapter_of(req)->control, h);
        pthread_mutex_unlock(&h->lock);
        adapter_reply(req, err);
}

void
control_release(fuse_req_t req, struct fuse_file_info *fi)
{
        handle_free(adapter_of(req)->control, handle_of(fi));
        fuse_reply_err(req, 0);
}
