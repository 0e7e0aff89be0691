/* bench_object.c - whole objects: encoding, decoding and random reads of turbulence.
 *
 * 256^3 float32 at rel:1e-3, each effort with one thread and with two, beside ZFP at
 * the same absolute bound and lossless zstd; reads of 64 KiB at random places by
 * chunk size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tools/bench_codec.h"

#define READ_BYTES ((uint64_t) 64 << 10)
#define READS      64
#define ITEMS_MAX  64

static _Noreturn void
give_up(const char *what)
{
        fprintf(stderr, "%s: %s\n", what, caefs_detail());
        exit(1);
}

/* ---- encoding and decoding ------------------------------------------------------- */

struct job {
        struct bench_task     task;
        struct object_options options;
        struct bench_codec    codec;
        uint8_t              *out;
};

static bool
encode(void *context)
{
        struct job *j = context;

        bytes_clear(&j->codec.coded);
        return j->codec.methods->encode(&j->task, &j->codec) == CAEFS_OK;
}

static bool
decode(void *context)
{
        struct job *j = context;

        return j->codec.methods->decode(&j->task, &j->codec, j->out) == CAEFS_OK;
}

static size_t
add_job(struct job *j, const char *name, uint8_t *out, struct bench_item *item)
{
        const struct bench_item common = {
                .unit = "MB/s",
                .amount = (double) j->task.sample->data.size,
                .wall = j->options.threads > 1,
                .context = j,
        };

        j->out = out;
        j->task.options = &j->options;
        item[0] = item[1] = common;
        item[0].what = "encode";
        item[0].run = encode;
        item[1].what = "decode";
        item[1].run = decode;
        snprintf(item[0].name, sizeof item[0].name, "%s", name);
        snprintf(item[1].name, sizeof item[1].name, "%s", name);
        return 2;
}

/* Every effort with one thread and with two, and the peers. */
static void
run_codecs(const struct bench_options *o, const struct bench_sample *sample, const char *field)
{
        static struct job job[16];
        struct bench_item item[ITEMS_MAX];
        uint8_t          *out = bench_memory(sample->data.size);
        const struct region *r = bench_sample_array(sample);
        struct bench_task task = { .sample = sample, .bound = { BOUND_REL, 1e-3 } };
        char              name[64];
        size_t            n = 0, jobs = 0;

        memset(job, 0, sizeof job);
        if (judge_amount(r, &task.bound, sample->data.data + r->offset, &task.amount) != CAEFS_OK)
                give_up("judge_amount");
        for (unsigned threads = 1; threads <= 2; threads++)
                for (int effort = EFFORT_FAST; effort <= EFFORT_MAX; effort++) {
                        struct job *j = &job[jobs++];
                        j->task = task;
                        j->options.threads = threads;
                        j->codec = (struct bench_codec) { &bench_caefs, effort, { 0 } };
                        snprintf(name, sizeof name, "object/%s/%s/%u", field,
                                 effort_name((enum effort) effort), threads);
                        n += add_job(j, name, out, item + n);
                }
#ifdef HAVE_ZFP
        if (bench_zfp.applies(&task)) {
                struct job *j = &job[jobs++];
                j->task = task;
                j->options.threads = 1;
                j->codec = (struct bench_codec) { &bench_zfp, 0, { 0 } };
                snprintf(name, sizeof name, "object/%s/zfp/1", field);
                n += add_job(j, name, out, item + n);
        }
#endif
        struct job *j = &job[jobs++];
        j->task = task;
        j->options.threads = 1;
        j->codec = (struct bench_codec) { &bench_zstd, 3, { 0 } };
        snprintf(name, sizeof name, "object/%s/zstd/1", field);
        n += add_job(j, name, out, item + n);
        bench_run(o, item, n);
        for (size_t i = 0; i < jobs; i++)
                bytes_free(&job[i].codec.coded);
        free(out);
}

/* ---- random reads ------------------------------------------------------------------ */

struct reader {
        struct bytes        coded;
        struct byte_source  source;     /* of CODED */
        struct object      *object;
        struct arena        arena;
        uint8_t            *out;        /* one chunk */
        uint64_t            seed;
};

static enum caefs_err
read_memory(void *context, void *buffer, size_t n, uint64_t offset)
{
        const struct bytes *b = context;

        memcpy(buffer, b->data + offset, n);
        return CAEFS_OK;
}

