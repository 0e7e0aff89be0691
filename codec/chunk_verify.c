/* codec/chunk_verify.c - the comparison that every encoding ends with. */
#include <math.h>
#include <string.h>

#include "codec/chunk_plane.h"
#include "codec/value.h"
#include "codec/value_lanes.h"

#define BLOCK 512

/* |y - x| <= TOLERANCE for the real numbers: where the rounded difference equals
 * it, the rounding error decides (Knuth's TwoSum). */
static bool
within(double x, double y, double tolerance)
{
        double d = y - x;

        if (fabs(d) != tolerance)
                return fabs(d) < tolerance;
        double back = d - y;
        double error = (y - (d - back)) - (x + back);
        return d > 0 ? error <= 0 : error >= 0;
}

static bool
holds(const struct plane_bound *b, double amount, double x, double y)
{
        if (b->mode == BOUND_LOSSLESS || !isfinite(x) || !isfinite(y))
                return false;
        if (b->mode == BOUND_ABS)
                return !(x == 0 && (signbit(x) || y == 0)) && within(x, y, amount);
        if (x == 0 || y == 0 || signbit(x) != signbit(y))
                return false;
        /* Where amount * |x| might be subnormal, rounding could double it; scaled by a
         * power of two everything else stays as it is. */
        if (fabs(x) < 0x1p-700 && fabs(y) < 0x1p-600)
                return within(x * 0x1p200, y * 0x1p200, amount * (fabs(x) * 0x1p200));
        return within(x, y, amount * fabs(x));
}

static void
report_error(struct chunk_report *report, const struct plane_bound *b, double amount, double x,
             double y)
{
        double d = fabs(y - x);
        double tolerance = b->mode == BOUND_PWREL ? amount * fabs(x) : amount;

        if (d > report->worst)
                report->worst = d;
        if (tolerance > 0 && d / tolerance > report->worst_over_bound)
                report->worst_over_bound = d / tolerance;
}

/* One block of values, as doubles and as they are in memory. */
struct block {
        size_t  at;             /* index of the first in the plane */
        size_t  count;
        double  x[BLOCK];       /* what went in */
        double  y[BLOCK];       /* what came out */
};

/* Differences up to it are within AMOUNT however they were rounded. */
static double
clear_limit(double amount)
{
        return amount * (1 - 0x1p-50);
}

/* True when every value of the block is clearly within AMOUNT: the usual case, as
 * one loop without branches.  False says nothing.  *WORST becomes the largest error. */
static bool
block_clearly_within(const struct block *k, double amount, double *worst)
{
        double limit = clear_limit(amount), largest = 0;
        bool   all = true;

        for (size_t i = 0; i < k->count; i++) {
                double  d = fabs(k->y[i] - k->x[i]);
                int64_t bits;
                memcpy(&bits, &k->x[i], sizeof bits);
                all &= d <= limit && bits != INT64_MIN;         /* no NaN, no -0 */
                largest = d > largest ? d : largest;
        }
        *worst = largest;
        return all;
}

/* Value by value. */
static size_t
block_verify(const struct plane *p, const struct plane_bound *b, const void *values,
             const void *decoded, const struct block *k, uint8_t *where,
             struct chunk_report *report)
{
        size_t failed = 0;

        for (size_t i = 0; i < k->count; i++) {
                size_t at = k->at + i;
                if (value_bits(p->dtype, values, at) == value_bits(p->dtype, decoded, at))
                        continue;
                double amount = b->namounts == 0 ? 0
                        : b->amount[b->namounts > 1 ? at % b->namounts : 0];
                bool   kept = b->keep != NULL && b->keep[at] != 0;
                if (kept || !holds(b, amount, k->x[i], k->y[i])) {
                        where[at] = 1;
                        failed++;
                } else if (report != NULL) {
                        report_error(report, b, amount, k->x[i], k->y[i]);
                }
        }
        return failed;
}

/* Values FROM to TO, block by block. */
static size_t
range_verify(const struct plane *p, const struct plane_bound *b, const void *values,
             const void *decoded, size_t from, size_t to, uint8_t *where,
             struct chunk_report *report)
{
        size_t failed = 0, width = dtype_size(p->dtype);
        bool   simple = b->mode == BOUND_ABS && b->namounts == 1 && b->keep == NULL;

        for (size_t at = from; at < to; at += BLOCK) {
                struct block k;
                const char  *was = (const char *) values + at * width;
                const char  *is = (const char *) decoded + at * width;
                double       worst;
                k.at = at;
                k.count = to - at < BLOCK ? to - at : BLOCK;
                if (memcmp(was, is, k.count * width) == 0)
                        continue;
                values_to_doubles(p->dtype, was, k.count, 1, k.x);
                values_to_doubles(p->dtype, is, k.count, 1, k.y);
                if (!simple || !block_clearly_within(&k, b->amount[0], &worst))
                        failed += block_verify(p, b, values, decoded, &k, where, report);
                else if (report != NULL)
                        report_error(report, b, b->amount[0], 0, worst);
        }
        return failed;
}

/* Pieces of float32 that are clearly within one amount: nearly all of most chunks. */
#define PIECE 4096

/* True when N values are; adds their errors to REPORT. */
static bool
floats_clearly_within(const struct plane_bound *b, const float *values, const float *decoded,
                      size_t n, struct chunk_report *report)
{
        double amount = b->amount[0], worst, share;

        if (b->mode == BOUND_ABS) {
                if (!value_lanes()->within(values, decoded, n, clear_limit(amount), &worst))
                        return false;
                share = worst / amount;
        } else if (!value_lanes()->within_relative(values, decoded, n, amount, &worst, &share)) {
                return false;
        }
        if (report != NULL) {
                report->worst = fmax(report->worst, worst);
                report->worst_over_bound = fmax(report->worst_over_bound, share);
        }
        return true;
}

static size_t
floats_verify(const struct plane *p, const struct plane_bound *b, const float *values,
              const float *decoded, uint8_t *where, struct chunk_report *report)
{
        size_t failed = 0, at = 0, whole = p->count / VALUE_LANES_BLOCK * VALUE_LANES_BLOCK;

        for (size_t n = PIECE; at < whole; at += n) {
                n = whole - at < n ? whole - at : n;
                if (!floats_clearly_within(b, values + at, decoded + at, n, report))
                        failed += range_verify(p, b, values, decoded, at, at + n, where, report);
        }
        return failed + range_verify(p, b, values, decoded, whole, p->count, where, report);
}

size_t
plane_verify(const struct plane *p, const struct plane_bound *b, const void *values,
             const void *decoded, uint8_t *where, struct chunk_report *report)
{
        bool one_amount = b->mode != BOUND_LOSSLESS && b->namounts == 1 && b->amount[0] > 0;
        bool covered = b->mode == BOUND_ABS || (one_amount && b->amount[0] < 1);

        if (p->dtype == DTYPE_F32 && one_amount && covered && b->keep == NULL)
                return floats_verify(p, b, values, decoded, where, report);
        return range_verify(p, b, values, decoded, 0, p->count, where, report);
}
