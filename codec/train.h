/* codec/train.h - training a model from arrays.
 *
 * Families learn (codec/train_family.h), each its part of a model; what a part is
 * worth is measured on held-back data by the encoder itself, the model's own bytes
 * counted.  What pays is kept, or nothing.
 *
 * One of them is the autoencoder of "High-Ratio Lossy Compression: Exploring the Autoencoder to
 * Compress Scientific Data" (sec. 3): fully connected, seven layers (512-64-8-1
 * and back by default), normalised blocks, Adam, minibatches, stopped when the
 * validation loss stops falling.  Training fakes the quantisation of the integer
 * network (straight-through), so what is installed is what was validated.
 *
 * Deterministic: same data, options and seed give the same model, bit for bit,
 * on one machine, whatever the number of threads; unless the clock ends the
 * training.  The number of epochs is chosen, from the size of the work and not from
 * the clock, so that it rarely does.
 *
 * Thread safety: any number of calls at once, each with its own arrays.
 */
#ifndef CAEFS_CODEC_TRAIN_H
#define CAEFS_CODEC_TRAIN_H

#include "codec/layout.h"
#include "codec/model.h"

/* One array: a value region of a file. */
struct train_input {
        const struct byte_source *source;
        struct region             region;
};

/* The papers use the sigmoid. */
enum train_activation { TRAIN_ACTIVATION_BEST = 0, TRAIN_ACTIVATION_SIGMOID, TRAIN_ACTIVATION_RELU };

struct train_options {
        struct bound bound;             /* what to train for */
        enum scope   scope;
        int          family;            /* enum family; 0: whatever pays */
        unsigned     layer[MODEL_MAX_LAYERS];   /* encoder's sizes, e.g. 512, 64, 8, 1 */
        unsigned     nlayers;           /* 0: the default */
        enum train_activation activation;       /* of the hidden layers */
        double       proportion;        /* of the data, first part; 0 < p <= 1 */
        uint32_t     epochs;            /* at most; 0: the default */
        uint32_t     patience;          /* epochs without a smaller validation loss until a stage
                                         * ends; 0: the default, a share of the epochs */
        double       time_limit;        /* seconds; 0: the default, 20 */
        uint64_t     seed;
        unsigned     threads;           /* 0: all */
        size_t       batch;             /* blocks a minibatch; 0: the default */
        double       sparsity;          /* weight of the latents' magnitudes in the loss of the
                                         * autoencoder (L1: Baler, sec. 3); 0: none */
        unsigned     seeds;             /* autoencoders trained, from SEED, SEED + 1, ..., of
                                         * which the best is kept; 0: one */
        bool         force;             /* keep the model even when it does not pay */
        const struct train_input *beside;       /* (nbeside) what the model is to serve as
                                         * well: measured, not learnt from.  Without them
                                         * a part of the inputs is held back */
        size_t       nbeside;
        uint64_t     expected_bytes;    /* raw bytes that the model is to serve, the inputs
                                         * among them; less than they have: they alone */
        double       target_ratio;      /* of all data, the model counted: once it is reached no
                                         * further family learns; 0: none */
        const struct model *warm_start; /* or NULL */
};

/* Told when a family begins (epoch 0), after epochs (at most ten times a second) and how the
 * last one ended; false stops early and keeps the best model so far. */
struct train_progress {
        int      family;                /* enum family: whose turn it is */
        uint32_t epoch, epochs;
        double   train_loss, validation_loss;
        double   seconds, seconds_left;
};
typedef bool train_watch(void *context, const struct train_progress *p);

#define TRAIN_MAX_CANDIDATES 8

/* A family that has learnt something. */
struct train_candidate {
        int      family;                /* enum family */
        uint64_t part_bytes;            /* of its part of a model */
        uint64_t model_bytes;           /* all data, with a model of this part alone */
        double   seconds;               /* learning and measuring */
};

/* What came of it.  MODEL is NULL when nothing pays (and WHY says so).  Bytes of all
 * data are estimates from what was held back. */
struct train_result {
        struct model *model;            /* the caller frees */
        uint64_t      raw_bytes;        /* of all data */
        uint64_t      plain_bytes;      /* all data, encoded without a model */
        uint64_t      model_bytes;      /* the same with it, or with the best that was found;
                                         * the model's own bytes counted */
        struct train_candidate candidate[TRAIN_MAX_CANDIDATES];
        size_t        ncandidates;
        double        train_loss, validation_loss, seconds;
        uint32_t      epochs;
        char          why[160];         /* one sentence for a person */
};

enum caefs_err train_model(const struct train_input *input, size_t ninputs,
                           const struct train_options *options,
                           train_watch *watch, void *context, struct train_result *out);

/* True when FAMILY (enum family) is one that learns. */
bool train_knows(int family);

#endif
