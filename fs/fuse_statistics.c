/* fs/fuse_statistics.c - counting and a clock around each operation.
 *
 * The parts of the adapter know nothing of it: their operations are kept aside and
 * called from here.  An operation has answered when it returns, so what is measured is
 * the time to the answer; but for seeks in files that are being written, which a
 * helper answers.
 */
#include <time.h>

#include "fs/fuse_adapter.h"

static struct fuse_lowlevel_ops operations;     /* constant once a mount is made */

static int64_t
now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The request is gone once it has been answered: who counts is asked before. */
#define MEASURED(name, operation, parameters, arguments)                        \
        static void                                                             \
        measured_##name parameters                                              \
        {                                                                       \
                struct statistics *s = adapter_of(req)->statistics;             \
                const int64_t begin = now();                                    \
                                                                                \
                operations.name arguments;                                      \
                statistics_add(s, OPERATION_##operation, now() - begin);        \
        }

MEASURED(lookup, LOOKUP,
         (fuse_req_t req, fuse_ino_t parent, const char *name),
         (req, parent, name))
MEASURED(forget, FORGET,
         (fuse_req_t req, fuse_ino_t inode, uint64_t n),
         (req, inode, n))
MEASURED(forget_multi, FORGET,
         (fuse_req_t req, size_t count, struct fuse_forget_data *forgets),
         (req, count, forgets))
MEASURED(getattr, GETATTR,
         (fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi),
         (req, inode, fi))
MEASURED(setattr, SETATTR,
         (fuse_req_t req, fuse_ino_t inode, struct stat *want, int what,
          struct fuse_file_info *fi),
         (req, inode, want, what, fi))
MEASURED(readlink, READLINK,
         (fuse_req_t req, fuse_ino_t inode),
         (req, inode))
MEASURED(mknod, MKNOD,
         (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device),
         (req, parent, name, mode, device))
MEASURED(mkdir, MKDIR,
         (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode),
         (req, parent, name, mode))
MEASURED(unlink, UNLINK,
         (fuse_req_t req, fuse_ino_t parent, const char *name),
         (req, parent, name))
MEASURED(rmdir, RMDIR,
         (fuse_req_t req, fuse_ino_t parent, const char *name),
         (req, parent, name))
MEASURED(symlink, SYMLINK,
         (fuse_req_t req, const char *target, fuse_ino_t parent, const char *name),
         (req, target, parent, name))
MEASURED(rename, RENAME,
         (fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
          const char *new_name, unsigned flags),
         (req, parent, name, new_parent, new_name, flags))
MEASURED(link, LINK,
         (fuse_req_t req, fuse_ino_t inode, fuse_ino_t parent, const char *name),
         (req, inode, parent, name))
MEASURED(open, OPEN,
         (fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi),
         (req, inode, fi))
MEASURED(create, CREATE,
         (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
          struct fuse_file_info *fi),
         (req, parent, name, mode, fi))
MEASURED(release, RELEASE,
         (fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi),
         (req, inode, fi))
MEASURED(fsync, FSYNC,
         (fuse_req_t req, fuse_ino_t inode, int data_only, struct fuse_file_info *fi),
         (req, inode, data_only, fi))
MEASURED(opendir, OPENDIR,
         (fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi),
         (req, inode, fi))
MEASURED(readdir, READDIR,
         (fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset,
          struct fuse_file_info *fi),
         (req, inode, size, offset, fi))
MEASURED(readdirplus, READDIR,
         (fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset,
          struct fuse_file_info *fi),
         (req, inode, size, offset, fi))
MEASURED(releasedir, RELEASE,
         (fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi),
         (req, inode, fi))
MEASURED(fsyncdir, FSYNC,
         (fuse_req_t req, fuse_ino_t inode, int data_only, struct fuse_file_info *fi),
         (req, inode, data_only, fi))
MEASURED(statfs, STATFS,
         (fuse_req_t req, fuse_ino_t inode),
         (req, inode))
MEASURED(setxattr, SETXATTR,
         (fuse_req_t req, fuse_ino_t inode, const char *name, const char *value, size_t size,
          int flags),
         (req, inode, name, value, size, flags))
MEASURED(getxattr, GETXATTR,
         (fuse_req_t req, fuse_ino_t inode, const char *name, size_t size),
         (req, inode, name, size))
MEASURED(listxattr, LISTXATTR,
         (fuse_req_t req, fuse_ino_t inode, size_t size),
         (req, inode, size))
MEASURED(removexattr, REMOVEXATTR,
         (fuse_req_t req, fuse_ino_t inode, const char *name),
         (req, inode, name))
MEASURED(fallocate, FALLOCATE,
         (fuse_req_t req, fuse_ino_t inode, int mode, off_t offset, off_t length,
          struct fuse_file_info *fi),
         (req, inode, mode, offset, length, fi))
MEASURED(lseek, LSEEK,
         (fuse_req_t req, fuse_ino_t inode, off_t offset, int whence,
          struct fuse_file_info *fi),
         (req, inode, offset, whence, fi))
MEASURED(copy_file_range, COPY,
         (fuse_req_t req, fuse_ino_t from, off_t from_offset, struct fuse_file_info *from_fi,
          fuse_ino_t to, off_t to_offset, struct fuse_file_info *to_fi, size_t length,
          int flags),
         (req, from, from_offset, from_fi, to, to_offset, to_fi, length, flags))

static void
measured_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset,
              struct fuse_file_info *fi)
{
        struct statistics *s = adapter_of(req)->statistics;
        const int64_t begin = now();

