/*
 * report_page.h - a self-contained page of text, tables and plots: HTML with its style and
 * SVG inside, nothing from elsewhere.
 *
 * All functions append to F, which may be a stream in memory; whoever closes it learns
 * of failures.  Texts are escaped here.
 *
 * Thread safety: one stream in one thread.
 */

#ifndef CAEFS_TOOL_REPORT_PAGE_H
#define CAEFS_TOOL_REPORT_PAGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

void page_begin(FILE *f, const char *title);
void page_end(FILE *f);
void page_heading(FILE *f, const char *text);
void page_paragraph(FILE *f, const char *what, ...)
        __attribute__((format(printf, 2, 3)));
/* TEXT with the characters that mean something in HTML replaced. */
void page_text(FILE *f, const char *text);

/* A table: CELLS of one row at a time; the first row is the heading. */
void page_table_begin(FILE *f, const char *const *heading, size_t n);
void page_table_row(FILE *f, const char *const *cell, size_t n);
void page_table_end(FILE *f);

struct page_line {
        const char *name;
        const double *x, *y; /* (n); what is not above 0 is left out of a logarithmic axis */
        size_t n;
        int dashed;
};
/* Lines over x, y logarithmic. */
void page_lines(FILE *f, const char *x_name, const char *y_name,
                const struct page_line *line, size_t nlines);

/* One bar for each, its value beside it; FORMAT takes one double. */
struct page_bar {
        const char *name;
        double value; /* 0 or more */
};
void page_bars(FILE *f, const struct page_bar *bar, size_t nbars, const char *unit);

/* Bars without gaps for COUNT values between LOW and HIGH. */
void page_histogram(FILE *f, const uint64_t *count, size_t n, double low, double high,
                    const char *x_name);
/* The same in the height of a line of text. */
void page_small_histogram(FILE *f, const uint64_t *count, size_t n);

/* WIDTH by HEIGHT values of 0 to 255 as a picture, 255 the brightest; with DIVERGING, 128 is
 * neutral. */
void page_picture(FILE *f, const char *caption, const uint8_t *value, unsigned width,
                  unsigned height, int diverging);

#endif
