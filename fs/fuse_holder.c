/* fs/fuse_holder.c - the file "mounted" of a store. */
#include "fs/fuse_holder.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/fuse_mount.h"
#include "fs/fuse_unmount.h"

#define HOLDER_FILE "mounted"

static int
open_holder(const char *store, int flags)
{
        char path[PATH_MAX];

        if (snprintf(path, sizeof path, "%s/" HOLDER_FILE, store) >= (int) sizeof path)
                return -1;
        return open(path, flags | O_CLOEXEC, 0644);
}

void
holder_write(const char *store, const char *mountpoint)
{
        const int fd = open_holder(store, O_WRONLY | O_CREAT | O_TRUNC);

        if (fd < 0)
                return;
        dprintf(fd, "process %ld, at %s\n", (long) getpid(), mountpoint);
        close(fd);
}

void
holder_remove(const char *store)
{
        char path[PATH_MAX];

        if (snprintf(path, sizeof path, "%s/" HOLDER_FILE, store) < (int) sizeof path)
                unlink(path);
}

bool
fuse_mount_holder(const char *store, char *who, size_t size)
{
        const int fd = open_holder(store, O_RDONLY);
        ssize_t n;

        if (fd < 0)
                return false;
        n = read(fd, who, size - 1);
        close(fd);
        if (n <= 0)
                return false;
        who[n] = '\0';
        who[strcspn(who, "\n")] = '\0';
        return true;
}

int
holder_patience(const char *store)
{
        static const char before[] = ", at ";
        char who[PATH_MAX + 64];
        const char *mountpoint;

        if (!fuse_mount_holder(store, who, sizeof who))
                return 3;               /* the last thing before the end */
        mountpoint = strstr(who, before);
        return mountpoint != NULL && !mount_is_ours(mountpoint + sizeof before - 1) ? 30 : 0;
}
