/* codec/field_part.c - what `field` keeps in a model, as bytes and back
 * (doc/format.md, "Models"). */
#include "codec/field_guide.h"

#include <stdlib.h>
#include <string.h>

/* ---- the pattern ---- */

static bool
is_flat(const struct shape *s)
{
        return s->ndim == 1;
}

void
field_pattern_write(const struct shape *shape, const struct field_view *v,
                    const struct pyramid_plane *plane, struct bytes *out)
{
        bytes_put_u8(out, (uint8_t) shape->ndim);
        for (unsigned a = 0; a < shape->ndim; a++)
                bytes_put_varint(out, shape->extent[a]);
        if (is_flat(shape)) {
                bytes_put_u8(out, (uint8_t) v->nblocks);
                for (size_t i = 0; i < v->nblocks; i++) {
                        bytes_put_varint(out, v->block[i].extent[AXES - 2]);
                        bytes_put_varint(out, v->block[i].extent[AXES - 1]);
                }
        }
        for (size_t i = 0; i < v->nblocks; i++)
                pyramid_write_plane(&plane[i], out);
}

static enum caefs_err
parse_shape(struct cursor *in, struct shape *s)
{
        size_t count = 1;

        s->ndim = cursor_u8(in);
        if (in->failed || s->ndim < 1 || s->ndim > AXES)
                return caefs_fail(CAEFS_ERR_CORRUPT, "model: the shape of its fields is malformed");
        for (unsigned a = 0; a < s->ndim; a++) {
                s->extent[a] = cursor_varint_max(in, FIELD_MAX_VALUES);
                if (in->failed || s->extent[a] == 0 || count > FIELD_MAX_VALUES / s->extent[a])
                        return caefs_fail(CAEFS_ERR_CORRUPT, "model: its fields are too large");
                count *= s->extent[a];
        }
        return CAEFS_OK;
}

/* Rows and columns of each block; together the whole field. */
static enum caefs_err
parse_blocks(struct cursor *in, struct field_view *v)
{
        size_t left = v->count;

        v->nblocks = cursor_u8(in);
        if (in->failed || v->nblocks < 1 || v->nblocks > FIELD_MAX_BLOCKS)
                return caefs_fail(CAEFS_ERR_CORRUPT, "model: the blocks of its fields are malformed");
        for (size_t i = 0; i < v->nblocks; i++) {
                size_t rows = cursor_varint_max(in, left), columns = cursor_varint_max(in, left);
                if (in->failed || rows == 0 || columns == 0 || rows > left / columns)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "model: a block leaves its field");
                v->block[i] = (struct field_block) { { 1, 1, rows, columns }, rows * columns };
                left -= rows * columns;
        }
        return left == 0 ? CAEFS_OK
                : caefs_fail(CAEFS_ERR_CORRUPT, "model: blocks do not cover their field");
}

static enum caefs_err
parse_pattern(struct cursor *in, struct field_part *p)
{
        enum caefs_err err = parse_shape(in, &p->shape);

        if (err == CAEFS_OK)
                field_view_of_shape(&p->shape, &p->view);
        if (err == CAEFS_OK && is_flat(&p->shape))
                err = parse_blocks(in, &p->view);
        if (err != CAEFS_OK)
                return err;
        p->plane = calloc(p->view.nblocks, sizeof *p->plane);
        if (p->plane == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "model: no memory");
        for (size_t i = 0; i < p->view.nblocks && err == CAEFS_OK; i++)
                err = pyramid_parse_plane(in, p->view.block[i].extent, &p->plane[i]);
        return err;
}

/* ---- statistics ---- */

enum caefs_err
field_primed_write(const struct field_view *v, const struct pyramid_plane *plane,
                   const int32_t *const *residual, size_t nfields, struct bytes *out)
{
        struct arena             arena = { 0 };
        size_t                   nsegments;
        struct residual_segment *segment = field_segments(v, plane, &arena, &nsegments);
        struct primed_lesson    *lesson = calloc(1, sizeof *lesson);
        enum caefs_err           err = CAEFS_OK;

        if (segment == NULL || lesson == NULL)
                err = caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for statistics");
        for (size_t i = 0; i < nfields && err == CAEFS_OK; i++) {
                struct field_guide guide;
                if (!field_guide_begin(&guide, v, plane, &arena)) {
                        err = caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for statistics");
                        break;
                }
                const struct residual_guide asked = field_guide_of(&guide);
                err = primed_lesson_add(lesson, residual[i], segment, nsegments, &asked, &arena);
        }
        if (err == CAEFS_OK)
                primed_lesson_write(lesson, out);
        free(lesson);
        arena_free(&arena);
        return err;
}

/* ---- the part ---- */

static void
release(void *part)
{
        struct field_part *p = part;

        free(p->plane);
        free(p);
}

static enum caefs_err
parse(struct cursor *in, void **out)
{
        struct field_part *p = calloc(1, sizeof *p);

        if (p == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "model: no memory");
        enum caefs_err err = parse_pattern(in, p);
        if (err == CAEFS_OK)
                err = primed_parse(in, &p->primed);
        if (err == CAEFS_OK)
                *out = p;
        else
                release(p);
        return err;
}

const struct family_part field_part = {
        .parse = parse,
        .release = release,
};
