/* codec/field_encode.c - the family `field`: the encoder's choices.
 *
 * A field with the pattern is predicted with the model's stencils, which cost nothing, with
 * stencils of its own, and with plans of its own; any other one with a pyramid of its own.
 * Estimates know little of what mixing makes of residuals, so all of these are coded.
 */
#include "codec/field_guide.h"

#include <string.h>

#include "codec/model.h"
#include "codec/stride.h"

#define FASTEST (AXES - 1)

/* Mixing decodes slowly: it must save one part in so many. */
#define MIXING_SAVES 20

/* A field predicted in one way. */
struct attempt {
        unsigned              flags;
        bool                  guided;           /* with the plans of the pattern */
        enum effort           effort;
        size_t                row;              /* of a flat field without pattern; or 0 */
        struct field_view     view;
        struct pyramid_plane *plane;            /* (nblocks) */
        int32_t              *residual;         /* (view.count), and room for ROWS_LANES */
};

bool
field_applies(const struct field *f)
{
        const struct field_geometry *g = &f->geometry;

        return model_part(g->model, FAMILY_FIELD) != NULL && f->effort != EFFORT_FAST && !g->wide
                && g->step > 1 && g->step <= INT32_MAX && g->scope == SCOPE_ARRAY
                && g->shape.ndim >= 1 && g->shape.ndim <= AXES && g->count >= 64
                && g->count <= FIELD_MAX_VALUES;
}

/* Predicts all blocks of A's view.  GRID and HOLE, or NULL, hold (view.count) values. */
static enum caefs_err
attempt_code(const struct field *f, const struct field_part *part, const int32_t *grid,
             const uint8_t *hole, struct arena *arena, struct attempt *a)
{
        enum caefs_err err = CAEFS_OK;

        a->plane = arena_array(arena, a->view.nblocks, sizeof *a->plane);
        a->residual = arena_array(arena, a->view.count + ROWS_LANES, sizeof *a->residual);
        if (a->plane == NULL || a->residual == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "field: no memory for %zu values", a->view.count);
        for (size_t i = 0, at = 0; i < a->view.nblocks && err == CAEFS_OK; i++) {
                struct pyramid_array array = {
                        .value = grid + at, .hole = hole != NULL ? hole + at : NULL,
                        .step = (int32_t) f->geometry.step, .effort = a->effort,
                        .plan = a->guided ? &part->plane[i].plan : NULL,
                        .given = a->flags & FIELD_SIDE_GIVEN ? &part->plane[i] : NULL,
                };
                memcpy(array.extent, a->view.block[i].extent, sizeof array.extent);
                err = pyramid_code(&array, arena, &a->plane[i], a->residual + at);
                at += a->view.block[i].count;
        }
        return err;
}

/* Rows of a flat field that has no pattern. */
static void
find_rows(const struct field *f, struct arena *arena, struct attempt *a)
{
        const struct field_geometry *g = &f->geometry;
        struct field_block *b = &a->view.block[0];

        field_view_of_shape(&g->shape, &a->view);
        if (g->shape.ndim != 1
            || stride_search(f->grid, g->count, (int32_t) (g->step * 16), f->effort, arena, &a->row,
                             1) == 0) {
                a->row = 0;
                return;
        }
        b->extent[FASTEST] = a->row;
        b->extent[FASTEST - 1] = (g->count + a->row - 1) / a->row;
        a->view.count = b->count = b->extent[FASTEST] * b->extent[FASTEST - 1];
}

/* The field and its holes with what pads it. */
static enum caefs_err
pad(const struct field *f, size_t count, struct arena *arena, const int32_t **grid,
    const uint8_t **hole)
{
        size_t   n = f->geometry.count;

        *grid = f->grid;
        *hole = f->hole;
        if (count == n)
                return CAEFS_OK;
        int32_t *values = arena_array(arena, count, sizeof *values);
        uint8_t *holes = arena_alloc(arena, count);
        if (values == NULL || holes == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "field: no memory for %zu values", count);
        memcpy(values, f->grid, n * sizeof *values);
        if (f->hole != NULL)
                memcpy(holes, f->hole, n);
        else
                memset(holes, 0, n);
        for (size_t i = n; i < count; i++) {
                values[i] = values[n - 1];
                holes[i] = 1;
        }
        *grid = values;
        *hole = holes;
        return CAEFS_OK;
}

static void
write_planes(const struct attempt *a, unsigned flags, struct bytes *side)
{
        bytes_put_u8(side, (uint8_t) flags);
        if (!(flags & FIELD_SIDE_PATTERN))
                bytes_put_varint(side, a->row);
        for (size_t i = 0; i < a->view.nblocks; i++) {
                if (flags & FIELD_SIDE_GIVEN)
                        bytes_put_signed(side, a->plane[i].base);
                else
                        pyramid_write_plane(&a->plane[i], side);
        }
}