        operations.read(req, inode, size, offset, fi);
        statistics_add(s, OPERATION_READ, now() - begin);
        statistics_add_read(s, size);
}

static void
measured_write(fuse_req_t req, fuse_ino_t inode, const char *data, size_t size, off_t offset,
               struct fuse_file_info *fi)
{
        struct statistics *s = adapter_of(req)->statistics;
        const int64_t begin = now();

        operations.write(req, inode, data, size, offset, fi);
        statistics_add(s, OPERATION_WRITE, now() - begin);
        statistics_add_written(s, size);
}

static void
measured_write_buf(fuse_req_t req, fuse_ino_t inode, struct fuse_bufvec *data, off_t offset,
                   struct fuse_file_info *fi)
{
        struct statistics *s = adapter_of(req)->statistics;
        const size_t size = fuse_buf_size(data);
        const int64_t begin = now();

        operations.write_buf(req, inode, data, offset, fi);
        statistics_add(s, OPERATION_WRITE, now() - begin);
        statistics_add_written(s, size);
}

void
adapter_measure_operations(struct fuse_lowlevel_ops *ops)
{
        operations = *ops;
#define MEASURE(name)                                   \
        do {                                            \
                if (ops->name != NULL)                  \
                        ops->name = measured_##name;    \
        } while (0)
        MEASURE(lookup);
        MEASURE(forget);
        MEASURE(forget_multi);
        MEASURE(getattr);
        MEASURE(setattr);
        MEASURE(readlink);
        MEASURE(mknod);
        MEASURE(mkdir);
        MEASURE(unlink);
        MEASURE(rmdir);
        MEASURE(symlink);
        MEASURE(rename);
        MEASURE(link);
        MEASURE(open);
        MEASURE(create);
        MEASURE(read);
        MEASURE(write);
        MEASURE(write_buf);
        MEASURE(release);
        MEASURE(fsync);
        MEASURE(opendir);
        MEASURE(readdir);
        MEASURE(readdirplus);
        MEASURE(releasedir);
        MEASURE(fsyncdir);
        MEASURE(statfs);
        MEASURE(setxattr);
        MEASURE(getxattr);
        MEASURE(listxattr);
        MEASURE(removexattr);
        MEASURE(fallocate);
        MEASURE(lseek);
        MEASURE(copy_file_range);
#undef MEASURE
}
