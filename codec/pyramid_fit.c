/* codec/pyramid_fit.c - which stencil a pass gets: the encoder's choice.
 *
 * A sample of the targets is predicted by each candidate and the residuals are
 * estimated: mean of two, cubic, what the coarser pass used, and stencils fitted
 * to the sample by least squares, with more and more terms.  A fitted stencil has
 * to earn the bytes of its coefficients.
 */
#include "codec/pyramid.h"

#include <math.h>
#include <string.h>

#include "codec/least_squares.h"

#define FASTEST (AXES - 1)
#define WINDOW  64                      /* targets in a row of the sample */

/* The sample of one pass. */
struct sample {
        const struct pass_data *d;
        size_t  n;                      /* targets */
        size_t  capacity;
        double *value;                  /* (terms, capacity) */
        double *target;                 /* (capacity) */
        double *weight;                 /* (capacity): 0 for holes */
        double *scratch;                /* (capacity) */
        int32_t *residual;              /* (capacity) */
};

struct choice {
        enum stencil_mode mode;
        struct stencil    stencil;
        double            bits;         /* of the whole pass, with the parameters */
};

static size_t
sample_size(const struct pass_data *d)
{
        static const size_t most[] = { 1024, 4096, 16384 };
        size_t count = pass_count(d->pass);
        return count < most[d->effort] ? count : most[d->effort];
}

static enum caefs_err
sample_make(struct sample *s, const struct pass_data *d, struct arena *arena)
{
        s->d = d;
        s->n = 0;
        s->capacity = sample_size(d) + WINDOW;
        s->value = arena_array(arena, s->capacity * (d->list->count + 1), sizeof(double));
        s->target = arena_array(arena, s->capacity, sizeof(double));
        s->weight = arena_array(arena, s->capacity, sizeof(double));
        s->scratch = arena_array(arena, s->capacity, sizeof(double));
        s->residual = arena_array(arena, s->capacity, sizeof(int32_t));
        if (!s->value || !s->target || !s->weight || !s->scratch || !s->residual)
                return caefs_fail(CAEFS_ERR_NOMEM, "pyramid: no memory for a sample");
        return CAEFS_OK;
}

/* Targets FROM to FROM + n - 1 of one row. */
static void
sample_add(struct sample *s, size_t row, size_t from, size_t n)
{
        const struct pass_data *d = s->d;
        size_t index[AXES - 1];
        pass_row_index(d->pass, row, index);
        stencil_values(d->pass, d->list, d->even, d->target, index, from, n, s->capacity,
                       s->value + s->n);
        size_t at = row * d->pass->odd[FASTEST] + from;
        for (size_t i = 0; i < n; i++, s->n++) {
                s->target[s->n] = d->target[at + i];
                s->weight[s->n] = d->hole == NULL || !d->hole[at + i];
        }
}

/* Windows spread evenly over all targets, or all of them. */
static void
sample_fill(struct sample *s)
{
        const struct pass *p = s->d->pass;
        size_t length = p->odd[FASTEST], window = length < WINDOW ? length : WINDOW;
        size_t per_row = length / window, total = per_row * pass_rows(p);
        size_t wanted = (s->capacity - WINDOW) / window;
        if (wanted > total)
                wanted = total;
        if (wanted == 0)
                wanted = 1;
        for (size_t w = 0; w < wanted && s->n + window <= s->capacity; w++) {
                size_t at = (size_t) (((double) w + 0.5) * (double) total / (double) wanted);
                sample_add(s, at / per_row, at % per_row * window, window);
        }
}

static double
side_bits(const struct choice *c)
{
        if (c->mode != STENCIL_FITTED)
                return 2;
        double bits = 24;
        for (unsigned i = 0; i < c->stencil.nterms; i++) {
                uint64_t u = zigzag_encode(c->stencil.coefficient[i]);
                bits += u < 128 ? 8 : u < 16384 ? 16 : 24;
        }
        return bits;
}

/* Estimated bits of the pass with this stencil. */
static void
evaluate(struct sample *s, struct choice *c)
{
        double inverse = 1.0 / s->d->step, scale = ldexp(1.0, -(int) c->stencil.shift);
        double *p = s->scratch;
        memset(p, 0, s->n * sizeof *p);
        for (unsigned t = 0; t < c->stencil.nterms; t++) {
                const double *value = s->value + t * s->capacity;
                double coefficient = c->stencil.coefficient[t] * scale;
                for (size_t i = 0; i < s->n && coefficient != 0; i++)
                        p[i] += coefficient * value[i];
        }
        for (size_t i = 0; i < s->n; i++) {
                double q = (s->target[i] - p[i]) * inverse;
                q = s->weight[i] > 0 ? q : 0;
                q = q < 2e9 ? q : 2e9;
                q = q > -2e9 ? q : -2e9;
                s->residual[i] = (int32_t) (q + copysign(0.5, q));
        }
        double count = (double) pass_count(s->d->pass);
        c->bits = residual_estimate(s->residual, s->n) * count / (double) s->n + side_bits(c);
}

static void
consider(struct sample *s, struct choice c, struct choice *best)
{
        evaluate(s, &c);
        if (c.bits < best->bits)
                *best = c;
}

