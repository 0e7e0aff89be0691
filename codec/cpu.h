/* codec/cpu.h - which vector instructions may be used.
 *
 * Loops that exist for several CPUs give the same numbers on all of them; this only
 * says which to run.
 */
#ifndef CAEFS_CODEC_CPU_H
#define CAEFS_CODEC_CPU_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum cpu_level {
        CPU_PLAIN,
        CPU_AVX2,
        CPU_AVX512              /* F, VL, DQ, BW, CD and VBMI: Ice Lake, Zen 4 */
};

/* What this CPU has, or less where the environment variable CAEFS_SIMD asks for
 * scalar or avx2. */
static inline enum cpu_level
cpu_level(void)
{
#if defined(__x86_64__)
        const char *wish = getenv("CAEFS_SIMD");
        bool any = wish == NULL || *wish == '\0';

        if ((any || strcmp(wish, "avx512") == 0) && __builtin_cpu_supports("avx512f") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
            __builtin_cpu_supports("avx512vbmi"))
                return CPU_AVX512;
        if ((any || strncmp(wish, "avx", 3) == 0) && __builtin_cpu_supports("avx2"))
                return CPU_AVX2;
#endif
        return CPU_PLAIN;
}

/* For files with one text for all levels: their DEFINE_LANES(SUFFIX, TARGET) makes a
 * structure of functions, lanes_SUFFIX, compiled for TARGET. */
#if defined(__x86_64__)
#define TARGET_AVX2   __attribute__((target("avx2")))
#define TARGET_AVX512 __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw")))
#define DEFINE_LANES_OF_EVERY_CPU                                               \
        DEFINE_LANES(plain, )                                                   \
        DEFINE_LANES(avx2, TARGET_AVX2)                                         \
        DEFINE_LANES(avx512, TARGET_AVX512)
#define LANES_OF_THIS_CPU                                                       \
        (cpu_level() == CPU_AVX512 ? &lanes_avx512                              \
         : cpu_level() == CPU_AVX2 ? &lanes_avx2 : &lanes_plain)
#else
#define DEFINE_LANES_OF_EVERY_CPU DEFINE_LANES(plain, )
#define LANES_OF_THIS_CPU         (&lanes_plain)
#endif

#endif
