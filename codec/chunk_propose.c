/* codec/chunk_propose.c - which grids to lay over a plane.
 *
 * The bound gives one grid; the values may suggest others on which they lie
 * exactly.  A few pieces of the data are laid on each, and the cheaper of plain
 * values and differences is estimated; the best few are proposed.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/chunk_search.h"
#include "codec/model.h"
#include "codec/value.h"

/* What a grid is judged by. */
#define PIECES       6
#define PIECE_VALUES 2048

#define MAX_JUDGED 12

/* A grid for one column. */
struct judged_grid {
        struct grid grid;
        double      bits;               /* estimated for all values, parameters included */
};

/* ---- statistics and fill values ---- */

#define FILL_SAMPLE  1024
#define FILL_REPEATS 2          /* of 65536 different ones 8 would come again */

static int
compare_keys(const void *a, const void *b)
{
        int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;

        return (x > y) - (x < y);
}

static double
value_of_key(enum dtype t, int64_t key)
{
        char   value[8];
        double x;

        value_put_bits(t, value, 0, value_bits_of_key(t, key));
        values_to_doubles(t, value, 1, 1, &x);
        return x;
}

/* Whether FILL lies far outside of what the other sorted keys span. */
static bool
fill_is_far(enum dtype t, const int64_t *key, size_t n, size_t from, size_t to)
{
        double fill = value_of_key(t, key[from]);
        double low = value_of_key(t, key[from > 0 ? 0 : to < n ? to : 0]);
        double high = value_of_key(t, key[to < n ? n - 1 : from > 0 ? from - 1 : 0]);

        return isfinite(low) && isfinite(high)
                && fmax(fabs(fill - low), fabs(fill - high)) > 100 * (high - low);
}

struct fill_value
fill_value_find(enum dtype t, const void *values, size_t n)
{
        int64_t           key[FILL_SAMPLE];
        size_t            step = n / FILL_SAMPLE + 1, count = 0, best = 0, best_from = 0;
        size_t            repeats = 0;
        struct fill_value fill = { .found = false };

        for (size_t i = 0; i < n && count < FILL_SAMPLE; i += step)
                key[count++] = value_key(t, value_bits(t, values, i));
        qsort(key, count, sizeof key[0], compare_keys);
        for (size_t i = 0, from = 0; i < count; i++) {
                repeats += from != i && key[i] == key[from];
                from = key[i] == key[from] ? from : i;
                if (i - from + 1 > best) {
                        best = i - from + 1;
                        best_from = from;
                }
        }
        fill.repeats = repeats >= FILL_REPEATS;
        bool zero = value_of_key(t, key[best_from]) == 0;
        bool extreme = best_from == 0 || best_from + best == count;
        if (best * 20 < count || best == count || !(zero || extreme) || !dtype_is_float(t))
                return fill;
        fill.found = true;
        fill.bits = value_bits_of_key(t, key[best_from]);
        fill.far = fill_is_far(t, key, count, best_from, best_from + best);
        return fill;
}

static enum caefs_err
take_statistics(struct search *s)
{
        const struct plane *p = s->plane;

        s->statistics = arena_array(s->arena, p->columns, sizeof *s->statistics);
        if (s->statistics == NULL)
                return CAEFS_ERR_NOMEM;
        s->fill.repeats = true;
        if (p->columns == 1)
                s->fill = fill_value_find(p->dtype, s->values, p->count);
        for (size_t c = 0; c < p->columns; c++)
                value_statistics_of(p->dtype, (const char *) s->values + c * dtype_size(p->dtype),
                                    p->count / p->columns, p->columns,
                                    s->fill.far ? &s->fill.bits : NULL, &s->statistics[c]);
        return CAEFS_OK;
}

/* ---- judging a grid ---- */

