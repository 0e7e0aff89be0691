/* fs/store_check.h - what checking the structure and the contents of a store share.
 *
 * Thread safety: a struct check belongs to one thread.
 */
#ifndef CAEFS_FS_STORE_CHECK_H
#define CAEFS_FS_STORE_CHECK_H

#include "fs/store_internal.h"

#define CHECK_BATCH 256         /* rows between two releases of the catalogue */

struct check {
        struct store              *store;
        struct progress           *progress;    /* or NULL */
        void                     (*tell)(void *context, const char *sentence);  /* or NULL */
        void                      *context;
        struct store_check_report *report;
};

/* A finding: counted and told. */
void check_problem(struct check *c, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Is every model what its hash says?  Needs no lock. */
enum caefs_err check_all_models(struct check *c);

/* Reads and proves the bytes of all files; the catalogue is not held. */
enum caefs_err scrub_contents(struct check *c, const struct store_scrub *scrub);

#endif
