/*
 * train_report.c - what a training's page shows.
 */

#include "tools/train_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/predict.h"
#include "tools/file.h"
#include "tools/report_page.h"
#include "tools/train_sample.h"

#define BINS 41
#define SMALL_BINS 30
#define PICTURE_SIDE 256
/* Columns of a table that are listed. */
#define MOST_COLUMNS 128
#define CELL 32

/* ---- outcome ---- */

static double number(const json_t *json, const char *key)
{
        return json_number_value(json_object_get(json, key));
}

static const char *string(const json_t *json, const char *key)
{
        const char *s = json_string_value(json_object_get(json, key));

        return s != NULL ? s : "";
}

static void fact(FILE *f, const char *name, const char *what, ...)
        __attribute__((format(printf, 3, 4)));
static void fact(FILE *f, const char *name, const char *what, ...)
{
        char text[256];
        const char *cell[2] = { name, text };
        va_list ap;

        va_start(ap, what);
        vsnprintf(text, sizeof text, what, ap);
        va_end(ap);
        page_table_row(f, cell, 2);
}

static void put_outcome(FILE *f, const json_t *j)
{
        static const char *const heading[] = { "", "" };
        const json_t *o = json_object_get(j, "options");
        char size[TOOL_SIZE_MAX];

        page_paragraph(f, "%s: %s.",
                       *string(j, "model") != '\0' ? "A model was made" : "No model is kept",
                       string(j, "why"));
        page_table_begin(f, heading, 2);
        if (*string(j, "model") != '\0')
                fact(f, "model", "%s, %s", string(j, "model"),
                     tool_format_bytes(size, (uint64_t)number(j, "model_bytes")));
        fact(f, "data", "%.0f file%s, %s of arrays", number(j, "files"),
             number(j, "files") == 1 ? "" : "s",
             tool_format_bytes(size, (uint64_t)number(j, "raw_bytes")));
        fact(f, "bound", "%s, scope %s", string(j, "bound"), string(j, "scope"));
        fact(f, "learnt from", "%.3g %% of what was not held back",
             100 * number(o, "proportion"));
        fact(f, "seed", "%.0f", number(j, "seed"));
        fact(f, "time", "%.1f s%s", number(j, "train_seconds"),
             json_is_true(json_object_get(j, "interrupted")) ? ", interrupted" : "");
        page_table_end(f);
}

/* ---- losses ---- */

struct curve {
        double *x, *train, *validation; /* one block, owned by x */
        size_t n;
        char name[2][48];
};

/* The points of the family that begins at *FIRST, which moves past them. */
static bool take_curve(const struct train_course *c, size_t *first, struct curve *out)
{
        const int family = c->point[*first].family;
        const struct family_methods *m = family_by_number((unsigned)family);
        const char *name = m != NULL ? m->name : "";
        size_t end = *first, i;

        while (end < c->npoints && c->point[end].family == family)
                end++;
        *out = (struct curve){ .n = end - *first };
        out->x = malloc(3 * out->n * sizeof *out->x);
        if (out->x == NULL)
                return false;
        out->train = out->x + out->n;
        out->validation = out->train + out->n;
        for (i = 0; i < out->n; i++) {
                const struct loss_point *p = &c->point[*first + i];

                out->x[i] = p->epoch;
                out->train[i] = p->train;
                out->validation[i] = p->validation;
        }
        snprintf(out->name[0], sizeof out->name[0], "%s, validation", name);
        snprintf(out->name[1], sizeof out->name[1], "%s, training", name);
        *first = end;
        return true;
}

static void put_losses(FILE *f, const struct train_course *c)
{
        struct curve curve[TRAIN_MAX_CANDIDATES];
        struct page_line line[2 * TRAIN_MAX_CANDIDATES];
        size_t n = 0, at = 0, i;

        page_heading(f, "Course of the losses");
        if (c->npoints < 2) {
                page_paragraph(f, "No family that learns in epochs went through two of them.");
                return;
        }
        while (at < c->npoints && n < TRAIN_MAX_CANDIDATES && take_curve(c, &at, &curve[n]))
                n++;
        for (i = 0; i < n; i++) {
                line[2 * i] = (struct page_line){ curve[i].name[0], curve[i].x,
                                                  curve[i].validation, curve[i].n, 0 };
                line[2 * i + 1] = (struct page_line){ curve[i].name[1], curve[i].x,
                                                      curve[i].train, curve[i].n, 1 };
        }
        page_lines(f, "epoch", "mean squared error, normalised", line, 2 * n);
        for (i = 0; i < n; i++)
                free(curve[i].x);
}

/* ---- ratios ---- */

