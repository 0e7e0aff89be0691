/* codec/chunk_columns.c - a chunk whose columns are coded in groups of their own. */
#include "codec/chunk_columns.h"

#include <string.h>

#include "codec/pack.h"
#include "codec/value.h"

#define COLUMNS_LIMIT 65536

/* Groups of columns: GROUP, (columns), says where each belongs. */
struct partition {
        size_t    columns;
        size_t    ngroups;
        uint16_t *group;
};

/* A group as the plane it is coded as. */
struct group {
        struct plane plane;
        size_t      *column;            /* (ncolumns) of the chunk, ascending */
        size_t       ncolumns;
        size_t       rows;
        size_t       stride;            /* columns of the chunk */
};

static size_t
columns_of(const struct plane *p)
{
        return p->shape.ndim < 2 ? 1 : p->shape.extent[p->shape.ndim - 1];
}

static enum caefs_err
group_make(const struct plane *p, const struct partition *part, size_t index,
           struct arena *arena, struct group *g)
{
        *g = (struct group) { .stride = part->columns, .rows = p->count / part->columns };
        g->column = arena_array(arena, part->columns, sizeof *g->column);
        if (g->column == NULL)
                return CAEFS_ERR_NOMEM;
        for (size_t c = 0; c < part->columns; c++)
                if (part->group[c] == index)
                        g->column[g->ncolumns++] = c;
        if (g->ncolumns == 0)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: a group without columns");
        g->plane = *p;
        g->plane.reference = NULL;      /* it has all columns */
        g->plane.count = g->rows * g->ncolumns;
        if (g->ncolumns == 1) {
                g->plane.shape.ndim--;
                g->plane.columns = 1;
                g->plane.scope = SCOPE_ARRAY;
        } else {
                g->plane.shape.extent[p->shape.ndim - 1] = g->ncolumns;
                g->plane.columns = p->columns > 1 ? g->ncolumns : 1;
        }
        return CAEFS_OK;
}

/* Moves values of WIDTH bytes between the chunk and the group. */
static void
group_copy(const struct group *g, size_t width, const void *chunk, void *group)
{
        const char *from = chunk;
        char       *to = group;

        for (size_t r = 0; r < g->rows; r++)
                for (size_t i = 0; i < g->ncolumns; i++, to += width)
                        memcpy(to, from + (r * g->stride + g->column[i]) * width, width);
}

static void
group_copy_back(const struct group *g, size_t width, const void *group, void *chunk)
{
        const char *from = group;
        char       *to = chunk;

        for (size_t r = 0; r < g->rows; r++)
                for (size_t i = 0; i < g->ncolumns; i++, from += width)
                        memcpy(to + (r * g->stride + g->column[i]) * width, from, width);
}

/* ---- decoding ---- */

static enum caefs_err
partition_parse(const struct plane *p, struct cursor *in, struct arena *arena,
                struct partition *part)
{
        size_t n = columns_of(p);

        *part = (struct partition) { .columns = n };
        part->ngroups = cursor_varint_max(in, n);
        if (in->failed || part->ngroups == 0 || n > COLUMNS_LIMIT)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: malformed groups of columns");
        part->group = arena_array(arena, n, sizeof *part->group);
        uint8_t *planes = arena_array(arena, n, 2);
        if (part->group == NULL || planes == NULL)
                return CAEFS_ERR_NOMEM;
        for (size_t c = 0; c < n; c++)
                part->group[c] = (uint16_t) c;
        if (part->ngroups == n)
                return CAEFS_OK;
        size_t         size = cursor_varint_max(in, cursor_left(in));
        const uint8_t *packed = cursor_take(in, size);
        if (packed == NULL)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: malformed groups of columns");
        enum caefs_err err = pack_decode(packed, size, planes, 2 * n);
        for (size_t c = 0; c < n && err == CAEFS_OK; c++) {
                part->group[c] = (uint16_t) (planes[c] | planes[n + c] << 8);
                if (part->group[c] >= part->ngroups)
                        err = caefs_fail(CAEFS_ERR_CORRUPT, "chunk: malformed groups of columns");
        }
        return err;
}

static enum caefs_err
group_decode(const struct plane *p, const struct partition *part, size_t index,
             struct cursor *in, struct arena *arena, void *values)
{
        size_t         width = dtype_size(p->dtype);
        struct group   g;
        enum caefs_err err = group_make(p, part, index, arena, &g);
        size_t         size = cursor_varint_max(in, cursor_left(in));
        const uint8_t *coded = cursor_take(in, size);

