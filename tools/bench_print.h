/*
 * bench_print.h - what caefs bench has found out, as a table or as JSON.
 */

#ifndef CAEFS_TOOL_BENCH_PRINT_H
#define CAEFS_TOOL_BENCH_PRINT_H

#include <jansson.h>

#include "tools/bench_codec.h"

/* The line about the sample, and the heading of its table. */
void bench_print_sample(const char *path, const struct bench_sample *s);

/* One line for each of the N results of task T. */
void bench_print_results(const struct bench_task *t, const struct bench_result *r, size_t n);

/* What a file's object in the JSON begins with; its "results" is still empty. */
json_t *bench_json_sample(const char *path, const struct bench_sample *s);

/* Appends the N results of task T to the array RESULTS. */
void bench_json_results(json_t *results, const struct bench_task *t,
                        const struct bench_result *r, size_t n);

#endif
