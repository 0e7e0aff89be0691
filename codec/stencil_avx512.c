/* codec/stencil_avx512.c - sixteen targets at a time.  See codec/stencil_lanes.h. */
#include "codec/stencil_lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512vl")))

/* The last sixteen may overlap those before: each gets the same numbers again. */
static inline size_t
next_sixteen(size_t x, size_t hi)
{
        return x + 16 >= hi || x + 32 <= hi ? x + 16 : hi - 16;
}

struct pair {
        __m512d low, high;
};

AVX512 static inline struct pair
sum_sixteen(const struct row_stencil *r, ptrdiff_t x)
{
        struct pair s = { _mm512_setzero_pd(), _mm512_setzero_pd() };
        for (unsigned i = 0; i < r->nsources; i++) {
                const struct row_source *source = &r->source[i];
                const int32_t *at = source->row + source->shift + x;
                __m512d c = _mm512_set1_pd(source->coefficient);
                __m512d low = _mm512_cvtepi32_pd(_mm256_loadu_si256((const __m256i *) at));
                __m512d high = _mm512_cvtepi32_pd(_mm256_loadu_si256((const __m256i *) (at + 8)));
                s.low = _mm512_fmadd_pd(low, c, s.low);
                s.high = _mm512_fmadd_pd(high, c, s.high);
        }
        return s;
}

AVX512 static inline __m256i
shifted(__m512d sum, __m512i offset, __m128i shift)
{
        __m512i bits = _mm512_castpd_si512(_mm512_add_pd(sum, _mm512_set1_pd(STENCIL_MAGIC)));
        return _mm512_cvtepi64_epi32(_mm512_srl_epi64(_mm512_add_epi64(bits, offset), shift));
}

AVX512 static void
sum_avx512(const struct row_stencil *r, size_t lo, size_t hi, double *sum)
{
        if (hi - lo < 16) {
                stencil_lanes_plain.sum(r, lo, hi, sum);
                return;
        }
        for (size_t x = lo; x < hi; x = next_sixteen(x, hi)) {
                struct pair s = sum_sixteen(r, (ptrdiff_t) x);
                _mm512_storeu_pd(sum + x, s.low);
                _mm512_storeu_pd(sum + x + 8, s.high);
        }
}

AVX512 static void
rebuild_avx512(const struct row_stencil *r, size_t lo, size_t hi, const int32_t *residual,
               int32_t step, int32_t *row)
{
        if (hi - lo < 16) {
                stencil_lanes_plain.rebuild(r, lo, hi, residual, step, row);
                return;
        }
        __m512i offset = _mm512_set1_epi64((long long) stencil_offset(r));
        __m128i shift = _mm_cvtsi32_si128((int) r->shift);
        __m512i steps = _mm512_set1_epi32(step);
        for (size_t x = lo; x < hi; x = next_sixteen(x, hi)) {
                struct pair s = sum_sixteen(r, (ptrdiff_t) x);
                __m512i p = _mm512_inserti64x4(
                        _mm512_castsi256_si512(shifted(s.low, offset, shift)),
                        shifted(s.high, offset, shift), 1);
                if (residual != NULL)
                        p = _mm512_add_epi32(p, _mm512_mullo_epi32(
                                _mm512_loadu_si512(residual + x), steps));
                _mm512_storeu_si512(row + x, p);
        }
}

const struct stencil_lanes stencil_lanes_avx512 = { sum_avx512, rebuild_avx512 };
#endif
