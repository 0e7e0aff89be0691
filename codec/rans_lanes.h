/* codec/rans_lanes.h - 32 or 64 rANS coders side by side.
 *
 * Method: J. Duda, "Asymmetric numeral systems" (2013); F. Giesen, "Interleaved
 * entropy coders" (2014).  States lie in [2^16, 2^32) and are refilled by 16-bit
 * words, from one stream, in the order of the lanes.
 *
 * A segment is laid out in steps of one token a lane: token T of lane L at
 * T * lanes + L.  The tokens that give context lie at fixed distances before it, so one
 * load gets them for all lanes.  A token can be decoded only when the one before it in
 * its lane is known: 64 lanes keep a CPU busy while it waits for that, 32 take less room.
 *
 * Thread safety: any number of threads, each with its own objects.
 */
#ifndef CAEFS_CODEC_RANS_LANES_H
#define CAEFS_CODEC_RANS_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/rans_model.h"

#define RANS_LANES      64              /* the most; the other choice is half of them */
#define RANS_LOW        65536u          /* lowest state */
#define RANS_NEIGHBOURS 5

struct rans_lanes {
        unsigned       count;           /* 32 or 64 */
        uint32_t       state[RANS_LANES];
        const uint8_t *word;            /* next word; decoders only */
        const uint8_t *end;             /* of what may be read */
};

/* How the tokens of some steps are decoded. */
struct rans_steps {
        const uint32_t             *table;      /* (classes) times 2^scale entries */
        unsigned                    scale;
        const struct rans_contexts *contexts;
        size_t                      distance[RANS_NEIGHBOURS];  /* each at least the lanes */
};

static inline unsigned
rans_magnitude(unsigned token)
{
        return (token + 1) >> 1;
}

/* The context sum, from the neighbours at DISTANCE in their order. */
static inline unsigned
rans_context_sum(unsigned t0, unsigned t1, unsigned t2, unsigned t3, unsigned t4)
{
        unsigned sum = 2 * rans_magnitude(t0) + rans_magnitude(t1) + 2 * rans_magnitude(t2) +
                       rans_magnitude(t3) + rans_magnitude(t4);

        return sum < RANS_SUMS - 1 ? sum : RANS_SUMS - 1;
}

/* The cell of a token at a level.  The pitch is no power of two, since rows of cells would
 * then compete for the same few places in the nearest cache. */
#define RANS_CELL_PITCH (TOKEN_LIMIT + 16)
#define RANS_CELLS      (RANS_LEVELS * RANS_CELL_PITCH)

/* CELL gets the cells of the N tokens at STEPS, with neighbours at DISTANCE before them. */
typedef void rans_cells_function(const uint8_t *steps, size_t n,
                                 const size_t distance[RANS_NEIGHBOURS], uint16_t *cell);

rans_cells_function *rans_cells_best(void);

/* Decodes NSTEPS full steps to TOKENS (zeros or earlier tokens lie before it).
 * Returns how many: fewer when words may not suffice for another step; then
 * rans_decode_lanes() goes on. */
typedef size_t rans_decode_function(struct rans_lanes *lanes, const struct rans_steps *steps,
                                    uint8_t *tokens, size_t nsteps);

/* The fastest for this CPU (codec/cpu.h). */
rans_decode_function *rans_decode_best(void);

/* One step of the first NLANES lanes, with every bound checked; false when words
 * are used up. */
bool rans_decode_lanes(struct rans_lanes *lanes, const struct rans_steps *steps,
                       uint8_t *tokens, unsigned nlanes);

/* What a token is coded by: its frequency in bits 0 to 11, its start from 12. */
static inline uint32_t
rans_range(uint32_t frequency, uint32_t start)
{
        return frequency | start << 12;
}

/* Bytes before END that an encoder may overwrite besides its words. */
#define RANS_WORD_MARGIN 64

/* Codes NSTEPS full steps, the last one first, whose tokens have RANGE (in the order of
 * the steps, no frequency 0).  Words go before END; returns where they begin. */
typedef uint8_t *rans_encode_function(struct rans_lanes *lanes, const uint32_t *range,
                                      size_t nsteps, unsigned scale, uint8_t *end);

rans_encode_function *rans_encode_best(void);

/* One step of the first NLANES lanes. */
uint8_t *rans_encode_lanes(struct rans_lanes *lanes, const uint32_t *range, unsigned nlanes,
                           unsigned scale, uint8_t *end);

#if defined(__x86_64__)
rans_cells_function  rans_cells_avx512;
rans_decode_function rans_decode_avx2, rans_decode_avx512;
rans_encode_function rans_encode_avx2, rans_encode_avx512;
#endif

#endif
