/* codec/reference.c - references on the grid of a chunk. */
#include "codec/reference.h"

#include <string.h>

bool
reference_suits(const struct reference *r, const struct grid *g)
{
        return r->dtype == g->dtype && g->kind != GRID_DIGITS;
}

void *
reference_lay(const struct reference *r, const struct grid *g, struct arena *arena)
{
        if (!reference_suits(r, g))
                return NULL;
        void    *integers = arena_array(arena, r->count + 1, g->wide ? 8 : 4);
        uint8_t *hole = arena_alloc(arena, r->count + 1);
        if (integers == NULL || hole == NULL)
                return NULL;
        memset(hole, 0, r->count);
        const struct grid decoded = grid_of_decoded(g);
        grid_forward(&decoded, r->values, r->count, 1, integers, hole);
        for (size_t i = 1; i < r->count; i++)
                if (hole[i] && g->wide)
                        ((int64_t *) integers)[i] = ((int64_t *) integers)[i - 1];
                else if (hole[i])
                        ((int32_t *) integers)[i] = ((int32_t *) integers)[i - 1];
        return integers;
}
