/* fs/store_property.c - properties: what may be set, and what holds for a file.
 *
 * A value set on a file or directory holds for it and for all below that set none
 * themselves.  A file with several names inherits through the first of them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/model.h"
#include "fs/store_key.h"

#define CHUNK_MIN ((uint64_t) 4096)
#define CHUNK_MAX ((uint64_t) 64 << 20)

/* ---- values ------------------------------------------------------------- */

static bool
valid_bound(const char *value)
{
        struct bound b;

        return bound_parse(value, &b);
}

static bool
valid_scope(const char *value)
{
        enum scope scope;

        return scope_parse(value, &scope);
}

static bool
valid_effort(const char *value)
{
        enum effort effort;

        return effort_parse(value, &effort);
}

static bool
valid_codec(const char *value)
{
        if (strcmp(value, "auto") == 0 || family_by_name(value) != NULL)
                return true;
        caefs_fail(CAEFS_ERR_ARGUMENT, "codec=%s: there is no such family", value);
        return false;
}

static bool
valid_model(const char *value)
{
        uint64_t hash;

        if (strcmp(value, "none") == 0 || model_hash_parse(value, &hash))
                return true;
        caefs_fail(CAEFS_ERR_ARGUMENT, "model=%s: neither none nor 16 hexadecimal digits",
                   value);
        return false;
}

static bool
valid_dtype(const char *value)
{
        enum dtype dtype;
        bool       big_endian;

        if (strcmp(value, "auto") == 0 || dtype_parse(value, &dtype, &big_endian))
                return true;
        caefs_fail(CAEFS_ERR_ARGUMENT, "dtype=%s: not auto, f16, bf16, f32, f64 or an integer "
                   "type, with :be for big-endian", value);
        return false;
}

/* "d0,d1,…", slowest first. */
static bool
parse_dims(const char *text, struct shape *shape)
{
        *shape = (struct shape) { 0 };
        while (shape->ndim < SHAPE_MAX_DIMENSIONS) {
                char *end;
                errno = 0;
                unsigned long long n = strtoull(text, &end, 10);
                if (end == text || text[0] < '0' || text[0] > '9' || errno != 0 || n == 0)
                        return false;
                shape->extent[shape->ndim++] = n;
                if (*end == '\0')
                        return shape_count(shape) > 0;
                if (*end != ',')
                        return false;
                text = end + 1;
        }
        return false;
}

static bool
valid_dims(const char *value)
{
        struct shape shape;

        if (strcmp(value, "auto") == 0 || parse_dims(value, &shape))
                return true;
        caefs_fail(CAEFS_ERR_ARGUMENT, "dims=%s: not auto nor 1 to %d extents such as "
                   "100,500,500, slowest first", value, SHAPE_MAX_DIMENSIONS);
        return false;
}

static bool
valid_layout(const char *value)
{
        if (strcmp(value, "auto") == 0 || strcmp(value, "raw") == 0 ||
            strcmp(value, "opaque") == 0)
                return true;
        caefs_fail(CAEFS_ERR_ARGUMENT, "layout=%s: not auto, raw or opaque", value);
        return false;
}

bool
seal_policy_parse(const char *value, struct seal_policy *policy)
{
        char *end;

        *policy = (struct seal_policy) { 0 };
        if (strcmp(value, "close") == 0)
                return true;
        if (strcmp(value, "manual") == 0) {
                policy->is_manual = true;
                return true;
        }
        if (strncmp(value, "idle:", 5) != 0 || value[5] < '0' || value[5] > '9')
                return false;
        policy->idle = strtod(value + 5, &end);
        return *end == '\0' && policy->idle <= 1e9;
}

static bool
valid_seal(const char *value)
{
        struct seal_policy policy;

        if (seal_policy_parse(value, &policy))
                return true;
        caefs_fail(CAEFS_ERR_ARGUMENT, "seal=%s: not close, manual or idle:SECONDS", value);
        return false;
}

/* Bytes, with K or M for 1024 and 1024 * 1024 of them. */
static bool
parse_chunk(const char *text, uint64_t *bytes)
{
        char *end;

        errno = 0;
        *bytes = strtoull(text, &end, 10);
        if (end == text || text[0] < '0' || text[0] > '9' || errno != 0 || *bytes > CHUNK_MAX)
                return false;
        if (*end == 'K' || *end == 'M')
                *bytes <<= *end++ == 'K' ? 10 : 20;
        return *end == '\0' && *bytes >= CHUNK_MIN && *bytes <= CHUNK_MAX;
}

