/*
 * caefs advise - what training is worth, directory by directory, without training.
 */

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/train_survey.h"
#include "tools/codec_options.h"
#include "tools/train_files.h"
#include "tools/train_target.h"

const char help_advise[] =
        "Usage: caefs advise [OPTION...] PATH...\n"
        "\n"
        "Says for each directory at or below PATH what a training is likely to be\n"
        "worth, from a sample and without training: how much the values vary, what a\n"
        "value costs at the bound, what is known of it from elsewhere, the ratio with\n"
        "and without a model, the part of the data to learn from, and the time it\n"
        "takes.  PATH is any file or directory, on a mount, or STORE:/path.\n"
        "\n"
        CODEC_BOUND_HELP
        "                      (default: both as PATH's on its mount)\n"
        CODEC_DATA_HELP
        CODEC_THREADS_HELP
        CODEC_JSON_HELP
        TOOL_COMMON_HELP;

struct advise {
        struct codec_options codec;
        json_t *found;
};

/* ---- one directory ---- */

static json_t *real(double v)
{
        return isfinite(v) ? json_real(v) : json_null();
}

/* Bits, or null where a lead cannot be had. */
static json_t *lead_bits(const struct train_survey *s, enum train_lead lead)
{
        return s->entropy_lead[lead] > 0 ? json_real(s->entropy_lead[lead]) :
                                           json_null();
}

static json_t *as_json(const char *directory, size_t narrays, const char *bound,
                       const struct train_survey *s)
{
        return json_pack(
                "{s:s, s:I, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
                " s:o, s:o, s:s, s:s?, s:o, s:o, s:o, s:s, s:o}",
                "directory", directory,
                "arrays", (json_int_t)narrays,
                "bound", bound,
                "raw_bytes", (json_int_t)s->raw_bytes,
                "sampled_values", (json_int_t)s->values,
                "cv", real(s->cv),
                "cv_normalised", real(s->cv_normalised),
                "cv_first_half", real(s->cv_first),
                "cv_second_half", real(s->cv_rest),
                "entropy_bits", real(s->entropy),
                "neighbours_bits", real(s->entropy_neighbours),
                "earlier_bits", lead_bits(s, TRAIN_LEAD_EARLIER),
                "columns_bits", lead_bits(s, TRAIN_LEAD_COLUMNS),
                "repeated", real(s->repeated),
                "stored_bits", real(s->stored),
                "lead", train_lead_name(s->lead),
                "family", train_lead_family(s->lead),
                "ratio", real(s->ratio),
                "ratio_expected", real(s->ratio_expected),
                "proportion", real(s->proportion),
                "proportion_why", s->proportion_why,
                "seconds_expected", real(s->seconds_expected));
}

static void print_lead(const struct train_survey *s)
{
        static const char *const knows[TRAIN_LEADS] = {
                [TRAIN_LEAD_EARLIER] = "the step before tells more of a value than "
                                       "its neighbours do",
                [TRAIN_LEAD_COLUMNS] = "the other columns tell more of a value than "
                                       "the rows before do",
                [TRAIN_LEAD_REPEATS] = "values repeat between arrays",
        };

        if (s->lead == TRAIN_LEAD_NONE)
                printf("  a model is not likely to pay: nothing seen that neighbours "
                       "do not tell\n");
        else
                printf("  a model is likely to pay (%s), %.2fx to about %.2fx: %s\n",
                       train_lead_family(s->lead), s->ratio, s->ratio_expected,
                       knows[s->lead]);
}

static void print_text(const char *directory, size_t narrays, const char *bound,
                       const struct train_survey *s)
{
        char size[TOOL_SIZE_MAX], seconds[TOOL_SIZE_MAX];

        printf("%s: %zu arrays, %s, %s\n", directory, narrays,
               tool_format_bytes(size, s->raw_bytes), bound);
        printf("  variation (CV) %.3g, normalised %.3g\n", s->cv,
               s->cv_normalised);
        printf("  bits a value: %.2f quantised, %.2f after neighbours", s->entropy,
               s->entropy_neighbours);
        if (s->entropy_lead[TRAIN_LEAD_EARLIER] > 0)
                printf(", %.2f after the step before",
                       s->entropy_lead[TRAIN_LEAD_EARLIER]);
        if (s->entropy_lead[TRAIN_LEAD_COLUMNS] > 0)
                printf(", %.2f after other columns",
                       s->entropy_lead[TRAIN_LEAD_COLUMNS]);
        printf("; %.2f as stored (%.2fx); %.0f %% repeat\n", s->stored, s->ratio,
               100 * s->repeated);
        print_lead(s);
        printf("  learn from %.3g %% of it (%s), in about %s\n",
               100 * s->proportion, s->proportion_why,
               tool_format_seconds(seconds, s->seconds_expected));
}

