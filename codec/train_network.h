/* codec/train_network.h - the autoencoder in floating point, while it learns.
 *
 * Letters in comments: B = blocks, I = units in, O = units out.  Rows of matrices are
 * padded with zeros to what codec/matrix.h needs: row o of (B, O) begins at
 * o * matrix_padded(O).
 *
 * A minibatch is cut into slices, as many as its size alone decides.  Threads share
 * slices, each of which has gradients of its own, and then share parameters, whose
 * gradients they add up in the order of slices: so the number of threads changes
 * nothing.
 *
 * Training has two stages.  The first is plain.  The second fakes the arithmetic
 * of the integer network: weights are rounded to the steps that inference will
 * have, activations to the levels, and gradients pass as if nothing had been
 * rounded (the straight-through estimator: Bengio et al., "Estimating or
 * Propagating Gradients Through Stochastic Neurons", 2013; Jacob et al.,
 * "Quantization and Training of Neural Networks for Efficient
 * Integer-Arithmetic-Only Inference", 2018).
 *
 * Thread safety: one thread for each learner, and its team's.
 */
#ifndef CAEFS_CODEC_TRAIN_NETWORK_H
#define CAEFS_CODEC_TRAIN_NETWORK_H

#include "codec/model.h"
#include "codec/matrix.h"
#include "codec/network.h"
#include "codec/train_lanes.h"
#include "common/team.h"

/* xoshiro256**, Blackman and Vigna, "Scrambled Linear Pseudorandom Number
 * Generators", 2018; seeded by splitmix64. */
struct random {
        uint64_t state[4];
};
void     random_seed(struct random *r, uint64_t seed);
uint64_t random_next(struct random *r);
double   random_unit(struct random *r);                 /* in [0, 1) */
uint64_t random_below(struct random *r, uint64_t limit);

/* What follows the sums of a layer. */
enum learner_activation {
        LEARNER_LINEAR,         /* nothing: the output, and latents of a ReLU network */
        LEARNER_RELU,
        LEARNER_SIGMOID,
};

/* One connection.  Pointers into the learner's arrays. */
struct learner_layer {
        unsigned                in, out;
        enum learner_activation activation;
        bool                    wide;           /* the largest weight may exceed 127 */
        int32_t                 largest;        /* integer weight, in the second stage */
        int32_t                 levels;         /* largest activation going out; 0: not rounded */
        float                   low, high;      /* what 0 and LEVELS stand for */
        float                   weight_step;    /* of the rounded weights */
        float                   least_step;     /* that weight_step may be */
        float                  *weight;         /* (I, O) */
        float                  *bias;           /* (O) */
        float                  *rounded;        /* (I, O) weights as inference has them */
        float                  *transposed;     /* (O, I) the weights in use */
        size_t                  offset;         /* of weight in the learner's parameters;
                                                 * bias follows */
};

#define LEARNER_MAX_SLICES 8

/* What one slice of a minibatch leaves. */
struct learner_slice {
        size_t  rows;                                   /* B */
        float  *output[NETWORK_MAX_CONNECTIONS];        /* (B, O) */
        float  *delta[NETWORK_MAX_CONNECTIONS];         /* (B, O) gradient by the sums */
        float  *gradient;                               /* as the parameters */
        double  error;                                  /* sum of squares */
};

/* Some inputs' share of a layer's parameters. */
struct learner_piece {
        unsigned layer;
        unsigned from, to;      /* rows of weight; with the last one the bias */
        float    largest;       /* magnitude of a weight */
};

struct learner {
        unsigned             nlayers;           /* connections */
        unsigned             nencoder;
        struct learner_layer layer[NETWORK_MAX_CONNECTIONS];
        bool                 quantised;         /* the second stage */
        float                sparsity;          /* times the sum of magnitudes of a block's
                                                 * latents is added to its squared error */
        size_t               batch;             /* most blocks of a minibatch */
        unsigned             nslices;
        struct learner_slice slice[LEARNER_MAX_SLICES];
        struct learner_piece *piece;            /* owned */
        size_t               npieces;
        size_t               nparameters;       /* padding included */
        float               *parameter;         /* all weights and biases */
        float               *gradient;
        float               *momentum;          /* Adam's first and second moment */
        float               *variance;
        float               *best;              /* the parameters worth keeping */
        uint64_t             step;              /* of Adam */
        float               *memory;            /* the one allocation behind them all */
        matrix_multiply     *multiply;
        const struct train_lanes *lanes;
        struct team         *team;              /* not owned; NULL: the caller alone */
};

/* LAYER holds the encoder's sizes, NLAYERS of them; the decoder mirrors them.  All
 * weights are drawn from R; the biases of the first and last layer come from MEAN, the mean
 * block (layer[0]).  TEAM does the work, or, NULL, the caller.  CAEFS_ERR_NOMEM. */
enum caefs_err learner_init(struct learner *l, const unsigned *layer, unsigned nlayers,
                            enum activation hidden, size_t batch, const float *mean,
                            struct random *r, struct team *team);
void learner_release(struct learner *l);

/* Starts from the weights of A when its layers are the same; false when not. */
bool learner_adopt(struct learner *l, const struct autoencoder *a);

/* One minibatch of N <= batch blocks, X (N, block): forward, backward, Adam.
 * Returns the mean squared error before the step, what sparsity adds left out. */
float learner_step(struct learner *l, const float *x, size_t n, float rate);

/* Mean squared error over N blocks, any number; the outputs of the last of them, batch
 * or fewer, stay in the slices. */
double learner_loss(struct learner *l, const float *x, size_t n);

/* Enters the second stage: ranges of activations are those of the N blocks at X.
 * LARGEST is the decoder's largest integer weight, at most NETWORK_NARROW_WEIGHT; or
 * NETWORK_WIDE_WEIGHT, which the last connection alone then gets. */
void learner_quantise(struct learner *l, const float *x, size_t n, int32_t largest);

void learner_keep(struct learner *l);           /* remembers the parameters */
void learner_restore(struct learner *l);        /* goes back to them */

/* The learner, in its second stage, as an integer network.  OUT is the caller's, to be
 * released; CAEFS_ERR_LIMIT when its weights cannot be integers. */
enum caefs_err learner_export(const struct learner *l, struct autoencoder *out);

#endif
