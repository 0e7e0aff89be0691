/* common/arena.c - a stack of malloc'ed blocks. */
#include "common/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ALIGNMENT     64
#define HUGE_PAGE     ((size_t) 1 << 21)
#define BLOCK_MINIMUM ((size_t) 1 << 20)
#define BLOCK_GROWTH_LIMIT ((size_t) 1 << 26)

/* The header takes one alignment unit, so that the payload stays aligned. */
struct arena_block {
        struct arena_block *below;
        struct arena_block *spare;      /* released, kept for the next need; or NULL */
        size_t              size;       /* of the payload */
        size_t              used;
};

_Static_assert(sizeof(struct arena_block) <= ALIGNMENT, "header fits its unit");

/* Large blocks ask for huge pages: a chunk's worth of memory is touched in many
 * places at once, and small pages would cost a fault each and the translation cache. */
static struct arena_block *
block_new(size_t size)
{
        size_t              page = size >= HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
        size_t              whole = (ALIGNMENT + size + page - 1) / page * page;
        struct arena_block *block = aligned_alloc(page, whole);

        if (block != NULL && page == HUGE_PAGE)
                (void) madvise(block, whole, MADV_HUGEPAGE);
        if (block != NULL)
                *block = (struct arena_block) { .size = size };
        return block;
}

/* Blocks grow towards the top, so that a released one serves again as the spare
 * of the one below it, whatever is asked for next. */
static size_t
size_of_next(const struct arena_block *block, size_t size)
{
        size_t least = block == NULL ? BLOCK_MINIMUM : block->size * 2;

        if (least > BLOCK_GROWTH_LIMIT)
                least = BLOCK_GROWTH_LIMIT;
        return size < least ? least : size;
}

void *
arena_alloc(struct arena *a, size_t size)
{
        if (size > SIZE_MAX / 4)
                return NULL;
        size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        struct arena_block *block = a->current;
        if (block == NULL || size > block->size - block->used) {
                struct arena_block *next = block == NULL ? NULL : block->spare;
                if (next != NULL && next->size >= size) {
                        block->spare = NULL;
                } else {
                        next = block_new(size_of_next(block, size));
                        if (next == NULL)
                                return NULL;
                }
                next->below = block;
                next->used = 0;
                a->current = block = next;
        }
        char *at = (char *) block + ALIGNMENT + block->used;
        block->used += size;
        return at;
}

void *
arena_array(struct arena *a, size_t count, size_t size)
{
        size_t total;

        if (__builtin_mul_overflow(count, size, &total))
                return NULL;
        return arena_alloc(a, total);
}

struct arena_mark
arena_mark(const struct arena *a)
{
        return (struct arena_mark) {
                .block = a->current,
                .used = a->current == NULL ? 0 : a->current->used,
        };
}

/* Frees BLOCK and the spare that hangs at it. */
static void
block_free(struct arena_block *block)
{
        free(block->spare);
        free(block);
}

/* The larger one of BLOCK and its spare; the other is freed. */
static struct arena_block *
block_or_spare(struct arena_block *block)
{
        struct arena_block *spare = block->spare;

        block->spare = NULL;
        if (spare == NULL || spare->size < block->size) {
                free(spare);
                return block;
        }
        free(block);
        return spare;
}

void
arena_release(struct arena *a, struct arena_mark mark)
{
        /* An arena that was empty at the mark keeps its lowest block, emptied. */
        while (a->current != mark.block && a->current->below != NULL) {
                struct arena_block *below = a->current->below;
                struct arena_block *block = block_or_spare(a->current);
                if (below->spare == NULL || below->spare->size < block->size) {
                        free(below->spare);
                        below->spare = block;
                } else {
                        block_free(block);
                }
                a->current = below;
        }
        if (a->current != NULL)
                a->current->used = a->current == mark.block ? mark.used : 0;
}

void
arena_free(struct arena *a)
{
        while (a->current != NULL) {
                struct arena_block *below = a->current->below;
                block_free(a->current);
                a->current = below;
        }
}
