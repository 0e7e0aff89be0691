/* codec/cae_part.c - the part of `cae` as bytes and back (doc/format.md, "Models"). */
#include "codec/cae_part.h"

#include <stdlib.h>

const struct autoencoder *
model_autoencoder(const struct model *m)
{
        const struct cae_part *p = model_part(m, FAMILY_CAE);

        return p != NULL ? &p->autoencoder : NULL;
}

enum caefs_err
cae_part_write(const struct cae_part *p, struct bytes *out)
{
        bytes_put_f64(out, p->proportion);
        bytes_put_varint(out, p->epochs);
        bytes_put_f64(out, p->train_loss);
        bytes_put_f64(out, p->validation_loss);
        return autoencoder_write(&p->autoencoder, out);
}

static void
release(void *part)
{
        struct cae_part *p = part;

        autoencoder_release(&p->autoencoder);
        free(p);
}

static enum caefs_err
parse(struct cursor *in, void **out)
{
        struct cae_part *p = calloc(1, sizeof *p);

        if (p == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "model: no memory");
        p->proportion = cursor_f64(in);
        p->epochs = (uint32_t) cursor_varint_max(in, UINT32_MAX);
        p->train_loss = cursor_f64(in);
        p->validation_loss = cursor_f64(in);
        enum caefs_err err = in->failed
                ? caefs_fail(CAEFS_ERR_CORRUPT, "model: its record is cut short")
                : autoencoder_parse(in, &p->autoencoder);
        if (err == CAEFS_OK)
                *out = p;
        else
                release(p);
        return err;
}

/* Layers and parameters are read off the networks, not stored twice. */
static void
describe(const void *part, struct model_info *info)
{
        const struct cae_part    *p = part;
        const struct autoencoder *a = &p->autoencoder;

        info->proportion = p->proportion;
        info->epochs = p->epochs;
        info->train_loss = p->train_loss;
        info->validation_loss = p->validation_loss;
        info->nlayers = a->nconnections + 1;
        info->layer[0] = a->connection[0].in;
        info->parameters = 0;
        for (unsigned k = 0; k < a->nconnections; k++) {
                const struct connection *c = &a->connection[k];
                info->layer[k + 1] = c->out;
                info->parameters += (uint64_t) (c->in + 1) * c->out;
        }
}

const struct family_part cae_part = {
        .parse = parse,
        .release = release,
        .describe = describe,
};
