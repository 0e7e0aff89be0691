/* codec/train_network.c - forward, backward and Adam on OpenBLAS. */
#include "codec/train_network.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>

/* Adam: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015. */
#define ADAM_FIRST   0.9f
#define ADAM_SECOND  0.999f
#define ADAM_EPSILON 1e-8f

/* Levels of hidden activations and of latents. */
#define HIDDEN_LEVELS 1023
#define LATENT_LEVELS 255

/* Adding and taking away this rounds a float of magnitude below 2^22 to an integer. */
#define ROUNDER 12582912.0f

static float
rounded_to_integer(float v)
{
        return (v + ROUNDER) - ROUNDER;
}

/* ---- making ---- */

/* Sizes and kinds of the connections: down to the latents and up again. */
static void
lay_out(struct learner *l, const unsigned *layer, unsigned nlayers, enum activation hidden)
{
        const enum learner_activation inner =
                hidden == ACTIVATION_SIGMOID ? LEARNER_SIGMOID : LEARNER_RELU;

        l->nencoder = nlayers - 1;
        l->nlayers = 2 * l->nencoder;
        for (unsigned k = 0; k < l->nlayers; k++) {
                struct learner_layer *c = &l->layer[k];
                bool down = k < l->nencoder;
                bool latent = k + 1 == l->nencoder, last = k + 1 == l->nlayers;
                *c = (struct learner_layer) {
                        .in = down ? layer[k] : layer[l->nlayers - k],
                        .out = down ? layer[k + 1] : layer[l->nlayers - k - 1],
                        .activation = last || (latent && inner == LEARNER_RELU) ? LEARNER_LINEAR
                                                                                : inner,
                        .levels = last ? 0 : latent ? LATENT_LEVELS : HIDDEN_LEVELS,
                        .high = 1,
                };
                l->nparameters += (size_t) (c->in + 1) * c->out;
        }
}

/* Hands out pieces of the one allocation. */
static float *
take(float **at, size_t n)
{
        float *piece = *at;

        *at += n;
        return piece;
}

static bool
allocate(struct learner *l)
{
        size_t units = 0;

        for (unsigned k = 0; k < l->nlayers; k++)
                units += l->layer[k].out;
        const size_t total = 6 * l->nparameters + 2 * units * l->batch;
        float *at = l->memory = calloc(total, sizeof *l->memory);
        if (at == NULL)
                return false;
        l->parameter = take(&at, l->nparameters);
        l->gradient = take(&at, l->nparameters);
        l->momentum = take(&at, l->nparameters);
        l->variance = take(&at, l->nparameters);
        l->best = take(&at, l->nparameters);
        float *parameter = l->parameter, *gradient = l->gradient;
        for (unsigned k = 0; k < l->nlayers; k++) {
                struct learner_layer *c = &l->layer[k];
                const size_t weights = (size_t) c->in * c->out;
                c->weight = take(&parameter, weights);
                c->bias = take(&parameter, c->out);
                c->weight_gradient = take(&gradient, weights);
                c->bias_gradient = take(&gradient, c->out);
                c->rounded = take(&at, weights);
                c->output = take(&at, c->out * l->batch);
                c->delta = take(&at, c->out * l->batch);
        }
        return true;
}

/* He et al. 2015 for ReLU, Glorot and Bengio 2010 for the rest. */
static void
draw_weights(struct learner *l, struct random *r)
{
        for (unsigned k = 0; k < l->nlayers; k++) {
                const struct learner_layer *c = &l->layer[k];
                const size_t n = (size_t) c->in * c->out;
                double limit = c->activation == LEARNER_RELU ? sqrt(6.0 / c->in)
                                                             : sqrt(6.0 / (c->in + c->out));
                if (c->activation == LEARNER_SIGMOID)
                        limit *= 4;
                for (size_t i = 0; i < n; i++)
                        c->weight[i] = (float) ((2 * random_unit(r) - 1) * limit);
        }
}

