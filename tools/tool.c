#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/tool.h"

#define REDRAW_INTERVAL_S 0.1
#define BAR_WIDTH 24

int tool_verbosity;
enum tool_progress_mode tool_progress_mode = TOOL_PROGRESS_AUTO;

static bool set_progress_mode(const char *text)
{
        if (strcmp(text, "auto") == 0)
                tool_progress_mode = TOOL_PROGRESS_AUTO;
        else if (strcmp(text, "always") == 0)
                tool_progress_mode = TOOL_PROGRESS_ALWAYS;
        else if (strcmp(text, "never") == 0)
                tool_progress_mode = TOOL_PROGRESS_NEVER;
        else {
                tool_error(text, "use auto, always or never",
                           "--progress does not know this value");
                return false;
        }
        return true;
}

bool tool_common_option(int c)
{
        switch (c) {
        case 'q':
                tool_verbosity--;
                return true;
        case 'v':
                tool_verbosity++;
                return true;
        case TOOL_OPT_PROGRESS:
                return set_progress_mode(optarg);
        default:
                return false; /* getopt has named the wrong option */
        }
}

bool tool_use_color(void)
{
        const char *no_color = getenv("NO_COLOR");

        return (no_color == NULL || *no_color == '\0') &&
               isatty(STDERR_FILENO);
}

/*
 * One fwrite per message, so that the messages of several threads do not mix.
 */
static void print_message(const char *kind, const char *where,
                          const char *todo, const char *what, va_list ap)
{
        int saved_errno = errno;
        char *text = NULL, *line = NULL;
        int len = -1;
        bool color;

        /* %m needs errno as it was; isatty() changes it. */
        if (vasprintf(&text, what, ap) < 0)
                text = NULL;
        color = tool_use_color();
        if (text != NULL)
                len = asprintf(&line, "%scaefs: %s%s%s%s%s%s\n",
                               color ? "\r\033[K" : "", kind, text,
                               where != NULL ? ": " : "",
                               where != NULL ? where : "",
                               todo != NULL ? ": " : "",
                               todo != NULL ? todo : "");
        if (len >= 0)
                fwrite(line, 1, (size_t)len, stderr);
        else
                fputs("caefs: out of memory\n", stderr);
        if (len >= 0)
                free(line);
        free(text);
        errno = saved_errno;
}

void tool_error(const char *where, const char *todo, const char *what, ...)
{
        va_list ap;

        va_start(ap, what);
        print_message("", where, todo, what, ap);
        va_end(ap);
}

void tool_warning(const char *where, const char *todo, const char *what, ...)
{
        va_list ap;

        if (tool_verbosity < 0)
                return;
        va_start(ap, what);
        print_message("warning: ", where, todo, what, ap);
        va_end(ap);
}

void tool_verbose(const char *what, ...)
{
        va_list ap;

        if (tool_verbosity < 1)
                return;
        va_start(ap, what);
        print_message("", NULL, NULL, what, ap);
        va_end(ap);
}

int tool_usage_error(const char *command, const char *what, ...)
{
        char todo[64];
        va_list ap;

        snprintf(todo, sizeof todo, "see caefs %s --help", command);
        va_start(ap, what);
        print_message("", command, todo, what, ap);
        va_end(ap);
        return TOOL_USAGE;
}

int tool_exit_for(enum caefs_err err)
{
        switch (err) {
        case CAEFS_OK:
                return TOOL_OK;
        case CAEFS_ERR_ARGUMENT:
                return TOOL_USAGE;
        case CAEFS_ERR_CORRUPT:
        case CAEFS_ERR_VERSION:
        case CAEFS_ERR_MODEL:
        case CAEFS_ERR_BOUND:
        case CAEFS_ERR_LIMIT:
        case CAEFS_ERR_UNSUPPORTED:
                return TOOL_DATA;
        default:
                return TOOL_SYSTEM;
        }
}

int tool_fail(enum caefs_err err, const char *where, const char *todo)
{
        const char *detail = caefs_detail();

        tool_error(where, todo, "%s",
                   *detail != '\0' ? detail : caefs_err_text(err));
        return tool_exit_for(err);
}

double tool_now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

char *tool_format_bytes(char out[TOOL_SIZE_MAX], uint64_t nbytes)
{
        static const char *const units[] = { "B",   "KiB", "MiB", "GiB",
                                             "TiB", "PiB", "EiB" };
        double value = (double)nbytes;
        size_t unit = 0;

        while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
                value /= 1024;
                unit++;
        }
        snprintf(out, TOOL_SIZE_MAX, "%.*f %s", unit == 0 ? 0 : 1, value,
                 units[unit]);
        return out;
}

char *tool_format_ratio(char out[TOOL_SIZE_MAX], uint64_t original_nbytes,
                        uint64_t stored_nbytes)
{
        if (stored_nbytes == 0)
                snprintf(out, TOOL_SIZE_MAX, "-");
        else
                snprintf(out, TOOL_SIZE_MAX, "%.2fx",
                         (double)original_nbytes / (double)stored_nbytes);
        return out;
}

