/* fs/store_staging.c - staging files: the exact bytes of files that are being written.
 *
 * A regular file has a struct content while somebody uses it.  staging_prepare() is
 * where the rule lives that keeps old content until new content is committed:
 * what a closed file holds is never overwritten in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/store_internal.h"

/* A caller that stamps has said a time at most that long ago, in nanoseconds, or will say it.
 * Should it never come, as when the kernel goes away, ours is better than one of long ago. */
#define CALLER_STAMPS_WITHIN INT64_C(2000000000)

#define DECODE_STEP ((size_t) 1 << 20)

void
staging_name(uint64_t ino, uint64_t generation, char name[STAGING_NAME_SIZE])
{
        snprintf(name, STAGING_NAME_SIZE, "%" PRIu64 ".%" PRIu64, ino, generation);
}

bool
staging_name_parse(const char *name, uint64_t *ino, uint64_t *generation)
{
        char again[STAGING_NAME_SIZE];

        if (sscanf(name, "%" SCNu64 ".%" SCNu64, ino, generation) != 2)
                return false;
        staging_name(*ino, *generation, again);
        return strcmp(name, again) == 0;
}

/* ---- struct content ----------------------------------------------------- */

static struct content *
content_new(const struct meta_inode *row)
{
        struct content *c = calloc(1, sizeof *c);

        if (c == NULL)
                return NULL;
        c->generations = malloc(sizeof *c->generations);
        if (c->generations == NULL) {
                free(c);
                return NULL;
        }
        pthread_mutex_init(&c->sealing, NULL);
        pthread_rwlock_init(&c->bytes, NULL);
        c->fd = -1;
        c->flushed.content = c->stored.content = row->content;
        c->settled = row->content.size;
        if (row->content.state == META_STAGED)
                c->generations[c->ngenerations++] = row->content.generation;
        return c;
}

static void
content_free(struct store *s, struct content *c)
{
        if (c == NULL)
                return;
        small_free(s, &c->small);
        if (c->fd >= 0)
                io->close(c->fd);
        pthread_mutex_destroy(&c->sealing);
        pthread_rwlock_destroy(&c->bytes);
        free(c->generations);
        free(c);
}

enum caefs_err
content_get(struct store *s, struct inode *inode, struct content **out)
{
        struct content *spare = NULL;

        pthread_mutex_lock(stripe_of(s, inode));
        if (inode->content == NULL) {
                spare = content_new(&inode->row);
                inode->content = spare;
        }
        *out = inode->content;
        if (*out != NULL)
                (*out)->users++;
        pthread_mutex_unlock(stripe_of(s, inode));
        return *out == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
}

/* Staging files that were never stored have no row to be removed by. */
static void
remove_unstored(struct store *s, const struct inode *inode, const struct content *c)
{
        char name[STAGING_NAME_SIZE];

        for (unsigned i = 0; i < c->ngenerations; i++) {
                if (c->generations[i] == c->stored.content.generation)
                        continue;
                staging_name(inode->row.ino, c->generations[i], name);
                io->unlink(s->staging_fd, name);
        }
}

void
content_put(struct store *s, struct inode *inode)
{
        struct content *unused = NULL;

        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        if (--c->users == 0) {
                unused = c;
                inode->content = NULL;
                /* What was written to an unlinked file was never stored. */
                if (inode->row.nlink == 0)
                        inode->row.content = c->stored.content;
        }
        pthread_mutex_unlock(stripe_of(s, inode));
        if (unused == NULL)
                return;
        if (!s->options.read_only)
                remove_unstored(s, inode, unused);
        if (unused->object != NULL)
                object_release(s, unused->object);
        content_free(s, unused);
}

void
contents_abandon(struct store *s, bool only_parked)
{
        for (size_t i = 0; s->table.bucket != NULL && i < s->table.nbuckets; i++)
                for (struct inode *inode = s->table.bucket[i], *next; inode != NULL;
                     inode = next) {
                        next = inode->next;
                        if (only_parked && inode->content != NULL &&
                            inode->content->parked != NULL)
                                seal_drop_parked(s, inode);
                        else if (!only_parked)
                                content_free(s, inode->content);
                }
}

void
content_touch(struct store *s, struct inode *inode, uint64_t size, bool exact)
{
        int64_t now = now_ns();

        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        if (exact || size > inode->row.content.size)
                inode->row.content.size = size;
        if (c->settled > inode->row.content.size)
                c->settled = inode->row.content.size;
        if (!s->options.caller_stamps || now - inode->row.content.mtime > CALLER_STAMPS_WITHIN)
                inode->row.content.mtime = inode->row.ctime = now;
        c->written = now;
        atomic_store(&s->last_write, monotonic_ns());
        c->version++;
        if (c->encoding != NULL)
                atomic_store(&c->encoding->cancelled, true);
        pthread_mutex_unlock(stripe_of(s, inode));
}

/* ---- generations -------------------------------------------------------- */