/* The first layer sees the mean block as zero, the last one answers it. */
static void
centre(struct learner *l, const float *mean)
{
        const struct learner_layer *first = &l->layer[0], *last = &l->layer[l->nlayers - 1];

        for (unsigned o = 0; o < first->out; o++)
                first->bias[o] = -cblas_sdot((blasint) first->in, first->weight +
                                             (size_t) o * first->in, 1, mean, 1);
        memcpy(last->bias, mean, last->out * sizeof *mean);
}

enum caefs_err
learner_init(struct learner *l, const unsigned *layer, unsigned nlayers, enum activation hidden,
             size_t batch, const float *mean, struct random *r)
{
        *l = (struct learner) { .batch = batch };
        lay_out(l, layer, nlayers, hidden);
        if (!allocate(l))
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for %zu parameters",
                                  l->nparameters);
        draw_weights(l, r);
        centre(l, mean);
        return CAEFS_OK;
}

void
learner_release(struct learner *l)
{
        free(l->memory);
        *l = (struct learner) { 0 };
}

/* ---- forward ---- */

/* Weights as inference will have them: whole numbers of weight_step. */
static void
round_weights(struct learner_layer *c)
{
        const size_t n = (size_t) c->in * c->out;
        float largest = 0;

        for (size_t i = 0; i < n; i++)
                largest = fmaxf(largest, fabsf(c->weight[i]));
        c->weight_step = largest > 0 ? fmaxf(largest / (float) c->largest, c->least_step) : 1;
        const float inverse = 1 / c->weight_step;
        for (size_t i = 0; i < n; i++)
                c->rounded[i] = rounded_to_integer(c->weight[i] * inverse) * c->weight_step;
}

static void
round_all_weights(struct learner *l)
{
        for (unsigned k = 0; l->quantised && k < l->nlayers; k++)
                round_weights(&l->layer[k]);
}

/* The activation function in place, (n). */
static void
activate(const struct learner_layer *c, float *y, size_t n)
{
        if (c->activation == LEARNER_RELU)
                for (size_t i = 0; i < n; i++)
                        y[i] = y[i] > 0 ? y[i] : 0;
        else if (c->activation == LEARNER_SIGMOID)
                for (size_t i = 0; i < n; i++)
                        y[i] = 1 / (1 + expf(-y[i]));
}

/* Rounds to the levels between low and high, clamped. */
static void
round_activations(const struct learner_layer *c, float *y, size_t n)
{
        const float step = (c->high - c->low) / (float) c->levels, inverse = 1 / step;
        const float low = c->low, high = c->high;

        for (size_t i = 0; i < n; i++) {
                float v = y[i] < low ? low : y[i] > high ? high : y[i];
                y[i] = low + rounded_to_integer((v - low) * inverse) * step;
        }
}

static const float *
weights_of(const struct learner *l, const struct learner_layer *c)
{
        return l->quantised ? c->rounded : c->weight;
}

/* Y (n, O) = f(X (n, I) W^T + b). */
static void
forward_layer(const struct learner *l, const struct learner_layer *c, const float *x, size_t n)
{
        for (size_t r = 0; r < n; r++)
                memcpy(c->output + r * c->out, c->bias, c->out * sizeof(float));
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint) n, (blasint) c->out,
                    (blasint) c->in, 1, x, (blasint) c->in, weights_of(l, c), (blasint) c->in, 1,
                    c->output, (blasint) c->out);
        activate(c, c->output, n * c->out);
        if (l->quantised && c->levels > 0)
                round_activations(c, c->output, n * c->out);
}

static void
forward(const struct learner *l, const float *x, size_t n)
{
        for (unsigned k = 0; k < l->nlayers; k++) {
                forward_layer(l, &l->layer[k], x, n);
                x = l->layer[k].output;
        }
}

/* Sum of squared errors of the last output; DELTA, when not NULL, becomes its
 * gradient for the mean over the batch. */
static double
output_error(const struct learner *l, const float *x, size_t n, float *delta)
{
        const struct learner_layer *last = &l->layer[l->nlayers - 1];
        const size_t count = n * last->out;
        const float scale = 2 / (float) n;
        double sum = 0;

        for (size_t r = 0; r < count; r += last->out) {
                float row = 0;
                for (unsigned o = 0; o < last->out; o++) {
                        float error = last->output[r + o] - x[r + o];
                        row += error * error;
                        if (delta != NULL)
                                delta[r + o] = error * scale;
                }
                sum += (double) row;
        }
        return sum;
}

