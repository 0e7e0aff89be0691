/* codec/grid.c - values become integers, and back.
 *
 * Values are handled in blocks through a small buffer of doubles or keys, so that
 * each kind is one plain loop whatever the dtype and stride.
 */
#include "codec/grid.h"

#include <math.h>
#include <string.h>

#include "codec/grid_lanes.h"
#include "codec/grid_log.h"
#include "codec/pack.h"
#include "codec/value.h"

#define BLOCK 512

/* Grid integers of the lossy kinds stay within this, so that differences of a
 * few of them seldom wrap. */
#define NARROW_LIMIT ((double) (1 << 30))

const double powers_of_ten[GRID_POWERS + 1] = {
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/* ---- short doubles ---- */

static uint64_t
reverse_bits(uint64_t v)
{
        uint64_t r = 0;

        for (int i = 0; i < 64; i++)
                r |= (v >> i & 1) << (63 - i);
        return r;
}

double
short_double_below(double x, unsigned nbytes)
{
        uint64_t bits;

        memcpy(&bits, &x, sizeof bits);
        bits &= ~(uint64_t) 0 << (64 - 7 * nbytes);
        memcpy(&x, &bits, sizeof x);
        return x;
}

void
bytes_put_short_double(struct bytes *b, double x)
{
        uint64_t bits;

        memcpy(&bits, &x, sizeof bits);
        bytes_put_varint(b, reverse_bits(bits));
}

double
cursor_short_double(struct cursor *c)
{
        uint64_t bits = reverse_bits(cursor_varint(c));
        double   x;

        memcpy(&x, &bits, sizeof x);
        return x;
}

/* ---- integers of either width ---- */

static void
integers_load(bool wide, const void *integers, size_t n, size_t stride, int64_t *out)
{
        if (wide) {
                const int64_t *v = integers;
                for (size_t i = 0; i < n; i++)
                        out[i] = v[i * stride];
        } else {
                const int32_t *v = integers;
                for (size_t i = 0; i < n; i++)
                        out[i] = v[i * stride];
        }
}

static void
integers_store(bool wide, const int64_t *in, size_t n, size_t stride, void *integers)
{
        if (wide) {
                int64_t *v = integers;
                for (size_t i = 0; i < n; i++)
                        v[i * stride] = in[i];
        } else {
                int32_t *v = integers;
                for (size_t i = 0; i < n; i++)
                        v[i * stride] = (int32_t) in[i];
        }
}

/* ---- forward, a block at a time: OUT and whether the value is held ---- */

/* Down where the step is even, else to nearest: residual steps then reach equally far
 * to both sides (rebuilt - g runs from 1 - step/2 to step/2). */
static struct grid_line
line_of(const struct grid *g)
{
        return (struct grid_line) {
                .origin = g->origin,
                .unit = g->unit,
                .inverse = 1 / g->unit,
                .shift = g->step % 2 == 0 ? -0.5 : 0,
                .limit = NARROW_LIMIT,
        };
}

static void
forward_scaled(const struct grid *g, const double *x, size_t n, int64_t *out, uint8_t *missed)
{
        struct grid_line line = line_of(g);

        for (size_t i = 0; i < n; i++) {
                double q = (x[i] - line.origin) * line.inverse + line.shift;
                bool   held = fabs(q) < line.limit;
                out[i] = held ? (int64_t) ((q + 0x1.8p52) - 0x1.8p52) : 0;
                missed[i] |= !held;
        }
}

static void
forward_log(const struct grid *g, const double *x, size_t n, int64_t *out, uint8_t *missed)
{
        double y[BLOCK];

        log2_block(x, n, y);
        forward_scaled(g, y, n, out, missed);
        for (size_t i = 0; i < n; i++)
                missed[i] |= !isnormal(x[i]);
}

/* Key minus offset, if it fits. */
static void
forward_shifted(const struct grid *g, size_t n, int64_t *out, uint8_t *missed)
{
        for (size_t i = 0; i < n; i++) {
                int64_t v = (int64_t) ((uint64_t) out[i] - (uint64_t) g->offset);
                bool    held = g->wide || v == (int32_t) v;
                out[i] = held ? v : 0;
                missed[i] |= !held;
        }
}

static double
scale_of(const struct grid *g)
{
        return g->binary ? ldexp(1.0, -g->exponent)
                         : g->exponent >= 0 ? powers_of_ten[g->exponent]
                                            : 1 / powers_of_ten[-g->exponent];
}

static void
forward_decimal(const struct grid *g, const double *x, size_t n, int64_t *out, uint8_t *missed)
{
        double scale = scale_of(g);

        for (size_t i = 0; i < n; i++) {
                double q = x[i] * scale;
                bool   held = fabs(q) < 0x1p53;
                double safe = held ? q : 0;
                out[i] = (int64_t) (safe + (safe < 0 ? -0.5 : 0.5));
                missed[i] |= !held;
        }
        forward_shifted(g, n, out, missed);
}

static void
forward_single(const struct grid *g, const double *x, size_t n, int64_t *out, uint8_t *missed)
{
        float single[BLOCK];

        for (size_t i = 0; i < n; i++) {
                single[i] = (float) x[i];
                missed[i] |= (double) single[i] != x[i];
        }
        values_to_keys(DTYPE_F32, single, n, 1, out);
        forward_shifted(g, n, out, missed);
}

/* Position of KEY in the ascending table, or -1. */
static int64_t
table_find(const struct grid *g, int64_t key)
{
        uint32_t low = 0, high = g->ntable;

        while (low < high) {
                uint32_t middle = low + (high - low) / 2;
                if (g->table[middle] < key)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < g->ntable && g->table[low] == key ? (int64_t) low : -1;
}

/* The low bits of a key whose value ends in SHIFT zero bits: a negative float's
 * key has its bits turned over. */
static uint64_t
dropped_bits(const struct grid *g, int64_t key)
{
        return key < 0 && dtype_is_float(g->dtype) ? ((uint64_t) 1 << g->shift) - 1 : 0;
}

static void
forward_keys(const struct grid *g, size_t n, int64_t *out, uint8_t *missed)
{
        if (g->kind == GRID_TABLE) {
                for (size_t i = 0; i < n; i++) {
                        int64_t at = table_find(g, out[i]);
                        missed[i] |= at < 0;
                        out[i] = at < 0 ? 0 : at;
                }
                return;
        }
        uint64_t mask = ((uint64_t) 1 << g->shift) - 1;
        for (size_t i = 0; i < n; i++) {
                missed[i] |= ((uint64_t) out[i] & mask) != dropped_bits(g, out[i]);
                out[i] >>= g->shift;
        }
        forward_shifted(g, n, out, missed);
}

/* 10^(P-1) and the 9 * 10^(P-1) mantissas that each decade has. */
static int64_t
smallest_mantissa(const struct grid *g)
{
        return (int64_t) powers_of_ten[g->digits - 1];
}

/* M * 10^E, correctly rounded while |E| <= 22 and M is below 2^53. */
static double
scale_decimal(double m, int e)
{
        for (; e > GRID_POWERS; e -= GRID_POWERS)
                m *= powers_of_ten[GRID_POWERS];
        for (; e < -GRID_POWERS; e += GRID_POWERS)
                m /= powers_of_ten[GRID_POWERS];
        return e < 0 ? m / powers_of_ten[-e] : m * powers_of_ten[e];
}

static int64_t
digits_of(const struct grid *g, double x, bool *held)
{
        double  a = fabs(x);
        int64_t first = smallest_mantissa(g);

        *held = a < INFINITY;
        if (a == 0 || !*held)
                return 0;
        int decade = (int) floor(log10(a)) - (int) g->digits + 1;
        double m = rint(scale_decimal(a, -decade));
        if (m >= (double) first * 10) {
                m = rint(m / 10);
                decade++;
        }
        *held = m >= (double) first && decade >= g->exponent
                && decade < g->exponent + 800;
        if (!*held)
                return 0;
        int64_t v = (int64_t) m - first + 1 + (int64_t) (decade - g->exponent) * 9 * first;
        return x < 0 ? -v : v;
}

static void
forward_digits(const struct grid *g, const double *x, size_t n, int64_t *out, uint8_t *missed)
{
        for (size_t i = 0; i < n; i++) {
                bool held;
                out[i] = digits_of(g, x[i], &held);
                missed[i] |= !held;
        }
        forward_shifted(g, n, out, missed);
}

static void
forward_block(const struct grid *g, const void *values, size_t n, size_t stride, int64_t *out,
              uint8_t *missed)
{
        double x[BLOCK];

        if (g->kind == GRID_BITS || g->kind == GRID_TABLE) {
                values_to_keys(g->dtype, values, n, stride, out);
                forward_keys(g, n, out, missed);
                return;
        }
        values_to_doubles(g->dtype, values, n, stride, x);
        if (g->kind == GRID_LINEAR)
                forward_scaled(g, x, n, out, missed);
        else if (g->kind == GRID_LOG)
                forward_log(g, x, n, out, missed);
        else if (g->kind == GRID_DECIMAL)
                forward_decimal(g, x, n, out, missed);
        else if (g->kind == GRID_SINGLE)
                forward_single(g, x, n, out, missed);
        else
                forward_digits(g, x, n, out, missed);
}

/* What codec/grid_lanes.h does. */
static bool
is_plain_line(const struct grid *g, size_t stride)
{
        return g->kind == GRID_LINEAR && g->dtype == DTYPE_F32 && !g->wide && g->offset == 0
                && stride == 1;
}

struct grid
grid_of_decoded(const struct grid *g)
{
        struct grid decoded = *g;

        if (g->kind == GRID_LOG)
                decoded.origin += log_centre((double) g->step * g->unit);
        if ((g->kind == GRID_LOG || g->kind == GRID_LINEAR) && g->step % 2 == 0)
                decoded.origin -= 0.5 * g->unit;
        return decoded;
}

void
grid_forward(const struct grid *g, const void *values, size_t n, size_t stride, void *integers,
             uint8_t *hole)
{
        size_t value_size = dtype_size(g->dtype), integer_size = g->wide ? 8 : 4;
        size_t done = is_plain_line(g, stride) ? n / GRID_LANES_BLOCK * GRID_LANES_BLOCK : 0;

        if (done > 0) {
                struct grid_line line = line_of(g);
                grid_lanes()->forward(&line, values, done, integers, hole);
        }
        for (size_t at = done; at < n; at += BLOCK) {
                size_t  count = n - at < BLOCK ? n - at : BLOCK;
                int64_t out[BLOCK];
                uint8_t missed[BLOCK];
                memset(missed, 0, count);
                forward_block(g, (const char *) values + at * stride * value_size, count, stride,
                              out, missed);
                for (size_t i = 0; i < count; i++) {
                        out[i] = missed[i] ? 0 : out[i];
                        hole[(at + i) * stride] |= missed[i];
                }
                integers_store(g->wide, out, count, stride,
                               (char *) integers + at * stride * integer_size);
        }
}

/* ---- inverse ---- */

static void
inverse_scaled(const struct grid *g, const int64_t *k, size_t n, double *x)
{
        for (size_t i = 0; i < n; i++)
                x[i] = (double) k[i] * g->unit + g->origin;
}

static void
inverse_log(const struct grid *g, const int64_t *k, size_t n, double *x)
{
        double y[BLOCK];
        double origin = g->origin + log_centre((double) g->step * g->unit);

        for (size_t i = 0; i < n; i++)
                y[i] = (double) k[i] * g->unit + origin;
        exp2_block(y, n, x);
}

static void
inverse_decimal(const struct grid *g, const int64_t *k, size_t n, double *x)
{
        if (g->binary || g->exponent < 0) {
                double scale = g->binary ? ldexp(1.0, g->exponent) : powers_of_ten[-g->exponent];
                for (size_t i = 0; i < n; i++)
                        x[i] = (double) k[i] * scale;
        } else {
                double divisor = powers_of_ten[g->exponent];
                for (size_t i = 0; i < n; i++)
                        x[i] = (double) k[i] / divisor;
        }
}

static double
digits_value(const struct grid *g, int64_t k)
{
        uint64_t a = k < 0 ? -(uint64_t) k : (uint64_t) k;
        uint64_t first = (uint64_t) smallest_mantissa(g);

        if (a == 0)
                return 0;
        uint64_t decade = (a - 1) / (9 * first), m = (a - 1) % (9 * first) + first;
        double   x = scale_decimal((double) m, g->exponent + (int) (decade < 800 ? decade : 800));
        return k < 0 ? -x : x;
}

static void
inverse_block(const struct grid *g, int64_t *k, size_t n, size_t stride, void *values)
{
        double x[BLOCK];

        for (size_t i = 0; i < n && g->offset != 0; i++)
                k[i] = (int64_t) ((uint64_t) k[i] + (uint64_t) g->offset);
        switch (g->kind) {
        case GRID_TABLE:
                for (size_t i = 0; i < n; i++)
                        k[i] = g->table[k[i] < 0 ? 0 : k[i] < g->ntable ? k[i] : g->ntable - 1];
                values_from_keys(g->dtype, k, n, stride, values);
                return;
        case GRID_BITS:
                for (size_t i = 0; i < n; i++)
                        k[i] = (int64_t) ((uint64_t) k[i] << g->shift | dropped_bits(g, k[i]));
                values_from_keys(g->dtype, k, n, stride, values);
                return;
        case GRID_SINGLE: {
                float single[BLOCK];
                values_from_keys(DTYPE_F32, k, n, 1, single);
                values_to_doubles(DTYPE_F32, single, n, 1, x);
                break;
        }
        case GRID_LOG:
                inverse_log(g, k, n, x);
                break;
        case GRID_DECIMAL:
                inverse_decimal(g, k, n, x);
                break;
        case GRID_DIGITS:
                for (size_t i = 0; i < n; i++)
                        x[i] = digits_value(g, k[i]);
                break;
        default:
                inverse_scaled(g, k, n, x);
        }
        values_from_doubles(g->dtype, x, n, stride, values);
}

void
grid_inverse(const struct grid *g, const void *integers, size_t n, size_t stride, void *values)
{
        size_t value_size = dtype_size(g->dtype), integer_size = g->wide ? 8 : 4;
        size_t done = is_plain_line(g, stride) ? n / GRID_LANES_BLOCK * GRID_LANES_BLOCK : 0;

        if (done > 0) {
                struct grid_line line = line_of(g);
                grid_lanes()->inverse(&line, integers, done, values);
        }
        for (size_t at = done; at < n; at += BLOCK) {
                size_t  count = n - at < BLOCK ? n - at : BLOCK;
                int64_t k[BLOCK];
                integers_load(g->wide, (const char *) integers + at * stride * integer_size, count,
                              stride, k);
                inverse_block(g, k, count, stride, (char *) values + at * stride * value_size);
        }
}
