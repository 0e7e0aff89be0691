/*
 * listing.c - what df, explain and stat share: options, paths, and the frame of
 * their JSON.
 */

#include <getopt.h>
#include <stdio.h>

#include "fs/describe.h"
#include "tools/path.h"
#include "tools/tool.h"

static void print_found(const char *list, json_t *found)
{
        json_t *result = json_pack("{s:i, s:o}", "output_version",
                                   DESCRIBE_VERSION, list, found);

        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(result);
}

int tool_list_command(int argc, char **argv, const struct tool_listing *listing)
{
        enum { OPT_JSON = 256 };
        static const struct option options[] = {
                { "json", no_argument, NULL, OPT_JSON },
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        int c, status;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS,
                                options, NULL)) != -1)
                if (c == OPT_JSON) {
                        if (*listing->found == NULL)
                                *listing->found = json_array();
                } else if (!tool_common_option(c)) {
                        return TOOL_USAGE;
                }
        if (optind == argc)
                return tool_usage_error(listing->name, listing->question);
        status = tool_each_path(argc - optind, argv + optind, false,
                                listing->each, listing->context);
        if (*listing->found != NULL)
                print_found(listing->list, *listing->found);
        return status;
}
