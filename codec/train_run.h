/* codec/train_run.h - the course of one training.
 *
 * Blocks are shuffled and split into those learnt from and those that validate.
 * Where the activation function is open, both are tried for a while and the one with the
 * smaller validation loss goes on.  The learning rate falls along a cosine; both
 * stages (codec/train_network.h) end early when the validation loss stops falling.
 *
 * Thread safety: one thread.
 */
#ifndef CAEFS_CODEC_TRAIN_RUN_H
#define CAEFS_CODEC_TRAIN_RUN_H

#include "codec/train_data.h"
#include "codec/train_network.h"

/* What a run found. */
struct train_outcome {
        struct autoencoder network;     /* the caller releases */
        double             train_loss, validation_loss;
        double             seconds;
        uint32_t           epochs;
};

/* O with every default filled in.  The first run on DATA shuffles its blocks; further ones
 * validate with the same of them. */
enum caefs_err train_run(const struct train_options *o, struct train_data *data,
                         train_watch *watch, void *context, struct train_outcome *out);

/* Monotonic seconds. */
double train_clock(void);

#endif
