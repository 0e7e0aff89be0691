/* codec/residual_survey.c - how much of a sequence is zero, and whether it repeats itself. */
#include "codec/residual_survey.h"

#include "codec/cpu.h"

#define BLOCK 64

/* ---- zeros ---- */

static inline __attribute__((always_inline)) size_t
count_nonzero(const void *value, bool wide, size_t n)
{
        size_t nonzero = 0;

        for (size_t i = 0; i < n; i++)
                nonzero += wide ? ((const int64_t *) value)[i] != 0 :
                                  ((const int32_t *) value)[i] != 0;
        return nonzero;
}

/* ---- repetition ----
 *
 * Places are sampled where three residuals have a hash of a certain kind: the same sequence is
 * sampled wherever it lies.  What lies before a place, as much as tells one sequence
 * from another, is hashed and looked up. */

/* What a sequence should have in bits so that it is no coincidence when it comes again. */
#define TELLING_BITS 24

/* Repetition pays when one sampled sequence in this many was there before. */
#define SELDOM 12

struct repeat_finder {
        size_t   window;        /* residuals that are hashed */
        size_t   sampled, seen;
        uint64_t table[4096];
};

static inline unsigned
bits_of(int64_t r)
{
        uint64_t u = zigzag_encode(r);

        return u == 0 ? 0 : 64 - (unsigned) __builtin_clzll(u);
}

/* So many residuals that they have about TELLING_BITS; zero blocks do not count. */
static size_t
telling_window(const struct residuals *r, size_t active)
{
        size_t stride = r->count / 4096 + 1, bits = 0;

        for (size_t i = 0; i < r->count; i += stride)
                bits += bits_of(residual_get(r, i));
        size_t window = bits == 0 ? 64 : TELLING_BITS * (active / stride) / bits;
        return window < 3 ? 3 : window > 64 ? 64 : window;
}

/* Looks up what lies before residual I, with at least WINDOW behind the first. */
static void
repeat_finder_look(struct repeat_finder *f, const struct residuals *r, size_t i)
{
        uint64_t hash = 0;
        unsigned bits = 0;

        for (size_t k = i - f->window; k < i; k++) {
                int64_t v = residual_get(r, k);
                hash = (hash + (uint64_t) v) * UINT64_C(0x9E3779B97F4A7C15);
                hash ^= hash >> 29;
                bits += bits_of(v);
        }
        if (bits < TELLING_BITS * 3 / 4)
                return;
        uint64_t *slot = &f->table[hash >> 52];
        f->sampled++;
        f->seen += *slot == hash;
        *slot = hash;
}

/* MARK gets 1 where the three residuals from AT + I on are of the kind, one in 2^RARITY. */
static inline __attribute__((always_inline)) void
mark_places(const void *value, bool wide, size_t at, unsigned rarity, uint8_t mark[BLOCK])
{
        const uint32_t factor[3] = { 0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35 };

        for (size_t i = 0; i < BLOCK; i++) {
                uint32_t hash = 0;
                for (size_t k = 0; k < 3; k++)
                        hash += factor[k] * (wide ? (uint32_t) ((const int64_t *) value)[at + i + k] :
                                             (uint32_t) ((const int32_t *) value)[at + i + k]);
                mark[i] = hash >> (32 - rarity) == 1;
        }
}

/* So rare that some thousand places at most are found among ACTIVE residuals. */
static unsigned
rarity_for(size_t active)
{
        return active >= 1 << 18 ? 8 : active >= 1 << 16 ? 7 : active >= 1 << 13 ? 5 : 3;
}

static inline __attribute__((always_inline)) void
find_places(struct repeat_finder *f, const struct residuals *r, bool wide, unsigned rarity)
{
        uint8_t mark[BLOCK];

        for (size_t at = 0; at + BLOCK + 2 <= r->count; at += BLOCK) {
                mark_places(r->value, wide, at, rarity, mark);
                for (size_t i = 0; i < BLOCK; i += 8) {
                        uint64_t eight;
                        memcpy(&eight, mark + i, sizeof eight);
                        for (size_t k = i; eight != 0 && k < i + 8; k++)
                                if (mark[k] != 0 && at + k + 3 >= f->window)
                                        repeat_finder_look(f, r, at + k + 3);
                }
        }
}

static inline __attribute__((always_inline)) struct residual_survey
survey(const struct residuals *r, bool wide)
{
        struct residual_survey s = { 0 };
        size_t size = wide ? sizeof(int64_t) : sizeof(int32_t), at = 0;

        for (; at + BLOCK <= r->count; at += BLOCK) {
                size_t nonzero = count_nonzero((const char *) r->value + at * size, wide, BLOCK);
                s.nonzero += nonzero;
                s.active += nonzero > 0 ? BLOCK : 0;
        }
        size_t rest = count_nonzero((const char *) r->value + at * size, wide, r->count - at);
        s.nonzero += rest;
        s.active += rest > 0 ? r->count - at : 0;

        struct repeat_finder f = { .window = telling_window(r, s.active) };
        find_places(&f, r, wide, rarity_for(s.active));
        s.repeats = f.seen * SELDOM > f.sampled;
        return s;
}

static struct residual_survey
survey_plain(const struct residuals *r)
{
        return r->wide ? survey(r, true) : survey(r, false);
}

#if defined(__x86_64__)
TARGET_AVX2 static struct residual_survey
survey_avx2(const struct residuals *r)
{
        return r->wide ? survey(r, true) : survey(r, false);
}
#endif

struct residual_survey
residual_survey_of(const struct residuals *r)
{
#if defined(__x86_64__)
        if (cpu_level() != CPU_PLAIN)
                return survey_avx2(r);
#endif
        return survey_plain(r);
}
