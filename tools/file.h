/*
 * file.h - plain files for commands that read one and write another.
 *
 * Thread safety: a file_input may be read by any number of threads; the rest
 * belongs to one thread.
 */

#ifndef CAEFS_TOOL_FILE_H
#define CAEFS_TOOL_FILE_H

#include "codec/layout.h"
#include "common/bytes.h"
#include "common/error.h"

/* Appends all of a file of at most max bytes to out. */
enum caefs_err file_read_all(const char *path, size_t max, struct bytes *out);

/* Up to this size files are held in memory as a whole. */
uint64_t file_memory_limit(void);

/*
 * Memory for a whole file, its pages in place, so that what is timed while it
 * is filled is not the kernel's clearing of them; NULL: none left.  free() it.
 */
void *file_memory(size_t size);

/*
 * A file to be read: in memory when it is small enough, so that what is
 * measured around the codec is the codec; else from the disk as needed.
 */
struct file_input {
        struct byte_source source;
        struct bytes memory;
        int fd; /* -1: in memory */
};
enum caefs_err file_input_open(const char *path, struct file_input *in);
void file_input_close(struct file_input *in);

/*
 * A file to be written: under a temporary name beside it until
 * file_output_commit() gives it its own, so that nobody sees half of it.
 * What is there and is no regular file (/dev/null) is written in place.
 */
struct file_output {
        const char *path;
        char *temporary; /* NULL: in place */
        int fd;
};
enum caefs_err file_output_open(const char *path, struct file_output *out);
enum caefs_err file_output_write(struct file_output *out, const void *data,
                                 size_t n, uint64_t offset);
enum caefs_err file_output_commit(struct file_output *out);
/* Gives up what is not committed; nothing when it is. */
void file_output_close(struct file_output *out);

#endif
