/* codec/train_integer.c - between the learner and the integer network.
 *
 * An integer activation a of a layer stands for low + step * a, an integer weight w
 * for weight_step * w.  So the sum of a connection whose inputs have low = 0 is
 * weight_step * step * acc; where low is not 0 its part goes into the bias.
 */
#include "codec/train_network.h"

#include <math.h>
#include <stdlib.h>

/* Levels of the network's input. */
#define INPUT_LEVELS 1023

/* The encoder only has to find latents, which a search improves (codec/cae_search.h), so
 * its integer weights are small: they take half the bytes of others. */
#define ENCODER_WEIGHT 15

/* Bits of the multipliers of requantisation. */
#define MULTIPLIER_BITS 24

/* A range of latents that is never empty. */
#define LEAST_EXTENT 1e-6f

/* ---- ranges ---- */

/* By what layer K of every slice has just said. */
static void
widen(struct learner *l, unsigned k)
{
        struct learner_layer *c = &l->layer[k];
        const size_t columns = matrix_padded(c->out);

        for (unsigned s = 0; s < l->nslices; s++)
                for (size_t r = 0; r < l->slice[s].rows; r++)
                        for (size_t o = 0; o < c->out; o++) {
                                const float v = l->slice[s].output[k][r * columns + o];
                                c->low = fminf(c->low, v);
                                c->high = fmaxf(c->high, v);
                        }
}

/* Keeps the last layer's sums so coarse that ONE stays within its limit, also where
 * the layer below hardly says anything. */
static void
limit_last_step(struct learner *l)
{
        const struct learner_layer *below = &l->layer[l->nlayers - 2];
        struct learner_layer *last = &l->layer[l->nlayers - 1];

        last->least_step = (float) (0x1p-29 * below->levels / ((double) below->high - below->low));
}

static void
set_weights(struct learner *l, int32_t largest)
{
        for (unsigned k = 0; k < l->nlayers; k++) {
                struct learner_layer *c = &l->layer[k];
                const int32_t most = k + 1 == l->nlayers ? NETWORK_WIDE_WEIGHT
                                     : k >= l->nencoder  ? NETWORK_NARROW_WEIGHT : ENCODER_WEIGHT;
                c->largest = largest < most ? largest : most;
                c->wide = c->largest > NETWORK_NARROW_WEIGHT;
        }
}

/* The layer's range before the first block: empty where it is to be measured. */
static void
reset_range(struct learner_layer *c)
{
        const bool measured = c->activation != LEARNER_SIGMOID;

        c->low = c->activation == LEARNER_LINEAR ? INFINITY : 0;
        c->high = measured ? -INFINITY : 1;
}

void
learner_quantise(struct learner *l, const float *x, size_t n, int32_t largest)
{
        const size_t block = l->layer[0].in;

        l->quantised = false;
        for (unsigned k = 0; k < l->nlayers; k++)
                reset_range(&l->layer[k]);
        for (size_t from = 0; from < n; from += l->batch) {
                size_t count = n - from < l->batch ? n - from : l->batch;
                learner_loss(l, x + from * block, count);
                for (unsigned k = 0; k < l->nlayers; k++)
                        if (l->layer[k].activation != LEARNER_SIGMOID)
                                widen(l, k);
        }
        for (unsigned k = 0; k < l->nlayers; k++) {
                struct learner_layer *c = &l->layer[k];
                if (!(c->high - c->low > LEAST_EXTENT))
                        c->high = c->low + LEAST_EXTENT;
        }
        set_weights(l, largest);
        limit_last_step(l);
        l->quantised = true;
}

/* ---- export ---- */

/* SCALE as multiplier / 2^shift. */
static void
set_scale(struct connection *c, double scale)
{
        int exponent;

        frexp(scale, &exponent);
        int shift = MULTIPLIER_BITS - exponent;
        shift = shift < 1 ? 1 : shift > 62 ? 62 : shift;
        c->shift = (unsigned) shift;
        c->multiplier = (uint32_t) llround(fmin(ldexp(scale, shift), 2147483647.0));
}

/* What acc must be multiplied with to give the levels that go out. */
static double
output_scale(const struct learner_layer *k, double sum_step)
{
        if (k->activation == LEARNER_SIGMOID)
                return sum_step * 64;
        return sum_step * k->levels / ((double) k->high - (double) k->low);
}

