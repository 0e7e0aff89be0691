/*
 * caefs model - the models of a store.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/model.h"
#include "fs/describe.h"
#include "tools/control.h"
#include "tools/model_print.h"
#include "tools/path.h"

const char help_model[] =
        "Usage: caefs model [OPTION...] list STORE|MOUNT\n"
        "       caefs model [OPTION...] show STORE|MOUNT|FILE.caemodel [HASH]\n"
        "       caefs model [OPTION...] export STORE|MOUNT HASH FILE.caemodel\n"
        "       caefs model [OPTION...] import STORE|MOUNT FILE.caemodel\n"
        "       caefs model [OPTION...] rm STORE|MOUNT HASH...\n"
        "\n"
        "Models are named by the hash of their bytes.  import prints it; new\n"
        "files use a model where its hash is the property 'model'.  A model\n"
        "that a stored file or a property needs is not removed.\n"
        "\n"
        "  --json              one JSON object (list, show)\n"
        TOOL_COMMON_HELP;

/* Paths that a refusal to remove a model names. */
#define USERS_SHOWN 4

/* Where the models are: a mount, or a store that is opened here. */
struct model_place {
        char *root;          /* the mount point; or NULL */
        struct store *store; /* or NULL */
};

struct model_run {
        bool json;
        int argc;    /* of what follows the verb */
        char **argv;
};

static enum caefs_err place_open(const char *text, bool write,
                                 struct model_place *place)
{
        char *store, *inner;

        *place = (struct model_place){ 0 };
        place->root = tool_path_mount_root(text);
        if (place->root != NULL)
                return CAEFS_OK;
        if (!tool_path_split_store(text, &store, &inner))
                return caefs_fail(CAEFS_ERR_ARGUMENT,
                                  "this is neither a store nor on a mount of "
                                  "caefs");
        free(inner);
        const enum caefs_err err = tool_store_open(store, write,
                                                   &place->store);
        free(store);
        return err;
}

static enum caefs_err place_close(struct model_place *place)
{
        const enum caefs_err err = place->store != NULL ?
                                           store_close(place->store) :
                                           CAEFS_OK;

        free(place->root);
        *place = (struct model_place){ 0 };
        return err;
}

/* ---- list ---- */

static enum caefs_err list_models(const struct model_place *place, json_t **out)
{
        return place->root != NULL ? control_models(place->root, out) :
                                     describe_models(place->store, out);
}

static json_int_t integer(const json_t *object, const char *key)
{
        return json_integer_value(json_object_get(object, key));
}

static void print_models(const json_t *models)
{
        const json_t *m;
        size_t i;

        printf("%-16s %11s %9s  %s\n", "HASH", "SIZE", "FILES", "CREATED");
        json_array_foreach(models, i, m) {
                const time_t created = (time_t)integer(m, "created");
                char size[TOOL_SIZE_MAX], when[32] = "";
                struct tm tm;

                if (localtime_r(&created, &tm) != NULL)
                        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
                printf("%-16s %11s %9lld  %s\n",
                       json_string_value(json_object_get(m, "hash")),
                       tool_format_bytes(size, (uint64_t)integer(m, "bytes")),
                       (long long)integer(m, "objects"), when);
        }
}

static void print_json(json_t *value, const char *key)
{
        json_t *result = json_pack("{s:i, s:o}", "output_version",
                                   DESCRIBE_VERSION, key, value);

        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(result);
}

static enum caefs_err run_list(const struct model_run *run,
                               struct model_place *place)
{
        json_t *models;
        const enum caefs_err err = list_models(place, &models);

        if (err != CAEFS_OK)
                return err;
        if (run->json) {
                print_json(models, "models");
        } else {
                print_models(models);
                json_decref(models);
        }
        return CAEFS_OK;
}

/* ---- show ---- */

/* Takes D over. */
static void show_model(const struct model_run *run, json_t *d)
{
        if (run->json) {
                print_json(d, "model");
                return;
        }
        model_print(d);
        json_decref(d);
}

static json_t *describe_file_model(const struct model *m)
{
        json_t *d = describe_model(m);
        char hash[17];
        size_t size;

        model_blob(m, &size);
        model_hash_format(model_hash(m), hash);
        json_object_set_new(d, "hash", json_string(hash));
        json_object_set_new(d, "bytes", json_integer((json_int_t)size));
        return d;
}

