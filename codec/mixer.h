/* codec/mixer.h - a probability for one bit, from several models at once.
 *
 * Each model has a table of slots; a slot is a probability that learns, fast while
 * it is new.  Predictions are mixed in the logistic domain by weights that learn
 * too, and corrected by what came of like predictions before.  Integers throughout: any
 * machine gives the same bits.  Method: M. Mahoney, "Adaptive Weighing of Context
 * Models for Lossless Data Compression" (2005), and lpaq (2007).
 *
 * Everything is inline, so that codec/residual_mixing.c can be compiled for
 * several instruction sets.
 *
 * Thread safety: none; an object belongs to one thread at a time.
 */
#ifndef CAEFS_CODEC_MIXER_H
#define CAEFS_CODEC_MIXER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MIXER_INLINE static inline __attribute__((always_inline))

#define MIXER_MODELS    11
#define MIXER_TRUSTED   7               /* of them, the first: heard from the start */
#define MIXER_INPUTS    24              /* two a model, match, bias */
#define MIXER_NODES     136             /* kinds of decision */
#define MIXER_SETS      2               /* weight vectors that vote */
#define MIXER_SELECT    136             /* choices in a set */
#define MIXER_LIMIT     255             /* slots learn no slower than 1 / this */
#define MIXER_SETTLED   (1 << 20)       /* bits after which weights learn no slower */
#define MIXER_STRETCH   2047            /* largest stretched input: 8 * 256 */
#define MIXER_CORRECTED 33              /* points of a correction curve */

/* Eight integers; compilers split it where registers are shorter. */
typedef int32_t mixer_vector __attribute__((vector_size(32)));
#define MIXER_VECTORS   (MIXER_INPUTS / 8)

struct mixer {
        uint32_t *slot[MIXER_MODELS];   /* (2^slot_bits): probability in 22 bits, count in 10 */
        unsigned  slot_bits;
        int16_t   stretch[4096];        /* 256 ln(p / (1 - p)) of p in 4096ths */
        int32_t   rate[MIXER_LIMIT + 1];        /* 16384 / (2 n + 3) */
        int32_t   trust[MIXER_LIMIT + 1];       /* of a slot seen n times, in 256ths */
        mixer_vector weight[MIXER_SETS][MIXER_SELECT][MIXER_VECTORS];   /* 65536 is 1 */
        uint16_t  corrected[MIXER_NODES * 8][MIXER_CORRECTED];
        uint32_t  match[64 * 4];        /* as a slot: does the match tell the next bit? */

        uint32_t  coded;                /* bits so far, up to MIXER_SETTLED */

        /* For one value. */
        uint32_t  context[MIXER_MODELS];        /* hashes */
        uint32_t  path;                 /* what of the value is known, where NODE does not say */
        unsigned  select;               /* of the second set, and of the correction: 0 to 31 */
        unsigned  match_context;        /* 0: no match; else 1 to 63 */

        /* For one bit. */
        uint32_t *at[MIXER_MODELS];
        uint32_t *match_at;             /* or NULL */
        bool      match_bit;
        mixer_vector input[MIXER_VECTORS];
        int32_t   voted[MIXER_SETS];    /* probability in 65536ths by each set */
        mixer_vector *used[MIXER_SETS];
        uint16_t *curve;
        int32_t   vote;
};

/* 65536 / (1 + e^(-x / 256)) for x from -11 * 256 to 11 * 256, interpolated. */
MIXER_INLINE int32_t
mixer_squash(int32_t x)
{
        static const uint16_t point[] = {
                1, 2, 3, 5, 8, 13, 22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971,
                7812, 11955, 17625, 24743, 32768, 40793, 47911, 53581, 57724, 60565, 62428,
                63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514, 65523,
                65528, 65531, 65533, 65534, 65535
        };
        if (x > 2815)
                return 65535;
        if (x < -2815)
                return 1;
        uint32_t at = (uint32_t) (x + 2816);
        int32_t low = point[at >> 7], high = point[(at >> 7) + 1];
        return low + ((high - low) * (int32_t) (at & 127) >> 7);
}

/* Input K: a stretched probability of each model, another measure of each, the others. */
static inline int32_t
mixer_first_weight(unsigned k)
{
        if (k < MIXER_MODELS)
                return k < MIXER_TRUSTED ? 12000 : 0;
        return k - MIXER_MODELS < MIXER_TRUSTED || k >= 2 * MIXER_MODELS ? 6000 : 0;
}

static inline void
mixer_init(struct mixer *m)
{
        int32_t p = 0;

        m->path = 0;
        m->coded = 0;
        /* The inverse of squash, by walking along it. */
        for (int32_t x = -MIXER_STRETCH; x <= MIXER_STRETCH; x++) {
                int32_t reached = mixer_squash(x) >> 4;
                while (p <= reached && p < 4096)
                        m->stretch[p++] = (int16_t) x;
        }
        while (p < 4096)
                m->stretch[p++] = MIXER_STRETCH;
        for (int32_t n = 0; n <= MIXER_LIMIT; n++) {
                m->rate[n] = 16384 / (2 * n + 3);
                m->trust[n] = 256 * n / (n + 3);
        }
        for (unsigned k = 0; k < MIXER_MODELS; k++)
                for (size_t i = 0; i < (size_t) 1 << m->slot_bits; i++)
                        m->slot[k][i] = UINT32_C(1) << 31;
        for (unsigned i = 0; i < sizeof m->match / sizeof m->match[0]; i++)
                m->match[i] = UINT32_C(3) << 30;
        for (unsigned s = 0; s < MIXER_SETS; s++)
                for (unsigned i = 0; i < MIXER_SELECT; i++)
                        for (unsigned k = 0; k < MIXER_INPUTS; k++)
                                m->weight[s][i][k / 8][k % 8] = mixer_first_weight(k);
        for (unsigned i = 0; i < MIXER_NODES * 8; i++)
                for (int32_t k = 0; k < MIXER_CORRECTED; k++)
                        m->corrected[i][k] = (uint16_t) mixer_squash((k - 16) * 128);
}

