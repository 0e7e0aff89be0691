/*
 * caefs explain - why each part of a file is stored as it is.
 */

#include <stdio.h>
#include <string.h>

#include "fs/describe.h"
#include "tools/path.h"

const char help_explain[] =
        "Usage: caefs explain [OPTION...] FILE...\n"
        "\n"
        "Prints how a file is stored: its regions with type and shape, their\n"
        "chunks by codec, the bound and what was reached, and why a part of it\n"
        "is not within the bound but exact.  FILE is on a mount, or\n"
        "STORE:/path.\n"
        "\n"
        "  --json              one JSON object, with every chunk\n"
        TOOL_COMMON_HELP;

#define CODECS_MAX 16

/* Chunks of one codec in one region. */
struct codec_sum {
        const char *codec;
        uint64_t chunks, raw, stored;
};

static uint64_t number(const json_t *object, const char *key)
{
        return (uint64_t)json_integer_value(json_object_get(object, key));
}

static const char *words(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));

        return text != NULL ? text : "";
}

static size_t sum_chunks(const json_t *chunks, size_t region,
                         struct codec_sum sums[CODECS_MAX])
{
        const json_t *chunk;
        size_t i, n = 0, at;

        json_array_foreach(chunks, i, chunk) {
                if (number(chunk, "region") != region)
                        continue;
                for (at = 0; at < n; at++)
                        if (strcmp(sums[at].codec, words(chunk, "codec")) == 0)
                                break;
                if (at == CODECS_MAX)
                        continue;
                if (at == n)
                        sums[n++] = (struct codec_sum){
                                .codec = words(chunk, "codec") };
                sums[at].chunks++;
                sums[at].raw += number(chunk, "length");
                sums[at].stored += number(chunk, "stored");
        }
        return n;
}

static void print_region(const json_t *region, const json_t *chunks,
                         size_t index)
{
        const json_t *shape = json_object_get(region, "shape");
        struct codec_sum sums[CODECS_MAX];
        const size_t n = sum_chunks(chunks, index, sums);
        const json_t *extent;
        size_t i;

        printf("  at %llu: %llu bytes of %s%s",
               (unsigned long long)number(region, "offset"),
               (unsigned long long)number(region, "length"),
               words(region, "dtype"),
               json_is_true(json_object_get(region, "big_endian")) ?
                       ", big-endian" : "");
        json_array_foreach(shape, i, extent)
                printf("%s%llu", i == 0 ? ", " : " x ",
                       (unsigned long long)json_integer_value(extent));
        putchar('\n');
        for (i = 0; i < n; i++) {
                char raw[TOOL_SIZE_MAX], stored[TOOL_SIZE_MAX];
                char ratio[TOOL_SIZE_MAX];

                printf("    %-10s %6llu chunks  %11s as %11s  %s\n",
                       sums[i].codec, (unsigned long long)sums[i].chunks,
                       tool_format_bytes(raw, sums[i].raw),
                       tool_format_bytes(stored, sums[i].stored),
                       tool_format_ratio(ratio, sums[i].raw, sums[i].stored));
        }
}

static void print_summary(const struct tool_path *p, const json_t *d)
{
        char size[TOOL_SIZE_MAX], stored[TOOL_SIZE_MAX], ratio[TOOL_SIZE_MAX];

        printf("%s: %s, %s stored as %s (%s)\n", p->text, words(d, "state"),
               tool_format_bytes(size, number(d, "logical_bytes")),
               tool_format_bytes(stored, number(d, "stored_bytes")),
               tool_format_ratio(ratio, number(d, "logical_bytes"),
                                 number(d, "stored_bytes")));
        if (strcmp(words(d, "state"), "sealed") != 0) {
                puts("  the bytes as they were written");
                return;
        }
        printf("  bound %s", words(d, "bound"));
        if (number(d, "lossy_values") > 0)
                printf(", %llu values changed, the largest error %g, %.3f of "
                       "the bound",
                       (unsigned long long)number(d, "lossy_values"),
                       json_real_value(json_object_get(d, "max_error")),
                       json_real_value(
                               json_object_get(d, "max_error_over_bound")));
        putchar('\n');
        if (*words(d, "model") != '\0')
                printf("  model %s\n", words(d, "model"));
        if (json_is_string(json_object_get(d, "key")))
                printf("  predicted from %s\n",
                       *words(d, "key") != '\0' ? words(d, "key")
                                                : "a file that is gone, whose object is kept");
        if (*words(d, "fallback") != '\0')
                printf("  parts are stored exactly: %s\n",
                       words(d, "fallback"));
}

static enum caefs_err explain(void *context, const struct tool_path *p)
{
        json_t *found = *(json_t **)context;
        const json_t *region;
        json_t *d;
        size_t i;
        enum caefs_err err;

        if (!S_ISREG(p->st.st_mode))
                return caefs_fail(CAEFS_ERR_UNSUPPORTED, "it is not a file");
        err = tool_path_explain(p, &d);
        if (err != CAEFS_OK)
                return err;
        if (found != NULL) {
                json_object_set_new(d, "path", json_string(p->text));
                json_array_append_new(found, d);
                return CAEFS_OK;
        }
        print_summary(p, d);
        json_array_foreach(json_object_get(d, "regions"), i, region)
                print_region(region, json_object_get(d, "chunks"), i);
        json_decref(d);
        return CAEFS_OK;
}

int cmd_explain(int argc, char **argv)
{
        json_t *found = NULL;
        const struct tool_listing listing = {
                .name = "explain", .question = "which file?", .list = "files",
                .each = explain, .context = &found, .found = &found,
        };

        return tool_list_command(argc, argv, &listing);
}
