/* codec/rans_avx2.c - the lanes in four or eight AVX2 registers. */
#include "codec/rans_lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))
#define EIGHTS (RANS_LANES / 8)

/* A row for each mask of eight lanes. */
#define ROWS4(ROW, m)  ROW(m), ROW((m) + 1), ROW((m) + 2), ROW((m) + 3)
#define ROWS16(ROW, m) ROWS4(ROW, m), ROWS4(ROW, (m) + 4), ROWS4(ROW, (m) + 8), ROWS4(ROW, (m) + 12)
#define ROWS64(ROW, m) ROWS16(ROW, m), ROWS16(ROW, (m) + 16), ROWS16(ROW, (m) + 32), \
                       ROWS16(ROW, (m) + 48)
#define ROWS(ROW)      ROWS64(ROW, 0), ROWS64(ROW, 64), ROWS64(ROW, 128), ROWS64(ROW, 192)

/* How many lanes of the mask lie below lane L. */
#define BELOW(m, l) __builtin_popcount((m) & ((1 << (l)) - 1))

/* For lanes that want a word: which word each takes. */
static const struct spread { uint8_t from[256][8]; } spread = { {
#define TAKE(m, l) ((m) >> (l) & 1 ? BELOW(m, l) : 0)
#define TAKES(m) { TAKE(m, 0), TAKE(m, 1), TAKE(m, 2), TAKE(m, 3), \
                   TAKE(m, 4), TAKE(m, 5), TAKE(m, 6), TAKE(m, 7) }
        ROWS(TAKES)
} };

/* For lanes that give a word: which lane each place takes it from, the last lane being last. */
static const struct gather { uint8_t from[256][8]; } gather = { {
#define IS(m, l, place) (((m) >> (l) & 1) && (place) == 8 - BELOW(m, 8) + BELOW(m, l) ? (l) : 0)
#define GIVE(m, p) (IS(m, 0, p) + IS(m, 1, p) + IS(m, 2, p) + IS(m, 3, p) + \
                    IS(m, 4, p) + IS(m, 5, p) + IS(m, 6, p) + IS(m, 7, p))
#define GIVES(m) { GIVE(m, 0), GIVE(m, 1), GIVE(m, 2), GIVE(m, 3), \
                   GIVE(m, 4), GIVE(m, 5), GIVE(m, 6), GIVE(m, 7) }
        ROWS(GIVES)
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
        __m256i sum = _mm256_min_epu8(_mm256_adds_epu8(_mm256_adds_epu8(two, two), one),
                                      _mm256_set1_epi8(RANS_SUMS - 1));
        __m256i class = _mm256_setzero_si256();

        for (unsigned c = 1; c < s->contexts->nclasses; c++)
                class = _mm256_sub_epi8(class, _mm256_cmpgt_epi8(sum, class_start[c]));
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

/* The 32 tokens at AT. */
AVX2 static inline __m256i
decode_half(const struct rans_steps *s, __m256i state[4], __m256i class, const uint8_t **word)
{
        __m128i low = _mm256_castsi256_si128(class), high = _mm256_extracti128_si256(class, 1);
        __m256i token[4];

        state[0] = decode_eight(s, state[0], low, word, &token[0]);
        state[1] = decode_eight(s, state[1], _mm_srli_si128(low, 8), word, &token[1]);
        state[2] = decode_eight(s, state[2], high, word, &token[2]);
        state[3] = decode_eight(s, state[3], _mm_srli_si128(high, 8), word, &token[3]);
        return low_bytes(token[0], token[1], token[2], token[3]);
}

AVX2 size_t
rans_decode_avx2(struct rans_lanes *lanes, const struct rans_steps *steps, uint8_t *tokens,
                 size_t nsteps)
{
        const struct rans_contexts *contexts = steps->contexts;
        __m256i before[RANS_CLASSES], state[EIGHTS];
        const uint8_t *word = lanes->word;
        const unsigned n = lanes->count / 32;
        size_t t = 0;

        /* One less than where each begins: comparisons are for greater only. */
        for (unsigned c = 1; c < contexts->nclasses; c++)
                before[c] = _mm256_set1_epi8((char) (contexts->class_start[c] - 1));
        for (unsigned k = 0; k < 4 * n; k++)
                state[k] = _mm256_loadu_si256((const __m256i *) lanes->state + k);
        /* 16 bytes are loaded for eight words at most; 14 of them may be too many. */
        for (; t < nsteps && lanes->end - word >= 64 * (ptrdiff_t) n + 16; t++) {
                /* Tokens of a step give no context to each other. */
                for (unsigned half = 0; half < n; half++, tokens += 32) {
                        __m256i class = classes_at(steps, before, tokens);
                        _mm256_storeu_si256((__m256i *) tokens,
                                            decode_half(steps, state + 4 * half, class, &word));
                }
        }
        for (unsigned k = 0; k < 4 * n; k++)
                _mm256_storeu_si256((__m256i *) lanes->state + k, state[k]);
        lanes->word = word;
        return t;
}

