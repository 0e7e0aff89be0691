/* codec/npy.h - the header of NumPy's .npy files.
 *
 * A .npy file is a magic, a version, the length of a header, and the header: a
 * Python dictionary with the keys 'descr', 'fortran_order' and 'shape', padded
 * with spaces; the values follow.
 * Source: NumPy Enhancement Proposal 1, and numpy/lib/format.py.
 *
 * Thread safety: any number of threads.
 */
#ifndef CAEFS_CODEC_NPY_H
#define CAEFS_CODEC_NPY_H

#include "codec/types.h"
#include "common/bytes.h"

/* Enough of a file to hold any header that we read (longer ones are opaque). */
#define NPY_HEADER_MAX ((size_t) 65536)

struct npy_header {
        size_t       size;              /* bytes up to the first value */
        enum dtype   dtype;
        bool         big_endian;
        bool         fortran;
        struct shape shape;             /* as memory is walked, slowest first: the
                                         * header's own order, reversed when FORTRAN; a
                                         * complex array has a last axis of 2 more */
};

/* Reads the header at the start of DATA (SIZE bytes, not trusted).  False when
 * there is none that we can use: another magic, a longer header, records, strings,
 * objects, an extent of 0, too many dimensions. */
bool npy_parse(const void *data, size_t size, struct npy_header *h);

/* How NumPy has padded its headers over the years.  The numbers are part of the
 * format of objects. */
enum npy_padding {
        NPY_OTHER = 0,                  /* none of these: cannot be made again */
        NPY_PAD_64 = 1,                 /* to a multiple of 64 */
        NPY_PAD_GROWTH = 2,             /* the same, with room for the first extent to grow */
        NPY_PAD_16 = 3,                 /* to a multiple of 16 */
};

/* Appends the header that NumPy writes for plain numbers of this dtype and shape. */
void npy_write(const struct npy_header *h, enum npy_padding padding, struct bytes *out);

/* The padding with which npy_write() gives exactly DATA's header (H: its parse). */
enum npy_padding npy_padding_of(const struct npy_header *h, const void *data);

#endif
