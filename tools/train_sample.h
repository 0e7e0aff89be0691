/*
 * train_sample.h - one held-back piece of the data, as written and as served.
 *
 * Thread safety: one thread.
 */

#ifndef CAEFS_TOOL_TRAIN_SAMPLE_H
#define CAEFS_TOOL_TRAIN_SAMPLE_H

#include "codec/train_pieces.h"

struct train_sample {
        struct train_pieces pieces; /* owned: what the piece refers to */
        struct train_piece piece;
        size_t columns; /* of a table whose columns have bounds of their own, else 1 */
        double *original, *decoded; /* (piece.count); owned */
        uint64_t stored_bytes;
};

/* Encodes it with MODEL, or, NULL, without.  CAEFS_ERR_NO_ENTRY: there is no data. */
enum caefs_err train_sample_take(const struct train_input *input, size_t ninputs,
                                 const struct train_options *o, const struct model *model,
                                 struct train_sample *out);
void train_sample_free(struct train_sample *s);

/* What value I may differ by; 0: not at all. */
double train_sample_allowed(const struct train_sample *s, const struct train_options *o,
                            size_t i);

#endif
