/*
 * caefs export - copies files out of a store without a mount.
 *
 * The walk makes directories and what is small, and lists regular files;
 * threads then decode them, each a file at a time.  Second names and the times of
 * directories come last.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tools/path.h"
#include "tools/transfer.h"

const char help_export[] =
        "Usage: caefs export [OPTION...] STORE:/PATH DEST\n"
        "\n"
        "Copies a file, or a directory with all that is in it, out of a store\n"
        "that is not mounted.  Where DEST is a directory the copy is made in it,\n"
        "else it gets that name; of STORE:/ all that is in it is copied.  Times,\n"
        "modes, extended attributes, links of both kinds and holes are kept, and\n"
        "owners when you are root.  A file that is there with the same size and\n"
        "time is left alone, so an export that was interrupted goes on.\n"
        "\n"
        "  --json              what was done as one JSON object\n"
        TOOL_COMMON_HELP;

#define THREADS_MAX 64
#define SPARSE_PIECE ((size_t)65536)

/* What is done after the walk; its path is owned. */
struct copied {
        char *path;
        store_inode inode; /* with a reference */
        struct stat st;
};

struct copies {
        struct copied *entry;
        size_t count, capacity;
};

struct export {
        struct transfer t;
        struct store *store;
        bool is_root;
        struct copies files, directories; /* directories: each before what is in it */
        struct copies again; /* further names of files */
        void *linked;         /* tsearch(3): struct first_name */
        _Atomic size_t next;  /* of files */
        uint64_t bytes;
};

static enum caefs_err add_entry(struct copies *list, const char *path,
                                store_inode inode, const struct stat *st)
{
        if (list->count == list->capacity) {
                const size_t capacity = list->capacity * 2 + 64;
                struct copied *more = realloc(list->entry,
                                             capacity * sizeof *more);

                if (more == NULL)
                        return CAEFS_ERR_NOMEM;
                list->entry = more;
                list->capacity = capacity;
        }
        list->entry[list->count] = (struct copied){ .path = strdup(path),
                                                   .inode = inode, .st = *st };
        if (list->entry[list->count].path == NULL)
                return CAEFS_ERR_NOMEM;
        list->count++;
        return CAEFS_OK;
}

static void free_entries(struct export *m, struct copies *list)
{
        size_t i;

        for (i = 0; i < list->count; i++) {
                free(list->entry[i].path);
                store_forget(m->store, list->entry[i].inode, 1);
        }
        free(list->entry);
}

/* ---- attributes ---- */

/* What the system there does not take is left out: not all have all kinds. */
static enum caefs_err set_xattr(struct export *m, const struct copied *e,
                                const char *name, char *value)
{
        size_t length;
        enum caefs_err err = store_getxattr(m->store, e->inode, name, value,
                                            XATTR_SIZE_MAX, &length);

        if (err != CAEFS_OK)
                return err == CAEFS_ERR_NO_ATTRIBUTE ? CAEFS_OK : err;
        if (lsetxattr(e->path, name, value, length, 0) == 0 ||
            errno == ENOTSUP || errno == EPERM || errno == ENOSPC ||
            errno == E2BIG)
                return CAEFS_OK;
        return caefs_fail_errno("%s", name);
}

static enum caefs_err set_xattrs(struct export *m, const struct copied *e)
{
        char *names, *value;
        size_t size, at;
        enum caefs_err err = store_listxattr(m->store, e->inode, NULL, 0, &size);

        if (err != CAEFS_OK || size == 0)
                return err;
        names = malloc(size);
        value = malloc(XATTR_SIZE_MAX);
        if (names == NULL || value == NULL)
                err = CAEFS_ERR_NOMEM;
        else
                err = store_listxattr(m->store, e->inode, names, size, &size);
        for (at = 0; err == CAEFS_OK && at < size; at += strlen(names + at) + 1)
                err = set_xattr(m, e, names + at, value);
        free(names);
        free(value);
        return err;
}

