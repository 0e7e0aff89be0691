/* codec/object_key.c - what a key object serves where a chunk of another object lies.
 *
 * Objects of a series are alike: an object may be predicted from another one, its key.
 * A key refers to no object itself, so to read a chunk is to read what lies there in
 * one other object, however long the series is. */
#include "codec/object_internal.h"
#include "codec/value.h"

/* Values of a region of another shape that a chunk may be predicted from. */
#define ELSEWHERE_LIMIT ((uint64_t) 4 << 20)

bool
object_may_be_key(const struct object *o)
{
        return o->info.key == 0;
}

struct key_reader
object_key_reader(const struct object *o)
{
        return (struct key_reader) { o->key, o->finder.read_key, o->finder.context };
}

/* True when each value of A has the place in memory that it has in B: the number of rows
 * apart they are the same array. */
static bool
same_layout(const struct region *a, const struct region *b)
{
        if (a->fortran != b->fortran || a->shape.ndim != b->shape.ndim)
                return false;
        for (unsigned i = 1; i < a->shape.ndim; i++)
                if (a->shape.extent[i] != b->shape.extent[i])
                        return false;
        return true;
}

/* The region of KEY that is to REGION what the one array of a series is to the next; NULL:
 * none. */
static const struct region *
counterpart(const struct object *key, const struct index *x, size_t region)
{
        if (key == NULL || region >= key->index.nregions)
                return NULL;
        const struct index_region *k = &key->index.region[region];
        enum dtype                 dtype = x->region[region].region.dtype;
        return k->made == NPY_OTHER && dtype != DTYPE_BYTES && k->region.dtype == dtype
                ? &k->region : NULL;
}

static enum caefs_err
read_key(const struct key_reader *r, void *buffer, size_t n, uint64_t offset)
{
        return r->read != NULL ? r->read(r->context, r->key, buffer, n, offset)
                               : object_read(r->key, buffer, n, offset);
}

enum caefs_err
key_reference(const struct key_reader *r, const struct index *x,
              const struct chunk_place *place, struct arena *arena,
              const struct reference **out)
{
        const struct region *here = &x->region[place->region].region;
        const struct region *there = counterpart(r->key, x, place->region);
        bool                 host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

        *out = NULL;
        if (there == NULL)
                return CAEFS_OK;
        unsigned width = dtype_size(there->dtype);
        uint64_t start = place->offset - here->offset, length = place->length;
        bool     aligned = same_layout(here, there) && start <= there->length
                && length <= there->length - start;
        if (!aligned) {
                start = 0;
                length = there->length < ELSEWHERE_LIMIT * width ? there->length
                                                                 : ELSEWHERE_LIMIT * width;
        }
        struct reference *reference = arena_alloc(arena, sizeof *reference);
        void             *values = arena_alloc(arena, (size_t) length);
        if (reference == NULL || values == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for what a chunk refers to");
        enum caefs_err err = read_key(r, values, (size_t) length, there->offset + start);
        if (err != CAEFS_OK)
                return err;
        if (there->big_endian != host_big)
                values_swap(values, (size_t) length / width, width, values);
        *reference = (struct reference) {
                .dtype = there->dtype,
                .values = values,
                .count = (size_t) length / width,
                .at = aligned ? 0 : REFERENCE_NOWHERE,
        };
        *out = reference;
        return CAEFS_OK;
}
