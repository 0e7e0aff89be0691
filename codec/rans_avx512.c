/* codec/rans_avx512.c - the lanes in two AVX-512 registers. */
#include "codec/rans_lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,bmi,popcnt")))

AVX512 static inline __m256i
magnitude_at(const uint8_t *at)
{
        __m256i token = _mm256_loadu_si256((const __m256i *) at);

        return _mm256_avg_epu8(token, _mm256_setzero_si256());
}

/* Context classes of the 32 tokens at AT, a byte each. */
AVX512 static inline __m256i
classes_at(const struct rans_steps *s, const __m256i *class_start, const uint8_t *at)
{
        const __m256i one_more = _mm256_set1_epi8(1);
        __m256i two = _mm256_adds_epu8(magnitude_at(at - s->distance[0]),
                                       magnitude_at(at - s->distance[2]));
        __m256i one = _mm256_adds_epu8(magnitude_at(at - s->distance[1]),
                                       _mm256_adds_epu8(magnitude_at(at - s->distance[3]),
                                                        magnitude_at(at - s->distance[4])));
        __m256i sum = _mm256_adds_epu8(_mm256_adds_epu8(two, two), one);
        __m256i odd = _mm256_setzero_si256(), even = odd;
        unsigned c = 1;

        for (; c + 1 < s->nclasses; c += 2) {
                odd = _mm256_mask_add_epi8(odd, _mm256_cmpge_epu8_mask(sum, class_start[c]), odd,
                                           one_more);
                even = _mm256_mask_add_epi8(even, _mm256_cmpge_epu8_mask(sum, class_start[c + 1]),
                                            even, one_more);
        }
        if (c < s->nclasses)
                odd = _mm256_mask_add_epi8(odd, _mm256_cmpge_epu8_mask(sum, class_start[c]), odd,
                                           one_more);
        return _mm256_add_epi8(odd, even);
}

/* Decodes sixteen lanes; their tokens come in *TOKEN. */
AVX512 static inline __m512i
decode_sixteen(const struct rans_steps *s, __m512i state, __m128i class, const uint8_t **word,
               __m128i *token)
{
        const __m128i scale = _mm_cvtsi32_si128((int) s->scale);
        const __m512i low = _mm512_set1_epi32(0xfff);
        __m512i mask = _mm512_set1_epi32((1 << s->scale) - 1);
        __m512i slot = _mm512_or_si512(_mm512_and_si512(state, mask),
                                       _mm512_sll_epi32(_mm512_cvtepu8_epi32(class), scale));
        __m512i entry = _mm512_i32gather_epi32(slot, (const int *) s->table, 4);
        __m512i frequency = _mm512_and_si512(_mm512_srli_epi32(entry, 8), low);
        __m512i x = _mm512_add_epi32(_mm512_mullo_epi32(frequency, _mm512_srl_epi32(state, scale)),
                                     _mm512_srli_epi32(entry, 20));
        __mmask16 wants = _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(RANS_LOW));
        __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *) *word));

        *token = _mm512_cvtepi32_epi8(entry);
        *word += 2 * (unsigned) __builtin_popcount(wants);
        x = _mm512_mask_slli_epi32(x, wants, x, 16);
        return _mm512_or_si512(x, _mm512_maskz_expand_epi32(wants, words));
}

AVX512 size_t
rans_decode_avx512(struct rans_lanes *lanes, const struct rans_steps *steps, uint8_t *tokens,
                   size_t nsteps)
{
        __m256i class_start[RANS_CLASSES];
        __m512i first = _mm512_loadu_si512(lanes->state);
        __m512i second = _mm512_loadu_si512(lanes->state + 16);
        const uint8_t *word = lanes->word;
        size_t t = 0;

        for (unsigned c = 0; c < steps->nclasses; c++)
                class_start[c] = _mm256_set1_epi8((char) steps->class_start[c]);
        /* 32 bytes are loaded for sixteen words at most; some may be too many. */
        for (; t < nsteps && lanes->end - word >= 2 * RANS_LANES + 32; t++, tokens += RANS_LANES) {
                __m256i class = classes_at(steps, class_start, tokens);
                __m128i token[2];
                first = decode_sixteen(steps, first, _mm256_castsi256_si128(class), &word,
                                       &token[0]);
                second = decode_sixteen(steps, second, _mm256_extracti128_si256(class, 1), &word,
                                        &token[1]);
                /* One store, so that loads of the next steps can be served from it. */
                _mm256_storeu_si256((__m256i *) tokens, _mm256_set_m128i(token[1], token[0]));
        }
        _mm512_storeu_si512(lanes->state, first);
        _mm512_storeu_si512(lanes->state + 16, second);
        lanes->word = word;
        return t;
}

#endif
