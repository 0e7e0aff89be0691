/* codec/recall.c - the family `recall`: its tables, and decoding.  See codec/recall.h. */
#include "codec/recall.h"

#include <string.h>

#define TABLE_BITS_LIMIT 16     /* what a second-level cache holds */
#define SUCCESS_SHIFT    5      /* success moves by a 32nd of its error */

/* ---- contexts ---- */

static inline uint64_t
mix(uint64_t h, int64_t symbol)
{
        h = (h ^ (uint64_t) symbol) * UINT64_C(0x9E3779B97F4A7C15);
        return h ^ h >> 29;
}

/* The slots of value AT: left L, above A, behind B, and what lies further. */
static inline void
find_slots(const struct recall *m, size_t at, uint32_t where[RECALL_CONTEXTS])
{
        const int64_t *s = m->symbol + at;
        const ptrdiff_t left = (ptrdiff_t) m->lag[0], above = (ptrdiff_t) m->lag[1],
                        behind = (ptrdiff_t) m->lag[2];
        uint64_t column = m->columns > 1 ? at % m->columns + 1 : 0;
        uint64_t h[RECALL_CONTEXTS];

        uint64_t l = mix(column, s[-left]), a = mix(column + 1000, s[-above]);
        h[0] = mix(mix(l, s[-above]), s[-behind]);
        h[1] = mix(l, s[-above]) + 1;
        h[2] = mix(l, s[-behind]) + 2;
        h[3] = mix(a, s[-behind]) + 3;
        h[4] = mix(l, s[-2 * left]) + 4;
        h[5] = mix(a, s[-2 * above]) + 5;
        h[6] = mix(mix(mix(h[0], s[-above + left]), s[-above - left]), 6);
        h[7] = mix(h[4], s[-3 * left]) + 7;
        for (unsigned c = 0; c < RECALL_CONTEXTS; c++)
                where[c] = c << m->table_bits
                        | (uint32_t) (h[c] * UINT64_C(0xD6E8FEB86659FD93) >> (64 - m->table_bits));
}

/* ---- candidates ---- */

/* Enters SYMBOL with P, its probability of being right, in the list by P. */
static inline void
offer(struct recall_view *v, uint32_t p[RECALL_CANDIDATES], int64_t symbol, uint32_t probability)
{
        unsigned at = 0, end;

        while (at < v->ncandidates && p[at] >= probability) {
                if (v->candidate[at] == symbol)
                        return;
                at++;
        }
        for (end = at; end < v->ncandidates && v->candidate[end] != symbol; )
                end++;
        if (end == v->ncandidates) {
                if (at == RECALL_CANDIDATES)
                        return;
                if (end < RECALL_CANDIDATES)
                        v->ncandidates++;
                else
                        end--;
        }
        for (; end > at; end--) {
                v->candidate[end] = v->candidate[end - 1];
                p[end] = p[end - 1];
        }
        v->candidate[at] = symbol;
        p[at] = probability;
}

/* 0 to 7: how many times the error has been halved. */
static inline unsigned
sureness(uint32_t probability)
{
        uint32_t error = 65536 - probability;
        unsigned halvings = 0;

        while (halvings < 7 && error < 32768u >> halvings)
                halvings++;
        return halvings;
}

/* The median of left, above and left + above - corner. */
static inline int64_t
gradient(int64_t left, int64_t above, int64_t corner)
{
        int64_t low = left < above ? left : above, high = left < above ? above : left;
        int64_t sum = (int64_t) ((uint64_t) left + (uint64_t) above - (uint64_t) corner);

        return sum < low ? low : sum > high ? high : sum;
}

void
recall_look(const struct recall *m, size_t at, struct recall_view *v)
{
        const int64_t *s = m->symbol + at;
        uint32_t       p[RECALL_CANDIDATES];

        find_slots(m, at, v->where);
        v->ncandidates = 0;
        for (unsigned c = 0; c < RECALL_CONTEXTS; c++) {
                unsigned trust = m->trust[v->where[c]];
                if (trust > 0)
                        offer(v, p, m->slot[v->where[c]], m->success[c][trust]);
        }
        v->confidence = v->ncandidates == 0 ? 0
                : 2 * sureness(p[0]) + (m->last_rank != 0);
        int64_t left = s[-(ptrdiff_t) m->lag[0]], above = s[-(ptrdiff_t) m->lag[1]];
        v->expected = gradient(left, above, s[-(ptrdiff_t) (m->lag[0] + m->lag[1])]);
}

