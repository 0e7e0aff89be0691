/* codec/grid_log.h - the exponential and logarithm behind the log grid.
 *
 * exp2_block() is part of the format: IEEE double operations in a fixed order,
 * a table and a polynomial, so it gives the same bits everywhere.
 * log2_block() serves encoders only; it gives the same bits everywhere too.
 *
 * Thread safety: any number of threads.
 */
#ifndef CAEFS_CODEC_GRID_LOG_H
#define CAEFS_CODEC_GRID_LOG_H

#include <stddef.h>

/* OUT[i] = 2^Y[i] within two units in the last place; Y is clamped to
 * [-1100, 1100], so OUT runs from 0 to infinity. */
void exp2_block(const double *y, size_t n, double *out);

/* log2(|x|) of normal numbers within a few units of 2^-52; anything for others. */
void log2_block(const double *x, size_t n, double *out);

/* How far the middle of the interval log2(1 - E) … log2(1 + E), of width WIDTH,
 * lies from zero (below it): -log2(cosh(WIDTH ln2 / 2)), as a fixed polynomial,
 * so that the decoder need not be told. */
double log_centre(double width);

#endif
