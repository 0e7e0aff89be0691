/*
 * caefs scrub - reads and proves every byte of a store.
 */

#include <getopt.h>

#include "tools/check_store.h"
#include "tools/tool.h"

const char help_scrub[] =
        "Usage: caefs scrub [OPTION...] STORE\n"
        "\n"
        "Does what 'caefs fsck' does, and then decodes every chunk of every\n"
        "object and compares it with its checksum: each value that the store\n"
        "would serve is proved.  The store must not be mounted.\n"
        "\n"
        TOOL_COMMON_HELP;

int cmd_scrub(int argc, char **argv)
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
                return tool_usage_error("scrub", "one STORE is needed");
        return tool_check_store(argv[optind], true);
}
