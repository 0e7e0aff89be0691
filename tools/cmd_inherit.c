/*
 * caefs inherit - takes properties of files and directories away.
 */

#include <getopt.h>

#include "tools/path.h"

const char help_inherit[] =
        "Usage: caefs inherit [OPTION...] PROPERTY PATH...\n"
        "\n"
        "Takes a property that was set away, so that it is inherited from the\n"
        "directory above again.  PATH is on a mount, or STORE:/path.\n"
        "\n"
        TOOL_COMMON_HELP;

static enum caefs_err inherit_one(void *context, const struct tool_path *p)
{
        return tool_property_set(p, context, NULL);
}

int cmd_inherit(int argc, char **argv)
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
        if (argc - optind < 2)
                return tool_usage_error("inherit", "which property, of which "
                                                   "path?");
        return tool_each_path(argc - optind - 1, argv + optind + 1, true,
                              inherit_one, argv[optind]);
}
