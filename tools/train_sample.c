/*
 * train_sample.c - encodes and decodes one piece.
 */

#include "tools/train_sample.h"

#include <math.h>
#include <stdlib.h>

#include "codec/value.h"

/* What lies in a file to doubles; RAW is changed. */
static void to_doubles(const struct train_piece *p, void *raw, double *out)
{
        const struct region *r = &p->input->region;

        if (r->big_endian)
                values_swap(raw, p->count, dtype_size(r->dtype), raw);
        values_to_doubles(r->dtype, raw, p->count, 1, out);
}

static enum caefs_err encode(struct train_sample *s, const struct train_options *o,
                             const struct model *model)
{
        const size_t size = (size_t)train_piece_bytes(&s->piece);
        struct bytes coded = { 0 };
        void *raw = malloc(size + 1), *served = malloc(size + 1);
        enum caefs_err err = CAEFS_ERR_NOMEM;

        s->original = malloc(s->piece.count * sizeof *s->original + 1);
        s->decoded = malloc(s->piece.count * sizeof *s->decoded + 1);
        if (raw != NULL && served != NULL && s->original != NULL && s->decoded != NULL)
                err = train_piece_read(&s->piece, raw);
        if (err == CAEFS_OK)
                err = train_piece_encode(&s->piece, o, model, &coded, served);
        if (err == CAEFS_OK) {
                to_doubles(&s->piece, raw, s->original);
                to_doubles(&s->piece, served, s->decoded);
                s->stored_bytes = coded.size;
        }
        bytes_free(&coded);
        free(raw);
        free(served);
        return err;
}

enum caefs_err train_sample_take(const struct train_input *input, size_t ninputs,
                                 const struct train_options *o, const struct model *model,
                                 struct train_sample *out)
{
        enum caefs_err err;

        *out = (struct train_sample){ .columns = 1 };
        err = train_pieces_cut(input, ninputs, o, &out->pieces);
        if (err != CAEFS_OK)
                return err;
        if (out->pieces.nheld > 0)
                out->piece = out->pieces.held[0];
        else if (out->pieces.nlearnt > 0)
                out->piece = out->pieces.learnt[0];
        else
                err = CAEFS_ERR_NO_ENTRY;
        if (err == CAEFS_OK) {
                out->columns = train_piece_columns(&out->piece, o->scope);
                err = encode(out, o, model);
        }
        if (err != CAEFS_OK)
                train_sample_free(out);
        return err;
}

void train_sample_free(struct train_sample *s)
{
        train_pieces_release(&s->pieces);
        free(s->original);
        free(s->decoded);
        *s = (struct train_sample){ 0 };
}

double train_sample_allowed(const struct train_sample *s, const struct train_options *o,
                            size_t i)
{
        if (s->piece.amounts != NULL)
                return s->piece.amounts[i % s->piece.namounts];
        return o->bound.mode == BOUND_PWREL ? o->bound.amount * fabs(s->original[i]) : 0;
}
