/* passthrough.c - a directory seen through FUSE: what a mount costs that does nothing.
 *
 *     passthrough DIRECTORY MOUNTPOINT
 *
 * An inode is a descriptor without rights (O_PATH), as in libfuse's own example; bytes
 * are spliced where libfuse can.  No renames, links or attributes beyond what copying and
 * listing files need.  For benchmarks only. */
#include "tests/bench/mount/serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BUCKETS ((size_t) 1 << 14)

/* Its address is the number the kernel knows it by. */
struct node {
        struct node *next;              /* in its bucket; lock */
        uint64_t     lookups;           /* lock */
        dev_t        device;
        ino_t        inode;
        int          fd;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct node *bucket[BUCKETS];    /* lock */
static struct node  root;

static struct node *
node_of(fuse_ino_t inode)
{
        return inode == FUSE_ROOT_ID ? &root : (struct node *) (uintptr_t) inode;
}

static void
reply_errno(fuse_req_t req, bool failed)
{
        fuse_reply_err(req, failed ? errno : 0);
}

/* ---- names -------------------------------------------------------------- */

/* Finds or makes the node of ST, with one lookup more; takes FD over. */
static struct node *
node_get(int fd, const struct stat *st)
{
        struct node **at, *n;

        pthread_mutex_lock(&lock);
        at = &bucket[(st->st_ino ^ st->st_dev) % BUCKETS];
        for (n = *at; n != NULL; n = n->next)
                if (n->inode == st->st_ino && n->device == st->st_dev)
                        break;
        if (n != NULL) {
                close(fd);
        } else {
                n = calloc(1, sizeof *n);
                if (n != NULL) {
                        *n = (struct node) { .next = *at, .device = st->st_dev,
                                             .inode = st->st_ino, .fd = fd };
                        *at = n;
                }
        }
        if (n != NULL)
                n->lookups++;
        pthread_mutex_unlock(&lock);
        return n;
}

static void
node_put(fuse_ino_t inode, uint64_t count)
{
        struct node *n = node_of(inode);

        if (n == &root)
                return;
        pthread_mutex_lock(&lock);
        n->lookups -= count;
        const bool unused = n->lookups == 0;
        if (unused) {
                struct node **at = &bucket[(n->inode ^ n->device) % BUCKETS];
                while (*at != n)
                        at = &(*at)->next;
                *at = n->next;
        }
        pthread_mutex_unlock(&lock);
        if (unused) {
                close(n->fd);
                free(n);
        }
}

static bool
look_up(fuse_ino_t parent, const char *name, struct fuse_entry_param *entry)
{
        const int fd = openat(node_of(parent)->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;

        if (fd < 0)
                return false;
        if (fstat(fd, &st) < 0) {
                close(fd);
                return false;
        }
        struct node *n = node_get(fd, &st);
        *entry = (struct fuse_entry_param) {
                .ino = (uintptr_t) n, .generation = 1, .attr = st,
                .attr_timeout = SERVE_TIMEOUT, .entry_timeout = SERVE_TIMEOUT,
        };
        return n != NULL;
}

static void
reply_entry(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct fuse_entry_param entry;

        if (look_up(parent, name, &entry))
                fuse_reply_entry(req, &entry);
        else
                fuse_reply_err(req, errno);
}

static void
op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        reply_entry(req, parent, name);
}

static void
op_forget(fuse_req_t req, fuse_ino_t inode, uint64_t count)
{
        node_put(inode, count);
        fuse_reply_none(req);
}

static void
op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
        for (size_t i = 0; i < count; i++)
                node_put(forgets[i].ino, forgets[i].nlookup);
        fuse_reply_none(req);
}

static void
op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
        if (mkdirat(node_of(parent)->fd, name, mode) < 0)
                fuse_reply_err(req, errno);
        else
                reply_entry(req, parent, name);
}

static void
op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        reply_errno(req, unlinkat(node_of(parent)->fd, name, 0) < 0);
}

static void
op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        reply_errno(req, unlinkat(node_of(parent)->fd, name, AT_REMOVEDIR) < 0);
}

