/* codec/field_guide.h - how large residuals of a field are likely to be, and why.
 *
 * Two things are known before a pass of a pyramid is coded: how large the residuals at the
 * same places were in a model's examples, and how large those of the earlier passes were
 * around each target.  Both become classes, a byte for each residual: the first in the low
 * four bits, the second in the high ones.  (Magnitudes of coarser levels as contexts: J. M.
 * Shapiro, "Embedded image coding using zerotrees of wavelet coefficients", 1993.)
 *
 * Thread safety: a guide belongs to one thread.
 */
#ifndef CAEFS_CODEC_FIELD_GUIDE_H
#define CAEFS_CODEC_FIELD_GUIDE_H

#include "codec/field.h"

struct field_guide {
        const struct field_view    *view;
        const struct pyramid_plane *plane;
        const uint8_t              *learnt;     /* (count) classes of the examples, or NULL */
        size_t                      block;      /* whose pass comes next */
        unsigned                    pass;
        size_t                      at;         /* its first residual, */
        size_t                      block_at;   /* and that of its block */
        uint8_t                    *magnitude;  /* (count) of what is coded, by place */
        uint8_t                    *class;      /* (count + 1), of the residuals so far and of
                                                 * the next pass */
};

/* A guide to the passes of PLANE, (nblocks); false when memory is out. */
bool field_guide_begin(struct field_guide *g, const struct field_view *view,
                       const struct pyramid_plane *plane, const uint8_t *learnt,
                       struct arena *arena);

/* What the coder asks (codec/mixing_memory.h). */
struct mixing_guide field_guide_of(struct field_guide *g);

/* How large residuals were at each place in N fields that SUM was added up from: (count)
 * classes. */
void field_sums_add(uint64_t *sum, const int32_t *residual, size_t count);
void field_sums_class(const uint64_t *sum, size_t n, size_t count, uint8_t *class);

#endif
