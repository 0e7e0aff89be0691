/* codec/pyramid_encode.c - the family `pyramid`: the encoder's search.
 *
 * Which axes are halved, how often and in what order, and how fast steps shrink
 * on coarser levels, is found by trying: on the chunk itself when it is small,
 * else on a block cut from its middle.  The best is then run on everything.
 */
#include "codec/pyramid.h"

#include <stdlib.h>
#include <string.h>

#include "codec/sample.h"
#include "codec/stride.h"

#define FASTEST (AXES - 1)

/* An array to be coded, and what coding it leaves. */
struct coder {
        size_t         extent[AXES];
        size_t         count;
        const int32_t *value;           /* (count), without base, and room for a row's end */
        const uint8_t *hole;            /* (count) or NULL */
        int32_t        step;
        enum effort    effort;
        bool           rough;           /* only to tell plans apart */
        const struct pyramid_plane *given;      /* whose stencils to use; NULL: fitted ones */
        const struct stencil_lanes *lanes;
        /* Scratch. */
        struct canvas  canvas;
        int32_t       *target;          /* a row */
        uint8_t       *target_hole;
        /* Results. */
        int32_t       *residual;        /* (count), and room for a row's end */
        struct pyramid_plane *plane;
        double         bits;            /* residuals and parameters */
};

static enum caefs_err
coder_make(struct coder *c, struct arena *arena)
{
        c->count = c->extent[0] * c->extent[1] * c->extent[2] * c->extent[3];
        c->lanes = stencil_lanes();
        c->target = arena_array(arena, c->extent[FASTEST] + ROWS_LANES, sizeof(int32_t));
        c->target_hole = arena_array(arena, c->extent[FASTEST], 1);
        c->residual = arena_array(arena, c->count + ROWS_LANES, sizeof(int32_t));
        c->plane = arena_alloc(arena, sizeof *c->plane);
        if (!c->target || !c->target_hole || !c->residual || !c->plane)
                return caefs_fail(CAEFS_ERR_NOMEM, "pyramid: no memory for %zu values", c->count);
        memset(c->plane, 0, sizeof *c->plane);
        return canvas_make(&c->canvas, c->extent, arena);
}

/* N originals POINT apart, and their holes, as rows without gaps. */
static void
gather_row(struct coder *c, size_t n, size_t point, const int32_t **target, const uint8_t **hole)
{
        for (size_t i = 0; i < n && point == 2; i++)    /* most rows */
                c->target[i] = (*target)[i * 2];
        for (size_t i = 0; i < n && point > 2; i++)
                c->target[i] = (*target)[i * point];
        for (size_t i = 0; i < n && point > 1 && *hole != NULL; i++)
                c->target_hole[i] = (*hole)[i * point];
        if (point > 1)
                *target = c->target;
        if (point > 1 && *hole != NULL)
                *hole = c->target_hole;
}

static void
code_rows(struct coder *c, const struct pass_data *d, const struct stencil *s,
          const struct rows *odd, int32_t *residual)
{
        const struct pass *p = d->pass;
        size_t n = p->odd[FASTEST], rows = pass_rows(p);
        struct row_stencil r;
        for (size_t row = 0; row < rows; row++) {
                size_t index[AXES - 1];
                pass_row_index(p, row, index);
                stencil_next_row(p, d->list, s, &d->even, odd, index, &r);
                const int32_t *target = row_of(&d->target, index);
                const uint8_t *hole = d->hole != NULL ? d->hole + (target - d->target.at) : NULL;
                gather_row(c, n, d->target.point, &target, &hole);
                stencil_residual(c->lanes, &r, n, d->step, target, hole, residual + row * n,
                                 row_of(odd, index));
                canvas_end_row(&c->canvas, p, index);
        }
        canvas_end_pass(&c->canvas, p);
}

/* Values of the base are rebuilt one by one: what that should save to be worth it where
 * there is nothing else. */
static double
dear_base(enum effort effort)
{
        return effort == EFFORT_FAST ? 1.03 : effort == EFFORT_BALANCED ? 1.025 : 1;
}