MIXER_INLINE uint32_t
mixer_hash(uint32_t a, uint32_t b)
{
        uint32_t h = a * UINT32_C(0x9E3779B1) ^ b * UINT32_C(0x85EBCA6B);

        return h ^ h >> 15;
}

/* A bit's share of a slot's learning. */
MIXER_INLINE void
mixer_learn(const struct mixer *m, uint32_t *slot, bool bit)
{
        uint32_t v = *slot, n = v & 1023;
        int32_t error = ((int32_t) bit << 22) - (int32_t) (v >> 10);

        if (n < MIXER_LIMIT)
                v++;
        *slot = v + ((uint32_t) ((error >> 3) * m->rate[n]) & 0xfffffc00u);
}

/* Sum of products, in stretched units. */
MIXER_INLINE int32_t
mixer_dot(const mixer_vector *input, const mixer_vector *weight)
{
        mixer_vector v = ((input[0] * weight[0]) >> 8) + ((input[1] * weight[1]) >> 8) +
                ((input[2] * weight[2]) >> 8);

        return (((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]))) >> 8;
}

/* Weights move so that the error would have been smaller; they stay within 8. */
MIXER_INLINE void
mixer_train(mixer_vector *weight, const mixer_vector *input, int32_t error)
{
        const int32_t most = 524287;

        for (unsigned i = 0; i < MIXER_VECTORS; i++) {
                mixer_vector v = weight[i] + ((input[i] * error + (1 << 14)) >> 15);
                mixer_vector above = v > most, below = v < -most;
                v = (v & ~above) | (most & above);
                weight[i] = (v & ~below) | (-most & below);
        }
}

/* Decisions that resemble each other. */
MIXER_INLINE unsigned
mixer_group(unsigned node)
{
        return node < 2 ? node : node < 4 ? 2 : 3;
}

/* Probability of a one, in 65536ths, 1 to 65535, for decision NODE of the
 * current value.  EXPECTED: what the match says, if it says something. */
MIXER_INLINE uint32_t
mixer_predict(struct mixer *m, unsigned node, bool has_match, bool expected)
{
        int32_t input[MIXER_INPUTS];

        for (unsigned k = 0; k < MIXER_MODELS; k++) {
                uint32_t h = m->context[k] + m->path + (node >> 3) * UINT32_C(0x3C6EF35F);
                h *= UINT32_C(0x2C1B3C6D);
                m->at[k] = &m->slot[k][(h >> (35 - m->slot_bits)) << 3 | (node & 7)];
                uint32_t v = *m->at[k];
                int32_t p = (int32_t) (v >> 20);
                input[k] = m->stretch[p];
                input[MIXER_MODELS + k] = (p - 2048) * m->trust[v & 1023] >> 8;
        }
        m->match_at = NULL;
        input[MIXER_INPUTS - 2] = 0;
        if (has_match) {
                m->match_at = &m->match[m->match_context * 4 + mixer_group(node)];
                m->match_bit = expected;
                int32_t x = m->stretch[*m->match_at >> 20];
                input[MIXER_INPUTS - 2] = expected ? x : -x;
        }
        input[MIXER_INPUTS - 1] = 256;
        memcpy(m->input, input, sizeof input);

        m->used[0] = m->weight[0][node];
        m->used[1] = m->weight[1][m->select * 4 + mixer_group(node)];
        int32_t vote = 0;
        for (unsigned s = 0; s < MIXER_SETS; s++) {
                int32_t sum = mixer_dot(m->input, m->used[s]);
                sum = sum > 2815 ? 2815 : sum < -2815 ? -2815 : sum;
                m->voted[s] = mixer_squash(sum);
                vote += sum;
        }
        vote /= MIXER_SETS;
        m->vote = vote;
        int32_t p = mixer_squash(vote);
        int32_t clamped = vote > 2047 ? 2047 : vote < -2047 ? -2047 : vote;
        uint32_t at = (uint32_t) (clamped + 2048);
        m->curve = &m->corrected[node * 8 + (m->select >> 2)][at >> 7];
        int32_t w = (int32_t) (at & 127);
        int32_t c = (m->curve[0] * (128 - w) + m->curve[1] * w) >> 7;
        m->curve += w >= 64;
        p = (3 * p + c) >> 2;
        return (uint32_t) (p < 1 ? 1 : p > 65535 ? 65535 : p);
}

/* Everything that took part learns what the bit was. */
MIXER_INLINE void
mixer_update(struct mixer *m, bool bit)
{
        for (unsigned k = 0; k < MIXER_MODELS; k++)
                mixer_learn(m, m->at[k], bit);
        if (m->match_at != NULL)
                mixer_learn(m, m->match_at, bit == m->match_bit);
        /* Weights learn more from each bit while few have been seen. */
        int32_t eager = 10 + (int32_t) (24 * 32768 / (m->coded + 32768));
        m->coded += m->coded < MIXER_SETTLED;
        for (unsigned s = 0; s < MIXER_SETS; s++) {
                int32_t error = ((bit ? 65535 : 0) - m->voted[s]) * eager / 64;
                mixer_train(m->used[s], m->input, error);
        }
        int32_t goal = bit ? 65535 : 0;
        *m->curve = (uint16_t) (*m->curve + (goal - *m->curve) / 64);
}

#endif
