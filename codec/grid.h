/* codec/grid.h - values become integers, and back.
 *
 * A grid maps the values of one plane (a chunk, or one column of it) to
 * integers and gives them back by arithmetic with one defined result: IEEE
 * double +, -, *, /, tables, conversions; no libm, no contraction.  Kinds:
 *
 *   linear   x' = origin + g * unit: absolute and range bounds; the unit is a
 *            64th of the bound (coarser only where the range would not fit);
 *            with step 1 also packed integers with scale and offset, exact
 *   log      |x'| = 2^(origin + g * unit): point-wise relative bounds; signs and
 *            zeros are kept beside it
 *   bits     the order-preserving bit pattern, without low bits that are zero
 *            everywhere: lossless, 32 or 64 bits wide
 *   decimal  x' = g / 10^d or g * 2^e, rounded to the dtype: data that was once
 *            text or fixed point; exact where it fits
 *   single   float64 values that are float32: bits, 32 wide
 *   table    the few distinct values, sorted; g is the index
 *   digits   decimal floating point of P digits, in order: text in scientific
 *            notation; exact where it fits
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
        GRID_DIGITS = 7,
};

#define GRID_STEP         128           /* units per residual step, where they fit */
#define GRID_TABLE_LIMIT  65536         /* values in a table, at most */
#define GRID_DIGITS_LIMIT 15            /* P, at most: integers that a double holds */
#define GRID_POWERS       22            /* 10^22 is the last power a double holds */

struct grid {
        enum grid_kind kind;
        enum dtype     dtype;
        bool           wide;            /* int64_t integers, else int32_t */
        int64_t        step;            /* grid units per residual step */
        double         origin;          /* linear, log: where g = 0 lies */
        double         unit;            /* linear, log: one grid unit, above 0 */
        int            exponent;        /* decimal: d or e; digits: of g = 1 */
        bool           binary;          /* decimal: powers of two instead of ten */
        int64_t        offset;          /* bits, decimal, single, digits: added to g */
        unsigned       shift;           /* bits: low bits that are zero, 0 to 63 */
        unsigned       digits;          /* digits: P, 1 to GRID_DIGITS_LIMIT */
        const int64_t *table;           /* table: (ntable) keys, ascending; the arena's */
        uint32_t       ntable;          /* 1 to GRID_TABLE_LIMIT */
};

/* Serialised parameters, as few bytes as possible, all but the dtype.
 * grid_parse() trusts nothing. */
enum caefs_err grid_write(const struct grid *g, struct bytes *out);
enum caefs_err grid_parse(struct cursor *in, enum dtype dtype, struct arena *arena,
                          struct grid *g);

/* (n) values, STRIDE values apart, to integers, STRIDE integers apart, as wide as
 * the grid says.  HOLE, (n) with the same stride, is set to 1 where the grid cannot
 * hold the value (its integer is then 0), and left alone elsewhere.  Under a
 * logarithm zeros are holes and signs are dropped: the caller keeps them. */
void grid_forward(const struct grid *g, const void *values, size_t n, size_t stride,
                  void *integers, uint8_t *hole);

/* The grid on which values that G's inverse gave, or that of another grid like it, lie
 * where they came from: G's forward goes down to the next integer, and under a logarithm
 * the inverse to where both sides of a step have the same relative error. */
struct grid grid_of_decoded(const struct grid *g);

/* The way back; defined for every integer, so hostile input gives some value. */
void grid_inverse(const struct grid *g, const void *integers, size_t n, size_t stride,
                  void *values);

/* The double nearest below X > 0 whose short form takes NBYTES bytes, 2 to 9. */
double short_double_below(double x, unsigned nbytes);

/* A double whose last mantissa bits are zero in few bytes: its 64 bits in reverse
 * order, as a varint. */
void   bytes_put_short_double(struct bytes *b, double x);
double cursor_short_double(struct cursor *c);

/* Powers of ten that a double holds exactly, 10^0 to 10^22. */
extern const double powers_of_ten[GRID_POWERS + 1];

#endif
