/* codec/field_blocks.c - blocks of rows in flat fields that lie alike.
 *
 * Meshes of several blocks are dumped one block after another, each with rows of its own
 * length.  A block with rows of length L costs what its values differ from those beside
 * and above them (the parallelogram of the three); the first value of a row has nothing
 * beside it.  The cheapest sequence of blocks is found by dynamic programming over their
 * ends; for each length a table of sums along the field, and one of sums from row to row,
 * give the cost of any block at once.
 */
#include "codec/field.h"

#include <math.h>
#include <string.h>

#include "codec/stride.h"

#define MAX_LENGTHS    30
#define MOST_PARTS     16               /* of a field whose strides are looked for */
#define LEAST_PART     256
#define LEAST_LENGTH   8
#define MOST_STEPS     ((double) 2e9)   /* of the search, that takes a nanosecond each */
#define BLOCK_BITS     100.0            /* what a block more must save in each field */
#define ALONE_BITS     0.05             /* what a value outside blocks costs more: where nothing
                                         * happens, rows go on */

struct search {
        const int32_t *const *grid;
        size_t                nfields, count;
        double                inverse_step;
        size_t                length[MAX_LENGTHS];      /* row lengths to try */
        unsigned              nlengths;
        float                *beside;           /* (count + 1) sums: cost without rows */
        float                *inside[MAX_LENGTHS];      /* the same within rows */
        float                *first[MAX_LENGTHS];       /* (count + 1): what the first value
                                                         * of a row costs more, summed over
                                                         * rows */
        float                *best;             /* (count + 1): cost of everything before */
        size_t               *from;             /* (count + 1): where the last block begins */
        uint8_t              *by;               /* and its length's index; MAX_LENGTHS: none */
};

static double
difference_bits(const struct search *s, double d)
{
        return log2(1 + fabs(d) * s->inverse_step);
}

/* Cost of value I in all fields, BACK values after the one above it; 0: none is. */
static double
cost_inside(const struct search *s, size_t i, size_t back)
{
        double bits = 0;

        for (size_t k = 0; k < s->nfields; k++) {
                const int32_t *x = s->grid[k] + i;
                double beside = i > 0 ? x[-1] : 0, corner = 0, above = 0;
                if (back > 0 && i >= back + 1) {
                        above = *(x - back);
                        corner = *(x - back - 1);
                }
                bits += difference_bits(s, *x - beside - above + corner);
        }
        return bits;
}

static double
cost_above(const struct search *s, size_t i, size_t back)
{
        double bits = 0;

        for (size_t k = 0; k < s->nfields && i >= back; k++)
                bits += difference_bits(s, (double) s->grid[k][i] - s->grid[k][i - back]);
        return bits;
}

static bool
search_make(struct search *s, struct arena *arena)
{
        size_t n = s->count + 1;

        s->beside = arena_array(arena, n, sizeof *s->beside);
        s->best = arena_array(arena, n, sizeof *s->best);
        s->from = arena_array(arena, n, sizeof *s->from);
        s->by = arena_alloc(arena, n);
        bool good = s->beside != NULL && s->best != NULL && s->from != NULL && s->by != NULL;
        for (unsigned l = 0; l < s->nlengths && good; l++) {
                s->inside[l] = arena_array(arena, n, sizeof **s->inside);
                s->first[l] = arena_array(arena, n, sizeof **s->first);
                good = s->inside[l] != NULL && s->first[l] != NULL;
        }
        return good;
}

static void
sum_costs(struct search *s)
{
        double beside = 0, inside[MAX_LENGTHS] = { 0 };

        s->beside[0] = 0;
        for (unsigned l = 0; l < s->nlengths; l++)
                s->inside[l][0] = s->first[l][0] = 0;
        for (size_t i = 0; i < s->count; i++) {
                beside += cost_inside(s, i, 0);
                s->beside[i + 1] = (float) beside;
                for (unsigned l = 0; l < s->nlengths; l++) {
                        size_t length = s->length[l];
                        double cost = cost_inside(s, i, length);
                        inside[l] += cost;
                        s->inside[l][i + 1] = (float) inside[l];
                        /* FIRST[i + 1]: over i, i - length, i - 2 length … */
                        s->first[l][i + 1] = (float) (cost_above(s, i, length) - cost)
                                + (i >= length ? s->first[l][i + 1 - length] : 0);
                }
        }
}

