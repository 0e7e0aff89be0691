/* codec/lorenzo.c - the family `lorenzo`: differences on the lattice of the step.
 *
 * Values are first rounded to a lattice, g' = phase + step * k, and then k is
 * predicted from earlier k by differences (codec/difference.h): along any subset
 * of the axes, over hidden strides, and of second order.  A prediction made of
 * lattice points is a lattice point again, so rounding first is a closed loop,
 * and decoding is prefix sums.
 *
 * The phase matters at loose bounds: with the lattice in the right place a
 * smooth field crosses from one lattice point to the next less often.
 */
#include "codec/predict.h"

#include <stdlib.h>
#include <string.h>

#include "codec/cpu.h"
#include "codec/difference.h"
#include "codec/sample.h"
#include "codec/stride.h"

#define MAX_STRIDES 2
#define WINDOW      512          /* values of a sample that follow each other */

/* What SIDE says. */
struct variant {
        unsigned axes;                  /* bit a: differences along axis a */
        bool     second;                /* and once more over lag 1 */
        unsigned nstrides;
        size_t   stride[MAX_STRIDES];
        int64_t  phase;                 /* 0 to step - 1 */
        int64_t  base;                  /* subtracted from k */
};

/* First byte of SIDE. */
#define SIDE_AXES    0x0f
#define SIDE_SECOND  0x10
#define SIDE_STRIDES 5                  /* two bits from here */
#define SIDE_ORIGIN  0x80               /* phase and base follow */

/* The steps that a variant stands for. */
struct steps {
        struct difference step[DIFFERENCE_MAX];
        size_t            count;
};

static void
add_step(struct steps *s, size_t lag, size_t period, size_t limit)
{
        s->step[s->count++] = (struct difference) { lag, period, limit };
}

/* Where no step reaches over lag 1, the values before the first lag have no
 * predecessor at all: these are predicted from their neighbour. */
static void
add_head(struct steps *s, size_t count)
{
        size_t head = count;
        for (size_t i = 0; i < s->count; i++)
                if (s->step[i].lag < head)
                        head = s->step[i].lag;
        if (s->count > 0 && head > 1)
                add_step(s, 1, count, head);
}

static void
steps_of(const struct field_geometry *g, const struct variant *v, struct steps *s)
{
        s->count = 0;
        for (unsigned i = 0; i < v->nstrides; i++)
                add_step(s, v->stride[i], g->count, g->count);
        size_t lag = g->count;
        for (unsigned a = 0; a < g->shape.ndim; a++) {
                size_t period = lag;
                lag /= g->shape.extent[a];
                if ((v->axes >> a & 1) && period > lag)
                        add_step(s, lag, period, period);
        }
        if (v->second && g->count > 1)
                add_step(s, 1, g->count, g->count);
        add_head(s, g->count);
}

/* One row back in coding order, for the context of the residual coder. */
static size_t
row_of(const struct field_geometry *g, const struct variant *v)
{
        if (v->nstrides > 0)
                return v->stride[0];
        unsigned ndim = g->shape.ndim;
        size_t row = ndim > 1 ? g->shape.extent[ndim - 1] : 0;
        return row > 1 && row < g->count ? row : 0;
}

/* ---- decoding ---- */

static enum caefs_err
parse_side(struct cursor *side, const struct field_geometry *g, struct variant *v)
{
        memset(v, 0, sizeof *v);
        uint8_t flags = cursor_u8(side);
        v->axes = flags & SIDE_AXES;
        v->second = flags & SIDE_SECOND;
        v->nstrides = flags >> SIDE_STRIDES & 3;
        if (v->nstrides > MAX_STRIDES)
                return caefs_fail(CAEFS_ERR_CORRUPT, "lorenzo: %u strides", v->nstrides);
        for (unsigned i = 0; i < v->nstrides; i++) {
                v->stride[i] = cursor_varint_max(side, g->count - 1);
                if (v->stride[i] == 0)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "lorenzo: stride out of range");
        }
        if (flags & SIDE_ORIGIN) {
                v->phase = (int64_t) cursor_varint_max(side, (uint64_t) g->step - 1);
                v->base = cursor_signed(side);
        }
        if (side->failed || cursor_left(side) > 0)
                return caefs_fail(CAEFS_ERR_CORRUPT, "lorenzo: parameters are malformed");
        return CAEFS_OK;
}

