/*
 * tool.h - what the subcommands of caefs have in common: the table of
 * commands, exit statuses, messages, progress and the formatting of sizes.
 *
 * A subcommand NAME is a file tools/cmd_NAME.c with
 *
 *     const char help_NAME[] = "Usage: caefs NAME ...";
 *     int cmd_NAME(int argc, char **argv);      argv[0] is NAME
 *
 * and a line in tools/commands.inc.  main() answers --help from help_NAME.
 *
 * Messages and progress go to stderr, results to stdout.  Everything here is
 * for the main thread of a program, except where it says otherwise.
 */

#ifndef CAEFS_TOOL_H
#define CAEFS_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/progress.h"

enum tool_exit {
        TOOL_OK = 0,      /* done */
        TOOL_USAGE = 1,   /* the command line was wrong; nothing was done */
        TOOL_DATA = 2,    /* data, bound or integrity failure */
        TOOL_PARTIAL = 3, /* part of it failed, each part named on stderr */
        TOOL_SYSTEM = 4,  /* the system refused: no FUSE, no space, no permission */
};

struct tool_command {
        const char *name;
        int (*run)(int argc, char **argv); /* returns an enum tool_exit */
        const char *summary;               /* one line, no full stop */
        const char *help;                  /* the text of --help */
        bool hidden;
};

#define COMMAND(NAME, SUMMARY)              \
        int cmd_##NAME(int argc, char **argv); \
        extern const char help_##NAME[];
#define HIDDEN(NAME, SUMMARY) COMMAND(NAME, SUMMARY)
#include "tools/commands.inc"
#undef COMMAND
#undef HIDDEN

/* -v adds one and -q subtracts one; 0 unless told, below 0 only errors. */
extern int tool_verbosity;

enum tool_progress_mode {
        TOOL_PROGRESS_AUTO, /* when stderr is a terminal */
        TOOL_PROGRESS_ALWAYS,
        TOOL_PROGRESS_NEVER,
};
extern enum tool_progress_mode tool_progress_mode;

/*
 * The options every command takes, for its struct option array and its
 * switch:
 *
 *     static const struct option options[] = {
 *             TOOL_COMMON_LONG_OPTIONS,
 *             { 0 },
 *     };
 *     while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS "f",
 *                             options, NULL)) != -1)
 *             switch (c) {
 *             case 'f': ...
 *             default:
 *                     if (!tool_common_option(c))
 *                             return TOOL_USAGE;
 *             }
 */
#define TOOL_COMMON_SHORT_OPTIONS "qv"
#define TOOL_COMMON_LONG_OPTIONS                           \
        { "progress", required_argument, NULL, TOOL_OPT_PROGRESS }, \
        { "quiet", no_argument, NULL, 'q' },                    \
        { "verbose", no_argument, NULL, 'v' }

enum { TOOL_OPT_PROGRESS = 0x7000 }; /* above any option of a command */

/* The lines of a help text that describe the common options. */
#define TOOL_COMMON_HELP                                               \
        "  --progress auto|always|never\n"                              \
        "                      the progress bar (auto: on a terminal)\n" \
        "  -q, --quiet         only errors\n"                           \
        "  -v, --verbose       say more\n"                              \
        "  --help              this text\n"

/*
 * Takes the common option c (optarg holds its argument).  False when c is
 * none of them or its argument is wrong; the user has then been told.
 */
bool tool_common_option(int c);

/*
 * tool_error() prints "caefs: WHAT: WHERE: TODO" on stderr, WHAT being the
 * formatted text.  where (a path, a line, an option) and todo (what the user
 * can do about it) may be NULL.  %m is the text of errno, which is preserved.
 * tool_warning() marks it as a warning and is silent under -q.
 * Safe from any thread.
 */
void tool_error(const char *where, const char *todo, const char *what, ...)
        __attribute__((format(printf, 3, 4), nonnull(3)));
void tool_warning(const char *where, const char *todo, const char *what, ...)
        __attribute__((format(printf, 3, 4), nonnull(3)));

/* As tool_error(), and points to --help of the command.  Gives TOOL_USAGE. */
int tool_usage_error(const char *command, const char *what, ...)
        __attribute__((format(printf, 2, 3), nonnull(2)));

/* A line on stderr with -v. */
void tool_verbose(const char *what, ...) __attribute__((format(printf, 1, 2)));

/* The exit status that belongs to an error. */
int tool_exit_for(enum caefs_err err);

/*
 * Prints what went wrong (the sentence that came with err, else its words) as
 * tool_error() does, and returns the exit status that belongs to it.
 */
int tool_fail(enum caefs_err err, const char *where, const char *todo);

/* ---- sizes ---- */

#define TOOL_SIZE_MAX 32 /* holds any text of the functions below */

/* "12.3 MiB", "873 B".  Return out. */
char *tool_format_bytes(char out[TOOL_SIZE_MAX], uint64_t nbytes);

/* original / stored as "12.34x"; "-" when nothing is stored. */
char *tool_format_ratio(char out[TOOL_SIZE_MAX], uint64_t original_nbytes,
                        uint64_t stored_nbytes);

/* "4.1 s", "3:07", "2:03:07". */
char *tool_format_seconds(char out[TOOL_SIZE_MAX], double seconds);

/* Seconds of a clock that only goes forward. */
double tool_now(void);

/* ---- progress ---- */

enum tool_progress_unit { TOOL_PROGRESS_BYTES, TOOL_PROGRESS_ITEMS };

/*
 * One line on the terminal that is drawn again a few times a second:
 *
 *     label  42 % [########            ]  1.2 GiB  310 MiB/s  0:04 left  note
 *
 * Draws nothing in a pipe.  Without a total (0) there is no bar and no time
 * left.  tool_progress_update() may be called from several threads at once,
 * the others from one.
 */
struct tool_progress {
        const char *label;
        enum tool_progress_unit unit;
        _Atomic uint64_t total; /* 0: not known */
        double started; /* tool_now() */
        bool enabled;
        atomic_flag drawing; /* held by the thread that draws */
        double drawn;        /* under drawing: tool_now() of the last line */
        bool is_behind;      /* under drawing: the last update was not drawn */
        uint64_t done;       /* under drawing: of the last update */
        char note[96];
};

/* label must outlive p. */
void tool_progress_begin(struct tool_progress *p, const char *label,
                         enum tool_progress_unit unit, uint64_t total);
/* done is absolute, not an increment. */
void tool_progress_update(struct tool_progress *p, uint64_t done);
/* A few words at the end of the line, such as the loss of a training. */
void tool_progress_note(struct tool_progress *p, const char *note, ...)
        __attribute__((format(printf, 2, 3)));
/* Draws what came after the last line, and takes the line away.  Does nothing when it was
 * never begun. */
void tool_progress_end(struct tool_progress *p);

/*
 * Shows the progress of JOB, which a library function will report from its
 * own threads: p must have been begun, and stay until the function returns.
 */
void tool_progress_follow(struct tool_progress *p, struct progress *job);

/*
 * From now on SIGINT and SIGTERM ask JOB to stop instead of ending the
 * program; NULL gives them their usual effect back.  A second signal ends it.
 */
void tool_cancel_on_signal(struct progress *job);

/* True when stderr is a terminal and NO_COLOR is not set. */
bool tool_use_color(void);

#endif
