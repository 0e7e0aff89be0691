/* codec/rans_layout.c - how the tokens of a segment lie in steps. */
#include "codec/rans_layout.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

struct rans_layout
rans_layout_of(const struct residual_segment *s, unsigned lanes)
{
        struct rans_layout l = {
                .count = s->count,
                .lanes = lanes,
                .nsteps = s->count / lanes,
                .rest = s->count % lanes,
                .first_row_step = SIZE_MAX,
                /* Weighted 2, 1, 2, 1, 1: the last four count 3, 2, 1, 1. */
                .distance[0] = { lanes, lanes, 2 * lanes, 3 * lanes, 4 * lanes },
        };
        size_t row = s->row;

        if (row >= 2 && row < l.nsteps / 2) {
                size_t distance[] = { lanes, 2 * lanes, row * lanes, (row - 1) * lanes,
                                      (row + 1) * lanes };
                memcpy(l.distance[1], distance, sizeof distance);
                l.first_row_step = row + 1;
        } else if (row >= lanes + 2 && row < l.count / 2) {
                size_t distance[] = { row, row + 1, row - 1, row - 2, row + 2 };
                memcpy(l.distance[1], distance, sizeof distance);
                l.first_row_step = (row + 2) / lanes + 1;
                l.turns = true;
        }
        return l;
}

size_t
rans_layout_row_start(const struct rans_layout *l, size_t block, size_t row)
{
        if (l->turns)
                return (block * l->lanes + row) * RANS_BLOCK;
        return row * l->nsteps + (row < l->rest ? row : l->rest) + block * RANS_BLOCK;
}

size_t
rans_layout_row_length(const struct rans_layout *l, size_t block, size_t row)
{
        size_t from = block * RANS_BLOCK, end = l->nsteps + (row < l->rest);

        if (l->turns) {
                from = rans_layout_row_start(l, block, row);
                end = l->count;
        }
        return end <= from ? 0 : end - from < RANS_BLOCK ? end - from : RANS_BLOCK;
}

#if defined(__SSE2__)
/* Exchanges rows and columns of 16 by 16 bytes. */
static inline void
turn_square(const uint8_t *from, size_t from_pitch, uint8_t *to, size_t to_pitch)
{
        __m128i a[16], b[16];

        for (unsigned i = 0; i < 16; i++)
                a[i] = _mm_loadu_si128((const __m128i *) (from + i * from_pitch));
        /* Each round joins rows eight apart; after four, rows have become columns. */
        for (unsigned round = 0; round < 4; round++) {
                for (unsigned i = 0; i < 8; i++) {
                        b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
                        b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
                }
                memcpy(a, b, sizeof a);
        }
        for (unsigned i = 0; i < 16; i++)
                _mm_storeu_si128((__m128i *) (to + i * to_pitch), a[i]);
}
#else
static inline void
turn_square(const uint8_t *from, size_t from_pitch, uint8_t *to, size_t to_pitch)
{
        for (unsigned i = 0; i < 16; i++)
                for (unsigned k = 0; k < 16; k++)
                        to[k * to_pitch + i] = from[i * from_pitch + k];
}
#endif

void
rans_layout_forward(const struct rans_layout *l, const uint8_t *rows, uint8_t *steps)
{
        if (l->turns)
                memcpy(steps, rows, RANS_BLOCK * l->lanes);
        else
                for (size_t lane = 0; lane < l->lanes; lane += 16)
                        turn_square(rows + lane * RANS_BLOCK, RANS_BLOCK, steps + lane, l->lanes);
}

void
rans_layout_back(const struct rans_layout *l, const uint8_t *steps, uint8_t *rows)
{
        if (l->turns)
                memcpy(rows, steps, RANS_BLOCK * l->lanes);
        else
                for (size_t lane = 0; lane < l->lanes; lane += 16)
                        turn_square(steps + lane, l->lanes, rows + lane * RANS_BLOCK, RANS_BLOCK);
}