static enum caefs_err set_attributes(struct export *m, const struct copied *e)
{
        const struct timespec times[2] = { e->st.st_atim, e->st.st_mtim };
        enum caefs_err err = CAEFS_OK;

        if (m->is_root &&
            lchown(e->path, e->st.st_uid, e->st.st_gid) != 0)
                return caefs_fail_errno("its owner cannot be set");
        if (!S_ISLNK(e->st.st_mode)) {
                if (chmod(e->path, e->st.st_mode & 07777) != 0)
                        return caefs_fail_errno("its mode cannot be set");
                err = set_xattrs(m, e);
        }
        if (err == CAEFS_OK &&
            utimensat(AT_FDCWD, e->path, times, AT_SYMLINK_NOFOLLOW) != 0)
                return caefs_fail_errno("its times cannot be set");
        return err;
}

/* ---- content ---- */

static enum caefs_err write_all(int fd, const char *data, size_t n,
                                uint64_t offset)
{
        while (n > 0) {
                const ssize_t put = pwrite(fd, data, n, (off_t)offset);

                if (put < 0 && errno == EINTR)
                        continue;
                if (put < 0)
                        return caefs_fail_errno("cannot write");
                data += put;
                offset += (uint64_t)put;
                n -= (size_t)put;
        }
        return CAEFS_OK;
}

static bool is_zero(const char *data, size_t n)
{
        return data[0] == 0 && memcmp(data, data + 1, n - 1) == 0;
}

/* A sealed file does not tell where its holes were: zeros become some. */
static enum caefs_err write_sparsely(int fd, const char *data, size_t n,
                                     uint64_t offset)
{
        size_t at, piece;
        enum caefs_err err = CAEFS_OK;

        for (at = 0; at < n && err == CAEFS_OK; at += piece) {
                piece = n - at < SPARSE_PIECE ? n - at : SPARSE_PIECE;
                if (!is_zero(data + at, piece))
                        err = write_all(fd, data + at, piece, offset + at);
        }
        return err;
}

static enum caefs_err copy_range(struct export *m, struct store_file *file,
                                 int fd, char *buffer, uint64_t at,
                                 uint64_t end)
{
        while (at < end) {
                const size_t want = end - at < TRANSFER_BUFFER ?
                                            (size_t)(end - at) :
                                            TRANSFER_BUFFER;
                size_t got;
                enum caefs_err err = store_file_read(file, buffer, want, at,
                                                     &got);

                if (err == CAEFS_OK && got == 0)
                        return CAEFS_OK;
                if (err == CAEFS_OK)
                        err = write_sparsely(fd, buffer, got, at);
                if (err != CAEFS_OK)
                        return err;
                if (progress_cancelled(&m->t.job))
                        return CAEFS_ERR_INTERRUPTED;
                at += got;
                progress_add(&m->t.job, got);
        }
        return CAEFS_OK;
}

static enum caefs_err copy_content(struct export *m, struct store_file *file,
                                   int fd, char *buffer, uint64_t size)
{
        uint64_t at, end = 0;
        enum caefs_err err = CAEFS_OK;

        while (err == CAEFS_OK && end < size) {
                err = store_file_seek(file, end, SEEK_DATA, &at);
                if (err == CAEFS_ERR_NO_MORE_DATA) {
                        err = CAEFS_OK;
                        break;
                }
                if (err != CAEFS_OK)
                        return err;
                progress_add(&m->t.job, at - end);
                err = store_file_seek(file, at, SEEK_HOLE, &end);
                if (err == CAEFS_OK)
                        err = copy_range(m, file, fd, buffer, at, end);
        }
        if (err == CAEFS_OK && ftruncate(fd, (off_t)size) != 0)
                err = caefs_fail_errno("cannot write");
        return err;
}

