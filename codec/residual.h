/* codec/residual.h - coding the integers that prediction leaves.
 *
 * A family (codec/predict.h) turns a chunk into residuals: integers, mostly
 * small, zero where prediction was right.  They come as a sequence of segments
 * (a pyramid level, a column, a whole plane), each with statistics of its own
 * kind.  residual_encode() tries the coders below that a cheap estimate cannot
 * rule out and appends the smallest; residual_decode() reads any of them.
 *
 *   static    static rANS in 32 or 64 lanes; a context class by the magnitude
 *             of already decoded neighbours (left, and one ROW back); tables
 *             shared between segments where that is smaller; runs of zero
 *             blocks nearly free.  Scalar, AVX2 and AVX-512 give the same bytes.
 *   mixing    adaptive binary models mixed per bit: smaller and slow; for
 *             EFFORT_MAX, and at other efforts for short sequences where it
 *             costs no time that anybody notices.
 *   sparse    the CAE papers' scheme: a bitmap of which residuals are not zero,
 *             through bzip2, and the non-zero ones, packed
 *             (papers: High-Ratio Lossy Compression, sec. 4)
 *   general   the bytes of the residuals through a general coder (codec/pack.h):
 *             for data that repeats
 *   empty     every residual is zero: one byte
 *
 * Thread safety: functions may run in any number of threads, each with its own
 * arena.  All arithmetic is on integers: the bytes do not depend on the CPU.
 */
#ifndef CAEFS_CODEC_RESIDUAL_H
#define CAEFS_CODEC_RESIDUAL_H

#include "codec/types.h"
#include "common/arena.h"
#include "common/bytes.h"

/* COUNT residuals that follow each other.  ROW is the distance, in coding order,
 * to the neighbour one row back (its value gives context); 0 when there is none.
 * KIND groups segments with alike statistics (the same number: may share tables). */
struct residual_segment {
        size_t   count;
        size_t   row;
        unsigned kind;
};

#define RESIDUAL_MAX_SEGMENTS 65536

/* Appends a coding of R (the sum of the counts) to OUT. */
enum caefs_err residual_encode(const int32_t *r, const struct residual_segment *segment,
                               size_t nsegments, enum effort effort,
                               struct arena *arena, struct bytes *out);

/* Fills R with exactly the sum of the counts, reading IN up to the end of the
 * coding.  IN is not trusted: CAEFS_ERR_CORRUPT when it is malformed; R is then
 * unspecified.  Never allocates more than a small multiple of the sum of counts. */
enum caefs_err residual_decode(struct cursor *in, int32_t *r,
                               const struct residual_segment *segment, size_t nsegments,
                               struct arena *arena);

/* The same for 64-bit residuals (lossless doubles and integers). */
enum caefs_err residual_encode_wide(const int64_t *r, const struct residual_segment *segment,
                                    size_t nsegments, enum effort effort,
                                    struct arena *arena, struct bytes *out);
enum caefs_err residual_decode_wide(struct cursor *in, int64_t *r,
                                    const struct residual_segment *segment, size_t nsegments,
                                    struct arena *arena);

/* About how many bits the N residuals would take with the static coder, from a
 * histogram of magnitudes: cheap (one pass, no tables), for choosing between
 * predictors; comparable between calls with the same N. */
double residual_estimate(const int32_t *r, size_t n);
double residual_estimate_wide(const int64_t *r, size_t n);

/* The same for COUNT residuals of which R, (n) int64_t when WIDE, else int32_t, is a
 * sample. */
double residual_estimate_sample(const void *r, size_t n, bool wide, size_t count);

#endif
