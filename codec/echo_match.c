/* codec/echo_match.c - finding what comes again.
 *
 * Windows of WINDOW values are entered in a hash table by the coarse bins of their
 * values, so that a source that is a little off falls into the same slot mostly.
 * Every position is looked up twice: its window as it is, and mirrored.  The longest
 * copy found is taken (greedy), after it has been grown backwards over literals.  Where
 * mirrored copies come row by row, a second pass looks for whole blocks.
 */
#include "codec/echo.h"

#include <math.h>
#include <string.h>

#define WINDOW     6
#define CHAIN      16           /* sources looked at for each position and direction */
#define GOOD       256          /* a copy so long needs no better one */
#define NO_ENTRY   UINT32_MAX

/* What a copy takes, about, and how much less one from where it is expected. */
#define COPY_BITS     28
#define EXPECTED_BITS 16
#define ROW_LIMIT  256          /* longest row of a block that is looked for */

/* A quick look: so many positions are looked up, and so many must begin a copy. */
#define PROBES     512
#define LEAST_HITS (PROBES / 24)

struct matcher {
        const int64_t *value;
        size_t         known, count;    /* COUNT values from KNOWN on */
        int64_t        step;
        size_t         row;             /* as in struct echo_copies */
        size_t         least;           /* length of a copy from anywhere that pays, */
        size_t         expected;        /* less so much where the last one goes on */
        unsigned       shift;           /* of a bin */
        unsigned       table_bits;
        uint32_t      *first;           /* (1 << table_bits) latest position, or NO_ENTRY */
        uint32_t      *before;          /* (known + count) the one before in the same slot */
};

/* The bins of the values of a window, in the order that they are looked for. */
struct window {
        int64_t bin[WINDOW];
};

/* Of the window that begins at AT; MIRRORED: from its end. */
static inline struct window
window_at(const struct matcher *m, size_t at, bool mirrored)
{
        struct window w;

        for (unsigned k = 0; k < WINDOW; k++)
                w.bin[k] = m->value[at + (mirrored ? WINDOW - 1 - k : k)] >> m->shift;
        return w;
}

static inline uint32_t
slot_of(const struct matcher *m, const struct window *w)
{
        uint64_t h = 0;

        for (unsigned k = 0; k < WINDOW; k++) {
                h = (h ^ (uint64_t) w->bin[k]) * UINT64_C(0x9E3779B97F4A7C15);
                h ^= h >> 29;
        }
        return (uint32_t) (h * UINT64_C(0xD6E8FEB86659FD93) >> (64 - m->table_bits));
}

/* The same value all along and before: such windows are everywhere and say nothing.
 * Only the first of each stretch is entered. */
static inline bool
is_flat(const struct matcher *m, size_t at)
{
        for (unsigned k = 1; k < WINDOW; k++)
                if (m->value[at + k] != m->value[at])
                        return false;
        return at > 0 && m->value[at - 1] == m->value[at];
}

static inline void
enter(struct matcher *m, size_t at)
{
        const struct window w = window_at(m, at, false);

        if (is_flat(m, at))
                return;
        const uint32_t slot = slot_of(m, &w);
        m->before[at] = m->first[slot];
        m->first[slot] = (uint32_t) at;
}

/* Whether the value at AT may be a copy of the one at FROM without a correction.  What
 * lies in the chunk has been rounded as its equals have been, and only as those. */
static inline bool
same(const struct matcher *m, size_t at, size_t from)
{
        const int64_t a = m->value[at], b = m->value[from];

        if (a == b)
                return true;
        if (from >= m->known || m->step == 1)
                return false;
        const int64_t off = a - b;              /* narrow: step 1 when wide */
        return off >= -(m->step / 2) && off < m->step - m->step / 2;
}

/* Length of the copy C at AT.  A value that differs does not end it when enough others
 * follow: a correction is cheaper than two copies. */
