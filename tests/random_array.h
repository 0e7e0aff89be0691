/* random_array.h - arrays that look like data, and arrays that look for trouble.
 *
 * Everything follows from the seed, on every machine.  For programs of one thread. */
#ifndef CAEFS_TEST_RANDOM_ARRAY_H
#define CAEFS_TEST_RANDOM_ARRAY_H

#include <math.h>
#include <stdint.h>

#include "codec/value.h"

/* splitmix64: small, seeded, the same everywhere. */
static uint64_t random_state;

static inline uint64_t
random_bits(void)
{
        uint64_t z = random_state += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
}

static inline uint64_t
random_below(uint64_t n)
{
        return random_bits() % n;
}

static inline double
random_unit(void)
{
        return (double) (random_bits() >> 11) * 0x1p-53;
}

/* Floats more often than integers. */
static inline enum dtype
random_dtype(void)
{
        return random_below(3) != 0 ? (enum dtype) (DTYPE_F16 + random_below(4))
                                    : (enum dtype) (DTYPE_F16 + random_below(DTYPE_COUNT - 1));
}

/* Up to NDIM extents whose product is at most MOST; extents of 1 among them. */
static inline struct shape
random_shape(unsigned ndim, size_t most)
{
        struct shape s = { .ndim = ndim };
        size_t       room = 1 + random_below(random_below(4) == 0 ? most : 300);

        for (unsigned i = 0; i < ndim; i++) {
                uint64_t extent = i + 1 == ndim ? room : 1 + random_below(room < 40 ? room : 40);
                if (random_below(12) == 0)
                        extent = 1;
                s.extent[i] = extent;
                room /= extent;
        }
        return s;
}

#define RANDOM_KINDS 21

/* Value I of an array of this kind; the last kind is any bits (values_random). */
static inline double
random_value(unsigned kind, size_t i, double scale)
{
        double smooth = sin((double) i * 0.07) + 0.3 * cos((double) i * 0.011);

        switch (kind) {
        case 0:
                return smooth * scale;
        case 1:
                return (random_unit() - 0.5) * scale;
        case 2:                         /* any magnitude */
                return ldexp(random_unit() - 0.5, (int) random_below(2000) - 1000);
        case 3:
                return 42.5;
        case 4:
                return i % 2 != 0 ? scale : -scale;
        case 5:                         /* one outlier */
                return i == 17 ? 1e30 : smooth;
        case 6:                         /* subnormals and zeros of either sign */
                return random_below(3) == 0 ? (random_below(2) != 0 ? 0.0 : -0.0)
                                            : ldexp(random_unit() - 0.5, -1060);
        case 7:                         /* land mask */
                return i / 37 % 3 == 0 ? 1e20 : smooth * scale;
        case 8:                         /* specials in between */
                return random_below(5) != 0 ? smooth
                        : random_below(2) != 0 ? (double) NAN
                        : random_below(2) != 0 ? (double) INFINITY : -(double) INFINITY;
        case 9:                         /* decimals */
                return rint(smooth * 1000) / 1000;
        case 10:                        /* few values */
                return (double) random_below(4) * 0.1;
        case 11:                        /* zeros and positive values in runs */
                return i / 50 % 2 == 0 ? 0.0 : exp(smooth);
        case 12:                        /* packed integers */
                return rint(smooth * 30000) * 0.01171875 + 273.15;
        case 13:                        /* large offset */
                return 1e9 + smooth;
        case 14:                        /* the largest values there are, of both signs */
                return smooth * 1.3e308;
        case 15:                        /* from 1e-300 to 1e300, smoothly */
                return pow(10, smooth * 230) * (i % 7 == 0 ? -1 : 1);
        case 16:                        /* subnormals of float32 and float16, smoothly */
                return smooth * (i / 64 % 2 == 0 ? 1e-40 : 1e-6);
        case 17:                        /* the same values again and again */
                return sin((double) (i % 61) * 0.3) * scale;
        case 18:                        /* a land mask of NaN */
                return i / 29 % 4 == 0 ? (double) NAN : smooth * scale;
        default:                        /* integers */
                return rint(smooth * 1000);
        }
}

/* COUNT values of dtype D in host byte order; now and then with a NaN with a payload
 * and a negative zero among them. */
static inline void
values_random(enum dtype d, unsigned kind, size_t count, uint8_t *values)
{
        double scale = pow(10, (double) random_below(16) - 8);

        for (size_t i = 0; i < count; i++) {
                double x = random_value(kind, i, scale);
                values_from_doubles(d, &x, 1, 1, values + i * dtype_size(d));
                if (kind == RANDOM_KINDS - 1)   /* NaN payloads and all */
                        value_put_bits(d, values, i, random_bits());
        }
        if (dtype_is_float(d) && random_below(4) == 0) {
                unsigned bits = 8 * dtype_size(d);
                value_put_bits(d, values, random_below(count), ~random_below(8));
                value_put_bits(d, values, random_below(count), (uint64_t) 1 << (bits - 1));
        }
}

/* An amount for this mode: usually sensible, sometimes tiny or huge.  Above 0. */
static inline double
random_amount(enum bound_mode mode)
{
        switch (random_below(12)) {
        case 0:                         /* below one ulp of most values */
                return pow(10, -(double) random_below(300) - 8);
        case 1:                         /* huge */
                return pow(10, (double) random_below(mode == BOUND_ABS ? 309 : 4));
        default:
                if (mode == BOUND_PSNR)
                        return 1 + (double) random_below(200);
                return pow(10, (double) random_below(mode == BOUND_ABS ? 24 : 12) - 12);
        }
}

#endif
