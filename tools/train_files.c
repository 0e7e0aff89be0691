/*
 * train_files.c - from paths to the regions that hold floats.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/train_files.h"

/* Regions shorter than this teach nothing. */
#define LEAST_BYTES 1024

struct train_file {
        struct byte_source source;
        char *name;          /* for people */
        char *path;          /* a name for system calls, or NULL: in a store */
        struct store *store;
        store_inode inode;
};

static enum caefs_err read_plain(const struct train_file *f, void *buffer,
                                 size_t n, uint64_t offset)
{
        char *at = buffer;
        int fd = open(f->path, O_RDONLY | O_CLOEXEC);
        enum caefs_err err = CAEFS_OK;

        if (fd < 0)
                return caefs_fail_errno("%s", f->path);
        while (n > 0 && err == CAEFS_OK) {
                ssize_t got = pread(fd, at, n, (off_t)offset);

                if (got < 0 && errno != EINTR)
                        err = caefs_fail_errno("%s", f->path);
                else if (got == 0)
                        err = caefs_fail(CAEFS_ERR_IO, "%s: it became shorter",
                                         f->path);
                if (got <= 0)
                        continue;
                at += got;
                n -= (size_t)got;
                offset += (uint64_t)got;
        }
        close(fd);
        return err;
}

static enum caefs_err read_stored(const struct train_file *f, void *buffer,
                                  size_t n, uint64_t offset)
{
        struct store_file *open_file;
        size_t got = 0;
        enum caefs_err err = store_file_open(f->store, f->inode, O_RDONLY,
                                             &open_file);

        if (err != CAEFS_OK)
                return err;
        err = store_file_read(open_file, buffer, n, offset, &got);
        store_file_release(open_file);
        if (err == CAEFS_OK && got < n)
                return caefs_fail(CAEFS_ERR_IO, "a file became shorter");
        return err;
}

static enum caefs_err file_read(void *context, void *buffer, size_t n,
                                uint64_t offset)
{
        const struct train_file *f = context;

        return f->path != NULL ? read_plain(f, buffer, n, offset)
                               : read_stored(f, buffer, n, offset);
}

const char *train_file_name(const struct train_file *f)
{
        return f->name != NULL ? f->name : "";
}

const struct train_file *train_file_of_input(const struct train_input *input)
{
        return input->source->context;
}

const struct byte_source *train_file_source(const struct train_file *f)
{
        return &f->source;
}

static enum caefs_err add_region(struct train_files *t,
                                 const struct train_file *f,
                                 const struct region *r)
{
        if (!dtype_is_float(r->dtype) || r->length < LEAST_BYTES)
                return CAEFS_OK;
        if (t->ninputs == t->inputs_capacity) {
                size_t capacity = 2 * t->inputs_capacity + 16;
                struct train_input *grown =
                        realloc(t->input, capacity * sizeof *grown);

                if (grown == NULL)
                        return caefs_fail(CAEFS_ERR_NOMEM, "no memory");
                t->input = grown;
                t->inputs_capacity = capacity;
        }
        t->input[t->ninputs++] = (struct train_input){ &f->source, *r };
        return CAEFS_OK;
}

static enum caefs_err add_regions(struct train_files *t,
                                  const struct train_file *f, const char *name)
{
        const char *slash = strrchr(name, '/');
        struct layout_hint hint = t->hint;
        struct layout layout;
        enum caefs_err err;
        size_t i;

        hint.name = slash != NULL ? slash + 1 : name;
        err = layout_detect(&f->source, &hint, &layout);
        if (err != CAEFS_OK)
                return err;
        for (i = 0; i < layout.nregions && err == CAEFS_OK; i++)
                err = add_region(t, f, &layout.region[i]);
        layout_free(&layout);
        return err;
}

/* Keeps a copy of FILE, whose path becomes T's, and finds its regions. */
static enum caefs_err add_file(struct train_files *t,
                               const struct train_file *file, const char *name)
{
        struct train_file *f = malloc(sizeof *f);

        if (t->nfiles == t->files_capacity && f != NULL) {
                size_t capacity = 2 * t->files_capacity + 16;
                struct train_file **grown =
                        realloc(t->file, capacity * sizeof(*grown));

                if (grown != NULL) {
                        t->file = grown;
                        t->files_capacity = capacity;
                }
        }
        if (f == NULL || t->nfiles == t->files_capacity) {
                free(file->path);
                free(f);
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory");
        }
        *f = *file;
        f->name = strdup(name);
        f->source.read = file_read;
        f->source.context = f;
        t->file[t->nfiles++] = f;
        return add_regions(t, f, name);
}

