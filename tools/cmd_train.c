/*
 * caefs train - learns a model from the files of a directory.
 *
 * With --out the model goes to a file and PATHs are plain files and
 * directories; without, PATHs are on a mount or in a store, and the model is
 * installed for them.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/predict.h"
#include "codec/train_survey.h"
#include "fs/describe.h"
#include "tools/codec_options.h"
#include "tools/control.h"
#include "tools/file.h"
#include "tools/train_record.h"
#include "tools/train_report.h"
#include "tools/train_target.h"

const char help_train[] =
        "Usage: caefs train [OPTION...] PATH...\n"
        "       caefs train [OPTION...] --out FILE.caemodel PATH...\n"
        "\n"
        "Trains a model on the files of a directory, measures on held-back data,\n"
        "or, where files are named, on those of the same suffix beside them,\n"
        "whether it pays, its own bytes counted, and, if so, installs it: files\n"
        "written from now on use it.  PATH is on a mount, or STORE:/path; with\n"
        "--out it is any file or directory.\n"
        "\n"
        "  --out FILE          write the model to FILE and install nothing\n"
        "  --report FILE.html  a page with plots of the training and of a sample\n"
        CODEC_BOUND_HELP
        "                      (default: both as PATH's on its mount)\n"
        "  --family auto|NAME  NAME: keep its model even when that does not pay\n"
        "  --layers N,N,...    units of the encoder's layers, from the block to\n"
        "                      the latents (default: 512,64,8,1; a table with\n"
        "                      scope column: a row, 200,100,50 and an eighth)\n"
        "  --activation best|sigmoid|relu\n"
        "                      of the hidden layers (default: best, tried out)\n"
        "  --proportion auto|P learn from the first part of the data, 0 < P <= 1; auto:\n"
        "                      as its coefficient of variation suggests (default: 1)\n"
        "  --epochs N          at most (default: what the time allows)\n"
        "  --patience N|never  epochs without progress until it stops early\n"
        "  --time-limit SECONDS\n"
        "                      default: 20\n"
        "  --target-ratio R    try no further family once the data reaches the ratio R,\n"
        "                      the model counted\n"
        "  --batch N           blocks in a minibatch\n"
        "  --seed N            the same seed gives the same model (default: 1)\n"
        "  --seeds N           autoencoders to train, each from a seed of its own, of\n"
        "                      which the best is kept (default: 1)\n"
        "  --sparsity W        weight of the latents' magnitudes (L1) in the loss of\n"
        "                      the autoencoder (default: 0)\n"
        "  --from MODEL        start from a model: a file, a hash, or a directory\n"
        "                      that has one\n"
        CODEC_DATA_HELP
        CODEC_THREADS_HELP
        CODEC_JSON_HELP
        TOOL_COMMON_HELP;

enum {
        OPT_OUT = 0x100,
        OPT_REPORT,
        OPT_FAMILY,
        OPT_LAYERS,
        OPT_ACTIVATION,
        OPT_PROPORTION,
        OPT_EPOCHS,
        OPT_PATIENCE,
        OPT_TIME_LIMIT,
        OPT_TARGET_RATIO,
        OPT_BATCH,
        OPT_SEED,
        OPT_SEEDS,
        OPT_SPARSITY,
        OPT_FROM,
};

struct command {
        struct codec_options codec;
        struct train_options train;
        const char *out;  /* NULL: install */
        const char *report; /* NULL: none */
        const char *from; /* NULL: from nothing */
        struct model *warm_start; /* owned; of FROM */
        struct tool_path *path;   /* (npaths) opened; owned */
        size_t npaths;
        struct train_files files;
        struct train_files beside; /* in the same directories */
        struct train_course course;
        json_t *lineage;  /* the models that WARM_START came from, nearest first; owned */
        bool interrupted; /* by a signal */
        bool auto_proportion;
        const char *proportion_why; /* what decided it; NULL: the user */
};

/* ---- options ---- */

static bool wrong_option(const char *option, const char *todo)
{
        tool_error(optarg, todo, "%s does not take this value", option);
        return false;
}

static bool parse_number(double low, double high, double *out)
{
        char *end;

        errno = 0;
        *out = strtod(optarg, &end);
        return end != optarg && *end == '\0' && errno == 0 && *out >= low &&
               *out <= high;
}

