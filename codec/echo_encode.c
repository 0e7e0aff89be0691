/* codec/echo_encode.c - the family `echo`: encoding.
 *
 * SIDE: flags; values of a row, the number of copies; two packed streams, of
 * gaps and lengths and of sources; then the literals, coded to the end.  Residuals are
 * those of the copies, in order.
 */
#include "codec/echo.h"

#include <math.h>
#include <string.h>

#include "codec/pack.h"

/* Copies that cover less of a field than one part in this are left. */
#define LEAST_SHARE 16

struct echo {
        const struct field *field;
        struct arena       *arena;
        int64_t            *value;      /* (known + count): the field, holes filled */
        size_t              known;      /* of the reference and the examples */
        size_t              reference;  /* of the reference alone */
        unsigned            flags;
        struct echo_copies  copies;
        size_t              copied;
};

/* The field behind what is known; a hole repeats the value before it. */
static enum caefs_err
gather(struct echo *e)
{
        const struct field *f = e->field;
        struct echo_known known;
        enum caefs_err err = echo_know(&f->geometry, ECHO_REFERENCE | ECHO_EXAMPLES, e->arena,
                                       &known);
        int64_t last = 0;

        e->value = known.value;
        e->reference = known.reference;
        e->known = known.reference + known.examples;
        for (size_t i = 0; err == CAEFS_OK && i < f->geometry.count; i++) {
                if (f->hole == NULL || !f->hole[i])
                        last = f->geometry.wide ? ((const int64_t *) f->grid)[i]
                                                : ((const int32_t *) f->grid)[i];
                e->value[e->known + i] = last;
        }
        return err;
}

/* Takes N known values from FIRST on out of the count of positions. */
static void
forget(struct echo *e, size_t first, size_t n)
{
        memmove(e->value + first, e->value + first + n,
                (e->known - first - n + e->field->geometry.count) * sizeof *e->value);
        for (size_t i = 0; i < e->copies.count; i++)
                if (e->copies.copy[i].source >= first)
                        e->copies.copy[i].source -= n;
        e->known -= n;
}

/* A decoder need not have what no copy is made from. */
static void
forget_unused(struct echo *e)
{
        for (size_t i = 0; i < e->copies.count; i++) {
                const struct echo_copy *c = &e->copies.copy[i];
                const size_t low = c->source - echo_reach_down(c, e->copies.row);
                if (low < e->reference)
                        e->flags |= ECHO_REFERENCE;
                if (low < e->known && c->source + c->length > e->reference)
                        e->flags |= ECHO_EXAMPLES;
        }
        if (!(e->flags & ECHO_EXAMPLES))
                forget(e, e->reference, e->known - e->reference);
        if (!(e->flags & ECHO_REFERENCE))
                forget(e, 0, e->reference);
}

/* About what a value takes that is not copied: as differences would take, which most
 * families do somewhat better. */
