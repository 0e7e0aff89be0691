/* fs/fuse_mount.c - a session: mount, serve, end.
 *
 * Ending.  A signal may come while files are open and their pages dirty.  The
 * signal thread first writes those pages back (syncfs), then unmounts; when the mount
 * is busy it is detached, and the connection is closed under those who still have
 * files open.  It is a thread because unmounting waits for requests to be answered. */
#include "fs/fuse_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_log.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/notify.h"
#include "fs/fuse_adapter.h"
#include "fs/fuse_control.h"
#include "fs/fuse_forget.h"
#include "fs/fuse_holder.h"
#include "fs/fuse_unmount.h"
#include "fs/fuse_upkeep.h"

#define DEFAULT_THREADS 16
#define MAX_WRITE       (1u << 20)
#define MAX_BACKGROUND  64

struct session {
        const struct fuse_mount_options *options;
        struct adapter       adapter;
        sigset_t             signals;           /* those that end the mount */
        pthread_t            signal_thread;
        pthread_t            main_thread;
        struct forgetter    *forgetter;         /* set before the signal thread starts */
        atomic_bool          ended;             /* the loop has returned */
};

/* ---- whether it can be -------------------------------------------------- */

enum caefs_err
fuse_mount_possible(void)
{
        const int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

        if (fd >= 0) {
                close(fd);
                return CAEFS_OK;
        }
        switch (errno) {
        case ENOENT:
        case ENODEV:
        case ENXIO:
                return caefs_fail(CAEFS_ERR_NO_ENTRY,
                                  "the system has no FUSE (/dev/fuse): load it with 'modprobe fuse'; "
                                  "in a container, start that with --device /dev/fuse "
                                  "--cap-add SYS_ADMIN");
        case EACCES:
        case EPERM:
                return caefs_fail(CAEFS_ERR_ACCESS,
                                  "/dev/fuse may not be opened: be root, or let an administrator "
                                  "allow it to you (on Debian: apt-get install fuse3)");
        default:
                return caefs_fail_errno("/dev/fuse cannot be opened");
        }
}

/* ---- the connection ----------------------------------------------------- */

static void
op_init(void *userdata, struct fuse_conn_info *conn)
{
        (void) userdata;
        conn->want |= conn->capable & (FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_EXPORT_SUPPORT |
                                       FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_CACHE_SYMLINKS |
                                       FUSE_CAP_READDIRPLUS |
                                       FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_EXPLICIT_INVAL_DATA |
                                       FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK);
        /* Content changes only through the mount; what sealing changes is told.  And when an
         * open truncates, the kernel does it again, to itself alone, after others may have
         * written: their bytes would be here and not there. */
        conn->want &= ~(unsigned) (FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ATOMIC_O_TRUNC);
        conn->max_write = MAX_WRITE;
        conn->max_background = MAX_BACKGROUND;
        conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
        conn->time_gran = 1;
}

static struct fuse_lowlevel_ops
operations(void)
{
        struct fuse_lowlevel_ops ops = { .init = op_init };

        adapter_name_operations(&ops);
        adapter_attribute_operations(&ops);
        adapter_file_operations(&ops);
        adapter_directory_operations(&ops);
        adapter_measure_operations(&ops);
        return ops;
}

/* Called by the store's workers. */
static void
file_was_sealed(void *context, store_inode inode)
{
        struct adapter *a = context;

        pthread_mutex_lock(&a->notify_lock);
        if (a->mounted)
                fuse_lowlevel_notify_inval_inode(a->session, inode, -1, 0);
        pthread_mutex_unlock(&a->notify_lock);
}

/* What libfuse has to say goes where our own lines go. */
static void
log_of_libfuse(enum fuse_log_level level, const char *format, va_list arguments)
{
        char line[512];

        vsnprintf(line, sizeof line, format, arguments);
        line[strcspn(line, "\n")] = '\0';
        if (level <= FUSE_LOG_ERR)
                log_error("%s", line);
        else if (level == FUSE_LOG_WARNING)
                log_warning("%s", line);
        else
                log_debug("%s", line);
}

static enum caefs_err
make_session(struct session *s)
{
        const struct fuse_mount_options *o = s->options;
        const struct fuse_lowlevel_ops ops = operations();
        struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
        char fixed[PATH_MAX + 128];

        /* A comma would end the option; it is only a name for mount(8) to show. */
        snprintf(fixed, sizeof fixed, "-odefault_permissions,subtype=caefs,fsname=%s%s%s",
                 strchr(o->store, ',') == NULL ? o->store : "caefs",
                 o->store_options.read_only ? ",ro" : "",
                 /* As mount(8) has it for other file systems; else FUSE's is neither. */
                 geteuid() == 0 ? ",dev,suid" : "");
        if (fuse_opt_add_arg(&args, "caefs") != 0 || fuse_opt_add_arg(&args, fixed) != 0 ||
            (*o->kernel_options != '\0' &&
             (fuse_opt_add_arg(&args, "-o") != 0 ||
              fuse_opt_add_arg(&args, o->kernel_options) != 0))) {
                fuse_opt_free_args(&args);
                return CAEFS_ERR_NOMEM;
        }
        s->adapter.session = fuse_session_new(&args, &ops, sizeof ops, &s->adapter);
        fuse_opt_free_args(&args);
        if (s->adapter.session == NULL)
                return caefs_fail(CAEFS_ERR_ARGUMENT, "libfuse does not take the mount options '%s'",
                                  o->kernel_options);
        return CAEFS_OK;
}

