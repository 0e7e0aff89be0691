/*
 * transfer.c - counting what a bulk copy does.
 */

#include "tools/transfer.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "fs/describe.h"

void transfer_begin(struct transfer *t, const char *command, bool json)
{
        *t = (struct transfer){ .command = command, .json = json };
        pthread_mutex_init(&t->lock, NULL);
        tool_cancel_on_signal(&t->job);
}

void transfer_start(struct transfer *t, uint64_t total)
{
        atomic_store(&t->job.total, total);
        tool_progress_begin(&t->bar, t->command, TOOL_PROGRESS_BYTES, total);
        tool_progress_follow(&t->bar, &t->job);
}

void transfer_failed(struct transfer *t, enum caefs_err err, const char *path)
{
        int status;

        pthread_mutex_lock(&t->lock);
        status = tool_fail(err, path, NULL);
        if (t->status == TOOL_OK)
                t->status = status;
        pthread_mutex_unlock(&t->lock);
        atomic_fetch_add(&t->failed, 1);
}

bool transfer_is_same(const struct stat *a, const struct stat *b)
{
        return S_ISREG(a->st_mode) && S_ISREG(b->st_mode) &&
               a->st_size == b->st_size &&
               a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
               a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

enum caefs_err transfer_resolve_above(struct store *store, char *path,
                                      store_inode *above, char **name)
{
        size_t length = strlen(path);
        char *slash;

        while (length > 1 && path[length - 1] == '/')
                path[--length] = '\0';
        slash = strrchr(path, '/');
        if (slash == NULL)
                return CAEFS_ERR_ARGUMENT;
        *slash = '\0';
        *name = slash + 1;
        return store_resolve(store, *path != '\0' ? path : "/", above);
}

static void print_json(struct transfer *t)
{
        json_t *j = json_pack("{s:i, s:I, s:I, s:I, s:I}", "output_version",
                              DESCRIBE_VERSION, "files", (json_int_t)t->files,
                              "bytes", (json_int_t)t->bytes, "skipped",
                              (json_int_t)t->skipped, "failed",
                              (json_int_t)t->failed);

        json_dumpf(j, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(j);
}

int transfer_end(struct transfer *t)
{
        char size[TOOL_SIZE_MAX];
        const bool stopped = progress_cancelled(&t->job);

        tool_cancel_on_signal(NULL);
        tool_progress_end(&t->bar);
        pthread_mutex_destroy(&t->lock);
        if (t->json)
                print_json(t);
        else if (tool_verbosity >= 0)
                printf("%s: %" PRIu64 " files, %s; %" PRIu64
                       " were there already, %" PRIu64 " failed\n",
                       t->command, (uint64_t)t->files,
                       tool_format_bytes(size, t->bytes), (uint64_t)t->skipped,
                       (uint64_t)t->failed);
        if (stopped)
                return tool_fail(CAEFS_ERR_INTERRUPTED, NULL,
                                 "the same command goes on where it stopped");
        if (t->failed > 0)
                return t->files + t->skipped > 0 ? TOOL_PARTIAL : t->status;
        return TOOL_OK;
}