static bool
valid_chunk(const char *value)
{
        uint64_t bytes;

        if (strcmp(value, "auto") == 0 || parse_chunk(value, &bytes))
                return true;
        caefs_fail(CAEFS_ERR_ARGUMENT, "chunk=%s: not auto nor 4K to 64M", value);
        return false;
}

static bool
valid_key(const char *value)
{
        struct key_policy policy;

        if (key_policy_parse(value, &policy))
                return true;
        caefs_fail(CAEFS_ERR_ARGUMENT, "key=%s: not auto, none nor a number from 2 on", value);
        return false;
}

/* ---- the table ---------------------------------------------------------- */

static const struct property {
        const char *name;
        const char *otherwise;                  /* when nobody set it */
        bool      (*is_valid)(const char *value);
} properties[] = {
        { "bound", "lossless", valid_bound },
        { "scope", "array", valid_scope },
        { "effort", "balanced", valid_effort },
        { "codec", "auto", valid_codec },
        { "model", "none", valid_model },
        { "dtype", "auto", valid_dtype },
        { "dims", "auto", valid_dims },
        { "layout", "auto", valid_layout },
        { "seal", "close", valid_seal },
        { "chunk", "auto", valid_chunk },
        { "key", "auto", valid_key },
};

#define PROPERTIES (sizeof properties / sizeof properties[0])

static const char *const property_names[] = {
        "bound", "scope", "effort", "codec", "model", "dtype", "dims", "layout", "seal",
        "chunk", "key", NULL,
};

const char *const *
store_property_names(void)
{
        return property_names;
}

static const struct property *
find_property(const char *name)
{
        for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++)
                if (strcmp(properties[i].name, name) == 0)
                        return &properties[i];
        caefs_fail(CAEFS_ERR_ARGUMENT, "there is no property %s", name);
        return NULL;
}

/* A model must be there to be named. */
static enum caefs_err
check_model(struct store *s, const char *name, const char *value)
{
        const struct model *model;
        uint64_t            hash;

        if (strcmp(name, "model") != 0 || !model_hash_parse(value, &hash))
                return CAEFS_OK;
        enum caefs_err err = store_model_find(s, hash, &model);
        if (err == CAEFS_ERR_NO_ENTRY)
                err = caefs_fail(CAEFS_ERR_ARGUMENT, "model=%s: the store has no such model; "
                                 "caefs model list shows those it has", value);
        return err;
}

enum caefs_err
store_property_check(const char *name, const char *value)
{
        const struct property *p = find_property(name);
        struct store_property  unused;

        if (p == NULL)
                return CAEFS_ERR_ARGUMENT;
        if (value != NULL && strlen(value) >= sizeof unused.value)
                return caefs_fail(CAEFS_ERR_ARGUMENT, "%s: the value is too long", name);
        return value == NULL || p->is_valid(value) ? CAEFS_OK : CAEFS_ERR_ARGUMENT;
}

enum caefs_err
store_property_set(struct store *s, store_inode ino, const char *name, const char *value)
{
        struct meta_inode row;
        enum caefs_err    err = store_property_check(name, value);

        if (err == CAEFS_OK && value != NULL)
                err = check_model(s, name, value);
        if (err == CAEFS_OK)
                err = change_begin(s, value == NULL ? SPACE_NONE : SPACE_SOME);
        if (err != CAEFS_OK)
                return err;
        err = meta_inode_read(s->meta, ino, &row);
        if (err == CAEFS_OK && value != NULL)
                err = meta_property_write(s->meta, ino, name, value);
        else if (err == CAEFS_OK)
                err = meta_property_delete(s->meta, ino, name);
        return change_end(s, err);
}

/* ---- what holds --------------------------------------------------------- */

enum caefs_err
property_resolve_locked(struct store *s, uint64_t ino, const char *name,
                        struct store_property *out)
{
        const struct property *p = find_property(name);
        struct meta_entry      entry;
        uint64_t               at = ino;
        enum caefs_err         err;

        if (p == NULL)
                return CAEFS_ERR_ARGUMENT;
        for (;;) {
                err = meta_property_read(s->meta, at, name, out->value, sizeof out->value);
                if (err != CAEFS_ERR_NO_ATTRIBUTE || at == STORE_ROOT_INODE)
                        break;
                err = meta_entry_of(s->meta, at, &entry);
                if (err != CAEFS_OK)
                        break;
                at = entry.parent;
        }
        /* No name any more (unlinked, still open): as if nobody had set it. */
        if (err == CAEFS_ERR_NO_ATTRIBUTE || err == CAEFS_ERR_NO_ENTRY) {
                snprintf(out->value, sizeof out->value, "%s", p->otherwise);
                strcpy(out->source, "default");
                out->from = 0;
                return CAEFS_OK;
        }
        strcpy(out->source, at == ino ? "local" : "inherited");
        out->from = at;
        return err;
}

