/* codec/cae_blocks.c - normalisation, and the two networks on a chunk's blocks. */
#include "codec/cae_blocks.h"

#include "codec/network_lanes.h"

/* Blocks that go through a network at once: bounds the memory, not the result. */
#define BATCH_BLOCKS 256

/* Bits that the multiplier of a normaliser has, about: precise enough for a
 * prediction, and the product with any sum fits 63 bits. */
#define MULTIPLIER_BITS 30

static unsigned
bit_length(uint64_t v)
{
        return v == 0 ? 0 : 64 - (unsigned) __builtin_clzll(v);
}

static uint32_t
span_of(const struct normaliser *n)
{
        return (uint32_t) n->mantissa << n->exponent;
}

/* SPAN / ONE as multiplier >> shift; (span << shift) has at most 62 bits. */
static void
normaliser_scale(struct normaliser *n, int32_t one)
{
        const uint64_t span = span_of(n);
        const int shift = MULTIPLIER_BITS + (int) bit_length((uint64_t) one) -
                          (int) bit_length(span);

        n->shift = shift < 1 ? 1 : (unsigned) shift;
        n->multiplier = (int64_t) ((span << n->shift) / (uint64_t) one);
}

enum caefs_err
cae_blocks_init(const struct field_geometry *g, const struct autoencoder *network,
                struct arena *arena, struct cae_blocks *b)
{
        const size_t block = autoencoder_block(network);

        *b = (struct cae_blocks) {
                .network = network,
                .count = g->count,
                .nblocks = (g->count + block - 1) / block,
                .ncolumns = 1,
        };
        if (g->scope != SCOPE_ARRAY && g->shape.ndim > 1)
                b->ncolumns = g->shape.extent[g->shape.ndim - 1];
        b->normaliser = arena_array(arena, b->ncolumns, sizeof *b->normaliser);
        if (b->normaliser == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "cae: no memory for %zu columns", b->ncolumns);
        return CAEFS_OK;
}

/* The smallest span of the form mantissa << exponent that reaches from LOW to HIGH,
 * or the largest there is. */
static void
normaliser_set(struct normaliser *n, int32_t low, int32_t high)
{
        const uint64_t extent = (uint64_t) ((int64_t) high - low);
        unsigned exponent = bit_length(extent) > 8 ? bit_length(extent) - 8 : 0;
        uint64_t mantissa = (extent + ((uint64_t) 1 << exponent) - 1) >> exponent;

        if (mantissa > 255) {
                mantissa = (mantissa + 1) / 2;
                exponent++;
        }
        if (exponent > CAE_MAX_EXPONENT) {
                exponent = CAE_MAX_EXPONENT;
                mantissa = 255;
        }
        n->low = low;
        n->mantissa = (uint8_t) mantissa;
        n->exponent = (uint8_t) exponent;
}

void
cae_blocks_measure(struct cae_blocks *b, const int32_t *grid)
{
        for (size_t c = 0; c < b->ncolumns; c++) {
                int32_t low = grid[c], high = grid[c];
                for (size_t i = c; i < b->count; i += b->ncolumns) {
                        low = grid[i] < low ? grid[i] : low;
                        high = grid[i] > high ? grid[i] : high;
                }
                normaliser_set(&b->normaliser[c], low, high);
                normaliser_scale(&b->normaliser[c], b->network->one);
        }
}

void
cae_blocks_write(const struct cae_blocks *b, struct bytes *out)
{
        for (size_t c = 0; c < b->ncolumns; c++)
                bytes_put_u8(out, b->normaliser[c].exponent);
        for (size_t c = 0; c < b->ncolumns; c++)
                bytes_put_u8(out, b->normaliser[c].mantissa);
        for (size_t c = 0; c < b->ncolumns; c++)
                bytes_put_signed(out, b->normaliser[c].low);
}

enum caefs_err
cae_blocks_parse(struct cursor *in, struct cae_blocks *b)
{
        const uint8_t *exponent = cursor_take(in, b->ncolumns);
        const uint8_t *mantissa = cursor_take(in, b->ncolumns);

        if (in->failed)
                return caefs_fail(CAEFS_ERR_CORRUPT, "cae: normalisation is cut short");
        for (size_t c = 0; c < b->ncolumns; c++) {
                int64_t low = cursor_signed(in);
                if (exponent[c] > CAE_MAX_EXPONENT || low != (int32_t) low)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "cae: normalisation out of range");
                b->normaliser[c] = (struct normaliser) {
                        .low = (int32_t) low, .mantissa = mantissa[c], .exponent = exponent[c],
                };
                normaliser_scale(&b->normaliser[c], b->network->one);
        }
        return in->failed ? caefs_fail(CAEFS_ERR_CORRUPT, "cae: normalisation is cut short")
                          : CAEFS_OK;
}

