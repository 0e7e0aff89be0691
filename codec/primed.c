/* codec/primed.c - tables, and decoding. */
#include "codec/primed_state.h"

#include <string.h>

/* ---- tables ---- */

#define LEAST_INTERVAL 1024             /* residuals between two renewals, and */
#define INTERVAL_SHARE 8                /* one in so many of those so far */
#define CHANGED_SHARE  16               /* a table is made new when so much of it is */

static uint64_t
total_of(const struct primed_state *s, unsigned class)
{
        uint64_t total = 0;

        for (unsigned t = 0; t <= s->largest[class]; t++)
                total += s->weight[class][t];
        return total;
}

/* Frequencies of a class by its weights: none is 0, and the one of the likeliest token takes
 * what rounding leaves. */
static void
make_table(struct primed_state *s, unsigned class)
{
        const uint32_t *weight = s->weight[class];
        const uint64_t  share = ((uint64_t) PRIMED_TOTAL << 32) / s->total[class];
        const unsigned  n = s->largest[class] + 1u;
        uint32_t        frequency[PRIMED_TOKENS];
        uint32_t        left = PRIMED_TOTAL, start = 0;
        unsigned        likeliest = 0;

        for (unsigned t = 0; t < n; t++) {
                frequency[t] = (uint32_t) (weight[t] * share >> 32);
                frequency[t] += frequency[t] == 0;
                left -= frequency[t];
                likeliest = weight[t] > weight[likeliest] ? t : likeliest;
        }
        frequency[likeliest] += left;
        for (unsigned t = 0; t < n; t++) {
                s->range[class][t] = start | frequency[t] << PRIMED_SCALE;
                if (s->token != NULL)
                        memset(s->token[class] + start, (int) t, frequency[t]);
                start += frequency[t];
        }
}

static void
plan_renewal(struct primed_state *s)
{
        size_t interval = s->coded / INTERVAL_SHARE;

        s->next = s->coded + (interval > LEAST_INTERVAL ? interval : LEAST_INTERVAL);
}

void
primed_state_begin(struct primed_state *s)
{
        memcpy(s->weight, s->prior->weight, sizeof s->weight);
        s->coded = 0;
        for (unsigned c = 0; c < s->prior->nclasses; c++) {
                s->total[c] = total_of(s, c);
                make_table(s, c);
        }
        plan_renewal(s);
}

void
primed_state_advance(struct primed_state *s, size_t n)
{
        s->coded += n;
        if (s->coded < s->next)
                return;
        for (unsigned c = 0; c < s->prior->nclasses; c++) {
                uint64_t total = total_of(s, c);
                if (total - s->total[c] >= s->total[c] / CHANGED_SHARE) {
                        s->total[c] = total;
                        make_table(s, c);
                }
        }
        plan_renewal(s);
}

/* ---- decoding ---- */

struct decoder {
        struct primed_state state;
        uint32_t            lane[2 * PRIMED_LANES];
        const uint8_t      *word;       /* words come from here on; */
        const uint8_t      *raw;        /* raw bits are read from behind, down to here */
        uint64_t            bits;       /* of them, the next NBITS */
        unsigned            nbits;
        uint8_t             seed[2 * PRIMED_LANES * PRIMED_SEED];       /* raw bits behind those, */
        unsigned            seeded, nseeds;     /* as soon as they are known */
        bool                failed;
        int16_t            *around;     /* of a segment, in rows */
        uint8_t             real[2][PRIMED_TOKENS];     /* tokens, and mirrored ones, */
        int16_t             known[2][PRIMED_TOKENS];    /* and what is known of these */
        uint8_t            *token;      /* (largest segment) in order */
};

/* A row that is decoded. */
struct row {
        const struct primed_layout *layout;
        size_t         length;
        bool           has_row;         /* there is one before it */
        const uint8_t *told;            /* (length) by the guide */
        int16_t       *around;          /* the same */
        uint8_t       *token;           /* the same */
};

