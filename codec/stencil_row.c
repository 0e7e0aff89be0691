/* codec/stencil_row.c - a stencil applied to one row.  See codec/stencil.h. */
#include <string.h>

#include "codec/rows.h"
#include "codec/stencil_lanes.h"

#define FASTEST (AXES - 1)

static inline size_t
clamped(size_t index, int offset, size_t extent)
{
        ptrdiff_t i = (ptrdiff_t) index + offset;
        return i < 0 ? 0 : (size_t) i >= extent ? extent - 1 : (size_t) i;
}

/* The row beside row INDEX, moved to the nearest one inside. */
static const int32_t *
row_beside(const struct rows *rows, const size_t extent[AXES], const size_t index[AXES - 1],
           const int8_t offset[AXES])
{
        size_t at[AXES - 1];
        for (unsigned a = 0; a < FASTEST; a++)
                at[a] = clamped(index[a], offset[a], extent[a]);
        return row_of(rows, at);
}

/* True when the target that OFFSET leads to lies before the first row. */
static bool
leads_outside(const size_t index[AXES - 1], const int8_t offset[AXES])
{
        unsigned a = 0;
        while (a < FASTEST && offset[a] == 0)
                a++;
        return a < FASTEST && index[a] < (size_t) -offset[a];
}

static void
add_source(struct row_stencil *r, const int32_t *at, size_t stride, int32_t coefficient)
{
        if (coefficient != 0)
                r->source[r->nsources++] = (struct row_source) { at, stride, coefficient };
}

static void
add_even(struct row_stencil *r, const struct pass *p, const struct rows *even,
         const size_t index[AXES - 1], const int8_t offset[AXES], int32_t coefficient)
{
        add_source(r, row_beside(even, p->even, index, offset) + offset[FASTEST], even->stride[2],
                   coefficient);
}

