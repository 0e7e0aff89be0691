#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/value.h"
#include "tools/judge.h"

#define BLOCK 512

/* What the values of one column (or of all the array) have in common. */
struct column {
        double low, high;   /* of the finite values that went in */
        double amount;      /* what one value may differ by, or its share for PWREL */
        double squares;     /* sum of (error / amount)^2, which does not overflow */
        uint64_t finite;    /* values that count for it */
        uint64_t first;     /* index of the column's first value */
};

struct judgement {
        const struct region *region;
        const struct bound *bound;
        const uint8_t *was, *is;
        unsigned width;     /* bytes of a value */
        struct column *column;
        uint64_t ncolumns;
        uint64_t run;       /* values that follow each other in one column */
        struct verdict *out;
};

/* Values [at, at + n) of either array. */
struct block {
        uint64_t at;
        size_t n;
        double x[BLOCK], y[BLOCK];
        uint64_t was[BLOCK], is[BLOCK]; /* their bits */
};

static void load(const struct judgement *j, const uint8_t *from, const struct block *b,
                 double *value, uint64_t *bits)
{
        uint64_t room[BLOCK];
        enum dtype t = j->region->dtype;
        size_t i;

        memcpy(room, from + b->at * j->width, b->n * j->width);
        if (j->region->big_endian)
                values_swap(room, b->n, j->width, room);
        values_to_doubles(t, room, b->n, 1, value);
        for (i = 0; i < b->n; i++)
                bits[i] = value_bits(t, room, i);
}

static struct column *column_of(const struct judgement *j, uint64_t at)
{
        return &j->column[j->ncolumns == 1 ? 0 : at / j->run % j->ncolumns];
}

/* Calls VISIT for each block of the region. */
static void for_each_block(struct judgement *j,
                           void (*visit)(struct judgement *j, const struct block *b))
{
        uint64_t count = j->region->length / j->width;
        struct block b;

        for (b.at = 0; b.at < count; b.at += b.n) {
                b.n = count - b.at < BLOCK ? (size_t)(count - b.at) : BLOCK;
                load(j, j->was, &b, b.x, b.was);
                if (j->is != NULL)
                        load(j, j->is, &b, b.y, b.is);
                visit(j, &b);
        }
}

static void widen_ranges(struct judgement *j, const struct block *b)
{
        size_t i;

        for (i = 0; i < b->n; i++) {
                struct column *c = column_of(j, b->at + i);

                if (!isfinite(b->x[i]))
                        continue;
                c->low = fmin(c->low, b->x[i]);
                c->high = fmax(c->high, b->x[i]);
        }
}

static bool needs_range(const struct bound *b)
{
        return b->mode == BOUND_REL || b->mode == BOUND_PSNR;
}

/* Share of the column's range, which itself may be more than a double holds. */
static double share_of_range(const struct column *c, double share)
{
        double range = c->high - c->low;

        if (!(range > 0))
                return 0;
        return isfinite(range) ? share * range : share * c->high - share * c->low;
}

static void set_amounts(struct judgement *j)
{
        uint64_t i;

        for (i = 0; i < j->ncolumns; i++) {
                struct column *c = &j->column[i];

                c->amount = j->bound->amount;
                if (j->bound->mode == BOUND_REL)
                        c->amount = share_of_range(c, j->bound->amount);
                else if (j->bound->mode == BOUND_PSNR)
                        c->amount = share_of_range(c, pow(10, -j->bound->amount / 20));
        }
}

bool judge_value(enum bound_mode mode, double amount, double x, double y)
{
        if (mode != BOUND_PWREL)
                return fabs(y - x) <= amount;
        /* Away from where amount * |x| loses bits; scaling by 2^200 is exact. */
        if (fabs(x) < 0x1p-700 && fabs(y) < 0x1p-600) {
                x *= 0x1p200;
                y *= 0x1p200;
        }
        return fabs(y - x) <= amount * fabs(x);
}

static bool may_be(const struct judgement *j, const struct column *c, double x, double y)
{
        enum bound_mode mode = j->bound->mode;

        if (mode == BOUND_LOSSLESS || !dtype_is_float(j->region->dtype) ||
            !isfinite(x) || !isfinite(y))
                return false;
        /* The bits differ: -0 and the zeros of PWREL keep theirs, and no zero
         * becomes the other one. */
        if (x == 0 && (signbit(x) || y == 0 || mode == BOUND_PWREL))
                return false;
        if (mode == BOUND_PWREL && (y == 0 || signbit(x) != signbit(y)))
                return false;
        /* PSNR is about all values together. */
        return mode == BOUND_PSNR || judge_value(mode, c->amount, x, y);
}

