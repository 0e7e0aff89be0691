/* serve.c - mounting and serving. */
#include "tests/bench/mount/serve.h"

#include <stdio.h>
#include <stdlib.h>

#define THREADS        16
#define MAX_WRITE      (1u << 20)
#define MAX_BACKGROUND 64

void
serve_init(void *userdata, struct fuse_conn_info *conn)
{
        (void) userdata;
        conn->want |= conn->capable & (FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_EXPORT_SUPPORT |
                                       FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_CACHE_SYMLINKS |
                                       FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_READDIRPLUS |
                                       FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_EXPLICIT_INVAL_DATA);
        conn->want &= ~(unsigned) FUSE_CAP_AUTO_INVAL_DATA;
        conn->max_write = MAX_WRITE;
        conn->max_background = MAX_BACKGROUND;
        conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
        conn->time_gran = 1;
}

static int
loop(struct fuse_session *session)
{
        struct fuse_loop_config *config = fuse_loop_cfg_create();

        if (config == NULL)
                return 1;
        fuse_loop_cfg_set_max_threads(config, THREADS);
        fuse_loop_cfg_set_idle_threads(config, THREADS);
        const int result = fuse_session_loop_mt(session, config);
        fuse_loop_cfg_destroy(config);
        return result < 0;
}

int
serve(const char *name, const struct fuse_lowlevel_ops *ops, const char *mountpoint)
{
        struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
        char options[128];
        int status = 1;

        snprintf(options, sizeof options, "-odefault_permissions,fsname=%s,subtype=%s", name, name);
        if (fuse_opt_add_arg(&args, name) != 0 || fuse_opt_add_arg(&args, options) != 0)
                return 1;
        struct fuse_session *session = fuse_session_new(&args, ops, sizeof *ops, NULL);
        fuse_opt_free_args(&args);
        if (session == NULL)
                return 1;
        if (fuse_set_signal_handlers(session) == 0) {
                if (fuse_session_mount(session, mountpoint) == 0) {
                        status = loop(session);
                        fuse_session_unmount(session);
                }
                fuse_remove_signal_handlers(session);
        }
        fuse_session_destroy(session);
        return status;
}
