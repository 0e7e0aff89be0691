/* codec/field_guide.c - how large residuals of a field are likely to be. */
#include "codec/field_guide.h"

#include <string.h>

/* Magnitudes count up to this. */
#define LARGEST_BESIDE 255

/* ---- what is around a target ---- */

/* Where the targets of a pass lie, and the known points beside them. */
struct beside {
        size_t   first;                 /* target, in the array of magnitudes */
        size_t   stride[AXES];          /* from target to target */
        size_t   half;                  /* to the points along the axis; 0: there are none */
        size_t   across;                /* to the next ones along another axis, or 0 */
        unsigned other;                 /* that axis */
};

static struct beside
beside_of(const size_t extent[AXES], const struct pass *p)
{
        struct beside b = { .half = 0 };
        size_t stride = 1;

        for (unsigned a = AXES; a-- > 0; stride *= extent[a]) {
                size_t apart = stride * p->spacing[a];
                b.stride[a] = a == p->axis ? 2 * apart : apart;
                if (a == p->axis)
                        b.first = b.half = apart;
                else if (p->axis != BASE_PASS && p->whole[a] > 1 && b.across == 0) {
                        b.across = apart;
                        b.other = a;
                }
        }
        return b;
}

static size_t
row_start(const struct beside *b, const size_t index[AXES - 1])
{
        return b->first + index[0] * b->stride[0] + index[1] * b->stride[1]
                + index[2] * b->stride[2];
}

/* The known points around a row of targets: before and behind each, and beside these. */
struct around {
        const uint8_t *before, *behind;
        size_t         point;           /* from one to the next */
        size_t         low, high;       /* to those beside, */
        uint8_t        has_low, has_high;       /* 255, or 0: there are none */
};

#define STRETCH 256

/* Twice the two points along the axis, and those beside them, at most 255, of N targets. */
static inline __attribute__((always_inline)) void
sum_around(const struct around *a, size_t n, size_t point, uint8_t *sum)
{
        const uint8_t *l = a->before, *r = a->behind;

        for (size_t i = 0; i < n; i++, l += point, r += point) {
                unsigned v = 2u * (*l + *r);
                v += (unsigned) (*(l - a->low) & a->has_low) + (*(r - a->low) & a->has_low);
                v += (unsigned) (l[a->high] & a->has_high) + (r[a->high] & a->has_high);
                sum[i] = (uint8_t) (v < 255 ? v : 255);
        }
}

/* The classes of N targets: 0 to 3 as they are, then two an octave, at most 15. */
static void
set_classes(const struct around *around, size_t n, uint8_t *class)
{
        static const uint8_t limit[] = { 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192 };
        struct around a = *around;
        uint8_t       sum[STRETCH];

        for (size_t at = 0; at < n; at += STRETCH) {
                size_t some = n - at < STRETCH ? n - at : STRETCH;
                if (a.point == 2)
                        sum_around(&a, some, 2, sum);
                else
                        sum_around(&a, some, a.point, sum);
                for (size_t i = 0; i < some; i++) {
                        uint8_t c = 0;
                        for (unsigned k = 0; k < sizeof limit; k++)
                                c = (uint8_t) (c + (sum[i] >= limit[k]));
                        class[at + i] = c;
                }
                a.before += some * a.point;
                a.behind += some * a.point;
        }
}

/* The targets FROM to END of a row, that begins at M, all have the same beside them. */
static void
classes_of_part(const struct beside *b, const uint8_t *m, size_t from, size_t end, bool behind,
                bool low, bool high, uint8_t *class)
{
        const size_t   point = b->stride[AXES - 1];
        const uint8_t *before = m + from * point - b->half;
        const struct around a = {
                .before = before, .behind = behind ? before + 2 * b->half : before, .point = point,
                .low = low ? b->across : 0, .high = high ? b->across : 0,
                .has_low = low ? 255 : 0, .has_high = high ? 255 : 0,
        };

        if (from < end)
                set_classes(&a, end - from, class + from);
}

