/* codec/field_part.c - what `field` keeps in a model, as bytes and back
 * (doc/format.md, "Models"). */
#include "codec/field.h"

#include <stdlib.h>
#include <string.h>

/* A magnitude counts up to this. */
#define LARGEST_MAGNITUDE 60

/* ---- the guide ---- */

static void
sums_add(uint64_t *sum, const int32_t *residual, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                uint64_t m = residual[i] < 0 ? 0 - (uint64_t) residual[i] : (uint64_t) residual[i];
                sum[i] += m < LARGEST_MAGNITUDE ? m : LARGEST_MAGNITUDE;
        }
}

/* Classes of the mean magnitude over N examples: 0 for none, then by its logarithm. */
static void
guide_of(const uint64_t *sum, size_t n, size_t count, uint8_t *guide)
{
        static const uint16_t limit[] = { 1, 5, 10, 18, 32, 64, 128, 256 };      /* in 16ths */

        for (size_t i = 0; i < count; i++) {
                uint8_t class = 0;
                while (class < sizeof limit / sizeof limit[0] && 16 * sum[i] >= limit[class] * (uint64_t) n)
                        class++;
                guide[i] = class;
        }
        guide[count] = 0;
}

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

enum caefs_err
field_examples_write(const struct field_view *v, const struct pyramid_plane *plane,
                     const int32_t *const *residual, size_t nexamples, struct bytes *out)
{
        struct arena          arena = { 0 };
        const unsigned        bits = mixing_memory_bits((nexamples + 1) * v->count);
        struct mixing_memory *memory = mixing_memory_make(bits, nexamples * v->count);
        uint64_t             *sum = arena_array(&arena, v->count, sizeof *sum);
        uint8_t              *guide = arena_alloc(&arena, v->count + 1);
        size_t                nsegments;
        struct residual_segment *segment = field_segments(v, plane, &arena, &nsegments);
        enum caefs_err        err = CAEFS_OK;

        if (memory == NULL || sum == NULL || guide == NULL || segment == NULL)
                err = caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for examples");
        else
                memset(sum, 0, v->count * sizeof *sum);
        bytes_put_u8(out, (uint8_t) nexamples);
        bytes_put_u8(out, (uint8_t) bits);
        for (size_t i = 0; i < nexamples && err == CAEFS_OK; i++) {
                err = mixing_memory_encode(memory, residual[i], segment, nsegments,
                                           i > 0 ? guide : NULL, out);
                sums_add(sum, residual[i], v->count);
                guide_of(sum, i + 1, v->count, guide);
        }
        free(memory);
        arena_free(&arena);
        return err;
}

static enum caefs_err
parse_examples(struct cursor *in, struct arena *arena, struct field_part *p)
{
        const size_t   nexamples = cursor_u8(in), count = p->view.count;
        const unsigned bits = cursor_u8(in);
        size_t         nsegments;
        struct residual_segment *segment = field_segments(&p->view, p->plane, arena, &nsegments);
        enum caefs_err err = CAEFS_OK;

        if (in->failed || nexamples > FIELD_MAX_EXAMPLES || nexamples > FIELD_MAX_REMEMBERED / count
            || bits < MIXING_MEMORY_BITS_LEAST || bits > MIXING_MEMORY_BITS_MOST)
                return caefs_fail(CAEFS_ERR_CORRUPT, "model: examples of fields are malformed");
        p->memory = mixing_memory_make(bits, nexamples * count);
        uint64_t *sum = arena_array(arena, count, sizeof *sum);
        if (nexamples > 0)
                p->guide = malloc(count + 1);
        if (segment == NULL || p->memory == NULL || sum == NULL
            || (nexamples > 0 && p->guide == NULL))
                return caefs_fail(CAEFS_ERR_NOMEM, "model: no memory for examples");
        memset(sum, 0, count * sizeof *sum);
        for (size_t i = 0; i < nexamples && err == CAEFS_OK; i++) {
                const int32_t *residual;
                err = mixing_memory_decode(p->memory, in, segment, nsegments,
                                           i > 0 ? p->guide : NULL, &residual);
                if (err != CAEFS_OK)
                        break;
                sums_add(sum, residual, count);
                guide_of(sum, i + 1, count, p->guide);
        }
        p->nexamples = nexamples;
        return err;
}

/* ---- the part ---- */

static void
release(void *part)
{
        struct field_part *p = part;

        free(p->plane);
        free(p->guide);
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
