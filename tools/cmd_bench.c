/*
 * caefs bench - ratio, speed and error of efforts and other codecs on the
 * user's own files.
 */
#include <fts.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/bench_codec.h"
#include "tools/bench_print.h"
#include "tools/codec_options.h"
#include "tools/file.h"
#include "tools/tool.h"

const char help_bench[] =
        "Usage: caefs bench [OPTION...] FILE|DIRECTORY...\n"
        "\n"
        "Encodes and decodes files in memory, at each bound and effort, beside zstd\n"
        "and ZFP, and compares every value.  Nothing is written.\n"
        "\n"
        "  --bound B           lossless, abs:E, rel:E, pwrel:E or psnr:DB; again for\n"
        "                      more (default: lossless, rel:1e-2, rel:1e-3, rel:1e-4)\n"
        "  --scope array|column|channel\n"
        "                      what has a range of its own under rel and\n"
        "                      psnr (default: array)\n"
        CODEC_DATA_HELP
        "  --effort fast|balanced|max\n"
        "                      again for more (default: all three)\n"
        "  --codec auto|NAME   only this family, and exact storage\n"
        "  --chunk SIZE        bytes of data in a chunk, such as 512K or 8M\n"
        CODEC_MODEL_HELP
        "  --threads N         at once (default: 1)\n"
        "  --rounds N          of which the best counts, 1 to 100 (default: 3)\n"
        "  --limit SIZE        of larger files only so much (default: 64M)\n"
        "  --no-peers          only caefs\n"
        CODEC_JSON_HELP
        TOOL_COMMON_HELP;

enum { OPT_ROUNDS = 0x100, OPT_LIMIT, OPT_NO_PEERS };

#define BOUNDS_MAX 32
#define LIMIT_MAX ((uint64_t)1 << 30)
#define EFFORTS 3
#define CODECS_MAX (EFFORTS + 3)

struct bench {
        struct codec_options o;
        struct bound bound[BOUNDS_MAX];
        size_t nbounds;
        bool effort[EFFORTS];
        bool any_effort;
        unsigned rounds;
        uint64_t limit;
        bool peers;
        json_t *files;        /* with --json, else NULL */
        unsigned ndone, nfailed;
        bool broken;          /* a bound of ours */
        int status;           /* of the last failure */
};

/* ---- one file ---- */

/* Fills R with the codecs that take part in task T; their number. */
static size_t line_up(const struct bench *b, const struct bench_task *t,
                      struct bench_result r[CODECS_MAX])
{
        const struct bench_codec all[] = {
                { &bench_zstd, 3, { 0 } },
                { &bench_zstd, 19, { 0 } },
#ifdef HAVE_ZFP
                { &bench_zfp, 0, { 0 } },
#endif
        };
        size_t n = 0, i;

        memset(r, 0, CODECS_MAX * sizeof *r);
        for (i = 0; i < EFFORTS; i++)
                if (b->effort[i])
                        r[n++].codec = (struct bench_codec){ &bench_caefs, (int)i, { 0 } };
        for (i = 0; b->peers && i < sizeof all / sizeof all[0]; i++)
                if (all[i].methods->applies(t))
                        r[n++].codec = all[i];
        return n;
}

/* ZFP knows no ranges of columns and no shares of values. */
static enum caefs_err find_amount(struct bench_task *t)
{
        const struct region *r = bench_sample_array(t->sample);
        enum bound_mode mode = t->bound.mode;

        t->amount = -1;
        if (r == NULL || mode == BOUND_PSNR || (mode == BOUND_REL && t->scope != SCOPE_ARRAY))
                return CAEFS_OK;
        return judge_amount(r, &t->bound, t->sample->data.data + r->offset, &t->amount);
}

/* A bound of caefs that does not hold is a failure; of others, a finding. */
static void note_broken(struct bench *b, const char *path, const struct bench_task *t,
                        const struct bench_result *r, size_t n)
{
        char bound[32];
        size_t i;

        bound_format(&t->bound, bound);
        for (i = 0; i < n; i++) {
                const struct verdict *v = &r[i].verdict;

                if (v->broken == 0 || r[i].codec.methods != &bench_caefs)
                        continue;
                b->broken = true;
                tool_error(path, NULL, "effort %s broke %s for %llu of %llu values",
                           effort_name((enum effort)r[i].codec.setting), bound,
                           (unsigned long long)v->broken, (unsigned long long)v->values);
        }
}

