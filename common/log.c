/* common/log.c - a line is made whole and written by one call, so lines never mix. */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES   1024
#define LINES_PER_SECOND 10

enum sink { SINK_STDERR, SINK_JOURNAL, SINK_SYSLOG, SINK_FILE };

static const struct {
        const char *name;
        int         priority;           /* of syslog(3) and sd-daemon(3) */
} levels[] = {
        [LOG_LEVEL_ERROR] = { "error", LOG_ERR },
        [LOG_LEVEL_WARNING] = { "warning", LOG_WARNING },
        [LOG_LEVEL_INFO] = { "info", LOG_INFO },
        [LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};

static _Atomic int sink = SINK_STDERR;
static _Atomic int highest = LOG_LEVEL_INFO;
static _Atomic int file = -1;           /* never closed once it is open: others may be writing */

bool
log_level_parse(const char *text, enum log_level *level)
{
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
                if (strcmp(text, levels[i].name) == 0) {
                        *level = (enum log_level) i;
                        return true;
                }
        return false;
}

void
log_set_level(enum log_level level)
{
        atomic_store(&highest, (int) level);
}

bool
log_is_on(enum log_level level)
{
        return (int) level <= atomic_load_explicit(&highest, memory_order_relaxed);
}

/* ---- where it goes ------------------------------------------------------ */

/* systemd says which stream its journal reads: "DEVICE:INODE". */
static bool
stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        char here[64];
        struct stat st;

        if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
                return false;
        snprintf(here, sizeof here, "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        return strcmp(stream, here) == 0;
}

void
log_to_stderr(void)
{
        atomic_store(&sink, stderr_is_journal() ? SINK_JOURNAL : SINK_STDERR);
}

void
log_to_syslog(void)
{
        openlog("caefs", LOG_PID, LOG_DAEMON);
        atomic_store(&sink, SINK_SYSLOG);
}

enum caefs_err
log_to_file(const char *path)
{
        const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

        if (fd < 0)
                return caefs_fail_errno("%s", path);
        atomic_store(&file, fd);
        atomic_store(&sink, SINK_FILE);
        return CAEFS_OK;
}

/* ---- lines -------------------------------------------------------------- */

static size_t
prefix(char *line, size_t size, enum log_level level)
{
        struct timespec now;
        struct tm parts;

        switch (atomic_load(&sink)) {
        case SINK_JOURNAL:
                return (size_t) snprintf(line, size, "<%d>", levels[level].priority);
        case SINK_FILE:
                clock_gettime(CLOCK_REALTIME, &now);
                gmtime_r(&now.tv_sec, &parts);
                return strftime(line, size, "%Y-%m-%dT%H:%M:%SZ caefs: ", &parts);
        default:
                return (size_t) snprintf(line, size, "caefs: ");
        }
}

static void
put(enum log_level level, const char *text)
{
        char line[LINE_MAX_BYTES + 64];
        const int where = atomic_load(&sink);
        size_t length;
        ssize_t put_bytes;

        if (where == SINK_SYSLOG) {
                syslog(levels[level].priority, "%s", text);
                return;
        }
        length = prefix(line, sizeof line, level);
        length += (size_t) snprintf(line + length, sizeof line - length, "%s\n", text);
        put_bytes = write(where == SINK_FILE ? atomic_load(&file) : STDERR_FILENO, line, length);
        (void) put_bytes;               /* there is nobody left to tell */
}

/* May a line be written in this second?  Gives in *LEFT_OUT how many of an earlier one were
 * not, once. */
static bool
may_write(unsigned *left_out)
{
        static _Atomic int64_t second;
        static _Atomic unsigned lines;
        const int64_t now = (int64_t) time(NULL);

        *left_out = 0;
        if (atomic_exchange(&second, now) != now) {
                const unsigned before = atomic_exchange(&lines, 0);

                if (before > LINES_PER_SECOND)
                        *left_out = before - LINES_PER_SECOND;
        }
        return atomic_fetch_add(&lines, 1) < LINES_PER_SECOND;
}

static void
write_line(enum log_level level, const char *format, va_list arguments)
{
        char text[LINE_MAX_BYTES];
        unsigned left_out;
        const int saved = errno;

        if (!log_is_on(level) || !may_write(&left_out))
                return;
        if (left_out > 0) {
                snprintf(text, sizeof text, "%u lines more were left out", left_out);
                put(LOG_LEVEL_WARNING, text);
        }
        vsnprintf(text, sizeof text, format, arguments);
        /* File names are users': a line of theirs may not look like one of ours. */
        for (char *c = text; *c != '\0'; c++)
                if ((unsigned char) *c < ' ' || *c == 127)
                        *c = '?';
        put(level, text);
        errno = saved;
}

#define LINE(name, level)                                       \
        void                                                    \
        name(const char *format, ...)                           \
        {                                                       \
                va_list arguments;                              \
                                                                \
                va_start(arguments, format);                    \
                write_line(level, format, arguments);           \
                va_end(arguments);                              \
        }

LINE(log_error, LOG_LEVEL_ERROR)
LINE(log_warning, LOG_LEVEL_WARNING)
LINE(log_info, LOG_LEVEL_INFO)
LINE(log_debug, LOG_LEVEL_DEBUG)
