/* codec/train_field.c - what `field` learns: how fields lie, and what prediction leaves of them.
 *
 * The learnt piece in the middle gives the pattern's plan and stencils; the residuals of some of
 * the pieces give the statistics.  Whether that pays is tried with the real encoder on some of the
 * held-back pieces.
 */
#include "codec/train_family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/field.h"
#include "codec/grid_fit.h"
#include "codec/train_run.h"

/* Held pieces that are tried, evenly from all, and about how many values. */
#define TRIED_PIECES 6
#define TRIED_VALUES ((size_t) 1 << 18)

/* Reading gets a little slower: what must be saved at least. */
#define LEAST_SAVING 0.02

/* Fields that are learnt from. */
#define MAX_FIELDS 16

/* Of these, the ones that show where blocks lie. */
#define BLOCK_FIELDS 4

/* Learnt fields of one shape. */
struct lesson {
        const struct training *training;
        struct arena           arena;
        struct shape           shape;
        size_t                 count;           /* values of a field */
        size_t                 nfields;
        const struct train_piece *piece[MAX_FIELDS];
        int32_t               *grid[MAX_FIELDS];
        uint8_t               *hole[MAX_FIELDS];
        int32_t               *residual[MAX_FIELDS];
        struct field_view      view;
        struct pyramid_plane  *plane;           /* (nblocks): of the first field */
};

/* ---- fields ---- */

static bool
same_shape(const struct shape *a, const struct shape *b)
{
        bool same = a->ndim == b->ndim;

        for (unsigned i = 0; i < a->ndim && same; i++)
                same = a->extent[i] == b->extent[i];
        return same;
}

static bool
is_field(const struct training *t, const struct train_piece *p)
{
        return p->amounts != NULL && p->namounts == 1 && !p->input->region.big_endian
                && p->shape.ndim <= AXES && p->count >= 64
                && p->count <= (p->shape.ndim == 1 ? FIELD_MAX_FLAT : FIELD_MAX_VALUES)
                && t->options->scope == SCOPE_ARRAY;
}

/* The shape that most learnt pieces have, and up to MAX_FIELDS of them, evenly. */
static void
choose_fields(struct lesson *l)
{
        const struct training     *t = l->training;
        const struct train_pieces *p = t->pieces;
        size_t most = 0;

        for (size_t i = 0; i < p->nlearnt; i++) {
                size_t alike = 0;
                for (size_t j = 0; j < p->nlearnt && is_field(t, &p->learnt[i]); j++)
                        alike += is_field(t, &p->learnt[j])
                                && same_shape(&p->learnt[i].shape, &p->learnt[j].shape);
                if (alike > most) {
                        most = alike;
                        l->shape = p->learnt[i].shape;
                        l->count = p->learnt[i].count;
                }
        }
        size_t wanted = most < MAX_FIELDS ? most : MAX_FIELDS;
        for (size_t i = 0, seen = 0; i < p->nlearnt; i++) {
                if (!is_field(t, &p->learnt[i]) || !same_shape(&l->shape, &p->learnt[i].shape))
                        continue;
                if (l->nfields < wanted && seen * wanted >= l->nfields * most)
                        l->piece[l->nfields++] = &p->learnt[i];
                seen++;
        }
}

/* Lays field K on the grid of its bound; false when that does not do. */
static bool
lay_field(struct lesson *l, size_t k, enum caefs_err *err)
{
        const struct train_piece *p = l->piece[k];
        const enum dtype          dtype = p->input->region.dtype;
        struct value_statistics   s;
        struct grid               grid;
        void *values = arena_array(&l->arena, l->count, dtype_size(dtype));

        l->grid[k] = arena_array(&l->arena, l->count + 1, sizeof(int32_t));
        l->hole[k] = arena_alloc(&l->arena, l->count);
        l->residual[k] = arena_array(&l->arena, l->count + ROWS_LANES, sizeof(int32_t));
        if (values == NULL || l->grid[k] == NULL || l->hole[k] == NULL || l->residual[k] == NULL) {
                *err = caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for fields");
                return false;
        }
        *err = train_piece_read(p, values);
        if (*err != CAEFS_OK)
                return false;
        memset(l->hole[k], 0, l->count);
        value_statistics_of(dtype, values, l->count, 1, NULL, &s);
        if (!grid_fit_linear(dtype, &s, p->amounts[0], &grid) || grid.wide || grid.step < 2)
                return false;
        grid_forward(&grid, values, l->count, 1, l->grid[k], l->hole[k]);
        return grid.step == GRID_STEP;
}

/* Those of the chosen fields that suit a grid stay. */
static enum caefs_err
lay_fields(struct lesson *l)
{
        size_t         chosen = l->nfields;
        enum caefs_err err = CAEFS_OK;

        l->nfields = 0;
        for (size_t k = 0; k < chosen && err == CAEFS_OK; k++) {
                l->piece[l->nfields] = l->piece[k];
                l->nfields += lay_field(l, l->nfields, &err);
        }
        return err;
}

/* ---- pattern and residuals ---- */