/* With the model's tables, or by mixing. */
static enum caefs_err
attempt_write(const struct field_part *part, const struct attempt *a, bool mixed,
              struct arena *arena, struct bytes *side)
{
        size_t nsegments;
        struct residual_segment *segment = field_segments(&a->view, a->plane, arena, &nsegments);
        struct field_guide guide;

        if (segment == NULL || !field_guide_begin(&guide, &a->view, a->plane, arena))
                return caefs_fail(CAEFS_ERR_NOMEM, "field: no memory for %zu values", a->view.count);
        write_planes(a, a->flags | (mixed ? 0 : FIELD_SIDE_PRIMED), side);
        const struct residual_guide asked = field_guide_of(&guide);
        return mixed ? residual_encode_guided(a->residual, segment, nsegments, &asked, arena, side)
                : primed_encode(&part->primed, a->residual, segment, nsegments, &asked, arena, side);
}

/* Codes attempt A. */
static enum caefs_err
attempt_make(const struct field *f, const struct field_part *part, bool mixed, struct arena *arena,
             struct attempt *a, struct bytes *side)
{
        struct arena_mark mark = arena_mark(arena);
        const int32_t    *grid;
        const uint8_t    *hole;
        enum caefs_err    err = pad(f, a->view.count, arena, &grid, &hole);

        if (err == CAEFS_OK)
                err = attempt_code(f, part, grid, hole, arena, a);
        if (err == CAEFS_OK)
                err = attempt_write(part, a, mixed, arena, side);
        if (err == CAEFS_OK && side->failed)
                err = caefs_fail(CAEFS_ERR_NOMEM, "field: no memory");
        arena_release(arena, mark);
        return err;
}

/* The smallest so far. */
struct best {
        struct attempt attempt;         /* its parameters */
        struct bytes   side;
};

static enum caefs_err
attempt_try(const struct field *f, const struct field_part *part, struct arena *arena,
            struct attempt *a, struct best *best)
{
        struct bytes   side = { 0 };
        enum caefs_err err = attempt_make(f, part, false, arena, a, &side);

        if (err == CAEFS_OK && (best->side.size == 0 || side.size < best->side.size)) {
                struct bytes swap = best->side;
                best->side = side;
                best->attempt = *a;
                side = swap;
        }
        bytes_free(&side);
        return err;
}

/* The best attempt with mixing, if that saves enough. */
static enum caefs_err
try_mixing(const struct field *f, const struct field_part *part, struct arena *arena,
           struct best *best)
{
        struct bytes   side = { 0 };
        enum caefs_err err = attempt_make(f, part, true, arena, &best->attempt, &side);

        if (err == CAEFS_OK && side.size + best->side.size / MIXING_SAVES < best->side.size) {
                struct bytes swap = best->side;
                best->side = side;
                side = swap;
        }
        bytes_free(&side);
        return err;
}

/* With plans of its own. */
static enum caefs_err
try_free(const struct field *f, const struct field_part *part, struct arena *arena,
         struct best *best)
{
        enum caefs_err err = CAEFS_OK;

        for (int effort = EFFORT_BALANCED; effort <= EFFORT_MAX && err == CAEFS_OK; effort++) {
                struct attempt a = { .effort = (enum effort) effort };
                if (field_has_pattern(part, &f->geometry)) {
                        a.flags = FIELD_SIDE_PATTERN;
                        a.view = part->view;
                } else {
                        find_rows(f, arena, &a);
                }
                err = attempt_try(f, part, arena, &a, best);
        }
        return err;
}

/* With the plans of the pattern: the model's stencils, and own ones. */
static enum caefs_err
try_guided(const struct field *f, const struct field_part *part, struct arena *arena,
           struct best *best)
{
        enum caefs_err err = CAEFS_OK;

        for (int effort = EFFORT_FAST; effort <= EFFORT_MAX && err == CAEFS_OK; effort++) {
                struct attempt a = {
                        .flags = FIELD_SIDE_PATTERN, .guided = true, .view = part->view,
                        .effort = (enum effort) effort,
                };
                if (effort == EFFORT_FAST)
                        a.flags |= FIELD_SIDE_GIVEN;
                err = attempt_try(f, part, arena, &a, best);
        }
        return err;
}

enum caefs_err
field_encode(const struct field *f, struct arena *arena, struct prediction *out, double *bits)
{
        const struct field_part *part = model_part(f->geometry.model, FAMILY_FIELD);
        struct best    best = { .side = { 0 } };
        enum caefs_err err = CAEFS_OK;

        memset(out, 0, sizeof *out);
        if (field_has_pattern(part, &f->geometry))
                err = try_guided(f, part, arena, &best);
        if (err == CAEFS_OK)
                err = try_free(f, part, arena, &best);
        if (err == CAEFS_OK && f->effort == EFFORT_MAX)
                err = try_mixing(f, part, arena, &best);
        if (err != CAEFS_OK)
                bytes_free(&best.side);
        out->side = best.side;
        *bits = 8.0 * (double) out->side.size;
        return err;
}
