/* codec/train_network.c - forward, backward and Adam. */
#include "codec/train_network.h"

#include <math.h>
#include <stdlib.h>

/* Adam's decay of the two moments (codec/train_lanes.c has them too). */
#define ADAM_FIRST  0.9
#define ADAM_SECOND 0.999

/* Levels of hidden activations and of latents. */
#define HIDDEN_LEVELS 1023
#define LATENT_LEVELS 255

/* Blocks that make a slice worth a thread. */
#define SLICE_BLOCKS 48

/* Weights of a piece, about. */
#define PIECE_WEIGHTS 8192

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
                c->offset = l->nparameters;
                l->nparameters += (size_t) (c->in + 1) * matrix_padded(c->out);
        }
}

/* Cuts the layers' parameters into pieces for threads to share. */
static bool
cut_pieces(struct learner *l)
{
        l->piece = malloc((NETWORK_MAX_CONNECTIONS + l->nparameters / PIECE_WEIGHTS) *
                          sizeof *l->piece);
        for (unsigned k = 0; l->piece != NULL && k < l->nlayers; k++) {
                const struct learner_layer *c = &l->layer[k];
                const size_t columns = matrix_padded(c->out);
                const size_t npieces = (c->in * columns + PIECE_WEIGHTS - 1) / PIECE_WEIGHTS;
                const unsigned rows = (unsigned) ((c->in + npieces - 1) / npieces);
                for (unsigned from = 0; from < c->in; from += rows)
                        l->piece[l->npieces++] = (struct learner_piece) {
                                .layer = k, .from = from,
                                .to = c->in - from < rows ? c->in : from + rows,
                        };
        }
        return l->piece != NULL;
}

/* Hands out parts of the one allocation. */
static float *
take(float **at, size_t n)
{
        float *part = *at;

        *at += n;
        return part;
}

static void
place_layers(struct learner *l, float **at)
{
        for (unsigned k = 0; k < l->nlayers; k++) {
                struct learner_layer *c = &l->layer[k];
                c->weight = l->parameter + c->offset;
                c->bias = c->weight + c->in * matrix_padded(c->out);
                c->rounded = take(at, c->in * matrix_padded(c->out));
                c->transposed = take(at, c->out * matrix_padded(c->in));
        }
}

static void
place_slice(const struct learner *l, struct learner_slice *s, size_t rows, float **at)
{
        s->gradient = take(at, l->nparameters);
        for (unsigned k = 0; k < l->nlayers; k++) {
                s->output[k] = take(at, rows * matrix_padded(l->layer[k].out));
                s->delta[k] = take(at, rows * matrix_padded(l->layer[k].out));
        }
}

static bool
allocate(struct learner *l)
{
        const size_t rows = (l->batch + l->nslices - 1) / l->nslices;
        size_t weights = 0, units = 0;

        for (unsigned k = 0; k < l->nlayers; k++) {
                const struct learner_layer *c = &l->layer[k];
                weights += c->in * matrix_padded(c->out) + c->out * matrix_padded(c->in);
                units += matrix_padded(c->out);
        }
        const size_t total = (5 + l->nslices) * l->nparameters + weights +
                             2 * l->nslices * rows * units;
        float *at = l->memory = calloc(total, sizeof *l->memory);
        if (at == NULL || !cut_pieces(l))
                return false;
        l->parameter = take(&at, l->nparameters);
        l->gradient = take(&at, l->nparameters);
        l->momentum = take(&at, l->nparameters);
        l->variance = take(&at, l->nparameters);
        l->best = take(&at, l->nparameters);
        place_layers(l, &at);
        for (unsigned s = 0; s < l->nslices; s++)
                place_slice(l, &l->slice[s], rows, &at);
        return true;
}

/* He et al. 2015 for ReLU, Glorot and Bengio 2010 for the rest. */
static void
draw_weights(struct learner *l, struct random *r)
{
        for (unsigned k = 0; k < l->nlayers; k++) {
                const struct learner_layer *c = &l->layer[k];
                double limit = c->activation == LEARNER_RELU ? sqrt(6.0 / c->in)
                                                             : sqrt(6.0 / (c->in + c->out));
                if (c->activation == LEARNER_SIGMOID)
                        limit *= 4;
                for (size_t o = 0; o < c->out; o++)
                        for (size_t i = 0; i < c->in; i++)
                                c->weight[i * matrix_padded(c->out) + o] =
                                        (float) ((2 * random_unit(r) - 1) * limit);
        }
}