void
recall_learn(struct recall *m, size_t at, const struct recall_view *v, unsigned rank)
{
        for (unsigned c = 0; c < RECALL_CONTEXTS; c++) {
                uint32_t  where = v->where[c];
                unsigned  trust = m->trust[where];
                bool      right = m->slot[where] == m->symbol[at];
                uint16_t *p = &m->success[c][trust];
                if (trust > 0)
                        *p = (uint16_t) (right ? *p + ((65535 - *p) >> SUCCESS_SHIFT)
                                               : *p - (*p >> SUCCESS_SHIFT));
                m->slot[where] = m->symbol[at];
                m->trust[where] = (uint8_t) (!right || trust == 0 ? 1
                                             : trust < RECALL_TRUST_LIMIT ? trust + 1 : trust);
        }
        m->last_rank = rank;
}

bool
recall_begin(struct recall *m, const struct field_geometry *g, const size_t lag[RECALL_LAGS],
             struct arena *arena)
{
        size_t reach = 4;

        for (unsigned i = 0; i < RECALL_LAGS; i++) {
                m->lag[i] = lag[i];
                reach = 3 * lag[i] + 1 > reach ? 3 * lag[i] + 1 : reach;
        }
        m->columns = g->scope == SCOPE_ARRAY ? 1 : g->shape.extent[g->shape.ndim - 1];
        for (m->table_bits = 8; m->table_bits < TABLE_BITS_LIMIT; m->table_bits++)
                if ((size_t) 1 << m->table_bits >= g->count)
                        break;
        m->symbol = arena_array(arena, reach + g->count, sizeof *m->symbol);
        m->slot = arena_array(arena, (size_t) RECALL_CONTEXTS << m->table_bits, sizeof *m->slot);
        m->trust = arena_alloc(arena, (size_t) RECALL_CONTEXTS << m->table_bits);
        if (m->symbol == NULL || m->slot == NULL || m->trust == NULL)
                return false;
        memset(m->symbol, 0, reach * sizeof *m->symbol);
        memset(m->slot, 0, ((size_t) RECALL_CONTEXTS << m->table_bits) * sizeof *m->slot);
        memset(m->trust, 0, (size_t) RECALL_CONTEXTS << m->table_bits);
        m->symbol += reach;
        m->last_rank = 0;
        for (unsigned c = 0; c < RECALL_CONTEXTS; c++)
                for (unsigned t = 0; t <= RECALL_TRUST_LIMIT; t++)
                        m->success[c][t] = (uint16_t) (24000 + 2500 * t);
        return true;
}

/* ---- decoding ---- */

static void
place(const struct recall *m, const struct field_geometry *g, void *grid)
{
        if (g->wide) {
                memcpy(grid, m->symbol, g->count * sizeof *m->symbol);
                return;
        }
        for (size_t i = 0; i < g->count; i++)
                ((int32_t *) grid)[i] =
                        (int32_t) ((uint32_t) m->symbol[i] * (uint32_t) g->step);
}

static enum caefs_err
recall_decode(const struct field_geometry *g, struct cursor *side, struct cursor *coded,
              struct arena *arena, void *grid)
{
        size_t        lag[RECALL_LAGS];
        struct recall m;
        int32_t       none;

        for (unsigned i = 0; i < RECALL_LAGS; i++) {
                lag[i] = cursor_varint_max(side, recall_longest_lag(g));
                if (side->failed || lag[i] == 0)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "recall: a distance is out of range");
        }
        if (lag[0] >= lag[1])
                return caefs_fail(CAEFS_ERR_CORRUPT, "recall: left is as far as above");
        if (!recall_begin(&m, g, lag, arena))
                return caefs_fail(CAEFS_ERR_NOMEM, "recall: no memory for %zu values", g->count);
        enum caefs_err err = recall_mixed_decode(&m, g, arena, side);
        if (err == CAEFS_OK && cursor_left(side) > 0)
                err = caefs_fail(CAEFS_ERR_CORRUPT, "recall: bytes behind its end");
        if (err == CAEFS_OK)
                err = residual_decode(coded, &none, NULL, 0, arena);
        if (err == CAEFS_OK)
                place(&m, g, grid);
        return err;
}

const struct family_methods family_recall = {
        .name = "recall",
        .applies = recall_applies,
        .encode = recall_encode,
        .decode = recall_decode,
};
