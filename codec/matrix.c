/* codec/matrix.c - tiles of a product that stay in registers.
 *
 * A tile is ROWS rows by VECTORS vectors of C.  For each step of K it loads VECTORS
 * vectors of B and ROWS single elements of A: so its shape decides how many
 * multiplications a load feeds, and the number of its vectors how many are under way
 * at once.
 */
#include "codec/matrix.h"

#include "codec/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* The most of both, of any CPU. */
#define MOST_ROWS    8
#define MOST_VECTORS 4

/* Defines multiply_SUFFIX(), with tiles of at most 8 or TALLEST rows by WIDEST vectors of
 * type VECTOR; ADD_PRODUCT(sum, a, b) adds the product of a single element and a vector. */
#define DEFINE_MULTIPLY(SUFFIX, TARGET, VECTOR, TALLEST, WIDEST, ADD_PRODUCT)           \
TARGET ALWAYS_INLINE void                                                               \
tile_##SUFFIX(const struct matrix_product *p, size_t row, size_t column, size_t rows,   \
              size_t vectors)                                                           \
{                                                                                       \
        typedef VECTOR anywhere __attribute__((aligned(4), may_alias));                 \
        const float *a = p->a + row * p->a_row, *b = p->b + column;                     \
        float *c = p->c + row * p->c_row + column;                                      \
        VECTOR sum[MOST_ROWS][MOST_VECTORS] = { 0 }, factor[MOST_VECTORS];              \
                                                                                        \
        if (p->add)                                                                     \
                UNROLL for (size_t i = 0; i < rows; i++)                                \
                        UNROLL for (size_t v = 0; v < vectors; v++)                     \
                                sum[i][v] = ((anywhere *) (c + i * p->c_row))[v];       \
        for (size_t k = 0; k < p->k; k++) {                                             \
                UNROLL for (size_t v = 0; v < vectors; v++)                             \
                        factor[v] = ((const anywhere *) b)[v];                          \
                UNROLL for (size_t i = 0; i < rows; i++) {                              \
                        const float single = a[i * p->a_row];                           \
                        UNROLL for (size_t v = 0; v < vectors; v++)                     \
                                sum[i][v] = ADD_PRODUCT(sum[i][v], single, factor[v]);  \
                }                                                                       \
                a += p->a_column;                                                       \
                b += p->b_row;                                                          \
        }                                                                               \
        UNROLL for (size_t i = 0; i < rows; i++)                                        \
                UNROLL for (size_t v = 0; v < vectors; v++)                             \
                        ((anywhere *) (c + i * p->c_row))[v] = sum[i][v];               \
}                                                                                       \
                                                                                        \
/* All rows of so many vectors of columns. */                                           \
TARGET ALWAYS_INLINE void                                                               \
columns_##SUFFIX(const struct matrix_product *p, size_t column, size_t vectors)         \
{                                                                                       \
        size_t row = 0;                                                                 \
                                                                                        \
        for (; p->m - row >= TALLEST; row += TALLEST)                                   \
                tile_##SUFFIX(p, row, column, TALLEST, vectors);                        \
        if (TALLEST > 4 && p->m - row >= 4) {                                           \
                tile_##SUFFIX(p, row, column, 4, vectors);                              \
                row += 4;                                                               \
        }                                                                               \
        if (p->m - row >= 2) {                                                          \
                tile_##SUFFIX(p, row, column, 2, vectors);                              \
                row += 2;                                                               \
        }                                                                               \
        if (p->m > row)                                                                 \
                tile_##SUFFIX(p, row, column, 1, vectors);                              \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
multiply_##SUFFIX(const struct matrix_product *p)                                       \
{                                                                                       \
        const size_t lanes = sizeof(VECTOR) / sizeof(float), wide = WIDEST * lanes;     \
        size_t column = 0;                                                              \
                                                                                        \
        for (; p->n - column >= wide; column += wide)                                   \
                columns_##SUFFIX(p, column, WIDEST);                                    \
        if (WIDEST > 2 && p->n - column >= 2 * lanes) {                                 \
                columns_##SUFFIX(p, column, 2);                                         \
                column += 2 * lanes;                                                    \
        }                                                                               \
        if (p->n > column)                                                              \
                columns_##SUFFIX(p, column, 1);                                         \
}

typedef float vector_plain __attribute__((vector_size(16)));
#define ADD_PRODUCT_PLAIN(sum, a, b) ((sum) + (a) * (b))
DEFINE_MULTIPLY(plain, , vector_plain, 2, 4, ADD_PRODUCT_PLAIN)

#if defined(__x86_64__)
#define ADD_PRODUCT_AVX2(sum, a, b) _mm256_fmadd_ps(_mm256_set1_ps(a), b, sum)
DEFINE_MULTIPLY(avx2, __attribute__((target("avx2,fma"))), __m256, 4, 2, ADD_PRODUCT_AVX2)

#define ADD_PRODUCT_AVX512(sum, a, b) _mm512_fmadd_ps(_mm512_set1_ps(a), b, sum)
DEFINE_MULTIPLY(avx512, __attribute__((target("avx512f"))), __m512, 8, 3, ADD_PRODUCT_AVX512)
#endif

matrix_multiply *
matrix_multiply_here(void)
{
#if defined(__x86_64__)
        const enum cpu_level level = cpu_level();

        if (level == CPU_AVX512)
                return multiply_avx512;
        if (level == CPU_AVX2 && __builtin_cpu_supports("fma"))
                return multiply_avx2;
#endif
        return multiply_plain;
}
