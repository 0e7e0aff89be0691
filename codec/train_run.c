/* codec/train_run.c - epochs, schedule, early stopping. */
#include "codec/train_run.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "codec/cae_part.h"

#define LEARNING_RATE  1e-3f
#define LAST_RATE      0.01f    /* of it, at the end */

/* Shares of the epochs. */
#define PILOT_SHARE    8        /* one in so many to choose the activation function */
#define QUANTISE_SHARE 4        /* one in so many for the second stage */
#define PATIENCE_SHARE 8        /* without progress until a stage ends */

/* A model to start from is quickly adapted: it begins with a higher rate, which finds
 * out of what the other data taught it, and is given more patience. */
#define WARM_RATE           3   /* times LEARNING_RATE */
#define WARM_PATIENCE_SHARE 4
#define LEAST_PATIENCE 30
#define MOST_PILOT     400      /* epochs */

/* Validations in all, about: more of them take time and say little. */
#define VALIDATIONS 1000

/* A loss must fall by this factor to count as progress. */
#define PROGRESS 0.999

/* Floating-point operations a second that the number of epochs is planned with: what a
 * fifth of a core gives. */
#define PLANNED_RATE 24e9

/* Blocks of a minibatch at most, and the steps that a training should have. */
#define LARGEST_BATCH 256
#define ENOUGH_STEPS  20000

#define MOST_EPOCHS  5000
#define LEAST_EPOCHS 20

/* The share of blocks that validate, and their limits. */
#define VALIDATION_SHARE 10
#define MOST_VALIDATION  2048

/* The decoder's largest integer weight is about what the step of the bound divides the
 * range into: finer ones would cost bytes of the model for nothing. */
#define LEAST_WEIGHT 15

/* Wide weights pay where both the root mean square error and the step, of a range of
 * 1, are smaller than this. */
#define WIDE_BELOW 0.004

#define WATCH_INTERVAL 0.1      /* seconds */

struct run {
        const struct train_options *options;
        const float                *value;      /* (ntrain + nvalidation, block) */
        size_t                      block, ntrain, nvalidation;
        double                      step;       /* train_data's */
        struct team                *team;
        size_t                     *order;      /* (ntrain) */
        float                      *batch;      /* (batch, block) */
        struct random               random;
        struct learner              learner;
        double                      started;
        double                      watched;
        train_watch                *watch;
        void                       *context;
        bool                        stopped;
        uint32_t                    epoch, epochs;      /* done; planned */
        double                      train_loss;
};

/* The course of one stage. */
struct stage {
        uint32_t first, length;         /* epochs */
        float    from, to;              /* rates, as shares of LEARNING_RATE */
        uint32_t patience;
        double   best;                  /* validation loss of what learner_keep() kept */
};

double
train_clock(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

/* ---- blocks ---- */

static void
swap_blocks(float *a, float *b, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                float v = a[i];
                a[i] = b[i];
                b[i] = v;
        }
}

/* Fisher and Yates. */
static void
shuffle_blocks(struct train_data *d, struct random *r)
{
        d->shuffled = true;
        for (size_t i = d->nblocks; i > 1; i--) {
                size_t j = random_below(r, i);
                if (j != i - 1)
                        swap_blocks(d->value + j * d->block, d->value + (i - 1) * d->block,
                                    d->block);
        }
}

static void
shuffle_order(struct run *r)
{
        for (size_t i = r->ntrain; i > 1; i--) {
                size_t j = random_below(&r->random, i);
                size_t v = r->order[j];
                r->order[j] = r->order[i - 1];
                r->order[i - 1] = v;
        }
}

static float *
mean_block(const struct run *r)
{
        float *mean = calloc(r->block, sizeof *mean);

        for (size_t k = 0; mean != NULL && k < r->ntrain; k++)
                for (size_t i = 0; i < r->block; i++)
                        mean[i] += (r->value[k * r->block + i] - mean[i]) / (float) (k + 1);
        return mean;
}

static double
validation_loss(struct run *r)
{
        return learner_loss(&r->learner, r->value + r->ntrain * r->block, r->nvalidation);
}

/* ---- one epoch ---- */

/* SECONDS since it began. */
static void
tell(struct run *r, double validation, double seconds)
{
        const double left = seconds / r->epoch * (r->epochs - r->epoch);
        const struct train_progress p = {
                .epoch = r->epoch, .epochs = r->epochs,
                .train_loss = r->train_loss, .validation_loss = validation,
                .seconds = seconds,
                .seconds_left = fmin(left, fmax(r->options->time_limit - seconds, 0)),
        };

        if (r->watch != NULL && !r->watch(r->context, &p))
                r->stopped = true;
}

static void
watch(struct run *r, double validation)
{
        const double now = train_clock(), seconds = now - r->started;

        if (seconds > r->options->time_limit)
                r->stopped = true;
        if (now - r->watched < WATCH_INTERVAL)
                return;
        r->watched = now;
        tell(r, validation, seconds);
}

