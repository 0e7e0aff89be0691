/* fs/cache.h - decoded chunks, with a limit in bytes and one decoder a chunk.
 *
 * A chunk is known by its object and index.  Whoever asks first decodes it; those
 * who ask meanwhile wait for that.  The states of an entry, and who may change them:
 *
 *   state     in the table  bytes            who moves it on
 *   FILLING   yes           being written    the thread that made it, to READY or FAILED
 *   READY     yes           valid            whoever evicts it, when pins are 0
 *   FAILED    no            none             the last to unpin it frees it
 *
 * Entries that nobody has pinned are in one of two lists.  What sequential readers have
 * passed may have a half of the limit; beyond that the latest goes first, also before the limit is
 * reached: the kernel has it in its pages, and a reader of much more than the limit leaves alone
 * what others use.  Else what was used least lately goes.  Pinned ones may pass the limit: by as
 * many chunks as there are threads that read.  Memory of what goes is used again for what comes:
 * fresh pages were measured to cost from a half of the decoding to twice as much.
 *
 * Thread safety: any number of threads.  The lock is a leaf: it is not held while
 * a chunk is decoded.
 */
#ifndef CAEFS_FS_CACHE_H
#define CAEFS_FS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct cache;
struct cache_entry;

/* NULL when memory is out. */
struct cache *cache_new(uint64_t limit_bytes);
void          cache_free(struct cache *c);              /* nothing may be pinned */

/* Writes SIZE bytes to BUFFER. */
typedef enum caefs_err cache_fill(void *context, void *buffer);

/* The SIZE bytes of chunk INDEX of OBJECT, made by FILL if they are not there, pinned
 * until cache_unpin().  What FILL fails with is returned to all who wait, and not kept. */
enum caefs_err cache_pin(struct cache *c, uint64_t object, uint64_t index, size_t size,
                         cache_fill *fill, void *context, struct cache_entry **out);

/* True when the chunk is there or somebody makes it just now: nothing is left to do for who
 * wants it there later. */
bool           cache_has(struct cache *c, uint64_t object, uint64_t index);

const void    *cache_data(const struct cache_entry *e);
void           cache_unpin(struct cache *c, struct cache_entry *e);
/* By a sequential reader that has seen all of it. */
void           cache_unpin_passed(struct cache *c, struct cache_entry *e);

struct cache_counts {
        uint64_t hits, misses, evictions;
        uint64_t bytes;                 /* held now, as allocated */
};
struct cache_counts cache_counts(struct cache *c);

#endif
