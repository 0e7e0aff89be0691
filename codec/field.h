/* codec/field.h - the family `field`: fields of a series, with what their like taught.
 *
 * Files that store as a few kilobytes pay most for what they have in common: how their values lie
 * (meshes are dumped block by block, each with rows of its own length), which passes and
 * stencils suit them, and the statistics of what prediction leaves.  A model keeps these;
 * the family codes fields with them:
 *
 *   pattern    the shape of the fields, the blocks of a flat one, and for each block the
 *              plan and stencils of a pyramid (codec/pyramid.h)
 *   statistics tables of what prediction leaves, that coding begins with (codec/primed.h)
 *
 * Fields of other shapes are coded with the statistics alone.  EFFORT_MAX also tries mixing, which
 * is slow (codec/residual_guide.h); EFFORT_FAST does not try the family.
 *
 * Thread safety: a part is immutable; functions are pure, each call with its own arena.
 */
#ifndef CAEFS_CODEC_FIELD_H
#define CAEFS_CODEC_FIELD_H

#include "codec/primed.h"
#include "codec/pyramid.h"

#define FIELD_MAX_VALUES   ((size_t) 1 << 20)
#define FIELD_MAX_FLAT     ((size_t) 1 << 18)   /* of these, whose blocks are looked for */
#define FIELD_MAX_BLOCKS   32

/* Consecutive values that are an array. */
struct field_block {
        size_t extent[AXES];
        size_t count;                   /* their product */
};

/* How the values of a chunk are arrays, one after another; the last may be padded. */
struct field_view {
        size_t             nblocks;
        struct field_block block[FIELD_MAX_BLOCKS];
        size_t             count;       /* of all blocks, padding included */
};

/* What a model keeps. */
struct field_part {
        struct shape          shape;    /* of the fields; 1 to 4 extents */
        struct field_view     view;
        struct pyramid_plane *plane;    /* (nblocks) */
        struct primed         primed;
};

/* First byte of SIDE. */
#define FIELD_SIDE_PATTERN 0x01         /* the model's blocks */
#define FIELD_SIDE_GIVEN   0x02         /* its stencils as well */
#define FIELD_SIDE_PRIMED  0x04         /* coded with its tables, else by mixing */
#define FIELD_SIDE_ALL     0x07

/* A field of SHAPE as one array. */
void field_view_of_shape(const struct shape *shape, struct field_view *v);

/* True when fields of G's shape have the pattern of P. */
bool field_has_pattern(const struct field_part *p, const struct field_geometry *g);

/* Segments of all blocks of V; the arena's, NULL when memory is out. */
struct residual_segment *field_segments(const struct field_view *v,
                                        const struct pyramid_plane *plane, struct arena *arena,
                                        size_t *nsegments);

/* ---- codec/field_part.c ---- */

/* A pattern as bytes.  V has the blocks of a flat field, else it is the shape itself. */
void field_pattern_write(const struct shape *shape, const struct field_view *v,
                         const struct pyramid_plane *plane, struct bytes *out);

/* Appends the statistics of residuals, (nfields) of the pattern with the segments of PLANE, to
 * what field_pattern_write() left. */
enum caefs_err field_primed_write(const struct field_view *v, const struct pyramid_plane *plane,
                                  const int32_t *const *residual, size_t nfields,
                                  struct bytes *out);

extern const struct family_part field_part;

/* ---- codec/field_blocks.c ---- */

/* Finds the blocks of NFIELDS flat fields of COUNT integers that lie alike.  Encoders
 * only.  STEP: differences below it do not matter. */
enum caefs_err field_blocks_find(const int32_t *const *grid, size_t nfields, size_t count,
                                 int32_t step, struct arena *arena, struct field_view *v);

/* ---- codec/field_encode.c ---- */

bool           field_applies(const struct field *f);
enum caefs_err field_encode(const struct field *f, struct arena *arena,
                            struct prediction *out, double *bits);

#endif
