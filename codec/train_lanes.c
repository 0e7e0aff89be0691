/* codec/train_lanes.c - loops that compilers turn into vector instructions for each CPU
 * they are compiled for.
 */
#include "codec/train_lanes.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "codec/cpu.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define ADAM_FIRST   0.9f
#define ADAM_SECOND  0.999f
#define ADAM_EPSILON 1e-8f

/* Adding and taking away this rounds a float of magnitude below 2^22 to an integer. */
#define ROUNDER 12582912.0f

/* Sums are kept in so many parts. */
#define LANES 16

ALWAYS_INLINE float
rounded_to_integer(float v)
{
        return (v + ROUNDER) - ROUNDER;
}

/* exp(x) for |x| <= 80, to a few units of the last place: 2^k exp(r) with k the whole
 * number nearest to x / log 2, and exp(r) by its series (Cephes, expf.c). */
ALWAYS_INLINE float
exponential(float x)
{
        const float k = rounded_to_integer(x * 1.44269504088896341f);
        const float r = (x - k * 0.693359375f) - k * -2.12194440e-4f;
        float series = 1.9875691500e-4f;
        series = series * r + 1.3981999507e-3f;
        series = series * r + 8.3334519073e-3f;
        series = series * r + 4.1665795894e-2f;
        series = series * r + 1.6666665459e-1f;
        series = series * r + 5.0000001201e-1f;
        const int32_t bits = (int32_t) ((uint32_t) ((int32_t) k + 127) << 23);
        float power;

        memcpy(&power, &bits, sizeof power);
        return (series * r * r + r + 1) * power;
}

ALWAYS_INLINE void
sigmoid(float *restrict y, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                float x = y[i] < -80 ? -80 : y[i];
                x = x > 80 ? 80 : x;
                y[i] = 1 / (1 + exponential(-x));
        }
}

ALWAYS_INLINE void
relu(float *restrict y, size_t n)
{
        for (size_t i = 0; i < n; i++)
                y[i] = y[i] > 0 ? y[i] : 0;
}

ALWAYS_INLINE void
round_levels(const struct lanes_levels *l, float *restrict y, size_t n)
{
        const float low = l->low, high = l->high, step = l->step, inverse = 1 / step;

        for (size_t i = 0; i < n; i++) {
                float v = y[i] < low ? low : y[i];
                v = v > high ? high : v;
                y[i] = low + rounded_to_integer((v - low) * inverse) * step;
        }
}

ALWAYS_INLINE void
sigmoid_gradient(const float *restrict y, float *restrict delta, size_t n)
{
        for (size_t i = 0; i < n; i++)
                delta[i] *= y[i] * (1 - y[i]);
}

ALWAYS_INLINE void
relu_gradient(const float *restrict y, float high, float *restrict delta, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                float kept = y[i] > 0 ? delta[i] : 0;
                delta[i] = y[i] < high ? kept : 0;
        }
}

ALWAYS_INLINE double
error(const float *restrict y, const float *restrict x, size_t n, float scale,
      float *restrict delta)
{
        float part[LANES] = { 0 };
        float rest = 0;
        double sum = 0;
        size_t i = 0;

        for (; i + LANES <= n; i += LANES)
                for (size_t j = 0; j < LANES; j++) {
                        float e = y[i + j] - x[i + j];
                        part[j] += e * e;
                        if (delta != NULL)
                                delta[i + j] = e * scale;
                }
        for (; i < n; i++) {
                float e = y[i] - x[i];
                rest += e * e;
                if (delta != NULL)
                        delta[i] = e * scale;
        }
        for (size_t j = 0; j < LANES; j++)
                sum += (double) part[j];
        return sum + (double) rest;
}

ALWAYS_INLINE void
add(const float *restrict x, float *restrict sum, size_t n)
{
        for (size_t i = 0; i < n; i++)
                sum[i] += x[i];
}

ALWAYS_INLINE void
adam(const struct lanes_adam *a, const float *restrict g, float *restrict m,
     float *restrict v, float *restrict p, size_t n)
{
        const float rate = a->rate, correction = a->correction;

        for (size_t i = 0; i < n; i++) {
                m[i] = ADAM_FIRST * m[i] + (1 - ADAM_FIRST) * g[i];
                v[i] = ADAM_SECOND * v[i] + (1 - ADAM_SECOND) * g[i] * g[i];
                p[i] -= rate * m[i] / (sqrtf(v[i] * correction) + ADAM_EPSILON);
        }
}

