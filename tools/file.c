#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/file.h"

/* Fills data with n bytes from offset of a file. */
static enum caefs_err read_fully(int fd, void *data, size_t n, uint64_t offset)
{
        char *at = data;

        while (n > 0) {
                ssize_t got = pread(fd, at, n, (off_t)offset);

                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return caefs_fail_errno("cannot read");
                if (got == 0)
                        return caefs_fail(CAEFS_ERR_IO,
                                          "the file became shorter while it was read");
                at += got;
                offset += (uint64_t)got;
                n -= (size_t)got;
        }
        return CAEFS_OK;
}

static enum caefs_err read_from_file(void *context, void *data, size_t n,
                                     uint64_t offset)
{
        const struct file_input *in = context;

        return read_fully(in->fd, data, n, offset);
}

static enum caefs_err read_from_memory(void *context, void *data, size_t n,
                                       uint64_t offset)
{
        const struct file_input *in = context;

        if (n > 0)
                memcpy(data, in->memory.data + offset, n);
        return CAEFS_OK;
}

uint64_t file_memory_limit(void)
{
        long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
        uint64_t quarter = pages > 0 && size > 0
                                   ? (uint64_t)pages * (uint64_t)size / 4
                                   : (uint64_t)64 << 20;
        uint64_t most = (uint64_t)256 << 20;

        return quarter < most ? quarter : most;
}

void *file_memory(size_t size)
{
        const size_t huge_page = (size_t)1 << 21;
        size_t whole = (size + huge_page - 1) / huge_page * huge_page;
        void *memory = aligned_alloc(huge_page, whole);

        if (memory == NULL)
                return NULL;
        (void)madvise(memory, whole, MADV_HUGEPAGE);
        memset(memory, 0, size);
        return memory;
}

/* Opens a regular file; *size is its size. */
static enum caefs_err open_regular(const char *path, int *fd, uint64_t *size)
{
        struct stat st;

        *fd = open(path, O_RDONLY | O_CLOEXEC);
        if (*fd < 0)
                return caefs_fail_errno("cannot open");
        if (fstat(*fd, &st) != 0) {
                enum caefs_err err = caefs_fail_errno("cannot look at");

                close(*fd);
                return err;
        }
        if (!S_ISREG(st.st_mode)) {
                close(*fd);
                return caefs_fail(CAEFS_ERR_ARGUMENT, "not a regular file");
        }
        *size = (uint64_t)st.st_size;
        return CAEFS_OK;
}

/* Appends the size bytes of an open file. */
static enum caefs_err read_into(int fd, uint64_t size, struct bytes *out)
{
        enum caefs_err err;

        if (size == 0)
                return CAEFS_OK;
        if (bytes_reserve(out, (size_t)size) == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for the file");
        err = read_fully(fd, out->data + out->size, (size_t)size, 0);
        if (err == CAEFS_OK)
                out->size += (size_t)size;
        return err;
}

enum caefs_err file_read_all(const char *path, size_t max, struct bytes *out)
{
        uint64_t size;
        int fd;
        enum caefs_err err = open_regular(path, &fd, &size);

        if (err != CAEFS_OK)
                return err;
        if (size > max)
                err = caefs_fail(CAEFS_ERR_LIMIT, "larger than %zu bytes", max);
        else
                err = read_into(fd, size, out);
        close(fd);
        return err;
}

enum caefs_err file_input_open(const char *path, struct file_input *in)
{
        enum caefs_err err;

        *in = (struct file_input){ .fd = -1 };
        err = open_regular(path, &in->fd, &in->source.size);
        if (err != CAEFS_OK)
                return err;
        in->source.context = in;
        in->source.read = read_from_file;
        if (in->source.size > file_memory_limit())
                return CAEFS_OK;
        in->source.read = read_from_memory;
        err = read_into(in->fd, in->source.size, &in->memory);
        close(in->fd);
        in->fd = -1;
        if (err != CAEFS_OK)
                file_input_close(in);
        return err;
}

void file_input_close(struct file_input *in)
{
        if (in->fd >= 0)
                close(in->fd);
        in->fd = -1;
        bytes_free(&in->memory);
}

/* As open(2) would make it: readable and writable but for the umask. */
static void give_usual_mode(int fd)
{
        mode_t mask = umask(0);

        umask(mask);
        fchmod(fd, 0666 & ~mask);
}

enum caefs_err file_output_open(const char *path, struct file_output *out)
{
        struct stat st;

        *out = (struct file_output){ .path = path, .fd = -1 };
        if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
                out->fd = open(path, O_WRONLY | O_CLOEXEC);
        } else {
                if (asprintf(&out->temporary, "%s.XXXXXX", path) < 0) {
                        out->temporary = NULL;
                        return caefs_fail(CAEFS_ERR_NOMEM, "no memory for a name");
                }
                out->fd = mkostemp(out->temporary, O_CLOEXEC);
                if (out->fd >= 0)
                        give_usual_mode(out->fd);
        }
        if (out->fd < 0) {
                enum caefs_err err = caefs_fail_errno("cannot write here");

                free(out->temporary);
                out->temporary = NULL;
                return err;
        }
        return CAEFS_OK;
}

enum caefs_err file_output_write(struct file_output *out, const void *data,
                                 size_t n, uint64_t offset)
{
        const char *at = data;

        while (n > 0) {
                ssize_t put = out->temporary != NULL
                                      ? pwrite(out->fd, at, n, (off_t)offset)
                                      : write(out->fd, at, n);

                if (put < 0 && errno == EINTR)
                        continue;
                if (put < 0)
                        return caefs_fail_errno("cannot write");
                at += put;
                offset += (uint64_t)put;
                n -= (size_t)put;
        }
        return CAEFS_OK;
}

enum caefs_err file_output_commit(struct file_output *out)
{
        int fd = out->fd;

        out->fd = -1;
        if (close(fd) != 0)
                return caefs_fail_errno("cannot write");
        if (out->temporary == NULL)
                return CAEFS_OK;
        if (rename(out->temporary, out->path) != 0)
                return caefs_fail_errno("cannot give the result its name");
        free(out->temporary);
        out->temporary = NULL;
        return CAEFS_OK;
}

void file_output_close(struct file_output *out)
{
        if (out->fd >= 0)
                close(out->fd);
        if (out->temporary != NULL)
                unlink(out->temporary);
        free(out->temporary);
        *out = (struct file_output){ .fd = -1 };
}
