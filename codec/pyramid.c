/* codec/pyramid.c - the family `pyramid`: its parameters, and decoding.
 *
 * See codec/cascade.h for the passes and codec/stencil.h for the prediction.
 */
#include "codec/pyramid.h"

#include <string.h>

#define FASTEST (AXES - 1)

/* First byte of SIDE. */
#define SIDE_PLANAR 0x01
#define SIDE_FOLDS  1                   /* two bits from here */

/* ---- the view ---- */

static enum caefs_err
fold_extents(const struct field_geometry *g, struct pyramid_view *v)
{
        size_t inner = 1, at = FASTEST;
        for (unsigned i = v->nfolds; i-- > 0; at--) {
                if (v->fold[i] < 2 || v->fold[i] > g->count / inner)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "pyramid: a row length is out of range");
                v->extent[at] = v->fold[i];
                inner *= v->fold[i];
        }
        v->extent[at] = (g->count + inner - 1) / inner;
        v->count = v->extent[at] * inner;
        v->real = g->count;
        return CAEFS_OK;
}

/* The axes of the chunk that have more than one point, right-aligned. */
static void
shape_extents(const struct field_geometry *g, struct pyramid_view *v)
{
        unsigned ndim = g->shape.ndim - v->planar, at = AXES;
        v->nplanes = v->planar ? g->shape.extent[ndim] : 1;
        v->count = v->real = g->count / v->nplanes;
        for (unsigned a = ndim; a-- > 0; )
                if (g->shape.extent[a] > 1)
                        v->extent[--at] = g->shape.extent[a];
}

enum caefs_err
pyramid_view_complete(const struct field_geometry *g, struct pyramid_view *v)
{
        unsigned ndim = g->shape.ndim;
        if (g->wide || ndim > AXES || v->nfolds > PYRAMID_MAX_FOLDS ||
            (v->planar && (v->nfolds > 0 || ndim < 2 ||
                           g->shape.extent[ndim - 1] > PYRAMID_MAX_PLANES)))
                return caefs_fail(CAEFS_ERR_CORRUPT, "pyramid: not for such a chunk");
        for (unsigned a = 0; a < AXES; a++)
                v->extent[a] = 1;
        v->nplanes = 1;
        if (v->nfolds > 0)
                return fold_extents(g, v);
        shape_extents(g, v);
        return CAEFS_OK;
}

size_t
pyramid_segments(const struct cascade *c, struct residual_segment *segment)
{
        for (unsigned i = 0; i < c->npasses; i++) {
                const struct pass *p = &c->pass[i];
                size_t count = pass_count(p), row = p->odd[FASTEST];
                segment[i] = (struct residual_segment) {
                        count, row < count ? row : 0, p->level < 3 ? p->level - 1 : 2 };
        }
        return c->npasses;
}

/* ---- parameters ---- */

bool
pyramid_stencil(const struct pyramid_plane *plane, unsigned index, enum stencil_mode mode,
                struct stencil *s)
{
        const struct pass *p = &plane->cascade.pass[index];
        if (mode == STENCIL_LINEAR)
                stencil_linear(p, s);
        else if (mode == STENCIL_CUBIC)
                stencil_cubic(p, s);
        for (unsigned i = index; mode == STENCIL_AGAIN && i-- > 0; ) {
                if (plane->cascade.pass[i].axis != p->axis)
                        continue;
                struct term_list list;
                stencil_terms(p, &list);
                *s = plane->stencil[i];
                return s->nterms <= list.count;
        }
        return mode != STENCIL_AGAIN;
}

static unsigned
pack_order(const unsigned order[AXES])
{
        return order[0] | order[1] << 2 | order[2] << 4 | order[3] << 6;
}

void
pyramid_write_plane(const struct pyramid_plane *plane, struct bytes *side)
{
        const struct cascade_plan *plan = &plane->plan;
        bytes_put_signed(side, plane->base);
        bytes_put_u8(side, (uint8_t) plan->levels);
        if (plan->levels > 0) {
                bytes_put_u8(side, (uint8_t) (plan->split | plan->tighten << AXES));
                bytes_put_u8(side, (uint8_t) pack_order(plan->order));
        }
        for (unsigned i = 0; i < plane->cascade.npasses; ) {
                unsigned run = 1;
                while (i + run < plane->cascade.npasses && run < 64 &&
                       plane->mode[i + run] == plane->mode[i])
                        run++;
                bytes_put_u8(side, (uint8_t) (plane->mode[i] | (run - 1) << 2));
                for (unsigned end = i + run; i < end; i++)
                        if (plane->mode[i] == STENCIL_FITTED)
                                stencil_write(&plane->stencil[i], side);
        }
}

