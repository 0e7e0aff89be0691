/* tests/crash/record.c - a log of changes, and the disk that a part of it makes.
 *
 * A disk keeps what was synced.  Of names it keeps more: the journals of ext4 and XFS take all
 * earlier creations, renames and removals along with whatever is synced.  Others, such as
 * btrfs, only see to the file that is synced and its own names; RECORD_DROP_NAMES is
 * a disk of that kind.
 */
#include "tests/crash/record.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/shim.h"

#define FILES_MAX 65536
#define SECTOR    512

struct change {
        enum shim_kind kind;
        int            file;            /* of CREATE, WRITE, TRUNCATE, ALLOCATE, SYNC */
        uint64_t       offset, extent;  /* as of struct shim_call */
        int            mode;
        size_t         length;
        char          *data;            /* of WRITE */
        char          *name, *to;       /* of CREATE, UNLINK, RENAME, SYNC: below the root */
        size_t         kept_from;       /* with so many changes it is durable; SIZE_MAX: never */
        size_t         named_from;      /* the same where only what is synced itself is kept */
};

/* A file's bytes. */
struct content {
        char  *data;
        size_t size, capacity;
};

static struct {
        char           root[PATH_MAX];
        struct change *log;
        size_t         count, capacity;
        int            files;                   /* numbers given */
        char          *live[FILES_MAX];         /* name of each file now; NULL: none */
        char          *base[FILES_MAX];         /* name at the start, or NULL */
        struct content base_content[FILES_MAX];
} rec;

/* What has no meaning after a crash, or is made again. */
static bool
is_ignored(const char *name)
{
        return strcmp(name, "lock") == 0 || strcmp(name, "reserve") == 0 ||
               strcmp(name, "caefs.db-shm") == 0;
}

static int
file_named(const char *name)
{
        for (int i = 0; i < rec.files; i++)
                if (rec.live[i] != NULL && strcmp(rec.live[i], name) == 0)
                        return i;
        return -1;
}

static void
forget_name(int file)
{
        if (file < 0)
                return;
        free(rec.live[file]);
        rec.live[file] = NULL;
}

static char *
copy_of(const char *text)
{
        return text == NULL ? NULL : strdup(text);
}

/* ---- the log ------------------------------------------------------------ */

static struct change *
note(const struct shim_call *call)
{
        if (rec.count == rec.capacity) {
                rec.capacity = rec.capacity == 0 ? 1024 : 2 * rec.capacity;
                rec.log = realloc(rec.log, rec.capacity * sizeof *rec.log);
                assert(rec.log != NULL);
        }
        struct change *c = &rec.log[rec.count++];
        *c = (struct change) {
                .kind = call->kind, .file = call->file, .offset = call->offset,
                .extent = call->extent, .mode = call->mode, .name = copy_of(call->name),
                .to = copy_of(call->to), .kept_from = SIZE_MAX, .named_from = SIZE_MAX,
        };
        return c;
}

static int
note_create(const struct shim_call *call)
{
        assert(rec.files < FILES_MAX);
        note(call)->file = rec.files;
        rec.live[rec.files] = strdup(call->name);
        return rec.files++;
}

static void
note_write(const struct shim_call *call)
{
        struct change *c = note(call);

        c->data = malloc(call->length + 1);
        memcpy(c->data, call->data, call->length);
        c->length = call->length;
}

static void
note_rename(const struct shim_call *call)
{
        int file = file_named(call->name);

        note(call);
        forget_name(file_named(call->to));
        forget_name(file);
        rec.live[file] = strdup(call->to);
}

static int
observe(const struct shim_call *call)
{
        if (call->kind != SHIM_SYNC_ALL && is_ignored(call->name))
                return -1;
        switch (call->kind) {
        case SHIM_OPEN:
                return file_named(call->name);
        case SHIM_CREATE:
                return note_create(call);
        case SHIM_WRITE:
                if (call->file >= 0)
                        note_write(call);
                break;
        case SHIM_TRUNCATE:
        case SHIM_ALLOCATE:
                if (call->file >= 0)
                        note(call);
                break;
        case SHIM_SYNC:
        case SHIM_SYNC_ALL:
                note(call);
                break;
        case SHIM_RENAME:
                note_rename(call);
                break;
        case SHIM_UNLINK:
                note(call);
                forget_name(file_named(call->name));
                break;
        case SHIM_READ:
                break;
        }
        return -1;
}

static const struct shim_observer observer = { .after = observe };

/* ---- the start and the end ---------------------------------------------- */

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
                const char *name = path + strlen(rec.root) + 1;
                if (e->d_type == DT_DIR) {
                        scan(path);
                } else if (!is_ignored(name)) {
                        rec.base[rec.files] = strdup(name);
                        rec.live[rec.files] = strdup(name);
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
        shim_install(rec.root, &observer);
}

static bool
is_name_change(const struct change *c)
{
        return c->kind == SHIM_CREATE || c->kind == SHIM_RENAME || c->kind == SHIM_UNLINK;
}

static bool
is_in_directory(const char *name, const char *directory)
{
        const char *slash = strrchr(name, '/');
        size_t      n = slash == NULL ? 0 : (size_t) (slash - name);

        return strlen(directory) == n && strncmp(name, directory, n) == 0;
}

