/* codec/layout.c - which regions a file has. */
#include "codec/layout.h"

#include <stdlib.h>
#include <string.h>

#include "codec/npy.h"

void
layout_free(struct layout *l)
{
        free(l->region);
        *l = (struct layout) { 0 };
}

/* Appends a region of LENGTH bytes where the last one ended; nothing when LENGTH
 * is 0. OUT has room for three, which is more than any format here needs. */
static void
add_region(struct layout *out, uint64_t length, const struct region *like)
{
        if (length == 0)
                return;
        struct region *r = &out->region[out->nregions];
        *r = *like;
        r->offset = out->nregions == 0 ? 0 : r[-1].offset + r[-1].length;
        r->length = length;
        out->nregions++;
}

static const struct region opaque_region = { .dtype = DTYPE_BYTES };

static void
layout_opaque(uint64_t size, struct layout *out)
{
        out->format = "opaque";
        add_region(out, size, &opaque_region);
}

/* ---- .npy ------------------------------------------------------------------ */

/* Header, values, and what follows them; false when the header is unusable or
 * promises more values than the file has. */
static bool
layout_npy(const void *head, size_t head_size, uint64_t size, struct layout *out)
{
        struct npy_header h;
        uint64_t          length;

        if (!npy_parse(head, head_size, &h))
                return false;
        if (__builtin_mul_overflow(shape_count(&h.shape), dtype_size(h.dtype), &length) ||
            length > size - h.size)
                return false;
        struct region values = {
                .dtype = h.dtype,
                .big_endian = h.big_endian,
                .fortran = h.fortran,
                .shape = h.shape,
        };
        out->format = "npy";
        add_region(out, h.size, &opaque_region);
        add_region(out, length, &values);
        add_region(out, size - h.size - length, &opaque_region);
        return true;
}

/* ---- raw values ------------------------------------------------------------ */

static const struct {
        const char *suffix;
        enum dtype  dtype;              /* DTYPE_BYTES: the user must say */
} raw_suffixes[] = {
        { ".f32", DTYPE_F32 }, { ".f64", DTYPE_F64 },   { ".d64", DTYPE_F64 },
        { ".f16", DTYPE_F16 }, { ".bf16", DTYPE_BF16 }, { ".dat", DTYPE_BYTES },
        { ".bin", DTYPE_BYTES }, { ".raw", DTYPE_BYTES },
};

/* The row of NAME's suffix, or -1. */
static int
suffix_of(const char *name)
{
        size_t n = strlen(name);

        for (size_t i = 0; i < sizeof raw_suffixes / sizeof *raw_suffixes; i++) {
                size_t m = strlen(raw_suffixes[i].suffix);
                if (n > m && strcmp(name + n - m, raw_suffixes[i].suffix) == 0)
                        return (int) i;
        }
        return -1;
}

/* The dtype of a file that says nothing itself; DTYPE_BYTES when nobody knows.
 * A declared dtype (of a directory, perhaps) goes for names that look like raw
 * values, for names without any suffix, and, without a name or with
 * LAYOUT_RAW, for everything: a bound must not reach a README by accident. */
static enum dtype
raw_dtype(const struct layout_hint *hint)
{
        int  suffix = hint->name == NULL ? -1 : suffix_of(hint->name);
        bool meant = hint->mode == LAYOUT_RAW || hint->name == NULL || suffix >= 0 ||
                     strchr(hint->name, '.') == NULL;

        if (hint->dtype != DTYPE_BYTES)
                return meant ? hint->dtype : DTYPE_BYTES;
        return suffix < 0 ? DTYPE_BYTES : raw_suffixes[suffix].dtype;
}

static bool
dims_fit(const struct shape *dims, unsigned value_size, uint64_t size)
{
        uint64_t length;

        return dims->ndim > 0 && dims->ndim <= SHAPE_MAX_DIMENSIONS &&
               !__builtin_mul_overflow(shape_count(dims), value_size, &length) && length == size;
}

/* All of the file as values: of the declared shape where it fits, else in one
 * dimension; false when the size is no whole number of values. */
static bool
layout_raw(const struct layout_hint *hint, uint64_t size, struct layout *out)
{
        struct region values = { .dtype = raw_dtype(hint), .big_endian = hint->big_endian };
        unsigned      value_size = dtype_size(values.dtype);

        if (values.dtype == DTYPE_BYTES || value_size == 0 || size % value_size != 0)
                return false;
        if (dims_fit(&hint->shape, value_size, size))
                values.shape = hint->shape;
        else
                values.shape = (struct shape) { .ndim = 1, .extent = { size / value_size } };
        out->format = "raw";
        add_region(out, size, &values);
        return true;
}

/* ---- which one -------------------------------------------------------------- */

enum caefs_err
layout_detect(const struct byte_source *source, const struct layout_hint *hint,
              struct layout *out)
{
        static const struct layout_hint no_hint;
        size_t         head_size = source->size < NPY_HEADER_MAX ? source->size : NPY_HEADER_MAX;
        enum caefs_err err = CAEFS_OK;

        if (hint == NULL)
                hint = &no_hint;
        *out = (struct layout) { .format = "opaque" };
        if (source->size == 0)
                return CAEFS_OK;
        void *head = malloc(head_size);
        out->region = calloc(3, sizeof *out->region);
        if (head == NULL || out->region == NULL)
                err = caefs_fail(CAEFS_ERR_NOMEM, "no memory to look at a file");
        else if (hint->mode != LAYOUT_OPAQUE)
                err = source->read(source->context, head, head_size, 0);
        if (err == CAEFS_OK &&
            (hint->mode == LAYOUT_OPAQUE ||
             (!layout_npy(head, head_size, source->size, out) &&
              !layout_raw(hint, source->size, out))))
                layout_opaque(source->size, out);
        free(head);
        if (err != CAEFS_OK)
                layout_free(out);
        return err;
}
