/* codec/network.h - fully connected networks whose results are exact.
 *
 * Weights and activations are integers.  A connection takes activations
 * a (in) in 0..input_max and gives, for each of its OUT units,
 *
 *     acc = bias + sum of weight * a
 *
 * followed by its activation function, which is integer arithmetic as well.
 * The sum is a matrix product of integers held in float32: fan-in is split so that
 * no partial sum reaches 2^24, where float32 stops holding every integer.  So any
 * order of summation, any vector instructions and any number of threads give the same
 * integers (doc/design.md, "Networks that give the same bits everywhere").
 *
 * The autoencoder is that of "High-Ratio Lossy Compression: Exploring the
 * Autoencoder to Compress Scientific Data" (Liu et al., sec. 3.1): connections up
 * to the code layer Z are its encoder, those after it its decoder.
 *
 * Thread safety: a network is immutable once prepared; any number of threads may
 * run it, each with its own arena.
 */
#ifndef CAEFS_CODEC_NETWORK_H
#define CAEFS_CODEC_NETWORK_H

#include "codec/types.h"
#include "common/arena.h"
#include "common/bytes.h"

#define NETWORK_MAX_CONNECTIONS 14
#define NETWORK_MAX_UNITS       16384                   /* of one layer */
#define NETWORK_MAX_PARAMETERS  ((uint64_t) 1 << 24)    /* of one autoencoder */
#define NETWORK_MAX_ACTIVATION  4095
#define NETWORK_NARROW_WEIGHT   127                     /* one factor */
#define NETWORK_WIDE_WEIGHT     (127 * 128 + 63)        /* high * 128 + low */

/* The numbers are part of the format. */
enum activation {
        ACTIVATION_NONE = 0,    /* acc itself: the last connection of a decoder */
        ACTIVATION_RELU = 1,    /* (acc * multiplier >> shift), clamped to 0..output_max */
        ACTIVATION_SIGMOID = 2, /* output_max / (1 + exp(-x)), x = (acc * multiplier >> shift) / 64 */
};

/* One fully connected layer: IN units to OUT units. */
struct connection {
        unsigned        in, out;
        enum activation activation;
        bool            wide;           /* |weight| <= NETWORK_WIDE_WEIGHT, else NARROW */
        int32_t         input_max;      /* activations coming in are 0..input_max */
        int32_t         output_max;     /* going out; 0 for ACTIVATION_NONE */
        uint32_t        multiplier;     /* below 2^31 */
        unsigned        shift;          /* 1 to 62 */
        int16_t        *weight;         /* (out, in), owned */
        int32_t        *bias;           /* (out), owned */

        /* Made by connection_prepare(), owned. */
        float          *high;           /* (in, out) the high factors when wide, else NULL;
                                         * rows padded with zeros (codec/matrix.h) */
        float          *low;            /* (in, out), likewise */
        int32_t        *table;          /* sigmoid: (1024) */
};

struct autoencoder {
        unsigned          nconnections;
        unsigned          nencoder;     /* the first so many are the encoder */
        struct connection connection[NETWORK_MAX_CONNECTIONS];
        int32_t           one;          /* acc of the last connection that stands for a
                                         * normalised value of 1 (0 stands for 0);
                                         * 2^8 to 2^30 */
};

/* Checks every limit above and builds what inference needs.  False: a limit is
 * broken (with a sentence in caefs_detail()), or memory is out. */
bool connection_prepare(struct connection *c);

/* Frees what its connections own; not the struct itself. */
void autoencoder_release(struct autoencoder *a);

/* Units of the input layer, of the code layer, and the code's largest value. */
unsigned autoencoder_block(const struct autoencoder *a);
unsigned autoencoder_latents(const struct autoencoder *a);
int32_t  autoencoder_latent_max(const struct autoencoder *a);

/* Runs NCONNECTIONS connections on N rows: INPUT (n, in) of 0..input_max each, held
 * as float, to OUTPUT (n, out).  Only memory can fail. */
enum caefs_err network_run(const struct connection *connection, unsigned nconnections,
                           const float *input, size_t n, struct arena *arena,
                           int32_t *output);

/* The autoencoder as bytes, and back; autoencoder_parse() trusts nothing and
 * leaves OUT released when it fails. */
enum caefs_err autoencoder_write(const struct autoencoder *a, struct bytes *out);
enum caefs_err autoencoder_parse(struct cursor *in, struct autoencoder *out);

#endif