static void put_ratios(FILE *f, const json_t *j)
{
        const json_t *candidates = json_object_get(j, "candidates"), *c;
        struct page_bar bar[TRAIN_MAX_CANDIDATES + 2] = {
                { "no model", number(j, "ratio_without") },
        };
        size_t n = 1, i;

        page_heading(f, "Ratio by family");
        page_paragraph(f, "Of all data, estimated from what was held back; the bytes of the "
                          "model counted.");
        json_array_foreach(candidates, i, c)
                if (n <= TRAIN_MAX_CANDIDATES)
                        bar[n++] = (struct page_bar){ string(c, "family"),
                                                      number(c, "ratio") };
        if (*string(j, "model") != '\0')
                bar[n++] = (struct page_bar){ "the model", number(j, "ratio_with") };
        page_bars(f, bar, n, "x");
}

/* ---- errors ---- */

static void put_errors(FILE *f, const struct train_sample *s, const struct train_options *o)
{
        uint64_t bin[BINS] = { 0 };
        double worst = 0;
        size_t exact = 0, i;

        for (i = 0; i < s->piece.count; i++) {
                const double allowed = train_sample_allowed(s, o, i);
                const double error = s->decoded[i] - s->original[i];

                if (!isfinite(error))
                        continue;
                exact += error == 0;
                if (allowed > 0) {
                        worst = fmax(worst, fabs(error) / allowed);
                        bin[(size_t)fmin(BINS - 1, fmax(0, (error / allowed + 1) / 2 * BINS))]++;
                }
        }
        page_heading(f, "Errors of a sample that was held back");
        page_paragraph(f, "%s: %zu values, %zu of them exact, in %" PRIu64 " bytes "
                          "(%.2fx, without the model's own).",
                       train_file_name(train_file_of_input(s->piece.input)), s->piece.count,
                       exact, s->stored_bytes,
                       (double)train_piece_bytes(&s->piece) / (double)s->stored_bytes);
        if (o->bound.mode == BOUND_LOSSLESS)
                return;
        page_histogram(f, bin, BINS, -1, 1, "error over bound");
        page_paragraph(f, "The largest error is %.4f of the bound.", worst);
}

/* ---- pictures ---- */

/* WIDTH by HEIGHT of the sample's values, each a STEP apart from its neighbour. */
struct view {
        size_t first, width, height, row, x_step, y_step;
        bool by_column; /* colours of each column by itself: a table */
};

static struct view choose_view(const struct train_sample *s)
{
        const struct shape *shape = &s->piece.shape;
        struct view v = { .row = s->piece.count, .by_column = s->columns > 1 };
        size_t height, plane;

        if (shape->ndim > 1) {
                v.row = (size_t)shape->extent[shape->ndim - 1];
                height = (size_t)shape->extent[shape->ndim - 2];
        } else {
                v.row = (size_t)sqrt((double)s->piece.count);
                height = s->piece.count / v.row;
        }
        plane = v.row * height;
        v.first = s->piece.count / plane / 2 * plane;
        v.x_step = (v.row + PICTURE_SIDE - 1) / PICTURE_SIDE;
        v.y_step = v.by_column ? 1 : (height + PICTURE_SIDE - 1) / PICTURE_SIDE;
        v.width = v.row / v.x_step;
        v.height = height / v.y_step < PICTURE_SIDE ? height / v.y_step : PICTURE_SIDE;
        return v;
}

static size_t place(const struct view *v, size_t x, size_t y)
{
        return v->first + y * v->y_step * v->row + x * v->x_step;
}

static int compare_values(const void *a, const void *b)
{
        const double x = *(const double *)a, y = *(const double *)b;

        return x < y ? -1 : x > y;
}

/* Where the colours begin and end: lowest and highest of the finite values of column ONLY, or of
 * all (SIZE_MAX), but for CUT of them on either side: few outliers would leave one colour to
 * the rest. */
static void find_range(const struct view *v, const double *value, size_t only, double cut,
                       double range[2])
{
        double *sorted = malloc((v->width * v->height + 1) * sizeof *sorted);
        size_t n = 0, x, y;

        range[0] = range[1] = 0;
        if (sorted == NULL)
                return;
        for (y = 0; y < v->height; y++)
                for (x = 0; x < v->width; x++) {
                        const double d = value[place(v, x, y)];

                        if (isfinite(d) && (only == SIZE_MAX || x == only))
                                sorted[n++] = d;
                }
        if (n > 0) {
                qsort(sorted, n, sizeof *sorted, compare_values);
                range[0] = sorted[(size_t)(cut * (double)(n - 1))];
                range[1] = sorted[(size_t)((1 - cut) * (double)(n - 1))];
        }
        free(sorted);
}

