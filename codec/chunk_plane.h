/* codec/chunk_plane.h - the inside of a chunk: one plane of values with one coding.
 *
 * A plane is a chunk, or the group of its columns that are coded together, in
 * host byte order and with at most four extents.  chunk.c cuts chunks into planes;
 * plane_encode() and plane_decode() here code one; doc/format.md, "Chunks".
 *
 * Thread safety: any number of threads, each with its own arena.
 */
#ifndef CAEFS_CODEC_CHUNK_PLANE_H
#define CAEFS_CODEC_CHUNK_PLANE_H

#include "codec/chunk.h"

struct plane {
        enum dtype          dtype;
        struct shape        shape;      /* 1 to 4 extents */
        size_t              count;
        size_t              columns;    /* with grids of their own: 1, or the last extent */
        enum scope          scope;      /* ARRAY when columns is 1 */
        const struct model *model;
        const struct reference *reference;
};

/* The first byte of a chunk or plane. */
#define HEAD_FAMILY   0x0f              /* enum family, or 0: no prediction */
#define HEAD_PATCH    0x10              /* a patch follows */
#define HEAD_OVERLAY  0x20              /* alone: the patch of a rewrite follows, with its
                                         * size, and then the chunk that it changes */
/* with a family */
#define HEAD_SIGNS    0x40              /* a plane of signs follows: log grid */
#define HEAD_GRIDS    0x80              /* a grid for each column */
/* without one: how the values are kept */
#define HEAD_STORAGE  0xc0
#define STORAGE_CONSTANT 0x00           /* the same bits everywhere */
#define STORAGE_BYTES    0x40           /* the bytes through a general coder */
#define STORAGE_COLUMNS  0x80           /* groups of columns, each a plane; not in a plane */

/* What is wanted of a plane's values. */
struct plane_bound {
        enum bound_mode mode;           /* LOSSLESS, ABS or PWREL */
        const double   *amount;         /* (columns), or one for all */
        size_t          namounts;
        const uint8_t  *keep;           /* (count) or NULL: these bit for bit */
};

/* Distance to the value one row back, for planes of symbols; 0: none. */
size_t plane_row(const struct plane *p);

/* What families are told of the plane on its NGRIDS grids, all as wide and with the same
 * step. */
struct field_geometry plane_field(const struct plane *p, const struct grid *grid, size_t ngrids);

/* Appends the smallest coding found that holds the bound; it has been decoded
 * and compared, and DECODED, (count), is what it gives. */
enum caefs_err plane_encode(const struct plane *p, const struct plane_bound *b,
                            const struct chunk_options *o, const void *values,
                            struct arena *arena, struct bytes *out, void *decoded,
                            struct chunk_report *report);

/* Rebuilds (count) values.  CODED is not trusted. */
enum caefs_err plane_decode(const struct plane *p, const uint8_t *coded, size_t size,
                            struct arena *arena, void *values);

/* Compares DECODED with VALUES: sets WHERE, (count), to 1 where the bound does not
 * hold, and returns how often.  Adds to REPORT's worst errors when not NULL. */
size_t plane_verify(const struct plane *p, const struct plane_bound *b, const void *values,
                    const void *decoded, uint8_t *where, struct chunk_report *report);

#endif
