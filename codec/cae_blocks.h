/* codec/cae_blocks.h - a chunk as the autoencoder sees it.
 *
 * The field's integers, in the order of memory, are cut into blocks as long as
 * the network's input layer; the last one is padded.  Each is normalised: with the
 * smallest value LOW and the extent SPAN of its normaliser, an integer g enters the
 * encoder as (g - LOW) / SPAN, in steps of the input layer, and what the decoder
 * says comes back as LOW + SPAN * acc / one.  A field has one normaliser, or, with
 * scope COLUMN or CHANNEL, one for each column; where the input layer is as wide as
 * the table a row is a block (Baler, sec. 3).
 *
 * Predictions are integers all the way: the same on every machine.
 *
 * Thread safety: pure functions, each call with its own arena.
 */
#ifndef CAEFS_CODEC_CAE_BLOCKS_H
#define CAEFS_CODEC_CAE_BLOCKS_H

#include "codec/network.h"
#include "codec/predict.h"

/* SPAN is mantissa << exponent. */
struct normaliser {
        int32_t  low;
        uint8_t  mantissa;
        uint8_t  exponent;      /* 0 to CAE_MAX_EXPONENT */
        int64_t  multiplier;    /* SPAN / one, as multiplier >> shift */
        unsigned shift;
};

#define CAE_MAX_EXPONENT 24

struct cae_blocks {
        const struct autoencoder *network;
        size_t                    count;        /* values */
        size_t                    nblocks;
        size_t                    ncolumns;     /* value i belongs to column i % ncolumns */
        struct normaliser        *normaliser;   /* (ncolumns), the arena's */
};

/* Sets up all but the contents of the normalisers.  CAEFS_ERR_NOMEM. */
enum caefs_err cae_blocks_init(const struct field_geometry *g, const struct autoencoder *network,
                               struct arena *arena, struct cae_blocks *b);

/* Finds the normalisers of GRID, (count). */
void cae_blocks_measure(struct cae_blocks *b, const int32_t *grid);

/* Writes them, and reads them back (untrusted). */
void           cae_blocks_write(const struct cae_blocks *b, struct bytes *out);
enum caefs_err cae_blocks_parse(struct cursor *in, struct cae_blocks *b);

/* GRID as input of the encoder: INPUT (nblocks, block), padded with its last value. */
void cae_blocks_input(const struct cae_blocks *b, const int32_t *grid, float *input);

/* Latents of all blocks by the encoder: LATENT (nblocks, latents). */
enum caefs_err cae_blocks_encode(const struct cae_blocks *b, const int32_t *grid,
                                 struct arena *arena, int32_t *latent);

/* What the decoder predicts from LATENT (nblocks, latents): PREDICTED (count). */
enum caefs_err cae_blocks_predict(const struct cae_blocks *b, const int32_t *latent,
                                  struct arena *arena, int32_t *predicted);

/* Turns N sums of the decoder, those of values FIRST to FIRST + N - 1, into
 * predictions. */
void cae_blocks_place(const struct cae_blocks *b, const int32_t *sum, size_t first, size_t n,
                      int32_t *predicted);

#endif