static uint8_t shade(double v, const double range[2])
{
        if (!isfinite(v) || !(range[1] > range[0]))
                return range[1] > range[0] ? 0 : 128;
        return (uint8_t)fmin(255, fmax(0, (v - range[0]) / (range[1] - range[0]) * 255.99));
}

/* VALUE in colours that go as far as SCALE's values at the same places; SYMMETRIC: zero in the
 * middle. */
static void put_picture(FILE *f, const char *caption, const struct view *v,
                        const double *value, const double *scale, bool symmetric)
{
        const double cut = symmetric ? 0 : .01;
        uint8_t *picture = malloc(v->width * v->height + 1);
        double range[2];
        size_t x, y;

        if (picture == NULL)
                return;
        find_range(v, scale, SIZE_MAX, cut, range);
        for (x = 0; x < v->width; x++) {
                if (v->by_column)
                        find_range(v, scale, x, cut, range);
                if (symmetric) {
                        range[1] = fmax(fabs(range[0]), fabs(range[1]));
                        range[0] = -range[1];
                }
                for (y = 0; y < v->height; y++)
                        picture[y * v->width + x] = shade(value[place(v, x, y)], range);
        }
        page_picture(f, caption, picture, (unsigned)v->width, (unsigned)v->height, symmetric);
        free(picture);
}

static void put_pictures(FILE *f, const struct train_sample *s)
{
        const struct view v = choose_view(s);
        double *difference = malloc(s->piece.count * sizeof *difference + 1);
        size_t i;

        if (difference == NULL || v.width == 0 || v.height == 0) {
                free(difference);
                return;
        }
        page_heading(f, "The sample");
        page_paragraph(f, "%zu by %zu values%s. The difference has colours of its own, from "
                          "its largest magnitude below zero (blue) to above (red).", v.width,
                       v.height, v.by_column ? ", a column to the right for each of the table, "
                                               "in colours of its own" : "");
        for (i = 0; i < s->piece.count; i++)
                difference[i] = s->decoded[i] - s->original[i];
        put_picture(f, "original", &v, s->original, s->original, false);
        put_picture(f, "decoded", &v, s->decoded, s->original, false);
        put_picture(f, "difference", &v, difference, difference, true);
        free(difference);
}

/* ---- columns ---- */

/* Of one column; the residual is decoded less original, the response that over the
 * original. */
struct column_statistics {
        double low, high;
        double residual_mean, residual_rms, response_mean, response_rms;
        double worst_response;
        size_t n, nresponse;
};

static struct column_statistics column_of(const struct train_sample *s, size_t c)
{
        struct column_statistics t = { .low = INFINITY, .high = -INFINITY };
        size_t i;

        for (i = c; i < s->piece.count; i += s->columns) {
                const double x = s->original[i], residual = s->decoded[i] - x;

                if (!isfinite(x) || !isfinite(residual))
                        continue;
                t.n++;
                t.low = fmin(t.low, x);
                t.high = fmax(t.high, x);
                t.residual_mean += residual;
                t.residual_rms += residual * residual;
                if (x == 0)
                        continue;
                t.nresponse++;
                t.response_mean += residual / x;
                t.response_rms += residual / x * (residual / x);
                t.worst_response = fmax(t.worst_response, fabs(residual / x));
        }
        t.residual_mean /= (double)(t.n > 0 ? t.n : 1);
        t.residual_rms = sqrt(t.residual_rms / (double)(t.n > 0 ? t.n : 1));
        t.response_mean /= (double)(t.nresponse > 0 ? t.nresponse : 1);
        t.response_rms = sqrt(t.response_rms / (double)(t.nresponse > 0 ? t.nresponse : 1));
        return t;
}

/* Where V lies between LOW and HIGH, of SMALL_BINS. */
static size_t bin_of(double v, double low, double high)
{
        return (size_t)fmin(SMALL_BINS - 1,
                            fmax(0, (v - low) / (high - low) * SMALL_BINS));
}

static void put_distributions(FILE *f, const struct train_sample *s, size_t c,
                              const struct column_statistics *t)
{
        uint64_t original[SMALL_BINS] = { 0 }, decoded[SMALL_BINS] = { 0 };
        uint64_t response[SMALL_BINS] = { 0 };
        const double reach = 3 * t->response_rms;
        size_t i;

        for (i = c; i < s->piece.count; i += s->columns) {
                const double x = s->original[i], y = s->decoded[i];

                if (!isfinite(x) || !isfinite(y) || !(t->high > t->low))
                        continue;
                original[bin_of(x, t->low, t->high)]++;
                decoded[bin_of(y, t->low, t->high)]++;
                if (x != 0 && reach > 0 && fabs((y - x) / x) <= reach)
                        response[bin_of((y - x) / x, -reach, reach)]++;
        }
        fputs("<td>", f);
        page_small_histogram(f, original, SMALL_BINS);
        fputs("</td><td>", f);
        page_small_histogram(f, decoded, SMALL_BINS);
        fputs("</td><td>", f);
        page_small_histogram(f, response, SMALL_BINS);
        fputs("</td>", f);
}

