/* fs/store_check.c - is everything there that should be, and nothing else?
 *
 * The store may be in use meanwhile, by this process or, when it was opened for reading
 * alone, by another one.  Then a file that is missing is looked up once more, since it may
 * have been removed after its row was read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/store_check.h"

/* A finding of the catalogue's own checks. */
static void
tell_one(void *context, const char *sentence)
{
        struct check *c = context;

        c->report->problems++;
        if (c->tell != NULL)
                c->tell(c->context, sentence);
}

void
check_problem(struct check *c, const char *format, ...)
{
        char    sentence[512];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        tell_one(c, sentence);
}

/* ---- staged files ------------------------------------------------------- */

/* Was it sealed, written again or removed since ROW was read?  Catalogue held. */
static bool
is_staged_no_more(struct check *c, const struct meta_inode *row)
{
        struct meta_inode now;

        return meta_inode_read(c->store->meta, row->ino, &now) != CAEFS_OK ||
               now.content.state != META_STAGED ||
               now.content.generation != row->content.generation;
}

static void
check_staged(struct check *c, const struct meta_inode *row)
{
        char        name[STAGING_NAME_SIZE];
        struct stat st;

        staging_name(row->ino, row->content.generation, name);
        bool is_there = fstatat(c->store->staging_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        int  error = errno;
        if (is_there && (uint64_t) st.st_size >= row->content.size)
                return;
        if (is_staged_no_more(c, row))
                return;
        if (!is_there)
                check_problem(c, "inode %" PRIu64 ": staging/%s: %s", row->ino, name,
                              strerror(error));
        else
                check_problem(c, "inode %" PRIu64 ": staging/%s has %" PRIu64
                              " bytes, should have %" PRIu64, row->ino, name,
                              (uint64_t) st.st_size, row->content.size);
}

static enum caefs_err
check_all_staged(struct check *c)
{
        struct meta_inode *rows = calloc(CHECK_BATCH, sizeof *rows);
        enum caefs_err     err = rows == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
        size_t             count = CHECK_BATCH;
        uint64_t           after = 0;

        while (err == CAEFS_OK && count == CHECK_BATCH) {
                pthread_mutex_lock(&c->store->catalogue);
                err = meta_staged_list(c->store->meta, after, rows, CHECK_BATCH, &count);
                /* Held, so that none of them is sealed before it was looked at. */
                for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                        after = rows[i].ino;
                        check_staged(c, &rows[i]);
                        if (c->progress != NULL)
                                c->progress->total += rows[i].content.size;
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
        char               name[OBJECT_NAME_SIZE];
        struct meta_object now;
        struct stat        st;

        if (o->is_inline)
                return;
        object_name(o->id, name);
        if (fstatat(c->store->objects_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                int error = errno;
                if (meta_object_read(c->store->meta, o->id, &now) == CAEFS_OK)
                        check_problem(c, "object %" PRIu64 ": objects/%s: %s", o->id, name,
                                      strerror(error));
        } else if ((uint64_t) st.st_size != o->stored_bytes) {
                check_problem(c, "object %" PRIu64 ": objects/%s has %" PRIu64
                              " bytes, should have %" PRIu64, o->id, name,
                              (uint64_t) st.st_size, o->stored_bytes);
        }
}

static enum caefs_err
check_all_objects(struct check *c)
{
        struct meta_object *rows = calloc(CHECK_BATCH, sizeof *rows);
        enum caefs_err      err = rows == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
        size_t              count = CHECK_BATCH;
        uint64_t            after = 0;

        while (err == CAEFS_OK && count == CHECK_BATCH) {
                pthread_mutex_lock(&c->store->catalogue);
                err = meta_object_list(c->store->meta, after, rows, CHECK_BATCH, &count);
                for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                        after = rows[i].id;
                        check_object_file(c, &rows[i]);
                }
                pthread_mutex_unlock(&c->store->catalogue);
        }
        free(rows);
        return err;
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
                check_problem(c, "objects/%s/%s is no object", directory, name);
                return;
        }
        /* One that is being placed has a number that was never stored. */
        if (meta_object_next(c->store->meta, &next) == CAEFS_OK && id >= next)
                return;
        if (meta_object_read(c->store->meta, id, &o) == CAEFS_ERR_NO_ENTRY &&
            !is_trash(c, META_TRASH_OBJECT, id, 0))
                check_problem(c, "objects/%s/%s: no file needs it", directory, name);
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
                check_problem(c, "staging/%s is no staging file", name);
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
                check_problem(c, "staging/%s: no file needs it", name);
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
                check_problem(c, "%s: %s", directory, strerror(errno));
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

/* What cannot be read of the catalogue is a finding; the rest is checked all the same. */
static enum caefs_err
carry_on(struct check *c, enum caefs_err err)
{
        if (err != CAEFS_ERR_CORRUPT)
                return err;
        check_problem(c, "%s", caefs_detail());
        return CAEFS_OK;
}

enum caefs_err
store_check(struct store *s, const struct store_scrub *scrub, struct progress *progress,
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
                err = carry_on(&c, check_catalogue(&c));
        if (err == CAEFS_OK)
                err = carry_on(&c, check_all_staged(&c));
        if (err == CAEFS_OK)
                err = carry_on(&c, check_all_objects(&c));
        if (err == CAEFS_OK)
                err = carry_on(&c, check_all_models(&c));
        /* Who only reads does not know what a writer is about to need. */
        if (err == CAEFS_OK && !s->options.read_only)
                err = carry_on(&c, check_orphans(&c));
        if (err == CAEFS_OK && scrub != NULL)
                err = carry_on(&c, scrub_contents(&c, scrub));
        return err;
}
