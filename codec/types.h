/* codec/types.h - the words that all of the codec shares.
 *
 * Nothing here knows a path, a database or a mount.
 */
#ifndef CAEFS_CODEC_TYPES_H
#define CAEFS_CODEC_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* Type of one value.  The numbers are part of the format (doc/format.md). */
enum dtype {
        DTYPE_BYTES = 0,        /* opaque: no value structure */
        DTYPE_F16 = 1,
        DTYPE_BF16 = 2,
        DTYPE_F32 = 3,
        DTYPE_F64 = 4,
        DTYPE_I8 = 5,           /* integers are always lossless */
        DTYPE_I16 = 6,
        DTYPE_I32 = 7,
        DTYPE_I64 = 8,
        DTYPE_U8 = 9,
        DTYPE_U16 = 10,
        DTYPE_U32 = 11,
        DTYPE_U64 = 12,
        DTYPE_COUNT
};

/* Bytes of one value, 1 to 8; 0 for a number that is no dtype. */
unsigned    dtype_size(enum dtype t);
bool        dtype_is_float(enum dtype t);
const char *dtype_name(enum dtype t);           /* "f32", "i16", "bytes" … */
bool        dtype_parse(const char *text, enum dtype *t, bool *big_endian); /* "f32", "f64:be" */

#define SHAPE_MAX_DIMENSIONS 8

/* Extents, slowest first; every extent at least 1.  ndim 0 is one value. */
struct shape {
        unsigned ndim;                          /* 0 to SHAPE_MAX_DIMENSIONS */
        uint64_t extent[SHAPE_MAX_DIMENSIONS];
};

/* Number of values; 0 when the product does not fit 63 bits. */
uint64_t shape_count(const struct shape *s);

/* What may change.  For every finite value x served as x':
 *   LOSSLESS   x' has the bits of x
 *   ABS        |x' - x| <= amount
 *   REL        |x' - x| <= amount * (max - min) of the scope, over finite values
 *   PWREL      |x' - x| <= amount * |x|; zero stays zero (its sign too), signs stay
 *   PSNR       the scope's PSNR, 20 log10((max - min) / rms error), stays >= amount dB
 * NaN payloads, infinities and signed zeros keep their bits in every mode.
 * All of it is judged in the value's own dtype, after rounding to it. */
enum bound_mode { BOUND_LOSSLESS = 0, BOUND_ABS, BOUND_REL, BOUND_PWREL, BOUND_PSNR };

struct bound {
        enum bound_mode mode;
        double          amount;         /* > 0 and finite, except for LOSSLESS: 0 */
};

/* What (max - min) is taken over: the whole array, each column of the last axis
 * (a table), each channel of the last axis (a channels-last sample).  COLUMN and
 * CHANNEL differ only in what the encoder expects of the data. */
enum scope { SCOPE_ARRAY = 0, SCOPE_COLUMN, SCOPE_CHANNEL };

enum effort { EFFORT_FAST = 0, EFFORT_BALANCED, EFFORT_MAX };

/* "lossless", "abs:1e-3", "rel:1e-3", "pwrel:0.01", "psnr:60"; false with a
 * sentence in caefs_detail() when TEXT is none of them.  bound_format() writes
 * the same form, at most 31 characters and a NUL. */
bool bound_parse(const char *text, struct bound *b);
void bound_format(const struct bound *b, char text[32]);
bool scope_parse(const char *text, enum scope *s);
bool effort_parse(const char *text, enum effort *e);
const char *bound_mode_name(enum bound_mode m);
const char *scope_name(enum scope s);
const char *effort_name(enum effort e);

#endif
