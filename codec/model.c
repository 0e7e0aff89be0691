/* codec/model.c - the blob of a model (doc/format.md, "Models"). */
#include "codec/model.h"

#include <math.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "codec/amount.h"
#include "codec/predict.h"

#define MAGIC         "CAEM"
#define MAGIC_SIZE    4
#define VERSION       1
#define CHECKSUM_SIZE 8

/* First byte of the record. */
#define MODE_MASK   0x07
#define SCOPE_SHIFT 3

struct model {
        struct model_info info;
        void             *part[MODEL_MAX_PARTS];        /* by family; owned */
        uint8_t          *blob;
        size_t            size;
        uint64_t          hash;
};

_Static_assert(MODEL_MAX_PARTS == FAMILY_LIMIT, "a part for every family");

void
model_free(struct model *m)
{
        if (m == NULL)
                return;
        for (unsigned f = 0; f < MODEL_MAX_PARTS; f++)
                if (m->part[f] != NULL)
                        family_by_number(f)->part->release(m->part[f]);
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

const void *
model_part(const struct model *m, int family)
{
        return m != NULL && family >= 0 && family < MODEL_MAX_PARTS ? m->part[family] : NULL;
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

static void
write_record(const struct model_info *info, struct bytes *out)
{
        const bool lossless = info->bound.mode == BOUND_LOSSLESS;

        bytes_put_u8(out, (uint8_t) ((unsigned) info->bound.mode
                                     | (unsigned) info->scope << SCOPE_SHIFT));
        if (!lossless)
                amount_write(out, info->bound.amount);
        bytes_put_varint(out, info->train_values);
        bytes_put_varint(out, info->seed);
}

static enum caefs_err
parse_record(struct cursor *in, struct model_info *info)
{
        const unsigned first = cursor_u8(in);
        const unsigned scope = first >> SCOPE_SHIFT, mode = first & MODE_MASK;

        info->bound.mode = (enum bound_mode) mode;
        info->bound.amount = mode == BOUND_LOSSLESS ? 0 : amount_parse(in);
        info->scope = (enum scope) scope;
        info->train_values = cursor_varint(in);
        info->seed = cursor_varint(in);
        if (in->failed || scope > SCOPE_CHANNEL || mode > BOUND_PSNR ||
            isnan(info->bound.amount))
                return caefs_fail(CAEFS_ERR_CORRUPT, "model: its record is malformed");
        return CAEFS_OK;
}

/* One part; LAST is the family of the one before, and becomes its own. */
static enum caefs_err
parse_part(struct cursor *in, unsigned *last, struct model *m)
{
        const unsigned family = cursor_u8(in);
        const size_t   size = cursor_varint_max(in, cursor_left(in));
        const uint8_t *raw = cursor_take(in, size);

        if (in->failed || family <= *last)
                return caefs_fail(CAEFS_ERR_CORRUPT, "model: its parts are malformed");
        *last = family;
        const struct family_methods *methods = family_by_number(family);
        if (methods == NULL || methods->part == NULL)
                return caefs_fail(CAEFS_ERR_VERSION, "model: a part for family %u, which learns "
                                  "nothing here: use a newer caefs", family);
        struct cursor body = cursor_of(raw, size);
        enum caefs_err err = methods->part->parse(&body, &m->part[family]);
        if (err == CAEFS_OK && cursor_left(&body) != 0)
                err = caefs_fail(CAEFS_ERR_CORRUPT, "model: bytes after a part's end");
        if (err != CAEFS_OK)
                return err;
        m->info.part_bytes[family] = size;
        if (methods->part->describe != NULL)
                methods->part->describe(m->part[family], &m->info);
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
        unsigned       last = 0;
        enum caefs_err err = parse_record(in, &m->info);

        while (err == CAEFS_OK && cursor_left(in) > 0)
                err = parse_part(in, &last, m);
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
        *out = m;
        return CAEFS_OK;
}

enum caefs_err
model_build(const struct model_info *info, const struct model_part *parts, size_t nparts,
            struct model **out)
{
        struct bytes blob = { 0 };

        *out = NULL;
        bytes_put(&blob, MAGIC, MAGIC_SIZE);
        bytes_put_u8(&blob, VERSION);
        write_record(info, &blob);
        for (size_t i = 0; i < nparts; i++) {
                bytes_put_u8(&blob, (uint8_t) parts[i].family);
                bytes_put_varint(&blob, parts[i].bytes.size);
                bytes_put(&blob, parts[i].bytes.data, parts[i].bytes.size);
        }
        bytes_put_u64(&blob, blob.failed ? 0 : XXH3_64bits(blob.data, blob.size));
        enum caefs_err err = blob.failed ? caefs_fail(CAEFS_ERR_NOMEM, "model: no memory")
                                         : model_parse(blob.data, blob.size, out);
        bytes_free(&blob);
        return err;
}
