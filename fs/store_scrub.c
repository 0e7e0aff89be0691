/* fs/store_scrub.c - reading and proving every byte of the files of a store.
 *
 * Objects are proved in the order of their numbers: each chunk is decoded and
 * compared with its checksum.  Where that has come to is kept in STORE/scrub, so that a
 * scrub which was stopped goes on there.  Files that are staged are read, so that what
 * the disk cannot read is found; their bytes have no checksum before they are sealed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/arena.h"
#include "fs/store_check.h"

#define PLACE_NAME     "scrub"
#define PLACE_NEW_NAME "scrub.new"
#define PLACE_INTERVAL 5.0              /* seconds */
#define STAGED_STEP    ((size_t) 1 << 20)

struct scrub {
        struct check            *check;
        const struct store_scrub *options;
        struct arena             arena;
        double                   started;       /* seconds of a clock that only goes forward */
        uint64_t                 read;          /* bytes, since then */
        double                   noted;         /* when the place was */
        uint64_t                 place;         /* objects up to this number are proved */
};

static double
seconds_now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

/* N bytes were read.  Waits until the rate allows more; not for long when it is told to
 * stop. */
static enum caefs_err
advance(struct scrub *s, uint64_t n)
{
        const struct timespec moment = { .tv_nsec = 20 * 1000000 };
        uint64_t              rate = s->options->rate;

        s->read += n;
        progress_add(s->check->progress, n);
        while (rate > 0 && !progress_cancelled(s->check->progress) &&
               (double) s->read / (double) rate > seconds_now() - s->started)
                nanosleep(&moment, NULL);
        return progress_cancelled(s->check->progress) ? CAEFS_ERR_INTERRUPTED : CAEFS_OK;
}

/* ---- the place ---------------------------------------------------------- */

/* Where an earlier scrub stopped.  What it had read and found counts. */
static void
take_place(struct scrub *s)
{
        char     text[256] = "";
        uint64_t place, read, problems;
        int      fd = io->open(s->check->store->root_fd, PLACE_NAME, O_RDONLY, 0);

        if (fd < 0)
                return;
        if (io->read(fd, text, sizeof text - 1, 0) > 0 &&
            sscanf(text, "object %" SCNu64 " bytes %" SCNu64 " problems %" SCNu64, &place, &read,
                   &problems) == 3) {
                s->place = place;
                s->check->report->resumed = true;
                s->check->report->problems_before = problems;
                progress_add(s->check->progress, read);
        }
        io->close(fd);
}

/* Losing it costs time alone, so nothing is synced and a failure is no error. */
static void
note_place(struct scrub *s, uint64_t problems)
{
        struct store *store = s->check->store;
        char          text[256];
        uint64_t      read = s->check->progress == NULL ? s->read
                                                        : atomic_load(&s->check->progress->done);

        s->noted = seconds_now();
        int n = snprintf(text, sizeof text,
                         "object %" PRIu64 " bytes %" PRIu64 " problems %" PRIu64 "\n", s->place,
                         read, s->check->report->problems_before + problems);
        int fd = io->open(store->root_fd, PLACE_NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0)
                return;
        bool is_written = io_write_all(fd, text, (size_t) n, 0) == 0;
        io->close(fd);
        if (is_written)
                io->rename(store->root_fd, PLACE_NEW_NAME, store->root_fd, PLACE_NAME);
}

/* ---- objects ------------------------------------------------------------ */

static enum caefs_err
prove_chunks(struct scrub *s, const struct object *object, const struct meta_object *row)
{
        const struct object_info *info = object_info(object);
        struct chunk_extent       e;
        enum caefs_err            go_on = CAEFS_OK;

        for (size_t i = 0; go_on == CAEFS_OK && i < info->nchunks; i++) {
                struct arena_mark mark = arena_mark(&s->arena);
                enum caefs_err    err = object_chunk(object, i, &e);
                void *buffer = err == CAEFS_OK ? arena_alloc(&s->arena, (size_t) e.length)
                                               : NULL;
                if (err == CAEFS_OK && buffer == NULL)
                        return CAEFS_ERR_NOMEM;
                if (err == CAEFS_OK)
                        err = object_read_chunk(object, i, &s->arena, buffer);
                if (err != CAEFS_OK)
                        check_problem(s->check, "object %" PRIu64 ": chunk %zu, file bytes %"
                                      PRIu64 " to %" PRIu64 ": %s", row->id, i, e.offset,
                                      e.offset + e.length, caefs_detail());
                arena_release(&s->arena, mark);
                go_on = advance(s, row->stored_bytes * (i + 1) / info->nchunks -
                                           row->stored_bytes * i / info->nchunks);
        }
        return go_on;
}

static bool
is_object_gone(struct store *s, uint64_t id)
{
        struct meta_object unused;

        pthread_mutex_lock(&s->catalogue);
        bool gone = meta_object_read(s->meta, id, &unused) == CAEFS_ERR_NO_ENTRY;
        pthread_mutex_unlock(&s->catalogue);
        return gone;
}