static bool set_family(struct train_options *o)
{
        unsigned i;

        if (strcmp(optarg, "auto") == 0)
                return true;
        for (i = 0; i < FAMILY_LIMIT; i++) {
                const struct family_methods *f = family_by_number(i);

                if (f == NULL || !train_knows((int)i) || strcmp(f->name, optarg) != 0)
                        continue;
                o->family = (int)i;
                o->force = true;
                return true;
        }
        return wrong_option("--family", "use auto, cae, field or table");
}

static bool set_layers(struct train_options *o)
{
        const char *at = optarg;
        char *end;

        o->nlayers = 0;
        do {
                unsigned long n = strtoul(at, &end, 10);

                if (end == at || n == 0 || n > UINT16_MAX ||
                    o->nlayers == MODEL_MAX_LAYERS)
                        return wrong_option("--layers", "use 512,64,8,1");
                o->layer[o->nlayers++] = (unsigned)n;
                at = end + 1;
        } while (*end == ',');
        return *end == '\0' || wrong_option("--layers", "use 512,64,8,1");
}

static bool set_activation(struct train_options *o)
{
        static const char *const names[] = { "best", "sigmoid", "relu" };
        size_t i;

        for (i = 0; i < sizeof names / sizeof *names; i++)
                if (strcmp(optarg, names[i]) == 0) {
                        o->activation = (enum train_activation)i;
                        return true;
                }
        return wrong_option("--activation", "use best, sigmoid or relu");
}

static bool set_proportion(struct command *cmd)
{
        struct train_options *o = &cmd->train;

        cmd->auto_proportion = strcmp(optarg, "auto") == 0;
        return cmd->auto_proportion ||
               (parse_number(0, 1, &o->proportion) && o->proportion > 0) ||
               wrong_option("--proportion",
                            "use auto, or a number above 0 and at most 1");
}

/* Options that are a whole number. */
static bool set_count(const char *option, double low, double high, double *out)
{
        return (parse_number(low, high, out) && *out == floor(*out)) ||
               wrong_option(option, "use a whole number");
}

static bool set_patience(struct train_options *o)
{
        double n = UINT32_MAX;

        if (strcmp(optarg, "never") != 0 && !set_count("--patience", 1, 1e9, &n))
                return false;
        o->patience = (uint32_t)n;
        return true;
}

static bool set_seed(struct train_options *o)
{
        char *end;

        errno = 0;
        o->seed = strtoull(optarg, &end, 10);
        return (end != optarg && *end == '\0' && errno == 0 && *optarg != '-') ||
               wrong_option("--seed", "use a whole number");
}

static bool train_option(struct command *cmd, int c)
{
        struct train_options *o = &cmd->train;
        double n = 0;

        switch (c) {
        case OPT_OUT:
                cmd->out = optarg;
                return true;
        case OPT_REPORT:
                cmd->report = optarg;
                return true;
        case OPT_FROM:
                cmd->from = optarg;
                return true;
        case OPT_FAMILY:
                return set_family(o);
        case OPT_LAYERS:
                return set_layers(o);
        case OPT_ACTIVATION:
                return set_activation(o);
        case OPT_PROPORTION:
                return set_proportion(cmd);
        case OPT_SEED:
                return set_seed(o);
        case OPT_TIME_LIMIT:
                return (parse_number(0, 1e9, &o->time_limit) &&
                        o->time_limit > 0) ||
                       wrong_option("--time-limit", "use seconds, above 0");
        case OPT_TARGET_RATIO:
                return (parse_number(0, 1e12, &o->target_ratio) &&
                        o->target_ratio > 0) ||
                       wrong_option("--target-ratio", "use a number above 0");
        case OPT_EPOCHS:
                if (!set_count("--epochs", 1, 1e9, &n))
                        return false;
                o->epochs = (uint32_t)n;
                return true;
        case OPT_PATIENCE:
                return set_patience(o);
        case OPT_BATCH:
                if (!set_count("--batch", 1, 65536, &n))
                        return false;
                o->batch = (size_t)n;
                return true;
        case OPT_SEEDS:
                if (!set_count("--seeds", 1, 1000, &n))
                        return false;
                o->seeds = (unsigned)n;
                return true;
        case OPT_SPARSITY:
                return parse_number(0, 1e6, &o->sparsity) ||
                       wrong_option("--sparsity", "use a number, at least 0");
        default:
                return codec_option(&cmd->codec, c) || tool_common_option(c);
        }
}

