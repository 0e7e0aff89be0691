/*
 * path_property.c - properties of a path, and where a value comes from.
 *
 * On a mount user.caefs.NAME is what was set here, and
 * user.caefs.effective.NAME what holds here.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "tools/path.h"

#define PREFIX "user.caefs."

/* The directory above PATH, which does not end in "/"; cut in place.  False
 * at the top. */
static bool cut_last(char *path)
{
        char *slash = strrchr(path, '/');

        if (slash == NULL || path[1] == '\0')
                return false;
        slash[slash == path ? 1 : 0] = '\0';
        return true;
}

/* ---- on a mount ---- */

/* False when PATH has no such attribute of its own. */
static bool read_attribute(const char *path, const char *prefix,
                           const char *name, char value[256])
{
        char attribute[300];
        ssize_t n;

        snprintf(attribute, sizeof attribute, "%s%s", prefix, name);
        n = lgetxattr(path, attribute, value, 255);
        if (n < 0)
                return false;
        value[n] = '\0';
        return true;
}

/* The nearest directory above P where NAME is set. */
static char *inherited_on_mount(const struct tool_path *p, const char *name)
{
        char *path = realpath(p->name, NULL);
        char value[256];

        while (path != NULL && strlen(path) > strlen(p->root) &&
               cut_last(path))
                if (read_attribute(path, PREFIX, name, value))
                        return path;
        free(path);
        return NULL;
}

static enum caefs_err get_on_mount(const struct tool_path *p,
                                   const char *name,
                                   struct tool_property *out)
{
        errno = 0;
        if (!read_attribute(p->name, PREFIX "effective.", name, out->value)) {
                if (errno != ENODATA)
                        return caefs_fail_errno("cannot read %s", name);
                out->value[0] = '\0';
        }
        if (read_attribute(p->name, PREFIX, name, out->value)) {
                out->source = "local";
                return CAEFS_OK;
        }
        out->from = inherited_on_mount(p, name);
        out->source = out->from != NULL ? "inherited" : "default";
        return CAEFS_OK;
}

static enum caefs_err set_on_mount(const struct tool_path *p,
                                   const char *name, const char *value)
{
        char attribute[300];

        snprintf(attribute, sizeof attribute, PREFIX "%s", name);
        if (value != NULL) {
                if (lsetxattr(p->name, attribute, value, strlen(value), 0) == 0)
                        return CAEFS_OK;
        } else if (lremovexattr(p->name, attribute) == 0 || errno == ENODATA) {
                return CAEFS_OK;
        }
        if (errno == EINVAL && strcmp(name, "model") == 0)
                return caefs_fail(CAEFS_ERR_ARGUMENT,
                                  "model=%s: the store has no such model; "
                                  "caefs model list shows those it has", value);
        return caefs_fail_errno("cannot set %s", name);
}

/* ---- in a store ---- */

/* The directory above P that is INODE. */
static char *path_of_ancestor(const struct tool_path *p, store_inode inode)
{
        char *path = strdup(p->name);
        store_inode found;

        while (path != NULL && cut_last(path)) {
                if (store_resolve(p->store, path, &found) != CAEFS_OK)
                        continue;
                store_forget(p->store, found, 1);
                if (found == inode)
                        return path;
        }
        free(path);
        return NULL;
}

static enum caefs_err get_in_store(const struct tool_path *p,
                                   const char *name,
                                   struct tool_property *out)
{
        struct store_property property;
        const enum caefs_err err = store_property_get(p->store, p->st.st_ino,
                                                      name, &property);

        if (err != CAEFS_OK)
                return err;
        snprintf(out->value, sizeof out->value, "%s", property.value);
        if (strcmp(property.source, "local") == 0) {
                out->source = "local";
        } else if (strcmp(property.source, "inherited") == 0) {
                out->source = "inherited";
                out->from = path_of_ancestor(p, property.from);
        }
        return CAEFS_OK;
}

/* ---- both ---- */

enum caefs_err tool_property_get(const struct tool_path *p, const char *name,
                                 struct tool_property *out)
{
        *out = (struct tool_property){ .source = "default" };
        return p->kind == TOOL_PATH_STORE ? get_in_store(p, name, out) :
                                            get_on_mount(p, name, out);
}

/* The mount can only say EINVAL: the sentence is made here. */
enum caefs_err tool_property_set(const struct tool_path *p, const char *name,
                                 const char *value)
{
        const enum caefs_err err = store_property_check(name, value);

        if (err != CAEFS_OK)
                return err;
        if (p->kind == TOOL_PATH_STORE)
                return store_property_set(p->store, p->st.st_ino, name, value);
        return set_on_mount(p, name, value);
}
