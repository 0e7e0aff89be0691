/* codec/grid_fit.c - grids that suit given values and a given bound. */
#include "codec/grid_fit.h"

#include <math.h>

#include "codec/grid_log.h"
#include "codec/value.h"
#include "codec/value_lanes.h"

#define BLOCK 512

/* Grid integers of a fitted grid lie within this. */
#define FIT_LIMIT ((double) (1 << 29))

/* What one pass gathers. */
struct spread {
        double low, high, smallest;
};

/* Values that the common case below does not cover. */
static void
add_values(enum dtype t, const void *values, size_t n, size_t stride, const uint64_t *without,
           struct value_statistics *s, struct spread *r)
{
        for (size_t at = 0; at < n; at += BLOCK) {
                double x[BLOCK];
                size_t count = n - at < BLOCK ? n - at : BLOCK;
                values_to_doubles(t, (const char *) values + at * stride * dtype_size(t), count,
                                  stride, x);
                for (size_t i = 0; i < count; i++) {
                        double a = fabs(x[i]);
                        s->negatives += signbit(x[i]) != 0;
                        s->zeros += a == 0;
                        if (!(a < INFINITY) || (without != NULL && *without
                                                == value_bits(t, values, (at + i) * stride)))
                                continue;
                        s->finite++;
                        r->low = x[i] < r->low ? x[i] : r->low;
                        r->high = x[i] > r->high ? x[i] : r->high;
                        r->smallest = a > 0 && a < r->smallest ? a : r->smallest;
                }
        }
}

static double
float_of_bits(uint64_t bits)
{
        float  x;
        double d;

        value_put_bits(DTYPE_F32, &x, 0, bits);
        values_to_doubles(DTYPE_F32, &x, 1, 1, &d);
        return d;
}

/* Contiguous float32 that are all finite; false, and nothing added, when they are not. */
static bool
add_finite_floats(const float *x, size_t n, struct value_statistics *s, struct spread *r)
{
        struct float_span span = { .low = INT32_MAX, .high = INT32_MIN, .smallest = UINT32_MAX };

        if (!value_lanes()->span(x, n, &span))
                return false;
        s->negatives += span.negatives;
        s->zeros += span.zeros;
        s->finite += n;
        r->low = fmin(r->low, float_of_bits(value_bits_of_key(DTYPE_F32, span.low)));
        r->high = fmax(r->high, float_of_bits(value_bits_of_key(DTYPE_F32, span.high)));
        if (span.smallest != UINT32_MAX)
                r->smallest = fmin(r->smallest, float_of_bits(span.smallest + 1u));
        return true;
}

void
value_statistics_of(enum dtype t, const void *values, size_t n, size_t stride,
                    const uint64_t *without, struct value_statistics *s)
{
        struct spread r = { INFINITY, -INFINITY, INFINITY };
        bool          common = t == DTYPE_F32 && stride == 1 && without == NULL;
        size_t        width = dtype_size(t), piece = 16384, at = 0;

        *s = (struct value_statistics) { .count = n };
        for (; common && n - at >= VALUE_LANES_BLOCK; at += piece) {
                piece = n - at < piece ? (n - at) / VALUE_LANES_BLOCK * VALUE_LANES_BLOCK : piece;
                const char *from = (const char *) values + at * width;
                if (!add_finite_floats((const float *) from, piece, s, &r))
                        add_values(t, from, piece, 1, NULL, s, &r);
        }
        add_values(t, (const char *) values + at * stride * width, n - at, stride, without, s, &r);
        if (s->finite > 0) {
                s->low = r.low;
                s->high = r.high;
                s->largest = fmax(fabs(r.low), fabs(r.high));
                s->smallest = isfinite(r.smallest) ? r.smallest : 0;
        }
}

/* How short the unit may be made: losing a last part of it costs some bits in
 * every value, a byte more costs eight once. */
static unsigned
unit_bytes(size_t n)
{
        return n <= 48 ? 2 : n <= 16384 ? 3 : n <= 1048576 ? 4 : 5;
}

