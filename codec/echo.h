/* codec/echo.h - the families `echo` and `quote`: what was there before, forwards or
 * mirrored.
 *
 * Simulations on symmetric domains store the same values again, block by block and
 * mirrored within each; files of one directory share whole passages.  The family
 * finds runs of values that occur earlier, in the chunk itself or in what is known
 * beside it (the examples of a model; for `quote`, an earlier object), and codes them as copies:
 * DESIGN 5.3, "a match stage against earlier data and against a trained dictionary".
 * Values between copies, the literals, follow each other as a field of their own and
 * are predicted by `lorenzo`.  A copied value is its source, corrected by a residual:
 * so that sources that were themselves stored within the bound still serve.
 *
 * Positions count what is known first, then the values of the chunk.
 *
 * Thread safety: pure functions, each call with its own arena.
 */
#ifndef CAEFS_CODEC_ECHO_H
#define CAEFS_CODEC_ECHO_H

#include "codec/predict.h"

/* Values that a chunk may copy from beside its own, at most. */
#define ECHO_MAX_KNOWN ((size_t) 1 << 22)

/* Shorter copies are not worth their coding. */
#define ECHO_LEAST_LENGTH 8

/* Blocks of simulations have short rows: a block that is mirrored has its rows in
 * order and the values of each backwards, or the other way round. */
#define ECHO_TURN_COLUMNS 1     /* the next value of a row lies before the source */
#define ECHO_TURN_ROWS    2     /* the next row does */
#define ECHO_TURNS        4

struct echo_copy {
        size_t   gap;           /* literals between the copy before and this one */
        size_t   length;        /* at least 1 */
        size_t   source;        /* position of the first value */
        unsigned turn;          /* ECHO_TURN_…; rows begin with the copy */
};

struct echo_copies {
        struct echo_copy *copy; /* the arena's */
        size_t            count;
        size_t            row;  /* values of a row, all copies'; 0: copies are one row,
                                 * whatever their length */
};

/* Position of the source of value K of C; what lies below 0 wraps around. */
static inline size_t
echo_source(const struct echo_copy *c, size_t row, size_t k)
{
        const size_t across = row > 0 ? k % row : k, down = k - across;

        return c->source + (c->turn & ECHO_TURN_COLUMNS ? 0 - across : across)
                + (c->turn & ECHO_TURN_ROWS ? 0 - down : down);
}

/* How far below its first the lowest source of C lies. */
size_t echo_reach_down(const struct echo_copy *c, size_t row);

/* First byte of SIDE: residuals follow; what copies are made from beside the chunk. */
#define ECHO_CORRECTED 0x01
#define ECHO_REFERENCE 0x02
#define ECHO_EXAMPLES  0x04

/* What is known beside the chunk of G, laid on its grid as int64_t. */
struct echo_known {
        int64_t *value;         /* (reference + examples), and room for G's count more; the
                                 * arena's */
        size_t   reference;     /* values of G's reference, first */
        size_t   examples;      /* values of the model's examples */
};

/* As far as WHAT (ECHO_REFERENCE, ECHO_EXAMPLES) asks for it and it is there. */
enum caefs_err echo_know(const struct field_geometry *g, unsigned what, struct arena *arena,
                         struct echo_known *known);

/* The literals of a field as a geometry of their own. */
struct field_geometry echo_literals(const struct field_geometry *g, size_t count);

/* Where the source of copy I is expected that begins at position AT, GAP after the one
 * before: where that would go on. */
int64_t echo_expected_source(const struct echo_copies *c, size_t i, size_t gap, size_t at);

/* Finds copies for VALUE, (KNOWN + COUNT), of which the last COUNT are the chunk's:
 * values STEP / 2 around a known one, and those equal to an earlier one of the chunk,
 * count as found.  A copy must be worth its coding when a value that is not copied takes
 * BITS.  A quick look at parts first: no copies when hardly anything comes
 * again. */
enum caefs_err echo_find(const int64_t *value, size_t known, size_t count, int64_t step,
                         double bits, struct arena *arena, struct echo_copies *out);

/* Encoding; codec/echo_encode.c. */
enum caefs_err echo_encode(const struct field *f, struct arena *arena, struct prediction *out,
                           double *bits);

/* ---- examples: what the family keeps in a model ---- */

/* An array, as it was decoded. */
struct echo_example {
        struct reference reference;
        void            *values;        /* owned */
};

struct echo_examples {
        size_t               count;
        struct echo_example *example;   /* owned */
};

#define ECHO_MAX_EXAMPLES 64

/* Appends one example to a part: CODED is a chunk (codec/chunk.h) of DTYPE and SHAPE,
 * little-endian, without a model.  A part is a sequence of them. */
void echo_example_write(enum dtype dtype, const struct shape *shape, const struct bytes *coded,
                        struct bytes *part);

extern const struct family_part echo_part;

#endif