enum caefs_err
store_property_get(struct store *s, store_inode ino, const char *name,
                   struct store_property *out)
{
        struct meta_inode row;

        if (find_property(name) == NULL)
                return CAEFS_ERR_ARGUMENT;
        pthread_mutex_lock(&s->catalogue);
        enum caefs_err err = meta_inode_read(s->meta, ino, &row);
        if (err == CAEFS_OK)
                err = property_resolve_locked(s, ino, name, out);
        pthread_mutex_unlock(&s->catalogue);
        return err;
}

/* ---- as options of the encoder ------------------------------------------ */

/* Sets what property NAME says in O.  A value that is not understood, written by a newer
 * caefs perhaps, counts as the default: lossless for a bound. */
static void
set_option(const char *name, const char *value, struct object_options *o)
{
        uint64_t chunk;

        if (strcmp(name, "bound") == 0 && !bound_parse(value, &o->bound))
                o->bound = (struct bound) { .mode = BOUND_LOSSLESS };
        else if (strcmp(name, "scope") == 0)
                scope_parse(value, &o->scope);
        else if (strcmp(name, "effort") == 0)
                effort_parse(value, &o->effort);
        else if (strcmp(name, "dtype") == 0)
                dtype_parse(value, &o->hint.dtype, &o->hint.big_endian);
        else if (strcmp(name, "dims") == 0 && !parse_dims(value, &o->hint.shape))
                o->hint.shape = (struct shape) { 0 };
        else if (strcmp(name, "layout") == 0)
                o->hint.mode = strcmp(value, "raw") == 0      ? LAYOUT_RAW
                               : strcmp(value, "opaque") == 0 ? LAYOUT_OPAQUE
                                                              : LAYOUT_AUTO;
        else if (strcmp(name, "chunk") == 0 && parse_chunk(value, &chunk))
                o->chunk = (size_t) chunk;
}

static void
set_family(const char *value, struct object_options *o)
{
        for (int number = 1; number < FAMILY_LIMIT; number++) {
                const struct family_methods *f = family_by_number((unsigned) number);
                if (f != NULL && strcmp(f->name, value) == 0)
                        o->family = number;
        }
}

/* The values that hold for a file, all at once; "" where nobody set one. */
struct effective {
        char value[PROPERTIES][sizeof ((struct store_property *) 0)->value];
};

/* From a file upwards: what is set below holds. */
static void
take_effective(void *context, const char *name, const char *value)
{
        struct effective *e = context;

        for (size_t i = 0; i < PROPERTIES; i++)
                if (e->value[i][0] == '\0' && strcmp(properties[i].name, name) == 0)
                        snprintf(e->value[i], sizeof e->value[i], "%s", value);
}

/* Catalogue held.  NAME becomes the file's, or "" when it has none any more. */
static enum caefs_err
effective_of(struct store *s, uint64_t ino, struct effective *e, char *name)
{
        struct meta_entry entry;
        enum caefs_err    err = meta_property_each(s->meta, ino, take_effective, e);

        name[0] = '\0';
        for (uint64_t at = ino; err == CAEFS_OK && at != STORE_ROOT_INODE; at = entry.parent) {
                err = meta_entry_of(s->meta, at, &entry);
                if (err == CAEFS_OK && at == ino)
                        memcpy(name, entry.name, sizeof entry.name);
                if (err == CAEFS_OK)
                        err = meta_property_each(s->meta, entry.parent, take_effective, e);
        }
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}

enum caefs_err
property_options(struct store *s, uint64_t ino, struct object_options *o, char *name)
{
        struct effective e = { 0 };
        uint64_t         hash = 0;

        *o = (struct object_options) { .effort = EFFORT_BALANCED };
        pthread_mutex_lock(&s->catalogue);
        enum caefs_err err = effective_of(s, ino, &e, name);
        pthread_mutex_unlock(&s->catalogue);
        for (size_t i = 0; i < PROPERTIES; i++) {
                const char *property = properties[i].name;
                const char *value = e.value[i][0] != '\0' ? e.value[i] : properties[i].otherwise;
                set_option(property, value, o);
                if (strcmp(property, "codec") == 0)
                        set_family(value, o);
                if (strcmp(property, "model") == 0 && !model_hash_parse(value, &hash))
                        hash = 0;
        }
        o->hint.name = name;
        if (err == CAEFS_OK && hash != 0)
                err = store_model_find(s, hash, &o->model);
        if (err == CAEFS_ERR_NO_ENTRY)
                err = caefs_fail(CAEFS_ERR_MODEL, "model %016llx is not in the store",
                                 (unsigned long long) hash);
        return err;
}
