/* codec/stencil_lanes.c - the inner loops in plain C.  See codec/stencil_lanes.h.
 *
 * A block of targets is summed over all sources before the next one is begun, so
 * that the sums stay in registers or the nearest cache.
 */
#include "codec/stencil_lanes.h"

#define BLOCK 64

static void
sum_block(const struct row_stencil *r, size_t x, size_t n, double *restrict sum)
{
        for (size_t k = 0; k < n; k++)
                sum[k] = 0;
        for (unsigned i = 0; i < r->nsources; i++) {
                const struct row_source *s = &r->source[i];
                const int32_t *restrict at = s->row + s->shift + (ptrdiff_t) x;
                double c = s->coefficient;
                for (size_t k = 0; k < n; k++)
                        sum[k] += c * at[k];
        }
}

static void
sum_plain(const struct row_stencil *r, size_t lo, size_t hi, double *sum)
{
        for (size_t x = lo; x < hi; x += BLOCK)
                sum_block(r, x, hi - x < BLOCK ? hi - x : BLOCK, sum + x);
}

static void
rebuild_plain(const struct row_stencil *r, size_t lo, size_t hi, const int32_t *residual,
              int32_t step, int32_t *row)
{
        uint64_t offset = stencil_offset(r);
        double sum[BLOCK];
        for (size_t x = lo; x < hi; x += BLOCK) {
                size_t n = hi - x < BLOCK ? hi - x : BLOCK;
                sum_block(r, x, n, sum);
                for (size_t k = 0; k < n; k++) {
                        uint64_t s = bits_of_double(sum[k] + STENCIL_MAGIC) + offset;
                        uint32_t p = (uint32_t) (s >> r->shift);
                        if (residual != NULL)
                                p += (uint32_t) residual[x + k] * (uint32_t) step;
                        row[x + k] = (int32_t) p;
                }
        }
}

const struct stencil_lanes stencil_lanes_plain = { sum_plain, rebuild_plain };
