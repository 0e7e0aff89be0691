/* fuzz_object.c - hostile objects: an error or some bytes, never a crash.
 *
 * The first byte says how the rest is taken.  Even: as an object.  Odd: as payload and
 * index, the second byte saying how long the index is (in 1/256 of the rest);
 * magic and trailer are put around them, so that the checksum of the index is
 * right and the parsers behind it are reached. */
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
        if (size < 2 || data[0] % 2 == 0) {
                bytes_put(object, data + (size > 0), size - (size > 0));
                return;
        }
        size_t rest = size - 2;
        size_t index_size = rest * data[1] / 255;
        bytes_put(object, object_magic, OBJECT_MAGIC_SIZE);
        bytes_put(object, data + 2, rest);
        if (!object->failed)
                trailer_write(object->data + object->size - index_size, index_size, object->size,
                              object);
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