static enum caefs_err
allocate_connection(struct connection *c)
{
        c->weight = malloc((size_t) c->in * c->out * sizeof *c->weight);
        c->bias = malloc(c->out * sizeof *c->bias);
        if (c->weight == NULL || c->bias == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory to install the network");
        return CAEFS_OK;
}

/* Weights to integers, and the bias with what the inputs' LOW adds and, for
 * latents, the outputs' low takes away. */
static void
export_parameters(const struct learner_layer *k, double input_low, double sum_step,
                  struct connection *c)
{
        const double output_low = k->levels > 0 && k->activation == LEARNER_LINEAR ? k->low : 0;

        for (unsigned o = 0; o < k->out; o++) {
                int64_t sum = 0;
                for (unsigned i = 0; i < k->in; i++) {
                        const float rounded = k->rounded[i * matrix_padded(k->out) + o];
                        const int16_t weight = (int16_t) lrintf(rounded / k->weight_step);
                        c->weight[(size_t) o * k->in + i] = weight;
                        sum += weight;
                }
                double bias = k->bias[o] + input_low * k->weight_step * (double) sum - output_low;
                bias = fmax(fmin(bias / sum_step, 1 << 30), -(1 << 30));
                c->bias[o] = (int32_t) llround(bias);
        }
}

static enum caefs_err
export_connection(const struct learner_layer *k, const struct learner_layer *below,
                  struct connection *c, double *sum_step)
{
        const int32_t input_max = below == NULL ? INPUT_LEVELS : below->levels;
        const double low = below == NULL ? 0 : below->low;
        const double extent = below == NULL ? 1 : (double) below->high - low;

        *sum_step = k->weight_step * extent / input_max;
        *c = (struct connection) {
                .in = k->in, .out = k->out, .wide = k->wide, .input_max = input_max,
                .output_max = k->levels,
                .activation = k->levels == 0                      ? ACTIVATION_NONE
                              : k->activation == LEARNER_SIGMOID ? ACTIVATION_SIGMOID
                                                                  : ACTIVATION_RELU,
        };
        enum caefs_err err = allocate_connection(c);
        if (err != CAEFS_OK)
                return err;
        export_parameters(k, low, *sum_step, c);
        if (k->levels > 0)
                set_scale(c, output_scale(k, *sum_step));
        return CAEFS_OK;
}

enum caefs_err
learner_export(const struct learner *l, struct autoencoder *out)
{
        double sum_step = 1;
        enum caefs_err err = CAEFS_OK;

        *out = (struct autoencoder) { .nencoder = l->nencoder };
        for (unsigned k = 0; k < l->nlayers && err == CAEFS_OK; k++) {
                err = export_connection(&l->layer[k], k > 0 ? &l->layer[k - 1] : NULL,
                                        &out->connection[k], &sum_step);
                out->nconnections = k + 1;
        }
        const double one = 1 / sum_step;
        if (err == CAEFS_OK && !(one >= 256 && one <= 1 << 30))
                err = caefs_fail(CAEFS_ERR_LIMIT, "train: the last layer's scale, %g, is out of "
                                 "range", one);
        if (err != CAEFS_OK)
                autoencoder_release(out);
        else
                out->one = (int32_t) llround(one);
        return err;
}

/* ---- adoption ---- */

static bool
same_layers(const struct learner *l, const struct autoencoder *a)
{
        if (l->nlayers != a->nconnections || l->nencoder != a->nencoder)
                return false;
        for (unsigned k = 0; k < l->nlayers; k++) {
                const struct connection *c = &a->connection[k];
                bool sigmoid = l->layer[k].activation == LEARNER_SIGMOID;
                if (c->in != l->layer[k].in || c->out != l->layer[k].out ||
                    sigmoid != (c->activation == ACTIVATION_SIGMOID))
                        return false;
        }
        return true;
}

/* Every layer's activations are taken to run from 0 to 1: then the scales of the
 * integer network say what its weights stand for. */
static double
adopted_step(const struct autoencoder *a, const struct connection *c)
{
        if (c->activation == ACTIVATION_NONE)
                return 1.0 / a->one;
        const double scale = ldexp(c->multiplier, -(int) c->shift);
        return c->activation == ACTIVATION_SIGMOID ? scale / 64 : scale / c->output_max;
}

static void
adopt_connection(const struct connection *c, double sum_step, struct learner_layer *k)
{
        const size_t columns = matrix_padded(c->out);
        const double weight_step = sum_step * c->input_max;

        for (size_t o = 0; o < c->out; o++) {
                for (size_t i = 0; i < c->in; i++)
                        k->weight[i * columns + o] = (float) (c->weight[o * c->in + i] *
                                                              weight_step);
                k->bias[o] = (float) (c->bias[o] * sum_step);
        }
}

bool
learner_adopt(struct learner *l, const struct autoencoder *a)
{
        if (!same_layers(l, a))
                return false;
        for (unsigned k = 0; k < l->nlayers; k++) {
                const struct connection *c = &a->connection[k];
                adopt_connection(c, adopted_step(a, c), &l->layer[k]);
        }
        return true;
}
