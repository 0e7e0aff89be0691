/* codec/follow.c - the family `follow`: what changed since an earlier time step.
 *
 * A field of a series is mostly what it was some steps before.  The reference on the
 * chunk's grid, times a scale, is subtracted, and what is left is a field of the
 * same shape, which goes to `lorenzo` or `pyramid`.  The reference is known exactly
 * to both sides, so the loop stays closed.
 *
 * Fine structure fades sooner than coarse, and what is left of the coarse is what
 * the other family predicts best: so the scale is also fitted to the differences
 * between neighbours.
 *
 * SIDE: the other family's number, the scale, then the other family's own.
 */
#include "codec/predict.h"

#include <math.h>

#include "codec/sample.h"

#define SCALE_BITS 10                   /* the scale is in 1024ths */
#define SCALE_ONE  (1 << SCALE_BITS)
#define SCALE_MAX  (16 * SCALE_ONE)
#define WINDOW     512                  /* values of a sample that follow each other */
#define MAX_SCALES 3

/* Whether each value of the field has one in the reference. */
static bool
is_aligned(const struct field_geometry *g)
{
        const struct reference *r = g->reference;

        return r != NULL && g->grid != NULL && reference_suits(r, g->grid)
                && r->at <= r->count && r->count - r->at >= g->count;
}

static bool
follow_applies(const struct field *f)
{
        return is_aligned(&f->geometry);
}

/* The part of the reference that lies where the field does: (count) as wide as it. */
static const void *
lay(const struct field_geometry *g, struct arena *arena)
{
        struct reference part = *g->reference;

        part.values = (const char *) part.values + part.at * dtype_size(part.dtype);
        part.count = g->count;
        part.at = 0;
        return reference_lay(&part, g->grid, arena);
}

/* FIELD plus SIGN times the prediction, which is REFERENCE * SCALE / 1024 rounded down. */
static void
add_prediction(const struct field_geometry *g, const void *reference, int64_t scale, int sign,
               void *field)
{
        if (g->wide) {
                const int64_t *r = reference;
                uint64_t      *v = field;
                for (size_t i = 0; i < g->count; i++) {
                        int64_t low = (r[i] & (SCALE_ONE - 1)) * scale >> SCALE_BITS;
                        v[i] += (uint64_t) sign * ((uint64_t) (r[i] >> SCALE_BITS)
                                                   * (uint64_t) scale + (uint64_t) low);
                }
        } else {
                const int32_t *r = reference;
                uint32_t      *v = field;
                for (size_t i = 0; i < g->count; i++)
                        v[i] += (uint32_t) sign * (uint32_t) (r[i] * scale >> SCALE_BITS);
        }
}

/* ---- decoding ---- */

/* The family that codes what is left; NULL when NUMBER is none that may. */
static const struct family_methods *
rest_family(unsigned number)
{
        return number == FAMILY_LORENZO || number == FAMILY_PYRAMID ? family_by_number(number)
                                                                    : NULL;
}

/* What is left knows nothing of the reference. */
static struct field_geometry
rest_geometry(const struct field_geometry *g)
{
        struct field_geometry rest = *g;

        rest.reference = NULL;
        rest.grid = NULL;
        return rest;
}

static enum caefs_err
follow_decode(const struct field_geometry *g, struct cursor *side, struct cursor *coded,
              struct arena *arena, void *grid)
{
        const struct field_geometry  rest = rest_geometry(g);
        const struct family_methods *family = rest_family(cursor_u8(side));
        int64_t                      scale = cursor_signed(side);

        if (side->failed || family == NULL || scale < -SCALE_MAX || scale > SCALE_MAX)
                return caefs_fail(CAEFS_ERR_CORRUPT, "follow: parameters are malformed");
        if (g->reference == NULL)
                return caefs_fail(CAEFS_ERR_MODEL, "follow: what it refers to is missing");
        if (!is_aligned(g))
                return caefs_fail(CAEFS_ERR_CORRUPT, "follow: what it refers to lies elsewhere");
        enum caefs_err err = family->decode(&rest, side, coded, arena, grid);
        if (err != CAEFS_OK)
                return err;
        struct arena_mark mark = arena_mark(arena);
        const void       *reference = lay(g, arena);
        if (reference != NULL)
                add_prediction(g, reference, scale, 1, grid);
        arena_release(arena, mark);
        return reference == NULL ? caefs_fail(CAEFS_ERR_NOMEM, "follow: no memory") : CAEFS_OK;
}

/* ---- encoding ---- */

/* Sums over pairs of a reference's value and the field's. */
struct moments {
        double n, r, v, rr, rv;
};

static void
add_pair(struct moments *m, double r, double v)
{
        m->n++;
        m->r += r;
        m->v += v;
        m->rr += r * r;
        m->rv += r * v;
}

/* The least squares, in 1024ths; 0 when there is no such. */
static int64_t
scale_of(const struct moments *m, bool centred)
{
        double rr = centred ? m->rr - m->r * m->r / m->n : m->rr;
        double rv = centred ? m->rv - m->r * m->v / m->n : m->rv;
        double scale = rint(SCALE_ONE * rv / rr);

        if (!(rr > 0) || !isfinite(scale))
                return 0;
        return (int64_t) fmax(-SCALE_MAX, fmin(SCALE_MAX, scale));
}

