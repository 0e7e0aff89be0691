/* codec/rans_avx512.c - the lanes in two or four AVX-512 registers. */
#include "codec/rans_lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vbmi," \
                                     "bmi,bmi2,popcnt")))
#define AVX512_INLINE AVX512 static inline __attribute__((always_inline))
#define SIXTEENS (RANS_LANES / 16)

/* A byte for each of the lanes; with 32 of them the upper half is of no interest. */
AVX512_INLINE __m512i
load_lanes(const uint8_t *at, unsigned lanes)
{
        return lanes == RANS_LANES ? _mm512_loadu_si512(at) :
                _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *) at));
}

AVX512_INLINE __m512i
magnitude_of(__m512i tokens)
{
        return _mm512_avg_epu8(tokens, _mm512_setzero_si512());
}

/* A byte for each context sum. */
struct table_of_sums {
        __m512i low, high;
};

AVX512_INLINE struct table_of_sums
load_table(const uint8_t table[RANS_SUMS])
{
        return (struct table_of_sums) {
                _mm512_loadu_si512(table), _mm512_loadu_si512(table + RANS_SUMS / 2)
        };
}

/* What TABLE says of the tokens at AT, of which LAST are a distance[0] before. */
AVX512_INLINE __m512i
look_up_sums(const struct table_of_sums *table, const size_t distance[RANS_NEIGHBOURS],
             __m512i last, const uint8_t *at, unsigned lanes)
{
        const __m512i most = _mm512_set1_epi8(RANS_SUMS - 1);
        __m512i m1 = magnitude_of(load_lanes(at - distance[1], lanes));
        __m512i m2 = magnitude_of(load_lanes(at - distance[2], lanes));
        __m512i m3 = magnitude_of(load_lanes(at - distance[3], lanes));
        __m512i m4 = magnitude_of(load_lanes(at - distance[4], lanes));
        __m512i rest = _mm512_adds_epu8(_mm512_adds_epu8(m1, _mm512_adds_epu8(m2, m2)),
                                        _mm512_adds_epu8(m3, m4));
        __m512i m0 = magnitude_of(last);
        __m512i sum = _mm512_adds_epu8(_mm512_adds_epu8(m0, m0), rest);

        return _mm512_permutex2var_epi8(table->low, _mm512_min_epu8(sum, most), table->high);
}

AVX512 void
rans_cells_avx512(const uint8_t *steps, size_t n, const size_t distance[RANS_NEIGHBOURS],
                  uint16_t *cell)
{
        uint8_t level[RANS_SUMS];
        size_t i = 0;

        for (unsigned sum = 0; sum < RANS_SUMS; sum++)
                level[sum] = rans_level_of((uint8_t) sum);
        const struct table_of_sums table = load_table(level);
        for (; i + 64 <= n; i += 64) {
                const uint8_t *at = steps + i;
                __m512i token = _mm512_loadu_si512(at);
                __m512i high = look_up_sums(&table, distance, _mm512_loadu_si512(at - distance[0]),
                                            at, 64);
                for (unsigned half = 0; half < 2; half++) {
                        __m512i t = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(token, 0));
                        __m512i h = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(high, 0));
                        h = _mm512_mullo_epi16(h, _mm512_set1_epi16(RANS_CELL_PITCH));
                        _mm512_storeu_si512(cell + i + 32 * half, _mm512_add_epi16(t, h));
                        token = _mm512_shuffle_i64x2(token, token, 0xee);
                        high = _mm512_shuffle_i64x2(high, high, 0xee);
                }
        }
        for (; i < n; i++) {
                const uint8_t *at = steps + i;
                unsigned sum = rans_context_sum(*(at - distance[0]), *(at - distance[1]),
                                                *(at - distance[2]), *(at - distance[3]),
                                                *(at - distance[4]));
                cell[i] = (uint16_t) (level[sum] * RANS_CELL_PITCH + *at);
        }
}