/* ---- the data ---- */

static enum caefs_err open_paths(struct command *cmd, int n, char **names)
{
        enum caefs_err err = CAEFS_OK;

        cmd->path = calloc((size_t)n, sizeof *cmd->path);
        if (cmd->path == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory");
        for (int i = 0; i < n && err == CAEFS_OK; i++) {
                err = tool_path_open(names[i], true, &cmd->path[i]);
                if (err == CAEFS_OK)
                        cmd->npaths++;
        }
        if (err == CAEFS_OK)
                train_target_of_path(&cmd->path[0], &cmd->codec);
        return err;
}

/* With --out a path of a store is read as well, and any other is plain. */
static enum caefs_err add_for_file(struct command *cmd, const char *name)
{
        char *store = NULL, *path = NULL;
        enum caefs_err err;

        if (!tool_path_split_store(name, &store, &path) ||
            strstr(name, ":/") == NULL)
                err = train_files_add_plain(&cmd->files, name);
        else
                err = caefs_fail(CAEFS_ERR_ARGUMENT,
                                 "with --out give files or directories, or "
                                 "leave --out away");
        free(store);
        free(path);
        return err;
}

static enum caefs_err add_files(struct command *cmd, int n, char **names,
                                const char **where)
{
        enum caefs_err err = CAEFS_OK;

        cmd->files.hint = cmd->codec.hint;
        for (int i = 0; i < n && err == CAEFS_OK; i++) {
                *where = names[i];
                err = cmd->out != NULL
                              ? add_for_file(cmd, names[i])
                              : train_files_add(&cmd->files, &cmd->path[i]);
        }
        /* Files that were named stand for what lies beside them. */
        if (err == CAEFS_OK && cmd->files.nfiles == (size_t)n)
                err = train_files_add_beside(&cmd->beside, &cmd->files);
        return err;
}

/* ---- the model to start from ---- */

/* Takes a copy: a store keeps its own. */
static enum caefs_err copy_model(const struct model *m, struct model **out)
{
        size_t size;
        const void *blob = model_blob(m, &size);

        return model_parse(blob, size, out);
}

static enum caefs_err model_of_path(const struct tool_path *p, uint64_t hash,
                                    struct model **out)
{
        const struct model *m;
        enum caefs_err err;

        if (p->kind == TOOL_PATH_MOUNT)
                return control_model_get(p->root, hash, out);
        err = store_model_find(p->store, hash, &m);
        return err == CAEFS_OK ? copy_model(m, out) : err;
}

static enum caefs_err model_of_directory(const char *name, struct model **out)
{
        struct tool_property v;
        struct tool_path p;
        uint64_t hash;
        enum caefs_err err = tool_path_open(name, false, &p);

        if (err != CAEFS_OK)
                return err;
        if (train_target_property(&p, "model", &v) && model_hash_parse(v.value, &hash))
                err = model_of_path(&p, hash, out);
        else
                err = caefs_fail(CAEFS_ERR_MODEL, "it has no model");
        tool_path_close(&p);
        return err;
}

/* The models that the warm start came from, as far as the store of P knows: P may be
 * NULL. */
static void find_lineage(struct command *cmd, const struct tool_path *p)
{
        char hash[17];
        json_t *shown = NULL, *older;

        cmd->lineage = json_array();
        model_hash_format(model_hash(cmd->warm_start), hash);
        json_array_append_new(cmd->lineage, json_string(hash));
        if (p == NULL)
                return;
        if (p->kind == TOOL_PATH_MOUNT)
                control_model_show(p->root, model_hash(cmd->warm_start), &shown);
        else
                describe_stored_model(p->store, model_hash(cmd->warm_start), &shown);
        older = json_object_get(json_object_get(shown, "record"), "lineage");
        if (json_is_array(older))
                json_array_extend(cmd->lineage, older);
        json_decref(shown);
        caefs_detail_clear();
}

static enum caefs_err load_warm_start(struct command *cmd)
{
        uint64_t hash;
        struct stat st;
        enum caefs_err err;

