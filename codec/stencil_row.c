/* codec/stencil_row.c - a stencil applied to one row.  See codec/stencil.h.
 *
 * Sums are kept in doubles.  Products of 32-bit values with coefficients whose
 * magnitudes sum to 2^19 stay below 2^51, so every sum is an exact integer, in
 * whatever order and with whatever instructions it is made.
 */
#include "codec/stencil_lanes.h"

#include <stdatomic.h>
#include <stdlib.h>

#define FASTEST (AXES - 1)

static inline size_t
clamped(size_t index, int offset, size_t extent)
{
        ptrdiff_t i = (ptrdiff_t) index + offset;
        return i < 0 ? 0 : (size_t) i >= extent ? extent - 1 : (size_t) i;
}

static const int32_t *
row_at(const int32_t *array, const size_t extent[AXES], const size_t index[AXES - 1])
{
        size_t flat = (index[0] * extent[1] + index[1]) * extent[2] + index[2];
        return array + flat * extent[FASTEST];
}

static void
add_source(struct row_stencil *r, const int32_t *row, size_t length, int shift, int32_t coefficient)
{
        if (coefficient != 0)
                r->source[r->nsources++] = (struct row_source) {
                        row, (ptrdiff_t) length, shift, coefficient };
}

static void
add_even(struct row_stencil *r, const struct pass *p, const int32_t *even,
         const size_t index[AXES - 1], const int8_t offset[AXES], int32_t coefficient)
{
        size_t at[AXES - 1];
        for (unsigned a = 0; a < FASTEST; a++)
                at[a] = clamped(index[a], offset[a], p->even[a]);
        add_source(r, row_at(even, p->even, at), p->even[FASTEST], offset[FASTEST], coefficient);
}

/* False when the target lies before the first row along its leading axis. */
static bool
add_odd(struct row_stencil *r, const struct pass *p, const int32_t *odd,
        const size_t index[AXES - 1], const int8_t offset[AXES], int32_t coefficient)
{
        size_t at[AXES - 1];
        bool leading = true;
        for (unsigned a = 0; a < FASTEST; a++) {
                if (leading && offset[a] != 0) {
                        leading = false;
                        if (index[a] < (size_t) -offset[a])
                                return false;
                }
                at[a] = clamped(index[a], offset[a], p->odd[a]);
        }
        add_source(r, row_at(odd, p->odd, at), p->odd[FASTEST], offset[FASTEST], coefficient);
        return true;
}

static void
replace_odd(struct row_stencil *r, const struct pass *p, const int32_t *even,
            const size_t index[AXES - 1], int32_t coefficient)
{
        if (p->axis == BASE_PASS) {
                r->serial[0] += coefficient;
                return;
        }
        int8_t offset[AXES] = { 0 };
        add_even(r, p, even, index, offset, coefficient - coefficient / 2);
        offset[p->axis] = 1;
        add_even(r, p, even, index, offset, coefficient / 2);
}

static bool
is_serial(const struct term *t)
{
        return !t->even && t->offset[0] == 0 && t->offset[1] == 0 && t->offset[2] == 0;
}

void
stencil_row(const struct pass *p, const struct term_list *list, const struct stencil *s,
            const int32_t *even, const int32_t *odd, const size_t index[AXES - 1],
            struct row_stencil *out)
{
        memset(out->serial, 0, sizeof out->serial);
        out->nsources = 0;
        out->shift = s->shift;
        for (unsigned i = 0; i < s->nterms; i++) {
                const struct term *t = &list->term[i];
                int32_t c = s->coefficient[i];
                if (c == 0)
                        continue;
                if (is_serial(t))
                        out->serial[-t->offset[FASTEST] - 1] += c;
                else if (t->even)
                        add_even(out, p, even, index, t->offset, c);
                else if (!add_odd(out, p, odd, index, t->offset, c))
                        replace_odd(out, p, even, index, c);
        }
        const int32_t *here = odd == NULL ? NULL : row_at(odd, p->odd, index);
        out->first = here == odd ? 0 : *(here - p->odd[FASTEST]);
}

/* True when neither row INDEX nor the one before it on axis 2 has a term outside on
 * that axis, so that all terms just move on by a row. */
static bool
moves_on(const struct pass *p, const size_t index[AXES - 1])
{
        size_t extent = p->odd[2];
        if (p->axis != BASE_PASS && p->even[2] < extent)
                extent = p->even[2];
        return index[2] > STENCIL_REACH && index[2] + STENCIL_REACH < extent;
}

