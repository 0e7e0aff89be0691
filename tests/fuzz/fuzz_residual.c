/* tests/fuzz/fuzz_residual.c - decoding of arbitrary bytes as residuals.
 *
 * The first bytes say how many segments of which shape; the rest is the coding. */
#include <stdlib.h>

#include "codec/residual.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct cursor in = cursor_of(data, size);
        struct residual_segment segment[4];
        size_t n = 1 + cursor_u8(&in) % 4, count = 0;
        bool wide = cursor_u8(&in) % 2;

        for (size_t i = 0; i < n; i++) {
                segment[i].count = cursor_u16(&in) % 4096;
                segment[i].row = cursor_u16(&in) % 600;
                segment[i].kind = cursor_u8(&in) % 3;
                count += segment[i].count;
        }
        if (in.failed)
                return 0;
        struct arena arena = { 0 };
        void *r = malloc(count * 8 + 1);
        if (r != NULL && wide)
                (void) residual_decode_wide(&in, r, segment, n, &arena);
        else if (r != NULL)
                (void) residual_decode(&in, r, segment, n, &arena);
        free(r);
        arena_free(&arena);
        return 0;
}
