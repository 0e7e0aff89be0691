/* fs/store_repair.c - mending a store before it is opened.
 *
 * Nothing that may be somebody's data is deleted: files that no row needs, damaged objects
 * and a damaged catalogue go to STORE/quarantine.  Recovery, which deletes what a crash left,
 * comes after that and finds nothing to delete.
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

#include "fs/store_repair.h"

#define QUARANTINE "quarantine"
#define BATCH      256

static void __attribute__((format(printf, 2, 3)))
tell(struct store *s, const char *format, ...)
{
        char    sentence[512];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        s->options.repair(s->options.repair_context, sentence);
}

/* ---- the quarantine ----------------------------------------------------- */

/* The descriptor of the directory, which is made if it is not there. */
static enum caefs_err
quarantine_open(struct store *s, int *fd)
{
        if (io->mkdir(s->root_fd, QUARANTINE, 0700) < 0 && errno != EEXIST)
                return caefs_fail_errno("%s/" QUARANTINE, s->path);
        *fd = io->open(s->root_fd, QUARANTINE, O_RDONLY | O_DIRECTORY, 0);
        return *fd < 0 ? caefs_fail_errno("%s/" QUARANTINE, s->path) : CAEFS_OK;
}

/* A name like WANTED that is free there. */
static void
free_name(int quarantine, const char *wanted, char out[128])
{
        struct stat st;

        snprintf(out, 128, "%.100s", wanted);
        for (unsigned i = 1; fstatat(quarantine, out, &st, AT_SYMLINK_NOFOLLOW) == 0; i++)
                snprintf(out, 128, "%.100s.%u", wanted, i);
}

/* Moves NAME of DIRECTORY there as WANTED, and says why. */
static enum caefs_err
quarantine_file(struct store *s, int directory, const char *name, const char *wanted,
                const char *why)
{
        char           free[128];
        int            to;
        enum caefs_err err = quarantine_open(s, &to);

        if (err != CAEFS_OK)
                return err;
        free_name(to, wanted, free);
        if (io->rename(directory, name, to, free) < 0)
                err = caefs_fail_errno("%s/" QUARANTINE "/%s", s->path, free);
        else if (io->sync(to, false) < 0)
                err = caefs_fail_errno("%s/" QUARANTINE, s->path);
        else
                tell(s, "%s: %s: it is " QUARANTINE "/%s now", wanted, why, free);
        io->close(to);
        return err;
}

static enum caefs_err
quarantine_bytes(struct store *s, const struct bytes *data, const char *wanted)
{
        char           free[128];
        int            to;
        enum caefs_err err = quarantine_open(s, &to);

        if (err != CAEFS_OK)
                return err;
        free_name(to, wanted, free);
        int fd = io->open(to, free, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0 || io_write_all(fd, data->data, data->size, 0) < 0 || io->sync(fd, false) < 0)
                err = caefs_fail_errno("%s/" QUARANTINE "/%s", s->path, free);
        if (fd >= 0)
                io->close(fd);
        io->close(to);
        return err;
}

/* ---- before the catalogue is open --------------------------------------- */

static enum caefs_err
make_missing(struct store *s, const char *name)
{
        if (io->mkdir(s->root_fd, name, 0700) == 0)
                tell(s, "%s was not there: made", name);
        else if (errno != EEXIST)
                return caefs_fail_errno("%s/%s", s->path, name);
        return CAEFS_OK;
}

enum caefs_err
repair_directories(struct store *s)
{
        char           name[sizeof "objects/ff"];
        struct stat    st;
        enum caefs_err err;

        /* What is no store is not made one. */
        if (fstatat(s->root_fd, "caefs.db", &st, 0) < 0)
                return CAEFS_OK;
        err = make_missing(s, "staging");
        if (err == CAEFS_OK)
                err = make_missing(s, "objects");
        for (unsigned i = 0; err == CAEFS_OK && i < OBJECT_DIRECTORIES; i++) {
                snprintf(name, sizeof name, "objects/%02x", i);
                err = make_missing(s, name);
        }
        int fd = err == CAEFS_OK ? io->open(s->root_fd, "lock", O_RDWR | O_CREAT, 0600) : -1;
        if (err == CAEFS_OK && fd < 0)
                err = caefs_fail_errno("%s/lock", s->path);
        if (fd >= 0)
                io->close(fd);
        return err;
}

