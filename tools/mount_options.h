/*
 * mount_options.h - the words after -o of caefs mount and mount(8).
 *
 * Ours are taken; those that mount(8) and systemd keep for themselves
 * (noauto, _netdev, x-...) are dropped; the rest goes to libfuse.
 */

#ifndef CAEFS_TOOL_MOUNT_OPTIONS_H
#define CAEFS_TOOL_MOUNT_OPTIONS_H

#include "fs/fuse_mount.h"

enum mount_log_sink {
        MOUNT_LOG_DEFAULT, /* stderr in the foreground, else syslog */
        MOUNT_LOG_STDERR,
        MOUNT_LOG_SYSLOG,
        MOUNT_LOG_FILE,
};

struct mount_log {
        enum mount_log_sink sink;
        char *file; /* absolute; owned */
};

struct mount_options {
        struct fuse_mount_options fuse;
        char *kernel; /* for libfuse, comma separated; owned */
        struct mount_log log;
        char *metrics; /* a file, absolute, or NULL; owned */
        bool allow_other;
};

void mount_options_init(struct mount_options *m);

/* Adds the options of LIST.  False when one is wrong; the user has been told. */
bool mount_options_parse(struct mount_options *m, const char *list);

/* Call it once, after all lists. */
void mount_options_finish(struct mount_options *m);
void mount_options_free(struct mount_options *m);

#endif
