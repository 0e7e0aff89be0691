#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

#include "codec/model.h"
#include "tools/bench_codec.h"
#include "tools/decode_object.h"

#define WARM_UP_SECONDS 1.0
#define ENOUGH_SECONDS 10.0

/* ---- caefs ---- */

static bool always(const struct bench_task *t)
{
        (void)t;
        return true;
}

static const char *effort_word(int setting)
{
        return effort_name((enum effort)setting);
}

static enum caefs_err append(void *context, const void *data, size_t n)
{
        struct bytes *b = context;

        bytes_put(b, data, n);
        return b->failed ? caefs_fail(CAEFS_ERR_NOMEM, "no memory for the result") : CAEFS_OK;
}

static enum caefs_err caefs_encode(const struct bench_task *t, struct bench_codec *c)
{
        struct object_options o = *t->options;
        const struct byte_sink sink = { .write = append, .context = &c->coded };
        struct object_report report;

        o.bound = t->bound;
        o.scope = t->scope;
        o.effort = (enum effort)c->setting;
        o.hint = t->sample->hint;
        return object_encode(&t->sample->source, &o, &sink, &report);
}

static enum caefs_err read_coded(void *context, void *data, size_t n, uint64_t offset)
{
        const struct bytes *b = context;

        if (n > 0)
                memcpy(data, b->data + offset, n);
        return CAEFS_OK;
}

static const struct model *the_model(void *context, uint64_t hash)
{
        const struct model *m = context;

        return m != NULL && model_hash(m) == hash ? m : NULL;
}

static enum caefs_err caefs_decode(const struct bench_task *t, const struct bench_codec *c,
                                   uint8_t *out)
{
        const struct byte_source source = {
                .read = read_coded,
                .context = (void *)&c->coded,
                .size = c->coded.size,
        };
        const struct object_finder finder = {
                .model = the_model,
                .context = (void *)t->options->model,
        };
        struct object *object;
        enum caefs_err err = object_open(&source, &finder, &object);

        if (err != CAEFS_OK)
                return err;
        err = decode_object_all(object, t->options->threads, NULL, out, NULL);
        object_close(object);
        return err;
}

const struct bench_codec_methods bench_caefs = {
        .name = "caefs",
        .threads = true,
        .applies = always,
        .setting_name = effort_word,
        .encode = caefs_encode,
        .decode = caefs_decode,
};

/* ---- zstd ---- */

static bool is_lossless(const struct bench_task *t)
{
        return t->bound.mode == BOUND_LOSSLESS;
}

static const char *level_word(int setting)
{
        static char word[12];

        snprintf(word, sizeof word, "%d", setting);
        return word;
}

static enum caefs_err zstd_encode(const struct bench_task *t, struct bench_codec *c)
{
        const struct bytes *in = &t->sample->data;
        size_t room = ZSTD_compressBound(in->size), n;
        uint8_t *out = bytes_reserve(&c->coded, room);

