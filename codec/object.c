/* codec/object.c - opening and reading objects.  (Writing: object_encode.c.) */
#include "codec/object_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <xxhash.h>

/* An object of no bytes at all: magic, two bytes of index, trailer. */
#define OBJECT_SIZE_MIN (OBJECT_MAGIC_SIZE + 2 + 5)

uint32_t
served_checksum(const void *data, size_t n)
{
        return (uint32_t) XXH3_64bits(data, n);
}

/* ---- opening ---------------------------------------------------------------- */

static enum caefs_err
check_magic(const struct byte_source *source)
{
        uint8_t head[OBJECT_MAGIC_SIZE];

        if (source->size < OBJECT_SIZE_MIN)
                return caefs_fail(CAEFS_ERR_CORRUPT, "too short to be an object of caefs");
        enum caefs_err err = source->read(source->context, head, sizeof head, 0);
        if (err != CAEFS_OK)
                return err;
        if (memcmp(head, object_magic, OBJECT_MAGIC_SIZE - 1) != 0)
                return caefs_fail(CAEFS_ERR_CORRUPT, "not an object of caefs");
        unsigned version = head[OBJECT_MAGIC_SIZE - 1];
        if (version > OBJECT_VERSION)
                return caefs_fail(CAEFS_ERR_VERSION,
                                  "an object of format %u; this caefs reads up to %d", version,
                                  OBJECT_VERSION);
        if (version != OBJECT_VERSION)
                return caefs_fail(CAEFS_ERR_CORRUPT, "an object of no known format");
        return CAEFS_OK;
}

/* Reads the trailer and the index before it, proves and parses it. */
static enum caefs_err
read_index(const struct byte_source *source, struct index *index)
{
        uint8_t        tail[TRAILER_MAX];
        size_t         n = source->size < sizeof tail ? (size_t) source->size : sizeof tail;
        uint64_t       size;
        size_t         trailer;
        uint32_t       checksum;
        enum caefs_err err = source->read(source->context, tail, n, source->size - n);

        if (err == CAEFS_OK)
                err = trailer_parse(tail, n, &size, &trailer, &checksum);
        if (err != CAEFS_OK)
                return err;
        if (OBJECT_MAGIC_SIZE + trailer > source->size ||
            size > source->size - OBJECT_MAGIC_SIZE - trailer)
                return caefs_fail(CAEFS_ERR_CORRUPT, "the index would be larger than the object");
        void *bytes = malloc((size_t) size + 1);
        if (bytes == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for an index of %" PRIu64 " bytes",
                                  size);
        err = source->read(source->context, bytes, (size_t) size, source->size - trailer - size);
        uint64_t identity = err == CAEFS_OK ? index_identity(bytes, (size_t) size, source->size) : 0;
        if (err == CAEFS_OK && (uint32_t) identity != checksum)
                err = caefs_fail(CAEFS_ERR_CORRUPT, "the index does not match its checksum");
        if (err == CAEFS_OK)
                err = index_parse(bytes, (size_t) size, source->size, trailer, index);
        index->identity = identity;
        free(bytes);
        return err;
}

/* What the index names, as far as it is found.  A key is what has the identity and needs
 * no key: so objects that refer to each other, or to themselves, find nothing. */
static void
find_needs(struct object *o, const struct object_finder *finder)
{
        if (finder == NULL)
                return;
        o->finder = *finder;
        if (o->index.model_hash != 0 && finder->model != NULL)
                o->model = finder->model(finder->context, o->index.model_hash);
        if (o->index.key == 0 || finder->key == NULL)
                return;
        const struct object *key = finder->key(finder->context, o->index.key);
        if (key != NULL && key->info.identity == o->index.key && object_may_be_key(key))
                o->key = key;
}

