/* codec/train_cae.c - `cae` learns: layers, blocks, a run, a part. */
#include "codec/train_family.h"

#include <stdio.h>

#include "codec/cae_part.h"
#include "codec/train_run.h"

/* Tables wider than this are cut into blocks like anything else. */
#define WIDEST_ROW 1024

/* The published geometry (Liu et al., sec. 3.3). */
static void
default_field_layers(struct train_options *o)
{
        static const unsigned layer[] = { 512, 64, 8, 1 };

        o->nlayers = 4;
        for (unsigned k = 0; k < o->nlayers; k++)
                o->layer[k] = layer[k];
}

/* A row is a block: Baler's 200-100-50 with an eighth of the columns as latents. */
static void
default_table_layers(struct train_options *o, unsigned columns)
{
        static const unsigned hidden[] = { 200, 100, 50 };
        unsigned latents = columns / 8;

        latents = latents < 1 ? 1 : latents > 16 ? 16 : latents;
        o->layer[0] = columns;
        for (unsigned k = 0; k < 3; k++)
                o->layer[k + 1] = hidden[k];
        o->layer[4] = latents;
        o->nlayers = 5;
}

/* Columns that all pieces share, 0 when they are not tables or differ. */
static unsigned
common_columns(const struct train_pieces *pieces, enum scope scope)
{
        size_t columns = 0;

        for (size_t i = 0; i < pieces->nlearnt; i++) {
                const size_t own = train_piece_columns(&pieces->learnt[i], scope);
                if (scope != SCOPE_COLUMN || own == 1 || (columns != 0 && own != columns))
                        return 0;
                columns = own;
        }
        return columns <= WIDEST_ROW ? (unsigned) columns : 0;
}

/* Every layer of the encoder, and with its mirror image not too many. */
static enum caefs_err
check_layers(const struct train_options *o)
{
        uint64_t parameters = 0;

        if (o->nlayers < 2 || 2 * (o->nlayers - 1) > NETWORK_MAX_CONNECTIONS)
                return caefs_fail(CAEFS_ERR_ARGUMENT, "train: 2 to %d layers down to the latents",
                                  NETWORK_MAX_CONNECTIONS / 2 + 1);
        for (unsigned k = 0; k < o->nlayers; k++) {
                if (o->layer[k] < 1 || o->layer[k] > NETWORK_MAX_UNITS)
                        return caefs_fail(CAEFS_ERR_ARGUMENT, "train: a layer has 1 to %d units",
                                          NETWORK_MAX_UNITS);
                if (k > 0)
                        parameters += 2 * ((uint64_t) o->layer[k] + 1) * (o->layer[k - 1] + 1);
        }
        if (o->layer[o->nlayers - 1] > o->layer[0])
                return caefs_fail(CAEFS_ERR_ARGUMENT, "train: more latents than values");
        if (parameters > NETWORK_MAX_PARAMETERS)
                return caefs_fail(CAEFS_ERR_LIMIT, "train: these layers have more than %llu "
                                  "parameters", (unsigned long long) NETWORK_MAX_PARAMETERS);
        return CAEFS_OK;
}

/* A model to start from decides the layers. */
static void
layers_of_model(struct train_options *o)
{
        const struct model_info *info = model_info(o->warm_start);

        o->nlayers = (info->nlayers + 1) / 2;
        for (unsigned k = 0; k < o->nlayers; k++)
                o->layer[k] = info->layer[k];
}

static enum caefs_err
fill_layers(const struct train_pieces *pieces, struct train_options *o)
{
        const unsigned columns = common_columns(pieces, o->scope);

        if (o->nlayers == 0 && model_autoencoder(o->warm_start) != NULL)
                layers_of_model(o);
        else if (o->nlayers == 0 && columns > 0)
                default_table_layers(o, columns);
        else if (o->nlayers == 0)
                default_field_layers(o);
        return check_layers(o);
}

/* One training from each seed, which share what time is left: BEST has the smallest
 * validation loss. */
static enum caefs_err
run_seeds(const struct training *t, const struct train_options *options,
          struct train_data *data, struct train_outcome *best)
{
        const unsigned nseeds = options->seeds > 1 ? options->seeds : 1;

        *best = (struct train_outcome) { 0 };
        for (unsigned k = 0; k < nseeds; k++) {
                struct train_options o = *options;
                struct train_outcome outcome;
                o.seed += k;
                o.time_limit = (t->deadline - train_clock()) / (nseeds - k);
                enum caefs_err err = train_run(&o, data, t->watch, t->context, &outcome);
                if (err != CAEFS_OK) {
                        autoencoder_release(&best->network);
                        return err;
                }
                const bool better = k == 0 || outcome.validation_loss < best->validation_loss;
                autoencoder_release(better ? &best->network : &outcome.network);
                if (better)
                        *best = outcome;
        }
        return CAEFS_OK;
}

static enum caefs_err
run(const struct training *t, const struct train_options *o, struct train_data *data,
    struct bytes *part, struct train_result *out)
{
        struct train_outcome outcome;
        enum caefs_err err = run_seeds(t, o, data, &outcome);

        if (err != CAEFS_OK)
                return err;
        const struct cae_part p = {
                .autoencoder = outcome.network, .proportion = o->proportion,
                .epochs = outcome.epochs, .train_loss = outcome.train_loss,
                .validation_loss = outcome.validation_loss,
        };
        out->epochs = outcome.epochs;
        out->train_loss = outcome.train_loss;
        out->validation_loss = outcome.validation_loss;
        err = cae_part_write(&p, part);
        autoencoder_release(&outcome.network);
        return err;
}

static enum caefs_err
train(const struct training *t, struct bytes *part, struct train_result *out)
{
        struct train_options o = *t->options;
        struct train_data data;
        enum caefs_err err = fill_layers(t->pieces, &o);

        if (err == CAEFS_OK)
                err = train_data_gather(t->pieces, &o, o.layer[0], &data);
        if (err != CAEFS_OK)
                return err;
        if (data.nblocks < TRAIN_LEAST_BLOCKS)
                snprintf(out->why, sizeof out->why, "%zu blocks of %zu values are too little to "
                         "learn from, at least %d are needed", data.nblocks, data.block,
                         TRAIN_LEAST_BLOCKS);
        else
                err = run(t, &o, &data, part, out);
        train_data_release(&data);
        return err;
}

const struct trainable trainable_cae = {
        .family = FAMILY_CAE,
        .train = train,
};
