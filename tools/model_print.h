/*
 * model_print.h - a model and the record of its training, for people.
 *
 * Thread safety: one thread.
 */

#ifndef CAEFS_TOOL_MODEL_PRINT_H
#define CAEFS_TOOL_MODEL_PRINT_H

#include <jansson.h>

/* D is what fs/describe.h says of a model; who uses it and how it was trained are printed
 * where D knows. */
void model_print(const json_t *d);

#endif