static enum caefs_err parse_hash(const char *text, uint64_t *hash)
{
        if (model_hash_parse(text, hash))
                return CAEFS_OK;
        return caefs_fail(CAEFS_ERR_ARGUMENT,
                          "'%s' is no hash of a model: 16 hexadecimal digits",
                          text);
}

/* MINE is to be freed, unlike a model that the store keeps. */
static enum caefs_err get_model(const struct model_place *place,
                                const char *text, const struct model **out,
                                struct model **mine)
{
        uint64_t hash;
        enum caefs_err err = parse_hash(text, &hash);

        *mine = NULL;
        if (err != CAEFS_OK)
                return err;
        if (place->root == NULL) {
                err = store_model_find(place->store, hash, out);
        } else {
                err = control_model_get(place->root, hash, mine);
                *out = *mine;
        }
        if (err == CAEFS_ERR_NO_ENTRY)
                return caefs_fail(err, "there is no model %s", text);
        return err;
}

static enum caefs_err describe_there(const struct model_place *place,
                                     const char *text, json_t **out)
{
        uint64_t hash;
        enum caefs_err err = parse_hash(text, &hash);

        if (err == CAEFS_OK)
                err = place->root != NULL ?
                              control_model_show(place->root, hash, out) :
                              describe_stored_model(place->store, hash, out);
        if (err == CAEFS_ERR_NO_ENTRY)
                return caefs_fail(err, "there is no model %s", text);
        return err;
}

static enum caefs_err run_show(const struct model_run *run,
                               struct model_place *place)
{
        json_t *d;
        const enum caefs_err err = describe_there(place, run->argv[1], &d);

        if (err == CAEFS_OK)
                show_model(run, d);
        return err;
}

/* ---- files ---- */

static enum caefs_err read_model(const char *path, struct model **out)
{
        struct bytes blob = { 0 };
        uint8_t *at;
        FILE *f = fopen(path, "re");
        enum caefs_err err = CAEFS_OK;

        if (f == NULL)
                return caefs_fail_errno("cannot open %s", path);
        while (err == CAEFS_OK && !feof(f)) {
                at = bytes_reserve(&blob, (size_t)1 << 16);
                if (at == NULL)
                        err = CAEFS_ERR_NOMEM;
                else
                        blob.size += fread(at, 1, (size_t)1 << 16, f);
                if (ferror(f))
                        err = caefs_fail_errno("cannot read %s", path);
                else if (blob.size > MODEL_MAX_BYTES)
                        err = caefs_fail(CAEFS_ERR_LIMIT,
                                         "%s is larger than any model", path);
        }
        fclose(f);
        if (err == CAEFS_OK)
                err = model_parse(blob.data, blob.size, out);
        bytes_free(&blob);
        return err;
}

static enum caefs_err write_model(const char *path, const struct model *m)
{
        size_t size;
        const void *blob = model_blob(m, &size);
        FILE *f = fopen(path, "wxe");
        bool good;

        if (f == NULL)
                return caefs_fail_errno("cannot make %s", path);
        good = fwrite(blob, 1, size, f) == size;
        if (fclose(f) != 0 || !good)
                return caefs_fail_errno("cannot write %s", path);
        return CAEFS_OK;
}

static enum caefs_err run_export(const struct model_run *run,
                                 struct model_place *place)
{
        const struct model *m;
        struct model *mine;
        enum caefs_err err = get_model(place, run->argv[1], &m, &mine);

        if (err != CAEFS_OK)
                return err;
        err = write_model(run->argv[2], m);
        model_free(mine);
        return err;
}

/* Whoever trained it knows how; the file does not say. */
static enum caefs_err add_to_store(struct store *store, const struct model *m)
{
        const enum caefs_err err = store_model_add(store, m, NULL);

        return err == CAEFS_OK ? store_commit(store) : err;
}

static enum caefs_err run_import(const struct model_run *run,
                                 struct model_place *place)
{
        struct model *m;
        char hash[17];
        enum caefs_err err = read_model(run->argv[1], &m);

        if (err != CAEFS_OK)
                return err;
        err = place->root != NULL ? control_model_add(place->root, m, NULL) :
                                    add_to_store(place->store, m);
        model_hash_format(model_hash(m), hash);
        model_free(m);
        if (err == CAEFS_OK)
                puts(hash);
        return err;
}

/* Appends "WHAT PATH, PATH, ..." of those whose paths are under KEY. */
static void list_users(const json_t *model, const char *key, const char *what,
                       struct bytes *text)
{
        const json_t *paths = json_object_get(model, key), *path;
        size_t i;

