/* codec/table.c - the family `table`: decoding.  See codec/table.h. */
#include "codec/table.h"

#include "codec/model.h"

static bool
predictor_fits(const struct table_predictor *p, const struct field_geometry *g)
{
        const size_t last = g->shape.extent[g->shape.ndim - 1], first = g->count / last;

        return p->ncolumns == (p->transposed ? first : last);
}

unsigned
table_predictor_for(const struct table_part *part, const struct field_geometry *g)
{
        unsigned i = 0;

        if (part == NULL)
                return 0;
        if (g->shape.ndim < 2 || g->wide || g->step > INT32_MAX / 2)
                return part->npredictors;
        while (i < part->npredictors && !predictor_fits(&part->predictor[i], g))
                i++;
        return i;
}

enum caefs_err
table_run_make(const struct field_geometry *g, const struct table_predictor *p,
               struct arena *arena, struct table_run *run)
{
        *run = (struct table_run) {
                .predictor = p,
                .nrows = g->count / p->ncolumns,
                .ncolumns = p->ncolumns,
                .step = (int32_t) g->step,
                .value = arena_array(arena, g->count, sizeof *run->value),
                .difference = arena_array(arena, g->count, sizeof *run->difference),
                .magnitude = arena_array(arena, g->count, sizeof *run->magnitude),
                .reference = arena_array(arena, g->count / p->ncolumns, sizeof *run->reference),
        };
        if (!run->value || !run->difference || !run->magnitude || !run->reference)
                return caefs_fail(CAEFS_ERR_NOMEM, "table: no memory for %zu values", g->count);
        memset(run->reference, 0, run->nrows * sizeof *run->reference);
        return CAEFS_OK;
}

/* ---- prediction ---- */


static void
predict_block(const struct table_run *run, const struct table_column *c, size_t from, size_t n,
              int32_t *restrict predicted)
{
        const int32_t *source = c->difference ? run->difference : run->value;
        int64_t sum[TABLE_BLOCK];

        for (size_t i = 0; i < n; i++)
                sum[i] = INT64_C(1) << (TABLE_SHIFT - 1);
        for (unsigned k = 0; k < c->nterms; k++) {
                const int32_t *x = source + c->term[k].column * run->nrows + from;
                const int64_t  coefficient = c->term[k].coefficient;
                for (size_t i = 0; i < n; i++)
                        sum[i] += coefficient * x[i];
        }
        for (size_t i = 0; i < n; i++)
                predicted[i] = (int32_t) (sum[i] >> TABLE_SHIFT);
}

static void
classify_block(const struct table_run *run, const struct table_column *c, size_t from, size_t n,
               uint8_t *restrict kind)
{
        const int32_t first = (int32_t) c->first;
        int32_t       sum[TABLE_BLOCK] = { 0 };
        uint8_t       class[TABLE_BLOCK];

        if (c->nparents == 0) {
                memset(kind, c->kind[0], n);
                return;
        }
        for (unsigned k = 0; k < c->nparents; k++) {
                const uint16_t *m = run->magnitude + c->parent[k] * run->nrows + from;
                for (size_t i = 0; i < n; i++)
                        sum[i] += m[i];
        }
        for (size_t i = 0; i < n; i++) {
                const int32_t beyond = table_bucket(sum[i]) - first;
                const int32_t low = beyond > 0 ? beyond : 0;
                class[i] = (uint8_t) (low < TABLE_CLASSES ? low : TABLE_CLASSES - 1);
        }
        for (size_t i = 0; i < n; i++)
                kind[i] = c->kind[class[i]];
}

void
table_prepare(const struct table_run *run, size_t column, size_t from, size_t n,
              int32_t *predicted, uint8_t *kind)
{
        predict_block(run, &run->predictor->column[column], from, n, predicted);
        classify_block(run, &run->predictor->column[column], from, n, kind);
}

/* ---- decoding ---- */

/* The residuals of each kind: what is left of them. */
struct queues {
        const int32_t *next[TABLE_KINDS];
        const int32_t *end[TABLE_KINDS];
};

static enum caefs_err
rebuild_block(const struct table_run *run, size_t column, size_t from, size_t n, struct queues *q)
{
        const bool difference = run->predictor->column[column].difference;
        int32_t predicted[TABLE_BLOCK];
        uint8_t kind[TABLE_BLOCK];

        table_prepare(run, column, from, n, predicted, kind);
        for (size_t i = 0; i < n; i++) {
                const int32_t referenced = table_referenced(run, column, from + i);
                const int32_t p = difference
                        ? (int32_t) ((uint32_t) predicted[i] + (uint32_t) referenced)
                        : predicted[i];
                if (q->next[kind[i]] == q->end[kind[i]])
                        return caefs_fail(CAEFS_ERR_CORRUPT, "table: too few values of a kind");
                table_keep(run, column, from + i, p, referenced, *q->next[kind[i]]++);
        }
        return CAEFS_OK;
}