static int is_visible(const struct dirent *d)
{
        return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static enum caefs_err add_directory(struct train_files *t, const char *path)
{
        struct dirent **entry;
        enum caefs_err err = CAEFS_OK;
        int n = scandir(path, &entry, is_visible, alphasort), i;

        if (n < 0)
                return caefs_fail_errno("%s", path);
        for (i = 0; i < n; i++) {
                char *below = NULL;

                if (err == CAEFS_OK &&
                    asprintf(&below, "%s/%s", path, entry[i]->d_name) < 0) {
                        below = NULL;
                        err = caefs_fail(CAEFS_ERR_NOMEM, "no memory");
                }
                if (err == CAEFS_OK)
                        err = train_files_add_plain(t, below);
                free(below);
                free(entry[i]);
        }
        free(entry);
        return err;
}

enum caefs_err train_files_add_plain(struct train_files *t, const char *path)
{
        struct train_file file = { 0 };
        struct stat st;

        if (lstat(path, &st) != 0)
                return caefs_fail_errno("%s", path);
        if (S_ISDIR(st.st_mode))
                return add_directory(t, path);
        if (!S_ISREG(st.st_mode))
                return CAEFS_OK;
        file.source.size = (uint64_t)st.st_size;
        file.path = strdup(path);
        if (file.path == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory");
        return add_file(t, &file, path);
}

static enum caefs_err add_stored(void *context, const struct tool_path *p)
{
        const struct train_file file = {
                .source.size = (uint64_t)p->st.st_size,
                .store = p->store,
                .inode = p->st.st_ino,
        };

        if (!S_ISREG(p->st.st_mode))
                return CAEFS_OK;
        return add_file(context, &file, p->name);
}

enum caefs_err train_files_add(struct train_files *t, const struct tool_path *p)
{
        if (p->kind == TOOL_PATH_MOUNT)
                return train_files_add_plain(t, p->name);
        return tool_path_walk(p, add_stored, t);
}

static const char *suffix_of(const char *path)
{
        const char *slash = strrchr(path, '/');
        const char *dot = strrchr(slash != NULL ? slash : path, '.');

        return dot != NULL ? dot : "";
}

static bool has_file(const struct train_files *t, const struct stat *st)
{
        struct stat own;
        size_t i;

        for (i = 0; i < t->nfiles; i++)
                if (t->file[i]->path != NULL && stat(t->file[i]->path, &own) == 0 &&
                    own.st_dev == st->st_dev && own.st_ino == st->st_ino)
                        return true;
        return false;
}

/* One name beside the file at PATH. */
static enum caefs_err add_one_beside(struct train_files *beside, const struct train_files *t,
                                     const char *path, const char *name)
{
        const char *slash = strrchr(path, '/');
        int length = slash != NULL ? (int)(slash - path) : 1;
        enum caefs_err err = CAEFS_OK;
        char *other;
        struct stat st;

        if (strcmp(suffix_of(name), suffix_of(path)) != 0)
                return CAEFS_OK;
        if (asprintf(&other, "%.*s/%s", length, slash != NULL ? path : ".", name) < 0)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory");
        if (lstat(other, &st) == 0 && S_ISREG(st.st_mode) && !has_file(t, &st) &&
            !has_file(beside, &st))
                err = train_files_add_plain(beside, other);
        free(other);
        return err;
}

/* Directories that were walked have given all they have. */
enum caefs_err train_files_add_beside(struct train_files *beside, const struct train_files *t)
{
        enum caefs_err err = CAEFS_OK;
        const char *last = NULL;
        size_t i;
        int n, k;

        beside->hint = t->hint;
        for (i = 0; i < t->nfiles && err == CAEFS_OK; i++) {
                const char *path = t->file[i]->path;
                const char *slash = path != NULL ? strrchr(path, '/') : NULL;
                struct dirent **entry;
                char *directory;

                if (path == NULL || (last != NULL && slash != NULL &&
                                     strncmp(path, last, (size_t)(slash - path) + 1) == 0 &&
                                     strchr(last + (slash - path) + 1, '/') == NULL))
                        continue;
                last = path;
                directory = slash != NULL ? strndup(path, (size_t)(slash - path) + 1)
                                          : strdup(".");
                n = directory != NULL ? scandir(directory, &entry, is_visible, alphasort) : -1;
                free(directory);
                for (k = 0; k < n; k++) {
                        if (err == CAEFS_OK)
                                err = add_one_beside(beside, t, path, entry[k]->d_name);
                        free(entry[k]);
                }
                if (n >= 0)
                        free(entry);
        }
        return err;
}

void train_files_free(struct train_files *t)
{
        size_t i;

        for (i = 0; i < t->nfiles; i++) {
                free(t->file[i]->path);
                free(t->file[i]->name);
                free(t->file[i]);
        }
        free(t->file);
        free(t->input);
        *t = (struct train_files){ 0 };
}
