#include <string.h>

#include "codec/npy.h"
#include "tools/bench_sample.h"
#include "tools/file.h"

static enum caefs_err read_sample(void *context, void *data, size_t n, uint64_t offset)
{
        const struct bytes *b = context;

        if (n > 0)
                memcpy(data, b->data + offset, n);
        return CAEFS_OK;
}

static const struct region *largest_array(const struct layout *l)
{
        const struct region *largest = NULL;
        size_t i;

        for (i = 0; i < l->nregions; i++)
                if (dtype_is_float(l->region[i].dtype) &&
                    (largest == NULL || l->region[i].length > largest->length))
                        largest = &l->region[i];
        return largest;
}

const struct region *bench_sample_array(const struct bench_sample *s)
{
        return largest_array(&s->layout);
}

/* Appends LENGTH bytes of the file from OFFSET. */
static enum caefs_err take(const struct file_input *in, uint64_t offset, uint64_t length,
                           struct bench_sample *s)
{
        uint8_t *to = bytes_reserve(&s->data, (size_t)length + 1);

        if (to == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for a sample of the file");
        s->data.size += (size_t)length;
        return in->source.read(in->source.context, to, (size_t)length, offset);
}

/* Whole slices from the middle of array R, at most LIMIT bytes and at least one. */
static enum caefs_err take_slices(const struct file_input *in, const struct region *r,
                                  bool npy, uint64_t limit, struct bench_sample *s)
{
        uint64_t slices = r->shape.ndim > 0 ? r->shape.extent[0] : 1;
        uint64_t slice = r->length / slices, n = limit / slice;
        struct shape shape = r->shape;

        n = n < 1 ? 1 : n > slices ? slices : n;
        if (shape.ndim > 0)
                shape.extent[0] = n;
        if (npy) {
                const struct npy_header h = {
                        .dtype = r->dtype,
                        .big_endian = r->big_endian,
                        .fortran = r->fortran,
                        .shape = shape,
                };

                npy_write(&h, NPY_PAD_64, &s->data);
        } else {
                s->hint = (struct layout_hint){
                        .mode = LAYOUT_RAW,
                        .dtype = r->dtype,
                        .big_endian = r->big_endian,
                        .shape = shape,
                };
        }
        return take(in, r->offset + (slices - n) / 2 * slice, n * slice, s);
}

/* What the file has to offer within LIMIT. */
static enum caefs_err take_sample(const struct file_input *in, uint64_t limit,
                                  struct bench_sample *s)
{
        struct layout layout;
        const struct region *r;
        enum caefs_err err;

        s->file_size = in->source.size;
        s->whole = in->source.size <= limit;
        if (s->whole)
                return take(in, 0, in->source.size, s);
        err = layout_detect(&in->source, &s->hint, &layout);
        if (err != CAEFS_OK)
                return err;
        r = largest_array(&layout);
        err = r != NULL ? take_slices(in, r, strcmp(layout.format, "npy") == 0, limit, s)
                        : take(in, 0, limit, s);
        layout_free(&layout);
        return err;
}

/* Looks at what DATA holds by now. */
static enum caefs_err find_layout(struct bench_sample *s)
{
        s->source = (struct byte_source){
                .read = read_sample,
                .context = &s->data,
                .size = s->data.size,
        };
        return layout_detect(&s->source, &s->hint, &s->layout);
}

enum caefs_err bench_sample_load(const char *path, uint64_t limit,
                                 const struct layout_hint *hint, struct bench_sample *s)
{
        struct file_input in;
        enum caefs_err err;

        *s = (struct bench_sample){ .hint = *hint };
        err = file_input_open(path, &in);
        if (err != CAEFS_OK)
                return err;
        err = take_sample(&in, limit, s);
        file_input_close(&in);
        return err == CAEFS_OK ? find_layout(s) : err;
}

enum caefs_err bench_sample_of_memory(struct bytes *data, const struct layout_hint *hint,
                                      struct bench_sample *s)
{
        *s = (struct bench_sample){
                .data = *data,
                .hint = *hint,
                .file_size = data->size,
                .whole = true,
        };
        *data = (struct bytes){ 0 };
        return find_layout(s);
}

void bench_sample_free(struct bench_sample *s)
{
        layout_free(&s->layout);
        bytes_free(&s->data);
        *s = (struct bench_sample){ 0 };
}
