/*
 * caefs df - what a store holds, and what it takes.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fs/describe.h"
#include "tools/control.h"
#include "tools/path.h"

const char help_df[] =
        "Usage: caefs df [OPTION...] STORE|MOUNT...\n"
        "\n"
        "Prints the sums over a whole store: the size of its files, what is\n"
        "stored of them, the ratio, the models' size, and the room that is\n"
        "left.\n"
        "\n"
        "  --json              one JSON object\n"
        TOOL_COMMON_HELP;

struct df_run {
        json_t *found; /* an array, with --json */
        bool header_done;
};

/* JSON's numbers under KEY. */
static uint64_t number(const json_t *totals, const char *key)
{
        return (uint64_t)json_integer_value(json_object_get(totals, key));
}

static void show(struct df_run *run, const struct tool_path *p, json_t *totals)
{
        char size[TOOL_SIZE_MAX], stored[TOOL_SIZE_MAX], ratio[TOOL_SIZE_MAX];
        char models[TOOL_SIZE_MAX], room[TOOL_SIZE_MAX];

        if (run->found != NULL) {
                json_object_set_new(totals, "path", json_string(p->text));
                json_array_append(run->found, totals);
                return;
        }
        if (!run->header_done)
                printf("%9s %11s %11s %9s %11s %11s  %s\n", "FILES", "SIZE",
                       "STORED", "RATIO", "MODELS", "FREE", "STORE");
        run->header_done = true;
        printf("%9llu %11s %11s %9s %11s %11s  %s\n",
               (unsigned long long)number(totals, "files"),
               tool_format_bytes(size, number(totals, "logical_bytes")),
               tool_format_bytes(stored, number(totals, "stored_bytes")),
               tool_format_ratio(ratio, number(totals, "logical_bytes"),
                                 number(totals, "stored_bytes") +
                                         number(totals, "model_bytes")),
               tool_format_bytes(models, number(totals, "model_bytes")),
               tool_format_bytes(room, number(totals, "free_bytes")), p->text);
}

static enum caefs_err df_path(void *context, const struct tool_path *p)
{
        struct statvfs space;
        json_t *totals;
        enum caefs_err err;

        if (!S_ISDIR(p->st.st_mode))
                return caefs_fail(CAEFS_ERR_ARGUMENT,
                                  "give a store or a mount point");
        err = p->kind == TOOL_PATH_MOUNT ? control_totals(p->root, &totals) :
                                           describe_totals(p->store, &totals);
        if (err != CAEFS_OK)
                return err;
        if (statvfs(p->root, &space) == 0)
                json_object_set_new(totals, "free_bytes",
                                    json_integer((json_int_t)space.f_bavail *
                                                 (json_int_t)space.f_frsize));
        show(context, p, totals);
        json_decref(totals);
        return CAEFS_OK;
}

int cmd_df(int argc, char **argv)
{
        struct df_run run = { 0 };
        const struct tool_listing listing = {
                .name = "df", .question = "which store or mount?", .list = "stores",
                .each = df_path, .context = &run, .found = &run.found,
        };

        return tool_list_command(argc, argv, &listing);
}