/* In place of a target outside. */
static void
replace_odd(struct row_stencil *r, const struct pass *p, const struct rows *even,
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

static void
add_reference(struct row_stencil *r, const struct pass *p, const struct rows *even,
              const size_t index[AXES - 1])
{
        int32_t all = (int32_t) (UINT32_C(1) << r->shift);
        if (p->axis == BASE_PASS) {
                r->serial[0] -= all;
                r->reference.at = NULL;
                return;
        }
        r->reference = (struct row_source) { row_of(even, index), even->stride[2], 1 };
        add_source(r, r->reference.at, r->reference.stride, -all);
}

static int32_t
first_left(const struct rows *odd, const size_t index[AXES - 1], const struct pass *p)
{
        size_t before[AXES - 1] = { index[0], index[1], index[2] };
        unsigned a = FASTEST;
        while (a > 0 && before[a - 1] == 0)
                a--;
        if (a == 0)
                return 0;
        before[a - 1]--;
        for (; a < FASTEST; a++)
                before[a] = p->odd[a] - 1;
        return *row_of(odd, before);
}

void
stencil_row(const struct pass *p, const struct term_list *list, const struct stencil *s,
            const struct rows *even, const struct rows *odd, const size_t index[AXES - 1],
            struct row_stencil *out)
{
        memset(out->serial, 0, sizeof out->serial);
        out->nsources = 0;
        out->shift = s->shift;
        add_reference(out, p, even, index);
        for (unsigned i = 0; i < s->nterms; i++) {
                const struct term *t = &list->term[i];
                int32_t c = s->coefficient[i];
                if (c == 0)
                        continue;
                if (is_serial(t))
                        out->serial[-t->offset[FASTEST] - 1] += c;
                else if (t->even)
                        add_even(out, p, even, index, t->offset, c);
                else if (leads_outside(index, t->offset))
                        replace_odd(out, p, even, index, c);
                else
                        add_source(out, row_beside(odd, p->odd, index, t->offset) +
                                        t->offset[FASTEST], odd->stride[2], c);
        }
        out->first = p->axis == BASE_PASS ? first_left(odd, index, p) : 0;
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
                 const struct rows *even, const struct rows *odd, const size_t index[AXES - 1],
                 struct row_stencil *r)
{
        if (!moves_on(p, index)) {
                stencil_row(p, list, s, even, odd, index, r);
                return;
        }
        for (unsigned i = 0; i < r->nsources; i++)
                r->source[i].at += r->source[i].stride;
        if (p->axis == BASE_PASS)
                r->first = first_left(odd, index, p);
        else
                r->reference.at += r->reference.stride;
}

/* ---- values for the encoder's fits ---- */

/* What a term stands for at target X; LEFT: the value to the left of it. */
static int32_t
term_value(const struct pass *p, const struct term *t, const struct rows *even,
           const struct rows *odd, const size_t index[AXES - 1], size_t x, int32_t left)
{
        if (t->even)
                return row_beside(even, p->even, index, t->offset)[(ptrdiff_t) x + t->offset[FASTEST]];
        if (is_serial(t) && x < (size_t) -t->offset[FASTEST])
                return left;
        if (!leads_outside(index, t->offset)) {
                size_t at = clamped(x, t->offset[FASTEST], p->odd[FASTEST]);
                return row_beside(odd, p->odd, index, t->offset)[at * odd->point];
        }
        if (p->axis == BASE_PASS)
                return left;
        int8_t behind[AXES] = { 0 };
        behind[p->axis] = 1;
        int32_t a = row_of(even, index)[x];
        int32_t b = row_beside(even, p->even, index, behind)[(ptrdiff_t) x + behind[FASTEST]];
        return (int32_t) (((int64_t) a + b) >> 1);
}

/* A term along a whole window, where nothing has to be replaced. */
static bool
window_of_term(const struct pass *p, const struct term *t, const struct rows *even,
               const struct rows *odd, const size_t index[AXES - 1], size_t from, size_t n,
               const int32_t **at, size_t *point)
{
        ptrdiff_t first = (ptrdiff_t) from + t->offset[FASTEST];
        if (t->even) {
                *at = row_beside(even, p->even, index, t->offset) + first;
                *point = 1;
                return true;
        }
        *point = odd->point;
        if (first < 0 || (size_t) first + n > p->odd[FASTEST] || leads_outside(index, t->offset))
                return false;
        *at = row_beside(odd, p->odd, index, t->offset) + (size_t) first * odd->point;
        return true;
}

static int32_t
reference_of(const struct pass *p, const struct rows *even, const struct rows *odd,
             const size_t index[AXES - 1], size_t x)
{
        if (p->axis != BASE_PASS)
                return row_of(even, index)[x];
        return x > 0 ? row_of(odd, index)[(x - 1) * odd->point] : first_left(odd, index, p);
}

void
stencil_values(const struct pass *p, const struct term_list *list,
               const struct rows *even, const struct rows *odd, const size_t index[AXES - 1],
               size_t from, size_t n, size_t stride, double *value)
{
        for (size_t i = 0; i < n; i++)
                value[i] = reference_of(p, even, odd, index, from + i);
        for (unsigned t = 1; t < list->count; t++) {
                const struct term *term = &list->term[t];
                const int32_t *at;
                size_t point;
                double *to = value + t * stride;
                if (window_of_term(p, term, even, odd, index, from, n, &at, &point)) {
                        for (size_t i = 0; i < n && point == 1; i++)
                                to[i] = (double) at[i] - value[i];
                        for (size_t i = 0; i < n && point > 1; i++)
                                to[i] = (double) at[i * point] - value[i];
                        continue;
                }
                for (size_t i = 0; i < n; i++)
                        to[i] = term_value(p, term, even, odd, index, from + i,
                                           p->axis == BASE_PASS ? (int32_t) value[i] : 0) - value[i];
        }
}

/* ---- rows too short for lanes, and rows that build on themselves ---- */

static inline uint32_t
half_of_shift(unsigned shift)
{
        return shift > 0 ? UINT32_C(1) << (shift - 1) : 0;
}

static uint32_t
sum_at(const struct row_stencil *r, size_t x)
{
        uint32_t sum = half_of_shift(r->shift);
        for (unsigned i = 0; i < r->nsources; i++)
                sum += (uint32_t) r->source[i].coefficient * (uint32_t) r->source[i].at[x];
        return sum;
}

/* Into ROW, which no source reads at or behind X. */
static void
sum_row(const struct stencil_lanes *lanes, const struct row_stencil *r, size_t n, int32_t *row)
{
        if (n >= ROWS_LANES) {
                lanes->sum(r, n, row);
                return;
        }
        for (size_t x = 0; x < n; x++)
                row[x] = (int32_t) sum_at(r, x);
}

/* floor((target - prediction + step / 2) / step), with INVERSE 2^32 / step rounded up;
 * that is off by one at most, and put right. */
static inline int32_t
quotient(int32_t target, int32_t prediction, int32_t step, int64_t inverse)
{
        int64_t d = (int64_t) (int32_t) ((uint32_t) target - (uint32_t) prediction) + step / 2;
        int64_t q = d * inverse >> 32;
        int64_t rest = d - q * step;
        return (int32_t) (q + (rest >= step) - (rest < 0));
}

static inline int32_t
after(int32_t prediction, int32_t residual, int32_t step)
{
        return (int32_t) ((uint32_t) prediction + (uint32_t) residual * (uint32_t) step);
}

/* ROW holds sums; they become values, each from the one before.  What is further left
 * is added first, so that a target waits for one product only.  VALUE is one of P, the
 * prediction. */
#define ROW_BY_ITSELF(r, row, n, VALUE)                                                         \
        do {                                                                                    \
                uint32_t left = (uint32_t) (r)->first, left2 = left, left3 = left;              \
                uint32_t c1 = (uint32_t) (r)->serial[0], c2 = (uint32_t) (r)->serial[1];        \
                uint32_t c3 = (uint32_t) (r)->serial[2];                                        \
                unsigned shift = (r)->shift;                                                    \
                for (size_t x = 0; x < (n); x++) {                                              \
                        uint32_t sum = (uint32_t) (row)[x] + c2 * left2 + c3 * left3;           \
                        int32_t p = (int32_t) (left + (uint32_t)                                \
                                               ((int32_t) (sum + c1 * left) >> shift));         \
                        left3 = left2;                                                          \
                        left2 = left;                                                           \
                        left = (uint32_t) (VALUE);                                              \
                        (row)[x] = (int32_t) left;                                              \
                }                                                                               \
        } while (0)

static inline int32_t
from_reference(const struct row_stencil *r, size_t x, int32_t sum)
{
        return (int32_t) ((uint32_t) r->reference.at[x] + (uint32_t) (sum >> r->shift));
}

void
stencil_rebuild(const struct stencil_lanes *lanes, const struct row_stencil *r, size_t n,
                int32_t step, const int32_t *residual, int32_t *row)
{
        bool by_itself = r->reference.at == NULL;
        if (!by_itself && n >= ROWS_LANES) {
                lanes->rebuild(r, n, step, residual, row);
                return;
        }
        sum_row(lanes, r, n, row);
        if (by_itself)
                ROW_BY_ITSELF(r, row, n, after(p, residual[x], step));
        for (size_t x = 0; x < n && !by_itself; x++)
                row[x] = after(from_reference(r, x, row[x]), residual[x], step);
}

/* With a step of 2^LOG_STEP. */
static void
code_by_itself(const struct row_stencil *r, size_t n, unsigned log_step, const int32_t *target,
               int32_t *residual, int32_t *row)
{
        uint32_t mask = (UINT32_C(1) << log_step) - 1, half = half_of_shift(log_step);
        ROW_BY_ITSELF(r, row, n, (residual[x] = (int32_t) ((uint32_t) target[x] + half - (uint32_t) p) >> log_step,
                                  (uint32_t) target[x] + half - (((uint32_t) target[x] + half - (uint32_t) p) & mask)));
}

void
stencil_residual(const struct stencil_lanes *lanes, const struct row_stencil *r, size_t n,
                 int32_t step, const int32_t *target, const uint8_t *hole, int32_t *residual,
                 int32_t *row)
{
        bool by_itself = r->reference.at == NULL, power = (step & (step - 1)) == 0 && hole == NULL;
        unsigned log_step = (unsigned) __builtin_ctz((unsigned) step);
        if (!by_itself && n >= ROWS_LANES && power) {
                lanes->code(r, n, log_step, target, residual, row);
                return;
        }
        sum_row(lanes, r, n, row);
        if (by_itself && power) {
                code_by_itself(r, n, log_step, target, residual, row);
                return;
        }
        int64_t inverse = ((INT64_C(1) << 32) + step - 1) / step;
#define CODE(x, p) (residual[x] = hole != NULL && hole[x] ? 0 : quotient(target[x], p, step, inverse), \
                    after(p, residual[x], step))
        if (by_itself)
                ROW_BY_ITSELF(r, row, n, CODE(x, p));
        for (size_t x = 0; x < n && !by_itself; x++) {
                int32_t p = from_reference(r, x, row[x]);
                row[x] = CODE(x, p);
        }
#undef CODE
}
