/* codec/table_reference.c - which earlier row a row resembles.
 *
 * Rows that are alike lie near each other when all are sorted by some sum of their
 * columns with random weights.  A few such orders give each row a few candidates; the one
 * whose differences would take fewest bits is kept.  (Random projections for
 * neighbours: Indyk and Motwani, 1998.)  Tables of few rows are searched in full after that.
 */
#include "codec/table.h"

#include <stdlib.h>

#define ORDERS   24
#define NEARBY   20     /* candidates an order gives, at most, on each side */
#define FURTHEST 64     /* places looked at for them */

/* Tables of so many rows are searched in full. */
#define TRY_ALL_ROWS 16384

/* Bits, in sixteenths, that a difference of so many steps takes, about. */
#define LARGEST_DIFFERENCE 255

struct find {
        size_t    nrows;
        size_t    ncolumns;
        int32_t  *row;                  /* (nrows, ncolumns), in steps */
        uint16_t  bits[LARGEST_DIFFERENCE + 1];
        uint32_t *best;                 /* (nrows) bits of the best so far */
        uint32_t *reference;
};

struct place {
        int64_t  key;
        uint32_t row;
};

static int
compare_places(const void *a, const void *b)
{
        const struct place *x = a, *y = b;

        if (x->key != y->key)
                return x->key < y->key ? -1 : 1;
        return (x->row > y->row) - (x->row < y->row);
}

/* 16 log2(1 + n), by table and shift. */
static uint16_t
sixteenths_of_bits(unsigned n)
{
        static const uint8_t part[16] = { 0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15 };
        unsigned octave = 31 - (unsigned) __builtin_clz(n + 1);
        unsigned next = octave >= 4 ? (n + 1) >> (octave - 4) : (n + 1) << (4 - octave);

        return (uint16_t) (16 * octave + part[next & 15]);
}

static void
load_rows(struct find *f, const int32_t *value, int32_t step)
{
        for (size_t from = 0; from < f->nrows; from += 64) {
                const size_t to = from + 64 < f->nrows ? from + 64 : f->nrows;
                for (size_t c = 0; c < f->ncolumns; c++)
                        for (size_t r = from; r < to; r++)
                                f->row[r * f->ncolumns + c] =
                                        residual_of(value[c * f->nrows + r], 0, step);
        }
}

/* What ROW costs by its difference to EARLIER, or any number from LIMIT on. */
static uint32_t
cost(const struct find *f, size_t row, size_t earlier, uint32_t limit)
{
        const int32_t *a = f->row + row * f->ncolumns, *b = f->row + earlier * f->ncolumns;
        uint32_t sum = sixteenths_of_bits((unsigned) (row - earlier));

        for (size_t from = 0; from < f->ncolumns && sum < limit; from += 8) {
                const size_t to = from + 8 < f->ncolumns ? from + 8 : f->ncolumns;
                for (size_t c = from; c < to; c++) {
                        const int64_t  d = (int64_t) a[c] - b[c];
                        const uint64_t n = (uint64_t) (d < 0 ? -d : d);
                        sum += f->bits[n < LARGEST_DIFFERENCE ? n : LARGEST_DIFFERENCE];
                }
        }
        return sum;
}

static void
consider(struct find *f, size_t row, size_t earlier)
{
        const uint32_t bits = cost(f, row, earlier, f->best[row]);

        if (bits < f->best[row]) {
                f->best[row] = bits;
                f->reference[row] = (uint32_t) (row - earlier);
        }
}

/* The nearest earlier rows on one side of place AT. */
static void
look_around(struct find *f, const struct place *place, size_t at, bool up)
{
        const size_t room = up ? f->nrows - 1 - at : at;
        unsigned     found = 0;

        for (size_t k = 1; k <= room && k <= FURTHEST && found < NEARBY; k++) {
                const uint32_t other = place[up ? at + k : at - k].row;
                if (other < place[at].row) {
                        consider(f, place[at].row, other);
                        found++;
                }
        }
}

/* Sorts by a sum of columns, about half of them, with weights out of SEED. */
static void
try_order(struct find *f, uint64_t seed, struct place *place)
{
        for (size_t r = 0; r < f->nrows; r++)
                place[r] = (struct place) { 0, (uint32_t) r };
        for (size_t c = 0; c < f->ncolumns; c++) {
                seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                const int64_t weight = (seed >> 63) != 0 ? (int64_t) (seed >> 40 & 1023) - 512 : 0;
                for (size_t r = 0; r < f->nrows && weight != 0; r++)
                        place[r].key += weight * f->row[r * f->ncolumns + c];
        }
        qsort(place, f->nrows, sizeof *place, compare_places);
        for (size_t at = 0; at < f->nrows; at++) {
                look_around(f, place, at, false);
                look_around(f, place, at, true);
        }
}

/* Every pair of rows: for tables of few rows this takes no longer than the rest. */
static void
try_all(struct find *f)
{
        for (size_t r = 1; r < f->nrows; r++)
                for (size_t earlier = r; earlier-- > 0;)
                        consider(f, r, earlier);
}

/* What the reference of a reference is like. */
static void
follow(struct find *f)
{
        for (size_t r = 1; r < f->nrows; r++) {
                const size_t next = r - f->reference[r];
                consider(f, r, r - 1);
                if (f->reference[r] > 0 && f->reference[next] > 0)
                        consider(f, r, next - f->reference[next]);
        }
}

/* A row without a reference costs what it has itself. */
static void
begin(struct find *f)
{
        for (unsigned n = 0; n <= LARGEST_DIFFERENCE; n++)
                f->bits[n] = sixteenths_of_bits(n);
        for (size_t r = 0; r < f->nrows; r++) {
                f->best[r] = 0;
                f->reference[r] = 0;
                for (size_t c = 0; c < f->ncolumns; c++) {
                        const int64_t  d = f->row[r * f->ncolumns + c];
                        const uint64_t n = (uint64_t) (d < 0 ? -d : d);
                        f->best[r] += f->bits[n < LARGEST_DIFFERENCE ? n : LARGEST_DIFFERENCE];
                }
        }
}

enum caefs_err
table_find_references(const int32_t *value, size_t nrows, size_t ncolumns, int32_t step,
                      struct arena *arena, uint32_t *reference)
{
        const struct arena_mark mark = arena_mark(arena);
        struct find f = {
                .nrows = nrows, .ncolumns = ncolumns, .reference = reference,
                .row = arena_array(arena, nrows * ncolumns, sizeof *f.row),
                .best = arena_array(arena, nrows, sizeof *f.best),
        };
        struct place *place = arena_array(arena, nrows, sizeof *place);

        if (f.row == NULL || f.best == NULL || place == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "table: no memory for references");
        load_rows(&f, value, step);
        begin(&f);
        for (uint64_t order = 1; order <= ORDERS; order++)
                try_order(&f, order * UINT64_C(0x9E3779B97F4A7C15), place);
        follow(&f);
        if (nrows <= TRY_ALL_ROWS)
                try_all(&f);
        arena_release(arena, mark);
        return CAEFS_OK;
}
