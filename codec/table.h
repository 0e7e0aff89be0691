/* codec/table.h - what encoder, decoder and trainer of the family `table` share.
 *
 * A table has rows and columns; columns are coded one after another.  Three things
 * are learnt from other tables of its kind (codec/table_train.c) and kept in a model:
 *
 * - A value is predicted from columns coded before, in its own row.  Where rows
 *   resemble each other, an earlier row is named as the reference of each, and what is
 *   predicted is the difference to it, from the differences of other columns.
 * - How well the prediction did for some other columns of the row, its *parents*, says
 *   how well it will do for this one: the class of a value.
 * - Values of columns and classes with alike distributions are coded together: they
 *   have the same *kind*.
 *
 * That columns depend on few others, and predict them, is SPARTAN's idea (Babu et al.,
 * 2001); that a row is told by its difference to another one, ItCompress' (Jagadish et
 * al., 2004).
 *
 * A matrix of few rows and many columns is read the other way round: its columns are
 * the table's rows (*transposed*).
 *
 * Thread safety: pure functions; a part is immutable.
 */
#ifndef CAEFS_CODEC_TABLE_H
#define CAEFS_CODEC_TABLE_H

#include "codec/predict.h"

/* Raw bytes of a chunk with a model for tables: rows find what they resemble within their
 * chunk only. */
#define TABLE_CHUNK_BYTES ((size_t) 8 << 20)

#define TABLE_MAX_COLUMNS    1024
#define TABLE_MAX_PREDICTORS 64
#define TABLE_MAX_TERMS      64
#define TABLE_MAX_PARENTS    16
#define TABLE_CLASSES        16
#define TABLE_KINDS          32
#define TABLE_SHIFT          12         /* coefficients are multiples of 2^-12 */
#define TABLE_MAX_COEFFICIENT (1 << 20)
#define TABLE_LARGEST_BUCKET 63

struct table_term {
        uint16_t column;                /* coded before */
        int32_t  coefficient;
};

struct table_column {
        bool              difference;   /* to the reference row; else the value itself */
        unsigned          nterms;
        unsigned          nparents;
        unsigned          first;        /* the bucket of class 0 */
        struct table_term term[TABLE_MAX_TERMS];
        uint16_t          parent[TABLE_MAX_PARENTS];    /* coded before */
        uint8_t           kind[TABLE_CLASSES];          /* below TABLE_KINDS */
};

/* What is learnt for tables of one number of columns. */
struct table_predictor {
        bool                 transposed;
        bool                 references;
        unsigned             ncolumns;
        struct table_column *column;    /* (ncolumns); owned */
};

/* The part of a model. */
struct table_part {
        unsigned               npredictors;
        struct table_predictor predictor[TABLE_MAX_PREDICTORS];
};

/* codec/table_format.c: doc/format.md, "Models". */
enum caefs_err table_part_write(const struct table_part *p, struct bytes *out);
void table_part_release(struct table_part *p);          /* the predictors' columns */
extern const struct family_part table_family_part;

/* The predictor of PART for such a chunk, by index; PART->npredictors: none. */
unsigned table_predictor_for(const struct table_part *part, const struct field_geometry *g);

/* A table being coded.  Columns lie one after another, each with NROWS values; values are
 * less their column's base. */
struct table_run {
        const struct table_predictor *predictor;
        size_t    nrows;
        size_t    ncolumns;
        int32_t   step;
        int32_t  *value;                /* (ncolumns, nrows) */
        int32_t  *difference;           /* (ncolumns, nrows) to the reference row */
        uint16_t *magnitude;            /* (ncolumns, nrows) of residuals, at most 65535 */
        uint32_t *reference;            /* (nrows) how many rows back; 0: none */
};

/* Memory for a chunk of geometry G. */
enum caefs_err table_run_make(const struct field_geometry *g, const struct table_predictor *p,
                              struct arena *arena, struct table_run *run);

/* Where value (ROW, COLUMN) of the table lies in the chunk. */
static inline size_t
table_place(const struct table_run *run, size_t row, size_t column)
{
        return run->predictor->transposed ? column * run->nrows + row
                                          : row * run->ncolumns + column;
}

#define TABLE_BLOCK 1024                /* rows at a time: scratch stays in the cache */

/* What is known of N values, at most TABLE_BLOCK, of COLUMN from row FROM on before any of
 * them is: what the terms predict, beside the reference row, and their kinds. */
void table_prepare(const struct table_run *run, size_t column, size_t from, size_t n,
                   int32_t *predicted, uint8_t *kind);

/* Where a sum of magnitudes, below 2^24, lies on a scale of half octaves: it is exact as a
 * float, whose exponent and first bit say so, and that many at once. */
static inline int32_t
table_bucket(int32_t sum)
{
        const float exact = (float) sum;
        uint32_t    bits;

        memcpy(&bits, &exact, sizeof bits);
        return sum < 2 ? sum : (int32_t) (bits >> 22) - 2 * 127;
}

/* What the reference row has in COLUMN, 0 without one. */
static inline int32_t
table_referenced(const struct table_run *run, size_t column, size_t row)
{
        const uint32_t back = run->reference[row];
        return back > 0 ? run->value[column * run->nrows + row - back] : 0;
}

/* Keeps the value of RESIDUAL at PREDICTION and what later columns ask of it. */
static inline void
table_keep(const struct table_run *run, size_t column, size_t row, int32_t prediction,
           int32_t referenced, int32_t residual)
{
        const size_t   i = column * run->nrows + row;
        const uint32_t magnitude = residual < 0 ? 0u - (uint32_t) residual : (uint32_t) residual;

        run->value[i] = rebuilt_of(prediction, residual, run->step);
        run->difference[i] = (int32_t) ((uint32_t) run->value[i] - (uint32_t) referenced);
        run->magnitude[i] = (uint16_t) (magnitude < 65535 ? magnitude : 65535);
}

/* codec/table_reference.c.  For each of NROWS rows of VALUE, (ncolumns, nrows), the earlier
 * one that it resembles most, as how many rows back; 0 for none.  Encoder only;
 * the same on every machine. */
enum caefs_err table_find_references(const int32_t *value, size_t nrows, size_t ncolumns,
                                     int32_t step, struct arena *arena, uint32_t *reference);

enum caefs_err table_encode(const struct field *f, struct arena *arena,
                            struct prediction *out, double *bits);

#endif
