/* codec/layout.h - where the floats of a file lie.
 *
 * A layout is a list of regions that covers the file from its first byte to its
 * last, in order, without gaps: value regions with dtype and shape, and opaque
 * ones.  Parsers trust nothing: a header that lies makes the file opaque.
 *
 * Thread safety: any number of threads.
 */
#ifndef CAEFS_CODEC_LAYOUT_H
#define CAEFS_CODEC_LAYOUT_H

#include "codec/types.h"

/* Bytes to read at any offset: a file, a buffer, an object. */
struct byte_source {
        /* Fills BUFFER with exactly N bytes from OFFSET; offset + n <= size. */
        enum caefs_err (*read)(void *context, void *buffer, size_t n, uint64_t offset);
        void    *context;
        uint64_t size;
};

struct region {
        uint64_t     offset;            /* in the file */
        uint64_t     length;            /* bytes; count * dtype_size for values */
        enum dtype   dtype;             /* DTYPE_BYTES: opaque */
        bool         big_endian;
        bool         fortran;           /* shape is as the decoder walks memory (slowest
                                         * first), this only remembers the header's word */
        struct shape shape;             /* slowest first; ndim 0 for opaque */
};

struct layout {
        struct region *region;          /* owned */
        size_t         nregions;
        const char    *format;          /* "npy", "raw", "opaque": static string */
};

/* What the user said; all zero: nothing. */
struct layout_hint {
        enum { LAYOUT_AUTO = 0, LAYOUT_RAW, LAYOUT_OPAQUE } mode;
        enum dtype   dtype;             /* DTYPE_BYTES: not said */
        bool         big_endian;
        struct shape shape;             /* dims; ndim 0: not said */
        const char  *name;              /* the file's last path component, or NULL: its
                                         * suffix may give a dtype (.f32, .f64) */
};

/* Finds the layout of SOURCE.  A file that is no format we know is one opaque
 * region; an empty file has none.  Fails only when reading or memory fails.  The caller
 * frees with layout_free(). */
enum caefs_err layout_detect(const struct byte_source *source, const struct layout_hint *hint,
                             struct layout *out);
void layout_free(struct layout *l);

#endif