/* The first layer sees the mean block as zero, the last one answers it. */
static void
centre(struct learner *l, const float *mean)
{
        const struct learner_layer *first = &l->layer[0], *last = &l->layer[l->nlayers - 1];

        for (size_t i = 0; i < first->in; i++)
                for (size_t o = 0; o < first->out; o++)
                        first->bias[o] -= first->weight[i * matrix_padded(first->out) + o] *
                                          mean[i];
        memcpy(last->bias, mean, last->out * sizeof *mean);
}

enum caefs_err
learner_init(struct learner *l, const unsigned *layer, unsigned nlayers, enum activation hidden,
             size_t batch, const float *mean, struct random *r, struct team *team)
{
        const size_t nslices = batch / SLICE_BLOCKS;

        *l = (struct learner) {
                .batch = batch,
                .nslices = nslices < 2 ? (batch < 16 ? 1 : 2)
                           : nslices > LEARNER_MAX_SLICES ? LEARNER_MAX_SLICES
                                                          : (unsigned) nslices,
                .multiply = matrix_multiply_here(), .lanes = train_lanes(), .team = team,
        };
        lay_out(l, layer, nlayers, hidden);
        if (!allocate(l)) {
                learner_release(l);
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for these layers");
        }
        draw_weights(l, r);
        centre(l, mean);
        return CAEFS_OK;
}

void
learner_release(struct learner *l)
{
        free(l->memory);
        free(l->piece);
        *l = (struct learner) { 0 };
}

/* ---- weights ---- */

static bool
is_last_piece(const struct learner *l, const struct learner_piece *p)
{
        return p->to == l->layer[p->layer].in;
}

static void
measure_piece(void *context, size_t task)
{
        struct learner *l = context;
        struct learner_piece *p = &l->piece[task];
        const struct learner_layer *c = &l->layer[p->layer];
        const size_t columns = matrix_padded(c->out);

        p->largest = l->lanes->largest(c->weight + p->from * columns,
                                       (p->to - p->from) * columns);
}

/* Weights as inference will have them are whole numbers of weight_step. */
static void
set_weight_steps(struct learner *l)
{
        float largest[NETWORK_MAX_CONNECTIONS] = { 0 };

        for (size_t i = 0; i < l->npieces; i++) {
                const struct learner_piece *p = &l->piece[i];
                largest[p->layer] = fmaxf(largest[p->layer], p->largest);
        }
        for (unsigned k = 0; k < l->nlayers; k++) {
                struct learner_layer *c = &l->layer[k];
                c->weight_step = largest[k] > 0
                                 ? fmaxf(largest[k] / (float) c->largest, c->least_step) : 1;
        }
}

static const float *
weights_of(const struct learner *l, const struct learner_layer *c)
{
        return l->quantised ? c->rounded : c->weight;
}

/* Rounds in the second stage; gradients go back through the transposed weights. */
static void
prepare_piece(void *context, size_t task)
{
        const struct learner *l = context;
        const struct learner_piece *p = &l->piece[task];
        const struct learner_layer *c = &l->layer[p->layer];
        const size_t columns = matrix_padded(c->out), rows = p->to - p->from;
        const size_t first = p->from * columns;

        if (l->quantised)
                l->lanes->round_steps(c->weight + first, c->weight_step, c->rounded + first,
                                      rows * columns);
        if (p->layer > 0)
                l->lanes->transpose(weights_of(l, c) + first, columns, rows, c->out,
                                    c->transposed + p->from, matrix_padded(c->in));
}

static void
prepare_weights(struct learner *l)
{
        if (l->quantised) {
                team_run(l->team, measure_piece, l, l->npieces);
                set_weight_steps(l);
        }
        team_run(l->team, prepare_piece, l, l->npieces);
}

/* ---- forward ---- */

static void
activate(const struct learner *l, const struct learner_layer *c, float *y, size_t n)
{
        if (c->activation == LEARNER_RELU)
                l->lanes->relu(y, n);
        else if (c->activation == LEARNER_SIGMOID)
                l->lanes->sigmoid(y, n);
        if (l->quantised && c->levels > 0) {
                const struct lanes_levels levels = {
                        .low = c->low, .high = c->high,
                        .step = (c->high - c->low) / (float) c->levels,
                };
                l->lanes->round_levels(&levels, y, n);
        }
}

