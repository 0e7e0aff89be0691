/* fs/store_file.c - open files. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/store_internal.h"

#define COPY_STEP ((size_t) 1 << 20)

static bool
may_write(int flags)
{
        return (flags & O_ACCMODE) != O_RDONLY;
}

/* ---- opening and closing ------------------------------------------------ */

/* While there is a handle the file is not sealed, and its descriptor stays open. */
static void
handle_begin(struct store *s, struct inode *inode, bool writes)
{
        pthread_mutex_lock(stripe_of(s, inode));
        inode->content->handles++;
        inode->content->writers += writes;
        pthread_mutex_unlock(stripe_of(s, inode));
}

/* A file on INODE, whose hold it takes over. */
static enum caefs_err
file_new(struct store *s, struct inode *inode, int flags, struct store_file **out)
{
        struct store_file *f = malloc(sizeof *f);
        struct content    *c;

        *out = NULL;
        if (f == NULL)
                return CAEFS_ERR_NOMEM;
        enum caefs_err err = content_get(s, inode, &c);
        if (err != CAEFS_OK) {
                free(f);
                return err;
        }
        *f = (struct store_file) { .store = s, .inode = inode, .flags = flags };
        handle_begin(s, inode, may_write(flags));
        pthread_mutex_lock(stripe_of(s, inode));
        f->changed = inode->changed;
        inode->changed = false;
        pthread_mutex_unlock(stripe_of(s, inode));
        *out = f;
        return CAEFS_OK;
}

static enum caefs_err
check_open(struct store *s, struct inode *inode, int flags)
{
        struct meta_inode row = inode_row(s, inode);

        if (S_ISDIR(row.mode))
                return CAEFS_ERR_IS_DIRECTORY;
        if (!S_ISREG(row.mode))
                return CAEFS_ERR_ARGUMENT;
        if (s->options.read_only && (may_write(flags) || (flags & O_TRUNC)))
                return CAEFS_ERR_READ_ONLY;
        return CAEFS_OK;
}

enum caefs_err
store_file_open(struct store *s, store_inode ino, int flags, struct store_file **out)
{
        struct inode  *inode;
        enum caefs_err err = inode_hold(s, ino, &inode);

        *out = NULL;
        if (err != CAEFS_OK)
                return err;
        err = check_open(s, inode, flags);
        if (err == CAEFS_OK)
                err = file_new(s, inode, flags, out);
        if (err != CAEFS_OK) {
                inode_release(s, inode);
                return err;
        }
        if ((flags & O_TRUNC) && inode_row(s, inode).content.size > 0)
                err = content_resize(s, inode, 0);
        if (err != CAEFS_OK) {
                store_file_release(*out);
                *out = NULL;
        }
        return err;
}

enum caefs_err
store_create(struct store *s, const struct store_caller *c, store_inode directory,
             const char *name, mode_t mode, int flags, struct stat *st,
             struct store_file **out)
{
        struct inode     *inode;
        struct meta_inode row = { .mode = S_IFREG | (mode & 07777) };
        enum caefs_err    err = name_make(s, c, directory, name, &row, NULL, &inode);

        *out = NULL;
        if (err != CAEFS_OK)
                return err;
        err = file_new(s, inode, flags, out);
        if (err != CAEFS_OK) {
                inode_release(s, inode);
                return err;
        }
        inode_stat(s, inode, st);
        inode_hold_again(s, inode);
        inode_hold_to_lookup(s, inode);
        return CAEFS_OK;
}

bool
store_file_changed(const struct store_file *f)
{
        return f->changed;
}

/* After a writer: when it was the last, what it wrote is settled, flushed, and will be
 * sealed. */
static void
content_settle(struct store *s, struct inode *inode)
{
        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        bool            last = c->writers == 0;
        if (last)
                c->settled = inode->row.content.size;
        pthread_mutex_unlock(stripe_of(s, inode));
        if (last)
                draft_flush(s, inode);
        if (last)
                queue_add(s, inode->row.ino, s->options.seal_delay);
}

/* What a close is; gives back the use of the content as well. */
static void
handle_end(struct store *s, struct inode *inode, bool writes)
{
        int fd = -1;

        draft_flush(s, inode);
        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        c->writers -= writes;
        if (--c->handles == 0) {
                /* Descriptors are for files that are open; others are many. */
                fd = c->fd;
                c->fd = -1;
        }
        bool is_staged = inode->row.content.state == META_STAGED && c->handles == 0;
        bool is_gone = inode->row.nlink == 0 && c->handles == 0 && c->parked != NULL;
        pthread_mutex_unlock(stripe_of(s, inode));
        if (fd >= 0)
                io->close(fd);
        if (writes || is_staged)
                content_settle(s, inode);
        if (is_gone)
                seal_drop_parked(s, inode);
        content_put(s, inode);
        sync_note_closed(s);
}

