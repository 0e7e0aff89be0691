/* codec/train_survey.c - sampling, moments, entropies, and what they suggest. */
#include "codec/train_survey.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/predict.h"
#include "codec/train_pieces.h"
#include "codec/train_run.h"
#include "codec/value.h"

/* Pieces that are looked at, and raw bytes of one. */
#define MOST_PIECES     12
#define MOST_PIECE_RAW  ((size_t) 1 << 20)

/* Fewer values than this are learnt from in no time: nothing is gained by fewer. */
#define LEAST_VALUES    32768

/* Values of a window that counts as repeated, one in how many windows is looked at, and the
 * size of the table of those seen. */
#define WINDOW          8
#define WINDOW_SHARE    8
#define WINDOW_TABLE    ((size_t) 1 << 18)

/* Columns before it that a column is predicted from, at most, and rows to learn from. */
#define MOST_COLUMNS    32
#define MOST_ROWS       2048

/* Raw bytes that are encoded, about. */
#define MOST_ENCODED    ((uint64_t) 4 << 20)

/* A lead must promise this much less than neighbours do. */
#define LEAST_PROMISE   0.97

/* Smooth data repeats short patterns by itself: a smaller share means nothing. */
#define LEAST_REPEATED  0.25

/* ---- the guidance ---- */

double
train_proportion(double cv, double cv_first, double cv_rest, uint64_t count, const char **why)
{
        double proportion = 0.05;

        *why = "the values vary enough for a twentieth of them to show how (CV 0.01 or more)";
        if (cv_first > 0 && cv_rest > 0
            && (cv_first > 4 * cv_rest || cv_rest > 4 * cv_first)) {
                *why = "parts of the data differ in their variation: more of one part would "
                       "mislead";
        } else if (cv < 1e-4) {
                proportion = 0.5;
                *why = "the values hardly vary (CV below 0.0001): much is needed to see how";
        } else if (cv < 1e-3) {
                proportion = 0.25;
                *why = "the values vary little (CV below 0.001)";
        } else if (cv < 1e-2) {
                proportion = 0.1;
                *why = "the values vary less than usual (CV below 0.01)";
        }
        if (proportion * (double) count < LEAST_VALUES) {
                proportion = count > LEAST_VALUES ? LEAST_VALUES / (double) count : 1;
                *why = "there is little data: less would save no time";
        }
        return proportion;
}

const char *
train_lead_name(enum train_lead lead)
{
        static const char *const names[TRAIN_LEADS] = { "none", "earlier", "columns", "repeats" };

        return names[lead];
}

const char *
train_lead_family(enum train_lead lead)
{
        static const char *const names[TRAIN_LEADS] = { NULL, "field", "table", "echo" };

        for (int i = 0; names[lead] != NULL && i < FAMILY_LIMIT; i++) {
                const struct family_methods *f = family_by_number((unsigned) i);
                if (f != NULL && strcmp(f->name, names[lead]) == 0 && train_knows(i))
                        return f->name;
        }
        return NULL;
}

/* ---- moments ---- */

struct moments {
        double count, sum, squares;     /* of values less SHIFT */
        double shift;
};

static void
add_value(struct moments *m, double v)
{
        if (m->count == 0)
                m->shift = v;
        m->count++;
        m->sum += v - m->shift;
        m->squares += (v - m->shift) * (v - m->shift);
}

/* Negative when there is none. */
static double
variation(const struct moments *m)
{
        const double mean = m->count > 0 ? m->sum / m->count : 0;
        const double variance = m->count > 0 ? m->squares / m->count - mean * mean : 0;

        if (m->count == 0 || !(fabs(m->shift + mean) > 0))
                return -1;
        return sqrt(variance > 0 ? variance : 0) / fabs(m->shift + mean);
}

static double
mean_variation(const struct moments *m, size_t columns)
{
        double sum = 0;
        size_t n = 0;

        for (size_t c = 0; c < columns; c++) {
                const double cv = variation(&m[c]);
                if (cv >= 0 && isfinite(cv)) {
                        sum += cv;
                        n++;
                }
        }
        return n > 0 ? sum / (double) n : 0;
}

/* ---- entropy ---- */

/* Counts of integers, by open addressing; room for twice the largest piece. */
struct histogram {
        int64_t  *key;
        uint32_t *count;                /* 0: free */
};

static size_t
hash_of(int64_t v, size_t size)
{
        uint64_t h = (uint64_t) v * UINT64_C(0x9E3779B97F4A7C15);

        return (size_t) (h >> 20) & (size - 1);
}

