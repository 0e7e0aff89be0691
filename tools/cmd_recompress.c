/*
 * caefs recompress - encodes stored files again, as the properties say today.
 */

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "fs/describe.h"
#include "tools/path.h"

const char help_recompress[] =
        "Usage: caefs recompress [OPTION...] PATH...\n"
        "\n"
        "Encodes every sealed file at or below PATH again, with the properties and\n"
        "the model of today, and keeps what is smaller.  What was lost before\n"
        "stays lost, and is not added to: against the values that were written\n"
        "first, nothing is further off than the larger of the bound that a file was\n"
        "stored with and today's.  A file that is open is waited for.  PATH is on\n"
        "a mount, or STORE:/path.\n"
        "\n"
        "  --bound B           this bound instead of the property; the new encoding\n"
        "                      is kept even when it is larger\n"
        "  --add-loss          where values were lost already, count the bound from\n"
        "                      what is served now: the two losses add up\n"
        "  --json              the result as one JSON object\n"
        TOOL_COMMON_HELP;

struct recompress {
        struct store_recompress wanted;
        json_t *found; /* an array, with --json */
};

static json_t *as_json(const struct tool_path *p,
                       const struct store_recompress_report *r)
{
        return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}",
                         "name", p->text,
                         "files", (json_int_t)r->files,
                         "replaced", (json_int_t)r->replaced,
                         "kept_exactly", (json_int_t)r->exact,
                         "lost_more_than_bound", (json_int_t)r->tighter,
                         "bytes_before", (json_int_t)r->bytes_before,
                         "bytes_after", (json_int_t)r->bytes_after);
}

static void print_text(const struct tool_path *p,
                       const struct store_recompress_report *r)
{
        char before[TOOL_SIZE_MAX], after[TOOL_SIZE_MAX], ratio[TOOL_SIZE_MAX];

        if (tool_verbosity < 0)
                return;
        printf("%s: %" PRIu64 " of %" PRIu64 " files replaced, %s before, %s "
               "after (%s)\n", p->text, r->replaced, r->files,
               tool_format_bytes(before, r->bytes_before),
               tool_format_bytes(after, r->bytes_after),
               tool_format_ratio(ratio, r->bytes_before, r->bytes_after));
        if (r->exact > 0)
                printf("%s: %" PRIu64 " files had lost values already and keep "
                       "their bits; --add-loss lets losses add up\n",
                       p->text, r->exact);
}

static enum caefs_err recompress_path(void *context, const struct tool_path *p)
{
        struct recompress *command = context;
        struct store_recompress_report report;
        struct progress job = { 0 };
        struct tool_progress bar;
        enum caefs_err err;

        tool_progress_begin(&bar, "recompressing", TOOL_PROGRESS_BYTES, 0);
        tool_progress_follow(&bar, &job);
        tool_cancel_on_signal(&job);
        err = tool_path_recompress(p, &command->wanted, &job, &report);
        tool_cancel_on_signal(NULL);
        tool_progress_end(&bar);
        if (err != CAEFS_OK)
                return err;
        if (command->found != NULL)
                json_array_append_new(command->found, as_json(p, &report));
        else
                print_text(p, &report);
        if (report.tighter > 0)
                tool_warning(p->text, NULL, "%" PRIu64 " files were stored under a "
                             "looser bound: what they lost cannot be restored",
                             report.tighter);
        if (report.left > 0)
                return caefs_fail(CAEFS_ERR_BUSY, "%" PRIu64 " files could not be "
                                  "recompressed; they stay as they are",
                                  report.left);
        return CAEFS_OK;
}

static void print_found(json_t *found)
{
        json_t *result = json_pack("{s:i, s:o}", "output_version",
                                   DESCRIBE_VERSION, "paths", found);

        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(result);
}

int cmd_recompress(int argc, char **argv)
{
        enum { OPT_BOUND = 256, OPT_ADD_LOSS, OPT_JSON };
        static const struct option options[] = {
                { "bound", required_argument, NULL, OPT_BOUND },
                { "add-loss", no_argument, NULL, OPT_ADD_LOSS },
                { "json", no_argument, NULL, OPT_JSON },
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct recompress command = { .wanted.wait = true };
        bool json = false;
        int c, status;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS,
                                options, NULL)) != -1) {
                if (c == OPT_BOUND) {
                        if (!bound_parse(optarg, &command.wanted.bound))
                                return tool_fail(CAEFS_ERR_ARGUMENT, optarg, NULL);
                        command.wanted.has_bound = true;
                } else if (c == OPT_ADD_LOSS) {
                        command.wanted.add_loss = true;
                } else if (c == OPT_JSON) {
                        json = true;
                } else if (!tool_common_option(c)) {
                        return TOOL_USAGE;
                }
        }
        if (optind == argc)
                return tool_usage_error("recompress", "which path?");
        if (json)
                command.found = json_array();
        status = tool_each_path(argc - optind, argv + optind, true,
                                recompress_path, &command);
        if (json)
                print_found(command.found);
        return status;
}