void
stencil_next_row(const struct pass *p, const struct term_list *list, const struct stencil *s,
                 const int32_t *even, const int32_t *odd, const size_t index[AXES - 1],
                 struct row_stencil *r)
{
        if (!moves_on(p, index)) {
                stencil_row(p, list, s, even, odd, index, r);
                return;
        }
        for (unsigned i = 0; i < r->nsources; i++)
                r->source[i].row += r->source[i].length;
        r->first = *(row_at(odd, p->odd, index) - p->odd[FASTEST]);
}

/* ---- sums ---- */

/* Targets for which no term is clamped: LO to HI. */
static void
inner_range(const struct row_stencil *r, size_t n, size_t *lo, size_t *hi)
{
        ptrdiff_t from = 0, to = (ptrdiff_t) n;
        for (unsigned i = 0; i < r->nsources; i++) {
                const struct row_source *s = &r->source[i];
                if (-s->shift > from)
                        from = -s->shift;
                if (s->length - s->shift < to)
                        to = s->length - s->shift;
        }
        *lo = from < (ptrdiff_t) n ? (size_t) from : n;
        *hi = to > (ptrdiff_t) *lo ? (size_t) to : *lo;
}

static double
sum_at_edge(const struct row_stencil *r, size_t x)
{
        double sum = 0;
        for (unsigned i = 0; i < r->nsources; i++) {
                const struct row_source *s = &r->source[i];
                size_t at = clamped(x, (int) s->shift, (size_t) s->length);
                sum += (double) s->coefficient * s->row[at];
        }
        return sum;
}

/* A row to the left of which FIRST stands. */
static double
value_to_left(const struct row_stencil *r, const int32_t *row, size_t x, unsigned back)
{
        return x >= back ? row[x - back] : r->first;
}

void
stencil_values(const struct pass *p, const struct term_list *list,
               const int32_t *even, const int32_t *odd, const size_t index[AXES - 1],
               size_t from, size_t n, size_t stride, double *value)
{
        const int32_t *here = row_at(odd, p->odd, index);
        for (unsigned t = 0; t < list->count; t++) {
                struct stencil unit = { .nterms = t + 1 };
                struct row_stencil r;
                unit.coefficient[t] = 2;
                stencil_row(p, list, &unit, even, odd, index, &r);
                for (size_t i = 0; i < n; i++) {
                        double sum = sum_at_edge(&r, from + i);
                        for (unsigned k = 0; k < 3; k++)
                                if (r.serial[k] != 0)
                                        sum += r.serial[k] * value_to_left(&r, here, from + i, k + 1);
                        value[t * stride + i] = sum / 2;
                }
        }
}

/* The fastest loops for this CPU, or what the environment variable CAEFS_SIMD says:
 * scalar, avx2 or avx512. */
static const struct stencil_lanes *
choose_lanes(void)
{
#if defined(__x86_64__)
        const char *wish = getenv("CAEFS_SIMD");
        bool any = wish == NULL;
        if ((any || strcmp(wish, "avx512") == 0) && __builtin_cpu_supports("avx512f") &&
            __builtin_cpu_supports("avx512vl"))
                return &stencil_lanes_avx512;
        if ((any || strncmp(wish, "avx", 3) == 0) && __builtin_cpu_supports("avx2"))
                return &stencil_lanes_avx2;
#endif
        return &stencil_lanes_plain;
}

static const struct stencil_lanes *
lanes(void)
{
        static const struct stencil_lanes *_Atomic chosen;
        const struct stencil_lanes *l = chosen;
        if (l == NULL)
                chosen = l = choose_lanes();
        return l;
}

static void
sum_row(const struct row_stencil *r, size_t n, double *sum)
{
        size_t lo, hi;
        inner_range(r, n, &lo, &hi);
        for (size_t x = 0; x < lo; x++)
                sum[x] = sum_at_edge(r, x);
        for (size_t x = hi; x < n; x++)
                sum[x] = sum_at_edge(r, x);
        lanes()->sum(r, lo, hi, sum);
}