/* Codes one pass; RESIDUAL is its part of the residuals. */
static enum caefs_err
code_pass(struct coder *c, unsigned index, int32_t *residual, struct arena *arena)
{
        struct pyramid_plane *plane = c->plane;
        const struct pass *p = &plane->cascade.pass[index];
        struct term_list list;
        struct rows odd;
        stencil_terms(p, &list);
        struct pass_data d = {
                .pass = p, .list = &list,
                .step = cascade_step(&plane->plan, c->step, p->level),
                .effort = c->effort, .rough = c->rough,
        };
        canvas_rows(&c->canvas, p, &d.even, &odd);
        array_rows(c->extent, p, c->value, &d.target);
        d.hole = c->hole != NULL ? c->hole + (d.target.at - c->value) : NULL;
        enum caefs_err err = CAEFS_OK;
        if (c->given == NULL) {
                err = pyramid_choose(&d, plane, index, arena);
        } else {
                plane->mode[index] = c->given->mode[index];
                plane->stencil[index] = c->given->stencil[index];
        }
        if (err != CAEFS_OK)
                return err;
        code_rows(c, &d, &plane->stencil[index], &odd, residual);
        size_t count = pass_count(p), wanted = sample_size(c->count, c->effort) * count / c->count;
        double bits = sample_estimate(residual, count, false, c->rough ? count : wanted, arena);
        c->bits += c->rough && plane->plan.levels == 0 ? bits * dear_base(c->effort) : bits;
        return CAEFS_OK;
}

static enum caefs_err
code_plane(struct coder *c, const struct cascade_plan *plan, struct arena *arena)
{
        c->plane->plan = *plan;
        cascade_build(plan, c->extent, &c->plane->cascade);
        c->bits = 0;
        int32_t *residual = c->residual;
        for (unsigned i = 0; i < c->plane->cascade.npasses; i++) {
                enum caefs_err err = code_pass(c, i, residual, arena);
                if (err != CAEFS_OK)
                        return err;
                residual += pass_count(&c->plane->cascade.pass[i]);
        }
        struct bytes side = { 0 };
        pyramid_write_plane(c->plane, &side);
        c->bits += 8.0 * (double) side.size;
        bytes_free(&side);
        return CAEFS_OK;
}

/* ---- the search for a plan ---- */

static unsigned
levels_of_all(const size_t extent[AXES], unsigned split)
{
        unsigned most = 0;
        for (unsigned a = 0; a < AXES; a++) {
                unsigned levels = split >> a & 1 ? cascade_levels_of(extent[a]) : 0;
                most = levels > most ? levels : most;
        }
        return most;
}

static struct cascade_plan
plan_of(const size_t extent[AXES], unsigned split, unsigned levels, bool fastest_first)
{
        struct cascade_plan plan = { .split = split };
        unsigned most = levels_of_all(extent, split);
        plan.levels = levels < most ? levels : most;
        for (unsigned i = 0; i < AXES; i++)
                plan.order[i] = fastest_first ? FASTEST - i : i;
        return plan;
}

struct plan_search {
        struct coder       *coder;
        struct arena       *arena;
        struct cascade_plan best;
        double              bits;
};

static enum caefs_err
try_plan(struct plan_search *s, struct cascade_plan plan)
{
        enum caefs_err err = code_plane(s->coder, &plan, s->arena);
        if (err == CAEFS_OK && s->coder->bits < s->bits) {
                s->bits = s->coder->bits;
                s->best = plan;
        }
        return err;
}

/* Axes that have more than one point. */
static unsigned
long_axes(const size_t extent[AXES])
{
        unsigned mask = 0;
        for (unsigned a = 0; a < AXES; a++)
                mask |= (extent[a] > 1) << a;
        return mask;
}

static enum caefs_err
search_structure(struct plan_search *s, enum effort effort)
{
        const size_t *extent = s->coder->extent;
        unsigned all = long_axes(extent), slowest = all & -all;
        unsigned rest = all & ~slowest;
        struct cascade_plan plans[] = {
                plan_of(extent, all, 1, false),
                plan_of(extent, all, 99, false),
                plan_of(extent, all, 0, false),
                plan_of(extent, rest, 1, false),
                plan_of(extent, rest, 99, false),
                plan_of(extent, all, 2, false),
                plan_of(extent, all, 99, true),
                plan_of(extent, rest, 99, true),
        };
        unsigned n = effort == EFFORT_FAST ? 2 : effort == EFFORT_BALANCED ? 6 : 8;
        for (unsigned i = 0; i < n; i++) {
                if (rest == 0 && !(plans[i].split & ~rest))
                        continue;
                enum caefs_err err = try_plan(s, plans[i]);
                if (err != CAEFS_OK)
                        return err;
        }
        return CAEFS_OK;
}

static enum caefs_err
search_tightening(struct plan_search *s)
{
        static const unsigned tighten[] = { 2, 4, 8 };
        struct cascade_plan plan = s->best;
        if (plan.levels == 0 || s->coder->step == 1 || s->coder->effort == EFFORT_FAST)
                return CAEFS_OK;
        for (unsigned i = 0; i < 3; i++) {
                plan.tighten = tighten[i];
                double before = s->bits;
                enum caefs_err err = try_plan(s, plan);
                if (err != CAEFS_OK)
                        return err;
                if (s->bits == before)
                        break;
        }
        return CAEFS_OK;
}

