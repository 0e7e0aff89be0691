/* common/arena.h - scratch memory that is given back in one step.
 *
 * An arena hands out 64-byte aligned pieces and takes them back all at once,
 * or down to a mark.  Decoding a chunk a thousand times a second then costs no
 * malloc.  The memory stays with the arena until arena_free(), so one arena
 * per thread is bounded by the largest chunk that thread has seen.
 *
 * Thread safety: none; an arena belongs to one thread at a time.
 */
#ifndef CAEFS_COMMON_ARENA_H
#define CAEFS_COMMON_ARENA_H

#include <stddef.h>

struct arena_block;

/* All zero is an empty arena. */
struct arena {
        struct arena_block *current;    /* newest block; older ones hang below */
};

/* A moment of an arena's life; valid until the arena is released below it. */
struct arena_mark {
        struct arena_block *block;
        size_t              used;
};

/* SIZE bytes, uninitialised; NULL when memory is out or SIZE is absurd. */
void *arena_alloc(struct arena *a, size_t size);

/* COUNT elements of SIZE bytes; NULL as well when the product overflows. */
void *arena_array(struct arena *a, size_t count, size_t size);

struct arena_mark arena_mark(const struct arena *a);
void              arena_release(struct arena *a, struct arena_mark mark);
void              arena_free(struct arena *a);

#endif
