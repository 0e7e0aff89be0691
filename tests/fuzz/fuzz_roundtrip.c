/* fuzz_roundtrip.c - any values under any bound come back within it.
 *
 * The first bytes of the input say what the file is (dtype, byte order, shape,
 * scope), what is asked of it (mode, bound, effort, chunk size) and which values a
 * rewrite changes; the others are the values.  Encoded as an object, decoded, judged
 * by tools/judge.c; then changed, rewritten and judged again.  A broken bound, and
 * a value that a rewrite did not keep, abort.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/object.h"
#include "tools/judge.h"

/* From libFuzzer, which declares it nowhere. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The head of an input. */
enum {
        HEAD_DTYPE,
        HEAD_SCOPE,             /* and byte order */
        HEAD_LAST,              /* extent of the last axis */
        HEAD_MIDDLE,            /* and of the one before */
        HEAD_MODE,
        HEAD_EXPONENT,          /* of the bound */
        HEAD_MANTISSA,
        HEAD_EFFORT,            /* and chunk size */
        HEAD_CHANGE,            /* every how many values a rewrite changes; 0: none */
        HEAD_CHANGED_BITS,
        HEAD_SIZE = 12
};

static enum caefs_err
read_memory(void *context, void *buffer, size_t n, uint64_t offset)
{
        const struct bytes *b = context;

        if (offset > b->size || n > b->size - offset)
                abort();                /* the contract of byte_source */
        if (n > 0)
                memcpy(buffer, b->data + offset, n);
        return CAEFS_OK;
}

static enum caefs_err
write_memory(void *context, const void *data, size_t n)
{
        bytes_put(context, data, n);
        return CAEFS_OK;
}

static void
complain_and_abort(const char *what)
{
        fprintf(stderr, "fuzz_roundtrip: %s (%s)\n", what, caefs_detail());
        abort();
}

/* (width) and (count) of the values, and what to do with them. */
static size_t
read_head(const uint8_t *head, size_t room, struct object_options *o)
{
        struct layout_hint *h = &o->hint;

        h->mode = LAYOUT_RAW;
        h->dtype = (enum dtype) (1 + head[HEAD_DTYPE] % (DTYPE_COUNT - 1));
        h->big_endian = head[HEAD_SCOPE] / 3 % 2 != 0 && dtype_size(h->dtype) > 1;
        o->scope = (enum scope) (head[HEAD_SCOPE] % 3);
        size_t n = room / dtype_size(h->dtype);
        size_t last = 1 + head[HEAD_LAST] % 16u, middle = 1 + head[HEAD_MIDDLE] % 32u;
        if (last > n)
                last = 1;
        if (last * middle > n)
                middle = 1;
        n -= n % (last * middle);
        h->shape = middle > 1 ? (struct shape) { 3, { n / (last * middle), middle, last } }
                              : (struct shape) { 2, { n / last, last } };
        o->bound.mode = (enum bound_mode) (head[HEAD_MODE] % 5);
        o->bound.amount = o->bound.mode == BOUND_LOSSLESS ? 0
                : o->bound.mode == BOUND_PSNR ? 1 + head[HEAD_EXPONENT] + head[HEAD_MANTISSA] / 256.0
                : ldexp(1 + head[HEAD_MANTISSA] / 256.0, (int8_t) head[HEAD_EXPONENT]);
        o->effort = (enum effort) (head[HEAD_EFFORT] % 3);
        o->chunk = head[HEAD_EFFORT] & 0x80 ? (size_t) 64 << (head[HEAD_EFFORT] / 4 % 8) : 0;
        return n;
}

/* Encodes FILE, as a rewrite of O->previous if any, decodes and judges it. */
static struct object *
round_trip(const struct bytes *file, const struct object_options *o, struct bytes *stored,
           struct bytes *served)
{
        const struct byte_source source = {
                .read = read_memory,
                .context = (void *) file,
                .size = file->size,
        };
        const struct byte_sink sink = { .write = write_memory, .context = stored };
        struct object_report   report;
        struct object         *opened;

        if (object_encode(&source, o, &sink, &report) != CAEFS_OK)
                complain_and_abort("cannot encode");
        const struct byte_source object = {
                .read = read_memory,
                .context = stored,
                .size = stored->size,
        };
        if (object_open(&object, NULL, &opened) != CAEFS_OK)
                complain_and_abort("cannot open");
        if (bytes_reserve(served, file->size) == NULL)
                complain_and_abort("no memory");
        served->size = file->size;
        if (object_info(opened)->logical_bytes != file->size ||
            object_read(opened, served->data, served->size, 0) != CAEFS_OK)
                complain_and_abort("cannot decode");
        for (size_t i = 0; i < object_info(opened)->nregions; i++) {
                const struct region *r = object_region(opened, i);
                struct verdict       v;
                if (judge_region(r, &o->bound, o->scope, file->data + r->offset,
                                 served->data + r->offset, &v) != CAEFS_OK || v.broken != 0)
                        complain_and_abort("the bound is broken");
        }
        return opened;
}

/* Changes some of what was served, rewrites it, and wants the rest kept. */
static void
rewrite(const uint8_t *head, const struct bytes *served, struct object *previous,
        struct object_options *o)
{
        unsigned     width = dtype_size(o->hint.dtype);
        size_t       every = (size_t) 1 + head[HEAD_CHANGE];
        struct bytes file = { 0 }, stored = { 0 }, again = { 0 };

        bytes_put(&file, served->data, served->size);
        for (size_t i = every / 2; i * width < file.size; i += every)
                file.data[i * width + head[HEAD_CHANGED_BITS] % width] ^=
                        (uint8_t) (1 + head[HEAD_CHANGED_BITS] / 8);
        o->previous = previous;
        struct object *opened = round_trip(&file, o, &stored, &again);
        for (size_t at = 0; at < file.size; at += width)
                if (memcmp(file.data + at, served->data + at, width) == 0 &&
                    memcmp(again.data + at, served->data + at, width) != 0)
                        complain_and_abort("a value that nobody changed did not stay");
        object_close(opened);
        bytes_free(&file);
        bytes_free(&stored);
        bytes_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct object_options o = { .threads = 1 };
        struct bytes          file = { 0 }, stored = { 0 }, served = { 0 };

        if (size < HEAD_SIZE + 8)
                return 0;
        size_t n = read_head(data, size - HEAD_SIZE, &o);
        bytes_put(&file, data + HEAD_SIZE, n * dtype_size(o.hint.dtype));
        struct object *opened = round_trip(&file, &o, &stored, &served);
        if (data[HEAD_CHANGE] != 0)
                rewrite(data, &served, opened, &o);
        object_close(opened);
        bytes_free(&file);
        bytes_free(&stored);
        bytes_free(&served);
        return 0;
}
