/*
 * mount_options.c - the words after -o.
 */

#include "tools/mount_options.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "tools/tool.h"

#define READ_AHEAD_KIB 1024
#define METRICS_SECONDS 15
#define SECONDS_MAX 86400.0
#define THREADS_MAX 1024

void mount_options_init(struct mount_options *m)
{
        *m = (struct mount_options){
                .fuse.read_ahead_kib = READ_AHEAD_KIB,
                .fuse.guard = true,
                .fuse.metrics_interval = METRICS_SECONDS,
                .kernel = strdup(""),
                .allow_other = geteuid() == 0,
        };
}

void mount_options_free(struct mount_options *m)
{
        free(m->kernel);
        free(m->log.file);
        free(m->metrics);
}

/* ---- values ---- */

/* A number of bytes, with K, M, G or T behind it. */
static bool parse_size(const char *text, uint64_t *out)
{
        static const char units[] = "KMGT";
        const char *unit;
        char *end;
        unsigned long long v;

        errno = 0;
        v = strtoull(text, &end, 10);
        if (errno != 0 || end == text || *text == '-')
                return false;
        unit = *end != '\0' ? strchr(units, *end) : NULL;
        if (unit != NULL) {
                const unsigned shift = 10 * (unsigned)(unit - units + 1);

                if (v > UINT64_MAX >> shift)
                        return false;
                v <<= shift;
                end++;
        }
        *out = v;
        return *end == '\0';
}

static bool parse_count(const char *text, unsigned max, unsigned *out)
{
        char *end;
        unsigned long v;

        errno = 0;
        v = strtoul(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0' || *text == '-' ||
            v > max)
                return false;
        *out = (unsigned)v;
        return true;
}

static bool parse_seconds(const char *text, double *out)
{
        char *end;
        const double v = strtod(text, &end);

        if (end == text || *end != '\0' || !(v >= 0 && v <= SECONDS_MAX))
                return false;
        *out = v;
        return true;
}

/* close or idle:SECONDS */
static bool parse_seal(const char *text, double *delay)
{
        if (strcmp(text, "close") == 0) {
                *delay = 0;
                return true;
        }
        return strncmp(text, "idle:", 5) == 0 && parse_seconds(text + 5, delay);
}

/* The process of the mount works in "/". */
static bool parse_path(const char *text, char **out)
{
        char path[PATH_MAX];

        if (*text == '/' || getcwd(path, sizeof path) == NULL)
                path[0] = '\0';
        free(*out);
        if (asprintf(out, "%s%s%s", path, *path != '\0' ? "/" : "", text) < 0)
                *out = NULL;
        return *out != NULL && *text != '\0';
}

static bool parse_log(const char *text, struct mount_log *log)
{
        if (strcmp(text, "stderr") == 0)
                log->sink = MOUNT_LOG_STDERR;
        else if (strcmp(text, "syslog") == 0)
                log->sink = MOUNT_LOG_SYSLOG;
        else
                log->sink = MOUNT_LOG_FILE;
        return log->sink != MOUNT_LOG_FILE || parse_path(text, &log->file);
}

static bool parse_log_level(const char *text)
{
        enum log_level level;

        if (!log_level_parse(text, &level))
                return false;
        log_set_level(level);
        return true;
}

/* ---- options ---- */

enum taken { TAKEN, WRONG, NOT_OURS };

static enum taken take_value(struct mount_options *m, const char *name,
                             const char *value)
{
        struct store_options *store = &m->fuse.store_options;
        bool good;

        if (strcmp(name, "cache") == 0)
                good = parse_size(value, &store->cache_bytes);
        else if (strcmp(name, "commit") == 0)
                good = parse_seconds(value, &store->commit_interval);
        else if (strcmp(name, "seal") == 0)
                good = parse_seal(value, &store->seal_delay);
        else if (strcmp(name, "threads") == 0)
                good = parse_count(value, THREADS_MAX, &m->fuse.threads);
        else if (strcmp(name, "names") == 0)
                good = parse_count(value, 1u << 30, &m->fuse.names);
        else if (strcmp(name, "encoders") == 0)
                good = parse_count(value, THREADS_MAX, &store->seal_threads);
        else if (strcmp(name, "read_ahead") == 0)
                good = parse_count(value, 1u << 20, &m->fuse.read_ahead_kib);
        else if (strcmp(name, "log") == 0)
                good = parse_log(value, &m->log);
        else if (strcmp(name, "metrics") == 0)
                good = parse_path(value, &m->metrics);
        else if (strcmp(name, "metrics_interval") == 0)
                good = parse_seconds(value, &m->fuse.metrics_interval) &&
                       m->fuse.metrics_interval >= 0.1;
        else if (strcmp(name, "loglevel") == 0)
                good = parse_log_level(value);
        else
                return NOT_OURS;
        return good ? TAKEN : WRONG;
}

static enum taken take_word(struct mount_options *m, const char *word)
{
        if (strcmp(word, "ro") == 0)
                m->fuse.store_options.read_only = true;
        else if (strcmp(word, "rw") == 0)
                m->fuse.store_options.read_only = false;
        else if (strcmp(word, "drain") == 0)
                m->fuse.drain = true;
        else if (strcmp(word, "auto_unmount") == 0)
                m->fuse.guard = true;
        else if (strcmp(word, "no_auto_unmount") == 0)
                m->fuse.guard = false;
        else if (strcmp(word, "allow_other") == 0)
                m->allow_other = true;
        else if (strcmp(word, "no_allow_other") == 0)
                m->allow_other = false;
        else
                return NOT_OURS;
        return TAKEN;
}

/* Words for mount(8) and systemd, which they pass on. */
static bool is_for_others(const char *word)
{
        static const char *const words[] = {
                "defaults", "auto", "noauto", "user", "nouser", "users",
                "owner", "group", "nofail", "_netdev", "default_permissions",
        };
        size_t i;

        for (i = 0; i < sizeof words / sizeof *words; i++)
                if (strcmp(word, words[i]) == 0)
                        return true;
        return strncmp(word, "x-", 2) == 0 || strncmp(word, "X-", 2) == 0 ||
               strncmp(word, "comment=", 8) == 0;
}

static bool add_kernel_option(struct mount_options *m, const char *word)
{
        char *longer;

        if (asprintf(&longer, "%s%s%s", m->kernel,
                     *m->kernel != '\0' ? "," : "", word) < 0)
                return false;
        free(m->kernel);
        m->kernel = longer;
        return true;
}

static bool take_option(struct mount_options *m, char *word)
{
        char *equals = strchr(word, '=');
        enum taken taken;

        if (*word == '\0' || is_for_others(word))
                return true;
        if (equals == NULL) {
                taken = take_word(m, word);
        } else {
                *equals = '\0';
                taken = take_value(m, word, equals + 1);
                *equals = '=';
        }
        if (taken == WRONG)
                tool_usage_error("mount", "'%s' is no option it can have",
                                 word);
        if (taken == NOT_OURS)
                return add_kernel_option(m, word);
        return taken == TAKEN;
}

bool mount_options_parse(struct mount_options *m, const char *list)
{
        char *copy = strdup(list);
        char *rest = copy, *word;
        bool good = copy != NULL;

        while (good && (word = strsep(&rest, ",")) != NULL)
                good = take_option(m, word);
        free(copy);
        return good;
}

void mount_options_finish(struct mount_options *m)
{
        if (m->allow_other)
                add_kernel_option(m, "allow_other");
        m->fuse.metrics_file = m->metrics;
}