/* At the ends of a row, where sources are clamped. */
static void
rebuild_edge(const struct row_stencil *r, size_t x, const int32_t *residual, int32_t step,
             int32_t *row)
{
        uint64_t sum = (uint64_t) (int64_t) sum_at_edge(r, x) + half_of_shift(r->shift);
        uint32_t p = (uint32_t) (sum >> r->shift);
        if (residual != NULL)
                p += (uint32_t) residual[x] * (uint32_t) step;
        row[x] = (int32_t) p;
}

static void
rebuild_independent(const struct row_stencil *r, size_t n, const int32_t *residual, int32_t step,
                    int32_t *row)
{
        size_t lo, hi;
        inner_range(r, n, &lo, &hi);
        for (size_t x = 0; x < lo; x++)
                rebuild_edge(r, x, residual, step, row);
        for (size_t x = hi; x < n; x++)
                rebuild_edge(r, x, residual, step, row);
        lanes()->rebuild(r, lo, hi, residual, step, row);
}

/* ---- rebuilding ---- */

static bool
has_serial(const struct row_stencil *r)
{
        return (r->serial[0] | r->serial[1] | r->serial[2]) != 0;
}

static inline int32_t
serial_prediction(const struct row_stencil *r, double sum, const int32_t left[3])
{
        uint64_t s = half_of_shift(r->shift) + (uint64_t) (int64_t) sum;
        for (unsigned k = 0; k < 3; k++)
                s += (uint64_t) ((int64_t) r->serial[k] * left[k]);
        return (int32_t) (uint32_t) (s >> r->shift);
}

static void
rebuild_serial(const struct row_stencil *r, size_t n, int32_t step, const int32_t *residual,
               const double *sum, int32_t *row)
{
        int32_t left[3] = { r->first, r->first, r->first };
        for (size_t x = 0; x < n; x++) {
                int32_t p = serial_prediction(r, sum[x], left);
                left[2] = left[1];
                left[1] = left[0];
                row[x] = left[0] = (int32_t) ((uint32_t) p + (uint32_t) residual[x] * (uint32_t) step);
        }
}

void
stencil_rebuild(const struct row_stencil *r, size_t n, int32_t step,
                const int32_t *residual, double *sum, int32_t *row)
{
        if (has_serial(r)) {
                sum_row(r, n, sum);
                rebuild_serial(r, n, step, residual, sum, row);
                return;
        }
        rebuild_independent(r, n, residual, step, row);
}

/* floor((target - prediction + step / 2) / step) by the reciprocal, then put right. */
static inline int32_t
quotient(int32_t target, int32_t prediction, double step, double half, double inverse)
{
        double d = (double) target - prediction + half;
        double q = ((d * inverse) + STENCIL_MAGIC) - STENCIL_MAGIC;
        double rest = d - q * step;
        q += (rest >= step) - (rest < 0);
        return (int32_t) (uint32_t) bits_of_double(q + STENCIL_MAGIC);
}

static void
residual_serial(const struct row_stencil *r, size_t n, int32_t step, const int32_t *target,
                const uint8_t *hole, const double *sum, int32_t *residual, int32_t *row)
{
        double inverse = 1.0 / step, half = step / 2;
        int32_t left[3] = { r->first, r->first, r->first };
        for (size_t x = 0; x < n; x++) {
                int32_t p = serial_prediction(r, sum[x], left);
                residual[x] = hole != NULL && hole[x] ? 0 : quotient(target[x], p, step, half, inverse);
                left[2] = left[1];
                left[1] = left[0];
                row[x] = left[0] = (int32_t) ((uint32_t) p + (uint32_t) residual[x] * (uint32_t) step);
        }
}

void
stencil_residual(const struct row_stencil *r, size_t n, int32_t step,
                 const int32_t *target, const uint8_t *hole, double *sum,
                 int32_t *prediction, int32_t *residual, int32_t *row)
{
        if (has_serial(r)) {
                sum_row(r, n, sum);
                residual_serial(r, n, step, target, hole, sum, residual, row);
                return;
        }
        rebuild_independent(r, n, NULL, step, prediction);
        double inverse = 1.0 / step, half = step / 2;
        for (size_t x = 0; x < n; x++)
                residual[x] = quotient(target[x], prediction[x], step, half, inverse);
        for (size_t x = 0; x < n && hole != NULL; x++)
                residual[x] = hole[x] ? 0 : residual[x];
        for (size_t x = 0; x < n; x++)
                row[x] = (int32_t) ((uint32_t) prediction[x] +
                                    (uint32_t) residual[x] * (uint32_t) step);
}