/* The new catalogue takes the place of the damaged one. */
static enum caefs_err
replace_catalogue(struct store *s)
{
        struct stat    st;
        enum caefs_err err = quarantine_file(s, s->root_fd, "caefs.db", "caefs.db",
                                             "the catalogue was damaged, and is made anew");

        if (err == CAEFS_OK && fstatat(s->root_fd, "caefs.db-wal", &st, 0) == 0)
                err = quarantine_file(s, s->root_fd, "caefs.db-wal", "caefs.db-wal",
                                      "it is the log of that");
        if (err != CAEFS_OK)
                return err;
        io->unlink(s->root_fd, "caefs.db-shm");
        if (io->rename(s->root_fd, "caefs.db.new", s->root_fd, "caefs.db") < 0 ||
            io->sync(s->root_fd, false) < 0)
                return caefs_fail_errno("%s/caefs.db", s->path);
        return CAEFS_OK;
}

enum caefs_err
repair_catalogue(struct store *s)
{
        char *old, *new;
        bool  is_sound;

        if (asprintf(&old, "%s/caefs.db", s->path) < 0)
                return CAEFS_ERR_NOMEM;
        if (asprintf(&new, "%s/caefs.db.new", s->path) < 0) {
                free(old);
                return CAEFS_ERR_NOMEM;
        }
        enum caefs_err err = meta_examine(old, &is_sound, s->options.repair,
                                          s->options.repair_context);
        if (err == CAEFS_OK && !is_sound) {
                /* Left by a repair that was interrupted. */
                io->unlink(s->root_fd, "caefs.db.new");
                io->unlink(s->root_fd, "caefs.db.new-wal");
                io->unlink(s->root_fd, "caefs.db.new-shm");
                err = meta_rebuild(old, new, s->options.repair, s->options.repair_context);
                if (err == CAEFS_OK)
                        err = replace_catalogue(s);
        }
        free(old);
        free(new);
        return err;
}

/* ---- contents ----------------------------------------------------------- */

static enum caefs_err
repair_object(struct store *s, const struct meta_object *o)
{
        char        name[OBJECT_NAME_SIZE], wanted[64];
        struct stat st;

        if (o->is_inline)
                return CAEFS_OK;
        object_name(o->id, name);
        bool is_there = fstatat(s->objects_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        if (is_there && (uint64_t) st.st_size == o->stored_bytes)
                return CAEFS_OK;
        snprintf(wanted, sizeof wanted, "object-%" PRIu64, o->id);
        enum caefs_err err = CAEFS_OK;
        if (is_there)
                err = quarantine_file(s, s->objects_fd, name, wanted, "it is cut or too long");
        else
                tell(s, "%s: objects/%s is not there", wanted, name);
        return err == CAEFS_OK ? meta_object_delete(s->meta, o->id) : err;
}

static enum caefs_err
repair_all_objects(struct store *s)
{
        struct meta_object *rows = calloc(BATCH, sizeof *rows);
        enum caefs_err      err = rows == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
        size_t              count = BATCH;
        uint64_t            after = 0;

        while (err == CAEFS_OK && count == BATCH) {
                err = meta_object_list(s->meta, after, rows, BATCH, &count);
                for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                        after = rows[i].id;
                        err = repair_object(s, &rows[i]);
                }
        }
        free(rows);
        return err;
}

