/* fuzz_chunk.c - chunk_decode() on any bytes: an error or some values, no crash.
 *
 * The first four bytes of the input choose dtype, byte order, scope and shape.
 */
#include <stdlib.h>

#include "codec/chunk.h"

/* From libFuzzer, which declares it nowhere. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint64_t values[16 * 16 * 16];
        struct arena    arena = { 0 };

        if (size < 4)
                return 0;
        struct chunk_geometry g = {
                .dtype = (enum dtype) (1 + data[0] % (DTYPE_COUNT - 1)),
                .big_endian = data[0] & 0x80,
                .scope = (enum scope) (data[1] % 3),
                .shape = { 3, { 1 + data[2] % 16u, 1 + data[2] / 16u, 1 + data[3] % 16u } },
        };
        (void) chunk_decode(&g, data + 4, size - 4, &arena, values);
        arena_free(&arena);
        return 0;
}
