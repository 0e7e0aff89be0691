/* codec/reference.c - references on the grid of a chunk. */
#include "codec/reference.h"

#include <string.h>

void *
reference_lay(const struct reference *r, const struct grid *g, struct arena *arena)
{
        if (r->dtype != g->dtype)
                return NULL;
        void    *integers = arena_array(arena, r->count + 1, g->wide ? 8 : 4);
        uint8_t *hole = arena_alloc(arena, r->count + 1);
        if (integers == NULL || hole == NULL)
                return NULL;
        memset(hole, 0, r->count);
        grid_forward(g, r->values, r->count, 1, integers, hole);
        return integers;
}