static double
integer_at(bool wide, const void *integers, size_t i)
{
        return wide ? (double) ((const int64_t *) integers)[i]
                    : (double) ((const int32_t *) integers)[i];
}

/* Scales that fit a sample: *BY_VALUES, and *BY_DIFFERENCES between neighbours. */
static void
fit(const struct field *f, const void *reference, int64_t *by_values, int64_t *by_differences)
{
        const struct field_geometry *g = &f->geometry;
        struct moments               values = { 0 }, differences = { 0 };
        size_t window = g->count < WINDOW ? g->count : WINDOW;
        size_t windows = sample_size(g->count, f->effort) / window;

        if (windows == 0)
                windows = 1;
        for (size_t w = 0; w < windows; w++) {
                size_t start = sample_window(w, windows, g->count - window);
                double r_before = 0, v_before = 0;
                bool   before = false;
                for (size_t i = start; i < start + window; i++) {
                        double r = integer_at(g->wide, reference, i);
                        double v = integer_at(g->wide, f->grid, i);
                        bool   hole = f->hole != NULL && f->hole[i];
                        if (!hole)
                                add_pair(&values, r, v);
                        if (!hole && before)
                                add_pair(&differences, r - r_before, v - v_before);
                        r_before = r;
                        v_before = v;
                        before = !hole;
                }
        }
        *by_values = scale_of(&values, true);
        *by_differences = scale_of(&differences, false);
}

/* Scales worth trying, without 0 and without any twice. */
static size_t
choose_scales(const struct field *f, const void *reference, int64_t scale[MAX_SCALES])
{
        int64_t by_values, by_differences;
        size_t  n = 0;

        fit(f, reference, &by_values, &by_differences);
        const int64_t wanted[MAX_SCALES] = { by_differences, SCALE_ONE, by_values };
        size_t        limit = f->effort == EFFORT_FAST ? 1 : MAX_SCALES;
        for (size_t i = 0; i < limit; i++) {
                bool again = wanted[i] == 0;
                for (size_t j = 0; j < n; j++)
                        again |= scale[j] == wanted[i];
                if (!again)
                        scale[n++] = wanted[i];
        }
        return n;
}

/* What is coded so far, and the best. */
struct attempt {
        const struct field *field;
        const void         *reference;
        struct prediction   best;
        double              bits;       /* INFINITY: none */
        int64_t             scale;
        unsigned            family;
};

/* Codes what SCALE leaves with family NUMBER, and keeps it when it is the best. */
static enum caefs_err
try_scale(struct attempt *a, int64_t scale, unsigned number, struct arena *arena)
{
        const struct family_methods *family = rest_family(number);
        const struct field_geometry *g = &a->field->geometry;
        struct field                 rest = *a->field;
        struct prediction            made = { 0 };
        double                       bits = INFINITY;
        size_t                       width = g->wide ? 8 : 4;
        void                        *left = arena_array(arena, g->count, width);

        if (left == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "follow: no memory for %zu values", g->count);
        memcpy(left, a->field->grid, g->count * width);
        add_prediction(g, a->reference, scale, -1, left);
        rest.geometry = rest_geometry(g);
        rest.grid = left;
        if (!family->applies(&rest))
                return CAEFS_OK;
        enum caefs_err err = family->encode(&rest, arena, &made, &bits);
        if (err != CAEFS_OK || isinf(bits))
                return err;
        if (bits < a->bits) {
                bytes_free(&a->best.side);
                a->best = made;
                a->bits = bits;
                a->scale = scale;
                a->family = number;
        } else {
                bytes_free(&made.side);
        }
        return CAEFS_OK;
}

/* The scale and the family of the rest before what that has to say. */
static enum caefs_err
finish(struct attempt *a, struct prediction *out, double *bits)
{
        struct bytes side = { 0 };

        bytes_put_u8(&side, (uint8_t) a->family);
        bytes_put_signed(&side, a->scale);
        *bits = a->bits + 8 * (double) side.size;
        bytes_put(&side, a->best.side.data, a->best.side.size);
        bytes_free(&a->best.side);
        *out = a->best;
        out->side = side;
        if (!side.failed)
                return CAEFS_OK;
        bytes_free(&out->side);
        return caefs_fail(CAEFS_ERR_NOMEM, "follow: no memory");
}

static enum caefs_err
follow_encode(const struct field *f, struct arena *arena, struct prediction *out, double *bits)
{
        struct attempt a = { .field = f, .bits = INFINITY };
        int64_t        scale[MAX_SCALES];
        enum caefs_err err = CAEFS_OK;

        *bits = INFINITY;
        a.reference = lay(&f->geometry, arena);
        if (a.reference == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "follow: no memory");
        size_t n = choose_scales(f, a.reference, scale);
        for (size_t i = 0; i < n && err == CAEFS_OK; i++)
                err = try_scale(&a, scale[i], FAMILY_LORENZO, arena);
        if (err == CAEFS_OK && f->effort != EFFORT_FAST && !isinf(a.bits))
                err = try_scale(&a, a.scale, FAMILY_PYRAMID, arena);
        if (err == CAEFS_OK && !isinf(a.bits))
                return finish(&a, out, bits);
        bytes_free(&a.best.side);
        return err;
}

const struct family_methods family_follow = {
        .name = "follow",
        .uses_reference = true,
        .applies = follow_applies,
        .encode = follow_encode,
        .decode = follow_decode,
};
