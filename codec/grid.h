/* codec/grid.h - values become integers, and back.
 *
 * A grid maps the values of one plane (a chunk, or one column of it) to
 * integers and gives them back by arithmetic with one defined result: IEEE
 * double +, -, *, tables, conversions; no libm, no contraction.  Kinds:
 *
 *   linear   x' = origin + g * unit: absolute and range bounds; the unit is a
 *            64th of the bound (coarser only where the range would not fit)
 *   log      |x'| = 2^(g * unit): point-wise relative bounds; the sign and zeros
 *            are kept beside it
 *   bits     the order-preserving bit pattern: lossless, 32 or 64 bits wide
 *   decimal  x' = g / 10^d or g * 2^e, rounded to the dtype: data that was once
 *            text or packed integers; exact, and lossless where it fits
 *   single   float64 values that are float32: bits, 32 wide
 *   table    the few distinct values, sorted; g is the index
 *
 * The mapping is never trusted: chunk_encode() decodes and compares.
 * Sources: DESIGN 5.1 in doc/design.md.
 *
 * Thread safety: any number of threads.
 */
#ifndef CAEFS_CODEC_GRID_H
#define CAEFS_CODEC_GRID_H

#include "codec/types.h"
#include "common/arena.h"
#include "common/bytes.h"

/* The numbers are part of the format. */
enum grid_kind {
        GRID_LINEAR = 1,
        GRID_LOG = 2,
        GRID_BITS = 3,
        GRID_DECIMAL = 4,
        GRID_SINGLE = 5,
        GRID_TABLE = 6,
};

struct grid {
        enum grid_kind kind;
        enum dtype     dtype;
        bool           wide;            /* int64_t integers, else int32_t */
        int64_t        step;            /* grid units per residual step */
        double         origin;          /* linear: value of g = 0 */
        double         unit;            /* linear, log: one grid unit */
        int            exponent;        /* decimal: d, or e */
        bool           binary;          /* decimal: powers of two instead of ten */
        const void    *table;           /* table: (ntable) sorted values; the arena's */
        uint32_t       ntable;
};

/* Serialised parameters, as few bytes as possible; wide, dtype and step go with
 * the chunk where they are needed to decode.  grid_parse() trusts nothing. */
enum caefs_err grid_write(const struct grid *g, struct bytes *out);
enum caefs_err grid_parse(struct cursor *in, enum dtype dtype, struct arena *arena,
                          struct grid *g);

/* (n) values, STRIDE values apart, to integers, STRIDE integers apart.  HOLE, (n)
 * with the same stride, is set to 1 where the grid cannot hold the value (zero, negative sign
 * under a logarithm is not a hole: see chunk.h), and left alone elsewhere. */
void grid_forward(const struct grid *g, const void *values, size_t n, size_t stride,
                  void *integers, uint8_t *hole);

/* The way back; defined for every integer, so hostile input gives some value. */
void grid_inverse(const struct grid *g, const void *integers, size_t n, size_t stride,
                  void *values);

#endif
