/*
 * caefs mkfs - makes an empty store.
 */

#include <getopt.h>
#include <stdio.h>

#include "fs/store.h"
#include "tools/tool.h"

const char help_mkfs[] =
        "Usage: caefs mkfs [OPTION...] STORE\n"
        "\n"
        "Makes an empty store in the directory STORE, which is created, or is\n"
        "there and empty.\n"
        "\n"
        TOOL_COMMON_HELP;

int cmd_mkfs(int argc, char **argv)
{
        static const struct option options[] = {
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        enum caefs_err err;
        int c;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS, options,
                                NULL)) != -1)
                if (!tool_common_option(c))
                        return TOOL_USAGE;
        if (argc - optind != 1)
                return tool_usage_error("mkfs", "one STORE is needed");

        err = store_make(argv[optind]);
        if (err == CAEFS_ERR_NOT_EMPTY || err == CAEFS_ERR_EXISTS)
                return tool_fail(err, argv[optind],
                                 "name a directory that is new or empty");
        if (err != CAEFS_OK)
                return tool_fail(err, argv[optind], NULL);
        if (tool_verbosity >= 0)
                printf("%s: an empty store; mount it with 'caefs mount %s MOUNTPOINT'\n",
                       argv[optind], argv[optind]);
        return TOOL_OK;
}
