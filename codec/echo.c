/* codec/echo.c - the family `echo`: what both sides share, and decoding. */
#include "codec/echo.h"

#include <string.h>

#include "codec/model.h"
#include "codec/pack.h"

/* ---- what is known ---- */

/* R's integers at KNOWN + AT, as far as there is room; returns in *N how many. */
static enum caefs_err
lay(const struct reference *r, const struct field_geometry *g, struct arena *arena,
    int64_t *known, size_t at, size_t *n)
{
        if (!reference_suits(r, g->grid) || r->count > ECHO_MAX_KNOWN - at)
                return CAEFS_OK;
        const struct arena_mark mark = arena_mark(arena);
        const void *integers = reference_lay(r, g->grid, arena);
        if (integers == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory for %zu values", r->count);
        for (size_t i = 0; i < r->count; i++)
                known[at + i] = g->wide ? ((const int64_t *) integers)[i]
                                        : ((const int32_t *) integers)[i];
        *n += r->count;
        arena_release(arena, mark);
        return CAEFS_OK;
}

enum caefs_err
echo_know(const struct field_geometry *g, unsigned what, struct arena *arena,
          struct echo_known *known)
{
        const struct echo_examples *e = what & ECHO_EXAMPLES ? model_part(g->model, FAMILY_ECHO)
                                                             : NULL;
        const struct reference *r = what & ECHO_REFERENCE ? g->reference : NULL;
        size_t room = r != NULL ? r->count : 0;
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; e != NULL && i < e->count; i++)
                room += e->example[i].reference.count;
        room = room < ECHO_MAX_KNOWN ? room : ECHO_MAX_KNOWN;
        *known = (struct echo_known) {
                .value = arena_array(arena, room + g->count, sizeof *known->value),
        };
        if (known->value == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory for %zu values", g->count);
        if (r != NULL)
                err = lay(r, g, arena, known->value, 0, &known->reference);
        for (size_t i = 0; e != NULL && i < e->count && err == CAEFS_OK; i++)
                err = lay(&e->example[i].reference, g, arena, known->value,
                          known->reference + known->examples, &known->examples);
        return err;
}

struct field_geometry
echo_literals(const struct field_geometry *g, size_t count)
{
        struct field_geometry literals = *g;

        literals.shape = (struct shape) { .ndim = 1, .extent = { count } };
        literals.count = count;
        literals.scope = SCOPE_ARRAY;
        literals.model = NULL;
        literals.reference = NULL;
        return literals;
}

int64_t
echo_expected_source(const struct echo_copies *c, size_t i, size_t gap, size_t at)
{
        if (i == 0)
                return (int64_t) at;
        return (int64_t) echo_source(&c->copy[i - 1], c->row, c->copy[i - 1].length + gap);
}

size_t
echo_reach_down(const struct echo_copy *c, size_t row)
{
        const size_t last = c->length - 1;
        const size_t across = row > 0 && row <= last ? row - 1 : last;
        const size_t down = row > 0 ? last - last % row : 0;

        switch (c->turn) {
        case 0:
                return 0;
        case ECHO_TURN_COLUMNS:
                return across;
        case ECHO_TURN_ROWS:
                return down;
        default:
                return last;
        }
}

/* ---- decoding ---- */

/* A packed stream of varints: its size, its packed size, the bytes. */
static enum caefs_err
take_stream(struct cursor *side, size_t limit, struct arena *arena, struct cursor *out)
{
        const size_t   size = cursor_varint_max(side, limit);
        const size_t   packed = cursor_varint_max(side, cursor_left(side));
        const uint8_t *raw = cursor_take(side, packed);
        uint8_t       *bytes = arena_alloc(arena, size + 1);

        if (side->failed)
                return caefs_fail(CAEFS_ERR_CORRUPT, "echo: copies are cut short");
        if (bytes == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory for %zu bytes", size);
        *out = cursor_of(bytes, size);
        return pack_decode(raw, packed, bytes, size);
}

/* Copy I of COPIES, which begins GAP behind position AT.  All its values lie in the field,
 * and their sources before them: none is further from the first one's than they are. */
static bool
parse_copy(struct cursor *extent, struct cursor *source, struct echo_copies *copies, size_t i,
           size_t at, size_t end)
{
        struct echo_copy *c = &copies->copy[i];

        c->gap = cursor_varint_max(extent, end - at);
        const uint64_t length = cursor_varint_max(extent, ECHO_TURNS * (uint64_t) end);
        const uint64_t off = (uint64_t) cursor_signed(source);
        c->length = length / ECHO_TURNS;
        c->turn = length % ECHO_TURNS;
        if (extent->failed || source->failed || c->length < 1 || c->length > end - at - c->gap)
                return false;
        at += c->gap;
        c->source = (uint64_t) echo_expected_source(copies, i, c->gap, at) + off;
        return c->source < at && echo_reach_down(c, copies->row) <= c->source;
}

static enum caefs_err
parse_copies(struct cursor *side, size_t known, size_t count, struct arena *arena,
             struct echo_copies *out, size_t *copied)
{
        struct cursor extent = { 0 }, source = { 0 };
        size_t        at = known;

        out->row = cursor_varint_max(side, count);
        out->count = cursor_varint_max(side, count);
        out->copy = arena_array(arena, out->count + 1, sizeof *out->copy);
        *copied = 0;
        enum caefs_err err = out->copy == NULL
                ? caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory for %zu copies", out->count)
                : take_stream(side, 20 * out->count, arena, &extent);
        if (err == CAEFS_OK)
                err = take_stream(side, 10 * out->count, arena, &source);
        for (size_t i = 0; i < out->count && err == CAEFS_OK; i++) {
                if (!parse_copy(&extent, &source, out, i, at, known + count))
                        err = caefs_fail(CAEFS_ERR_CORRUPT, "echo: a copy of what is not there");
                at += out->copy[i].gap + out->copy[i].length;
                *copied += out->copy[i].length;
        }
        if (err == CAEFS_OK && cursor_left(&extent) + cursor_left(&source) > 0)
                err = caefs_fail(CAEFS_ERR_CORRUPT, "echo: bytes after its copies");
        return err;
}

/* The literals: lorenzo's side, then residuals, each with its size. */
static enum caefs_err
decode_literals(const struct field_geometry *g, struct cursor *side, struct arena *arena,
                void *literal)
{
        if (g->count == 0)
                return cursor_left(side) == 0 ? CAEFS_OK
                        : caefs_fail(CAEFS_ERR_CORRUPT, "echo: bytes after its copies");
        size_t         size = cursor_varint_max(side, cursor_left(side));
        const uint8_t *raw = cursor_take(side, size);
        struct cursor  own = cursor_of(raw, side->failed ? 0 : size);
        struct cursor  coded = cursor_of(side->at, cursor_left(side));

        if (side->failed)
                return caefs_fail(CAEFS_ERR_CORRUPT, "echo: literals are cut short");
        cursor_take(side, cursor_left(side));
        return family_lorenzo.decode(g, &own, &coded, arena, literal);
}

/* One by one, since a copy may overlap what it makes.  RESIDUAL: NULL when all are 0. */
static void
expand(const struct field_geometry *g, const struct echo_copies *copies, const void *literal,
       const void *residual, int64_t *known, size_t nknown)
{
        const int64_t *wide_literal = literal, *wide_residual = residual;
        const int32_t *narrow_literal = literal, *narrow_residual = residual;
        const uint64_t step = (uint64_t) g->step;
        size_t at = nknown, l = 0, r = 0;

        for (size_t i = 0; i <= copies->count; i++) {
                const struct echo_copy *c = &copies->copy[i];
                const bool last = i == copies->count;
                const size_t gap = last ? nknown + g->count - at : c->gap;
                for (size_t k = 0; k < gap; k++, l++)
                        known[at++] = g->wide ? wide_literal[l] : narrow_literal[l];
                for (size_t k = 0; !last && k < c->length; k++, at++, r++) {
                        const int64_t off = residual == NULL ? 0
                                : g->wide ? wide_residual[r] : narrow_residual[r];
                        const uint64_t v = (uint64_t) known[echo_source(c, copies->row, k)]
                                + (uint64_t) off * step;
                        known[at] = g->wide ? (int64_t) v : (int32_t) v;
                }
        }
}

static enum caefs_err
decode_residuals(const struct field_geometry *g, size_t copied, struct cursor *coded,
                 struct arena *arena, void *residual)
{
        const struct residual_segment segment = { .count = copied };

        return g->wide ? residual_decode_wide(coded, residual, &segment, 1, arena)
                       : residual_decode(coded, residual, &segment, 1, arena);
}

static enum caefs_err
decode(const struct field_geometry *g, struct cursor *side, struct cursor *coded,
       struct arena *arena, void *grid)
{
        const struct arena_mark mark = arena_mark(arena);
        const size_t width = g->wide ? 8 : 4;
        const unsigned flags = cursor_u8(side);
        const bool corrected = flags & ECHO_CORRECTED;
        struct echo_known known = { 0 };
        struct echo_copies copies = { 0 };
        size_t nknown, copied = 0;
        void *residual = NULL;

        if (side->failed || g->grid == NULL
            || flags & ~(unsigned) (ECHO_CORRECTED | ECHO_REFERENCE | ECHO_EXAMPLES))
                return caefs_fail(CAEFS_ERR_CORRUPT, "echo: parameters are malformed");
        enum caefs_err err = echo_know(g, flags, arena, &known);
        nknown = known.reference + known.examples;
        if (err == CAEFS_OK && flags & ECHO_EXAMPLES && known.examples == 0)
                err = caefs_fail(CAEFS_ERR_MODEL, "echo: the model of this chunk is missing");
        if (err == CAEFS_OK && flags & ECHO_REFERENCE && known.reference == 0)
                err = caefs_fail(CAEFS_ERR_MODEL, "echo: the reference of this chunk is missing");
        if (err == CAEFS_OK)
                err = parse_copies(side, nknown, g->count, arena, &copies, &copied);
        if (err == CAEFS_OK && corrected && copied == 0)
                err = caefs_fail(CAEFS_ERR_CORRUPT, "echo: corrections of nothing");
        if (err == CAEFS_OK) {
                const struct field_geometry literals = echo_literals(g, g->count - copied);
                void *literal = arena_array(arena, literals.count + 1, width);
                if (corrected)
                        residual = arena_array(arena, copied + 1, width);
                if (literal == NULL || (corrected && residual == NULL))
                        return caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory for %zu values",
                                          g->count);
                err = decode_literals(&literals, side, arena, literal);
                if (err == CAEFS_OK && corrected)
                        err = decode_residuals(g, copied, coded, arena, residual);
                if (err == CAEFS_OK)
                        expand(g, &copies, literal, residual, known.value, nknown);
        }
        for (size_t i = 0; err == CAEFS_OK && i < g->count; i++)
                if (g->wide)
                        ((int64_t *) grid)[i] = known.value[nknown + i];
                else
                        ((int32_t *) grid)[i] = (int32_t) known.value[nknown + i];
        arena_release(arena, mark);
        return err;
}

/* Fields whose search would take longer than anybody waits are left alone, unless there
 * is something beside them. */
#define ALONE_LIMIT ((size_t) 1 << 20)

static bool
applies(const struct field *f)
{
        const struct field_geometry *g = &f->geometry;
        const bool beside = g->reference != NULL || model_part(g->model, FAMILY_ECHO) != NULL;

        return g->grid != NULL && !f->as_it_is && f->effort != EFFORT_FAST
                && g->count >= 4 * ECHO_LEAST_LENGTH && (beside || g->count <= ALONE_LIMIT);
}

const struct family_methods family_echo = {
        .name = "echo",
        .part = &echo_part,
        .applies = applies,
        .encode = echo_encode,
        .decode = decode,
};

static bool
quote_applies(const struct field *f)
{
        return f->geometry.reference != NULL && applies(f);
}

const struct family_methods family_quote = {
        .name = "quote",
        .uses_reference = true,
        .applies = quote_applies,
        .encode = echo_encode,
        .decode = decode,
};
