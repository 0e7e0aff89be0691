/*
 * caefs stat - sizes, ratio, bound and error of files and directories.
 */

#include <stdio.h>
#include <string.h>

#include "fs/describe.h"
#include "tools/path.h"

const char help_stat[] =
        "Usage: caefs stat [OPTION...] PATH...\n"
        "\n"
        "Prints how files are stored: their state, size, stored bytes, ratio,\n"
        "bound, largest error as a part of the bound, and codec.  For a\n"
        "directory the sums of all below it.  PATH is on a mount, or\n"
        "STORE:/path.\n"
        "\n"
        "  --json              one JSON object\n"
        TOOL_COMMON_HELP;

/* Of a tree. */
struct sums {
        uint64_t files, directories, others;
        uint64_t logical_bytes, stored_bytes;
        uint64_t staged, sealed, empty; /* files, by state */
};

struct stat_run {
        json_t *found; /* an array, with --json */
        bool header_done;
};

static uint64_t number(const json_t *description, const char *key)
{
        return (uint64_t)json_integer_value(json_object_get(description, key));
}

static const char *words(const json_t *description, const char *key)
{
        const char *text = json_string_value(json_object_get(description, key));

        return text != NULL && *text != '\0' ? text : "-";
}

/* ---- files ---- */

static void print_file(const struct tool_path *p, const json_t *d)
{
        char size[TOOL_SIZE_MAX], stored[TOOL_SIZE_MAX], ratio[TOOL_SIZE_MAX];
        const json_t *over = json_object_get(d, "max_error_over_bound");
        char error[32] = "-";

        if (number(d, "lossy_values") > 0)
                snprintf(error, sizeof error, "%.3f", json_real_value(over));
        printf("%-7s %11s %11s %9s  %-12s %7s  %-16s %s\n", words(d, "state"),
               tool_format_bytes(size, number(d, "logical_bytes")),
               tool_format_bytes(stored, number(d, "stored_bytes")),
               tool_format_ratio(ratio, number(d, "logical_bytes"),
                                 number(d, "stored_bytes")),
               words(d, "bound"), error, words(d, "codec"), p->text);
}

static enum caefs_err stat_file(struct stat_run *run,
                                const struct tool_path *p)
{
        json_t *d;
        const enum caefs_err err = tool_path_describe(p, &d);

        if (err != CAEFS_OK)
                return err;
        if (run->found != NULL) {
                json_object_set_new(d, "path", json_string(p->text));
                json_object_set_new(d, "type", json_string("file"));
                json_array_append_new(run->found, d);
                return CAEFS_OK;
        }
        print_file(p, d);
        json_decref(d);
        return CAEFS_OK;
}

/* ---- directories ---- */

static void count_state(struct sums *s, const char *state)
{
        if (strcmp(state, "staged") == 0)
                s->staged++;
        else if (strcmp(state, "sealed") == 0)
                s->sealed++;
        else
                s->empty++;
}

static enum caefs_err add_to_sums(void *context, const struct tool_path *p)
{
        struct sums *s = context;
        enum caefs_err err;
        json_t *d;

        if (S_ISDIR(p->st.st_mode)) {
                s->directories++;
                return CAEFS_OK;
        }
        if (!S_ISREG(p->st.st_mode)) {
                s->others++;
                return CAEFS_OK;
        }
        err = tool_path_describe(p, &d);
        if (err != CAEFS_OK) {
                tool_fail(err, p->text, NULL);
                return err;
        }
        s->files++;
        s->logical_bytes += number(d, "logical_bytes");
        s->stored_bytes += number(d, "stored_bytes");
        count_state(s, words(d, "state"));
        json_decref(d);
        return CAEFS_OK;
}

static json_t *sums_json(const struct tool_path *p, const struct sums *s)
{
        json_t *d = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I}}",
                              "path", p->text, "type", "directory",
                              "files", (json_int_t)s->files,
                              "directories", (json_int_t)s->directories,
                              "logical_bytes", (json_int_t)s->logical_bytes,
                              "stored_bytes", (json_int_t)s->stored_bytes,
                              "states",
                              "staged", (json_int_t)s->staged,
                              "sealed", (json_int_t)s->sealed,
                              "empty", (json_int_t)s->empty);

        if (s->stored_bytes > 0)
                json_object_set_new(d, "ratio",
                                    json_real((double)s->logical_bytes /
                                              (double)s->stored_bytes));
        return d;
}

static void print_sums(const struct tool_path *p, const struct sums *s)
{
        char size[TOOL_SIZE_MAX], stored[TOOL_SIZE_MAX], ratio[TOOL_SIZE_MAX];
        char states[96];

        snprintf(states, sizeof states, "%llu sealed, %llu staged, %llu empty",
                 (unsigned long long)s->sealed, (unsigned long long)s->staged,
                 (unsigned long long)s->empty);
        printf("%-7s %11s %11s %9s  %s  %s\n", "tree",
               tool_format_bytes(size, s->logical_bytes),
               tool_format_bytes(stored, s->stored_bytes),
               tool_format_ratio(ratio, s->logical_bytes, s->stored_bytes),
               states, p->text);
}

static enum caefs_err stat_tree(struct stat_run *run,
                                const struct tool_path *p)
{
        struct sums s = { 0 };
        const enum caefs_err err = tool_path_walk(p, add_to_sums, &s);

        if (run->found != NULL)
                json_array_append_new(run->found, sums_json(p, &s));
        else
                print_sums(p, &s);
        return err;
}

static enum caefs_err stat_path(void *context, const struct tool_path *p)
{
        struct stat_run *run = context;

        if (run->found == NULL && !run->header_done)
                printf("%-7s %11s %11s %9s  %-12s %7s  %-16s %s\n", "STATE",
                       "SIZE", "STORED", "RATIO", "BOUND", "ERROR", "CODEC",
                       "PATH");
        run->header_done = true;
        if (S_ISDIR(p->st.st_mode))
                return stat_tree(run, p);
        if (!S_ISREG(p->st.st_mode))
                return caefs_fail(CAEFS_ERR_UNSUPPORTED,
                                  "it is neither a file nor a directory");
        return stat_file(run, p);
}

int cmd_stat(int argc, char **argv)
{
        struct stat_run run = { 0 };
        const struct tool_listing listing = {
                .name = "stat", .question = "which path?", .list = "paths",
                .each = stat_path, .context = &run, .found = &run.found,
        };

        return tool_list_command(argc, argv, &listing);
}
