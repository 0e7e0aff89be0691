/* codec/train.c - gather, learn, install what pays. */
#include "codec/train.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/train_run.h"

#define DEFAULT_SECONDS 20

/* A model must save this share of the bytes to be worth its keeping. */
#define LEAST_GAIN 0.01

/* Tables wider than this are cut into blocks like anything else. */
#define WIDEST_ROW 1024

/* ---- options ---- */

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

/* Columns that all inputs share, 0 when they are not tables or differ. */
static unsigned
common_columns(const struct train_input *input, size_t ninputs, enum scope scope)
{
        uint64_t columns = 0;

        for (size_t i = 0; i < ninputs; i++) {
                const struct shape *s = &input[i].region.shape;
                uint64_t last = s->ndim > 1 ? s->extent[s->ndim - 1] : 0;
                if (scope != SCOPE_COLUMN || last == 0 || (columns != 0 && last != columns))
                        return 0;
                columns = last;
        }
        return columns > 1 && columns <= WIDEST_ROW ? (unsigned) columns : 0;
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
fill_options(const struct train_options *in, const struct train_input *input, size_t ninputs,
             struct train_options *o)
{
        *o = *in;
        if (o->family != 0 && o->family != FAMILY_CAE)
                return caefs_fail(CAEFS_ERR_UNSUPPORTED, "train: this family has nothing to learn");
        if (!(o->proportion > 0 && o->proportion <= 1))
                return caefs_fail(CAEFS_ERR_ARGUMENT, "train: the proportion is above 0 and at "
                                  "most 1");
        if (!(o->time_limit > 0))
                o->time_limit = DEFAULT_SECONDS;
        const unsigned columns = common_columns(input, ninputs, o->scope);
        if (o->nlayers == 0 && o->warm_start != NULL)
                layers_of_model(o);
        else if (o->nlayers == 0 && columns > 0)
                default_table_layers(o, columns);
        else if (o->nlayers == 0)
                default_field_layers(o);
        return check_layers(o);
}

/* ---- does it pay? ---- */

/* Coded bytes of one piece, with MODEL or, NULL, without. */
static enum caefs_err
piece_bytes(const struct train_piece *p, const struct train_options *o, const struct model *m,
            struct arena *arena, void *raw, uint64_t *total)
{
        const struct region *r = &p->input->region;
        const struct chunk_geometry geometry = {
                .dtype = r->dtype, .big_endian = r->big_endian, .shape = p->shape,
                .scope = p->shape.ndim > 1 ? o->scope : SCOPE_ARRAY, .model = m,
        };
        const struct chunk_bound bound = {
                .mode = p->amounts != NULL ? BOUND_ABS : o->bound.mode,
                .amount = p->amounts != NULL ? p->amounts : &o->bound.amount,
                .namounts = p->amounts != NULL ? p->namounts : 1,
        };
        const struct chunk_options options = { .effort = EFFORT_BALANCED };
        const struct arena_mark mark = arena_mark(arena);
        struct chunk_report report;
        struct bytes coded = { 0 };
        enum caefs_err err = train_piece_read(p, raw);

        if (err == CAEFS_OK)
                err = chunk_encode(&geometry, &bound, &options, raw, NULL, arena, &coded, NULL,
                                   &report);
        *total += coded.size;
        bytes_free(&coded);
        arena_release(arena, mark);
        return err;
}

/* The held-back pieces as the codec stores them, without the model and with it, its
 * own bytes shared out over all the data. */
static enum caefs_err
measure(const struct train_data *d, const struct train_options *o, struct train_result *out)
{
        struct arena arena = { 0 };
        uint64_t held = 0, plain = 0, with = 0;
        size_t largest = 0, own;
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; i < d->nheld; i++)
                largest = d->held[i].count > largest ? d->held[i].count : largest;
        void *raw = malloc(largest * 8 + 1);
        if (raw == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for a piece");
        for (size_t i = 0; i < d->nheld && err == CAEFS_OK; i++) {
                held += d->held[i].count * dtype_size(d->held[i].input->region.dtype);
                err = piece_bytes(&d->held[i], o, NULL, &arena, raw, &plain);
                if (err == CAEFS_OK)
                        err = piece_bytes(&d->held[i], o, out->model, &arena, raw, &with);
        }
        free(raw);
        arena_free(&arena);
        model_blob(out->model, &own);
        out->plain_bytes = plain;
        out->model_bytes = with + (uint64_t) ((double) own * (double) held /
                                              (double) d->total_bytes + 0.5);
        return err;
}

/* Says what the measure means, and drops a model that does not pay. */
static void
judge(const struct train_options *o, struct train_result *out)
{
        const double plain = (double) out->plain_bytes, with = (double) out->model_bytes;
        const bool pays = with < plain * (1 - LEAST_GAIN);
        const double change = plain > 0 ? 100 * (with - plain) / plain : 0;

        if (pays)
                snprintf(out->why, sizeof out->why, "held-back data takes %.1f %% fewer bytes, "
                         "the model's own share counted", -change);
        else
                snprintf(out->why, sizeof out->why, "held-back data would take %llu bytes with "
                         "the model, its own share counted, and %llu without",
                         (unsigned long long) out->model_bytes,
                         (unsigned long long) out->plain_bytes);
        if (!pays && !o->force) {
                model_free(out->model);
                out->model = NULL;
        }
}

static enum caefs_err
install(const struct train_options *o, const struct train_data *d,
        const struct train_outcome *run, struct train_result *out)
{
        const struct model_info info = {
                .family = FAMILY_CAE,
                .bound = o->bound, .scope = o->scope,
                .train_values = d->learnt_values, .proportion = o->proportion,
                .epochs = run->epochs, .seed = o->seed,
                .train_loss = run->train_loss, .validation_loss = run->validation_loss,
        };

        out->train_loss = run->train_loss;
        out->validation_loss = run->validation_loss;
        out->seconds = run->seconds;
        out->epochs = run->epochs;
        enum caefs_err err = model_build(&info, &run->network, &out->model);
        if (err == CAEFS_OK)
                err = measure(d, o, out);
        if (err == CAEFS_OK)
                judge(o, out);
        return err;
}

static enum caefs_err
learn(const struct train_options *o, struct train_data *data, train_watch *watch, void *context,
      struct train_result *out)
{
        struct train_outcome run;
        enum caefs_err err = train_run(o, data, watch, context, &run);

        if (err != CAEFS_OK)
                return err;
        err = install(o, data, &run, out);
        autoencoder_release(&run.network);
        return err;
}

/* A failure only for who wants a model in any case. */
static enum caefs_err
too_little(const struct train_options *o, const struct train_data *d, struct train_result *out)
{
        snprintf(out->why, sizeof out->why, "%zu blocks of %zu values are too little to learn "
                 "from, at least %d are needed", d->nblocks, d->block, TRAIN_LEAST_BLOCKS);
        return o->force ? caefs_fail(CAEFS_ERR_ARGUMENT, "train: %s", out->why) : CAEFS_OK;
}

enum caefs_err
train_model(const struct train_input *input, size_t ninputs, const struct train_options *options,
            train_watch *watch, void *context, struct train_result *out)
{
        struct train_options o;
        struct train_data data;

        *out = (struct train_result) { 0 };
        enum caefs_err err = fill_options(options, input, ninputs, &o);
        if (err == CAEFS_OK)
                err = train_data_gather(input, ninputs, &o, o.layer[0], &data);
        if (err != CAEFS_OK)
                return err;
        if (data.nblocks < TRAIN_LEAST_BLOCKS)
                err = too_little(&o, &data, out);
        else
                err = learn(&o, &data, watch, context, out);
        train_data_release(&data);
        if (err != CAEFS_OK) {
                model_free(out->model);
                out->model = NULL;
        }
        return err;
}
