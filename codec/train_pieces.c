/* codec/train_pieces.c - cutting, bounds of each piece, holding back. */
#include "codec/train_pieces.h"

#include <math.h>
#include <stdlib.h>

#include "codec/chunk.h"
#include "codec/table.h"
#include "codec/value.h"

/* Of several arrays, or pieces of one, one in so many is held back, and at least one. */
#define HELD_SHARE 6

/* Of an array that is a single piece, this part is. */
#define HELD_PART 4

void
train_pieces_release(struct train_pieces *p)
{
        for (size_t i = 0; p->amounts != NULL && i < p->namounts; i++)
                free(p->amounts[i]);
        free(p->amounts);
        free(p->learnt);
        free(p->held);
        *p = (struct train_pieces) { 0 };
}

static uint64_t
region_count(const struct train_input *in)
{
        return in->region.length / dtype_size(in->region.dtype);
}

static size_t
columns_of(const struct train_input *in, enum scope scope)
{
        const struct shape *s = &in->region.shape;

        return scope != SCOPE_ARRAY && s->ndim > 1 ? s->extent[s->ndim - 1] : 1;
}

size_t
train_piece_columns(const struct train_piece *p, enum scope scope)
{
        return columns_of(p->input, scope);
}

uint64_t
train_piece_bytes(const struct train_piece *p)
{
        return p->count * dtype_size(p->input->region.dtype);
}

enum caefs_err
train_piece_read(const struct train_piece *p, void *buffer)
{
        const struct train_input *in = p->input;
        const size_t width = dtype_size(in->region.dtype);

        return in->source->read(in->source->context, buffer, p->count * width,
                                in->region.offset + p->first * width);
}

/* ---- bounds ---- */

struct range {
        double low, high;
};

/* Widens RANGE (columns) by the finite values of N that start a row. */
static void
widen(struct range *range, size_t columns, const double *value, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                struct range *r = &range[i % columns];
                if (!isfinite(value[i]))
                        continue;
                r->low = value[i] < r->low ? value[i] : r->low;
                r->high = value[i] > r->high ? value[i] : r->high;
        }
}

/* The allowed error of one column: PSNR's as the step of a uniform error. */
static double
amount_of(const struct bound *b, const struct range *r)
{
        const double extent = r->high > r->low ? r->high - r->low : 0;

        if (b->mode == BOUND_ABS)
                return b->amount;
        if (b->mode == BOUND_REL)
                return b->amount * extent;
        return extent * pow(10, -b->amount / 20) * sqrt(3.0);
}

/* Reads all of an input, some rows at a time, for the ranges of its columns. */
static enum caefs_err
find_ranges(const struct train_input *in, size_t columns, struct range *range)
{
        const size_t width = dtype_size(in->region.dtype);
        const size_t rows = 1 + TRAIN_PIECE_BYTES / width / columns;
        uint64_t left = region_count(in) / columns * columns, first = 0;
        void *raw = malloc(rows * columns * width);
        double *value = malloc(rows * columns * sizeof *value);
        enum caefs_err err = raw == NULL || value == NULL
                ? caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for a piece") : CAEFS_OK;

        while (err == CAEFS_OK && left > 0) {
                const size_t n = left < rows * columns ? (size_t) left : rows * columns;
                const struct train_piece p = { .input = in, .first = first, .count = n };
                err = train_piece_read(&p, raw);
                if (err != CAEFS_OK)
                        break;
                if (in->region.big_endian)
                        values_swap(raw, n, width, raw);
                values_to_doubles(in->region.dtype, raw, n, 1, value);
                widen(range, columns, value, n);
                first += n;
                left -= n;
        }
        free(raw);
        free(value);
        return err;
}

/* The absolute bounds of one input, one for each column with ranges of their own. */
static enum caefs_err
find_amounts(const struct train_input *in, const struct train_options *o, double **out)
{
        const size_t columns = columns_of(in, o->scope);
        struct range *range = malloc(columns * sizeof *range);
        double *amounts = malloc(columns * sizeof *amounts);
        enum caefs_err err = CAEFS_OK;

        if (range == NULL || amounts == NULL)
                err = caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for %zu columns", columns);
        for (size_t c = 0; err == CAEFS_OK && c < columns; c++)
                range[c] = (struct range) { .low = INFINITY, .high = -INFINITY };
        if (err == CAEFS_OK && o->bound.mode != BOUND_ABS)
                err = find_ranges(in, columns, range);
        for (size_t c = 0; err == CAEFS_OK && c < columns; c++)
                amounts[c] = amount_of(&o->bound, &range[c]);
        free(range);
        if (err != CAEFS_OK) {
                free(amounts);
                amounts = NULL;
        }
        *out = amounts;
        return err;
}

/* ---- pieces ---- */

