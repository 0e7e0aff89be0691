/* tests/crash/record.c - a log of changes, and the disk that a part of it makes.
 *
 * The disk below is modelled as one that keeps the order of names: whatever is
 * synced takes all earlier creations, renames and removals with it, as the
 * journals of ext4, XFS and btrfs do.  Bytes are durable when their own file was synced.
 */
#include "tests/crash/record.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fs/io.h"

#define FD_MAX    4096
#define FILES_MAX 65536

enum kind { CREATE, WRITE, TRUNCATE, SYNC, SYNC_ALL, RENAME, UNLINK };

struct change {
        enum kind kind;
        int       file;                 /* of CREATE, WRITE, TRUNCATE, SYNC */
        uint64_t  offset;               /* of WRITE; the size of TRUNCATE */
        size_t    length;
        char     *data;                 /* of WRITE */
        char     *name, *to;            /* of CREATE, UNLINK, RENAME: below the root */
};

/* A file's bytes. */
struct content {
        char  *data;
        size_t size, capacity;
};

static struct {
        char           root[PATH_MAX];
        bool           is_on;
        struct change *log;
        size_t         count, capacity;
        int            files;                   /* numbers given */
        char          *live[FILES_MAX];         /* name of each file now; NULL: none */
        char          *base[FILES_MAX];         /* name at the start, or NULL */
        struct content base_content[FILES_MAX];
        char          *fd_path[FD_MAX];         /* absolute */
        int            fd_file[FD_MAX];
} rec;