static enum caefs_err bench_bound(struct bench *b, const char *path, struct bench_task *t,
                                  json_t *results)
{
        struct bench_result r[CODECS_MAX];
        size_t n;
        enum caefs_err err = find_amount(t);

        if (err != CAEFS_OK)
                return err;
        n = line_up(b, t, r);
        err = bench_compete(t, r, n, b->rounds);
        if (err == CAEFS_OK) {
                note_broken(b, path, t, r, n);
                if (results != NULL)
                        bench_json_results(results, t, r, n);
                else
                        bench_print_results(t, r, n);
        }
        bench_results_free(r, n);
        return err;
}

static enum caefs_err bench_sample_at_all_bounds(struct bench *b, const char *path,
                                                 const struct bench_sample *s)
{
        const struct object_options options = {
                .family = b->o.family,
                .chunk = b->o.chunk,
                .model = b->o.model,
                .threads = b->o.threads,
        };
        json_t *file = b->files != NULL ? bench_json_sample(path, s) : NULL;
        enum caefs_err err = CAEFS_OK;
        struct tool_progress bar = { 0 };
        size_t i;

        /* A table shows by itself how far it is. */
        if (file == NULL)
                bench_print_sample(path, s);
        else
                tool_progress_begin(&bar, "measuring", TOOL_PROGRESS_ITEMS, b->nbounds);
        for (i = 0; i < b->nbounds && err == CAEFS_OK; i++) {
                struct bench_task t = {
                        .sample = s,
                        .bound = b->bound[i],
                        .scope = b->o.scope,
                        .options = &options,
                };

                if (file != NULL)
                        tool_progress_update(&bar, i);
                err = bench_bound(b, path, &t, json_object_get(file, "results"));
        }
        tool_progress_end(&bar);
        if (file != NULL)
                json_array_append_new(b->files, file);
        return err;
}

static void bench_file(struct bench *b, const char *path, bool named)
{
        const char *slash = strrchr(path, '/');
        struct layout_hint hint = b->o.hint;
        struct bench_sample s;
        enum caefs_err err;

        if (hint.dtype == DTYPE_BYTES)
                hint.name = slash != NULL ? slash + 1 : path;
        err = bench_sample_load(path, b->limit, &hint, &s);
        if (err == CAEFS_OK && s.data.size == 0)
                err = caefs_fail(CAEFS_ERR_ARGUMENT, "it is empty");
        /* Of a directory only what has values is of interest. */
        if (err == CAEFS_OK && !named && bench_sample_array(&s) == NULL) {
                tool_verbose("%s: no floating-point values", path);
                bench_sample_free(&s);
                return;
        }
        if (err == CAEFS_OK)
                err = bench_sample_at_all_bounds(b, path, &s);
        bench_sample_free(&s);
        if (err == CAEFS_OK) {
                b->ndone++;
        } else {
                b->nfailed++;
                b->status = tool_fail(err, path, NULL);
        }
}

/* ---- all of them ---- */

