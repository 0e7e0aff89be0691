/* codec/network.c - integer inference on products of float32 matrices. */
#include "codec/network.h"

#include <stdlib.h>

#include "codec/matrix.h"
#include "codec/network_lanes.h"

/* Rows run at once: the widest layer of a batch stays in the second-level cache. */
#define BATCH_ROWS 64

/* Below this every integer is a float32, and so is every sum that stays below. */
#define EXACT_LIMIT ((int64_t) 1 << 24)

#define SIGMOID_ENTRIES 1024
#define SIGMOID_CENTRE  512

/* The logistic function from integers alone: exp(-n / 64) by repeated
 * multiplication with 2^32 exp(-1/64), entries for x = (i - 512) / 64. */
static int32_t *
sigmoid_table(int32_t output_max)
{
        int32_t *table = malloc(SIGMOID_ENTRIES * sizeof *table);
        uint64_t exponential = (uint64_t) 1 << 32;

        if (table == NULL)
                return NULL;
        for (int n = 0; n <= SIGMOID_CENTRE; n++) {
                uint64_t below = ((uint64_t) 1 << 32) + exponential;
                int32_t upper = (int32_t) ((((uint64_t) output_max << 32) + below / 2) / below);
                if (n < SIGMOID_CENTRE)
                        table[SIGMOID_CENTRE + n] = upper;
                table[SIGMOID_CENTRE - n] = output_max - upper;
                exponential = exponential * UINT64_C(4228380000) >> 32;
        }
        return table;
}

static bool
refuse(const char *what)
{
        caefs_fail(CAEFS_ERR_CORRUPT, "network: %s", what);
        return false;
}

static bool
connection_within_limits(const struct connection *c)
{
        if (c->in == 0 || c->in > NETWORK_MAX_UNITS || c->out == 0 || c->out > NETWORK_MAX_UNITS)
                return refuse("a layer has no units, or too many");
        if (c->input_max < 1 || c->input_max > NETWORK_MAX_ACTIVATION)
                return refuse("activations out of range");
        if (c->activation == ACTIVATION_NONE)
                return c->output_max == 0 || refuse("a linear layer with a limit");
        if (c->activation != ACTIVATION_RELU && c->activation != ACTIVATION_SIGMOID)
                return refuse("unknown activation function");
        if (c->output_max < 1 || c->output_max > NETWORK_MAX_ACTIVATION)
                return refuse("activations out of range");
        if (c->multiplier >= (uint32_t) 1 << 31 || c->shift < 1 || c->shift > 62)
                return refuse("a scale is out of range");
        return true;
}

/* The largest |acc| must fit int32_t, whatever comes in; wide weights are summed as
 * two factors, whose magnitudes exceed the weight's by less than 128. */
static bool
sums_within_limits(const struct connection *c)
{
        const int32_t largest = c->wide ? NETWORK_WIDE_WEIGHT : NETWORK_NARROW_WEIGHT;

        for (unsigned o = 0; o < c->out; o++) {
                int64_t sum = 0;
                for (unsigned i = 0; i < c->in; i++) {
                        int32_t w = abs(c->weight[(size_t) o * c->in + i]);
                        if (w > largest)
                                return refuse("a weight is out of range");
                        sum += w + (c->wide ? 128 : 0);
                }
                sum = sum * c->input_max + llabs((int64_t) c->bias[o]);
                if (sum > INT32_MAX)
                        return refuse("a sum may overflow");
        }
        return true;
}

/* Wide weights become high * 128 + low with low in -64..63. */
static void
split_weights(struct connection *c)
{
        const size_t columns = matrix_padded(c->out);

        for (size_t o = 0; o < c->out; o++)
                for (size_t i = 0; i < c->in; i++) {
                        const int32_t weight = c->weight[o * c->in + i];
                        const int32_t high = c->wide ? (weight + 64) >> 7 : 0;
                        if (c->wide)
                                c->high[i * columns + o] = (float) high;
                        c->low[i * columns + o] = (float) (weight - high * 128);
                }
}

bool
connection_prepare(struct connection *c)
{
        if (!connection_within_limits(c) || !sums_within_limits(c))
                return false;
        const size_t n = c->in * matrix_padded(c->out);
        c->low = calloc(n, sizeof *c->low);
        c->high = c->wide ? calloc(n, sizeof *c->high) : NULL;
        c->table = c->activation == ACTIVATION_SIGMOID ? sigmoid_table(c->output_max) : NULL;
        if (c->low == NULL || (c->wide && c->high == NULL) ||
            (c->activation == ACTIVATION_SIGMOID && c->table == NULL)) {
                caefs_fail(CAEFS_ERR_NOMEM, "network: no memory for %zu weights", n);
                return false;
        }
        split_weights(c);
        return true;
}

void
autoencoder_release(struct autoencoder *a)
{
        for (unsigned k = 0; k < a->nconnections; k++) {
                struct connection *c = &a->connection[k];
                free(c->weight);
                free(c->bias);
                free(c->high);
                free(c->low);
                free(c->table);
        }
        *a = (struct autoencoder) { 0 };
}

