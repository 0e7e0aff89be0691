/* codec/token_avx512.c - a row in one AVX-512 register. */
#include "codec/token_raw.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vbmi," \
                                     "bmi,bmi2,lzcnt,popcnt")))

/* A rule in registers. */
struct rule_vectors {
        __m512i direct, split, msb, mantissa, one;
};

AVX512 static inline struct rule_vectors
vectors_of(struct token_rule rule)
{
        return (struct rule_vectors) {
                .direct = _mm512_set1_epi32(1 << rule.split),
                .split = _mm512_set1_epi32((int) rule.split),
                .msb = _mm512_set1_epi32((int) rule.msb),
                .mantissa = _mm512_set1_epi32((1 << rule.msb) - 1),
                .one = _mm512_set1_epi32(1),
        };
}

/* 2^N - 1. */
AVX512 static inline __m512i
low_bits(const struct rule_vectors *v, __m512i n)
{
        return _mm512_sub_epi32(_mm512_sllv_epi32(v->one, n), v->one);
}

/* Tokens of the LARGE codes, whose raw bits are written. */
AVX512 static inline __m512i
split_large(struct token_writer *w, const struct rule_vectors *v, __m512i code, __mmask16 large)
{
        __m512i top = _mm512_sub_epi32(_mm512_set1_epi32(31), _mm512_lzcnt_epi32(code));
        __m512i n = _mm512_sub_epi32(top, v->msb);
        __m512i token = _mm512_add_epi32(v->direct, _mm512_sllv_epi32(
                _mm512_sub_epi32(top, v->split), v->msb));
        __m512i raw = _mm512_and_si512(code, low_bits(v, n));
        uint32_t field[TOKEN_ROW], length[TOKEN_ROW];

        token = _mm512_add_epi32(token, _mm512_and_si512(_mm512_srlv_epi32(code, n), v->mantissa));
        _mm512_storeu_si512(field, _mm512_maskz_compress_epi32(large, raw));
        _mm512_storeu_si512(length, _mm512_maskz_compress_epi32(large, n));
        for (int i = 0; i < __builtin_popcount(large); i++)
                token_put_raw(w, field[i], length[i]);
        return token;
}

AVX512 void
token_split_avx512(struct token_writer *w, const void *const row[], unsigned nrows,
                   uint8_t *tokens)
{
        const struct rule_vectors v = vectors_of(w->rule);
        struct token_writer writer = *w;

        for (unsigned k = 0; k < nrows; k++, tokens += TOKEN_ROW) {
                __m512i r = _mm512_loadu_si512(row[k]);
                __m512i code = _mm512_xor_si512(_mm512_slli_epi32(r, 1), _mm512_srai_epi32(r, 31));
                __mmask16 large = _mm512_cmpge_epu32_mask(code, v.direct);
                if (large != 0)
                        code = _mm512_mask_mov_epi32(code, large,
                                                     split_large(&writer, &v, code, large));
                _mm_storeu_si128((__m128i *) tokens, _mm512_cvtepi32_epi8(code));
        }
        *w = writer;
}

/* Sums of the elements up to each, itself included. */
AVX512 static inline __m512i
sums_up_to(__m512i n)
{
        const __m512i zero = _mm512_setzero_si512();

        n = _mm512_add_epi32(n, _mm512_alignr_epi32(n, zero, 15));
        n = _mm512_add_epi32(n, _mm512_alignr_epi32(n, zero, 14));
        n = _mm512_add_epi32(n, _mm512_alignr_epi32(n, zero, 12));
        return _mm512_add_epi32(n, _mm512_alignr_epi32(n, zero, 8));
}

/* Fields of N bits, at most 25 each, that lie one behind the other from *BIT on: all
 * within the 64 bytes that are loaded. */
AVX512 static inline __m512i
take_fields(const uint8_t *raw, uint64_t *bit, const struct rule_vectors *v, __m512i n)
{
        const __m512i spread = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
        const __m512i four = _mm512_set1_epi32(0x03020100);
        __m512i ends = sums_up_to(n);
        __m512i at = _mm512_add_epi32(_mm512_sub_epi32(ends, n), _mm512_set1_epi32(*bit & 7));
        __m512i bytes = _mm512_shuffle_epi8(_mm512_srli_epi32(at, 3), spread);
        __m512i window = _mm512_loadu_si512(raw + (*bit >> 3));
        __m512i field = _mm512_permutexvar_epi8(_mm512_add_epi8(bytes, four), window);

        *bit += (unsigned) _mm_extract_epi32(_mm512_extracti32x4_epi32(ends, 3), 3);
        field = _mm512_srlv_epi32(field, _mm512_and_si512(at, _mm512_set1_epi32(7)));
        return _mm512_and_si512(field, low_bits(v, n));
}

/* Zigzag codes of a row in which TOKEN is LARGE somewhere. */
AVX512 static inline __m512i
join_large(struct token_reader *in, const struct rule_vectors *v, __m512i token,
           const uint8_t *tokens, __mmask16 large)
{
        __m512i above = _mm512_sub_epi32(token, v->direct);
        __m512i n = _mm512_maskz_add_epi32(large, _mm512_sub_epi32(v->split, v->msb),
                                           _mm512_srlv_epi32(above, v->msb));

        if (_mm512_cmpgt_epi32_mask(n, _mm512_set1_epi32(25)) != 0) {
                uint32_t code[TOKEN_ROW];
                for (unsigned i = 0; i < TOKEN_ROW; i++)
                        code[i] = (uint32_t) token_take_code(in, tokens[i]);
                return _mm512_loadu_si512(code);
        }
        __m512i leading = _mm512_add_epi32(_mm512_sllv_epi32(v->one, v->msb),
                                           _mm512_and_si512(above, v->mantissa));
        __m512i base = _mm512_mask_sllv_epi32(token, large, leading, n);
        return _mm512_or_si512(base, take_fields(in->raw, &in->bit, v, n));
}

AVX512 void
token_join_avx512(struct token_reader *in, const uint8_t *tokens, unsigned nrows,
                  void *const row[])
{
        const struct rule_vectors v = vectors_of(in->rule);

        for (unsigned k = 0; k < nrows; k++, tokens += TOKEN_ROW) {
                __m512i code = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *) tokens));
                __mmask16 large = _mm512_cmpge_epu32_mask(code, v.direct);
                if (large != 0)
                        code = join_large(in, &v, code, tokens, large);
                __m512i sign = _mm512_sub_epi32(_mm512_setzero_si512(),
                                                _mm512_and_si512(code, v.one));
                _mm512_storeu_si512(row[k], _mm512_xor_si512(_mm512_srli_epi32(code, 1), sign));
        }
}

#endif
