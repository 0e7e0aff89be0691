/* codec/rans_avx2.c - the lanes in four AVX2 registers. */
#include "codec/rans_lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))

/* For each mask of lanes that want a word: which word each lane takes. */
static const struct spread { uint8_t from[256][8]; } spread = { {
#define TAKE(m, l) ((m) >> (l) & 1 ? __builtin_popcount((m) & ((1 << (l)) - 1)) : 0)
#define ROW(m) { TAKE(m, 0), TAKE(m, 1), TAKE(m, 2), TAKE(m, 3), \
                 TAKE(m, 4), TAKE(m, 5), TAKE(m, 6), TAKE(m, 7) }
#define ROWS4(m) ROW(m), ROW((m) + 1), ROW((m) + 2), ROW((m) + 3)
#define ROWS16(m) ROWS4(m), ROWS4((m) + 4), ROWS4((m) + 8), ROWS4((m) + 12)
#define ROWS64(m) ROWS16(m), ROWS16((m) + 16), ROWS16((m) + 32), ROWS16((m) + 48)
        ROWS64(0), ROWS64(64), ROWS64(128), ROWS64(192)
} };

AVX2 static inline __m256i
magnitude_at(const uint8_t *at)
{
        __m256i token = _mm256_loadu_si256((const __m256i *) at);

        return _mm256_avg_epu8(token, _mm256_setzero_si256());
}

/* Context classes of the 32 tokens at AT, a byte each. */
AVX2 static inline __m256i
classes_at(const struct rans_steps *s, const __m256i *class_start, const uint8_t *at)
{
        __m256i two = _mm256_adds_epu8(magnitude_at(at - s->distance[0]),
                                       magnitude_at(at - s->distance[2]));
        __m256i one = _mm256_adds_epu8(magnitude_at(at - s->distance[1]),
                                       _mm256_adds_epu8(magnitude_at(at - s->distance[3]),
                                                        magnitude_at(at - s->distance[4])));
        __m256i sum = _mm256_adds_epu8(_mm256_adds_epu8(two, two), one);
        __m256i class = _mm256_setzero_si256();

        for (unsigned c = 1; c < s->nclasses; c++) {
                __m256i reached = _mm256_cmpeq_epi8(_mm256_max_epu8(sum, class_start[c]), sum);
                class = _mm256_sub_epi8(class, reached);
        }
        return class;
}

/* Decodes eight lanes; their tokens come in the low bytes of *TOKEN. */
AVX2 static inline __m256i
decode_eight(const struct rans_steps *s, __m256i state, __m128i class, const uint8_t **word,
             __m256i *token)
{
        const __m128i scale = _mm_cvtsi32_si128((int) s->scale);
        const __m256i low = _mm256_set1_epi32(0xfff);
        __m256i mask = _mm256_set1_epi32((1 << s->scale) - 1);
        __m256i slot = _mm256_or_si256(_mm256_and_si256(state, mask),
                                       _mm256_sll_epi32(_mm256_cvtepu8_epi32(class), scale));
        __m256i entry = _mm256_i32gather_epi32((const int *) s->table, slot, 4);
        __m256i frequency = _mm256_and_si256(_mm256_srli_epi32(entry, 8), low);
        __m256i x = _mm256_add_epi32(_mm256_mullo_epi32(frequency, _mm256_srl_epi32(state, scale)),
                                     _mm256_srli_epi32(entry, 20));
        __m256i wants = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
        unsigned lanes = (unsigned) _mm256_movemask_ps(_mm256_castsi256_ps(wants));
        __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *) *word));
        __m256i from = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *) spread.from[lanes]));
        __m256i refilled = _mm256_or_si256(_mm256_slli_epi32(x, 16),
                                           _mm256_permutevar8x32_epi32(words, from));

        *token = entry;
        *word += 2 * (unsigned) __builtin_popcount(lanes);
        return _mm256_blendv_epi8(x, refilled, wants);
}

/* The low bytes of 32 integers, in order. */
AVX2 static inline __m256i
low_bytes(__m256i a, __m256i b, __m256i c, __m256i d)
{
        const __m256i byte = _mm256_set1_epi32(0xff);
        __m256i ab = _mm256_packus_epi32(_mm256_and_si256(a, byte), _mm256_and_si256(b, byte));
        __m256i cd = _mm256_packus_epi32(_mm256_and_si256(c, byte), _mm256_and_si256(d, byte));
        __m256i all = _mm256_packus_epi16(ab, cd);

        return _mm256_permutevar8x32_epi32(all, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

AVX2 size_t
rans_decode_avx2(struct rans_lanes *lanes, const struct rans_steps *steps, uint8_t *tokens,
                 size_t nsteps)
{
        __m256i class_start[RANS_CLASSES], state[4], token[4];
        const uint8_t *word = lanes->word;
        size_t t = 0;

        for (unsigned c = 0; c < steps->nclasses; c++)
                class_start[c] = _mm256_set1_epi8((char) steps->class_start[c]);
        for (unsigned k = 0; k < 4; k++)
                state[k] = _mm256_loadu_si256((const __m256i *) lanes->state + k);
        /* 16 bytes are loaded for eight words at most; 14 of them may be too many. */
        for (; t < nsteps && lanes->end - word >= 2 * RANS_LANES + 16; t++, tokens += RANS_LANES) {
                __m256i class = classes_at(steps, class_start, tokens);
                __m128i half[2] = { _mm256_castsi256_si128(class),
                                    _mm256_extracti128_si256(class, 1) };
                state[0] = decode_eight(steps, state[0], half[0], &word, &token[0]);
                state[1] = decode_eight(steps, state[1], _mm_srli_si128(half[0], 8), &word,
                                        &token[1]);
                state[2] = decode_eight(steps, state[2], half[1], &word, &token[2]);
                state[3] = decode_eight(steps, state[3], _mm_srli_si128(half[1], 8), &word,
                                        &token[3]);
                _mm256_storeu_si256((__m256i *) tokens,
                                    low_bytes(token[0], token[1], token[2], token[3]));
        }
        for (unsigned k = 0; k < 4; k++)
                _mm256_storeu_si256((__m256i *) lanes->state + k, state[k]);
        lanes->word = word;
        return t;
}

#endif
