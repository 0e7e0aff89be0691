/*
 * check_store.h - what fsck and scrub share: a store is opened, checked, and each
 * finding printed.
 */

#ifndef CAEFS_TOOLS_CHECK_STORE_H
#define CAEFS_TOOLS_CHECK_STORE_H

#include <stdbool.h>

#include "fs/store.h"

struct tool_check {
        const char *path;         /* of the store */
        struct store_scrub scrub; /* with reads_all */
        bool reads_all;           /* every chunk is decoded and proved */
        bool while_used;          /* a store that somebody has open is opened for reading */
        bool repairs;             /* mends what is found, and checks again */
        bool json;                /* one object instead of lines */
};

/*
 * Opens the store, which recovers it, and checks it.  Findings go to stdout, one a line,
 * with a summary unless -q.  Returns an exit status: TOOL_DATA when something was found, and
 * is not mended.
 */
int tool_check_store(const struct tool_check *check);

#endif
