/* codec/rows.h - where the points of a pyramid's passes lie while it is rebuilt.
 *
 * A canvas has room for every row of an array of four axes (axis 3 the fastest).
 * Points along axes 0 to 2 keep their place in the array from the first pass to the
 * last; only axis 3 is dense at every moment, so that passes along it move rows
 * from one canvas to the other.  A row has room at both ends for the nearest points
 * to be repeated there, and for loops that run past its end.
 *
 * Thread safety: a canvas belongs to one thread at a time.
 */
#ifndef CAEFS_CODEC_ROWS_H
#define CAEFS_CODEC_ROWS_H

#include "codec/cascade.h"
#include "common/arena.h"

/* Loops handle so many points at a time in rows that have as many. */
#define ROWS_LANES 16

/* Some rows of an array: row (i, j, k) begins at AT + i * stride[0] + j * stride[1] +
 * k * stride[2], its points POINT apart. */
struct rows {
        int32_t  *at;
        size_t    stride[AXES - 1];
        size_t    point;
};

static inline int32_t *
row_of(const struct rows *r, const size_t index[AXES - 1])
{
        return r->at + index[0] * r->stride[0] + index[1] * r->stride[1] + index[2] * r->stride[2];
}

struct canvas {
        size_t   extent[AXES];
        int32_t *known;                 /* all that is rebuilt so far */
        int32_t *next;                  /* what a pass along axis 3 makes of it */
        int32_t *between;               /* the targets of such a pass */
        void   (*interleave)(const int32_t *restrict even, const int32_t *restrict odd,
                             size_t nodd, int32_t *restrict whole);
};

/* Room for an array; CAEFS_ERR_NOMEM. */
enum caefs_err canvas_make(struct canvas *c, const size_t extent[AXES], struct arena *arena);

/* The even points and the targets of a pass.  EVEN of the base pass is not set. */
void canvas_rows(const struct canvas *c, const struct pass *p, struct rows *even, struct rows *odd);

/* Must follow when row INDEX of the targets is rebuilt, and when all of them are. */
void canvas_end_row(struct canvas *c, const struct pass *p, const size_t index[AXES - 1]);
void canvas_end_pass(struct canvas *c, const struct pass *p);

/* The points of a pass in an array that is not a canvas: (extent) values without room. */
void array_rows(const size_t extent[AXES], const struct pass *p, const int32_t *array,
                struct rows *odd);

/* The finished array: a row of extent[3] values. */
const int32_t *canvas_row(const struct canvas *c, size_t row);

#endif