static void put_column(FILE *f, const struct train_sample *s, size_t c)
{
        const struct column_statistics t = column_of(s, c);

        fprintf(f, "<tr><td>%zu</td>", c);
        if (t.n == 0) {
                fputs("<td colspan=\"9\">no finite values</td></tr>\n", f);
                return;
        }
        fprintf(f, "<td>%.4g</td><td>%.4g</td><td>%.3g</td><td>%.3g</td><td>%.3g</td>"
                   "<td>%.3g</td>", t.low, t.high, t.residual_mean, t.residual_rms,
                t.response_mean, t.response_rms);
        put_distributions(f, s, c, &t);
        fputs("</tr>\n", f);
}

static void put_columns(FILE *f, const struct train_sample *s)
{
        static const char *const heading[] = {
                "column", "lowest", "highest", "residual, mean", "RMS", "response, mean",
                "RMS", "original", "decoded", "response to 3 RMS",
        };
        const size_t shown = s->columns < MOST_COLUMNS ? s->columns : MOST_COLUMNS;
        size_t c;

        page_heading(f, s->columns > 1 ? "Residual and response of each column"
                                       : "Residual and response");
        page_paragraph(f, "Residual: decoded less original. Response: that over the original, "
                          "where it is not zero.");
        page_table_begin(f, heading, sizeof heading / sizeof *heading);
        for (c = 0; c < shown; c++)
                put_column(f, s, c);
        page_table_end(f);
        if (shown < s->columns)
                page_paragraph(f, "%zu more columns.", s->columns - shown);
}

/* ---- inputs ---- */

static void put_inputs(FILE *f, const json_t *j)
{
        enum { MOST = 50 };
        static const char *const heading[] = { "file", "bytes", "XXH3" };
        const json_t *inputs = json_object_get(j, "inputs"), *in;
        char bytes[CELL];
        size_t i;

        page_heading(f, "What it learnt from");
        page_table_begin(f, heading, 3);
        json_array_foreach(inputs, i, in) {
                const char *cell[3] = { string(in, "name"), bytes, string(in, "xxh3") };

                if (i == MOST)
                        break;
                snprintf(bytes, sizeof bytes, "%.0f", number(in, "bytes"));
                page_table_row(f, cell, 3);
        }
        page_table_end(f);
        if (json_array_size(inputs) > MOST)
                page_paragraph(f, "%zu more files.", json_array_size(inputs) - MOST);
}

/* ---- the page ---- */

static enum caefs_err put_sample(FILE *f, const struct train_record *r)
{
        struct train_sample s;
        const enum caefs_err err = train_sample_take(r->files->input, r->files->ninputs,
                                                     r->options, r->result->model, &s);

        if (err == CAEFS_ERR_NO_ENTRY)
                return CAEFS_OK;
        if (err != CAEFS_OK)
                return err;
        put_errors(f, &s, r->options);
        put_pictures(f, &s);
        put_columns(f, &s);
        train_sample_free(&s);
        return CAEFS_OK;
}

static enum caefs_err put_page(FILE *f, const struct train_record *r, const json_t *json)
{
        enum caefs_err err;

        page_begin(f, "Training of a caefs model");
        put_outcome(f, json);
        put_ratios(f, json);
        put_losses(f, r->course);
        err = put_sample(f, r);
        put_inputs(f, json);
        page_end(f);
        return err;
}

static enum caefs_err write_file(const char *path, const char *text, size_t size)
{
        struct file_output out = { .fd = -1 };
        enum caefs_err err = file_output_open(path, &out);

        if (err == CAEFS_OK)
                err = file_output_write(&out, text, size, 0);
        if (err == CAEFS_OK)
                err = file_output_commit(&out);
        file_output_close(&out);
        return err;
}

enum caefs_err train_report_write(const char *path, const struct train_record *record,
                                  const json_t *json)
{
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        enum caefs_err err = f != NULL ? put_page(f, record, json) : CAEFS_ERR_NOMEM;

        if (f != NULL && fclose(f) != 0 && err == CAEFS_OK)
                err = CAEFS_ERR_NOMEM;
        if (err == CAEFS_OK)
                err = write_file(path, text, size);
        free(text);
        return err;
}