static enum caefs_err
bits_of_value(const struct echo *e, double *bits)
{
        const struct field_geometry *g = &e->field->geometry;
        const struct arena_mark mark = arena_mark(e->arena);
        const int64_t *value = e->value + e->known;
        int64_t *difference = arena_array(e->arena, g->count, sizeof *difference);

        if (difference == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory for %zu values", g->count);
        difference[0] = 0;
        for (size_t i = 1; i < g->count; i++)
                difference[i] = (int64_t) ((uint64_t) value[i] - (uint64_t) value[i - 1]) / g->step;
        *bits = 0.8 * residual_estimate_wide(difference, g->count) / (double) g->count;
        arena_release(e->arena, mark);
        return CAEFS_OK;
}

/* ---- side information ---- */

static enum caefs_err
put_stream(const struct bytes *stream, struct bytes *side)
{
        struct bytes packed = { 0 };
        enum caefs_err err = pack_encode(stream->data, stream->size, EFFORT_BALANCED, &packed);

        bytes_put_varint(side, stream->size);
        bytes_put_varint(side, packed.size);
        bytes_put(side, packed.data, packed.size);
        bytes_free(&packed);
        return err;
}

static enum caefs_err
put_copies(const struct echo *e, struct bytes *side)
{
        struct bytes extent = { 0 }, source = { 0 };
        size_t at = e->known;

        bytes_put_varint(side, e->copies.row);
        bytes_put_varint(side, e->copies.count);
        for (size_t i = 0; i < e->copies.count; i++) {
                const struct echo_copy *c = &e->copies.copy[i];
                const int64_t expected = echo_expected_source(&e->copies, i, c->gap, at + c->gap);
                bytes_put_varint(&extent, c->gap);
                bytes_put_varint(&extent, c->length * ECHO_TURNS + c->turn);
                bytes_put_signed(&source, (int64_t) c->source - expected);
                at += c->gap + c->length;
        }
        enum caefs_err err = extent.failed || source.failed
                ? caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory") : put_stream(&extent, side);
        if (err == CAEFS_OK)
                err = put_stream(&source, side);
        bytes_free(&extent);
        bytes_free(&source);
        return err;
}

/* ---- literals ---- */

/* The values between copies, and their holes, as a field of their own. */
static enum caefs_err
literal_field(const struct echo *e, struct field *out)
{
        const struct field_geometry *g = &e->field->geometry;
        const size_t n = g->count - e->copied, width = g->wide ? 8 : 4;
        uint8_t *grid = arena_array(e->arena, n + 1, width);
        uint8_t *hole = e->field->hole != NULL ? arena_alloc(e->arena, n + 1) : NULL;
        size_t at = 0, to = 0;

        if (grid == NULL || (e->field->hole != NULL && hole == NULL))
                return caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory for %zu values", n);
        for (size_t i = 0; i <= e->copies.count; i++) {
                const size_t gap = i < e->copies.count ? e->copies.copy[i].gap : g->count - at;
                memcpy(grid + to * width, (const char *) e->field->grid + at * width,
                       gap * width);
                if (hole != NULL)
                        memcpy(hole + to, e->field->hole + at, gap);
                to += gap;
                at += gap + (i < e->copies.count ? e->copies.copy[i].length : 0);
        }
        *out = (struct field) {
                .geometry = echo_literals(g, n), .grid = grid, .hole = hole,
                .effort = e->field->effort,
        };
        return CAEFS_OK;
}

/* Codes F with lorenzo at the end of SIDE and leaves what a decoder gets in REBUILT. */
static enum caefs_err
code_literals(const struct echo *e, const struct field *f, struct bytes *side, void *rebuilt)
{
        const struct field_geometry *g = &f->geometry;
        struct prediction p = { 0 };
        struct bytes coded = { 0 };
        double bits;
        enum caefs_err err = family_lorenzo.encode(f, e->arena, &p, &bits);

        if (err == CAEFS_OK && g->wide)
                err = residual_encode_wide(p.residual, p.segment, p.nsegments, f->effort,
                                           e->arena, &coded);
        else if (err == CAEFS_OK)
                err = residual_encode(p.residual, p.segment, p.nsegments, f->effort, e->arena,
                                      &coded);
        if (err == CAEFS_OK) {
                struct cursor own = cursor_of(p.side.data, p.side.size);
                struct cursor residuals = cursor_of(coded.data, coded.size);
                bytes_put_varint(side, p.side.size);
                bytes_put(side, p.side.data, p.side.size);
                bytes_put(side, coded.data, coded.size);
                err = family_lorenzo.decode(g, &own, &residuals, e->arena, rebuilt);
        }
        bytes_free(&p.side);
        bytes_free(&coded);
        return err;
}

/* ---- copies ---- */

/* Goes through the field as the decoder will: VALUE becomes what it rebuilds, RESIDUAL,
 * (copied), what corrects the copies.  Returns whether any does. */
static bool
correct(struct echo *e, const void *literal, void *residual)
{
        const struct field_geometry *g = &e->field->geometry;
        size_t at = e->known, l = 0, r = 0;
        bool any = false;

        for (size_t i = 0; i <= e->copies.count; i++) {
                const struct echo_copy *c = &e->copies.copy[i];
                const size_t gap = i < e->copies.count ? c->gap : e->known + g->count - at;
                for (size_t k = 0; k < gap; k++, l++)
                        e->value[at++] = g->wide ? ((const int64_t *) literal)[l]
                                                 : ((const int32_t *) literal)[l];
                for (size_t k = 0; i < e->copies.count && k < c->length; k++, at++, r++) {
                        const bool hole = e->field->hole != NULL && e->field->hole[at - e->known];
                        const int64_t p = e->value[echo_source(c, e->copies.row, k)];
                        if (hole)
                                e->value[at] = p;
                        if (g->wide) {
                                const int64_t off = (int64_t) ((uint64_t) e->value[at]
                                                               - (uint64_t) p);
                                ((int64_t *) residual)[r] = off;
                                any |= off != 0;
                        } else {
                                const int32_t step = (int32_t) g->step;
                                const int32_t off = residual_of((int32_t) e->value[at],
                                                                (int32_t) p, step);
                                ((int32_t *) residual)[r] = off;
                                any |= off != 0;
                                e->value[at] = rebuilt_of((int32_t) p, off, step);
                        }
                }
        }
        return any;
}

static enum caefs_err
finish(struct echo *e, const void *literal, struct prediction *out, double *bits)
{
        const struct field_geometry *g = &e->field->geometry;
        void *residual = arena_array(e->arena, e->copied + 1, g->wide ? 8 : 4);
        struct residual_segment *segment = arena_array(e->arena, 1, sizeof *segment);

        if (residual == NULL || segment == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory for %zu values", e->copied);
        const bool corrected = correct(e, literal, residual);
        *segment = (struct residual_segment) { .count = e->copied };
        out->side.data[0] = (uint8_t) (e->flags | (corrected ? ECHO_CORRECTED : 0));
        out->uses_model = e->flags & ECHO_EXAMPLES;
        out->residual = residual;
        out->count = corrected ? e->copied : 0;
        out->segment = segment;
        out->nsegments = corrected ? 1 : 0;
        *bits = 8 * (double) out->side.size;
        if (corrected)
                *bits += g->wide ? residual_estimate_wide(residual, e->copied)
                                 : residual_estimate(residual, e->copied);
        return CAEFS_OK;
}

static enum caefs_err
encode_with_copies(struct echo *e, struct prediction *out, double *bits)
{
        const struct field_geometry *g = &e->field->geometry;
        struct field literals;
        void *rebuilt;

        bytes_put_u8(&out->side, 0);
        enum caefs_err err = put_copies(e, &out->side);
        if (err == CAEFS_OK)
                err = literal_field(e, &literals);
        if (err != CAEFS_OK)
                return err;
        rebuilt = arena_array(e->arena, literals.geometry.count + 1, g->wide ? 8 : 4);
        if (rebuilt == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory for %zu values", g->count);
        if (literals.geometry.count > 0)
                err = code_literals(e, &literals, &out->side, rebuilt);
        if (err == CAEFS_OK && out->side.failed)
                err = caefs_fail(CAEFS_ERR_NOMEM, "echo: no memory");
        return err == CAEFS_OK ? finish(e, rebuilt, out, bits) : err;
}

/* One try, with copies that are worth it where a value takes VALUE_BITS. */
static enum caefs_err
encode_at(const struct field *f, double value_bits, struct arena *arena, struct prediction *out,
          double *bits)
{
        struct echo e = { .field = f, .arena = arena };
        enum caefs_err err = gather(&e);

        *out = (struct prediction) { 0 };
        *bits = INFINITY;
        if (err == CAEFS_OK && value_bits == 0)
                err = bits_of_value(&e, &value_bits);
        if (err == CAEFS_OK)
                err = echo_find(e.value, e.known, f->geometry.count, f->geometry.step, value_bits,
                                arena, &e.copies);
        for (size_t i = 0; err == CAEFS_OK && i < e.copies.count; i++)
                e.copied += e.copies.copy[i].length;
        if (err != CAEFS_OK || e.copied < f->geometry.count / LEAST_SHARE + 1)
                return err;
        forget_unused(&e);
        if (f->geometry.reference != NULL && !(e.flags & ECHO_REFERENCE))
                return CAEFS_OK;                /* `echo` does as much */
        err = encode_with_copies(&e, out, bits);
        if (err != CAEFS_OK) {
                bytes_free(&out->side);
                *bits = INFINITY;
        }
        return err;
}

/* Many short copies may follow each other so regularly that they cost next to nothing,
 * or as if each came from anywhere: both are tried. */
enum caefs_err
echo_encode(const struct field *f, struct arena *arena, struct prediction *out, double *bits)
{
        struct prediction sparing = { 0 };
        double sparing_bits = INFINITY;
        enum caefs_err err = encode_at(f, INFINITY, arena, out, bits);

        if (err == CAEFS_OK && !isinf(*bits))
                err = encode_at(f, 0, arena, &sparing, &sparing_bits);
        if (err == CAEFS_OK && sparing_bits < *bits) {
                struct prediction lavish = *out;
                *out = sparing;
                *bits = sparing_bits;
                sparing = lavish;
        }
        bytes_free(&sparing.side);
        if (err != CAEFS_OK)
                bytes_free(&out->side);
        return err;
}
