/* codec/symbols.c - a plane of small symbols: which value is special, and how. */
#include "codec/symbols.h"

#include <string.h>

#include "codec/pack.h"
#include "codec/residual.h"

/* The numbers are part of the format. */
enum symbols_method {
        SYMBOLS_RUNS = 0,
        SYMBOLS_PACKED_RUNS = 1,
        SYMBOLS_PLAIN = 2,              /* residual coders from here on */
        SYMBOLS_FROM_LEFT = 3,
        SYMBOLS_FROM_ABOVE = 4,
};

/* Fewer runs than this are not worth another method. */
#define FEW_RUNS 6

/* ---- runs: gap, length - 1 and, where there is a choice, symbol - 1 ---- */

static size_t
runs_write(const uint8_t *symbol, size_t count, unsigned nsymbols, struct bytes *list)
{
        size_t nruns = 0, end = 0;

        for (size_t i = 0; i < count;) {
                if (symbol[i] == 0) {
                        i++;
                        continue;
                }
                size_t from = i;
                while (i < count && symbol[i] == symbol[from])
                        i++;
                bytes_put_varint(list, from - end);
                bytes_put_varint(list, i - from - 1);
                if (nsymbols > 2)
                        bytes_put_u8(list, (uint8_t) (symbol[from] - 1));
                end = i;
                nruns++;
        }
        return nruns;
}

static enum caefs_err
runs_read(struct cursor *in, size_t nruns, size_t count, unsigned nsymbols, uint8_t *symbol)
{
        size_t at = 0;

        memset(symbol, 0, count);
        for (size_t i = 0; i < nruns; i++) {
                at += cursor_varint_max(in, count - at);
                if (at >= count)
                        in->failed = true;
                size_t   length = in->failed ? 0 : cursor_varint_max(in, count - at - 1) + 1;
                unsigned s = nsymbols > 2 ? (unsigned) cursor_varint_max(in, nsymbols - 2) : 0;
                if (in->failed)
                        return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: a run leaves its plane");
                memset(symbol + at, (int) s + 1, length);
                at += length;
        }
        return CAEFS_OK;
}

/* ---- through the residual coders ---- */

/* How far back the predicting neighbour lies, 0: none. */
static size_t
neighbour(enum symbols_method method, size_t row)
{
        return method == SYMBOLS_FROM_LEFT ? 1 : method == SYMBOLS_FROM_ABOVE ? row : 0;
}

/* The change from the neighbour's symbol, with the two exchanged: equal is 0. */
static void
symbols_difference(const uint8_t *symbol, size_t count, size_t back, int32_t *r)
{
        for (size_t i = 0; i < count; i++)
                r[i] = symbol[i] ^ (back > 0 && i >= back ? symbol[i - back] : 0);
}

static enum caefs_err
plane_encode(const uint8_t *symbol, size_t count, size_t row, enum symbols_method method,
             enum effort effort, struct arena *arena, struct bytes *out)
{
        struct residual_segment segment = { .count = count, .row = row };
        int32_t *r = arena_array(arena, count, sizeof *r);

        if (r == NULL)
                return CAEFS_ERR_NOMEM;
        symbols_difference(symbol, count, neighbour(method, row), r);
        bytes_put_u8(out, (uint8_t) method);
        return residual_encode(r, &segment, 1, effort, arena, out);
}

static enum caefs_err
plane_decode(struct cursor *in, size_t count, size_t row, enum symbols_method method,
             unsigned nsymbols, struct arena *arena, uint8_t *symbol)
{
        struct residual_segment segment = { .count = count, .row = row };
        size_t   back = neighbour(method, row);
        int32_t *r = arena_array(arena, count, sizeof *r);

        if (r == NULL)
                return CAEFS_ERR_NOMEM;
        enum caefs_err err = residual_decode(in, r, &segment, 1, arena);
        for (size_t i = 0; i < count && err == CAEFS_OK; i++) {
                uint32_t s = (uint32_t) r[i] ^ (back > 0 && i >= back ? symbol[i - back] : 0u);
                if (s >= nsymbols)
                        err = caefs_fail(CAEFS_ERR_CORRUPT, "chunk: unknown symbol in a plane");
                symbol[i] = (uint8_t) s;
        }
        return err;
}