/* Does SYNC, a later change, make C durable on a disk that keeps only what it must? */
static bool
syncs(const struct change *sync, const struct change *c)
{
        if (sync->kind == SHIM_SYNC_ALL)
                return true;
        if (sync->kind != SHIM_SYNC)
                return false;
        if (c->file >= 0 && sync->file == c->file)
                return true;    /* its bytes, and the name it was created with */
        return is_name_change(c) && sync->file < 0 &&
               is_in_directory(c->to != NULL ? c->to : c->name, sync->name);
}

void
record_stop(void)
{
        shim_remove();
        for (size_t i = 0; i < rec.count; i++) {
                struct change *c = &rec.log[i];
                for (size_t k = i + 1; k < rec.count && c->named_from == SIZE_MAX; k++) {
                        bool is_sync = rec.log[k].kind == SHIM_SYNC;
                        if (syncs(&rec.log[k], c))
                                c->named_from = k + 1;
                        if (c->kept_from == SIZE_MAX &&
                            (c->named_from == k + 1 || (is_sync && is_name_change(c))))
                                c->kept_from = k + 1;
                }
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
remove_from_disk(struct disk *d, const char *name)
{
        for (int i = 0; i < rec.files; i++)
                if (d->name[i] != NULL && strcmp(d->name[i], name) == 0) {
                        free(d->name[i]);
                        d->name[i] = NULL;
                }
}

static void
rename_on_disk(struct disk *d, const char *from, const char *to)
{
        for (int i = 0; i < rec.files; i++)
                if (d->name[i] != NULL && strcmp(d->name[i], from) == 0) {
                        remove_from_disk(d, to);
                        free(d->name[i]);
                        d->name[i] = strdup(to);
                        return;
                }
}

static void
write_on_disk(struct content *content, const char *data, size_t length, uint64_t offset)
{
        if (offset + length > content->size)
                resize(content, offset + length);
        if (data != NULL)
                memcpy(content->data + offset, data, length);
        else
                memset(content->data + offset, 0, length);
}

/* fallocate(2): room beyond the end, or zeros. */
static void
allocate_on_disk(struct content *content, const struct change *c)
{
        uint64_t end = c->offset + c->extent;

        if ((c->mode & FALLOC_FL_KEEP_SIZE) && end > content->size)
                end = content->size;
        if (end > content->size)
                resize(content, end);
        if ((c->mode & ~FALLOC_FL_KEEP_SIZE) != 0 && end > c->offset)
                write_on_disk(content, NULL, end - c->offset, c->offset);
}

static void
apply(struct disk *d, const struct change *c)
{
        switch (c->kind) {
        case SHIM_CREATE:
                remove_from_disk(d, c->name);
                d->name[c->file] = strdup(c->name);
                break;
        case SHIM_WRITE:
                write_on_disk(&d->content[c->file], c->data, c->length, c->offset);
                break;
        case SHIM_TRUNCATE:
                resize(&d->content[c->file], c->offset);
                break;
        case SHIM_ALLOCATE:
                allocate_on_disk(&d->content[c->file], c);
                break;
        case SHIM_RENAME:
                rename_on_disk(d, c->name, c->to);
                break;
        case SHIM_UNLINK:
                remove_from_disk(d, c->name);
                break;
        default:
                break;
        }
}

/* True or false by chance, the same for the same arguments. */
static bool
toss(uint64_t seed, uint64_t a, uint64_t b)
{
        uint64_t h = (seed + a * UINT64_C(0x2545f4914f6cdd1d) + b) *
                     UINT64_C(0x9e3779b97f4a7c15);

        h = (h ^ h >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
        return (h >> 37) % 2 == 0;
}

static bool
survives(size_t index, size_t count, enum record_loss loss, uint64_t seed)
{
        const struct change *c = &rec.log[index];

        if (loss == RECORD_KEEP_ALL || (loss == RECORD_DROP_NAMES ? c->named_from : c->kept_from)
                                               <= count)
                return true;
        if (loss == RECORD_DROP_NAMES)
                return toss(seed, index, 0);
        if (is_name_change(c))
                return loss != RECORD_DROP_ALL;
        return loss == RECORD_DROP_SOME && toss(seed, index, 0);
}

/* A write of which some sectors reached the disk and others did not. */
static void
apply_torn(struct disk *d, const struct change *c, size_t index, uint64_t seed)
{
        for (size_t at = 0, n; at < c->length; at += n) {
                uint64_t sector = (c->offset + at) / SECTOR;
                n = (size_t) ((sector + 1) * SECTOR - (c->offset + at));
                if (n > c->length - at)
                        n = c->length - at;
                if (toss(seed, index, sector))
                        write_on_disk(&d->content[c->file], c->data + at, n, c->offset + at);
        }
}

static void
apply_surviving(struct disk *d, size_t index, size_t count, enum record_loss loss,
                uint64_t seed)
{
        const struct change *c = &rec.log[index];

        if (loss == RECORD_TEAR && c->kind == SHIM_WRITE && c->kept_from > count)
                apply_torn(d, c, index, seed);
        else if (loss == RECORD_TEAR || survives(index, count, loss, seed))
                apply(d, c);
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
                apply_surviving(&d, i, count, loss, seed);
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
