/* fs/metrics.c - plain figures are a table; operations, errors and reasons have labels. */
#include "fs/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/describe.h"

struct collected {
        struct statistics_sum operations;
        struct store_counts   counts;
        struct store_totals   totals;
        uint64_t              open_files, resident_bytes, free_bytes, start_seconds;
};

static const struct figure {
        const char *name;
        const char *type;               /* of Prometheus; a counter's name ends in _total there */
        const char *help;
        size_t      offset;             /* of a uint64_t in struct collected */
} figures[] = {
#define FIGURE(name, type, member, help) \
        { name, type, help, offsetof(struct collected, member) }
        FIGURE("read_bytes", "counter", operations.read_bytes, "bytes that reads asked for"),
        FIGURE("written_bytes", "counter", operations.written_bytes, "bytes that were written"),
        FIGURE("cache_hits", "counter", counts.cache_hits, "decoded chunks found in memory"),
        FIGURE("cache_misses", "counter", counts.cache_misses, "chunks that had to be decoded"),
        FIGURE("cache_evictions", "counter", counts.cache_evictions,
               "decoded chunks that made room"),
        FIGURE("cache_bytes", "gauge", counts.cache_bytes, "decoded chunks in memory"),
        FIGURE("cache_limit_bytes", "gauge", counts.cache_limit_bytes,
               "what decoded chunks may take"),
        FIGURE("seals_done", "counter", counts.seals_done, "files that were sealed"),
        FIGURE("seals_failed", "counter", counts.seals_failed, "attempts that failed"),
        FIGURE("seals_waiting", "gauge", counts.seals_waiting,
               "files that wait to be sealed, or are being"),
        FIGURE("sealed_bytes", "counter", counts.sealed_bytes, "logical bytes of files sealed"),
        FIGURE("sealed_stored_bytes", "counter", counts.sealed_stored_bytes,
               "what those take in the store"),
        FIGURE("files", "gauge", totals.files, "regular files of the store"),
        FIGURE("logical_bytes", "gauge", totals.logical_bytes, "their size"),
        FIGURE("staged_files", "gauge", totals.staged_files, "of them, those not sealed yet"),
        FIGURE("staged_bytes", "gauge", totals.staged_bytes, "the size of these"),
        FIGURE("objects", "gauge", totals.objects, "sealed contents"),
        FIGURE("stored_bytes", "gauge", totals.stored_bytes, "what sealed contents take"),
        FIGURE("models", "gauge", totals.models, "trained models of the store"),
        FIGURE("model_bytes", "gauge", totals.model_bytes, "what they take"),
        FIGURE("free_bytes", "gauge", free_bytes, "room on the file system below"),
        FIGURE("open_files", "gauge", open_files, "open files"),
        FIGURE("inodes_in_memory", "gauge", counts.inodes, "inodes in memory"),
        FIGURE("names_in_memory", "gauge", counts.names, "names in memory"),
        FIGURE("resident_bytes", "gauge", resident_bytes, "memory of the process"),
        FIGURE("start_time_seconds", "gauge", start_seconds, "when it was mounted, since 1970"),
#undef FIGURE
};
#define FIGURES (sizeof figures / sizeof *figures)

static uint64_t
value_of(const struct collected *c, const struct figure *f)
{
        uint64_t v;

        memcpy(&v, (const char *) c + f->offset, sizeof v);
        return v;
}

/* ---- collecting --------------------------------------------------------- */

static uint64_t
resident_bytes(void)
{
        uint64_t pages = 0;
        FILE *f = fopen("/proc/self/statm", "re");

        if (f == NULL)
                return 0;
        if (fscanf(f, "%*u %" SCNu64, &pages) != 1)
                pages = 0;
        fclose(f);
        return pages * (uint64_t) sysconf(_SC_PAGESIZE);
}

static enum caefs_err
collect(const struct metrics_of *m, struct collected *out)
{
        struct statvfs space;
        enum caefs_err err = store_totals(m->store, false, &out->totals);

        if (err != CAEFS_OK)
                return err;
        statistics_read(m->statistics, &out->operations);
        store_counts(m->store, &out->counts);
        out->open_files = m->open_files;
        out->resident_bytes = resident_bytes();
        out->start_seconds = (uint64_t) m->since.tv_sec;
        out->free_bytes = 0;
        if (store_statfs(m->store, &space) == CAEFS_OK)
                out->free_bytes = (uint64_t) space.f_bavail * space.f_frsize;
        return CAEFS_OK;
}

static const char *
errno_name(int number, char text[16])
{
        const char *name = strerrorname_np(number);

        if (name != NULL)
                return name;
        snprintf(text, 16, "%d", number);
        return text;
}

__attribute__((format(printf, 2, 3)))
static void
put(struct bytes *out, const char *format, ...)
{
        va_list arguments;
        char *text;
        int n;

        va_start(arguments, format);
        n = vasprintf(&text, format, arguments);
        va_end(arguments);
        if (n < 0) {
                out->failed = true;
                return;
        }
        bytes_put(out, text, (size_t) n);
        free(text);
}

