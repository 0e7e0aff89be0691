/* codec/stencil_lanes.c - see codec/stencil_lanes.h.
 *
 * The compiler's own vectors: the same text becomes instructions for each CPU.
 */
#include "codec/stencil_lanes.h"

#include "codec/cpu.h"
#include "codec/rows.h"

typedef uint32_t lanes __attribute__((vector_size(4 * ROWS_LANES), aligned(4), may_alias));
typedef int32_t  signed_lanes __attribute__((vector_size(4 * ROWS_LANES), aligned(4), may_alias));

static inline uint32_t
half_of(unsigned shift)
{
        return shift > 0 ? UINT32_C(1) << (shift - 1) : 0;
}

#define LOAD(at)   (*(const lanes *) (at))
#define STORE(at)  (*(lanes *) (at))
#define SHIFTED(sum, shift) ((lanes) ((signed_lanes) (sum) >> (int32_t) (shift)))

/* FINISH does with LANES at X what a function is for. */
#define FOR_ALL_LANES(r, n, FINISH)                                                             \
        const struct row_source *end = (r)->source + (r)->nsources;                             \
        uint32_t half = half_of((r)->shift);                                                    \
        size_t x = 0;                                                                           \
        for (; x + ROWS_LANES < (n); x += 2 * ROWS_LANES) {                                     \
                lanes low = (lanes) { 0 } + half, high = low;                                   \
                for (const struct row_source *s = (r)->source; s < end; s++) {                  \
                        uint32_t c = (uint32_t) s->coefficient;                                 \
                        low += LOAD(s->at + x) * c;                                             \
                        high += LOAD(s->at + x + ROWS_LANES) * c;                               \
                }                                                                               \
                FINISH(low, x);                                                                 \
                FINISH(high, x + ROWS_LANES);                                                   \
        }                                                                                       \
        if (x < (n)) {                                                                          \
                lanes only = (lanes) { 0 } + half;                                              \
                for (const struct row_source *s = (r)->source; s < end; s++)                    \
                        only += LOAD(s->at + x) * (uint32_t) s->coefficient;                    \
                FINISH(only, x);                                                                \
        }

#define KEEP_SUM(total, x) STORE(sum + (x)) = (total)

#define REBUILD(total, x)                                                                       \
        STORE(row + (x)) = LOAD(r->reference.at + (x)) + SHIFTED(total, r->shift) +             \
                           LOAD(residual + (x)) * (uint32_t) step

#define CODE(total, x)                                                                          \
        do {                                                                                    \
                lanes p = LOAD(r->reference.at + (x)) + SHIFTED(total, r->shift);               \
                lanes q = SHIFTED(LOAD(target + (x)) - p + half_step, log_step);                \
                STORE(residual + (x)) = q;                                                      \
                STORE(row + (x)) = p + (q << log_step);                                         \
        } while (0)

#define DEFINE_LANES(suffix, TARGET)                                                            \
TARGET static void                                                                              \
sum_##suffix(const struct row_stencil *r, size_t n, int32_t *sum)                               \
{                                                                                               \
        FOR_ALL_LANES(r, n, KEEP_SUM)                                                           \
}                                                                                               \
                                                                                                \
TARGET static void                                                                              \
rebuild_##suffix(const struct row_stencil *r, size_t n, int32_t step, const int32_t *residual,  \
                 int32_t *row)                                                                  \
{                                                                                               \
        FOR_ALL_LANES(r, n, REBUILD)                                                            \
}                                                                                               \
                                                                                                \
TARGET static void                                                                              \
code_##suffix(const struct row_stencil *r, size_t n, unsigned log_step, const int32_t *target,  \
              int32_t *residual, int32_t *row)                                                  \
{                                                                                               \
        uint32_t half_step = half_of(log_step);                                                 \
        FOR_ALL_LANES(r, n, CODE)                                                               \
}

DEFINE_LANES(plain, )
#if defined(__x86_64__)
DEFINE_LANES(avx2, TARGET_AVX2)
DEFINE_LANES(avx512, TARGET_AVX512)
#endif

const struct stencil_lanes *
stencil_lanes(void)
{
        static const struct stencil_lanes all[] = {
                [CPU_PLAIN] = { sum_plain, rebuild_plain, code_plain },
#if defined(__x86_64__)
                [CPU_AVX2] = { sum_avx2, rebuild_avx2, code_avx2 },
                [CPU_AVX512] = { sum_avx512, rebuild_avx512, code_avx512 },
#endif
        };
        return &all[cpu_level()];
}