static enum caefs_err
rebuild(const struct table_run *run, struct queues *q)
{
        enum caefs_err err = CAEFS_OK;

        for (size_t c = 0; c < run->ncolumns; c++)
                for (size_t from = 0; from < run->nrows && err == CAEFS_OK; from += TABLE_BLOCK) {
                        const size_t left = run->nrows - from;
                        err = rebuild_block(run, c, from, left < TABLE_BLOCK ? left : TABLE_BLOCK,
                                            q);
                }
        return err;
}

/* Rows back of the references: never before the first. */
static enum caefs_err
parse_references(struct cursor *side, struct arena *arena, struct table_run *run)
{
        const struct residual_segment segment = { run->nrows, 0, 0 };
        int32_t *coded = arena_array(arena, run->nrows, sizeof *coded);

        if (coded == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "table: no memory for references");
        enum caefs_err err = residual_decode(side, coded, &segment, 1, arena);
        if (err != CAEFS_OK)
                return err;
        for (size_t i = 0; i < run->nrows; i++) {
                const uint64_t back = zigzag_encode(coded[i]);
                if (back > i)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "table: a reference lies outside");
                run->reference[i] = (uint32_t) back;
        }
        return CAEFS_OK;
}

/* Bases, how many residuals there are of each kind, and the references. */
static enum caefs_err
parse_side(struct cursor *side, struct arena *arena, struct table_run *run, int32_t *base,
           struct residual_segment *segment)
{
        uint64_t left = (uint64_t) run->nrows * run->ncolumns;

        for (size_t c = 0; c < run->ncolumns; c++)
                base[c] = (int32_t) cursor_signed(side);
        for (unsigned k = 0; k < TABLE_KINDS; k++) {
                segment[k] = (struct residual_segment) {
                        .count = cursor_varint_max(side, left), .kind = k };
                left -= segment[k].count;
        }
        if (side->failed || left > 0)
                return caefs_fail(CAEFS_ERR_CORRUPT, "table: parameters are malformed");
        if (!run->predictor->references)
                return CAEFS_OK;
        return parse_references(side, arena, run);
}

/* The table with its bases back to where it lies in the chunk; by blocks of rows, so that
 * both sides stay cached. */
static void
place_values(const struct table_run *run, const int32_t *base, int32_t *grid)
{
        for (size_t from = 0; from < run->nrows; from += 64) {
                const size_t to = from + 64 < run->nrows ? from + 64 : run->nrows;
                for (size_t c = 0; c < run->ncolumns; c++) {
                        const int32_t *value = run->value + c * run->nrows;
                        for (size_t r = from; r < to; r++)
                                grid[table_place(run, r, c)] =
                                        (int32_t) ((uint32_t) value[r] + (uint32_t) base[c]);
                }
        }
}

static const struct table_predictor *
parse_predictor(const struct field_geometry *g, struct cursor *side)
{
        const struct table_part *part = model_part(g->model, FAMILY_TABLE);
        const uint64_t index = cursor_varint(side);

        if (part == NULL || g->wide || g->step > INT32_MAX / 2 || g->shape.ndim < 2
            || side->failed || index >= part->npredictors
            || !predictor_fits(&part->predictor[index], g))
                return NULL;
        return &part->predictor[index];
}

static enum caefs_err
table_decode(const struct field_geometry *g, struct cursor *side, struct cursor *coded,
             struct arena *arena, void *grid)
{
        const struct table_predictor *p = parse_predictor(g, side);
        struct residual_segment segment[TABLE_KINDS];
        struct table_run run;
        struct queues q;

        if (p == NULL)
                return caefs_fail(CAEFS_ERR_CORRUPT, "table: no such predictor in the model");
        enum caefs_err err = table_run_make(g, p, arena, &run);
        int32_t *base = arena_array(arena, p->ncolumns, sizeof *base);
        int32_t *residual = arena_array(arena, g->count, sizeof *residual);
        if (err != CAEFS_OK || base == NULL || residual == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "table: no memory for %zu values", g->count);
        err = parse_side(side, arena, &run, base, segment);
        if (err == CAEFS_OK && cursor_left(side) > 0)
                err = caefs_fail(CAEFS_ERR_CORRUPT, "table: parameters are too long");
        if (err == CAEFS_OK)
                err = residual_decode(coded, residual, segment, TABLE_KINDS, arena);
        if (err != CAEFS_OK)
                return err;
        for (unsigned k = 0; k < TABLE_KINDS; k++) {
                q.next[k] = residual;
                q.end[k] = residual += segment[k].count;
        }
        err = rebuild(&run, &q);
        if (err == CAEFS_OK)
                place_values(&run, base, grid);
        return err;
}

static bool
table_applies(const struct field *f)
{
        const struct table_part *part = model_part(f->geometry.model, FAMILY_TABLE);

        return part != NULL && table_predictor_for(part, &f->geometry) < part->npredictors;
}

const struct family_methods family_table = {
        .name = "table",
        .needs_model = true,
        .part = &table_family_part,
        .applies = table_applies,
        .encode = table_encode,
        .decode = table_decode,
};
