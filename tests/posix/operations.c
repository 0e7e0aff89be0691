/* tests/posix/operations.c - the system calls that scripts make, by name. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/posix/script.h"

/* ---- names of numbers --------------------------------------------------- */

#define NAMED(name) { #name, name }
struct named {
        const char *name;
        int         value;
};

static const struct named errors[] = {
        NAMED(EPERM), NAMED(ENOENT), NAMED(EIO), NAMED(ENXIO), NAMED(EBADF), NAMED(EAGAIN),
        NAMED(ENOMEM), NAMED(EACCES), NAMED(EFAULT), NAMED(EBUSY), NAMED(EEXIST), NAMED(EXDEV),
        NAMED(ENODEV), NAMED(ENOTDIR), NAMED(EISDIR), NAMED(EINVAL), NAMED(ENOTTY),
        NAMED(ETXTBSY), NAMED(EFBIG), NAMED(ENOSPC), NAMED(EROFS), NAMED(EMLINK), NAMED(ERANGE),
        NAMED(ENAMETOOLONG), NAMED(ENOSYS), NAMED(ENOTEMPTY), NAMED(ELOOP), NAMED(ENODATA),
        NAMED(EOVERFLOW), NAMED(EOPNOTSUPP), NAMED(EDQUOT), NAMED(ESTALE), NAMED(E2BIG),
};

static const struct named flags[] = {
        NAMED(O_RDONLY), NAMED(O_WRONLY), NAMED(O_RDWR), NAMED(O_CREAT), NAMED(O_EXCL),
        NAMED(O_TRUNC), NAMED(O_APPEND), NAMED(O_NONBLOCK), NAMED(O_DIRECTORY),
        NAMED(O_NOFOLLOW), NAMED(O_DIRECT), NAMED(O_SYNC), NAMED(O_PATH), NAMED(O_TMPFILE),
        NAMED(RENAME_NOREPLACE), NAMED(RENAME_EXCHANGE), NAMED(RENAME_WHITEOUT),
        NAMED(XATTR_CREATE), NAMED(XATTR_REPLACE), NAMED(FALLOC_FL_KEEP_SIZE),
        NAMED(FALLOC_FL_PUNCH_HOLE), NAMED(FALLOC_FL_ZERO_RANGE), NAMED(AT_SYMLINK_NOFOLLOW),
        NAMED(AT_SYMLINK_FOLLOW), NAMED(SEEK_SET), NAMED(SEEK_END), NAMED(SEEK_DATA),
        NAMED(SEEK_HOLE), NAMED(R_OK), NAMED(W_OK), NAMED(X_OK), NAMED(F_OK), NAMED(LOCK_SH),
        NAMED(LOCK_EX), NAMED(LOCK_UN), NAMED(LOCK_NB),
};
#define COUNT(array) (sizeof (array) / sizeof (array)[0])

const char *
error_name(int error)
{
        static char unknown[16];

        for (size_t i = 0; i < COUNT(errors); i++)
                if (errors[i].value == error)
                        return errors[i].name;
        snprintf(unknown, sizeof unknown, "%d", error);
        return unknown;
}

long long
number(const char *word)
{
        char     *end;
        long long value = strtoll(word, &end, 0);

        if (end == word || *end != '\0')
                complain("%s is no number", word);
        return value;
}

int
flags_of(const char *words)
{
        int value = 0;

        if (strspn(words, "-0123456789") > 0)
                return (int) number(words);
        while (*words != '\0') {
                size_t n = strcspn(words, ","), i = 0;
                for (; i < COUNT(flags); i++)
                        if (strlen(flags[i].name) == n && strncmp(flags[i].name, words, n) == 0)
                                break;
                if (i == COUNT(flags))
                        complain("%s: unknown flag", words);
                else
                        value |= flags[i].value;
                words += n + (words[n] == ',');
        }
        return value;
}

/* ---- what most calls share ---------------------------------------------- */

void
came_to(struct outcome *outcome, long result)
{
        if (result < 0)
                outcome->error = errno;
        else
                outcome->value = result;
}

mode_t
mode_of(const char *word)
{
        return (mode_t) strtoul(word, NULL, 8);
}

/* ---- names -------------------------------------------------------------- */

