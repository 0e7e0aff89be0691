/* codec/stride.h - rows hidden in flat data.
 *
 * Meshes and particle sets are often dumped as one long row; a value then
 * resembles the one a whole row back more than its neighbour.
 *
 * Thread safety: pure functions, each call with its own arena.
 */
#ifndef CAEFS_CODEC_STRIDE_H
#define CAEFS_CODEC_STRIDE_H

#include <stdint.h>

#include "codec/types.h"
#include "common/arena.h"

#define STRIDE_MAX_FOUND 8

/* Finds lags, 2 to n / 2, at which X, (n) integers, resembles itself best, best
 * first, and writes at most WANTED <= STRIDE_MAX_FOUND of them to LAG.  COARSE is
 * the difference above which two values count as not alike.  Returns how many
 * there are; 0 as well when memory is out. */
unsigned stride_search(const int32_t *x, size_t n, int32_t coarse, enum effort effort,
                       struct arena *arena, size_t *lag, unsigned wanted);

#endif