/* Bits a value of the N integers, with Miller and Madow's correction: of few values any code
 * looks short. */
static double
entropy_of(struct histogram *h, const int64_t *v, size_t n)
{
        double bits = 0;
        size_t size = 64;

        while (size < 2 * n)
                size *= 2;
        for (size_t i = 0; i < size; i++)
                h->count[i] = 0;
        for (size_t i = 0; i < n; i++) {
                size_t at = hash_of(v[i], size);
                while (h->count[at] != 0 && h->key[at] != v[i])
                        at = (at + 1) & (size - 1);
                h->key[at] = v[i];
                h->count[at]++;
        }
        for (size_t i = 0; i < size; i++)
                if (h->count[i] != 0)
                        bits += h->count[i] * log2((double) n / h->count[i]) + 0.5 / log(2);
        return n > 0 ? bits / (double) n : 0;
}

/* ---- the survey's workplace ---- */

struct surveying {
        const struct train_options *options;
        struct train_survey        *out;
        size_t                      columns;    /* of the first piece */
        struct moments             *whole, *half[2];    /* (columns) each */
        struct moments              normalised;
        struct histogram            histogram;
        uint32_t                   *window;     /* (WINDOW_TABLE) marks of windows seen */
        void                       *raw;
        double                     *value, *before;     /* of a piece, and of the array before */
        int64_t                    *step, *other, *rest;
        double                      sum[TRAIN_LEADS + 3];       /* weighted with values */
        double                      weight[TRAIN_LEADS];
        uint64_t                    coded, encoded, raw_bytes;  /* encoded: values of the latter */
        uint64_t                    windows, seen;
        double                      encoding;   /* seconds */
};

enum { SUM_ENTROPY = TRAIN_LEADS, SUM_NEIGHBOURS, SUM_STORED };

static enum caefs_err
read_values(struct surveying *s, const struct train_piece *p, double *value)
{
        const struct region *r = &p->input->region;
        enum caefs_err err = train_piece_read(p, s->raw);

        if (err != CAEFS_OK)
                return err;
        if (r->big_endian)
                values_swap(s->raw, p->count, dtype_size(r->dtype), s->raw);
        values_to_doubles(r->dtype, s->raw, p->count, 1, value);
        return CAEFS_OK;
}

/* ---- steps ---- */

/* The values as whole steps of twice the bound; under no bound steps of a float's 2^-16. */
static void
quantise(const struct surveying *s, const struct train_piece *p, const double *value,
         int64_t *step)
{
        const size_t columns = p->amounts != NULL ? p->namounts : 1;
        const struct bound *b = &s->options->bound;
        const double log_step = b->mode == BOUND_PWREL && b->amount < 1 ? 2 * atanh(b->amount)
                                                                         : ldexp(1, -16);

        for (size_t i = 0; i < p->count; i++) {
                double v = value[i], q;
                if (!isfinite(v))
                        q = 0;
                else if (p->amounts != NULL)
                        q = p->amounts[i % columns] > 0 ? v / (2 * p->amounts[i % columns]) : 0;
                else
                        q = v == 0 ? 0 : copysign(log(fabs(v)) / log_step + 1e6, v);
                step[i] = fabs(q) < 4e18 ? llrint(q) : 0;
        }
}

/* Row length for differences between rows; 0: none. */
static size_t
row_of(const struct train_piece *p)
{
        return p->shape.ndim > 1 ? (size_t) p->shape.extent[p->shape.ndim - 1] : 0;
}

/* The best of: as they are, less the one a STRIDE before, the plane through three neighbours. */
static double
best_difference(struct surveying *s, const int64_t *v, size_t n, size_t stride, size_t row)
{
        double best = entropy_of(&s->histogram, v, n), bits;
        int64_t *d = s->rest;

        for (size_t i = 0; i < n; i++)
                d[i] = v[i] - (i >= stride ? v[i - stride] : 0);
        bits = entropy_of(&s->histogram, d, n);
        best = bits < best ? bits : best;
        if (row < 2 || stride > 1)
                return best;
        for (size_t i = n; i-- > row;)
                d[i] -= d[i - row];
        bits = entropy_of(&s->histogram, d, n);
        return bits < best ? bits : best;
}

/* ---- leads ---- */