double
learner_loss(struct learner *l, const float *x, size_t n)
{
        const size_t block = l->layer[0].in;
        double sum = 0;

        round_all_weights(l);
        for (size_t from = 0; from < n; from += l->batch) {
                size_t count = n - from < l->batch ? n - from : l->batch;
                forward(l, x + from * block, count);
                sum += output_error(l, x + from * block, count, NULL);
        }
        return sum / (double) (n * block);
}

/* ---- backward ---- */

/* DELTA (n, O), the gradient by the outputs of C, becomes that by its sums. */
static void
backward_activation(const struct learner *l, const struct learner_layer *c, size_t n)
{
        const float *y = c->output;
        float *delta = c->delta;

        if (c->activation == LEARNER_SIGMOID) {
                for (size_t i = 0; i < n * c->out; i++)
                        delta[i] *= y[i] * (1 - y[i]);
        } else if (c->activation == LEARNER_RELU) {
                const float high = l->quantised ? c->high : INFINITY;
                for (size_t i = 0; i < n * c->out; i++)
                        delta[i] = y[i] > 0 && y[i] < high ? delta[i] : 0;
        }
}

/* Gradients of C's parameters from its delta and input X (n, I); the gradient by
 * X to BELOW (n, I) unless NULL. */
static void
backward_layer(const struct learner *l, const struct learner_layer *c, const float *x, size_t n,
               float *below)
{
        const blasint in = (blasint) c->in, out = (blasint) c->out, rows = (blasint) n;

        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, out, in, rows, 1, c->delta, out, x,
                    in, 0, c->weight_gradient, in);
        memset(c->bias_gradient, 0, c->out * sizeof(float));
        for (size_t r = 0; r < n; r++)
                for (unsigned o = 0; o < c->out; o++)
                        c->bias_gradient[o] += c->delta[r * c->out + o];
        if (below != NULL)
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, in, out, 1, c->delta,
                            out, weights_of(l, c), in, 0, below, in);
}

static void
backward(const struct learner *l, const float *x, size_t n)
{
        for (unsigned k = l->nlayers; k-- > 0;) {
                const struct learner_layer *c = &l->layer[k];
                backward_activation(l, c, n);
                backward_layer(l, c, k > 0 ? l->layer[k - 1].output : x, n,
                               k > 0 ? l->layer[k - 1].delta : NULL);
        }
}

static void
adam(struct learner *l, float rate)
{
        l->step++;
        const float first = 1 - powf(ADAM_FIRST, (float) l->step);
        const float second = 1 - powf(ADAM_SECOND, (float) l->step);
        const float scaled = rate / first, inverse = 1 / second;
        const size_t n = l->nparameters;
        float *restrict p = l->parameter, *restrict m = l->momentum, *restrict v = l->variance;
        const float *restrict g = l->gradient;

        for (size_t i = 0; i < n; i++) {
                m[i] = ADAM_FIRST * m[i] + (1 - ADAM_FIRST) * g[i];
                v[i] = ADAM_SECOND * v[i] + (1 - ADAM_SECOND) * g[i] * g[i];
                p[i] -= scaled * m[i] / (sqrtf(v[i] * inverse) + ADAM_EPSILON);
        }
}

float
learner_step(struct learner *l, const float *x, size_t n, float rate)
{
        const struct learner_layer *last = &l->layer[l->nlayers - 1];

        round_all_weights(l);
        forward(l, x, n);
        double sum = output_error(l, x, n, last->delta);
        backward(l, x, n);
        adam(l, rate);
        return (float) (sum / (double) (n * last->out));
}

void
learner_keep(struct learner *l)
{
        memcpy(l->best, l->parameter, l->nparameters * sizeof *l->best);
}

void
learner_restore(struct learner *l)
{
        memcpy(l->parameter, l->best, l->nparameters * sizeof *l->best);
}