/* COUNT values of an array look like it, as far as whole rows go. */
static struct shape
piece_shape(const struct shape *s, size_t count)
{
        struct shape shape = { .ndim = 1, .extent = { count } };
        uint64_t row = 1;

        for (unsigned a = s->ndim; a-- > 1;) {
                if (count % (row * s->extent[a]) != 0 || shape.ndim == 4)
                        break;
                row *= s->extent[a];
                memmove(&shape.extent[1], &shape.extent[0], shape.ndim * sizeof shape.extent[0]);
                shape.ndim++;
                shape.extent[1] = s->extent[a];
                shape.extent[0] = count / row;
        }
        return shape;
}

/* Values of the largest row, or plane, or volume, of at most LIMIT values: what pieces
 * are made of. */
static size_t
unit_of(const struct train_input *in, enum scope scope, size_t limit)
{
        const struct shape *s = &in->region.shape;
        uint64_t unit = columns_of(in, scope);

        for (unsigned a = s->ndim; a-- > 1;) {
                const uint64_t next = a == s->ndim - 1 ? s->extent[a] : unit * s->extent[a];
                if (next == 0 || next > limit)
                        break;
                unit = next;
        }
        return (size_t) unit;
}

static struct train_piece
piece_of(const struct train_input *in, const struct train_options *o, const double *amounts,
         uint64_t first, size_t count)
{
        return (struct train_piece) {
                .input = in, .first = first, .count = count,
                .shape = piece_shape(&in->region.shape, count),
                .amounts = amounts, .namounts = columns_of(in, o->scope),
        };
}

/* Pieces are gathered in order; then those that are held back are taken out. */
struct cutting {
        const struct train_options *options;
        struct train_piece         *piece;
        size_t                      npieces, capacity;
};

static enum caefs_err
add_piece(struct cutting *c, struct train_piece p)
{
        if (c->npieces == c->capacity) {
                size_t capacity = c->capacity == 0 ? 64 : 2 * c->capacity;
                struct train_piece *grown = realloc(c->piece, capacity * sizeof *grown);
                if (grown == NULL)
                        return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory");
                c->piece = grown;
                c->capacity = capacity;
        }
        c->piece[c->npieces++] = p;
        return CAEFS_OK;
}

/* ALONE: there is no other input, so that something of this one must be held back. */
static enum caefs_err
cut_input(struct cutting *c, const struct train_input *in, bool alone, const double *amounts)
{
        const uint64_t total = region_count(in);
        const bool   table = c->options->scope == SCOPE_COLUMN && columns_of(in, SCOPE_COLUMN) > 1;
        const size_t limit = (table ? TABLE_CHUNK_BYTES : TRAIN_PIECE_BYTES)
                / dtype_size(in->region.dtype);
        const size_t unit = unit_of(in, c->options->scope, limit / 2);
        size_t length = limit < unit ? unit : limit / unit * unit;
        size_t slack = length / 2, count;       /* as with chunks: codec/object_cut.c */

        if (alone && total < 2 * (uint64_t) length) {
                length = (size_t) (total - total / HELD_PART + unit - 1) / unit * unit;
                slack = 0;
        }
        for (uint64_t first = 0; first < total; first += count) {
                count = total - first <= length + slack ? (size_t) (total - first) : length;
                enum caefs_err err = add_piece(c, piece_of(in, c->options, amounts, first, count));
                if (err != CAEFS_OK)
                        return err;
        }
        return CAEFS_OK;
}

static enum caefs_err
cut_inputs(struct cutting *c, const struct train_input *input, size_t ninputs, bool alone,
           struct train_pieces *out)
{
        const enum bound_mode mode = c->options->bound.mode;
        const bool            absolute = mode != BOUND_LOSSLESS && mode != BOUND_PWREL;
        enum caefs_err        err = CAEFS_OK;

        for (size_t i = 0; i < ninputs && err == CAEFS_OK; i++) {
                double **amounts = &out->amounts[out->namounts++];
                out->total_bytes += input[i].region.length;
                if (absolute)
                        err = find_amounts(&input[i], c->options, amounts);
                if (err == CAEFS_OK)
                        err = cut_input(c, &input[i], alone, *amounts);
        }
        return err;
}

/* ---- which pieces ---- */

/* The unit that is held back as a whole: an input, or a piece of the only one. */
static size_t
group_of(const struct cutting *c, size_t piece, const struct train_input *input, size_t ninputs)
{
        return ninputs == 1 ? piece : (size_t) (c->piece[piece].input - input);
}

/* The proportion's share of a piece: its first rows. */
static void
shorten(struct train_piece *p, const struct train_options *o, double share)
{
        const size_t unit = unit_of(p->input, o->scope, p->count);
        size_t       keep = (size_t) ((double) p->count * share + (double) unit - 1);

        keep = unit < p->count ? keep / unit * unit : (size_t) ((double) p->count * share + 1);
        if (keep >= 1 && keep < p->count) {
                p->count = keep;
                p->shape = piece_shape(&p->input->region.shape, keep);
        }
}