/* N blocks from FROM in the epoch's order; all of them need no order. */
static const float *
minibatch(struct run *r, size_t from, size_t n)
{
        if (n == r->ntrain)
                return r->value;
        for (size_t k = 0; k < n; k++)
                memcpy(r->batch + k * r->block, r->value + r->order[from + k] * r->block,
                       r->block * sizeof *r->batch);
        return r->batch;
}

static void
run_epoch(struct run *r, float rate)
{
        const size_t batch = r->learner.batch;
        double sum = 0;
        size_t seen = 0;

        if (batch < r->ntrain)
                shuffle_order(r);
        for (size_t from = 0; from < r->ntrain && !r->stopped; from += batch) {
                size_t n = r->ntrain - from < batch ? r->ntrain - from : batch;
                const float *x = minibatch(r, from, n);
                sum += (double) learner_step(&r->learner, x, n, rate) * (double) n;
                seen += n;
                if (train_clock() - r->started > r->options->time_limit)
                        r->stopped = true;
        }
        r->train_loss = sum / (double) seen;
        r->epoch++;
}

static float
rate_at(const struct stage *s, uint32_t epoch)
{
        const double share = s->length > 1 ? (double) epoch / (s->length - 1) : 1;
        const double cosine = (1 + cos(acos(-1) * fmin(share, 1))) / 2;

        return LEARNING_RATE * (s->to + (s->from - s->to) * (float) cosine);
}

/* Epochs FIRST to LAST - 1 of a stage, while the validation loss falls; the best
 * parameters stay with learner_keep().  Returns false when it ended early. */
static bool
run_epochs(struct run *r, struct stage *s, uint32_t first, uint32_t last)
{
        const uint32_t interval = r->epochs / VALIDATIONS + 1;
        double loss = s->best;
        uint32_t since = 0;

        for (uint32_t e = first; e < last && !r->stopped; e++) {
                run_epoch(r, rate_at(s, e));
                since++;
                if (e == first || e % interval == 0 || e + 1 == last || r->stopped) {
                        loss = validation_loss(r);
                        if (loss < s->best * PROGRESS)
                                since = 0;
                        if (loss < s->best) {
                                s->best = loss;
                                learner_keep(&r->learner);
                        }
                }
                watch(r, loss);
                if (since >= s->patience)
                        return false;
        }
        return !r->stopped;
}

/* ---- the course ---- */

static enum caefs_err
start_learner(struct run *r, enum activation hidden, const float *mean)
{
        const struct train_options *o = r->options;

        enum caefs_err err = learner_init(&r->learner, o->layer, o->nlayers, hidden, o->batch,
                                          mean, &r->random, r->team);
        const struct autoencoder *from = model_autoencoder(o->warm_start);
        r->learner.sparsity = (float) o->sparsity;
        if (err == CAEFS_OK && from != NULL && !learner_adopt(&r->learner, from)) {
                learner_release(&r->learner);
                err = caefs_fail(CAEFS_ERR_ARGUMENT, "train: the model to start from has other "
                                 "layers, or another activation function");
        }
        return err;
}

/* A model to start from has its activation function already. */
static bool
is_candidate(const struct train_options *o, enum activation a)
{
        const struct autoencoder *from = model_autoencoder(o->warm_start);

        if (o->activation == TRAIN_ACTIVATION_BEST)
                return from == NULL || from->connection[0].activation == a;
        return (o->activation == TRAIN_ACTIVATION_SIGMOID) == (a == ACTIVATION_SIGMOID);
}

