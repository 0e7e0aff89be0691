/* tests/crash/shim.c - fs/io.h and a VFS of SQLite, with an observer in between. */
#include "tests/crash/shim.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fs/io.h"

#define FD_MAX 4096

static struct {
        char                        root[PATH_MAX];
        const struct shim_observer *observer;
        pthread_mutex_t             lock;               /* of all below */
        char                       *path[FD_MAX];       /* absolute, of open descriptors */
        int                         file[FD_MAX];
} shim = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The part of PATH below the root, or NULL. */
static const char *
below(const char *path)
{
        size_t n = strlen(shim.root);

        if (path == NULL || strncmp(path, shim.root, n) != 0)
                return NULL;
        return path[n] == '/' ? path + n + 1 : path[n] == '\0' ? path + n : NULL;
}

static int
before(struct shim_call *call)
{
        pthread_mutex_lock(&shim.lock);
        int error = call->name == NULL || shim.observer->before == NULL
                            ? 0
                            : shim.observer->before(call);
        if (error != 0)
                pthread_mutex_unlock(&shim.lock);
        errno = error;
        return error;
}

/* After a call that before() let happen. */
static int
after(const struct shim_call *call, bool happened)
{
        int error = errno, file = -1;

        if (happened && call->name != NULL && shim.observer->after != NULL)
                file = shim.observer->after(call);
        pthread_mutex_unlock(&shim.lock);
        errno = error;
        return file;
}

/* ---- between the store and the system ----------------------------------- */

static void
full_path(int directory, const char *name, char out[PATH_MAX])
{
        if (name[0] == '/' || directory < 0)
                snprintf(out, PATH_MAX, "%s", name);
        else if (strcmp(name, ".") == 0)
                snprintf(out, PATH_MAX, "%s", shim.path[directory]);
        else
                snprintf(out, PATH_MAX, "%.2000s/%.2000s", shim.path[directory], name);
}

static struct shim_call
call_on(enum shim_kind kind, int fd)
{
        return (struct shim_call) { .kind = kind, .name = below(shim.path[fd]),
                                    .file = shim.file[fd] };
}

static int
io_open(int directory, const char *name, int flags, mode_t mode)
{
        char        path[PATH_MAX];
        struct stat st;

        full_path(directory, name, path);
        bool is_new = (flags & O_CREAT) && stat(path, &st) < 0;
        struct shim_call call = { .kind = is_new ? SHIM_CREATE : SHIM_OPEN,
                                  .name = below(path), .file = -1 };
        if (before(&call) != 0)
                return -1;
        int fd = io_system.open(directory, name, flags, mode);
        assert(fd < FD_MAX);
        int file = after(&call, fd >= 0);
        if (fd >= 0) {
                free(shim.path[fd]);
                shim.path[fd] = strdup(path);
                shim.file[fd] = file;
        }
        return fd;
}

static int
io_close(int fd)
{
        free(shim.path[fd]);
        shim.path[fd] = NULL;
        shim.file[fd] = -1;
        return io_system.close(fd);
}

static ssize_t
io_read(int fd, void *data, size_t n, uint64_t offset)
{
        struct shim_call call = call_on(SHIM_READ, fd);

        if (before(&call) != 0)
                return -1;
        ssize_t got = io_system.read(fd, data, n, offset);
        after(&call, got >= 0);
        return got;
}

static ssize_t
io_write(int fd, const void *data, size_t n, uint64_t offset)
{
        struct shim_call call = call_on(SHIM_WRITE, fd);

        call.data = data;
        call.length = n;
        call.offset = offset;
        if (before(&call) != 0)
                return -1;
        ssize_t put = io_system.write(fd, data, call.length, offset);
        call.length = put > 0 ? (size_t) put : 0;
        after(&call, put > 0);
        return put;
}

static int
io_sync(int fd, bool data_only)
{
        struct shim_call call = call_on(SHIM_SYNC, fd);

        (void) data_only;
        if (before(&call) != 0)
                return -1;
        after(&call, true);
        return 0;
}

static int
io_sync_all(int fd)
{
        struct shim_call call = call_on(SHIM_SYNC_ALL, fd);

        if (before(&call) != 0)
                return -1;
        after(&call, true);
        return 0;
}

static int
io_truncate(int fd, uint64_t size)
{
        struct shim_call call = call_on(SHIM_TRUNCATE, fd);

        call.offset = size;
        if (before(&call) != 0)
                return -1;
        int result = io_system.truncate(fd, size);
        after(&call, result == 0);
        return result;
}

