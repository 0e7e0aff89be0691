/* codec/residual.c - which coder: the smallest of those that may win.
 *
 * A coding is one byte that names the coder, then what the coder wrote. */
#include "codec/residual.h"

#include "codec/residual_coder.h"
#include "codec/residual_survey.h"

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
        [CODER_MIXING] = &residual_coder_mixing,
        [CODER_SPARSE] = &residual_coder_sparse,
        [CODER_GENERAL] = &residual_coder_general,
};

static bool
is_empty(const struct residuals *r)
{
        size_t size = r->count * (r->wide ? sizeof(int64_t) : sizeof(int32_t));
        const char *bytes = r->value;

        return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Mixing decodes about half a million residuals a second; zero blocks cost it next to
 * nothing.  It is for sequences that take two milliseconds at most, at EFFORT_MAX half a
 * second, or where so few blocks are not zero that reading stays above twenty MB/s. */
struct patience {
        size_t brief;           /* residuals outside zero blocks */
        size_t share;           /* or one block in this many is not zero */
};
static const struct patience patience[] = {
        [EFFORT_FAST] = { 0, SIZE_MAX },
        [EFFORT_BALANCED] = { 1024, 8 },
        [EFFORT_MAX] = { (size_t) 1 << 18, 8 },
};

static bool
is_brief(size_t active, size_t count, enum effort effort)
{
        return active <= patience[effort].brief || active <= count / patience[effort].share;
}

/* What encode() has so far. */
struct trial {
        const struct residuals *r;
        enum effort             effort;
        struct arena           *arena;
        size_t                  start;          /* of the best coding in OUT */
        struct bytes           *out;
        struct bytes            scratch;
};

/* Tries one coder; OUT keeps it if it is smaller than what is there behind START by
 * more than GAIN 64ths. */
static enum caefs_err
try_coder(struct trial *t, unsigned number, unsigned gain)
{
        size_t have = t->out->size - t->start;
        size_t limit = have == 0 ? SIZE_MAX / 8 : have - have / 64 * gain;

        if (limit < 2)
                return CAEFS_OK;
        bytes_clear(&t->scratch);
        bytes_put_u8(&t->scratch, (uint8_t) number);
        enum caefs_err err = coders[number]->encode(t->r, t->effort, limit - 1, t->arena,
                                                    &t->scratch);
        if (err != CAEFS_OK || t->scratch.size < 2 || t->scratch.size >= limit)
                return err;
        t->out->size = t->start;
        bytes_put(t->out, t->scratch.data, t->scratch.size);
        return CAEFS_OK;
}

/* What must be saved, in 64ths of the size, to be worth slower decoding below
 * EFFORT_MAX, where the sequence is not brief. */
#define WORTH_GENERAL 3

static enum caefs_err
try_coders(struct trial *t)
{
        enum caefs_err err = try_coder(t, CODER_STATIC, 0);
        if (err != CAEFS_OK || t->effort == EFFORT_FAST)
                return err;

        struct residual_survey s = residual_survey_of(t->r);
        bool max = t->effort == EFFORT_MAX;
        bool brief = is_brief(s.active, t->r->count, t->effort);
        if ((max && brief) || s.repeats)
                err = try_coder(t, CODER_GENERAL, max || brief ? 0 : WORTH_GENERAL);
        if (err == CAEFS_OK && s.nonzero < t->r->count / (max ? 4 : 16))
                err = try_coder(t, CODER_SPARSE, 0);
        if (err == CAEFS_OK && brief)
                err = try_coder(t, CODER_MIXING, 0);
        return err;
}

static enum caefs_err
encode(const struct residuals *r, enum effort effort, struct arena *arena, struct bytes *out)
{
        struct trial t = {
                .r = r, .effort = effort, .arena = arena, .start = out->size, .out = out
        };
        enum caefs_err err = CAEFS_OK;

        if (is_empty(r))
                bytes_put_u8(out, CODER_EMPTY);
        else
                err = try_coders(&t);
        if (err == CAEFS_OK && (out->failed || t.scratch.failed))
                err = caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        bytes_free(&t.scratch);
        return err;
}

static enum caefs_err
decode(struct cursor *in, const struct residuals *r, struct arena *arena)
{
        unsigned number = cursor_u8(in);

        if (in->failed || number >= CODER_LIMIT)
                return caefs_fail(CAEFS_ERR_CORRUPT, "residuals: no known coder");
        if (number == CODER_EMPTY) {
                if (r->count > 0)
                        memset(r->value, 0, r->count * (r->wide ? sizeof(int64_t) : sizeof(int32_t)));
                return CAEFS_OK;
        }
        if (r->count == 0)
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
