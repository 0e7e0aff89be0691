/* codec/cae_search.c - latents by what they leave to code. */
#include "codec/cae_search.h"

/* Products of code and value that an exhaustive search may look at. */
#define EXHAUSTIVE_LIMIT ((uint64_t) 1 << 28)

/* Latents above which descent by single ones is not worth its time. */
#define DESCENT_LATENTS 64

/* A measure of what the cost is counted in. */
struct measure {
        int32_t  threshold;     /* logarithm of the step, see logarithm() */
        bool     difference;    /* what is coded are differences of neighbours */
};

/* About 2^7 log2(v), v >= 0: the upper bits of its float, exponent and the first
 * bits of the fraction. */
static int32_t
logarithm(uint32_t v)
{
        float f = (float) (int32_t) (v >> 1);
        int32_t bits;

        memcpy(&bits, &f, sizeof bits);
        return bits >> 16;
}

/* About 2^7 times the bits that N errors cost beyond those within half a step. */
static int64_t
cost_of(const int32_t *grid, const int32_t *predicted, size_t n, const struct measure *m)
{
        int64_t total = 0;
        uint32_t before = 0;

        for (size_t i = 0; i < n; i++) {
                uint32_t error = (uint32_t) grid[i] - (uint32_t) predicted[i];
                uint32_t left = m->difference && i > 0 ? error - before : error;
                uint32_t sign = (uint32_t) ((int32_t) left >> 31);
                int32_t over = logarithm((left ^ sign) - sign) - m->threshold;
                total += over > 0 ? over : 0;
                before = error;
        }
        return total;
}

static size_t
block_length(const struct cae_blocks *b, size_t index)
{
        const size_t block = autoencoder_block(b->network);
        const size_t left = b->count - index * block;

        return left < block ? left : block;
}

/* Cost of each block's PREDICTED (count) to COST (nblocks). */
static void
block_costs(const struct cae_blocks *b, const int32_t *grid, const int32_t *predicted,
            const struct measure *m, int64_t *cost)
{
        const size_t block = autoencoder_block(b->network);

        for (size_t k = 0; k < b->nblocks; k++)
                cost[k] = cost_of(grid + k * block, predicted + k * block, block_length(b, k), m);
}

/* Whether neighbours' differences cost less than the errors themselves. */
static void
choose_measure(const struct cae_blocks *b, const int32_t *grid, const int32_t *predicted,
               int32_t step, struct measure *m)
{
        *m = (struct measure) { .threshold = logarithm((uint32_t) step) - 128 };
        struct measure other = *m;
        other.difference = true;
        m->difference = cost_of(grid, predicted, b->count, &other) <
                        cost_of(grid, predicted, b->count, m);
}

/* Every code of the single latent against every block.  The code of the block
 * before is kept where it costs the same: repeated codes are coded for nothing. */
static enum caefs_err
search_all(const struct cae_blocks *b, const int32_t *grid, const struct measure *m,
           struct arena *arena, int32_t *latent)
{
        const struct autoencoder *a = b->network;
        const size_t block = autoencoder_block(a);
        const size_t ncodes = (size_t) autoencoder_latent_max(a) + 1;
        float *code = arena_array(arena, ncodes, sizeof *code);
        int32_t *book = arena_array(arena, ncodes * block, sizeof *book);

        if (code == NULL || book == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "cae: no memory for %zu codes", ncodes);
        for (size_t c = 0; c < ncodes; c++)
                code[c] = (float) c;
        enum caefs_err err = network_run(a->connection + a->nencoder,
                                         a->nconnections - a->nencoder, code, ncodes, arena, book);
        if (err != CAEFS_OK)
                return err;
        cae_blocks_place(b, book, 0, ncodes * block, book);
        for (size_t k = 0; k < b->nblocks; k++) {
                const int32_t *values = grid + k * block;
                const size_t n = block_length(b, k);
                size_t best = (size_t) latent[k > 0 ? k - 1 : 0];
                int64_t least = cost_of(values, book + best * block, n, m);
                for (size_t c = 0; c < ncodes && least > 0; c++) {
                        int64_t cost = cost_of(values, book + c * block, n, m);
                        if (cost < least) {
                                least = cost;
                                best = c;
                        }
                }
                latent[k] = (int32_t) best;
        }
        return CAEFS_OK;
}