static int
io_allocate(int fd, int mode, uint64_t offset, uint64_t length)
{
        struct shim_call call = call_on(SHIM_ALLOCATE, fd);

        call.mode = mode;
        call.offset = offset;
        call.extent = length;
        if (before(&call) != 0)
                return -1;
        int result = io_system.allocate(fd, mode, offset, length);
        after(&call, result == 0);
        return result;
}

/* By reading and writing, so that the bytes are seen. */
static int
io_copy(int from, int to, uint64_t n)
{
        char *data = malloc(n + 1);

        int result = io_read_all(from, data, n, 0);
        if (result == 0)
                result = io_write_all(to, data, n, 0);
        free(data);
        return result;
}

static int
io_rename(int from_directory, const char *from, int to_directory, const char *to)
{
        char a[PATH_MAX], b[PATH_MAX];

        full_path(from_directory, from, a);
        full_path(to_directory, to, b);
        struct shim_call call = { .kind = SHIM_RENAME, .name = below(a), .to = below(b),
                                  .file = -1 };
        if (before(&call) != 0)
                return -1;
        int result = io_system.rename(from_directory, from, to_directory, to);
        after(&call, result == 0);
        return result;
}

static int
io_unlink(int directory, const char *name)
{
        char path[PATH_MAX];

        full_path(directory, name, path);
        struct shim_call call = { .kind = SHIM_UNLINK, .name = below(path), .file = -1 };
        if (before(&call) != 0)
                return -1;
        int result = io_system.unlink(directory, name);
        after(&call, result == 0);
        return result;
}

/* ---- between SQLite and the system -------------------------------------- */

struct file {
        sqlite3_file  base;
        int           number;           /* the observer's */
        const char   *path;             /* SQLite keeps it while the file is open */
        sqlite3_file *real;             /* behind this struct */
};

static sqlite3_vfs *system_vfs;
static sqlite3_vfs  shim_vfs;

#define REAL(f) (((struct file *) (f))->real)

static struct shim_call
call_of(enum shim_kind kind, sqlite3_file *f)
{
        const struct file *file = (struct file *) f;

        return (struct shim_call) { .kind = kind, .is_catalogue = true,
                                    .name = below(file->path), .file = file->number };
}

static int
file_close(sqlite3_file *f)
{
        return REAL(f)->pMethods == NULL ? SQLITE_OK : REAL(f)->pMethods->xClose(REAL(f));
}

static int
file_read(sqlite3_file *f, void *data, int n, sqlite3_int64 offset)
{
        struct shim_call call = call_of(SHIM_READ, f);

        if (before(&call) != 0)
                return SQLITE_IOERR_READ;
        int code = REAL(f)->pMethods->xRead(REAL(f), data, n, offset);
        after(&call, code == SQLITE_OK);
        return code;
}

static int
file_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 offset)
{
        struct shim_call call = call_of(SHIM_WRITE, f);

        call.data = data;
        call.length = (size_t) n;
        call.offset = (uint64_t) offset;
        int error = before(&call);
        if (error != 0)
                return error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        int code = REAL(f)->pMethods->xWrite(REAL(f), data, (int) call.length, offset);
        after(&call, code == SQLITE_OK);
        /* As the VFS of the system does when a part did not fit. */
        return code == SQLITE_OK && call.length < (size_t) n ? SQLITE_FULL : code;
}

static int
file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        struct shim_call call = call_of(SHIM_TRUNCATE, f);

        call.offset = (uint64_t) size;
        if (before(&call) != 0)
                return SQLITE_IOERR_TRUNCATE;
        int code = REAL(f)->pMethods->xTruncate(REAL(f), size);
        after(&call, code == SQLITE_OK);
        return code;
}

static int
file_sync(sqlite3_file *f, int flags)
{
        struct shim_call call = call_of(SHIM_SYNC, f);

        (void) flags;
        if (before(&call) != 0)
                return SQLITE_IOERR_FSYNC;
        after(&call, true);
        return SQLITE_OK;
}

static int
file_size(sqlite3_file *f, sqlite3_int64 *size)
{
        return REAL(f)->pMethods->xFileSize(REAL(f), size);
}

static int
file_lock(sqlite3_file *f, int level)
{
        return REAL(f)->pMethods->xLock(REAL(f), level);
}

static int
file_unlock(sqlite3_file *f, int level)
{
        return REAL(f)->pMethods->xUnlock(REAL(f), level);
}