char *tool_format_seconds(char out[TOOL_SIZE_MAX], double seconds)
{
        /* A rate near zero makes an estimate that no integer holds. */
        const uint64_t whole = seconds < 1e9 ? (uint64_t)seconds : 1000000000;

        if (seconds < 60)
                snprintf(out, TOOL_SIZE_MAX, "%.1f s", seconds);
        else if (whole < 3600)
                snprintf(out, TOOL_SIZE_MAX, "%u:%02u", (unsigned)whole / 60,
                         (unsigned)whole % 60);
        else
                snprintf(out, TOOL_SIZE_MAX, "%u:%02u:%02u",
                         (unsigned)whole / 3600, (unsigned)whole / 60 % 60,
                         (unsigned)whole % 60);
        return out;
}

static bool progress_wanted(void)
{
        switch (tool_progress_mode) {
        case TOOL_PROGRESS_ALWAYS:
                return true;
        case TOOL_PROGRESS_NEVER:
                return false;
        default:
                return tool_verbosity >= 0 && isatty(STDERR_FILENO);
        }
}

void tool_progress_begin(struct tool_progress *p, const char *label,
                         enum tool_progress_unit unit, uint64_t total)
{
        *p = (struct tool_progress){
                .label = label,
                .unit = unit,
                .total = total,
                .started = tool_now(),
                .enabled = progress_wanted(),
                .drawing = ATOMIC_FLAG_INIT,
        };
}

static void format_bar(char out[BAR_WIDTH + 16], double share)
{
        char cells[BAR_WIDTH + 1];
        int filled = (int)(share * BAR_WIDTH);

        memset(cells, ' ', BAR_WIDTH);
        memset(cells, '#', (size_t)filled);
        cells[BAR_WIDTH] = '\0';
        snprintf(out, BAR_WIDTH + 16, "%3d %% [%s]  ", (int)(share * 100),
                 cells);
}

static void progress_draw(struct tool_progress *p, uint64_t done, double now)
{
        const double elapsed = now - p->started;
        const double rate = elapsed > 0 ? (double)done / elapsed : 0;
        char amount[TOOL_SIZE_MAX], speed[TOOL_SIZE_MAX + 4];
        char left[TOOL_SIZE_MAX + 8] = "", bar[BAR_WIDTH + 16] = "";
        char buf[TOOL_SIZE_MAX];

        if (p->unit == TOOL_PROGRESS_BYTES) {
                tool_format_bytes(amount, done);
                snprintf(speed, sizeof speed, "%s/s",
                         tool_format_bytes(buf, (uint64_t)rate));
        } else {
                snprintf(amount, sizeof amount, "%llu",
                         (unsigned long long)done);
                snprintf(speed, sizeof speed, "%.1f/s", rate);
        }
        if (p->total > 0) {
                const uint64_t within = done < p->total ? done : p->total;

                format_bar(bar, (double)within / (double)p->total);
                if (rate > 0)
                        snprintf(left, sizeof left, "  %s left",
                                 tool_format_seconds(
                                         buf, (double)(p->total - within) / rate));
        }
        fprintf(stderr, "\r\033[K%s  %s%s  %s%s%s%s", p->label, bar, amount,
                speed, left, p->note[0] != '\0' ? "  " : "", p->note);
        fflush(stderr);
        p->drawn = now;
}

void tool_progress_update(struct tool_progress *p, uint64_t done)
{
        double now;

        if (!p->enabled || atomic_flag_test_and_set(&p->drawing))
                return; /* whoever is drawing will do */
        now = tool_now();
        p->is_behind = now - p->drawn < REDRAW_INTERVAL_S;
        p->done = done;
        if (!p->is_behind)
                progress_draw(p, done, now);
        atomic_flag_clear(&p->drawing);
}

static void report_job(struct progress *job)
{
        struct tool_progress *p = job->context;

        /* Known only once the work has begun. */
        if (p->total == 0)
                p->total = atomic_load(&job->total);
        tool_progress_update(p, atomic_load(&job->done));
}

void tool_progress_follow(struct tool_progress *p, struct progress *job)
{
        job->context = p;
        job->report = report_job;
}

static struct progress *cancelled_by_signal;

/* SA_RESETHAND: the second signal has its usual effect. */
static void cancel_job(int signal_number)
{
        (void)signal_number;
        atomic_store(&cancelled_by_signal->cancelled, true);
}

void tool_cancel_on_signal(struct progress *job)
{
        struct sigaction action = { .sa_handler = SIG_DFL };

        if (job != NULL) {
                cancelled_by_signal = job;
                action.sa_handler = cancel_job;
                action.sa_flags = (int)SA_RESETHAND;
        }
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
}

void tool_progress_note(struct tool_progress *p, const char *note, ...)
{
        va_list ap;

        va_start(ap, note);
        vsnprintf(p->note, sizeof p->note, note, ap);
        va_end(ap);
}

void tool_progress_end(struct tool_progress *p)
{
        /* Where lines are kept, the last one tells how it ended. */
        if (p->enabled && p->is_behind)
                progress_draw(p, p->done, tool_now());
        if (p->enabled && p->drawn > 0)
                fputs("\r\033[K", stderr);
        p->enabled = false;
}