static enum caefs_err advise_inputs(struct advise *a, const char *directory,
                                    const struct train_input *input, size_t n)
{
        const struct train_options o = {
                .bound = a->codec.bound,
                .scope = a->codec.scope,
                .threads = a->codec.threads,
                .proportion = 1,
        };
        struct train_survey survey;
        char bound[32];
        const enum caefs_err err = train_survey(input, n, &o, &survey);

        if (err != CAEFS_OK)
                return err;
        bound_format(&o.bound, bound);
        if (a->found != NULL)
                json_array_append_new(a->found, as_json(directory, n, bound, &survey));
        else
                print_text(directory, n, bound, &survey);
        return CAEFS_OK;
}

/* ---- which directories ---- */

/* Bytes of the directory's name in that of the file that IN lies in. */
static size_t directory_length(const struct train_input *in, const char **name)
{
        const char *slash;

        *name = train_file_name(train_file_of_input(in));
        slash = strrchr(*name, '/');
        return slash != NULL ? (size_t)(slash - *name) : 0;
}

static bool same_directory(const struct train_input *a, const struct train_input *b)
{
        const char *x, *y;
        const size_t n = directory_length(a, &x);

        return directory_length(b, &y) == n && strncmp(x, y, n) == 0;
}

/* Takes the inputs of the first one's directory out of the list of *N, in their order. */
static size_t take_directory(struct train_input *list, size_t *n,
                             struct train_input *out)
{
        const struct train_input first = list[0];
        size_t taken = 0, kept = 0, i;

        for (i = 0; i < *n; i++)
                if (same_directory(&list[i], &first))
                        out[taken++] = list[i];
                else
                        list[kept++] = list[i];
        *n = kept;
        return taken;
}

static enum caefs_err advise_files(struct advise *a, struct train_files *files,
                                   const char *text)
{
        struct train_input *group = calloc(files->ninputs + 1, sizeof *group);
        size_t left = files->ninputs;
        enum caefs_err err = group == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;

        if (left == 0)
                printf("%s: no floating-point arrays\n", text);
        while (err == CAEFS_OK && left > 0) {
                const size_t n = take_directory(files->input, &left, group);
                const char *name;
                const size_t length = directory_length(&group[0], &name);
                char *directory = strndup(length > 0 ? name : ".",
                                          length > 0 ? length : 1);

                err = directory == NULL ? CAEFS_ERR_NOMEM :
                                          advise_inputs(a, directory, group, n);
                free(directory);
        }
        free(group);
        return err;
}

static enum caefs_err advise_path(struct advise *a, const char *text)
{
        struct advise mine = *a;
        struct train_files files = { 0 };
        struct tool_path p = { 0 };
        char *store = NULL, *inner = NULL;
        enum caefs_err err;

        if (tool_path_split_store(text, &store, &inner) &&
            strstr(text, ":/") != NULL) {
                err = tool_path_open(text, false, &p);
                if (err == CAEFS_OK)
                        train_target_of_path(&p, &mine.codec);
                files.hint = mine.codec.hint;
                if (err == CAEFS_OK)
                        err = train_files_add(&files, &p);
        } else {
                train_target_of_mount(text, &mine.codec);
                files.hint = mine.codec.hint;
                err = train_files_add_plain(&files, text);
        }
        if (err == CAEFS_OK)
                err = advise_files(&mine, &files, text);
        train_files_free(&files);
        tool_path_close(&p);
        free(store);
        free(inner);
        return err;
}

static int advise_all(struct advise *a, int n, char **paths)
{
        int first = TOOL_OK, succeeded = 0, i;

        for (i = 0; i < n; i++) {
                enum caefs_err err;

                caefs_detail_clear();
                err = advise_path(a, paths[i]);
                if (err == CAEFS_OK)
                        succeeded++;
                else if (first == TOOL_OK)
                        first = tool_fail(err, paths[i], NULL);
                else
                        tool_fail(err, paths[i], NULL);
        }
        return first != TOOL_OK && succeeded > 0 ? TOOL_PARTIAL : first;
}

static void print_found(json_t *found)
{
        json_t *result = json_pack("{s:i, s:o}", "output_version", 1,
                                   "directories", found);

        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(result);
}

int cmd_advise(int argc, char **argv)
{
        static const struct option options[] = {
                CODEC_BOUND_OPTIONS, CODEC_DATA_OPTIONS,
                CODEC_THREADS_OPTION, CODEC_JSON_OPTION,
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct advise a = { .codec = CODEC_OPTIONS_DEFAULT };
        int c, status = TOOL_OK;

        while (status == TOOL_OK &&
               (c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS, options,
                                NULL)) != -1)
                if (!codec_option(&a.codec, c) && !tool_common_option(c))
                        status = TOOL_USAGE;
        if (status == TOOL_OK && optind == argc)
                status = tool_usage_error("advise", "which path?");
        if (status == TOOL_OK) {
                if (a.codec.json)
                        a.found = json_array();
                status = advise_all(&a, argc - optind, argv + optind);
                if (a.found != NULL)
                        print_found(a.found);
        }
        codec_options_free(&a.codec);
        return status;
}
