/*
 * caefs mount - serves a store as a file system.
 *
 * In the background the mount is served by a child process.  Until the mount
 * answers, the child has our stderr, so that its messages reach the user, and
 * a pipe on which it says that it is ready; then it turns to its log.  We
 * return after a first request has been answered.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "fs/fuse_mount.h"
#include "tools/mount_options.h"
#include "tools/path.h"

const char help_mount[] =
        "Usage: caefs mount [OPTION...] STORE MOUNTPOINT\n"
        "\n"
        "Mounts a store.  Returns when the mount answers; with -f serves it\n"
        "until it is unmounted or a signal comes.\n"
        "\n"
        "  -f, --foreground    do not go into the background\n"
        "  -o OPTION,...       mount options:\n"
        "      ro              read only; any number at once, on many machines\n"
        "      allow_other     other users may use it (the default for root)\n"
        "      no_allow_other  they may not\n"
        "      cache=BYTES     decoded data kept in memory (256M; K, M, G)\n"
        "      commit=SECONDS  how often names and attributes are committed (1)\n"
        "      seal=close|idle:SECONDS\n"
        "                      when closed files are encoded (close)\n"
        "      drain           encode everything before an unmount ends\n"
        "      threads=N       requests served at once (16)\n"
        "      encoders=N      files encoded at once (one a processor)\n"
        "      read_ahead=KIB  of the kernel (1024; 0: as it is)\n"
        "      names=N         of files, kept in memory (65536)\n"
        "      no_auto_unmount leave the mount behind when its process is killed\n"
        "      metrics=FILE    figures for Prometheus, written again and again\n"
        "      metrics_interval=SECONDS\n"
        "                      how often (15)\n"
        "      log=stderr|syslog|FILE\n"
        "                      where messages go (syslog; with -f stderr)\n"
        "      loglevel=error|warning|info|debug\n"
        "                      how much is said (info)\n"
        "      others          are the kernel's: noatime, nosuid, nodev, ...\n"
        TOOL_COMMON_HELP;

/* ---- before ---- */

/* realpath(3), also of a directory that cannot be looked at because what is
 * mounted there is dead. */
static bool resolve_mountpoint(const char *path, char *real)
{
        char above[PATH_MAX], name[PATH_MAX];
        size_t length;

        if (realpath(path, real) != NULL)
                return true;
        if (errno != ENOTCONN || strlen(path) >= sizeof above)
                return false;
        strcpy(above, path);
        strcpy(name, path);
        if (realpath(dirname(above), real) == NULL)
                return false;
        length = strlen(real);
        return snprintf(real + length, PATH_MAX - length, "%s%s",
                        real[length - 1] == '/' ? "" : "/",
                        basename(name)) < (int)(PATH_MAX - length);
}

static int check_mountpoint(const char *path, char *real)
{
        struct stat st;

        if (!resolve_mountpoint(path, real)) {
                tool_error(path, "make the directory first",
                           "no mount point: %m");
                return TOOL_SYSTEM;
        }
        while (fuse_mount_is_dead(real)) {
                if (fuse_unmount_dead(real) != CAEFS_OK) {
                        tool_error(path, "take it down with umount -l",
                                   "a mount whose process has died is there");
                        return TOOL_SYSTEM;
                }
                tool_warning(path, NULL, "a dead mount was there and is gone");
        }
        if (stat(real, &st) != 0 || !S_ISDIR(st.st_mode)) {
                tool_error(path, NULL, "the mount point is not a directory");
                return TOOL_SYSTEM;
        }
        return TOOL_OK;
}

static int check_store(const char *path, char *real)
{
        char *store, *inner;

        if (realpath(path, real) == NULL) {
                tool_error(path, "make one with 'caefs mkfs'",
                           "there is no store: %m");
                return TOOL_SYSTEM;
        }
        if (!tool_path_split_store(real, &store, &inner)) {
                tool_error(path, "make one with 'caefs mkfs'",
                           "this is not a store");
                return TOOL_DATA;
        }
        free(store);
        free(inner);
        return TOOL_OK;
}

static int tell_failure(enum caefs_err err, const char *store)
{
        char who[PATH_MAX], detail[PATH_MAX];

        if (err != CAEFS_ERR_BUSY)
                return tool_fail(err, store, NULL);
        snprintf(detail, sizeof detail, "%s", caefs_detail());
        if (!fuse_mount_holder(store, who, sizeof who))
                strcpy(who, "which wrote no name down");
        tool_error(store, "unmount it there first",
                   "the store is already mounted or open: %s (%s)", detail, who);
        return TOOL_SYSTEM;
}

/* ---- the log of the background process ---- */

/* stdin and stdout become nothing, and so does stderr unless the log goes there: what
 * libraries write to it goes where our own lines go. */
