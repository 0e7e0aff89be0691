/* codec/difference.c - see codec/difference.h.
 *
 * The inner loops run over at most LAG values, so that what they read and what
 * they write never overlap and the compiler vectorises them.  The steps along the
 * axes of an array are nested: the rows that the slower step adds are the ones that
 * the faster steps have just left in the cache.
 */
#include "codec/difference.h"

#include <string.h>

#include "codec/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define SHORT_LAG 64            /* below: a block at a time */

static inline size_t
smaller(size_t a, size_t b)
{
        return a < b ? a : b;
}

/* ---- the innermost loops ---- */

/* TARGET: nothing, or the instructions that the compiler may use. */
#define DEFINE_LOOPS(U, suffix, TARGET)                                                         \
TARGET static void                                                                              \
subtract_##suffix(U *restrict x, const U *restrict before, size_t n)                            \
{                                                                                               \
        for (size_t i = 0; i < n; i++)                                                          \
                x[i] -= before[i];                                                              \
}                                                                                               \
                                                                                                \
TARGET static void                                                                              \
add_##suffix(U *restrict x, const U *restrict before, size_t n)                                 \
{                                                                                               \
        for (size_t i = 0; i < n; i++)                                                          \
                x[i] += before[i];                                                              \
}                                                                                               \
                                                                                                \
TARGET static void                                                                              \
scale_##suffix(U *x, size_t n, U step, U origin)                                                \
{                                                                                               \
        for (size_t i = 0; i < n; i++)                                                          \
                x[i] = x[i] * step + origin;                                                    \
}

/* X becomes the running sum of step * x that begins at ORIGIN. */
#define DEFINE_RUNNING_SUM(U, suffix)                                                           \
static void                                                                                     \
running_sum_##suffix(U *x, size_t n, U step, U origin)                                          \
{                                                                                               \
        for (size_t i = 0; i < n; i++)                                                          \
                x[i] = origin += x[i] * step;                                                   \
}

#define DEFINE_TABLE(U, suffix)                                                                 \
struct loops_##suffix {                                                                         \
        void (*subtract)(U *restrict x, const U *restrict before, size_t n);                    \
        void (*add)(U *restrict x, const U *restrict before, size_t n);                         \
        void (*scale)(U *x, size_t n, U step, U origin);                                        \
        void (*running_sum)(U *x, size_t n, U step, U origin);                                  \
};

DEFINE_TABLE(uint32_t, narrow)
DEFINE_TABLE(uint64_t, wide)
DEFINE_LOOPS(uint32_t, narrow, )
DEFINE_LOOPS(uint64_t, wide, )
DEFINE_RUNNING_SUM(uint32_t, narrow)
DEFINE_RUNNING_SUM(uint64_t, wide)

#if defined(__x86_64__)
DEFINE_LOOPS(uint32_t, narrow_avx2, TARGET_AVX2)
DEFINE_LOOPS(uint64_t, wide_avx2, TARGET_AVX2)

/* Sixteen sums by four additions of what lies 1, 2, 4 and 8 back; what is carried
 * comes last, so that it is the only thing the next sixteen wait for. */
TARGET_AVX512 static void
running_sum_narrow_avx512(uint32_t *x, size_t n, uint32_t step, uint32_t origin)
{
        __m512i zero = _mm512_setzero_si512(), last = _mm512_set1_epi32(15);
        __m512i steps = _mm512_set1_epi32((int) step), carry = _mm512_set1_epi32((int) origin);
        size_t i = 0;
        for (; i + 16 <= n; i += 16) {
                __m512i s = _mm512_mullo_epi32(_mm512_loadu_si512(x + i), steps);
                s = _mm512_add_epi32(s, _mm512_alignr_epi32(s, zero, 15));
                s = _mm512_add_epi32(s, _mm512_alignr_epi32(s, zero, 14));
                s = _mm512_add_epi32(s, _mm512_alignr_epi32(s, zero, 12));
                s = _mm512_add_epi32(s, _mm512_alignr_epi32(s, zero, 8));
                __m512i sum = _mm512_add_epi32(s, carry);
                _mm512_storeu_si512(x + i, sum);
                carry = _mm512_add_epi32(carry, _mm512_permutexvar_epi32(last, s));
        }
        running_sum_narrow(x + i, n - i, step, (uint32_t) _mm512_cvtsi512_si32(carry));
}