/* Rough fits are enough to tell plans apart. */
static enum caefs_err
search_plan(struct coder *c, struct arena *arena, struct cascade_plan *plan)
{
        struct plan_search s = { .coder = c, .arena = arena, .bits = 1e300 };
        c->rough = true;
        enum caefs_err err = search_structure(&s, c->effort);
        if (err == CAEFS_OK)
                err = search_tightening(&s);
        c->rough = false;
        *plan = s.best;
        return err;
}

/* ---- the block that is searched ---- */

/* Extents of a block of at most WANTED values: the longest axis is halved until it fits. */
static void
block_extents(const size_t extent[AXES], size_t wanted, size_t block[AXES])
{
        memcpy(block, extent, AXES * sizeof *block);
        while (block[0] * block[1] * block[2] * block[3] > wanted) {
                unsigned longest = 0;
                for (unsigned a = 1; a < AXES; a++)
                        if (block[a] > block[longest])
                                longest = a;
                block[longest] = (block[longest] + 1) / 2;
        }
}

/* Copies the block in the middle of an array of integers of SIZE bytes. */
static void
copy_block(const size_t extent[AXES], const size_t block[AXES], const void *from, void *to,
           size_t size)
{
        size_t start[AXES];
        uint8_t *out = to;
        for (unsigned a = 0; a < AXES; a++)
                start[a] = (extent[a] - block[a]) / 2;
        for (size_t i = 0; i < block[0]; i++)
                for (size_t j = 0; j < block[1]; j++)
                        for (size_t k = 0; k < block[2]; k++, out += block[FASTEST] * size) {
                                size_t flat = ((start[0] + i) * extent[1] + start[1] + j) * extent[2];
                                flat = (flat + start[2] + k) * extent[FASTEST] + start[FASTEST];
                                memcpy(out, (const uint8_t *) from + flat * size,
                                       block[FASTEST] * size);
                        }
}

/* How many values tell plans apart. */
static size_t
block_size(size_t count, enum effort effort)
{
        static const struct {
                size_t share, least, most;
        } sizes[] = { { 32, 4096, 8192 }, { 32, 16384, 16384 }, { 1, 65536, 524288 } };
        size_t n = count / sizes[effort].share;
        n = n > sizes[effort].least ? n : sizes[effort].least;
        return n < sizes[effort].most ? n : sizes[effort].most;
}

/* Finds a plan for C on a block of it. */
static enum caefs_err
search_on_block(struct coder *c, struct arena *arena, struct cascade_plan *plan)
{
        size_t wanted = block_size(c->count, c->effort);
        if (c->count <= wanted)
                return search_plan(c, arena, plan);
        struct arena_mark mark = arena_mark(arena);
        struct coder block = { .step = c->step, .effort = c->effort };
        block_extents(c->extent, wanted, block.extent);
        enum caefs_err err = coder_make(&block, arena);
        int32_t *value = arena_array(arena, block.count + ROWS_LANES, sizeof *value);
        uint8_t *hole = arena_array(arena, block.count, 1);
        if (err == CAEFS_OK && (value == NULL || hole == NULL))
                err = caefs_fail(CAEFS_ERR_NOMEM, "pyramid: no memory for a block");
        if (err == CAEFS_OK) {
                copy_block(c->extent, block.extent, c->value, value, sizeof *value);
                block.value = value;
                if (c->hole != NULL) {
                        copy_block(c->extent, block.extent, c->hole, hole, 1);
                        block.hole = hole;
                }
                err = search_plan(&block, arena, plan);
        }
        if (plan->levels >= levels_of_all(block.extent, plan->split))
                plan->levels = levels_of_all(c->extent, plan->split);
        arena_release(arena, mark);
        return err;
}

/* ---- planes and views ---- */

static int
compare_int32(const void *a, const void *b)
{
        int32_t x = *(const int32_t *) a, y = *(const int32_t *) b;
        return (x > y) - (x < y);
}

static int32_t
middle_value(const int32_t *grid, size_t n, size_t stride)
{
        int32_t sample[127];
        for (size_t i = 0; i < 127; i++)
                sample[i] = grid[(size_t) ((double) n * i / 127) * stride];
        qsort(sample, 127, sizeof *sample, compare_int32);
        return sample[63];
}

/* The values of plane INDEX without the base, padded with holes. */
static void
load_plane(const struct field *f, const struct pyramid_view *v, size_t index, int32_t base,
           int32_t *value, uint8_t *hole)
{
        const int32_t *grid = (const int32_t *) f->grid + index;
        for (size_t i = 0; i < v->real; i++)
                value[i] = (int32_t) ((uint32_t) grid[i * v->nplanes] - (uint32_t) base);
        if (hole == NULL)
                return;
        for (size_t i = 0; i < v->real; i++)
                hole[i] = f->hole != NULL ? f->hole[index + i * v->nplanes] : 0;
        for (size_t i = v->real; i < v->count; i++) {
                value[i] = 0;
                hole[i] = 1;
        }
}

