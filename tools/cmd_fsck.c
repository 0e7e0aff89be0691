/*
 * caefs fsck - checks the structure of a store.
 */

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
        TOOL_COMMON_HELP;

int cmd_fsck(int argc, char **argv)
{
        return tool_check_command(argc, argv, "fsck", false);
}
