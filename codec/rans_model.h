/* codec/rans_model.h - frequency tables of the static coder.
 *
 * A model belongs to one or more kinds of segments.  It maps the sum of
 * neighbouring magnitudes (0 to 127) to a context class and has a table of
 * token frequencies for each class.  Frequencies are stored as steps of a
 * logarithm, and normalised by integer arithmetic on both sides.
 *
 * Thread safety: none; an object belongs to one thread at a time.
 */
#ifndef CAEFS_CODEC_RANS_MODEL_H
#define CAEFS_CODEC_RANS_MODEL_H

#include "codec/binary_coder.h"
#include "codec/token.h"
#include "common/arena.h"
#include "common/error.h"

#define RANS_SUMS        128    /* sums of neighbouring magnitudes: 0 to 127 */
#define RANS_LEVELS      32     /* context sums are first put into these */
#define RANS_PLAIN_LEVELS 16    /* the first ones have one sum each */
#define RANS_CLASSES     16     /* a model's limit */
#define RANS_ALL_CLASSES 128    /* the limit over all models of a coding */
#define RANS_MODELS      32
#define RANS_SCALE_MIN   9      /* frequencies of a class sum to 2^scale */
#define RANS_SCALE_MAX   12

/* What is common to the models of one coding. */
struct rans_precision {
        unsigned scale;
        unsigned fineness;      /* 0 to 3: 2, 4, 8, 16 steps of frequency an octave */
};

/* Which class each context sum has. */
struct rans_contexts {
        unsigned nclasses;
        uint8_t  class_start[RANS_CLASSES];     /* smallest sum of each */
        uint8_t  class_of_sum[RANS_SUMS];
};

struct rans_class {
        uint16_t frequency[TOKEN_LIMIT];        /* 0: does not occur */
        uint16_t start[TOKEN_LIMIT];            /* sum of those before */
        uint8_t  step[TOKEN_LIMIT];             /* as stored; 0: does not occur */
};

struct rans_model {
        unsigned           nclasses;
        unsigned           ntokens;             /* tokens from here on do not occur */
        uint8_t            class_of_level[RANS_LEVELS];
        struct rans_class *class;               /* (nclasses), the arena's */
};

/* Counts of tokens by level: what a model is made from. */
struct rans_histogram {
        uint32_t count[RANS_LEVELS][TOKEN_LIMIT];
        unsigned ntokens;                       /* counts from here on are 0 */
};

/* The level of a context sum; loops of it vectorise, with signed comparisons best. */
static inline uint8_t
rans_level_of(uint8_t sum)
{
        int8_t s = (int8_t) sum;
        int8_t level = s < RANS_PLAIN_LEVELS - 1 ? s : RANS_PLAIN_LEVELS - 1;

        level = (int8_t) (level + (s > 15) + (s > 17) + (s > 19) + (s > 22));
        level = (int8_t) (level + (s > 25) + (s > 29) + (s > 33) + (s > 38));
        level = (int8_t) (level + (s > 44) + (s > 51) + (s > 59) + (s > 68));
        return (uint8_t) (level + (s > 78) + (s > 89) + (s > 101) + (s > 114));
}

void rans_contexts_of(struct rans_contexts *c, const struct rans_model *m);

/* The same with levels in groups: what kinds are compared by. */
#define RANS_GROUPS 8

struct rans_outline {
        uint32_t count[RANS_GROUPS][TOKEN_LIMIT];
        unsigned ntokens;
};

void rans_outline_of(struct rans_outline *o, const struct rans_histogram *h);
void rans_outline_add(struct rans_outline *to, const struct rans_outline *o);

/* What tokens and tables of A and B together would take, in quarters of a bit. */
int64_t rans_outline_cost(const struct rans_outline *a, const struct rans_outline *b);

/* Chooses classes, sets frequencies.  False when memory is out. */
bool rans_model_build(struct rans_model *m, const struct rans_histogram *h,
                      struct rans_precision precision, struct arena *arena);

void rans_model_write(const struct rans_model *m, struct rans_precision precision,
                      struct binary_encoder *e);

/* NTOKENS is how many there are at most.  CAEFS_ERR_CORRUPT, CAEFS_ERR_NOMEM. */
enum caefs_err rans_model_read(struct rans_model *m, unsigned ntokens,
                               struct rans_precision precision, struct binary_decoder *d,
                               struct arena *arena);

/* Decoding table of one class, 2^scale entries: token in bits 0 to 7, frequency
 * from 8, offset within the token's range from 20.  RANS_TABLE_MARGIN entries more are
 * written. */
#define RANS_TABLE_MARGIN 8
void rans_decode_table(const struct rans_class *c, unsigned ntokens, unsigned scale,
                       uint32_t *table);

#endif
