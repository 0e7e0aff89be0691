/* codec/object_index.h - the index of an object, in memory and as bytes.
 *
 * Private to codec/object*.c.  The index says everything but the values: the
 * regions, how they are cut, and for each chunk its size, its checksum and its
 * family.  What can be computed is not stored: chunk geometry follows from the
 * region's shape and one number, the wanted chunk size; a header of NumPy's own
 * making follows from dtype and shape.  doc/format.md describes every byte.
 *
 * Thread safety: an index that nobody changes may be read by any thread.
 */
#ifndef CAEFS_CODEC_OBJECT_INDEX_H
#define CAEFS_CODEC_OBJECT_INDEX_H

#include "codec/chunk.h"
#include "codec/layout.h"
#include "codec/npy.h"

/* ---- how a region is cut (codec/object_cut.c) ---------------------------- */

/* A chunk is a run of whole rows.  A row is everything below the axis that is
 * cut; a slice is everything below the axes above it, and each slice is cut
 * alike, so that no chunk reaches from one slice into the next.  All chunks of
 * a slice have ROWS rows but the last, which has at least half and less than one
 * and a half of that: so a file that grows along its slowest axis keeps its
 * chunks, and none is tiny. */
struct cut {
        enum scope   scope;             /* of the chunks */
        unsigned     value_size;
        struct shape row;               /* without extents of 1; at most 3 axes but for
                                         * SCOPE_ARRAY, where more may come: merged later */
        uint64_t     row_values;
        uint64_t     rows;              /* of every chunk but the last of a slice */
        uint64_t     slice_rows;
        uint64_t     slices;
        uint64_t     pieces;            /* chunks of a slice */
        bool         slice_is_column;   /* memory goes column by column (Fortran's order):
                                         * slice i is column i, and has its own range */
};

#define CUT_MAX_COLUMNS ((uint64_t) 1 << 20)
#define CHUNK_UNIT      ((uint64_t) 4096)       /* the wanted size is a multiple */
#define CHUNK_MAX       ((uint64_t) 128 << 20)

/* Cuts R for chunks of about CHUNK bytes.  Same answer on every machine. */
void     cut_region(const struct region *r, enum scope scope, uint64_t chunk, struct cut *c);
uint64_t cut_count(const struct cut *c);

/* Chunk INDEX < cut_count(): its place in the region in bytes, and its shape. */
void cut_chunk(const struct cut *c, uint64_t index, uint64_t *offset, uint64_t *length,
               struct shape *shape);

/* The chunk that holds the region's byte OFFSET. */
uint64_t cut_find(const struct cut *c, uint64_t offset);

/* True when SCOPE gives every column (channel) of R a range of its own. */
bool region_has_columns(const struct region *r, enum scope scope);
/* How many: the extent of the array's last axis. */
uint64_t region_columns(const struct region *r);

/* ---- the index ------------------------------------------------------------ */

#define OBJECT_MAGIC_SIZE   3           /* two bytes of magic and the version */
#define OBJECT_VERSION      1
#define OBJECT_MAX_CHUNKS   ((uint64_t) 1 << 20)
#define OBJECT_MAX_REGIONS  65536
#define OBJECT_INDEX_MAX    ((size_t) 64 << 20)

extern const uint8_t object_magic[OBJECT_MAGIC_SIZE];

struct index_region {
        struct region    region;
        enum npy_padding made;          /* not NPY_OTHER: the header of the next region,
                                         * made again from it; not stored */
        struct cut       cut;           /* unless MADE */
        uint64_t         first_chunk;
};

struct index_chunk {
        uint64_t start;                 /* in the object; one more than there are chunks, so
                                         * that the next one's start is this one's end */
        uint32_t checksum;              /* low half of XXH3-64 of the served bytes */
        uint8_t  family;                /* enum family, 0: none */
};

struct index {
        struct bound         bound;
        enum scope           scope;
        uint64_t             identity;          /* of an index that was read */
        uint64_t             model_hash;        /* 0: none */
        uint64_t             key;               /* identity of the object it refers to; 0: none */
        bool                 worst_known;
        double               worst;             /* rounded up */
        double               worst_over_bound;  /* rounded up */
        uint64_t             chunk;             /* wanted bytes of a chunk */
        uint64_t             logical_bytes;
        struct index_region *region;            /* (nregions) */
        size_t               nregions;
        struct index_chunk  *chunk_table;       /* (nchunks + 1) */
        size_t               nchunks;
};

void index_free(struct index *x);

/* Fills regions, cuts and counts of X from a layout; the chunk table is zero
 * but allocated.  MADE, (nregions): padding of headers that need no storing.
 * X->scope and X->chunk must be set; chunk grows where there would be too many. */
enum caefs_err index_plan(struct index *x, const struct layout *l, const enum npy_padding *made);

/* Appends index and trailer.  X's chunk table must be complete. */
enum caefs_err index_write(const struct index *x, struct bytes *out);

/* Reads an index out of IN (without its trailer); TOTAL is the whole object's size and
 * TRAILER the trailer's.  Nothing is trusted. */
enum caefs_err index_parse(const void *in, size_t size, uint64_t total, size_t trailer,
                           struct index *x);

/* The trailer: a checksum of the index, and its size, to be read backwards. */
#define TRAILER_MAX 14
void           trailer_write(const void *index, size_t size, uint64_t total_before,
                             struct bytes *out);
/* TAIL (N bytes) ends where the object ends. */
enum caefs_err trailer_parse(const uint8_t *tail, size_t n, uint64_t *index_size,
                             size_t *trailer_size, uint32_t *checksum);
/* Hash of an index of SIZE bytes in an object of TOTAL bytes; its low half is the checksum. */
uint64_t       index_identity(const void *index, size_t size, uint64_t total);

/* ---- chunks of an index --------------------------------------------------- */

struct chunk_place {
        size_t                region;
        uint64_t              offset;           /* in the file */
        uint64_t              length;
        struct chunk_geometry geometry;         /* without model */
        uint64_t              column;           /* where a slice is a column: which */
        enum npy_padding      made;
};
void   index_chunk_place(const struct index *x, size_t chunk, struct chunk_place *p);
size_t index_chunk_at(const struct index *x, uint64_t offset);

#endif