        if (model_hash_parse(cmd->from, &hash) && cmd->npaths > 0)
                err = model_of_path(&cmd->path[0], hash, &cmd->warm_start);
        else if (stat(cmd->from, &st) == 0 && S_ISREG(st.st_mode))
                err = codec_load_model(cmd->from, &cmd->warm_start);
        else
                err = model_of_directory(cmd->from, &cmd->warm_start);
        cmd->train.warm_start = cmd->warm_start;
        if (err == CAEFS_OK)
                find_lineage(cmd, cmd->npaths > 0 ? &cmd->path[0] : NULL);
        return err;
}

/* ---- training ---- */

/* Follows the guidance of codec/train_survey.h. */
static enum caefs_err choose_proportion(struct command *cmd)
{
        struct train_survey survey;
        const enum caefs_err err = train_survey(cmd->files.input,
                                                cmd->files.ninputs, &cmd->train,
                                                &survey);

        if (err == CAEFS_ERR_ARGUMENT)
                return CAEFS_OK; /* no arrays: the training says so */
        if (err != CAEFS_OK)
                return err;
        cmd->train.proportion = survey.proportion;
        cmd->proportion_why = survey.proportion_why;
        return CAEFS_OK;
}

static enum caefs_err run(struct command *cmd, struct train_result *result)
{
        enum caefs_err err = CAEFS_OK;

        cmd->train.bound = cmd->codec.bound;
        cmd->train.scope = cmd->codec.scope;
        cmd->train.threads = cmd->codec.threads;
        if (cmd->auto_proportion)
                err = choose_proportion(cmd);
        if (err != CAEFS_OK)
                return err;
        cmd->train.beside = cmd->beside.input;
        cmd->train.nbeside = cmd->beside.ninputs;
        train_watch_begin(&cmd->course);
        err = train_model(cmd->files.input, cmd->files.ninputs, &cmd->train,
                          train_watch_epoch, &cmd->course, result);
        cmd->interrupted = train_watch_end(&cmd->course);
        return err;
}

/* ---- what comes of it ---- */

static enum caefs_err write_model(const char *path, const struct model *m)
{
        struct file_output out = { .fd = -1 };
        size_t size;
        const void *blob = model_blob(m, &size);
        enum caefs_err err = file_output_open(path, &out);