/* Under a name of its own until it is whole: nobody sees half of a file. */
static enum caefs_err write_file(struct export *m, const struct copied *e,
                                 struct store_file *file, char *buffer)
{
        struct copied temporary = *e;
        enum caefs_err err;
        int fd;

        if (asprintf(&temporary.path, "%s.caefs-export", e->path) < 0)
                return CAEFS_ERR_NOMEM;
        fd = open(temporary.path,
                  O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) {
                err = caefs_fail_errno("cannot make it");
                free(temporary.path);
                return err;
        }
        err = copy_content(m, file, fd, buffer, (uint64_t)e->st.st_size);
        if (close(fd) != 0 && err == CAEFS_OK)
                err = caefs_fail_errno("cannot write");
        if (err == CAEFS_OK)
                err = set_attributes(m, &temporary);
        if (err == CAEFS_OK && rename(temporary.path, e->path) != 0)
                err = caefs_fail_errno("cannot take its place");
        if (err != CAEFS_OK)
                unlink(temporary.path);
        free(temporary.path);
        return err;
}

static enum caefs_err export_file(struct export *m, const struct copied *e,
                                  char *buffer)
{
        struct store_file *file;
        struct stat there;
        enum caefs_err err;

        if (lstat(e->path, &there) == 0 && transfer_is_same(&there, &e->st)) {
                atomic_fetch_add(&m->t.skipped, 1);
                progress_add(&m->t.job, (uint64_t)e->st.st_size);
                return CAEFS_OK;
        }
        err = store_file_open(m->store, e->inode, O_RDONLY, &file);
        if (err != CAEFS_OK)
                return err;
        err = write_file(m, e, file, buffer);
        store_file_release(file);
        if (err == CAEFS_OK) {
                atomic_fetch_add(&m->t.files, 1);
                atomic_fetch_add(&m->t.bytes, (uint64_t)e->st.st_size);
        }
        return err;
}

static void *export_some(void *context)
{
        struct export *m = context;
        char *buffer = malloc(TRANSFER_BUFFER);
        size_t i;

        if (buffer == NULL) {
                transfer_failed(&m->t, CAEFS_ERR_NOMEM, NULL);
                return NULL;
        }
        while (!progress_cancelled(&m->t.job) &&
               (i = atomic_fetch_add(&m->next, 1)) < m->files.count) {
                const struct copied *e = &m->files.entry[i];
                const enum caefs_err err = export_file(m, e, buffer);

                if (err != CAEFS_OK && err != CAEFS_ERR_INTERRUPTED)
                        transfer_failed(&m->t, err, e->path);
        }
        free(buffer);
        return NULL;
}

static void export_files(struct export *m)
{
        const long processors = sysconf(_SC_NPROCESSORS_ONLN);
        pthread_t thread[THREADS_MAX];
        int started = 0;

        while (started + 1 < processors && started < THREADS_MAX &&
               pthread_create(&thread[started], NULL, export_some, m) == 0)
                started++;
        export_some(m);
        while (started > 0)
                pthread_join(thread[--started], NULL);
}

/* ---- the walk ---- */

static enum caefs_err walk(struct export *m, const char *path, store_inode inode,
                           const struct stat *st);

/* Of a file with several names: where it is in the list. */
struct first_name {
        store_inode inode;
        size_t index;
};

static int compare_first(const void *a, const void *b)
{
        const struct first_name *x = a, *y = b;

        return x->inode < y->inode ? -1 : x->inode > y->inode;
}

/* The first name of INODE; when it had none, the next of the list becomes it
 * and *IS_NEW is set.  NULL: no memory. */
static const struct first_name *first_name(struct export *m, store_inode inode,
                                           bool *is_new)
{
        struct first_name *new = malloc(sizeof *new), **found;

        if (new == NULL)
                return NULL;
        *new = (struct first_name){ .inode = inode, .index = m->files.count };
        found = tsearch(new, &m->linked, compare_first);
        *is_new = found != NULL && *found == new;
        if (!*is_new)
                free(new);
        return found != NULL ? *found : NULL;
}

