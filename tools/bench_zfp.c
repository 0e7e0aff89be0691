/*
 * ZFP beside caefs bench, in accuracy mode, or reversible for lossless.
 *
 * Its library is looked for when it is needed: caefs does not depend on it.
 * Source: Lindstrom, Fixed-Rate Compressed Floating-Point Arrays, 2014; zfp.h.
 */
#include "tools/bench_codec.h"

#ifdef HAVE_ZFP

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zfp.h>

#define FUNCTIONS(F)                                                                   \
        F(zfp_field_1d) F(zfp_field_2d) F(zfp_field_3d) F(zfp_field_4d) F(zfp_field_free) \
        F(zfp_stream_open) F(zfp_stream_close) F(zfp_stream_set_accuracy)              \
        F(zfp_stream_set_reversible) F(zfp_stream_maximum_size)                        \
        F(zfp_stream_set_bit_stream) F(zfp_stream_rewind) F(zfp_compress)              \
        F(zfp_decompress) F(stream_open) F(stream_close)

/* The functions under their own names. */
#define POINTER(NAME) __typeof__(&NAME) NAME;
static struct { FUNCTIONS(POINTER) } zfp;
#undef POINTER

static bool load_functions(void)
{
        char name[32];
        void *library, *found;

        snprintf(name, sizeof name, "libzfp.so.%d", ZFP_VERSION_MAJOR);
        library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL)
                return false;
        /* A function pointer from a data pointer, as POSIX has it. */
#define LOAD(NAME)                                     \
        found = dlsym(library, #NAME);                 \
        if (found == NULL)                             \
                return false;                          \
        memcpy(&zfp.NAME, &found, sizeof found);
        FUNCTIONS(LOAD)
#undef LOAD
        return true;
}

static bool is_there(void)
{
        static enum { UNKNOWN, THERE, MISSING } state;

        if (state == UNKNOWN)
                state = load_functions() ? THERE : MISSING;
        return state == THERE;
}

/* One array of f32 or f64 in host order, and a bound that is an absolute one. */
static bool zfp_applies(const struct bench_task *t)
{
        const struct region *r = bench_sample_array(t->sample);

        return r != NULL && (r->dtype == DTYPE_F32 || r->dtype == DTYPE_F64) &&
               r->big_endian == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) && t->amount >= 0 &&
               (t->amount > 0 || t->bound.mode == BOUND_LOSSLESS) && is_there();
}

static const char *mode_word(int setting)
{
        (void)setting;
        return "";
}

/* The array at DATA; ZFP has at most four axes, so the slowest ones become one. */
static zfp_field *field_of(const struct region *r, void *data)
{
        zfp_type type = r->dtype == DTYPE_F32 ? zfp_type_float : zfp_type_double;
        size_t extent[4] = { 1, 1, 1, 1 }; /* fastest first */
        unsigned n = 0, i;

        for (i = r->shape.ndim; i-- > 0;) {
                if (r->shape.extent[i] == 1)
                        continue;
                extent[n < 4 ? n : 3] *= (size_t)r->shape.extent[i];
                n += n < 4;
        }
        switch (n) {
        case 0:
        case 1:
                return zfp.zfp_field_1d(data, type, extent[0]);
        case 2:
                return zfp.zfp_field_2d(data, type, extent[0], extent[1]);
        case 3:
                return zfp.zfp_field_3d(data, type, extent[0], extent[1], extent[2]);
        default:
                return zfp.zfp_field_4d(data, type, extent[0], extent[1], extent[2], extent[3]);
        }
}

/* A stream in the task's mode, with no bit stream yet. */
static zfp_stream *stream_for(const struct bench_task *t)
{
        zfp_stream *z = zfp.zfp_stream_open(NULL);

        if (z != NULL && t->amount > 0)
                zfp.zfp_stream_set_accuracy(z, t->amount);
        else if (z != NULL)
                zfp.zfp_stream_set_reversible(z);
        return z;
}

/* What is not the array is stored before it as it is: SIZE bytes. */
static size_t size_of_rest(const struct bench_task *t)
{
        return t->sample->data.size - (size_t)bench_sample_array(t->sample)->length;
}

static enum caefs_err zfp_encode(const struct bench_task *t, struct bench_codec *c)
{
        const struct region *r = bench_sample_array(t->sample);
        const uint8_t *in = t->sample->data.data;
        size_t rest = size_of_rest(t), end = (size_t)(r->offset + r->length), room, n = 0;
        zfp_stream *z = stream_for(t);
        zfp_field *f = field_of(r, (void *)(in + r->offset));
        bitstream *bits;
        uint8_t *out;

        room = z != NULL && f != NULL ? zfp.zfp_stream_maximum_size(z, f) : 0;
        bytes_put(&c->coded, in, (size_t)r->offset);
        bytes_put(&c->coded, in + end, rest - (size_t)r->offset);
        out = room > 0 ? bytes_reserve(&c->coded, room) : NULL;
        bits = out != NULL ? zfp.stream_open(out, room) : NULL;
        if (bits != NULL) {
                zfp.zfp_stream_set_bit_stream(z, bits);
                zfp.zfp_stream_rewind(z);
                n = zfp.zfp_compress(z, f);
                zfp.stream_close(bits);
        }
        c->coded.size += n;
        zfp.zfp_field_free(f);
        zfp.zfp_stream_close(z);
        return n > 0 ? CAEFS_OK : caefs_fail(CAEFS_ERR_NOMEM, "ZFP cannot encode this");
}

static enum caefs_err zfp_decode(const struct bench_task *t, const struct bench_codec *c,
                                 uint8_t *out)
{
        const struct region *r = bench_sample_array(t->sample);
        size_t rest = size_of_rest(t), end = (size_t)(r->offset + r->length), n = 0;
        zfp_stream *z = stream_for(t);
        zfp_field *f = field_of(r, out + r->offset);
        bitstream *bits = zfp.stream_open(c->coded.data + rest, c->coded.size - rest);

        memcpy(out, c->coded.data, (size_t)r->offset);
        if (rest > r->offset)
                memcpy(out + end, c->coded.data + r->offset, rest - (size_t)r->offset);
        if (z != NULL && f != NULL && bits != NULL) {
                zfp.zfp_stream_set_bit_stream(z, bits);
                zfp.zfp_stream_rewind(z);
                n = zfp.zfp_decompress(z, f);
        }
        if (bits != NULL)
                zfp.stream_close(bits);
        zfp.zfp_field_free(f);
        zfp.zfp_stream_close(z);
        return n > 0 ? CAEFS_OK : caefs_fail(CAEFS_ERR_NOMEM, "ZFP cannot decode this");
}

const struct bench_codec_methods bench_zfp = {
        .name = "zfp",
        .applies = zfp_applies,
        .setting_name = mode_word,
        .encode = zfp_encode,
        .decode = zfp_decode,
};

#endif
