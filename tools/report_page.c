/*
 * report_page.c - HTML, tables, and plots as SVG.
 */

#include "tools/report_page.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

/* Of a plot, in units of its view box. */
#define WIDTH 640.0
#define HEIGHT 260.0
#define LEFT 70.0
#define BOTTOM 40.0
#define TOP 28.0
#define RIGHT 12.0

static const char *const colours[] = {
        "#3b6fb6", "#d1662b", "#3a8f5c", "#9a4fa0", "#b9a021", "#5a5a5a",
};
#define NCOLOURS (sizeof colours / sizeof *colours)

static const char style[] =
        "body{font:15px/1.5 system-ui,sans-serif;max-width:66em;margin:2em auto;"
        "padding:0 1em;color:#222;background:#fff}"
        "h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}"
        "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
        "td,th{padding:.15em .8em;text-align:right;border-bottom:1px solid #8884}"
        "td:first-child,th:first-child{text-align:left;padding-left:0}"
        "svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;"
        "fill:currentColor}figure{display:inline-block;margin:0 1em 1em 0}"
        "figcaption{font-size:.9em}figure img{width:260px;height:260px;"
        "image-rendering:pixelated}.wide{overflow-x:auto}"
        "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}";

/* ---- text ---- */

void page_text(FILE *f, const char *text)
{
        for (; *text != '\0'; text++)
                switch (*text) {
                case '<':
                        fputs("&lt;", f);
                        break;
                case '>':
                        fputs("&gt;", f);
                        break;
                case '&':
                        fputs("&amp;", f);
                        break;
                case '"':
                        fputs("&quot;", f);
                        break;
                default:
                        fputc(*text, f);
                }
}

void page_begin(FILE *f, const char *title)
{
        fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
              "<meta name=\"viewport\" content=\"width=device-width\">\n<title>", f);
        page_text(f, title);
        fprintf(f, "</title>\n<style>%s</style></head>\n<body>\n<h1>", style);
        page_text(f, title);
        fputs("</h1>\n", f);
}

void page_end(FILE *f)
{
        fputs("</body></html>\n", f);
}

void page_heading(FILE *f, const char *text)
{
        fputs("<h2>", f);
        page_text(f, text);
        fputs("</h2>\n", f);
}

void page_paragraph(FILE *f, const char *what, ...)
{
        char *text = NULL;
        va_list ap;

        va_start(ap, what);
        if (vasprintf(&text, what, ap) < 0)
                text = NULL;
        va_end(ap);
        fputs("<p>", f);
        page_text(f, text != NULL ? text : "");
        fputs("</p>\n", f);
        free(text);
}

/* ---- tables ---- */

static void row(FILE *f, const char *const *cell, size_t n, const char *tag)
{
        size_t i;

        fputs("<tr>", f);
        for (i = 0; i < n; i++) {
                fprintf(f, "<%s>", tag);
                page_text(f, cell[i]);
                fprintf(f, "</%s>", tag);
        }
        fputs("</tr>\n", f);
}

void page_table_begin(FILE *f, const char *const *heading, size_t n)
{
        fputs("<div class=\"wide\"><table>\n", f);
        row(f, heading, n, "th");
}

void page_table_row(FILE *f, const char *const *cell, size_t n)
{
        row(f, cell, n, "td");
}

void page_table_end(FILE *f)
{
        fputs("</table></div>\n", f);
}

/* ---- plots ---- */

static void svg_begin(FILE *f, double height)
{
        fprintf(f, "<svg viewBox=\"0 0 %g %g\" width=\"%g\" role=\"img\">\n", WIDTH,
                height, WIDTH);
}

static void label(FILE *f, double x, double y, const char *anchor, const char *text)
{
        fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
        page_text(f, text);
        fputs("</text>\n", f);
}

static void rule(FILE *f, double x1, double y1, double x2, double y2)
{
        fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" "
                   "stroke=\"currentColor\" stroke-opacity=\".25\"/>\n", x1, y1, x2, y2);
}

struct axes {
        double x_low, x_high;
        double y_low, y_high; /* logarithms */
};

static double x_at(const struct axes *a, double x)
{
        return LEFT + (WIDTH - LEFT - RIGHT) * (x - a->x_low) / (a->x_high - a->x_low);
}

static double y_at(const struct axes *a, double y)
{
        return HEIGHT - BOTTOM -
               (HEIGHT - TOP - BOTTOM) * (log10(y) - a->y_low) / (a->y_high - a->y_low);
}

static struct axes find_axes(const struct page_line *line, size_t nlines)
{
        struct axes a = { 0, 1, INFINITY, -INFINITY };
        size_t i, k;

        for (k = 0; k < nlines; k++)
                for (i = 0; i < line[k].n; i++) {
                        if (!(line[k].y[i] > 0))
                                continue;
                        a.x_high = fmax(a.x_high, line[k].x[i]);
                        a.y_low = fmin(a.y_low, log10(line[k].y[i]));
                        a.y_high = fmax(a.y_high, log10(line[k].y[i]));
                }
        if (a.y_low > a.y_high)
                a.y_low = a.y_high = 0;
        a.y_low = floor(a.y_low);
        a.y_high = fmax(ceil(a.y_high), a.y_low + 1);
        return a;
}

