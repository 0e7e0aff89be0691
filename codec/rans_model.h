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

/* The smallest context sum of each level; part of the format. */
extern const uint8_t rans_level_start[RANS_LEVELS];

/* The level of each context sum. */
void rans_level_table(uint8_t level_of_sum[RANS_SUMS]);

void rans_contexts_of(struct rans_contexts *c, const struct rans_model *m);

/* Bits that tokens and tables of H would take, with the classes chosen for it. */
double rans_histogram_cost(const struct rans_histogram *h);

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
