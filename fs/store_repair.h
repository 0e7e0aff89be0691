/* fs/store_repair.h - the steps of mending a store while it is opened (fs/store_open.c).
 *
 * What is done is told to options.repair.  One thread has the store.
 */
#ifndef CAEFS_FS_STORE_REPAIR_H
#define CAEFS_FS_STORE_REPAIR_H

#include "fs/store_internal.h"

/* Directories that are missing are made; root_fd is open. */
enum caefs_err repair_directories(struct store *s);

/* A damaged catalogue is replaced by what can be read of it.  The store is locked and the catalogue
 * not open. */
enum caefs_err repair_catalogue(struct store *s);

/* Rows and files are brought into agreement.  The catalogue is open and nothing recovered. */
enum caefs_err repair_structure(struct store *s);

#endif
