/* codec/primed_state.h - what both sides of codec/primed.h share: neighbours and tables. */
#ifndef CAEFS_CODEC_PRIMED_STATE_H
#define CAEFS_CODEC_PRIMED_STATE_H

#include "codec/primed.h"
#include "codec/rans_model.h"

#include <string.h>

#define PRIMED_SCALE   12               /* frequencies of a class sum to 2^12 */
#define PRIMED_TOTAL   (1u << PRIMED_SCALE)
#define PRIMED_LOW     65536u           /* lowest state */
#define PRIMED_LANES   4                /* of short sequences; of others twice as many */
#define PRIMED_MOST    36               /* size that counts, so that sums are below 256 */
#define PRIMED_SEED    2                /* bytes of raw bits that the first state of a lane carries */
#define PRIMED_MARGIN  4                /* zeros between rows */

/* ---- tokens ----
 *
 * Magnitudes below 8 are exact; from there on there are two sizes an octave, and the bits below
 * are stored as they are.  Size M has the tokens 2 M - 1, negative, and 2 M. */

#define PRIMED_EXACT   8

static inline unsigned
primed_token_of(int32_t r)
{
        uint32_t m = r < 0 ? 0 - (uint32_t) r : (uint32_t) r;

        if (m >= PRIMED_EXACT) {
                unsigned top = 31 - (unsigned) __builtin_clz(m);
                m = PRIMED_EXACT + 2 * (top - 3) + (m >> (top - 1) & 1);
        }
        return 2 * m - (r < 0);
}

/* The size of a token. */
static inline unsigned
primed_size(unsigned token)
{
        return (token + 1) >> 1;
}

static inline unsigned
primed_raw_bits(unsigned token)
{
        unsigned size = primed_size(token);

        return size < PRIMED_EXACT ? 0 : 2 + (size - PRIMED_EXACT) / 2;
}

/* The residual of a token and its raw bits. */
static inline int32_t
primed_residual(unsigned token, uint32_t raw)
{
        uint32_t m = primed_size(token);

        if (m >= PRIMED_EXACT)
                m = (2 + ((m - PRIMED_EXACT) & 1)) << primed_raw_bits(token) | raw;
        return (int32_t) (token & 1 ? 0 - m : m);
}

/* The token of the same size and the other sign. */
static inline unsigned
primed_mirror(unsigned token)
{
        return token == 0 ? 0 : ((token - 1) ^ 1) + 1;
}

/* ---- neighbours ---- */

static inline unsigned
primed_lanes(size_t count)
{
        return count < (size_t) 1 << 15 ? PRIMED_LANES : 2 * PRIMED_LANES;
}

/* A segment in rows of WIDTH: those of its own, or, where these are short, one.  Lanes take
 * consecutive parts of each row, STEP by step side by side. */
struct primed_layout {
        size_t   count;
        unsigned lanes;
        size_t   width;
        size_t   steps;                 /* of a whole row */
};

#define PRIMED_LEAST_STEPS 4            /* of a row that is not short */

static inline struct primed_layout
primed_layout_of(const struct residual_segment *s, unsigned lanes)
{
        const bool long_rows = s->row >= PRIMED_LEAST_STEPS * lanes && s->row < s->count;
        const size_t width = long_rows ? s->row : s->count;

        return (struct primed_layout) {
                .count = s->count, .lanes = lanes, .width = width,
                .steps = (width + lanes - 1) / lanes,
        };
}

/* Distance of rows in what is known around; between them lie zeros. */
static inline size_t
primed_pitch(const struct primed_layout *l)
{
        return l->width + PRIMED_MARGIN;
}

/* Bytes that this takes for segments of up to COUNT residuals. */
static inline size_t
primed_room(size_t count)
{
        return count + (count / (PRIMED_LEAST_STEPS * PRIMED_LANES) + 3) * PRIMED_MARGIN;
}

/* Residuals of the row that begins at AT. */
static inline size_t
primed_row_length(const struct primed_layout *l, size_t at)
{
        return l->count - at < l->width ? l->count - at : l->width;
}

/* What is known of a token for its neighbours: its size, at most PRIMED_MOST, plus PRIMED_SIGN
 * times its sign.  So sums of these are sums of both. */
