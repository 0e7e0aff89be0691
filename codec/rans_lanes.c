/* codec/rans_lanes.c - decoding without vector instructions, and the choice. */
#include "codec/rans_lanes.h"

#include <stdlib.h>

/* The context sum of the token at AT. */
static inline unsigned
sum_at(const struct rans_steps *s, const uint8_t *at)
{
        return rans_context_sum(*(at - s->distance[0]), *(at - s->distance[1]),
                                *(at - s->distance[2]), *(at - s->distance[3]),
                                *(at - s->distance[4]));
}

static inline unsigned
class_of_sum(const struct rans_steps *s, unsigned sum)
{
        unsigned class = 0;

        for (unsigned c = 1; c < s->nclasses; c++)
                class += sum >= s->class_start[c];
        return class;
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
                uint32_t x = decode_token(steps, class_of_sum(steps, sum_at(steps, tokens + l)),
                                          lanes->state[l], tokens + l);
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
        uint8_t classes[256];

        for (unsigned sum = 0; sum < 256; sum++)
                classes[sum] = (uint8_t) class_of_sum(steps, sum);
        for (size_t t = 0; t < nsteps; t++, tokens += RANS_LANES) {
                if (lanes->end - lanes->word < 2 * RANS_LANES)
                        return t;
                uint8_t class[RANS_LANES];
                for (unsigned l = 0; l < RANS_LANES; l++)
                        class[l] = classes[sum_at(steps, tokens + l)];
                for (unsigned l = 0; l < RANS_LANES; l++) {
                        uint32_t x = decode_token(steps, class[l], lanes->state[l], tokens + l);
                        uint32_t more = x << 16 | lanes->word[0] | (uint32_t) lanes->word[1] << 8;
                        bool low = x < RANS_LOW;
                        lanes->state[l] = low ? more : x;
                        lanes->word += low ? 2 : 0;
                }
        }
        return nsteps;
}

rans_decode_function *
rans_decode_best(void)
{
#if defined(__x86_64__)
        const char *wish = getenv("CAEFS_SIMD");
        bool any = wish == NULL || *wish == '\0';

        if ((any || strcmp(wish, "avx512") == 0) && __builtin_cpu_supports("avx512f") &&
            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
                return rans_decode_avx512;
        if ((any || strncmp(wish, "avx", 3) == 0) && __builtin_cpu_supports("avx2"))
                return rans_decode_avx2;
#endif
        return decode_scalar;
}