static enum caefs_err
parse_plan(struct cursor *side, struct cascade_plan *plan)
{
        memset(plan, 0, sizeof *plan);
        plan->levels = cursor_u8(side);
        if (plan->levels > CASCADE_MAX_LEVELS)
                return caefs_fail(CAEFS_ERR_CORRUPT, "pyramid: %u levels", plan->levels);
        if (plan->levels == 0)
                return CAEFS_OK;
        unsigned packed = cursor_u8(side), order = cursor_u8(side), seen = 0;
        plan->split = packed & ((1 << AXES) - 1);
        plan->tighten = packed >> AXES;
        for (unsigned i = 0; i < AXES; i++) {
                plan->order[i] = order >> (2 * i) & 3;
                seen |= 1u << plan->order[i];
        }
        if (seen != (1 << AXES) - 1)
                return caefs_fail(CAEFS_ERR_CORRUPT, "pyramid: an axis comes twice");
        return CAEFS_OK;
}

static enum caefs_err
parse_stencil(struct cursor *side, struct pyramid_plane *plane, unsigned index)
{
        enum stencil_mode mode = plane->mode[index];
        if (mode == STENCIL_FITTED) {
                struct term_list list;
                stencil_terms(&plane->cascade.pass[index], &list);
                return stencil_parse(side, &list, &plane->stencil[index]);
        }
        if (!pyramid_stencil(plane, index, mode, &plane->stencil[index]))
                return caefs_fail(CAEFS_ERR_CORRUPT, "pyramid: no stencil to use again");
        return CAEFS_OK;
}

enum caefs_err
pyramid_parse_plane(struct cursor *side, const size_t extent[AXES], struct pyramid_plane *plane)
{
        plane->base = (int32_t) cursor_signed(side);
        enum caefs_err err = parse_plan(side, &plane->plan);
        if (err != CAEFS_OK)
                return err;
        cascade_build(&plane->plan, extent, &plane->cascade);
        for (unsigned i = 0; i < plane->cascade.npasses; ) {
                uint8_t byte = cursor_u8(side);
                unsigned run = (byte >> 2) + 1;
                if (side->failed || run > plane->cascade.npasses - i)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "pyramid: stencils do not fit");
                for (unsigned end = i + run; i < end; i++) {
                        plane->mode[i] = byte & 3;
                        err = parse_stencil(side, plane, i);
                        if (err != CAEFS_OK)
                                return err;
                }
        }
        return CAEFS_OK;
}

static enum caefs_err
parse_side(const struct field_geometry *g, struct cursor *side, struct arena *arena,
           struct pyramid_view *v, struct pyramid_plane **planes)
{
        memset(v, 0, sizeof *v);
        uint8_t flags = cursor_u8(side);
        v->planar = flags & SIDE_PLANAR;
        v->nfolds = flags >> SIDE_FOLDS;
        for (unsigned i = 0; i < v->nfolds && i < PYRAMID_MAX_FOLDS; i++)
                v->fold[i] = cursor_varint_max(side, g->count);
        enum caefs_err err = pyramid_view_complete(g, v);
        if (err != CAEFS_OK)
                return err;
        *planes = arena_array(arena, v->nplanes, sizeof **planes);
        if (*planes == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "pyramid: no memory");
        for (size_t i = 0; i < v->nplanes; i++)
                if ((err = pyramid_parse_plane(side, v->extent, &(*planes)[i])) != CAEFS_OK)
                        return err;
        if (side->failed || cursor_left(side) > 0)
                return caefs_fail(CAEFS_ERR_CORRUPT, "pyramid: parameters are malformed");
        return CAEFS_OK;
}

/* ---- rebuilding ---- */

static void
rebuild_pass(const struct pass *p, const struct stencil *s, int32_t step, const int32_t *residual,
             const struct stencil_lanes *lanes, struct canvas *c)
{
        struct term_list list;
        struct rows even, odd;
        struct row_stencil r;
        size_t n = p->odd[FASTEST], rows = pass_rows(p);
        stencil_terms(p, &list);
        canvas_rows(c, p, &even, &odd);
        for (size_t row = 0; row < rows; row++) {
                size_t index[AXES - 1];
                pass_row_index(p, row, index);
                stencil_next_row(p, &list, s, &even, &odd, index, &r);
                stencil_rebuild(lanes, &r, n, step, residual + row * n, row_of(&odd, index));
                canvas_end_row(c, p, index);
        }
        canvas_end_pass(c, p);
}