static enum caefs_err
lorenzo_decode(const struct field_geometry *g, struct cursor *side, struct cursor *coded,
               struct arena *arena, void *grid)
{
        struct variant v;
        enum caefs_err err = parse_side(side, g, &v);
        if (err != CAEFS_OK)
                return err;
        struct residual_segment segment = { g->count, row_of(g, &v), 0 };
        err = g->wide ? residual_decode_wide(coded, grid, &segment, 1, arena)
                      : residual_decode(coded, grid, &segment, 1, arena);
        if (err != CAEFS_OK)
                return err;
        struct steps s;
        steps_of(g, &v, &s);
        uint64_t origin = (uint64_t) v.phase + (uint64_t) v.base * (uint64_t) g->step;
        difference_inverse(s.step, s.count, g->wide, grid, g->count, g->step, (int64_t) origin);
        return CAEFS_OK;
}

/* ---- encoding ---- */

static enum caefs_err
write_side(const struct variant *v, struct bytes *side)
{
        bool origin = v->phase != 0 || v->base != 0;
        bytes_put_u8(side, (uint8_t) (v->axes | (v->second ? SIDE_SECOND : 0) |
                                      v->nstrides << SIDE_STRIDES | (origin ? SIDE_ORIGIN : 0)));
        for (unsigned i = 0; i < v->nstrides; i++)
                bytes_put_varint(side, v->stride[i]);
        if (origin) {
                bytes_put_varint(side, (uint64_t) v->phase);
                bytes_put_signed(side, v->base);
        }
        return side->failed ? caefs_fail(CAEFS_ERR_NOMEM, "lorenzo: no memory") : CAEFS_OK;
}

/* The search's workplace. */
struct search {
        const struct field *field;
        void               *lattice;    /* (count) k */
        bool                changed;    /* parts of it are for other phases than 0 */
        size_t              size;       /* bytes of one integer */
        size_t              nwindows;   /* the sample: windows of equal length */
        size_t              window;
        void               *residual;   /* (nwindows * window) */
        void               *scratch;    /* (DIFFERENCE_MAX * window) */
        struct variant      best;
        double              bits;       /* of the whole field, by the sample */
};

/* k = floor((g - phase + step / 2) / step), by a shift where the step is 2^SHIFT; else
 * the reciprocal may be off by one. */
#define DEFINE_TO_LATTICE(suffix, TARGET)                                               \
TARGET static void                                                                      \
shift_to_lattice##suffix(const int32_t *grid, size_t n, uint32_t half, int shift,       \
                         int32_t *k)                                                    \
{                                                                                       \
        for (size_t i = 0; i < n; i++)                                                  \
                k[i] = (int32_t) ((uint32_t) grid[i] + half) >> shift;                  \
}                                                                                       \
                                                                                        \
TARGET static void                                                                      \
divide_to_lattice##suffix(const int32_t *grid, size_t n, double half, double step,      \
                          int32_t *k)                                                   \
{                                                                                       \
        double inverse = 1.0 / step;                                                    \
        for (size_t i = 0; i < n; i++) {                                                \
                double d = grid[i] + half;                                              \
                double q = (double) (int32_t) (d * inverse);                            \
                double rest = d - q * step;                                             \
                q += (rest >= step) - (rest < 0);                                       \
                k[i] = (int32_t) q;                                                     \
        }                                                                               \
}

DEFINE_TO_LATTICE(_plain, )
#if defined(__x86_64__)
DEFINE_TO_LATTICE(_avx2, TARGET_AVX2)
#endif