/* Estimated bits of N integers in steps: plain, or as differences. */
static double
integers_cost(const struct grid *g, void *integers, const uint8_t *hole, size_t n)
{
        double plain, differences;

        if (g->wide) {
                int64_t *v = integers, before = 0;
                plain = residual_estimate_wide(v, n);
                for (size_t i = 0; i < n; i++) {
                        int64_t now = hole[i] ? before : v[i];
                        v[i] = (int64_t) ((uint64_t) now - (uint64_t) before);
                        before = now;
                }
                differences = residual_estimate_wide(v, n);
        } else {
                int32_t *v = integers, before = 0, step = (int32_t) g->step;
                for (size_t i = 0; i < n; i++)
                        v[i] = residual_of(v[i], 0, step);
                plain = residual_estimate(v, n);
                for (size_t i = 0; i < n; i++) {
                        int32_t now = hole[i] ? before : v[i];
                        v[i] = (int32_t) ((uint32_t) now - (uint32_t) before);
                        before = now;
                }
                differences = residual_estimate(v, n);
        }
        return fmin(plain, differences);
}

/* Estimated bits of a piece of N values, STRIDE apart. */
static double
piece_cost(const struct grid *g, const void *values, size_t n, size_t stride)
{
        unsigned width = dtype_size(g->dtype);
        uint64_t contiguous[PIECE_VALUES], back[PIECE_VALUES];
        int64_t  integers[PIECE_VALUES];
        uint8_t  hole[PIECE_VALUES] = { 0 };
        size_t   holes = 0;

        for (size_t i = 0; i < n; i++)
                value_put_bits(g->dtype, contiguous, i, value_bits(g->dtype, values, i * stride));
        grid_lay(g, contiguous, n, 1, back, integers, hole);
        for (size_t i = 0; i < n; i++)
                holes += hole[i];
        return integers_cost(g, integers, hole, n) + (double) holes * (8 * width + 4);
}

static double
grid_cost(const struct grid *g, const void *values, size_t n, size_t stride)
{
        size_t width = dtype_size(g->dtype), pieces = n <= PIECES * PIECE_VALUES
                ? (n + PIECE_VALUES - 1) / PIECE_VALUES : PIECES;
        double bits = 0;
        size_t seen = 0;

        for (size_t i = 0; i < pieces; i++) {
                size_t from = n <= PIECES * PIECE_VALUES
                        ? i * PIECE_VALUES : (n - PIECE_VALUES) / (PIECES - 1) * i;
                size_t count = n - from < PIECE_VALUES ? n - from : PIECE_VALUES;
                bits += piece_cost(g, (const char *) values + from * stride * width, count,
                                   stride);
                seen += count;
        }
        double parameters = g->kind == GRID_TABLE ? g->ntable * (width >= 8 ? 24.0 : 12.0) : 32;
        return bits / (double) seen * (double) n + parameters;
}

/* ---- grids for one column ---- */

struct judged_grids {
        struct judged_grid of[MAX_JUDGED];
        size_t          n;
};

static void
propose(struct judged_grids *all, const struct grid *g, const void *values, size_t n, size_t stride)
{
        if (all->n == MAX_JUDGED)
                return;
        struct judged_grid p = { *g, grid_cost(g, values, n, stride) };
        size_t          at = all->n++;
        for (; at > 0 && all->of[at - 1].bits > p.bits; at--)
                all->of[at] = all->of[at - 1];
        all->of[at] = p;
}

/* Distance between neighbouring values of a grid that is evenly spaced; else 0. */
static double
even_spacing(const struct grid *g)
{
        if (g->kind == GRID_LINEAR)
                return g->unit;
        if (g->kind != GRID_DECIMAL || g->wide)
                return 0;
        return g->binary ? ldexp(1, g->exponent)
                : g->exponent >= 0 ? 1 / powers_of_ten[g->exponent] : powers_of_ten[-g->exponent];
}

/* An evenly spaced exact grid serves a bound of a few of its units too: steps of an
 * odd number of units reach further than the bound's own grid. */
