/*
 * train_target.h - what to train for, where the user did not say: what the properties
 * of a directory say.
 *
 * Thread safety: one thread.
 */

#ifndef CAEFS_TOOL_TRAIN_TARGET_H
#define CAEFS_TOOL_TRAIN_TARGET_H

#include "tools/codec_options.h"
#include "tools/path.h"

/* The property NAME of P; false when it has none. */
bool train_target_property(const struct tool_path *p, const char *name,
                           struct tool_property *out);

/* Bound, scope, dtype, dims and layout, those that O was not given. */
void train_target_of_path(const struct tool_path *p, struct codec_options *o);

/* The same for any name: what lies on no mount says nothing. */
void train_target_of_mount(const char *name, struct codec_options *o);

#endif
