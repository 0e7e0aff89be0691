/* fs/store_check.c - is everything there that should be, and nothing else? */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/arena.h"
#include "fs/store_internal.h"

#define BATCH 256

struct check {
        struct store              *store;
        struct progress           *progress;
        void                     (*tell)(void *context, const char *sentence);
        void                      *context;
        struct store_check_report *report;
        struct arena               arena;
};

/* A finding of the catalogue's own checks. */
static void
tell_one(void *context, const char *sentence)
{
        struct check *c = context;

        c->report->problems++;
        if (c->tell != NULL)
                c->tell(c->context, sentence);
}

static void __attribute__((format(printf, 2, 3)))
problem(struct check *c, const char *format, ...)
{
        char    sentence[512];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        tell_one(c, sentence);
}

/* ---- staged files ------------------------------------------------------- */

static void
check_staged(struct check *c, const struct meta_inode *row)
{
        char        name[STAGING_NAME_SIZE];
        struct stat st;

        staging_name(row->ino, row->content.generation, name);
        if (fstatat(c->store->staging_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                problem(c, "inode %" PRIu64 ": staging/%s: %s", row->ino, name,
                        strerror(errno));
        else if ((uint64_t) st.st_size < row->content.size)
                problem(c, "inode %" PRIu64 ": staging/%s has %" PRIu64 " bytes, should have "
                        "%" PRIu64, row->ino, name, (uint64_t) st.st_size, row->content.size);
}

static enum caefs_err
check_all_staged(struct check *c)
{
        struct meta_inode *rows = calloc(BATCH, sizeof *rows);
        enum caefs_err     err = rows == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
        size_t             count = BATCH;
        uint64_t           after = 0;

        while (err == CAEFS_OK && count == BATCH) {
                pthread_mutex_lock(&c->store->catalogue);
                err = meta_staged_list(c->store->meta, after, rows, BATCH, &count);
                /* Held, so that none of them is sealed before it was looked at. */
                for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                        after = rows[i].ino;
                        check_staged(c, &rows[i]);
                }
                pthread_mutex_unlock(&c->store->catalogue);
        }
        free(rows);
        return err;
}

/* ---- objects ------------------------------------------------------------ */

static void
check_object_file(struct check *c, const struct meta_object *o)
{
        char        name[OBJECT_NAME_SIZE];
        struct stat st;

        if (o->is_inline)
                return;
        object_name(o->id, name);
        if (fstatat(c->store->objects_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                problem(c, "object %" PRIu64 ": objects/%s: %s", o->id, name, strerror(errno));
        else if ((uint64_t) st.st_size != o->stored_bytes)
                problem(c, "object %" PRIu64 ": objects/%s has %" PRIu64 " bytes, should have "
                        "%" PRIu64, o->id, name, (uint64_t) st.st_size, o->stored_bytes);
}

static enum caefs_err
prove_chunks(struct check *c, const struct object *object, uint64_t id)
{
        const struct object_info *info = object_info(object);
        struct chunk_extent       e;

        for (size_t i = 0; i < info->nchunks; i++) {
                struct arena_mark mark = arena_mark(&c->arena);
                enum caefs_err    err = object_chunk(object, i, &e);
                void *buffer = err == CAEFS_OK ? arena_alloc(&c->arena, (size_t) e.length)
                                               : NULL;
                if (err == CAEFS_OK && buffer == NULL)
                        return CAEFS_ERR_NOMEM;
                if (err == CAEFS_OK)
                        err = object_read_chunk(object, i, &c->arena, buffer);
                if (err != CAEFS_OK)
                        problem(c, "object %" PRIu64 ": chunk %zu, file bytes %" PRIu64
                                " to %" PRIu64 ": %s", id, i, e.offset, e.offset + e.length,
                                caefs_detail());
                arena_release(&c->arena, mark);
                if (progress_cancelled(c->progress))
                        return CAEFS_ERR_INTERRUPTED;
        }
        return CAEFS_OK;
}

static enum caefs_err
prove_object(struct check *c, const struct meta_object *row)
{
        struct opened_object *opened;
        enum caefs_err        err = object_acquire(c->store, row->id, &opened);

        progress_add(c->progress, row->stored_bytes);
        if (err == CAEFS_ERR_NOMEM)
                return err;
        if (err != CAEFS_OK) {
                struct meta_object again;
                pthread_mutex_lock(&c->store->catalogue);
                bool gone = meta_object_read(c->store->meta, row->id, &again) ==
                            CAEFS_ERR_NO_ENTRY;
                pthread_mutex_unlock(&c->store->catalogue);
                if (!gone)
                        problem(c, "object %" PRIu64 ": %s", row->id, caefs_detail());
                return CAEFS_OK;
        }
        err = prove_chunks(c, object_of(opened), row->id);
        object_release(c->store, opened);
        return err;
}

static enum caefs_err
check_all_objects(struct check *c, bool read_all)
{
        struct meta_object *rows = calloc(BATCH, sizeof *rows);
        enum caefs_err      err = rows == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
        size_t              count = BATCH;
        uint64_t            after = 0;

        while (err == CAEFS_OK && count == BATCH) {
                pthread_mutex_lock(&c->store->catalogue);
                err = meta_object_list(c->store->meta, after, rows, BATCH, &count);
                for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                        after = rows[i].id;
                        check_object_file(c, &rows[i]);
                }
                pthread_mutex_unlock(&c->store->catalogue);
                for (size_t i = 0; err == CAEFS_OK && read_all && i < count; i++)
                        err = prove_object(c, &rows[i]);
        }
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
                problem(c, "model %016" PRIx64 ": %s", m->hash, caefs_detail());
        return true;
}

/* ---- orphans ------------------------------------------------------------ */

static bool
object_number(const char *directory, const char *name, uint64_t *id)
{
        char again[OBJECT_NAME_SIZE], full[OBJECT_NAME_SIZE + 256];

        if (sscanf(name, "%" SCNu64, id) != 1)
                return false;
        object_name(*id, again);
        snprintf(full, sizeof full, "%.2s/%.250s", directory, name);
        return strcmp(full, again) == 0;
}

/* Is the file trash that the next commit removes?  Catalogue held. */
static bool
is_trash(struct check *c, int kind, uint64_t id, uint64_t generation)
{
        struct meta_trash t = { .kind = kind, .id = id, .generation = generation };

        return meta_trash_find(c->store->meta, &t) == CAEFS_OK;
}

static void
check_object_name(struct check *c, const char *directory, const char *name)
{
        struct meta_object o;
        uint64_t           id, next;

        if (!object_number(directory, name, &id)) {
                problem(c, "objects/%s/%s is no object", directory, name);
                return;
        }
        /* One that is being placed has a number that was never stored. */
        if (meta_object_next(c->store->meta, &next) == CAEFS_OK && id >= next)
                return;
        if (meta_object_read(c->store->meta, id, &o) == CAEFS_ERR_NO_ENTRY &&
            !is_trash(c, META_TRASH_OBJECT, id, 0))
                problem(c, "objects/%s/%s: no file needs it", directory, name);
}

/* Only files of inodes that nobody uses can be judged: others have drafts. */
static void
check_staging_name(struct check *c, const char *unused, const char *name)
{
        struct meta_inode row;
        uint64_t          ino, generation;

        (void) unused;
        if (strncmp(name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) == 0)
                return;
        if (!staging_name_parse(name, &ino, &generation)) {
                problem(c, "staging/%s is no staging file", name);
                return;
        }
        struct inode *inode = inode_hold_present(c->store, ino);
        if (inode != NULL) {
                pthread_mutex_lock(stripe_of(c->store, inode));
                bool used = inode->content != NULL;
                pthread_mutex_unlock(stripe_of(c->store, inode));
                pthread_mutex_unlock(&c->store->catalogue);
                inode_release(c->store, inode);
                pthread_mutex_lock(&c->store->catalogue);
                if (used)
                        return;
        }
        enum caefs_err err = meta_inode_read(c->store->meta, ino, &row);
        if ((err == CAEFS_ERR_NO_ENTRY || row.content.state != META_STAGED ||
             row.content.generation != generation) &&
            !is_trash(c, META_TRASH_STAGING, ino, generation))
                problem(c, "staging/%s: no file needs it", name);
}

/* Every name in a directory below PARENT. */
static enum caefs_err
check_names(struct check *c, int parent, const char *directory,
            void (*check)(struct check *c, const char *directory, const char *name))
{
        int            fd = io->open(parent, directory, O_RDONLY | O_DIRECTORY, 0);
        DIR           *d = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *e;

        if (d == NULL) {
                problem(c, "%s: %s", directory, strerror(errno));
                if (fd >= 0)
                        io->close(fd);
                return CAEFS_OK;
        }
        while ((e = readdir(d)) != NULL) {
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                pthread_mutex_lock(&c->store->catalogue);
                check(c, directory, e->d_name);
                pthread_mutex_unlock(&c->store->catalogue);
        }
        closedir(d);
        return CAEFS_OK;
}

static enum caefs_err
check_orphans(struct check *c)
{
        char           name[sizeof "ff"];
        enum caefs_err err = check_names(c, c->store->staging_fd, ".", check_staging_name);

        for (unsigned i = 0; err == CAEFS_OK && i < 256; i++) {
                snprintf(name, sizeof name, "%02x", i);
                err = check_names(c, c->store->objects_fd, name, check_object_name);
        }
        return err;
}

/* ---- all of it ---------------------------------------------------------- */

static enum caefs_err
check_catalogue(struct check *c)
{
        struct meta_totals totals;

        pthread_mutex_lock(&c->store->catalogue);
        enum caefs_err err = meta_check_pages(c->store->meta, tell_one, c);
        if (err == CAEFS_OK)
                err = meta_check_structure(c->store->meta, tell_one, c);
        if (err == CAEFS_OK)
                err = meta_totals(c->store->meta, &totals);
        pthread_mutex_unlock(&c->store->catalogue);
        if (err != CAEFS_OK)
                return err;
        c->report->files = totals.files;
        c->report->objects = totals.objects;
        c->report->bytes = totals.stored_bytes;
        if (c->progress != NULL)
                c->progress->total = totals.stored_bytes;
        return CAEFS_OK;
}

enum caefs_err
store_check(struct store *s, bool read_all, struct progress *progress,
            void (*tell)(void *context, const char *sentence), void *context,
            struct store_check_report *out)
{
        struct check c = {
                .store = s,
                .progress = progress,
                .tell = tell,
                .context = context,
                .report = out,
        };

        *out = (struct store_check_report) { 0 };
        enum caefs_err err = store_commit(s);
        if (err == CAEFS_OK)
                err = check_catalogue(&c);
        if (err == CAEFS_OK)
                err = check_all_staged(&c);
        if (err == CAEFS_OK)
                err = check_all_objects(&c, read_all);
        if (err == CAEFS_OK)
                err = store_model_list(s, check_model, &c);
        if (err == CAEFS_OK)
                err = check_orphans(&c);
        arena_free(&c.arena);
        return err;
}