/* Of a block FROM to END, with rows of length L; at least two. */
static float
block_cost(const struct search *s, size_t from, size_t end, unsigned l)
{
        size_t length = s->length[l];
        float  head = s->beside[from + length] - s->beside[from];
        float  rest = s->inside[l][end] - s->inside[l][from + length];
        /* the first values of all rows but the first */
        float  turns = s->first[l][end - length + 1] - s->first[l][from + 1];

        return head + rest + turns;
}

/* The cheapest end of the field's first END values: a value alone, or a block. */
static void
extend(struct search *s, size_t end)
{
        s->best[end] = s->best[end - 1] + s->beside[end] - s->beside[end - 1]
                + (float) (ALONE_BITS * (double) s->nfields);
        s->from[end] = s->by[end - 1] == MAX_LENGTHS ? s->from[end - 1] : end - 1;
        s->by[end] = MAX_LENGTHS;
        for (unsigned l = 0; l < s->nlengths; l++) {
                size_t length = s->length[l];
                for (size_t from = end % length; from + 2 * length <= end; from += length) {
                        float cost = s->best[from] + block_cost(s, from, end, l)
                                + (float) (BLOCK_BITS * (double) s->nfields);
                        if (cost < s->best[end]) {
                                s->best[end] = cost;
                                s->from[end] = from;
                                s->by[end] = (uint8_t) l;
                        }
                }
        }
}

static void
add_length(struct search *s, size_t length)
{
        for (unsigned l = 0; l < s->nlengths; l++)
                if (s->length[l] == length)
                        return;
        if (length >= LEAST_LENGTH && s->nlengths < MAX_LENGTHS)
                s->length[s->nlengths++] = length;
}

/* Row lengths of the field and of its parts, and those beside them: where values rise
 * along a row, the value a little less than a row back is the most alike. */
static void
find_lengths(struct search *s, struct arena *arena)
{
        const int32_t *grid = s->grid[s->nfields - 1];

        for (size_t parts = 1; parts <= MOST_PARTS; parts *= 2) {
                size_t n = s->count / parts;
                for (size_t i = 0; i < parts && n >= LEAST_PART; i++) {
                        size_t   lag[2];
                        unsigned found = stride_search(grid + i * n, n,
                                                       (int32_t) (16 / s->inverse_step),
                                                       EFFORT_BALANCED, arena, lag, 2);
                        for (unsigned k = 0; k < found; k++) {
                                add_length(s, lag[k]);
                                add_length(s, lag[k] + 1);
                                add_length(s, lag[k] - 1);
                        }
                }
        }
}

/* Ends of blocks by what the search left, last first, then as a view. */
static void
trace(const struct search *s, struct field_view *v)
{
        size_t end = s->count, n = 0;

        v->count = s->count;
        for (size_t at = s->count; at > 0; at = s->from[at])
                n++;
        v->nblocks = n;
        if (n > FIELD_MAX_BLOCKS)
                return;
        for (; end > 0; end = s->from[end]) {
                size_t count = end - s->from[end];
                size_t length = s->by[end] == MAX_LENGTHS ? count : s->length[s->by[end]];
                v->block[--n] = (struct field_block) { { 1, 1, count / length, length }, count };
        }
}

enum caefs_err
field_blocks_find(const int32_t *const *grid, size_t nfields, size_t count, int32_t step,
                  struct arena *arena, struct field_view *v)
{
        struct arena_mark mark = arena_mark(arena);
        struct search s = {
                .grid = grid, .nfields = nfields, .count = count, .inverse_step = 1.0 / step,
        };
        enum caefs_err err = CAEFS_OK;
        double work = 0;

        find_lengths(&s, arena);
        for (unsigned l = 0; l < s.nlengths; l++) {
                work += (double) count * (double) count / (double) s.length[l] / 2;
                if (work > MOST_STEPS)
                        s.nlengths = l;
        }
        if (!search_make(&s, arena))
                err = caefs_fail(CAEFS_ERR_NOMEM, "field: no memory for %zu values", count);
        if (err == CAEFS_OK) {
                sum_costs(&s);
                s.best[0] = 0;
                s.from[0] = 0;
                s.by[0] = 0;
                for (size_t end = 1; end <= count; end++)
                        extend(&s, end);
                trace(&s, v);
        }
        if (err == CAEFS_OK && v->nblocks > FIELD_MAX_BLOCKS) {
                v->nblocks = 1;
                v->block[0] = (struct field_block) { { 1, 1, 1, count }, count };
        }
        arena_release(arena, mark);
        return err;
}
