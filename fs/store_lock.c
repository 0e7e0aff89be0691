/* fs/store_lock.c - who may have the store open: one writer, or any number of readers.
 *
 * The file "lock" is locked as a whole, exclusively by a writer and shared by readers.  These
 * are locks of open file descriptions, which the system drops with the process; over NFS the
 * server keeps them.  The file says which process locked it, and on which machine: a reader
 * on the same one can follow a writer through SQLite's shared memory, one on another cannot.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/store_internal.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_SIZE 37
/* Tools that read hold the lock for a moment: a writer waits so long for them. */
#define WAIT_STEPS 40
#define WAIT_NS    50000000

struct owner {
        long pid;                       /* 0: not known */
        char boot_id[BOOT_ID_SIZE];     /* changes with every start of a machine; "": not known */
};

static void
read_boot_id(char id[BOOT_ID_SIZE])
{
        FILE *f = fopen(BOOT_ID_FILE, "re");

        id[0] = '\0';
        if (f == NULL)
                return;
        if (fscanf(f, "%36s", id) != 1)
                id[0] = '\0';
        fclose(f);
}

static struct owner
read_owner(int fd)
{
        char         text[80] = "";
        struct owner owner = { 0 };

        if (io->read(fd, text, sizeof text - 1, 0) > 0)
                sscanf(text, "%ld %36s", &owner.pid, owner.boot_id);
        return owner;
}

static enum caefs_err
write_owner(struct store *s)
{
        char text[80], id[BOOT_ID_SIZE];

        read_boot_id(id);
        int n = snprintf(text, sizeof text, "%ld %s\n", (long) getpid(), id);
        if (io->truncate(s->lock_fd, 0) < 0 ||
            io_write_all(s->lock_fd, text, (size_t) n, 0) < 0)
                return caefs_fail_errno("%s/lock", s->path);
        return CAEFS_OK;
}

static bool
is_refusal(int errno_value)
{
        return errno_value == EAGAIN || errno_value == EACCES;
}

/* Somebody refuses us the lock: do they only read? */
static bool
is_held_by_readers(int fd)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

        return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_RDLCK;
}

static enum caefs_err
refused(struct store *s)
{
        if (is_held_by_readers(s->lock_fd))
                return caefs_fail(CAEFS_ERR_BUSY, "%s is mounted read-only, here or on another "
                                  "machine: unmount it there first", s->path);
        return caefs_fail(CAEFS_ERR_BUSY, "%s is in use by process %ld", s->path,
                          read_owner(s->lock_fd).pid);
}

enum caefs_err
lock_for_writing(struct store *s)
{
        const struct timespec pause = { .tv_nsec = WAIT_NS };

        s->lock_fd = io->open(s->root_fd, "lock", O_RDWR, 0);
        if (s->lock_fd < 0)
                return caefs_fail_errno("%s/lock", s->path);
        for (int i = 0;; i++) {
                struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

                if (fcntl(s->lock_fd, F_OFD_SETLK, &lock) == 0)
                        return write_owner(s);
                if (!is_refusal(errno))
                        return caefs_fail_errno("%s/lock", s->path);
                if (i == WAIT_STEPS || !is_held_by_readers(s->lock_fd))
                        return refused(s);
                nanosleep(&pause, NULL);
        }
}

enum caefs_err
lock_for_reading(struct store *s, enum lock_state *state)
{
        struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
        char         here[BOOT_ID_SIZE];

        *state = LOCK_NONE;
        s->lock_fd = io->open(s->root_fd, "lock", O_RDONLY, 0);
        if (s->lock_fd < 0)
                return errno == ENOENT ? CAEFS_OK : caefs_fail_errno("%s/lock", s->path);
        if (fcntl(s->lock_fd, F_OFD_SETLK, &lock) == 0) {
                *state = LOCK_SHARED;
                return CAEFS_OK;
        }
        if (!is_refusal(errno))
                return CAEFS_OK;        /* no locks here */
        *state = LOCK_OF_WRITER;
        const struct owner owner = read_owner(s->lock_fd);
        read_boot_id(here);
        if (*owner.boot_id == '\0' || strcmp(owner.boot_id, here) == 0)
                return CAEFS_OK;
        return caefs_fail(CAEFS_ERR_BUSY, "%s is mounted for writing on another machine; reading "
                          "it here needs it to be unmounted there, or mounted read-only",
                          s->path);
}
