/* codec/model.h - trained models: what a directory's training leaves.
 *
 * A model is one immutable blob, named by the XXH3-64 hash of its bytes.  It says
 * what it was trained for, and holds a part for each family that learnt something:
 * for FAMILY_CAE an autoencoder, for FAMILY_ECHO examples …  What a part is, its family
 * knows alone (struct family_part in codec/predict.h).  doc/format.md describes every
 * byte.
 *
 * Networks are exact (doc/design.md, "Networks that give the same bits
 * everywhere"): weights |w| <= 127 and 8-bit activations are integers held in
 * float32; fan-in is limited so that every partial sum stays below 2^24; so any
 * product, in any order, on any machine gives the same integers.
 *
 * Thread safety: a struct model is immutable once made.
 */
#ifndef CAEFS_CODEC_MODEL_H
#define CAEFS_CODEC_MODEL_H

#include "codec/types.h"
#include "common/bytes.h"

#define MODEL_MAX_BYTES  ((size_t) 256 << 20)
#define MODEL_MAX_LAYERS 15             /* the papers: seven */
#define MODEL_MAX_PARTS  16             /* families: FAMILY_LIMIT */

struct model;

/* BLOB (SIZE bytes, not kept) becomes a model; nothing in it is trusted.
 * CAEFS_ERR_CORRUPT, CAEFS_ERR_VERSION, CAEFS_ERR_NOMEM. */
enum caefs_err model_parse(const void *blob, size_t size, struct model **out);
void           model_free(struct model *m);             /* NULL: nothing */

/* The blob, as written to the catalogue or a .caemodel file; the model's own. */
const void *model_blob(const struct model *m, size_t *size);
uint64_t    model_hash(const struct model *m);

/* 16 lower-case hex digits and a NUL; false when TEXT is not of that form. */
void model_hash_format(uint64_t hash, char text[17]);
bool model_hash_parse(const char *text, uint64_t *hash);

struct model_info {
        struct bound bound;             /* trained for */
        enum scope   scope;
        uint64_t     train_values;      /* values seen */
        uint64_t     seed;
        uint64_t     part_bytes[MODEL_MAX_PARTS];       /* by enum family; 0: no part */

        /* Of an autoencoder, else 0. */
        unsigned     nlayers;           /* layers of units, input and output included */
        unsigned     layer[MODEL_MAX_LAYERS];   /* units of each */
        uint64_t     parameters;        /* weights and biases */
        double       proportion;        /* of the data */
        uint32_t     epochs;
        double       train_loss;        /* mean squared error, normalised units */
        double       validation_loss;
};
const struct model_info *model_info(const struct model *m);

/* What FAMILY (enum family) keeps in M, as its family_part parsed it; the model's own.
 * NULL: nothing, or M is NULL. */
const void *model_part(const struct model *m, int family);

/* A part as bytes, of one family. */
struct model_part {
        int          family;            /* enum family */
        struct bytes bytes;
};

/* Makes a model of PARTS, NPARTS of different families in ascending order, for what
 * INFO says of bound, scope, values and seed.  The parts stay the caller's.  The model
 * is parsed back from its own blob, so it is what any reader will get. */
enum caefs_err model_build(const struct model_info *info, const struct model_part *parts,
                           size_t nparts, struct model **out);

#endif
