/*
 * caefs sync - waits until files are sealed and durable.
 */

#include <getopt.h>
#include <inttypes.h>

#include "tools/path.h"

const char help_sync[] =
        "Usage: caefs sync [OPTION...] PATH...\n"
        "\n"
        "Seals every file at or below PATH and returns when all of it is\n"
        "durable.  A file that somebody has open is waited for.  Interrupted,\n"
        "it leaves the rest staged.  PATH is on a mount, or STORE:/path.\n"
        "\n"
        TOOL_COMMON_HELP;

static enum caefs_err sync_path(void *context, const struct tool_path *p)
{
        struct progress job = { 0 };
        struct tool_progress bar;
        uint64_t left = 0;
        enum caefs_err err;

        (void)context;
        tool_progress_begin(&bar, "sealing", TOOL_PROGRESS_BYTES, 0);
        tool_progress_follow(&bar, &job);
        tool_cancel_on_signal(&job);
        err = tool_path_sync(p, &job, &left);
        tool_cancel_on_signal(NULL);
        tool_progress_end(&bar);
        if (err == CAEFS_OK && left > 0)
                return caefs_fail(CAEFS_ERR_BUSY,
                                  "%" PRIu64 " files could not be sealed; "
                                  "they stay as they were written", left);
        return err;
}

int cmd_sync(int argc, char **argv)
{
        static const struct option options[] = {
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS,
                                options, NULL)) != -1)
                if (!tool_common_option(c))
                        return TOOL_USAGE;
        if (optind == argc)
                return tool_usage_error("sync", "which path?");
        return tool_each_path(argc - optind, argv + optind, true, sync_path,
                              NULL);
}