/* (g - low) / span in steps of 1 / LARGEST, rounded and clamped. */
static float
normalised(const struct normaliser *n, int32_t g, int32_t largest)
{
        const uint64_t span = span_of(n);
        int64_t above = (int64_t) g - n->low;

        if (span == 0 || above <= 0)
                return 0.0f;
        uint64_t level = ((uint64_t) above * (uint64_t) largest + span / 2) / span;
        return (float) (level > (uint64_t) largest ? (uint64_t) largest : level);
}

void
cae_blocks_input(const struct cae_blocks *b, const int32_t *grid, float *input)
{
        const size_t padded = b->nblocks * autoencoder_block(b->network);
        const int32_t largest = b->network->connection[0].input_max;
        size_t column = 0;

        for (size_t i = 0; i < b->count; i++) {
                input[i] = normalised(&b->normaliser[column], grid[i], largest);
                column = column + 1 == b->ncolumns ? 0 : column + 1;
        }
        for (size_t i = b->count; i < padded; i++)
                input[i] = input[i - 1];
}

enum caefs_err
cae_blocks_encode(const struct cae_blocks *b, const int32_t *grid, struct arena *arena,
                  int32_t *latent)
{
        const struct arena_mark mark = arena_mark(arena);
        const size_t block = autoencoder_block(b->network);
        float *input = arena_array(arena, b->nblocks * block, sizeof *input);

        if (input == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "cae: no memory for %zu blocks", b->nblocks);
        cae_blocks_input(b, grid, input);
        enum caefs_err err = network_run(b->network->connection, b->network->nencoder, input,
                                         b->nblocks, arena, latent);
        arena_release(arena, mark);
        return err;
}

static struct lanes_scale
scale_of(const struct normaliser *n)
{
        return (struct lanes_scale) {
                .multiplier = n->multiplier, .shift = n->shift, .low = (uint32_t) n->low,
        };
}

void
cae_blocks_place(const struct cae_blocks *b, const int32_t *sum, size_t first, size_t n,
                 int32_t *predicted)
{
        const struct network_lanes *lanes = network_lanes();
        struct lanes_scale scale = scale_of(&b->normaliser[0]);
        size_t column = first % b->ncolumns;

        if (b->ncolumns == 1) {
                lanes->place(&scale, sum, predicted, n);
                return;
        }
        for (size_t i = 0; i < n; i++) {
                scale = scale_of(&b->normaliser[column]);
                lanes->place(&scale, sum + i, predicted + i, 1);
                column = column + 1 == b->ncolumns ? 0 : column + 1;
        }
}

enum caefs_err
cae_blocks_predict(const struct cae_blocks *b, const int32_t *latent, struct arena *arena,
                   int32_t *predicted)
{
        const struct autoencoder *a = b->network;
        const struct arena_mark mark = arena_mark(arena);
        const size_t block = autoencoder_block(a), nlatents = autoencoder_latents(a);
        float *code = arena_array(arena, BATCH_BLOCKS * nlatents, sizeof *code);
        int32_t *sum = arena_array(arena, BATCH_BLOCKS * block, sizeof *sum);
        enum caefs_err err = CAEFS_OK;

        if (code == NULL || sum == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "cae: no memory for %zu blocks", b->nblocks);
        for (size_t from = 0; from < b->nblocks && err == CAEFS_OK; from += BATCH_BLOCKS) {
                size_t n = b->nblocks - from < BATCH_BLOCKS ? b->nblocks - from : BATCH_BLOCKS;
                for (size_t i = 0; i < n * nlatents; i++)
                        code[i] = (float) latent[from * nlatents + i];
                err = network_run(a->connection + a->nencoder, a->nconnections - a->nencoder,
                                  code, n, arena, sum);
                size_t first = from * block;
                size_t values = b->count - first < n * block ? b->count - first : n * block;
                if (err == CAEFS_OK)
                        cae_blocks_place(b, sum, first, values, predicted + first);
        }
        arena_release(arena, mark);
        return err;
}