TARGET_AVX512 static void
running_sum_wide_avx512(uint64_t *x, size_t n, uint64_t step, uint64_t origin)
{
        __m512i zero = _mm512_setzero_si512(), last = _mm512_set1_epi64(7);
        __m512i carry = _mm512_set1_epi64((long long) origin);
        size_t i = 0;
        for (; step == 1 && i + 8 <= n; i += 8) {
                __m512i s = _mm512_loadu_si512(x + i);
                s = _mm512_add_epi64(s, _mm512_alignr_epi64(s, zero, 7));
                s = _mm512_add_epi64(s, _mm512_alignr_epi64(s, zero, 6));
                s = _mm512_add_epi64(s, _mm512_alignr_epi64(s, zero, 4));
                __m512i sum = _mm512_add_epi64(s, carry);
                _mm512_storeu_si512(x + i, sum);
                carry = _mm512_add_epi64(carry, _mm512_permutexvar_epi64(last, s));
        }
        running_sum_wide(x + i, n - i, step,
                         (uint64_t) _mm_cvtsi128_si64(_mm512_castsi512_si128(carry)));
}
#endif

#define DEFINE_CHOICE_PLAIN(suffix)                                                             \
        { subtract_##suffix, add_##suffix, scale_##suffix, running_sum_##suffix }
#define DEFINE_CHOICE(suffix, last)                                                             \
        { subtract_##suffix##_avx2, add_##suffix##_avx2, scale_##suffix##_avx2,                 \
          running_sum_##suffix##last }

static const struct loops_narrow narrow_loops[] = {
        [CPU_PLAIN] = DEFINE_CHOICE_PLAIN(narrow),
#if defined(__x86_64__)
        [CPU_AVX2] = DEFINE_CHOICE(narrow, ),
        [CPU_AVX512] = DEFINE_CHOICE(narrow, _avx512),
#endif
};

static const struct loops_wide wide_loops[] = {
        [CPU_PLAIN] = DEFINE_CHOICE_PLAIN(wide),
#if defined(__x86_64__)
        [CPU_AVX2] = DEFINE_CHOICE(wide, ),
        [CPU_AVX512] = DEFINE_CHOICE(wide, _avx512),
#endif
};

/* ---- steps ---- */

/* True when each step works within the rows that the step before it adds. */
static bool
are_nested(const struct difference *d, size_t nsteps)
{
        for (size_t i = 0; i < nsteps; i++)
                if (d[i].limit != d[i].period ||
                    (i + 1 < nsteps && d[i].lag % d[i + 1].period != 0))
                        return false;
        return true;
}

/* Both widths from one text.  U is the unsigned twin of the integers. */
#define DEFINE_DIFFERENCE(U, suffix)                                                            \
/* Values before those that change are copied first where both overlap. */                      \
static void                                                                                     \
forward_short_##suffix(const struct loops_##suffix *loops, U *x, size_t n, size_t lag)          \
{                                                                                               \
        U before[SHORT_LAG * 4];                                                                \
        for (size_t end = n; end > lag; ) {                                                     \
                size_t m = smaller(SHORT_LAG * 4, end - lag);                                   \
                end -= m;                                                                       \
                memcpy(before, x + end - lag, m * sizeof *x);                                   \
                loops->subtract(x + end, before, m);                                            \
        }                                                                                       \
}                                                                                               \
                                                                                                \
/* One step over one period that holds N values. */                                             \
static void                                                                                     \
forward_period_##suffix(const struct loops_##suffix *loops, U *x, size_t n, size_t lag)         \
{                                                                                               \
        if (lag < SHORT_LAG) {                                                                  \
                forward_short_##suffix(loops, x, n, lag);                                       \
                return;                                                                         \
        }                                                                                       \
        for (size_t end = n; end > lag; ) {                                                     \
                size_t m = smaller(lag, end - lag);                                             \
                end -= m;                                                                       \
                loops->subtract(x + end, x + end - lag, m);                                     \
        }                                                                                       \
}                                                                                               \
                                                                                                \
static void                                                                                     \
inverse_period_##suffix(const struct loops_##suffix *loops, U *x, size_t n, size_t lag)         \
{                                                                                               \
        if (lag == 1) {                                                                         \
                loops->running_sum(x, n, 1, 0);                                                 \
                return;                                                                         \
        }                                                                                       \
        for (size_t i = lag; i < n && lag < 8; i++)                                             \
                x[i] += x[i - lag];                                                             \
        for (size_t i = lag; i < n && lag >= 8; i += lag)                                       \
                loops->add(x + i, x + i - lag, smaller(lag, n - i));                            \
}                                                                                               \
                                                                                                \
static void                                                                                     \
forward_##suffix(const struct loops_##suffix *loops, const struct difference *d, U *x, size_t n)\
{                                                                                               \
        for (size_t at = 0; at < n; at += d->period)                                            \
                forward_period_##suffix(loops, x + at, smaller(d->limit, n - at), d->lag);      \
}                                                                                               \
                                                                                                \
static void                                                                                     \
inverse_##suffix(const struct loops_##suffix *loops, const struct difference *d, U *x, size_t n)\
{                                                                                               \
        for (size_t at = 0; at < n; at += d->period)                                            \
                inverse_period_##suffix(loops, x + at, smaller(d->limit, n - at), d->lag);      \
}                                                                                               \
                                                                                                \
/* ORIGIN is subtracted from values without a predecessor. */                                   \
static void                                                                                     \
forward_nested_##suffix(const struct loops_##suffix *loops, const struct difference *d,         \
                        size_t nsteps, U *x, size_t n, U origin)                                \
{                                                                                               \
        if (nsteps == 0) {                                                                      \
                if (origin != 0)                                                                \
                        loops->scale(x, n, 1, -origin);                                         \
                return;                                                                         \
        }                                                                                       \
        for (size_t at = 0; at < n && d->lag == 1; at += d->period) {                           \
                forward_period_##suffix(loops, x + at, smaller(d->period, n - at), 1);          \
                x[at] -= origin;                                                                \
        }                                                                                       \
        for (size_t end = n; d->lag > 1 && end > 0; ) {                                         \
                size_t at = (end - 1) / d->lag * d->lag;                                        \
                bool first = at % d->period == 0;                                               \
                if (!first)                                                                     \
                        loops->subtract(x + at, x + at - d->lag, end - at);                     \
                forward_nested_##suffix(loops, d + 1, nsteps - 1, x + at, end - at,             \
                                        first ? origin : 0);                                    \
                end = at;                                                                       \
        }                                                                                       \
}                                                                                               \
                                                                                                \