enum caefs_err
staging_open(struct store *s, struct inode *inode, int *fd)
{
        char           name[STAGING_NAME_SIZE];
        enum caefs_err err = small_spill(s, inode);

        if (err != CAEFS_OK)
                return err;

        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        if (c->fd < 0) {
                staging_name(inode->row.ino, inode->row.content.generation, name);
                c->fd = io->open(s->staging_fd, name,
                                 s->options.read_only ? O_RDONLY : O_RDWR, 0);
                if (c->fd < 0)
                        err = caefs_fail_errno("%s/staging/%s", s->path, name);
        }
        *fd = c->fd;
        pthread_mutex_unlock(stripe_of(s, inode));
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_ERR_CORRUPT : err;
}

/* The first KEEP bytes of the file, as readers see them, into FD. */
static enum caefs_err
copy_decoded(struct store *s, struct inode *inode, int fd, uint64_t keep)
{
        enum caefs_err err = CAEFS_OK;
        char          *buffer = malloc(DECODE_STEP);

        if (buffer == NULL)
                return CAEFS_ERR_NOMEM;
        for (uint64_t at = 0; err == CAEFS_OK && at < keep; at += DECODE_STEP) {
                size_t n = keep - at < DECODE_STEP ? (size_t) (keep - at) : DECODE_STEP;
                err = content_read(s, inode, buffer, n, at);
                if (err == CAEFS_OK && io_write_all(fd, buffer, n, at) < 0)
                        err = caefs_fail_errno("%s/staging", s->path);
        }
        free(buffer);
        return err;
}

static enum caefs_err
fill_generation(struct store *s, struct inode *inode, enum meta_state state, int fd,
                uint64_t keep)
{
        int from;

        if (keep == 0)
                return CAEFS_OK;
        if (state == META_SEALED)
                return copy_decoded(s, inode, fd, keep);
        enum caefs_err err = staging_open(s, inode, &from);
        if (err == CAEFS_OK && io->copy(from, fd, keep) < 0)
                err = caefs_fail_errno("%s/staging", s->path);
        return err;
}

bool
content_add_generation(struct content *c, uint64_t generation)
{
        uint64_t *more = realloc(c->generations,
                                 (c->ngenerations + 2) * sizeof *c->generations);

        if (more == NULL)
                return false;
        c->generations = more;
        c->generations[c->ngenerations++] = generation;
        return true;
}

/* The inode's content is now the first KEEP bytes, in GENERATION, open as FD or in SMALL;
 * GENERATION 0: it is empty. */
static bool
switch_generation(struct store *s, struct inode *inode, uint64_t generation, int fd,
                  const struct small *small, uint64_t keep)
{
        struct opened_object *object = NULL;
        int                   old_fd = -1;

        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        bool            done = fd < 0 || content_add_generation(c, generation);
        if (done) {
                struct meta_content *now = &inode->row.content;
                old_fd = c->fd;
                c->fd = fd;
                c->small = *small;
                /* A copy of what is lost is lost. */
                if (keep > 0 && now->generation != 0 && now->generation <= c->lost_upto)
                        c->lost_upto = generation;
                c->settled = 0;
                c->version++;
                if (c->encoding != NULL)
                        atomic_store(&c->encoding->cancelled, true);
                now->state = generation == 0 ? META_EMPTY : META_STAGED;
                now->generation = generation;
                now->size = keep;
                /* The object that is rewritten, so that values nobody changes keep
                 * their bits; an empty file is written anew. */
                if (keep == 0)
                        now->object = 0;
                object = c->object;
                c->object = NULL;
        }
        pthread_mutex_unlock(stripe_of(s, inode));
        if (old_fd >= 0)
                io->close(old_fd);
        if (object != NULL)
                object_release(s, object);
        return done;
}

static enum caefs_err
new_small_generation(struct store *s, struct inode *inode, uint64_t generation, uint64_t keep)
{
        struct small   small = { 0 };
        enum caefs_err err = small_fill(s, inode, &small, keep);

        if (err == CAEFS_OK)
                switch_generation(s, inode, generation, -1, &small, keep);
        else
                small_free(s, &small);
        return err;
}

static enum caefs_err
new_generation(struct store *s, struct inode *inode, const struct meta_content *from,
               uint64_t keep)
{
        static const struct small none = { 0 };
        char           name[STAGING_NAME_SIZE];
        uint64_t       generation = atomic_fetch_add(&s->next_generation, 1);
        /* What was flushed stands until something newer is committed. */
        enum caefs_err err = small_spill(s, inode);

        if (err != CAEFS_OK)
                return err;
        if (small_may_hold(s, keep))
                return new_small_generation(s, inode, generation, keep);
        staging_name(inode->row.ino, generation, name);
        int fd = io->open(s->staging_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd < 0)
                return caefs_fail_errno("%s/staging/%s", s->path, name);
        err = fill_generation(s, inode, from->state, fd, keep);
        if (err == CAEFS_OK && !switch_generation(s, inode, generation, fd, &none, keep))
                err = CAEFS_ERR_NOMEM;
        if (err != CAEFS_OK) {
                io->close(fd);
                io->unlink(s->staging_fd, name);
        }
        return err;
}

