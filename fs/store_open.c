/* fs/store_open.c - making a store, opening and closing it, and recovery.
 *
 * Recovery brings the files of the store into agreement with its catalogue, which is
 * at its last commit: it empties the trash, deletes inodes that had no name, removes
 * staging files and objects that no row knows, and cuts staged files to their committed
 * size.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/store_internal.h"
#include "fs/store_repair.h"

#define DEFAULT_COMMIT_INTERVAL 1.0
#define DEFAULT_CACHE_BYTES     ((uint64_t) 256 << 20)
#define LIST_BATCH              256
/* Numbers that a lost transaction can have used at most; see recover(). */
#define LOST_INODES  ((uint64_t) 1 << 20)
#define LOST_OBJECTS 1024

/* ---- making ------------------------------------------------------------- */

static bool
is_empty_directory(int fd)
{
        DIR           *d = fdopendir(dup(fd));
        struct dirent *e;
        bool           empty = d != NULL;

        while (empty && (e = readdir(d)) != NULL)
                empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
                        strcmp(e->d_name, "lost+found") == 0;
        if (d != NULL)
                closedir(d);
        return empty;
}

static enum caefs_err
make_file(int root, const char *path, const char *name, uint64_t size)
{
        int fd = io->open(root, name, O_RDWR | O_CREAT | O_EXCL, 0600);

        if (fd < 0)
                return caefs_fail_errno("%s/%s", path, name);
        int result = size == 0 ? 0 : io->allocate(fd, 0, 0, size);
        if (result < 0 && errno == EOPNOTSUPP)
                result = 0;     /* such a system below cannot keep space for us */
        if (result == 0)
                result = io->sync(fd, false);
        enum caefs_err err = CAEFS_OK;
        if (result < 0)
                err = caefs_fail_errno("%s/%s", path, name);
        io->close(fd);
        return err;
}

static enum caefs_err
make_directories(int root, const char *path)
{
        char name[sizeof "objects/ff"];

        if (io->mkdir(root, "staging", 0700) < 0 || io->mkdir(root, "objects", 0700) < 0)
                return caefs_fail_errno("%s", path);
        for (unsigned i = 0; i < OBJECT_DIRECTORIES; i++) {
                snprintf(name, sizeof name, "objects/%02x", i);
                if (io->mkdir(root, name, 0700) < 0)
                        return caefs_fail_errno("%s/%s", path, name);
        }
        return CAEFS_OK;
}

static enum caefs_err
fill_store(int root, const char *path)
{
        char *database;

        if (!is_empty_directory(root))
                return caefs_fail(CAEFS_ERR_NOT_EMPTY, "%s is not empty", path);
        enum caefs_err err = make_directories(root, path);
        if (err == CAEFS_OK)
                err = make_file(root, path, "lock", 0);
        if (err == CAEFS_OK)
                err = make_file(root, path, "reserve", STORE_RESERVE_BYTES);
        if (err != CAEFS_OK)
                return err;
        if (asprintf(&database, "%s/caefs.db", path) < 0)
                return CAEFS_ERR_NOMEM;
        /* Last: a directory without it is no store. */
        err = meta_make(database, geteuid(), getegid(), now_ns());
        free(database);
        if (err == CAEFS_OK && io->sync(root, false) < 0)
                err = caefs_fail_errno("%s", path);
        return err;
}

enum caefs_err
store_make(const char *path)
{
        if (io->mkdir(AT_FDCWD, path, 0700) < 0 && errno != EEXIST)
                return caefs_fail_errno("%s", path);
        int root = io->open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
        if (root < 0)
                return caefs_fail_errno("%s", path);
        enum caefs_err err = fill_store(root, path);
        io->close(root);
        return err;
}

/* ---- recovery ----------------------------------------------------------- */

/* A clean close leaves no log behind. */
static bool
log_has_content(struct store *s)
{
        struct stat st;

        return fstatat(s->root_fd, "caefs.db-wal", &st, 0) == 0 && st.st_size > 0;
}

