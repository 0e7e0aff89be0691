/* codec/stencil.h - linear prediction of one row from rows that are known.
 *
 * The pyramid (codec/cascade.h) rebuilds an array in passes.  A pass has two
 * arrays of int32_t with four axes, axis 3 the fastest:
 *
 *   even   known in full before the pass; along the pass's axis a, even point i
 *          lies just before target i and even point i + 1 just behind it
 *   odd    the targets, rebuilt row by row
 *
 * A term is one known value beside the target: an even point, or a target of an
 * earlier row, or (SERIAL terms) a target further left in the same row.  A
 * stencil is a list of terms with integer coefficients:
 *
 *     p = r + floor((sum of coefficient * value - 2^shift * r + 2^(shift - 1)) / 2^shift)
 *
 * where r, the reference, is the even point before the target (in the base pass,
 * which has none, the value to the left).  All of it is modulo 2^32, with the sum as
 * a signed number before it is shifted: exact where p is within 2^(31 - shift) of r,
 * however large the values are, and the same numbers everywhere in any case.
 *
 * The list of terms follows from the pass alone; a stencil uses its first
 * NTERMS, so only the coefficients are stored.  The order is by use: neighbours
 * along the axis, then those beside it, then those further away.
 *
 * What lies outside is replaced: an even point by the nearest one inside; a
 * target before the first row along its leading axis by the mean of the two even
 * points around the target (in the base pass, which has no even points: by the
 * value to the left).  stencil_row() has the details.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_STENCIL_H
#define CAEFS_CODEC_STENCIL_H

#include "codec/types.h"
#include "common/bytes.h"

#define AXES 4
#define STENCIL_MAX_TERMS  40
#define STENCIL_REACH      3            /* largest offset of a term */
#define STENCIL_MAX_SHIFT  14
#define STENCIL_MAX_WEIGHT (1 << 19)    /* magnitudes of the coefficients together */

/* One pass: AXIS is split; BASE_PASS: there are no even points. */
#define BASE_PASS AXES

struct pass {
        unsigned axis;
        unsigned level;                 /* 1: finest */
        size_t   even[AXES];            /* extents */
        size_t   odd[AXES];
        size_t   whole[AXES];           /* of both together */
        size_t   spacing[AXES];         /* of the whole, in points of the full array */
};

struct term {
        bool   even;
        int8_t offset[AXES];            /* from the target's indices */
};

/* The terms of a pass, most useful first; CUT holds prefix lengths worth trying. */
struct term_list {
        unsigned    count;
        struct term term[STENCIL_MAX_TERMS];
        unsigned    ncuts;
        unsigned    cut[8];
};

void stencil_terms(const struct pass *p, struct term_list *list);

struct stencil {
        unsigned nterms;
        unsigned shift;
        int32_t  coefficient[STENCIL_MAX_TERMS];
};

/* The fixed ones.  LINEAR: mean of the two even neighbours; CUBIC: four taps.  In
 * the base pass LINEAR is the value to the left (or before, where there is no left),
 * CUBIC the Lorenzo predictor along the fastest three axes. */
void stencil_linear(const struct pass *p, struct stencil *s);
void stencil_cubic(const struct pass *p, struct stencil *s);

/* nterms, shift and coefficients. */
void           stencil_write(const struct stencil *s, struct bytes *out);
enum caefs_err stencil_parse(struct cursor *in, const struct term_list *list, struct stencil *s);

/* One stencil at one row: where each term's values lie. */
struct row_source {
        const int32_t *at;              /* value for target 0; those of others follow */
        size_t         stride;          /* to the row behind on axis 2 */
        int32_t        coefficient;
};

struct row_stencil {
        unsigned          nsources;
        struct row_source source[2 * STENCIL_MAX_TERMS + 1];
        struct row_source reference;    /* AT NULL: the value to the left */
        int32_t           serial[3];    /* coefficients of the values 1, 2, 3 to the left */
        int32_t           first;        /* stands for the values left of target 0 */
        unsigned          shift;
};

struct rows;            /* codec/rows.h */

/* INDEX: of the row along axes 0 to 2.  EVEN and ODD are the pass's rows. */
void stencil_row(const struct pass *p, const struct term_list *list, const struct stencil *s,
                 const struct rows *even, const struct rows *odd, const size_t index[AXES - 1],
                 struct row_stencil *out);

/* The same, quicker, when *OUT is the stencil of the row before this one. */
void stencil_next_row(const struct pass *p, const struct term_list *list, const struct stencil *s,
                      const struct rows *even, const struct rows *odd,
                      const size_t index[AXES - 1], struct row_stencil *out);

/* What the terms of LIST stand for at targets FROM to FROM + n - 1 of a row, with the
 * same replacements, less the reference; term 0, which is the reference, as it is.
 * Term t fills VALUE[t * STRIDE] and on.  ODD need not be of a canvas. */
void stencil_values(const struct pass *p, const struct term_list *list,
                    const struct rows *even, const struct rows *odd, const size_t index[AXES - 1],
                    size_t from, size_t n, size_t stride, double *value);

struct stencil_lanes;   /* codec/stencil_lanes.h */

/* ROW = prediction + step * residual for targets 0 to n - 1.  RESIDUAL and ROW have room
 * for ROWS_LANES more. */
void stencil_rebuild(const struct stencil_lanes *lanes, const struct row_stencil *r, size_t n,
                     int32_t step, const int32_t *residual, int32_t *row);

/* The encoder's side of stencil_rebuild(): RESIDUAL from TARGET; HOLE or NULL.  All but
 * HOLE have room for ROWS_LANES more. */
void stencil_residual(const struct stencil_lanes *lanes, const struct row_stencil *r, size_t n,
                      int32_t step, const int32_t *target, const uint8_t *hole,
                      int32_t *residual, int32_t *row);

#endif
