/* codec/table_fit.h - learning a predictor from one table.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_TABLE_FIT_H
#define CAEFS_CODEC_TABLE_FIT_H

#include "codec/table.h"

/* Learns P's columns, P saying of what sort it is, from a table laid on a grid whose step
 * is STEP: TARGET, (ncolumns, nrows), less the columns' middles.  *BITS becomes what
 * the table would take with it, about, the predictor's own not counted.  The columns are
 * the caller's. */
enum caefs_err table_fit(const int32_t *target, size_t nrows, int32_t step,
                         struct arena *arena, struct table_predictor *p, double *bits);

/* codec/table_kinds.c.  Tokens stand for residuals of alike magnitudes. */
#define TABLE_TOKENS 72

unsigned table_token(int32_t residual);

/* Bits beside its token that a residual takes. */
unsigned table_token_bits(unsigned token);

/* Gathers N histograms of tokens, (n, TABLE_TOKENS), into at most TABLE_KINDS kinds, so that
 * those of a kind are alike: KIND, (n).  Returns the bits of all tokens then. */
double table_make_kinds(const uint32_t *histogram, size_t n, struct arena *arena, uint8_t *kind);

#endif
