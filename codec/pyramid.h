/* codec/pyramid.h - what both sides of the family `pyramid` share.
 *
 * A chunk is seen as one array of up to four axes, or as several of equal shape
 * (PLANES: one for each index of the last axis).  Flat data with a hidden row
 * length is folded into rows; the last row is padded, and padding has residuals
 * like any other value (they are zero).
 *
 * Thread safety: pure functions, each call with its own arena.
 */
#ifndef CAEFS_CODEC_PYRAMID_H
#define CAEFS_CODEC_PYRAMID_H

#include "codec/predict.h"
#include "codec/rows.h"
#include "codec/stencil_lanes.h"

#define PYRAMID_MAX_FOLDS  2
#define PYRAMID_MAX_PLANES 256

/* How a chunk's values become arrays. */
struct pyramid_view {
        bool   planar;                  /* the last axis counts planes */
        size_t nplanes;                 /* 1 unless planar */
        unsigned nfolds;                /* rows of flat data: lengths, longest first */
        size_t fold[PYRAMID_MAX_FOLDS];
        size_t extent[AXES];            /* of one plane */
        size_t count;                   /* their product */
        size_t real;                    /* values of one plane that are not padding */
};

/* Fills in the rest of V from planar, nfolds and fold; CAEFS_ERR_CORRUPT when
 * they make no sense for the chunk. */
enum caefs_err pyramid_view_complete(const struct field_geometry *g, struct pyramid_view *v);

/* How the stencil of a pass is said. */
enum stencil_mode {
        STENCIL_LINEAR = 0,
        STENCIL_CUBIC = 1,
        STENCIL_FITTED = 2,             /* it follows */
        STENCIL_AGAIN = 3               /* as the last pass along the same axis */
};

/* One plane's parameters. */
struct pyramid_plane {
        int32_t             base;       /* subtracted from every value */
        struct cascade_plan plan;
        struct cascade      cascade;
        uint8_t             mode[CASCADE_MAX_PASSES];
        struct stencil      stencil[CASCADE_MAX_PASSES];
};

/* The stencil for pass INDEX by a mode that is not FITTED; false when AGAIN has
 * nothing to repeat. */
bool pyramid_stencil(const struct pyramid_plane *plane, unsigned index, enum stencil_mode mode,
                     struct stencil *s);

void pyramid_write_plane(const struct pyramid_plane *plane, struct bytes *side);

/* What pyramid_write_plane() wrote, for an array of EXTENT; nothing in IN is trusted. */
enum caefs_err pyramid_parse_plane(struct cursor *in, const size_t extent[AXES],
                                   struct pyramid_plane *plane);

/* The first COUNT values of an array of EXTENT, from RESIDUAL, which has room for
 * ROWS_LANES more. */
enum caefs_err pyramid_rebuild(const struct pyramid_plane *plane, const size_t extent[AXES],
                               int32_t step, const int32_t *residual, struct arena *arena,
                               size_t count, int32_t *grid);

/* Segments of the passes of one plane, coarse to fine. */
size_t pyramid_segments(const struct cascade *c, struct residual_segment *segment);

enum caefs_err pyramid_encode(const struct field *f, struct arena *arena,
                              struct prediction *out, double *bits);

/* An array to be coded by itself. */
struct pyramid_array {
        size_t         extent[AXES];
        const int32_t *value;                   /* (product of extent) */
        const uint8_t *hole;                    /* the same, or NULL */
        int32_t        step;
        enum effort    effort;
        const struct cascade_plan  *plan;       /* NULL: to be searched */
        const struct pyramid_plane *given;      /* whose stencils, and plan, to use; or NULL */
};

/* PLANE and RESIDUAL (room for ROWS_LANES more) from A.  PLANE's base is the middle of the
 * values. */
enum caefs_err pyramid_code(const struct pyramid_array *a, struct arena *arena,
                            struct pyramid_plane *plane, int32_t *residual);

/* ---- codec/pyramid_fit.c: the encoder's choice of a stencil ---- */

/* A pass with what is known when it begins. */
struct pass_data {
        const struct pass      *pass;
        const struct term_list *list;
        struct rows             even;           /* rebuilt; not of the base pass */
        struct rows             target;         /* original integers */
        const uint8_t          *hole;           /* NULL: none; else that of target
                                                 * row[x] is HOLE[row + x - target.at] */
        int32_t                 step;
        enum effort             effort;
        bool                    rough;          /* a quick choice will do */
};

/* Picks mode and stencil of pass INDEX of PLANE, whose earlier passes are done. */
enum caefs_err pyramid_choose(const struct pass_data *d, struct pyramid_plane *plane,
                              unsigned index, struct arena *arena);

#endif
