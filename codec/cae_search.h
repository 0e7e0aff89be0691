/* codec/cae_search.h - better latents than the encoder's.
 *
 * The encoder was trained for the squared error; what a chunk costs is the coded
 * size of what is left.  With the decoder at hand the latents can be searched:
 * every code where a block has a single latent, else by descent along one latent
 * at a time.
 *
 * Thread safety: pure functions, each call with its own arena.
 */
#ifndef CAEFS_CODEC_CAE_SEARCH_H
#define CAEFS_CODEC_CAE_SEARCH_H

#include "codec/cae_blocks.h"

/* Improves LATENT (nblocks, latents) for GRID (count), quantised by STEP. */
enum caefs_err cae_search(const struct cae_blocks *b, const int32_t *grid, int32_t step,
                          enum effort effort, struct arena *arena, int32_t *latent);

#endif
