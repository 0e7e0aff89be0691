/* codec/least_squares.h - fitting coefficients; for encoders only.
 *
 * Floating-point results differ between machines in their last bits; that is why
 * what is fitted is rounded to integers and stored.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_LEAST_SQUARES_H
#define CAEFS_CODEC_LEAST_SQUARES_H

#include <stdbool.h>
#include <stddef.h>

#define LEAST_SQUARES_MAX 64

/* GRAM, row-major with rows of STRIDE, gains VALUE' VALUE (lower triangle), and
 * RHS gains VALUE' TARGET.  VALUE holds NTERMS rows of M samples, VALUE_STRIDE
 * apart; WEIGHT, (m), or NULL for ones. SCRATCH is (m). */
void least_squares_add(const double *value, size_t value_stride, unsigned nterms, size_t m,
                       const double *target, const double *weight, double *scratch,
                       double *gram, size_t stride, double *rhs);

/* Solves the leading N equations by Cholesky's method, N <= LEAST_SQUARES_MAX, with
 * a little added to the diagonal so that terms that depend on each other do no
 * harm.  False when there is no answer. */
bool least_squares_solve(const double *gram, size_t stride, const double *rhs, unsigned n,
                         double *solution);

#endif
