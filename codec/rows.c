/* codec/rows.c - see codec/rows.h. */
#include "codec/rows.h"

#include "codec/cpu.h"

#define FASTEST (AXES - 1)
#define ROOM    4               /* at either end; at least STENCIL_REACH */

/* From one row of N points to the next. */
static size_t
pitch_of(size_t n)
{
        return (n < ROWS_LANES ? n : (n + ROWS_LANES - 1) / ROWS_LANES * ROWS_LANES) + 2 * ROOM;
}

#define DEFINE_INTERLEAVE(suffix, TARGET)                                               \
TARGET static void                                                                      \
interleave##suffix(const int32_t *restrict even, const int32_t *restrict odd,           \
                   size_t nodd, int32_t *restrict whole)                                \
{                                                                                       \
        for (size_t i = 0; i < nodd; i++) {                                             \
                whole[2 * i] = even[i];                                                 \
                whole[2 * i + 1] = odd[i];                                              \
        }                                                                               \
}

DEFINE_INTERLEAVE(_plain, )
#if defined(__x86_64__)
DEFINE_INTERLEAVE(_avx2, TARGET_AVX2)
#endif

/* The fastest for this CPU. */
static void
choose_interleave(struct canvas *c)
{
        c->interleave = interleave_plain;
#if defined(__x86_64__)
        if (cpu_level() != CPU_PLAIN)
                c->interleave = interleave_avx2;
#endif
}

enum caefs_err
canvas_make(struct canvas *c, const size_t extent[AXES], struct arena *arena)
{
        size_t nrows = extent[0] * extent[1] * extent[2];
        size_t half = pitch_of((extent[FASTEST] + 1) / 2), full = pitch_of(extent[FASTEST]);
        memcpy(c->extent, extent, sizeof c->extent);
        choose_interleave(c);
        /* A row of half as many points may have the same pitch, so all are as large. */
        full = full > half ? full : half;
        c->known = arena_array(arena, nrows * full + ROWS_LANES, sizeof(int32_t));
        c->next = arena_array(arena, nrows * full + ROWS_LANES, sizeof(int32_t));
        c->between = arena_array(arena, nrows * half + ROWS_LANES, sizeof(int32_t));
        return c->known && c->next && c->between
                ? CAEFS_OK : caefs_fail(CAEFS_ERR_NOMEM, "pyramid: no memory for %zu rows", nrows);
}

/* Rows of N points in BUFFER, SPACING apart on axes 0 to 2. */
static struct rows
rows_in(const struct canvas *c, int32_t *buffer, size_t n, const size_t spacing[AXES])
{
        size_t pitch = pitch_of(n);
        struct rows r = { .at = buffer + ROOM, .point = 1 };
        for (unsigned a = FASTEST; a-- > 0; pitch *= c->extent[a])
                r.stride[a] = pitch * spacing[a];
        return r;
}

void
canvas_rows(const struct canvas *c, const struct pass *p, struct rows *even, struct rows *odd)
{
        if (p->axis == BASE_PASS) {
                *odd = rows_in(c, c->known, p->odd[FASTEST], p->spacing);
                return;
        }
        *even = rows_in(c, c->known, p->even[FASTEST], p->spacing);
        if (p->axis == FASTEST) {
                *odd = rows_in(c, c->between, p->odd[FASTEST], p->spacing);
                return;
        }
        *odd = *even;
        odd->at += odd->stride[p->axis];
        odd->stride[p->axis] *= 2;
        even->stride[p->axis] *= 2;
}

/* The first and the last point again, as far as stencils reach. */
static void
repeat_ends(int32_t *row, size_t n)
{
        for (unsigned i = 1; i <= STENCIL_REACH; i++) {
                row[-(ptrdiff_t) i] = row[0];
                row[n - 1 + i] = row[n - 1];
        }
}

void
canvas_end_row(struct canvas *c, const struct pass *p, const size_t index[AXES - 1])
{
        struct rows even, odd;
        canvas_rows(c, p, &even, &odd);
        int32_t *row = row_of(&odd, index);
        repeat_ends(row, p->odd[FASTEST]);
        if (p->axis != FASTEST)
                return;
        struct rows whole = rows_in(c, c->next, p->whole[FASTEST], p->spacing);
        int32_t *to = row_of(&whole, index);
        const int32_t *known = row_of(&even, index);
        c->interleave(known, row, p->odd[FASTEST], to);
        to[p->whole[FASTEST] - 1] = p->even[FASTEST] > p->odd[FASTEST]
                ? known[p->even[FASTEST] - 1] : row[p->odd[FASTEST] - 1];
        repeat_ends(to, p->whole[FASTEST]);
}

void
canvas_end_pass(struct canvas *c, const struct pass *p)
{
        if (p->axis != FASTEST)
                return;
        int32_t *whole = c->next;
        c->next = c->known;
        c->known = whole;
}

void
array_rows(const size_t extent[AXES], const struct pass *p, const int32_t *array,
           struct rows *odd)
{
        size_t stride = 1;
        odd->at = (int32_t *) array;
        for (unsigned a = AXES; a-- > 0; stride *= extent[a]) {
                bool own = a == p->axis;
                size_t apart = stride * p->spacing[a] * (own ? 2 : 1);
                odd->at += own ? stride * p->spacing[a] : 0;
                if (a == FASTEST)
                        odd->point = apart;
                else
                        odd->stride[a] = apart;
        }
}

const int32_t *
canvas_row(const struct canvas *c, size_t row)
{
        return c->known + ROOM + row * pitch_of(c->extent[FASTEST]);
}
