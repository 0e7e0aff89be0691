/* fs/fuse_control.c - the hidden directory .caefs: its handles. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/model.h"
#include "fs/fuse_control_internal.h"

struct control *
control_new(struct adapter *a)
{
        struct control *c = calloc(1, sizeof *c);

        if (c == NULL)
                return NULL;
        c->adapter = a;
        c->store = a->store;
        c->owner = geteuid();
        c->group = getegid();
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
        free(c);
}

static struct control_handle *
handle_of(const struct fuse_file_info *fi)
{
        return (struct control_handle *) (uintptr_t) fi->fh;
}

/* ---- opening ------------------------------------------------------------ */

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

        if (control_node_of(inode) == NODE_MODEL)
                err = control_find_model(c, inode, &m);
        if (err != CAEFS_OK) {
                adapter_reply(req, err);
                return;
        }
        h = handle_new(c, control_node_of(inode), m.hash,
                       (control_node_of(inode) == NODE_MODEL || control_node_of(inode) == NODE_RECORD) &&
                       (fi->flags & O_ACCMODE) != O_RDONLY);
        if (h == NULL) {
                adapter_reply(req, CAEFS_ERR_NOMEM);
                return;
        }
        err = control_prepare(c, h);
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
        struct store_model m = { .created = c->adapter->since.tv_sec };
        struct fuse_entry_param entry;
        struct control_handle *h;
        struct stat st;

        if (!control_owns(parent) || control_node_of(parent) != NODE_MODELS) {
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
        control_model_stat(c, &m, &st);
        control_fill_entry(&entry, &st);
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

void
control_write(fuse_req_t req, const char *data, size_t size, off_t offset,
              struct fuse_file_info *fi)
{
        struct control_handle *h = handle_of(fi);
        enum caefs_err err;

        pthread_mutex_lock(&h->lock);
        err = control_take(req, h, data, size, offset);
        pthread_mutex_unlock(&h->lock);
        if (err != CAEFS_OK)
                adapter_reply(req, err);
        else
                fuse_reply_write(req, size);
}

/* ---- closing ------------------------------------------------------------ */

void
control_fsync(fuse_req_t req, struct fuse_file_info *fi)
{
        struct control_handle *h = handle_of(fi);
        enum caefs_err err = CAEFS_OK;

        pthread_mutex_lock(&h->lock);
        if (h->upload && !h->installed && h->bytes.size != 0)
                err = control_install(adapter_of(req)->control, h);
        pthread_mutex_unlock(&h->lock);
        adapter_reply(req, err);
}

void
control_release(fuse_req_t req, struct fuse_file_info *fi)
{
        struct control_handle *h = handle_of(fi);

        /* Whoever has answered the last request may still be about to unlock. */
        pthread_mutex_lock(&h->lock);
        pthread_mutex_unlock(&h->lock);
        handle_free(adapter_of(req)->control, h);
        fuse_reply_err(req, 0);
}
