/* fs/statistics.c - striped counters. */
#include "fs/statistics.h"

#include <stdatomic.h>
#include <stdlib.h>

#define STRIPES 16

static const char *const names[OPERATION_COUNT] = {
        "lookup", "forget", "getattr", "setattr", "readlink", "mknod", "mkdir", "unlink", "rmdir",
        "symlink", "rename", "link", "open", "create", "read", "write", "release",
        "fsync", "opendir", "readdir", "statfs", "setxattr", "getxattr", "listxattr",
        "removexattr", "fallocate", "lseek", "copy",
};

struct stripe {
        _Alignas(64) _Atomic uint64_t nanoseconds[OPERATION_COUNT];
        _Atomic uint64_t bucket[OPERATION_COUNT][STATISTICS_BUCKETS];
        _Atomic uint64_t read_bytes, written_bytes;
        _Atomic uint64_t error[STATISTICS_ERRNOS];
};

struct statistics {
        struct stripe stripe[STRIPES];
};

const char *
statistics_operation_name(enum statistics_operation operation)
{
        return names[operation];
}

struct statistics *
statistics_new(void)
{
        struct statistics *s = aligned_alloc(64, sizeof *s);

        if (s != NULL)
                *s = (struct statistics) { 0 };
        return s;
}

void
statistics_free(struct statistics *s)
{
        free(s);
}

/* That of the calling thread. */
static struct stripe *
own_stripe(struct statistics *s)
{
        static _Atomic unsigned threads;
        static _Thread_local unsigned number;   /* 0: none yet */

        if (number == 0)
                number = 1 + atomic_fetch_add(&threads, 1) % STRIPES;
        return &s->stripe[number - 1];
}

static void
add(_Atomic uint64_t *counter, uint64_t n)
{
        atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t
get(const _Atomic uint64_t *counter)
{
        return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- counting ----------------------------------------------------------- */

static unsigned
bucket_of(uint64_t nanoseconds)
{
        const uint64_t microseconds = nanoseconds / 1000;
        const unsigned bits = microseconds == 0
                                      ? 0 : 64 - (unsigned) __builtin_clzll(microseconds);

        return bits < STATISTICS_BUCKETS ? bits : STATISTICS_BUCKETS - 1;
}

void
statistics_add(struct statistics *s, enum statistics_operation operation, int64_t nanoseconds)
{
        struct stripe *own = own_stripe(s);
        const uint64_t n = nanoseconds > 0 ? (uint64_t) nanoseconds : 0;

        add(&own->nanoseconds[operation], n);
        add(&own->bucket[operation][bucket_of(n)], 1);
}

void
statistics_add_read(struct statistics *s, uint64_t bytes)
{
        add(&own_stripe(s)->read_bytes, bytes);
}

void
statistics_add_written(struct statistics *s, uint64_t bytes)
{
        add(&own_stripe(s)->written_bytes, bytes);
}

void
statistics_add_error(struct statistics *s, int errno_value)
{
        if (errno_value < 0 || errno_value >= STATISTICS_ERRNOS)
                errno_value = STATISTICS_ERRNOS - 1;
        add(&own_stripe(s)->error[errno_value], 1);
}

/* ---- reading ------------------------------------------------------------ */

static void
sum_operation(const struct stripe *stripe, int operation, struct statistics_durations *d)
{
        d->nanoseconds += get(&stripe->nanoseconds[operation]);
        for (int b = 0; b < STATISTICS_BUCKETS; b++) {
                const uint64_t n = get(&stripe->bucket[operation][b]);

                d->bucket[b] += n;
                d->count += n;
        }
}

void
statistics_read(const struct statistics *s, struct statistics_sum *out)
{
        *out = (struct statistics_sum) { 0 };
        for (const struct stripe *stripe = s->stripe; stripe < s->stripe + STRIPES; stripe++) {
                for (int operation = 0; operation < OPERATION_COUNT; operation++)
                        sum_operation(stripe, operation, &out->operation[operation]);
                out->read_bytes += get(&stripe->read_bytes);
                out->written_bytes += get(&stripe->written_bytes);
                for (int e = 0; e < STATISTICS_ERRNOS; e++)
                        out->error[e] += get(&stripe->error[e]);
        }
}

double
statistics_quantile(const struct statistics_durations *d, double fraction)
{
        double left = fraction * (double) d->count;

        if (d->count == 0)
                return 0;
        for (int b = 0; b < STATISTICS_BUCKETS; b++) {
                left -= (double) d->bucket[b];
                if (left <= 0)
                        return (double) (UINT64_C(1) << b);
        }
        return (double) (UINT64_C(1) << STATISTICS_BUCKETS);
}
