/*
 * train_watch.c - the line of a running training, and its losses.
 */

#include "tools/train_watch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/predict.h"

#define SPARK_CELLS 16

/* ---- the sparkline ---- */

char *sparkline(const double *value, size_t n, size_t cells, char *out)
{
        double low = INFINITY, high = -INFINITY;
        char *at = out;
        size_t i;

        if (cells > n)
                cells = n;
        for (i = 0; i < n; i++) {
                low = value[i] < low ? value[i] : low;
                high = value[i] > high ? value[i] : high;
        }
        for (i = 0; i < cells; i++) {
                const double v = value[(i + 1) * n / cells - 1];
                const double share = high > low ? (v - low) / (high - low) : 0;

                /* U+2581 to U+2588 */
                memcpy(at, "\xe2\x96\x81", 3);
                at[2] = (char)(at[2] + (int)(share * 7.999));
                at += 3;
        }
        *at = '\0';
        return out;
}

/* The first of the variables that decide says so. */
static bool locale_is_utf8(void)
{
        static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
        size_t i;

        for (i = 0; i < sizeof names / sizeof *names; i++) {
                const char *value = getenv(names[i]);

                if (value != NULL && *value != '\0')
                        return strstr(value, "UTF-8") != NULL ||
                               strstr(value, "utf8") != NULL;
        }
        return false;
}

/* ---- the course ---- */

static void keep_point(struct train_course *c, const struct train_progress *p)
{
        if (c->npoints == c->capacity) {
                const size_t capacity = 2 * c->capacity + 256;
                struct loss_point *grown = realloc(c->point,
                                                   capacity * sizeof *grown);

                if (grown == NULL)
                        return; /* the curve ends here, the training does not */
                c->point = grown;
                c->capacity = capacity;
        }
        c->point[c->npoints++] = (struct loss_point){
                p->family, p->epoch, p->seconds, p->train_loss,
                p->validation_loss,
        };
}

/* The losses of the family whose turn it is, as logarithms; at most LIMIT, the last. */
static size_t recent_losses(const struct train_course *c, size_t limit,
                            double *out)
{
        const int family = c->point[c->npoints - 1].family;
        size_t first = c->npoints, n = 0, i;

        while (first > 0 && c->point[first - 1].family == family)
                first--;
        for (i = first; i < c->npoints; i++) {
                const size_t left = c->npoints - i;

                if (c->npoints - first > limit && left > limit)
                        continue;
                if (c->point[i].validation > 0)
                        out[n++] = log(c->point[i].validation);
        }
        return n;
}

static void show_loss(struct train_course *c, const char *family)
{
        enum { LIMIT = 512 };
        double losses[LIMIT];
        char spark[3 * SPARK_CELLS + 1] = "";
        const size_t n = recent_losses(c, LIMIT, losses);

        if (c->utf8 && n > 1)
                sparkline(losses, n, SPARK_CELLS, spark);
        tool_progress_note(&c->bar, "%s %s loss %.2g", family, spark,
                           c->point[c->npoints - 1].validation);
}

void train_watch_begin(struct train_course *c)
{
        *c = (struct train_course){ .utf8 = locale_is_utf8() };
        tool_progress_begin(&c->bar, "training", TOOL_PROGRESS_ITEMS, 0);
        tool_cancel_on_signal(&c->job);
}

bool train_watch_epoch(void *context, const struct train_progress *p)
{
        struct train_course *c = context;
        const struct family_methods *f = family_by_number((unsigned)p->family);
        const char *name = f != NULL ? f->name : "";

        c->bar.total = p->epochs;
        if (p->epoch == 0) {
                tool_progress_note(&c->bar, "%s", name);
                tool_verbose("%s learns, at %.1f s", name, p->seconds);
        } else {
                keep_point(c, p);
                show_loss(c, name);
                tool_verbose("%s, epoch %u of %u: loss %.4g, validation %.4g",
                             name, p->epoch, p->epochs, p->train_loss,
                             p->validation_loss);
        }
        tool_progress_update(&c->bar, p->epoch);
        return !progress_cancelled(&c->job);
}

bool train_watch_end(struct train_course *c)
{
        tool_cancel_on_signal(NULL);
        tool_progress_end(&c->bar);
        return progress_cancelled(&c->job);
}

void train_course_free(struct train_course *c)
{
        free(c->point);
        *c = (struct train_course){ 0 };
}