enum caefs_err
object_open(const struct byte_source *source, const struct object_finder *finder,
            struct object **out)
{
        *out = NULL;
        enum caefs_err err = check_magic(source);
        if (err != CAEFS_OK)
                return err;
        struct object *o = calloc(1, sizeof *o);
        if (o == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory to open an object");
        err = read_index(source, &o->index);
        if (err != CAEFS_OK) {
                free(o);
                return err;
        }
        const struct index *x = &o->index;
        o->source = *source;
        find_needs(o, finder);
        o->info = (struct object_info) {
                .logical_bytes = x->logical_bytes,
                .stored_bytes = source->size,
                .bound = x->bound,
                .scope = x->scope,
                .identity = x->identity,
                .model_hash = x->model_hash,
                .key = x->key,
                .worst_known = x->worst_known,
                .worst = x->worst,
                .worst_over_bound = x->worst_over_bound,
                .nregions = x->nregions,
                .nchunks = x->nchunks,
        };
        *out = o;
        return CAEFS_OK;
}

void
object_close(struct object *o)
{
        if (o == NULL)
                return;
        index_free(&o->index);
        free(o);
}

const struct object_info *
object_info(const struct object *o)
{
        return &o->info;
}

const struct region *
object_region(const struct object *o, size_t index)
{
        return &o->index.region[index].region;
}

/* ---- chunks ----------------------------------------------------------------- */

enum caefs_err
object_chunk(const struct object *o, size_t index, struct chunk_extent *e)
{
        const struct index *x = &o->index;
        struct chunk_place  place;

        if (index >= x->nchunks)
                return caefs_fail(CAEFS_ERR_ARGUMENT, "chunk %zu of %zu", index, x->nchunks);
        index_chunk_place(x, index, &place);
        *e = (struct chunk_extent) {
                .offset = place.offset,
                .length = place.length,
                .stored = x->chunk_table[index + 1].start - x->chunk_table[index].start,
                .region = place.region,
                .family = x->chunk_table[index].family,
        };
        return CAEFS_OK;
}

size_t
object_chunk_at(const struct object *o, uint64_t offset)
{
        return index_chunk_at(&o->index, offset);
}

/* No encoder makes more of a chunk than this; so memory is bounded by what a
 * reader asks for, and not by what an object claims. */
static uint64_t
stored_max(uint64_t length)
{
        return 2 * length + 65536;
}

enum caefs_err
object_read_stored(const struct object *o, size_t index, uint64_t length, struct arena *arena,
                   const void **coded, size_t *size)
{
        const struct index_chunk *chunk = &o->index.chunk_table[index];
        uint64_t                  n = chunk[1].start - chunk->start;

        if (n > stored_max(length))
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk %zu: %" PRIu64 " stored bytes for %"
                                  PRIu64, index, n, length);
        void *bytes = arena_alloc(arena, (size_t) n);
        if (bytes == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for a chunk of %" PRIu64 " bytes", n);
        *coded = bytes;
        *size = (size_t) n;
        return o->source.read(o->source.context, bytes, *size, chunk->start);
}

/* The header that stands before the values of region REGION + 1. */
static enum caefs_err
make_header(const struct object *o, const struct chunk_place *place, void *buffer)
{
        const struct region *values = &o->index.region[place->region + 1].region;
        struct npy_header    h = {
                .dtype = values->dtype,
                .big_endian = values->big_endian,
                .fortran = values->fortran,
                .shape = values->shape,
        };
        struct bytes         made = { 0 };

        npy_write(&h, place->made, &made);
        bool ok = !made.failed && made.size == place->length;
        if (ok)
                memcpy(buffer, made.data, made.size);
        bytes_free(&made);
        return ok ? CAEFS_OK : caefs_fail(CAEFS_ERR_NOMEM, "no memory for a header");
}

/* Decodes without proving. */
static enum caefs_err
decode_chunk(const struct object *o, size_t index, struct chunk_place *place,
             struct arena *arena, void *buffer)
{
        const void    *coded;
        size_t         size;
        enum caefs_err err = object_read_stored(o, index, place->length, arena,
                                                &coded, &size);

        if (err != CAEFS_OK)
                return err;
        if (place->geometry.dtype == DTYPE_BYTES)
                return chunk_decode_bytes(coded, size, buffer, (size_t) place->length);
        place->geometry.model = o->model;
        if (chunk_uses_reference(coded, size)) {
                struct key_reader reader = object_key_reader(o);
                if (reader.key == NULL)
                        return caefs_fail(CAEFS_ERR_MODEL, "chunk %zu: the object that it refers "
                                          "to is missing", index);
                err = key_reference(&reader, &o->index, place, arena, &place->geometry.reference);
        }
        return err != CAEFS_OK ? err
                               : chunk_decode(&place->geometry, coded, size, arena, buffer);
}

enum caefs_err
object_read_chunk(const struct object *o, size_t index, struct arena *arena, void *buffer)
{
        struct chunk_place place;

        if (index >= o->index.nchunks)
                return caefs_fail(CAEFS_ERR_ARGUMENT, "chunk %zu of %zu", index,
                                  o->index.nchunks);
        index_chunk_place(&o->index, index, &place);
        if (place.made != NPY_OTHER)
                return make_header(o, &place, buffer);

        struct arena_mark mark = arena_mark(arena);
        enum caefs_err    err = decode_chunk(o, index, &place, arena, buffer);
        arena_release(arena, mark);
        if (err == CAEFS_OK && served_checksum(buffer, (size_t) place.length) !=
                                       o->index.chunk_table[index].checksum)
                err = caefs_fail(CAEFS_ERR_CORRUPT,
                                 "chunk %zu (file bytes %" PRIu64 " to %" PRIu64
                                 ") does not match its checksum",
                                 index, place.offset, place.offset + place.length - 1);
        return err;
}

enum caefs_err
object_read(const struct object *o, void *buffer, size_t n, uint64_t offset)
{
        struct arena   arena = { 0 };
        enum caefs_err err = CAEFS_OK;
        uint8_t       *to = buffer;

        if (offset > o->info.logical_bytes || n > o->info.logical_bytes - offset)
                return caefs_fail(CAEFS_ERR_ARGUMENT, "reading past the end of an object");
        while (n > 0 && err == CAEFS_OK) {
                size_t             index = object_chunk_at(o, offset);
                struct chunk_place e;
                index_chunk_place(&o->index, index, &e);
                uint64_t skip = offset - e.offset;
                size_t   part = n < e.length - skip ? n : (size_t) (e.length - skip);
                /* Straight into the caller's buffer where all of a chunk is asked for. */
                struct arena_mark mark = arena_mark(&arena);
                uint8_t *chunk = part == e.length ? to : arena_alloc(&arena, (size_t) e.length);
                if (chunk == NULL) {
                        err = caefs_fail(CAEFS_ERR_NOMEM, "no memory for a chunk");
                        break;
                }
                err = object_read_chunk(o, index, &arena, chunk);
                if (err == CAEFS_OK && chunk != to)
                        memcpy(to, chunk + skip, part);
                arena_release(&arena, mark);
                to += part;
                offset += part;
                n -= part;
        }
        arena_free(&arena);
        return err;
}
