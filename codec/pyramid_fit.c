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
        double *value;                  /* (terms, capacity): the reference, then what
                                         * other terms differ from it */
        double *target;                 /* (capacity), less the reference */
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
targets_wanted(const struct pass_data *d)
{
        static const size_t most[] = { 512, 2048, 16384 };
        size_t count = pass_count(d->pass), wanted = d->rough ? most[d->effort] / 4 : most[d->effort];
        return count < wanted ? count : wanted;
}

static enum caefs_err
sample_make(struct sample *s, const struct pass_data *d, struct arena *arena)
{
        s->d = d;
        s->n = 0;
        s->capacity = targets_wanted(d) + WINDOW;
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
        stencil_values(d->pass, d->list, &d->even, &d->target, index, from, n, s->capacity,
                       s->value + s->n);
        const int32_t *at = row_of(&d->target, index) + from * d->target.point;
        for (size_t i = 0; i < n; i++, at += d->target.point, s->n++) {
                s->target[s->n] = *at - s->value[s->n];
                s->weight[s->n] = d->hole == NULL || !d->hole[at - d->target.at];
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

/* A stencil's coefficients for what SAMPLE holds: with as much of the reference as the
 * coefficients exceed one. */
static unsigned
from_stencil(const struct stencil *st, double *solution)
{
        double scale = ldexp(1.0, -(int) st->shift);
        solution[0] = -1;
        for (unsigned i = 0; i < st->nterms; i++) {
                solution[0] += st->coefficient[i] * scale;
                if (i > 0)
                        solution[i] = st->coefficient[i] * scale;
        }
        return st->nterms > 0 ? st->nterms : 1;
}

/* Predictions, less the reference, into the scratch array. */
static void
predict(struct sample *s, const double *solution, unsigned n)
{
        double *p = s->scratch;
        memset(p, 0, s->n * sizeof *p);
        for (unsigned t = 0; t < n; t++) {
                const double *value = s->value + t * s->capacity;
                double c = solution[t];
                for (size_t i = 0; i < s->n && c != 0; i++)
                        p[i] += c * value[i];
        }
}

/* Bits for which a term is not worth the time it takes to decode, a target. */
static double
patience(enum effort effort)
{
        return effort == EFFORT_FAST ? 0.006 : effort == EFFORT_BALANCED ? 0.002 : 0;
}

/* Estimated bits of the pass with this stencil; none where a prediction may be too far
 * from the reference for 32 bits. */
static void
evaluate(struct sample *s, struct choice *c)
{
        double solution[STENCIL_MAX_TERMS], inverse = 1.0 / s->d->step, farthest = 0;
        predict(s, solution, from_stencil(&c->stencil, solution));
        for (size_t i = 0; i < s->n; i++) {
                double q = (s->target[i] - s->scratch[i]) * inverse;
                q = s->weight[i] > 0 ? q : 0;
                q = q < 2e9 ? q : 2e9;
                q = q > -2e9 ? q : -2e9;
                s->residual[i] = (int32_t) (q + copysign(0.5, q));
                farthest = fmax(farthest, fabs(s->scratch[i]));
        }
        double count = (double) pass_count(s->d->pass);
        c->bits = residual_estimate_sample(s->residual, s->n, false, (size_t) count) +
                  side_bits(c) + count * c->stencil.nterms * patience(s->d->effort);
        if (c->stencil.shift > 1 && farthest * ldexp(1.5, (int) c->stencil.shift) >= 0x1p31)
                c->bits = 1e299;
}

/* False when the stencil will not do at all. */
static bool
consider(struct sample *s, struct choice c, struct choice *best)
{
        evaluate(s, &c);
        if (c.bits < best->bits)
                *best = c;
        return c.bits < 1e299;
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

/* Rounds a solution to coefficients; false when they are out of range.  The first takes
 * what the others lack, so that constant values are predicted as they are. */
static bool
to_coefficients(const double *solution, unsigned n, unsigned shift, struct stencil *st)
{
        double weight = 0, sum = rint(ldexp(solution[0] + 1, (int) shift));
        memset(st, 0, sizeof *st);
        st->shift = shift;
        for (unsigned i = n; i-- > 0; ) {
                double c = i > 0 ? rint(ldexp(solution[i], (int) shift)) : sum;
                weight += fabs(c);
                if (!(weight <= STENCIL_MAX_WEIGHT))
                        return false;
                sum -= c;
                st->coefficient[i] = (int32_t) c;
                if (c != 0 && st->nterms == 0)
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
        double least = s->d->step / 2.0;
        predict(s, solution, n);
        for (size_t i = 0; i < s->n; i++) {
                double e = fabs(s->target[i] - s->scratch[i]) + least;
                s->weight[i] = s->weight[i] > 0 ? least / e : 0;
        }
}

/* True when a prefix of N terms is worth a look: one only where plans are compared, and
 * once there is a fit those that are as long as the best or longer. */
static bool
worth_fitting(const struct sample *s, unsigned cut, const struct choice *best, bool again)
{
        const struct term_list *list = s->d->list;
        unsigned n = list->cut[cut];
        if (n * 4 > s->n || (again && n < best->stencil.nterms))
                return false;
        if (s->d->effort == EFFORT_MAX)
                return true;
        bool last = cut + 1 == list->ncuts || list->cut[cut + 1] * 4 > s->n;
        if (s->d->rough)
                return last;
        return !again || last || list->cut[cut - (cut > 0)] < best->stencil.nterms;
}

/* Fits prefixes of the list with the weights as they are; SOLUTION becomes that of
 * the longest prefix, and its length is returned. */
static unsigned
consider_prefixes(struct sample *s, struct choice *best, double *solution, bool again)
{
        static const unsigned shifts[] = { 11, 6 };
        const struct term_list *list = s->d->list;
        double gram[STENCIL_MAX_TERMS * STENCIL_MAX_TERMS] = { 0 }, rhs[STENCIL_MAX_TERMS] = { 0 };
        unsigned longest = 0;
        bool few = (double) pass_count(s->d->pass) < 8192;           /* coefficients must be short */
        least_squares_add(s->value, s->capacity, list->count, s->n, s->target, s->weight,
                          s->scratch, gram, STENCIL_MAX_TERMS, rhs);
        add_rounding_noise(s, gram);
        for (unsigned i = 0; i < list->ncuts; i++) {
                unsigned n = list->cut[i];
                if (!worth_fitting(s, i, best, again) ||
                    !least_squares_solve(gram, STENCIL_MAX_TERMS, rhs, n, solution))
                        continue;
                longest = n;
                for (unsigned k = 0; k < 2; k++) {
                        struct choice c = { .mode = STENCIL_FITTED };
                        if (to_coefficients(solution, n, shifts[k], &c.stencil) &&
                            consider(s, c, best) && !few)
                                break;
                }
        }
        return longest;
}

static void
consider_fitted(struct sample *s, struct choice *best)
{
        static const unsigned most[] = { 0, 1, 4 };
        double solution[LEAST_SQUARES_MAX];
        unsigned rounds = s->d->rough ? 0 : most[s->d->effort];
        unsigned n = consider_prefixes(s, best, solution, false);
        for (unsigned i = 0; i < rounds && n > 0; i++) {
                n = from_stencil(&best->stencil, solution);
                reweigh(s, solution, n);
                n = consider_prefixes(s, best, solution, true);
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
        if (s.n >= 32 && !(d->rough && d->effort == EFFORT_FAST))
                consider_fitted(&s, &best);
        plane->mode[index] = (uint8_t) best.mode;
        plane->stencil[index] = best.stencil;
        arena_release(arena, mark);
        return CAEFS_OK;
}
