/* codec/train_data.h - what an autoencoder learns from.
 *
 * The pieces that a training learns from become normalised blocks, as codec/cae_blocks.h
 * makes them of a chunk: values (logarithms of magnitudes under a point-wise relative
 * bound, keys of their bits where nothing may be lost) between the piece's, or the
 * column's, smallest and largest.
 *
 * Thread safety: one thread.
 */
#ifndef CAEFS_CODEC_TRAIN_DATA_H
#define CAEFS_CODEC_TRAIN_DATA_H

#include "codec/train_pieces.h"

/* Values that are learnt from at most: larger data is sampled, evenly. */
#define TRAIN_MAX_VALUES ((size_t) 16 << 20)

/* The least number of blocks that anything can be learnt from. */
#define TRAIN_LEAST_BLOCKS 8

struct train_data {
        size_t              block;      /* values of a block */
        size_t              nblocks;
        float              *value;      /* (nblocks, block), 0 to 1; owned */
        bool                shuffled;   /* no longer in the order of the pieces */
        uint64_t            learnt_values;
        double              step;       /* twice the allowed error, in units of normalised
                                         * values: the mean over pieces and columns; 0:
                                         * nothing may be lost */
};

/* Gathers from the learnt PIECES for networks whose input layer has BLOCK units.  There
 * may be too little to learn from: see nblocks. */
enum caefs_err train_data_gather(const struct train_pieces *pieces, const struct train_options *o,
                                 size_t block, struct train_data *out);
void train_data_release(struct train_data *d);

#endif