unsigned
autoencoder_block(const struct autoencoder *a)
{
        return a->connection[0].in;
}

unsigned
autoencoder_latents(const struct autoencoder *a)
{
        return a->connection[a->nencoder].in;
}

int32_t
autoencoder_latent_max(const struct autoencoder *a)
{
        return a->connection[a->nencoder].input_max;
}

/* Buffers of one batch: (BATCH_ROWS, widest layer, padded) each. */
struct scratch {
        matrix_multiply *multiply;
        const struct network_lanes *lanes;
        float           *activation;
        float           *product;
        int32_t         *sum;
};

/* Sums (rows, out) += scale * A (rows, in) WEIGHT (in, out), by exact products over
 * slices of the fan-in.  Rows of A lie A_ROW apart, those of the sums are padded. */
static void
accumulate(const struct connection *c, const float *weight, int32_t scale, const float *a,
           size_t a_row, size_t rows, const struct scratch *s)
{
        const size_t columns = matrix_padded(c->out), n = rows * columns;
        const unsigned slice = (unsigned) ((EXACT_LIMIT - 1) /
                                           ((int64_t) NETWORK_NARROW_WEIGHT * c->input_max));

        for (unsigned from = 0; from < c->in; from += slice) {
                const struct matrix_product p = {
                        .m = rows, .n = columns,
                        .k = c->in - from < slice ? c->in - from : slice,
                        .a = a + from, .a_row = a_row, .a_column = 1,
                        .b = weight + from * columns, .b_row = columns,
                        .c = s->product, .c_row = columns,
                };
                s->multiply(&p);
                s->lanes->accumulate(s->product, scale, s->sum, n);
        }
}

static int32_t
clamp(int64_t v, int32_t low, int32_t high)
{
        return v < low ? low : v > high ? high : (int32_t) v;
}

static void
activate(const struct connection *c, int32_t *sum, size_t n)
{
        const int64_t multiplier = c->multiplier;
        const int64_t half = (int64_t) 1 << (c->shift - 1);

        for (size_t i = 0; i < n; i++) {
                int64_t v = (sum[i] * multiplier + half) >> c->shift;
                if (c->activation == ACTIVATION_RELU)
                        sum[i] = clamp(v, 0, c->output_max);
                else
                        sum[i] = c->table[SIGMOID_CENTRE + clamp(v, -SIGMOID_CENTRE,
                                                                 SIGMOID_CENTRE - 1)];
        }
}

/* One connection on ROWS rows of A; the result is S's sum. */
static void
connection_run(const struct connection *c, const float *a, size_t a_row, size_t rows,
               const struct scratch *s)
{
        const size_t columns = matrix_padded(c->out);

        memset(s->sum, 0, rows * columns * sizeof *s->sum);
        for (size_t r = 0; r < rows; r++)
                memcpy(s->sum + r * columns, c->bias, c->out * sizeof *c->bias);
        if (c->wide)
                accumulate(c, c->high, 128, a, a_row, rows, s);
        accumulate(c, c->low, 1, a, a_row, rows, s);
        if (c->activation != ACTIVATION_NONE)
                activate(c, s->sum, rows * columns);
}

/* The last connection's sums are left in S's sum. */
static void
run_batch(const struct connection *connection, unsigned nconnections, const float *input,
          size_t rows, const struct scratch *s)
{
        const float *a = input;
        size_t a_row = connection[0].in;

        for (unsigned k = 0; k < nconnections; k++) {
                connection_run(&connection[k], a, a_row, rows, s);
                if (k + 1 == nconnections)
                        break;
                a = s->activation;
                a_row = matrix_padded(connection[k].out);
                for (size_t i = 0; i < rows * a_row; i++)
                        s->activation[i] = (float) s->sum[i];
        }
}

enum caefs_err
network_run(const struct connection *connection, unsigned nconnections, const float *input,
            size_t n, struct arena *arena, int32_t *output)
{
        const unsigned in = connection[0].in;
        const unsigned out = connection[nconnections - 1].out;
        const struct arena_mark mark = arena_mark(arena);
        size_t widest = 0;

        for (unsigned k = 0; k < nconnections; k++)
                if (connection[k].out > widest)
                        widest = connection[k].out;
        widest = matrix_padded(widest);
        struct scratch s = {
                .multiply = matrix_multiply_here(),
                .lanes = network_lanes(),
                .activation = arena_array(arena, BATCH_ROWS * widest, sizeof(float)),
                .product = arena_array(arena, BATCH_ROWS * widest, sizeof(float)),
                .sum = arena_array(arena, BATCH_ROWS * widest, sizeof(int32_t)),
        };
        if (s.activation == NULL || s.product == NULL || s.sum == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "network: no memory to run it");
        for (size_t row = 0; row < n; row += BATCH_ROWS) {
                size_t rows = n - row < BATCH_ROWS ? n - row : BATCH_ROWS;
                run_batch(connection, nconnections, input + row * in, rows, &s);
                for (size_t r = 0; r < rows; r++)
                        memcpy(output + (row + r) * out, s.sum + r * matrix_padded(out),
                               out * sizeof *output);
        }
        arena_release(arena, mark);
        return CAEFS_OK;
}
