/* tests/crash/record.h - every change a store makes to its disk, in order, and what a
 * crash would leave of it.
 *
 * record_start() writes down each change of a file or directory below a directory that
 * passes the shim (tests/crash/shim.h).  record_replay() then makes, in another directory,
 * the disk as a crash after the Nth change could have left it.
 *
 * Thread safety: any number of threads may use the store while it is recorded; the functions
 * below are for one.
 */
#ifndef CAEFS_TESTS_CRASH_RECORD_H
#define CAEFS_TESTS_CRASH_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a crash does to changes that were not synced. */
enum record_loss {
        RECORD_KEEP_ALL,        /* they happened: only the rest did not */
        RECORD_DROP_DATA,       /* bytes that were not synced are lost; names stay */
        RECORD_DROP_ALL,        /* names as well: those since the last sync of anything */
        RECORD_DROP_SOME,       /* bytes not synced are lost or not, by the seed */
        RECORD_TEAR,            /* the same for each sector of each write */
        RECORD_DROP_NAMES,      /* bytes and names, by the seed, and a sync keeps only the file's
                                 * own names, or those of the directory */
        RECORD_LOSSES
};

/* From now on, below ROOT (an absolute path), which has what BASE has. */
void record_start(const char *root);
void record_stop(void);

/* Changes so far. */
size_t record_count(void);

/* TO, a new directory with a copy of what ROOT was at record_start(), becomes what
 * COUNT changes leave, less what LOSS takes. */
void record_replay(const char *to, size_t count, enum record_loss loss, uint64_t seed);

void record_free(void);

#endif