/* Values without a predecessor get ORIGIN, and with it all that is summed from them. */        \
static void                                                                                     \
inverse_nested_##suffix(const struct loops_##suffix *loops, const struct difference *d,         \
                        size_t nsteps, U *x, size_t n, U step, U origin)                        \
{                                                                                               \
        if (nsteps == 0) {                                                                      \
                if (step != 1 || origin != 0)                                                   \
                        loops->scale(x, n, step, origin);                                       \
                return;                                                                         \
        }                                                                                       \
        for (size_t at = 0; at < n && d->lag == 1; at += d->period)                             \
                loops->running_sum(x + at, smaller(d->period, n - at), step, origin);           \
        for (size_t at = 0; at < n && d->lag > 1; at += d->lag) {                               \
                size_t m = smaller(d->lag, n - at);                                             \
                bool first = at % d->period == 0;                                               \
                inverse_nested_##suffix(loops, d + 1, nsteps - 1, x + at, m, step,              \
                                        first ? origin : 0);                                    \
                if (!first)                                                                     \
                        loops->add(x + at, x + at - d->lag, m);                                 \
        }                                                                                       \
}                                                                                               \
                                                                                                \
static void                                                                                     \
forward_all_##suffix(const struct difference *d, size_t nsteps, U *x, size_t n, U origin)       \
{                                                                                               \
        const struct loops_##suffix *loops = &suffix##_loops[cpu_level()];                      \
        if (are_nested(d, nsteps)) {                                                            \
                forward_nested_##suffix(loops, d, nsteps, x, n, origin);                        \
                return;                                                                         \
        }                                                                                       \
        loops->scale(x, n, 1, -origin);                                                         \
        for (size_t s = 0; s < nsteps; s++)                                                     \
                forward_##suffix(loops, &d[s], x, n);                                           \
}                                                                                               \
                                                                                                \