static enum caefs_err
purge_unlinked(struct store *s)
{
        uint64_t       inodes[LIST_BATCH];
        size_t         count = LIST_BATCH;
        enum caefs_err err = CAEFS_OK;

        while (err == CAEFS_OK && count == LIST_BATCH) {
                err = meta_unlinked_list(s->meta, 0, inodes, LIST_BATCH, &count);
                for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                        struct meta_inode row;
                        err = meta_inode_read(s->meta, inodes[i], &row);
                        if (err == CAEFS_OK)
                                err = inode_purge(s, &row);
                }
        }
        return err;
}

static enum caefs_err
cut_to(struct store *s, const char *name, uint64_t size)
{
        struct stat st;
        int         fd = io->open(s->staging_fd, name, O_RDWR, 0);

        if (fd < 0)
                return caefs_fail_errno("%s/staging/%s", s->path, name);
        int result = fstat(fd, &st);
        if (result == 0 && (uint64_t) st.st_size > size)
                result = io->truncate(fd, size);
        enum caefs_err err = CAEFS_OK;
        if (result < 0)
                err = caefs_fail_errno("%s/staging/%s", s->path, name);
        io->close(fd);
        return err;
}

/* Keeps, cuts or removes one file of staging/. */
static enum caefs_err
recover_staging_file(struct store *s, const char *name)
{
        struct meta_inode row;
        uint64_t          ino, generation;
        bool              is_needed = false;

        if (staging_name_parse(name, &ino, &generation)) {
                enum caefs_err err = meta_inode_read(s->meta, ino, &row);
                if (err != CAEFS_OK && err != CAEFS_ERR_NO_ENTRY)
                        return err;
                is_needed = err == CAEFS_OK && row.content.state == META_STAGED &&
                            row.content.generation == generation;
        }
        if (is_needed)
                return cut_to(s, name, row.content.size);
        if (io->unlink(s->staging_fd, name) < 0 && errno != ENOENT)
                return caefs_fail_errno("%s/staging/%s", s->path, name);
        return CAEFS_OK;
}

static enum caefs_err
recover_staging(struct store *s)
{
        int            fd = io->open(s->staging_fd, ".", O_RDONLY | O_DIRECTORY, 0);
        DIR           *d = fd < 0 ? NULL : fdopendir(fd);
        enum caefs_err err = CAEFS_OK;
        struct dirent *e;

        if (d == NULL)
                return caefs_fail_errno("%s/staging", s->path);
        while (err == CAEFS_OK && (e = readdir(d)) != NULL)
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        err = recover_staging_file(s, e->d_name);
        closedir(d);
        return err;
}

/* Objects are numbered upwards and take their name just before the transaction that
 * knows them: files of a lost transaction are just above the last number, or just below it
 * where another object overtook them.  A transaction may also be lost without a crash,
 * when the catalogue could not be written. */
static enum caefs_err
recover_objects(struct store *s)
{
        char               name[OBJECT_NAME_SIZE];
        struct meta_object object;
        uint64_t           next;
        enum caefs_err     err = meta_object_next(s->meta, &next);

        for (uint64_t id = next > LOST_OBJECTS ? next - LOST_OBJECTS : 1;
             err == CAEFS_OK && id < next + LOST_OBJECTS; id++) {
                if (id < next && meta_object_read(s->meta, id, &object) != CAEFS_ERR_NO_ENTRY)
                        continue;
                object_name(id, name);
                if (io->unlink(s->objects_fd, name) < 0 && errno != ENOENT)
                        err = caefs_fail_errno("%s/objects/%s", s->path, name);
        }
        return err;
}

/* Inode numbers of a lost transaction may be known to somebody (an NFS client): they
 * are not given again. */
static enum caefs_err
skip_lost_inodes(struct store *s)
{
        enum caefs_err err = change_begin(s, SPACE_NONE);

        return err != CAEFS_OK ? err : change_end(s, meta_inode_skip(s->meta, LOST_INODES));
}

