/*
 * caefs decode - an object becomes the file it was made from, within its bound.
 */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/codec_options.h"
#include "tools/decode_object.h"
#include "tools/file.h"
#include "tools/tool.h"

const char help_decode[] =
        "Usage: caefs decode [OPTION...] IN.caef OUT\n"
        "\n"
        "Decodes what caefs encode made, and proves every part by its checksum.\n"
        "\n"
        CODEC_MODEL_HELP
        CODEC_KEY_HELP
        CODEC_THREADS_HELP
        CODEC_JSON_HELP
        TOOL_COMMON_HELP;

/* Decodes all, measuring the codec alone where all is in memory. */
static enum caefs_err decode(const struct object *object, unsigned threads,
                             uint8_t *memory, struct file_output *file, double *seconds)
{
        const struct object_info *info = object_info(object);
        struct tool_progress bar;
        struct progress job = { .total = info->logical_bytes };
        enum caefs_err err;
        double start;

        tool_progress_begin(&bar, "decoding", TOOL_PROGRESS_BYTES, job.total);
        tool_progress_follow(&bar, &job);
        tool_cancel_on_signal(&job);
        start = tool_now();
        err = decode_object_all(object, threads, &job, memory, file);
        *seconds = tool_now() - start;
        tool_cancel_on_signal(NULL);
        tool_progress_end(&bar);
        return err;
}

static const struct model *find_model(void *context, uint64_t hash)
{
        const struct codec_options *o = context;

        return o->model != NULL && model_hash(o->model) == hash ? o->model : NULL;
}

static const struct object *find_key(void *context, uint64_t identity)
{
        const struct codec_options *o = context;
        const struct object *key = codec_key_object(o->key);

        return key != NULL && object_info(key)->identity == identity ? key : NULL;
}

/* Says that the key is missing before much is decoded. */
static enum caefs_err check_key(const struct object *object, const struct codec_key *key)
{
        uint64_t needed = object_info(object)->key;

        if (needed == 0 ||
            (key != NULL && object_info(codec_key_object(key))->identity == needed))
                return CAEFS_OK;
        return caefs_fail(CAEFS_ERR_MODEL, key == NULL ? "it needs its key"
                                                       : "it needs another key");
}

/* Says which model is missing, rather than that one is. */
static enum caefs_err check_model(const struct object *object, const struct model *m)
{
        uint64_t needed = object_info(object)->model_hash;
        char text[17], given[17];

        if (needed == 0 || (m != NULL && model_hash(m) == needed))
                return CAEFS_OK;
        model_hash_format(needed, text);
        if (m == NULL)
                return caefs_fail(CAEFS_ERR_MODEL, "it needs the model %s", text);
        model_hash_format(model_hash(m), given);
        return caefs_fail(CAEFS_ERR_MODEL, "it needs the model %s, and this is %s",
                          text, given);
}

static void print_result(const char *from, const struct codec_options *o,
                         const struct object_info *info, double seconds)
{
        char size[TOOL_SIZE_MAX], time[TOOL_SIZE_MAX], bound[32];

        bound_format(&info->bound, bound);
        if (o->json) {
                json_t *result = json_pack(
                        "{s:i, s:I, s:I, s:s, s:f, s:i}",
                        "output_version", 1,
                        "input_bytes", (json_int_t)info->stored_bytes,
                        "output_bytes", (json_int_t)info->logical_bytes,
                        "bound", bound,
                        "decode_seconds", seconds,
                        "threads", (int)o->threads);

                json_dumpf(result, stdout, JSON_INDENT(2));
                putchar('\n');
                json_decref(result);
        } else if (tool_verbosity >= 0) {
                printf("%s: %s, %s, %s\n", from,
                       tool_format_bytes(size, info->logical_bytes), bound,
                       tool_format_seconds(time, seconds));
        }
}

/* Decodes an open object into OUT. */
static enum caefs_err decode_object(const struct object *object,
                                    const struct codec_options *o,
                                    struct file_output *out, double *seconds)
{
        uint64_t size = object_info(object)->logical_bytes;
        uint8_t *memory = NULL;
        enum caefs_err err = check_model(object, o->model);

        if (err == CAEFS_OK)
                err = check_key(object, o->key);
        if (err != CAEFS_OK)
                return err;
        /* Only a file under a name of its own can be written out of order. */
        if (size <= file_memory_limit() || out->temporary == NULL)
                memory = file_memory((size_t)size + 1);
        if (memory == NULL && out->temporary == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for the result");
        err = decode(object, o->threads, memory, out, seconds);
        if (err == CAEFS_OK && memory != NULL)
                err = file_output_write(out, memory, (size_t)size, 0);
        free(memory);
        return err;
}

static int decode_file(const char *from, const char *to, struct codec_options *o)
{
        struct file_input in;
        struct file_output out = { .fd = -1 };
        struct object *object = NULL;
        const struct object_finder finder = {
                .model = find_model,
                .key = find_key,
                .context = o,
        };
        double seconds = 0;
        const char *where = from;
        const char *todo = NULL;
        enum caefs_err err = file_input_open(from, &in);

        if (err != CAEFS_OK)
                return tool_fail(err, from, NULL);
        err = object_open(&in.source, &finder, &object);
        if (err == CAEFS_OK) {
                err = file_output_open(to, &out);
                where = err == CAEFS_OK ? from : to;
        }
        if (err == CAEFS_OK)
                err = decode_object(object, o, &out, &seconds);
        if (err == CAEFS_ERR_MODEL)
                todo = "give it with --model FILE or --key KEY.caef";
        if (err == CAEFS_OK) {
                err = file_output_commit(&out);
                where = to;
        }
        if (err == CAEFS_OK)
                print_result(from, o, object_info(object), seconds);
        file_output_close(&out);
        object_close(object);
        file_input_close(&in);
        return err == CAEFS_OK ? TOOL_OK : tool_fail(err, where, todo);
}

int cmd_decode(int argc, char **argv)
{
        static const struct option options[] = {
                CODEC_MODEL_OPTION, CODEC_KEY_OPTION, CODEC_THREADS_OPTION,
                CODEC_JSON_OPTION,
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct codec_options o = CODEC_OPTIONS_DEFAULT;
        int c, status;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS, options,
                                NULL)) != -1)
                if (!codec_option(&o, c) && !tool_common_option(c)) {
                        codec_options_free(&o);
                        return o.refused;
                }
        if (argc - optind != 2) {
                codec_options_free(&o);
                return tool_usage_error("decode", "it takes two names, IN.caef and OUT");
        }
        status = decode_file(argv[optind], argv[optind + 1], &o);
        codec_options_free(&o);
        return status;
}