#define PRIMED_SIGN    4096
#define PRIMED_ONLY    255              /* masks a size */

static inline int16_t
primed_known(unsigned token)
{
        int size = (int) primed_size(token);

        size = size < PRIMED_MOST ? size : PRIMED_MOST;
        return (int16_t) (token == 0 ? 0 : token & 1 ? size - PRIMED_SIGN : size + PRIMED_SIGN);
}

/* The first row of what is known of a segment; NULL when memory is out. */
static inline int16_t *
primed_around_make(size_t largest, struct arena *arena)
{
        int16_t *room = arena_array(arena, primed_room(largest), sizeof *room);

        return room != NULL ? room + PRIMED_MARGIN : NULL;
}

/* Prepares a row of LENGTH: where a lane begins those to the left are not known yet, so it sees
 * those of the row before. */
static inline void
primed_begin_row(const struct primed_layout *l, size_t length, int16_t *around, bool has_row)
{
        memset(around - PRIMED_MARGIN, 0, (length + 2 * PRIMED_MARGIN) * sizeof *around);
        for (unsigned k = 1; k < l->lanes && has_row; k++)
                for (size_t i = k * l->steps - 2; i < k * l->steps && i < length; i++)
                        around[i] = *(around + i - primed_pitch(l));
}

/* The context of the residual at A: what the guide told, how far the signs around agree, and the
 * sum of the sizes around, that is 7 times a size, at most 252.  MIRROR: most of the signs are
 * negative, and the token is coded as that of the other sign. */
static inline __attribute__((always_inline)) unsigned
primed_context(const int16_t *a, size_t pitch, bool has_row, unsigned told, bool *mirror)
{
        int      both = 2 * a[-1] + a[-2];
        unsigned sum;

        if (has_row) {
                const int16_t *above = a - pitch;
                both += 2 * above[0];
                sum = (unsigned) (above[-1] & PRIMED_ONLY) + (above[1] & PRIMED_ONLY);
        } else {
                sum = 2u * (a[-2] & PRIMED_ONLY) + (a[-3] & PRIMED_ONLY) + (a[-4] & PRIMED_ONLY);
        }
        sum += (unsigned) both % PRIMED_SIGN;
        int signs = (both - (int) ((unsigned) both % PRIMED_SIGN)) / PRIMED_SIGN;
        *mirror = signs < 0;
        unsigned agree = (unsigned) (signs < 0 ? 1 - signs : 1 + signs) / 2;
        return (told * PRIMED_SIGNS + agree) * PRIMED_SUMS + sum;
}

/* Tables as they change along a sequence. */
struct primed_state {
        const struct primed *prior;
        uint8_t  largest[PRIMED_CLASSES];       /* tokens beyond do not occur */
        uint32_t weight[PRIMED_CLASSES][PRIMED_TOKENS];
        uint32_t range[PRIMED_CLASSES][PRIMED_TOKENS];  /* start, and from bit 12 frequency */
        uint64_t total[PRIMED_CLASSES];         /* of weights, when the table was made */
        size_t   coded;
        size_t   next;                          /* of CODED, when tables are renewed */
        uint8_t (*token)[PRIMED_TOTAL];         /* (nclasses) by place; decoders only, or NULL */
};

/* The first tables; LARGEST is set. */
void primed_state_begin(struct primed_state *s);

/* N more are coded: makes new the tables that have changed. */
void primed_state_advance(struct primed_state *s, size_t n);

/* Up to which step of a row, from FROM on, tables stay as they are. */
static inline size_t
primed_steps(const struct primed_state *s, const struct primed_layout *l, size_t from)
{
        size_t n = (s->next - s->coded + l->lanes - 1) / l->lanes;

        return n < l->steps - from ? from + n : l->steps;
}

/* How many of the first LENGTH residuals of a row steps FROM to TO have. */
static inline size_t
primed_count_steps(const struct primed_layout *l, size_t length, size_t from, size_t to)
{
        size_t n = 0;

        for (unsigned k = 0; k < l->lanes; k++) {
                size_t own = k * l->steps < length ? length - k * l->steps : 0;
                n += (to < own ? to : own) - (from < own ? from : own);
        }
        return n;
}

#endif
