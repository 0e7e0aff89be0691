/* codec/predict.h - families: how the grid integers of a chunk are predicted.
 *
 * A family looks at a field of grid integers and leaves residuals.  Prediction
 * is closed loop: it sees only what the decoder will have rebuilt.  With
 * step s the rebuilt value of g, predicted as p, is
 *
 *     p + s * r,   r = floor((g - p + s / 2) / s),
 *
 * which is within s / 2 of g; with step 1 it is g.  All of it is arithmetic on
 * integers that wraps around (two's complement), so a decoder on any machine
 * gives the same numbers, whatever bytes it is fed.
 *
 * Each family has a file of its own, a number in the format, and this interface.
 *
 * Thread safety: any number of threads, each with its own arena.
 */
#ifndef CAEFS_CODEC_PREDICT_H
#define CAEFS_CODEC_PREDICT_H

#include "codec/reference.h"
#include "codec/residual.h"

struct model;           /* codec/model.h */
struct model_info;

/* The numbers are part of the format. */
enum family {
        FAMILY_LORENZO = 1,
        FAMILY_PYRAMID = 2,
        FAMILY_COLUMN = 3,
        FAMILY_CAE = 4,
        FAMILY_RECALL = 5,
        FAMILY_ECHO = 6,
        FAMILY_FIELD = 7,
        FAMILY_TABLE = 8,
        FAMILY_FOLLOW = 9,
        FAMILY_QUOTE = 10,
        FAMILY_LIMIT = 16
};

/* What encoder and decoder both know of a chunk's integers. */
struct field_geometry {
        struct shape        shape;      /* 1 to 4 extents, slowest first, no extent 0 */
        size_t              count;      /* their product, at most 2^28 */
        bool                wide;       /* integers are int64_t, else int32_t */
        int64_t             step;       /* 1: exact; never below 1; 1 when wide */
        enum scope          scope;      /* COLUMN, CHANNEL: last axis are columns or
                                         * channels, with grids of their own */
        const struct model *model;      /* for families that need one; else NULL */
        const struct reference *reference;      /* of an earlier object; or NULL */
        const struct grid  *grid;       /* of all values; NULL when columns have their own */
};

/* What only the encoder knows. */
struct field {
        struct field_geometry geometry;
        const void           *grid;     /* (count) int32_t or int64_t, row-major */
        const uint8_t        *hole;     /* (count), non-zero: this value is stored
                                         * elsewhere and may be rebuilt as anything;
                                         * NULL: no holes */
        bool                  as_it_is; /* no prediction: for coders that find what repeats */
        enum effort           effort;
};

/* What a family leaves: SIDE (parameters, latents: already coded, as small as it
 * gets) and residuals in the family's coding order.  Memory is the arena's,
 * but for SIDE, which the caller frees. */
struct prediction {
        struct bytes             side;
        const void              *residual;      /* (count) as wide as the grid */
        size_t                   count;
        struct residual_segment *segment;
        size_t                   nsegments;
        bool                     uses_model;            /* decoding needs the model, which it
                                                         * does not with every such field */
};

/* What a family that learns keeps in a model (codec/model.h): its part of the blob,
 * parsed.  A part is immutable; any number of threads may use it. */
struct family_part {
        /* Reads all of IN; nothing in it is trusted. */
        enum caefs_err (*parse)(struct cursor *in, void **part);
        void (*release)(void *part);
        /* Adds to INFO what the part says of its training. */
        void (*describe)(const void *part, struct model_info *info);
};

struct family_methods {
        const char *name;               /* "lorenzo": as in --codec */
        bool        needs_model;
        bool        uses_reference;     /* decoding needs the chunk's reference; others
                                         * do not see it */
        const struct family_part *part; /* NULL: it learns nothing */

        /* True when the family can be tried on such a field at all (cheap). */
        bool (*applies)(const struct field *f);

        /* Searches its own variants (dimensions, strides, orders …) as far as the
         * effort allows, keeps the one that residual_estimate() likes best, and
         * fills OUT.  *BITS becomes the estimate of side and residuals together;
         * INFINITY: the family has nothing to offer, and OUT holds nothing. */
        enum caefs_err (*encode)(const struct field *f, struct arena *arena,
                                 struct prediction *out, double *bits);

        /* Reads SIDE (all of it), decodes the residuals from CODED with
         * residual_decode(), and rebuilds GRID.  Nothing in SIDE or CODED is
         * trusted. */
        enum caefs_err (*decode)(const struct field_geometry *g, struct cursor *side,
                                 struct cursor *coded, struct arena *arena, void *grid);
};

/* NULL when no such family. */
const struct family_methods *family_by_number(unsigned number);
const struct family_methods *family_by_name(const char *name);

extern const struct family_methods family_lorenzo;
extern const struct family_methods family_pyramid;
extern const struct family_methods family_column;
extern const struct family_methods family_cae;
extern const struct family_methods family_recall;
extern const struct family_methods family_echo;
extern const struct family_methods family_field;
extern const struct family_methods family_table;
extern const struct family_methods family_follow;
extern const struct family_methods family_quote;

/* The closed-loop step above, shared by the families.  STEP >= 1. */
static inline int32_t
residual_of(int32_t g, int32_t p, int32_t step)
{
        int64_t d = (int64_t) g - p + step / 2;
        int64_t q = d / step;
        return (int32_t) (q - (d - q * step < 0));
}

static inline int32_t
rebuilt_of(int32_t p, int32_t r, int32_t step)
{
        return (int32_t) ((uint32_t) p + (uint32_t) r * (uint32_t) step);
}

#endif