/* Takes over the reference to INODE. */
static enum caefs_err list_file(struct export *m, const char *path,
                                store_inode inode, const struct stat *st)
{
        bool is_new = true;

        if (st->st_nlink > 1 && first_name(m, inode, &is_new) == NULL)
                return CAEFS_ERR_NOMEM;
        if (!is_new)
                return add_entry(&m->again, path, inode, st);
        m->bytes += (uint64_t)st->st_size;
        return add_entry(&m->files, path, inode, st);
}

static enum caefs_err make_special(struct export *m, const char *path,
                                   store_inode inode, const struct stat *st)
{
        const struct copied e = { .path = (char *)path, .inode = inode,
                                 .st = *st };
        char target[PATH_MAX];
        enum caefs_err err = CAEFS_OK;
        int failed;

        if (unlink(path) != 0 && errno != ENOENT)
                return caefs_fail_errno("cannot replace what is there");
        if (S_ISLNK(st->st_mode)) {
                err = store_readlink(m->store, inode, target, sizeof target);
                failed = err == CAEFS_OK ? symlink(target, path) : 0;
        } else {
                failed = mknod(path, st->st_mode, st->st_rdev);
        }
        if (failed != 0)
                return caefs_fail_errno("cannot make it");
        if (err == CAEFS_OK)
                err = set_attributes(m, &e);
        atomic_fetch_add(&m->t.files, 1);
        return err;
}

/* One batch of a directory's names, so that no lock is held meanwhile. */
struct batch {
        uint64_t next;
        size_t count;
        char name[256][STORE_NAME_MAX + 1];
};

static bool take_name(void *context, const char *name, const struct stat *st,
                      uint64_t next)
{
        struct batch *b = context;

        (void)st;
        if (b->count == sizeof b->name / sizeof *b->name)
                return false;
        b->next = next;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
                strcpy(b->name[b->count++], name);
        return true;
}

static void export_name(struct export *m, const char *path, store_inode parent,
                        const char *name)
{
        char below[PATH_MAX];
        struct stat st;
        enum caefs_err err;

        if (snprintf(below, sizeof below, "%s/%s", path, name) >=
            (int)sizeof below)
                err = CAEFS_ERR_NAME_TOO_LONG;
        else
                err = store_lookup(m->store, parent, name, &st);
        if (err == CAEFS_OK)
                err = walk(m, below, st.st_ino, &st);
        if (err != CAEFS_OK)
                transfer_failed(&m->t, err, below);
}

static enum caefs_err export_names(struct export *m, const char *path,
                                   store_inode inode)
{
        struct batch *b = malloc(sizeof *b);
        enum caefs_err err;
        size_t i;

        if (b == NULL)
                return CAEFS_ERR_NOMEM;
        b->next = 0;
        do {
                const uint64_t from = b->next;

                b->count = 0;
                err = store_read_directory(m->store, inode, from, false,
                                           take_name, b);
                for (i = 0; err == CAEFS_OK && i < b->count; i++)
                        export_name(m, path, inode, b->name[i]);
                if (b->next == from)
                        break;
        } while (err == CAEFS_OK && !progress_cancelled(&m->t.job));
        free(b);
        return err;
}

/* Takes over the reference to INODE. */
static enum caefs_err walk(struct export *m, const char *path, store_inode inode,
                           const struct stat *st)
{
        enum caefs_err err;

        if (S_ISREG(st->st_mode))
                return list_file(m, path, inode, st);
        if (!S_ISDIR(st->st_mode)) {
                err = make_special(m, path, inode, st);
                store_forget(m->store, inode, 1);
                return err;
        }
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
                err = caefs_fail_errno("cannot make the directory");
                store_forget(m->store, inode, 1);
                return err;
        }
        err = add_entry(&m->directories, path, inode, st);
        return err != CAEFS_OK ? err : export_names(m, path, inode);
}

