/* codec/primed_learn.c - classes and tables from what sequences have shown, and as bytes.
 *
 * Classes are boxes of levels (of the sum of neighbours), of what the guide tells, and of how far
 * signs agree: all of it at first, then again and again the one that saves most by it is cut in
 * two. */
#include "codec/primed_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CLASS_BITS   80.0              /* what another class must save */
#define MOST_SEEN    600                /* occurrences that the weights of a class stand for */
#define LEAST_WEIGHT 4                  /* of a token that has not been seen */
#define MOST_STEP    63                 /* as stored */

/* What classes are told apart by. */
enum axis { LEVEL, TOLD, SIGNS, NAXES };

static const unsigned extent[NAXES] = { PRIMED_LEVELS, PRIMED_TOLD, PRIMED_SIGNS };

/* A cut of class FROM: what lies above AT on an axis becomes the next class. */
struct cut {
        unsigned  from;
        enum axis axis;
        unsigned  at;
};

struct classes {
        uint8_t of[PRIMED_LEVELS][PRIMED_TOLD][PRIMED_SIGNS];
};

static unsigned
level_of(unsigned sum)
{
        return rans_level_of((uint8_t) (sum < RANS_SUMS ? sum : RANS_SUMS - 1));
}

/* ---- what is shown ---- */

static void
add_row(struct primed_lesson *l, const struct primed_layout *layout, int16_t *around, size_t at,
        const uint8_t *told, const int32_t *r)
{
        const size_t length = primed_row_length(layout, at);

        primed_begin_row(layout, length, around, at > 0);
        for (size_t step = 0; step < layout->steps; step++)
                for (size_t i = step; i < length; i += layout->steps) {
                        bool     mirror;
                        unsigned t = primed_token_of(r[at + i]);
                        unsigned c = primed_context(around + i, primed_pitch(layout), at > 0,
                                                    told[at + i], &mirror);
                        l->count[level_of(c % PRIMED_SUMS)]
                                [c / (PRIMED_SUMS * PRIMED_SIGNS)][c / PRIMED_SUMS % PRIMED_SIGNS]
                                [mirror ? primed_mirror(t) : t]++;
                        around[i] = primed_known(t);
                }
}

enum caefs_err
primed_lesson_add(struct primed_lesson *l, const int32_t *r, const struct residual_segment *segment,
                  size_t nsegments, const struct residual_guide *guide, struct arena *arena)
{
        struct arena_mark mark = arena_mark(arena);
        size_t            start = 0, largest = 0;

        for (size_t i = 0; i < nsegments; i++)
                largest = segment[i].count > largest ? segment[i].count : largest;
        int16_t *first = primed_around_make(largest, arena);
        for (size_t i = 0; i < nsegments && first != NULL; i++) {
                struct primed_layout layout = primed_layout_of(&segment[i], PRIMED_LANES);
                int16_t *around = first;
                guide->before(guide->context, r);
                for (size_t at = 0; at < layout.count; at += layout.width) {
                        add_row(l, &layout, around, at, guide->class + start, r + start);
                        around += primed_pitch(&layout);
                }
                start += layout.count;
        }
        arena_release(arena, mark);
        return first != NULL ? CAEFS_OK
                : caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for residuals");
}

/* ---- classes ---- */

/* Bits of tokens with these counts, by their own statistics. */
static double
cost_of(const uint64_t count[PRIMED_TOKENS])
{
        double bits = 0, total = 0;

        for (unsigned t = 0; t < PRIMED_TOKENS; t++)
                if (count[t] > 0) {
                        bits -= (double) count[t] * log2((double) count[t]);
                        total += (double) count[t];
                }
        return total > 0 ? bits + total * log2(total) : 0;
}