static enum caefs_err
recover(struct store *s, bool was_open)
{
        uint64_t       generation = 0;
        enum caefs_err err = was_open ? skip_lost_inodes(s) : CAEFS_OK;

        if (err == CAEFS_OK)
                err = purge_unlinked(s);
        if (err == CAEFS_OK)
                err = commit_changes(s, false);
        if (err == CAEFS_OK)
                err = trash_empty(s);
        if (err == CAEFS_OK)
                err = recover_staging(s);
        if (err == CAEFS_OK)
                err = recover_objects(s);
        if (err == CAEFS_OK)
                err = meta_generation_max(s->meta, &generation);
        s->next_generation = generation + 1;
        return err;
}

/* ---- opening ------------------------------------------------------------ */

static enum caefs_err
open_directories(struct store *s)
{
        static const int flags = O_RDONLY | O_DIRECTORY;

        s->root_fd = io->open(AT_FDCWD, s->path, flags, 0);
        if (s->root_fd < 0)
                return caefs_fail_errno("%s", s->path);
        enum caefs_err err = s->options.repair != NULL ? repair_directories(s) : CAEFS_OK;
        if (err != CAEFS_OK)
                return err;
        s->staging_fd = io->open(s->root_fd, "staging", flags, 0);
        s->objects_fd = io->open(s->root_fd, "objects", flags, 0);
        if (s->staging_fd < 0 || s->objects_fd < 0)
                return caefs_fail(CAEFS_ERR_NO_ENTRY,
                                  "%s is not a store (caefs mkfs makes one)", s->path);
        return CAEFS_OK;
}

static enum caefs_err
open_catalogue(struct store *s, enum meta_mode mode)
{
        char *database;

        if (asprintf(&database, "%s/caefs.db", s->path) < 0)
                return CAEFS_ERR_NOMEM;
        enum caefs_err err = meta_open(database, mode, &s->meta);
        free(database);
        return err;
}

static enum caefs_err
open_for_writing(struct store *s)
{
        enum caefs_err err = lock_for_writing(s);

        if (err != CAEFS_OK)
                return err;
        bool was_open = log_has_content(s);
        if (s->options.repair != NULL)
                err = repair_catalogue(s);
        if (err == CAEFS_OK)
                err = open_catalogue(s, META_WRITE);
        if (err == CAEFS_OK && s->options.repair != NULL)
                err = repair_structure(s);
        if (err != CAEFS_OK)
                return err;
        s->reserve_fd = io->open(s->root_fd, "reserve", O_RDWR | O_CREAT, 0600);
        if (s->reserve_fd < 0)
                return caefs_fail_errno("%s/reserve", s->path);
        struct stat st;
        uint64_t have = fstat(s->reserve_fd, &st) == 0 ? (uint64_t) st.st_size : 0;
        if (have < STORE_RESERVE_BYTES)
                s->reserve_missing = STORE_RESERVE_BYTES - have / 4096 * 4096;
        return recover(s, was_open);
}

/* Where nobody writes and the log is empty, SQLite need not look for changes.  A log that a
 * crash left is worked in in memory.  Beside a writer we follow what it commits. */
static enum caefs_err
open_for_reading(struct store *s)
{
        enum lock_state state;
        enum caefs_err  err = lock_for_reading(s, &state);

        if (err != CAEFS_OK)
                return err;
        s->is_live = state == LOCK_OF_WRITER;
        if (s->is_live)
                return open_catalogue(s, META_READ);
        return open_catalogue(s, log_has_content(s) ? META_READ_LOG : META_READ_IMMUTABLE);
}

bool
store_is_live(const struct store *s)
{
        return s->is_live;
}

static void
init_locks(struct store *s)
{
        pthread_condattr_t clock;

        pthread_mutex_init(&s->commit, NULL);
        pthread_mutex_init(&s->catalogue, NULL);
        pthread_mutex_init(&s->drafts, NULL);
        pthread_mutex_init(&s->spilling, NULL);
        pthread_mutex_init(&s->table_lock, NULL);
        pthread_mutex_init(&s->wake_lock, NULL);
        pthread_mutex_init(&s->models_lock, NULL);
        pthread_mutex_init(&s->trials_lock, NULL);
        pthread_mutex_init(&s->totals_lock, NULL);
        for (int i = 0; i < STORE_STRIPES; i++)
                pthread_mutex_init(&s->stripe[i], NULL);
        pthread_condattr_init(&clock);
        pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
        pthread_cond_init(&s->wake, &clock);
        pthread_cond_init(&s->closed, &clock);
        pthread_condattr_destroy(&clock);
}

