/* codec/rans_layout.h - how the tokens of a segment lie in steps of as many as there are lanes.
 *
 * Lanes take consecutive parts of the segment, so that the left neighbour and the
 * one a row back lie in the lane itself, steps before.  Where rows are so long that
 * most of a lane would lie in its first row, the lanes take turns instead, and only rows
 * give context.  Both sides derive this from the segment alone.
 *
 * Between the order of the residuals and that of the steps, tokens go through
 * blocks: RANS_BLOCK steps, which are as many rows of RANS_BLOCK residuals as there are lanes.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_RANS_LAYOUT_H
#define CAEFS_CODEC_RANS_LAYOUT_H

#include "codec/rans_lanes.h"
#include "codec/residual.h"

#define RANS_BLOCK 16

/* Tokens that must lie (as zeros) before the first step, and room behind the last. */
#define RANS_MARGIN (4 * RANS_LANES)
#define RANS_TAIL   (RANS_BLOCK * RANS_LANES)

struct rans_layout {
        size_t   count;
        unsigned lanes;
        size_t   nsteps;                /* full ones */
        size_t   rest;                  /* tokens of a last, partial step: its first lanes */
        bool     turns;                 /* token I is in lane I % lanes */
        size_t   first_row_step;        /* from this step on there is a row before */
        size_t   distance[2][RANS_NEIGHBOURS];  /* before that step, and from it on */
};

struct rans_layout rans_layout_of(const struct residual_segment *s, unsigned lanes);

/* Blocks, the last of which may be a partial one. */
static inline size_t
rans_layout_blocks(const struct rans_layout *l)
{
        return (l->nsteps + (l->rest > 0) + RANS_BLOCK - 1) / RANS_BLOCK;
}

/* Where row ROW of block BLOCK begins in the segment. */
size_t rans_layout_row_start(const struct rans_layout *l, size_t block, size_t row);

/* How many residuals it has: RANS_BLOCK in blocks that are not partial. */
size_t rans_layout_row_length(const struct rans_layout *l, size_t block, size_t row);

/* The tokens of one block, from rows of RANS_BLOCK to STEPS and back. */
void rans_layout_forward(const struct rans_layout *l, const uint8_t *rows, uint8_t *steps);
void rans_layout_back(const struct rans_layout *l, const uint8_t *steps, uint8_t *rows);

#endif