        if (err != CAEFS_OK)
                return err;
        if (in->failed)
                return caefs_fail(CAEFS_ERR_CORRUPT, "chunk: a group is cut short");
        void *group = arena_array(arena, g.plane.count, width);
        if (group == NULL)
                return CAEFS_ERR_NOMEM;
        if (size == 0)
                memset(group, 0, g.plane.count * width);
        else
                err = plane_decode(&g.plane, coded, size, arena, group);
        if (err == CAEFS_OK)
                group_copy_back(&g, width, group, values);
        return err;
}

enum caefs_err
columns_decode(const struct plane *p, struct cursor in, struct arena *arena, void *values)
{
        struct arena_mark mark = arena_mark(arena);
        struct partition  part;

        cursor_u8(&in);
        enum caefs_err err = partition_parse(p, &in, arena, &part);
        for (size_t i = 0; err == CAEFS_OK && i < part.ngroups; i++) {
                struct arena_mark inner = arena_mark(arena);
                err = group_decode(p, &part, i, &in, arena, values);
                arena_release(arena, inner);
        }
        arena_release(arena, mark);
        return err;
}

/* ---- encoding ---- */

/* What codes one group, kept until the partition is chosen. */
struct coded_group {
        struct bytes        bytes;
        struct chunk_report report;
};

static enum caefs_err
group_bound(const struct group *g, const struct plane_bound *b, struct arena *arena,
            struct plane_bound *out)
{
        double  *amount = arena_array(arena, g->ncolumns, sizeof *amount);
        uint8_t *keep = b->keep == NULL ? NULL : arena_alloc(arena, g->plane.count);

        if (amount == NULL || (b->keep != NULL && keep == NULL))
                return CAEFS_ERR_NOMEM;
        *out = *b;
        if (b->namounts > 1) {
                for (size_t i = 0; i < g->ncolumns; i++)
                        amount[i] = b->amount[g->column[i]];
                out->amount = amount;
                out->namounts = g->ncolumns;
                /* Columns that allow nothing are lossless. */
                if (g->ncolumns == 1 && !(amount[0] > 0))
                        out->mode = BOUND_LOSSLESS;
        }
        if (keep != NULL)
                group_copy(g, 1, b->keep, keep);
        out->keep = keep;
        return CAEFS_OK;
}

static enum caefs_err
group_encode(const struct group *g, const struct plane_bound *b, const struct chunk_options *o,
             const void *values, struct arena *arena, struct coded_group *out)
{
        size_t             width = dtype_size(g->plane.dtype);
        struct arena_mark  mark = arena_mark(arena);
        struct plane_bound bound;
        void              *group = arena_array(arena, g->plane.count, width);
        void              *decoded = arena_array(arena, g->plane.count, width);
        enum caefs_err     err = group_bound(g, b, arena, &bound);

        if (group == NULL || decoded == NULL)
                err = CAEFS_ERR_NOMEM;
        if (err == CAEFS_OK) {
                group_copy(g, width, values, group);
                err = plane_encode(&g->plane, &bound, o, group, arena, &out->bytes, decoded,
                                   &out->report);
        }
        /* One head byte and nothing else: zero everywhere. */
        if (out->bytes.size == 1 && out->bytes.data[0] == STORAGE_CONSTANT)
                bytes_clear(&out->bytes);
        arena_release(arena, mark);
        return err;
}

static enum caefs_err
partition_encode(const struct plane *p, const struct partition *part,
                 const struct plane_bound *b, const struct chunk_options *o, const void *values,
                 struct arena *arena, struct coded_group *coded)
{
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; i < part->ngroups && err == CAEFS_OK; i++) {
                struct arena_mark mark = arena_mark(arena);
                struct group      g;
                err = group_make(p, part, i, arena, &g);
                if (err == CAEFS_OK && coded[i].bytes.data == NULL)
                        err = group_encode(&g, b, o, values, arena, &coded[i]);
                arena_release(arena, mark);
        }
        return err;
}

static enum caefs_err
partition_write(const struct partition *part, const struct coded_group *coded,
                struct arena *arena, struct bytes *out)
{
        size_t         n = part->columns;
        uint8_t       *planes = arena_array(arena, n, 2);
        struct bytes   packed = { 0 };
        enum caefs_err err = CAEFS_OK;

        if (planes == NULL)
                return CAEFS_ERR_NOMEM;
        bytes_put_u8(out, STORAGE_COLUMNS);
        bytes_put_varint(out, part->ngroups);
        if (part->ngroups < n) {
                for (size_t c = 0; c < n; c++) {
                        planes[c] = (uint8_t) part->group[c];
                        planes[n + c] = (uint8_t) (part->group[c] >> 8);
                }
                err = pack_encode(planes, 2 * n, EFFORT_BALANCED, &packed);
                bytes_put_varint(out, packed.size);
                bytes_put(out, packed.data, packed.size);
        }
        for (size_t i = 0; i < part->ngroups; i++) {
                bytes_put_varint(out, coded[i].bytes.size);
                bytes_put(out, coded[i].bytes.data, coded[i].bytes.size);
        }
        bytes_free(&packed);
        return err == CAEFS_OK && out->failed ? CAEFS_ERR_NOMEM : err;
}

