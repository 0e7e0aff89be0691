/*
 * bench_sample.h - the part of a file that caefs bench measures, in memory.
 *
 * Not safe from several threads.
 */

#ifndef CAEFS_TOOL_BENCH_SAMPLE_H
#define CAEFS_TOOL_BENCH_SAMPLE_H

#include "codec/layout.h"
#include "common/bytes.h"

struct bench_sample {
        struct bytes data;       /* a file of its own: header and values */
        struct byte_source source; /* reads DATA */
        struct layout_hint hint; /* what DATA needs to be seen as it is */
        struct layout layout;    /* of DATA */
        uint64_t file_size;      /* of the file it was taken from */
        bool whole;              /* DATA is all of that file */
};

/*
 * Reads PATH.  Of a file larger than LIMIT bytes only whole slices (of the
 * slowest axis in memory) from the middle of its largest array are taken, under
 * a header of their own where the file has one; of a file without arrays, its
 * beginning.  S is not to be moved, and freed also when this fails.
 */
enum caefs_err bench_sample_load(const char *path, uint64_t limit,
                                 const struct layout_hint *hint, struct bench_sample *s);

/* A whole file that is in memory; DATA's bytes become the sample's. */
enum caefs_err bench_sample_of_memory(struct bytes *data, const struct layout_hint *hint,
                                      struct bench_sample *s);
void bench_sample_free(struct bench_sample *s);

/* Its largest region of floating-point values, or NULL. */
const struct region *bench_sample_array(const struct bench_sample *s);

#endif
