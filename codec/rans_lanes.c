/* codec/rans_lanes.c - coding without vector instructions, and the choice. */
#include "codec/rans_lanes.h"

#include "codec/cpu.h"

/* The class of the token at AT. */
static inline unsigned
class_at(const struct rans_steps *s, const uint8_t *at)
{
        return s->contexts->class_of_sum[rans_context_sum(
                *(at - s->distance[0]), *(at - s->distance[1]), *(at - s->distance[2]),
                *(at - s->distance[3]), *(at - s->distance[4]))];
}

static inline uint32_t
decode_token(const struct rans_steps *s, unsigned class, uint32_t state, uint8_t *token)
{
        uint32_t slot = state & ((1u << s->scale) - 1);
        uint32_t entry = s->table[((size_t) class << s->scale) + slot];

        *token = (uint8_t) entry;
        return (entry >> 8 & 0xfff) * (state >> s->scale) + (entry >> 20);
}

bool
rans_decode_lanes(struct rans_lanes *lanes, const struct rans_steps *steps, uint8_t *tokens,
                  unsigned nlanes)
{
        for (unsigned l = 0; l < nlanes; l++) {
                uint32_t x = decode_token(steps, class_at(steps, tokens + l), lanes->state[l],
                                          tokens + l);
                if (x < RANS_LOW) {
                        if (lanes->end - lanes->word < 2)
                                return false;
                        x = x << 16 | lanes->word[0] | (uint32_t) lanes->word[1] << 8;
                        lanes->word += 2;
                }
                lanes->state[l] = x;
        }
        return true;
}

static size_t
decode_scalar(struct rans_lanes *lanes, const struct rans_steps *steps, uint8_t *tokens,
              size_t nsteps)
{
        /* Copies: a token that is stored might change what pointers lead to. */
        const struct rans_steps s = *steps;
        struct rans_lanes now = *lanes;
        size_t t = 0;

        for (; t < nsteps && now.end - now.word >= 2 * (ptrdiff_t) now.count; t++) {
                uint8_t class[RANS_LANES];
                for (unsigned l = 0; l < now.count; l++)
                        class[l] = (uint8_t) class_at(&s, tokens + l);
                for (unsigned l = 0; l < now.count; l++) {
                        uint32_t x = decode_token(&s, class[l], now.state[l], tokens + l);
                        uint32_t more = x << 16 | now.word[0] | (uint32_t) now.word[1] << 8;
                        bool low = x < RANS_LOW;
                        now.state[l] = low ? more : x;
                        now.word += low ? 2 : 0;
                }
                tokens += now.count;
        }
        *lanes = now;
        return t;
}

uint8_t *
rans_encode_lanes(struct rans_lanes *lanes, const uint32_t *range, unsigned nlanes,
                  unsigned scale, uint8_t *end)
{
        for (unsigned l = nlanes; l-- > 0;) {
                uint32_t x = lanes->state[l];
                uint32_t frequency = range[l] & 0xfff, start = range[l] >> 12;
                if (x >> (32 - scale) >= frequency) {
                        *--end = (uint8_t) (x >> 8);
                        *--end = (uint8_t) x;
                        x >>= 16;
                }
                lanes->state[l] = (x / frequency << scale) + x % frequency + start;
        }
        return end;
}

static uint8_t *
encode_scalar(struct rans_lanes *lanes, const uint32_t *range, size_t nsteps, unsigned scale,
              uint8_t *end)
{
        for (size_t t = nsteps; t-- > 0;)
                end = rans_encode_lanes(lanes, range + t * lanes->count, lanes->count, scale, end);
        return end;
}

static inline __attribute__((always_inline)) void
find_cells(const uint8_t *restrict steps, size_t n, const size_t distance[RANS_NEIGHBOURS],
           uint16_t *restrict cell)
{
        const uint8_t *d0 = steps - distance[0], *d1 = steps - distance[1],
                      *d2 = steps - distance[2], *d3 = steps - distance[3],
                      *d4 = steps - distance[4];

        for (size_t i = 0; i < n; i++) {
                uint8_t sum = (uint8_t) rans_context_sum(d0[i], d1[i], d2[i], d3[i], d4[i]);
                cell[i] = (uint16_t) (rans_level_of(sum) * RANS_CELL_PITCH + steps[i]);
        }
}

static void
cells_plain(const uint8_t *steps, size_t n, const size_t distance[RANS_NEIGHBOURS], uint16_t *cell)
{
        find_cells(steps, n, distance, cell);
}

#if defined(__x86_64__)
TARGET_AVX2 static void
cells_avx2(const uint8_t *steps, size_t n, const size_t distance[RANS_NEIGHBOURS], uint16_t *cell)
{
        find_cells(steps, n, distance, cell);
}
#endif

rans_cells_function *
rans_cells_best(void)
{
        switch (cpu_level()) {
#if defined(__x86_64__)
        case CPU_AVX512: return rans_cells_avx512;
        case CPU_AVX2:   return cells_avx2;
#endif
        default:         return cells_plain;
        }
}

rans_decode_function *
rans_decode_best(void)
{
        switch (cpu_level()) {
#if defined(__x86_64__)
        case CPU_AVX512: return rans_decode_avx512;
        case CPU_AVX2:   return rans_decode_avx2;
#endif
        default:         return decode_scalar;
        }
}

rans_encode_function *
rans_encode_best(void)
{
        switch (cpu_level()) {
#if defined(__x86_64__)
        case CPU_AVX512: return rans_encode_avx512;
        case CPU_AVX2:   return rans_encode_avx2;
#endif
        default:         return encode_scalar;
        }
}
