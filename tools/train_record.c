/*
 * train_record.c - data, options, losses and outcome of a training as JSON.
 */

#include "tools/train_record.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "codec/predict.h"

#define MOST_LOSSES 256
#define HASH_BLOCK ((size_t)1 << 20)

static json_t *real(double v)
{
        return isfinite(v) ? json_real(v) : json_null();
}

static json_t *integer(uint64_t v)
{
        return json_integer((json_int_t)v);
}

static const char *family_name(int family)
{
        const struct family_methods *f = family_by_number((unsigned)family);

        return f != NULL ? f->name : "auto";
}

static double ratio(uint64_t raw, uint64_t stored)
{
        return stored > 0 ? (double)raw / (double)stored : 0;
}

/* ---- inputs ---- */

static enum caefs_err hash_source(const struct byte_source *s, uint64_t *hash)
{
        XXH3_state_t *state = XXH3_createState();
        char *block = malloc(HASH_BLOCK);
        uint64_t at = 0;
        enum caefs_err err = CAEFS_OK;

        if (state == NULL || block == NULL)
                err = CAEFS_ERR_NOMEM;
        else
                XXH3_64bits_reset(state);
        while (err == CAEFS_OK && at < s->size) {
                const size_t n = s->size - at < HASH_BLOCK ?
                                         (size_t)(s->size - at) : HASH_BLOCK;

                err = s->read(s->context, block, n, at);
                if (err == CAEFS_OK)
                        XXH3_64bits_update(state, block, n);
                at += n;
        }
        if (err == CAEFS_OK)
                *hash = XXH3_64bits_digest(state);
        XXH3_freeState(state);
        free(block);
        return err;
}

static enum caefs_err add_inputs(const struct train_files *files, json_t *list)
{
        size_t i;

        for (i = 0; i < files->nfiles; i++) {
                const struct byte_source *s = train_file_source(files->file[i]);
                uint64_t hash = 0;
                char text[17];
                const enum caefs_err err = hash_source(s, &hash);

                if (err != CAEFS_OK)
                        return err;
                model_hash_format(hash, text);
                json_array_append_new(
                        list, json_pack("{s:s%, s:o, s:s}", "name",
                                        train_file_name(files->file[i]),
                                        strlen(train_file_name(files->file[i])),
                                        "bytes", integer(s->size), "xxh3", text));
        }
        return CAEFS_OK;
}

/* ---- outcome ---- */

static json_t *candidates(const struct train_result *r)
{
        json_t *list = json_array();
        size_t i;

        for (i = 0; i < r->ncandidates; i++) {
                const struct train_candidate *c = &r->candidate[i];

                json_array_append_new(
                        list, json_pack("{s:s, s:o, s:o, s:o, s:o}", "family",
                                        family_name(c->family), "part_bytes",
                                        integer(c->part_bytes), "bytes_with",
                                        integer(c->model_bytes), "ratio",
                                        real(ratio(r->raw_bytes, c->model_bytes)),
                                        "seconds", real(c->seconds)));
        }
        return list;
}

/* Evenly thinned out, the last one always there. */
static json_t *losses(const struct train_course *c)
{
        const size_t n = c->npoints < MOST_LOSSES ? c->npoints : MOST_LOSSES;
        json_t *list = json_array();
        size_t i;

        for (i = 0; i < n; i++) {
                const struct loss_point *p = &c->point[(i + 1) * c->npoints / n - 1];

                json_array_append_new(list, json_pack("[s, i, o, o]",
                                                      family_name(p->family),
                                                      (int)p->epoch, real(p->train),
                                                      real(p->validation)));
        }
        return list;
}

static json_t *options(const struct train_options *o)
{
        static const char *const activations[] = { "best", "sigmoid", "relu" };
        json_t *layers = json_array();
        unsigned i;

        for (i = 0; i < o->nlayers; i++)
                json_array_append_new(layers, json_integer(o->layer[i]));
        return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                         "family", family_name(o->family),
                         "layers", layers,
                         "activation", activations[o->activation],
                         "proportion", real(o->proportion),
                         "epochs", integer(o->epochs),
                         "patience", integer(o->patience),
                         "time_limit", real(o->time_limit),
                         "batch", integer(o->batch),
                         "seeds", integer(o->seeds),
                         "sparsity", real(o->sparsity),
                         "threads", integer(o->threads),
                         "target_ratio", real(o->target_ratio));
}

static json_t *outcome(const struct train_record *record)
{
        const struct train_options *o = record->options;
        const struct train_result *r = record->result;
        char bound[32], hash[17] = "";
        size_t size = 0;

        bound_format(&o->bound, bound);
        if (r->model != NULL) {
                model_hash_format(model_hash(r->model), hash);
                model_blob(r->model, &size);
        }
        return json_pack(
                "{s:i, s:s, s:I, s:b, s:s, s:o, s:s, s:b, s:s, s:s, s:o, s:o,"
                " s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o}",
                "output_version", 1,
                "caefs", PACKAGE_VERSION,
                "time", (json_int_t)time(NULL),
                "pays", r->model != NULL && r->model_bytes < r->plain_bytes,
                "model", hash,
                "model_bytes", integer(size),
                "why", r->why,
                "interrupted", record->interrupted,
                "bound", bound,
                "scope", scope_name(o->scope),
                "seed", integer(o->seed),
                "files", integer(record->files->nfiles),
                "raw_bytes", integer(r->raw_bytes),
                "bytes_without", integer(r->plain_bytes),
                "bytes_with", integer(r->model_bytes),
                "ratio_without", real(ratio(r->raw_bytes, r->plain_bytes)),
                "ratio_with", real(ratio(r->raw_bytes, r->model_bytes)),
                "candidates", candidates(r),
                "epochs", (int)r->epochs,
                "train_loss", real(r->train_loss),
                "validation_loss", real(r->validation_loss),
                "train_seconds", real(r->seconds),
                "options", options(o),
                "losses", losses(record->course));
}

enum caefs_err train_record_make(const struct train_record *r, json_t **out)
{
        json_t *inputs = json_array();
        enum caefs_err err;

        *out = outcome(r);
        if (*out != NULL && r->proportion_why != NULL)
                json_object_set_new(json_object_get(*out, "options"), "proportion_why",
                                    json_string(r->proportion_why));
        if (*out == NULL || inputs == NULL) {
                json_decref(inputs);
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory");
        }
        err = add_inputs(r->files, inputs);
        json_object_set_new(*out, "inputs", inputs);
        json_object_set_new(*out, "lineage",
                            r->lineage != NULL ? json_deep_copy(r->lineage) :
                                                 json_array());
        if (err != CAEFS_OK)
                json_decref(*out);
        return err;
}
