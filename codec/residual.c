/* codec/residual.c - which coder: the smallest of those that may win.
 *
 * A coding is one byte that names the coder, then what the coder wrote. */
#include "codec/residual.h"

#include "codec/residual_coder.h"

/* The numbers are part of the format. */
enum {
        CODER_EMPTY = 0,
        CODER_STATIC = 1,
        CODER_MIXING = 2,
        CODER_SPARSE = 3,
        CODER_GENERAL = 4,
        CODER_LIMIT
};

static const struct residual_coder *const coders[CODER_LIMIT] = {
        [CODER_STATIC] = &residual_coder_static,
        [CODER_GENERAL] = &residual_coder_general,
};

static bool
is_empty(const struct residuals *r)
{
        size_t size = r->count * (r->wide ? sizeof(int64_t) : sizeof(int32_t));
        const char *bytes = r->value;

        return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Tries one coder; OUT keeps the smaller of what it has behind START and this. */
static enum caefs_err
try_coder(unsigned number, const struct residuals *r, enum effort effort, struct arena *arena,
          size_t start, struct bytes *scratch, struct bytes *out)
{
        size_t limit = out->size > start ? out->size - start : SIZE_MAX / 8;

        if (coders[number] == NULL || limit < 2)
                return CAEFS_OK;
        bytes_clear(scratch);
        bytes_put_u8(scratch, (uint8_t) number);
        enum caefs_err err = coders[number]->encode(r, effort, limit - 1, arena, scratch);
        if (err != CAEFS_OK || scratch->size < 2 || scratch->size >= limit)
                return err;
        out->size = start;
        bytes_put(out, scratch->data, scratch->size);
        return CAEFS_OK;
}

static enum caefs_err
encode(const struct residuals *r, enum effort effort, struct arena *arena, struct bytes *out)
{
        struct bytes scratch = { 0 };
        size_t start = out->size;
        enum caefs_err err = CAEFS_OK;

        if (is_empty(r)) {
                bytes_put_u8(out, CODER_EMPTY);
        } else {
                for (unsigned i = 0; i < CODER_LIMIT && err == CAEFS_OK; i++)
                        err = try_coder(i, r, effort, arena, start, &scratch, out);
        }
        if (err == CAEFS_OK && (out->failed || scratch.failed))
                err = caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        bytes_free(&scratch);
        return err;
}

static enum caefs_err
decode(struct cursor *in, const struct residuals *r, struct arena *arena)
{
        unsigned number = cursor_u8(in);

        if (in->failed || number >= CODER_LIMIT)
                return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: no known coder");
        if (number == CODER_EMPTY) {
                memset(r->value, 0, r->count * (r->wide ? sizeof(int64_t) : sizeof(int32_t)));
                return CAEFS_OK;
        }
        if (r->count == 0 || coders[number] == NULL)
                return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: coder does not apply");
        return coders[number]->decode(in, r, arena);
}

static struct residuals
residuals_of(const void *value, bool wide, const struct residual_segment *segment,
             size_t nsegments)
{
        struct residuals r = {
                .value = (void *) value, .wide = wide,
                .segment = segment, .nsegments = nsegments
        };

        for (size_t i = 0; i < nsegments; i++)
                r.count += segment[i].count;
        return r;
}

enum caefs_err
residual_encode(const int32_t *r, const struct residual_segment *segment, size_t nsegments,
                enum effort effort, struct arena *arena, struct bytes *out)
{
        struct residuals all = residuals_of(r, false, segment, nsegments);

        return encode(&all, effort, arena, out);
}

enum caefs_err
residual_encode_wide(const int64_t *r, const struct residual_segment *segment, size_t nsegments,
                     enum effort effort, struct arena *arena, struct bytes *out)
{
        struct residuals all = residuals_of(r, true, segment, nsegments);

        return encode(&all, effort, arena, out);
}

enum caefs_err
residual_decode(struct cursor *in, int32_t *r, const struct residual_segment *segment,
                size_t nsegments, struct arena *arena)
{
        struct residuals all = residuals_of(r, false, segment, nsegments);

        return decode(in, &all, arena);
}

enum caefs_err
residual_decode_wide(struct cursor *in, int64_t *r, const struct residual_segment *segment,
                     size_t nsegments, struct arena *arena)
{
        struct residuals all = residuals_of(r, true, segment, nsegments);

        return decode(in, &all, arena);
}