ALWAYS_INLINE float
largest(const float *restrict x, size_t n)
{
        float part[LANES] = { 0 }, most = 0;
        size_t i = 0;

        for (; i + LANES <= n; i += LANES)
                for (size_t j = 0; j < LANES; j++) {
                        float v = fabsf(x[i + j]);
                        part[j] = v > part[j] ? v : part[j];
                }
        for (; i < n; i++)
                most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
        for (size_t j = 0; j < LANES; j++)
                most = part[j] > most ? part[j] : most;
        return most;
}

ALWAYS_INLINE void
round_steps(const float *restrict x, float step, float *restrict out, size_t n)
{
        const float inverse = 1 / step;

        for (size_t i = 0; i < n; i++)
                out[i] = rounded_to_integer(x[i] * inverse) * step;
}

/* In squares, so that what is read and written stays in the first cache. */
ALWAYS_INLINE void
transpose(const float *restrict x, size_t x_row, size_t rows, size_t n, float *restrict out,
          size_t out_row)
{
        for (size_t i = 0; i < rows; i += LANES)
                for (size_t j = 0; j < n; j += LANES) {
                        const size_t high = rows - i < LANES ? rows - i : LANES;
                        const size_t wide = n - j < LANES ? n - j : LANES;
                        for (size_t b = 0; b < wide; b++)
                                for (size_t a = 0; a < high; a++)
                                        out[(j + b) * out_row + i + a] = x[(i + a) * x_row + j + b];
                }
}

#define DEFINE_LANES(SUFFIX, TARGET)                                                    \
TARGET static void                                                                      \
sigmoid_##SUFFIX(float *y, size_t n)                                                    \
{                                                                                       \
        sigmoid(y, n);                                                                  \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
relu_##SUFFIX(float *y, size_t n)                                                       \
{                                                                                       \
        relu(y, n);                                                                     \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
round_levels_##SUFFIX(const struct lanes_levels *l, float *y, size_t n)                 \
{                                                                                       \
        round_levels(l, y, n);                                                          \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
sigmoid_gradient_##SUFFIX(const float *y, float *delta, size_t n)                       \
{                                                                                       \
        sigmoid_gradient(y, delta, n);                                                  \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
relu_gradient_##SUFFIX(const float *y, float high, float *delta, size_t n)              \
{                                                                                       \
        relu_gradient(y, high, delta, n);                                               \
}                                                                                       \
                                                                                        \
TARGET static double                                                                    \
error_##SUFFIX(const float *y, const float *x, size_t n, float scale, float *delta)     \
{                                                                                       \
        return delta != NULL ? error(y, x, n, scale, delta) : error(y, x, n, 0, NULL);  \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
add_##SUFFIX(const float *x, float *sum, size_t n)                                      \
{                                                                                       \
        add(x, sum, n);                                                                 \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
adam_##SUFFIX(const struct lanes_adam *a, const float *g, float *m, float *v, float *p, \
              size_t n)                                                                 \
{                                                                                       \
        adam(a, g, m, v, p, n);                                                         \
}                                                                                       \
                                                                                        \
TARGET static float                                                                     \
largest_##SUFFIX(const float *x, size_t n)                                              \
{                                                                                       \
        return largest(x, n);                                                           \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
round_steps_##SUFFIX(const float *x, float step, float *out, size_t n)                  \
{                                                                                       \
        round_steps(x, step, out, n);                                                   \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
transpose_##SUFFIX(const float *x, size_t x_row, size_t rows, size_t n, float *out,     \
                   size_t out_row)                                                      \
{                                                                                       \
        transpose(x, x_row, rows, n, out, out_row);                                     \
}                                                                                       \
                                                                                        \
static const struct train_lanes lanes_##SUFFIX = {                                      \
        .sigmoid = sigmoid_##SUFFIX,                                                    \
        .relu = relu_##SUFFIX,                                                          \
        .round_levels = round_levels_##SUFFIX,                                          \
        .sigmoid_gradient = sigmoid_gradient_##SUFFIX,                                  \
        .relu_gradient = relu_gradient_##SUFFIX,                                        \
        .error = error_##SUFFIX,                                                        \
        .add = add_##SUFFIX,                                                            \
        .adam = adam_##SUFFIX,                                                          \
        .largest = largest_##SUFFIX,                                                    \
        .round_steps = round_steps_##SUFFIX,                                            \
        .transpose = transpose_##SUFFIX,                                                \
};

DEFINE_LANES_OF_EVERY_CPU

const struct train_lanes *
train_lanes(void)
{
        return LANES_OF_THIS_CPU;
}