static size_t
length_of(const struct matcher *m, size_t at, const struct echo_copy *c)
{
        const size_t end = m->known + m->count;
        size_t   length = 0, good = 0;
        unsigned doubt = 0;

        for (size_t k = 0; at + k < end; k++) {
                const size_t from = echo_source(c, m->row, k);
                if (from >= end)                /* below 0 */
                        break;
                if (same(m, at + k, from)) {
                        doubt -= doubt > 0;
                        length = doubt <= 2 ? k + 1 : length;
                        good++;
                } else if ((doubt += 4) > 8) {
                        break;
                }
        }
        return good >= ECHO_LEAST_LENGTH ? length : 0;
}

static void
try_source(const struct matcher *m, size_t at, size_t source, unsigned turn,
           struct echo_copy *best)
{
        struct echo_copy c = { .source = source, .turn = turn };

        c.length = source < at ? length_of(m, at, &c) : 0;
        if (c.length > best->length)
                *best = c;
}

/* Sources in the slot of W; TURN says whether it is mirrored. */
static void
look_in(const struct matcher *m, size_t at, const struct window *w, unsigned turn,
        struct echo_copy *best)
{
        uint32_t entry = m->first[slot_of(m, w)];

        for (unsigned i = 0; i < CHAIN && entry != NO_ENTRY && best->length < GOOD; i++) {
                const size_t source = turn & ECHO_TURN_COLUMNS ? (size_t) entry + WINDOW - 1
                                                               : entry;
                try_source(m, at, source, turn, best);
                if (m->row > 0)
                        try_source(m, at, source, turn | ECHO_TURN_ROWS, best);
                entry = m->before[entry];
        }
}

/* A source that is a little off may lie in the next bin: where nothing is found, each value
 * near an edge is put there in turn. */
static void
look_up(const struct matcher *m, size_t at, unsigned turn, struct echo_copy *best)
{
        const bool mirrored = turn & ECHO_TURN_COLUMNS;
        const struct window w = window_at(m, at, mirrored);

        look_in(m, at, &w, turn, best);
        for (unsigned k = 0; k < WINDOW && m->step > 1 && m->known > 0 && best->length == 0; k++) {
                const int64_t v = m->value[at + (mirrored ? WINDOW - 1 - k : k)];
                struct window other = w;
                other.bin[k] = (v - m->step / 2) >> m->shift;
                if (other.bin[k] == w.bin[k])
                        other.bin[k] = (v + m->step / 2) >> m->shift;
                if (other.bin[k] != w.bin[k])
                        look_in(m, at, &other, turn, best);
        }
}

/* The best copy for AT, GAP behind the last of SO_FAR. */
static struct echo_copy
best_copy(const struct matcher *m, size_t at, const struct echo_copies *so_far, size_t gap)
{
        const size_t n = so_far->count;
        struct echo_copy best = { 0 }, expected = { 0 };

        if (n > 0)
                try_source(m, at, (size_t) echo_expected_source(so_far, n, gap, at),
                           so_far->copy[n - 1].turn, &best);
        if (best.length + m->expected >= m->least)
                expected = best;
        best.length = expected.length > 0 ? expected.length + m->expected : 0;
        if (at + WINDOW <= m->known + m->count && best.length < GOOD) {
                look_up(m, at, 0, &best);
                look_up(m, at, ECHO_TURN_COLUMNS, &best);
        }
        if (best.length < m->least)
                best.length = 0;
        return best.length > expected.length + m->expected || expected.length == 0 ? best
                                                                                  : expected;
}

/* Takes literals before AT into the copy, at most LIMIT of them; not where rows begin
 * with it. */
static void
grow_back(const struct matcher *m, size_t *at, size_t limit, struct echo_copy *c)
{
        const bool down = c->turn & ECHO_TURN_COLUMNS;

        if (m->row > 0 && c->turn != 0 && c->turn != (ECHO_TURN_COLUMNS | ECHO_TURN_ROWS))
                return;
        for (; limit > 0; limit--) {
                const size_t from = down ? c->source + 1 : c->source - 1;
                if (from >= *at - 1 || !same(m, *at - 1, from))
                        break;
                c->source = from;
                c->length++;
                (*at)--;
        }
}

static void
enter_known(struct matcher *m)
{
        memset(m->first, 0xff, sizeof *m->first << m->table_bits);
        for (size_t i = 0; i + WINDOW <= m->known; i++)
                enter(m, i);
}

