/* codec/cae_part.h - what the family `cae` keeps in a model.
 *
 * An autoencoder (codec/network.h): the decoder's integer weights, the encoder's too,
 * so that new data can be encoded; and how it was trained.
 *
 * Thread safety: a part is immutable.
 */
#ifndef CAEFS_CODEC_CAE_PART_H
#define CAEFS_CODEC_CAE_PART_H

#include "codec/model.h"
#include "codec/network.h"
#include "codec/predict.h"

struct cae_part {
        struct autoencoder autoencoder; /* owned */
        double             proportion;  /* of the data that was learnt from */
        uint32_t           epochs;
        double             train_loss;  /* mean squared error, normalised units */
        double             validation_loss;
};

/* P as bytes. */
enum caefs_err cae_part_write(const struct cae_part *p, struct bytes *out);

/* The networks of M; NULL when it has none, or is NULL itself. */
const struct autoencoder *model_autoencoder(const struct model *m);

extern const struct family_part cae_part;

#endif
