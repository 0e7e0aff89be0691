/*
 * check_store.c - what fsck and scrub share.
 */

#include "tools/check_store.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "tools/tool.h"

/* A check under way. */
struct run {
        const struct tool_check *check;
        struct store_check_report report;
        struct tool_progress bar;
        uint64_t mended;
        json_t *findings; /* an array, with --json */
        bool is_read_only; /* somebody else has the store open */
};

static void take_finding(void *context, const char *sentence)
{
        struct run *run = context;

        if (run->findings != NULL) {
                json_array_append_new(run->findings,
                                      json_stringn_nocheck(sentence, strlen(sentence)));
                return;
        }
        tool_progress_end(&run->bar);
        printf("%s\n", sentence);
}

static void take_repair(void *context, const char *sentence)
{
        struct run *run = context;

        run->mended++;
        take_finding(context, sentence);
}

static void print_summary(const struct run *run, bool is_whole)
{
        const struct store_check_report *r = &run->report;
        const uint64_t problems = r->problems + r->problems_before;
        char bytes[TOOL_SIZE_MAX];

        if (tool_verbosity < 0)
                return;
        printf("%s: %" PRIu64 " files, %" PRIu64 " objects, %s%s: ", run->check->path,
               r->files, r->objects, tool_format_bytes(bytes, r->bytes),
               !run->check->reads_all ? "" : is_whole ? ", all of it read" :
                                                        ", a part of it read");
        if (run->mended > 0)
                printf("%" PRIu64 " %s mended, ", run->mended,
                       run->mended == 1 ? "problem" : "problems");
        if (problems == 0)
                printf("no problem %s\n", run->mended > 0 ? "left" : "found");
        else
                printf("%" PRIu64 " %s %s\n", problems,
                       problems == 1 ? "problem" : "problems",
                       run->mended > 0 ? "left" : "found");
        if (!is_whole)
                printf("%s: stopped; the next scrub goes on from here\n",
                       run->check->path);
}

static int print_json(struct run *run, bool is_whole)
{
        const struct store_check_report *r = &run->report;
        json_t *out = json_pack("{s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:O}",
                                "output_version", 1, "store", run->check->path, "files",
                                (json_int_t)r->files, "objects", (json_int_t)r->objects,
                                "stored_bytes", (json_int_t)r->bytes, "problems",
                                (json_int_t)(r->problems + r->problems_before), "mended",
                                (json_int_t)run->mended, "complete", is_whole, "resumed", r->resumed, "findings", run->findings);
        const int failed = out == NULL || json_dumpf(out, stdout, JSON_INDENT(2)) != 0;

        json_decref(out);
        printf("\n");
        return failed ? TOOL_SYSTEM : TOOL_OK;
}

/* Whether something was found, and, unless it went well, why it ended. */
static int finish(struct run *run, enum caefs_err err)
{
        const bool is_stopped = err == CAEFS_ERR_INTERRUPTED && run->check->reads_all;
        int status = TOOL_OK;

        if (err != CAEFS_OK && !is_stopped)
                return tool_fail(err, run->check->path, NULL);
        if (run->findings != NULL)
                status = print_json(run, !is_stopped);
        else
                print_summary(run, !is_stopped);
        if (status != TOOL_OK)
                return status;
        if (run->report.problems + run->report.problems_before > 0)
                return TOOL_DATA;
        return is_stopped ? TOOL_PARTIAL : TOOL_OK;
}

static enum caefs_err open_store(struct run *run, struct store **store)
{
        struct store_options options = { .no_background = true };
        enum caefs_err err;

        if (run->check->repairs) {
                options.repair = take_repair;
                options.repair_context = run;
        }
        err = store_open(run->check->path, &options, store);

        if (!run->check->while_used ||
            (err != CAEFS_ERR_BUSY && err != CAEFS_ERR_READ_ONLY))
                return err;
        run->is_read_only = options.read_only = true;
        return store_open(run->check->path, &options, store);
}

int tool_check_store(const struct tool_check *check)
{
        struct run run = { .check = check };
        struct progress job = { 0 };
        struct store *store;
        enum caefs_err err, closed;
        int status;

        run.findings = check->json ? json_array() : NULL;
        err = open_store(&run, &store);
        if (err != CAEFS_OK) {
                json_decref(run.findings);
                return tool_fail(err, check->path,
                                 err == CAEFS_ERR_BUSY    ? "unmount it first" :
                                 err == CAEFS_ERR_CORRUPT && !check->repairs ?
                                                            "caefs fsck --repair may help" :
                                                            NULL);
        }
        tool_progress_begin(&run.bar, check->reads_all ? "scrubbing" : "checking",
                            TOOL_PROGRESS_BYTES, 0);
        tool_progress_follow(&run.bar, &job);
        tool_cancel_on_signal(&job);
        err = store_check(store, check->reads_all ? &check->scrub : NULL, &job, take_finding,
                          &run, &run.report);
        tool_cancel_on_signal(NULL);
        tool_progress_end(&run.bar);
        status = finish(&run, err);
        json_decref(run.findings);
        closed = store_close(store);
        return closed == CAEFS_OK ? status : tool_fail(closed, check->path, NULL);
}
