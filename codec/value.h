/* codec/value.h - single values of any dtype, as doubles, bits and keys.
 *
 * Arrays are in host byte order.  Conversions to a narrower float round to
 * nearest, ties to even, in one step, on every machine.
 *
 * Key: the bits of a value as a signed integer that has the order of the values
 * (for floats: sign and magnitude folded; NaNs lie beyond the infinities), and
 * of the smallest width: an f32 key fits int32_t, an f16 key int16_t.
 *
 * Thread safety: any number of threads.
 */
#ifndef CAEFS_CODEC_VALUE_H
#define CAEFS_CODEC_VALUE_H

#include "codec/types.h"

/* The lowest dtype_size() bytes are the value's. */
uint64_t value_bits(enum dtype t, const void *values, size_t index);
void     value_put_bits(enum dtype t, void *values, size_t index, uint64_t bits);

int64_t  value_key(enum dtype t, uint64_t bits);
uint64_t value_bits_of_key(enum dtype t, int64_t key);  /* high bits of KEY are dropped */

/* N values, STRIDE apart, to contiguous doubles (integers of 64 bits are rounded). */
void values_to_doubles(enum dtype t, const void *values, size_t n, size_t stride, double *out);

/* N doubles to values STRIDE apart, rounded to the dtype; integer dtypes take
 * the nearest integer towards zero, clamped; NaN becomes 0. */
void values_from_doubles(enum dtype t, const double *in, size_t n, size_t stride, void *values);

void values_to_keys(enum dtype t, const void *values, size_t n, size_t stride, int64_t *out);
void values_from_keys(enum dtype t, const int64_t *in, size_t n, size_t stride, void *values);

/* Half a unit in the last place of the dtype at MAGNITUDE: how far rounding can
 * move a finite value that large; 0 for integers. */
double dtype_rounding(enum dtype t, double magnitude);

/* Copies N values of WIDTH bytes, 1, 2, 4 or 8, with their bytes reversed; OUT may
 * be IN. */
void values_swap(const void *in, size_t n, unsigned width, void *out);

#endif
