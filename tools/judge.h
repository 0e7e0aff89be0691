/*
 * judge.h - does what came back hold its bound?
 *
 * An opinion of its own: it shares with the codec only the conversion of values
 * to doubles (codec/value.h).  caefs bench, the property tests and the fuzz
 * targets judge with it.
 *
 * Thread safety: any number of threads.
 */

#ifndef CAEFS_TOOL_JUDGE_H
#define CAEFS_TOOL_JUDGE_H

#include "codec/layout.h"

struct verdict {
        uint64_t values;         /* looked at */
        uint64_t changed;        /* whose bits differ */
        uint64_t broken;         /* outside the bound; 0: it holds */
        uint64_t first_broken;   /* index of the first of them */
        double worst;            /* largest |x' - x|; infinity where one is not finite */
        double worst_over_bound; /* largest error over what it may be; above 1 (or
                                  * infinity) when broken, 0 when nothing changed */
};

/*
 * Compares the values of region R (r->length bytes at WAS and at IS, as they
 * are in the file) under BOUND, the ranges of rel and psnr taken over SCOPE.
 * Values of integer and opaque regions must be the same bit for bit.
 * CAEFS_ERR_NOMEM is its only failure: a broken bound is a verdict.
 */
enum caefs_err judge_region(const struct region *r, const struct bound *bound,
                            enum scope scope, const void *was, const void *is,
                            struct verdict *out);

/*
 * BOUND as an absolute one for the values of R at WAS, their range taken over
 * the whole array; 0 for LOSSLESS (and a range of 0), negative for PWREL, which
 * has none.
 */
enum caefs_err judge_amount(const struct region *r, const struct bound *bound,
                            const void *was, double *amount);

/*
 * Whether |y - x| may be, for two finite values: PWREL amount is relative to
 * |x|, otherwise AMOUNT is absolute.  Exact also where the product of the two
 * would be subnormal.
 */
bool judge_value(enum bound_mode mode, double amount, double x, double y);

#endif
