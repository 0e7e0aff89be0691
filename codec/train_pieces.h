/* codec/train_pieces.h - what a training learns from, and what it holds back.
 *
 * Arrays are cut into pieces of whole rows, at most as large as the chunks of an
 * object.  Some are held back: they are measured with the real encoder, and nothing is
 * learnt from them.  They are those of the arrays beside the inputs; when there are none,
 * of several inputs whole ones, of a single one its last part.
 *
 * Thread safety: one thread.
 */
#ifndef CAEFS_CODEC_TRAIN_PIECES_H
#define CAEFS_CODEC_TRAIN_PIECES_H

#include "codec/train.h"

/* Raw bytes of a piece, about, as those of a chunk at balanced effort. */
#define TRAIN_PIECE_BYTES ((size_t) 2 << 20)

/* Raw bytes that are held back at most, about. */
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

struct train_pieces {
        struct train_piece *learnt;     /* owned; in the order of the inputs */
        size_t              nlearnt;
        struct train_piece *held;       /* owned */
        size_t              nheld;
        size_t              largest;    /* values of a piece */
        uint64_t            total_bytes;        /* raw, of all inputs and what is beside */
        double            **amounts;    /* (namounts), each owned; entries may be NULL */
        size_t              namounts;
        bool                split;      /* one array, learnt and held in part */
};

/* Cuts INPUT; O's proportion says how much is learnt from. */
enum caefs_err train_pieces_cut(const struct train_input *input, size_t ninputs,
                                const struct train_options *o, struct train_pieces *out);
void train_pieces_release(struct train_pieces *p);

/* The values of a piece as they lie in the file (count * dtype_size bytes) to BUFFER. */
enum caefs_err train_piece_read(const struct train_piece *p, void *buffer);

/* Values of one row of a table whose columns have bounds of their own, else 1. */
size_t train_piece_columns(const struct train_piece *p, enum scope scope);

/* Raw bytes of a piece. */
uint64_t train_piece_bytes(const struct train_piece *p);

/* Coded bytes of P at balanced effort, with MODEL or, NULL, without; SERVED, when not
 * NULL, receives what a decoder gives (as train_piece_read()). */
enum caefs_err train_piece_encode(const struct train_piece *p, const struct train_options *o,
                                  const struct model *m, struct bytes *coded, void *served);

#endif
