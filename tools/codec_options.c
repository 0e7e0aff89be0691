#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/codec_options.h"
#include "tools/file.h"
#include "tools/tool.h"

#define THREADS_MAX 1024

unsigned codec_default_threads(void)
{
        long n = sysconf(_SC_NPROCESSORS_ONLN);

        return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : (unsigned)n;
}

/* A decimal number at *at, which moves past it. */
static bool parse_number(const char **at, uint64_t *out)
{
        char *end;

        if (**at < '0' || **at > '9')
                return false;
        errno = 0;
        *out = strtoull(*at, &end, 10);
        *at = end;
        return errno == 0;
}

bool codec_parse_size(const char *text, uint64_t *bytes)
{
        static const char units[] = "KMGT";
        const char *unit;
        unsigned shift = 0;

        if (!parse_number(&text, bytes))
                return false;
        if (*text != '\0' && (unit = strchr(units, *text)) != NULL) {
                shift = 10 * (unsigned)(unit - units + 1);
                text++;
                if (*text == 'i')
                        text++;
                if (*text == 'B')
                        text++;
        }
        if (*text != '\0' || *bytes > UINT64_MAX >> shift)
                return false;
        *bytes <<= shift;
        return true;
}

bool codec_parse_dims(const char *text, struct shape *dims)
{
        dims->ndim = 0;
        do {
                uint64_t extent;

                if (dims->ndim == SHAPE_MAX_DIMENSIONS ||
                    !parse_number(&text, &extent) || extent == 0)
                        return false;
                dims->extent[dims->ndim++] = extent;
        } while (*text++ == ',');
        return text[-1] == '\0' && shape_count(dims) != 0;
}

enum caefs_err codec_load_model(const char *path, struct model **out)
{
        struct bytes blob = { 0 };
        enum caefs_err err = file_read_all(path, MODEL_MAX_BYTES, &blob);

        if (err == CAEFS_OK)
                err = model_parse(blob.data, blob.size, out);
        bytes_free(&blob);
        return err;
}

/* An object that is there to be referred to. */
struct codec_key {
        struct file_input file;
        struct object *object;
};

const struct object *codec_key_object(const struct codec_key *key)
{
        return key == NULL ? NULL : key->object;
}

static void key_free(struct codec_key *key)
{
        if (key == NULL)
                return;
        object_close(key->object);
        file_input_close(&key->file);
        free(key);
}

static enum caefs_err key_open(const char *path, struct codec_key *key)
{
        enum caefs_err err = file_input_open(path, &key->file);

        if (err != CAEFS_OK)
                key->file = (struct file_input){ .fd = -1 };
        else
                err = object_open(&key->file.source, NULL, &key->object);
        if (err == CAEFS_OK && object_info(key->object)->key != 0)
                err = caefs_fail(CAEFS_ERR_UNSUPPORTED, "it needs a key itself");
        return err;
}

/* ---- one option each ---- */

static bool wrong(const char *option, const char *todo)
{
        tool_error(optarg, todo, "%s does not know this value", option);
        return false;
}

/* For parsers that leave their sentence in caefs_detail(). */
static bool told(bool ok)
{
        if (!ok)
                tool_error(NULL, NULL, "%s", caefs_detail());
        return ok;
}

static bool set_dtype(struct codec_options *o)
{
        return dtype_parse(optarg, &o->hint.dtype, &o->hint.big_endian) ||
               wrong("--dtype", "use f16, bf16, f32, f64, i8 to i64 or u8 to "
                                "u64, with :be for big-endian");
}

static bool set_layout(struct codec_options *o)
{
        static const char *const names[] = { "auto", "raw", "opaque" };
        int i;

        for (i = 0; i < 3; i++)
                if (strcmp(optarg, names[i]) == 0) {
                        o->hint.mode = i;
                        return true;
                }
        return wrong("--layout", "use auto, raw or opaque");
}

static bool set_codec(struct codec_options *o)
{
        const struct family_methods *f;
        unsigned i;

        o->family = 0;
        if (strcmp(optarg, "auto") == 0)
                return true;
        for (i = 1; i < FAMILY_LIMIT; i++) {
                f = family_by_number(i);
                if (f == NULL || strcmp(f->name, optarg) != 0)
                        continue;
                o->family = (int)i;
                return true;
        }
        return wrong("--codec", "use auto, lorenzo, pyramid, column, recall, cae, field or follow");
}

static bool set_chunk(struct codec_options *o)
{
        uint64_t bytes;

        if (!codec_parse_size(optarg, &bytes) || bytes == 0 ||
            bytes > (uint64_t)128 << 20)
                return wrong("--chunk", "use 4K to 128M");
        o->chunk = (size_t)bytes;
        return true;
}

static bool set_model(struct codec_options *o)
{
        enum caefs_err err;

        model_free(o->model);
        o->model = NULL;
        if (strcmp(optarg, "none") == 0)
                return true;
        caefs_detail_clear();
        err = codec_load_model(optarg, &o->model);
        if (err != CAEFS_OK)
                o->refused = tool_fail(err, optarg, "give a file made by caefs train");
        return err == CAEFS_OK;
}

static bool set_key(struct codec_options *o)
{
        enum caefs_err err;

        key_free(o->key);
        o->key = calloc(1, sizeof *o->key);
        caefs_detail_clear();
        err = o->key == NULL ? CAEFS_ERR_NOMEM : key_open(optarg, o->key);
        if (err != CAEFS_OK)
                o->refused = tool_fail(err, optarg,
                                       "give a file that caefs encode made without --key");
        return err == CAEFS_OK;
}

static bool set_threads(struct codec_options *o)
{
        const char *at = optarg;
        uint64_t n;

        if (!parse_number(&at, &n) || *at != '\0' || n < 1 || n > THREADS_MAX)
                return wrong("--threads", "use 1 to 1024");
        o->threads = (unsigned)n;
        return true;
}

bool codec_option(struct codec_options *o, int c)
{
        switch (c) {
        case CODEC_OPT_BOUND:
                o->bound_given = told(bound_parse(optarg, &o->bound));
                return o->bound_given;
        case CODEC_OPT_SCOPE:
                o->scope_given = told(scope_parse(optarg, &o->scope));
                return o->scope_given;
        case CODEC_OPT_DTYPE:
                return set_dtype(o);
        case CODEC_OPT_DIMS:
                return codec_parse_dims(optarg, &o->hint.shape) ||
                       wrong("--dims", "use up to 8 numbers, such as 100,200,3");
        case CODEC_OPT_LAYOUT:
                return set_layout(o);
        case CODEC_OPT_EFFORT:
                return told(effort_parse(optarg, &o->effort));
        case CODEC_OPT_CODEC:
                return set_codec(o);
        case CODEC_OPT_CHUNK:
                return set_chunk(o);
        case CODEC_OPT_MODEL:
                return set_model(o);
        case CODEC_OPT_KEY:
                return set_key(o);
        case CODEC_OPT_THREADS:
                return set_threads(o);
        case CODEC_OPT_JSON:
                o->json = true;
                return true;
        default:
                return false;
        }
}

void codec_options_free(struct codec_options *o)
{
        model_free(o->model);
        o->model = NULL;
        key_free(o->key);
        o->key = NULL;
}