/* Adds what class C has in slice AT of an axis. */
static void
add_slice(const struct primed_lesson *l, const struct classes *classes, unsigned c, enum axis axis,
          unsigned at, uint64_t count[PRIMED_TOKENS])
{
        unsigned first[NAXES] = { 0 }, last[NAXES] = { PRIMED_LEVELS, PRIMED_TOLD, PRIMED_SIGNS };

        first[axis] = at;
        last[axis] = at + 1;
        for (unsigned i = first[0]; i < last[0]; i++)
                for (unsigned j = first[1]; j < last[1]; j++)
                        for (unsigned k = first[2]; k < last[2]; k++)
                                for (unsigned t = 0; classes->of[i][j][k] == c && t < PRIMED_TOKENS; t++)
                                        count[t] += l->count[i][j][k][t];
}

/* The best cut of class C along one axis, and what it saves. */
static double
best_along(const struct primed_lesson *l, const struct classes *classes, unsigned c, enum axis axis,
           struct cut *best)
{
        uint64_t below[PRIMED_TOKENS] = { 0 }, above[PRIMED_TOKENS] = { 0 };
        double   most = 0;

        for (unsigned i = 0; i < extent[axis]; i++)
                add_slice(l, classes, c, axis, i, above);
        const double whole = cost_of(above);
        for (unsigned i = 0; i + 1 < extent[axis]; i++) {
                uint64_t slice[PRIMED_TOKENS] = { 0 };
                add_slice(l, classes, c, axis, i, slice);
                for (unsigned t = 0; t < PRIMED_TOKENS; t++) {
                        below[t] += slice[t];
                        above[t] -= slice[t];
                }
                double saved = whole - cost_of(below) - cost_of(above);
                if (saved > most) {
                        most = saved;
                        *best = (struct cut) { .from = c, .axis = axis, .at = i };
                }
        }
        return most;
}

static double
best_cut(const struct primed_lesson *l, const struct classes *classes, unsigned c, struct cut *best)
{
        double most = 0;

        for (unsigned axis = 0; axis < NAXES; axis++) {
                struct cut cut;
                double saved = best_along(l, classes, c, (enum axis) axis, &cut);
                if (saved > most) {
                        most = saved;
                        *best = cut;
                }
        }
        return most;
}

static void
apply_cut(struct classes *classes, const struct cut *cut, unsigned next)
{
        for (unsigned i = 0; i < PRIMED_LEVELS; i++)
                for (unsigned j = 0; j < PRIMED_TOLD; j++)
                        for (unsigned k = 0; k < PRIMED_SIGNS; k++) {
                                const unsigned place[NAXES] = { i, j, k };
                                if (classes->of[i][j][k] == cut->from && place[cut->axis] > cut->at)
                                        classes->of[i][j][k] = (uint8_t) next;
                        }
}

static unsigned
find_classes(const struct primed_lesson *l, struct classes *classes, struct cut cut[PRIMED_CLASSES])
{
        struct cut best[PRIMED_CLASSES];
        double     saved[PRIMED_CLASSES];
        unsigned   n = 1;

        memset(classes, 0, sizeof *classes);
        saved[0] = best_cut(l, classes, 0, &best[0]);
        while (n < PRIMED_CLASSES) {
                unsigned most = 0;
                for (unsigned c = 1; c < n; c++)
                        most = saved[c] > saved[most] ? c : most;
                if (saved[most] < CLASS_BITS)
                        break;
                cut[n] = best[most];
                apply_cut(classes, &cut[n], n);
                saved[most] = best_cut(l, classes, most, &best[most]);
                saved[n] = best_cut(l, classes, n, &best[n]);
                n++;
        }
        return n;
}

/* ---- weights ---- */

/* Weights as stored: four steps an octave. */
static uint32_t
weight_of(unsigned step)
{
        return (4 + (step & 3)) << (step >> 2);
}

static unsigned
step_of(double weight)
{
        unsigned step = 0;

        while (step < MOST_STEP && weight_of(step + 1) <= weight)
                step++;
        return step;
}

