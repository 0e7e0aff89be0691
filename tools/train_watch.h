/*
 * train_watch.h - what a training shows while it runs, and what it leaves: the course of
 * its losses.
 *
 * One line on a terminal, drawn again in place:
 *
 *     training  42 % [##########          ]  1234  4 s left  cae ▇▅▃▂▁▁ loss 1.2e-04
 *
 * the sparkline being the logarithm of the validation loss so far.  Where the locale
 * is not UTF-8 it is left out.
 *
 * Thread safety: one thread, but for train_watch_stop().
 */

#ifndef CAEFS_TOOL_TRAIN_WATCH_H
#define CAEFS_TOOL_TRAIN_WATCH_H

#include "codec/train.h"
#include "tools/tool.h"

struct loss_point {
        int family; /* enum family */
        uint32_t epoch;
        double seconds; /* since the training began */
        double train, validation; /* mean squared errors, normalised units */
};

struct train_course {
        struct loss_point *point; /* owned */
        size_t npoints, capacity;
        struct tool_progress bar;
        struct progress job; /* only its cancelled */
        bool utf8;
};

/* Begins the line; from now on SIGINT and SIGTERM end the training early. */
void train_watch_begin(struct train_course *c);
/* A train_watch of codec/train.h; CONTEXT is the course. */
bool train_watch_epoch(void *context, const struct train_progress *p);
/* Takes the line away; the points stay.  True when a signal ended it. */
bool train_watch_end(struct train_course *c);
void train_course_free(struct train_course *c);

/* CELLS blocks of one to eight eighths for the N values, N > 0, as UTF-8; OUT has 3 bytes
 * for each and a NUL.  Returns OUT. */
char *sparkline(const double *value, size_t n, size_t cells, char *out);

#endif