static void
propose_exact(const struct search *s, struct judged_grids *all, const struct grid *g, size_t column,
              const void *values, size_t n, size_t stride)
{
        double spacing = even_spacing(g);

        propose(all, g, values, n, stride);
        if (s->bound->mode != BOUND_ABS || spacing == 0)
                return;
        double amount = s->bound->amount[s->bound->namounts > 1 ? column : 0];
        double lost = 2 * dtype_rounding(g->dtype, s->statistics[column].largest);
        double reach = floor((amount - lost) / spacing);
        if (reach >= 1 && reach <= 16 && g->kind == GRID_DECIMAL) {
                struct grid coarse = *g;
                coarse.step = 2 * (int64_t) reach + 1;
                propose(all, &coarse, values, n, stride);
        }
}

static bool
fit_bound(const struct search *s, size_t column, struct grid *g)
{
        double amount = s->bound->mode == BOUND_LOSSLESS
                ? 0 : s->bound->amount[s->bound->namounts > 1 ? column : 0];

        if (!(amount > 0))
                return false;
        return s->bound->mode == BOUND_ABS
                ? grid_fit_linear(s->plane->dtype, &s->statistics[column], amount, g)
                : grid_fit_log(s->plane->dtype, &s->statistics[column], amount, g);
}

static enum caefs_err
propose_table(const struct search *s, struct judged_grids *all, size_t column, const void *values,
              size_t n, size_t stride)
{
        enum dtype     t = s->plane->dtype;
        struct grid    table, packed;
        bool           fits;
        size_t         limit = n / 4 < GRID_TABLE_LIMIT ? n / 4 : GRID_TABLE_LIMIT;

        if (!s->fill.repeats)
                return CAEFS_OK;
        enum caefs_err err = grid_fit_table(t, values, n, stride, limit, s->arena, &table, &fits);

        if (err != CAEFS_OK || !fits)
                return err;
        propose(all, &table, values, n, stride);
        err = grid_fit_packed(&table, s->arena, &packed, &fits);
        if (err == CAEFS_OK && fits)
                propose_exact(s, all, &packed, column, values, n, stride);
        return err;
}

/* Every grid that may serve COLUMN, cheapest first. */
static enum caefs_err
grids_for(const struct search *s, size_t column, struct judged_grids *all)
{
        const struct plane *p = s->plane;
        size_t              n = p->count / p->columns, stride = p->columns;
        const void         *values = (const char *) s->values + column * dtype_size(p->dtype);
        const struct value_statistics *stats = &s->statistics[column];
        struct grid         g;

        *all = (struct judged_grids) { .n = 0 };
        if (fit_bound(s, column, &g)) {
                if (s->options->effort == EFFORT_FAST) {
                        *all = (struct judged_grids) { .of = { { .grid = g } }, .n = 1 };
                        return CAEFS_OK;
                }
                propose(all, &g, values, n, stride);
        }
        grid_fit_bits(p->dtype, values, n, stride, &g);
        propose(all, &g, values, n, stride);
        if (grid_fit_single(p->dtype, values, n, stride, &g))
                propose(all, &g, values, n, stride);
        if (grid_fit_decimal(p->dtype, values, n, stride, stats, &g))
                propose_exact(s, all, &g, column, values, n, stride);
        if (grid_fit_binary(p->dtype, values, n, stride, stats, &g))
                propose_exact(s, all, &g, column, values, n, stride);
        if (grid_fit_digits(p->dtype, values, n, stride, stats, &g))
                propose(all, &g, values, n, stride);
        return propose_table(s, all, column, values, n, stride);
}

/* ---- for the plane ---- */

/* How many proposals are worth the time. */
static size_t
proposals_wanted(enum effort effort)
{
        return effort == EFFORT_FAST ? 1 : effort == EFFORT_BALANCED ? 3 : 6;
}

/* How much worse than the best by estimate they may be.  The estimate knows nothing of
 * what recurs, which is most on exact grids. */
static double
proposals_within(enum effort effort)
{
        return effort == EFFORT_MAX ? 4 : 1.5;
}