static void blame(struct verdict *v, uint64_t index, uint64_t n)
{
        if (n > 0 && (v->broken == 0 || index < v->first_broken))
                v->first_broken = index;
        v->broken += n;
}

static void compare_values(struct judgement *j, const struct block *b)
{
        struct verdict *v = j->out;
        size_t i;

        for (i = 0; i < b->n; i++) {
                struct column *c = column_of(j, b->at + i);
                double x = b->x[i], error, allowed, over;

                if (c->finite == 0)
                        c->first = b->at + i;
                c->finite += isfinite(x) != 0;
                if (b->was[i] == b->is[i])
                        continue;
                v->changed++;
                error = fabs(b->y[i] - x);
                error = isfinite(error) ? error : INFINITY;
                allowed = j->bound->mode == BOUND_PWREL ? c->amount * fabs(x) : c->amount;
                v->worst = fmax(v->worst, error);
                over = allowed > 0 ? error / allowed : INFINITY;
                c->squares += over * over;
                if (j->bound->mode != BOUND_PSNR)
                        v->worst_over_bound = fmax(v->worst_over_bound, over);
                if (!may_be(j, c, x, b->y[i]))
                        blame(v, b->at + i, 1);
        }
}

/* The root mean square error of each column against what its PSNR allows. */
static void judge_psnr(struct judgement *j)
{
        struct verdict *v = j->out;
        uint64_t i;

        for (i = 0; i < j->ncolumns; i++) {
                const struct column *c = &j->column[i];
                double over = c->finite > 0 ? sqrt(c->squares / (double)c->finite) : 0;

                v->worst_over_bound = fmax(v->worst_over_bound, over);
                if (over > 1 + 1e-9)
                        blame(v, c->first, c->finite);
        }
}

static void judge_bytes(const struct region *r, const uint8_t *was, const uint8_t *is,
                        struct verdict *out)
{
        uint64_t i;

        out->values = r->length;
        if (memcmp(was, is, (size_t)r->length) == 0)
                return;
        for (i = 0; i < r->length; i++)
                if (was[i] != is[i])
                        blame(out, i, 1);
        out->changed = out->broken;
        out->worst = out->worst_over_bound = INFINITY;
}

/* The columns, with what each value may differ by. */
static enum caefs_err find_amounts(struct judgement *j, enum scope scope)
{
        const struct region *r = j->region;
        uint64_t i;

        j->ncolumns = 1;
        if (needs_range(j->bound) && scope != SCOPE_ARRAY && r->shape.ndim >= 2)
                j->ncolumns = r->shape.extent[r->fortran ? 0 : r->shape.ndim - 1];
        /* In Fortran's order one column lies behind the other. */
        j->run = r->fortran ? r->length / j->width / j->ncolumns : 1;
        j->column = calloc((size_t)j->ncolumns, sizeof *j->column);
        if (j->column == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory to judge %llu columns",
                                  (unsigned long long)j->ncolumns);
        for (i = 0; i < j->ncolumns; i++) {
                j->column[i].low = INFINITY;
                j->column[i].high = -INFINITY;
        }
        if (needs_range(j->bound))
                for_each_block(j, widen_ranges);
        set_amounts(j);
        return CAEFS_OK;
}

enum caefs_err judge_region(const struct region *r, const struct bound *bound,
                            enum scope scope, const void *was, const void *is,
                            struct verdict *out)
{
        struct judgement j = {
                .region = r,
                .bound = bound,
                .was = was,
                .is = is,
                .width = dtype_size(r->dtype),
                .out = out,
        };
        enum caefs_err err;

        *out = (struct verdict){ 0 };
        if (r->dtype == DTYPE_BYTES || r->length == 0) {
                judge_bytes(r, was, is, out);
                return CAEFS_OK;
        }
        out->values = r->length / j.width;
        err = find_amounts(&j, scope);
        if (err != CAEFS_OK)
                return err;
        for_each_block(&j, compare_values);
        if (bound->mode == BOUND_PSNR)
                judge_psnr(&j);
        free(j.column);
        return CAEFS_OK;
}

enum caefs_err judge_amount(const struct region *r, const struct bound *bound,
                            const void *was, double *amount)
{
        struct judgement j = {
                .region = r,
                .bound = bound,
                .was = was,
                .width = dtype_size(r->dtype),
        };
        enum caefs_err err = find_amounts(&j, SCOPE_ARRAY);

        if (err != CAEFS_OK)
                return err;
        *amount = bound->mode == BOUND_PWREL ? -1 : j.column[0].amount;
        free(j.column);
        return CAEFS_OK;
}