/* Takes TRIAL in place of OUT from START on where it is smaller. */
static void
take_smaller(struct bytes *trial, size_t start, struct bytes *out,
             const struct coded_group *coded, size_t ngroups, struct chunk_report *report)
{
        if (trial->size >= out->size - start)
                return;
        out->size = start;
        bytes_put(out, trial->data, trial->size);
        *report = (struct chunk_report) { .family = report->family, .grid = report->grid };
        size_t largest = 0;
        for (size_t i = 0; i < ngroups; i++) {
                report->patched += coded[i].report.patched;
                report->uses_model |= coded[i].report.uses_model;
                if (coded[i].bytes.size > largest) {
                        largest = coded[i].bytes.size;
                        report->family = coded[i].report.family;
                        report->grid = coded[i].report.grid;
                }
        }
}

static enum caefs_err
partition_try(const struct plane *p, const struct partition *part, const struct plane_bound *b,
              const struct chunk_options *o, const void *values, struct arena *arena,
              struct coded_group *coded, size_t start, struct bytes *out,
              struct chunk_report *report)
{
        struct bytes   trial = { 0 };
        enum caefs_err err = partition_encode(p, part, b, o, values, arena, coded);

        if (err == CAEFS_OK)
                err = partition_write(part, coded, arena, &trial);
        if (err == CAEFS_OK)
                take_smaller(&trial, start, out, coded, part->ngroups, report);
        bytes_free(&trial);
        return err;
}

/* Columns that lie on the bound's own grid stay together, in the group numbered
 * last; all others are alone.  False when that is one of the two extremes. */
static bool
partition_mixed(const struct coded_group *single, struct partition *part)
{
        size_t n = part->columns, alone = 0;

        for (size_t c = 0; c < n; c++) {
                enum grid_kind kind = single[c].report.grid;
                bool together = kind == GRID_LINEAR || kind == GRID_LOG;
                part->group[c] = (uint16_t) (together ? UINT16_MAX : alone++);
        }
        for (size_t c = 0; c < n; c++)
                if (part->group[c] == UINT16_MAX)
                        part->group[c] = (uint16_t) alone;
        part->ngroups = alone + 1;
        return alone > 0 && n - alone > 1;
}

/* The mixed partition, with the codings of the lone columns that SINGLE has. */
static enum caefs_err
mixed_try(const struct plane *p, struct partition *part, const struct plane_bound *b,
          const struct chunk_options *o, const void *values, struct arena *arena,
          struct coded_group *single, size_t start, struct bytes *out,
          struct chunk_report *report)
{
        if (!partition_mixed(single, part))
                return CAEFS_OK;
        struct coded_group *coded = arena_array(arena, part->ngroups, sizeof *coded);
        if (coded == NULL)
                return CAEFS_ERR_NOMEM;
        for (size_t c = 0; c < part->columns; c++)
                if (part->group[c] + 1u < part->ngroups)
                        coded[part->group[c]] = single[c];
        coded[part->ngroups - 1] = (struct coded_group) { 0 };
        enum caefs_err err = partition_try(p, part, b, o, values, arena, coded, start, out,
                                           report);
        bytes_free(&coded[part->ngroups - 1].bytes);
        return err;
}

enum caefs_err
columns_try(const struct plane *p, const struct plane_bound *b, const struct chunk_options *o,
            const void *values, struct arena *arena, size_t start, struct bytes *out,
            bool *replaced, struct chunk_report *report)
{
        size_t            whole = out->size - start;
        struct arena_mark mark = arena_mark(arena);
        struct partition  part = { .columns = columns_of(p), .ngroups = columns_of(p) };

        *replaced = false;
        if (p->columns < 2 || part.columns > COLUMNS_LIMIT)
                return CAEFS_OK;
        part.group = arena_array(arena, part.columns, sizeof *part.group);
        struct coded_group *single = arena_array(arena, part.columns, sizeof *single);
        if (part.group == NULL || single == NULL)
                return CAEFS_ERR_NOMEM;
        for (size_t c = 0; c < part.columns; c++) {
                part.group[c] = (uint16_t) c;
                single[c] = (struct coded_group) { 0 };
        }
        enum caefs_err err = partition_try(p, &part, b, o, values, arena, single, start, out,
                                           report);
        if (err == CAEFS_OK)
                err = mixed_try(p, &part, b, o, values, arena, single, start, out, report);
        *replaced = out->size - start < whole;
        for (size_t c = 0; c < part.columns; c++)
                bytes_free(&single[c].bytes);
        arena_release(arena, mark);
        return err;
}
