/* fs/metrics.h - the figures of a mount, for people, programs and Prometheus.
 *
 * One collection has three forms.  Text: a table of operations and a line a figure.  JSON: one
 * object with "output_version", the same names, "operations", "errors" and "fallbacks".
 * Prometheus: its text format 0.0.4; names begin with caefs_, and durations are a histogram.
 *
 * Thread safety: all functions from any thread.
 */
#ifndef CAEFS_FS_METRICS_H
#define CAEFS_FS_METRICS_H

#include <jansson.h>
#include <time.h>

#include "common/bytes.h"
#include "fs/statistics.h"
#include "fs/store.h"

struct metrics_of {
        struct store            *store;
        const struct statistics *statistics;
        const char              *store_path;
        const char              *mountpoint;
        struct timespec          since;         /* when it was mounted: wall clock */
        uint64_t                 open_files;
};

enum caefs_err metrics_text(const struct metrics_of *m, struct bytes *out);
enum caefs_err metrics_json(const struct metrics_of *m, json_t **out);
enum caefs_err metrics_prometheus(const struct metrics_of *m, struct bytes *out);

/* Prometheus's form in FILE, which is replaced whole: nobody ever reads half of one. */
enum caefs_err metrics_write(const struct metrics_of *m, const char *file);

#endif