/* Replaces BEST by the coding of METHOD where that is smaller. */
static enum caefs_err
plane_try(const uint8_t *symbol, size_t count, size_t row, enum symbols_method method,
          enum effort effort, struct arena *arena, struct bytes *best)
{
        struct bytes      trial = { 0 };
        struct arena_mark mark = arena_mark(arena);
        enum caefs_err    err = plane_encode(symbol, count, row, method, effort, arena, &trial);

        arena_release(arena, mark);
        if (err == CAEFS_OK && !trial.failed && trial.size < best->size) {
                struct bytes swap = *best;
                *best = trial;
                trial = swap;
        }
        bytes_free(&trial);
        return err;
}

static enum caefs_err
runs_encode(const uint8_t *symbol, size_t count, unsigned nsymbols, enum effort effort,
            struct bytes *out, size_t *nruns)
{
        struct bytes   list = { 0 }, packed = { 0 };
        enum caefs_err err = CAEFS_OK;

        *nruns = runs_write(symbol, count, nsymbols, &list);
        if (list.failed)
                err = CAEFS_ERR_NOMEM;
        else if (*nruns > FEW_RUNS)
                err = pack_encode(list.data, list.size, effort, &packed);
        if (*nruns > FEW_RUNS && packed.size + 4 < list.size) {
                bytes_put_u8(out, SYMBOLS_PACKED_RUNS);
                bytes_put_varint(out, *nruns);
                bytes_put_varint(out, list.size);
                bytes_put_varint(out, packed.size);
                bytes_put(out, packed.data, packed.size);
        } else {
                bytes_put_u8(out, SYMBOLS_RUNS);
                bytes_put_varint(out, *nruns);
                bytes_put(out, list.data, list.size);
        }
        bytes_free(&list);
        bytes_free(&packed);
        return err;
}

enum caefs_err
symbols_encode(const uint8_t *symbol, size_t count, size_t row, unsigned nsymbols,
               enum effort effort, struct arena *arena, struct bytes *out)
{
        struct bytes   best = { 0 };
        size_t         nruns;
        enum caefs_err err = runs_encode(symbol, count, nsymbols, effort, &best, &nruns);

        for (int m = SYMBOLS_PLAIN; m <= SYMBOLS_FROM_ABOVE && nruns > FEW_RUNS; m++)
                if (err == CAEFS_OK && (m != SYMBOLS_FROM_ABOVE || row > 0))
                        err = plane_try(symbol, count, row, (enum symbols_method) m, effort,
                                        arena, &best);
        bytes_put(out, best.data, best.size);
        if (err == CAEFS_OK && (best.failed || out->failed))
                err = CAEFS_ERR_NOMEM;
        bytes_free(&best);
        return err;
}

static enum caefs_err
packed_runs_decode(struct cursor *in, size_t count, unsigned nsymbols, struct arena *arena,
                   uint8_t *symbol)
{
        size_t         nruns = cursor_varint_max(in, count);
        size_t         size = cursor_varint_max(in, 21 * nruns);
        size_t         packed_size = cursor_varint_max(in, cursor_left(in));
        const uint8_t *packed = cursor_take(in, packed_size);

        if (in->failed)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: runs are cut short");
        uint8_t *list = arena_alloc(arena, size + 1);
        if (list == NULL)
                return CAEFS_ERR_NOMEM;
        enum caefs_err err = pack_decode(packed, packed_size, list, size);
        struct cursor  runs = cursor_of(list, size);
        return err != CAEFS_OK ? err : runs_read(&runs, nruns, count, nsymbols, symbol);
}

enum caefs_err
symbols_decode(struct cursor *in, size_t count, size_t row, unsigned nsymbols,
               struct arena *arena, uint8_t *symbol)
{
        unsigned method = cursor_u8(in);

        if (in->failed || method > SYMBOLS_FROM_ABOVE)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: unknown coding of a plane");
        if (method == SYMBOLS_RUNS)
                return runs_read(in, cursor_varint_max(in, count), count, nsymbols, symbol);
        if (method == SYMBOLS_PACKED_RUNS)
                return packed_runs_decode(in, count, nsymbols, arena, symbol);
        return plane_decode(in, count, row, (enum symbols_method) method, nsymbols, arena, symbol);
}
