/* bench_residual.c - how long the residual coders take.
 *
 * Laplacian residuals of some entropies and lengths, with the scale of the noise going
 * up and down slowly as it does in fields, so that contexts have something to find. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/residual.h"
#include "tests/bench/bench.h"

/* Rounded Laplacian noise of about BITS entropy. */
static void
fill(int32_t *r, size_t n, double bits, uint64_t seed)
{
        double scale = bits < 1 ? 0.25 : exp2(bits - 1.5) / 2;

        for (size_t i = 0; i < n; i++) {
                double local = scale * exp2(sin((double) i / 211) + sin((double) i / 64 / 97));
                double u = bench_random_unit(&seed), sign = bench_random_unit(&seed) < 0.5 ? -1 : 1;
                r[i] = (int32_t) lrint(-sign * local * log(u));
        }
}

struct job {
        int32_t                *residual, *found;       /* (segment.count) */
        struct residual_segment segment;
        enum effort             effort;
        struct arena            arena;
        struct bytes            coded;
        volatile double         estimated;
};

static bool
encode(void *context)
{
        struct job       *j = context;
        struct arena_mark mark = arena_mark(&j->arena);

        bytes_clear(&j->coded);
        enum caefs_err err = residual_encode(j->residual, &j->segment, 1, j->effort, &j->arena,
                                             &j->coded);
        arena_release(&j->arena, mark);
        return err == CAEFS_OK;
}

static bool
decode(void *context)
{
        struct job       *j = context;
        struct arena_mark mark = arena_mark(&j->arena);
        struct cursor     in = cursor_of(j->coded.data, j->coded.size);
        enum caefs_err    err = residual_decode(&in, j->found, &j->segment, 1, &j->arena);

        arena_release(&j->arena, mark);
        return err == CAEFS_OK;
}

static bool
estimate(void *context)
{
        struct job *j = context;

        j->estimated = residual_estimate(j->residual, j->segment.count);
        return true;
}

/* Also wants back what went in. */
static void
job_open(struct job *j, double bits, size_t count, enum effort effort)
{
        j->residual = bench_memory(count * sizeof *j->residual);
        j->found = bench_memory(count * sizeof *j->found);
        j->segment = (struct residual_segment) { .count = count, .row = 64 };
        j->effort = effort;
        fill(j->residual, count, bits, count);
        if (!encode(j) || !decode(j) ||
            memcmp(j->residual, j->found, count * sizeof *j->found) != 0) {
                fprintf(stderr, "residuals do not come back: %s\n", caefs_detail());
                exit(1);
        }
}

static void
job_close(struct job *j)
{
        free(j->residual);
        free(j->found);
        bytes_free(&j->coded);
        arena_free(&j->arena);
}

#define ENTROPIES 5
#define LENGTHS   4
#define EFFORTS   3

int
main(int argc, char **argv)
{
        static const double bits[ENTROPIES] = { 0.5, 2, 3, 5, 9 };
        static const size_t lengths[LENGTHS] = { 1024, 4096, 131072, 524288 };
        static struct job   job[ENTROPIES * LENGTHS * EFFORTS];
        static struct bench_item item[3 * ENTROPIES * LENGTHS * EFFORTS];
        static const struct { const char *what; bool (*run)(void *); } step[] = {
                { "encode", encode }, { "decode", decode }, { "estimate", estimate },
        };
        struct bench_options o = bench_options_read(argc, argv);
        size_t               jobs = 0, items = 0;

        for (size_t b = 0; b < ENTROPIES; b++)
                for (size_t l = 0; l < (o.tiny ? 2 : LENGTHS); l++)
                        for (int e = EFFORT_FAST; e <= EFFORT_MAX; e++, jobs++) {
                                job_open(&job[jobs], bits[b], lengths[l], (enum effort) e);
                                for (int s = 0; s < (e == EFFORT_FAST ? 3 : 2); s++) {
                                        struct bench_item *i = &item[items++];
                                        *i = (struct bench_item) {
                                                .what = step[s].what,
                                                .unit = "ns/value",
                                                .amount = (double) lengths[l],
                                                .run = step[s].run,
                                                .context = &job[jobs],
                                        };
                                        snprintf(i->name, sizeof i->name,
                                                 "residual/%g bits/%zu/%s", bits[b], lengths[l],
                                                 effort_name((enum effort) e));
                                }
                        }
        bench_run(&o, item, items);
        for (size_t i = 0; i < jobs; i++)
                job_close(&job[i]);
        return 0;
}
