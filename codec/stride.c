/* codec/stride.c - see codec/stride.h.
 *
 * The score of a lag is the sum over a sample of |x[i] - x[i - lag]|, capped so
 * that a few jumps do not hide a good lag.  The sample is a number of short
 * contiguous probes; every lag is scored on a few of them, and the best of those on
 * all.
 */
#include "codec/stride.h"

#include <string.h>

#include "codec/cpu.h"

#define PROBE      64
#define CANDIDATES 64           /* lags that are looked at closely */

/* Largest lag tried, by effort: time grows with it. */
static size_t
longest_lag(size_t n, enum effort effort)
{
        static const size_t limit[] = { 4096, 49152, 262144 };
        size_t longest = n / 2;
        return longest < limit[effort] ? longest : limit[effort];
}

/* The score of one probe, the values behind A against those behind B.  Small caps, so
 * that the sum fits. */
#define DEFINE_SCORE(suffix, TARGET)                                                    \
TARGET static uint32_t                                                                  \
score_of##suffix(const int32_t *a, const int32_t *b, uint32_t cap)                      \
{                                                                                       \
        uint32_t sum = 0;                                                               \
        for (unsigned i = 0; i < PROBE; i++) {                                          \
                uint32_t d = (uint32_t) a[i] - (uint32_t) b[i], minus = 0 - d;          \
                d = d < minus ? d : minus;                                              \
                sum += d < cap ? d : cap;                                               \
        }                                                                               \
        return sum;                                                                     \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
score_lags##suffix(const int32_t *at, size_t longest, uint32_t cap, uint32_t *score)    \
{                                                                                       \
        for (size_t lag = 2; lag <= longest; lag++)                                     \
                score[lag] += score_of##suffix(at, at - lag, cap);                      \
}

DEFINE_SCORE(_plain, )
#if defined(__x86_64__)
DEFINE_SCORE(_avx2, TARGET_AVX2 inline)
#endif

static void
score_probe(const int32_t *at, size_t longest, uint32_t cap, uint32_t *score)
{
#if defined(__x86_64__)
        if (cpu_level() != CPU_PLAIN) {
                score_lags_avx2(at, longest, cap, score);
                return;
        }
#endif
        score_lags_plain(at, longest, cap, score);
}

/* Keeps LAG in the list of the best, sorted by score. */
static unsigned
insert_lag(const uint32_t *score, size_t candidate, size_t *lag, unsigned found, unsigned wanted)
{
        unsigned at = found;
        while (at > 0 && score[lag[at - 1]] > score[candidate])
                at--;
        if (at >= wanted)
                return found;
        unsigned end = found < wanted ? found : wanted - 1;
        memmove(&lag[at + 1], &lag[at], (end - at) * sizeof *lag);
        lag[at] = candidate;
        return end + 1;
}

/* A lag is worth having when it beats both lags beside it. */
static bool
is_valley(const uint32_t *score, size_t lag, size_t longest)
{
        return (lag == 2 || score[lag] < score[lag - 1]) &&
               (lag == longest || score[lag] < score[lag + 1]);
}

/* Where probe P of COUNT begins: spread over all that has LONGEST values before it. */
static const int32_t *
probe_at(const int32_t *x, size_t n, size_t longest, unsigned p, unsigned count)
{
        size_t room = n - longest - PROBE;
        return x + longest + (size_t) ((double) room * p / (count - 1));
}

/* Scores lag BACK anew, on COUNT probes. */
static uint32_t
score_closely(const int32_t *x, size_t n, size_t longest, size_t back, unsigned count, uint32_t cap)
{
        uint32_t score = 0;
        for (unsigned p = 0; p < count; p++) {
                const int32_t *at = probe_at(x, n, longest, p, count);
                score += score_of_plain(at, at - back, cap);
        }
        return score;
}

unsigned
stride_search(const int32_t *x, size_t n, int32_t coarse, enum effort effort,
              struct arena *arena, size_t *lag, unsigned wanted)
{
        size_t longest = longest_lag(n, effort), near[CANDIDATES];
        if (longest < 2 || n - longest < PROBE)
                return 0;
        struct arena_mark mark = arena_mark(arena);
        uint32_t *score = arena_array(arena, longest + 1, sizeof *score);
        if (score == NULL)
                return 0;
        memset(score, 0, (longest + 1) * sizeof *score);
        uint32_t cap = (uint32_t) (coarse < (1 << 18) ? coarse : 1 << 18);
        unsigned few = effort == EFFORT_MAX ? 24 : 4, all = effort == EFFORT_FAST ? 8 : 24;
        for (unsigned p = 0; p < few; p++)
                score_probe(probe_at(x, n, longest, p, few), longest, cap, score);
        unsigned candidates = 0, found = 0;
        for (size_t back = 2; back <= longest; back++)
                if (is_valley(score, back, longest))
                        candidates = insert_lag(score, back, near, candidates, CANDIDATES);
        for (unsigned i = 0; i < candidates; i++) {
                score[near[i]] = score_closely(x, n, longest, near[i], all, cap);
                found = insert_lag(score, near[i], lag, found, wanted);
        }
        arena_release(arena, mark);
        return found;
}
