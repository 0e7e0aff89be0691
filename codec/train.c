/* codec/train.c - every family learns, the encoder measures, what pays is kept. */
#include "codec/train.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/train_family.h"
#include "codec/train_run.h"

#define DEFAULT_SECONDS 20

/* A model must save this share of the bytes to be worth its keeping. */
#define LEAST_GAIN 0.01

/* Raw bytes of learnt pieces that are measured as well, about: what a model has seen
 * comes cheaper than what it has not. */
#define MAX_SEEN ((uint64_t) 4 << 20)

/* In the order in which they learn: the autoencoder may take all the time that is left. */
static const struct trainable *const trainables[] = {
        &trainable_field,
        &trainable_table,
        &trainable_echo,
        &trainable_cae,
};
#define NTRAINABLES (sizeof trainables / sizeof *trainables)

_Static_assert(NTRAINABLES <= TRAIN_MAX_CANDIDATES, "a result has room for every family");

/* ---- what parts are worth ---- */

/* The pieces that are measured, and what they take without a model. */
struct measuring {
        const struct training *training;
        struct train_piece    *piece;           /* held back first; owned */
        size_t                 npieces, nheld;
        uint64_t               seen_raw, held_raw;      /* of these pieces */
        uint64_t               total_raw;       /* what the model is to serve */
        uint64_t               learnt_raw;      /* of all learnt pieces */
        double                 plain;           /* bytes that all data is estimated to take */
};

/* Estimates what all data takes when these pieces take HELD and SEEN bytes: what was
 * learnt from as those of its pieces that are measured, the rest as what was held back. */
static double
extrapolate(const struct measuring *m, uint64_t held, uint64_t seen)
{
        const double unseen = (double) (m->total_raw - m->learnt_raw);

        return (m->held_raw > 0 ? unseen * (double) held / (double) m->held_raw : 0)
                + (m->seen_raw > 0 ? (double) m->learnt_raw * (double) seen
                                     / (double) m->seen_raw : 0);
}

/* With MODEL, its own bytes counted, or, NULL, without. */
static enum caefs_err
measure(const struct measuring *m, const struct model *model, double *total)
{
        uint64_t held = 0, seen = 0;
        size_t own = 0;
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; i < m->npieces && err == CAEFS_OK; i++) {
                struct bytes coded = { 0 };
                err = train_piece_encode(&m->piece[i], m->training->options, model, &coded, NULL);
                *(i < m->nheld ? &held : &seen) += coded.size;
                bytes_free(&coded);
        }
        if (model != NULL)
                model_blob(model, &own);
        *total = extrapolate(m, held, seen) + (double) own;
        return err;
}

