/* fs/io.c - the system's calls behind struct io_methods. */
#include "fs/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_STEP ((size_t) 1 << 20)

static int
system_open(int directory, const char *name, int flags, mode_t mode)
{
        return openat(directory, name, flags | O_CLOEXEC, mode);
}

static ssize_t
system_read(int fd, void *data, size_t n, uint64_t offset)
{
        return pread(fd, data, n, (off_t) offset);
}

static ssize_t
system_write(int fd, const void *data, size_t n, uint64_t offset)
{
        return pwrite(fd, data, n, (off_t) offset);
}

static int
system_sync(int fd, bool data_only)
{
        return data_only ? fdatasync(fd) : fsync(fd);
}

static int
system_truncate(int fd, uint64_t size)
{
        return ftruncate(fd, (off_t) size);
}

static int
system_allocate(int fd, int mode, uint64_t offset, uint64_t length)
{
        return fallocate(fd, mode, (off_t) offset, (off_t) length);
}

/* Bytes [at, end) by reading and writing. */
static int
copy_through_memory(int from, int to, uint64_t at, uint64_t end)
{
        char *buffer = malloc(COPY_STEP);
        int   result = buffer == NULL ? -1 : 0;

        while (result == 0 && at < end) {
                size_t n = end - at < COPY_STEP ? (size_t) (end - at) : COPY_STEP;
                result = io_read_all(from, buffer, n, at);
                if (result == 0)
                        result = io_write_all(to, buffer, n, at);
                at += n;
        }
        free(buffer);
        return result;
}

static int
copy_range(int from, int to, uint64_t at, uint64_t end)
{
        while (at < end) {
                off_t   in = (off_t) at, out = (off_t) at;
                ssize_t n = copy_file_range(from, &in, to, &out, end - at, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP &&
                    errno != ENOSYS)
                        return -1;
                if (n <= 0)
                        return copy_through_memory(from, to, at, end);
                at += (uint64_t) n;
        }
        return 0;
}

static int
system_copy(int from, int to, uint64_t n)
{
        uint64_t at = 0;

        if (ioctl(to, FICLONE, from) == 0)
                return ftruncate(to, (off_t) n);
        if (ftruncate(to, (off_t) n) < 0)
                return -1;
        while (at < n) {
                off_t data = lseek(from, (off_t) at, SEEK_DATA);
                if (data < 0)
                        return errno == ENXIO ? 0 : copy_range(from, to, at, n);
                off_t hole = lseek(from, data, SEEK_HOLE);
                if (hole < 0)
                        return -1;
                uint64_t end = (uint64_t) hole < n ? (uint64_t) hole : n;
                if ((uint64_t) data < end && copy_range(from, to, (uint64_t) data, end) < 0)
                        return -1;
                at = end > at ? end : n;
        }
        return 0;
}

static int
system_unlink(int directory, const char *name)
{
        return unlinkat(directory, name, 0);
}

const struct io_methods io_system = {
        .open = system_open,
        .close = close,
        .read = system_read,
        .write = system_write,
        .sync = system_sync,
        .sync_all = syncfs,
        .truncate = system_truncate,
        .allocate = system_allocate,
        .copy = system_copy,
        .rename = renameat,
        .unlink = system_unlink,
        .mkdir = mkdirat,
};

const struct io_methods *io = &io_system;

int
io_read_all(int fd, void *data, size_t n, uint64_t offset)
{
        char *at = data;

        while (n > 0) {
                ssize_t got = io->read(fd, at, n, offset);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got == 0)
                        errno = EIO;
                if (got <= 0)
                        return -1;
                at += got;
                n -= (size_t) got;
                offset += (uint64_t) got;
        }
        return 0;
}

int
io_write_all(int fd, const void *data, size_t n, uint64_t offset)
{
        const char *at = data;

        while (n > 0) {
                ssize_t put = io->write(fd, at, n, offset);
                if (put < 0 && errno == EINTR)
                        continue;
                if (put <= 0)
                        return -1;
                at += put;
                n -= (size_t) put;
                offset += (uint64_t) put;
        }
        return 0;
}
