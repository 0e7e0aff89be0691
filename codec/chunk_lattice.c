/* codec/chunk_lattice.c - laying a plane on its grids. */
#include <math.h>
#include <string.h>

#include "codec/chunk_search.h"
#include "codec/value.h"

/* What a hole's value takes, most being alike, and a key of a table. */
#define BITS_A_HOLE 4.0
#define BITS_A_KEY  12.0

/* Marks what does not come back bit for bit. */
static void
mark_inexact(const struct grid *g, const void *values, const void *integers, size_t n,
             size_t stride, void *scratch, uint8_t *hole)
{
        grid_inverse(g, integers, n, stride, scratch);
        for (size_t i = 0; i < n; i++)
                if (value_bits(g->dtype, scratch, i * stride)
                    != value_bits(g->dtype, values, i * stride))
                        hole[i * stride] = 1;
}

bool
grid_is_exact(const struct grid *g)
{
        return g->kind != GRID_LOG && (g->kind != GRID_LINEAR || g->step == 1);
}

/* Kinds whose integers say all of the value's bits, or none. */
static bool
holds_bits(const struct grid *g)
{
        return g->kind == GRID_BITS || g->kind == GRID_TABLE || g->kind == GRID_SINGLE;
}

void
grid_lay(const struct grid *g, const void *values, size_t n, size_t stride, void *scratch,
         void *integers, uint8_t *hole)
{
        grid_forward(g, values, n, stride, integers, hole);
        if (grid_is_exact(g) && !holds_bits(g))
                mark_inexact(g, values, integers, n, stride, scratch, hole);
}

static uint8_t *
signs_of(const struct search *s)
{
        const struct plane *p = s->plane;
        unsigned            top = 8 * dtype_size(p->dtype) - 1;
        uint8_t            *sign = arena_alloc(s->arena, p->count);

        for (size_t i = 0; sign != NULL && i < p->count; i++)
                sign[i] = (uint8_t) (value_bits(p->dtype, s->values, i) >> top);
        return sign;
}

static bool
any_negative(const struct search *s)
{
        for (size_t c = 0; c < s->plane->columns; c++)
                if (s->statistics[c].negatives > 0)
                        return true;
        return false;
}

/* Fill values are holes, and so is what is not finite: under a grid of bits both
 * would be jumps. */
static void
mark_fills(const struct search *s, bool with_fill, uint8_t *hole)
{
        const struct plane *p = s->plane;

        for (size_t i = 0; with_fill && i < p->count; i++)
                hole[i] |= value_bits(p->dtype, s->values, i) == s->fill.bits;
        for (size_t c = 0; c < p->columns && dtype_is_float(p->dtype); c++) {
                if (s->statistics[c].finite == s->statistics[c].count)
                        continue;
                for (size_t i = c; i < p->count; i += p->columns) {
                        double x;
                        values_to_doubles(p->dtype,
                                          (const char *) s->values + i * dtype_size(p->dtype), 1,
                                          1, &x);
                        hole[i] |= !isfinite(x);
                }
        }
}

/* Bits of N flags when each says whether the one before it was the same. */
static double
flag_bits(const uint8_t *flag, size_t n)
{
        size_t changes = 1;

        for (size_t i = 1; i < n; i++)
                changes += flag[i] != flag[i - 1];
        double share = (double) changes / (double) n;
        return share >= 1 ? (double) n
                : -(double) n * (share * log2(share) + (1 - share) * log2(1 - share));
}

static void
estimate_beside(struct lattice *l, size_t n)
{
        for (size_t i = 0; l->holes && i < n; i++)
                l->beside_bits += l->hole[i] != 0 ? BITS_A_HOLE : 0;
        if (l->holes)
                l->beside_bits += flag_bits(l->hole, n);
        if (l->sign != NULL)
                l->beside_bits += flag_bits(l->sign, n);
        for (size_t c = 0; c < l->ngrids; c++)
                l->table_bits += BITS_A_KEY * l->grid[c].ntable;
}

/* Whether an earlier lattice has the same integers: a decimal grid and a binary one of
 * whole numbers do. */
static bool
was_laid(const struct search *s, const struct lattice *l)
{
        size_t n = s->plane->count, width = l->grid->wide ? 8 : 4;

        for (size_t i = 0; i < s->nlattices; i++) {
                const struct lattice *other = &s->lattice[i];
                if (other->grid->wide == l->grid->wide && other->grid->step == l->grid->step
                    && (other->sign == NULL) == (l->sign == NULL)
                    && other->table_bits <= l->table_bits
                    && memcmp(other->integers, l->integers, n * width) == 0
                    && memcmp(other->hole, l->hole, n) == 0)
                        return true;
        }
        return false;
}

enum caefs_err
lattice_add(struct search *s, const struct proposal *proposal)
{
        const struct plane *p = s->plane;
        struct grid        *grid = proposal->grid;
        size_t              ngrids = proposal->ngrids, width = grid->wide ? 8 : 4;
        struct lattice      l = { .grid = grid, .ngrids = ngrids };

        if (s->nlattices == MAX_LATTICES)
                return CAEFS_OK;
        l.integers = arena_array(s->arena, p->count, width);
        l.hole = arena_alloc(s->arena, p->count);
        struct arena_mark mark = arena_mark(s->arena);
        char *scratch = arena_array(s->arena, p->count, dtype_size(p->dtype));
        if (l.integers == NULL || l.hole == NULL || scratch == NULL)
                return CAEFS_ERR_NOMEM;
        memset(l.hole, 0, p->count);
        mark_fills(s, proposal->with_fill, l.hole);
        for (size_t c = 0; c < ngrids; c++)
                grid_lay(&grid[c], (const char *) s->values + c * dtype_size(p->dtype),
                         p->count / ngrids, ngrids, scratch, (char *) l.integers + c * width,
                         l.hole + c);
        arena_release(s->arena, mark);
        l.holes = memchr(l.hole, 1, p->count) != NULL;
        if (grid->kind == GRID_LOG && any_negative(s)) {
                l.sign = signs_of(s);
                if (l.sign == NULL)
                        return CAEFS_ERR_NOMEM;
        }
        estimate_beside(&l, p->count);
        l.again = was_laid(s, &l);
        s->lattice[s->nlattices++] = l;
        return CAEFS_OK;
}
