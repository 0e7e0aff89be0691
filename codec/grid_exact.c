/* codec/grid_exact.c - recognising values that were once text or integers.
 *
 * Much data has fewer bits of information than its dtype: it was printed with six
 * digits, packed into 16-bit integers, or stored as double though computed in
 * single precision.  Each function looks at distinct values of a sample and
 * proposes a grid that holds (nearly) all of them exactly.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/grid_fit.h"
#include "codec/value.h"

#define SAMPLE 2048

/* Distinct finite values of a sample, other than zero. */
struct sample {
        enum dtype dtype;
        size_t     n;
        double     value[SAMPLE];
};

static int
compare_doubles(const void *a, const void *b)
{
        double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

static void
sample_take(enum dtype t, const void *values, size_t n, size_t stride, struct sample *s)
{
        size_t step = n / SAMPLE + 1, taken = 0;

        s->dtype = t;
        for (size_t i = 0; i < n && taken < SAMPLE; i += step) {
                double x;
                values_to_doubles(t, (const char *) values + i * stride * dtype_size(t), 1, 1, &x);
                if (isfinite(x) && x != 0)
                        s->value[taken++] = x;
        }
        qsort(s->value, taken, sizeof s->value[0], compare_doubles);
        s->n = 0;
        for (size_t i = 0; i < taken; i++)
                if (i == 0 || s->value[i] != s->value[i - 1])
                        s->value[s->n++] = s->value[i];
}

/* Whether X comes back from G, which is wide, as it was. */
static bool
is_held(const struct grid *g, double x)
{
        char    was[8], is[8];
        int64_t integer;
        uint8_t hole = 0;

        values_from_doubles(g->dtype, &x, 1, 1, was);
        grid_forward(g, was, 1, 1, &integer, &hole);
        grid_inverse(g, &integer, 1, 1, is);
        return hole == 0 && memcmp(was, is, dtype_size(g->dtype)) == 0;
}

/* All but one in 32 values of the sample come back from G as they were. */
static bool
sample_fits(const struct sample *s, const struct grid *g)
{
        struct grid as_wide = *g;
        size_t      spared = s->n / 32;

        as_wide.wide = true;
        as_wide.offset = 0;
        for (size_t i = 0; i < s->n; i++)
                if (!is_held(&as_wide, s->value[i]) && spared-- == 0)
                        return false;
        return s->n > 0;
}

/* Significant decimal digits that say less than the dtype's own. */
static unsigned
useful_digits(enum dtype t)
{
        return t == DTYPE_F64 ? GRID_DIGITS_LIMIT : t == DTYPE_F32 ? 7 : 3;
}

bool
grid_fit_single(enum dtype t, const void *values, size_t n, size_t stride, struct grid *g)
{
        struct sample s;

        if (t != DTYPE_F64)
                return false;
        *g = (struct grid) { .kind = GRID_SINGLE, .dtype = t, .step = 1 };
        sample_take(t, values, n, stride, &s);
        return sample_fits(&s, g);
}

bool
grid_fit_decimal(enum dtype t, const void *values, size_t n, size_t stride,
                 const struct value_statistics *stats, struct grid *g)
{
        struct sample s;
        double        limit = powers_of_ten[useful_digits(t)];

        if (!dtype_is_float(t))
                return false;
        sample_take(t, values, n, stride, &s);
        for (int d = -3; d <= GRID_POWERS; d++) {
                double scale = d < 0 ? 1 / powers_of_ten[-d] : powers_of_ten[d];
                if (stats->largest * scale >= limit)
                        return false;
                *g = (struct grid) { .kind = GRID_DECIMAL, .dtype = t, .step = 1, .exponent = d };
                if (!sample_fits(&s, g))
                        continue;
                grid_fit_width(g, (int64_t) rint(stats->low * scale),
                               (int64_t) rint(stats->high * scale));
                return true;
        }
        return false;
}

/* Exponent of the lowest bit that is set in X. */
static int
lowest_bit(double x)
{
        int      e;
        uint64_t m = (uint64_t) ldexp(fabs(frexp(x, &e)), 53);

        return e - 53 + __builtin_ctzll(m);
}

bool
grid_fit_binary(enum dtype t, const void *values, size_t n, size_t stride,
                const struct value_statistics *stats, struct grid *g)
{
        struct sample s;
        int           lowest = INT32_MAX;

        if (!dtype_is_float(t))
                return false;
        sample_take(t, values, n, stride, &s);
        for (size_t i = 0; i < s.n; i++) {
                int e = lowest_bit(s.value[i]);
                lowest = e < lowest ? e : lowest;
        }
        if (s.n == 0 || lowest < -1000 || lowest > 1000
            || stats->largest >= ldexp(1, lowest + 31))
                return false;
        *g = (struct grid) { .kind = GRID_DECIMAL, .dtype = t, .step = 1, .exponent = lowest,
                             .binary = true };
        grid_fit_width(g, (int64_t) ldexp(stats->low, -lowest),
                       (int64_t) ldexp(stats->high, -lowest));
        return true;
}

bool
grid_fit_digits(enum dtype t, const void *values, size_t n, size_t stride,
                const struct value_statistics *stats, struct grid *g)
{
        struct sample s;

        if (!dtype_is_float(t) || stats->smallest == 0)
                return false;
        sample_take(t, values, n, stride, &s);
        int lowest = (int) floor(log10(stats->smallest));
        int highest = (int) floor(log10(stats->largest));
        for (unsigned p = 1; p <= useful_digits(t); p++) {
                int exponent = lowest - (int) p + 1;
                if (exponent < -400 || exponent > 400)
                        return false;
                *g = (struct grid) { .kind = GRID_DIGITS, .dtype = t, .step = 1, .digits = p,
                                     .exponent = exponent };
                if (!sample_fits(&s, g))
                        continue;
                /* Twice what the decades hold is a safe limit for the largest. */
                double most = 9 * powers_of_ten[p - 1] * (highest - lowest + 2);
                if (most > 0x1p62)
                        return false;
                grid_fit_width(g, stats->low < 0 ? -(int64_t) most : 0,
                               stats->high > 0 ? (int64_t) most : 0);
                return true;
        }
        return false;
}

/* ---- few distinct values ---- */

static int
compare_keys(const void *a, const void *b)
{
        int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;

        return (x > y) - (x < y);
}

/* An open hash of keys, at most half full. */
struct key_set {
        int64_t *slot;
        uint8_t *used;
        size_t   mask;
        size_t   n;
};

static void
key_set_add(struct key_set *set, int64_t key)
{
        size_t at = (size_t) ((uint64_t) key * 0x9e3779b97f4a7c15 >> 20) & set->mask;

        while (set->used[at] && set->slot[at] != key)
                at = (at + 1) & set->mask;
        set->n += !set->used[at];
        set->used[at] = 1;
        set->slot[at] = key;
}

enum caefs_err
grid_fit_table(enum dtype t, const void *values, size_t n, size_t stride, size_t limit,
               struct arena *arena, struct grid *g, bool *fits)
{
        size_t         room = 16;
        struct key_set set;

        *fits = false;
        while (room < 2 * limit + 2)
                room *= 2;
        set = (struct key_set) { .slot = arena_array(arena, room, sizeof(int64_t)),
                                 .used = arena_alloc(arena, room), .mask = room - 1 };
        if (set.slot == NULL || set.used == NULL)
                return CAEFS_ERR_NOMEM;
        memset(set.used, 0, room);
        for (size_t i = 0; i < n && set.n <= limit; i++)
                key_set_add(&set, value_key(t, value_bits(t, values, i * stride)));
        if (set.n > limit)
                return CAEFS_OK;
        size_t count = 0;
        for (size_t at = 0; at < room; at++)
                if (set.used[at])
                        set.slot[count++] = set.slot[at];
        qsort(set.slot, count, sizeof set.slot[0], compare_keys);
        *g = (struct grid) { .kind = GRID_TABLE, .dtype = t, .step = 1, .table = set.slot,
                             .ntable = (uint32_t) count };
        *fits = true;
        return CAEFS_OK;
}

/* ---- packed integers ---- */

static double
table_value(const struct grid *table, size_t i)
{
        char   value[8];
        double x;

        value_put_bits(table->dtype, value, 0, value_bits_of_key(table->dtype, table->table[i]));
        values_to_doubles(table->dtype, value, 1, 1, &x);
        return x;
}

/* The table's values and how far rounding to the dtype may have moved each. */
struct packed_values {
        size_t  n;
        double *x;
        double *slack;
        double *k;                      /* integer of each */
};

/* Numbers the values: walks up from the first, narrowing the unit down to what
 * all so far allow, so that no number is ever in doubt. */
static bool
number_packed(struct packed_values *v, double unit)
{
        double widest = fmax(v->slack[0], v->slack[v->n - 1]);
        double low = unit - 4 * widest, high = unit + 4 * widest;

        v->k[0] = 0;
        for (size_t i = 1; i < v->n; i++) {
                double distance = v->x[i] - v->x[0], slack = v->slack[i] + v->slack[0];
                v->k[i] = rint(distance / unit);
                if (v->k[i] <= v->k[i - 1] || (high - low) * v->k[i] > unit)
                        return false;
                low = fmax(low, (distance - slack) / v->k[i]);
                high = fmin(high, (distance + slack) / v->k[i]);
                if (low > high)
                        return false;
                unit = low / 2 + high / 2;
        }
        return true;
}

/* For a unit, the origins that round to every value form an interval; returns its
 * width (negative: there are none) and its middle. */
static double
origins_of(const struct packed_values *v, double unit, double *origin)
{
        double low = -INFINITY, high = INFINITY;

        for (size_t i = 0; i < v->n; i++) {
                double at = v->x[i] - v->k[i] * unit;
                low = fmax(low, at - v->slack[i]);
                high = fmin(high, at + v->slack[i]);
        }
        *origin = low / 2 + high / 2;
        return high - low;
}

/* The width is concave in the unit: ternary search. */
static bool
solve_packed(const struct packed_values *v, double *unit, double *origin)
{
        double most = v->k[v->n - 1], span = v->x[v->n - 1] - v->x[0];
        double slack = v->slack[0] + v->slack[v->n - 1];
        double low = (span - slack) / most, high = (span + slack) / most;

        for (int i = 0; i < 60; i++) {
                double third = (high - low) / 3, a = low + third, b = high - third;
                if (origins_of(v, a, origin) < origins_of(v, b, origin))
                        low = a;
                else
                        high = b;
        }
        *unit = low / 2 + high / 2;
        return origins_of(v, *unit, origin) > 0;
}

enum caefs_err
grid_fit_packed(const struct grid *table, struct arena *arena, struct grid *g, bool *fits)
{
        size_t               n = table->ntable;
        struct packed_values v = { .n = n, .x = arena_array(arena, n, sizeof(double)),
                                   .slack = arena_array(arena, n, sizeof(double)),
                                   .k = arena_array(arena, n, sizeof(double)) };
        double               unit = INFINITY, origin;

        *fits = false;
        if (v.x == NULL || v.slack == NULL || v.k == NULL)
                return CAEFS_ERR_NOMEM;
        if (n < 16 || !dtype_is_float(table->dtype))
                return CAEFS_OK;
        for (size_t i = 0; i < n; i++) {
                v.x[i] = table_value(table, i);
                if (!isfinite(v.x[i]))
                        return CAEFS_OK;
                v.slack[i] = dtype_rounding(table->dtype, fabs(v.x[i]));
                if (i > 0)
                        unit = fmin(unit, v.x[i] - v.x[i - 1]);
        }
        if (!(unit > 0) || (v.x[n - 1] - v.x[0]) / unit > 0x1p30 || !number_packed(&v, unit)
            || !solve_packed(&v, &unit, &origin))
                return CAEFS_OK;
        *g = (struct grid) { .kind = GRID_LINEAR, .dtype = table->dtype, .step = 1,
                             .origin = origin, .unit = unit };
        *fits = true;
        return CAEFS_OK;
}
