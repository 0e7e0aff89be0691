/* common/log.h - what a process that runs for long has to say.
 *
 * Lines go to standard error, to syslog(3) or to a file.  Where standard error is the journal of
 * systemd, each line begins with the level as sd-daemon(3) wants it; a file's begin with
 * the time.  No more than ten lines a second are written, so that a damaged file which is
 * read in a loop does not fill a disk with its log; how many were left out is said after.
 *
 * Thread safety: all functions from any thread.
 */
#ifndef CAEFS_COMMON_LOG_H
#define CAEFS_COMMON_LOG_H

#include <stdbool.h>

#include "common/error.h"

enum log_level {
        LOG_LEVEL_ERROR,        /* data or promises are at risk */
        LOG_LEVEL_WARNING,      /* somebody should look at it some day */
        LOG_LEVEL_INFO,         /* beginnings and ends: the default */
        LOG_LEVEL_DEBUG,        /* every file that is sealed */
};

/* "error", "warning", "info", "debug"; false when TEXT is none of them. */
bool log_level_parse(const char *text, enum log_level *level);

/* Lines above LEVEL are dropped. */
void log_set_level(enum log_level level);
bool log_is_on(enum log_level level);

void           log_to_stderr(void);     /* the default */
void           log_to_syslog(void);
enum caefs_err log_to_file(const char *path);   /* appends */

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