/* The workplace of the descent: (nblocks, latents), (count), (nblocks). */
struct descent {
        const struct cae_blocks *blocks;
        const int32_t           *grid;
        struct measure           measure;
        int32_t                 *trial;
        int32_t                 *predicted;
        int64_t                 *cost;
        int64_t                 *least;
};

/* Moves latent D of every block by DELTA where that costs less. */
static enum caefs_err
try_move(const struct descent *d, size_t which, int32_t delta, struct arena *arena,
         int32_t *latent)
{
        const struct autoencoder *a = d->blocks->network;
        const size_t nlatents = autoencoder_latents(a), nblocks = d->blocks->nblocks;
        const int32_t largest = autoencoder_latent_max(a);

        memcpy(d->trial, latent, nblocks * nlatents * sizeof *latent);
        for (size_t k = 0; k < nblocks; k++) {
                int32_t z = d->trial[k * nlatents + which] + delta;
                d->trial[k * nlatents + which] = z < 0 ? 0 : z > largest ? largest : z;
        }
        enum caefs_err err = cae_blocks_predict(d->blocks, d->trial, arena, d->predicted);
        if (err != CAEFS_OK)
                return err;
        block_costs(d->blocks, d->grid, d->predicted, &d->measure, d->cost);
        for (size_t k = 0; k < nblocks; k++) {
                if (d->cost[k] >= d->least[k])
                        continue;
                d->least[k] = d->cost[k];
                latent[k * nlatents + which] = d->trial[k * nlatents + which];
        }
        return CAEFS_OK;
}

static enum caefs_err
search_descent(struct descent *d, enum effort effort, struct arena *arena, int32_t *latent)
{
        static const int32_t moves[] = { 1, -1, 4, -4, 16, -16 };
        const size_t nlatents = autoencoder_latents(d->blocks->network);
        const size_t nmoves = effort == EFFORT_MAX ? 6 : 2;
        const int rounds = effort == EFFORT_MAX ? 2 : 1;
        enum caefs_err err = CAEFS_OK;

        block_costs(d->blocks, d->grid, d->predicted, &d->measure, d->least);
        for (int round = 0; round < rounds; round++)
                for (size_t m = nmoves; m > 0; m--)
                        for (size_t z = 0; z < nlatents && err == CAEFS_OK; z++)
                                err = try_move(d, z, moves[m - 1], arena, latent);
        return err;
}

enum caefs_err
cae_search(const struct cae_blocks *b, const int32_t *grid, int32_t step, enum effort effort,
           struct arena *arena, int32_t *latent)
{
        const size_t nlatents = autoencoder_latents(b->network);
        const uint64_t codes = (uint64_t) autoencoder_latent_max(b->network) + 1;
        const bool same_columns = autoencoder_block(b->network) % b->ncolumns == 0;
        const struct arena_mark mark = arena_mark(arena);

        if (effort == EFFORT_FAST || nlatents > DESCENT_LATENTS)
                return CAEFS_OK;
        struct descent d = {
                .blocks = b,
                .grid = grid,
                .trial = arena_array(arena, b->nblocks * nlatents, sizeof(int32_t)),
                .predicted = arena_array(arena, b->count, sizeof(int32_t)),
                .cost = arena_array(arena, b->nblocks, sizeof(int64_t)),
                .least = arena_array(arena, b->nblocks, sizeof(int64_t)),
        };
        if (d.trial == NULL || d.predicted == NULL || d.cost == NULL || d.least == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "cae: no memory to search latents");
        enum caefs_err err = cae_blocks_predict(b, latent, arena, d.predicted);
        if (err == CAEFS_OK) {
                choose_measure(b, grid, d.predicted, step, &d.measure);
                if (nlatents == 1 && same_columns && codes * b->count <= EXHAUSTIVE_LIMIT)
                        err = search_all(b, grid, &d.measure, arena, latent);
                else
                        err = search_descent(&d, effort, arena, latent);
        }
        arena_release(arena, mark);
        return err;
}
