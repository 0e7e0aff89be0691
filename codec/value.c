/* codec/value.c - single values of any dtype, as doubles, bits and keys. */
#include "codec/value.h"

#include <math.h>
#include <string.h>

static double
double_of_bits(uint64_t bits)
{
        double x;

        memcpy(&x, &bits, sizeof x);
        return x;
}

static uint64_t
bits_of_double(double x)
{
        uint64_t bits;

        memcpy(&bits, &x, sizeof bits);
        return bits;
}

/* A narrow IEEE-like format: EXPONENT bits of exponent, MANTISSA of mantissa. */
struct narrow {
        unsigned exponent;
        unsigned mantissa;
};

static const struct narrow half = { 5, 10 };
static const struct narrow bfloat = { 8, 7 };

static double
narrow_to_double(struct narrow f, uint16_t bits)
{
        uint64_t sign = (uint64_t) (bits >> 15) << 63;
        unsigned top = (1u << f.exponent) - 1;
        unsigned e = (bits >> f.mantissa) & top;
        uint64_t m = bits & ((1u << f.mantissa) - 1);
        unsigned bias = top >> 1;

        if (e == top)
                return double_of_bits(sign | (uint64_t) 0x7ff << 52 | m << (52 - f.mantissa));
        if (e > 0)
                return double_of_bits(sign | (uint64_t) (e - bias + 1023) << 52
                                      | m << (52 - f.mantissa));
        /* Subnormal: M units of 2^(1 - bias - mantissa), exact in a double. */
        double unit = double_of_bits((uint64_t) (1024 - bias - f.mantissa) << 52);
        return sign ? -((double) m * unit) : (double) m * unit;
}

static uint16_t
narrow_from_double(struct narrow f, double x)
{
        uint64_t bits = bits_of_double(x);
        uint16_t sign = (uint16_t) (bits >> 63 << 15);
        unsigned top = (1u << f.exponent) - 1;
        int      bias = (int) (top >> 1);
        int      e = (int) (bits >> 52 & 0x7ff) - 1023;
        uint64_t m = (bits & (((uint64_t) 1 << 52) - 1)) | (uint64_t) 1 << 52;
        uint16_t infinite = (uint16_t) (top << f.mantissa);

        if (e == 1024)
                return (uint16_t) (sign | infinite
                                   | (m << 12 ? 1u << (f.mantissa - 1) : 0));
        if (e > bias)
                return (uint16_t) (sign | infinite);
        /* Bits below the last place: more of them for subnormals. */
        unsigned drop = 52 - f.mantissa;
        if (e < 1 - bias)
                drop += (unsigned) (1 - bias - e);
        if (drop > 54)
                return sign;
        uint64_t kept = m >> drop, rest = m & (((uint64_t) 1 << drop) - 1);
        uint64_t tie = (uint64_t) 1 << (drop - 1);
        kept += rest > tie || (rest == tie && (kept & 1));
        /* A carry runs on into the exponent, as it should. */
        if (e >= 1 - bias)
                kept += (uint64_t) (e + bias - 1) << f.mantissa;
        return (uint16_t) (sign | kept);
}

uint64_t
value_bits(enum dtype t, const void *values, size_t index)
{
        switch (dtype_size(t)) {
        case 1:
                return ((const uint8_t *) values)[index];
        case 2:
                return ((const uint16_t *) values)[index];
        case 4:
                return ((const uint32_t *) values)[index];
        default:
                return ((const uint64_t *) values)[index];
        }
}

void
value_put_bits(enum dtype t, void *values, size_t index, uint64_t bits)
{
        switch (dtype_size(t)) {
        case 1:
                ((uint8_t *) values)[index] = (uint8_t) bits;
                break;
        case 2:
                ((uint16_t *) values)[index] = (uint16_t) bits;
                break;
        case 4:
                ((uint32_t *) values)[index] = (uint32_t) bits;
                break;
        default:
                ((uint64_t *) values)[index] = bits;
        }
}

