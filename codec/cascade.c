/* codec/cascade.c - see codec/cascade.h. */
#include "codec/cascade.h"

#include <string.h>

#define FASTEST (AXES - 1)

unsigned
cascade_levels_of(size_t extent)
{
        unsigned levels = 0;
        while (extent > 1) {
                extent = (extent + 1) / 2;
                levels++;
        }
        return levels;
}

/* How often axis A is halved in all. */
static unsigned
halvings(const struct cascade_plan *plan, const size_t extent[AXES], unsigned a)
{
        unsigned most = cascade_levels_of(extent[a]);
        if (!(plan->split >> a & 1))
                return 0;
        return plan->levels < most ? plan->levels : most;
}

static size_t
halved(size_t extent, unsigned times)
{
        return (extent + ((size_t) 1 << times) - 1) >> times;
}

static void
add_base(const size_t extent[AXES], const unsigned times[AXES], unsigned levels, struct cascade *c)
{
        struct pass *p = &c->pass[0];
        memset(p, 0, sizeof *p);
        p->axis = BASE_PASS;
        p->level = levels + 1;
        for (unsigned a = 0; a < AXES; a++) {
                p->whole[a] = p->odd[a] = halved(extent[a], times[a]);
                p->spacing[a] = (size_t) 1 << times[a];
        }
        c->npasses = 1;
}

static void
add_split(const size_t extent[AXES], unsigned axis, unsigned level, struct cascade *c)
{
        const struct pass *before = &c->pass[c->npasses - 1];
        struct pass *p = &c->pass[c->npasses++];
        memcpy(p->even, before->whole, sizeof p->even);
        memcpy(p->odd, before->whole, sizeof p->odd);
        memcpy(p->whole, before->whole, sizeof p->whole);
        memcpy(p->spacing, before->spacing, sizeof p->spacing);
        p->axis = axis;
        p->level = level;
        p->spacing[axis] /= 2;
        p->whole[axis] = halved(extent[axis], level - 1);
        p->odd[axis] = p->whole[axis] - p->even[axis];
}

void
cascade_build(const struct cascade_plan *plan, const size_t extent[AXES], struct cascade *c)
{
        unsigned times[AXES];
        for (unsigned a = 0; a < AXES; a++)
                times[a] = halvings(plan, extent, a);
        add_base(extent, times, plan->levels, c);
        for (unsigned level = plan->levels; level >= 1; level--)
                for (unsigned i = 0; i < AXES; i++)
                        if (times[plan->order[i]] >= level)
                                add_split(extent, plan->order[i], level, c);
}

int32_t
cascade_step(const struct cascade_plan *plan, int32_t step, unsigned level)
{
        int64_t s = (int64_t) step << 16, least = s / 4;
        for (unsigned l = 1; l < level && s > least; l++)
                s = s * 8 / (8 + plan->tighten);
        s = (s > least ? s : least) >> 16;
        return s > 1 ? (int32_t) s : 1;
}

size_t
pass_count(const struct pass *p)
{
        return p->odd[0] * p->odd[1] * p->odd[2] * p->odd[3];
}

size_t
pass_rows(const struct pass *p)
{
        return p->odd[0] * p->odd[1] * p->odd[2];
}

void
pass_row_index(const struct pass *p, size_t row, size_t index[AXES - 1])
{
        index[2] = row % p->odd[2];
        row /= p->odd[2];
        index[1] = row % p->odd[1];
        index[0] = row / p->odd[1];
}