/* N values from AT on. */
static void
to_lattice(const struct field *f, int64_t phase, size_t at, size_t n, int32_t *k)
{
        const int32_t *grid = (const int32_t *) f->grid + at;
        int64_t step = f->geometry.step, half = step / 2 - phase;
        bool power = (step & (step - 1)) == 0;
        int shift = __builtin_ctzll((unsigned long long) step);
#if defined(__x86_64__)
        if (cpu_level() != CPU_PLAIN) {
                if (power)
                        shift_to_lattice_avx2(grid, n, (uint32_t) half, shift, k + at);
                else
                        divide_to_lattice_avx2(grid, n, (double) half, (double) step, k + at);
                return;
        }
#endif
        if (power)
                shift_to_lattice_plain(grid, n, (uint32_t) half, shift, k + at);
        else
                divide_to_lattice_plain(grid, n, (double) half, (double) step, k + at);
}

/* What a hole holds while variants are compared: the value before it. */
#define DEFINE_PREVIOUS(T, suffix)                                                      \
static void                                                                             \
previous_into_holes_##suffix(T *k, const uint8_t *hole, size_t at, size_t n)            \
{                                                                                       \
        for (size_t i = at > 0 ? at : 1; i < at + n; i++)                               \
                k[i] = hole[i] ? k[i - 1] : k[i];                                       \
}

DEFINE_PREVIOUS(int32_t, narrow)
DEFINE_PREVIOUS(int64_t, wide)

/* Values AT to AT + n - 1 of the lattice. */
static void
load_lattice(struct search *s, int64_t phase, size_t at, size_t n)
{
        const struct field *f = s->field;
        if (f->geometry.step == 1)
                memcpy((uint8_t *) s->lattice + at * s->size,
                       (const uint8_t *) f->grid + at * s->size, n * s->size);
        else
                to_lattice(f, phase, at, n, s->lattice);
        if (f->hole != NULL && f->geometry.wide)
                previous_into_holes_wide(s->lattice, f->hole, at, n);
        else if (f->hole != NULL)
                previous_into_holes_narrow(s->lattice, f->hole, at, n);
}

/* Not the very first values: they have no predecessors. */
static size_t
window_start(const struct search *s, size_t w)
{
        size_t room = s->field->geometry.count - s->window;
        return sample_window(w, s->nwindows, room);
}

/* What the differences of the sample reach: each window, and each as far back as any
 * of the steps together lead. */
static void
load_sample(struct search *s, const struct steps *steps, int64_t phase)
{
        for (size_t w = 0; w < s->nwindows; w++)
                for (unsigned taken = 0; taken < 1u << steps->count; taken++) {
                        size_t start = window_start(s, w), back = 0;
                        for (unsigned i = 0; i < steps->count; i++)
                                back += taken >> i & 1 ? steps->step[i].lag : 0;
                        if (back < start + s->window)
                                load_lattice(s, phase, start < back ? 0 : start - back,
                                             start < back ? start + s->window - back : s->window);
                }
        load_lattice(s, phase, 0, 1);
}

static int64_t
lattice_at(const struct search *s, size_t i)
{
        return s->field->geometry.wide ? ((const int64_t *) s->lattice)[i]
                                       : ((const int32_t *) s->lattice)[i];
}

static int
compare_int64(const void *a, const void *b)
{
        int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
        return (x > y) - (x < y);
}

/* The base: what the first value, or without differences the middle value, is. */
static int64_t
base_of(const struct search *s, const struct variant *v)
{
        if (v->axes != 0 || v->second || v->nstrides > 0)
                return lattice_at(s, 0);
        int64_t sample[255];
        size_t count = s->field->geometry.count;
        for (size_t i = 0; i < 255; i++)
                sample[i] = lattice_at(s, (size_t) ((double) count * i / 255));
        qsort(sample, 255, sizeof *sample, compare_int64);
        return sample[127];
}

