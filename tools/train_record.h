/*
 * train_record.h - how a model was trained, as JSON.
 *
 * The same object is what caefs train --json prints, what the catalogue keeps beside
 * a model (caefs model show), and what a report is drawn from:
 *
 *   { "output_version", "caefs", "time": seconds since 1970, "pays", "model", "model_bytes",
 *     "why", "interrupted", "bound", "scope", "seed", "files", "raw_bytes",
 *     "bytes_without", "bytes_with", "ratio_without", "ratio_with": of all data, estimated
 *     from what was held back, the model counted,
 *     "candidates": [ { "family", "part_bytes", "bytes_with", "ratio", "seconds" } ],
 *     "epochs", "train_loss", "validation_loss", "train_seconds",
 *     "options": { "family", "layers", "activation", "proportion", "epochs", "time_limit",
 *                  "batch", "seeds", "sparsity", "threads", "target_ratio" }: 0 and "auto" being the
 *                  default; the proportion is the one that was used, "proportion_why" (beside it) what decided it,
 *     "losses": [ [ family, epoch, train, validation ] ] (at most 256),
 *     "inputs": [ { "name", "bytes", "xxh3" } ] (the hash of the file's bytes as learnt
 *                  from, 16 hexadecimal digits),
 *     "lineage": the models it started from, nearest first }
 *
 * Thread safety: one thread.
 */

#ifndef CAEFS_TOOL_TRAIN_RECORD_H
#define CAEFS_TOOL_TRAIN_RECORD_H

#include <jansson.h>

#include "tools/train_files.h"
#include "tools/train_watch.h"

struct train_record {
        const struct train_options *options;
        const struct train_result *result;
        const struct train_course *course;
        const struct train_files *files;
        const json_t *lineage; /* an array; or NULL: from nothing */
        bool interrupted;
        const char *proportion_why; /* what decided the proportion; NULL: the user */
};

/* Reads every input once more for its hash.  The caller frees with json_decref(). */
enum caefs_err train_record_make(const struct train_record *r, json_t **out);

#endif