/* The part of PATH below the root, or NULL. */
static const char *
below(const char *path)
{
        size_t n = strlen(rec.root);

        return strncmp(path, rec.root, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

/* What has no meaning after a crash, or is made again. */
static bool
is_ignored(const char *name)
{
        return strcmp(name, "lock") == 0 || strcmp(name, "reserve") == 0 ||
               strcmp(name, "caefs.db-shm") == 0;
}

static struct change *
note(enum kind kind)
{
        if (rec.count == rec.capacity) {
                rec.capacity = rec.capacity == 0 ? 1024 : 2 * rec.capacity;
                rec.log = realloc(rec.log, rec.capacity * sizeof *rec.log);
                assert(rec.log != NULL);
        }
        struct change *c = &rec.log[rec.count++];
        *c = (struct change) { .kind = kind, .file = -1 };
        return c;
}

static int
file_named(const char *name)
{
        for (int i = 0; i < rec.files; i++)
                if (rec.live[i] != NULL && strcmp(rec.live[i], name) == 0)
                        return i;
        return -1;
}

static int
note_create(const char *name)
{
        assert(rec.files < FILES_MAX);
        int            file = rec.files++;
        struct change *c = note(CREATE);
        c->file = file;
        c->name = strdup(name);
        rec.live[file] = strdup(name);
        return file;
}

static void
note_write(int file, const void *data, size_t n, uint64_t offset)
{
        struct change *c = note(WRITE);

        c->file = file;
        c->data = malloc(n + 1);
        memcpy(c->data, data, n);
        c->length = n;
        c->offset = offset;
}

static void
note_size(int file, uint64_t size)
{
        struct change *c = note(TRUNCATE);

        c->file = file;
        c->offset = size;
}

static void
note_unlink(const char *name)
{
        int file = file_named(name);

        if (file < 0)
                return;
        note(UNLINK)->name = strdup(name);
        free(rec.live[file]);
        rec.live[file] = NULL;
}

static void
note_rename(const char *from, const char *to)
{
        int            file = file_named(from), over = file_named(to);
        struct change *c = note(RENAME);

        c->name = strdup(from);
        c->to = strdup(to);
        if (over >= 0) {
                free(rec.live[over]);
                rec.live[over] = NULL;
        }
        free(rec.live[file]);
        rec.live[file] = strdup(to);
}

/* ---- between the store and the system ----------------------------------- */

static void
full_path(int directory, const char *name, char out[PATH_MAX])
{
        if (name[0] == '/' || directory < 0)
                snprintf(out, PATH_MAX, "%s", name);
        else if (strcmp(name, ".") == 0)
                snprintf(out, PATH_MAX, "%s", rec.fd_path[directory]);
        else
                snprintf(out, PATH_MAX, "%.2000s/%.2000s", rec.fd_path[directory], name);
}

static int
io_open(int directory, const char *name, int flags, mode_t mode)
{
        char        path[PATH_MAX];
        struct stat st;

        full_path(directory, name, path);
        bool is_new = (flags & O_CREAT) && stat(path, &st) < 0;
        int  fd = io_system.open(directory, name, flags, mode);
        if (fd < 0)
                return fd;
        assert(fd < FD_MAX);
        free(rec.fd_path[fd]);
        rec.fd_path[fd] = strdup(path);
        rec.fd_file[fd] = -1;
        const char *relative = below(path);
        if (rec.is_on && relative != NULL && !is_ignored(relative))
                rec.fd_file[fd] = is_new ? note_create(relative) : file_named(relative);
        return fd;
}

static int
io_close(int fd)
{
        free(rec.fd_path[fd]);
        rec.fd_path[fd] = NULL;
        rec.fd_file[fd] = -1;
        return io_system.close(fd);
}

static ssize_t
io_write(int fd, const void *data, size_t n, uint64_t offset)
{
        ssize_t put = io_system.write(fd, data, n, offset);

        if (put > 0 && rec.is_on && rec.fd_file[fd] >= 0)
                note_write(rec.fd_file[fd], data, (size_t) put, offset);
        return put;
}

static int
io_sync(int fd, bool data_only)
{
        /* Nothing of the disk below needs to be real. */
        (void) data_only;
        if (rec.is_on)
                note(SYNC)->file = rec.fd_file[fd];
        return 0;
}

static int
io_sync_all(int fd)
{
        (void) fd;
        if (rec.is_on)
                note(SYNC_ALL);
        return 0;
}

static int
io_truncate(int fd, uint64_t size)
{
        int result = io_system.truncate(fd, size);

        if (result == 0 && rec.is_on && rec.fd_file[fd] >= 0)
                note_size(rec.fd_file[fd], size);
        return result;
}

/* By reading and writing, so that the bytes are in the log. */
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
        int result = io_system.rename(from_directory, from, to_directory, to);
        if (result == 0 && rec.is_on)
                note_rename(below(a), below(b));
        return result;
}

static int
io_unlink(int directory, const char *name)
{
        char path[PATH_MAX];

        full_path(directory, name, path);
        int result = io_system.unlink(directory, name);
        if (result == 0 && rec.is_on)
                note_unlink(below(path));
        return result;
}

static struct io_methods recording;

/* ---- between SQLite and the system -------------------------------------- */

struct file {
        sqlite3_file  base;
        int           number;           /* -1: not recorded */
        sqlite3_file *real;             /* behind this struct */
};

static sqlite3_vfs *system_vfs;
static sqlite3_vfs  recording_vfs;

#define REAL(f) (((struct file *) (f))->real)

static int
file_close(sqlite3_file *f)
{
        return REAL(f)->pMethods == NULL ? SQLITE_OK : REAL(f)->pMethods->xClose(REAL(f));
}

static int
file_read(sqlite3_file *f, void *data, int n, sqlite3_int64 offset)
{
        return REAL(f)->pMethods->xRead(REAL(f), data, n, offset);
}

static int
file_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 offset)
{
        int number = ((struct file *) f)->number;
        int code = REAL(f)->pMethods->xWrite(REAL(f), data, n, offset);

        if (code == SQLITE_OK && rec.is_on && number >= 0)
                note_write(number, data, (size_t) n, (uint64_t) offset);
        return code;
}

static int
file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        int number = ((struct file *) f)->number;
        int code = REAL(f)->pMethods->xTruncate(REAL(f), size);

        if (code == SQLITE_OK && rec.is_on && number >= 0)
                note_size(number, (uint64_t) size);
        return code;
}

