/* codec/field_guide.h - how large residuals of a field are likely to be.
 *
 * Before a pass of a pyramid is coded it is known how large the residuals of the earlier passes
 * were around each target.  (Magnitudes of coarser levels as contexts: J. M. Shapiro, "Embedded
 * image coding using zerotrees of wavelet coefficients", 1993.)
 *
 * Thread safety: a guide belongs to one thread.
 */
#ifndef CAEFS_CODEC_FIELD_GUIDE_H
#define CAEFS_CODEC_FIELD_GUIDE_H

#include "codec/field.h"

struct field_guide {
        const struct field_view    *view;
        const struct pyramid_plane *plane;
        size_t                      block;      /* whose pass comes next */
        unsigned                    pass;
        size_t                      at;         /* its first residual, */
        size_t                      block_at;   /* and that of its block */
        uint8_t                    *magnitude;  /* (count) of what is coded, by place */
        uint8_t                    *class;      /* (count): of the residuals so far and of the
                                                 * next pass */
};

/* A guide to the passes of PLANE, (nblocks); false when memory is out. */
bool field_guide_begin(struct field_guide *g, const struct field_view *view,
                       const struct pyramid_plane *plane, struct arena *arena);

/* What a coder asks. */
struct residual_guide field_guide_of(struct field_guide *g);

#endif
