/* codec/train_random.c - the trainer's own random numbers. */
#include "codec/train_network.h"

static uint64_t
rotate(uint64_t v, unsigned by)
{
        return v << by | v >> (64 - by);
}

void
random_seed(struct random *r, uint64_t seed)
{
        for (int i = 0; i < 4; i++) {
                uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
                z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
                z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
                r->state[i] = z ^ z >> 31;
        }
}

uint64_t
random_next(struct random *r)
{
        uint64_t *s = r->state;
        const uint64_t result = rotate(s[1] * 5, 7) * 9;
        const uint64_t t = s[1] << 17;

        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = rotate(s[3], 45);
        return result;
}

double
random_unit(struct random *r)
{
        return (double) (random_next(r) >> 11) * 0x1p-53;
}

uint64_t
random_below(struct random *r, uint64_t limit)
{
        return (uint64_t) (random_unit(r) * (double) limit);
}
