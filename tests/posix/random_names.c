/* tests/posix/random_names.c - several processes do random things to one small tree.
 *
 *     random_names DIRECTORY SEED OPERATIONS PROCESSES
 *
 * They meet each other at every name, so most operations may fail; but only with the errors
 * that such a race explains.  What the tree holds in the end is for others to look at: it
 * must be the same after a remount.  After fsstress of the XFS test suite. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define DEPTH_MAX    4
#define NAMES        12                 /* of a directory, that are used */
#define FILE_BYTES   200000

static uint64_t random_state;

/* xorshift64* (Vigna 2014) */
static uint64_t
random_number(void)
{
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

static unsigned
below(unsigned n)
{
        return (unsigned) (random_number() % n);
}

struct path {
        char text[128];
};

/* "n3/n0/n7"; the last name is as likely a file as a directory. */
static struct path
any_path(void)
{
        struct path    p;
        const unsigned depth = 1 + below(1 + below(DEPTH_MAX));
        size_t         used = 0;

        for (unsigned i = 0; i < depth; i++)
                used += (size_t) snprintf(p.text + used, sizeof p.text - used, "%sn%u",
                                          i > 0 ? "/" : "", below(i + 1 < depth ? 3 : NAMES));
        return p;
}

/* ---- operations: 0, or -1 and errno ------------------------------------- */

static int
with_file(int flags, int (*work)(int fd))
{
        const struct path p = any_path();
        const int         fd = open(p.text, flags | O_NONBLOCK | O_NOFOLLOW, 0644);
        struct stat       st;
        int               result = 0;

        if (fd < 0)
                return -1;
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
                result = work(fd);
        const int saved = errno;
        if (close(fd) != 0)
                return -1;
        errno = saved;
        return result;
}

static int
write_some(int fd)
{
        static char data[32768];
        const size_t n = 1 + below(sizeof data);

        memset(data, (int) below(256), n);
        return pwrite(fd, data, n, below(FILE_BYTES)) == (ssize_t) n ? 0 : -1;
}

static int
read_some(int fd)
{
        static char data[65536];

        return pread(fd, data, sizeof data, below(FILE_BYTES)) < 0 ? -1 : 0;
}

static int
map_some(int fd)
{
        struct stat st;
        char       *base;

        if (fstat(fd, &st) != 0 || st.st_size == 0)
                return 0;
        base = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (base == MAP_FAILED)
                return -1;
        /* Not touched: somebody may have truncated the file meanwhile. */
        return munmap(base, 4096);
}

static int
resize(int fd)
{
        return ftruncate(fd, below(FILE_BYTES));
}

static int
allocate(int fd)
{
        static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
                                     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };

        return fallocate(fd, modes[below(4)], below(FILE_BYTES), 1 + below(50000));
}

static int
nothing(int fd)
{
        (void) fd;
        return 0;
}

static int do_create(void)   { return with_file(O_CREAT | O_RDWR, nothing); }
static int do_exclusive(void) { return with_file(O_CREAT | O_EXCL | O_RDWR, write_some); }
static int do_empty(void)    { return with_file(O_CREAT | O_TRUNC | O_RDWR, write_some); }
static int do_write(void)    { return with_file(O_RDWR, write_some); }
static int do_append(void)   { return with_file(O_WRONLY | O_APPEND, write_some); }
static int do_read(void)     { return with_file(O_RDONLY, read_some); }
static int do_map(void)      { return with_file(O_RDWR, map_some); }
static int do_resize(void)   { return with_file(O_RDWR, resize); }
static int do_allocate(void) { return with_file(O_RDWR, allocate); }
static int do_fsync(void)    { return with_file(O_RDONLY, fsync); }
static int do_mkdir(void)    { return mkdir(any_path().text, 0755); }
static int do_fifo(void)     { return mkfifo(any_path().text, 0644); }
static int do_device(void)   { return mknod(any_path().text, S_IFCHR | 0600, 0x0103); }
static int do_symlink(void)  { return symlink(any_path().text, any_path().text); }
static int do_link(void)     { return link(any_path().text, any_path().text); }
static int do_unlink(void)   { return unlink(any_path().text); }
static int do_rmdir(void)    { return rmdir(any_path().text); }
static int do_rename(void)   { return rename(any_path().text, any_path().text); }
static int do_chmod(void)    { return chmod(any_path().text, 0600 | below(0200)); }
static int do_chown(void)    { return lchown(any_path().text, below(9), below(9)); }
static int do_truncate(void) { return truncate(any_path().text, below(FILE_BYTES)); }

static int
do_rename_flags(void)
{
        static const unsigned flags[] = { RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_EXCHANGE,
                                          RENAME_WHITEOUT };

        return renameat2(AT_FDCWD, any_path().text, AT_FDCWD, any_path().text, flags[below(4)]);
}

