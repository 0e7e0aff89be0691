/*
 * bench_codec.h - codecs that caefs bench lets compete on one sample.
 *
 * Each is a pair of functions from memory to memory; they are timed in turns,
 * round after round, so that a machine that becomes slower or faster meanwhile
 * does so for all of them.
 *
 * Not safe from several threads.
 */

#ifndef CAEFS_TOOL_BENCH_CODEC_H
#define CAEFS_TOOL_BENCH_CODEC_H

#include "codec/object.h"
#include "tools/bench_sample.h"
#include "tools/judge.h"

/* What all of them are to do. */
struct bench_task {
        const struct bench_sample *sample;
        struct bound bound;
        enum scope scope;
        const struct object_options *options; /* family, chunk, model, threads */
        double amount;  /* the bound as an absolute one for the sample's array;
                         * 0: lossless; negative: it is none */
};

/* What one of them carries from round to round. */
struct bench_codec {
        const struct bench_codec_methods *methods;
        int setting;          /* an effort, or a level */
        struct bytes coded;   /* the last result */
};

struct bench_codec_methods {
        const char *name;     /* "caefs" */
        bool threads;         /* uses as many as the task says, else one */

        /* Whether this task can be done at all. */
        bool (*applies)(const struct bench_task *t);
        /* The word for a setting: "fast", "19". */
        const char *(*setting_name)(int setting);
        /* From the sample to CODED (cleared, its memory kept), and back to OUT,
         * which has the sample's size. */
        enum caefs_err (*encode)(const struct bench_task *t, struct bench_codec *c);
        enum caefs_err (*decode)(const struct bench_task *t, const struct bench_codec *c,
                                 uint8_t *out);
};

extern const struct bench_codec_methods bench_caefs, bench_zstd;
#ifdef HAVE_ZFP
extern const struct bench_codec_methods bench_zfp; /* applies where its library is */
#endif

#define BENCH_ROUNDS_MAX 100

/* Seconds of the rounds, in ascending order. */
struct bench_times {
        double seconds[BENCH_ROUNDS_MAX];
        unsigned n;
};
double bench_best(const struct bench_times *t);
double bench_median(const struct bench_times *t);

struct bench_result {
        struct bench_codec codec;
        uint64_t input_bytes, output_bytes;
        struct bench_times encode, decode;
        struct verdict verdict; /* of all regions together */
};

/*
 * Lets R[0] to R[N-1], of which only codec.methods and codec.setting are set,
 * compete in ROUNDS rounds.  Times are CPU seconds of this thread, or wall-clock
 * seconds where the task has several threads.  Before what is counted each runs
 * once unmeasured, unless one run takes longer than a second; who has used ten
 * seconds does not begin another round.  Memory is in place before it is timed.
 * A broken bound is in the verdict.  Free with bench_results_free().
 */
enum caefs_err bench_compete(const struct bench_task *t, struct bench_result *r, size_t n,
                             unsigned rounds);
void bench_results_free(struct bench_result *r, size_t n);

#endif