/* Outputs of the slice's ROWS blocks at X, (rows, I) without padding. */
static void
forward(const struct learner *l, struct learner_slice *s, const float *x, size_t rows)
{
        size_t x_row = l->layer[0].in;

        s->rows = rows;
        for (unsigned k = 0; k < l->nlayers; k++) {
                const struct learner_layer *c = &l->layer[k];
                const size_t columns = matrix_padded(c->out);
                for (size_t r = 0; r < rows; r++)
                        memcpy(s->output[k] + r * columns, c->bias, columns * sizeof(float));
                const struct matrix_product p = {
                        .m = rows, .n = columns, .k = c->in,
                        .a = x, .a_row = x_row, .a_column = 1,
                        .b = weights_of(l, c), .b_row = columns,
                        .c = s->output[k], .c_row = columns, .add = true,
                };
                l->multiply(&p);
                activate(l, c, s->output[k], rows * columns);
                x = s->output[k];
                x_row = columns;
        }
}

/* The slice's sum of squared errors; with SCALE its gradient times that to the last
 * delta. */
static void
measure_error(const struct learner *l, struct learner_slice *s, const float *x, float scale)
{
        const unsigned last = l->nlayers - 1;
        const size_t out = l->layer[last].out, columns = matrix_padded(out);

        s->error = 0;
        for (size_t r = 0; r < s->rows; r++)
                s->error += l->lanes->error(s->output[last] + r * columns, x + r * out, out, scale,
                                            scale != 0 ? s->delta[last] + r * columns : NULL);
}

/* ---- backward ---- */

static void
backward_activation(const struct learner *l, const struct learner_slice *s, unsigned k)
{
        const struct learner_layer *c = &l->layer[k];
        const size_t n = s->rows * matrix_padded(c->out);

        if (c->activation == LEARNER_SIGMOID)
                l->lanes->sigmoid_gradient(s->output[k], s->delta[k], n);
        else if (c->activation == LEARNER_RELU)
                l->lanes->relu_gradient(s->output[k], l->quantised ? c->high : INFINITY,
                                        s->delta[k], n);
}

/* Gradients of layer K's parameters from its delta and its input X, rows X_ROW apart. */
static void
parameter_gradients(const struct learner *l, const struct learner_slice *s, unsigned k,
                    const float *x, size_t x_row)
{
        const struct learner_layer *c = &l->layer[k];
        const size_t columns = matrix_padded(c->out);
        float *weight = s->gradient + c->offset, *bias = weight + c->in * columns;
        const struct matrix_product p = {
                .m = c->in, .n = columns, .k = s->rows,
                .a = x, .a_row = 1, .a_column = x_row,
                .b = s->delta[k], .b_row = columns,
                .c = weight, .c_row = columns,
        };

        l->multiply(&p);
        memset(bias, 0, columns * sizeof *bias);
        for (size_t r = 0; r < s->rows; r++)
                l->lanes->add(s->delta[k] + r * columns, bias, columns);
}

/* Adds PENALTY times the sum of the latents' magnitudes to the loss. */
static void
penalise_latents(const struct learner *l, const struct learner_slice *s, float penalty)
{
        const unsigned k = l->nencoder - 1;
        const size_t columns = matrix_padded(l->layer[k].out);

        for (size_t r = 0; r < s->rows; r++)
                for (size_t i = r * columns; i < r * columns + l->layer[k].out; i++) {
                        const float z = s->output[k][i];
                        s->delta[k][i] += z > 0 ? penalty : z < 0 ? -penalty : 0;
                }
}

/* The gradient by what comes into layer K, to the delta of the one below. */
static void
input_gradient(const struct learner *l, const struct learner_slice *s, unsigned k,
               float penalty)
{
        const struct learner_layer *c = &l->layer[k];
        const size_t below = matrix_padded(c->in);
        const struct matrix_product p = {
                .m = s->rows, .n = below, .k = c->out,
                .a = s->delta[k], .a_row = matrix_padded(c->out), .a_column = 1,
                .b = c->transposed, .b_row = below,
                .c = s->delta[k - 1], .c_row = below,
        };

        l->multiply(&p);
        if (k == l->nencoder && penalty > 0)
                penalise_latents(l, s, penalty);
        backward_activation(l, s, k - 1);
}

