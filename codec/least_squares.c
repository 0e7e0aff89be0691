/* codec/least_squares.c - see codec/least_squares.h. */
#include "codec/least_squares.h"

#include <math.h>

#include "codec/cpu.h"

/* Eight sums side by side: they fill vector lanes, and their order is the same on every
 * CPU. */
#define DEFINE_DOT(suffix, TARGET)                                                              \
TARGET static double                                                                            \
dot##suffix(const double *a, const double *b, size_t n)                                         \
{                                                                                               \
        double sum[8] = { 0 };                                                                  \
        size_t i = 0;                                                                           \
        for (; i + 8 <= n; i += 8)                                                              \
                for (unsigned k = 0; k < 8; k++)                                                \
                        sum[k] += a[i + k] * b[i + k];                                          \
        for (; i < n; i++)                                                                      \
                sum[0] += a[i] * b[i];                                                          \
        return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));\
}

DEFINE_DOT(, )
#if defined(__x86_64__)
DEFINE_DOT(_avx2, TARGET_AVX2)
#endif

typedef double dot_function(const double *a, const double *b, size_t n);

static dot_function *
fastest_dot(void)
{
#if defined(__x86_64__)
        if (cpu_level() != CPU_PLAIN)
                return dot_avx2;
#endif
        return dot;
}

void
least_squares_add(const double *value, size_t value_stride, unsigned nterms, size_t m,
                  const double *target, const double *weight, double *scratch,
                  double *gram, size_t stride, double *rhs)
{
        dot_function *product = fastest_dot();
        for (unsigned i = 0; i < nterms; i++) {
                const double *row = value + i * value_stride;
                for (size_t k = 0; weight != NULL && k < m; k++)
                        scratch[k] = row[k] * weight[k];
                const double *weighted = weight != NULL ? scratch : row;
                for (unsigned j = 0; j <= i; j++)
                        gram[i * stride + j] += product(weighted, value + j * value_stride, m);
                rhs[i] += product(weighted, target, m);
        }
}

/* L with L L' = GRAM + ridge; false when GRAM is not positive definite. */
static bool
factorise(const double *gram, size_t stride, unsigned n, double l[][LEAST_SQUARES_MAX])
{
        for (unsigned i = 0; i < n; i++) {
                for (unsigned j = 0; j <= i; j++) {
                        double s = gram[i * stride + j];
                        if (i == j)
                                s += s * 1e-7 + 1e-9;
                        for (unsigned k = 0; k < j; k++)
                                s -= l[i][k] * l[j][k];
                        if (i == j && !(s > 0))
                                return false;
                        l[i][j] = i == j ? sqrt(s) : s / l[j][j];
                }
        }
        return true;
}

bool
least_squares_solve(const double *gram, size_t stride, const double *rhs, unsigned n,
                    double *solution)
{
        double l[LEAST_SQUARES_MAX][LEAST_SQUARES_MAX], y[LEAST_SQUARES_MAX];
        if (n > LEAST_SQUARES_MAX || !factorise(gram, stride, n, l))
                return false;
        for (unsigned i = 0; i < n; i++) {
                y[i] = rhs[i];
                for (unsigned k = 0; k < i; k++)
                        y[i] -= l[i][k] * y[k];
                y[i] /= l[i][i];
        }
        for (unsigned i = n; i-- > 0; ) {
                for (unsigned k = i + 1; k < n; k++)
                        y[i] -= l[k][i] * y[k];
                y[i] /= l[i][i];
        }
        for (unsigned i = 0; i < n; i++) {
                if (!isfinite(y[i]))
                        return false;
                solution[i] = y[i];
        }
        return true;
}