/* Decodes sixteen lanes; their tokens come in *TOKEN. */
AVX512_INLINE __m512i
decode_sixteen(const uint32_t *table, unsigned bits, __m512i state, __m128i class,
               const uint8_t **word, __m128i *token)
{
        const __m128i scale = _mm_cvtsi32_si128((int) bits);
        const __m512i low = _mm512_set1_epi32(0xfff);
        __m512i mask = _mm512_set1_epi32((1 << bits) - 1);
        __m512i slot = _mm512_or_si512(_mm512_and_si512(state, mask),
                                       _mm512_sll_epi32(_mm512_cvtepu8_epi32(class), scale));
        __m512i entry = _mm512_i32gather_epi32(slot, (const int *) table, 4);
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

AVX512_INLINE size_t
decode_steps(struct rans_lanes *lanes, const struct rans_steps *steps, uint8_t *tokens,
             size_t nsteps, unsigned count)
{
        const unsigned n = count / 16;
        __m512i state[SIXTEENS];
        const uint8_t *word = lanes->word, *end = lanes->end;
        /* Copies: a token that is stored might change what pointers lead to. */
        const struct rans_steps s = *steps;
        const struct table_of_sums classes = load_table(s.contexts->class_of_sum);
        /* What was just stored is kept, since loads would wait for it. */
        bool keeps = s.distance[0] == count;
        __m512i last = load_lanes(tokens - s.distance[0], count);
        size_t t = 0;

        for (unsigned k = 0; k < n; k++)
                state[k] = _mm512_loadu_si512(lanes->state + 16 * k);
        /* 32 bytes are loaded for sixteen words at most; some may be too many. */
        for (; t < nsteps && end - word >= 2 * (ptrdiff_t) count + 32; t++, tokens += count) {
                if (!keeps)
                        last = load_lanes(tokens - s.distance[0], count);
                __m512i class = look_up_sums(&classes, s.distance, last, tokens, count);
                __m128i token[SIXTEENS];
                state[0] = decode_sixteen(s.table, s.scale, state[0],
                                          _mm512_castsi512_si128(class), &word, &token[0]);
                state[1] = decode_sixteen(s.table, s.scale, state[1],
                                          _mm512_extracti32x4_epi32(class, 1), &word, &token[1]);
                __m256i half = _mm256_set_m128i(token[1], token[0]);
                if (n == 2) {
                        _mm256_storeu_si256((__m256i *) tokens, half);
                        last = _mm512_castsi256_si512(half);
                        continue;
                }
                state[2] = decode_sixteen(s.table, s.scale, state[2],
                                          _mm512_extracti32x4_epi32(class, 2), &word, &token[2]);
                state[3] = decode_sixteen(s.table, s.scale, state[3],
                                          _mm512_extracti32x4_epi32(class, 3), &word, &token[3]);
                last = _mm512_inserti64x4(_mm512_castsi256_si512(half),
                                          _mm256_set_m128i(token[3], token[2]), 1);
                _mm512_storeu_si512(tokens, last);
        }
        for (unsigned k = 0; k < n; k++)
                _mm512_storeu_si512(lanes->state + 16 * k, state[k]);
        lanes->word = word;
        return t;
}

AVX512 size_t
rans_decode_avx512(struct rans_lanes *lanes, const struct rans_steps *steps, uint8_t *tokens,
                   size_t nsteps)
{
        return lanes->count == RANS_LANES ? decode_steps(lanes, steps, tokens, nsteps, RANS_LANES) :
                                            decode_steps(lanes, steps, tokens, nsteps, RANS_LANES / 2);
}

/* X / FREQUENCY: the quotient of floating-point numbers is wrong by one at most. */
AVX512_INLINE __m512i
divide(__m512i x, __m512i frequency, __m512i *remainder)
{
        const __m512i one = _mm512_set1_epi32(1);
        __m512i quotient = _mm512_cvttps_epi32(_mm512_div_ps(_mm512_cvtepu32_ps(x),
                                                             _mm512_cvtepi32_ps(frequency)));
        __m512i rest = _mm512_sub_epi32(x, _mm512_mullo_epi32(quotient, frequency));
        __mmask16 below = _mm512_movepi32_mask(rest);

        quotient = _mm512_mask_sub_epi32(quotient, below, quotient, one);
        rest = _mm512_mask_add_epi32(rest, below, rest, frequency);
        __mmask16 above = _mm512_cmpge_epi32_mask(rest, frequency);
        *remainder = _mm512_mask_sub_epi32(rest, above, rest, frequency);
        return _mm512_mask_add_epi32(quotient, above, quotient, one);
}

/* Codes sixteen lanes; *END moves down over the words that leave. */
AVX512_INLINE __m512i
encode_sixteen(__m512i x, __m512i range, unsigned scale, uint8_t **end)
{
        const __m256i place = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        __m512i frequency = _mm512_and_si512(range, _mm512_set1_epi32(0xfff));
        __m512i start = _mm512_srli_epi32(range, 12), rest;
        __m512i top = _mm512_srl_epi32(x, _mm_cvtsi32_si128((int) (32 - scale)));
        __mmask16 full = _mm512_cmpge_epu32_mask(top, frequency);
        unsigned n = (unsigned) __builtin_popcount(full);
        __m256i words = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(full, x));

        /* The words move up to END; what comes below them is overwritten later. */
        words = _mm256_permutexvar_epi16(_mm256_add_epi16(place, _mm256_set1_epi16((short) n)), words);
        _mm256_storeu_si256((__m256i *) (*end - 32), words);
        *end -= 2 * n;
        x = _mm512_mask_srli_epi32(x, full, x, 16);
        __m512i quotient = divide(x, frequency, &rest);
        return _mm512_add_epi32(_mm512_sll_epi32(quotient, _mm_cvtsi32_si128((int) scale)),
                                _mm512_add_epi32(rest, start));
}

AVX512_INLINE uint8_t *
encode_steps(struct rans_lanes *lanes, const uint32_t *range, size_t nsteps, unsigned scale,
             uint8_t *end, unsigned n)
{
        __m512i state[SIXTEENS];

        for (unsigned k = 0; k < n; k++)
                state[k] = _mm512_loadu_si512(lanes->state + 16 * k);
        for (const uint32_t *at = range + nsteps * 16 * n; at > range;)
                for (unsigned k = n; k-- > 0;) {
                        at -= 16;
                        state[k] = encode_sixteen(state[k], _mm512_loadu_si512(at), scale, &end);
                }
        for (unsigned k = 0; k < n; k++)
                _mm512_storeu_si512(lanes->state + 16 * k, state[k]);
        return end;
}

AVX512 uint8_t *
rans_encode_avx512(struct rans_lanes *lanes, const uint32_t *range, size_t nsteps, unsigned scale,
                   uint8_t *end)
{
        return lanes->count == RANS_LANES ?
                encode_steps(lanes, range, nsteps, scale, end, SIXTEENS) :
                encode_steps(lanes, range, nsteps, scale, end, SIXTEENS / 2);
}

#endif
