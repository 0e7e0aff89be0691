/*
 * caefs umount - takes mounts down.
 *
 * umount(8) returns while the process of the mount may still be committing.
 * This returns when that process has ended and the store can be used again.
 */

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/fuse_mount.h"
#include "tools/control.h"
#include "tools/tool.h"

const char help_umount[] =
        "Usage: caefs umount [OPTION...] MOUNTPOINT...\n"
        "\n"
        "Unmounts, and returns when everything is written and the store is\n"
        "closed.\n"
        "\n"
        TOOL_COMMON_HELP;

/* A descriptor that becomes readable when PID ends; -1 when it has ended, or
 * is another's. */
static int watch_process(pid_t pid)
{
        return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void wait_for_end(int pidfd)
{
        struct pollfd p = { .fd = pidfd, .events = POLLIN };

        if (pidfd < 0)
                return;
        while (poll(&p, 1, -1) < 0 && errno == EINTR)
                ;
        close(pidfd);
}

/* Its process has died: only the mount itself is left. */
static int take_down_dead(const char *path)
{
        const enum caefs_err err = fuse_unmount_dead(path);

        return err == CAEFS_OK ? TOOL_OK : tool_fail(err, path, NULL);
}

static bool is_mount_point(const char *path)
{
        struct stat here, above;
        char parent[PATH_MAX];

        if (strlen(path) + 4 > sizeof parent)
                return false;
        strcpy(parent, path);
        strcat(parent, "/..");
        return stat(path, &here) == 0 && stat(parent, &above) == 0 &&
               here.st_dev != above.st_dev;
}

static int take_down(const char *text)
{
        char path[PATH_MAX];
        struct statvfs space;
        char *store = NULL;
        enum caefs_err err;
        pid_t pid;
        int pidfd;

        if (statvfs(text, &space) != 0 && errno == ENOTCONN)
                return take_down_dead(text);
        if (realpath(text, path) == NULL) {
                tool_error(text, NULL, "cannot unmount: %m");
                return TOOL_SYSTEM;
        }
        err = control_identity(path, &store, &pid);
        free(store);
        if (err != CAEFS_OK || !is_mount_point(path)) {
                tool_error(text, "give the directory it is mounted at",
                           "no caefs is mounted here");
                return TOOL_SYSTEM;
        }
        pidfd = watch_process(pid);
        err = fuse_unmount(path);
        if (err != CAEFS_OK) {
                if (pidfd >= 0)
                        close(pidfd);
                return tool_fail(err, text, NULL);
        }
        wait_for_end(pidfd);
        return TOOL_OK;
}

int cmd_umount(int argc, char **argv)
{
        static const struct option options[] = {
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        int c, first = TOOL_OK, done = 0;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS,
                                options, NULL)) != -1)
                if (!tool_common_option(c))
                        return TOOL_USAGE;
        if (optind == argc)
                return tool_usage_error("umount", "which mount point?");
        for (; optind < argc; optind++) {
                const int status = take_down(argv[optind]);

                if (status == TOOL_OK)
                        done++;
                else if (first == TOOL_OK)
                        first = status;
        }
        return first != TOOL_OK && done > 0 ? TOOL_PARTIAL : first;
}
