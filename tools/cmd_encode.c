/*
 * caefs encode - one file becomes one object, without a store.
 */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/codec_options.h"
#include "tools/file.h"
#include "tools/tool.h"

const char help_encode[] =
        "Usage: caefs encode [OPTION...] IN OUT.caef\n"
        "\n"
        "Encodes a file within an error bound.  caefs decode gives it back.\n"
        "\n"
        CODEC_BOUND_HELP
        CODEC_DATA_HELP
        CODEC_EFFORT_HELP
        CODEC_MODEL_HELP
        CODEC_KEY_HELP
        CODEC_THREADS_HELP
        CODEC_JSON_HELP
        TOOL_COMMON_HELP;

/* Where object_encode() writes: memory for small files, else the disk. */
struct sink {
        struct bytes memory;
        struct file_output *file; /* NULL: memory */
        uint64_t written;
};

static enum caefs_err sink_write(void *context, const void *data, size_t n)
{
        struct sink *s = context;

        if (s->file != NULL) {
                enum caefs_err err = file_output_write(s->file, data, n, s->written);

                s->written += n;
                return err;
        }
        bytes_put(&s->memory, data, n);
        return s->memory.failed
                       ? caefs_fail(CAEFS_ERR_NOMEM, "no memory for the result")
                       : CAEFS_OK;
}

/* JSON has no infinities. */
static json_t *json_number(double v)
{
        return isfinite(v) ? json_real(v) : json_null();
}

static json_t *json_families(const struct object_report *r)
{
        json_t *families = json_object();
        unsigned i;

        for (i = 0; i < FAMILY_LIMIT; i++) {
                const struct family_methods *f = family_by_number(i);

                if (r->family_values[i] == 0)
                        continue;
                json_object_set_new(families, f != NULL ? f->name : "exact",
                                    json_pack("{s:I, s:I}",
                                              "bytes", (json_int_t)r->family_bytes[i],
                                              "values", (json_int_t)r->family_values[i]));
        }
        return families;
}

static void print_json(const struct codec_options *o,
                       const struct object_report *r, double seconds)
{
        char bound[32];
        json_t *result;

        bound_format(&o->bound, bound);
        result = json_pack(
                "{s:i, s:I, s:I, s:o, s:s, s:s, s:s, s:o, s:o, s:f, s:i, s:o, s:I, s:I, s:I, s:s?}",
                "output_version", 1,
                "input_bytes", (json_int_t)r->logical_bytes,
                "output_bytes", (json_int_t)r->stored_bytes,
                "ratio", json_number((double)r->logical_bytes / (double)r->stored_bytes),
                "bound", bound,
                "scope", scope_name(o->scope),
                "effort", effort_name(o->effort),
                "max_error", json_number(r->worst),
                "max_error_over_bound", json_number(r->worst_over_bound),
                "encode_seconds", seconds,
                "threads", (int)o->threads,
                "codec", json_families(r),
                "chunks", (json_int_t)r->chunks,
                "changed_values", (json_int_t)r->lossy_values,
                "patched_values", (json_int_t)r->patched,
                "fallback", r->fallback);
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(result);
}

static void print_text(const char *in, const struct codec_options *o,
                       const struct object_report *r, double seconds)
{
        char from[TOOL_SIZE_MAX], to[TOOL_SIZE_MAX], ratio[TOOL_SIZE_MAX];
        char time[TOOL_SIZE_MAX], bound[32];

        if (tool_verbosity < 0)
                return;
        bound_format(&o->bound, bound);
        printf("%s: %s to %s, %s, %s", in,
               tool_format_bytes(from, r->logical_bytes),
               tool_format_bytes(to, r->stored_bytes),
               tool_format_ratio(ratio, r->logical_bytes, r->stored_bytes), bound);
        if (o->bound.mode != BOUND_LOSSLESS)
                printf(" (largest error %.3g, %.3f of the bound)", r->worst,
                       r->worst_over_bound);
        printf(", %s\n", tool_format_seconds(time, seconds));
        if (r->fallback != NULL)
                tool_warning(in, NULL, "some of it is stored exactly: %s", r->fallback);
}