static enum caefs_err
write_memory(void *context, const void *data, size_t n)
{
        bytes_put(context, data, n);
        return CAEFS_OK;
}

/* READS reads of READ_BYTES, each of all the chunks that it touches. */
static bool
read_at_random(void *context)
{
        struct reader    *r = context;
        uint64_t          size = object_info(r->object)->logical_bytes;
        struct arena_mark mark = arena_mark(&r->arena);

        for (int i = 0; i < READS; i++) {
                uint64_t at = bench_random(&r->seed) % (size - READ_BYTES);
                for (uint64_t end = at + READ_BYTES; at < end;) {
                        struct chunk_extent e;
                        size_t              chunk = object_chunk_at(r->object, at);
                        if (object_chunk(r->object, chunk, &e) != CAEFS_OK ||
                            object_read_chunk(r->object, chunk, &r->arena, r->out) != CAEFS_OK)
                                return false;
                        arena_release(&r->arena, mark);
                        at = e.offset + e.length;
                }
        }
        return true;
}

static void
reader_open(struct reader *r, const struct bench_sample *sample, size_t chunk, enum effort effort)
{
        const struct object_options options = {
                .bound = { BOUND_REL, 1e-3 },
                .effort = effort,
                .chunk = chunk,
                .hint = sample->hint,
        };
        const struct byte_sink sink = { .write = write_memory, .context = &r->coded };
        struct object_report   report;

        if (object_encode(&sample->source, &options, &sink, &report) != CAEFS_OK)
                give_up("object_encode");
        r->source = (struct byte_source) {
                .read = read_memory,
                .context = &r->coded,
                .size = r->coded.size,
        };
        if (object_open(&r->source, NULL, &r->object) != CAEFS_OK)
                give_up("object_open");
        r->out = bench_memory(sample->data.size);
        r->seed = chunk;
}

static void
run_reads(const struct bench_options *o, const struct bench_sample *sample)
{
        static const size_t chunk[] = { 64 << 10, 512 << 10, 2 << 20, 8 << 20 };
        enum { CHUNKS = sizeof chunk / sizeof chunk[0] };
        struct reader       reader[2 * CHUNKS] = { 0 };
        struct bench_item   item[2 * CHUNKS];
        size_t              n = 0;

        for (int effort = EFFORT_FAST; effort <= EFFORT_BALANCED; effort++)
                for (size_t i = 0; i < CHUNKS; i++, n++) {
                        reader_open(&reader[n], sample, chunk[i], (enum effort) effort);
                        item[n] = (struct bench_item) {
                                .what = "read 64 KiB",
                                .unit = "us/read",
                                .amount = READS,
                                .run = read_at_random,
                                .context = &reader[n],
                        };
                        snprintf(item[n].name, sizeof item[n].name, "read/%s/%zuK",
                                 effort_name((enum effort) effort), chunk[i] >> 10);
                }
        bench_run(o, item, n);
        for (size_t i = 0; i < n; i++) {
                object_close(reader[i].object);
                arena_free(&reader[i].arena);
                bytes_free(&reader[i].coded);
                free(reader[i].out);
        }
}

int
main(int argc, char **argv)
{
        static const struct { const char *name; double cutoff; } field[] = {
                { "rough", 0 },
                { "smooth", 3 },
        };
        struct bench_options o = bench_options_read(argc, argv);
        size_t               extent = o.tiny ? 32 : 256;

        for (size_t i = 0; i < sizeof field / sizeof field[0]; i++) {
                struct bench_sample sample;
                struct bytes        data = { 0 };
                struct layout_hint  hint = {
                        .mode = LAYOUT_RAW,
                        .dtype = DTYPE_F32,
                        .shape = { 3, { extent, extent, extent } },
                };
                float *values = bench_turbulence(extent, field[i].cutoff, i + 1);
                bytes_put(&data, values, extent * extent * extent * sizeof *values);
                free(values);
                if (bench_sample_of_memory(&data, &hint, &sample) != CAEFS_OK)
                        give_up("bench_sample_of_memory");
                run_codecs(&o, &sample, field[i].name);
                if (i == 0)
                        run_reads(&o, &sample);
                bench_sample_free(&sample);
        }
        return 0;
}