static void                                                                                     \
inverse_all_##suffix(const struct difference *d, size_t nsteps, U *x, size_t n, U step,         \
                     U origin)                                                                  \
{                                                                                               \
        const struct loops_##suffix *loops = &suffix##_loops[cpu_level()];                      \
        if (are_nested(d, nsteps)) {                                                            \
                inverse_nested_##suffix(loops, d, nsteps, x, n, step, origin);                  \
                return;                                                                         \
        }                                                                                       \
        for (size_t s = nsteps; s-- > 0; )                                                      \
                inverse_##suffix(loops, &d[s], x, n);                                           \
        loops->scale(x, n, step, origin);                                                       \
}                                                                                               \
                                                                                                \
/* Subtracts BEFORE, which belongs to the positions from START - lag on, where the              \
 * step applies; the first SKIP values of OUT have no such value. */                            \
static void                                                                                     \
window_step_##suffix(const struct difference *d, U *out, const U *before, size_t start,         \
                     size_t skip, size_t n)                                                     \
{                                                                                               \
        size_t i = skip;                                                                        \
        while (i < n) {                                                                         \
                size_t phase = (start + i) % d->period;                                         \
                size_t whole = smaller(d->period - phase, n - i);                               \
                size_t from = phase < d->lag ? d->lag - phase : 0;                              \
                size_t to = phase < d->limit ? smaller(d->limit - phase, whole) : 0;            \
                if (from < to)                                                                  \
                        subtract_##suffix(out + i + from, before + i + from - skip, to - from); \
                i += whole;                                                                     \
        }                                                                                       \
}                                                                                               \
                                                                                                \
static void                                                                                     \
window_##suffix(const struct difference *d, size_t nsteps, const U *x, size_t start, size_t n,  \
                U *out, U *scratch)                                                             \
{                                                                                               \
        if (nsteps == 0) {                                                                      \
                memcpy(out, x + start, n * sizeof *x);                                          \
                return;                                                                         \
        }                                                                                       \
        const struct difference *last = &d[nsteps - 1];                                         \
        window_##suffix(d, nsteps - 1, x, start, n, out, scratch + n);                          \
        size_t skip = start < last->lag ? smaller(last->lag - start, n) : 0;                    \
        if (skip == n)                                                                          \
                return;                                                                         \
        window_##suffix(d, nsteps - 1, x, start + skip - last->lag, n - skip, scratch,          \
                        scratch + n);                                                           \
        window_step_##suffix(last, out, scratch, start, skip, n);                               \
}

DEFINE_DIFFERENCE(uint32_t, narrow)
DEFINE_DIFFERENCE(uint64_t, wide)

void
difference_forward(const struct difference *d, size_t nsteps, bool wide, void *x, size_t n,
                   int64_t origin)
{
        if (wide)
                forward_all_wide(d, nsteps, x, n, (uint64_t) origin);
        else
                forward_all_narrow(d, nsteps, x, n, (uint32_t) origin);
}

void
difference_inverse(const struct difference *d, size_t nsteps, bool wide, void *x, size_t n,
                   int64_t step, int64_t origin)
{
        if (wide)
                inverse_all_wide(d, nsteps, x, n, (uint64_t) step, (uint64_t) origin);
        else
                inverse_all_narrow(d, nsteps, x, n, (uint32_t) step, (uint32_t) origin);
}

void
difference_window(const struct difference *d, size_t nsteps, bool wide, const void *x,
                  size_t start, size_t n, void *out, void *scratch)
{
        if (wide)
                window_wide(d, nsteps, x, start, n, out, scratch);
        else
                window_narrow(d, nsteps, x, start, n, out, scratch);
}
