/*
 * decode_object.h - all of an object, by several threads at once.
 */

#ifndef CAEFS_TOOL_DECODE_OBJECT_H
#define CAEFS_TOOL_DECODE_OBJECT_H

#include "codec/object.h"
#include "tools/file.h"

/*
 * Decodes every chunk, each proved by its checksum: into MEMORY (the object's
 * logical_bytes) or, where that is NULL, into FILE as chunks come, which needs
 * a file that can be written out of order when there are several THREADS.  The
 * calling thread is one of them.  PROGRESS (or NULL) is told of every chunk and
 * may cancel.  On failure, that of the first chunk that failed, what was
 * written is useless.
 */
enum caefs_err decode_object_all(const struct object *object, unsigned threads,
                                 struct progress *progress, void *memory,
                                 struct file_output *file);

#endif