static void
add_proposal(struct search *s, struct grid *grid, size_t ngrids, bool with_fill)
{
        if (s->nproposals < MAX_LATTICES)
                s->proposal[s->nproposals++] = (struct proposal) { grid, ngrids, with_fill };
}

/* What lies beside the plane says little of how its own values look: the grids that
 * hold any value come in too. */
static enum caefs_err
propose_beside(struct search *s, const struct judged_grids *all, size_t first)
{
        const struct plane *p = s->plane;

        if (p->reference == NULL && model_part(p->model, FAMILY_ECHO) == NULL)
                return CAEFS_OK;
        for (size_t i = first; i < all->n; i++) {
                const enum grid_kind kind = all->of[i].grid.kind;
                if (kind != GRID_BITS && kind != GRID_LINEAR && kind != GRID_LOG)
                        continue;
                struct grid *grid = arena_array(s->arena, 1, sizeof *grid);
                if (grid == NULL)
                        return CAEFS_ERR_NOMEM;
                *grid = all->of[i].grid;
                add_proposal(s, grid, 1, s->fill.far);
        }
        return CAEFS_OK;
}

static enum caefs_err
propose_for_plane(struct search *s)
{
        struct judged_grids all;
        size_t              wanted = proposals_wanted(s->options->effort);
        size_t              taken = 0;
        enum caefs_err      err = grids_for(s, 0, &all);

        for (size_t i = 0; i < all.n && i < wanted && err == CAEFS_OK; i++) {
                struct grid *grid = arena_array(s->arena, 1, sizeof *grid);
                if (grid == NULL)
                        return CAEFS_ERR_NOMEM;
                if (i > 0 && all.of[i].bits > proposals_within(s->options->effort) * all.of[0].bits)
                        break;
                *grid = all.of[i].grid;
                taken = i + 1;
                add_proposal(s, grid, 1, s->fill.far);
                if (i == 0 && s->fill.found && !s->fill.far
                    && s->options->effort != EFFORT_FAST)
                        add_proposal(s, grid, 1, true);
        }
        return err == CAEFS_OK ? propose_beside(s, &all, taken) : err;
}

/* One proposal for all columns: the cheapest grids among those with step STEP and
 * 32 bits; none when a column has no such grid. */
static enum caefs_err
propose_columns(struct search *s, const struct judged_grids *of_column, int64_t step)
{
        size_t       n = s->plane->columns;
        struct grid *grid = arena_array(s->arena, n, sizeof *grid);

        if (grid == NULL)
                return CAEFS_ERR_NOMEM;
        for (size_t c = 0; c < n; c++) {
                const struct judged_grids *all = &of_column[c];
                size_t i = 0;
                while (i < all->n && (all->of[i].grid.wide || all->of[i].grid.step != step
                                      || (step > 1 && grid_is_exact(&all->of[i].grid))))
                        i++;
                if (i == all->n)
                        return CAEFS_OK;
                grid[c] = all->of[i].grid;
        }
        add_proposal(s, grid, n, false);
        return CAEFS_OK;
}

static enum caefs_err
propose_for_columns(struct search *s)
{
        size_t               n = s->plane->columns;
        struct judged_grids *all = arena_array(s->arena, n, sizeof *all);
        enum caefs_err       err = all == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;

        for (size_t c = 0; c < n && err == CAEFS_OK; c++)
                err = grids_for(s, c, &all[c]);
        if (err == CAEFS_OK && s->bound->mode != BOUND_LOSSLESS)
                err = propose_columns(s, all, GRID_STEP);
        if (err == CAEFS_OK)
                err = propose_columns(s, all, 1);
        return err;
}

enum caefs_err
search_propose(struct search *s)
{
        enum caefs_err err = take_statistics(s);

        if (err != CAEFS_OK)
                return err;
        return s->plane->columns > 1 ? propose_for_columns(s) : propose_for_plane(s);
}
