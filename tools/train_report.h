/*
 * train_report.h - a training as a page to look at.
 *
 * One HTML file with nothing from elsewhere: what came of it, the course of the losses,
 * the ratio by family against no model, and, of one sample that was held back, the
 * errors, pictures of original, decoded and difference, and for tables the residual and
 * response of each column (mean and root mean square, as in "Baler - Machine Learning Based
 * Compression of Scientific Data", eq. 3).
 *
 * Thread safety: one thread.
 */

#ifndef CAEFS_TOOL_TRAIN_REPORT_H
#define CAEFS_TOOL_TRAIN_REPORT_H

#include <jansson.h>

#include "tools/train_record.h"

/* JSON is RECORD as train_record_make() gave it. */
enum caefs_err train_report_write(const char *path, const struct train_record *record,
                                  const json_t *json);

#endif