static struct store *
store_new(const char *path, const struct store_options *o)
{
        struct store *s = calloc(1, sizeof *s);

        if (s == NULL)
                return NULL;
        s->root_fd = s->staging_fd = s->objects_fd = s->lock_fd = s->reserve_fd = -1;
        s->next_generation = 1;
        if (o != NULL)
                s->options = *o;
        if (s->options.commit_interval <= 0)
                s->options.commit_interval = DEFAULT_COMMIT_INTERVAL;
        if (s->options.cache_bytes == 0)
                s->options.cache_bytes = DEFAULT_CACHE_BYTES;
        if (s->options.seal_threads == 0)
                s->options.seal_threads = (unsigned) sysconf(_SC_NPROCESSORS_ONLN);
        init_locks(s);
        s->path = strdup(path);
        s->cache = cache_new(s->options.cache_bytes);
        if (s->path == NULL || s->cache == NULL ||
            inode_table_init(&s->table) != CAEFS_OK || object_table_make(s) != CAEFS_OK ||
            decoders_make(s) != CAEFS_OK ||
            (!s->options.no_background && ahead_make(s) != CAEFS_OK)) {
                store_close(s);
                return NULL;
        }
        return s;
}

enum caefs_err
store_open(const char *path, const struct store_options *o, struct store **out)
{
        struct store *s = store_new(path, o);

        *out = NULL;
        if (s == NULL)
                return CAEFS_ERR_NOMEM;
        enum caefs_err err = open_directories(s);
        if (err == CAEFS_OK)
                err = s->options.read_only ? open_for_reading(s) : open_for_writing(s);
        if (err == CAEFS_OK && !s->options.read_only && !s->options.no_background) {
                err = committer_start(s);
                if (err == CAEFS_OK)
                        err = queue_start(s);
        }
        if (err != CAEFS_OK) {
                store_close(s);
                return err;
        }
        *out = s;
        return CAEFS_OK;
}

static void
close_descriptors(struct store *s)
{
        const int fds[] = { s->reserve_fd, s->staging_fd, s->objects_fd, s->root_fd,
                            s->lock_fd };

        for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
                if (fds[i] >= 0)
                        io->close(fds[i]);
}

static void
destroy_locks(struct store *s)
{
        pthread_mutex_destroy(&s->commit);
        pthread_mutex_destroy(&s->catalogue);
        pthread_mutex_destroy(&s->drafts);
        pthread_mutex_destroy(&s->table_lock);
        pthread_mutex_destroy(&s->wake_lock);
        pthread_mutex_destroy(&s->models_lock);
        pthread_mutex_destroy(&s->trials_lock);
        pthread_mutex_destroy(&s->totals_lock);
        for (int i = 0; i < STORE_STRIPES; i++)
                pthread_mutex_destroy(&s->stripe[i]);
        pthread_cond_destroy(&s->wake);
        pthread_cond_destroy(&s->closed);
}

enum caefs_err
store_close(struct store *s)
{
        enum caefs_err err = CAEFS_OK;

        if (s == NULL)
                return CAEFS_OK;
        ahead_free(s);
        queue_stop(s);
        committer_stop(s);
        contents_abandon(s, true);
        if (s->meta != NULL)
                err = store_commit(s);
        contents_abandon(s, false);
        totals_close(s);
        object_table_free(s);
        decoders_free(s);
        models_free(s);
        inode_table_free(&s->table);
        cache_free(s->cache);
        meta_close(s->meta);
        close_descriptors(s);
        destroy_locks(s);
        free(s->path);
        free(s);
        return err;
}

enum caefs_err
store_statfs(struct store *s, struct statvfs *out)
{
        if (fstatvfs(s->root_fd, out) < 0)
                return caefs_fail_errno("%s", s->path);
        out->f_namemax = STORE_NAME_MAX;
        return CAEFS_OK;
}