/* ---- text --------------------------------------------------------------- */

static double
mean_microseconds(const struct statistics_durations *d)
{
        return d->count > 0 ? (double) d->nanoseconds / 1e3 / (double) d->count : 0;
}

static void
put_operations(struct bytes *out, const struct statistics_sum *sum)
{
        put(out, "%-12s %12s %12s %10s %10s\n", "OPERATION", "COUNT", "MEAN us", "50% <= us",
            "99% <= us");
        for (int i = 0; i < OPERATION_COUNT; i++) {
                const struct statistics_durations *d = &sum->operation[i];

                if (d->count > 0)
                        put(out, "%-12s %12" PRIu64 " %12.1f %10.0f %10.0f\n",
                            statistics_operation_name(i), d->count, mean_microseconds(d),
                            statistics_quantile(d, 0.5), statistics_quantile(d, 0.99));
        }
        put(out, "\n");
}

enum caefs_err
metrics_text(const struct metrics_of *m, struct bytes *out)
{
        struct collected c;
        char number[16];
        enum caefs_err err = collect(m, &c);

        if (err != CAEFS_OK)
                return err;
        put_operations(out, &c.operations);
        for (size_t i = 0; i < FIGURES; i++)
                put(out, "%s %" PRIu64 "\n", figures[i].name, value_of(&c, &figures[i]));
        for (int e = 0; e < STATISTICS_ERRNOS; e++)
                if (c.operations.error[e] > 0)
                        put(out, "error %s %" PRIu64 "\n", errno_name(e, number),
                            c.operations.error[e]);
        for (unsigned i = 0; i < c.totals.fallbacks; i++)
                put(out, "fallback %" PRIu64 " %s\n", c.totals.fallback[i].objects,
                    c.totals.fallback[i].reason);
        return out->failed ? CAEFS_ERR_NOMEM : CAEFS_OK;
}

/* ---- JSON --------------------------------------------------------------- */

static json_t *
integer(uint64_t v)
{
        return json_integer((json_int_t) v);
}

/* JSON has no words for a path that is no UTF-8. */
static json_t *
json_of_path(const char *path)
{
        json_t *text = json_string(path);

        return text != NULL ? text : json_null();
}

static json_t *
json_of_operations(const struct statistics_sum *sum)
{
        json_t *all = json_object();

        for (int i = 0; i < OPERATION_COUNT; i++) {
                const struct statistics_durations *d = &sum->operation[i];
                json_t *buckets;

                if (d->count == 0)
                        continue;
                buckets = json_array();
                for (int b = 0; b < STATISTICS_BUCKETS; b++)
                        json_array_append_new(buckets, integer(d->bucket[b]));
                json_object_set_new(all, statistics_operation_name(i), json_pack(
                        "{s:o, s:f, s:f, s:f, s:f, s:o}", "count", integer(d->count),
                        "seconds", (double) d->nanoseconds / 1e9,
                        "mean_us", mean_microseconds(d),
                        "p50_us", statistics_quantile(d, 0.5),
                        "p99_us", statistics_quantile(d, 0.99),
                        "buckets", buckets));
        }
        return all;
}

static json_t *
json_of_errors(const struct statistics_sum *sum)
{
        json_t *all = json_object();
        char number[16];

        for (int e = 0; e < STATISTICS_ERRNOS; e++)
                if (sum->error[e] > 0)
                        json_object_set_new(all, errno_name(e, number), integer(sum->error[e]));
        return all;
}

static json_t *
json_of_fallbacks(const struct store_totals *t)
{
        json_t *all = json_object();

        for (unsigned i = 0; i < t->fallbacks; i++)
                json_object_set_new(all, t->fallback[i].reason, integer(t->fallback[i].objects));
        return all;
}

enum caefs_err
metrics_json(const struct metrics_of *m, json_t **out)
{
        struct collected c;
        enum caefs_err err = collect(m, &c);

        *out = NULL;
        if (err != CAEFS_OK)
                return err;
        *out = json_pack("{s:i, s:s, s:o, s:o, s:o, s:o, s:o}",
                         "output_version", DESCRIBE_VERSION, "version", PACKAGE_VERSION,
                         "store", json_of_path(m->store_path),
                         "mountpoint", json_of_path(m->mountpoint),
                         "operations", json_of_operations(&c.operations),
                         "errors", json_of_errors(&c.operations),
                         "fallbacks", json_of_fallbacks(&c.totals));
        if (*out == NULL)
                return CAEFS_ERR_NOMEM;
        for (size_t i = 0; i < FIGURES; i++)
                json_object_set_new(*out, figures[i].name, integer(value_of(&c, &figures[i])));
        return CAEFS_OK;
}

/* ---- Prometheus --------------------------------------------------------- */

static void
put_label(struct bytes *out, const char *value)
{
        for (; *value != '\0'; value++)
                if (*value == '\\' || *value == '"')
                        put(out, "\\%c", *value);
                else if (*value == '\n')
                        put(out, "\\n");
                else
                        put(out, "%c", *value);
}

