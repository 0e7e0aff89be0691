/* codec/matrix.h - products of small float matrices, for several CPUs.
 *
 * Networks of this codec are small: matrices of tens to hundreds of rows and columns,
 * many times over.  A library of linear algebra spends as long on preparing such a
 * product as on the product, and starts threads that nobody asked for.
 *
 * Every element of a result is one sum in the order of K, so tiles, vectors and threads
 * change nothing.  With AVX2 and with AVX-512 each term is added by a fused
 * multiply-add; without either it is rounded twice.  Where every partial sum is an
 * integer below 2^24 (codec/network.h), that is the same.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_MATRIX_H
#define CAEFS_CODEC_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

/* The number of columns of B and C is a multiple of this; see matrix_padded(). */
#define MATRIX_LANES 16

/* C (M, N) = A (M, K) B (K, N), or that added to C.  Element (i, p) of A lies at
 * a[i * a_row + p * a_column]; rows of B and C lie b_row and c_row apart, none aligned,
 * and C overlaps neither.  M, N and K are at least 1, N a multiple of MATRIX_LANES. */
struct matrix_product {
        size_t       m, n, k;
        const float *a;
        size_t       a_row, a_column;
        const float *b;
        size_t       b_row;
        float       *c;
        size_t       c_row;
        bool         add;
};

typedef void matrix_multiply(const struct matrix_product *p);

/* The fastest for this CPU (codec/cpu.h). */
matrix_multiply *matrix_multiply_here(void);

/* N rounded up to what the columns of a matrix need. */
static inline size_t
matrix_padded(size_t n)
{
        return (n + MATRIX_LANES - 1) / MATRIX_LANES * MATRIX_LANES;
}

#endif