static int
file_sync(sqlite3_file *f, int flags)
{
        int number = ((struct file *) f)->number;

        (void) flags;
        if (rec.is_on && number >= 0)
                note(SYNC)->file = number;
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
        f->real = (sqlite3_file *) (f + 1);
        f->number = -1;
        bool is_new = name != NULL && stat(name, &st) < 0;
        int  code = system_vfs->xOpen(system_vfs, name, f->real, flags, out_flags);
        f->base.pMethods = code == SQLITE_OK ? &file_methods : NULL;
        const char *relative = name == NULL ? NULL : below(name);
        if (code == SQLITE_OK && rec.is_on && relative != NULL && !is_ignored(relative))
                f->number = is_new ? note_create(relative) : file_named(relative);
        return code;
}

static int
vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
        (void) vfs;
        int code = system_vfs->xDelete(system_vfs, name, sync);
        if (code == SQLITE_OK && rec.is_on && below(name) != NULL) {
                note_unlink(below(name));
                if (sync)
                        note(SYNC);
        }
        return code;
}

static void
install(void)
{
        recording = io_system;
        recording.open = io_open;
        recording.close = io_close;
        recording.write = io_write;
        recording.sync = io_sync;
        recording.sync_all = io_sync_all;
        recording.truncate = io_truncate;
        recording.copy = io_copy;
        recording.rename = io_rename;
        recording.unlink = io_unlink;
        io = &recording;

        sqlite3_initialize();
        system_vfs = sqlite3_vfs_find(NULL);
        recording_vfs = *system_vfs;
        recording_vfs.zName = "recording";
        recording_vfs.szOsFile = (int) sizeof(struct file) + system_vfs->szOsFile;
        recording_vfs.xOpen = vfs_open;
        recording_vfs.xDelete = vfs_delete;
        sqlite3_vfs_register(&recording_vfs, 1);
}

/* ---- the start ---------------------------------------------------------- */

static void
load(const char *path, struct content *c)
{
        struct stat st;
        int         fd = open(path, O_RDONLY | O_CLOEXEC);

        assert(fd >= 0 && fstat(fd, &st) == 0);
        c->size = c->capacity = (size_t) st.st_size;
        c->data = malloc(c->size + 1);
        assert(pread(fd, c->data, c->size, 0) == (ssize_t) c->size);
        close(fd);
}

static void
scan(const char *directory)
{
        DIR           *d = opendir(directory);
        struct dirent *e;
        char           path[PATH_MAX];

        assert(d != NULL);
        while ((e = readdir(d)) != NULL) {
                if (e->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof path, "%.2000s/%.255s", directory, e->d_name);
                if (e->d_type == DT_DIR) {
                        scan(path);
                } else if (!is_ignored(below(path))) {
                        rec.base[rec.files] = strdup(below(path));
                        rec.live[rec.files] = strdup(below(path));
                        load(path, &rec.base_content[rec.files++]);
                }
        }
        closedir(d);
}

void
record_start(const char *root)
{
        assert(realpath(root, rec.root) != NULL);
        scan(rec.root);
        install();
        rec.is_on = true;
}

void
record_stop(void)
{
        rec.is_on = false;
        io = &io_system;
        sqlite3_vfs_register(system_vfs, 1);
        sqlite3_vfs_unregister(&recording_vfs);
        for (int i = 0; i < FD_MAX; i++) {
                free(rec.fd_path[i]);
                rec.fd_path[i] = NULL;
        }
}

size_t
record_count(void)
{
        return rec.count;
}

void
record_free(void)
{
        for (size_t i = 0; i < rec.count; i++) {
                free(rec.log[i].data);
                free(rec.log[i].name);
                free(rec.log[i].to);
        }
        free(rec.log);
        for (int i = 0; i < rec.files; i++) {
                free(rec.live[i]);
                free(rec.base[i]);
                free(rec.base_content[i].data);
        }
        memset(&rec, 0, sizeof rec);
}

/* ---- the disk after a crash --------------------------------------------- */

struct disk {
        struct content *content;        /* of each file */
        char          **name;           /* of each file; NULL: none */
};

static void
resize(struct content *c, size_t size)
{
        if (size > c->capacity) {
                c->capacity = 2 * size + 4096;
                c->data = realloc(c->data, c->capacity);
                assert(c->data != NULL);
        }
        if (size > c->size)
                memset(c->data + c->size, 0, size - c->size);
        c->size = size;
}