static bool
same_form(const struct train_input *a, const struct train_input *b)
{
        if (a->region.dtype != b->region.dtype || a->region.length != b->region.length
            || a->region.shape.ndim != b->region.shape.ndim)
                return false;
        for (unsigned i = 0; i < a->region.shape.ndim; i++)
                if (a->region.shape.extent[i] != b->region.shape.extent[i])
                        return false;
        return true;
}

/* What is left of the steps when those of the array before, at the same places, are known;
 * or, of a single array of three dimensions, those of the plane before. */
static enum caefs_err
survey_earlier(struct surveying *s, const struct train_piece *p, const struct train_input *first,
               double *bits)
{
        struct train_piece earlier = *p;
        const size_t row = row_of(p);
        const size_t plane = p->shape.ndim > 2 ? row * p->shape.extent[p->shape.ndim - 2] : 0;

        *bits = 0;
        if (p->input > first && same_form(p->input, p->input - 1)) {
                earlier.input = p->input - 1;
                enum caefs_err err = read_values(s, &earlier, s->before);
                if (err != CAEFS_OK)
                        return err;
                quantise(s, p, s->before, s->other);
                for (size_t i = 0; i < p->count; i++)
                        s->other[i] = s->step[i] - s->other[i];
        } else if (plane > 0 && p->count >= 2 * plane) {
                for (size_t i = 0; i < p->count; i++)
                        s->other[i] = s->step[i] - (i >= plane ? s->step[i - plane] : 0);
        } else {
                return CAEFS_OK;
        }
        *bits = best_difference(s, s->other, p->count, 1, row);
        return CAEFS_OK;
}

/* Solves A x = b (N by N, symmetric, ridge added) by elimination; A and B are spent. */
static void
solve(double *a, double *b, size_t n)
{
        for (size_t i = 0; i < n; i++)
                a[i * n + i] += 1e-9 + 1e-6 * a[i * n + i];
        for (size_t i = 0; i < n; i++)
                for (size_t k = i + 1; k < n; k++) {
                        const double f = a[k * n + i] / a[i * n + i];
                        for (size_t j = i; j < n; j++)
                                a[k * n + j] -= f * a[i * n + j];
                        b[k] -= f * b[i];
                }
        for (size_t i = n; i-- > 0;) {
                for (size_t j = i + 1; j < n; j++)
                        b[i] -= a[i * n + j] * b[j];
                b[i] /= a[i * n + i];
        }
}

/* A table in units of steps, centred, ROWS by COLUMNS; the first FITTED rows are learnt
 * from, the others looked at: of few rows anything can be learnt by heart. */
struct table {
        double *value;
        size_t  rows, columns, fitted;
};

static struct table
table_of(const struct surveying *s, const struct train_piece *p)
{
        struct table t = { .value = s->before, .columns = p->amounts != NULL ? p->namounts : 1 };

        t.rows = p->count / t.columns;
        if (t.rows > MOST_ROWS)
                t.rows = MOST_ROWS;
        t.fitted = t.rows / 2;
        return t;
}

/* Weights of column C on those before it, the nearest at most, by least squares. */
static size_t
regress(const struct table *t, size_t c, double *a, double *weight)
{
        const size_t n = c < MOST_COLUMNS ? c : MOST_COLUMNS;

        for (size_t i = 0; i < n; i++) {
                const double *x = t->value + c - n + i;
                weight[i] = 0;
                for (size_t j = i; j < n; j++) {
                        const double *y = t->value + c - n + j;
                        double sum = 0;
                        for (size_t r = 0; r < t->fitted; r++)
                                sum += x[r * t->columns] * y[r * t->columns];
                        a[i * n + j] = a[j * n + i] = sum;
                }
                for (size_t r = 0; r < t->fitted; r++)
                        weight[i] += x[r * t->columns] * t->value[r * t->columns + c];
        }
        solve(a, weight, n);
        return n;
}

static void
centre(const struct table *t)
{
        for (size_t c = 0; c < t->columns; c++) {
                double mean = 0;
                for (size_t r = 0; r < t->rows; r++)
                        mean += t->value[r * t->columns + c] / (double) t->rows;
                for (size_t r = 0; r < t->rows; r++)
                        t->value[r * t->columns + c] -= mean;
        }
}

/* What is left of the steps of a table when each column is predicted from those before it:
 * the mean over its columns. */
