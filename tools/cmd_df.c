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
        "Prints the sums over all files of a store: their size, what is\n"
        "stored of them, the ratio, the models' size, and the room that is\n"
        "left.\n"
        "\n"
        "  --json              one JSON object\n"
        TOOL_COMMON_HELP;

struct usage {
        uint64_t files, logical_bytes, stored_bytes, model_bytes;
        uint64_t free_bytes; /* of the file system below */
};

struct df_run {
        json_t *found; /* an array, with --json */
        bool header_done;
};

static enum caefs_err add_file(void *context, const struct tool_path *p)
{
        struct usage *u = context;
        enum caefs_err err;
        json_t *d;

        if (!S_ISREG(p->st.st_mode))
                return CAEFS_OK;
        err = tool_path_describe(p, &d);
        if (err != CAEFS_OK)
                return err;
        u->files++;
        u->logical_bytes += (uint64_t)json_integer_value(
                json_object_get(d, "logical_bytes"));
        u->stored_bytes += (uint64_t)json_integer_value(
                json_object_get(d, "stored_bytes"));
        json_decref(d);
        return CAEFS_OK;
}

static enum caefs_err add_models(const struct tool_path *p, struct usage *u)
{
        const json_t *m;
        json_t *models;
        size_t i;
        const enum caefs_err err = p->kind == TOOL_PATH_MOUNT ?
                                           control_models(p->root, &models) :
                                           describe_models(p->store, &models);

        if (err != CAEFS_OK)
                return err;
        json_array_foreach(models, i, m)
                u->model_bytes += (uint64_t)json_integer_value(
                        json_object_get(m, "bytes"));
        json_decref(models);
        return CAEFS_OK;
}

static void show(struct df_run *run, const struct tool_path *p,
                 const struct usage *u)
{
        char size[TOOL_SIZE_MAX], stored[TOOL_SIZE_MAX], ratio[TOOL_SIZE_MAX];
        char models[TOOL_SIZE_MAX], room[TOOL_SIZE_MAX];

        if (run->found != NULL) {
                json_array_append_new(run->found, json_pack(
                        "{s:s, s:I, s:I, s:I, s:I, s:I}", "path", p->text,
                        "files", (json_int_t)u->files,
                        "logical_bytes", (json_int_t)u->logical_bytes,
                        "stored_bytes", (json_int_t)u->stored_bytes,
                        "model_bytes", (json_int_t)u->model_bytes,
                        "free_bytes", (json_int_t)u->free_bytes));
                return;
        }
        if (!run->header_done)
                printf("%9s %11s %11s %9s %11s %11s  %s\n", "FILES", "SIZE",
                       "STORED", "RATIO", "MODELS", "FREE", "STORE");
        run->header_done = true;
        printf("%9llu %11s %11s %9s %11s %11s  %s\n",
               (unsigned long long)u->files,
               tool_format_bytes(size, u->logical_bytes),
               tool_format_bytes(stored, u->stored_bytes),
               tool_format_ratio(ratio, u->logical_bytes,
                                 u->stored_bytes + u->model_bytes),
               tool_format_bytes(models, u->model_bytes),
               tool_format_bytes(room, u->free_bytes), p->text);
}

static enum caefs_err df_path(void *context, const struct tool_path *p)
{
        struct usage u = { 0 };
        struct statvfs space;
        enum caefs_err err;

        if (!S_ISDIR(p->st.st_mode))
                return caefs_fail(CAEFS_ERR_ARGUMENT,
                                  "give a store or a mount point");
        err = tool_path_walk(p, add_file, &u);
        if (err == CAEFS_OK)
                err = add_models(p, &u);
        if (err != CAEFS_OK)
                return err;
        if (statvfs(p->root, &space) == 0)
                u.free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
        show(context, p, &u);
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
