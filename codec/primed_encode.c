/* codec/primed_encode.c - the other side of codec/primed.c.
 *
 * Tables depend on what was coded before, and states are coded from the last residual to the
 * first: so the ranges of all residuals are found in order, and coded backwards. */
#include "codec/primed_state.h"

#include <string.h>

/* A residual on its way: the range of its token, and its lane from bit 28 on. */
#define LANE_SHIFT 28

struct encoder {
        struct primed_state state;
        unsigned            lanes;
        int16_t            *around;     /* of a segment, in rows */
        uint8_t            *token;      /* (count) in order */
        uint8_t            *class;      /* the same */
        uint32_t           *coded;      /* (count) in the order of coding */
        size_t              ncoded;
};

/* Tokens, as they are coded, and classes of one row. */
static void
classify_row(struct encoder *e, const struct primed_layout *l, int16_t *around, size_t length,
             bool has_row, const uint8_t *told, const int32_t *r, size_t at)
{
        primed_begin_row(l, length, around, has_row);
        for (size_t step = 0; step < l->steps; step++)
                for (size_t i = step; i < length; i += l->steps) {
                        bool     mirror;
                        unsigned t = primed_token_of(r[i]);
                        unsigned context = primed_context(around + i, primed_pitch(l), has_row,
                                                          told[i], &mirror);
                        e->class[at + i] = e->state.prior->class_of[context];
                        e->token[at + i] = (uint8_t) (mirror ? primed_mirror(t) : t);
                        around[i] = primed_known(t);
                }
}

static void
classify_segment(struct encoder *e, const struct primed_layout *l, const uint8_t *told,
                 const int32_t *r, size_t start)
{
        int16_t *around = e->around;

        for (size_t at = 0; at < l->count; at += l->width) {
                classify_row(e, l, around, primed_row_length(l, at), at > 0, told + at, r + at,
                             start + at);
                around += primed_pitch(l);
        }
}

/* Ranges of the tokens of one step of a row. */
static void
range_step(struct encoder *e, const struct primed_layout *l, size_t length, size_t start, size_t step)
{
        for (unsigned k = 0; k < l->lanes && k * l->steps + step < length; k++) {
                size_t   at = start + k * l->steps + step;
                unsigned c = e->class[at], t = e->token[at];
                e->coded[e->ncoded++] = e->state.range[c][t] | k << LANE_SHIFT;
                e->state.weight[c][t] += PRIMED_SEEN;
        }
}

/* Ranges of the tokens of a segment, by tables that follow them. */
static void
range_segment(struct encoder *e, const struct primed_layout *l, size_t start)
{
        for (size_t row = 0; row < l->count; row += l->width) {
                const size_t length = primed_row_length(l, row);
                for (size_t from = 0, to; from < l->steps; from = to) {
                        to = primed_steps(&e->state, l, from);
                        for (size_t step = from; step < to; step++)
                                range_step(e, l, length, start + row, step);
                        primed_state_advance(&e->state, primed_count_steps(l, length, from, to));
                }
        }
}

/* ---- bytes ---- */

static void
write_header(struct encoder *e, size_t count, struct bytes *out)
{
        const struct primed   *p = e->state.prior;
        struct binary_encoder  bits = binary_encoder_of(out);
        struct adaptive_number more;
        int                    largest[PRIMED_CLASSES];

        for (unsigned c = 0; c < p->nclasses; c++)
                largest[c] = -1;
        for (size_t i = 0; i < count; i++)
                if (e->token[i] > largest[e->class[i]])
                        largest[e->class[i]] = e->token[i];
        adaptive_number_init(&more);
        for (unsigned c = 0; c < p->nclasses; c++) {
                e->state.largest[c] = largest[c] < 0 ? p->largest[c] : (uint8_t) largest[c];
                int64_t d = (int64_t) e->state.largest[c] - p->largest[c];
                adaptive_number_encode(&bits, &more, (uint32_t) zigzag_encode(d));
        }
        binary_encoder_finish(&bits);
}

/* Raw bits in the order in which they are read. */
struct raw {
        uint8_t *byte;
        size_t   size;
        size_t   last;                  /* bytes from here on are of the last segment */
};

static bool
collect_raw(const struct encoder *e, const int32_t *r, size_t count, size_t last_segment,
            struct arena *arena, struct raw *raw)
{
        uint64_t bits = 0;
        unsigned nbits = 0;

        *raw = (struct raw) { .byte = arena_alloc(arena, 4 * count + 1) };
        for (size_t i = 0; i < count && raw->byte != NULL; i++) {
                unsigned n = primed_raw_bits(e->token[i]);
                uint32_t m = r[i] < 0 ? 0 - (uint32_t) r[i] : (uint32_t) r[i];
                if (i == last_segment)
                        raw->last = raw->size + (nbits > 0);
                bits |= (m & ((UINT64_C(1) << n) - 1)) << nbits;
                for (nbits += n; nbits >= 8; nbits -= 8, bits >>= 8)
                        raw->byte[raw->size++] = (uint8_t) bits;
        }
        if (raw->byte != NULL && nbits > 0)
                raw->byte[raw->size++] = (uint8_t) bits;
        return raw->byte != NULL;
}

