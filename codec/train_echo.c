/* codec/train_echo.c - which arrays are worth keeping as examples.
 *
 * Each learnt piece is tried as an example for the held-back ones with the real
 * encoder; the best is kept, then the best beside it, while that saves more than the
 * examples of a directory's share may cost.
 */
#include "codec/train_family.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/echo.h"
#include "codec/train_run.h"

/* Pieces that are tried in each round, evenly from all, and rounds. */
#define TRIED_PIECES 6
#define MAX_ROUNDS   3

/* Raw bytes of held pieces that they are tried on, about. */
#define TRIED_BYTES ((uint64_t) 1 << 20)

/* An example must save this share of what the held pieces take. */
#define LEAST_SAVING 0.04

/* Appends P, coded as it will be stored, to PART. */
static enum caefs_err
write_example(const struct train_piece *p, const struct train_options *o, struct bytes *part)
{
        struct bytes coded = { 0 };
        enum caefs_err err = train_piece_encode(p, o, NULL, &coded, NULL);

        if (err == CAEFS_OK)
                echo_example_write(p->input->region.dtype, &p->shape, &coded, part);
        bytes_free(&coded);
        if (err == CAEFS_OK && part->failed)
                err = caefs_fail(CAEFS_ERR_NOMEM, "train: no memory");
        return err;
}

/* Arrays that are not too long are examples as a whole, longer ones by pieces.  In
 * the machine's usual order, and without columns that have bounds of their own. */
static bool
may_be_example(const struct training *t, size_t i, struct train_piece *out)
{
        const struct train_piece *p = &t->pieces->learnt[i];
        const struct region *r = &p->input->region;
        const uint64_t all = r->length / dtype_size(r->dtype);

        *out = *p;
        if (r->big_endian || train_piece_columns(p, t->options->scope) != 1)
                return false;
        if (all > ECHO_MAX_KNOWN / 4 || t->pieces->split || t->options->proportion < 1)
                return p->count <= ECHO_MAX_KNOWN / 4;
        out->first = 0;
        out->count = (size_t) all;
        out->shape = r->shape;
        return p->first == 0;
}

/* What the held pieces that are tried take with PART, or, empty, without a model. */
static enum caefs_err
try_part(const struct training *t, const struct bytes *part, uint64_t *total)
{
        const struct train_pieces *pieces = t->pieces;
        const struct model_info info = { .bound = t->options->bound, .scope = t->options->scope };
        const struct model_part parts = { .family = FAMILY_ECHO, .bytes = *part };
        struct model *m = NULL;
        uint64_t raw = 0;
        enum caefs_err err = part->size > 0 ? model_build(&info, &parts, 1, &m) : CAEFS_OK;

        *total = 0;
        for (size_t i = 0; i < pieces->nheld && raw < TRIED_BYTES && err == CAEFS_OK; i++) {
                struct bytes coded = { 0 };
                err = train_piece_encode(&pieces->held[i], t->options, m, &coded, NULL);
                *total += coded.size;
                raw += train_piece_bytes(&pieces->held[i]);
                bytes_free(&coded);
        }
        model_free(m);
        return err;
}

/* Tries the pieces after PART; leaves the best of them in BEST if it saves enough. */
static enum caefs_err
best_example(const struct training *t, const struct bytes *part, const bool *taken,
             uint64_t so_far, uint64_t plain, size_t *best, uint64_t *least)
{
        const struct train_pieces *pieces = t->pieces;
        const size_t stride = (pieces->nlearnt + TRIED_PIECES - 1) / TRIED_PIECES;
        enum caefs_err err = CAEFS_OK;

        *best = SIZE_MAX;
        *least = t->options->force && part->size == 0 ? UINT64_MAX
                : so_far - (uint64_t) (LEAST_SAVING * (double) plain);
        for (size_t i = 0; i < pieces->nlearnt && err == CAEFS_OK; i += stride) {
                struct bytes trial = { 0 };
                uint64_t total = UINT64_MAX;
                struct train_piece example;
                if (taken[i] || !may_be_example(t, i, &example) || train_clock() > t->deadline)
                        continue;
                bytes_put(&trial, part->data, part->size);
                err = write_example(&example, t->options, &trial);
                if (err == CAEFS_OK)
                        err = try_part(t, &trial, &total);
                if (err == CAEFS_OK && total < *least) {
                        *least = total;
                        *best = i;
                }
                bytes_free(&trial);
        }
        return err;
}

static enum caefs_err
train(const struct training *t, struct bytes *part, struct train_result *out)
{
        uint64_t plain, so_far;
        size_t best = 0;
        bool *taken = calloc(t->pieces->nlearnt + 1, sizeof *taken);
        enum caefs_err err = taken == NULL ? caefs_fail(CAEFS_ERR_NOMEM, "train: no memory")
                                           : try_part(t, part, &plain);

        for (int round = 0; round < MAX_ROUNDS && best != SIZE_MAX && err == CAEFS_OK; round++) {
                uint64_t least;
                so_far = round == 0 ? plain : so_far;
                err = best_example(t, part, taken, so_far, plain, &best, &least);
                struct train_piece example;
                if (err == CAEFS_OK && best != SIZE_MAX && may_be_example(t, best, &example)) {
                        err = write_example(&example, t->options, part);
                        so_far = least;
                        taken[best] = true;
                }
        }
        free(taken);
        if (err == CAEFS_OK && part->size == 0)
                snprintf(out->why, sizeof out->why, "no part of the data repeats another");
        return err;
}

/* A single array, cut for the trial, becomes one example as a whole. */
static enum caefs_err
complete(const struct training *t, struct bytes *part)
{
        const struct train_pieces *p = t->pieces;

        if (!p->split || p->nlearnt != 1 || p->nheld != 1)
                return CAEFS_OK;
        struct train_piece whole = p->learnt[0];
        whole.count += p->held[0].count;
        if (p->held[0].first != whole.first + p->learnt[0].count || t->options->proportion < 1)
                return CAEFS_OK;
        whole.shape = whole.input->region.shape;
        bytes_clear(part);
        return write_example(&whole, t->options, part);
}

const struct trainable trainable_echo = {
        .family = FAMILY_ECHO,
        .train = train,
        .complete = complete,
};
