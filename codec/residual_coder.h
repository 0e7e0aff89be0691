/* codec/residual_coder.h - what the coders of residuals share.
 *
 * Private to codec/residual.c and the coders it chooses between.  A coder sees
 * the residuals of a chunk as one sequence, 32 or 64 bits wide, and its segments.
 *
 * Thread safety: functions may run in any number of threads, each with its own
 * arena.
 */
#ifndef CAEFS_CODEC_RESIDUAL_CODER_H
#define CAEFS_CODEC_RESIDUAL_CODER_H

#include "codec/residual.h"

struct residuals {
        void                          *value;   /* (count) int64_t if wide, else int32_t;
                                                 * encoders only read it */
        size_t                         count;
        bool                           wide;
        const struct residual_segment *segment;
        size_t                         nsegments;
};

static inline int64_t
residual_get(const struct residuals *r, size_t i)
{
        return r->wide ? ((const int64_t *) r->value)[i] : ((const int32_t *) r->value)[i];
}

/* V fits the width: decoders check. */
static inline void
residual_set(const struct residuals *r, size_t i, int64_t v)
{
        if (r->wide)
                ((int64_t *) r->value)[i] = v;
        else
                ((int32_t *) r->value)[i] = (int32_t) v;
}

/* Bytes an element needs for the largest zigzag code: 1, 2, 4 or 8. */
unsigned residual_element_bytes(const struct residuals *r);

/* A coder appends its coding, or leaves OUT as it was when it does not apply or
 * when it would take LIMIT bytes or more; it gives an error only when memory is out.
 * Decoders read exactly what the encoder wrote and trust none of it. */
struct residual_coder {
        enum caefs_err (*encode)(const struct residuals *r, enum effort effort, size_t limit,
                                 struct arena *arena, struct bytes *out);
        enum caefs_err (*decode)(struct cursor *in, const struct residuals *r,
                                 struct arena *arena);
};

extern const struct residual_coder residual_coder_static;
extern const struct residual_coder residual_coder_mixing;
extern const struct residual_coder residual_coder_sparse;
extern const struct residual_coder residual_coder_general;

#endif
