/*
 * transfer.h - what caefs import and caefs export share: what was done and what
 * failed, and whether a file is there already.
 */

#ifndef CAEFS_TOOL_TRANSFER_H
#define CAEFS_TOOL_TRANSFER_H

#include <pthread.h>
#include <sys/stat.h>

#include "fs/store.h"
#include "tools/tool.h"

#define TRANSFER_BUFFER ((size_t)1 << 20)

struct transfer {
        const char *command;
        struct progress job; /* bytes; cancelled by a signal */
        struct tool_progress bar;
        _Atomic uint64_t files, bytes, skipped, failed;
        int status;           /* of the first failure; under lock */
        pthread_mutex_t lock; /* taken alone */
        bool json;
};

void transfer_begin(struct transfer *t, const char *command, bool json);
/* Shows the bar; TOTAL bytes are expected. */
void transfer_start(struct transfer *t, uint64_t total);

/* Tells why PATH failed, which is counted.  From any thread. */
void transfer_failed(struct transfer *t, enum caefs_err err, const char *path);

/* Prints what was done; gives the exit status. */
int transfer_end(struct transfer *t);

/* Of the same size and time: an earlier run copied it. */
bool transfer_is_same(const struct stat *a, const struct stat *b);

/* The directory of files that is still to be made, or nothing, at STORE's PATH: splits it
 * into the inode of what is above, with a reference, and the NAME, in place. */
enum caefs_err transfer_resolve_above(struct store *store, char *path,
                                      store_inode *above, char **name);

#endif