/* The kernel reads ahead 128 KiB unless told; a decoded chunk is larger.  Its answer to
 * our first words lowers what was set before, so this waits for that: a request is
 * answered only after it.  Not being permitted costs some speed and nothing else. */
static void
raise_read_ahead(const struct fuse_mount_options *o)
{
        char path[64];
        struct statvfs space;
        struct stat st;
        int fd;

        if (o->read_ahead_kib == 0 || statvfs(o->mountpoint, &space) != 0 ||
            stat(o->mountpoint, &st) != 0)
                return;
        snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev),
                 minor(st.st_dev));
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        dprintf(fd, "%u\n", o->read_ahead_kib);
        close(fd);
}

/* ---- unmounting --------------------------------------------------------- */

static void
write_back(const char *mountpoint)
{
        const int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return;
        syncfs(fd);
        close(fd);
}

/* To the service manager, once the mount answers. */
static void
say_ready(const struct fuse_mount_options *o)
{
        char state[2 * PATH_MAX];
        struct statvfs space;

        if (statvfs(o->mountpoint, &space) != 0)
                return;
        snprintf(state, sizeof state, "READY=1\nSTATUS=%s is mounted at %s", o->store,
                 o->mountpoint);
        notify_send(state);
}

/* The thread that waits for requests to be answered, which no other may. */
static void *
wait_for_signal(void *argument)
{
        struct session *s = argument;
        int number;

        raise_read_ahead(s->options);
        say_ready(s->options);
        while (sigwait(&s->signals, &number) != 0)
                ;
        if (atomic_load(&s->ended))
                return NULL;
        notify_send("STOPPING=1\nSTATUS=writing back");
        write_back(s->options->mountpoint);
        if (fuse_unmount(s->options->mountpoint) == CAEFS_OK)
                return NULL;            /* the loop ends by itself */
        log_warning("%s is in use; ending all the same", s->options->mountpoint);
        forgetter_stop(s->forgetter);
        fuse_session_exit(s->adapter.session);
        /* Out of its sleep, to see that the session has ended. */
        pthread_kill(s->main_thread, SIGUSR1);
        return NULL;
}

static void
nothing(int number)
{
        (void) number;
}

/* Every thread but the signal thread has these signals blocked. */
static void
block_signals(struct session *s)
{
        const struct sigaction ignore = { .sa_handler = SIG_IGN };
        const struct sigaction interrupt = { .sa_handler = nothing };

        sigemptyset(&s->signals);
        sigaddset(&s->signals, SIGTERM);
        sigaddset(&s->signals, SIGINT);
        sigaddset(&s->signals, SIGHUP);
        pthread_sigmask(SIG_BLOCK, &s->signals, NULL);
        sigaction(SIGPIPE, &ignore, NULL);
        sigaction(SIGUSR1, &interrupt, NULL);
}

/* ---- serving ------------------------------------------------------------ */

static enum caefs_err
serve(struct session *s)
{
        struct fuse_loop_config *config = fuse_loop_cfg_create();
        const unsigned threads = s->options->threads;
        int result;

        if (config == NULL)
                return CAEFS_ERR_NOMEM;
        fuse_loop_cfg_set_max_threads(config, threads != 0 ? threads : DEFAULT_THREADS);
        fuse_loop_cfg_set_idle_threads(config, DEFAULT_THREADS);
        result = fuse_session_loop_mt(s->adapter.session, config);
        fuse_loop_cfg_destroy(config);
        if (result < 0)
                return caefs_fail(caefs_err_from_errno(-result), "serving the mount failed: %s",
                                  strerror(-result));
        return CAEFS_OK;
}

static void
set_mounted(struct adapter *a, bool mounted)
{
        pthread_mutex_lock(&a->notify_lock);
        a->mounted = mounted;
        pthread_mutex_unlock(&a->notify_lock);
}

/* Ends unmounted. */
static enum caefs_err
serve_until_end(struct session *s)
{
        struct upkeep *upkeep = NULL;
        enum caefs_err err;

        s->main_thread = pthread_self();
        if (forgetter_start(&s->adapter, s->options->names, &s->forgetter) != CAEFS_OK)
                log_warning("names are kept without limit: %s", caefs_detail());
        if (pthread_create(&s->signal_thread, NULL, wait_for_signal, s) != 0) {
                fuse_session_unmount(s->adapter.session);
                forgetter_free(s->forgetter);
                return caefs_fail(CAEFS_ERR_NOMEM, "no thread can be started");
        }
        if (s->options->ready != NULL)
                s->options->ready(s->options->context);
        if (upkeep_start(&s->adapter, s->options->metrics_file, s->options->metrics_interval,
                         &upkeep) != CAEFS_OK)
                log_warning("no metrics and no watchdog: %s", caefs_detail());
        log_info("%s is mounted at %s%s", s->options->store, s->options->mountpoint,
                 s->adapter.read_only ? ", read only" : "");
        err = serve(s);
        notify_send("STOPPING=1");
        atomic_store(&s->ended, true);
        set_mounted(&s->adapter, false);
        fuse_session_unmount(s->adapter.session);
        upkeep_stop(upkeep);
        pthread_kill(s->signal_thread, SIGTERM);
        pthread_join(s->signal_thread, NULL);
        forgetter_free(s->forgetter);
        return err;
}

