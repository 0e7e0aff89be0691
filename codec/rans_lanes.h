/* codec/rans_lanes.h - 32 rANS decoders side by side.
 *
 * Method: J. Duda, "Asymmetric numeral systems" (2013); F. Giesen, "Interleaved
 * entropy coders" (2014).  States lie in [2^16, 2^32) and are refilled by 16-bit
 * words, from one stream, in the order of the lanes.
 *
 * A segment is laid out in steps of 32 tokens, one a lane: token T of lane L at
 * 32 * T + L.  The tokens that give context lie at fixed distances before it, so one load
 * gets them for all lanes.
 *
 * Thread safety: any number of threads, each with its own objects.
 */
#ifndef CAEFS_CODEC_RANS_LANES_H
#define CAEFS_CODEC_RANS_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/rans_model.h"

#define RANS_LANES      32
#define RANS_LOW        65536u          /* lowest state */
#define RANS_NEIGHBOURS 5

struct rans_lanes {
        uint32_t       state[RANS_LANES];
        const uint8_t *word;            /* next word */
        const uint8_t *end;             /* of what may be read */
};

/* How the tokens of some steps are found. */
struct rans_steps {
        const uint32_t *table;                          /* (nclasses) times 2^scale entries */
        unsigned        scale;
        unsigned        nclasses;
        uint8_t         class_start[RANS_CLASSES];      /* smallest context sum of each */
        size_t          distance[RANS_NEIGHBOURS];      /* each at least 32 */
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

        return sum < 255 ? sum : 255;
}

/* Decodes NSTEPS full steps to TOKENS (zeros or earlier tokens lie before it).
 * Returns how many: fewer when words may not suffice for another step; then
 * rans_decode_lanes() goes on. */
typedef size_t rans_decode_function(struct rans_lanes *lanes, const struct rans_steps *steps,
                                    uint8_t *tokens, size_t nsteps);

/* The fastest for this CPU, or what the environment variable CAEFS_SIMD says:
 * scalar, avx2, avx512 (ignored where the CPU lacks it).  Results are the same. */
rans_decode_function *rans_decode_best(void);

/* One step of the first NLANES lanes, with every bound checked; false when words
 * are used up. */
bool rans_decode_lanes(struct rans_lanes *lanes, const struct rans_steps *steps,
                       uint8_t *tokens, unsigned nlanes);

#if defined(__x86_64__)
rans_decode_function rans_decode_avx2;
rans_decode_function rans_decode_avx512;
#endif

#endif