/* The states with which encoding begins carry what raw bits they can. */
static void
seed_states(const struct encoder *e, struct raw *raw, uint32_t state[2 * PRIMED_LANES])
{
        size_t n = raw->size > raw->last ? raw->size - raw->last : 0;

        n = n < PRIMED_SEED * e->lanes ? n : PRIMED_SEED * e->lanes;
        raw->size -= n;
        for (unsigned k = 0; k < e->lanes; k++)
                state[k] = PRIMED_LOW;
        for (size_t i = 0; i < n; i++)
                state[i / PRIMED_SEED] += (uint32_t) raw->byte[raw->size + i] << (8 * (i % PRIMED_SEED));
}

/* Codes all ranges, last one first: states, words, and raw bits to be read from the end. */
static bool
write_stream(const struct encoder *e, struct raw *raw, struct arena *arena, struct bytes *out)
{
        const size_t room = 2 * e->ncoded;
        uint8_t     *words = arena_alloc(arena, room + 1), *at = words + room;
        uint32_t     state[2 * PRIMED_LANES];

        if (words == NULL)
                return false;
        seed_states(e, raw, state);
        for (size_t i = e->ncoded; i-- > 0;) {
                uint32_t *x = &state[e->coded[i] >> LANE_SHIFT];
                uint32_t  range = e->coded[i] & ((1u << LANE_SHIFT) - 1);
                uint32_t  frequency = range >> PRIMED_SCALE, start = range & (PRIMED_TOTAL - 1);
                if (*x >= (uint64_t) frequency << (32 - PRIMED_SCALE)) {
                        *--at = (uint8_t) (*x >> 8);
                        *--at = (uint8_t) *x;
                        *x >>= 16;
                }
                *x = (*x / frequency << PRIMED_SCALE) + *x % frequency + start;
        }
        for (unsigned k = 0; k < e->lanes; k++)
                bytes_put_u32(out, state[k]);
        bytes_put(out, at, (size_t) (words + room - at));
        for (size_t i = raw->size; i-- > 0;)
                bytes_put_u8(out, raw->byte[i]);
        return true;
}

static bool
encoder_make(struct encoder *e, const struct primed *p, const struct residual_segment *segment,
             size_t nsegments, size_t count, struct arena *arena)
{
        size_t largest = 0;

        for (size_t i = 0; i < nsegments; i++)
                largest = segment[i].count > largest ? segment[i].count : largest;
        e->state.prior = p;
        e->state.token = NULL;
        e->lanes = primed_lanes(count);
        e->ncoded = 0;
        e->around = primed_around_make(largest, arena);
        e->token = arena_alloc(arena, count + 1);
        e->class = arena_alloc(arena, count + 1);
        e->coded = arena_array(arena, count + 1, sizeof *e->coded);
        return e->around != NULL && e->token != NULL && e->class != NULL && e->coded != NULL;
}

static bool
encode_in_arena(struct encoder *e, const int32_t *r, const struct residual_segment *segment,
                size_t nsegments, size_t count, const struct residual_guide *guide,
                struct arena *arena, struct bytes *out)
{
        for (size_t i = 0, at = 0; i < nsegments; i++) {
                struct primed_layout l = primed_layout_of(&segment[i], e->lanes);
                guide->before(guide->context, r);
                classify_segment(e, &l, guide->class + at, r + at, at);
                at += l.count;
        }
        write_header(e, count, out);
        primed_state_begin(&e->state);
        for (size_t i = 0, at = 0; i < nsegments; i++) {
                struct primed_layout l = primed_layout_of(&segment[i], e->lanes);
                range_segment(e, &l, at);
                at += l.count;
        }
        struct raw   raw;
        const size_t last = count - segment[nsegments - 1].count;
        return collect_raw(e, r, count, last, arena, &raw) && write_stream(e, &raw, arena, out);
}

enum caefs_err
primed_encode(const struct primed *p, const int32_t *r, const struct residual_segment *segment,
              size_t nsegments, const struct residual_guide *guide, struct arena *arena,
              struct bytes *out)
{
        struct arena_mark mark = arena_mark(arena);
        struct encoder   *e = arena_alloc(arena, sizeof *e);
        size_t            count = 0;

        for (size_t i = 0; i < nsegments; i++)
                count += segment[i].count;
        bool good = e != NULL && encoder_make(e, p, segment, nsegments, count, arena)
                && encode_in_arena(e, r, segment, nsegments, count, guide, arena, out)
                && !out->failed;
        arena_release(arena, mark);
        return good ? CAEFS_OK : caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
}
