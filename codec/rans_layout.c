/* codec/rans_layout.c - how the tokens of a segment lie in steps of 32 lanes. */
#include "codec/rans_layout.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

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

#if defined(__SSE2__)
/* 16 steps of 16 lanes to 16 tokens of each lane. */
static inline void
turn_square(const uint8_t *steps, uint8_t *const to[16], size_t at)
{
        __m128i a[16], b[16];

        for (unsigned i = 0; i < 16; i++)
                a[i] = _mm_loadu_si128((const __m128i *) (steps + i * RANS_LANES));
        /* Each round joins rows eight apart; after four, rows have become columns. */
        for (unsigned round = 0; round < 4; round++) {
                for (unsigned i = 0; i < 8; i++) {
                        b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
                        b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
                }
                memcpy(a, b, sizeof a);
        }
        for (unsigned i = 0; i < 16; i++)
                _mm_storeu_si128((__m128i *) (to[i] + at), a[i]);
}

/* Returns how many steps were done: a multiple of 16. */
static size_t
turn_squares(const struct rans_layout *l, const uint8_t *steps, uint8_t *tokens)
{
        uint8_t *to[RANS_LANES];
        size_t t = 0;

        for (size_t lane = 0; lane < RANS_LANES; lane++)
                to[lane] = tokens + lane_start(l, lane);
        for (; t + 16 <= l->nsteps; t += 16) {
                turn_square(steps + t * RANS_LANES, to, t);
                turn_square(steps + t * RANS_LANES + 16, to + 16, t);
        }
        return t;
}
#else
static size_t
turn_squares(const struct rans_layout *l, const uint8_t *steps, uint8_t *tokens)
{
        (void) l;
        (void) steps;
        (void) tokens;
        return 0;
}
#endif

void
rans_layout_back(const struct rans_layout *l, const uint8_t *steps, uint8_t *tokens)
{
        if (l->turns) {
                memcpy(tokens, steps, l->count);
                return;
        }
        size_t done = turn_squares(l, steps, tokens);
        for (size_t lane = 0; lane < RANS_LANES; lane++) {
                uint8_t *to = tokens + lane_start(l, lane);
                size_t n = l->nsteps + (lane < l->rest);
                for (size_t t = done; t < n; t++)
                        to[t] = steps[t * RANS_LANES + lane];
        }
}