static int by_name(const FTSENT **a, const FTSENT **b)
{
        return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void bench_path(struct bench *b, char *path)
{
        char *paths[] = { path, NULL };
        FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
        FTSENT *e;

        while (tree != NULL && (e = fts_read(tree)) != NULL) {
                switch (e->fts_info) {
                case FTS_F:
                        bench_file(b, e->fts_path, e->fts_level == 0);
                        break;
                case FTS_DNR:
                case FTS_ERR:
                case FTS_NS:
                        tool_error(e->fts_path, NULL, "cannot read: %s", strerror(e->fts_errno));
                        b->nfailed++;
                        b->status = TOOL_SYSTEM;
                        break;
                default:
                        if (e->fts_info != FTS_D && e->fts_info != FTS_DP && e->fts_level == 0) {
                                tool_error(e->fts_path, NULL, "not a regular file");
                                b->nfailed++;
                                b->status = TOOL_DATA;
                        }
                }
        }
        if (tree != NULL)
                fts_close(tree);
}

static void print_json(const struct bench *b)
{
        json_t *result = json_pack("{s:i, s:i, s:s, s:i, s:O}", "output_version", 1, "threads",
                                   (int)b->o.threads, "clock",
                                   b->o.threads > 1 ? "wall" : "thread cpu", "rounds",
                                   (int)b->rounds, "files", b->files);

        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(result);
}

static int finish(struct bench *b)
{
        if (b->ndone == 0 && b->nfailed == 0) {
                tool_error(NULL, "name a file, with --dtype if it does not say what it holds",
                           "there are no floating-point values");
                return TOOL_DATA;
        }
        if (b->files != NULL)
                print_json(b);
        else if (b->ndone > 0 && tool_verbosity >= 0)
                printf("%s, best of %u rounds.\n",
                       b->o.threads > 1 ? "Wall-clock time" : "CPU time of one thread",
                       b->rounds);
        if (b->broken)
                return TOOL_DATA;
        return b->nfailed == 0 ? TOOL_OK : b->ndone == 0 ? b->status : TOOL_PARTIAL;
}

/* ---- options ---- */

static void set_defaults(struct bench *b)
{
        static const struct bound usual[] = {
                { BOUND_LOSSLESS, 0 },
                { BOUND_REL, 1e-2 },
                { BOUND_REL, 1e-3 },
                { BOUND_REL, 1e-4 },
        };
        size_t i;

        if (b->nbounds == 0)
                for (i = 0; i < sizeof usual / sizeof usual[0]; i++)
                        b->bound[b->nbounds++] = usual[i];
        for (i = 0; i < EFFORTS; i++)
                b->effort[i] |= !b->any_effort;
}

static bool set_rounds(struct bench *b)
{
        char *end;
        unsigned long n = strtoul(optarg, &end, 10);

        if (*end != '\0' || n < 1 || n > BENCH_ROUNDS_MAX) {
                tool_error(optarg, "use 1 to 100", "--rounds does not know this value");
                return false;
        }
        b->rounds = (unsigned)n;
        return true;
}

static bool set_limit(struct bench *b)
{
        if (codec_parse_size(optarg, &b->limit) && b->limit >= 4096 &&
            b->limit <= LIMIT_MAX)
                return true;
        tool_error(optarg, "use 4K to 1G",
                   "--limit does not know this value");
        return false;
}

/* Takes option c; false when it is wrong, and said so. */
static bool take_option(struct bench *b, int c)
{
        switch (c) {
        case OPT_ROUNDS:
                return set_rounds(b);
        case OPT_LIMIT:
                return set_limit(b);
        case OPT_NO_PEERS:
                b->peers = false;
                return true;
        }
        if (!codec_option(&b->o, c) && !tool_common_option(c))
                return false;
        if (c == CODEC_OPT_BOUND && b->nbounds == BOUNDS_MAX) {
                tool_error(optarg, NULL, "more than %d bounds", BOUNDS_MAX);
                return false;
        }
        if (c == CODEC_OPT_BOUND)
                b->bound[b->nbounds++] = b->o.bound;
        if (c == CODEC_OPT_EFFORT)
                b->effort[b->o.effort] = b->any_effort = true;
        return true;
}

int cmd_bench(int argc, char **argv)
{
        static const struct option options[] = {
                CODEC_BOUND_OPTIONS, CODEC_DATA_OPTIONS, CODEC_EFFORT_OPTIONS,
                CODEC_MODEL_OPTION, CODEC_THREADS_OPTION, CODEC_JSON_OPTION,
                { "rounds", required_argument, NULL, OPT_ROUNDS },
                { "limit", required_argument, NULL, OPT_LIMIT },
                { "no-peers", no_argument, NULL, OPT_NO_PEERS },
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct bench b = {
                .o = CODEC_OPTIONS_DEFAULT,
                .rounds = 3,
                .limit = (uint64_t)64 << 20,
                .peers = true,
        };
        int c, status;

        b.o.threads = 1;
        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS, options,
                                NULL)) != -1)
                if (!take_option(&b, c)) {
                        codec_options_free(&b.o);
                        return b.o.refused;
                }
        if (optind == argc) {
                codec_options_free(&b.o);
                return tool_usage_error("bench", "which file?");
        }
        set_defaults(&b);
        b.files = b.o.json ? json_array() : NULL;
        for (; optind < argc; optind++)
                bench_path(&b, argv[optind]);
        status = finish(&b);
        json_decref(b.files);
        codec_options_free(&b.o);
        return status;
}
