/* codec/stride.c - see codec/stride.h.
 *
 * The score of a lag is the sum over a sample of |x[i] - x[i - lag]|, capped so
 * that a few jumps do not hide a good lag.  The sample is a number of short
 * contiguous probes; every lag is scored on all of them.
 */
#include "codec/stride.h"

#include <string.h>

#define PROBE 64

/* Largest lag tried, by effort: time grows with it. */
static size_t
longest_lag(size_t n, enum effort effort)
{
        static const size_t limit[] = { 4096, 49152, 262144 };
        size_t longest = n / 2;
        return longest < limit[effort] ? longest : limit[effort];
}

/* Adds the score of one probe at AT for lags 2 to LONGEST. */
static void
score_probe(const int32_t *x, size_t at, size_t longest, int32_t cap, uint32_t *score)
{
        for (size_t lag = 2; lag <= longest; lag++) {
                const int32_t *a = x + at, *b = a - lag;
                uint32_t sum = 0;
                for (unsigned i = 0; i < PROBE; i++) {
                        uint32_t d = (uint32_t) a[i] - (uint32_t) b[i];
                        d = (int32_t) d < 0 ? -d : d;
                        sum += d < (uint32_t) cap ? d : (uint32_t) cap;
                }
                score[lag] += sum;
        }
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

unsigned
stride_search(const int32_t *x, size_t n, int32_t coarse, enum effort effort,
              struct arena *arena, size_t *lag, unsigned wanted)
{
        size_t longest = longest_lag(n, effort);
        if (longest < 2 || n - longest < PROBE)
                return 0;
        struct arena_mark mark = arena_mark(arena);
        uint32_t *score = arena_array(arena, longest + 1, sizeof *score);
        if (score == NULL)
                return 0;
        memset(score, 0, (longest + 1) * sizeof *score);
        int32_t cap = coarse < (1 << 18) ? coarse : 1 << 18;
        unsigned probes = effort == EFFORT_FAST ? 8 : 24;
        size_t room = n - longest - PROBE;
        for (unsigned p = 0; p < probes; p++)
                score_probe(x, longest + (size_t) ((double) room * p / (probes - 1)), longest,
                            cap, score);
        unsigned found = 0;
        for (size_t candidate = 2; candidate <= longest; candidate++)
                if (is_valley(score, candidate, longest))
                        found = insert_lag(score, candidate, lag, found, wanted);
        arena_release(arena, mark);
        return found;
}
