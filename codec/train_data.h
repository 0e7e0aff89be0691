/* codec/train_data.h - what the trainer learns from.
 *
 * Arrays are cut into pieces about as large as the chunks of an object.  Pieces to
 * learn from become normalised blocks, as codec/cae_blocks.h makes them of a chunk:
 * values (logarithms of magnitudes under a point-wise relative bound, keys of their
 * bits where nothing may be lost) between the piece's, or the column's, smallest and
 * largest.  Pieces held back are measured with the real encoder at the end.
 *
 * Thread safety: one thread.
 */
#ifndef CAEFS_CODEC_TRAIN_DATA_H
#define CAEFS_CODEC_TRAIN_DATA_H

#include "codec/chunk.h"
#include "codec/train.h"

/* Raw bytes of a piece, about. */
#define TRAIN_PIECE_BYTES ((size_t) 256 << 10)

/* Values that are learnt from at most: larger data is sampled, evenly. */
#define TRAIN_MAX_VALUES ((size_t) 16 << 20)

/* The least number of blocks that anything can be learnt from. */
#define TRAIN_LEAST_BLOCKS 8

/* Raw bytes that are held back at most. */
#define TRAIN_MAX_HELD ((size_t) 8 << 20)

struct train_piece {
        const struct train_input *input;
        uint64_t                  first;        /* value of the region */
        size_t                    count;
        struct shape              shape;        /* count values, slowest first */
        const double             *amounts;      /* absolute bounds, one or one a column;
                                                 * NULL: the bound is not absolute */
        size_t                    namounts;
};

struct train_data {
        size_t              block;      /* values of a block */
        size_t              nblocks;
        float              *value;      /* (nblocks, block), 0 to 1; owned */
        struct train_piece *held;       /* owned */
        size_t              nheld;
        uint64_t            total_bytes;        /* raw, of all inputs */
        uint64_t            learnt_values;
        double              step;       /* twice the allowed error, in units of normalised
                                         * values: the mean over pieces and columns; 0:
                                         * nothing may be lost */
        double            **amounts;    /* (ninputs), each owned; entries may be NULL */
        size_t              ninputs;
};

/* Gathers from INPUTS for networks whose input layer has BLOCK units.  There may be
 * too little to learn from: see nblocks. */
enum caefs_err train_data_gather(const struct train_input *input, size_t ninputs,
                                 const struct train_options *o, size_t block,
                                 struct train_data *out);
void train_data_release(struct train_data *d);

/* The values of a piece as they lie in the file (count * dtype_size bytes) to BUFFER. */
enum caefs_err train_piece_read(const struct train_piece *p, void *buffer);

#endif
