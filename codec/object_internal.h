/* codec/object_internal.h - what the files codec/object*.c share of an open object. */
#ifndef CAEFS_CODEC_OBJECT_INTERNAL_H
#define CAEFS_CODEC_OBJECT_INTERNAL_H

#include "codec/object.h"
#include "codec/object_index.h"

/* Immutable after object_open(). */
struct object {
        struct byte_source  source;
        const struct model *model;      /* the one it names, when it was found */
        const struct object *key;       /* likewise */
        struct object_finder finder;    /* for its read_key */
        struct index        index;
        struct object_info  info;
};

/* A checksum of served bytes. */
uint32_t served_checksum(const void *data, size_t n);

/* The stored bytes of a chunk that serves LENGTH bytes, in the arena. */
enum caefs_err object_read_stored(const struct object *o, size_t index, uint64_t length,
                                  struct arena *arena, const void **coded, size_t *size);

/* ---- what a chunk may be predicted from (object_key.c) -------------------- */

struct key_reader {
        const struct object *key;       /* or NULL */
        enum caefs_err (*read)(void *context, const struct object *key, void *buffer, size_t n,
                               uint64_t offset);        /* NULL: object_read() */
        void *context;
};

/* A key has no key. */
bool object_may_be_key(const struct object *o);

/* *OUT becomes what the key serves where the chunk at PLACE of an object with index X
 * lies, in the arena; NULL: nothing that could be of use.  Both sides get the same. */
enum caefs_err key_reference(const struct key_reader *r, const struct index *x,
                             const struct chunk_place *place, struct arena *arena,
                             const struct reference **out);

/* The reader of O's own key. */
struct key_reader object_key_reader(const struct object *o);

/* ---- bounds made absolute (object_range.c) -------------------------------- */

/* What the values of one region may differ by.  REL and PSNR have become ABS. */
struct region_bound {
        enum bound_mode mode;
        double         *amount;         /* owned; one, or one a column */
        size_t          namounts;
};

/* Reads all of a region where its range matters, once, in pieces. */
enum caefs_err region_bound_find(const struct byte_source *source, const struct region *r,
                                 const struct bound *bound, enum scope scope,
                                 const struct progress *progress, struct region_bound *out);

/* ---- what a rewrite knows of a chunk (object_rewrite.c) -------------------- */

struct old_chunk {
        bool           twin;            /* the previous object has a chunk of the same place and
                                         * geometry: INDEX */
        size_t         index;
        uint8_t        family;          /* of the twin */
        bool           same;            /* the twin serves exactly these bytes */
        uint64_t       changed;         /* values with other bits than served before */
        const uint8_t *keep;            /* (values) non-zero where the bits are as served; NULL
                                         * when nothing was served here */
};

/* Compares RAW (the bytes of the chunk at PLACE) with what PREVIOUS serves there. */
enum caefs_err old_chunk_find(const struct object *previous, const struct chunk_place *place,
                              const uint8_t *raw, struct arena *arena, struct old_chunk *out);

#endif