static enum caefs_err
measuring_start(const struct training *t, struct measuring *m)
{
        const struct train_pieces *p = t->pieces;

        *m = (struct measuring) {
                .training = t, .npieces = p->nheld, .nheld = p->nheld,
                .total_raw = t->options->expected_bytes > p->total_bytes
                        ? t->options->expected_bytes : p->total_bytes,
        };
        m->piece = malloc((p->nheld + p->nlearnt + 1) * sizeof *m->piece);
        if (m->piece == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory");
        for (size_t i = 0; i < p->nheld; i++) {
                m->piece[i] = p->held[i];
                m->held_raw += train_piece_bytes(&p->held[i]);
        }
        for (size_t i = 0; i < p->nlearnt; i++) {
                m->learnt_raw += train_piece_bytes(&p->learnt[i]);
                if (m->seen_raw >= MAX_SEEN)
                        continue;
                m->piece[m->npieces++] = p->learnt[i];
                m->seen_raw += train_piece_bytes(&p->learnt[i]);
        }
        return measure(m, NULL, &m->plain);
}

/* ---- candidates ---- */

/* A family's part, and what it is worth. */
struct candidate {
        const struct trainable *trainable;
        struct model_part       part;
        double                  total;          /* bytes of all data with this part alone */
        bool                    chosen;
};

struct selection {
        const struct training *training;
        struct measuring       measuring;
        struct candidate       candidate[TRAIN_MAX_CANDIDATES];
        size_t                 ncandidates;
};

/* A model of the chosen candidates, and EXTRA or NULL. */
static enum caefs_err
build(const struct selection *s, const struct candidate *extra, struct model **out)
{
        const struct train_options *o = s->training->options;
        struct model_info info = { .bound = o->bound, .scope = o->scope, .seed = o->seed };
        struct model_part parts[TRAIN_MAX_CANDIDATES];
        size_t n = 0;

        for (size_t i = 0; i < s->training->pieces->nlearnt; i++)
                info.train_values += s->training->pieces->learnt[i].count;
        /* by ascending number */
        for (int family = 0; family < FAMILY_LIMIT; family++)
                for (size_t i = 0; i < s->ncandidates; i++) {
                        const struct candidate *c = &s->candidate[i];
                        if (c->part.family == family && (c->chosen || c == extra))
                                parts[n++] = c->part;
                }
        return model_build(&info, parts, n, out);
}

static enum caefs_err
worth(const struct selection *s, const struct candidate *extra, double *total)
{
        struct model *m = NULL;
        enum caefs_err err = build(s, extra, &m);

        if (err == CAEFS_OK)
                err = measure(&s->measuring, m, total);
        model_free(m);
        return err;
}

/* Lets one family learn; a candidate more when it has learnt something. */
static enum caefs_err
try_family(struct selection *s, const struct trainable *t, struct train_result *out)
{
        struct candidate *c = &s->candidate[s->ncandidates];
        struct train_candidate *told = &out->candidate[out->ncandidates];
        const double start = train_clock();

        *c = (struct candidate) { .trainable = t, .part.family = (int) t->family };
        enum caefs_err err = t->train(s->training, &c->part.bytes, out);
        if (err != CAEFS_OK || c->part.bytes.size == 0) {
                bytes_free(&c->part.bytes);
                return err;
        }
        s->ncandidates++;
        err = worth(s, c, &c->total);
        *told = (struct train_candidate) {
                .family = (int) t->family, .part_bytes = c->part.bytes.size,
                .model_bytes = (uint64_t) c->total, .seconds = train_clock() - start,
        };
        out->ncandidates++;
        return err;
}

/* Takes the candidate that saves most beside those chosen already, if any pays. */
static enum caefs_err
choose_next(struct selection *s, double *total, bool *found)
{
        struct candidate *best = NULL;
        double least = *total - LEAST_GAIN * s->measuring.plain;
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; i < s->ncandidates && err == CAEFS_OK; i++) {
                struct candidate *c = &s->candidate[i];
                double with = c->total;
                if (c->chosen || c->total >= s->measuring.plain)
                        continue;
                if (*total < s->measuring.plain)
                        err = worth(s, c, &with);
                if (err == CAEFS_OK && with < least) {
                        least = with;
                        best = c;
                }
        }
        *found = best != NULL;
        if (best != NULL) {
                best->chosen = true;
                *total = least;
        }
        return err;
}

static enum caefs_err
complete_chosen(struct selection *s)
{
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; i < s->ncandidates && err == CAEFS_OK; i++) {
                struct candidate *c = &s->candidate[i];
                if (c->chosen && c->trainable->complete != NULL)
                        err = c->trainable->complete(s->training, &c->part.bytes);
        }
        return err;
}

/* ---- the course ---- */

static void
explain(const struct selection *s, bool pays, struct train_result *out)
{
        const double plain = (double) out->plain_bytes, with = (double) out->model_bytes;

        if (s->ncandidates == 0 && out->why[0] == '\0')
                snprintf(out->why, sizeof out->why, "there is nothing here to learn from");
        else if (pays)
                snprintf(out->why, sizeof out->why, "by what was held back the data takes %.1f %% "
                         "fewer bytes, the model's own counted", 100 * (plain - with) / plain);
        else if (s->ncandidates > 0)
                snprintf(out->why, sizeof out->why, "by what was held back the data would take "
                         "%llu bytes with the best model, its own counted, and %llu without",
                         (unsigned long long) out->model_bytes,
                         (unsigned long long) out->plain_bytes);
}

/* Chooses, and builds the model; FORCE: of what there is, whatever it is worth. */
static enum caefs_err
choose(struct selection *s, struct train_result *out)
{
        double total = s->measuring.plain, best = s->measuring.plain;
        bool any = false, found = true;
        enum caefs_err err = CAEFS_OK;

        while (found && err == CAEFS_OK) {
                err = choose_next(s, &total, &found);
                any |= found;
        }
        for (size_t i = 0; i < s->ncandidates; i++)
                best = i == 0 || s->candidate[i].total < best ? s->candidate[i].total : best;
        out->plain_bytes = (uint64_t) s->measuring.plain;
        out->model_bytes = (uint64_t) (any ? total : best);
        explain(s, any, out);
        if (!any && s->training->options->force && s->ncandidates > 0)
                any = s->candidate[0].chosen = true;
        if (err == CAEFS_OK && any)
                err = complete_chosen(s);
        return err == CAEFS_OK && any ? build(s, NULL, &out->model) : err;
}