OPERATION(do_mkdir, mkdir(a[0], mode_of(a[1])))
OPERATION(do_mkfifo, mkfifo(a[0], mode_of(a[1])))
OPERATION(do_symlink, symlink(a[0], a[1]))
OPERATION(do_link, link(a[0], a[1]))
OPERATION(do_linkat, linkat(AT_FDCWD, a[0], AT_FDCWD, a[1], flags_of(a[2])))
OPERATION(do_unlink, unlink(a[0]))
OPERATION(do_rmdir, rmdir(a[0]))
OPERATION(do_rename, rename(a[0], a[1]))
OPERATION(do_renameat2, renameat2(AT_FDCWD, a[0], AT_FDCWD, a[1], (unsigned) flags_of(a[2])))
OPERATION(do_chdir, chdir(a[0]))

/* mknod PATH block|char|fifo|regular|socket MODE [MAJOR MINOR] */
static void
do_mknod(char **a, size_t count, struct outcome *outcome)
{
        mode_t type = *a[1] == 'b' ? S_IFBLK : *a[1] == 'c' ? S_IFCHR : *a[1] == 'f' ? S_IFIFO
                    : *a[1] == 's' ? S_IFSOCK : S_IFREG;
        dev_t  device = count > 4 ? makedev((unsigned) number(a[3]), (unsigned) number(a[4])) : 0;

        came_to(outcome, mknod(a[0], type | mode_of(a[2]), device));
}

static void
do_bind(char **a, size_t count, struct outcome *outcome)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int                fd = socket(AF_UNIX, SOCK_STREAM, 0);

        (void) count;
        snprintf(address.sun_path, sizeof address.sun_path, "%s", a[0]);
        came_to(outcome, bind(fd, (struct sockaddr *) &address, sizeof address));
        close(fd);
}

/* make TYPE PATH [UID GID]: anything, with mode 0644, directories 0755. */
static void
do_make(char **a, size_t count, struct outcome *outcome)
{
        int result, fd;

        if (strcmp(a[0], "regular") == 0) {
                result = fd = open(a[1], O_CREAT | O_EXCL | O_WRONLY, 0644);
                if (fd >= 0)
                        result = close(fd);
        } else if (strcmp(a[0], "directory") == 0)
                result = mkdir(a[1], 0755);
        else if (strcmp(a[0], "fifo") == 0)
                result = mkfifo(a[1], 0644);
        else if (strcmp(a[0], "block") == 0)
                result = mknod(a[1], S_IFBLK | 0644, makedev(1, 2));
        else if (strcmp(a[0], "char") == 0)
                result = mknod(a[1], S_IFCHR | 0644, makedev(1, 2));
        else if (strcmp(a[0], "socket") == 0)
                result = mknod(a[1], S_IFSOCK | 0644, 0);
        else
                result = symlink("nowhere", a[1]);
        if (result == 0 && count > 3)
                result = lchown(a[1], (uid_t) number(a[2]), (gid_t) number(a[3]));
        came_to(outcome, result);
}

/* Every directory of a path, also a long one. */
static void
do_mkdirs(char **a, size_t count, struct outcome *outcome)
{
        (void) count;
        for (char *at = a[0]; outcome->error == 0 && at != NULL; at++) {
                at = strchr(at, '/');
                if (at != NULL)
                        *at = '\0';
                if (mkdir(a[0], 0755) != 0 && errno != EEXIST)
                        outcome->error = errno;
                if (at == NULL)
                        break;
                *at = '/';
        }
}

/* many KIND COUNT PATH: files PATH0, PATH1 ..., or so many links of PATH. */
static void
do_many(char **a, size_t count, struct outcome *outcome)
{
        char path[PATH_MAX];

        (void) count;
        for (long long i = 0; i < number(a[1]) && outcome->error == 0; i++) {
                snprintf(path, sizeof path, "%s%lld", a[2], i);
                came_to(outcome, strcmp(a[0], "link") == 0 ? link(a[2], path)
                                 : strcmp(a[0], "directory") == 0 ? mkdir(path, 0755)
                                 : mknod(path, S_IFREG | 0644, 0));
        }
}