static void
survey_columns(struct surveying *s, const struct train_piece *p, double *bits)
{
        double a[MOST_COLUMNS * MOST_COLUMNS], weight[MOST_COLUMNS];
        const struct table t = table_of(s, p);

        *bits = 0;
        if (t.columns < 2 || t.rows < 16)
                return;
        for (size_t i = 0; i < t.rows * t.columns; i++)
                t.value[i] = (double) s->step[i];
        centre(&t);
        for (size_t c = 0; c < t.columns; c++) {
                const size_t n = regress(&t, c, a, weight);
                for (size_t r = t.fitted; r < t.rows; r++) {
                        const double *row = t.value + r * t.columns;
                        double rest = row[c];
                        for (size_t i = 0; i < n; i++)
                                rest -= weight[i] * row[c - n + i];
                        s->rest[r - t.fitted] = fabs(rest) < 4e18 ? llrint(rest) : 0;
                }
                *bits += entropy_of(&s->histogram, s->rest, t.rows - t.fitted) / (double) t.columns;
        }
}

/* The same of the same rows, each column without the others, for comparison. */
static double
table_alone(struct surveying *s, const struct train_piece *p)
{
        const struct table t = table_of(s, p);
        const size_t n = t.rows - t.fitted;
        double bits = 0;

        for (size_t c = 0; c < t.columns; c++) {
                for (size_t r = 0; r < n; r++)
                        s->other[r] = s->step[(t.fitted + r) * t.columns + c];
                bits += best_difference(s, s->other, n, 1, 0) / (double) t.columns;
        }
        return bits;
}

static uint64_t
window_hash(const int64_t *v, bool *is_constant)
{
        uint64_t h = 0;

        *is_constant = true;
        for (size_t i = 0; i < WINDOW; i++) {
                *is_constant &= v[i] == v[0];
                h = (h ^ (uint64_t) v[i]) * UINT64_C(0x9E3779B97F4A7C15);
                h ^= h >> 29;
        }
        return h;
}

/* Counts windows of this piece that stood in one looked at before, then adds its own.  Of all
 * windows those count whose hash says so: the same everywhere. */
static void
survey_repeats(struct surveying *s, size_t n)
{
        bool is_constant;

        for (int adding = 0; adding < 2; adding++)
                for (size_t i = 0; i + WINDOW <= n; i++) {
                        const uint64_t h = window_hash(s->step + i, &is_constant);
                        uint32_t *mark = &s->window[(h >> 8) % WINDOW_TABLE];
                        if (is_constant || h % WINDOW_SHARE != 0)
                                continue;
                        if (adding) {
                                *mark = (uint32_t) (h >> 32 | 1);
                                continue;
                        }
                        s->windows++;
                        s->seen += *mark == (uint32_t) (h >> 32 | 1);
                }
}

/* ---- one piece ---- */

static void
survey_moments(struct surveying *s, const struct train_piece *p, size_t half)
{
        double low = INFINITY, high = -INFINITY;

        for (size_t i = 0; i < p->count; i++) {
                if (!isfinite(s->value[i]))
                        continue;
                add_value(&s->whole[i % s->columns], s->value[i]);
                add_value(&s->half[half][i % s->columns], s->value[i]);
                low = s->value[i] < low ? s->value[i] : low;
                high = s->value[i] > high ? s->value[i] : high;
        }
        for (size_t i = 0; i < p->count && high > low; i++)
                if (isfinite(s->value[i]))
                        add_value(&s->normalised, (s->value[i] - low) / (high - low));
}

static enum caefs_err
survey_stored(struct surveying *s, const struct train_piece *p)
{
        struct bytes coded = { 0 };
        const double start = train_clock();
        enum caefs_err err = train_piece_encode(p, s->options, NULL, &coded, NULL);

        s->encoding += train_clock() - start;
        s->coded += coded.size;
        s->raw_bytes += train_piece_bytes(p);
        s->encoded += p->count;
        s->sum[SUM_STORED] += 8.0 * (double) coded.size;
        bytes_free(&coded);
        return err;
}

static void
add_lead(struct surveying *s, enum train_lead lead, double bits, size_t count)
{
        if (bits <= 0)
                return;
        s->sum[lead] += bits * (double) count;
        s->weight[lead] += (double) count;
}

