/* codec/chunk.h - one chunk: values in, bytes out, decodable alone.
 *
 * chunk_encode() tries grids and families, keeps the smallest, and ends by
 * decoding with chunk_decode() and comparing every value.  Values that do not
 * meet the bound (NaN, infinities, zeros under a logarithm, whatever a grid
 * cannot hold or rounding spoilt) are kept exactly in a patch: runs of positions
 * and their bits.  So the bound holds whatever a family does, and in the last
 * resort a chunk is stored bit for bit.
 *
 * The patch is also how a rewrite keeps what nobody changed: values that must
 * come back bit for bit (KEEP) and do not are patched.
 *
 * Thread safety: any number of threads, each with its own arena.
 */
#ifndef CAEFS_CODEC_CHUNK_H
#define CAEFS_CODEC_CHUNK_H

#include "codec/grid.h"
#include "codec/predict.h"

/* What both sides know from the object's index. */
struct chunk_geometry {
        enum dtype          dtype;
        bool                big_endian; /* byte order of the values in memory */
        struct shape        shape;      /* of this chunk: slowest first; count <= 2^28 */
        enum scope          scope;
        const struct model *model;      /* or NULL */
        const struct reference *reference;      /* or NULL; decoding needs the one that
                                                 * encoding had, where it used it */
};

/* The bound, made absolute: for REL and PSNR the ranges are the caller's to find
 * (over the whole region); here only what each value may differ by. */
struct chunk_bound {
        enum bound_mode mode;           /* LOSSLESS, ABS or PWREL */
        const double   *amount;         /* one, or one a column / channel of the last
                                         * axis (SCOPE_COLUMN, SCOPE_CHANNEL, ABS) */
        size_t          namounts;
};

struct chunk_options {
        enum effort effort;
        int         family;             /* only this one (and exact storage where it
                                         * fails), or 0: all that apply */
};

/* How a chunk came out: for stat, explain and encode --json. */
struct chunk_report {
        int            family;          /* enum family; 0: bytes or exact storage */
        enum grid_kind grid;            /* of the first plane; 0: none */
        uint64_t       patched;         /* values in the patch */
        double         worst;           /* largest |x' - x| over finite values */
        double         worst_over_bound;/* largest error over its bound, <= 1; 0 if lossless */
        bool           uses_model;      /* decoding needs the model */
        const char    *fallback;        /* why it is not within a bound: a static
                                         * string, or NULL */
};

/* Appends the coding of VALUES (raw bytes in the chunk's byte order, geometry's
 * count * size) to OUT.  KEEP, (count) or NULL: non-zero where the value must
 * come back bit for bit.  SERVED, when not NULL, receives the bytes the decoder
 * will give, same size as VALUES; it may be VALUES. */
enum caefs_err chunk_encode(const struct chunk_geometry *g, const struct chunk_bound *b,
                            const struct chunk_options *o, const void *values,
                            const uint8_t *keep, struct arena *arena, struct bytes *out,
                            void *served, struct chunk_report *report);

/* A touched chunk of an object that is rewritten: the old coding stays, and every
 * value whose bits in VALUES differ from what OLD serves goes into the patch.
 * Exact everywhere. */
enum caefs_err chunk_amend(const struct chunk_geometry *g, const void *old, size_t old_size,
                           const void *values, struct arena *arena, struct bytes *out,
                           struct chunk_report *report);

/* Rebuilds all values of the chunk.  CODED is not trusted: CAEFS_ERR_CORRUPT,
 * CAEFS_ERR_MODEL; VALUES is then unspecified. */
enum caefs_err chunk_decode(const struct chunk_geometry *g, const void *coded, size_t size,
                            struct arena *arena, void *values);

/* True when chunk_decode() would need the geometry's reference. */
bool chunk_uses_reference(const void *coded, size_t size);

/* Opaque bytes. */
enum caefs_err chunk_encode_bytes(const void *data, size_t n, enum effort effort,
                                  struct bytes *out);
enum caefs_err chunk_decode_bytes(const void *coded, size_t size, void *data, size_t n);

#endif
