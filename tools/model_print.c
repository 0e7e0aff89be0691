/*
 * model_print.c - bytes by family, layers, users, record.
 */

#include "tools/model_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tools/tool.h"

static json_int_t integer(const json_t *object, const char *key)
{
        return json_integer_value(json_object_get(object, key));
}

static void print_value(const char *key, const json_t *v)
{
        char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT |
                                           JSON_REAL_PRECISION(6));

        if (json_is_string(v))
                printf("%-18s %s\n", key, json_string_value(v));
        else
                printf("%-18s %s\n", key, text != NULL ? text : "");
        free(text);
}

static void print_list(const char *key, const json_t *list, const char *between)
{
        const json_t *v;
        size_t i;

        if (json_array_size(list) == 0)
                return;
        printf("%-18s ", key);
        json_array_foreach(list, i, v) {
                if (i > 0)
                        fputs(between, stdout);
                if (json_is_string(v))
                        fputs(json_string_value(v), stdout);
                else
                        printf("%lld", (long long)json_integer_value(v));
        }
        putchar('\n');
}

/* A model's bytes by family; the rest is its header. */
static void print_parts(const json_t *d)
{
        json_t *parts = json_object_get(d, "parts"), *v;
        char size[TOOL_SIZE_MAX];
        const char *family;

        printf("%-18s %s\n", "bytes",
               tool_format_bytes(size, (uint64_t)integer(d, "bytes")));
        json_object_foreach(parts, family, v)
                printf("  %-16s %s\n", family,
                       tool_format_bytes(size, (uint64_t)json_integer_value(v)));
}

static void print_candidates(const json_t *record)
{
        const json_t *c;
        size_t i;

        json_array_foreach(json_object_get(record, "candidates"), i, c)
                printf("  %-16s %.2fx, %.1f s\n",
                       json_string_value(json_object_get(c, "family")),
                       json_real_value(json_object_get(c, "ratio")),
                       json_real_value(json_object_get(c, "seconds")));
}

/* How it was trained; every loss and every input are in --json. */
static void print_record(const json_t *record)
{
        const time_t when = (time_t)integer(record, "time");
        char text[32] = "";
        struct tm tm;

        if (!json_is_object(record)) {
                puts("trained            elsewhere, or nobody knows how");
                return;
        }
        if (localtime_r(&when, &tm) != NULL)
                strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm);
        printf("%-18s %s, in %.1f s, on %lld files\n", "trained", text,
               json_real_value(json_object_get(record, "train_seconds")),
               (long long)integer(record, "files"));
        printf("%-18s %.2fx, %.2fx without it\n", "ratio",
               json_real_value(json_object_get(record, "ratio_with")),
               json_real_value(json_object_get(record, "ratio_without")));
        print_candidates(record);
        print_value("outcome", json_object_get(record, "why"));
        print_value("options", json_object_get(record, "options"));
        print_list("lineage", json_object_get(record, "lineage"), " <- ");
}

/* Those that need no words of their own; the last three are an autoencoder's. */
static void print_rest(const json_t *d)
{
        static const char *const shown[] = {
                "bound", "scope", "parameters", "train_values", "seed",
                "epochs", "train_loss", "validation_loss",
        };
        const bool network = json_array_size(json_object_get(d, "layers")) > 0;
        const size_t n = sizeof shown / sizeof *shown - (network ? 0 : 3);
        size_t i;

        for (i = 0; i < n; i++)
                if (json_object_get(d, shown[i]) != NULL)
                        print_value(shown[i], json_object_get(d, shown[i]));
}

void model_print(const json_t *d)
{
        print_value("hash", json_object_get(d, "hash"));
        print_parts(d);
        print_list("layers", json_object_get(d, "layers"), "-");
        print_rest(d);
        print_list("directories", json_object_get(d, "directories"), " ");
        print_list("files", json_object_get(d, "files"), " ");
        if (json_object_get(d, "record") != NULL)
                print_record(json_object_get(d, "record"));
}
