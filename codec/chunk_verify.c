/* codec/chunk_verify.c - the comparison that every encoding ends with. */
#include <math.h>

#include "codec/chunk_plane.h"
#include "codec/value.h"

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
        return x != 0 && y != 0 && signbit(x) == signbit(y) && within(x, y, amount * fabs(x));
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

size_t
plane_verify(const struct plane *p, const struct plane_bound *b, const void *values,
             const void *decoded, uint8_t *where, struct chunk_report *report)
{
        size_t failed = 0, width = dtype_size(p->dtype);

        for (size_t at = 0; at < p->count; at += BLOCK) {
                size_t count = p->count - at < BLOCK ? p->count - at : BLOCK;
                double x[BLOCK], y[BLOCK];
                values_to_doubles(p->dtype, (const char *) values + at * width, count, 1, x);
                values_to_doubles(p->dtype, (const char *) decoded + at * width, count, 1, y);
                for (size_t i = 0; i < count; i++) {
                        if (value_bits(p->dtype, values, at + i)
                            == value_bits(p->dtype, decoded, at + i))
                                continue;
                        double amount = b->namounts == 0 ? 0
                                : b->amount[b->namounts > 1 ? (at + i) % b->namounts : 0];
                        bool kept = b->keep != NULL && b->keep[at + i] != 0;
                        if (kept || !holds(b, amount, x[i], y[i])) {
                                where[at + i] = 1;
                                failed++;
                        } else if (report != NULL) {
                                report_error(report, b, amount, x[i], y[i]);
                        }
                }
        }
        return failed;
}
