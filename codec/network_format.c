/* codec/network_format.c - an autoencoder as bytes (doc/format.md, "Models"). */
#include "codec/network.h"

#include <stdlib.h>

#include "codec/residual.h"

/* Bits of the byte that begins a connection. */
#define FLAG_ACTIVATION 0x03
#define FLAG_WIDE       0x04

/* A segment of weights and one of biases for each connection. */
static size_t
parameter_segments(const struct autoencoder *a, struct residual_segment *segment)
{
        size_t n = 0;

        for (unsigned k = 0; k < a->nconnections; k++) {
                const struct connection *c = &a->connection[k];
                segment[2 * k] = (struct residual_segment) {
                        .count = (size_t) c->in * c->out, .row = c->in, .kind = 2 * k,
                };
                segment[2 * k + 1] = (struct residual_segment) {
                        .count = c->out, .row = 0, .kind = 2 * k + 1,
                };
                n += segment[2 * k].count + c->out;
        }
        return n;
}

static enum caefs_err
write_parameters(const struct autoencoder *a, struct bytes *out)
{
        struct residual_segment segment[2 * NETWORK_MAX_CONNECTIONS];
        const size_t n = parameter_segments(a, segment);
        int32_t *parameter = malloc(n * sizeof *parameter);
        struct arena arena = { 0 };
        size_t at = 0;

        if (parameter == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "network: no memory for its parameters");
        for (unsigned k = 0; k < a->nconnections; k++) {
                const struct connection *c = &a->connection[k];
                for (size_t i = 0; i < (size_t) c->in * c->out; i++)
                        parameter[at++] = c->weight[i];
                for (size_t i = 0; i < c->out; i++)
                        parameter[at++] = c->bias[i];
        }
        enum caefs_err err = residual_encode(parameter, segment, 2 * a->nconnections,
                                             EFFORT_BALANCED, &arena, out);
        arena_free(&arena);
        free(parameter);
        return err;
}

enum caefs_err
autoencoder_write(const struct autoencoder *a, struct bytes *out)
{
        bytes_put_u8(out, (uint8_t) a->nconnections);
        bytes_put_u8(out, (uint8_t) a->nencoder);
        bytes_put_varint(out, a->connection[0].in);
        for (unsigned k = 0; k < a->nconnections; k++) {
                const struct connection *c = &a->connection[k];
                bytes_put_u8(out, (uint8_t) (c->activation | (c->wide ? FLAG_WIDE : 0)));
                bytes_put_varint(out, c->out);
                bytes_put_varint(out, (uint64_t) c->input_max);
                if (c->activation == ACTIVATION_NONE)
                        continue;
                bytes_put_varint(out, (uint64_t) c->output_max);
                bytes_put_varint(out, c->multiplier);
                bytes_put_u8(out, (uint8_t) c->shift);
        }
        bytes_put_varint(out, (uint64_t) a->one);
        return write_parameters(a, out);
}

/* The head of one connection; its parameters follow those of all heads. */
static enum caefs_err
parse_connection(struct cursor *in, unsigned units, struct connection *c)
{
        const uint8_t flags = cursor_u8(in);

        *c = (struct connection) {
                .in = units,
                .activation = flags & FLAG_ACTIVATION,
                .wide = (flags & FLAG_WIDE) != 0,
        };
        c->out = (unsigned) cursor_varint_max(in, NETWORK_MAX_UNITS);
        c->input_max = (int32_t) cursor_varint_max(in, NETWORK_MAX_ACTIVATION);
        if (c->activation != ACTIVATION_NONE) {
                c->output_max = (int32_t) cursor_varint_max(in, NETWORK_MAX_ACTIVATION);
                c->multiplier = (uint32_t) cursor_varint_max(in, INT32_MAX);
                c->shift = cursor_u8(in);
        }
        if (in->failed || c->out == 0 || (flags & ~(FLAG_ACTIVATION | FLAG_WIDE)) != 0)
                return caefs_fail(CAEFS_ERR_CORRUPT, "network: a layer is malformed");
        return CAEFS_OK;
}

/* What a connection gives is what the next one takes; the decoder ends where the
 * encoder began, with plain sums, and nothing else is linear.  A block has no more
 * latents than values, so that latents need no more memory than the field. */