static void
rename_on_disk(struct disk *d, const char *from, const char *to)
{
        for (int i = 0; to != NULL && i < rec.files; i++)
                if (d->name[i] != NULL && strcmp(d->name[i], to) == 0) {
                        free(d->name[i]);
                        d->name[i] = NULL;
                }
        for (int i = 0; i < rec.files; i++)
                if (d->name[i] != NULL && strcmp(d->name[i], from) == 0) {
                        free(d->name[i]);
                        d->name[i] = to == NULL ? NULL : strdup(to);
                        return;
                }
}

static void
apply(struct disk *d, const struct change *c)
{
        switch (c->kind) {
        case CREATE:
                d->name[c->file] = strdup(c->name);
                break;
        case WRITE: {
                struct content *content = &d->content[c->file];
                if (c->offset + c->length > content->size)
                        resize(content, c->offset + c->length);
                memcpy(content->data + c->offset, c->data, c->length);
                break;
        }
        case TRUNCATE:
                resize(&d->content[c->file], c->offset);
                break;
        case RENAME:
                rename_on_disk(d, c->name, c->to);
                break;
        case UNLINK:
                rename_on_disk(d, c->name, NULL);
                break;
        case SYNC:
        case SYNC_ALL:
                break;
        }
}

static bool
is_name_change(const struct change *c)
{
        return c->kind == CREATE || c->kind == RENAME || c->kind == UNLINK;
}

/* Is change INDEX synced by one of those up to COUNT? */
static bool
is_durable(size_t index, size_t count)
{
        const struct change *c = &rec.log[index];

        for (size_t i = index + 1; i < count; i++) {
                const struct change *later = &rec.log[i];
                if (later->kind == SYNC_ALL ||
                    (later->kind == SYNC && (is_name_change(c) || later->file == c->file)))
                        return true;
        }
        return false;
}

static bool
survives(size_t index, size_t count, enum record_loss loss, uint64_t seed)
{
        const struct change *c = &rec.log[index];

        if (loss == RECORD_KEEP_ALL || c->kind == SYNC || c->kind == SYNC_ALL ||
            is_durable(index, count))
                return true;
        if (is_name_change(c))
                return loss != RECORD_DROP_ALL;
        uint64_t h = (seed + index) * UINT64_C(0x9e3779b97f4a7c15);
        return loss == RECORD_DROP_SOME && (h >> 33) % 2 == 0;
}

static void
make_directories(const char *to)
{
        char path[PATH_MAX];

        snprintf(path, sizeof path, "%.2000s/staging", to);
        assert(mkdir(to, 0700) == 0 && mkdir(path, 0700) == 0);
        snprintf(path, sizeof path, "%.2000s/objects", to);
        assert(mkdir(path, 0700) == 0);
        for (int i = 0; i < 256; i++) {
                snprintf(path, sizeof path, "%.2000s/objects/%02x", to, i);
                assert(mkdir(path, 0700) == 0);
        }
}

static void
write_out(const char *to, const char *name, const struct content *c)
{
        char path[PATH_MAX];

        snprintf(path, sizeof path, "%.2000s/%.2000s", to, name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert(fd >= 0);
        assert(c == NULL || write(fd, c->data, c->size) == (ssize_t) c->size);
        close(fd);
}

void
record_replay(const char *to, size_t count, enum record_loss loss, uint64_t seed)
{
        struct disk d = {
                .content = calloc((size_t) rec.files + 1, sizeof *d.content),
                .name = calloc((size_t) rec.files + 1, sizeof *d.name),
        };

        for (int i = 0; i < rec.files; i++) {
                if (rec.base[i] == NULL)
                        continue;
                d.name[i] = strdup(rec.base[i]);
                resize(&d.content[i], rec.base_content[i].size);
                memcpy(d.content[i].data, rec.base_content[i].data, rec.base_content[i].size);
        }
        for (size_t i = 0; i < count; i++)
                if (survives(i, count, loss, seed))
                        apply(&d, &rec.log[i]);
        make_directories(to);
        write_out(to, "lock", NULL);
        for (int i = 0; i < rec.files; i++) {
                if (d.name[i] != NULL)
                        write_out(to, d.name[i], &d.content[i]);
                free(d.name[i]);
                free(d.content[i].data);
        }
        free(d.content);
        free(d.name);
}
