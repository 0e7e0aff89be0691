/* fs/store_small.c - small staged files, kept in memory.
 *
 * Most small files are written once, closed, and sealed a moment later: a staging file for
 * each would cost more than all the rest.  So the bytes of a generation begin in
 * memory and get their file when it is needed: when they grow, when a commit is to
 * make them durable, or when somebody wants a descriptor.  Nothing else tells the two apart:
 * in memory or not, the bytes are those of staging/INO.GENERATION.
 *
 * The bytes of all such files together are bounded, and only used while the device has
 * ample space, so that what was taken in can also be written.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store_internal.h"

#define SMALL_MAX   ((size_t) 64 << 10)         /* of one file */
#define SMALL_TOTAL ((uint64_t) 8 << 20)       /* of all */
#define SMALL_FIRST ((size_t) 256)

bool
small_may_hold(struct store *s, uint64_t size)
{
        return size <= SMALL_MAX && atomic_load(&s->small_bytes) < SMALL_TOTAL &&
               store_space_is_ample(s);
}

void
small_free(struct store *s, struct small *m)
{
        atomic_fetch_sub(&s->small_bytes, m->capacity);
        free(m->data);
        *m = (struct small) { 0 };
}

/* Room for SIZE bytes; stripe held. */
static bool
reserve(struct store *s, struct small *m, size_t size)
{
        size_t capacity = m->capacity == 0 ? SMALL_FIRST : m->capacity;

        while (capacity < size)
                capacity *= 2;
        if (capacity == m->capacity)
                return true;
        char *data = realloc(m->data, capacity);
        if (data == NULL)
                return false;
        atomic_fetch_add(&s->small_bytes, capacity - m->capacity);
        m->data = data;
        m->capacity = capacity;
        return true;
}

/* May the bytes be changed in memory, up to SIZE?  Stripe held. */
static bool
is_writable(struct store *s, const struct small *m, uint64_t size)
{
        return m->is_used && !m->is_spilling && size <= SMALL_MAX &&
               (size <= m->capacity || small_may_hold(s, size));
}

enum caefs_err
small_fill(struct store *s, struct inode *inode, struct small *m, uint64_t size)
{
        m->is_used = true;
        if (size == 0)
                return CAEFS_OK;
        if (!reserve(s, m, size))
                return CAEFS_ERR_NOMEM;
        m->size = size;
        return content_read(s, inode, m->data, size, 0);
}

bool
small_write(struct store *s, struct inode *inode, const void *data, size_t n, uint64_t offset)
{
        pthread_mutex_lock(stripe_of(s, inode));
        struct small *m = &inode->content->small;
        bool          done = is_writable(s, m, offset + n) && reserve(s, m, offset + n);
        if (done) {
                if (offset > m->size)
                        memset(m->data + m->size, 0, offset - m->size);
                memcpy(m->data + offset, data, n);
                if (offset + n > m->size)
                        m->size = offset + n;
        }
        pthread_mutex_unlock(stripe_of(s, inode));
        return done;
}

bool
small_resize(struct store *s, struct inode *inode, uint64_t size)
{
        pthread_mutex_lock(stripe_of(s, inode));
        struct small *m = &inode->content->small;
        bool          done = is_writable(s, m, size);
        if (done && m->size > size)
                m->size = size;
        pthread_mutex_unlock(stripe_of(s, inode));
        return done;
}

/* N bytes from OFFSET on; what was never written is zero.  Stripe held. */
static void
copy_out(const struct small *m, char *buffer, size_t n, uint64_t offset)
{
        size_t there = offset < m->size ? m->size - offset : 0;

        if (there > n)
                there = n;
        if (there > 0)
                memcpy(buffer, m->data + offset, there);
        memset(buffer + there, 0, n - there);
}