/* Encodes what is open, measuring the codec alone where all is in memory. */
static enum caefs_err encode(const struct file_input *in,
                             const struct codec_options *o, struct sink *sink,
                             struct object_report *report, double *seconds)
{
        struct tool_progress bar;
        struct progress job = { .total = in->source.size };
        const struct byte_sink byte_sink = { .write = sink_write, .context = sink };
        const struct object_options options = {
                .bound = o->bound,
                .scope = o->scope,
                .effort = o->effort,
                .family = o->family,
                .chunk = o->chunk,
                .hint = o->hint,
                .model = o->model,
                .key = codec_key_object(o->key),
                .threads = o->threads,
                .progress = &job,
        };
        enum caefs_err err;
        double start;

        tool_progress_begin(&bar, "encoding", TOOL_PROGRESS_BYTES, job.total);
        tool_progress_follow(&bar, &job);
        tool_cancel_on_signal(&job);
        start = tool_now();
        err = object_encode(&in->source, &options, &byte_sink, report);
        *seconds = tool_now() - start;
        tool_cancel_on_signal(NULL);
        tool_progress_end(&bar);
        return err;
}

static void warn_of_dims(const char *path, const struct file_input *in,
                         const struct layout_hint *hint)
{
        struct layout layout;

        if (hint->shape.ndim == 0 ||
            layout_detect(&in->source, hint, &layout) != CAEFS_OK)
                return;
        if (strcmp(layout.format, "npy") == 0)
                tool_warning(path, NULL, "it says its own shape: --dims is not used");
        else if (layout.nregions != 1 || layout.region[0].shape.ndim != hint->shape.ndim)
                tool_warning(path, "give --dtype, and --dims that multiply to the "
                                   "number of values",
                             "--dims does not fit and is not used");
        layout_free(&layout);
}

static int encode_file(const char *from, const char *to, struct codec_options *o)
{
        struct file_input in;
        struct file_output out = { .fd = -1 };
        struct sink sink = { 0 };
        struct object_report report;
        double seconds = 0;
        enum caefs_err err = file_input_open(from, &in);
        int status;

        if (err != CAEFS_OK)
                return tool_fail(err, from, NULL);
        warn_of_dims(from, &in, &o->hint);
        err = file_output_open(to, &out);
        if (err != CAEFS_OK) {
                file_input_close(&in);
                return tool_fail(err, to, NULL);
        }
        if (in.fd >= 0)
                sink.file = &out;
        err = encode(&in, o, &sink, &report, &seconds);
        if (err == CAEFS_OK && sink.file == NULL)
                err = file_output_write(&out, sink.memory.data, sink.memory.size, 0);
        if (err == CAEFS_OK)
                err = file_output_commit(&out);
        status = err == CAEFS_OK ? TOOL_OK : tool_fail(err, from, NULL);
        if (err == CAEFS_OK && o->json)
                print_json(o, &report, seconds);
        else if (err == CAEFS_OK)
                print_text(from, o, &report, seconds);
        file_output_close(&out);
        bytes_free(&sink.memory);
        file_input_close(&in);
        return status;
}

int cmd_encode(int argc, char **argv)
{
        static const struct option options[] = {
                CODEC_BOUND_OPTIONS, CODEC_DATA_OPTIONS, CODEC_EFFORT_OPTIONS,
                CODEC_MODEL_OPTION, CODEC_KEY_OPTION, CODEC_THREADS_OPTION,
                CODEC_JSON_OPTION,
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct codec_options o = CODEC_OPTIONS_DEFAULT;
        const char *slash;
        int c, status;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS, options,
                                NULL)) != -1)
                if (!codec_option(&o, c) && !tool_common_option(c)) {
                        codec_options_free(&o);
                        return o.refused;
                }
        if (argc - optind != 2) {
                codec_options_free(&o);
                return tool_usage_error("encode", "it takes two names, IN and OUT.caef");
        }
        /* A dtype that is said for this very file holds whatever its name. */
        slash = strrchr(argv[optind], '/');
        if (o.hint.dtype == DTYPE_BYTES)
                o.hint.name = slash != NULL ? slash + 1 : argv[optind];
        status = encode_file(argv[optind], argv[optind + 1], &o);
        codec_options_free(&o);
        return status;
}
