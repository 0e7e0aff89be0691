/*
 * train_files.h - the arrays below the paths that caefs train was given.
 *
 * Files are opened for each read and closed again: a directory may hold more
 * than a process may have open.
 *
 * Not safe from several threads.
 */

#ifndef CAEFS_TOOL_TRAIN_FILES_H
#define CAEFS_TOOL_TRAIN_FILES_H

#include "codec/train.h"
#include "tools/path.h"

struct train_file;

/* What a record says of one of them. */
const char *train_file_name(const struct train_file *f);
const struct byte_source *train_file_source(const struct train_file *f);

/* The file that an input of train_files lies in. */
const struct train_file *train_file_of_input(const struct train_input *input);

struct train_files {
        struct train_file **file; /* owned */
        size_t nfiles, files_capacity;
        struct train_input *input; /* owned; for train_model() */
        size_t ninputs, inputs_capacity;
        struct layout_hint hint; /* for files that do not say what they are */
};

/* Adds the floating-point regions of the plain file PATH, or of all regular
 * files below it, in the order of their names. */
enum caefs_err train_files_add_plain(struct train_files *t, const char *path);

/* The same for a path on a mount or in a store; P's store must stay open. */
enum caefs_err train_files_add(struct train_files *t, const struct tool_path *p);

/* Files of the same kind (suffix) that lie beside those of T, in plain directories and on
 * mounts, and are none of them. */
enum caefs_err train_files_add_beside(struct train_files *beside, const struct train_files *t);

void train_files_free(struct train_files *t);

#endif
