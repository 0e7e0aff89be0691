/* codec/stencil.c - lists of terms, and stencils as bytes.  See codec/stencil.h. */
#include "codec/stencil.h"

#include <stdlib.h>
#include <string.h>

#define FASTEST (AXES - 1)

/* One step along an axis; axis AXES is none. */
struct move {
        unsigned axis;
        int      by;
};

#define NOWHERE ((struct move) { AXES, 0 })

static void
add_term(struct term_list *list, bool even, struct move a, struct move b, struct move c)
{
        if (list->count == STENCIL_MAX_TERMS)
                return;
        struct term *t = &list->term[list->count++];
        struct move moves[3] = { a, b, c };
        memset(t, 0, sizeof *t);
        t->even = even;
        for (unsigned i = 0; i < 3; i++)
                if (moves[i].axis < AXES)
                        t->offset[moves[i].axis] = (int8_t) moves[i].by;
}

static void
add_cut(struct term_list *list)
{
        if (list->ncuts < 8 && (list->ncuts == 0 || list->cut[list->ncuts - 1] < list->count))
                list->cut[list->ncuts++] = list->count;
}

/* Axes beside AXIS that have more than one point, fastest first. */
static unsigned
other_axes(const struct pass *p, unsigned other[AXES])
{
        unsigned n = 0;
        for (unsigned b = AXES; b-- > 0; )
                if (b != p->axis && p->whole[b] > 1)
                        other[n++] = b;
        return n;
}

/* Targets of an earlier row along B, one step along C as well. */
static void
add_diagonals(struct term_list *list, const unsigned *other, unsigned nother)
{
        for (unsigned i = 1; i < nother; i++)
                for (unsigned j = 0; j < i; j++)
                        for (int by = -1; by <= 1; by += 2)
                                add_term(list, false, (struct move) { other[i], -1 },
                                         (struct move) { other[j], by }, NOWHERE);
}

static void
split_terms(const struct pass *p, struct term_list *list)
{
        static const int8_t taps[] = { 0, 1, -1, 2 };
        unsigned a = p->axis, other[AXES];
        unsigned nother = other_axes(p, other);
        for (unsigned i = 0; i < 4; i++)
                add_term(list, true, (struct move) { a, taps[i] }, NOWHERE, NOWHERE);
        add_cut(list);
        for (unsigned i = 0; i < nother; i++) {
                if (other[i] != FASTEST)
                        add_term(list, false, (struct move) { other[i], -1 }, NOWHERE, NOWHERE);
                for (int side = -1; side <= 1; side += 2)
                        for (int tap = 0; tap <= 1; tap++)
                                add_term(list, true, (struct move) { a, tap },
                                         (struct move) { other[i], side }, NOWHERE);
                add_cut(list);
        }
        add_diagonals(list, other, nother);
        add_cut(list);
        add_term(list, true, (struct move) { a, -2 }, NOWHERE, NOWHERE);
        add_term(list, true, (struct move) { a, 3 }, NOWHERE, NOWHERE);
        for (unsigned i = 0; i < nother; i++)
                if (other[i] != FASTEST)
                        add_term(list, false, (struct move) { other[i], -2 }, NOWHERE, NOWHERE);
        add_cut(list);
}

/* Corners: one step back along the slowest of three axes. */
static void
add_corners(struct term_list *list, const unsigned *other, unsigned nother)
{
        for (unsigned i = 2; i < nother; i++)
                for (unsigned j = 1; j < i; j++)
                        for (unsigned k = 0; k < j; k++)
                                for (unsigned signs = 0; signs < 4; signs++)
                                        add_term(list, false, (struct move) { other[i], -1 },
                                                 (struct move) { other[j], signs & 2 ? 1 : -1 },
                                                 (struct move) { other[k], signs & 1 ? 1 : -1 });
}