static void
do_readlink(char **a, size_t count, struct outcome *outcome)
{
        char    target[PATH_MAX + 1];
        ssize_t n = readlink(a[0], target, sizeof target);

        (void) count;
        came_to(outcome, n);
        if (n >= 0)
                outcome->text = strndup(target, (size_t) n);
}

/* ---- attributes --------------------------------------------------------- */

OPERATION(do_chmod, chmod(a[0], mode_of(a[1])))
OPERATION(do_fchmod, fchmod(descriptor(a[0]), mode_of(a[1])))
OPERATION(do_chown, chown(a[0], (uid_t) number(a[1]), (gid_t) number(a[2])))
OPERATION(do_lchown, lchown(a[0], (uid_t) number(a[1]), (gid_t) number(a[2])))
OPERATION(do_fchown, fchown(descriptor(a[0]), (uid_t) number(a[1]), (gid_t) number(a[2])))
OPERATION(do_truncate, truncate(a[0], number(a[1])))
OPERATION(do_ftruncate, ftruncate(descriptor(a[0]), number(a[1])))
OPERATION(do_access, access(a[0], *a[1] == 'F' ? F_OK : (strchr(a[1], 'R') ? R_OK : 0) |
                                  (strchr(a[1], 'W') ? W_OK : 0) |
                                  (strchr(a[1], 'X') ? X_OK : 0)))
OPERATION(do_umask, (umask(mode_of(a[0])), 0))

/* "now", "omit" or SECONDS.NANOSECONDS, nine digits. */
static struct timespec
time_word(const char *word)
{
        struct timespec t = { .tv_nsec = *word == 'n' ? UTIME_NOW : UTIME_OMIT };
        char           *end;

        if (*word != 'n' && *word != 'o') {
                t.tv_sec = strtoll(word, &end, 10);
                t.tv_nsec = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
        }
        return t;
}

/* utimens PATH ATIME MTIME [FLAGS] */
static void
do_utimens(char **a, size_t count, struct outcome *outcome)
{
        const struct timespec times[2] = { time_word(a[1]), time_word(a[2]) };

        came_to(outcome, utimensat(AT_FDCWD, a[0], times, count > 3 ? flags_of(a[3]) : 0));
}

OPERATION(do_touch, utimensat(AT_FDCWD, a[0], NULL, 0))

/* setxattr PATH NAME VALUE [FLAGS] */
static void
do_setxattr(char **a, size_t count, struct outcome *outcome)
{
        came_to(outcome, lsetxattr(a[0], a[1], a[2], strlen(a[2]),
                                   count > 3 ? flags_of(a[3]) : 0));
}

/* bigxattr PATH NAME BYTES */
static void
do_bigxattr(char **a, size_t count, struct outcome *outcome)
{
        size_t n = (size_t) number(a[2]);
        char  *value = calloc(1, n + 1), *back = calloc(1, n + 1);

        (void) count;
        memset(value, 'v', n);
        came_to(outcome, lsetxattr(a[0], a[1], value, n, 0));
        if (outcome->error == 0 && (lgetxattr(a[0], a[1], back, n) != (ssize_t) n ||
                                    memcmp(value, back, n) != 0))
                complain("%s of %zu bytes came back otherwise", a[1], n);
        free(value);
        free(back);
}

/* fillxattr PATH: attributes with long names until no more fit; all that were set are listed. */
static void
do_fillxattr(char **a, size_t count, struct outcome *outcome)
{
        static char list[65536];
        char        name[256];
        ssize_t     listed;
        int         set = 0;

        (void) count;
        do
                snprintf(name, sizeof name, "user.%0240d", set);
        while (lsetxattr(a[0], name, "v", 1, 0) == 0 && ++set < 1000);
        outcome->error = errno;
        listed = llistxattr(a[0], list, sizeof list);
        if (listed != (ssize_t) (strlen(name) + 1) * set)
                complain("%d attributes were set, and %zd bytes of names are listed", set, listed);
}

static void
do_getxattr(char **a, size_t count, struct outcome *outcome)
{
        char    value[4096];
        ssize_t n = lgetxattr(a[0], a[1], value, count > 2 ? (size_t) number(a[2])
                                                           : sizeof value);

        came_to(outcome, n);
        if (n >= 0 && count <= 2)
                outcome->text = strndup(value, (size_t) n);
}