/* X as floating-point numbers, rounded once. */
AVX2 static inline __m256
to_float(__m256i x)
{
        __m256 high = _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 16));
        __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(x, _mm256_set1_epi32(0xffff)));

        return _mm256_add_ps(_mm256_mul_ps(high, _mm256_set1_ps(65536)), low);
}

/* X / FREQUENCY: the quotient of floating-point numbers is wrong by one at most. */
AVX2 static inline __m256i
divide(__m256i x, __m256i frequency, __m256i *remainder)
{
        __m256i quotient = _mm256_cvttps_epi32(_mm256_div_ps(to_float(x),
                                                             _mm256_cvtepi32_ps(frequency)));
        __m256i rest = _mm256_sub_epi32(x, _mm256_mullo_epi32(quotient, frequency));
        __m256i below = _mm256_srai_epi32(rest, 31);

        quotient = _mm256_add_epi32(quotient, below);
        rest = _mm256_add_epi32(rest, _mm256_and_si256(below, frequency));
        __m256i within = _mm256_cmpgt_epi32(frequency, rest);
        *remainder = _mm256_sub_epi32(rest, _mm256_andnot_si256(within, frequency));
        return _mm256_add_epi32(_mm256_add_epi32(quotient, within), _mm256_set1_epi32(1));
}

/* Codes eight lanes; *END moves down over the words that leave. */
AVX2 static inline __m256i
encode_eight(__m256i x, __m256i range, unsigned scale, uint8_t **end)
{
        __m256i frequency = _mm256_and_si256(range, _mm256_set1_epi32(0xfff)), rest;
        __m256i top = _mm256_srl_epi32(x, _mm_cvtsi32_si128((int) (32 - scale)));
        __m256i stays = _mm256_cmpgt_epi32(frequency, top);
        unsigned full = ~(unsigned) _mm256_movemask_ps(_mm256_castsi256_ps(stays)) & 0xff;
        __m256i from = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *) gather.from[full]));
        __m256i words = _mm256_permutevar8x32_epi32(_mm256_and_si256(x, _mm256_set1_epi32(0xffff)),
                                                    from);

        /* The words lie up to END; what comes below them is overwritten later. */
        _mm_storeu_si128((__m128i *) (*end - 16),
                         _mm_packus_epi32(_mm256_castsi256_si128(words),
                                          _mm256_extracti128_si256(words, 1)));
        *end -= 2 * (unsigned) __builtin_popcount(full);
        x = _mm256_blendv_epi8(_mm256_srli_epi32(x, 16), x, stays);
        __m256i quotient = divide(x, frequency, &rest);
        return _mm256_add_epi32(_mm256_sll_epi32(quotient, _mm_cvtsi32_si128((int) scale)),
                                _mm256_add_epi32(rest, _mm256_srli_epi32(range, 12)));
}

AVX2 uint8_t *
rans_encode_avx2(struct rans_lanes *lanes, const uint32_t *range, size_t nsteps, unsigned scale,
                 uint8_t *end)
{
        const unsigned n = lanes->count / 8;
        __m256i state[EIGHTS];

        for (unsigned k = 0; k < n; k++)
                state[k] = _mm256_loadu_si256((const __m256i *) lanes->state + k);
        for (const uint32_t *at = range + nsteps * 8 * n; at > range;)
                for (unsigned k = n; k-- > 0;) {
                        at -= 8;
                        state[k] = encode_eight(state[k], _mm256_loadu_si256((const __m256i *) at),
                                                scale, &end);
                }
        for (unsigned k = 0; k < n; k++)
                _mm256_storeu_si256((__m256i *) lanes->state + k, state[k]);
        return end;
}

#endif