/* The steps of a class; how many there are. */
static unsigned
find_steps(const struct primed_lesson *l, const struct classes *classes, unsigned c,
           uint8_t step[PRIMED_TOKENS])
{
        uint64_t count[PRIMED_TOKENS] = { 0 };
        double   total = 0;
        unsigned n = 1;

        for (unsigned level = 0; level < PRIMED_LEVELS; level++)
                add_slice(l, classes, c, LEVEL, level, count);
        for (unsigned t = 0; t < PRIMED_TOKENS; t++) {
                total += (double) count[t];
                n = count[t] > 0 ? t + 1 : n;
        }
        double scale = total > MOST_SEEN ? PRIMED_SEEN * MOST_SEEN / total : PRIMED_SEEN;
        for (unsigned t = 0; t < n; t++)
                step[t] = (uint8_t) step_of(LEAST_WEIGHT + (double) count[t] * scale);
        return n;
}

/* ---- bytes ---- */

void
primed_lesson_write(const struct primed_lesson *l, struct bytes *out)
{
        uint8_t               step[PRIMED_TOKENS];
        struct classes         classes;
        struct cut            cut[PRIMED_CLASSES];
        struct adaptive_number many, change;
        struct binary_encoder  e = binary_encoder_of(out);
        const unsigned         n = find_classes(l, &classes, cut);

        adaptive_number_init(&many);
        adaptive_number_init(&change);
        even_bits_encode(&e, n - 1, 5);
        for (unsigned c = 1; c < n; c++) {
                even_bits_encode(&e, cut[c].from, 5);
                even_bits_encode(&e, cut[c].axis, 2);
                even_bits_encode(&e, cut[c].at, 5);
        }
        for (unsigned c = 0; c < n; c++) {
                unsigned nsteps = find_steps(l, &classes, c, step);
                int      before = 0;
                adaptive_number_encode(&e, &many, nsteps - 1);
                for (unsigned t = 0; t < nsteps; before = step[t++])
                        adaptive_number_encode(&e, &change, (uint32_t) zigzag_encode(step[t] - before));
        }
        binary_encoder_finish(&e);
}

static bool
read_classes(struct binary_decoder *d, struct primed *p)
{
        struct classes classes = { { { { 0 } } } };

        p->nclasses = even_bits_decode(d, 5) + 1;
        for (unsigned c = 1; c < p->nclasses; c++) {
                struct cut cut = { .from = even_bits_decode(d, 5) };
                unsigned axis = even_bits_decode(d, 2);
                cut.at = even_bits_decode(d, 5);
                if (cut.from >= c || axis >= NAXES)
                        return false;
                cut.axis = (enum axis) axis;
                apply_cut(&classes, &cut, c);
        }
        for (unsigned i = 0; i < sizeof p->class_of; i++)
                p->class_of[i] = classes.of[level_of(i % PRIMED_SUMS)]
                        [i / (PRIMED_SUMS * PRIMED_SIGNS)][i / PRIMED_SUMS % PRIMED_SIGNS];
        return true;
}

static bool
read_weights(struct binary_decoder *d, struct primed *p)
{
        struct adaptive_number many, change;

        adaptive_number_init(&many);
        adaptive_number_init(&change);
        for (unsigned c = 0; c < p->nclasses; c++) {
                uint32_t largest = adaptive_number_decode(d, &many);
                int64_t  step = 0;
                if (largest >= PRIMED_TOKENS)
                        return false;
                p->largest[c] = (uint8_t) largest;
                for (unsigned t = 0; t < PRIMED_TOKENS; t++) {
                        p->weight[c][t] = LEAST_WEIGHT;
                        if (t > largest)
                                continue;
                        step += zigzag_decode(adaptive_number_decode(d, &change));
                        if (step < 0 || step > MOST_STEP)
                                return false;
                        p->weight[c][t] = weight_of((unsigned) step);
                }
        }
        return true;
}

enum caefs_err
primed_parse(struct cursor *in, struct primed *p)
{
        struct binary_decoder d = binary_decoder_of(in);
        bool good = read_classes(&d, p) && read_weights(&d, p);

        return good && binary_decoder_finish(&d) && !in->failed ? CAEFS_OK
                : caefs_fail(CAEFS_ERR_CORRUPT, "model: statistics of residuals are malformed");
}
