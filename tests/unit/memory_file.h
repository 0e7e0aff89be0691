/* tests/unit/memory_file.h - struct bytes as a source and a sink of the codec. */
#ifndef CAEFS_TESTS_MEMORY_FILE_H
#define CAEFS_TESTS_MEMORY_FILE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/object.h"

/* CONTEXT: the struct bytes; nobody reads beyond them. */
static inline enum caefs_err
read_memory(void *context, void *buffer, size_t n, uint64_t offset)
{
        const struct bytes *b = context;

        assert_true(offset <= b->size && n <= b->size - offset);
        if (n > 0)
                memcpy(buffer, b->data + offset, n);
        return CAEFS_OK;
}

static inline enum caefs_err
write_memory(void *context, const void *data, size_t n)
{
        bytes_put(context, data, n);
        return CAEFS_OK;
}

static inline struct byte_source
source_of(struct bytes *b)
{
        return (struct byte_source) { .read = read_memory, .context = b, .size = b->size };
}

#endif