/* The caller's watch, told which family it is about, and what it said last. */
struct watching {
        train_watch *watch;             /* or NULL */
        void        *context;
        int          family;
        bool         stopped;
};

static bool
watch_family(void *context, const struct train_progress *progress)
{
        struct watching *w = context;
        struct train_progress p = *progress;

        p.family = w->family;
        if (w->watch != NULL && !w->watch(w->context, &p))
                w->stopped = true;
        return !w->stopped;
}

/* Whether FAMILY is to learn; tells the caller so. */
static bool
begin_family(struct watching *w, const struct training *t, int family)
{
        const int wanted = t->options->family;
        const double now = train_clock();
        const struct train_progress p = {
                .seconds = now - (t->deadline - t->options->time_limit),
                .seconds_left = t->deadline > now ? t->deadline - now : 0,
        };

        if (wanted != 0 && wanted != family)
                return false;
        w->family = family;
        /* One that was asked for learns a little in any case: there must be a best so far. */
        return watch_family(w, &p) || wanted == family;
}

static bool
is_good_enough(const struct selection *s)
{
        const double target = s->training->options->target_ratio;
        double least = s->measuring.plain;

        for (size_t i = 0; i < s->ncandidates; i++)
                least = s->candidate[i].total < least ? s->candidate[i].total : least;
        return target > 0 && (double) s->measuring.total_raw >= target * least;
}

static enum caefs_err
run_all(const struct training *t, struct watching *w, struct train_result *out)
{
        struct selection s = { .training = t };
        enum caefs_err err = measuring_start(t, &s.measuring);

        out->raw_bytes = s.measuring.total_raw;
        for (size_t i = 0; i < NTRAINABLES && err == CAEFS_OK && !is_good_enough(&s); i++)
                if (begin_family(w, t, (int) trainables[i]->family))
                        err = try_family(&s, trainables[i], out);
        if (s.ncandidates == 0 && is_good_enough(&s))
                snprintf(out->why, sizeof out->why, "the target is reached without one");
        else if (s.ncandidates == 0 && w->stopped && out->why[0] == '\0')
                snprintf(out->why, sizeof out->why, "it was stopped before anything was learnt");
        if (err == CAEFS_OK)
                err = choose(&s, out);
        for (size_t i = 0; i < s.ncandidates; i++)
                bytes_free(&s.candidate[i].part.bytes);
        free(s.measuring.piece);
        if (err == CAEFS_OK && out->model == NULL && t->options->force)
                err = caefs_fail(CAEFS_ERR_ARGUMENT, "train: %s", out->why);
        return err;
}

bool
train_knows(int family)
{
        for (size_t i = 0; i < NTRAINABLES; i++)
                if ((int) trainables[i]->family == family)
                        return true;
        return false;
}

static enum caefs_err
check_options(const struct train_options *o)
{
        if (o->family != 0 && !train_knows(o->family))
                return caefs_fail(CAEFS_ERR_UNSUPPORTED, "train: this family has nothing to learn");
        if (!(o->proportion > 0 && o->proportion <= 1))
                return caefs_fail(CAEFS_ERR_ARGUMENT, "train: the proportion is above 0 and at "
                                  "most 1");
        return CAEFS_OK;
}

enum caefs_err
train_model(const struct train_input *input, size_t ninputs, const struct train_options *options,
            train_watch *watch, void *context, struct train_result *out)
{
        struct train_options o = *options;
        struct train_pieces pieces;
        const double start = train_clock();
        enum caefs_err err = check_options(&o);

        *out = (struct train_result) { 0 };
        if (!(o.time_limit > 0))
                o.time_limit = DEFAULT_SECONDS;
        if (err == CAEFS_OK)
                err = train_pieces_cut(input, ninputs, &o, &pieces);
        if (err != CAEFS_OK)
                return err;
        struct watching watching = { .watch = watch, .context = context };
        const struct training t = {
                .options = &o, .pieces = &pieces, .deadline = start + o.time_limit,
                .watch = watch_family, .context = &watching,
        };
        err = run_all(&t, &watching, out);
        train_pieces_release(&pieces);
        out->seconds = train_clock() - start;
        if (err != CAEFS_OK) {
                model_free(out->model);
                out->model = NULL;
        }
        return err;
}