static void
base_terms(const struct pass *p, struct term_list *list)
{
        unsigned other[AXES];
        unsigned nother = other_axes(p, other);
        for (unsigned i = 0; i < nother; i++) {
                add_term(list, false, (struct move) { other[i], -1 }, NOWHERE, NOWHERE);
                if (i + 1 < nother)
                        add_cut(list);
        }
        add_diagonals(list, other, nother);
        add_cut(list);
        for (unsigned i = 0; i < nother; i++)
                add_term(list, false, (struct move) { other[i], -2 }, NOWHERE, NOWHERE);
        add_cut(list);
        add_corners(list, other, nother);
        if (nother > 0 && other[0] == FASTEST)
                add_term(list, false, (struct move) { FASTEST, -3 }, NOWHERE, NOWHERE);
        add_cut(list);
}

void
stencil_terms(const struct pass *p, struct term_list *list)
{
        list->count = 0;
        list->ncuts = 0;
        if (p->axis == BASE_PASS)
                base_terms(p, list);
        else
                split_terms(p, list);
}

void
stencil_linear(const struct pass *p, struct stencil *s)
{
        memset(s, 0, sizeof *s);
        if (p->axis == BASE_PASS) {
                struct term_list list;
                stencil_terms(p, &list);
                s->nterms = list.count > 0;
                s->coefficient[0] = 1;
                return;
        }
        s->nterms = 2;
        s->shift = 1;
        s->coefficient[0] = s->coefficient[1] = 1;
}

/* How many steps back a term takes, all by one; 0 when it is no corner of the cube
 * behind the target along the axes of MASK. */
static unsigned
corner_steps(const struct term *t, unsigned mask)
{
        unsigned steps = 0;
        for (unsigned a = 0; a < AXES; a++) {
                if (t->offset[a] != 0 && (t->offset[a] != -1 || !(mask >> a & 1)))
                        return 0;
                steps += t->offset[a] != 0;
        }
        return steps;
}

/* The Lorenzo predictor along the fastest three axes. */
static void
lorenzo_stencil(const struct pass *p, struct stencil *s)
{
        struct term_list list;
        unsigned mask = 0, naxes = 0;
        stencil_terms(p, &list);
        for (unsigned a = AXES; a-- > 0 && naxes < 3; )
                if (p->whole[a] > 1) {
                        mask |= 1u << a;
                        naxes++;
                }
        for (unsigned i = 0; i < list.count; i++) {
                unsigned steps = corner_steps(&list.term[i], mask);
                if (steps == 0)
                        continue;
                s->coefficient[i] = steps % 2 == 1 ? 1 : -1;
                s->nterms = i + 1;
        }
}

void
stencil_cubic(const struct pass *p, struct stencil *s)
{
        memset(s, 0, sizeof *s);
        if (p->axis == BASE_PASS) {
                lorenzo_stencil(p, s);
                return;
        }
        s->nterms = 4;
        s->shift = 4;
        s->coefficient[0] = s->coefficient[1] = 9;
        s->coefficient[2] = s->coefficient[3] = -1;
}

void
stencil_write(const struct stencil *s, struct bytes *out)
{
        bytes_put_u8(out, (uint8_t) s->nterms);
        bytes_put_u8(out, (uint8_t) s->shift);
        for (unsigned i = 0; i < s->nterms; i++)
                bytes_put_signed(out, s->coefficient[i]);
}

enum caefs_err
stencil_parse(struct cursor *in, const struct term_list *list, struct stencil *s)
{
        memset(s, 0, sizeof *s);
        s->nterms = cursor_u8(in);
        s->shift = cursor_u8(in);
        if (in->failed || s->nterms > list->count || s->shift > STENCIL_MAX_SHIFT)
                return caefs_fail(CAEFS_ERR_CORRUPT, "pyramid: a stencil is malformed");
        int64_t weight = 0;
        for (unsigned i = 0; i < s->nterms; i++) {
                int64_t c = cursor_signed(in);
                if (c < -STENCIL_MAX_WEIGHT || c > STENCIL_MAX_WEIGHT)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "pyramid: a coefficient is out of range");
                weight += c < 0 ? -c : c;
                s->coefficient[i] = (int32_t) c;
        }
        if (in->failed || weight > STENCIL_MAX_WEIGHT)
                return caefs_fail(CAEFS_ERR_CORRUPT, "pyramid: coefficients are malformed");
        return CAEFS_OK;
}
