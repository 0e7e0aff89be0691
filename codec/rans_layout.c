/* codec/rans_layout.c - how the tokens of a segment lie in steps of 32 lanes. */
#include "codec/rans_layout.h"

/* Steps handled together when lanes are taken apart: they fit the nearest cache. */
#define TILE 64

struct rans_layout
rans_layout_of(const struct residual_segment *s)
{
        struct rans_layout l = {
                .count = s->count,
                .nsteps = s->count / RANS_LANES,
                .rest = s->count % RANS_LANES,
                .first_row_step = SIZE_MAX,
                /* Weighted 2, 1, 2, 1, 1: the last four count 3, 2, 1, 1. */
                .distance[0] = { RANS_LANES, RANS_LANES, 2 * RANS_LANES,
                                 3 * RANS_LANES, 4 * RANS_LANES },
        };
        size_t row = s->row;

        if (row >= 2 && row < l.nsteps / 2) {
                size_t distance[] = { RANS_LANES, 2 * RANS_LANES, row * RANS_LANES,
                                      (row - 1) * RANS_LANES, (row + 1) * RANS_LANES };
                memcpy(l.distance[1], distance, sizeof distance);
                l.first_row_step = row + 1;
        } else if (row >= RANS_LANES + 2 && row < l.count / 2) {
                size_t distance[] = { row, row + 1, row - 1, row - 2, row + 2 };
                memcpy(l.distance[1], distance, sizeof distance);
                l.first_row_step = (row + 2) / RANS_LANES + 1;
                l.turns = true;
        }
        return l;
}

/* Where lane LANE begins in the segment. */
static size_t
lane_start(const struct rans_layout *l, size_t lane)
{
        return lane * l->nsteps + (lane < l->rest ? lane : l->rest);
}

void
rans_layout_forward(const struct rans_layout *l, const uint8_t *tokens, uint8_t *steps)
{
        if (l->turns) {
                memcpy(steps, tokens, l->count);
                return;
        }
        for (size_t lane = 0; lane < RANS_LANES; lane++) {
                const uint8_t *from = tokens + lane_start(l, lane);
                size_t n = l->nsteps + (lane < l->rest);
                for (size_t t = 0; t < n; t++)
                        steps[t * RANS_LANES + lane] = from[t];
        }
}

void
rans_layout_back(const struct rans_layout *l, const uint8_t *steps, uint8_t *tokens)
{
        if (l->turns) {
                memcpy(tokens, steps, l->count);
                return;
        }
        for (size_t tile = 0; tile < l->nsteps; tile += TILE) {
                size_t n = l->nsteps - tile < TILE ? l->nsteps - tile : TILE;
                for (size_t lane = 0; lane < RANS_LANES; lane++) {
                        uint8_t *to = tokens + lane_start(l, lane) + tile;
                        const uint8_t *from = steps + tile * RANS_LANES + lane;
                        for (size_t t = 0; t < n; t++)
                                to[t] = from[t * RANS_LANES];
                }
        }
        for (size_t lane = 0; lane < l->rest; lane++)
                tokens[lane_start(l, lane) + l->nsteps] = steps[l->nsteps * RANS_LANES + lane];
}