static void
put_histograms(struct bytes *out, const struct statistics_sum *sum)
{
        put(out, "# HELP caefs_operation_seconds how long requests took\n"
                 "# TYPE caefs_operation_seconds histogram\n");
        for (int i = 0; i < OPERATION_COUNT; i++) {
                const struct statistics_durations *d = &sum->operation[i];
                const char *name = statistics_operation_name(i);
                uint64_t sofar = 0;

                if (d->count == 0)
                        continue;
                for (int b = 0; b + 1 < STATISTICS_BUCKETS; b++) {
                        sofar += d->bucket[b];
                        put(out, "caefs_operation_seconds_bucket{operation=\"%s\",le=\"%g\"} %"
                            PRIu64 "\n", name, (double) (UINT64_C(1) << b) / 1e6, sofar);
                }
                put(out, "caefs_operation_seconds_bucket{operation=\"%s\",le=\"+Inf\"} %" PRIu64
                    "\n", name, d->count);
                put(out, "caefs_operation_seconds_sum{operation=\"%s\"} %.9f\n", name,
                    (double) d->nanoseconds / 1e9);
                put(out, "caefs_operation_seconds_count{operation=\"%s\"} %" PRIu64 "\n", name,
                    d->count);
        }
}

static void
put_labelled(struct bytes *out, const struct collected *c)
{
        char number[16];

        put(out, "# HELP caefs_errors_total requests that failed\n"
                 "# TYPE caefs_errors_total counter\n");
        for (int e = 0; e < STATISTICS_ERRNOS; e++)
                if (c->operations.error[e] > 0)
                        put(out, "caefs_errors_total{errno=\"%s\"} %" PRIu64 "\n",
                            errno_name(e, number), c->operations.error[e]);
        put(out, "# HELP caefs_fallback_objects sealed contents of which a part is not within a"
                 " bound\n# TYPE caefs_fallback_objects gauge\n");
        for (unsigned i = 0; i < c->totals.fallbacks; i++) {
                put(out, "caefs_fallback_objects{reason=\"");
                put_label(out, c->totals.fallback[i].reason);
                put(out, "\"} %" PRIu64 "\n", c->totals.fallback[i].objects);
        }
}

enum caefs_err
metrics_prometheus(const struct metrics_of *m, struct bytes *out)
{
        struct collected c;
        enum caefs_err err = collect(m, &c);

        if (err != CAEFS_OK)
                return err;
        put(out, "# HELP caefs_info what is mounted where\n# TYPE caefs_info gauge\n"
                 "caefs_info{version=\"%s\",store=\"", PACKAGE_VERSION);
        put_label(out, m->store_path);
        put(out, "\",mountpoint=\"");
        put_label(out, m->mountpoint);
        put(out, "\"} 1\n");
        put_histograms(out, &c.operations);
        put_labelled(out, &c);
        for (size_t i = 0; i < FIGURES; i++) {
                const struct figure *f = &figures[i];
                const char *total = strcmp(f->type, "counter") == 0 ? "_total" : "";

                put(out, "# HELP caefs_%s%s %s\n# TYPE caefs_%s%s %s\ncaefs_%s%s %" PRIu64 "\n",
                    f->name, total, f->help, f->name, total, f->type, f->name, total,
                    value_of(&c, f));
        }
        return out->failed ? CAEFS_ERR_NOMEM : CAEFS_OK;
}

/* ---- the file ----------------------------------------------------------- */

static enum caefs_err
write_all(int fd, const struct bytes *b, const char *name)
{
        size_t done = 0;

        while (done < b->size) {
                const ssize_t n = write(fd, b->data + done, b->size - done);

                if (n < 0 && errno != EINTR)
                        return caefs_fail_errno("%s", name);
                if (n > 0)
                        done += (size_t) n;
        }
        return CAEFS_OK;
}

/* Made beside FILE and renamed.  A crash may lose it: it is written again soon. */
static enum caefs_err
replace_file(const char *file, const struct bytes *content)
{
        char *temporary;
        enum caefs_err err;
        int fd;

        if (asprintf(&temporary, "%s.%ld", file, (long) getpid()) < 0)
                return CAEFS_ERR_NOMEM;
        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0) {
                err = caefs_fail_errno("%s", temporary);
                free(temporary);
                return err;
        }
        err = write_all(fd, content, temporary);
        if (close(fd) != 0 && err == CAEFS_OK)
                err = caefs_fail_errno("%s", temporary);
        if (err == CAEFS_OK && rename(temporary, file) != 0)
                err = caefs_fail_errno("%s", file);
        if (err != CAEFS_OK)
                unlink(temporary);
        free(temporary);
        return err;
}

enum caefs_err
metrics_write(const struct metrics_of *m, const char *file)
{
        struct bytes text = { 0 };
        enum caefs_err err = metrics_prometheus(m, &text);

        if (err == CAEFS_OK)
                err = replace_file(file, &text);
        bytes_free(&text);
        return err;
}