static int64_t
sign_extend(uint64_t bits, unsigned width)
{
        unsigned up = 64 - 8 * width;

        return (int64_t) (bits << up) >> up;
}

static bool
dtype_is_unsigned(enum dtype t)
{
        return t >= DTYPE_U8 && t <= DTYPE_U64;
}

/* Its own inverse: negative floats have their magnitude bits turned over.
 * MAGNITUDE has these bits set. */
static int64_t
fold(int64_t key, int64_t magnitude)
{
        return key ^ (key >> 63 & magnitude);
}

int64_t
value_key(enum dtype t, uint64_t bits)
{
        unsigned width = dtype_size(t);
        uint64_t top = (uint64_t) 1 << (8 * width - 1);

        if (dtype_is_float(t))
                return fold(sign_extend(bits, width), (int64_t) (top - 1));
        return sign_extend(dtype_is_unsigned(t) ? bits ^ top : bits, width);
}

uint64_t
value_bits_of_key(enum dtype t, int64_t key)
{
        unsigned width = dtype_size(t);
        uint64_t top = (uint64_t) 1 << (8 * width - 1);
        uint64_t mask = top | (top - 1);

        if (dtype_is_float(t))
                return (uint64_t) fold(sign_extend((uint64_t) key, width), (int64_t) (top - 1)) & mask;
        return (dtype_is_unsigned(t) ? (uint64_t) key ^ top : (uint64_t) key) & mask;
}

#define TO_DOUBLES(TYPE, EXPRESSION)                                    \
        do {                                                            \
                const TYPE *v = values;                                 \
                for (size_t i = 0; i < n; i++) {                        \
                        TYPE x = v[i * stride];                         \
                        out[i] = EXPRESSION;                            \
                }                                                       \
        } while (0)

void
values_to_doubles(enum dtype t, const void *values, size_t n, size_t stride, double *out)
{
        switch (t) {
        case DTYPE_F16:
                TO_DOUBLES(uint16_t, narrow_to_double(half, x));
                break;
        case DTYPE_BF16:
                TO_DOUBLES(uint16_t, narrow_to_double(bfloat, x));
                break;
        case DTYPE_F32:
                TO_DOUBLES(float, (double) x);
                break;
        case DTYPE_F64:
                TO_DOUBLES(double, x);
                break;
        case DTYPE_I8:
                TO_DOUBLES(int8_t, (double) x);
                break;
        case DTYPE_I16:
                TO_DOUBLES(int16_t, (double) x);
                break;
        case DTYPE_I32:
                TO_DOUBLES(int32_t, (double) x);
                break;
        case DTYPE_I64:
                TO_DOUBLES(int64_t, (double) x);
                break;
        case DTYPE_U16:
                TO_DOUBLES(uint16_t, (double) x);
                break;
        case DTYPE_U32:
                TO_DOUBLES(uint32_t, (double) x);
                break;
        case DTYPE_U64:
                TO_DOUBLES(uint64_t, (double) x);
                break;
        default:
                TO_DOUBLES(uint8_t, (double) x);
        }
}

/* C leaves a conversion to an integer that does not fit undefined; here it is
 * the nearest one that does. */
static int64_t
integer_of(double x, int64_t low, int64_t high)
{
        if (!(x > (double) low))
                return x == x ? low : 0;
        return x >= (double) high ? high : (int64_t) x;
}

static uint64_t
unsigned_of(double x)
{
        if (!(x > 0))
                return 0;
        return x >= 0x1p64 ? UINT64_MAX : (uint64_t) x;
}

#define FROM_DOUBLES(TYPE, EXPRESSION)                                  \
        do {                                                            \
                TYPE *v = values;                                       \
                for (size_t i = 0; i < n; i++) {                        \
                        double x = in[i];                               \
                        v[i * stride] = (TYPE) (EXPRESSION);            \
                }                                                       \
        } while (0)