/* The residual at place AT of a lane; false when words are used up. */
static inline __attribute__((always_inline)) bool
decode_one(struct decoder *d, const struct row *row, unsigned lane, size_t at, bool has_row,
           bool checked)
{
        uint32_t x = d->lane[lane], place = x & (PRIMED_TOTAL - 1);
        bool     mirror;
        unsigned context = primed_context(row->around + at, primed_pitch(row->layout), has_row,
                                          row->told[at], &mirror);
        unsigned class = d->state.prior->class_of[context];
        unsigned t = d->state.token[class][place];
        uint32_t range = d->state.range[class][t];

        row->token[at] = d->real[mirror][t];
        row->around[at] = d->known[mirror][t];
        d->state.weight[class][t] += PRIMED_SEEN;
        x = (range >> PRIMED_SCALE) * (x >> PRIMED_SCALE) + place - (range & (PRIMED_TOTAL - 1));
        if (x < PRIMED_LOW) {
                if (checked && d->raw - d->word < 2)
                        return false;
                x = x << 16 | d->word[0] | (uint32_t) d->word[1] << 8;
                d->word += 2;
        }
        d->lane[lane] = x;
        return true;
}

/* Steps FROM to TO, which all LANES have, and for which words suffice. */
static inline __attribute__((always_inline)) void
decode_many(struct decoder *d, const struct row *row, size_t from, size_t to, unsigned lanes,
            bool has_row)
{
        const size_t steps = row->layout->steps;

        for (size_t i = from; i < to; i++)
                for (unsigned k = 0; k < lanes; k++)
                        decode_one(d, row, k, k * steps + i, has_row, false);
}

static void
decode_unchecked(struct decoder *d, const struct row *row, size_t from, size_t to)
{
        const bool few = row->layout->lanes == PRIMED_LANES;

        if (few && row->has_row)
                decode_many(d, row, from, to, PRIMED_LANES, true);
        else if (few)
                decode_many(d, row, from, to, PRIMED_LANES, false);
        else if (row->has_row)
                decode_many(d, row, from, to, 2 * PRIMED_LANES, true);
        else
                decode_many(d, row, from, to, 2 * PRIMED_LANES, false);
}

/* The same for steps that some lanes do not have, or when few words are left. */
static bool
decode_checked(struct decoder *d, const struct row *row, size_t step)
{
        for (unsigned k = 0; k < row->layout->lanes; k++) {
                size_t at = k * row->layout->steps + step;
                if (at < row->length && !decode_one(d, row, k, at, row->has_row, true))
                        return false;
        }
        return true;
}

static bool
decode_steps(struct decoder *d, const struct row *row, size_t from, size_t to)
{
        const size_t lanes = row->layout->lanes, last = (lanes - 1) * row->layout->steps;
        const size_t full = row->length > last ? row->length - last : 0;

        while (from < to) {
                size_t sure = (size_t) (d->raw - d->word) / (2 * lanes);
                size_t end = to < full ? to : full;
                if (sure > 0 && from < end) {
                        end = end - from < sure ? end : from + sure;
                        decode_unchecked(d, row, from, end);
                        from = end;
                } else if (!decode_checked(d, row, from++)) {
                        return false;
                }
        }
        return true;
}

static bool
decode_row(struct decoder *d, const struct row *row)
{
        const struct primed_layout *l = row->layout;

        for (size_t from = 0, to; from < l->steps; from = to) {
                to = primed_steps(&d->state, l, from);
                if (!decode_steps(d, row, from, to))
                        return false;
                primed_state_advance(&d->state, primed_count_steps(l, row->length, from, to));
        }
        return true;
}

/* The next N, at most 32, raw bits. */
static inline uint32_t
read_raw(struct decoder *d, unsigned n)
{
        while (d->nbits < n) {
                uint8_t next = 0;
                if (d->raw != d->word)
                        next = *--d->raw;
                else if (d->seeded < d->nseeds)
                        next = d->seed[d->seeded++];
                else
                        d->failed = true;
                d->bits |= (uint64_t) next << d->nbits;
                d->nbits += 8;
        }
        uint32_t v = (uint32_t) (d->bits & ((UINT64_C(1) << n) - 1));
        d->bits >>= n;
        d->nbits -= n;
        return v;
}

/* The tokens of a segment, with their raw bits, to R. */
static void
join_tokens(struct decoder *d, size_t count, int32_t *r)
{
        for (size_t i = 0; i < count; i++) {
                int32_t size = (d->token[i] + 1) >> 1;
                r[i] = d->token[i] & 1 ? -size : size;
        }
        for (size_t i = 0; i < count; i++)
                if (d->token[i] >= 2 * PRIMED_EXACT - 1)
                        r[i] = primed_residual(d->token[i],
                                               read_raw(d, primed_raw_bits(d->token[i])));
}

