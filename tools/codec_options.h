/*
 * codec_options.h - the options by which commands say how to encode: encode,
 * decode, bench, train.
 *
 * A command puts the rows it wants into its struct option array
 *
 *     static const struct option options[] = {
 *             CODEC_BOUND_OPTIONS, CODEC_DATA_OPTIONS, CODEC_EFFORT_OPTIONS,
 *             TOOL_COMMON_LONG_OPTIONS, { 0 },
 *     };
 *
 * and answers them with
 *
 *     default:
 *             if (!codec_option(&codec, c) && !tool_common_option(c))
 *                     return codec.refused;
 */

#ifndef CAEFS_CODEC_OPTIONS_H
#define CAEFS_CODEC_OPTIONS_H

#include "codec/model.h"
#include "codec/object.h"
#include "tools/tool.h"

/* Starts as CODEC_OPTIONS_DEFAULT; ends with codec_options_free(). */
struct codec_options {
        struct bound bound;
        bool bound_given;
        enum scope scope;
        bool scope_given;
        enum effort effort;
        int family;           /* enum family; 0: all */
        size_t chunk;         /* bytes; 0: the effort's own */
        unsigned threads;     /* at least 1 */
        struct layout_hint hint; /* its name is the caller's to set */
        struct model *model;  /* owned; or NULL */
        struct codec_key *key; /* owned; or NULL */
        bool json;
        int refused;          /* the exit status when an option was not taken */
};

#define CODEC_OPTIONS_DEFAULT               \
        {                                   \
                .effort = EFFORT_BALANCED,  \
                .threads = codec_default_threads(), \
                .refused = TOOL_USAGE,      \
        }

/* Above the options of a command and of tool.h. */
enum {
        CODEC_OPT_BOUND = 0x7100,
        CODEC_OPT_SCOPE,
        CODEC_OPT_DTYPE,
        CODEC_OPT_DIMS,
        CODEC_OPT_LAYOUT,
        CODEC_OPT_EFFORT,
        CODEC_OPT_CODEC,
        CODEC_OPT_CHUNK,
        CODEC_OPT_MODEL,
        CODEC_OPT_KEY,
        CODEC_OPT_THREADS,
        CODEC_OPT_JSON,
};

/* What may change. */
#define CODEC_BOUND_OPTIONS                                      \
        { "bound", required_argument, NULL, CODEC_OPT_BOUND },   \
        { "scope", required_argument, NULL, CODEC_OPT_SCOPE }
/* What the file is. */
#define CODEC_DATA_OPTIONS                                       \
        { "dtype", required_argument, NULL, CODEC_OPT_DTYPE },   \
        { "dims", required_argument, NULL, CODEC_OPT_DIMS },     \
        { "layout", required_argument, NULL, CODEC_OPT_LAYOUT }
/* How hard to try. */
#define CODEC_EFFORT_OPTIONS                                     \
        { "effort", required_argument, NULL, CODEC_OPT_EFFORT }, \
        { "codec", required_argument, NULL, CODEC_OPT_CODEC },   \
        { "chunk", required_argument, NULL, CODEC_OPT_CHUNK }
#define CODEC_MODEL_OPTION { "model", required_argument, NULL, CODEC_OPT_MODEL }
#define CODEC_KEY_OPTION { "key", required_argument, NULL, CODEC_OPT_KEY }
#define CODEC_THREADS_OPTION { "threads", required_argument, NULL, CODEC_OPT_THREADS }
#define CODEC_JSON_OPTION { "json", no_argument, NULL, CODEC_OPT_JSON }

#define CODEC_BOUND_HELP                                                     \
        "  --bound B           lossless (the default), abs:E, rel:E, pwrel:E\n" \
        "                      or psnr:DB\n"                                 \
        "  --scope array|column|channel\n"                                   \
        "                      what has a range of its own under rel and\n"  \
        "                      psnr (default: array)\n"
#define CODEC_DATA_HELP                                                      \
        "  --dtype T[:be]      values of a file that does not say: f16, bf16,\n" \
        "                      f32, f64, i8 to i64, u8 to u64\n"             \
        "  --dims D0,D1,...    its shape, slowest first\n"                   \
        "  --layout auto|raw|opaque\n"                                       \
        "                      where its values are looked for\n"
#define CODEC_EFFORT_HELP                                                    \
        "  --effort fast|balanced|max\n"                                     \
        "                      how long to look for a smaller coding\n"      \
        "                      (default: balanced)\n"                        \
        "  --codec auto|NAME   only this family, and exact storage\n"        \
        "  --chunk SIZE        bytes of data in a chunk, such as 512K or 8M\n"
#define CODEC_MODEL_HELP                                                     \
        "  --model FILE        a model made by caefs train; none: no model\n"
#define CODEC_KEY_HELP                                                       \
        "  --key KEY.caef      an earlier file of the series, encoded without\n" \
        "                      a key itself\n"
#define CODEC_THREADS_HELP                                                   \
        "  --threads N         at once (default: the number of processors)\n"
#define CODEC_JSON_HELP                                                      \
        "  --json              the result as one JSON object\n"

/*
 * Takes option c (optarg holds its argument).  False when c is none of these
 * or its argument is wrong; the user has then been told.
 */
bool codec_option(struct codec_options *o, int c);

void codec_options_free(struct codec_options *o);

unsigned codec_default_threads(void);

/* "512K", "8M", "4096" to bytes; "12,34,5" to a shape.  False: not of that form. */
bool codec_parse_size(const char *text, uint64_t *bytes);
bool codec_parse_dims(const char *text, struct shape *dims);

/* The object of --key, NULL for NULL. */
const struct object *codec_key_object(const struct codec_key *key);

/* Reads a .caemodel file. */
enum caefs_err codec_load_model(const char *path, struct model **out);

#endif
