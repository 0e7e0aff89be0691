/* codec/stencil_avx2.c - eight targets at a time.  See codec/stencil_lanes.h. */
#include "codec/stencil_lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

/* The last eight may overlap those before: each gets the same numbers again. */
static inline size_t
next_eight(size_t x, size_t hi)
{
        return x + 8 >= hi || x + 16 <= hi ? x + 8 : hi - 8;
}

struct pair {
        __m256d low, high;
};

AVX2 static inline struct pair
sum_eight(const struct row_stencil *r, ptrdiff_t x)
{
        struct pair s = { _mm256_setzero_pd(), _mm256_setzero_pd() };
        for (unsigned i = 0; i < r->nsources; i++) {
                const struct row_source *source = &r->source[i];
                const int32_t *at = source->row + source->shift + x;
                __m256d c = _mm256_set1_pd(source->coefficient);
                __m256d low = _mm256_cvtepi32_pd(_mm_loadu_si128((const __m128i *) at));
                __m256d high = _mm256_cvtepi32_pd(_mm_loadu_si128((const __m128i *) (at + 4)));
                s.low = _mm256_add_pd(_mm256_mul_pd(low, c), s.low);
                s.high = _mm256_add_pd(_mm256_mul_pd(high, c), s.high);
        }
        return s;
}

AVX2 static inline __m256
shifted(__m256d sum, __m256i offset, __m128i shift)
{
        __m256i bits = _mm256_castpd_si256(_mm256_add_pd(sum, _mm256_set1_pd(STENCIL_MAGIC)));
        return _mm256_castsi256_ps(_mm256_srl_epi64(_mm256_add_epi64(bits, offset), shift));
}

/* The low halves of both, in order. */
AVX2 static inline __m256i
low_halves(__m256 low, __m256 high)
{
        __m256i mixed = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0x88));
        return _mm256_permute4x64_epi64(mixed, 0xd8);
}

AVX2 static void
sum_avx2(const struct row_stencil *r, size_t lo, size_t hi, double *sum)
{
        if (hi - lo < 8) {
                stencil_lanes_plain.sum(r, lo, hi, sum);
                return;
        }
        for (size_t x = lo; x < hi; x = next_eight(x, hi)) {
                struct pair s = sum_eight(r, (ptrdiff_t) x);
                _mm256_storeu_pd(sum + x, s.low);
                _mm256_storeu_pd(sum + x + 4, s.high);
        }
}

AVX2 static void
rebuild_avx2(const struct row_stencil *r, size_t lo, size_t hi, const int32_t *residual,
             int32_t step, int32_t *row)
{
        if (hi - lo < 8) {
                stencil_lanes_plain.rebuild(r, lo, hi, residual, step, row);
                return;
        }
        __m256i offset = _mm256_set1_epi64x((long long) stencil_offset(r));
        __m128i shift = _mm_cvtsi32_si128((int) r->shift);
        __m256i steps = _mm256_set1_epi32(step);
        for (size_t x = lo; x < hi; x = next_eight(x, hi)) {
                struct pair s = sum_eight(r, (ptrdiff_t) x);
                __m256i p = low_halves(shifted(s.low, offset, shift),
                                       shifted(s.high, offset, shift));
                if (residual != NULL)
                        p = _mm256_add_epi32(p, _mm256_mullo_epi32(
                                _mm256_loadu_si256((const __m256i *) (residual + x)), steps));
                _mm256_storeu_si256((__m256i *) (row + x), p);
        }
}

const struct stencil_lanes stencil_lanes_avx2 = { sum_avx2, rebuild_avx2 };
#endif
