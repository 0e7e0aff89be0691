/* fs/fuse_unmount.c - taking mounts down: living ones, dead ones, and those that are to die. */
#include "fs/fuse_unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/fuse_mount.h"

#define FILE_SYSTEM_TYPE "fuse.caefs"

/* umount(8) for those who are not root. */
static enum caefs_err
run_fusermount(const char *how, const char *mountpoint)
{
        int status;
        const pid_t pid = fork();

        if (pid < 0)
                return caefs_fail_errno("cannot start fusermount3");
        if (pid == 0) {
                execlp("fusermount3", "fusermount3", "-q", how, "--", mountpoint, (char *) NULL);
                _exit(127);
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return CAEFS_OK;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
                return caefs_fail(CAEFS_ERR_PERMISSION, "fusermount3 is missing: on Debian, "
                                  "apt-get install fuse3");
        return caefs_fail(CAEFS_ERR_BUSY, "it is in use, or not yours to unmount");
}

enum caefs_err
fuse_unmount(const char *mountpoint)
{
        if (umount2(mountpoint, UMOUNT_NOFOLLOW) == 0)
                return CAEFS_OK;
        if (errno == EPERM)
                return run_fusermount("-u", mountpoint);
        if (errno == EBUSY)
                return caefs_fail(CAEFS_ERR_BUSY, "it is in use: files are open there, or it is "
                                  "somebody's working directory");
        return caefs_fail_errno("cannot unmount");
}

/* ---- dead mounts -------------------------------------------------------- */

bool
mount_is_ours(const char *mountpoint)
{
        FILE *mounts = setmntent("/proc/self/mounts", "re");
        const struct mntent *e;
        bool ours = false;

        if (mounts == NULL)
                return false;
        while ((e = getmntent(mounts)) != NULL)
                if (strcmp(e->mnt_dir, mountpoint) == 0)
                        ours = strcmp(e->mnt_type, FILE_SYSTEM_TYPE) == 0;
        endmntent(mounts);
        return ours;
}

bool
fuse_mount_is_dead(const char *mountpoint)
{
        struct statvfs space;

        return statvfs(mountpoint, &space) != 0 && errno == ENOTCONN && mount_is_ours(mountpoint);
}

enum caefs_err
fuse_unmount_dead(const char *mountpoint)
{
        /* Those who are still in it keep what they have, which is nothing. */
        if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
                return CAEFS_OK;
        if (errno == EPERM)
                return run_fusermount("-uz", mountpoint);
        return caefs_fail_errno("cannot unmount");
}

/* ---- the guard ---------------------------------------------------------- */

/* The kernel notices the death of a process when its last descriptor is closed. */
static void
take_down_when_dead(const char *mountpoint)
{
        const struct timespec pause = { .tv_nsec = 50000000 };
        struct statvfs space;

        for (int i = 0; i < 600; i++) {
                if (fuse_mount_is_dead(mountpoint)) {
                        fuse_unmount_dead(mountpoint);
                        return;
                }
                if (statvfs(mountpoint, &space) == 0)
                        return;         /* it is gone, or another's */
                nanosleep(&pause, NULL);
        }
}

/* Nothing of the parent's is kept open, or a pipe of whoever called would never end. */
static void
leave_parent(int *pipe_end)
{
        const int null = open("/dev/null", O_RDWR);

        if (null >= 0)
                for (int fd = 0; fd <= 2; fd++)
                        dup2(null, fd);
        dup2(*pipe_end, 3);
        *pipe_end = 3;
        close_range(4, ~0u, 0);
        setsid();
        if (chdir("/") != 0)
                _exit(1);
        prctl(PR_SET_NAME, "caefs-guard");
}

static void
guard_main(int pipe_end, const char *mountpoint)
{
        sigset_t all;
        char byte;
        ssize_t n;

        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        leave_parent(&pipe_end);
        while ((n = read(pipe_end, &byte, 1)) < 0 && errno == EINTR)
                ;
        if (n == 0)
                take_down_when_dead(mountpoint);
        _exit(0);
}

int
guard_start(const char *mountpoint)
{
        int ends[2];
        pid_t pid;

        if (pipe2(ends, O_CLOEXEC) != 0)
                return -1;
        pid = fork();
        if (pid == 0)
                guard_main(ends[0], mountpoint);
        close(ends[0]);
        if (pid < 0) {
                close(ends[1]);
                return -1;
        }
        return ends[1];
}

void
guard_dismiss(int guard)
{
        if (guard < 0)
                return;
        while (write(guard, "", 1) < 0 && errno == EINTR)
                ;
        close(guard);
}
