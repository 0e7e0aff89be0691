/* codec/mixing_memory.h - the coder `mixing` with what it has learnt before.
 *
 * Half of what a file of a few kilobytes costs is the learning of its statistics.  A
 * memory has learnt those of earlier sequences of residuals: each sequence is coded with
 * what all before it have taught, and is remembered with them; what repeats in them is
 * found as well.
 *
 * A sequence may have a GUIDE: for each residual two classes that tell how large it is
 * likely to be, which become contexts.
 *
 * Method: codec/mixer.h.  Some 0.5 to 5 million residuals a second.
 *
 * Thread safety: a memory that is only copied may be used by any number of threads; coding
 * changes it.
 */
#ifndef CAEFS_CODEC_MIXING_MEMORY_H
#define CAEFS_CODEC_MIXING_MEMORY_H

#include "codec/residual.h"

#define MIXING_MEMORY_ROOM ((size_t) 1 << 20)   /* residuals, at most */
#define MIXING_MEMORY_BITS_LEAST 10             /* size of its tables, a logarithm */
#define MIXING_MEMORY_BITS_MOST  18
#define MIXING_MEMORY_SLACK 16          /* integers behind a decoded sequence that may be read */

struct mixing_memory;

/* Called once for each segment, in order. */
struct mixing_guide {
        const uint8_t *class;           /* (count + 1): the first class in the low four bits of
                                         * each byte, the second in the others; 0 behind the
                                         * last of a segment while that is coded */
        /* Makes the classes of the next segment; R: the residuals of those before it.  False
         * when they tell nothing. */
        bool (*before)(void *context, const int32_t *r);
        void          *context;
};

/* The size of tables that suits COUNT residuals. */
unsigned mixing_memory_bits(size_t count);

/* One that knows nothing, with room for ROOM residuals.  NULL: no memory, or a size out of
 * range.  To be given to free(). */
struct mixing_memory *mixing_memory_make(unsigned bits, size_t room);

/* A copy with room for MORE residuals; the arena's.  NULL: no memory. */
struct mixing_memory *mixing_memory_copy(const struct mixing_memory *from, size_t more,
                                         struct arena *arena);

/* Appends the coding of R, (sum of counts), to OUT.  GUIDE may be NULL. */
enum caefs_err mixing_memory_encode(struct mixing_memory *m, const int32_t *r,
                                    const struct residual_segment *segment, size_t nsegments,
                                    const struct mixing_guide *guide, struct bytes *out);

/* Reads IN, which is not trusted, up to the end of the coding.  *R, (sum of counts) and
 * MIXING_MEMORY_SLACK more of any value, is the memory's. */
enum caefs_err mixing_memory_decode(struct mixing_memory *m, struct cursor *in,
                                    const struct residual_segment *segment, size_t nsegments,
                                    const struct mixing_guide *guide, const int32_t **r);

#endif
