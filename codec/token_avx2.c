/* codec/token_avx2.c - a row in two AVX2 registers. */
#include "codec/token_raw.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "common/bytes.h"

#define AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))

AVX2 static inline __m256i
zigzag_eight(__m256i r)
{
        return _mm256_xor_si256(_mm256_slli_epi32(r, 1), _mm256_srai_epi32(r, 31));
}

AVX2 static inline __m256i
unzigzag_eight(__m256i code)
{
        __m256i sign = _mm256_sub_epi32(_mm256_setzero_si256(),
                                        _mm256_and_si256(code, _mm256_set1_epi32(1)));

        return _mm256_xor_si256(_mm256_srli_epi32(code, 1), sign);
}

/* Which of the 16 tokens are at least DIRECT. */
AVX2 static inline unsigned
large_tokens(__m128i token, __m128i direct)
{
        return (unsigned) _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(token, direct), token));
}

/* The tokens where codes are large, and their raw bits. */
AVX2 static inline void
split_large(struct token_writer *w, const int32_t *r, unsigned large, uint8_t *tokens)
{
        for (; large != 0; large &= large - 1) {
                unsigned i = (unsigned) __builtin_ctz(large);
                uint64_t code = zigzag_encode(r[i]);
                unsigned token = token_of(w->rule, code), n = token_raw_bits(w->rule, token);
                tokens[i] = (uint8_t) token;
                token_put_raw(w, code & ((UINT64_C(1) << n) - 1), n);
        }
}

AVX2 void
token_split_avx2(struct token_writer *w, const void *const row[], unsigned nrows, uint8_t *tokens)
{
        const __m128i direct = _mm_set1_epi8((char) (1 << w->rule.split));
        const __m256i most = _mm256_set1_epi32(255);
        struct token_writer writer = *w;

        for (unsigned k = 0; k < nrows; k++, tokens += TOKEN_ROW) {
                const __m256i *r = row[k];
                __m256i low = _mm256_min_epu32(zigzag_eight(_mm256_loadu_si256(r)), most);
                __m256i high = _mm256_min_epu32(zigzag_eight(_mm256_loadu_si256(r + 1)), most);
                __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
                __m128i token = _mm_packus_epi16(_mm256_castsi256_si128(words),
                                                 _mm256_extracti128_si256(words, 1));
                _mm_storeu_si128((__m128i *) tokens, token);
                split_large(&writer, row[k], large_tokens(token, direct), tokens);
        }
        *w = writer;
}

AVX2 void
token_join_avx2(struct token_reader *in, const uint8_t *tokens, unsigned nrows, void *const row[])
{
        const __m128i direct = _mm_set1_epi8((char) (1 << in->rule.split));

        for (unsigned k = 0; k < nrows; k++, tokens += TOKEN_ROW) {
                __m128i token = _mm_loadu_si128((const __m128i *) tokens);
                unsigned large = large_tokens(token, direct);
                int32_t *r = row[k];
                _mm256_storeu_si256((__m256i *) r, unzigzag_eight(_mm256_cvtepu8_epi32(token)));
                _mm256_storeu_si256((__m256i *) r + 1, unzigzag_eight(_mm256_cvtepu8_epi32(
                        _mm_srli_si128(token, 8))));
                for (; large != 0; large &= large - 1) {
                        unsigned i = (unsigned) __builtin_ctz(large);
                        r[i] = (int32_t) zigzag_decode(token_take_code(in, tokens[i]));
                }
        }
}

#endif
