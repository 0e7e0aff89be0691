/* codec/residual_guide.h - residuals of which something is known beforehand.
 *
 * A guide tells for each residual how large it is likely to be: a class, of 16.  Two coders use
 * them as contexts: codec/primed.h, and the coder `mixing` here (some 0.5 to 5 million residuals
 * a second).
 *
 * Thread safety: functions are pure, each call with its own arena and guide.
 */
#ifndef CAEFS_CODEC_RESIDUAL_GUIDE_H
#define CAEFS_CODEC_RESIDUAL_GUIDE_H

#include "codec/residual.h"

#define RESIDUAL_GUIDE_CLASSES 16

/* Called once for each segment, in order. */
struct residual_guide {
        const uint8_t *class;           /* (count) */
        /* Makes the classes of the next segment; R: all residuals, of which those before it are
         * known.  False when they tell nothing. */
        bool (*before)(void *context, const int32_t *r);
        void          *context;
};

/* Appends the coding of R, (sum of counts), to OUT. */
enum caefs_err residual_encode_guided(const int32_t *r, const struct residual_segment *segment,
                                      size_t nsegments, const struct residual_guide *guide,
                                      struct arena *arena, struct bytes *out);

/* Reads IN, which is not trusted, up to the end of the coding, to R, (sum of counts). */
enum caefs_err residual_decode_guided(struct cursor *in, int32_t *r,
                                      const struct residual_segment *segment, size_t nsegments,
                                      const struct residual_guide *guide, struct arena *arena);

#endif
