/*
 * caefs fsck - checks the structure of a store.
 */

#include <getopt.h>

#include "tools/check_store.h"
#include "tools/tool.h"

const char help_fsck[] =
        "Usage: caefs fsck [OPTION...] STORE\n"
        "\n"
        "Checks the structure of a store that is not mounted: the catalogue and\n"
        "its indexes, names and link counts, that every file's bytes are there,\n"
        "and that nothing lies around that no file needs.  What a crash left\n"
        "unfinished is put right first, as mounting does.  Contents are not\n"
        "read: that is what 'caefs scrub' does.\n"
        "\n"
        "  --repair            mends what it finds: names that lead nowhere are\n"
        "                      removed, lost files get names in lost+found, and\n"
        "                      what no file needs goes to STORE/quarantine\n"
        "  --json              one JSON object\n"
        TOOL_COMMON_HELP;

enum { OPT_JSON = 1, OPT_REPAIR };

int cmd_fsck(int argc, char **argv)
{
        static const struct option options[] = {
                { "json", no_argument, NULL, OPT_JSON },
                { "repair", no_argument, NULL, OPT_REPAIR },
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct tool_check check = { 0 };
        int c;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS, options,
                                NULL)) != -1)
                if (c == OPT_JSON)
                        check.json = true;
                else if (c == OPT_REPAIR)
                        check.repairs = true;
                else if (!tool_common_option(c))
                        return TOOL_USAGE;
        if (argc - optind != 1)
                return tool_usage_error("fsck", "one STORE is needed");
        check.path = argv[optind];
        return tool_check_store(&check);
}
