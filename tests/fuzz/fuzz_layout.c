/* fuzz_layout.c - hostile headers: whatever a file holds, its regions cover it
 * from the first byte to the last, and hold as many values as they say. */
#include <stdlib.h>
#include <string.h>

#include "codec/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
        const uint8_t *data;
        size_t         size;
};

static enum caefs_err
read_memory(void *context, void *buffer, size_t n, uint64_t offset)
{
        const struct memory *m = context;

        if (offset > m->size || n > m->size - offset)
                abort();
        memcpy(buffer, m->data + offset, n);
        return CAEFS_OK;
}

static void
check(const struct layout *l, uint64_t size)
{
        uint64_t at = 0;

        for (size_t i = 0; i < l->nregions; i++) {
                const struct region *r = &l->region[i];
                if (r->offset != at || r->length == 0 || r->length > size - at)
                        abort();
                if (r->dtype != DTYPE_BYTES &&
                    shape_count(&r->shape) * dtype_size(r->dtype) != r->length)
                        abort();
                at += r->length;
        }
        if (at != size)
                abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const names[] = { "a.npy", "a.f32", "a.dat", "a", NULL };
        struct layout_hint       hint = { 0 };
        struct layout            l;

        /* The first byte is what the user says. */
        if (size == 0)
                return 0;
        hint.name = names[data[0] % 5];
        hint.dtype = (enum dtype) (data[0] / 5 % DTYPE_COUNT);
        hint.shape = (struct shape) { .ndim = data[0] > 128 ? 2 : 0, .extent = { 3, data[0] } };
        struct memory            m = { data + 1, size - 1 };
        const struct byte_source source = {
                .read = read_memory,
                .context = &m,
                .size = m.size,
        };
        if (layout_detect(&source, &hint, &l) == CAEFS_OK)
                check(&l, m.size);
        layout_free(&l);
        return 0;
}