/* Estimated bits of the whole field for a variant, from the sample. */
static double
try_variant(struct search *s, struct variant *v)
{
        const struct field_geometry *g = &s->field->geometry;
        struct steps steps;
        steps_of(g, v, &steps);
        v->base = base_of(s, v);
        size_t total = s->nwindows * s->window;
        for (size_t w = 0; w < s->nwindows; w++) {
                void *residual = (uint8_t *) s->residual + w * s->window * s->size;
                difference_window(steps.step, steps.count, g->wide, s->lattice, window_start(s, w),
                                  s->window, residual, s->scratch);
        }
        if (steps.count == 0)
                difference_forward(NULL, 0, g->wide, s->residual, total, v->base);
        return residual_estimate_sample(s->residual, total, g->wide, g->count);
}

static void
consider(struct search *s, struct variant v)
{
        double bits = try_variant(s, &v);
        if (bits < s->bits) {
                s->bits = bits;
                s->best = v;
        }
}

/* Every subset of the axes (FAST: growing from the fastest axis), and second order. */
static void
search_axes(struct search *s)
{
        unsigned ndim = s->field->geometry.shape.ndim;
        unsigned all = (1u << ndim) - 1;
        for (unsigned axes = 0; axes <= all; axes++) {
                bool grows = ((axes ^ all) & ((axes ^ all) + 1)) == 0;
                if (s->field->effort != EFFORT_FAST || grows)
                        consider(s, (struct variant) { .axes = axes });
        }
        unsigned last = 1u << (ndim - 1);
        consider(s, (struct variant) { .axes = last, .second = true });
        if (ndim > 1 && s->field->effort == EFFORT_MAX)
                consider(s, (struct variant) { .axes = all, .second = true });
}

/* Hidden strides of flat data: each alone, with lag 1, and the best in pairs. */
static void
search_strides(struct search *s, struct arena *arena)
{
        const struct field *f = s->field;
        size_t lag[STRIDE_MAX_FOUND];
        unsigned wanted = f->effort == EFFORT_FAST ? 2 : f->effort == EFFORT_MAX ? 8 : 4;
        unsigned found = stride_search(s->lattice, f->geometry.count, 16, f->effort, arena, lag,
                                       wanted);
        for (unsigned i = 0; i < found; i++) {
                struct variant v = { .nstrides = 1, .stride = { lag[i] } };
                consider(s, v);
                v.axes = 1;
                consider(s, v);
        }
        if (f->effort == EFFORT_FAST || s->best.nstrides != 1)
                return;
        struct variant v = s->best;
        v.nstrides = 2;
        for (unsigned i = 0; i < found; i++) {
                v.stride[1] = lag[i];
                consider(s, v);
        }
}

static void
consider_phase(struct search *s, const struct steps *steps, int64_t phase)
{
        struct variant v = s->best;
        v.phase = phase;
        load_sample(s, steps, phase);
        s->changed = true;
        consider(s, v);
}

/* Other places of the lattice: they matter where most residuals are zero.  Quarters of
 * a step first, then closer to the best. */
static void
search_phases(struct search *s)
{
        const struct field *f = s->field;
        int64_t step = f->geometry.step;
        if (step == 1 || s->bits > 2.0 * (double) f->geometry.count)
                return;
        struct steps steps;
        steps_of(&f->geometry, &s->best, &steps);
        int64_t quarter = step < 4 ? 1 : step / 4;
        for (int64_t p = quarter; p < step; p += quarter)
                consider_phase(s, &steps, p);
        int64_t least = f->effort == EFFORT_FAST ? quarter : quarter / 4;
        for (int64_t by = quarter / 2; by > 0 && by >= least; by /= 2) {
                int64_t at = s->best.phase;
                consider_phase(s, &steps, (at + by) % step);
                consider_phase(s, &steps, (at + step - by) % step);
        }
}

