/* codec/table_format.c - the part of `table` as bytes and back (doc/format.md, "Models"). */
#include "codec/table.h"

#include <stdlib.h>

#include "codec/model.h"
#include "codec/pack.h"

#define FLAG_TRANSPOSED 1
#define FLAG_REFERENCES 2

/* Parts are small; this bounds what a hostile one makes us unpack. */
#define LARGEST_PART ((size_t) 1 << 24)

void
table_part_release(struct table_part *p)
{
        for (unsigned i = 0; i < p->npredictors; i++)
                free(p->predictor[i].column);
        p->npredictors = 0;
}

/* ---- writing ---- */

static void
write_column(const struct table_column *c, bool references, struct bytes *out)
{
        bytes_put_varint(out, 2 * c->nterms + (references && c->difference));
        for (unsigned k = 0; k < c->nterms; k++) {
                bytes_put_varint(out, c->term[k].column);
                bytes_put_signed(out, c->term[k].coefficient);
        }
        bytes_put_u8(out, (uint8_t) c->nparents);
        for (unsigned k = 0; k < c->nparents; k++)
                bytes_put_varint(out, c->parent[k]);
        if (c->nparents > 0)
                bytes_put_u8(out, (uint8_t) c->first);
        bytes_put(out, c->kind, c->nparents > 0 ? TABLE_CLASSES : 1);
}

enum caefs_err
table_part_write(const struct table_part *p, struct bytes *out)
{
        struct bytes plain = { 0 };

        bytes_put_varint(&plain, p->npredictors);
        for (unsigned i = 0; i < p->npredictors; i++) {
                const struct table_predictor *t = &p->predictor[i];
                bytes_put_u8(&plain, (uint8_t) ((t->transposed ? FLAG_TRANSPOSED : 0)
                                                | (t->references ? FLAG_REFERENCES : 0)));
                bytes_put_varint(&plain, t->ncolumns);
                for (unsigned c = 0; c < t->ncolumns; c++)
                        write_column(&t->column[c], t->references, &plain);
        }
        bytes_put_varint(out, plain.size);
        enum caefs_err err = plain.failed
                ? caefs_fail(CAEFS_ERR_NOMEM, "table: no memory for a part")
                : pack_encode(plain.data, plain.size, EFFORT_MAX, out);
        bytes_free(&plain);
        return err == CAEFS_OK && out->failed
                ? caefs_fail(CAEFS_ERR_NOMEM, "table: no memory for a part") : err;
}

/* ---- parsing ---- */

static bool
parse_terms(struct cursor *in, size_t column, struct table_column *c)
{
        for (unsigned k = 0; k < c->nterms; k++) {
                c->term[k].column = (uint16_t) cursor_varint_max(in, TABLE_MAX_COLUMNS);
                const int64_t coefficient = cursor_signed(in);
                if (in->failed || c->term[k].column >= column
                    || coefficient > TABLE_MAX_COEFFICIENT
                    || coefficient < -TABLE_MAX_COEFFICIENT)
                        return false;
                c->term[k].coefficient = (int32_t) coefficient;
        }
        return true;
}

static bool
parse_classes(struct cursor *in, size_t column, struct table_column *c)
{
        c->nparents = cursor_u8(in);
        if (in->failed || c->nparents > TABLE_MAX_PARENTS)
                return false;
        for (unsigned k = 0; k < c->nparents; k++) {
                c->parent[k] = (uint16_t) cursor_varint_max(in, TABLE_MAX_COLUMNS);
                if (in->failed || c->parent[k] >= column)
                        return false;
        }
        c->first = c->nparents > 0 ? cursor_u8(in) : 0;
        for (unsigned k = 0; k < (c->nparents > 0 ? TABLE_CLASSES : 1); k++) {
                c->kind[k] = cursor_u8(in);
                if (c->kind[k] >= TABLE_KINDS)
                        return false;
        }
        return !in->failed && c->first <= TABLE_LARGEST_BUCKET;
}

static bool
parse_column(struct cursor *in, size_t column, bool references, struct table_column *c)
{
        const uint64_t head = cursor_varint_max(in, 2 * TABLE_MAX_TERMS + 1);

        c->nterms = (unsigned) (head / 2);
        c->difference = head & 1;
        return !in->failed && !(c->difference && !references)
                && parse_terms(in, column, c) && parse_classes(in, column, c);
}

static enum caefs_err
parse_predictor(struct cursor *in, struct table_part *part)
{
        struct table_predictor *p = &part->predictor[part->npredictors];
        const unsigned flags = cursor_u8(in);

        p->transposed = flags & FLAG_TRANSPOSED;
        p->references = flags & FLAG_REFERENCES;
        p->ncolumns = (unsigned) cursor_varint_max(in, TABLE_MAX_COLUMNS);
        /* Three bytes a column, at the least. */
        if (in->failed || flags > (FLAG_TRANSPOSED | FLAG_REFERENCES) || p->ncolumns == 0
            || p->ncolumns > cursor_left(in) / 3)
                return caefs_fail(CAEFS_ERR_CORRUPT, "table: a predictor is malformed");
        p->column = calloc(p->ncolumns, sizeof *p->column);
        if (p->column == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "table: no memory for a predictor");
        part->npredictors++;
        for (unsigned c = 0; c < p->ncolumns; c++)
                if (!parse_column(in, c, p->references, &p->column[c]))
                        return caefs_fail(CAEFS_ERR_CORRUPT, "table: a column is malformed");
        return CAEFS_OK;
}

static enum caefs_err
parse_plain(struct cursor *in, struct table_part *part)
{
        const uint64_t npredictors = cursor_varint_max(in, TABLE_MAX_PREDICTORS);
        enum caefs_err err = CAEFS_OK;

        for (uint64_t i = 0; i < npredictors && err == CAEFS_OK; i++)
                err = parse_predictor(in, part);
        if (err == CAEFS_OK && (in->failed || cursor_left(in) > 0))
                err = caefs_fail(CAEFS_ERR_CORRUPT, "table: its part is malformed");
        return err;
}

static void
release(void *part)
{
        table_part_release(part);
        free(part);
}

static enum caefs_err
parse(struct cursor *in, void **out)
{
        const size_t size = cursor_varint_max(in, LARGEST_PART), coded = cursor_left(in);
        const uint8_t *raw = cursor_take(in, coded);

        if (in->failed || size == 0)
                return caefs_fail(CAEFS_ERR_CORRUPT, "table: its part is cut short");
        struct table_part *part = calloc(1, sizeof *part);
        uint8_t *plain = malloc(size);
        enum caefs_err err = part == NULL || plain == NULL
                ? caefs_fail(CAEFS_ERR_NOMEM, "table: no memory for a part")
                : pack_decode(raw, coded, plain, size);
        if (err == CAEFS_OK) {
                struct cursor body = cursor_of(plain, size);
                err = parse_plain(&body, part);
        }
        free(plain);
        if (err == CAEFS_OK)
                *out = part;
        else if (part != NULL)
                release(part);
        return err;
}

/* Coefficients are what other parts call parameters. */
static void
describe(const void *part, struct model_info *info)
{
        const struct table_part *p = part;

        for (unsigned i = 0; i < p->npredictors; i++)
                for (unsigned c = 0; c < p->predictor[i].ncolumns; c++)
                        info->parameters += p->predictor[i].column[c].nterms;
}

const struct family_part table_family_part = {
        .parse = parse,
        .release = release,
        .describe = describe,
};
