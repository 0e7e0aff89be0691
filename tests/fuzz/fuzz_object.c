/* fuzz_object.c - hostile objects: an error or some bytes, never a crash.
 *
 * The input is an object, so that real ones are seeds; where it ends in a trailer
 * the checksum of the index is made right first, so that the parsers behind it are
 * reached. */
#include <stdlib.h>

#include "codec/object.h"
#include "codec/object_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Chunks up to this size are decoded: a claim of more takes only time. */
#define CHUNK_LIMIT ((uint64_t) 1 << 20)

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

static void
make_object(const uint8_t *data, size_t size, struct bytes *object)
{
        uint64_t index_size;
        size_t   trailer_size;
        uint32_t checksum;

        bytes_put(object, data, size);
        if (object->failed || size == 0 ||
            trailer_parse(data, size, &index_size, &trailer_size, &checksum) != CAEFS_OK ||
            index_size > size - trailer_size)
                return;
        object->size -= trailer_size;
        trailer_write(object->data + object->size - index_size, (size_t) index_size,
                      object->size, object);
}

static void
read_chunks(const struct object *o)
{
        struct arena arena = { 0 };

        for (size_t i = 0; i < object_info(o)->nchunks && i < 16; i++) {
                struct chunk_extent e;
                if (object_chunk(o, i, &e) != CAEFS_OK)
                        abort();
                if (object_chunk_at(o, e.offset) != i ||
                    object_chunk_at(o, e.offset + e.length - 1) != i)
                        abort();
                void *buffer = e.length <= CHUNK_LIMIT ? malloc((size_t) e.length) : NULL;
                if (buffer != NULL)
                        (void) !object_read_chunk(o, i, &arena, buffer);
                free(buffer);
        }
        arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct bytes object = { 0 };

        make_object(data, size, &object);
        const struct byte_source source = {
                .read = read_memory,
                .context = &object,
                .size = object.size,
        };
        struct object *o;
        if (object_open(&source, NULL, &o) == CAEFS_OK)
                read_chunks(o);
        object_close(o);
        bytes_free(&object);
        return 0;
}