void
store_file_release(struct store_file *f)
{
        if (f == NULL)
                return;
        handle_end(f->store, f->inode, may_write(f->flags));
        inode_release(f->store, f->inode);
        if (may_write(f->flags))
                queue_help(f->store);
        free(f);
}

enum caefs_err
content_truncate(struct store *s, struct inode *inode, uint64_t size)
{
        struct content *c;
        enum caefs_err  err = content_get(s, inode, &c);

        if (err != CAEFS_OK)
                return err;
        handle_begin(s, inode, true);
        err = content_resize(s, inode, size);
        handle_end(s, inode, true);
        return err;
}

/* ---- reading and writing ------------------------------------------------ */

/* How many of N bytes from OFFSET the file has; content.bytes held. */
static size_t
bytes_there(struct store_file *f, size_t n, uint64_t offset)
{
        uint64_t size = inode_row(f->store, f->inode).content.size;
        uint64_t left = offset < size ? size - offset : 0;

        return n > left ? (size_t) left : n;
}

enum caefs_err
store_file_read(struct store_file *f, void *buffer, size_t n, uint64_t offset, size_t *got)
{
        struct content *c = f->inode->content;
        enum caefs_err  err = CAEFS_OK;

        pthread_rwlock_rdlock(&c->bytes);
        n = bytes_there(f, n, offset);
        if (n > 0)
                err = content_read(f->store, f->inode, buffer, n, offset);
        pthread_rwlock_unlock(&c->bytes);
        *got = err == CAEFS_OK ? n : 0;
        return err;
}

static enum caefs_err
write_staged(struct store *s, struct inode *inode, const void *data, size_t n, uint64_t offset)
{
        int fd;

        if (small_write(s, inode, data, n, offset))
                return CAEFS_OK;
        enum caefs_err err = staging_open(s, inode, &fd);
        if (err == CAEFS_OK && io_write_all(fd, data, n, offset) < 0)
                err = caefs_fail_errno("%s/staging", s->path);
        return err;
}

enum caefs_err
store_file_view(struct store_file *f, void *buffer, size_t n, uint64_t offset,
                struct store_view *v)
{
        struct content *c = f->inode->content;
        enum caefs_err  err = CAEFS_OK;

        v->npieces = 0;
        pthread_rwlock_rdlock(&c->bytes);
        n = bytes_there(f, n, offset);
        if (n > 0)
                err = content_view(f->store, f->inode, buffer, n, offset, v);
        pthread_rwlock_unlock(&c->bytes);
        return err;
}

enum caefs_err
store_file_write(struct store_file *f, const void *data, size_t n, uint64_t offset,
                 size_t *put)
{
        struct store   *s = f->store;
        struct content *c = f->inode->content;

        *put = 0;
        if (!may_write(f->flags))
                return CAEFS_ERR_ARGUMENT;
        if (n == 0)
                return CAEFS_OK;
        pthread_rwlock_wrlock(&c->bytes);
        if (f->flags & O_APPEND)
                offset = inode_row(s, f->inode).content.size;
        enum caefs_err err = CAEFS_OK;
        if (offset > STORE_SIZE_MAX || n > STORE_SIZE_MAX - offset)
                err = CAEFS_ERR_FILE_TOO_BIG;
        if (err == CAEFS_OK && store_space_is_low(s))
                err = caefs_fail(CAEFS_ERR_NO_SPACE, "%s: the device is nearly full", s->path);
        if (err == CAEFS_OK)
                err = staging_prepare(s, f->inode, offset, UINT64_MAX);
        if (err == CAEFS_OK)
                err = write_staged(s, f->inode, data, n, offset);
        if (err == CAEFS_OK) {
                content_touch(s, f->inode, offset + n, false);
                *put = n;
        }
        pthread_rwlock_unlock(&c->bytes);
        return err;
}

/* ---- space -------------------------------------------------------------- */

