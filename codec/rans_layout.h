/* codec/rans_layout.h - how the tokens of a segment lie in steps of 32 lanes.
 *
 * Lanes take consecutive parts of the segment, so that the left neighbour and the
 * one a row back lie in the lane itself, steps before.  Where rows are so long that
 * most of a lane would lie in its first row, the lanes take turns instead, and only rows
 * give context.  Both sides derive this from the segment alone.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_RANS_LAYOUT_H
#define CAEFS_CODEC_RANS_LAYOUT_H

#include "codec/rans_lanes.h"
#include "codec/residual.h"

/* Tokens that must lie (as zeros) before the first step. */
#define RANS_MARGIN (4 * RANS_LANES)

struct rans_layout {
        size_t count;
        size_t nsteps;                  /* full ones */
        size_t rest;                    /* tokens of a last, partial step: its first lanes */
        bool   turns;                   /* token I is in lane I % 32 */
        size_t first_row_step;          /* from this step on there is a row before */
        size_t distance[2][RANS_NEIGHBOURS];    /* before that step, and from it on */
};

struct rans_layout rans_layout_of(const struct residual_segment *s);

/* TOKENS, in their order, to STEPS and back; (count) each. */
void rans_layout_forward(const struct rans_layout *l, const uint8_t *tokens, uint8_t *steps);
void rans_layout_back(const struct rans_layout *l, const uint8_t *steps, uint8_t *tokens);

#endif
