/*
 * check_store.c - what fsck and scrub share: a store is opened, checked, and
 * each finding printed.
 */

#include "tools/check_store.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "fs/store.h"
#include "tools/tool.h"

static void print_finding(void *context, const char *sentence)
{
        struct tool_progress *bar = context;

        tool_progress_end(bar);
        printf("%s\n", sentence);
}

static void print_summary(const char *path, const struct store_check_report *r,
                          bool read_all)
{
        char bytes[TOOL_SIZE_MAX];

        if (tool_verbosity < 0)
                return;
        printf("%s: %" PRIu64 " files, %" PRIu64 " objects, %s%s: ", path, r->files,
               r->objects, tool_format_bytes(bytes, r->bytes),
               read_all ? ", all of it read" : "");
        if (r->problems == 0)
                printf("no problem found\n");
        else
                printf("%" PRIu64 " %s found\n", r->problems,
                       r->problems == 1 ? "problem" : "problems");
}

static int check_store(const char *path, bool read_all)
{
        const struct store_options options = { .no_background = true };
        struct store_check_report report;
        struct progress job = { 0 };
        struct tool_progress bar;
        struct store *store;
        enum caefs_err err = store_open(path, &options, &store), closed;

        if (err == CAEFS_ERR_BUSY)
                return tool_fail(err, path, "unmount it first");
        if (err != CAEFS_OK)
                return tool_fail(err, path, NULL);
        tool_progress_begin(&bar, read_all ? "scrubbing" : "checking",
                            TOOL_PROGRESS_BYTES, 0);
        tool_progress_follow(&bar, &job);
        tool_cancel_on_signal(&job);
        err = store_check(store, read_all, &job, print_finding, &bar, &report);
        tool_cancel_on_signal(NULL);
        tool_progress_end(&bar);
        if (err != CAEFS_OK) {
                const int status = tool_fail(err, path, NULL);

                store_close(store);
                return status;
        }
        print_summary(path, &report, read_all);
        closed = store_close(store);
        if (closed != CAEFS_OK)
                return tool_fail(closed, path, NULL);
        return report.problems == 0 ? TOOL_OK : TOOL_DATA;
}

int tool_check_command(int argc, char **argv, const char *name, bool read_all)
{
        static const struct option options[] = {
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS, options,
                                NULL)) != -1)
                if (!tool_common_option(c))
                        return TOOL_USAGE;
        if (argc - optind != 1)
                return tool_usage_error(name, "one STORE is needed");
        return check_store(argv[optind], read_all);
}