        if (err == CAEFS_OK)
                err = file_output_write(&out, blob, size, 0);
        if (err == CAEFS_OK)
                err = file_output_commit(&out);
        file_output_close(&out);
        return err;
}

static enum caefs_err install_for(const struct tool_path *p,
                                  const struct model *m, const char *record)
{
        char hash[17];
        enum caefs_err err =
                p->kind == TOOL_PATH_MOUNT
                        ? control_model_add(p->root, m, record)
                        : store_model_add(p->store, m, record);

        model_hash_format(model_hash(m), hash);
        return err == CAEFS_OK ? tool_property_set(p, "model", hash) : err;
}

static enum caefs_err install(const struct command *cmd,
                              const struct train_result *r, json_t *record)
{
        char *text;
        enum caefs_err err = CAEFS_OK;

        if (cmd->out != NULL)
                return write_model(cmd->out, r->model);
        text = json_dumps(record, JSON_COMPACT);
        if (text == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory");
        for (size_t i = 0; i < cmd->npaths && err == CAEFS_OK; i++)
                err = install_for(&cmd->path[i], r->model, text);
        free(text);
        return err;
}

static void print_text(const struct command *cmd, const struct train_result *r)
{
        char hash[17], time[TOOL_SIZE_MAX], bytes[TOOL_SIZE_MAX];
        size_t size;

        if (tool_verbosity < 0)
                return;
        if (cmd->proportion_why != NULL)
                printf("learnt from %.3g %% of the data: %s\n",
                       100 * cmd->train.proportion, cmd->proportion_why);
        if (r->model == NULL) {
                printf("no model pays here: %s\n", r->why);
                return;
        }
        model_hash_format(model_hash(r->model), hash);
        model_blob(r->model, &size);
        printf("model %s, %s, in %s: %s\n", hash,
               tool_format_bytes(bytes, size),
               tool_format_seconds(time, r->seconds), r->why);
        if (cmd->out != NULL)
                printf("written to %s\n", cmd->out);
        for (size_t i = 0; i < cmd->npaths; i++)
                printf("installed for %s\n", cmd->path[i].text);
}

static int finish(const struct command *cmd, const struct train_result *r)
{
        const struct train_record parts = {
                .options = &cmd->train,
                .result = r,
                .course = &cmd->course,
                .files = &cmd->files,
                .lineage = cmd->lineage,
                .interrupted = cmd->interrupted,
                .proportion_why = cmd->proportion_why,
        };
        json_t *record = NULL;
        enum caefs_err err = train_record_make(&parts, &record);

        if (err != CAEFS_OK)
                return tool_fail(err, NULL, NULL);
        if (r->model != NULL)
                err = install(cmd, r, record);
        if (err != CAEFS_OK) {
                json_decref(record);
                return tool_fail(err, cmd->out, NULL);
        }
        if (cmd->report != NULL)
                err = train_report_write(cmd->report, &parts, record);
        if (err != CAEFS_OK) {
                json_decref(record);
                return tool_fail(err, cmd->report, NULL);
        }
        if (cmd->codec.json) {
                json_dumpf(record, stdout, JSON_INDENT(2));
                putchar('\n');
        } else {
                print_text(cmd, r);
        }
        json_decref(record);
        return TOOL_OK;
}

static int train(struct command *cmd, int n, char **names)
{
        const char *where = names[0];
        struct train_result result = { 0 };
        enum caefs_err err = CAEFS_OK;
        int status;

        if (cmd->out == NULL)
                err = open_paths(cmd, n, names);
        else
                train_target_of_mount(names[0], &cmd->codec);
        if (err == CAEFS_OK && cmd->from != NULL) {
                where = cmd->from;
                err = load_warm_start(cmd);
        }
        if (err == CAEFS_OK)
                err = add_files(cmd, n, names, &where);
        if (err == CAEFS_OK)
                err = run(cmd, &result);
        if (err != CAEFS_OK)
                return tool_fail(err, where, NULL);
        status = finish(cmd, &result);
        model_free(result.model);
        return status;
}

static void command_free(struct command *cmd)
{
        train_files_free(&cmd->files);
        train_files_free(&cmd->beside);
        while (cmd->npaths > 0)
                tool_path_close(&cmd->path[--cmd->npaths]);
        free(cmd->path);
        model_free(cmd->warm_start);
        train_course_free(&cmd->course);
        json_decref(cmd->lineage);
        codec_options_free(&cmd->codec);
}

int cmd_train(int argc, char **argv)
{
        static const struct option options[] = {
                { "out", required_argument, NULL, OPT_OUT },
                { "report", required_argument, NULL, OPT_REPORT },
                { "family", required_argument, NULL, OPT_FAMILY },
                { "layers", required_argument, NULL, OPT_LAYERS },
                { "activation", required_argument, NULL, OPT_ACTIVATION },
                { "proportion", required_argument, NULL, OPT_PROPORTION },
                { "epochs", required_argument, NULL, OPT_EPOCHS },
                { "patience", required_argument, NULL, OPT_PATIENCE },
                { "time-limit", required_argument, NULL, OPT_TIME_LIMIT },
                { "target-ratio", required_argument, NULL, OPT_TARGET_RATIO },
                { "batch", required_argument, NULL, OPT_BATCH },
                { "seed", required_argument, NULL, OPT_SEED },
                { "seeds", required_argument, NULL, OPT_SEEDS },
                { "sparsity", required_argument, NULL, OPT_SPARSITY },
                { "from", required_argument, NULL, OPT_FROM },
                CODEC_BOUND_OPTIONS, CODEC_DATA_OPTIONS,
                CODEC_THREADS_OPTION, CODEC_JSON_OPTION,
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct command cmd = {
                .codec = CODEC_OPTIONS_DEFAULT,
                .train = { .seed = 1, .proportion = 1 },
        };
        int c, status = TOOL_OK;

        while (status == TOOL_OK &&
               (c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS, options,
                                NULL)) != -1)
                if (!train_option(&cmd, c))
                        status = TOOL_USAGE;
        if (status == TOOL_OK && optind == argc)
                status = tool_usage_error("train", "which path?");
        if (status == TOOL_OK)
                status = train(&cmd, argc - optind, argv + optind);
        command_free(&cmd);
        return status;
}
