/* codec/chunk_columns.h - a chunk whose columns are coded in groups of their own.
 *
 * Columns of a table differ: one is constant, one has few values, one is decimal
 * text, others follow each other.  Each group of columns becomes a plane with its
 * own grids and family; a group that is zero everywhere takes no bytes.
 *
 * Thread safety: any number of threads, each with its own arena.
 */
#ifndef CAEFS_CODEC_CHUNK_COLUMNS_H
#define CAEFS_CODEC_CHUNK_COLUMNS_H

#include "codec/chunk_plane.h"

/* Replaces the coding in OUT from START on by one in groups where that is smaller;
 * *REPLACED tells.  The caller proves the new one. */
enum caefs_err columns_try(const struct plane *p, const struct plane_bound *b,
                           const struct chunk_options *o, const void *values,
                           struct arena *arena, size_t start, struct bytes *out,
                           bool *replaced, struct chunk_report *report);

/* Rebuilds (count) values from IN, which begins with the head byte. */
enum caefs_err columns_decode(const struct plane *p, struct cursor in, struct arena *arena,
                              void *values);

#endif