static int
do_attribute(void)
{
        static char value[3000];
        char        name[16];

        snprintf(name, sizeof name, "user.a%u", below(5));
        return below(3) == 0 ? lremovexattr(any_path().text, name)
                             : lsetxattr(any_path().text, name, value, below(sizeof value), 0);
}

static int
do_times(void)
{
        const struct timespec times[2] = { { .tv_sec = below(1u << 31), .tv_nsec = 7 },
                                           { .tv_sec = below(1u << 31), .tv_nsec = 8 } };

        return utimensat(AT_FDCWD, any_path().text, times, AT_SYMLINK_NOFOLLOW);
}

static int
do_list(void)
{
        DIR *d = opendir(any_path().text);

        if (d == NULL)
                return -1;
        errno = 0;
        while (readdir(d) != NULL)
                ;
        const int saved = errno;
        closedir(d);
        errno = saved;
        return saved == 0 ? 0 : -1;
}

static int
do_stat(void)
{
        struct stat st;

        return lstat(any_path().text, &st);
}

/* A file that lives on without a name while it is used. */
static int
unlinked(int fd)
{
        struct stat st;

        if (unlink(any_path().text) != 0 && errno == EIO)
                return -1;
        return write_some(fd) != 0 || read_some(fd) != 0 ? -1 : fstat(fd, &st);
}

static int do_unlinked(void) { return with_file(O_CREAT | O_RDWR, unlinked); }

static const struct {
        const char *name;
        int       (*run)(void);
        unsigned    weight;
} kinds[] = {
        { "create", do_create, 6 },       { "exclusive", do_exclusive, 3 },
        { "empty", do_empty, 3 },         { "write", do_write, 12 },
        { "append", do_append, 4 },       { "read", do_read, 8 },
        { "map", do_map, 2 },             { "resize", do_resize, 3 },
        { "allocate", do_allocate, 3 },   { "fsync", do_fsync, 1 },
        { "mkdir", do_mkdir, 8 },         { "fifo", do_fifo, 1 },
        { "device", do_device, 1 },       { "symlink", do_symlink, 2 },
        { "link", do_link, 4 },           { "unlink", do_unlink, 6 },
        { "rmdir", do_rmdir, 2 },         { "rename", do_rename, 6 },
        { "rename with flags", do_rename_flags, 4 }, { "chmod", do_chmod, 2 },
        { "chown", do_chown, 2 },         { "truncate", do_truncate, 2 },
        { "attribute", do_attribute, 4 }, { "times", do_times, 2 },
        { "list", do_list, 2 },           { "stat", do_stat, 4 },
        { "unlinked", do_unlinked, 2 },
};
#define KINDS (sizeof kinds / sizeof kinds[0])

/* What others' doings explain. */
static bool
may_happen(int error)
{
        switch (error) {
        case ENOENT:
        case EEXIST:
        case ENOTDIR:
        case EISDIR:
        case ENOTEMPTY:
        case EINVAL:            /* a directory into itself */
        case ELOOP:
        case EPERM:             /* a link to a directory; user.* of what is no file */
        case ENODATA:
        case ENXIO:             /* a fifo that nobody reads */
        case ETXTBSY:
        case EOPNOTSUPP:
        case ENOSPC:            /* attributes have little room on ext4 */
                return true;
        default:
                return false;
        }
}

static int
run(unsigned long count)
{
        unsigned total = 0;
        unsigned long done = 0;

        for (size_t i = 0; i < KINDS; i++)
                total += kinds[i].weight;
        for (unsigned long i = 0; i < count; i++) {
                unsigned choice = below(total), at = 0;

                while (choice >= kinds[at].weight)
                        choice -= kinds[at++].weight;
                errno = 0;
                if (kinds[at].run() == 0) {
                        done++;
                } else if (!may_happen(errno)) {
                        fprintf(stderr, "operation %lu, %s: %s\n", i, kinds[at].name,
                                strerror(errno));
                        return 1;
                }
        }
        if (done < count / 20) {
                fprintf(stderr, "only %lu of %lu operations did something\n", done, count);
                return 1;
        }
        return 0;
}

int
main(int argc, char **argv)
{
        int failed = 0, status;

        if (argc != 5) {
                fprintf(stderr, "usage: random_names DIRECTORY SEED OPERATIONS PROCESSES\n");
                return 2;
        }
        if (chdir(argv[1]) != 0) {
                perror(argv[1]);
                return 2;
        }
        for (unsigned long i = 0; i < strtoul(argv[4], NULL, 10); i++) {
                if (fork() != 0)
                        continue;
                random_state = (strtoull(argv[2], NULL, 10) + 1) * UINT64_C(0x9e3779b97f4a7c15) +
                               i * 7919;
                _exit(run(strtoul(argv[3], NULL, 10)));
        }
        while (wait(&status) > 0)
                failed |= status != 0;
        return failed;
}