void
values_from_doubles(enum dtype t, const double *in, size_t n, size_t stride, void *values)
{
        switch (t) {
        case DTYPE_F16:
                FROM_DOUBLES(uint16_t, narrow_from_double(half, x));
                break;
        case DTYPE_BF16:
                FROM_DOUBLES(uint16_t, narrow_from_double(bfloat, x));
                break;
        case DTYPE_F32:
                FROM_DOUBLES(float, x);
                break;
        case DTYPE_F64:
                FROM_DOUBLES(double, x);
                break;
        case DTYPE_I8:
                FROM_DOUBLES(int8_t, integer_of(x, INT8_MIN, INT8_MAX));
                break;
        case DTYPE_I16:
                FROM_DOUBLES(int16_t, integer_of(x, INT16_MIN, INT16_MAX));
                break;
        case DTYPE_I32:
                FROM_DOUBLES(int32_t, integer_of(x, INT32_MIN, INT32_MAX));
                break;
        case DTYPE_I64:
                FROM_DOUBLES(int64_t, integer_of(x, INT64_MIN, INT64_MAX));
                break;
        case DTYPE_U16:
                FROM_DOUBLES(uint16_t, integer_of(x, 0, UINT16_MAX));
                break;
        case DTYPE_U32:
                FROM_DOUBLES(uint32_t, integer_of(x, 0, UINT32_MAX));
                break;
        case DTYPE_U64:
                FROM_DOUBLES(uint64_t, unsigned_of(x));
                break;
        default:
                FROM_DOUBLES(uint8_t, integer_of(x, 0, UINT8_MAX));
        }
}

#undef TO_DOUBLES
#undef FROM_DOUBLES

void
values_to_keys(enum dtype t, const void *values, size_t n, size_t stride, int64_t *out)
{
        if (t == DTYPE_F64) {
                const int64_t *v = values;
                for (size_t i = 0; i < n; i++)
                        out[i] = fold(v[i * stride], INT64_MAX);
        } else if (t == DTYPE_F32) {
                const int32_t *v = values;
                for (size_t i = 0; i < n; i++)
                        out[i] = fold(v[i * stride], INT32_MAX);
        } else {
                for (size_t i = 0; i < n; i++)
                        out[i] = value_key(t, value_bits(t, values, i * stride));
        }
}

void
values_from_keys(enum dtype t, const int64_t *in, size_t n, size_t stride, void *values)
{
        if (t == DTYPE_F64) {
                int64_t *v = values;
                for (size_t i = 0; i < n; i++)
                        v[i * stride] = fold(in[i], INT64_MAX);
        } else if (t == DTYPE_F32) {
                int32_t *v = values;
                for (size_t i = 0; i < n; i++)
                        v[i * stride] = (int32_t) fold((int32_t) (uint32_t) in[i], INT32_MAX);
        } else {
                for (size_t i = 0; i < n; i++)
                        value_put_bits(t, values, i * stride, value_bits_of_key(t, in[i]));
        }
}

double
dtype_rounding(enum dtype t, double magnitude)
{
        int digits = t == DTYPE_F16 ? 11 : t == DTYPE_BF16 ? 8 : t == DTYPE_F32 ? 24 : 53;
        int lowest = t == DTYPE_F16 ? -24 : t == DTYPE_BF16 ? -133 : t == DTYPE_F32 ? -149 : -1074;
        int e = lowest + digits;

        if (!dtype_is_float(t))
                return 0;
        if (magnitude > 0)
                frexp(magnitude, &e);
        return ldexp(1.0, (e - digits > lowest ? e - digits : lowest) - 1);
}

void
values_swap(const void *in, size_t n, unsigned width, void *out)
{
        const uint8_t *from = in;
        uint8_t       *to = out;

        for (size_t i = 0; i < n * width; i += width)
                for (unsigned b = 0; b < (width + 1) / 2; b++) {
                        uint8_t low = from[i + b], high = from[i + width - 1 - b];
                        to[i + b] = high;
                        to[i + width - 1 - b] = low;
                }
}
