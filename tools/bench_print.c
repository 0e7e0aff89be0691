#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/bench_print.h"
#include "tools/tool.h"

#define SHAPE_TEXT_MAX (SHAPE_MAX_DIMENSIONS * 21 + 1)

/* "256 x 256 x 256", the slowest axis in memory first. */
static void format_shape(const struct shape *s, char text[SHAPE_TEXT_MAX])
{
        size_t used = 0;
        unsigned i;

        text[0] = '\0';
        for (i = 0; i < s->ndim; i++)
                used += (size_t)snprintf(text + used, SHAPE_TEXT_MAX - used, "%s%" PRIu64,
                                         i > 0 ? "x" : "", s->extent[i]);
}

static double megabytes_per_second(const struct bench_result *r, const struct bench_times *t)
{
        double seconds = bench_best(t);

        return seconds > 0 ? (double)r->input_bytes * 1e-6 / seconds : 0;
}

/* ZFP among the results, or NULL. */
static const struct bench_result *find_zfp(const struct bench_result *r, size_t n)
{
        size_t i;

        for (i = 0; i < n; i++)
                if (strcmp(r[i].codec.methods->name, "zfp") == 0)
                        return &r[i];
        return NULL;
}

void bench_print_sample(const char *path, const struct bench_sample *s)
{
        const struct region *r = bench_sample_array(s);
        char size[TOOL_SIZE_MAX], shape[SHAPE_TEXT_MAX];

        printf("%s: %s", path, tool_format_bytes(size, s->data.size));
        if (!s->whole)
                printf(" of %s", tool_format_bytes(size, s->file_size));
        if (r != NULL) {
                format_shape(&r->shape, shape);
                printf(", %s%s %s", dtype_name(r->dtype), r->big_endian ? ":be" : "", shape);
        } else {
                printf(", no floating-point values");
        }
        printf("\n  %-14s %-15s %9s %10s %10s %9s %12s %12s\n", "bound", "codec", "ratio",
               "encode", "decode", "error/", "encode", "decode");
        printf("  %-14s %-15s %9s %10s %10s %9s %12s %12s\n", "", "", "", "MB/s", "MB/s",
               "bound", "over zfp", "over zfp");
}

static void print_error(const struct verdict *v)
{
        if (v->changed == 0)
                printf(" %9s", "exact");
        else if (!isfinite(v->worst_over_bound) || v->worst_over_bound >= 1e5)
                printf(" %9s", "BROKEN");
        else
                printf(" %9.4f", v->worst_over_bound);
}

void bench_print_results(const struct bench_task *t, const struct bench_result *r, size_t n)
{
        const struct bench_result *zfp = find_zfp(r, n);
        char bound[32], codec[48];
        size_t i;

        bound_format(&t->bound, bound);
        for (i = 0; i < n; i++) {
                const struct bench_codec *c = &r[i].codec;
                double encode = megabytes_per_second(&r[i], &r[i].encode);
                double decode = megabytes_per_second(&r[i], &r[i].decode);

                snprintf(codec, sizeof codec, "%s %s", c->methods->name,
                         c->methods->setting_name(c->setting));
                printf("  %-14s %-15s %8.2fx %10.4g %10.4g", i == 0 ? bound : "", codec,
                       (double)r[i].input_bytes / (double)r[i].output_bytes, encode, decode);
                print_error(&r[i].verdict);
                if (zfp != NULL)
                        printf(" %11.2fx %11.2fx",
                               encode / megabytes_per_second(zfp, &zfp->encode),
                               decode / megabytes_per_second(zfp, &zfp->decode));
                putchar('\n');
        }
        fflush(stdout);
}

/* JSON has no infinities. */
static json_t *json_number(double v)
{
        return isfinite(v) ? json_real(v) : json_null();
}

static json_t *json_times(const struct bench_times *t)
{
        return json_pack("{s:f, s:f, s:f, s:i}", "best", bench_best(t), "median",
                         bench_median(t), "worst", t->seconds[t->n - 1], "rounds", (int)t->n);
}

json_t *bench_json_sample(const char *path, const struct bench_sample *s)
{
        const struct region *r = bench_sample_array(s);
        json_t *shape = json_array();
        unsigned i;

        for (i = 0; r != NULL && i < r->shape.ndim; i++)
                json_array_append_new(shape, json_integer((json_int_t)r->shape.extent[i]));
        return json_pack("{s:s, s:I, s:I, s:s?, s:o, s:[]}", "file", path, "file_bytes",
                         (json_int_t)s->file_size, "sample_bytes", (json_int_t)s->data.size,
                         "dtype", r != NULL ? dtype_name(r->dtype) : NULL, "shape", shape,
                         "results");
}

void bench_json_results(json_t *results, const struct bench_task *t,
                        const struct bench_result *r, size_t n)
{
        const struct bench_result *zfp = find_zfp(r, n);
        char bound[32];
        size_t i;

        bound_format(&t->bound, bound);
        for (i = 0; i < n; i++) {
                const struct bench_codec *c = &r[i].codec;
                const struct verdict *v = &r[i].verdict;
                json_t *one = json_pack(
                        "{s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:f, s:f, s:o, s:o, s:o, s:o, s:b}",
                        "bound", bound, "scope", scope_name(t->scope),
                        "codec", c->methods->name,
                        "setting", c->methods->setting_name(c->setting),
                        "input_bytes", (json_int_t)r[i].input_bytes,
                        "output_bytes", (json_int_t)r[i].output_bytes,
                        "ratio", json_number((double)r[i].input_bytes / (double)r[i].output_bytes),
                        "encode_mb_per_second", megabytes_per_second(&r[i], &r[i].encode),
                        "decode_mb_per_second", megabytes_per_second(&r[i], &r[i].decode),
                        "encode_seconds", json_times(&r[i].encode),
                        "decode_seconds", json_times(&r[i].decode),
                        "max_error", json_number(v->worst),
                        "max_error_over_bound", json_number(v->worst_over_bound),
                        "bound_holds", v->broken == 0);

                if (zfp != NULL) {
                        json_object_set_new(one, "encode_over_zfp",
                                            json_number(bench_best(&zfp->encode) /
                                                        bench_best(&r[i].encode)));
                        json_object_set_new(one, "decode_over_zfp",
                                            json_number(bench_best(&zfp->decode) /
                                                        bench_best(&r[i].decode)));
                }
                json_array_append_new(results, one);
        }
}