/* listxattr PATH -> names with commas between them, in any order of theirs */
static void
do_listxattr(char **a, size_t count, struct outcome *outcome)
{
        char    list[65536];
        ssize_t n = llistxattr(a[0], list, count > 1 ? (size_t) number(a[1]) : sizeof list);

        came_to(outcome, n);
        if (n < 0 || count > 1)
                return;
        for (ssize_t i = 0; i + 1 < n; i++)
                if (list[i] == '\0')
                        list[i] = ',';
        outcome->text = n > 0 ? strdup(list) : strdup("");
}

OPERATION(do_removexattr, lremovexattr(a[0], a[1]))

/* ---- the table ---------------------------------------------------------- */

static const struct {
        const char *name;
        operation  *run;
        size_t      least, most;        /* arguments */
} operations[] = {
        { "access", do_access, 2, 2 },
        { "acl", acl_set, 3, 3 },
        { "bigxattr", do_bigxattr, 3, 3 },
        { "bind", do_bind, 1, 1 },
        { "chdir", do_chdir, 1, 1 },
        { "chmod", do_chmod, 2, 2 },
        { "chown", do_chown, 3, 3 },
        { "close", do_close, 1, 1 },
        { "copy", do_copy, 2, 2 },
        { "fallocate", do_fallocate, 4, 4 },
        { "fchmod", do_fchmod, 2, 2 },
        { "fchown", do_fchown, 3, 3 },
        { "fillxattr", do_fillxattr, 1, 1 },
        { "flock", do_flock, 2, 2 },
        { "fstat", compare_fstat, 1, WORDS_MAX },
        { "fsync", do_fsync, 1, 1 },
        { "ftruncate", do_ftruncate, 2, 2 },
        { "getacl", acl_get, 2, 2 },
        { "getxattr", do_getxattr, 2, 3 },
        { "hold", do_hold, 3, 4 },
        { "later", compare_later, 3, 5 },
        { "lchown", do_lchown, 3, 3 },
        { "link", do_link, 2, 2 },
        { "linkat", do_linkat, 3, 3 },
        { "linkfd", do_linkfd, 2, 2 },
        { "listxattr", do_listxattr, 1, 2 },
        { "lock", do_lock, 2, 4 },
        { "lock-elsewhere", do_lock_elsewhere, 2, 4 },
        { "make", do_make, 2, 4 },
        { "many", do_many, 3, 3 },
        { "mkdir", do_mkdir, 2, 2 },
        { "mkdirs", do_mkdirs, 1, 1 },
        { "mkfifo", do_mkfifo, 2, 2 },
        { "mknod", do_mknod, 3, 5 },
        { "note", note_times, 2, 2 },
        { "open", do_open, 2, 3 },
        { "posix_fallocate", do_posix_fallocate, 3, 3 },
        { "pread", do_pread, 3, 3 },
        { "pwrite", do_pwrite, 3, 3 },
        { "readlink", do_readlink, 1, 1 },
        { "removexattr", do_removexattr, 2, 2 },
        { "rename", do_rename, 2, 2 },
        { "renameat2", do_renameat2, 3, 3 },
        { "rmdir", do_rmdir, 1, 1 },
        { "same", compare_same, 3, 5 },
        { "seek", do_seek, 3, 3 },
        { "setxattr", do_setxattr, 3, 4 },
        { "start", do_start, 1, 1 },
        { "stat", compare_stat, 1, WORDS_MAX },
        { "stop", do_stop, 0, 0 },
        { "symlink", do_symlink, 2, 2 },
        { "touch", do_touch, 1, 1 },
        { "truncate", do_truncate, 2, 2 },
        { "umask", do_umask, 1, 1 },
        { "unlink", do_unlink, 1, 1 },
        { "utimens", do_utimens, 3, 4 },
        { "write", do_write, 2, 2 },
};

bool
operation_run(char **words, size_t count, struct outcome *outcome)
{
        for (size_t i = 0; i < COUNT(operations); i++)
                if (strcmp(operations[i].name, words[0]) == 0) {
                        if (count - 1 < operations[i].least || count - 1 > operations[i].most)
                                return false;
                        operations[i].run(words + 1, count - 1, outcome);
                        return true;
                }
        return false;
}