enum caefs_err
staging_prepare(struct store *s, struct inode *inode, uint64_t offset, uint64_t keep)
{
        if (s->options.read_only)
                return CAEFS_ERR_READ_ONLY;
        pthread_mutex_lock(stripe_of(s, inode));
        struct meta_content now = inode->row.content;
        uint64_t            settled = inode->content->settled;
        bool is_anew = keep == 0 && now.generation <= inode->content->lost_upto;
        pthread_mutex_unlock(stripe_of(s, inode));
        if (now.state == META_STAGED && offset >= settled && !is_anew)
                return CAEFS_OK;
        return new_generation(s, inode, &now, keep < now.size ? keep : now.size);
}

/* A closed file of no bytes needs no staging file. */
static enum caefs_err
content_clear(struct store *s, struct inode *inode)
{
        static const struct small none = { 0 };
        enum caefs_err err = small_spill(s, inode);

        if (err == CAEFS_OK)
                switch_generation(s, inode, 0, -1, &none, 0);
        return err;
}

/* content.bytes held for writing. */
static enum caefs_err
resize_staged(struct store *s, struct inode *inode, uint64_t old, uint64_t size)
{
        int            fd;
        enum caefs_err err = staging_prepare(s, inode, size < old ? size : old, size);

        if (err != CAEFS_OK || small_resize(s, inode, size))
                return err;
        err = staging_open(s, inode, &fd);
        if (err == CAEFS_OK && io->truncate(fd, size) < 0)
                err = caefs_fail_errno("%s/staging", s->path);
        return err;
}

enum caefs_err
content_resize(struct store *s, struct inode *inode, uint64_t size)
{
        enum caefs_err err;

        if (size > STORE_SIZE_MAX)
                return CAEFS_ERR_FILE_TOO_BIG;
        struct content *c = inode->content;
        pthread_rwlock_wrlock(&c->bytes);
        pthread_mutex_lock(stripe_of(s, inode));
        uint64_t old = inode->row.content.size;
        bool     in_place = c->settled == 0 && inode->row.content.state == META_STAGED;
        pthread_mutex_unlock(stripe_of(s, inode));
        if (s->options.read_only)
                err = CAEFS_ERR_READ_ONLY;
        else if (size == 0 && !in_place)
                err = content_clear(s, inode);
        else
                err = resize_staged(s, inode, old, size);
        if (err == CAEFS_OK)
                content_touch(s, inode, size, true);
        pthread_rwlock_unlock(&c->bytes);
        return err;
}

/* ---- reading ------------------------------------------------------------ */

/* The object behind a sealed file, kept by its content while that is used. */
static enum caefs_err
content_object(struct store *s, struct inode *inode, struct opened_object **out)
{
        struct opened_object *mine;

        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        uint64_t        id = inode->row.content.object;
        *out = c->object;
        pthread_mutex_unlock(stripe_of(s, inode));
        if (*out != NULL)
                return CAEFS_OK;
        enum caefs_err err = object_acquire(s, id, &mine);
        if (err != CAEFS_OK)
                return err;
        pthread_mutex_lock(stripe_of(s, inode));
        if (c->object == NULL) {
                c->object = mine;
                mine = NULL;
        }
        *out = c->object;
        pthread_mutex_unlock(stripe_of(s, inode));
        if (mine != NULL)
                object_release(s, mine);
        return CAEFS_OK;
}

enum caefs_err
content_read(struct store *s, struct inode *inode, void *buffer, size_t n, uint64_t offset)
{
        struct opened_object *object;
        int                   fd;
        enum caefs_err        err;

        switch (inode_row(s, inode).content.state) {
        case META_STAGED:
                if (small_read(s, inode, inode_row(s, inode).content.generation, buffer, n,
                               offset))
                        return CAEFS_OK;
                err = staging_open(s, inode, &fd);
                if (err == CAEFS_OK && io_read_all(fd, buffer, n, offset) < 0)
                        err = caefs_fail_errno("%s/staging: inode %" PRIu64, s->path,
                                               inode->row.ino);
                return err;
        case META_SEALED:
                err = content_object(s, inode, &object);
                if (err == CAEFS_OK) {
                        ahead_note_read(s, inode, object, n, offset);
                        err = object_read_cached(s, object, buffer, n, offset);
                }
                return err;
        default:
                return CAEFS_ERR_CORRUPT;
        }
}

enum caefs_err
content_view(struct store *s, struct inode *inode, void *buffer, size_t n, uint64_t offset,
             struct store_view *v)
{
        struct opened_object *object;
        enum caefs_err        err;

        if (inode_row(s, inode).content.state == META_SEALED) {
                err = content_object(s, inode, &object);
                if (err != CAEFS_OK)
                        return err;
                bool in_a_row = ahead_note_read(s, inode, object, n, offset);
                return object_view(s, object, buffer, n, offset, in_a_row, v);
        }
        err = content_read(s, inode, buffer, n, offset);
        if (err == CAEFS_OK)
                view_add_buffer(v, buffer, n);
        return err;
}
