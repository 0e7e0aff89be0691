/*
 * caefs verify - what a store serves, compared with the originals.
 *
 * The verdict is that of tools/judge.h, which shares nothing with the codec but
 * the conversion of values, under the bound that the file was stored with.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/describe.h"
#include "tools/file.h"
#include "tools/judge.h"
#include "tools/path.h"

const char help_verify[] =
        "Usage: caefs verify [OPTION...] --against ORIGINAL PATH\n"
        "\n"
        "Compares the files at or below PATH with those of the same names at or\n"
        "below ORIGINAL, value by value, under the bound that each was stored\n"
        "with.  PATH is on a mount, or STORE:/path.  Exit status 2 when a value is\n"
        "further off than its bound, or a byte outside of arrays differs.\n"
        "\n"
        "  --against ORIGINAL  a file or directory with what was copied in\n"
        "  --json              one JSON object\n"
        TOOL_COMMON_HELP;

struct verify {
        const char *original;
        size_t root_length; /* of the text of PATH */
        json_t *found;      /* an array, with --json */
        uint64_t files, broken, failed;
        int status; /* of the first that failed */
};

/* The bytes of a file, twice. */
struct both {
        struct bytes was, is;
};

/* ---- bytes ---- */

static enum caefs_err read_stored(const struct tool_path *p, struct bytes *out)
{
        const size_t size = (size_t)p->st.st_size;
        struct store_file *file;
        uint8_t *at = bytes_reserve(out, size + 1);
        enum caefs_err err;

        if (at == NULL)
                return CAEFS_ERR_NOMEM;
        err = store_file_open(p->store, p->st.st_ino, O_RDONLY, &file);
        if (err != CAEFS_OK)
                return err;
        err = store_file_read(file, at, size, 0, &out->size);
        store_file_release(file);
        return err;
}

static enum caefs_err read_both(const struct verify *v,
                                const struct tool_path *p, struct both *b)
{
        char *original;
        enum caefs_err err;

        if (asprintf(&original, "%s%s", v->original,
                     p->text + v->root_length) < 0)
                return CAEFS_ERR_NOMEM;
        err = file_read_all(original, SIZE_MAX / 2, &b->was);
        free(original);
        if (err != CAEFS_OK)
                return err;
        return p->kind == TOOL_PATH_STORE ?
                       read_stored(p, &b->is) :
                       file_read_all(p->name, SIZE_MAX / 2, &b->is);
}

/* ---- the verdict ---- */

static uint64_t number(const json_t *object, const char *key)
{
        return (uint64_t)json_integer_value(json_object_get(object, key));
}

static bool region_of(const json_t *j, size_t size, struct region *r)
{
        const json_t *shape = json_object_get(j, "shape");
        const char *type = json_string_value(json_object_get(j, "dtype"));
        bool big_endian;
        size_t i;

        *r = (struct region){ .offset = number(j, "offset"),
                              .length = number(j, "length") };
        r->dtype = DTYPE_BYTES;
        if (type == NULL ||
            (strcmp(type, dtype_name(DTYPE_BYTES)) != 0 &&
             !dtype_parse(type, &r->dtype, &big_endian)) ||
            json_array_size(shape) > SHAPE_MAX_DIMENSIONS ||
            r->offset > size || r->length > size - r->offset)
                return false;
        r->big_endian = json_is_true(json_object_get(j, "big_endian"));
        r->shape.ndim = (unsigned)json_array_size(shape);
        for (i = 0; i < r->shape.ndim; i++)
                r->shape.extent[i] = (uint64_t)json_integer_value(
                        json_array_get(shape, i));
        return true;
}

static void add(struct verdict *whole, const struct verdict *part)
{
        whole->values += part->values;
        whole->changed += part->changed;
        whole->broken += part->broken;
        whole->worst = fmax(whole->worst, part->worst);
        whole->worst_over_bound = fmax(whole->worst_over_bound,
                                       part->worst_over_bound);
}

/* Bytes that are in no array. */
static void compare_bytes(const struct both *b, uint64_t from, uint64_t to,
                          struct verdict *whole)
{
        if (from < to && memcmp(b->was.data + from, b->is.data + from,
                                (size_t)(to - from)) != 0) {
                whole->broken++;
                whole->worst = whole->worst_over_bound = HUGE_VAL;
        }
}