        if (json_array_size(paths) == 0)
                return;
        if (text->size > 0)
                bytes_put(text, "; ", 2);
        bytes_put(text, what, strlen(what));
        json_array_foreach(paths, i, path) {
                const char *name = json_string_value(path);

                if (i == USERS_SHOWN) {
                        bytes_put(text, " and more", 9);
                        break;
                }
                bytes_put(text, i > 0 ? ", " : " ", i > 0 ? 2 : 1);
                if (*name == '\0')
                        name = "one that is deleted and still open";
                bytes_put(text, name, strlen(name));
        }
}

/* Why TEXT cannot be removed: who needs it. */
static enum caefs_err refuse(const struct model_place *place, const char *hash)
{
        struct bytes users = { 0 };
        json_t *model;
        enum caefs_err err = describe_there(place, hash, &model);

        if (err != CAEFS_OK)
                return err;
        list_users(model, "directories", "it is the property model of", &users);
        list_users(model, "files", "these cannot be read without it (caefs "
                                   "recompress moves them):", &users);
        json_decref(model);
        bytes_put_u8(&users, '\0');
        err = caefs_fail(CAEFS_ERR_BUSY, "the model %s stays: %s", hash,
                         users.failed || users.size < 2 ? "it is needed"
                                                        : (char *)users.data);
        bytes_free(&users);
        return err;
}

static enum caefs_err remove_one(const struct model_place *place,
                                 const char *text)
{
        uint64_t hash;
        enum caefs_err err = parse_hash(text, &hash);

        if (err != CAEFS_OK)
                return err;
        err = place->root != NULL ? control_model_remove(place->root, hash) :
                                    store_model_remove(place->store, hash);
        if (err == CAEFS_ERR_NO_ENTRY)
                return caefs_fail(err, "there is no model %s", text);
        return err == CAEFS_ERR_BUSY ? refuse(place, text) : err;
}

static enum caefs_err run_rm(const struct model_run *run,
                             struct model_place *place)
{
        enum caefs_err err = CAEFS_OK;
        int i;

        for (i = 1; i < run->argc && err == CAEFS_OK; i++)
                err = remove_one(place, run->argv[i]);
        return err;
}

/* ---- caefs model ---- */

struct verb {
        const char *name;
        enum caefs_err (*run)(const struct model_run *run,
                              struct model_place *place);
        int min, max; /* arguments after the verb */
        bool write;
};

static const struct verb verbs[] = {
        { "list", run_list, 1, 1, false },
        { "show", run_show, 1, 2, false },
        { "export", run_export, 3, 3, false },
        { "import", run_import, 2, 2, true },
        { "rm", run_rm, 2, INT16_MAX, true },
};

static int run_verb(const struct verb *verb, struct model_run *run)
{
        struct model_place place;
        struct model *m;
        enum caefs_err err, closed;

        if (verb->run == run_show && run->argc == 1) {
                err = read_model(run->argv[0], &m);
                if (err != CAEFS_OK)
                        return tool_fail(err, run->argv[0], NULL);
                show_model(run, describe_file_model(m));
                model_free(m);
                return TOOL_OK;
        }
        err = place_open(run->argv[0], verb->write, &place);
        if (err == CAEFS_OK) {
                err = verb->run(run, &place);
                closed = place_close(&place);
                err = err != CAEFS_OK ? err : closed;
        }
        return err == CAEFS_OK ? TOOL_OK : tool_fail(err, run->argv[0], NULL);
}

int cmd_model(int argc, char **argv)
{
        enum { OPT_JSON = 256 };
        static const struct option options[] = {
                { "json", no_argument, NULL, OPT_JSON },
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct model_run run = { 0 };
        size_t i;
        int c;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS,
                                options, NULL)) != -1)
                if (c == OPT_JSON)
                        run.json = true;
                else if (!tool_common_option(c))
                        return TOOL_USAGE;
        if (optind == argc)
                return tool_usage_error("model", "list, show, export, import "
                                                 "or rm?");
        run.argc = argc - optind - 1;
        run.argv = argv + optind + 1;
        for (i = 0; i < sizeof verbs / sizeof *verbs; i++) {
                if (strcmp(verbs[i].name, argv[optind]) != 0)
                        continue;
                if (run.argc < verbs[i].min || run.argc > verbs[i].max)
                        return tool_usage_error("model", "%s takes other "
                                                "arguments", verbs[i].name);
                return run_verb(&verbs[i], &run);
        }
        return tool_usage_error("model", "there is no '%s'", argv[optind]);
}