/* ---- directories -------------------------------------------------------- */

static void
op_opendir(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        const int fd = openat(node_of(inode)->fd, ".", O_RDONLY | O_CLOEXEC);
        DIR *directory = fd < 0 ? NULL : fdopendir(fd);

        if (directory == NULL) {
                fuse_reply_err(req, errno);
                return;
        }
        fi->fh = (uintptr_t) directory;
        fuse_reply_open(req, fi);
}

static void
op_releasedir(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        (void) inode;
        closedir((DIR *) (uintptr_t) fi->fh);
        fuse_reply_err(req, 0);
}

/* Bytes of one entry; more than SIZE when it does not fit. */
static size_t
add_entry(fuse_req_t req, fuse_ino_t parent, char *out, size_t size, const struct dirent *d,
          bool plus)
{
        const bool is_dot = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;
        struct fuse_entry_param entry = {
                .attr.st_ino = d->d_ino, .attr.st_mode = DTTOIF(d->d_type),
        };

        if (!plus)
                return fuse_add_direntry(req, out, size, d->d_name, &entry.attr, d->d_off);
        if (!is_dot && !look_up(parent, d->d_name, &entry))
                return 0;
        const size_t length = fuse_add_direntry_plus(req, out, size, d->d_name, &entry, d->d_off);
        if (!is_dot && length > size)
                node_put(entry.ino, 1);
        return length;
}

static void
read_directory(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, DIR *directory,
               bool plus)
{
        char *out = malloc(size);
        const struct dirent *d;
        size_t used = 0;

        if (out == NULL) {
                fuse_reply_err(req, ENOMEM);
                return;
        }
        if (offset != telldir(directory))
                seekdir(directory, offset);
        while ((d = readdir(directory)) != NULL) {
                const size_t length = add_entry(req, inode, out + used, size - used, d, plus);
                if (length > size - used)
                        break;
                used += length;
        }
        fuse_reply_buf(req, out, used);
        free(out);
}

static void
op_readdir(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *fi)
{
        read_directory(req, inode, size, offset, (DIR *) (uintptr_t) fi->fh, false);
}

static void
op_readdirplus(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset,
               struct fuse_file_info *fi)
{
        read_directory(req, inode, size, offset, (DIR *) (uintptr_t) fi->fh, true);
}

/* ---- attributes --------------------------------------------------------- */

static void
op_getattr(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        struct stat st;

        (void) fi;
        if (fstatat(node_of(inode)->fd, "", &st, AT_EMPTY_PATH) < 0)
                fuse_reply_err(req, errno);
        else
                fuse_reply_attr(req, &st, SERVE_TIMEOUT);
}

static bool
set_attributes(const char *path, const struct stat *want, int what)
{
        struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

        if ((what & FUSE_SET_ATTR_MODE) && chmod(path, want->st_mode) < 0)
                return false;
        if ((what & FUSE_SET_ATTR_SIZE) && truncate(path, want->st_size) < 0)
                return false;
        if (what & FUSE_SET_ATTR_ATIME)
                times[0] = want->st_atim;
        if (what & FUSE_SET_ATTR_MTIME)
                times[1] = want->st_mtim;
        return utimensat(AT_FDCWD, path, times, 0) == 0;
}

static void
op_setattr(fuse_req_t req, fuse_ino_t inode, struct stat *want, int what,
           struct fuse_file_info *fi)
{
        char path[64];

        snprintf(path, sizeof path, "/proc/self/fd/%d", node_of(inode)->fd);
        if (set_attributes(path, want, what))
                op_getattr(req, inode, fi);
        else
                fuse_reply_err(req, errno);
}

static void
op_getxattr(fuse_req_t req, fuse_ino_t inode, const char *name, size_t size)
{
        (void) inode;
        (void) name;
        (void) size;
        fuse_reply_err(req, ENODATA);
}

static void
op_statfs(fuse_req_t req, fuse_ino_t inode)
{
        struct statvfs space;

        if (fstatvfs(node_of(inode)->fd, &space) < 0)
                fuse_reply_err(req, errno);
        else
                fuse_reply_statfs(req, &space);
}