static enum caefs_err
matcher_init(struct matcher *m, struct arena *arena)
{
        const size_t total = m->known + m->count;

        for (m->shift = 0; m->step > 1 && m->shift < 60 && (int64_t) 1 << m->shift < 3 * m->step;)
                m->shift++;
        for (m->table_bits = 10; m->table_bits < 20 && (size_t) 1 << m->table_bits < total;)
                m->table_bits++;
        m->first = arena_array(arena, (size_t) 1 << m->table_bits, sizeof *m->first);
        m->before = arena_array(arena, total, sizeof *m->before);
        if (m->first == NULL || m->before == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory to find copies");
        return CAEFS_OK;
}

/* True when a sample of positions finds copies often enough. */
static bool
worth_searching(struct matcher *m)
{
        const struct echo_copies none = { 0 };
        const size_t end = m->known + m->count;
        const size_t stride = m->count / PROBES + 1;
        unsigned hits = 0, probes = 0;

        enter_known(m);
        for (size_t i = m->known; i + WINDOW <= end; i++) {
                if ((i - m->known) % stride == stride - 1) {
                        probes++;
                        hits += best_copy(m, i, &none, 0).length > 0;
                }
                enter(m, i);
        }
        return hits > 0 && hits >= LEAST_HITS * probes / PROBES;
}

/* All copies, from first to last. */
static void
pass(struct matcher *m, struct echo_copies *out)
{
        const size_t end = m->known + m->count;
        size_t done = m->known, entered = m->known;

        enter_known(m);
        out->count = 0;
        out->row = m->row;
        for (size_t at = m->known; at < end;) {
                for (; entered < at && entered + WINDOW <= end; entered++)
                        enter(m, entered);
                struct echo_copy c = best_copy(m, at, out, at - done);
                if (c.length == 0) {
                        at++;
                        continue;
                }
                grow_back(m, &at, at - done, &c);
                c.gap = at - done;
                at += c.length;
                done = at;
                out->copy[out->count++] = c;
        }
}

/* The length of most mirrored copies whose neighbour's source lies just behind them, as
 * those of the rows of a block do; 0 when there are few. */
static size_t
row_of(const struct echo_copies *c)
{
        size_t tally[ROW_LIMIT + 1] = { 0 }, best = 0;

        for (size_t i = 1; i < c->count; i++) {
                const struct echo_copy *a = &c->copy[i - 1], *b = &c->copy[i];
                if (a->turn == ECHO_TURN_COLUMNS && b->turn == a->turn && b->gap == 0
                    && a->length <= ROW_LIMIT && b->source == a->source + a->length)
                        tally[a->length]++;
        }
        for (size_t n = ECHO_LEAST_LENGTH; n <= ROW_LIMIT; n++)
                best = tally[n] > tally[best] ? n : best;
        return tally[best] >= c->count / 8 + 1 ? best : 0;
}

/* Values that take COPY_BITS together. */
static size_t
values_for(double copy_bits, double value_bits)
{
        return (size_t) (copy_bits / fmax(value_bits, 1e-3));
}

enum caefs_err
echo_find(const int64_t *value, size_t known, size_t count, int64_t step, double bits,
          struct arena *arena, struct echo_copies *out)
{
        struct matcher m = {
                .value = value, .known = known, .count = count, .step = step,
                .least = ECHO_LEAST_LENGTH,
        };
        enum caefs_err err = matcher_init(&m, arena);

        *out = (struct echo_copies) {
                .copy = arena_array(arena, count / ECHO_LEAST_LENGTH + 1, sizeof *out->copy),
        };
        if (err == CAEFS_OK && out->copy == NULL)
                err = caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory");
        if (err != CAEFS_OK || !worth_searching(&m))
                return err;
        pass(&m, out);
        m.row = row_of(out);
        if (values_for(COPY_BITS, bits) > m.least) {
                m.least = values_for(COPY_BITS, bits);
                m.expected = values_for(EXPECTED_BITS, bits);
        }
        if (m.row > 0 || m.least > ECHO_LEAST_LENGTH)
                pass(&m, out);
        return CAEFS_OK;
}
