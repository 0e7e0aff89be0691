/* codec/column.h - what both sides of the family `column` share.
 *
 * The last axis of a chunk counts columns, everything before it rows.  Columns
 * are coded one after another.  Each value is predicted from values of columns
 * coded before, in the same row or the row before, and from its own column's
 * value in the row before:
 *
 *     p = floor((sum of coefficient * value + 2^(shift - 1)) / 2^shift)
 *
 * where values are less their column's base.  Sums are 64 bits and wrap around;
 * p is cut to the width of the grid.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_COLUMN_H
#define CAEFS_CODEC_COLUMN_H

#include "codec/predict.h"

#define COLUMN_MAX_TERMS 24
#define COLUMN_MAX_SHIFT 40
#define COLUMN_MAX       16384          /* columns */

struct column_term {
        size_t  column;                 /* coded before, or with PREVIOUS this one */
        bool    previous;               /* from the row before; in the first row 0 */
        int64_t coefficient;
};

struct column_model {
        int64_t            base;
        unsigned           shift;
        unsigned           nterms;
        struct column_term term[COLUMN_MAX_TERMS];
};

/* Columns of NROWS values each, one after another, less their bases. */
struct table {
        size_t   nrows;
        size_t   ncolumns;
        bool     wide;
        int64_t  step;
        int64_t *value;                 /* (ncolumns, nrows) */
};

/* Sums over the terms but the one on the column itself, rounding included; SUM is
 * (nrows).  Returns the coefficient of the column's own previous row. */
int64_t column_sums(const struct table *t, size_t column, const struct column_model *m,
                    int64_t *sum);

/* The prediction from a full sum. */
static inline int64_t
column_prediction(const struct table *t, const struct column_model *m, int64_t sum)
{
        int64_t p = sum >> m->shift;
        return t->wide ? p : (int32_t) p;
}

/* What the residual rebuilds. */
static inline int64_t
column_rebuilt(const struct table *t, int64_t prediction, int64_t residual)
{
        uint64_t v = (uint64_t) prediction + (uint64_t) residual * (uint64_t) t->step;
        return t->wide ? (int64_t) v : (int32_t) v;
}

/* Rows and columns of a chunk. */
void column_table(const struct field_geometry *g, struct table *t);

/* One segment a column; a kind of its own where it is long enough for tables. */
void column_segments(const struct table *t, struct residual_segment *segment);

enum caefs_err column_encode(const struct field *f, struct arena *arena,
                             struct prediction *out, double *bits);

#endif