/* The sample: all of a small field, else windows spread over it. */
static enum caefs_err
search_begin(struct search *s, const struct field *f, struct arena *arena)
{
        size_t count = f->geometry.count, sample = sample_size(count, f->effort);
        memset(s, 0, sizeof *s);
        s->field = f;
        s->size = f->geometry.wide ? sizeof(int64_t) : sizeof(int32_t);
        s->window = count <= 2 * sample ? count : WINDOW;
        s->nwindows = count <= 2 * sample ? 1 : sample / WINDOW;
        s->bits = 1e300;
        s->lattice = arena_array(arena, count, s->size);
        s->residual = arena_array(arena, s->nwindows * s->window, s->size);
        s->scratch = arena_array(arena, DIFFERENCE_MAX * s->window, s->size);
        if (s->lattice == NULL || s->residual == NULL || s->scratch == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "lorenzo: no memory for %zu values", count);
        return CAEFS_OK;
}

/* Gives every hole the value that its prediction has: a residual of zero. */
static void
fill_holes(struct search *s, const struct steps *steps)
{
        const struct field *f = s->field;
        for (size_t i = 0; i < f->geometry.count; i++) {
                if (!f->hole[i])
                        continue;
                int64_t zero = 0;
                void *at = (uint8_t *) s->lattice + i * s->size;
                memcpy(at, &zero, s->size);
                difference_window(steps->step, steps->count, f->geometry.wide, s->lattice, i, 1,
                                  s->residual, s->scratch);
                if (f->geometry.wide)
                        *(uint64_t *) at = -*(uint64_t *) s->residual;
                else
                        *(uint32_t *) at = -*(uint32_t *) s->residual;
        }
}

/* Codes the whole field with the best variant; its residuals replace the lattice. */
static enum caefs_err
finish(struct search *s, struct arena *arena, struct prediction *out, double *bits)
{
        const struct field *f = s->field;
        const struct field_geometry *g = &f->geometry;
        struct variant *v = &s->best;
        struct steps steps;
        if (s->changed)
                load_lattice(s, v->phase, 0, g->count);
        steps_of(g, v, &steps);
        int64_t origin = v->base;
        if (f->hole != NULL) {
                difference_forward(NULL, 0, g->wide, s->lattice, g->count, origin);
                fill_holes(s, &steps);
                origin = 0;
        }
        difference_forward(steps.step, steps.count, g->wide, s->lattice, g->count, origin);
        struct residual_segment *segment = arena_alloc(arena, sizeof *segment);
        if (segment == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "lorenzo: no memory");
        *segment = (struct residual_segment) { g->count, row_of(g, v), 0 };
        memset(out, 0, sizeof *out);
        out->residual = s->lattice;
        out->count = g->count;
        out->segment = segment;
        out->nsegments = 1;
        enum caefs_err err = write_side(v, &out->side);
        *bits = sample_estimate(s->lattice, g->count, g->wide, sample_size(g->count, f->effort), arena) +
                8.0 * (double) out->side.size;
        return err;
}

static enum caefs_err
lorenzo_encode(const struct field *f, struct arena *arena, struct prediction *out, double *bits)
{
        struct search s;
        enum caefs_err err = search_begin(&s, f, arena);
        if (err != CAEFS_OK)
                return err;
        load_lattice(&s, 0, 0, f->geometry.count);
        if (f->as_it_is) {
                consider(&s, (struct variant) { .axes = 0 });
                return finish(&s, arena, out, bits);
        }
        search_axes(&s);
        if (f->geometry.shape.ndim == 1 && !f->geometry.wide)
                search_strides(&s, arena);
        search_phases(&s);
        return finish(&s, arena, out, bits);
}

static bool
lorenzo_applies(const struct field *f)
{
        return f->geometry.shape.ndim >= 1 && f->geometry.shape.ndim <= 4;
}

const struct family_methods family_lorenzo = {
        .name = "lorenzo",
        .applies = lorenzo_applies,
        .encode = lorenzo_encode,
        .decode = lorenzo_decode,
};