/* So that the disk is read, and not what the system remembers of it. */
static void
forget_cached(int directory, const char *name)
{
        int fd = io->open(directory, name, O_RDONLY, 0);

        if (fd < 0)
                return;
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        io->close(fd);
}

static enum caefs_err
prove_object(struct scrub *s, const struct meta_object *row)
{
        struct store         *store = s->check->store;
        struct opened_object *opened;
        char                  name[OBJECT_NAME_SIZE];

        object_name(row->id, name);
        if (!row->is_inline)
                forget_cached(store->objects_fd, name);
        enum caefs_err err = object_acquire(store, row->id, &opened);

        if (err == CAEFS_ERR_NOMEM)
                return err;
        if (err != CAEFS_OK) {
                if (!is_object_gone(store, row->id))
                        check_problem(s->check, "object %" PRIu64 ": %s", row->id,
                                      caefs_detail());
                return advance(s, row->stored_bytes);
        }
        err = prove_chunks(s, object_of(opened), row);
        object_release(store, opened);
        return err;
}

static enum caefs_err
prove_all_objects(struct scrub *s)
{
        struct store       *store = s->check->store;
        uint64_t            problems = s->check->report->problems;
        struct meta_object *rows = calloc(CHECK_BATCH, sizeof *rows);
        enum caefs_err      err = rows == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
        size_t              count = CHECK_BATCH;

        while (err == CAEFS_OK && count == CHECK_BATCH) {
                pthread_mutex_lock(&store->catalogue);
                err = meta_object_list(store->meta, s->place, rows, CHECK_BATCH, &count);
                pthread_mutex_unlock(&store->catalogue);
                for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                        err = prove_object(s, &rows[i]);
                        if (err == CAEFS_OK)
                                s->place = rows[i].id;
                        if (s->options->keeps_place && seconds_now() - s->noted > PLACE_INTERVAL)
                                note_place(s, s->check->report->problems - problems);
                }
        }
        if (s->options->keeps_place && err != CAEFS_OK)
                note_place(s, s->check->report->problems - problems);
        free(rows);
        return err;
}

/* ---- staged files ------------------------------------------------------- */

static enum caefs_err
read_staged(struct scrub *s, const struct meta_inode *row, char *buffer)
{
        struct store  *store = s->check->store;
        char           name[STAGING_NAME_SIZE];
        enum caefs_err err = CAEFS_OK;

        staging_name(row->ino, row->content.generation, name);
        forget_cached(store->staging_fd, name);
        int fd = io->open(store->staging_fd, name, O_RDONLY, 0);
        if (fd < 0)
                return CAEFS_OK;        /* it is gone by now; its absence was told */
        for (uint64_t at = 0; err == CAEFS_OK && at < row->content.size; at += STAGED_STEP) {
                uint64_t left = row->content.size - at;
                size_t   n = left < STAGED_STEP ? (size_t) left : STAGED_STEP;
                if (io->read(fd, buffer, n, at) < 0)
                        check_problem(s->check, "inode %" PRIu64 ": staging/%s, bytes %" PRIu64
                                      " to %" PRIu64 ": %s", row->ino, name, at, at + n,
                                      strerror(errno));
                err = advance(s, n);
        }
        io->close(fd);
        return err;
}

static enum caefs_err
read_all_staged(struct scrub *s)
{
        struct store      *store = s->check->store;
        struct meta_inode *rows = calloc(CHECK_BATCH, sizeof *rows);
        char              *buffer = malloc(STAGED_STEP);
        enum caefs_err     err = rows == NULL || buffer == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
        size_t             count = CHECK_BATCH;
        uint64_t           after = 0;

        while (err == CAEFS_OK && count == CHECK_BATCH) {
                pthread_mutex_lock(&store->catalogue);
                err = meta_staged_list(store->meta, after, rows, CHECK_BATCH, &count);
                pthread_mutex_unlock(&store->catalogue);
                for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                        after = rows[i].ino;
                        err = read_staged(s, &rows[i], buffer);
                }
        }
        free(buffer);
        free(rows);
        return err;
}

/* ---- models ------------------------------------------------------------- */

static bool
check_model(void *context, const struct store_model *m)
{
        struct check       *c = context;
        const struct model *model;

        if (store_model_find(c->store, m->hash, &model) != CAEFS_OK)
                check_problem(c, "model %016" PRIx64 ": %s", m->hash, caefs_detail());
        return true;
}

enum caefs_err
check_all_models(struct check *c)
{
        return store_model_list(c->store, check_model, c);
}

/* ---- all of it ---------------------------------------------------------- */

enum caefs_err
scrub_contents(struct check *c, const struct store_scrub *options)
{
        struct scrub s = { .check = c, .options = options, .started = seconds_now() };

        s.noted = s.started;
        if (options->keeps_place && !options->from_start)
                take_place(&s);
        enum caefs_err err = prove_all_objects(&s);
        if (err == CAEFS_OK)
                err = read_all_staged(&s);
        if (err == CAEFS_OK && options->keeps_place)
                io->unlink(c->store->root_fd, PLACE_NAME);
        arena_free(&s.arena);
        return err;
}