static void
classes_of_row(const struct beside *b, const struct pass *p, const size_t index[AXES],
               const uint8_t *m, uint8_t *class)
{
        const size_t n = p->odd[AXES - 1], last = n - 1;
        bool behind = index[p->axis] + 1 < p->even[p->axis];
        bool low = b->across > 0 && index[b->other] > 0;
        bool high = b->across > 0 && index[b->other] + 1 < p->whole[b->other];

        if (p->axis == AXES - 1) {
                behind = n < p->even[AXES - 1];
                classes_of_part(b, m, 0, last, true, low, high, class);
                classes_of_part(b, m, last, n, behind, low, high, class);
        } else if (b->across > 0 && b->other == AXES - 1) {
                classes_of_part(b, m, 0, 1, behind, false, n > 1, class);
                classes_of_part(b, m, 1, last, behind, true, true, class);
                classes_of_part(b, m, last > 0 ? last : 1, n, behind, true, false, class);
        } else {
                classes_of_part(b, m, 0, n, behind, low, high, class);
        }
}

/* Classes of the targets of the pass by what is around them. */
static void
classes_beside(const struct beside *b, const struct pass *p, const uint8_t *magnitude,
               uint8_t *class)
{
        const size_t rows = pass_rows(p);

        for (size_t row = 0; row < rows; row++, class += p->odd[AXES - 1]) {
                size_t index[AXES] = { 0 };
                pass_row_index(p, row, index);
                classes_of_row(b, p, index, magnitude + row_start(b, index), class);
        }
}

/* The magnitudes of a pass to their places. */
static void
place_magnitudes(const struct beside *b, const struct pass *p, const int32_t *residual,
                 uint8_t *magnitude)
{
        const size_t rows = pass_rows(p), n = p->odd[AXES - 1], point = b->stride[AXES - 1];

        for (size_t row = 0; row < rows; row++, residual += n) {
                size_t index[AXES - 1];
                pass_row_index(p, row, index);
                uint8_t *m = magnitude + row_start(b, index);
                for (size_t i = 0; i < n; i++) {
                        uint32_t r = (uint32_t) residual[i];
                        uint32_t size = residual[i] < 0 ? 0 - r : r;
                        m[i * point] = (uint8_t) (size < LARGEST_BESIDE ? size : LARGEST_BESIDE);
                }
        }
}

/* ---- the course ---- */

bool
field_guide_begin(struct field_guide *g, const struct field_view *view,
                  const struct pyramid_plane *plane, struct arena *arena)
{
        *g = (struct field_guide) { .view = view, .plane = plane };
        g->magnitude = arena_array(arena, view->count, sizeof *g->magnitude);
        g->class = arena_alloc(arena, view->count);
        return g->magnitude != NULL && g->class != NULL;
}

/* Classes of the next pass; R: the residuals of those before.  False when they tell
 * nothing. */
static bool
next_pass(void *context, const int32_t *r)
{
        struct field_guide *g = context;
        const size_t *extent = g->view->block[g->block].extent;
        const struct cascade *c = &g->plane[g->block].cascade;
        const struct pass *p = &c->pass[g->pass];
        uint8_t *magnitude = g->magnitude + g->block_at;
        const size_t count = pass_count(p);
        bool any = false;

        if (g->pass > 0) {
                const struct pass *last = p - 1;
                struct beside b = beside_of(extent, last);
                place_magnitudes(&b, last, r + g->at - pass_count(last), magnitude);
        }
        if (p->axis == BASE_PASS) {
                memset(g->class + g->at, 0, count);
        } else {
                struct beside b = beside_of(extent, p);
                classes_beside(&b, p, magnitude, g->class + g->at);
        }
        for (size_t i = 0; i < count; i++)
                any |= g->class[g->at + i] != 0;
        g->at += count;
        if (++g->pass == c->npasses) {
                g->pass = 0;
                g->block_at = g->at;
                g->block++;
        }
        return any;
}

struct residual_guide
field_guide_of(struct field_guide *g)
{
        return (struct residual_guide) { .class = g->class, .before = next_pass, .context = g };
}