bool
small_read(struct store *s, struct inode *inode, uint64_t generation, void *buffer, size_t n,
           uint64_t offset)
{
        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        bool            done = c->small.is_used && inode->row.content.generation == generation;
        if (done)
                copy_out(&c->small, buffer, n, offset);
        pthread_mutex_unlock(stripe_of(s, inode));
        return done;
}

bool
small_is_used(struct store *s, struct inode *inode)
{
        pthread_mutex_lock(stripe_of(s, inode));
        bool used = inode->content->small.is_used;
        pthread_mutex_unlock(stripe_of(s, inode));
        return used;
}

/* ---- to a file ---------------------------------------------------------- */

/* What is to be written, copied so that nobody waits for the disk. */
struct copy {
        char    *data;
        size_t   size;
        uint64_t file_size;             /* with the hole at the end */
        uint64_t generation;
};

/* False with CAEFS_OK: there is nothing to do. */
static bool
copy_begin(struct store *s, struct inode *inode, struct copy *copy, enum caefs_err *err)
{
        *err = CAEFS_OK;
        pthread_mutex_lock(stripe_of(s, inode));
        struct content      *c = inode->content;
        struct small        *m = &c->small;
        const struct meta_content *now = &inode->row.content, *flushed = &c->flushed.content;
        bool                 begun = m->is_used && now->state == META_STAGED;
        *copy = (struct copy) {
                .data = begun ? malloc(m->size + 1) : NULL,
                .size = m->size,
                .file_size = now->size,
                .generation = now->generation,
        };
        /* The row that is about to be written may speak of more. */
        if (flushed->generation == now->generation && flushed->size > copy->file_size)
                copy->file_size = flushed->size;
        if (begun && copy->data == NULL) {
                *err = CAEFS_ERR_NOMEM;
                begun = false;
        }
        if (begun) {
                copy_out(m, copy->data, m->size, 0);
                m->is_spilling = true;
        }
        pthread_mutex_unlock(stripe_of(s, inode));
        return begun;
}

static enum caefs_err
write_copy(struct store *s, const char *name, const struct copy *copy, int *fd)
{
        *fd = io->open(s->staging_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (*fd < 0 || io_write_all(*fd, copy->data, copy->size, 0) < 0 ||
            (copy->file_size > copy->size && io->truncate(*fd, copy->file_size) < 0))
                return caefs_fail_errno("%s/staging/%s", s->path, name);
        return CAEFS_OK;
}

/* From now on the file is what counts.  False when nobody needs it any more, or memory is
 * out: then *ERR says so. */
static bool
adopt_file(struct store *s, struct inode *inode, const struct copy *copy, int *fd,
           enum caefs_err *err)
{
        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        bool            is_current = c->small.is_used && inode->row.content.state == META_STAGED &&
                          inode->row.content.generation == copy->generation;
        c->small.is_spilling = false;
        if (is_current && *err == CAEFS_OK && !content_add_generation(c, copy->generation))
                *err = CAEFS_ERR_NOMEM;
        bool adopted = is_current && *err == CAEFS_OK;
        if (adopted) {
                small_free(s, &c->small);
                if (c->fd < 0 && c->handles > 0) {
                        c->fd = *fd;
                        *fd = -1;
                }
        }
        pthread_mutex_unlock(stripe_of(s, inode));
        return adopted;
}

enum caefs_err
small_spill(struct store *s, struct inode *inode)
{
        struct copy    copy;
        char           name[STAGING_NAME_SIZE];
        int            fd = -1;
        enum caefs_err err;

        pthread_mutex_lock(&s->spilling);
        if (copy_begin(s, inode, &copy, &err)) {
                staging_name(inode->row.ino, copy.generation, name);
                err = write_copy(s, name, &copy, &fd);
                bool made = fd >= 0;
                if (!adopt_file(s, inode, &copy, &fd, &err) && made)
                        io->unlink(s->staging_fd, name);
                if (fd >= 0)
                        io->close(fd);
        }
        pthread_mutex_unlock(&s->spilling);
        free(copy.data);
        return err;
}