/* ---- afterwards ---- */

static void finish(struct export *m)
{
        const struct first_name *first;
        bool is_new;
        size_t i;

        for (i = 0; i < m->again.count; i++) {
                const struct copied *e = &m->again.entry[i];
                enum caefs_err err = CAEFS_OK;

                first = first_name(m, e->inode, &is_new);
                if (unlink(e->path) != 0 && errno != ENOENT)
                        err = caefs_fail_errno("cannot replace what is there");
                else if (first == NULL)
                        err = CAEFS_ERR_NOMEM;
                else if (link(m->files.entry[first->index].path, e->path) != 0)
                        err = caefs_fail_errno("cannot link");
                if (err != CAEFS_OK)
                        transfer_failed(&m->t, err, e->path);
        }
        for (i = m->directories.count; i > 0; i--) {
                const struct copied *e = &m->directories.entry[i - 1];
                const enum caefs_err err = set_attributes(m, e);

                if (err != CAEFS_OK)
                        transfer_failed(&m->t, err, e->path);
        }
}

/* ---- the command ---- */

/* In DEST if that is a directory, else DEST itself. */
static bool target_path(const char *dest, const char *path, char out[PATH_MAX])
{
        const char *name = strrchr(path, '/');
        struct stat st;
        int n;

        name = name != NULL ? name + 1 : path;
        if (*name != '\0' && stat(dest, &st) == 0 && S_ISDIR(st.st_mode))
                n = snprintf(out, PATH_MAX, "%s/%s", dest, name);
        else
                n = snprintf(out, PATH_MAX, "%s", dest);
        return n < PATH_MAX;
}

static int run(struct export *m, char *path, const char *dest)
{
        char target[PATH_MAX];
        store_inode inode;
        struct stat st;
        size_t length = strlen(path);
        enum caefs_err err;

        while (length > 1 && path[length - 1] == '/')
                path[--length] = '\0';
        err = store_resolve(m->store, path, &inode);
        if (err == CAEFS_OK)
                err = store_getattr(m->store, inode, &st);
        if (err == CAEFS_OK && !target_path(dest, path, target))
                err = CAEFS_ERR_NAME_TOO_LONG;
        if (err == CAEFS_OK)
                err = walk(m, target, inode, &st);
        if (err != CAEFS_OK) {
                transfer_failed(&m->t, err, path);
        } else {
                transfer_start(&m->t, m->bytes);
                export_files(m);
        }
        if (!progress_cancelled(&m->t.job))
                finish(m);
        tdestroy(m->linked, free);
        free_entries(m, &m->again);
        free_entries(m, &m->directories);
        free_entries(m, &m->files);
        return transfer_end(&m->t);
}

int cmd_export(int argc, char **argv)
{
        enum { OPT_JSON = 1 };
        static const struct option options[] = {
                { "json", no_argument, NULL, OPT_JSON },
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct export m = { .is_root = geteuid() == 0 };
        char *store, *path;
        bool json = false;
        int c, status;
        enum caefs_err err;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS,
                                options, NULL)) != -1)
                if (c == OPT_JSON)
                        json = true;
                else if (!tool_common_option(c))
                        return TOOL_USAGE;
        if (argc - optind != 2)
                return tool_usage_error("export", "it takes STORE:/PATH and "
                                                  "where to");
        if (!tool_path_split_store(argv[optind], &store, &path)) {
                tool_error(argv[optind], NULL, "this is no STORE:/PATH");
                return TOOL_USAGE;
        }
        err = tool_store_open(store, false, &m.store);
        if (err != CAEFS_OK) {
                status = tool_fail(err, store, NULL);
        } else {
                transfer_begin(&m.t, "export", json);
                status = run(&m, path, argv[optind + 1]);
                store_close(m.store);
        }
        free(store);
        free(path);
        return status;
}
