/* codec/object.h - the container: one file's bytes as one immutable object.
 *
 * An object holds the regions of a file (codec/layout.h), each cut into chunks
 * that are contiguous in the file and decode without their neighbours, an index,
 * and checksums: of the index, and for each chunk of the bytes it serves.
 * doc/format.md describes every byte.
 *
 * Rewriting (options.previous).  A chunk that lies where a chunk of the previous
 * object lies and serves the same bytes is carried over as it is stored.  In every
 * other chunk a value whose bits are those that the previous object serves at the
 * same place of the file comes back with these bits; other values get the bound of
 * today.  A previous object that needs a model is rewritten with that model, not with
 * options.model: what it carries could not be read otherwise; likewise with its key.
 *
 * Keys (options.key).  A chunk may be predicted from what another object, its key, serves at
 * the same place of the region with the same number, and is where that makes it smaller.
 * The key is named by its identity.  It must be there for these chunks to be read, and has no key itself.
 *
 * Memory: does not depend on the size of the file but for the index, 16 bytes a chunk
 * in memory.  Each encoding thread holds one chunk's raw bytes and what is tried on it,
 * at most two coded chunks wait for each, and object_read_chunk() needs what its arena
 * keeps.  Measured, rounded up:
 *
 *             fixed     bytes a value of the chunk       a float32 chunk of usual size
 *                       encoding   lossless  decoding    encoding    decoding
 *   fast      8 MiB      64        128        32         10 MiB       7 MiB
 *   balanced  32 MiB     96        192        32         44 MiB      18 MiB
 *   max       64 MiB    192        256        32        205 MiB      52 MiB
 *
 * Chunks are measured in bytes, so narrow types have more values in one: eight million of
 * int8 at max take 1.3 GiB.  What is fixed are adaptive models and dictionaries.  A bound
 * relative to the range of columns adds 24 bytes for each, a rewrite about three chunks.  A key
 * adds what it takes to decode it, and 10 MiB (fast) or 100 MiB (balanced) to the encoding of
 * a float32 chunk of usual size: what is left of the chunk is predicted as often as the chunk.
 * tests/unit/test_memory.c holds the code to this.
 *
 * Thread safety: a struct object is immutable after object_open() and may be
 * used by any number of threads, each with its own arena.
 */
#ifndef CAEFS_CODEC_OBJECT_H
#define CAEFS_CODEC_OBJECT_H

#include "codec/chunk.h"
#include "codec/layout.h"
#include "common/progress.h"

/* Where encoded bytes go, first to last. */
struct byte_sink {
        enum caefs_err (*write)(void *context, const void *data, size_t n);
        void *context;
};

struct object;

/* Finds what an object needs and does not hold.  What is found must outlive the object.
 * Functions may be NULL, and return NULL when they find nothing. */
struct object_finder {
        const struct model *(*model)(void *context, uint64_t hash);
        /* The object with this identity. */
        const struct object *(*key)(void *context, uint64_t identity);
        /* As object_read() of a key that was found, through a cache perhaps; NULL:
         * object_read() itself. */
        enum caefs_err (*read_key)(void *context, const struct object *key, void *buffer,
                                   size_t n, uint64_t offset);
        void *context;
};

struct object_options {
        struct bound        bound;
        enum scope          scope;
        enum effort         effort;
        int                 family;     /* enum family, or 0 for all */
        size_t              chunk;      /* wanted raw bytes of a chunk; 0: the effort's own */
        struct layout_hint  hint;
        const struct model *model;      /* or NULL */
        unsigned            threads;    /* 0 or 1: this thread alone */
        const struct object *previous;  /* the object this one rewrites, or NULL: chunks
                                         * that serve the same bytes are carried over,
                                         * and values whose bits are what it served keep
                                         * them (DESIGN 4, "rewriting") */
        const struct object *key;       /* chunks may be predicted from what it serves; it
                                         * has no key itself; or NULL */
        struct progress    *progress;   /* told of every chunk, may cancel; or NULL */
};

struct object_report {
        uint64_t logical_bytes;
        uint64_t stored_bytes;
        double   worst;                 /* largest |x' - x| over all finite values */
        double   worst_over_bound;      /* largest error over its bound; <= 1 */
        uint64_t family_bytes[FAMILY_LIMIT];   /* stored, by family; [0]: others */
        uint64_t family_values[FAMILY_LIMIT];
        uint64_t patched;               /* values kept exactly in patches */
        uint64_t lossy_values;          /* values whose bits changed */
        uint64_t chunks;
        uint64_t carried;               /* chunks carried over from PREVIOUS */
        uint64_t model_hash;            /* of the model that decoding needs; 0: none */
        uint64_t key;                   /* identity of the object that decoding needs; 0: none */
        const char *fallback;           /* the first reason why a chunk did not get the bound; or NULL */
};

/* Encodes SOURCE into SINK; every chunk is decoded and compared before it is
 * written.  On failure what was written is useless.  The object is the same for
 * any number of threads.  SOURCE is read by one thread at a time, though not always
 * by the same; SINK and PROGRESS's report are called by the calling thread only. */
enum caefs_err object_encode(const struct byte_source *source, const struct object_options *o,
                             const struct byte_sink *sink, struct object_report *report);

/* Opens an encoded object.  SOURCE and what FINDER (or NULL) finds must stay until
 * object_close(); SOURCE's and FINDER's read must be callable from any thread.  What is
 * not found is missed only by chunks that need it: CAEFS_ERR_MODEL. */
enum caefs_err object_open(const struct byte_source *source, const struct object_finder *finder,
                           struct object **out);
void object_close(struct object *o);            /* NULL: nothing */

/* What it says of itself. */
struct object_info {
        uint64_t     logical_bytes;
        uint64_t     stored_bytes;
        struct bound bound;
        enum scope   scope;
        uint64_t     identity;          /* hash of the index, and so of all that is served */
        uint64_t     model_hash;        /* 0: none needed */
        uint64_t     key;               /* identity of the object that it refers to; 0: none */
        bool         worst_known;       /* not recorded where it would cost too much */
        double       worst;             /* largest error, rounded up by at most 1/32 */
        double       worst_over_bound;  /* rounded up by at most 1/255 */
        size_t       nregions;
        size_t       nchunks;
};
const struct object_info *object_info(const struct object *o);
const struct region      *object_region(const struct object *o, size_t index);

/* Chunk INDEX covers LENGTH bytes of the file from OFFSET. */
struct chunk_extent {
        uint64_t offset;
        uint64_t length;
        uint64_t stored;        /* bytes in the object */
        size_t   region;
        int      family;        /* enum family; 0: none */
};
enum caefs_err object_chunk(const struct object *o, size_t index, struct chunk_extent *e);

/* The chunk that holds file byte OFFSET < logical_bytes. */
size_t object_chunk_at(const struct object *o, uint64_t offset);

/* Decodes one chunk into BUFFER (its LENGTH bytes) and proves it by its checksum.
 * CAEFS_ERR_CORRUPT when anything is wrong; other chunks stay readable. */
enum caefs_err object_read_chunk(const struct object *o, size_t index, struct arena *arena,
                                 void *buffer);

/* Reads N bytes of the file from OFFSET through object_read_chunk(): simple, for
 * tools; the mount has a cache of its own. */
enum caefs_err object_read(const struct object *o, void *buffer, size_t n, uint64_t offset);

#endif
