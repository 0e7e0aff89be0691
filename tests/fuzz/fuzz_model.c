/* tests/fuzz/fuzz_model.c - any bytes are a model within the limits, or an error.
 *
 * The checksum is made to fit, so that what lies behind it is reached; a model that
 * parses predicts a small field. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "codec/cae_blocks.h"
#include "codec/cae_part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECKSUM_SIZE 8
#define LARGEST_BLOB  65536

static void
predict(const struct model *m)
{
        enum { COUNT = 300 };
        const struct field_geometry g = {
                .shape = { .ndim = 1, .extent = { COUNT } }, .count = COUNT, .step = 1, .model = m,
        };
        static int32_t grid[COUNT], predicted[COUNT];
        const struct autoencoder *a = model_autoencoder(m);
        struct arena arena = { 0 };
        struct cae_blocks b;

        if (a == NULL)
                return;
        if (cae_blocks_init(&g, a, &arena, &b) == CAEFS_OK) {
                int32_t *latent = arena_array(&arena, b.nblocks * autoencoder_latents(a),
                                              sizeof *latent);
                cae_blocks_measure(&b, grid);
                if (latent != NULL && cae_blocks_encode(&b, grid, &arena, latent) == CAEFS_OK)
                        (void) cae_blocks_predict(&b, latent, &arena, predicted);
        }
        arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct model *m;

        if (size > LARGEST_BLOB)
                return 0;
        uint8_t *blob = malloc(size + CHECKSUM_SIZE);
        if (blob == NULL)
                return 0;
        memcpy(blob, data, size);
        const uint64_t sum = XXH3_64bits(blob, size);
        memcpy(blob + size, &sum, CHECKSUM_SIZE);       /* little-endian machines */
        if (model_parse(blob, size + CHECKSUM_SIZE, &m) == CAEFS_OK) {
                if (model_info(m)->parameters < 100000)
                        predict(m);
                model_free(m);
        }
        free(blob);
        return 0;
}
