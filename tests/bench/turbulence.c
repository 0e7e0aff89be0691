/* turbulence.c - a Gaussian field with the energy spectrum of turbulence.
 *
 * White noise, shaped in Fourier space: |u(k)|^2 ~ k^-11/3, so that shells of radius k
 * hold an energy of k^-5/3 (Kolmogorov 1941), times exp(-2 CUTOFF k / EXTENT) to each
 * amplitude for viscosity. */
#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"

/* In place, (N) values STRIDE apart through LINE (2 N: values and roots); radix 2. */
static void
transform_line(float complex *at, size_t n, size_t stride, float complex *line,
               const float complex *root)
{
        for (size_t i = 0, j = 0; i < n; i++) {
                line[j] = at[i * stride];
                size_t bit = n >> 1;
                for (; bit > 0 && (j & bit) != 0; bit >>= 1)
                        j ^= bit;
                j |= bit;
        }
        for (size_t half = 1; half < n; half *= 2)
                for (size_t i = 0; i < n; i += 2 * half)
                        for (size_t k = 0; k < half; k++) {
                                float complex odd = line[i + k + half] * root[k * (n / 2 / half)];
                                line[i + k + half] = line[i + k] - odd;
                                line[i + k] += odd;
                        }
        for (size_t i = 0; i < n; i++)
                at[i * stride] = line[i];
}

/* All three axes; SIGN -1 forth, 1 back (not normalised). */
static void
transform(float complex *field, size_t n, double sign)
{
        float complex *line = bench_memory(n * sizeof *line);
        float complex *root = bench_memory(n * sizeof *root);

        for (size_t i = 0; i < n; i++)
                root[i] = (float complex) cexp(sign * 2 * acos(-1) * I * (double) i / (double) n);
        for (size_t i = 0; i < n * n; i++) {
                transform_line(field + i * n, n, 1, line, root);
        }
        for (size_t i = 0; i < n * n; i++) {
                transform_line(field + i / n * n * n + i % n, n, n, line, root);
        }
        for (size_t i = 0; i < n * n; i++)
                transform_line(field + i, n, n * n, line, root);
        free(line);
        free(root);
}

static double
wave_number(size_t i, size_t n)
{
        return i <= n / 2 ? (double) i : (double) i - (double) n;
}

static void
shape_spectrum(float complex *field, size_t n, double cutoff)
{
        for (size_t i = 0; i < n * n * n; i++) {
                double x = wave_number(i % n, n), y = wave_number(i / n % n, n);
                double z = wave_number(i / n / n, n), k = sqrt(x * x + y * y + z * z);
                double amplitude = k == 0 ? 0
                        : pow(k, -11.0 / 6) * exp(-2 * cutoff * k / (double) n);
                field[i] *= (float) amplitude;
        }
}

float *
bench_turbulence(size_t extent, double cutoff, uint64_t seed)
{
        size_t         count = extent * extent * extent;
        float complex *field = bench_memory(count * sizeof *field);
        float         *out = bench_memory(count * sizeof *out);
        double         squares = 0;

        for (size_t i = 0; i < count; i++) {            /* Box and Muller */
                double u = bench_random_unit(&seed), v = bench_random_unit(&seed);
                field[i] = (float) (sqrt(-2 * log(u)) * cos(2 * acos(-1) * v));
        }
        transform(field, extent, -1);
        shape_spectrum(field, extent, cutoff);
        transform(field, extent, 1);
        for (size_t i = 0; i < count; i++)
                squares += (double) crealf(field[i]) * crealf(field[i]);
        for (size_t i = 0; i < count; i++)
                out[i] = crealf(field[i]) / (float) sqrt(squares / (double) count);
        free(field);
        return out;
}
