/* codec/reference.h - values known beside a chunk, that it may be predicted from.
 *
 * Encoder and decoder have the same ones: what an earlier object of a series serves
 * at the same place, or examples that a model holds.  A family lays them on the grid
 * of the chunk at hand, so that it works with integers as with those of the chunk.
 *
 * Thread safety: a reference is immutable while it is used.
 */
#ifndef CAEFS_CODEC_REFERENCE_H
#define CAEFS_CODEC_REFERENCE_H

#include "codec/grid.h"

/* No value of the reference lies where the chunk does. */
#define REFERENCE_NOWHERE SIZE_MAX

struct reference {
        enum dtype  dtype;
        const void *values;     /* (count) in host byte order, aligned to their size */
        size_t      count;      /* at most 2^28 */
        size_t      at;         /* index of the value that lies where the first of the chunk
                                 * does, in an array of the same shape; the others
                                 * follow; may be so near the end that some are missing;
                                 * or REFERENCE_NOWHERE */
};

/* Whether R can be laid on G: it is of the same dtype, and G gives the same integers on
 * every machine, which takes libm for decimal digits. */
bool reference_suits(const struct reference *r, const struct grid *g);

/* The integers of R on grid G, (count) as wide as G says; where G cannot hold a value, the
 * one before it, or 0.
 * NULL: no memory, or R does not suit G.  The arena's. */
void *reference_lay(const struct reference *r, const struct grid *g, struct arena *arena);

#endif
