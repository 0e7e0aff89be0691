/* tests/unit/sample_model.h - small models made by hand, the same everywhere. */
#ifndef CAEFS_TESTS_SAMPLE_MODEL_H
#define CAEFS_TESTS_SAMPLE_MODEL_H

#include <stdlib.h>

#include "codec/cae_part.h"

/* splitmix64 */
static inline uint64_t
sample_random(uint64_t *state)
{
        uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

        z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
        return z ^ z >> 31;
}

/* In -LIMIT..LIMIT. */
static inline int32_t
sample_between(uint64_t *state, int32_t limit)
{
        return (int32_t) (sample_random(state) % (2 * (uint64_t) limit + 1)) - limit;
}

/* One connection with random weights, scaled so that its outputs spread over their range. */
static inline struct connection
sample_connection(unsigned in, unsigned out, enum activation activation, bool wide,
                  int32_t input_max, int32_t output_max, uint64_t *seed)
{
        struct connection c = {
                .in = in, .out = out, .activation = activation, .wide = wide,
                .input_max = input_max, .output_max = output_max,
                .weight = malloc((size_t) in * out * sizeof(int16_t)),
                .bias = malloc(out * sizeof(int32_t)),
        };
        if (activation != ACTIVATION_NONE) {
                c.multiplier = (uint32_t) ((uint64_t) 16 * (uint32_t) output_max * 65536 /
                                           ((uint64_t) in * (uint32_t) input_max * 127)) + 1;
                c.shift = 16;
        }
        for (size_t i = 0; i < (size_t) in * out; i++)
                c.weight[i] = (int16_t) sample_between(seed, wide ? NETWORK_WIDE_WEIGHT
                                                                  : NETWORK_NARROW_WEIGHT);
        for (unsigned o = 0; o < out; o++)
                c.bias[o] = sample_between(seed, 20000);
        return c;
}

/* BLOCK-8-LATENTS-8-BLOCK; not prepared. */
static inline struct autoencoder
sample_autoencoder(unsigned block, unsigned latents, enum activation activation, bool wide,
                   uint64_t seed)
{
        return (struct autoencoder) {
                .nconnections = 4,
                .nencoder = 2,
                .one = 50000,
                .connection = {
                        sample_connection(block, 8, activation, false, 1023, 1023, &seed),
                        sample_connection(8, latents, activation, false, 1023, 255, &seed),
                        sample_connection(latents, 8, activation, false, 255, 1023, &seed),
                        sample_connection(8, block, ACTIVATION_NONE, wide, 1023, 0, &seed),
                },
        };
}

/* The caller frees; NULL when it fails. */
static inline struct model *
sample_model(unsigned block, unsigned latents, enum activation activation, bool wide,
             uint64_t seed)
{
        const struct model_info info = {
                .bound = { BOUND_PWREL, 0.1 }, .scope = SCOPE_ARRAY,
                .train_values = 12345, .seed = 99,
        };
        struct cae_part p = {
                .autoencoder = sample_autoencoder(block, latents, activation, wide, seed),
                .proportion = 0.5, .epochs = 7, .train_loss = 0.25, .validation_loss = 0.5,
        };
        struct model_part part = { .family = FAMILY_CAE };
        struct model *m = NULL;

        if (cae_part_write(&p, &part.bytes) != CAEFS_OK
            || model_build(&info, &part, 1, &m) != CAEFS_OK)
                m = NULL;
        bytes_free(&part.bytes);
        autoencoder_release(&p.autoencoder);
        return m;
}

#endif
