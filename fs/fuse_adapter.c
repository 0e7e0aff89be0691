/* fs/fuse_adapter.c - replies and the list of open handles. */
#include "fs/fuse_adapter.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fs/fuse_control.h"

/* ---- replies ------------------------------------------------------------ */

struct store_caller
adapter_caller(fuse_req_t req)
{
        const struct fuse_ctx *ctx = fuse_req_ctx(req);

        return (struct store_caller) { .uid = ctx->uid, .gid = ctx->gid, .umask = ctx->umask };
}

/* Errors that come of the store's state and not of what the caller asked. */
static bool
is_trouble(enum caefs_err err)
{
        switch (err) {
        case CAEFS_ERR_NOMEM:
        case CAEFS_ERR_CORRUPT:
        case CAEFS_ERR_VERSION:
        case CAEFS_ERR_MODEL:
        case CAEFS_ERR_BOUND:
        case CAEFS_ERR_IO:
        case CAEFS_ERR_NO_SPACE:
        case CAEFS_ERR_QUOTA:
                return true;
        default:
                return false;
        }
}

void
adapter_reply(fuse_req_t req, enum caefs_err err)
{
        const char *sentence = caefs_detail();

        if (is_trouble(err))
                log_error("%s", *sentence != '\0' ? sentence : caefs_err_text(err));
        caefs_detail_clear();
        if (err != CAEFS_OK)
                statistics_add_error(adapter_of(req)->statistics, caefs_err_errno(err));
        fuse_reply_err(req, caefs_err_errno(err));
}

void
adapter_fill_entry(const struct adapter *a, struct fuse_entry_param *entry,
                   const struct stat *st)
{
        *entry = (struct fuse_entry_param) {
                .ino = st->st_ino,
                .generation = 1,        /* inode numbers are never used again */
                .attr = *st,
                .attr_timeout = a->timeout,
                .entry_timeout = a->timeout,
        };
}

void
adapter_reply_entry(fuse_req_t req, enum caefs_err err, const struct stat *st)
{
        struct adapter *a = adapter_of(req);
        struct fuse_entry_param entry;

        if (err != CAEFS_OK) {
                adapter_reply(req, err);
                return;
        }
        adapter_fill_entry(a, &entry, st);
        if (fuse_reply_entry(req, &entry) != 0)
                store_forget(a->store, st->st_ino, 1);
}

void
adapter_reply_attributes(fuse_req_t req, enum caefs_err err, const struct stat *st)
{
        if (err != CAEFS_OK)
                adapter_reply(req, err);
        else
                fuse_reply_attr(req, st, adapter_of(req)->timeout);
}

bool
adapter_reserved_name(fuse_ino_t parent, const char *name)
{
        return parent == FUSE_ROOT_ID && strcmp(name, CONTROL_NAME) == 0;
}

/* ---- a buffer for each thread ------------------------------------------- */

struct thread_buffer {
        size_t size;
        char   data[];
};

static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

static void
make_buffer_key(void)
{
        pthread_key_create(&buffer_key, free);
}

void *
adapter_buffer(size_t size)
{
        struct thread_buffer *b;

        pthread_once(&buffer_once, make_buffer_key);
        b = pthread_getspecific(buffer_key);
        if (b != NULL && b->size >= size)
                return b->data;
        free(b);
        b = malloc(sizeof *b + size);
        pthread_setspecific(buffer_key, b);
        if (b == NULL)
                return NULL;
        b->size = size;
        return b->data;
}

/* ---- open handles ------------------------------------------------------- */

struct adapter_handle *
adapter_handle_new(struct adapter *a, struct store_file *file, fuse_ino_t inode, bool writable)
{
        struct adapter_handle *h = calloc(1, sizeof *h);

        if (h == NULL) {
                store_file_release(file);
                return NULL;
        }
        h->file = file;
        h->inode = inode;
        h->writable = writable;
        pthread_mutex_lock(&a->lock);
        h->next = a->handles;
        if (h->next != NULL)
                h->next->previous = h;
        a->handles = h;
        a->open_files++;
        pthread_mutex_unlock(&a->lock);
        return h;
}

void
adapter_handle_free(struct adapter *a, struct adapter_handle *h)
{
        pthread_mutex_lock(&a->lock);
        if (h->previous != NULL)
                h->previous->next = h->next;
        else
                a->handles = h->next;
        if (h->next != NULL)
                h->next->previous = h->previous;
        a->open_files--;
        pthread_mutex_unlock(&a->lock);
        store_file_release(h->file);
        free(h);
}

bool
adapter_has_writer(struct adapter *a, fuse_ino_t inode)
{
        const struct adapter_handle *h;

        pthread_mutex_lock(&a->lock);
        for (h = a->handles; h != NULL; h = h->next)
                if (h->inode == inode && h->writable)
                        break;
        pthread_mutex_unlock(&a->lock);
        return h != NULL;
}

void
adapter_handles_free(struct adapter *a)
{
        while (a->handles != NULL)
                adapter_handle_free(a, a->handles);
}

struct metrics_of
adapter_metrics(struct adapter *a)
{
        struct metrics_of m = {
                .store = a->store, .statistics = a->statistics, .store_path = a->store_path,
                .mountpoint = a->mountpoint, .since = a->since,
        };

        pthread_mutex_lock(&a->lock);
        m.open_files = a->open_files;
        pthread_mutex_unlock(&a->lock);
        return m;
}

/* ---- helpers ------------------------------------------------------------ */

bool
adapter_helper_start(struct adapter *a, void *(*work)(void *), void *argument)
{
        pthread_t thread;

        pthread_mutex_lock(&a->lock);
        a->helpers++;
        pthread_mutex_unlock(&a->lock);
        if (pthread_create(&thread, NULL, work, argument) != 0) {
                adapter_helper_done(a);
                return false;
        }
        pthread_detach(thread);
        return true;
}

void
adapter_helper_done(struct adapter *a)
{
        pthread_mutex_lock(&a->lock);
        if (--a->helpers == 0)
                pthread_cond_broadcast(&a->no_helpers);
        pthread_mutex_unlock(&a->lock);
}

void
adapter_helpers_wait(struct adapter *a)
{
        pthread_mutex_lock(&a->lock);
        while (a->helpers != 0)
                pthread_cond_wait(&a->no_helpers, &a->lock);
        pthread_mutex_unlock(&a->lock);
}