static bool
decode_segment(struct decoder *d, const struct primed_layout *l, const uint8_t *told)
{
        struct row row = { .layout = l, .around = d->around };

        for (size_t at = 0; at < l->count; at += l->width) {
                row.has_row = at > 0;
                row.length = primed_row_length(l, at);
                row.told = told + at;
                row.token = d->token + at;
                primed_begin_row(l, row.length, row.around, row.has_row);
                if (!decode_row(d, &row))
                        return false;
                row.around += primed_pitch(l);
        }
        return true;
}

/* What the states are when all tokens are read: the last raw bits. */
static bool
take_seeds(struct decoder *d, unsigned lanes)
{
        for (unsigned k = 0; k < lanes; k++) {
                uint32_t seed = d->lane[k] - PRIMED_LOW;
                if (seed > UINT16_MAX)
                        return false;
                d->seed[d->nseeds++] = (uint8_t) seed;
                d->seed[d->nseeds++] = (uint8_t) (seed >> 8);
        }
        return true;
}

/* Largest tokens, then the states. */
static bool
read_header(struct decoder *d, unsigned lanes, struct cursor *in)
{
        const struct primed   *p = d->state.prior;
        struct binary_decoder  bits = binary_decoder_of(in);
        struct adaptive_number more;

        adaptive_number_init(&more);
        for (unsigned c = 0; c < p->nclasses; c++) {
                int64_t largest = p->largest[c] + zigzag_decode(adaptive_number_decode(&bits, &more));
                if (largest < 0 || largest >= PRIMED_TOKENS)
                        return false;
                d->state.largest[c] = (uint8_t) largest;
        }
        if (!binary_decoder_finish(&bits))
                return false;
        for (unsigned k = 0; k < lanes; k++) {
                d->lane[k] = cursor_u32(in);
                if (d->lane[k] < PRIMED_LOW)
                        return false;
        }
        d->word = in->at;
        d->raw = in->end;
        return !in->failed;
}

/* Every byte was read, and nothing is left of the seeds. */
static bool
is_whole(const struct decoder *d)
{
        bool whole = !d->failed && d->word == d->raw && d->bits == 0;

        for (unsigned i = d->seeded; i < d->nseeds; i++)
                whole &= d->seed[i] == 0;
        return whole;
}

static struct decoder *
decoder_make(const struct primed *p, const struct residual_segment *segment, size_t nsegments,
             struct arena *arena)
{
        struct decoder *d = arena_alloc(arena, sizeof *d);
        size_t largest = 0;

        for (size_t i = 0; i < nsegments; i++)
                largest = segment[i].count > largest ? segment[i].count : largest;
        if (d == NULL)
                return NULL;
        *d = (struct decoder) { .state.prior = p };
        d->state.token = arena_array(arena, p->nclasses, sizeof *d->state.token);
        d->token = arena_alloc(arena, largest + 1);
        for (unsigned t = 0; t < PRIMED_TOKENS; t++) {
                d->real[0][t] = (uint8_t) t;
                d->real[1][t] = (uint8_t) primed_mirror(t);
                d->known[0][t] = primed_known(t);
                d->known[1][t] = primed_known(primed_mirror(t));
        }
        d->around = primed_around_make(largest, arena);
        return d->state.token != NULL && d->token != NULL && d->around != NULL ? d : NULL;
}

enum caefs_err
primed_decode(const struct primed *p, struct cursor *in, const struct residual_segment *segment,
              size_t nsegments, const struct residual_guide *guide, struct arena *arena, int32_t *r)
{
        struct decoder *d = decoder_make(p, segment, nsegments, arena);
        size_t count = 0, at = 0;

        for (size_t i = 0; i < nsegments; i++)
                count += segment[i].count;
        const unsigned lanes = primed_lanes(count);
        if (d == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for residuals");
        bool good = read_header(d, lanes, in);
        if (good)
                primed_state_begin(&d->state);
        for (size_t i = 0; i < nsegments && good; i++) {
                struct primed_layout l = primed_layout_of(&segment[i], lanes);
                guide->before(guide->context, r);
                good = decode_segment(d, &l, guide->class + at)
                        && (i + 1 < nsegments || take_seeds(d, lanes));
                if (good)
                        join_tokens(d, l.count, r + at);
                at += l.count;
        }
        in->at = in->end;
        return good && is_whole(d) ? CAEFS_OK
                : caefs_fail(CAEFS_ERR_CORRUPT, "residuals: their coding is damaged");
}