enum caefs_err
store_file_allocate(struct store_file *f, int mode, uint64_t offset, uint64_t length)
{
        static const int destroying = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
        struct store    *s = f->store;
        int              fd;

        if (mode & ~(destroying | FALLOC_FL_KEEP_SIZE))
                return CAEFS_ERR_UNSUPPORTED;
        if (!may_write(f->flags) || length == 0)
                return CAEFS_ERR_ARGUMENT;
        if (offset > STORE_SIZE_MAX || length > STORE_SIZE_MAX - offset)
                return CAEFS_ERR_FILE_TOO_BIG;
        pthread_rwlock_wrlock(&f->inode->content->bytes);
        uint64_t size = inode_row(s, f->inode).content.size;
        uint64_t from = (mode & destroying) && offset < size ? offset : size;
        enum caefs_err err = staging_prepare(s, f->inode, from, UINT64_MAX);
        if (err == CAEFS_OK)
                err = staging_open(s, f->inode, &fd);
        if (err == CAEFS_OK && io->allocate(fd, mode, offset, length) < 0)
                err = caefs_fail_errno("%s/staging", s->path);
        bool grows = !(mode & FALLOC_FL_KEEP_SIZE) && offset + length > size;
        if (err == CAEFS_OK && (grows || (mode & destroying)))
                content_touch(s, f->inode, grows ? offset + length : size, false);
        pthread_rwlock_unlock(&f->inode->content->bytes);
        return err;
}

/* In a staged file, whose system below knows its holes. */
static enum caefs_err
seek_staged(struct store *s, struct inode *inode, uint64_t offset, uint64_t size, int whence,
            uint64_t *found)
{
        int            fd;
        enum caefs_err err = staging_open(s, inode, &fd);

        if (err != CAEFS_OK)
                return err;
        off_t at = lseek(fd, (off_t) offset, whence);
        if (at < 0 && errno == ENXIO)
                return CAEFS_ERR_NO_MORE_DATA;
        if (at < 0)
                return caefs_fail_errno("%s/staging", s->path);
        *found = (uint64_t) at < size ? (uint64_t) at : size;
        return whence == SEEK_DATA && *found == size ? CAEFS_ERR_NO_MORE_DATA : CAEFS_OK;
}

enum caefs_err
store_file_seek(struct store_file *f, uint64_t offset, int whence, uint64_t *found)
{
        struct store  *s = f->store;
        enum caefs_err err = CAEFS_OK;

        if (whence != SEEK_DATA && whence != SEEK_HOLE)
                return CAEFS_ERR_ARGUMENT;
        pthread_rwlock_rdlock(&f->inode->content->bytes);
        struct meta_content now = inode_row(s, f->inode).content;
        if (offset >= now.size)
                err = CAEFS_ERR_NO_MORE_DATA;
        else if (now.state == META_STAGED)
                err = seek_staged(s, f->inode, offset, now.size, whence, found);
        else
                *found = whence == SEEK_DATA ? offset : now.size;
        pthread_rwlock_unlock(&f->inode->content->bytes);
        return err;
}

enum caefs_err
store_file_copy(struct store_file *from, uint64_t from_offset, struct store_file *to,
                uint64_t to_offset, uint64_t n, uint64_t *copied)
{
        enum caefs_err err = CAEFS_OK;
        size_t         got = 1, put;
        char          *buffer = malloc(COPY_STEP);

        *copied = 0;
        if (buffer == NULL)
                return CAEFS_ERR_NOMEM;
        /* As the system call: ranges of one file may not overlap. */
        if (from->inode == to->inode && from_offset < to_offset + n &&
            to_offset < from_offset + n)
                err = CAEFS_ERR_ARGUMENT;
        while (err == CAEFS_OK && n > 0 && got > 0) {
                err = store_file_read(from, buffer, n < COPY_STEP ? (size_t) n : COPY_STEP,
                                      from_offset + *copied, &got);
                if (err == CAEFS_OK)
                        err = store_file_write(to, buffer, got, to_offset + *copied, &put);
                if (err == CAEFS_OK) {
                        *copied += got;
                        n -= got;
                }
        }
        free(buffer);
        return *copied > 0 ? CAEFS_OK : err;
}

/* ---- making it last ----------------------------------------------------- */

enum caefs_err
store_file_flush(struct store_file *f)
{
        draft_flush(f->store, f->inode);
        return CAEFS_OK;
}

enum caefs_err
store_file_sync(struct store_file *f, bool data_only)
{
        (void) data_only;       /* the bytes are of no use without the row */
        if (f->store->options.read_only)
                return CAEFS_OK;
        draft_flush(f->store, f->inode);
        enum caefs_err err = draft_store(f->store, f->inode);
        return err == CAEFS_OK ? commit_changes(f->store, false) : err;
}