static enum caefs_err
survey_piece(struct surveying *s, const struct train_piece *p, const struct train_input *first,
             size_t half)
{
        const size_t columns = train_piece_columns(p, s->options->scope);
        double bits, neighbours;
        enum caefs_err err = read_values(s, p, s->value);

        if (err != CAEFS_OK)
                return err;
        survey_moments(s, p, half);
        quantise(s, p, s->value, s->step);
        s->out->values += p->count;
        s->sum[SUM_ENTROPY] += entropy_of(&s->histogram, s->step, p->count) * (double) p->count;
        neighbours = columns > 1 && p->amounts != NULL && p->namounts > 1
                ? table_alone(s, p)
                : best_difference(s, s->step, p->count, 1, row_of(p));
        s->sum[SUM_NEIGHBOURS] += neighbours * (double) p->count;
        survey_repeats(s, p->count);
        err = survey_earlier(s, p, first, &bits);
        if (err != CAEFS_OK)
                return err;
        add_lead(s, TRAIN_LEAD_EARLIER, bits, p->count);
        if (columns > 1)
                survey_columns(s, p, &bits);
        if (columns > 1)
                add_lead(s, TRAIN_LEAD_COLUMNS, bits, p->count);
        return s->raw_bytes < MOST_ENCODED ? survey_stored(s, p) : CAEFS_OK;
}

/* ---- what follows from it ---- */

/* The share of its bytes that the data would keep.  These entropies are of a simpler coder
 * than the encoder: what that does better than neighbours alone it knows from elsewhere
 * already, from farther back in the same array for one, and less is promised. */
static double
promise_of(const struct train_survey *o, enum train_lead lead)
{
        const double bits = o->entropy_lead[lead];
        double saved;

        if (o->entropy_neighbours <= 0)
                return 1;
        if (lead == TRAIN_LEAD_REPEATS)
                saved = o->repeated > LEAST_REPEATED ? 0.9 * o->repeated : 0;
        else
                saved = bits > 0 ? 1 - bits / o->entropy_neighbours : 0;
        if (o->stored < o->entropy_neighbours && lead != TRAIN_LEAD_COLUMNS)
                saved *= o->stored / o->entropy_neighbours;
        return saved <= 0 ? 1 : 1 - saved;
}

static void
choose_lead(struct surveying *s)
{
        struct train_survey *o = s->out;
        double least = LEAST_PROMISE;

        for (int lead = TRAIN_LEAD_NONE + 1; lead < TRAIN_LEADS; lead++) {
                const double promise = promise_of(o, (enum train_lead) lead);
                if (promise < least && train_lead_family((enum train_lead) lead) != NULL) {
                        least = promise;
                        o->lead = (enum train_lead) lead;
                }
        }
        o->ratio_expected = o->lead == TRAIN_LEAD_NONE ? o->ratio : o->ratio / least;
}

/* Bytes of floats that an autoencoder of the published geometry learns from in a second, its
 * thousands of epochs counted. */
#define LEARNT_A_SECOND 1e4

/* Learning fills the time limit on all but small data, and measuring comes on top. */
static double
expected_seconds(const struct surveying *s)
{
        const double limit = s->options->time_limit > 0 ? s->options->time_limit : 20;
        const double rate = s->encoding > 0 ? (double) s->raw_bytes / s->encoding : 1e8;
        const double learnt = (double) s->out->raw_bytes * s->out->proportion;
        const double measured = (double) s->out->raw_bytes < 12e6 ? (double) s->out->raw_bytes
                                                                  : 12e6;
        const double learning = learnt / LEARNT_A_SECOND;

        return (learning < limit ? learning : limit) + 3 * measured / rate;
}

static void
conclude(struct surveying *s, uint64_t total_values)
{
        struct train_survey *o = s->out;
        const double n = o->values > 0 ? (double) o->values : 1;

        o->cv = mean_variation(s->whole, s->columns);
        o->cv_first = mean_variation(s->half[0], s->columns);
        o->cv_rest = mean_variation(s->half[1], s->columns);
        o->cv_normalised = mean_variation(&s->normalised, 1);
        o->entropy = s->sum[SUM_ENTROPY] / n;
        o->entropy_neighbours = s->sum[SUM_NEIGHBOURS] / n;
        o->stored = s->encoded > 0 ? s->sum[SUM_STORED] / (double) s->encoded : 0;
        for (int lead = 0; lead < TRAIN_LEADS; lead++)
                o->entropy_lead[lead] = s->weight[lead] > 0 ? s->sum[lead] / s->weight[lead] : 0;
        o->repeated = s->windows > 0 ? (double) s->seen / (double) s->windows : 0;
        o->ratio = s->coded > 0 ? (double) s->raw_bytes / (double) s->coded : 1;
        o->proportion = train_proportion(o->cv, o->cv_first, o->cv_rest, total_values,
                                         &o->proportion_why);
        choose_lead(s);
        o->seconds_expected = expected_seconds(s);
}

