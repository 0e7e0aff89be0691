/* codec/difference.c - see codec/difference.h.
 *
 * The inner loops run over at most LAG values, so that what they read and what
 * they write never overlap and the compiler vectorises them; for lag 1 the
 * running sum is a chain of one addition a value.
 */
#include "codec/difference.h"

#include <string.h>

static inline size_t
smaller(size_t a, size_t b)
{
        return a < b ? a : b;
}

/* Both widths from one text.  U is the unsigned twin of the integers. */
#define DEFINE_DIFFERENCE(U, suffix)                                                            \
static void                                                                                     \
subtract_##suffix(U *restrict x, const U *restrict before, size_t n)                            \
{                                                                                               \
        for (size_t i = 0; i < n; i++)                                                          \
                x[i] -= before[i];                                                              \
}                                                                                               \
                                                                                                \
static void                                                                                     \
add_##suffix(U *restrict x, const U *restrict before, size_t n)                                 \
{                                                                                               \
        for (size_t i = 0; i < n; i++)                                                          \
                x[i] += before[i];                                                              \
}                                                                                               \
                                                                                                \
static void                                                                                     \
running_sum_##suffix(U *x, size_t n)                                                            \
{                                                                                               \
        U sum = x[0];                                                                           \
        for (size_t i = 1; i < n; i++)                                                          \
                x[i] = sum += x[i];                                                             \
}                                                                                               \
                                                                                                \
/* One step over one period that holds N values. */                                             \
static void                                                                                     \
forward_period_##suffix(U *x, size_t n, size_t lag)                                             \
{                                                                                               \
        for (size_t end = n; end > lag; ) {                                                     \
                size_t m = smaller(lag, end - lag);                                             \
                end -= m;                                                                       \
                subtract_##suffix(x + end, x + end - lag, m);                                   \
        }                                                                                       \
}                                                                                               \
                                                                                                \
static void                                                                                     \
inverse_period_##suffix(U *x, size_t n, size_t lag)                                             \
{                                                                                               \
        if (lag == 1) {                                                                         \
                running_sum_##suffix(x, n);                                                     \
                return;                                                                         \
        }                                                                                       \
        for (size_t i = lag; i < n; i += lag)                                                   \
                add_##suffix(x + i, x + i - lag, smaller(lag, n - i));                          \
}                                                                                               \
                                                                                                \
static void                                                                                     \
forward_##suffix(const struct difference *d, U *x, size_t n)                                    \
{                                                                                               \
        for (size_t at = 0; at < n; at += d->period)                                            \
                forward_period_##suffix(x + at, smaller(d->limit, n - at), d->lag);             \
}                                                                                               \
                                                                                                \
static void                                                                                     \
inverse_##suffix(const struct difference *d, U *x, size_t n)                                    \
{                                                                                               \
        for (size_t at = 0; at < n; at += d->period)                                            \
                inverse_period_##suffix(x + at, smaller(d->limit, n - at), d->lag);             \
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
difference_forward(const struct difference *d, size_t nsteps, bool wide, void *x, size_t n)
{
        for (size_t s = 0; s < nsteps; s++) {
                if (wide)
                        forward_wide(&d[s], x, n);
                else
                        forward_narrow(&d[s], x, n);
        }
}

void
difference_inverse(const struct difference *d, size_t nsteps, bool wide, void *x, size_t n)
{
        for (size_t s = nsteps; s-- > 0; ) {
                if (wide)
                        inverse_wide(&d[s], x, n);
                else
                        inverse_narrow(&d[s], x, n);
        }
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
