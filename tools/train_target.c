/*
 * train_target.c - bound, scope and form of the data, from properties.
 */

#include "tools/train_target.h"

#include <stdlib.h>
#include <string.h>

bool train_target_property(const struct tool_path *p, const char *name,
                           struct tool_property *out)
{
        if (tool_property_get(p, name, out) != CAEFS_OK)
                return false;
        free(out->from);
        out->from = NULL;
        return out->value[0] != '\0';
}

void train_target_of_path(const struct tool_path *p, struct codec_options *o)
{
        struct layout_hint *hint = &o->hint;
        struct tool_property v;

        if (!o->bound_given && train_target_property(p, "bound", &v))
                bound_parse(v.value, &o->bound);
        if (!o->scope_given && train_target_property(p, "scope", &v))
                scope_parse(v.value, &o->scope);
        if (hint->dtype == DTYPE_BYTES && train_target_property(p, "dtype", &v))
                dtype_parse(v.value, &hint->dtype, &hint->big_endian);
        if (hint->shape.ndim == 0 && train_target_property(p, "dims", &v))
                codec_parse_dims(v.value, &hint->shape);
        if (hint->mode == LAYOUT_AUTO && train_target_property(p, "layout", &v))
                hint->mode = strcmp(v.value, "raw") == 0      ? LAYOUT_RAW
                             : strcmp(v.value, "opaque") == 0 ? LAYOUT_OPAQUE
                                                              : LAYOUT_AUTO;
}

void train_target_of_mount(const char *name, struct codec_options *o)
{
        char *root = tool_path_mount_root(name);
        struct tool_path p;

        if (root != NULL && tool_path_open(name, false, &p) == CAEFS_OK) {
                train_target_of_path(&p, o);
                tool_path_close(&p);
        }
        free(root);
        caefs_detail_clear();
}