/* ---- the sample ---- */

static int
compare_pieces(const void *a, const void *b)
{
        const struct train_piece *x = a, *y = b;

        if (x->input != y->input)
                return x->input < y->input ? -1 : 1;
        return x->first < y->first ? -1 : x->first > y->first;
}

/* Whole rows (or planes) of a piece, as far as MOST_PIECE_RAW goes. */
static void
shorten(struct train_piece *p)
{
        const size_t width = dtype_size(p->input->region.dtype);
        const uint64_t unit = p->shape.ndim > 1 ? p->count / p->shape.extent[0] : 1;
        uint64_t slices = MOST_PIECE_RAW / width / unit;

        if (slices == 0 || p->count <= slices * unit)
                return;
        p->count = (size_t) (slices * unit);
        p->shape.extent[0] = slices;
}

static enum caefs_err
allocate(struct surveying *s, size_t largest)
{
        struct histogram *h = &s->histogram;
        size_t room = 64;

        while (room < 2 * largest)
                room *= 2;
        h->key = malloc(room * sizeof *h->key);
        h->count = malloc(room * sizeof *h->count);
        s->window = calloc(WINDOW_TABLE, sizeof *s->window);
        s->whole = calloc(3 * s->columns, sizeof *s->whole);
        s->raw = malloc(8 * largest + 1);
        s->value = malloc(2 * largest * sizeof *s->value + 1);
        s->step = malloc(3 * largest * sizeof *s->step + 1);
        if (h->key == NULL || h->count == NULL || s->window == NULL || s->whole == NULL
            || s->raw == NULL || s->value == NULL || s->step == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "train: no memory for a survey");
        s->half[0] = s->whole + s->columns;
        s->half[1] = s->half[0] + s->columns;
        s->before = s->value + largest;
        s->other = s->step + largest;
        s->rest = s->other + largest;
        return CAEFS_OK;
}

static void
release(struct surveying *s)
{
        free(s->histogram.key);
        free(s->histogram.count);
        free(s->window);
        free(s->whole);
        free(s->raw);
        free(s->value);
        free(s->step);
}

/* LIST (N pieces) is all there is, in the order of the data. */
static enum caefs_err
survey_list(struct surveying *s, struct train_piece *list, size_t n,
            const struct train_input *first)
{
        const size_t wanted = n < MOST_PIECES ? n : MOST_PIECES;
        uint64_t total = 0;
        size_t largest = 0;

        for (size_t i = 0; i < n; i++) {
                total += list[i].count;
                shorten(&list[i]);
                largest = list[i].count > largest ? list[i].count : largest;
        }
        s->columns = train_piece_columns(&list[0], s->options->scope);
        enum caefs_err err = allocate(s, largest);
        for (size_t k = 0; k < wanted && err == CAEFS_OK; k++)
                err = survey_piece(s, &list[k * n / wanted], first, 2 * k >= wanted);
        if (err == CAEFS_OK)
                conclude(s, total);
        release(s);
        return err;
}

enum caefs_err
train_survey(const struct train_input *input, size_t ninputs, const struct train_options *options,
             struct train_survey *out)
{
        struct train_options o = *options;
        struct train_pieces pieces;
        struct surveying s = { .options = &o, .out = out };

        *out = (struct train_survey) { .proportion = 1 };
        o.proportion = 1;
        enum caefs_err err = train_pieces_cut(input, ninputs, &o, &pieces);
        if (err != CAEFS_OK)
                return err;
        const size_t n = pieces.nlearnt + pieces.nheld;
        struct train_piece *list = malloc((n + 1) * sizeof *list);
        if (list == NULL)
                err = caefs_fail(CAEFS_ERR_NOMEM, "train: no memory");
        else if (n == 0)
                err = caefs_fail(CAEFS_ERR_ARGUMENT, "there are no arrays of numbers here");
        if (err == CAEFS_OK) {
                out->raw_bytes = pieces.total_bytes;
                memcpy(list, pieces.learnt, pieces.nlearnt * sizeof *list);
                memcpy(list + pieces.nlearnt, pieces.held, pieces.nheld * sizeof *list);
                qsort(list, n, sizeof *list, compare_pieces);
                err = survey_list(&s, list, n, input);
        }
        free(list);
        train_pieces_release(&pieces);
        return err;
}