/* Regions come in the order of the file. */
static enum caefs_err judge_file(const json_t *explanation, enum scope scope,
                                 const struct both *b, struct verdict *whole)
{
        const json_t *regions = json_object_get(explanation, "regions");
        const char *text = json_string_value(json_object_get(explanation,
                                                             "bound"));
        struct bound bound = { .mode = BOUND_LOSSLESS };
        uint64_t at = 0;
        const json_t *j;
        size_t i;

        *whole = (struct verdict){ 0 };
        if (b->was.size != b->is.size) {
                whole->broken = 1;
                whole->worst = whole->worst_over_bound = HUGE_VAL;
                return CAEFS_OK;
        }
        if (text != NULL && *text != '\0' && !bound_parse(text, &bound))
                return CAEFS_ERR_ARGUMENT;
        json_array_foreach(regions, i, j) {
                struct region r;
                struct verdict part;
                enum caefs_err err;

                if (!region_of(j, b->is.size, &r) || r.offset < at)
                        return caefs_fail(CAEFS_ERR_CORRUPT,
                                          "its regions make no sense");
                compare_bytes(b, at, r.offset, whole);
                err = judge_region(&r, &bound, scope, b->was.data + r.offset,
                                   b->is.data + r.offset, &part);
                if (err != CAEFS_OK)
                        return err;
                add(whole, &part);
                at = r.offset + r.length;
        }
        compare_bytes(b, at, b->is.size, whole);
        return CAEFS_OK;
}

/* ---- showing ---- */

static json_t *json_number(double v)
{
        return isfinite(v) ? json_real(v) : json_null();
}

static void show(struct verify *v, const struct tool_path *p, const char *bound,
                 const struct verdict *d)
{
        if (v->found != NULL)
                json_array_append_new(v->found, json_pack(
                        "{s:s, s:s, s:b, s:I, s:I, s:I, s:o, s:o}",
                        "path", p->text, "bound", bound, "holds",
                        d->broken == 0, "values", (json_int_t)d->values,
                        "changed", (json_int_t)d->changed, "broken",
                        (json_int_t)d->broken, "max_error",
                        json_number(d->worst), "max_error_over_bound",
                        json_number(d->worst_over_bound)));
        else if (d->broken > 0 || tool_verbosity >= 0)
                printf("%-7s %-12s max error %-12.4g %7.1f %% of the bound  "
                       "%" PRIu64 " of %" PRIu64 " values changed  %s\n",
                       d->broken == 0 ? "holds" : "BROKEN", bound, d->worst,
                       100 * d->worst_over_bound, d->changed, d->values,
                       p->text);
}

static enum caefs_err verify_file(void *context, const struct tool_path *p)
{
        struct verify *v = context;
        struct tool_property property;
        struct both both = { 0 };
        struct verdict verdict;
        enum scope scope = SCOPE_ARRAY;
        json_t *explanation = NULL;
        enum caefs_err err;

        if (!S_ISREG(p->st.st_mode))
                return CAEFS_OK;
        err = tool_path_explain(p, &explanation);
        if (err == CAEFS_OK)
                err = tool_property_get(p, "scope", &property);
        if (err == CAEFS_OK) {
                scope_parse(property.value, &scope);
                free(property.from);
                err = read_both(v, p, &both);
        }
        if (err == CAEFS_OK)
                err = judge_file(explanation, scope, &both, &verdict);
        if (err == CAEFS_OK) {
                v->files++;
                v->broken += verdict.broken > 0;
                show(v, p, json_string_value(json_object_get(explanation,
                                                             "bound")),
                     &verdict);
        }
        json_decref(explanation);
        bytes_free(&both.was);
        bytes_free(&both.is);
        if (err != CAEFS_OK) {
                const int failure = tool_fail(err, p->text, NULL);

                if (v->failed++ == 0)
                        v->status = failure;
        }
        return CAEFS_OK;
}

static enum caefs_err verify_path(void *context, const struct tool_path *p)
{
        struct verify *v = context;
        size_t length = strlen(p->text);

        while (length > 0 && p->text[length - 1] == '/')
                length--;
        v->root_length = length;
        return tool_path_walk(p, verify_file, v);
}

int cmd_verify(int argc, char **argv)
{
        enum { OPT_JSON = 1, OPT_AGAINST };
        static const struct option options[] = {
                { "against", required_argument, NULL, OPT_AGAINST },
                { "json", no_argument, NULL, OPT_JSON },
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct verify v = { 0 };
        int c, status;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS,
                                options, NULL)) != -1)
                if (c == OPT_JSON)
                        v.found = json_array();
                else if (c == OPT_AGAINST)
                        v.original = optarg;
                else if (!tool_common_option(c))
                        return TOOL_USAGE;
        if (v.original == NULL || argc - optind != 1)
                return tool_usage_error("verify", "it takes --against ORIGINAL "
                                                  "and one path");
        status = tool_each_path(1, argv + optind, false, verify_path, &v);
        if (v.found != NULL) {
                json_t *all = json_pack("{s:i, s:o}", "output_version",
                                        DESCRIBE_VERSION, "files", v.found);

                json_dumpf(all, stdout, JSON_INDENT(2));
                putchar('\n');
                json_decref(all);
        }
        if (v.broken > 0)
                return TOOL_DATA;
        if (v.failed > 0)
                return v.files > 0 ? TOOL_PARTIAL : v.status;
        return status;
}
