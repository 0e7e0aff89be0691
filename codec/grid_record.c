/* codec/grid_record.c - the parameters of a grid as bytes: doc/format.md, "Grids".
 *
 * The first byte: bits 0-3 the kind, bit 4 wide, bits 5-7 which fields follow.
 */
#include <math.h>

#include "codec/grid.h"
#include "codec/pack.h"
#include "codec/value.h"

#define RECORD_WIDE   0x10
#define RECORD_OFFSET 0x20      /* all: origin or offset is not 0 */
#define RECORD_STEP   0x40      /* all: the step is not the usual one and follows */
#define RECORD_OPTION 0x80      /* decimal: binary; bits: shift */

#define STEP_LIMIT    ((int64_t) 1 << 30)

static bool
is_scaled(enum grid_kind kind)
{
        return kind == GRID_LINEAR || kind == GRID_LOG;
}

static int64_t
usual_step(enum grid_kind kind)
{
        return is_scaled(kind) ? GRID_STEP : 1;
}

/* Differences of the keys, in as many bytes as the largest needs, packed. */
static enum caefs_err
table_write(const struct grid *g, struct bytes *out)
{
        size_t       n = g->ntable - 1;
        uint64_t     largest = 0;
        unsigned     width = 1;
        struct bytes raw = { 0 }, packed = { 0 };

        for (size_t i = 0; i < n; i++)
                largest |= (uint64_t) g->table[i + 1] - (uint64_t) g->table[i];
        while (width < 8 && largest >> (8 * width) != 0)
                width *= 2;
        for (size_t i = 0; i < n; i++)
                for (unsigned b = 0; b < width; b++)
                        bytes_put_u8(&raw, (uint8_t) (((uint64_t) g->table[i + 1]
                                                - (uint64_t) g->table[i]) >> (8 * b)));
        enum caefs_err err = raw.failed ? CAEFS_ERR_NOMEM
                : pack_encode(raw.data, raw.size, EFFORT_BALANCED, &packed);
        bytes_put_varint(out, n);
        bytes_put_signed(out, g->table[0]);
        bytes_put_u8(out, (uint8_t) width);
        bytes_put_varint(out, packed.size);
        bytes_put(out, packed.data, packed.size);
        bytes_free(&raw);
        bytes_free(&packed);
        return err;
}

enum caefs_err
grid_write(const struct grid *g, struct bytes *out)
{
        bool option = g->binary || g->shift != 0;
        bool offset = is_scaled(g->kind) ? g->origin != 0 : g->offset != 0;

        bytes_put_u8(out, (uint8_t) (g->kind | (g->wide ? RECORD_WIDE : 0)
                                     | (offset ? RECORD_OFFSET : 0)
                                     | (g->step != usual_step(g->kind) ? RECORD_STEP : 0)
                                     | (option ? RECORD_OPTION : 0)));
        if (is_scaled(g->kind))
                bytes_put_short_double(out, g->unit);
        if (offset && is_scaled(g->kind))
                bytes_put_short_double(out, g->origin);
        else if (offset)
                bytes_put_signed(out, g->offset);
        if (g->step != usual_step(g->kind))
                bytes_put_varint(out, (uint64_t) g->step);
        if (g->kind == GRID_BITS && option)
                bytes_put_u8(out, (uint8_t) g->shift);
        if (g->kind == GRID_DECIMAL || g->kind == GRID_DIGITS)
                bytes_put_signed(out, g->exponent);
        if (g->kind == GRID_DIGITS)
                bytes_put_u8(out, (uint8_t) g->digits);
        enum caefs_err err = g->kind == GRID_TABLE ? table_write(g, out) : CAEFS_OK;
        return err == CAEFS_OK && out->failed ? CAEFS_ERR_NOMEM : err;
}

static enum caefs_err
table_parse(struct cursor *in, struct arena *arena, struct grid *g)
{
        size_t         n = cursor_varint_max(in, GRID_TABLE_LIMIT - 1);
        int64_t        first = cursor_signed(in);
        unsigned       width = (unsigned) cursor_varint_max(in, 8);
        size_t         size = cursor_varint_max(in, cursor_left(in));
        const uint8_t *packed = cursor_take(in, size);

        if (in->failed || width == 0)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: table of values is cut short");
        int64_t *table = arena_array(arena, n + 1, sizeof *table);
        uint8_t *raw = arena_array(arena, n + 1, width);
        if (table == NULL || raw == NULL)
                return CAEFS_ERR_NOMEM;
        enum caefs_err err = pack_decode(packed, size, raw, n * width);
        table[0] = first;
        for (size_t i = 0; i < n && err == CAEFS_OK; i++) {
                uint64_t difference = 0;
                for (unsigned b = 0; b < width; b++)
                        difference |= (uint64_t) raw[i * width + b] << (8 * b);
                table[i + 1] = (int64_t) ((uint64_t) table[i] + difference);
        }
        g->table = table;
        g->ntable = (uint32_t) n + 1;
        return err;
}

/* Fields beyond the first byte, in the order of grid_write(). */
static void
fields_parse(struct cursor *in, unsigned head, struct grid *g)
{
        bool option = head & RECORD_OPTION;

        if (is_scaled(g->kind))
                g->unit = cursor_short_double(in);
        if (head & RECORD_OFFSET && is_scaled(g->kind))
                g->origin = cursor_short_double(in);
        else if (head & RECORD_OFFSET)
                g->offset = cursor_signed(in);
        g->step = usual_step(g->kind);
        if (head & RECORD_STEP)
                g->step = (int64_t) cursor_varint_max(in, (uint64_t) STEP_LIMIT);
        if (g->kind == GRID_BITS && option)
                g->shift = (unsigned) cursor_varint_max(in, 63);
        if (g->kind == GRID_DECIMAL || g->kind == GRID_DIGITS)
                g->exponent = (int) zigzag_decode(cursor_varint_max(in, 4095));
        if (g->kind == GRID_DIGITS)
                g->digits = (unsigned) cursor_varint_max(in, GRID_DIGITS_LIMIT);
        g->binary = option && g->kind == GRID_DECIMAL;
}

static bool
fields_sane(const struct grid *g)
{
        if (is_scaled(g->kind) && !(isfinite(g->origin) && isfinite(g->unit) && g->unit > 0))
                return false;
        if (g->kind == GRID_DECIMAL && !g->binary
            && (g->exponent < -GRID_POWERS || g->exponent > GRID_POWERS))
                return false;
        if (g->kind == GRID_DECIMAL && g->binary && (g->exponent < -1074 || g->exponent > 1023))
                return false;
        if (g->kind == GRID_DIGITS && (g->digits == 0 || g->exponent < -400 || g->exponent > 400))
                return false;
        return g->step >= 1 && !(g->wide && g->step != 1);
}

enum caefs_err
grid_parse(struct cursor *in, enum dtype dtype, struct arena *arena, struct grid *g)
{
        unsigned head = cursor_u8(in);

        *g = (struct grid) {
                .kind = (enum grid_kind) (head & 0x0f),
                .dtype = dtype,
                .wide = head & RECORD_WIDE,
        };
        if (g->kind < GRID_LINEAR || g->kind > GRID_DIGITS)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: grid of unknown kind %u", head & 0x0f);
        fields_parse(in, head, g);
        if (in->failed || !fields_sane(g))
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: grid parameters make no sense");
        return g->kind == GRID_TABLE ? table_parse(in, arena, g) : CAEFS_OK;
}
