/* codec/recall.h - the family `recall`: what stood in the same surroundings before.
 *
 * Simulations on blocks, symmetric bodies, counts and quantised instruments give the
 * same values in the same surroundings again and again, though never as one long run
 * that a match stage would find.  The family keeps a table for each of a few
 * contexts (hashes of known neighbours); a slot holds the value that followed that
 * context last, and for how long it has been right.  Each value is coded as its rank
 * among the candidates that the tables offer, best first; a value that none offers
 * is an escape, coded as the difference to a gradient of its neighbours.
 *
 * Grid integers are first rounded to symbols, multiples of the step: then what
 * repeats in the data repeats in what is coded (open loop; with step 1 they are the
 * integers themselves).
 *
 * Ranks and escapes go through mixed adaptive models (codec/mixer.h), all of them in
 * the side information, and no residuals are left.  Five to ten million values a
 * second: for EFFORT_MAX.
 *
 * Thread safety: a struct recall belongs to one thread.
 */
#ifndef CAEFS_CODEC_RECALL_H
#define CAEFS_CODEC_RECALL_H

#include "codec/predict.h"

#define RECALL_LAGS        3
#define RECALL_CONTEXTS    8
#define RECALL_CANDIDATES  3
#define RECALL_ESCAPE      RECALL_CANDIDATES    /* the rank of a value none offers */
#define RECALL_TRUST_LIMIT 15

struct recall {
        size_t    lag[RECALL_LAGS];     /* distances to the neighbours left, above, behind */
        size_t    columns;              /* contexts are those of a column of so many; or 1 */
        unsigned  table_bits;
        int64_t  *symbol;               /* (count), behind zeros for what lies before */
        int64_t  *slot;                 /* (RECALL_CONTEXTS << table_bits) */
        uint8_t  *trust;                /* the same: values for which it has been right;
                                         * 0: nothing there yet */
        uint16_t  success[RECALL_CONTEXTS][RECALL_TRUST_LIMIT + 1];
                                        /* how often slots of this trust are, in 65536ths */
        unsigned  last_rank;
};

/* What is known of value AT before it is. */
struct recall_view {
        uint32_t where[RECALL_CONTEXTS];        /* its slots */
        unsigned ncandidates;
        int64_t  candidate[RECALL_CANDIDATES];  /* best first, no two equal */
        unsigned confidence;                    /* 0 to 15 */
        int64_t  expected;                      /* by the gradient */
};

/* Lags are at most this, 1 at least; that to the left is less than that above, so that
 * what is above to the right is known. */
static inline size_t
recall_longest_lag(const struct field_geometry *g)
{
        return g->count / 2 + 2;
}

/* For the integers of G.  False when memory is out. */
bool recall_begin(struct recall *m, const struct field_geometry *g,
                  const size_t lag[RECALL_LAGS], struct arena *arena);

void recall_look(const struct recall *m, size_t at, struct recall_view *v);

/* Learns that value AT, seen through V, is symbol[AT] and had this RANK. */
void recall_learn(struct recall *m, size_t at, const struct recall_view *v, unsigned rank);

/* ---- codec/recall_mixing.c: all symbols as one stream ---- */

enum caefs_err recall_mixed_encode(struct recall *m, const struct field_geometry *g,
                                   struct arena *arena, struct bytes *out);

/* IN is not trusted, and left behind the stream. */
enum caefs_err recall_mixed_decode(struct recall *m, const struct field_geometry *g,
                                   struct arena *arena, struct cursor *in);

/* ---- codec/recall_encode.c ---- */

bool           recall_applies(const struct field *f);
enum caefs_err recall_encode(const struct field *f, struct arena *arena,
                             struct prediction *out, double *bits);

#endif