static enum caefs_err
find_view(struct lesson *l)
{
        const size_t n = l->nfields < BLOCK_FIELDS ? l->nfields : BLOCK_FIELDS;

        field_view_of_shape(&l->shape, &l->view);
        if (l->shape.ndim != 1)
                return CAEFS_OK;
        return field_blocks_find((const int32_t *const *) l->grid + (l->nfields - n), n, l->count,
                                 GRID_STEP, &l->arena, &l->view);
}

/* Field K by the pattern's plans, with stencils of its own; by the first field the
 * plans are found. */
static enum caefs_err
code_field(struct lesson *l, size_t k, bool find)
{
        struct pyramid_plane *own = arena_alloc(&l->arena, sizeof *own);
        enum caefs_err        err = CAEFS_OK;

        if (own == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for fields");
        for (size_t i = 0, at = 0; i < l->view.nblocks && err == CAEFS_OK; i++) {
                struct pyramid_array a = {
                        .value = l->grid[k] + at, .hole = l->hole[k] + at, .step = GRID_STEP,
                        .effort = EFFORT_MAX, .plan = find ? NULL : &l->plane[i].plan,
                };
                memcpy(a.extent, l->view.block[i].extent, sizeof a.extent);
                err = pyramid_code(&a, &l->arena, find ? &l->plane[i] : own, l->residual[k] + at);
                at += l->view.block[i].count;
        }
        return err;
}

/* Finds the pattern, by the field in the middle, and the residuals of all. */
static enum caefs_err
learn_pattern(struct lesson *l)
{
        const size_t   middle = l->nfields / 2;
        enum caefs_err err = find_view(l);

        if (err != CAEFS_OK)
                return err;
        l->plane = arena_array(&l->arena, l->view.nblocks, sizeof *l->plane);
        if (l->plane == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for fields");
        err = code_field(l, middle, true);
        for (size_t k = 0; k < l->nfields && err == CAEFS_OK; k++)
                if (k != middle)
                        err = code_field(l, k, false);
        return err;
}

/* ---- does it pay ---- */

static enum caefs_err
write_part(const struct lesson *l, struct bytes *part)
{
        field_pattern_write(&l->shape, &l->view, l->plane, part);
        return field_primed_write(&l->view, l->plane, (const int32_t *const *) l->residual,
                                  l->nfields, part);
}

/* What all data would take with PART, or, empty, without a model. */
static enum caefs_err
try_part(const struct training *t, const struct bytes *part, double *total)
{
        const struct train_pieces *p = t->pieces;
        const struct model_info info = { .bound = t->options->bound, .scope = t->options->scope };
        const struct model_part parts = { .family = FAMILY_FIELD, .bytes = *part };
        const uint64_t all = t->options->expected_bytes > p->total_bytes
                ? t->options->expected_bytes : p->total_bytes;
        const size_t stride = (p->nheld + TRIED_PIECES - 1) / TRIED_PIECES;
        struct model *m = NULL;
        uint64_t raw = 0, took = 0;
        size_t values = 0;
        enum caefs_err err = part->size > 0 ? model_build(&info, &parts, 1, &m) : CAEFS_OK;

        for (size_t i = 0; i < p->nheld && values < TRIED_VALUES && err == CAEFS_OK; i += stride) {
                struct bytes coded = { 0 };
                err = train_piece_encode(&p->held[i], t->options, m, &coded, NULL);
                took += coded.size;
                raw += train_piece_bytes(&p->held[i]);
                values += p->held[i].count;
                bytes_free(&coded);
        }
        *total = (raw > 0 ? (double) took * (double) all / (double) raw : 0) + (double) part->size;
        model_free(m);
        return err;
}

/* The part, if it saves enough. */
static enum caefs_err
choose_part(const struct lesson *l, struct bytes *part)
{
        const struct training *t = l->training;
        struct bytes   trial = { 0 };
        double         plain, total;
        enum caefs_err err = try_part(t, part, &plain);

        if (err == CAEFS_OK)
                err = write_part(l, &trial);
        if (err == CAEFS_OK)
                err = try_part(t, &trial, &total);
        if (err == CAEFS_OK && total < plain * (1 - LEAST_SAVING)) {
                *part = trial;
                return err;
        }
        bytes_free(&trial);
        return err;
}

static enum caefs_err
train(const struct training *t, struct bytes *part, struct train_result *out)
{
        struct lesson  l = { .training = t };
        enum caefs_err err = CAEFS_OK;

        choose_fields(&l);
        if (l.nfields > 0 && t->pieces->nheld > 0)
                err = lay_fields(&l);
        if (err == CAEFS_OK && l.nfields > 0 && t->pieces->nheld > 0)
                err = learn_pattern(&l);
        if (err == CAEFS_OK && l.nfields > 0 && t->pieces->nheld > 0)
                err = choose_part(&l, part);
        if (err == CAEFS_OK && part->size == 0)
                snprintf(out->why, sizeof out->why, "what its fields have in common saves too "
                         "little");
        arena_free(&l.arena);
        return err;
}

const struct trainable trainable_field = {
        .family = FAMILY_FIELD,
        .train = train,
};
