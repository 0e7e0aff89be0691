/* codec/grid_fit.h - grids that suit given values and a given bound.
 *
 * Encoders only: nothing here is part of the format, and any result is checked
 * by decoding.  Each function returns false where its kind of grid is no use.
 *
 * Thread safety: any number of threads.
 */
#ifndef CAEFS_CODEC_GRID_FIT_H
#define CAEFS_CODEC_GRID_FIT_H

#include "codec/grid.h"

/* What one pass over the values of a plane or column tells. */
struct value_statistics {
        size_t count;
        size_t finite;          /* neither NaN nor infinite */
        size_t zeros;           /* of either sign */
        size_t negatives;       /* sign bit set, zeros included */
        double low, high;       /* of the finite; 0 when there are none */
        double smallest;        /* magnitude, of finite values that are not zero; else 0 */
        double largest;         /* magnitude */
};

/* Values whose bits are *WITHOUT, when not NULL, are left out. */
void value_statistics_of(enum dtype t, const void *values, size_t n, size_t stride,
                         const uint64_t *without, struct value_statistics *s);

/* |x' - x| <= AMOUNT. */
bool grid_fit_linear(enum dtype t, const struct value_statistics *s, double amount,
                     struct grid *g);

/* |x' - x| <= RELATIVE * |x|. */
bool grid_fit_log(enum dtype t, const struct value_statistics *s, double relative,
                  struct grid *g);

/* Exact, always; 32 bits wide where that holds all values. */
void grid_fit_bits(enum dtype t, const void *values, size_t n, size_t stride, struct grid *g);

/* Exact for nearly all values, as a sample of them says. */
bool grid_fit_single(enum dtype t, const void *values, size_t n, size_t stride, struct grid *g);
bool grid_fit_decimal(enum dtype t, const void *values, size_t n, size_t stride,
                      const struct value_statistics *s, struct grid *g);
bool grid_fit_binary(enum dtype t, const void *values, size_t n, size_t stride,
                     const struct value_statistics *s, struct grid *g);
bool grid_fit_digits(enum dtype t, const void *values, size_t n, size_t stride,
                     const struct value_statistics *s, struct grid *g);

/* Exact: all values, where there are at most LIMIT.  The table is the arena's. */
enum caefs_err grid_fit_table(enum dtype t, const void *values, size_t n, size_t stride,
                              size_t limit, struct arena *arena, struct grid *g, bool *fits);

/* Values that were once integers with a scale and an offset, found in the table of
 * the distinct ones: x = origin + g * unit. */
enum caefs_err grid_fit_packed(const struct grid *table, struct arena *arena, struct grid *g,
                               bool *fits);

/* Grid integers from LOW to HIGH: wide, or narrow with the offset they need. */
void grid_fit_width(struct grid *g, int64_t low, int64_t high);

#endif
