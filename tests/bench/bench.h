/* tests/bench/bench.h - what the micro-benchmarks have in common.
 *
 * A program lists things to be timed; they run in turns, round after round, so that
 * what disturbs the machine disturbs all of them, and each becomes a line of CSV on
 * stdout with every round's figure in it (tests/bench/compare reads it).
 *
 *     PROGRAM [--rounds N] [--tiny] [--only SUBSTRING]
 *
 * --tiny makes everything small, to see that it runs; its figures mean nothing.
 * For programs of one thread (what is timed may use more). */
#ifndef CAEFS_TEST_BENCH_H
#define CAEFS_TEST_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_options {
        unsigned    rounds;
        bool        tiny;
        const char *only;       /* or NULL */
};

/* Reads the options; says what is wrong and exits with 1. */
struct bench_options bench_options_read(int argc, char **argv);

/* Something to be timed.  NAME and WHAT (encode, decode, read ...) identify it between
 * runs, without commas. */
struct bench_item {
        char        name[64];
        const char *what;
        const char *unit;       /* "MB/s", "ns/value", "us/read": what AMOUNT counts is in
                                 * bytes, values, reads */
        double      amount;     /* done by one run */
        bool        wall;       /* it uses several threads: time on the wall, not of this
                                 * thread's processor */
        bool      (*run)(void *context);        /* false: it failed */
        void       *context;
};

/* Runs all that --only leaves (and before a decoding its encoding: an item with the
 * same context that comes first), once uncounted and then ROUNDS times, and prints them.
 * What takes long is stopped at two rounds or half a minute.  A failure ends the
 * program. */
void bench_run(const struct bench_options *o, const struct bench_item *item, size_t n);

/* splitmix64 and a number in (0, 1) from it: the same everywhere. */
uint64_t bench_random(uint64_t *state);
double   bench_random_unit(uint64_t *state);

/* EXTENT^3 values like turbulence: Gaussian with an energy spectrum of k^-5/3, cut off
 * at small scales by CUTOFF (0: not at all, 8: smooth).  EXTENT is a power of 2. */
float *bench_turbulence(size_t extent, double cutoff, uint64_t seed);

/* malloc() that ends the program, with its pages in place. */
void *bench_memory(size_t size);

#endif