enum caefs_err
pyramid_code(const struct pyramid_array *a, struct arena *arena, struct pyramid_plane *plane,
             int32_t *residual)
{
        struct arena_mark mark = arena_mark(arena);
        struct coder c = { .step = a->step, .effort = a->effort, .hole = a->hole };
        memcpy(c.extent, a->extent, sizeof c.extent);
        enum caefs_err err = coder_make(&c, arena);
        int32_t *value = arena_array(arena, c.count + ROWS_LANES, sizeof *value);
        if (err == CAEFS_OK && value == NULL)
                err = caefs_fail(CAEFS_ERR_NOMEM, "pyramid: no memory for %zu values", c.count);
        if (err == CAEFS_OK) {
                struct cascade_plan plan;
                int32_t base = middle_value(a->value, c.count, 1);
                for (size_t i = 0; i < c.count; i++)
                        value[i] = (int32_t) ((uint32_t) a->value[i] - (uint32_t) base);
                c.plane->base = base;
                c.value = value;
                c.residual = residual;
                if (a->given != NULL)
                        plan = a->given->plan;
                else if (a->plan != NULL)
                        plan = *a->plan;
                else
                        err = search_on_block(&c, arena, &plan);
                c.given = a->given;
                if (err == CAEFS_OK)
                        err = code_plane(&c, &plan, arena);
                *plane = *c.plane;
        }
        arena_release(arena, mark);
        return err;
}

/* Codes all planes of a view into OUT. */
static enum caefs_err
encode_view(const struct field *f, const struct pyramid_view *v, struct arena *arena,
            struct prediction *out, double *bits)
{
        struct coder c = { .step = (int32_t) f->geometry.step, .effort = f->effort };
        memcpy(c.extent, v->extent, sizeof c.extent);
        enum caefs_err err = coder_make(&c, arena);
        bool holes = f->hole != NULL || v->real < v->count;
        int32_t *value = arena_array(arena, v->count + ROWS_LANES, sizeof *value);
        uint8_t *hole = holes ? arena_array(arena, v->count, 1) : NULL;
        int32_t *residual = arena_array(arena, v->count * v->nplanes + ROWS_LANES, sizeof *residual);
        struct residual_segment *segment =
                arena_array(arena, v->nplanes * CASCADE_MAX_PASSES, sizeof *segment);
        if (err == CAEFS_OK && (!value || (holes && !hole) || !residual || !segment))
                err = caefs_fail(CAEFS_ERR_NOMEM, "pyramid: no memory for %zu values", v->count);
        *bits = 0;
        out->nsegments = 0;
        for (size_t i = 0; i < v->nplanes && err == CAEFS_OK; i++) {
                struct cascade_plan plan;
                int32_t base = middle_value((const int32_t *) f->grid + i, v->real, v->nplanes);
                load_plane(f, v, i, base, value, hole);
                c.plane->base = base;
                c.value = value;
                c.hole = hole;
                c.residual = residual + i * v->count;
                err = search_on_block(&c, arena, &plan);
                if (err == CAEFS_OK)
                        err = code_plane(&c, &plan, arena);
                pyramid_write_plane(c.plane, &out->side);
                out->nsegments += pyramid_segments(&c.plane->cascade, segment + out->nsegments);
                *bits += c.bits;
        }
        out->residual = residual;
        out->count = v->count * v->nplanes;
        out->segment = segment;
        return err;
}

/* The first byte and the row lengths. */
static void
write_view(const struct pyramid_view *v, struct bytes *side)
{
        bytes_put_u8(side, (uint8_t) (v->planar | v->nfolds << 1));
        for (unsigned i = 0; i < v->nfolds; i++)
                bytes_put_varint(side, v->fold[i]);
}

enum caefs_err
pyramid_encode(const struct field *f, struct arena *arena, struct prediction *out, double *bits)
{
        const struct field_geometry *g = &f->geometry;
        struct pyramid_view v = { .planar = g->scope != SCOPE_ARRAY && g->shape.ndim > 1 &&
                                            g->shape.extent[g->shape.ndim - 1] <= PYRAMID_MAX_PLANES };
        memset(out, 0, sizeof *out);
        if (g->shape.ndim == 1)
                v.nfolds = stride_search(f->grid, g->count, (int32_t) (g->step * 16), f->effort,
                                         arena, v.fold, 1);
        enum caefs_err err = pyramid_view_complete(g, &v);
        if (err != CAEFS_OK)
                return err;
        write_view(&v, &out->side);
        err = encode_view(f, &v, arena, out, bits);
        if (err == CAEFS_OK && out->side.failed)
                err = caefs_fail(CAEFS_ERR_NOMEM, "pyramid: no memory");
        if (err != CAEFS_OK)
                bytes_free(&out->side);
        return err;
}
