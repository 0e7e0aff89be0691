/* codec/object_range.c - bounds made absolute.
 *
 * Value-range bounds need the least and the largest finite value of the whole
 * region, or of each of its columns, before the first chunk is encoded: one
 * pass over the region, in pieces, in double precision. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "codec/grid_fit.h"
#include "codec/object_internal.h"
#include "codec/value.h"

/* Values looked at together. */
#define PIECE 65536

/* The least and the largest finite value so far. */
struct range {
        double low;
        double high;
};

struct scan {
        const struct byte_source *source;
        const struct region      *region;
        unsigned                  width;        /* bytes of a value */
        uint8_t                  *raw;          /* (PIECE) values as in the file */
        uint8_t                  *native;       /* (PIECE) in host byte order */
        struct range             *range;        /* (nranges) */
        size_t                    nranges;
        uint64_t                  run;          /* values that follow each other in one column */
};

static void
widen(struct scan *s, const void *values, size_t n, struct range *r)
{
        struct value_statistics found;

        value_statistics_of(s->region->dtype, values, n, 1, NULL, &found);
        if (found.finite > 0) {
                r->low = fmin(r->low, found.low);
                r->high = fmax(r->high, found.high);
        }
}

/* N values from the region's value FIRST on, each to the range of its column. */
static void
widen_columns(struct scan *s, const void *values, uint64_t first, size_t n)
{
        for (size_t i = 0; i < n;) {
                uint64_t at = first + i;
                uint64_t left = s->run - at % s->run;
                size_t   part = n - i < left ? n - i : (size_t) left;
                widen(s, (const char *) values + i * s->width, part,
                      &s->range[at / s->run % s->nranges]);
                i += part;
        }
}

static enum caefs_err
scan_piece(struct scan *s, uint64_t first, size_t n)
{
        const struct region *r = s->region;
        const void          *values = s->raw;
        enum caefs_err       err = s->source->read(s->source->context, s->raw, n * s->width,
                                                   r->offset + first * s->width);

        if (err != CAEFS_OK)
                return err;
        if (r->big_endian) {
                values_swap(s->raw, n, s->width, s->native);
                values = s->native;
        }
        widen_columns(s, values, first, n);
        return CAEFS_OK;
}

static enum caefs_err
scan_region(struct scan *s, const struct progress *progress)
{
        uint64_t       count = s->region->length / s->width;
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; i < s->nranges; i++)
                s->range[i] = (struct range) { .low = INFINITY, .high = -INFINITY };
        s->raw = malloc((size_t) PIECE * s->width);
        s->native = malloc((size_t) PIECE * s->width);
        if (s->raw == NULL || s->native == NULL)
                err = caefs_fail(CAEFS_ERR_NOMEM, "no memory to find ranges");
        for (uint64_t i = 0; i < count && err == CAEFS_OK; i += PIECE) {
                err = scan_piece(s, i, count - i < PIECE ? (size_t) (count - i) : PIECE);
                if (err == CAEFS_OK && progress_cancelled(progress))
                        err = caefs_fail(CAEFS_ERR_INTERRUPTED, "stopped");
        }
        free(s->raw);
        free(s->native);
        return err;
}

/* The largest error that BOUND allows over a range; 0: none. */
static double
amount_of(const struct range *r, const struct bound *bound)
{
        /* For PSNR an error no larger than the allowed root mean square. */
        double share = bound->mode == BOUND_REL ? bound->amount : pow(10, -bound->amount / 20);
        double range = r->high - r->low;

        if (!(range > 0))
                return 0;
        double amount = isfinite(range) ? share * range : share * r->high - share * r->low;
        return fmin(amount, DBL_MAX);
}

static enum caefs_err
amounts_from_ranges(const struct byte_source *source, const struct region *r,
                    const struct bound *bound, const struct progress *progress,
                    struct region_bound *out)
{
        struct scan s = {
                .source = source,
                .region = r,
                .width = dtype_size(r->dtype),
                .nranges = out->namounts,
                .run = 1,
        };

        /* Column after column in Fortran's order, else a value of each in turn. */
        if (r->fortran || s.nranges == 1)
                s.run = r->length / s.width / s.nranges;
        s.range = calloc(s.nranges, sizeof *s.range);
        if (s.range == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for the ranges of %zu columns",
                                  s.nranges);
        enum caefs_err err = scan_region(&s, progress);
        for (size_t i = 0; i < s.nranges && err == CAEFS_OK; i++)
                out->amount[i] = amount_of(&s.range[i], bound);
        free(s.range);
        return err;
}

enum caefs_err
region_bound_find(const struct byte_source *source, const struct region *r,
                  const struct bound *bound, enum scope scope, const struct progress *progress,
                  struct region_bound *out)
{
        bool columns = region_has_columns(r, scope);
        bool ranges = bound->mode == BOUND_REL || bound->mode == BOUND_PSNR;
        /* Columns were asked for and there are more than can have ranges. */
        bool too_many = ranges && !columns && scope != SCOPE_ARRAY && r->shape.ndim >= 2;

        *out = (struct region_bound) { .mode = BOUND_LOSSLESS, .namounts = 1 };
        if (dtype_is_float(r->dtype) && !too_many) {
                out->mode = ranges ? BOUND_ABS : bound->mode;
                out->namounts = ranges && columns ? (size_t) region_columns(r) : 1;
        }
        out->amount = calloc(out->namounts, sizeof *out->amount);
        if (out->amount == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for the bounds of %zu columns",
                                  out->namounts);
        if (out->mode == BOUND_LOSSLESS)
                return CAEFS_OK;
        if (ranges)
                return amounts_from_ranges(source, r, bound, progress, out);
        out->amount[0] = bound->amount;
        return CAEFS_OK;
}