static void draw_axes(FILE *f, const struct axes *a, const char *x_name, const char *y_name)
{
        char text[32];
        double y;
        int i;

        for (y = a->y_low; y <= a->y_high; y++) {
                const double at = y_at(a, pow(10, y));

                rule(f, LEFT, at, WIDTH - RIGHT, at);
                snprintf(text, sizeof text, "1e%g", y);
                label(f, LEFT - 6, at + 4, "end", text);
        }
        for (i = 0; i <= 4; i++) {
                const double x = a->x_low + (a->x_high - a->x_low) * i / 4;

                snprintf(text, sizeof text, "%.0f", x);
                label(f, x_at(a, x), HEIGHT - BOTTOM + 16, "middle", text);
        }
        label(f, WIDTH - RIGHT, HEIGHT - 6, "end", x_name);
        label(f, 4, 14, "start", y_name);
}

static void draw_line(FILE *f, const struct axes *a, const struct page_line *l,
                      const char *colour)
{
        size_t i;

        fprintf(f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"%s points=\"",
                colour, l->dashed ? " stroke-dasharray=\"5 3\"" : "");
        for (i = 0; i < l->n; i++)
                if (l->y[i] > 0)
                        fprintf(f, "%.1f,%.1f ", x_at(a, l->x[i]), y_at(a, l->y[i]));
        fputs("\"/>\n", f);
}

void page_lines(FILE *f, const char *x_name, const char *y_name,
                const struct page_line *line, size_t nlines)
{
        const struct axes a = find_axes(line, nlines);
        size_t k;

        svg_begin(f, HEIGHT);
        draw_axes(f, &a, x_name, y_name);
        for (k = 0; k < nlines; k++) {
                /* A dashed line has the colour of the full one before it. */
                const char *colour = colours[k / 2 % NCOLOURS];
                const double y = TOP + 16 * (double)(k + 1);

                draw_line(f, &a, &line[k], colour);
                fprintf(f, "<line x1=\"%g\" y1=\"%g\" x2=\"%g\" y2=\"%g\" stroke=\"%s\"%s/>\n",
                        WIDTH - 190, y - 4, WIDTH - 165, y - 4, colour,
                        line[k].dashed ? " stroke-dasharray=\"5 3\"" : "");
                label(f, WIDTH - 160, y, "start", line[k].name);
        }
        fputs("</svg>\n", f);
}

void page_bars(FILE *f, const struct page_bar *bar, size_t nbars, const char *unit)
{
        const double step = 28;
        double largest = 0;
        size_t i;

        for (i = 0; i < nbars; i++)
                largest = fmax(largest, bar[i].value);
        svg_begin(f, step * (double)nbars + 8);
        for (i = 0; i < nbars; i++) {
                const double y = step * (double)i + 4;
                const double w = largest > 0 ? bar[i].value / largest * (WIDTH - 260) : 0;
                char text[48];

                label(f, 150, y + 15, "end", bar[i].name);
                fprintf(f, "<rect x=\"160\" y=\"%.1f\" width=\"%.1f\" height=\"20\" "
                           "fill=\"%s\"/>\n", y, w, colours[i == 0 ? NCOLOURS - 1 : 0]);
                snprintf(text, sizeof text, "%.2f%s", bar[i].value, unit);
                label(f, 168 + w, y + 15, "start", text);
        }
        fputs("</svg>\n", f);
}

static void histogram_bars(FILE *f, const uint64_t *count, size_t n, double left,
                           double width, double bottom, double height)
{
        uint64_t most = 1;
        size_t i;

        for (i = 0; i < n; i++)
                most = count[i] > most ? count[i] : most;
        for (i = 0; i < n; i++) {
                const double h = height * (double)count[i] / (double)most;

                fprintf(f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                           "fill=\"%s\"/>\n", left + width * (double)i / (double)n,
                        bottom - h, width / (double)n * .92, h, colours[0]);
        }
}

void page_histogram(FILE *f, const uint64_t *count, size_t n, double low, double high,
                    const char *x_name)
{
        const double bottom = HEIGHT - BOTTOM;
        char text[32];
        int i;

        svg_begin(f, HEIGHT);
        histogram_bars(f, count, n, LEFT, WIDTH - LEFT - RIGHT, bottom,
                       bottom - TOP);
        rule(f, LEFT, bottom, WIDTH - RIGHT, bottom);
        for (i = 0; i <= 4; i++) {
                snprintf(text, sizeof text, "%.3g", low + (high - low) * i / 4);
                label(f, LEFT + (WIDTH - LEFT - RIGHT) * i / 4, bottom + 16, "middle",
                      text);
        }
        label(f, WIDTH - RIGHT, HEIGHT - 6, "end", x_name);
        fputs("</svg>\n", f);
}

void page_small_histogram(FILE *f, const uint64_t *count, size_t n)
{
        fputs("<svg viewBox=\"0 0 120 18\" width=\"120\" height=\"18\" role=\"img\">", f);
        histogram_bars(f, count, n, 0, 120, 18, 18);
        fputs("</svg>", f);
}
