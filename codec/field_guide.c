/* codec/field_guide.c - how large residuals of a field are likely to be, and why. */
#include "codec/field_guide.h"

#include <string.h>

/* Magnitudes count up to these. */
#define LARGEST_LEARNT 60
#define LARGEST_BESIDE 255

void
field_sums_add(uint64_t *sum, const int32_t *residual, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                uint64_t m = residual[i] < 0 ? 0 - (uint64_t) residual[i] : (uint64_t) residual[i];
                sum[i] += m < LARGEST_LEARNT ? m : LARGEST_LEARNT;
        }
}

void
field_sums_class(const uint64_t *sum, size_t n, size_t count, uint8_t *class)
{
        static const uint16_t limit[] = { 1, 5, 10, 18, 32, 64, 128, 256 };     /* in 16ths */

        for (size_t i = 0; i < count; i++) {
                uint8_t c = 0;
                while (c < sizeof limit / sizeof limit[0] && 16 * sum[i] >= limit[c] * (uint64_t) n)
                        c++;
                class[i] = c;
        }
}

/* ---- what is around a target ---- */

/* Where the targets of a pass lie, and the known points beside them. */
struct beside {
        struct rows odd;                /* in the array of magnitudes */
        size_t      half;               /* to the points along the axis; 0: there are none */
        size_t      across;             /* to the next ones along another axis, or 0 */
        unsigned    other;              /* that axis */
};

static struct beside
beside_of(const size_t extent[AXES], const struct pass *p, const int32_t *magnitude)
{
        struct beside b = { .half = 0 };
        size_t stride[AXES], inner = 1;

        array_rows(extent, p, magnitude, &b.odd);
        for (unsigned a = AXES; a-- > 0; inner *= extent[a])
                stride[a] = inner;
        if (p->axis == BASE_PASS)
                return b;
        b.half = stride[p->axis] * p->spacing[p->axis];
        for (unsigned a = 0; a < AXES; a++)
                if (a != p->axis && p->whole[a] > 1) {
                        b.across = stride[a] * p->spacing[a];
                        b.other = a;
                }
        return b;
}

/* 0 to 3 as they are, then two an octave, at most 15. */
static uint8_t
class_of(uint32_t v)
{
        if (v < 4)
                return (uint8_t) v;
        unsigned top = 31 - (unsigned) __builtin_clz(v);
        unsigned c = 2 * top + (v >> (top - 1) & 1);
        return (uint8_t) (c < 15 ? c : 15);
}

/* Twice the two points along the axis, and those beside them along the other one. */
static uint32_t
sum_beside(const struct beside *b, const int32_t *m, bool after, bool low, bool high)
{
        const int32_t *left = m - b->half, *right = after ? m + b->half : left;
        int32_t sum = 2 * (*left + *right);

        sum += low ? left[-(ptrdiff_t) b->across] + right[-(ptrdiff_t) b->across] : 0;
        sum += high ? left[b->across] + right[b->across] : 0;
        return (uint32_t) sum;
}

/* Classes of the targets of the pass by what is around them. */
static bool
classes_beside(const struct beside *b, const struct pass *p, uint8_t *class)
{
        const size_t rows = pass_rows(p), n = p->odd[AXES - 1];
        bool any = false;

        for (size_t row = 0; row < rows; row++) {
                size_t index[AXES];
                pass_row_index(p, row, index);
                const int32_t *m = row_of(&b->odd, index);
                for (size_t i = 0; i < n; i++, m += b->odd.point, class++) {
                        index[AXES - 1] = i;
                        bool after = index[p->axis] + 1 < p->even[p->axis];
                        bool low = b->across > 0 && index[b->other] > 0;
                        bool high = b->across > 0 && index[b->other] + 1 < p->whole[b->other];
                        *class |= (uint8_t) (class_of(sum_beside(b, m, after, low, high)) << 4);
                        any |= *class != 0;
                }
        }
        return any;
}

/* The magnitudes of a pass to their places. */
static void
place_magnitudes(const struct beside *b, const struct pass *p, const int32_t *residual)
{
        const size_t rows = pass_rows(p), n = p->odd[AXES - 1];

        for (size_t row = 0; row < rows; row++) {
                size_t index[AXES - 1];
                pass_row_index(p, row, index);
                int32_t *m = row_of(&b->odd, index);
                for (size_t i = 0; i < n; i++, m += b->odd.point, residual++) {
                        uint32_t r = (uint32_t) *residual;
                        uint32_t size = *residual < 0 ? 0 - r : r;
                        *m = (int32_t) (size < LARGEST_BESIDE ? size : LARGEST_BESIDE);
                }
        }
}

/* ---- the course ---- */

bool
field_guide_begin(struct field_guide *g, const struct field_view *view,
                  const struct pyramid_plane *plane, const uint8_t *learnt, struct arena *arena)
{
        *g = (struct field_guide) { .view = view, .plane = plane, .learnt = learnt };
        g->magnitude = arena_array(arena, view->count, sizeof *g->magnitude);
        g->class = arena_alloc(arena, view->count + 1);
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
        int32_t *magnitude = g->magnitude + g->block_at;
        const size_t count = pass_count(p);
        bool any = false;

        if (g->pass > 0) {
                const struct pass *last = p - 1;
                struct beside b = beside_of(extent, last, magnitude);
                place_magnitudes(&b, last, r + g->at - pass_count(last));
        }
        if (g->learnt != NULL)
                memcpy(g->class + g->at, g->learnt + g->at, count);
        else
                memset(g->class + g->at, 0, count);
        g->class[g->at + count] = 0;
        for (size_t i = 0; i < count; i++)
                any |= g->class[g->at + i] != 0;
        if (p->axis != BASE_PASS) {
                struct beside b = beside_of(extent, p, magnitude);
                any |= classes_beside(&b, p, g->class + g->at);
        }
        g->at += count;
        if (++g->pass == c->npasses) {
                g->pass = 0;
                g->block_at = g->at;
                g->block++;
        }
        return any;
}

struct mixing_guide
field_guide_of(struct field_guide *g)
{
        return (struct mixing_guide) { .class = g->class, .before = next_pass, .context = g };
}
