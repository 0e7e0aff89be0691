/* tests/fuzz/fuzz_table.c - any bytes are a part of family `table` within the limits, or an
 * error; and whatever side information and residuals a chunk has, a part decodes it or
 * refuses.
 *
 * The first two bytes say how many of the others are the part, before it is packed. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "codec/model.h"
#include "codec/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 24, COLUMNS = 3, STORED = 0 };

static void
decode(const struct model *m, const uint8_t *data, size_t size)
{
        const struct field_geometry g = {
                .shape = { .ndim = 2, .extent = { ROWS, COLUMNS } }, .count = ROWS * COLUMNS,
                .step = 128, .scope = SCOPE_COLUMN, .model = m,
        };
        struct cursor all = cursor_of(data, size);
        const size_t side_size = cursor_varint_max(&all, cursor_left(&all));
        const uint8_t *raw = cursor_take(&all, side_size);
        struct arena arena = { 0 };
        int32_t grid[ROWS * COLUMNS];

        if (!all.failed) {
                struct cursor side = cursor_of(raw, side_size);
                (void) family_table.decode(&g, &side, &all, &arena, grid);
        }
        arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct model_info info = { .scope = SCOPE_COLUMN };
        struct model_part part = { .family = FAMILY_TABLE };
        struct model *m = NULL;

        if (size < 2)
                return 0;
        size_t own = (size_t) (data[0] | data[1] << 8) % (size - 1);
        bytes_put_varint(&part.bytes, own);
        bytes_put_u8(&part.bytes, STORED);
        bytes_put(&part.bytes, data + 2, own);
        if (model_build(&info, &part, 1, &m) == CAEFS_OK)
                decode(m, data + 2 + own, size - 2 - own);
        model_free(m);
        bytes_free(&part.bytes);
        return 0;
}
