/* codec/field.c - the family `field`: views, and decoding. */
#include "codec/field_guide.h"

#include <string.h>

#include "codec/model.h"

#define FASTEST (AXES - 1)

void
field_view_of_shape(const struct shape *shape, struct field_view *v)
{
        struct field_block *b = &v->block[0];
        unsigned at = AXES;

        v->nblocks = 1;
        b->count = 1;
        for (unsigned a = 0; a < AXES; a++)
                b->extent[a] = 1;
        for (unsigned a = shape->ndim; a-- > 0;) {
                b->count *= shape->extent[a];
                if (shape->extent[a] > 1)
                        b->extent[--at] = shape->extent[a];
        }
        v->count = b->count;
}

bool
field_has_pattern(const struct field_part *p, const struct field_geometry *g)
{
        if (p->shape.ndim != g->shape.ndim)
                return false;
        for (unsigned a = 0; a < p->shape.ndim; a++)
                if (p->shape.extent[a] != g->shape.extent[a])
                        return false;
        return true;
}

struct residual_segment *
field_segments(const struct field_view *v, const struct pyramid_plane *plane, struct arena *arena,
               size_t *nsegments)
{
        size_t n = 0;

        for (size_t i = 0; i < v->nblocks; i++)
                n += plane[i].cascade.npasses;
        struct residual_segment *segment = arena_array(arena, n, sizeof *segment);
        *nsegments = 0;
        for (size_t i = 0; i < v->nblocks && segment != NULL; i++)
                *nsegments += pyramid_segments(&plane[i].cascade, segment + *nsegments);
        return segment;
}

/* ---- decoding ---- */

/* A chunk of another shape: as it is, or, flat, in rows. */
static enum caefs_err
parse_view(const struct field_geometry *g, struct cursor *side, struct field_view *v)
{
        size_t length = cursor_varint_max(side, g->count);

        field_view_of_shape(&g->shape, v);
        if (length == 0 && !side->failed)
                return CAEFS_OK;
        if (side->failed || length < 2 || g->shape.ndim != 1)
                return caefs_fail(CAEFS_ERR_CORRUPT, "field: rows are malformed");
        v->block[0].extent[FASTEST] = length;
        v->block[0].extent[FASTEST - 1] = (g->count + length - 1) / length;
        v->count = v->block[0].count = length * v->block[0].extent[FASTEST - 1];
        return CAEFS_OK;
}

static enum caefs_err
parse_side(const struct field_geometry *g, const struct field_part *part, struct cursor *side,
           struct arena *arena, unsigned *flags, struct field_view *v,
           struct pyramid_plane **planes)
{
        enum caefs_err err = CAEFS_OK;

        *flags = cursor_u8(side);
        if (side->failed || *flags > FIELD_SIDE_ALL
            || (*flags & (FIELD_SIDE_PATTERN | FIELD_SIDE_GIVEN)) == FIELD_SIDE_GIVEN
            || (*flags & FIELD_SIDE_PATTERN && !field_has_pattern(part, g)))
                return caefs_fail(CAEFS_ERR_CORRUPT, "field: parameters are malformed");
        if (*flags & FIELD_SIDE_PATTERN)
                *v = part->view;
        else
                err = parse_view(g, side, v);
        if (err != CAEFS_OK)
                return err;
        *planes = arena_array(arena, v->nblocks, sizeof **planes);
        if (*planes == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "field: no memory");
        for (size_t i = 0; i < v->nblocks && err == CAEFS_OK; i++) {
                if (*flags & FIELD_SIDE_GIVEN) {
                        (*planes)[i] = part->plane[i];
                        (*planes)[i].base = (int32_t) cursor_signed(side);
                } else {
                        err = pyramid_parse_plane(side, v->block[i].extent, &(*planes)[i]);
                }
        }
        if (err == CAEFS_OK && side->failed)
                err = caefs_fail(CAEFS_ERR_CORRUPT, "field: parameters are cut short");
        return err;
}

static enum caefs_err
decode_residuals(const struct field_part *part, bool primed, const struct field_view *v,
                 const struct pyramid_plane *planes, struct cursor *side, struct arena *arena,
                 int32_t **residual)
{
        size_t nsegments;
        struct residual_segment *segment = field_segments(v, planes, arena, &nsegments);
        int32_t           *r = arena_array(arena, v->count + ROWS_LANES, sizeof *r);
        struct field_guide guide;

        if (segment == NULL || r == NULL || !field_guide_begin(&guide, v, planes, arena))
                return caefs_fail(CAEFS_ERR_NOMEM, "field: no memory for %zu values", v->count);
        const struct residual_guide asked = field_guide_of(&guide);
        enum caefs_err err = primed
                ? primed_decode(&part->primed, side, segment, nsegments, &asked, arena, r)
                : residual_decode_guided(side, r, segment, nsegments, &asked, arena);
        if (err == CAEFS_OK && cursor_left(side) > 0)
                err = caefs_fail(CAEFS_ERR_CORRUPT, "field: bytes behind the residuals");
        *residual = r;
        return err;
}

static enum caefs_err
field_decode(const struct field_geometry *g, struct cursor *side, struct cursor *coded,
             struct arena *arena, void *grid)
{
        const struct field_part *part = model_part(g->model, FAMILY_FIELD);
        struct field_view     v;
        struct pyramid_plane *planes = NULL;
        int32_t              *residual = NULL;
        unsigned              flags;
        size_t                at = 0;

        if (part == NULL)
                return caefs_fail(CAEFS_ERR_MODEL, "field: the model has learnt nothing of fields");
        if (g->wide || g->step > INT32_MAX || g->shape.ndim > AXES || g->count > FIELD_MAX_VALUES)
                return caefs_fail(CAEFS_ERR_CORRUPT, "field: not for such a chunk");
        enum caefs_err err = parse_side(g, part, side, arena, &flags, &v, &planes);
        if (err == CAEFS_OK)
                err = decode_residuals(part, flags & FIELD_SIDE_PRIMED, &v, planes, side, arena,
                                       &residual);
        for (size_t i = 0; err == CAEFS_OK && i < v.nblocks; i++) {
                size_t left = g->count - at, n = v.block[i].count < left ? v.block[i].count : left;
                err = pyramid_rebuild(&planes[i], v.block[i].extent, (int32_t) g->step,
                                      residual + at, arena, n, (int32_t *) grid + at);
                at += n;
        }
        return err == CAEFS_OK ? residual_decode(coded, NULL, NULL, 0, arena) : err;
}

const struct family_methods family_field = {
        .name = "field",
        .needs_model = true,
        .part = &field_part,
        .applies = field_applies,
        .encode = field_encode,
        .decode = field_decode,
};
