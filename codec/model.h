/* codec/model.h - trained models: what a directory's training leaves.
 *
 * A model is one immutable blob, named by the XXH3-64 hash of its bytes.  It
 * holds an autoencoder for FAMILY_CAE: the decoder's integer weights (the
 * encoder's too, so that new data can be encoded), the normalisation, and a
 * record of the training.  doc/format.md describes every byte.
 *
 * Networks are exact (doc/design.md, "Networks that give the same bits
 * everywhere"): weights |w| <= 127 and 8-bit activations are integers held in
 * float32; fan-in is limited so that every partial sum stays below 2^24; so any
 * sgemm, in any order, on any machine gives the same integers.
 *
 * Thread safety: a struct model is immutable once made.
 */
#ifndef CAEFS_CODEC_MODEL_H
#define CAEFS_CODEC_MODEL_H

#include "codec/types.h"
#include "common/bytes.h"

#define MODEL_MAX_BYTES  ((size_t) 256 << 20)
#define MODEL_MAX_LAYERS 15             /* the papers: seven */

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
        int          family;            /* enum family */
        unsigned     nlayers;           /* layers of units, input and output included */
        unsigned     layer[MODEL_MAX_LAYERS];   /* units of each */
        uint64_t     parameters;        /* weights and biases */
        struct bound bound;             /* trained for */
        enum scope   scope;
        uint64_t     train_values;      /* values seen */
        double       proportion;        /* of the data */
        uint32_t     epochs;
        uint64_t     seed;
        double       train_loss;        /* mean squared error, normalised units */
        double       validation_loss;
};
const struct model_info *model_info(const struct model *m);

/* The networks of FAMILY_CAE (codec/network.h); the model's own. */
struct autoencoder;
const struct autoencoder *model_autoencoder(const struct model *m);

/* Makes a model of A and what INFO records (its layers and parameters are taken
 * from A).  A stays the caller's.  The model is parsed back from its own blob, so
 * it is what any reader will get. */
enum caefs_err model_build(const struct model_info *info, const struct autoencoder *a,
                           struct model **out);

#endif