/* Sealing may take longer than the service manager would wait: it is told that we go on. */
static void
ask_for_time(struct progress *p)
{
        static _Atomic int64_t asked;   /* seconds since 1970 */
        const int64_t now = (int64_t) time(NULL);

        (void) p;
        if (now - atomic_load(&asked) < 10)
                return;
        atomic_store(&asked, now);
        notify_send("EXTEND_TIMEOUT_USEC=60000000\nSTATUS=sealing what is staged");
}

static enum caefs_err
drain(struct store *store)
{
        struct progress progress = { .report = ask_for_time };
        uint64_t left = 0;
        const enum caefs_err err = store_sync_tree(store, STORE_ROOT_INODE, false, &progress,
                                                   &left);

        if (left > 0)
                log_warning("%" PRIu64 " files stay staged", left);
        return err;
}

/* What the kernel did not give back: a mount that goes away drops requests. */
static void
give_back(struct session *s)
{
        adapter_helpers_wait(&s->adapter);
        control_free(s->adapter.control);
        adapter_handles_free(&s->adapter);
}

static enum caefs_err
mount_and_serve(struct session *s)
{
        const struct fuse_mount_options *o = s->options;
        struct adapter *a = &s->adapter;
        enum caefs_err err = make_session(s);

        if (err != CAEFS_OK)
                return err;
        a->control = control_new(a);
        if (a->control == NULL)
                err = CAEFS_ERR_NOMEM;
        else if (fuse_session_mount(s->adapter.session, o->mountpoint) != 0)
                err = caefs_fail(CAEFS_ERR_PERMISSION, "mounting at %s failed", o->mountpoint);
        if (err == CAEFS_OK) {
                set_mounted(a, true);
                err = serve_until_end(s);
        }
        give_back(s);
        if (err == CAEFS_OK && o->drain)
                err = drain(a->store);
        return err;
}

static enum caefs_err
open_store(struct adapter *a, const struct store_options *options)
{
        const struct timespec pause = { .tv_nsec = 50000000 };
        const time_t begin = time(NULL);
        enum caefs_err err = store_open(a->store_path, options, &a->store);

        while (err == CAEFS_ERR_BUSY &&
               time(NULL) - begin < holder_patience(a->store_path)) {
                nanosleep(&pause, NULL);
                err = store_open(a->store_path, options, &a->store);
        }
        return err;
}

static enum caefs_err
open_and_serve(struct session *s)
{
        const struct fuse_mount_options *o = s->options;
        struct store_options store_options = o->store_options;
        struct adapter *a = &s->adapter;
        enum caefs_err err, closed;

        store_options.caller_stamps = true;
        store_options.sealed = file_was_sealed;
        store_options.sealed_context = a;
        err = open_store(a, &store_options);
        if (err != CAEFS_OK)
                return err;
        a->timeout = store_is_live(a->store) ? ADAPTER_TIMEOUT_LIVE : ADAPTER_TIMEOUT;
        if (!a->read_only)
                holder_write(o->store, o->mountpoint);
        err = mount_and_serve(s);
        if (!a->read_only)
                holder_remove(o->store);
        closed = store_close(a->store);
        if (a->session != NULL)
                fuse_session_destroy(a->session);
        if (err == CAEFS_OK && closed == CAEFS_OK)
                log_info("%s is closed, everything is on the disk", o->store);
        return err != CAEFS_OK ? err : closed;
}

static enum caefs_err
init_adapter(struct adapter *a, const struct fuse_mount_options *o)
{
        pthread_mutex_init(&a->lock, NULL);
        pthread_mutex_init(&a->notify_lock, NULL);
        pthread_cond_init(&a->no_helpers, NULL);
        a->read_only = o->store_options.read_only;
        a->store_path = o->store;
        a->mountpoint = o->mountpoint;
        clock_gettime(CLOCK_REALTIME, &a->since);
        a->statistics = statistics_new();
        return a->statistics == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
}

enum caefs_err
fuse_mount(const struct fuse_mount_options *o)
{
        struct session s = { .options = o };
        enum caefs_err err = fuse_mount_possible();
        int guard;

        if (err != CAEFS_OK)
                return err;
        guard = o->guard ? guard_start(o->mountpoint) : -1;
        fuse_set_log_func(log_of_libfuse);
        block_signals(&s);
        err = init_adapter(&s.adapter, o);
        if (err == CAEFS_OK)
                err = open_and_serve(&s);
        statistics_free(s.adapter.statistics);
        guard_dismiss(guard);
        return err;
}
