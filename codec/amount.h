/* codec/amount.h - the amount of a bound in few bytes.
 *
 * Amounts are written by people: 1e-3 is m * 10^e with one digit, so it takes two
 * bytes, a varint m and a signed varint e (doc/format.md).
 *
 * Thread safety: any number of threads.
 */
#ifndef CAEFS_CODEC_AMOUNT_H
#define CAEFS_CODEC_AMOUNT_H

#include "common/bytes.h"

/* AMOUNT > 0, finite; it reads back as the same double. */
void amount_write(struct bytes *out, double amount);

/* NaN when what follows is no amount of a bound. */
double amount_parse(struct cursor *in);

#endif