static enum caefs_err
repair_staged(struct store *s, struct meta_inode *row)
{
        char        name[STAGING_NAME_SIZE];
        struct stat st;

        staging_name(row->ino, row->content.generation, name);
        if (fstatat(s->staging_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return meta_lose_content(s->meta, row->ino);
        if ((uint64_t) st.st_size >= row->content.size)
                return CAEFS_OK;
        tell(s, "inode %" PRIu64 ": %" PRIu64 " bytes, but staging/%s has %" PRIu64
             ": so many now", row->ino, row->content.size, name, (uint64_t) st.st_size);
        row->content.size = (uint64_t) st.st_size;
        return meta_inode_write_content(s->meta, row->ino, &row->content, row->ctime);
}

static enum caefs_err
repair_all_staged(struct store *s)
{
        struct meta_inode *rows = calloc(BATCH, sizeof *rows);
        enum caefs_err     err = rows == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
        size_t             count = BATCH;
        uint64_t           after = 0;

        while (err == CAEFS_OK && count == BATCH) {
                err = meta_staged_list(s->meta, after, rows, BATCH, &count);
                for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                        after = rows[i].ino;
                        err = repair_staged(s, &rows[i]);
                }
        }
        free(rows);
        return err;
}

/* Rows of objects that no file needs; the bytes of those in the catalogue are kept. */
static enum caefs_err
repair_unused_objects(struct store *s)
{
        uint64_t       id = 0;
        char           wanted[64];
        enum caefs_err err;

        while ((err = meta_object_unused(s->meta, id, &id)) == CAEFS_OK && id != 0) {
                struct bytes data = { 0 };
                snprintf(wanted, sizeof wanted, "object-%" PRIu64, id);
                enum caefs_err is_inline = meta_object_data(s->meta, id, &data);
                if (is_inline == CAEFS_OK) {
                        err = quarantine_bytes(s, &data, wanted);
                        if (err == CAEFS_OK)
                                tell(s, "%s: no file needs it: it is in " QUARANTINE " now",
                                     wanted);
                }
                bytes_free(&data);
                if (err == CAEFS_OK)
                        err = meta_object_delete(s->meta, id);
                if (err != CAEFS_OK)
                        return err;
        }
        return err;
}

/* ---- files that no row knows -------------------------------------------- */

static bool
is_trash(struct store *s, int kind, uint64_t id, uint64_t generation)
{
        struct meta_trash t = { .kind = kind, .id = id, .generation = generation };

        return meta_trash_find(s->meta, &t) == CAEFS_OK;
}

/* Encodings that were under way are no loss: recovery deletes them. */
static enum caefs_err
repair_staging_name(struct store *s, int directory, const char *name)
{
        struct meta_inode row;
        uint64_t          ino, generation;
        char              wanted[128];

        if (strncmp(name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) == 0)
                return CAEFS_OK;
        bool is_known = staging_name_parse(name, &ino, &generation);
        if (is_known && (is_trash(s, META_TRASH_STAGING, ino, generation) ||
                         (meta_inode_read(s->meta, ino, &row) == CAEFS_OK &&
                          row.content.state == META_STAGED &&
                          row.content.generation == generation)))
                return CAEFS_OK;
        snprintf(wanted, sizeof wanted, "staging-%.100s", name);
        return quarantine_file(s, directory, name, wanted, "no file needs it");
}

static enum caefs_err
repair_object_name(struct store *s, int directory, const char *name)
{
        struct meta_object o;
        uint64_t           id = 0;
        char               again[32], wanted[128];

        bool is_number = sscanf(name, "%" SCNu64, &id) == 1;
        snprintf(again, sizeof again, "%" PRIu64, id);
        if (is_number && strcmp(again, name) == 0 &&
            (meta_object_read(s->meta, id, &o) == CAEFS_OK ||
             is_trash(s, META_TRASH_OBJECT, id, 0)))
                return CAEFS_OK;
        snprintf(wanted, sizeof wanted, "object-%.100s", name);
        return quarantine_file(s, directory, name, wanted, "no file needs it");
}

/* Every name in a directory of PARENT. */
static enum caefs_err
repair_names(struct store *s, int parent, const char *name,
             enum caefs_err (*each)(struct store *s, int directory, const char *name))
{
        int            fd = io->open(parent, name, O_RDONLY | O_DIRECTORY, 0);
        DIR           *d = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *e;
        enum caefs_err err = CAEFS_OK;

        if (d == NULL) {
                err = caefs_fail_errno("%s: %s", s->path, name);
                if (fd >= 0)
                        io->close(fd);
                return err;
        }
        while (err == CAEFS_OK && (e = readdir(d)) != NULL)
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        err = each(s, fd, e->d_name);
        closedir(d);
        return err;
}

static enum caefs_err
repair_orphans(struct store *s)
{
        char           name[sizeof "ff"];
        enum caefs_err err = repair_names(s, s->staging_fd, ".", repair_staging_name);

        for (unsigned i = 0; err == CAEFS_OK && i < OBJECT_DIRECTORIES; i++) {
                snprintf(name, sizeof name, "%02x", i);
                err = repair_names(s, s->objects_fd, name, repair_object_name);
        }
        return err;
}

enum caefs_err
repair_structure(struct store *s)
{
        enum caefs_err err = repair_all_objects(s);

        if (err == CAEFS_OK)
                err = repair_all_staged(s);
        if (err == CAEFS_OK)
                err = meta_repair_structure(s->meta, s->options.repair,
                                            s->options.repair_context);
        if (err == CAEFS_OK)
                err = repair_unused_objects(s);
        if (err == CAEFS_OK)
                err = repair_orphans(s);
        return err == CAEFS_OK ? meta_commit(s->meta) : err;
}
