/*
 * caefs scrub - reads and proves every byte of a store.
 */

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
        return tool_check_command(argc, argv, "scrub", true);
}