/* ---- bytes -------------------------------------------------------------- */

/* With the writeback cache the kernel reads what it writes a part of, and knows itself
 * where the end is. */
static int
flags_below(int flags)
{
        if ((flags & O_ACCMODE) == O_WRONLY)
                flags = (flags & ~O_ACCMODE) | O_RDWR;
        return (flags & ~(O_APPEND | O_NOFOLLOW)) | O_CLOEXEC;
}

static void
op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
          struct fuse_file_info *fi)
{
        struct fuse_entry_param entry;
        const int fd = openat(node_of(parent)->fd, name, flags_below(fi->flags) | O_CREAT, mode);

        if (fd < 0 || !look_up(parent, name, &entry)) {
                fuse_reply_err(req, errno);
                return;
        }
        fi->fh = (uint64_t) fd;
        fi->keep_cache = 1;
        fuse_reply_create(req, &entry, fi);
}

static void
op_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        char path[64];

        snprintf(path, sizeof path, "/proc/self/fd/%d", node_of(inode)->fd);
        const int fd = open(path, flags_below(fi->flags));
        if (fd < 0) {
                fuse_reply_err(req, errno);
                return;
        }
        fi->fh = (uint64_t) fd;
        fi->keep_cache = 1;
        fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
        fuse_reply_open(req, fi);
}

static void
op_release(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        (void) inode;
        close((int) fi->fh);
        fuse_reply_err(req, 0);
}

static void
op_flush(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        (void) inode;
        reply_errno(req, close(dup((int) fi->fh)) < 0);
}

static void
op_fsync(fuse_req_t req, fuse_ino_t inode, int data_only, struct fuse_file_info *fi)
{
        (void) inode;
        reply_errno(req, (data_only ? fdatasync((int) fi->fh) : fsync((int) fi->fh)) < 0);
}

static struct fuse_bufvec
bytes_of(int fd, size_t size, off_t offset)
{
        struct fuse_bufvec v = FUSE_BUFVEC_INIT(size);

        v.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
        v.buf[0].fd = fd;
        v.buf[0].pos = offset;
        return v;
}

static void
op_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *fi)
{
        struct fuse_bufvec from = bytes_of((int) fi->fh, size, offset);

        (void) inode;
        fuse_reply_data(req, &from, FUSE_BUF_SPLICE_MOVE);
}

static void
op_write_buf(fuse_req_t req, fuse_ino_t inode, struct fuse_bufvec *from, off_t offset,
             struct fuse_file_info *fi)
{
        struct fuse_bufvec to = bytes_of((int) fi->fh, fuse_buf_size(from), offset);

        (void) inode;
        const ssize_t put = fuse_buf_copy(&to, from, 0);
        if (put < 0)
                fuse_reply_err(req, (int) -put);
        else
                fuse_reply_write(req, (size_t) put);
}

int
main(int argc, char **argv)
{
        const struct fuse_lowlevel_ops ops = {
                .init = serve_init, .lookup = op_lookup, .forget = op_forget,
                .forget_multi = op_forget_multi, .mkdir = op_mkdir, .unlink = op_unlink,
                .rmdir = op_rmdir, .opendir = op_opendir, .readdir = op_readdir,
                .readdirplus = op_readdirplus, .releasedir = op_releasedir,
                .getattr = op_getattr, .setattr = op_setattr, .getxattr = op_getxattr,
                .statfs = op_statfs, .create = op_create, .open = op_open,
                .release = op_release, .flush = op_flush, .fsync = op_fsync,
                .read = op_read, .write_buf = op_write_buf,
        };
        struct rlimit files;

        if (argc != 3) {
                fprintf(stderr, "Usage: %s DIRECTORY MOUNTPOINT\n", argv[0]);
                return 1;
        }
        root.fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root.fd < 0) {
                perror(argv[1]);
                return 1;
        }
        /* A descriptor for every inode that the kernel knows. */
        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = files.rlim_max;
                setrlimit(RLIMIT_NOFILE, &files);
        }
        umask(0);
        return serve("passthrough", &ops, argv[2]);
}
