/* codec/symbols.h - a plane of small symbols: which value is special, and how.
 *
 * Masks, signs and the positions of a patch are mostly one symbol, 0, with the
 * others in runs.  Three codings, the smallest wins: a list of runs, that list
 * through a general coder, and the symbols themselves (or their change against
 * the left or upper neighbour) through the residual coders.
 *
 * Thread safety: any number of threads, each with its own arena.
 */
#ifndef CAEFS_CODEC_SYMBOLS_H
#define CAEFS_CODEC_SYMBOLS_H

#include "codec/types.h"
#include "common/arena.h"
#include "common/bytes.h"

#define SYMBOLS_LIMIT 16        /* symbols are below this */

/* Appends a coding of (count) symbols, each below NSYMBOLS <= SYMBOLS_LIMIT.  ROW is the
 * distance to the neighbour above, 0: none. */
enum caefs_err symbols_encode(const uint8_t *symbol, size_t count, size_t row,
                              unsigned nsymbols, enum effort effort, struct arena *arena,
                              struct bytes *out);

/* Reads up to the end of the coding; all symbols come out below NSYMBOLS. */
enum caefs_err symbols_decode(struct cursor *in, size_t count, size_t row, unsigned nsymbols,
                              struct arena *arena, uint8_t *symbol);

#endif
