/* fs/statistics.h - how often the operations of a mount were asked for, and how long they took.
 *
 * Counters are kept in stripes, a thread always using the same, so that counting is
 * a few relaxed additions that no other processor wants.  Sums are taken when somebody reads;
 * what is counted meanwhile may be in one figure and not yet in another.
 *
 * Thread safety: all functions from any thread.
 */
#ifndef CAEFS_FS_STATISTICS_H
#define CAEFS_FS_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

enum statistics_operation {
        OPERATION_LOOKUP, OPERATION_FORGET, OPERATION_GETATTR, OPERATION_SETATTR,
        OPERATION_READLINK, OPERATION_MKNOD, OPERATION_MKDIR, OPERATION_UNLINK, OPERATION_RMDIR,
        OPERATION_SYMLINK, OPERATION_RENAME, OPERATION_LINK, OPERATION_OPEN, OPERATION_CREATE,
        OPERATION_READ, OPERATION_WRITE, OPERATION_RELEASE, OPERATION_FSYNC,
        OPERATION_OPENDIR, OPERATION_READDIR, OPERATION_STATFS, OPERATION_SETXATTR,
        OPERATION_GETXATTR, OPERATION_LISTXATTR, OPERATION_REMOVEXATTR, OPERATION_FALLOCATE,
        OPERATION_LSEEK, OPERATION_COPY,
        OPERATION_COUNT
};
const char *statistics_operation_name(enum statistics_operation operation);

/* Bucket B counts durations of less than 2^B microseconds and not less than half that; the last
 * one all that are longer. */
#define STATISTICS_BUCKETS 25
#define STATISTICS_ERRNOS  140          /* greater ones are counted as the last */

struct statistics;

struct statistics *statistics_new(void);        /* NULL when memory is out */
void               statistics_free(struct statistics *s);

void statistics_add(struct statistics *s, enum statistics_operation operation,
                    int64_t nanoseconds);
void statistics_add_read(struct statistics *s, uint64_t bytes);
void statistics_add_written(struct statistics *s, uint64_t bytes);
void statistics_add_error(struct statistics *s, int errno_value);

struct statistics_sum {
        struct statistics_durations {
                uint64_t count;
                uint64_t nanoseconds;
                uint64_t bucket[STATISTICS_BUCKETS];
        } operation[OPERATION_COUNT];
        uint64_t read_bytes, written_bytes;
        uint64_t error[STATISTICS_ERRNOS];
};
void statistics_read(const struct statistics *s, struct statistics_sum *out);

/* Microseconds that the FRACTION of durations did not exceed, rounded up to the end of a
 * bucket; 0 when there were none. */
double statistics_quantile(const struct statistics_durations *d, double fraction);

#endif