static void
consider_fixed(struct sample *s, const struct pyramid_plane *plane, unsigned index,
               struct choice *best)
{
        for (int mode = STENCIL_LINEAR; mode <= STENCIL_AGAIN; mode++) {
                struct choice c = { .mode = mode };
                if (mode != STENCIL_FITTED && pyramid_stencil(plane, index, mode, &c.stencil))
                        consider(s, c, best);
        }
}

/* Rounds a solution to coefficients; false when they are out of range. */
static bool
to_coefficients(const double *solution, unsigned n, unsigned shift, struct stencil *st)
{
        double weight = 0;
        memset(st, 0, sizeof *st);
        st->shift = shift;
        for (unsigned i = 0; i < n; i++) {
                double c = rint(ldexp(solution[i], (int) shift));
                weight += fabs(c);
                if (!(weight <= STENCIL_MAX_WEIGHT))
                        return false;
                st->coefficient[i] = (int32_t) c;
                if (c != 0)
                        st->nterms = i + 1;
        }
        return true;
}

/* Targets of earlier rows are still unrounded here; the decoder will have them with
 * errors spread evenly over a step. */
static void
add_rounding_noise(const struct sample *s, double *gram)
{
        double variance = (double) s->d->step * s->d->step / 12, weight = 0;
        for (size_t i = 0; i < s->n; i++)
                weight += s->weight[i];
        for (unsigned t = 0; t < s->d->list->count && s->d->step > 1; t++)
                if (!s->d->list->term[t].even)
                        gram[t * STENCIL_MAX_TERMS + t] += variance * weight;
}

/* Bits grow with the logarithm of an error, squares with its square: after a first
 * fit, targets that it misses by far count less. */
static void
reweigh(struct sample *s, const double *solution, unsigned n)
{
        double *p = s->scratch, least = s->d->step / 2.0;
        memset(p, 0, s->n * sizeof *p);
        for (unsigned t = 0; t < n; t++)
                for (size_t i = 0; i < s->n; i++)
                        p[i] += solution[t] * s->value[t * s->capacity + i];
        for (size_t i = 0; i < s->n; i++) {
                double e = fabs(s->target[i] - p[i]) + least;
                s->weight[i] = s->weight[i] > 0 ? least / e : 0;
        }
}

/* Fits prefixes of the list with the weights as they are; SOLUTION becomes that of
 * the longest prefix, and its length is returned. */
static unsigned
consider_prefixes(struct sample *s, struct choice *best, double *solution)
{
        static const unsigned shifts[] = { 6, 11 };
        const struct term_list *list = s->d->list;
        double gram[STENCIL_MAX_TERMS * STENCIL_MAX_TERMS] = { 0 }, rhs[STENCIL_MAX_TERMS] = { 0 };
        unsigned longest = 0;
        bool few = pass_count(s->d->pass) < 8192;       /* coefficients must be short */
        least_squares_add(s->value, s->capacity, list->count, s->n, s->target, s->weight,
                          s->scratch, gram, STENCIL_MAX_TERMS, rhs);
        add_rounding_noise(s, gram);
        for (unsigned i = 0; i < list->ncuts; i++) {
                unsigned n = list->cut[i];
                if (n * 4 > s->n || !least_squares_solve(gram, STENCIL_MAX_TERMS, rhs, n, solution))
                        continue;
                longest = n;
                for (unsigned k = few ? 0 : 1; k < 2; k++) {
                        struct choice c = { .mode = STENCIL_FITTED };
                        if (to_coefficients(solution, n, shifts[k], &c.stencil))
                                consider(s, c, best);
                }
        }
        return longest;
}

static unsigned
from_stencil(const struct stencil *st, double *solution)
{
        for (unsigned i = 0; i < st->nterms; i++)
                solution[i] = ldexp(st->coefficient[i], -(int) st->shift);
        return st->nterms;
}

static void
consider_fitted(struct sample *s, struct choice *best)
{
        double solution[LEAST_SQUARES_MAX];
        unsigned rounds = s->d->effort == EFFORT_FAST ? 0 : s->d->effort == EFFORT_MAX ? 4 : 2;
        unsigned n = consider_prefixes(s, best, solution);
        for (unsigned i = 0; i < rounds && n > 0; i++) {
                n = from_stencil(&best->stencil, solution);
                reweigh(s, solution, n);
                n = consider_prefixes(s, best, solution);
        }
}

enum caefs_err
pyramid_choose(const struct pass_data *d, struct pyramid_plane *plane, unsigned index,
               struct arena *arena)
{
        struct arena_mark mark = arena_mark(arena);
        struct sample s;
        enum caefs_err err = sample_make(&s, d, arena);
        if (err != CAEFS_OK)
                return err;
        sample_fill(&s);
        struct choice best = { .bits = 1e300 };
        consider_fixed(&s, plane, index, &best);
        if (s.n >= 32)
                consider_fitted(&s, &best);
        plane->mode[index] = (uint8_t) best.mode;
        plane->stencil[index] = best.stencil;
        arena_release(arena, mark);
        return CAEFS_OK;
}