static bool
layers_fit(const struct autoencoder *a)
{
        for (unsigned k = 0; k < a->nconnections; k++) {
                const struct connection *c = &a->connection[k];
                bool last = k + 1 == a->nconnections;
                if (last != (c->activation == ACTIVATION_NONE))
                        return false;
                if (!last && c->output_max != c[1].input_max)
                        return false;
        }
        return a->connection[a->nconnections - 1].out == a->connection[0].in &&
               a->connection[a->nencoder].in <= a->connection[0].in;
}

static enum caefs_err
parse_layers(struct cursor *in, struct autoencoder *a)
{
        uint64_t parameters = 0;
        const unsigned nconnections = cursor_u8(in);

        a->nencoder = cursor_u8(in);
        unsigned units = (unsigned) cursor_varint_max(in, NETWORK_MAX_UNITS);
        if (in->failed || nconnections < 2 || nconnections > NETWORK_MAX_CONNECTIONS ||
            a->nencoder < 1 || a->nencoder >= nconnections || units == 0)
                return caefs_fail(CAEFS_ERR_CORRUPT, "network: no such number of layers");
        for (unsigned k = 0; k < nconnections; k++) {
                enum caefs_err err = parse_connection(in, units, &a->connection[k]);
                if (err != CAEFS_OK)
                        return err;
                a->nconnections = k + 1;
                units = a->connection[k].out;
                parameters += (uint64_t) (a->connection[k].in + 1) * units;
        }
        a->one = (int32_t) cursor_varint_max(in, 1 << 30);
        if (in->failed || a->one < 1 << 8 || !layers_fit(a))
                return caefs_fail(CAEFS_ERR_CORRUPT, "network: its layers do not fit together");
        if (parameters > NETWORK_MAX_PARAMETERS)
                return caefs_fail(CAEFS_ERR_LIMIT, "network: %llu parameters, at most %llu",
                                  (unsigned long long) parameters,
                                  (unsigned long long) NETWORK_MAX_PARAMETERS);
        return CAEFS_OK;
}

/* PARAMETER holds the weights, then the biases, of each connection in turn. */
static enum caefs_err
take_parameters(const int32_t *parameter, struct autoencoder *a)
{
        for (unsigned k = 0; k < a->nconnections; k++) {
                struct connection *c = &a->connection[k];
                const size_t n = (size_t) c->in * c->out;
                c->weight = malloc(n * sizeof *c->weight);
                c->bias = malloc(c->out * sizeof *c->bias);
                if (c->weight == NULL || c->bias == NULL)
                        return caefs_fail(CAEFS_ERR_NOMEM, "network: no memory");
                for (size_t i = 0; i < n; i++, parameter++) {
                        if (*parameter != (int16_t) *parameter)
                                return caefs_fail(CAEFS_ERR_CORRUPT,
                                                  "network: a weight is out of range");
                        c->weight[i] = (int16_t) *parameter;
                }
                memcpy(c->bias, parameter, c->out * sizeof *c->bias);
                parameter += c->out;
                if (!connection_prepare(c))
                        return CAEFS_ERR_CORRUPT;
        }
        return CAEFS_OK;
}

static enum caefs_err
parse_parameters(struct cursor *in, struct autoencoder *a)
{
        struct residual_segment segment[2 * NETWORK_MAX_CONNECTIONS];
        const size_t n = parameter_segments(a, segment);
        int32_t *parameter = malloc(n * sizeof *parameter);
        struct arena arena = { 0 };

        if (parameter == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "network: no memory for its parameters");
        enum caefs_err err = residual_decode(in, parameter, segment, 2 * a->nconnections, &arena);
        if (err == CAEFS_OK)
                err = take_parameters(parameter, a);
        arena_free(&arena);
        free(parameter);
        return err;
}

enum caefs_err
autoencoder_parse(struct cursor *in, struct autoencoder *out)
{
        *out = (struct autoencoder) { 0 };
        enum caefs_err err = parse_layers(in, out);
        if (err == CAEFS_OK)
                err = parse_parameters(in, out);
        if (err != CAEFS_OK)
                autoencoder_release(out);
        return err;
}
