/* codec/cae.c - the family `cae`: an autoencoder predicts, differences correct.
 *
 * "High-Ratio Lossy Compression: Exploring the Autoencoder to Compress Scientific
 * Data" (Liu et al., sec. 3 and 4): a block of values becomes a few latents, the
 * decoder predicts the block from them, and what misses the bound is corrected.
 * Two things differ.  The networks are exact (codec/network.h).  And what is left,
 * the field minus its prediction, is itself a field: smooth where the prediction
 * is a little off, so it goes to `lorenzo`, which leaves it alone where differences
 * do not help.  As the prediction depends on latents only, the loop stays closed.
 * Where the network is of no use, this family says so by its size, and another one
 * is taken.
 *
 * SIDE: flags, the normalisers, the latents; then lorenzo's.
 */
#include "codec/predict.h"

#include "codec/cae_blocks.h"
#include "codec/cae_part.h"
#include "codec/cae_search.h"

/* First byte of SIDE. */
#define SIDE_DIFFERENCE 0x01    /* latents are coded as differences between blocks */

static bool
cae_applies(const struct field *f)
{
        return model_autoencoder(f->geometry.model) != NULL && !f->geometry.wide &&
               f->geometry.step <= INT32_MAX;
}

/* ---- latents ---- */

/* Latents are coded one unit after another, each a segment along the blocks, after
 * subtracting either the unit's BASE or the block before. */
static void
latent_segments(const struct cae_blocks *b, struct residual_segment *segment)
{
        const size_t nlatents = autoencoder_latents(b->network);

        for (size_t z = 0; z < nlatents; z++)
                segment[z] = (struct residual_segment) {
                        .count = b->nblocks, .row = z > 0 ? b->nblocks : 0, .kind = 0,
                };
}

/* The value that LATENT's unit Z has most often. */
static int32_t
commonest(const struct cae_blocks *b, const int32_t *latent, size_t z, uint32_t *histogram)
{
        const size_t nlatents = autoencoder_latents(b->network);
        const int32_t largest = autoencoder_latent_max(b->network);
        int32_t best = 0;

        memset(histogram, 0, ((size_t) largest + 1) * sizeof *histogram);
        for (size_t k = 0; k < b->nblocks; k++)
                histogram[latent[k * nlatents + z]]++;
        for (int32_t v = 1; v <= largest; v++)
                if (histogram[v] > histogram[best])
                        best = v;
        return best;
}

static enum caefs_err
write_latents(const struct cae_blocks *b, const int32_t *latent, bool difference,
              enum effort effort, struct arena *arena, struct bytes *out)
{
        const size_t nlatents = autoencoder_latents(b->network);
        const size_t levels = (size_t) autoencoder_latent_max(b->network) + 1;
        struct residual_segment *segment = arena_array(arena, nlatents, sizeof *segment);
        int32_t *coded = arena_array(arena, nlatents * b->nblocks, sizeof *coded);
        uint32_t *histogram = arena_array(arena, levels, sizeof *histogram);

        if (segment == NULL || coded == NULL || histogram == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "cae: no memory for latents");
        for (size_t z = 0; z < nlatents; z++) {
                int32_t before = difference ? latent[z] : commonest(b, latent, z, histogram);
                bytes_put_varint(out, (uint64_t) before);
                for (size_t k = 0; k < b->nblocks; k++) {
                        int32_t value = latent[k * nlatents + z];
                        coded[z * b->nblocks + k] = value - before;
                        before = difference ? value : before;
                }
        }
        latent_segments(b, segment);
        return residual_encode(coded, segment, nlatents, effort, arena, out);
}

/* LATENT (nblocks, latents) from SIDE; every one within what the decoder takes. */
static enum caefs_err
parse_latents(const struct cae_blocks *b, struct cursor *side, bool difference,
              struct arena *arena, int32_t *latent)
{
        const size_t nlatents = autoencoder_latents(b->network);
        const uint32_t largest = (uint32_t) autoencoder_latent_max(b->network);
        struct residual_segment *segment = arena_array(arena, nlatents, sizeof *segment);
        int32_t *coded = arena_array(arena, nlatents * b->nblocks, sizeof *coded);
        uint32_t *base = arena_array(arena, nlatents, sizeof *base);

        if (segment == NULL || coded == NULL || base == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "cae: no memory for latents");
        for (size_t z = 0; z < nlatents; z++)
                base[z] = (uint32_t) cursor_varint_max(side, largest);
        if (side->failed)
                return caefs_fail(CAEFS_ERR_CORRUPT, "cae: latents are cut short");
        latent_segments(b, segment);
        enum caefs_err err = residual_decode(side, coded, segment, nlatents, arena);
        if (err != CAEFS_OK)
                return err;
        for (size_t z = 0; z < nlatents; z++) {
                uint32_t before = base[z];
                for (size_t k = 0; k < b->nblocks; k++) {
                        uint32_t value = before + (uint32_t) coded[z * b->nblocks + k];
                        if (value > largest)
                                return caefs_fail(CAEFS_ERR_CORRUPT, "cae: a latent is out of range");
                        latent[k * nlatents + z] = (int32_t) value;
                        before = difference ? value : before;
                }
        }
        return CAEFS_OK;
}

/* ---- decoding ---- */

/* PREDICTED (count) from the network's part of SIDE. */
static enum caefs_err
decode_prediction(const struct field_geometry *g, const struct autoencoder *network,
                  struct cursor *side, bool difference, struct arena *arena, int32_t *predicted)
{
        struct cae_blocks b;
        enum caefs_err err = cae_blocks_init(g, network, arena, &b);

