/*
 * caefs scrub - reads and proves every byte of a store.
 */

#include <getopt.h>
#include <stdlib.h>

#include "tools/check_store.h"
#include "tools/tool.h"

const char help_scrub[] =
        "Usage: caefs scrub [OPTION...] STORE\n"
        "\n"
        "Does what 'caefs fsck' does, and then decodes every chunk of every\n"
        "object and compares it with its checksum: each value that the store\n"
        "would serve is proved.  The store may be mounted meanwhile.  A scrub\n"
        "that is stopped keeps its place, and the next one goes on from there.\n"
        "\n"
        "  --rate MB           read at most so many megabytes a second\n"
        "  --restart           from the beginning, not where the last one stopped\n"
        "  --json              one JSON object\n"
        TOOL_COMMON_HELP;

enum { OPT_RATE = 1, OPT_RESTART, OPT_JSON };

/* Megabytes a second as bytes; false when TEXT is no such number. */
static bool parse_rate(const char *text, uint64_t *rate)
{
        char *end;
        const double value = strtod(text, &end);

        if (end == text || *end != '\0' || !(value > 0) || value > 1e9)
                return false;
        *rate = (uint64_t)(value * 1e6) + 1;
        return true;
}

int cmd_scrub(int argc, char **argv)
{
        static const struct option options[] = {
                { "rate", required_argument, NULL, OPT_RATE },
                { "restart", no_argument, NULL, OPT_RESTART },
                { "json", no_argument, NULL, OPT_JSON },
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct tool_check check = {
                .reads_all = true, .while_used = true, .scrub.keeps_place = true,
        };
        int c;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS, options,
                                NULL)) != -1)
                switch (c) {
                case OPT_RATE:
                        if (!parse_rate(optarg, &check.scrub.rate))
                                return tool_usage_error("scrub", "--rate %s: a number of "
                                                        "megabytes is needed", optarg);
                        break;
                case OPT_RESTART:
                        check.scrub.from_start = true;
                        break;
                case OPT_JSON:
                        check.json = true;
                        break;
                default:
                        if (!tool_common_option(c))
                                return TOOL_USAGE;
                }
        if (argc - optind != 1)
                return tool_usage_error("scrub", "one STORE is needed");
        check.path = argv[optind];
        return tool_check_store(&check);
}