static void leave_terminal(const struct mount_log *log)
{
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        const int file = log->sink == MOUNT_LOG_FILE ?
                                 open(log->file, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

        if (null >= 0) {
                dup2(null, STDIN_FILENO);
                dup2(null, STDOUT_FILENO);
                if (log->sink != MOUNT_LOG_STDERR)
                        dup2(file >= 0 ? file : null, STDERR_FILENO);
        }
        if (null > STDERR_FILENO)
                close(null);
        if (file > STDERR_FILENO)
                close(file);
}

static enum caefs_err start_log(const struct mount_log *log)
{
        switch (log->sink) {
        case MOUNT_LOG_FILE:
                return log_to_file(log->file);
        case MOUNT_LOG_SYSLOG:
                log_to_syslog();
                return CAEFS_OK;
        default:
                log_to_stderr();
                return CAEFS_OK;
        }
}

/* ---- the two processes ---- */

struct background {
        int ready_fd;
        const struct mount_log *log;
};

static void say_ready(void *context)
{
        struct background *b = context;

        if (start_log(b->log) != CAEFS_OK)
                log_warning("no log: %s", caefs_detail());
        leave_terminal(b->log);
        if (write(b->ready_fd, "r", 1) != 1)
                return; /* nobody is waiting any more */
        close(b->ready_fd);
}

static int serve_in_child(struct fuse_mount_options *o,
                          const struct mount_log *log, int ready_fd)
{
        struct background b = { .ready_fd = ready_fd, .log = log };
        enum caefs_err err;

        setsid();
        if (chdir("/") != 0)
                tool_warning("/", NULL, "cannot go there: %m");
        o->ready = say_ready;
        o->context = &b;
        err = fuse_mount(o);
        return err == CAEFS_OK ? TOOL_OK : tell_failure(err, o->store);
}

/* The first request waits until the kernel and the child have agreed. */
static int wait_until_it_answers(const char *mountpoint)
{
        struct statvfs space;

        if (statvfs(mountpoint, &space) == 0)
                return TOOL_OK;
        tool_error(mountpoint, "its log says more",
                   "the mount does not answer: %m");
        return TOOL_SYSTEM;
}

static int wait_for_child(pid_t child, int ready_fd, const char *mountpoint)
{
        char ready;
        ssize_t n;
        int status;

        while ((n = read(ready_fd, &ready, 1)) < 0 && errno == EINTR)
                ;
        if (n == 1)
                return wait_until_it_answers(mountpoint);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
                ;
        if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
                return WEXITSTATUS(status);
        tool_error(mountpoint, NULL, "the process of the mount ended at once");
        return TOOL_SYSTEM;
}

static int mount_in_background(struct fuse_mount_options *o,
                               const struct mount_log *log)
{
        int ends[2];
        pid_t child;

        if (pipe2(ends, O_CLOEXEC) != 0 || (child = fork()) < 0) {
                tool_error(NULL, NULL, "cannot start a process: %m");
                return TOOL_SYSTEM;
        }
        if (child == 0) {
                close(ends[0]);
                exit(serve_in_child(o, log, ends[1]));
        }
        close(ends[1]);
        return wait_for_child(child, ends[0], o->mountpoint);
}

static int mount_in_foreground(struct fuse_mount_options *o,
                               const struct mount_log *log)
{
        enum caefs_err err = start_log(log);

        if (err != CAEFS_OK)
                return tool_fail(err, log->file, NULL);
        err = fuse_mount(o);
        return err == CAEFS_OK ? TOOL_OK : tell_failure(err, o->store);
}

/* ---- caefs mount ---- */

static int mount_store(struct mount_options *m, bool foreground, char **paths)
{
        char store[PATH_MAX], mountpoint[PATH_MAX];
        int status;
        enum caefs_err err = fuse_mount_possible();

        if (err != CAEFS_OK)
                return tool_fail(err, NULL, NULL) != TOOL_OK ? TOOL_SYSTEM :
                                                               TOOL_OK;
        status = check_store(paths[0], store);
        if (status == TOOL_OK)
                status = check_mountpoint(paths[1], mountpoint);
        if (status != TOOL_OK)
                return status;
        m->fuse.store = store;
        m->fuse.mountpoint = mountpoint;
        m->fuse.kernel_options = m->kernel;
        if (m->log.sink == MOUNT_LOG_DEFAULT)
                m->log.sink = foreground ? MOUNT_LOG_STDERR : MOUNT_LOG_SYSLOG;
        return foreground ? mount_in_foreground(&m->fuse, &m->log) :
                            mount_in_background(&m->fuse, &m->log);
}

int cmd_mount(int argc, char **argv)
{
        static const struct option options[] = {
                { "foreground", no_argument, NULL, 'f' },
                { "options", required_argument, NULL, 'o' },
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct mount_options m;
        bool foreground = false;
        int c, status;

        mount_options_init(&m);
        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS "fo:",
                                options, NULL)) != -1)
                switch (c) {
                case 'f':
                        foreground = true;
                        break;
                case 'o':
                        if (!mount_options_parse(&m, optarg))
                                return TOOL_USAGE;
                        break;
                default:
                        if (!tool_common_option(c))
                                return TOOL_USAGE;
                }
        if (argc - optind != 2)
                return tool_usage_error("mount", "it takes a store and a mount "
                                                 "point");
        mount_options_finish(&m);
        status = mount_store(&m, foreground, argv + optind);
        mount_options_free(&m);
        return status;
}