static void
backward(const struct learner *l, const struct learner_slice *s, const float *x, float penalty)
{
        for (unsigned k = l->nlayers; k-- > 0;) {
                if (k > 0)
                        input_gradient(l, s, k, penalty);
                parameter_gradients(l, s, k, k > 0 ? s->output[k - 1] : x,
                                    k > 0 ? matrix_padded(l->layer[k].in) : l->layer[0].in);
        }
}

/* ---- steps ---- */

/* What the threads share: N blocks at X. */
struct share {
        struct learner   *learner;
        const float      *x;
        size_t            n;
        struct lanes_adam adam;
};

/* Rows of slice TASK: the first of them, and how many. */
static size_t
slice_rows(const struct share *h, size_t task, size_t *first)
{
        const size_t nslices = h->learner->nslices;
        const size_t rows = (h->n + nslices - 1) / nslices;

        *first = task * rows < h->n ? task * rows : h->n;
        return h->n - *first < rows ? h->n - *first : rows;
}

static void
forward_slice(void *context, size_t task)
{
        const struct share *h = context;
        struct learner *l = h->learner;
        struct learner_slice *s = &l->slice[task];
        size_t first, rows = slice_rows(h, task, &first);
        const float *x = h->x + first * l->layer[0].in;

        s->rows = rows;
        s->error = 0;
        if (rows == 0)
                return;
        forward(l, s, x, rows);
        measure_error(l, s, x, 0);
}

static void
learn_slice(void *context, size_t task)
{
        const struct share *h = context;
        struct learner *l = h->learner;
        struct learner_slice *s = &l->slice[task];
        size_t first, rows = slice_rows(h, task, &first);
        const float *x = h->x + first * l->layer[0].in;

        s->rows = rows;
        s->error = 0;
        if (rows == 0) {
                memset(s->gradient, 0, l->nparameters * sizeof *s->gradient);
                return;
        }
        forward(l, s, x, rows);
        measure_error(l, s, x, 2 / (float) h->n);
        backward(l, s, x, l->sparsity / (float) h->n);
}

static void
update_piece(void *context, size_t task)
{
        const struct share *h = context;
        struct learner *l = h->learner;
        const struct learner_piece *p = &l->piece[task];
        const struct learner_layer *c = &l->layer[p->layer];
        const size_t columns = matrix_padded(c->out);
        const size_t from = c->offset + p->from * columns;
        const size_t n = (p->to - p->from + is_last_piece(l, p)) * columns;

        memcpy(l->gradient + from, l->slice[0].gradient + from, n * sizeof *l->gradient);
        for (unsigned s = 1; s < l->nslices; s++)
                l->lanes->add(l->slice[s].gradient + from, l->gradient + from, n);
        l->lanes->adam(&h->adam, l->gradient + from, l->momentum + from, l->variance + from,
                       l->parameter + from, n);
}

static double
sum_of_errors(const struct learner *l)
{
        double sum = 0;

        for (unsigned s = 0; s < l->nslices; s++)
                sum += l->slice[s].error;
        return sum;
}

double
learner_loss(struct learner *l, const float *x, size_t n)
{
        const size_t block = l->layer[0].in;
        double sum = 0;

        prepare_weights(l);
        for (size_t from = 0; from < n; from += l->batch) {
                struct share h = {
                        .learner = l, .x = x + from * block,
                        .n = n - from < l->batch ? n - from : l->batch,
                };
                team_run(l->team, forward_slice, &h, l->nslices);
                sum += sum_of_errors(l);
        }
        return sum / (double) (n * block);
}

float
learner_step(struct learner *l, const float *x, size_t n, float rate)
{
        const double step = (double) ++l->step;
        struct share h = {
                .learner = l, .x = x, .n = n,
                .adam = {
                        .rate = (float) (rate / (1 - pow(ADAM_FIRST, step))),
                        .correction = (float) (1 / (1 - pow(ADAM_SECOND, step))),
                },
        };

        prepare_weights(l);
        team_run(l->team, learn_slice, &h, l->nslices);
        team_run(l->team, update_piece, &h, l->npieces);
        return (float) (sum_of_errors(l) / (double) (n * l->layer[0].in));
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
