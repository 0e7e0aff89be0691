/* tests/bench/bench_residual.c - how long the residual coders take.
 *
 * Laplacian residuals of some entropies and lengths, with the scale of the noise going
 * up and down slowly as it does in fields, so that contexts have something to find.
 * Prints nanoseconds of thread CPU time per residual, the best of many runs, and the
 * bits per residual.
 *
 *     bench_residual [BITS [COUNT [EFFORT]]]     only what these say */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "codec/residual.h"

static double
cpu_seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

/* splitmix64, in (0, 1). */
static double
uniform(uint64_t *state)
{
        uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

        z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
        return ((double) ((z ^ z >> 31) >> 12) + 0.5) / 4503599627370496.0;
}

/* Rounded Laplacian noise of about BITS entropy. */
static void
fill(int32_t *r, size_t n, double bits, uint64_t seed)
{
        double scale = bits < 1 ? 0.25 : exp2(bits - 1.5) / 2;

        for (size_t i = 0; i < n; i++) {
                double local = scale * exp2(sin((double) i / 211) + sin((double) i / 64 / 97));
                double u = uniform(&seed), sign = uniform(&seed) < 0.5 ? -1 : 1;
                r[i] = (int32_t) lrint(-sign * local * log(u));
        }
}

struct timing {
        double encode, decode, estimate;        /* seconds, of the fastest run */
        size_t size;
};

static void
keep_least(double *least, double begin)
{
        double took = cpu_seconds() - begin;

        if (took < *least)
                *least = took;
}

static struct timing
measure(const int32_t *r, int32_t *found, struct residual_segment segment, enum effort effort)
{
        struct timing best = { INFINITY, INFINITY, INFINITY, 0 };
        struct arena arena = { 0 };
        struct bytes coded = { 0 };
        volatile double estimate;

        arena_alloc(&arena, 1);
        struct arena_mark mark = arena_mark(&arena);
        for (size_t run = 0; run < 5 + (size_t) 3000000 / segment.count; run++) {
                bytes_clear(&coded);
                double begin = cpu_seconds();
                if (residual_encode(r, &segment, 1, effort, &arena, &coded) != CAEFS_OK)
                        exit(1);
                keep_least(&best.encode, begin);
                arena_release(&arena, mark);
                struct cursor in = cursor_of(coded.data, coded.size);
                begin = cpu_seconds();
                if (residual_decode(&in, found, &segment, 1, &arena) != CAEFS_OK)
                        exit(1);
                keep_least(&best.decode, begin);
                arena_release(&arena, mark);
                begin = cpu_seconds();
                estimate = residual_estimate(r, segment.count);
                keep_least(&best.estimate, begin);
        }
        (void) estimate;
        best.size = coded.size;
        if (memcmp(r, found, segment.count * sizeof *r) != 0)
                exit(1);
        bytes_free(&coded);
        arena_free(&arena);
        return best;
}

int
main(int argc, char **argv)
{
        static const double bits[] = { 0.5, 2, 3, 5, 9 };
        static const size_t lengths[] = { 1024, 4096, 131072, 524288 };
        static const char *const effort_name[] = { "fast", "balanced" };
        int32_t *r = malloc(524288 * sizeof *r), *found = malloc(524288 * sizeof *r);

        printf("%6s %8s %9s %10s %10s %10s\n", "count", "effort", "bits each", "encode ns",
               "decode ns", "estimate");
        for (size_t b = 0; b < sizeof bits / sizeof bits[0]; b++) {
                if (argc > 1 && atof(argv[1]) != bits[b])
                        continue;
                for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
                        if (argc > 2 && (size_t) atol(argv[2]) != lengths[i])
                                continue;
                        double n = (double) lengths[i];
                        struct residual_segment s = { .count = lengths[i], .row = 64 };
                        fill(r, lengths[i], bits[b], b);
                        for (unsigned e = 0; e < 2; e++) {
                                if (argc > 3 && strcmp(argv[3], effort_name[e]) != 0)
                                        continue;
                                struct timing t = measure(r, found, s, e ? EFFORT_BALANCED
                                                                         : EFFORT_FAST);
                                printf("%6zu %8s %9.4f %10.3f %10.3f %10.3f\n", lengths[i],
                                       effort_name[e], 8 * (double) t.size / n, t.encode * 1e9 / n,
                                       t.decode * 1e9 / n, t.estimate * 1e9 / n);
                        }
                }
        }
        free(r);
        free(found);
        return 0;
}