static void
hold(struct train_pieces *out, struct train_piece *p, uint64_t *held)
{
        out->held[out->nheld++] = *p;
        *held += train_piece_bytes(p);
        if (p->count > out->largest)
                out->largest = p->count;
}

/* Groups of the inputs from the last on backwards, one in HELD_SHARE, as far as the limit
 * goes; their pieces are left empty. */
static void
hold_back(const struct cutting *c, const struct train_input *input, size_t ninputs,
          struct train_pieces *out)
{
        uint64_t held = 0;

        if (c->npieces < 2)
                return;
        const size_t last = group_of(c, c->npieces - 1, input, ninputs);
        for (size_t i = c->npieces; i-- > 0 && held < TRAIN_MAX_HELD;) {
                if ((last - group_of(c, i, input, ninputs)) % HELD_SHARE != 0)
                        continue;
                hold(out, &c->piece[i], &held);
                c->piece[i].count = 0;
        }
        out->split = ninputs == 1;
}

/* What lies beside the inputs: evenly, as far as the limit goes. */
static void
hold_beside(const struct cutting *beside, struct train_pieces *out)
{
        uint64_t total = 0, held = 0;

        for (size_t i = 0; i < beside->npieces; i++)
                total += train_piece_bytes(&beside->piece[i]);
        const size_t stride = (size_t) (total / TRAIN_MAX_HELD) + 1;
        for (size_t i = stride / 2; i < beside->npieces; i += stride)
                hold(out, &beside->piece[i], &held);
}

/* The first pieces, up to the wanted proportion. */
static void
learn_from(const struct cutting *c, struct train_pieces *out)
{
        uint64_t rest = 0, learnt = 0;

        for (size_t i = 0; i < c->npieces; i++)
                rest += c->piece[i].count;
        const double wanted = (double) rest * c->options->proportion;
        for (size_t i = 0; i < c->npieces && (double) learnt < wanted; i++) {
                struct train_piece p = c->piece[i];
                if (p.count == 0)
                        continue;
                if ((double) (learnt + p.count) > wanted)
                        shorten(&p, c->options, (wanted - (double) learnt) / (double) p.count);
                learnt += p.count;
                out->learnt[out->nlearnt++] = p;
                if (p.count > out->largest)
                        out->largest = p.count;
        }
}

enum caefs_err
train_pieces_cut(const struct train_input *input, size_t ninputs, const struct train_options *o,
                 struct train_pieces *out)
{
        struct cutting c = { .options = o }, beside = { .options = o };

        *out = (struct train_pieces) { 0 };
        out->amounts = calloc(ninputs + o->nbeside + 1, sizeof *out->amounts);
        enum caefs_err err = out->amounts == NULL
                ? caefs_fail(CAEFS_ERR_NOMEM, "train: no memory")
                : cut_inputs(&c, input, ninputs, ninputs == 1 && o->nbeside == 0, out);
        if (err == CAEFS_OK)
                err = cut_inputs(&beside, o->beside, o->nbeside, false, out);
        if (err == CAEFS_OK) {
                out->learnt = malloc((c.npieces + 1) * sizeof *out->learnt);
                out->held = malloc((c.npieces + beside.npieces + 1) * sizeof *out->held);
                if (out->learnt == NULL || out->held == NULL)
                        err = caefs_fail(CAEFS_ERR_NOMEM, "train: no memory");
        }
        if (err == CAEFS_OK) {
                if (beside.npieces > 0)
                        hold_beside(&beside, out);
                else
                        hold_back(&c, input, ninputs, out);
                learn_from(&c, out);
        }
        free(c.piece);
        free(beside.piece);
        if (err != CAEFS_OK)
                train_pieces_release(out);
        return err;
}

/* ---- the encoder's word ---- */

enum caefs_err
train_piece_encode(const struct train_piece *p, const struct train_options *o,
                   const struct model *m, struct bytes *coded, void *served)
{
        const struct region *r = &p->input->region;
        const struct chunk_geometry geometry = {
                .dtype = r->dtype, .big_endian = r->big_endian, .shape = p->shape,
                .scope = p->shape.ndim > 1 ? o->scope : SCOPE_ARRAY, .model = m,
        };
        const struct chunk_bound bound = {
                .mode = p->amounts != NULL ? BOUND_ABS : o->bound.mode,
                .amount = p->amounts != NULL ? p->amounts : &o->bound.amount,
                .namounts = p->amounts != NULL ? p->namounts : 1,
        };
        const struct chunk_options options = { .effort = EFFORT_BALANCED };
        struct arena arena = { 0 };
        void *raw = malloc(train_piece_bytes(p) + 1);
        enum caefs_err err = raw == NULL ? caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for a "
                                                      "piece") : train_piece_read(p, raw);

        if (err == CAEFS_OK)
                err = chunk_encode(&geometry, &bound, &options, raw, NULL, &arena, coded, served,
                                   NULL);
        free(raw);
        arena_free(&arena);
        return err;
}