        if (err == CAEFS_OK)
                err = cae_blocks_parse(side, &b);
        if (err != CAEFS_OK)
                return err;
        int32_t *latent = arena_array(arena, b.nblocks * autoencoder_latents(network),
                                      sizeof *latent);
        if (latent == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "cae: no memory for latents");
        err = parse_latents(&b, side, difference, arena, latent);
        return err == CAEFS_OK ? cae_blocks_predict(&b, latent, arena, predicted) : err;
}

static enum caefs_err
cae_decode(const struct field_geometry *g, struct cursor *side, struct cursor *coded,
           struct arena *arena, void *grid)
{
        const uint8_t flags = cursor_u8(side);

        if (side->failed || (flags & ~SIDE_DIFFERENCE) != 0 || g->wide)
                return caefs_fail(CAEFS_ERR_CORRUPT, "cae: parameters are malformed");
        const struct autoencoder *network = model_autoencoder(g->model);
        if (network == NULL)
                return caefs_fail(CAEFS_ERR_MODEL, "cae: the model of this chunk is missing");
        const struct arena_mark mark = arena_mark(arena);
        int32_t *predicted = arena_array(arena, g->count, sizeof *predicted);
        if (predicted == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "cae: no memory for %zu values", g->count);
        enum caefs_err err = decode_prediction(g, network, side,
                                               (flags & SIDE_DIFFERENCE) != 0, arena, predicted);
        if (err == CAEFS_OK)
                err = family_lorenzo.decode(g, side, coded, arena, grid);
        uint32_t *value = grid;
        for (size_t i = 0; i < g->count && err == CAEFS_OK; i++)
                value[i] += (uint32_t) predicted[i];
        arena_release(arena, mark);
        return err;
}

/* ---- encoding ---- */

/* The grid with every hole holding the value before it (before the first value:
 * that value), so that holes neither widen the range nor disturb a block. */
static const int32_t *
without_holes(const struct field *f, struct arena *arena)
{
        const int32_t *grid = f->grid;
        const size_t count = f->geometry.count;

        if (f->hole == NULL)
                return grid;
        int32_t *filled = arena_array(arena, count, sizeof *filled);
        size_t first = 0;
        while (first < count && f->hole[first])
                first++;
        int32_t last = first < count ? grid[first] : 0;
        for (size_t i = 0; filled != NULL && i < count; i++) {
                last = f->hole[i] ? last : grid[i];
                filled[i] = last;
        }
        return filled;
}

/* Normalisers and latents to SIDE, the shorter way; PREDICTED (count). */
static enum caefs_err
encode_prediction(const struct field *f, const int32_t *grid, struct arena *arena,
                  struct bytes *side, int32_t *predicted)
{
        const struct autoencoder *network = model_autoencoder(f->geometry.model);
        struct bytes way[2] = { { 0 }, { 0 } };
        struct cae_blocks b;
        enum caefs_err err = cae_blocks_init(&f->geometry, network, arena, &b);

        if (err != CAEFS_OK)
                return err;
        int32_t *latent = arena_array(arena, b.nblocks * autoencoder_latents(network),
                                      sizeof *latent);
        if (latent == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "cae: no memory for latents");
        cae_blocks_measure(&b, grid);
        err = cae_blocks_encode(&b, grid, arena, latent);
        if (err == CAEFS_OK)
                err = cae_search(&b, grid, (int32_t) f->geometry.step, f->effort, arena, latent);
        for (int w = 0; w < 2 && err == CAEFS_OK; w++)
                err = write_latents(&b, latent, w == 1, f->effort, arena, &way[w]);
        if (err == CAEFS_OK) {
                int w = way[1].size < way[0].size;
                bytes_put_u8(side, w ? SIDE_DIFFERENCE : 0);
                cae_blocks_write(&b, side);
                bytes_put(side, way[w].data, way[w].size);
                side->failed |= way[w].failed;
                err = cae_blocks_predict(&b, latent, arena, predicted);
        }
        bytes_free(&way[0]);
        bytes_free(&way[1]);
        return err;
}

/* What lorenzo makes of LEFT follows what SIDE holds already; SIDE becomes OUT's. */
static enum caefs_err
encode_rest(const struct field *f, const int32_t *left, struct arena *arena,
            struct bytes *side, struct prediction *out, double *bits)
{
        struct field rest = *f;
        double rest_bits = 0;

        rest.grid = left;
        enum caefs_err err = family_lorenzo.encode(&rest, arena, out, &rest_bits);
        if (err != CAEFS_OK)
                return err;
        *bits = (double) side->size * 8 + rest_bits;
        bytes_put(side, out->side.data, out->side.size);
        side->failed |= out->side.failed;
        bytes_free(&out->side);
        out->side = *side;
        *side = (struct bytes) { 0 };
        return out->side.failed ? caefs_fail(CAEFS_ERR_NOMEM, "cae: no memory") : CAEFS_OK;
}

static enum caefs_err
cae_encode(const struct field *f, struct arena *arena, struct prediction *out, double *bits)
{
        const size_t count = f->geometry.count;
        const int32_t *grid = without_holes(f, arena);
        int32_t *left = arena_array(arena, count, sizeof *left);
        struct bytes side = { 0 };

        if (grid == NULL || left == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "cae: no memory for %zu values", count);
        enum caefs_err err = encode_prediction(f, grid, arena, &side, left);
        for (size_t i = 0; i < count && err == CAEFS_OK; i++)
                left[i] = (int32_t) ((uint32_t) grid[i] - (uint32_t) left[i]);
        if (err == CAEFS_OK)
                err = encode_rest(f, left, arena, &side, out, bits);
        bytes_free(&side);
        return err;
}

const struct family_methods family_cae = {
        .name = "cae",
        .needs_model = true,
        .part = &cae_part,
        .applies = cae_applies,
        .encode = cae_encode,
        .decode = cae_decode,
};
