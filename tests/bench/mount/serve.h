/* tests/bench/mount/serve.h - what the file systems that caefs is measured against share.
 *
 * Each is one low-level libfuse session with the connection that caefs itself asks for
 * (fs/fuse_mount.c): the same capabilities, request sizes and thread counts, so that what
 * is left to compare is the work behind a request.
 */
#ifndef CAEFS_TEST_BENCH_MOUNT_SERVE_H
#define CAEFS_TEST_BENCH_MOUNT_SERVE_H

#define FUSE_USE_VERSION 314

#include <fuse3/fuse_lowlevel.h>

/* Seconds that the kernel may believe names and attributes, as caefs says. */
#define SERVE_TIMEOUT 3600.0

/* The init operation of all. */
void serve_init(void *userdata, struct fuse_conn_info *conn);

/* Mounts OPS at MOUNTPOINT under NAME and serves in the foreground until it is unmounted
 * or a signal comes.  The exit status of the program. */
int serve(const char *name, const struct fuse_lowlevel_ops *ops, const char *mountpoint);

#endif