/* Leaves r->learner at the end of its pilot epochs.  BEST is its loss so far. */
static enum caefs_err
choose_learner(struct run *r, struct stage *first, uint32_t pilot)
{
        static const enum activation candidate[] = { ACTIVATION_RELU, ACTIVATION_SIGMOID };
        float *mean = mean_block(r);
        struct learner best = { 0 };
        double least = INFINITY;
        enum caefs_err err = CAEFS_OK;

        if (mean == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory");
        for (int c = 0; c < 2 && err == CAEFS_OK; c++) {
                if (!is_candidate(r->options, candidate[c]))
                        continue;
                err = start_learner(r, candidate[c], mean);
                if (err != CAEFS_OK)
                        break;
                first->best = INFINITY;
                learner_keep(&r->learner);
                run_epochs(r, first, 0, pilot);
                const bool better = best.memory == NULL || first->best < least;
                struct learner *worse = better ? &best : &r->learner;
                learner_release(worse);
                if (worse == &best) {
                        best = r->learner;
                        least = first->best;
                }
        }
        free(mean);
        if (err != CAEFS_OK)
                learner_release(&best);
        r->learner = best;
        first->best = least;
        return err;
}

static int32_t
decoder_weight(double step, double loss)
{
        if (step < WIDE_BELOW)
                return sqrt(loss) < WIDE_BELOW ? NETWORK_WIDE_WEIGHT : NETWORK_NARROW_WEIGHT;
        return (int32_t) fmin(fmax(1 / step, LEAST_WEIGHT), NETWORK_NARROW_WEIGHT);
}

/* Second stage: from the best of the first, with the arithmetic of inference. */
static double
run_quantised(struct run *r, const struct stage *first)
{
        const uint32_t share = r->options->epochs / QUANTISE_SHARE;
        const uint32_t length = share > 0 ? share : 1;
        struct stage second = {
                .length = length, .from = first->to, .to = LAST_RATE, .patience = first->patience,
        };

        learner_restore(&r->learner);
        learner_quantise(&r->learner, r->value, r->ntrain,
                         decoder_weight(r->step, first->best));
        second.best = validation_loss(r);
        learner_keep(&r->learner);
        r->epochs = r->epoch + length;
        run_epochs(r, &second, 0, length);
        learner_restore(&r->learner);
        return validation_loss(r);
}

static uint32_t
patience_planned(const struct train_options *o, bool warm)
{
        const uint32_t share = o->epochs / (warm ? WARM_PATIENCE_SHARE : PATIENCE_SHARE);

        if (o->patience != 0)
                return o->patience;
        return share < LEAST_PATIENCE ? LEAST_PATIENCE : share;
}

static enum caefs_err
run_course(struct run *r, struct train_outcome *out)
{
        const uint32_t planned = r->options->epochs;
        const uint32_t share = (planned + PILOT_SHARE - 1) / PILOT_SHARE;
        const uint32_t pilot = share < MOST_PILOT ? share : MOST_PILOT;
        const bool warm = model_autoencoder(r->options->warm_start) != NULL;
        struct stage first = {
                .length = planned - planned / QUANTISE_SHARE,
                .from = warm ? WARM_RATE : 1, .to = 0.2f,
                .patience = patience_planned(r->options, warm),
        };

        const bool both = r->options->activation == TRAIN_ACTIVATION_BEST && !warm;
        r->epochs = planned + (both ? pilot : 0);
        enum caefs_err err = choose_learner(r, &first, pilot);
        if (err != CAEFS_OK)
                return err;
        run_epochs(r, &first, pilot, first.length);
        out->validation_loss = run_quantised(r, &first);
        tell(r, out->validation_loss, train_clock() - r->started);
        out->train_loss = r->train_loss;
        out->epochs = r->epoch;
        err = learner_export(&r->learner, &out->network);
        learner_release(&r->learner);
        return err;
}

/* Operations of an epoch: a product forward and two backward for each weight. */
static uint32_t
epochs_planned(const struct train_options *o, size_t nblocks)
{
        double weights = 0;

        for (unsigned k = 0; k + 1 < o->nlayers; k++)
                weights += 2.0 * o->layer[k] * o->layer[k + 1];
        double epochs = o->time_limit * PLANNED_RATE / (6 * weights * (double) nblocks);
        return epochs > MOST_EPOCHS ? MOST_EPOCHS
               : epochs < LEAST_EPOCHS ? LEAST_EPOCHS : (uint32_t) epochs;
}

/* The larger, the faster an epoch; but no larger than leaves enough steps, unless there
 * are many blocks: then small minibatches take more time than they are worth. */
static size_t
batch_planned(uint32_t epochs, size_t ntrain)
{
        const size_t most = ntrain < LARGEST_BATCH ? ntrain : LARGEST_BATCH;
        const size_t least = ntrain < 512 ? 16 : ntrain < 4096 ? 64 : 128;
        const double batch = (double) epochs * (double) ntrain / ENOUGH_STEPS;

        return batch >= (double) most ? most
               : batch > (double) least ? (size_t) batch / 16 * 16 : least < most ? least : most;
}

enum caefs_err
train_run(const struct train_options *o, struct train_data *data, train_watch *watch_function,
          void *context, struct train_outcome *out)
{
        struct train_options options = *o;
        size_t nvalidation = data->nblocks / VALIDATION_SHARE;

        *out = (struct train_outcome) { 0 };
        nvalidation = nvalidation < 2 ? 2 : nvalidation;
        nvalidation = nvalidation > MOST_VALIDATION ? MOST_VALIDATION : nvalidation;
        struct run r = {
                .options = &options, .value = data->value, .block = data->block,
                .step = data->step,
                .nvalidation = nvalidation, .ntrain = data->nblocks - nvalidation,
                .started = train_clock(), .watch = watch_function, .context = context,
        };
        if (options.epochs == 0)
                options.epochs = epochs_planned(&options, data->nblocks);
        if (options.batch == 0)
                options.batch = batch_planned(options.epochs, r.ntrain);
        random_seed(&r.random, options.seed);
        if (!data->shuffled)
                shuffle_blocks(data, &r.random);
        r.order = malloc(r.ntrain * sizeof *r.order);
        r.batch = malloc(options.batch * r.block * sizeof *r.batch);
        r.team = team_new(options.threads);
        enum caefs_err err = CAEFS_OK;
        if (r.order == NULL || r.batch == NULL)
                err = caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for minibatches");
        for (size_t k = 0; err == CAEFS_OK && k < r.ntrain; k++)
                r.order[k] = k;
        if (err == CAEFS_OK)
                err = run_course(&r, out);
        out->seconds = train_clock() - r.started;
        team_free(r.team);
        free(r.order);
        free(r.batch);
        return err;
}
