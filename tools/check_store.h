/*
 * check_store.h - what fsck and scrub share.
 */

#ifndef CAEFS_TOOLS_CHECK_STORE_H
#define CAEFS_TOOLS_CHECK_STORE_H

#include <stdbool.h>

/*
 * The command called name with its options and one STORE: opens the store (which
 * recovers it), checks its structure and, with read_all, decodes and proves every
 * chunk.  Findings go to stdout, one a line, with a summary unless -q.  Returns an
 * exit status: TOOL_DATA when something was found.
 */
int tool_check_command(int argc, char **argv, const char *name, bool read_all);

#endif