        if (out == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for the result");
        n = ZSTD_compress(out, room, in->data, in->size, c->setting);
        if (ZSTD_isError(n))
                return caefs_fail(CAEFS_ERR_NOMEM, "zstd: %s", ZSTD_getErrorName(n));
        c->coded.size = n;
        return CAEFS_OK;
}

static enum caefs_err zstd_decode(const struct bench_task *t, const struct bench_codec *c,
                                  uint8_t *out)
{
        size_t n = ZSTD_decompress(out, t->sample->data.size, c->coded.data, c->coded.size);

        return ZSTD_isError(n) || n != t->sample->data.size
                       ? caefs_fail(CAEFS_ERR_CORRUPT, "zstd does not give back what it got")
                       : CAEFS_OK;
}

const struct bench_codec_methods bench_zstd = {
        .name = "zstd",
        .applies = is_lossless,
        .setting_name = level_word,
        .encode = zstd_encode,
        .decode = zstd_decode,
};

/* ---- rounds ---- */

static double now(const struct bench_task *t)
{
        struct timespec ts;

        clock_gettime(t->options->threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void note_time(struct bench_times *t, double seconds)
{
        unsigned i = t->n++;

        for (; i > 0 && t->seconds[i - 1] > seconds; i--)
                t->seconds[i] = t->seconds[i - 1];
        t->seconds[i] = seconds;
}

double bench_best(const struct bench_times *t)
{
        return t->seconds[0];
}

double bench_median(const struct bench_times *t)
{
        return (t->seconds[(t->n - 1) / 2] + t->seconds[t->n / 2]) / 2;
}

static double spent(const struct bench_times *t)
{
        double sum = 0;
        unsigned i;

        for (i = 0; i < t->n; i++)
                sum += t->seconds[i];
        return sum;
}

/* Encodes and decodes once. */
static enum caefs_err run_once(const struct bench_task *t, struct bench_result *r, uint8_t *out)
{
        const struct bench_codec_methods *m = r->codec.methods;
        double start = now(t), middle;
        enum caefs_err err;

        bytes_clear(&r->codec.coded);
        err = m->encode(t, &r->codec);
        middle = now(t);
        if (err == CAEFS_OK)
                err = m->decode(t, &r->codec, out);
        note_time(&r->encode, middle - start);
        note_time(&r->decode, now(t) - middle);
        r->output_bytes = r->codec.coded.size;
        return err;
}

/* Adds what part says to whole. */
static void add_verdict(struct verdict *whole, const struct verdict *part)
{
        whole->values += part->values;
        whole->changed += part->changed;
        if (whole->broken == 0)
                whole->first_broken = part->first_broken;
        whole->broken += part->broken;
        whole->worst = fmax(whole->worst, part->worst);
        whole->worst_over_bound = fmax(whole->worst_over_bound, part->worst_over_bound);
}

static enum caefs_err judge_all(const struct bench_task *t, const uint8_t *out,
                                struct verdict *whole)
{
        const struct layout *l = &t->sample->layout;
        size_t i;

        *whole = (struct verdict){ 0 };
        for (i = 0; i < l->nregions; i++) {
                const struct region *r = &l->region[i];
                struct verdict part;
                enum caefs_err err = judge_region(r, &t->bound, t->scope,
                                                  t->sample->data.data + r->offset,
                                                  out + r->offset, &part);

                if (err != CAEFS_OK)
                        return err;
                add_verdict(whole, &part);
        }
        return CAEFS_OK;
}

static bool takes_part(const struct bench_result *r, unsigned round)
{
        return round == 0 || spent(&r->encode) + spent(&r->decode) < ENOUGH_SECONDS;
}

enum caefs_err bench_compete(const struct bench_task *t, struct bench_result *r, size_t n,
                             unsigned rounds)
{
        size_t size = t->sample->data.size, i;
        uint8_t *out = file_memory(size + 1);
        enum caefs_err err = CAEFS_OK;
        unsigned round;

        if (out == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for the result");
        /* The first run is judged, and forgotten when it was short. */
        for (i = 0; i < n && err == CAEFS_OK; i++) {
                r[i].input_bytes = size;
                memset(out, 0xa5, size);
                err = run_once(t, &r[i], out);
                if (err == CAEFS_OK)
                        err = judge_all(t, out, &r[i].verdict);
                if (spent(&r[i].encode) + spent(&r[i].decode) < WARM_UP_SECONDS)
                        r[i].encode.n = r[i].decode.n = 0;
        }
        for (round = 0; round < rounds; round++)
                for (i = 0; i < n && err == CAEFS_OK; i++)
                        if (r[i].encode.n < rounds && takes_part(&r[i], r[i].encode.n))
                                err = run_once(t, &r[i], out);
        free(out);
        return err;
}

void bench_results_free(struct bench_result *r, size_t n)
{
        size_t i;

        for (i = 0; i < n; i++)
                bytes_free(&r[i].codec.coded);
}
