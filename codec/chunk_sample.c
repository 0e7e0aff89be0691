/* codec/chunk_sample.c - choosing how to code a large plane on a part of it.
 *
 * The part is a box from the middle of the plane, so that every value keeps the
 * neighbours it is predicted from.  Each proposed grid is laid on it and each
 * family predicts it; only what wins there is tried on the whole plane.
 */
#include <math.h>
#include <string.h>

#include "codec/chunk_search.h"

/* Values of the box, at most. */
static const size_t sample_values[] = { 8192, 8192 };

/* The family that decodes faster is preferred by effort: the pyramid must save so much. */
static const double pyramid_weight[] = { 1.2, 1.0 };

/* Above FAST the pyramid is not tried on the part: to search its plan takes as long there
 * as on the whole plane, and it mostly wins. */
static bool
is_left_for_whole(const struct search *part, unsigned family)
{
        return part->options->effort != EFFORT_FAST && family == FAMILY_PYRAMID
                && part->options->family == 0;
}

struct box {
        struct shape shape;
        size_t       first[4];          /* along each axis */
};

bool
sample_pays(const struct search *s)
{
        enum effort effort = s->options->effort;

        return effort != EFFORT_MAX && s->plane->model == NULL
                && s->plane->count >= 8 * sample_values[effort]
                && (effort == EFFORT_FAST || !s->fill.repeats);
}

/* The largest extents are halved until the box is small enough; columns with grids of
 * their own stay together. */
static struct box
middle_box(const struct plane *p, size_t limit)
{
        struct box b = { .shape = p->shape };
        unsigned   axes = p->columns > 1 ? p->shape.ndim - 1 : p->shape.ndim;

        while (shape_count(&b.shape) > limit) {
                unsigned largest = 0;
                for (unsigned a = 1; a < axes; a++)
                        if (b.shape.extent[a] > b.shape.extent[largest])
                                largest = a;
                if (b.shape.extent[largest] == 1)
                        break;
                b.shape.extent[largest] = (b.shape.extent[largest] + 1) / 2;
        }
        for (unsigned a = 0; a < p->shape.ndim; a++)
                b.first[a] = (p->shape.extent[a] - b.shape.extent[a]) / 2;
        return b;
}

/* Copies the box out of VALUES, row by row. */
static void
box_copy(const struct plane *p, const struct box *b, const void *values, void *out)
{
        size_t width = dtype_size(p->dtype), ndim = p->shape.ndim;
        size_t row = b->shape.extent[ndim - 1], rows = shape_count(&b->shape) / row;

        for (size_t r = 0; r < rows; r++) {
                size_t at = b->first[ndim - 1], stride = p->shape.extent[ndim - 1], rest = r;
                for (size_t a = ndim - 1; a-- > 0;) {
                        at += (b->first[a] + rest % b->shape.extent[a]) * stride;
                        rest /= b->shape.extent[a];
                        stride *= p->shape.extent[a];
                }
                memcpy((char *) out + r * row * width, (const char *) values + at * width,
                       row * width);
        }
}

/* Bits of the whole plane, when the box is one SCALEth of it. */
static double
whole_bits(const struct candidate *c, double scale)
{
        double once = 8 * (double) c->prediction.side.size + c->lattice->table_bits;

        return (c->bits - once) * scale + once;
}

/* Whether family NUMBER would be tried on the whole plane: a part is narrower. */
static bool
applies_to_whole(const struct search *s, const struct proposal *p, unsigned number)
{
        const struct family_methods *family = family_by_number(number);
        struct field field = {
                .geometry = plane_field(s->plane, p->grid, p->ngrids),
                .effort = s->options->effort,
        };

        return family != NULL && family->applies(&field);
}

/* The family that decodes fastest comes first; at FAST it is enough where it leaves so
 * many bits a value that no other could save much of them. */
#define ROUGH_BITS 4

static bool
is_rough(const struct search *part)
{
        const struct candidate *first = &part->candidate[0];

        return part->options->effort == EFFORT_FAST && part->ncandidates == 1
                && first->bits > ROUGH_BITS * (double) part->plane->count;
}

static enum caefs_err
part_try(const struct search *s, struct search *part)
{
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; i < part->nproposals && err == CAEFS_OK; i++) {
                err = lattice_add(part, &part->proposal[i]);
                for (unsigned f = 1; f < FAMILY_LIMIT && err == CAEFS_OK; f++)
                        if (applies_to_whole(s, &part->proposal[i], f)
                            && !is_left_for_whole(part, f)
                            && !(f == FAMILY_PYRAMID && is_rough(part)))
                                err = candidate_add(part, &part->lattice[i], (enum family) f);
        }
        return err;
}

/* The cheapest candidate of the part, as a choice; false when there is none. */
static bool
part_best(const struct search *s, const struct search *part, struct choice *best)
{
        double scale = (double) s->plane->count / (double) part->plane->count;

        best->bits = INFINITY;
        for (size_t i = 0; i < part->ncandidates; i++) {
                const struct candidate *c = &part->candidate[i];
                enum family family = (enum family) (c->head & HEAD_FAMILY);
                double      bits = whole_bits(c, scale)
                        * (family == FAMILY_PYRAMID ? pyramid_weight[s->options->effort] : 1);
                if (bits < best->bits)
                        *best = (struct choice) { &s->proposal[c->lattice - part->lattice],
                                                  family, bits };
        }
        return part->ncandidates > 0;
}

/* The best of the part, after the pyramid where that was left for the whole plane. */
static void
part_rank(const struct search *s, const struct search *part, struct choice *choice, size_t *n)
{
        struct choice best;

        *n = 0;
        if (!part_best(s, part, &best))
                return;
        if (is_left_for_whole(part, FAMILY_PYRAMID)
            && applies_to_whole(s, best.proposal, FAMILY_PYRAMID))
                choice[(*n)++] = (struct choice) { best.proposal, FAMILY_PYRAMID, 0 };
        choice[(*n)++] = best;
}

enum caefs_err
sample_choose(const struct search *s, struct choice choice[MAX_CHOICES], size_t *n)
{
        struct arena_mark mark = arena_mark(s->arena);
        struct plane      plane = *s->plane;
        struct box        box = middle_box(&plane, sample_values[s->options->effort]);
        struct search     part = *s;

        *n = 0;
        plane.shape = box.shape;
        plane.count = shape_count(&box.shape);
        plane.reference = NULL;
        void *values = arena_array(s->arena, plane.count, dtype_size(plane.dtype));
        if (values == NULL)
                return CAEFS_ERR_NOMEM;
        box_copy(s->plane, &box, s->values, values);
        part.plane = &plane;
        part.values = values;
        enum caefs_err err = part_try(s, &part);
        if (err == CAEFS_OK)
                part_rank(s, &part, choice, n);
        for (size_t i = 0; i < part.ncandidates; i++)
                bytes_free(&part.candidate[i].prediction.side);
        arena_release(s->arena, mark);
        return err;
}