/* The plane's values, without its base, on the canvas. */
static void
rebuild_plane(const struct pyramid_plane *plane, int32_t step, const int32_t *residual,
              struct canvas *c)
{
        const struct stencil_lanes *lanes = stencil_lanes();
        for (unsigned i = 0; i < plane->cascade.npasses; i++) {
                const struct pass *p = &plane->cascade.pass[i];
                int32_t s = cascade_step(&plane->plan, step, p->level);
                rebuild_pass(p, &plane->stencil[i], s, residual, lanes, c);
                residual += pass_count(p);
        }
}

/* The first COUNT values of a canvas to their places, STRIDE apart. */
static void
place_plane(const struct canvas *c, size_t count, int32_t base, int32_t *grid, size_t stride)
{
        for (size_t row = 0, at = 0; at < count; row++, at += c->extent[FASTEST]) {
                const int32_t *value = canvas_row(c, row);
                size_t n = count - at < c->extent[FASTEST] ? count - at : c->extent[FASTEST];
                for (size_t i = 0; i < n && stride == 1; i++)
                        grid[at + i] = (int32_t) ((uint32_t) value[i] + (uint32_t) base);
                for (size_t i = 0; i < n && stride != 1; i++)
                        grid[(at + i) * stride] = (int32_t) ((uint32_t) value[i] + (uint32_t) base);
        }
}

enum caefs_err
pyramid_rebuild(const struct pyramid_plane *plane, const size_t extent[AXES], int32_t step,
                const int32_t *residual, struct arena *arena, size_t count, int32_t *grid)
{
        struct canvas canvas;
        enum caefs_err err = canvas_make(&canvas, extent, arena);
        if (err != CAEFS_OK)
                return err;
        rebuild_plane(plane, step, residual, &canvas);
        place_plane(&canvas, count, plane->base, grid, 1);
        return CAEFS_OK;
}

static enum caefs_err
decode_residuals(const struct pyramid_view *v, const struct pyramid_plane *planes,
                 struct cursor *coded, struct arena *arena, int32_t **residual)
{
        size_t npasses = 0;
        for (size_t i = 0; i < v->nplanes; i++)
                npasses += planes[i].cascade.npasses;
        struct residual_segment *segment = arena_array(arena, npasses, sizeof *segment);
        *residual = arena_array(arena, v->count * v->nplanes + ROWS_LANES, sizeof **residual);
        if (segment == NULL || *residual == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "pyramid: no memory for %zu values", v->count);
        size_t n = 0;
        for (size_t i = 0; i < v->nplanes; i++)
                n += pyramid_segments(&planes[i].cascade, segment + n);
        return residual_decode(coded, *residual, segment, n, arena);
}

static enum caefs_err
pyramid_decode(const struct field_geometry *g, struct cursor *side, struct cursor *coded,
               struct arena *arena, void *grid)
{
        struct pyramid_view v;
        struct pyramid_plane *planes;
        struct canvas canvas;
        int32_t *residual;
        enum caefs_err err = parse_side(g, side, arena, &v, &planes);
        if (err == CAEFS_OK)
                err = decode_residuals(&v, planes, coded, arena, &residual);
        if (err == CAEFS_OK)
                err = canvas_make(&canvas, v.extent, arena);
        for (size_t i = 0; i < v.nplanes && err == CAEFS_OK; i++) {
                rebuild_plane(&planes[i], (int32_t) g->step, residual + i * v.count, &canvas);
                place_plane(&canvas, v.real, planes[i].base, (int32_t *) grid + i, v.nplanes);
        }
        return err;
}

/* The columns of a table are `column`'s: its rows have no neighbourhood to speak of. */
static bool
pyramid_applies(const struct field *f)
{
        const struct field_geometry *g = &f->geometry;
        bool table = g->scope == SCOPE_COLUMN && g->shape.ndim > 1 &&
                     g->shape.extent[g->shape.ndim - 1] <= PYRAMID_MAX_PLANES;
        return !table && !g->wide && g->step <= INT32_MAX && g->shape.ndim >= 1 && g->shape.ndim <= AXES &&
               g->count >= 8;
}

const struct family_methods family_pyramid = {
        .name = "pyramid",
        .applies = pyramid_applies,
        .encode = pyramid_encode,
        .decode = pyramid_decode,
};
