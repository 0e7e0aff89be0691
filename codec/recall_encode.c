/* codec/recall_encode.c - the encoder's side of codec/recall.h. */
#include <math.h>
#include <string.h>

#include "codec/recall.h"
#include "codec/stride.h"

/* ---- where the neighbours are ---- */

/* The distances of an array's axes, fastest first; of flat data the row lengths that
 * are hidden in it. */
static void
find_lags(const struct field *f, struct arena *arena, size_t lag[RECALL_LAGS])
{
        const struct field_geometry *g = &f->geometry;
        size_t found[STRIDE_MAX_FOUND], inner = 1;
        unsigned nfound = 0;

        lag[0] = 1;
        for (unsigned a = g->shape.ndim; a-- > 1 && nfound < 2; ) {
                inner *= g->shape.extent[a];
                if (inner > 1 && inner < g->count)
                        found[nfound++] = inner;
        }
        if (g->shape.ndim == 1 && !g->wide)
                nfound = stride_search(f->grid, g->count, (int32_t) g->step * 16, f->effort,
                                       arena, found, 4);
        lag[1] = nfound > 0 ? found[0] : 2;
        lag[2] = 0;
        for (unsigned i = 1; i < nfound && lag[2] == 0; i++)
                if (found[i] > lag[1] && found[i] % lag[1] == 0)
                        lag[2] = found[i];
        if (lag[2] == 0)
                lag[2] = nfound > 0 ? 2 * lag[1] : 3;
        for (unsigned i = 0; i < RECALL_LAGS; i++)
                if (lag[i] > recall_longest_lag(g))
                        lag[i] = recall_longest_lag(g);
}

/* ---- symbols ---- */

static int64_t
symbol_at(const struct field *f, size_t at)
{
        return f->geometry.wide ? ((const int64_t *) f->grid)[at]
                : residual_of(((const int32_t *) f->grid)[at], 0, (int32_t) f->geometry.step);
}

/* A hole is what its neighbour is. */
static void
take_symbols(const struct field *f, struct recall *m)
{
        for (size_t at = 0; at < f->geometry.count; at++)
                m->symbol[at] = f->hole != NULL && f->hole[at] != 0 && at > 0
                        ? m->symbol[at - 1] : symbol_at(f, at);
}

static enum caefs_err
code_symbols(const struct field *f, const size_t lag[RECALL_LAGS], struct arena *arena,
             struct bytes *out)
{
        struct recall m;

        if (!recall_begin(&m, &f->geometry, lag, arena))
                return caefs_fail(CAEFS_ERR_NOMEM, "recall: no memory for %zu values",
                                  f->geometry.count);
        take_symbols(f, &m);
        return recall_mixed_encode(&m, &f->geometry, arena, out);
}

/* ---- whether to try ---- */

/* Longer fields are judged by a part from the middle.  Shorter ones are not: what
 * recurs only far apart does not show in a part. */
#define LONG_FIELD 262144
#define PART       16384

/* Recalling must beat plain differences by this much on the part. */
#define WORTH 0.9

static double
bits_of_differences(const struct field *f, struct arena *arena)
{
        size_t   n = f->geometry.count;
        int64_t *d = arena_array(arena, n, sizeof *d);

        for (size_t i = 0; d != NULL && i < n; i++)
                d[i] = (int64_t) ((uint64_t) symbol_at(f, i)
                                  - (uint64_t) (i > 0 ? symbol_at(f, i - 1) : 0));
        return d == NULL ? 0 : residual_estimate_wide(d, n);
}

static enum caefs_err
judge(const struct field *f, const size_t lag[RECALL_LAGS], struct arena *arena, bool *worth)
{
        struct field      part = *f;
        struct bytes      coded = { 0 };
        struct arena_mark mark = arena_mark(arena);
        size_t            row = f->geometry.shape.extent[f->geometry.shape.ndim - 1];
        size_t            start = f->geometry.count / 2 / row * row;

        *worth = true;
        if (f->geometry.count <= LONG_FIELD)
                return CAEFS_OK;
        part.geometry.count = PART;
        part.grid = (const char *) f->grid + start * (f->geometry.wide ? 8 : 4);
        part.hole = f->hole == NULL ? NULL : f->hole + start;
        enum caefs_err err = code_symbols(&part, lag, arena, &coded);
        *worth = 8.0 * (double) coded.size < WORTH * bits_of_differences(&part, arena);
        bytes_free(&coded);
        arena_release(arena, mark);
        return err;
}

enum caefs_err
recall_encode(const struct field *f, struct arena *arena, struct prediction *out, double *bits)
{
        size_t         lag[RECALL_LAGS];
        bool           worth;
        enum caefs_err err;

        memset(out, 0, sizeof *out);
        *bits = INFINITY;
        find_lags(f, arena, lag);
        err = judge(f, lag, arena, &worth);
        if (err != CAEFS_OK || !worth)
                return err;
        for (unsigned i = 0; i < RECALL_LAGS; i++)
                bytes_put_varint(&out->side, lag[i]);
        err = code_symbols(f, lag, arena, &out->side);
        if (err == CAEFS_OK && out->side.failed)
                err = caefs_fail(CAEFS_ERR_NOMEM, "recall: no memory");
        *bits = 8.0 * (double) out->side.size;
        return err;
}

bool
recall_applies(const struct field *f)
{
        return f->effort == EFFORT_MAX;
}
