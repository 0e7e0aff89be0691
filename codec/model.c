/* codec/model.c - the blob of a model (doc/format.md, "Models"). */
#include "codec/model.h"

#include <math.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "codec/network.h"
#include "codec/predict.h"

#define MAGIC         "CAEM"
#define MAGIC_SIZE    4
#define VERSION       1
#define CHECKSUM_SIZE 8

struct model {
        struct model_info  info;
        struct autoencoder autoencoder;
        uint8_t           *blob;
        size_t             size;
        uint64_t           hash;
};

void
model_free(struct model *m)
{
        if (m == NULL)
                return;
        autoencoder_release(&m->autoencoder);
        free(m->blob);
        free(m);
}

const void *
model_blob(const struct model *m, size_t *size)
{
        *size = m->size;
        return m->blob;
}

uint64_t
model_hash(const struct model *m)
{
        return m->hash;
}

const struct model_info *
model_info(const struct model *m)
{
        return &m->info;
}

const struct autoencoder *
model_autoencoder(const struct model *m)
{
        return &m->autoencoder;
}

void
model_hash_format(uint64_t hash, char text[17])
{
        static const char digit[] = "0123456789abcdef";

        for (int i = 15; i >= 0; i--, hash >>= 4)
                text[i] = digit[hash & 15];
        text[16] = '\0';
}

bool
model_hash_parse(const char *text, uint64_t *hash)
{
        uint64_t value = 0;

        for (int i = 0; i < 16; i++) {
                char c = text[i];
                if (c >= '0' && c <= '9')
                        value = value << 4 | (uint64_t) (c - '0');
                else if (c >= 'a' && c <= 'f')
                        value = value << 4 | (uint64_t) (c - 'a' + 10);
                else
                        return false;
        }
        if (text[16] != '\0')
                return false;
        *hash = value;
        return true;
}

/* Layers and parameters are read off the networks, not stored twice. */
static void
describe_layers(const struct autoencoder *a, struct model_info *info)
{
        info->nlayers = a->nconnections + 1;
        info->layer[0] = a->connection[0].in;
        info->parameters = 0;
        for (unsigned k = 0; k < a->nconnections; k++) {
                const struct connection *c = &a->connection[k];
                info->layer[k + 1] = c->out;
                info->parameters += (uint64_t) (c->in + 1) * c->out;
        }
}

static void
write_record(const struct model_info *info, struct bytes *out)
{
        bytes_put_u8(out, (uint8_t) info->family);
        bytes_put_u8(out, (uint8_t) info->scope);
        bytes_put_u8(out, (uint8_t) info->bound.mode);
        bytes_put_f64(out, info->bound.amount);
        bytes_put_varint(out, info->train_values);
        bytes_put_f64(out, info->proportion);
        bytes_put_varint(out, info->epochs);
        bytes_put_u64(out, info->seed);
        bytes_put_f64(out, info->train_loss);
        bytes_put_f64(out, info->validation_loss);
}

static enum caefs_err
parse_record(struct cursor *in, struct model_info *info)
{
        info->family = cursor_u8(in);
        unsigned scope = cursor_u8(in);
        unsigned mode = cursor_u8(in);
        info->bound.amount = cursor_f64(in);
        info->train_values = cursor_varint(in);
        info->proportion = cursor_f64(in);
        info->epochs = (uint32_t) cursor_varint_max(in, UINT32_MAX);
        info->seed = cursor_u64(in);
        info->train_loss = cursor_f64(in);
        info->validation_loss = cursor_f64(in);
        if (in->failed || scope > SCOPE_CHANNEL || mode > BOUND_PSNR ||
            !isfinite(info->bound.amount))
                return caefs_fail(CAEFS_ERR_CORRUPT, "model: its training record is malformed");
        if (info->family != FAMILY_CAE)
                return caefs_fail(CAEFS_ERR_VERSION, "model: family %d is not known here: "
                                  "use a newer caefs", info->family);
        info->scope = (enum scope) scope;
        info->bound.mode = (enum bound_mode) mode;
        return CAEFS_OK;
}

/* Magic, version and checksum; leaves IN at the record, ending before the
 * checksum. */
static enum caefs_err
parse_frame(const uint8_t *blob, size_t size, struct cursor *in)
{
        if (size > MODEL_MAX_BYTES)
                return caefs_fail(CAEFS_ERR_LIMIT, "model: larger than %zu bytes",
                                  MODEL_MAX_BYTES);
        if (size < MAGIC_SIZE + 1 + CHECKSUM_SIZE || memcmp(blob, MAGIC, MAGIC_SIZE) != 0)
                return caefs_fail(CAEFS_ERR_CORRUPT, "model: not a model of caefs");
        if (blob[MAGIC_SIZE] != VERSION)
                return caefs_fail(CAEFS_ERR_VERSION, "model: version %u, this caefs reads "
                                  "version %d", blob[MAGIC_SIZE], VERSION);
        *in = cursor_of(blob + size - CHECKSUM_SIZE, CHECKSUM_SIZE);
        if (cursor_u64(in) != XXH3_64bits(blob, size - CHECKSUM_SIZE))
                return caefs_fail(CAEFS_ERR_CORRUPT, "model: checksum differs");
        *in = cursor_of(blob + MAGIC_SIZE + 1, size - MAGIC_SIZE - 1 - CHECKSUM_SIZE);
        return CAEFS_OK;
}

static enum caefs_err
parse_body(struct cursor *in, struct model *m)
{
        enum caefs_err err = parse_record(in, &m->info);

        if (err == CAEFS_OK)
                err = autoencoder_parse(in, &m->autoencoder);
        if (err == CAEFS_OK && cursor_left(in) != 0)
                err = caefs_fail(CAEFS_ERR_CORRUPT, "model: bytes after its end");
        return err;
}

enum caefs_err
model_parse(const void *blob, size_t size, struct model **out)
{
        struct cursor in;

        *out = NULL;
        enum caefs_err err = parse_frame(blob, size, &in);
        if (err != CAEFS_OK)
                return err;
        struct model *m = calloc(1, sizeof *m);
        uint8_t *copy = malloc(size);
        if (m == NULL || copy == NULL) {
                free(copy);
                free(m);
                return caefs_fail(CAEFS_ERR_NOMEM, "model: no memory for %zu bytes", size);
        }
        memcpy(copy, blob, size);
        m->blob = copy;
        m->size = size;
        m->hash = XXH3_64bits(blob, size);
        err = parse_body(&in, m);
        if (err != CAEFS_OK) {
                model_free(m);
                return err;
        }
        describe_layers(&m->autoencoder, &m->info);
        *out = m;
        return CAEFS_OK;
}

enum caefs_err
model_build(const struct model_info *info, const struct autoencoder *a, struct model **out)
{
        struct bytes blob = { 0 };

        *out = NULL;
        bytes_put(&blob, MAGIC, MAGIC_SIZE);
        bytes_put_u8(&blob, VERSION);
        write_record(info, &blob);
        enum caefs_err err = autoencoder_write(a, &blob);
        if (err == CAEFS_OK) {
                bytes_put_u64(&blob, blob.failed ? 0 : XXH3_64bits(blob.data, blob.size));
                err = blob.failed ? caefs_fail(CAEFS_ERR_NOMEM, "model: no memory")
                                  : model_parse(blob.data, blob.size, out);
        }
        bytes_free(&blob);
        return err;
}