/* Places G so that LOW … HIGH lie within FIT_LIMIT units; false if they do not. */
static bool
place_origin(struct grid *g, double low, double high)
{
        if (fmax(fabs(low), fabs(high)) < FIT_LIMIT * g->unit) {
                g->origin = 0;
                return true;
        }
        double middle = low / 2 + high / 2;
        for (unsigned nbytes = 2; nbytes <= 9; nbytes++) {
                g->origin = copysign(short_double_below(fabs(middle), nbytes), middle);
                if (fmax(fabs(low - g->origin), fabs(high - g->origin)) < FIT_LIMIT * g->unit)
                        return true;
        }
        return false;
}

bool
grid_fit_linear(enum dtype t, const struct value_statistics *s, double amount, struct grid *g)
{
        /* Rounding to the dtype, and in origin + g * unit. */
        double lost = dtype_rounding(t, s->largest) + s->largest * 0x1p-50;
        double room = amount - lost;

        if (!(room > amount / 16) || !isfinite(s->high - s->low) || s->finite == 0)
                return false;
        *g = (struct grid) { .kind = GRID_LINEAR, .dtype = t };
        for (g->step = GRID_STEP; g->step >= 1; g->step /= 2) {
                double unit = room / ((double) g->step / 2);
                if (!(unit > 0x1p-960) || !isfinite(unit))
                        return false;
                g->unit = short_double_below(unit, unit_bytes(s->count));
                if (place_origin(g, s->low, s->high))
                        return true;
        }
        return false;
}

/* Relative error of rounding to the dtype, away from subnormals. */
static double
relative_rounding(enum dtype t)
{
        return dtype_rounding(t, 1) / 1;
}

/* True when every value of a residual step stays within LOW … HIGH (in log2). */
static bool
steps_fit(const struct grid *g, double low, double high)
{
        double width = (double) g->step * g->unit, centre = log_centre(width);

        return centre - width / 2 >= low && centre + width / 2 <= high;
}

bool
grid_fit_log(enum dtype t, const struct value_statistics *s, double relative, struct grid *g)
{
        double lost = relative_rounding(t) + 1e-12;
        double room = fmin(relative - lost, 0.98);

        if (!(room > relative / 16 && room > lost / 4) || s->smallest == 0)
                return false;
        double low = log2(1 - room), high = log2(1 + room);
        *g = (struct grid) { .kind = GRID_LOG, .dtype = t };
        for (g->step = GRID_STEP; g->step >= 1; g->step /= 2) {
                double unit = (high - low) / (double) g->step;
                do {
                        g->unit = short_double_below(unit, unit_bytes(s->count));
                        unit *= 1 - 0x1p-9;
                } while (!steps_fit(g, low, high));
                if (place_origin(g, log2(s->smallest), log2(s->largest)))
                        return true;
        }
        return false;
}

void
grid_fit_bits(enum dtype t, const void *values, size_t n, size_t stride, struct grid *g)
{
        int64_t  low = INT64_MAX, high = INT64_MIN;
        uint64_t used = 0;

        *g = (struct grid) { .kind = GRID_BITS, .dtype = t, .step = 1 };
        if (dtype_size(t) <= 4)
                return;
        for (size_t at = 0; at < n; at += BLOCK) {
                int64_t key[BLOCK];
                size_t  count = n - at < BLOCK ? n - at : BLOCK;
                values_to_keys(t, (const char *) values + at * stride * dtype_size(t), count,
                               stride, key);
                for (size_t i = 0; i < count; i++) {
                        used |= value_bits_of_key(t, key[i]);
                        low = key[i] < low ? key[i] : low;
                        high = key[i] > high ? key[i] : high;
                }
        }
        g->shift = used == 0 ? 0 : (unsigned) __builtin_ctzll(used);
        grid_fit_width(g, low >> g->shift, high >> g->shift);
}

void
grid_fit_width(struct grid *g, int64_t low, int64_t high)
{
        uint64_t span = (uint64_t) high - (uint64_t) low;

        g->offset = 0;
        g->wide = false;
        if (low == (int32_t) low && high == (int32_t) high)
                return;
        if (span < UINT32_MAX)
                g->offset = (int64_t) ((uint64_t) low + (span + 1) / 2);
        else
                g->wide = true;
}