static int
file_check_lock(sqlite3_file *f, int *reserved)
{
        return REAL(f)->pMethods->xCheckReservedLock(REAL(f), reserved);
}

static int
file_control(sqlite3_file *f, int op, void *argument)
{
        return REAL(f)->pMethods->xFileControl(REAL(f), op, argument);
}

static int
file_sector(sqlite3_file *f)
{
        return REAL(f)->pMethods->xSectorSize(REAL(f));
}

static int
file_device(sqlite3_file *f)
{
        return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

static int
file_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **out)
{
        return REAL(f)->pMethods->xShmMap(REAL(f), region, size, extend, out);
}

static int
file_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
        return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
}

static void
file_shm_barrier(sqlite3_file *f)
{
        REAL(f)->pMethods->xShmBarrier(REAL(f));
}

static int
file_shm_unmap(sqlite3_file *f, int remove)
{
        return REAL(f)->pMethods->xShmUnmap(REAL(f), remove);
}

static const sqlite3_io_methods file_methods = {
        .iVersion = 2,          /* without memory mapping: every write is seen */
        .xClose = file_close,
        .xRead = file_read,
        .xWrite = file_write,
        .xTruncate = file_truncate,
        .xSync = file_sync,
        .xFileSize = file_size,
        .xLock = file_lock,
        .xUnlock = file_unlock,
        .xCheckReservedLock = file_check_lock,
        .xFileControl = file_control,
        .xSectorSize = file_sector,
        .xDeviceCharacteristics = file_device,
        .xShmMap = file_shm_map,
        .xShmLock = file_shm_lock,
        .xShmBarrier = file_shm_barrier,
        .xShmUnmap = file_shm_unmap,
};

static int
vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *out, int flags, int *out_flags)
{
        struct file *f = (struct file *) out;
        struct stat  st;

        (void) vfs;
        *f = (struct file) { .number = -1, .path = name, .real = (sqlite3_file *) (f + 1) };
        bool is_new = name != NULL && stat(name, &st) < 0;
        struct shim_call call = call_of(is_new ? SHIM_CREATE : SHIM_OPEN, out);
        if (before(&call) != 0)
                return SQLITE_CANTOPEN;
        int code = system_vfs->xOpen(system_vfs, name, f->real, flags, out_flags);
        f->base.pMethods = code == SQLITE_OK ? &file_methods : NULL;
        f->number = after(&call, code == SQLITE_OK);
        return code;
}

static int
vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
        struct shim_call call = { .kind = SHIM_UNLINK, .is_catalogue = true,
                                  .name = below(name), .file = -1 };

        (void) vfs;
        if (before(&call) != 0)
                return SQLITE_IOERR_DELETE;
        int code = system_vfs->xDelete(system_vfs, name, 0);
        after(&call, code == SQLITE_OK);
        if (code != SQLITE_OK || !sync)
                return code;
        /* Then the directory that it was in. */
        call.kind = SHIM_SYNC;
        call.name = call.name == NULL ? NULL : "";
        if (before(&call) != 0)
                return SQLITE_IOERR_DIR_FSYNC;
        after(&call, true);
        return SQLITE_OK;
}

void
shim_install(const char *root, const struct shim_observer *observer)
{
        static struct io_methods methods;

        snprintf(shim.root, sizeof shim.root, "%s", root);
        shim.observer = observer;
        methods = io_system;
        methods.open = io_open;
        methods.close = io_close;
        methods.read = io_read;
        methods.write = io_write;
        methods.sync = io_sync;
        methods.sync_all = io_sync_all;
        methods.truncate = io_truncate;
        methods.allocate = io_allocate;
        methods.copy = io_copy;
        methods.rename = io_rename;
        methods.unlink = io_unlink;
        io = &methods;

        sqlite3_initialize();
        system_vfs = sqlite3_vfs_find(NULL);
        shim_vfs = *system_vfs;
        shim_vfs.zName = "shim";
        shim_vfs.szOsFile = (int) sizeof(struct file) + system_vfs->szOsFile;
        shim_vfs.xOpen = vfs_open;
        shim_vfs.xDelete = vfs_delete;
        sqlite3_vfs_register(&shim_vfs, 1);
}

void
shim_remove(void)
{
        io = &io_system;
        sqlite3_vfs_register(system_vfs, 1);
        sqlite3_vfs_unregister(&shim_vfs);
        for (int i = 0; i < FD_MAX; i++) {
                free(shim.path[i]);
                shim.path[i] = NULL;
        }
}
