/* fs/fuse_control_names.c - names, attributes and listings of the control directory. */
#include <string.h>

#include "codec/model.h"
#include "fs/fuse_control_internal.h"

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
        [NODE_STATS]       = { "stats", S_IFREG | 0444 },
        [NODE_STATS_JSON]  = { "stats.json", S_IFREG | 0444 },
        [NODE_TOTALS_JSON] = { "totals.json", S_IFREG | 0444 },
};

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

enum node
control_node_of(fuse_ino_t inode)
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

enum caefs_err
control_find_model(struct control *c, fuse_ino_t inode, struct store_model *out)
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
                .st_mtim = c->adapter->since,
                .st_ctim = c->adapter->since,
                .st_atim = c->adapter->since,
        };
}

void
control_model_stat(const struct control *c, const struct store_model *m, struct stat *st)
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
                *out = (struct store_model) { .hash = h->hash, .created = c->adapter->since.tv_sec };
        pthread_mutex_unlock(&c->lock);
        return h != NULL;
}

static enum caefs_err
inode_stat(struct control *c, fuse_ino_t inode, struct stat *st)
{
        const enum node node = control_node_of(inode);
        struct store_model m;
        enum caefs_err err;

        if (node != NODE_MODEL) {
                if (node > NODE_MODEL)
                        return CAEFS_ERR_STALE;
                node_stat(c, node, st);
                return CAEFS_OK;
        }
        err = control_find_model(c, inode, &m);
        if (err == CAEFS_ERR_NO_ENTRY && is_uploading(c, inode, &m))
                err = CAEFS_OK;
        if (err == CAEFS_OK)
                control_model_stat(c, &m, st);
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
        if (control_node_of(parent) == NODE_MODELS) {
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

void
control_fill_entry(struct fuse_entry_param *entry, const struct stat *st)
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
        control_fill_entry(&entry, &st);
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

        if (control_node_of(parent) == NODE_MODELS)
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
        control_fill_entry(&entry, st);
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
        control_model_stat(l->control, m, &st);
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
        node_stat(c, control_node_of(inode), &st);
        if (list_entry(&l, ".", &st) && list_entry(&l, "..", &st)) {
                if (control_node_of(inode) == NODE_MODELS)
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
