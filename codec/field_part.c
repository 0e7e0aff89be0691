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

/* ---- examples ---- */

/* What has been learnt while examples are written or read. */
struct lesson {
        const struct field_view    *view;
        const struct pyramid_plane *plane;
        struct residual_segment    *segment;
        size_t                      nsegments;
        uint64_t                   *sum;        /* (count) of magnitudes in N examples */
        uint8_t                    *learnt;     /* their classes */
        size_t                      n;
};

static bool
lesson_begin(struct lesson *l, const struct field_view *v, const struct pyramid_plane *plane,
             struct arena *arena)
{
        *l = (struct lesson) { .view = v, .plane = plane };
        l->segment = field_segments(v, plane, arena, &l->nsegments);
        l->sum = arena_array(arena, v->count, sizeof *l->sum);
        l->learnt = arena_alloc(arena, v->count);
        if (l->segment == NULL || l->sum == NULL || l->learnt == NULL)
                return false;
        memset(l->sum, 0, v->count * sizeof *l->sum);
        return true;
}

static void
lesson_add(struct lesson *l, const int32_t *residual)
{
        field_sums_add(l->sum, residual, l->view->count);
        field_sums_class(l->sum, ++l->n, l->view->count, l->learnt);
}

/* Codes the next example: RESIDUAL to OUT, or, when OUT is NULL, from IN. */
static enum caefs_err
lesson_code(struct lesson *l, struct mixing_memory *memory, const int32_t *residual,
            struct bytes *out, struct cursor *in)
{
        struct arena       arena = { 0 };
        struct field_guide guide;
        enum caefs_err     err;

        if (!field_guide_begin(&guide, l->view, l->plane, l->n > 0 ? l->learnt : NULL, &arena)) {
                err = caefs_fail(CAEFS_ERR_NOMEM, "field: no memory for examples");
        } else {
                const struct mixing_guide asked = field_guide_of(&guide);
                err = out != NULL
                        ? mixing_memory_encode(memory, residual, l->segment, l->nsegments, &asked,
                                               out)
                        : mixing_memory_decode(memory, in, l->segment, l->nsegments, &asked,
                                               &residual);
        }
        if (err == CAEFS_OK)
                lesson_add(l, residual);
        arena_free(&arena);
        return err;
}

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
                if (!field_guide_begin(&guide, v, plane, NULL, &arena)) {
                        err = caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for statistics");
                        break;
                }
                const struct mixing_guide asked = field_guide_of(&guide);
                err = primed_lesson_add(lesson, residual[i], segment, nsegments, &asked, &arena);
        }
        if (err == CAEFS_OK)
                primed_lesson_write(lesson, out);
        free(lesson);
        arena_free(&arena);
        return err;
}

enum caefs_err
field_examples_write(const struct field_view *v, const struct pyramid_plane *plane,
                     const int32_t *const *residual, size_t nexamples, struct bytes *out)
{
        struct arena          arena = { 0 };
        const unsigned        bits = mixing_memory_bits((nexamples + 1) * v->count);
        struct mixing_memory *memory = mixing_memory_make(bits, nexamples * v->count);
        struct lesson         lesson;
        enum caefs_err        err = CAEFS_OK;

        if (memory == NULL || !lesson_begin(&lesson, v, plane, &arena))
                err = caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for examples");
        bytes_put_u8(out, (uint8_t) nexamples);
        bytes_put_u8(out, (uint8_t) bits);
        for (size_t i = 0; i < nexamples && err == CAEFS_OK; i++)
                err = lesson_code(&lesson, memory, residual[i], out, NULL);
        free(memory);
        arena_free(&arena);
        return err;
}

static enum caefs_err
parse_examples(struct cursor *in, struct arena *arena, struct field_part *p)
{
        const size_t   nexamples = cursor_u8(in), count = p->view.count;
        const unsigned bits = cursor_u8(in);
        struct lesson  lesson;
        enum caefs_err err = CAEFS_OK;

        if (in->failed || nexamples > FIELD_MAX_EXAMPLES || nexamples > FIELD_MAX_REMEMBERED / count
            || bits < MIXING_MEMORY_BITS_LEAST || bits > MIXING_MEMORY_BITS_MOST)
                return caefs_fail(CAEFS_ERR_CORRUPT, "model: examples of fields are malformed");
        p->memory = mixing_memory_make(bits, nexamples * count);
        p->learnt = nexamples > 0 ? malloc(count) : NULL;
        if (p->memory == NULL || (nexamples > 0 && p->learnt == NULL)
            || !lesson_begin(&lesson, &p->view, p->plane, arena))
                return caefs_fail(CAEFS_ERR_NOMEM, "model: no memory for examples");
        for (size_t i = 0; i < nexamples && err == CAEFS_OK; i++)
                err = lesson_code(&lesson, p->memory, NULL, NULL, in);
        if (nexamples > 0 && err == CAEFS_OK)
                memcpy(p->learnt, lesson.learnt, count);
        p->nexamples = nexamples;
        return err;
}

/* ---- the part ---- */

static void
release(void *part)
{
        struct field_part *p = part;

        free(p->plane);
        free(p->learnt);
        free(p->memory);
        free(p);
}

static enum caefs_err
parse(struct cursor *in, void **out)
{
        struct arena       arena = { 0 };
        struct field_part *p = calloc(1, sizeof *p);

        if (p == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "model: no memory");
        enum caefs_err err = parse_pattern(in, p);
        if (err == CAEFS_OK)
                err = primed_parse(in, &p->primed);
        if (err == CAEFS_OK)
                err = parse_examples(in, &arena, p);
        arena_free(&arena);
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
