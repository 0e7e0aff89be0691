/* codec/sample.c - see codec/sample.h. */
#include "codec/sample.h"

#include <string.h>

#include "codec/residual.h"

#define WINDOW 128

size_t
sample_size(size_t count, enum effort effort)
{
        static const struct {
                size_t share, least, most;
        } sizes[] = { { 64, 1024, 8192 }, { 32, 4096, 16384 }, { 4, 32768, 131072 } };
        size_t n = count / sizes[effort].share;
        n = n > sizes[effort].least ? n : sizes[effort].least;
        n = n < sizes[effort].most ? n : sizes[effort].most;
        return n < count ? n : count;
}

double
sample_estimate(const void *residual, size_t count, bool wide, size_t wanted, struct arena *arena)
{
        size_t size = wide ? sizeof(int64_t) : sizeof(int32_t);
        size_t nwindows = wanted / WINDOW > 2 ? wanted / WINDOW : 2;
        struct arena_mark mark = arena_mark(arena);
        uint8_t *windows = NULL;
        if (count > 2 * nwindows * WINDOW)
                windows = arena_array(arena, nwindows * WINDOW, size);
        if (windows == NULL)
                return residual_estimate_sample(residual, count, wide, count);
        for (size_t w = 0; w < nwindows; w++) {
                size_t start = sample_window(w, nwindows, count - WINDOW);
                memcpy(windows + w * WINDOW * size, (const uint8_t *) residual + start * size,
                       WINDOW * size);
        }
        double bits = residual_estimate_sample(windows, nwindows * WINDOW, wide, count);
        arena_release(arena, mark);
        return bits;
}
