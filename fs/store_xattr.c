/* fs/store_xattr.c - extended attributes.
 *
 * user.caefs.NAME is a property, user.caefs.effective.NAME what holds, and
 * user.caefs.stat.NAME what a file costs: computed and not listed, so that copies of a
 * file's attributes carry properties alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "codec/model.h"
#include "fs/store_internal.h"

#define XATTR_NAME_MAX 255
#define LIST_MAX       (65536 - 1024)   /* bytes of names, with room for those of properties */

static const char property_prefix[] = "user.caefs.";
static const char effective_prefix[] = "user.caefs.effective.";
static const char stat_prefix[] = "user.caefs.stat.";

/* What follows PREFIX in NAME, or NULL. */
static const char *
after(const char *name, const char *prefix)
{
        size_t n = strlen(prefix);

        return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

static enum caefs_err
check_xattr_name(const char *name)
{
        static const char *const prefixes[] = { "user.", "trusted.", "security." };
        size_t                   n = strlen(name);

        if (n > XATTR_NAME_MAX)
                return CAEFS_ERR_RANGE;
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
                if (after(name, prefixes[i]) != NULL)
                        return n > strlen(prefixes[i]) ? CAEFS_OK : CAEFS_ERR_ARGUMENT;
        return acl_is_name(name) ? CAEFS_OK : CAEFS_ERR_UNSUPPORTED;
}

/* DATA in the caller's buffer; its length alone when SIZE is 0. */
static enum caefs_err
give(const void *data, size_t n, void *value, size_t size, size_t *length)
{
        *length = n;
        if (size == 0)
                return CAEFS_OK;
        if (n > size)
                return CAEFS_ERR_RANGE;
        if (n > 0)
                memcpy(value, data, n);
        return CAEFS_OK;
}

static enum caefs_err
give_text(const char *text, void *value, size_t size, size_t *length)
{
        return give(text, strlen(text), value, size, length);
}

/* ---- computed ones ------------------------------------------------------ */

static enum caefs_err
stat_text(const struct store_file_info *info, const char *name, char text[160])
{
        static const size_t n = 160;
        double ratio = info->stored_bytes == 0 ? 1.0
                                               : (double) info->logical_bytes /
                                                         (double) info->stored_bytes;

        if (strcmp(name, "state") == 0)
                snprintf(text, n, "%s", info->state);
        else if (strcmp(name, "logical") == 0)
                snprintf(text, n, "%" PRIu64, info->logical_bytes);
        else if (strcmp(name, "stored") == 0)
                snprintf(text, n, "%" PRIu64, info->stored_bytes);
        else if (strcmp(name, "ratio") == 0)
                snprintf(text, n, "%.2f", ratio);
        else if (strcmp(name, "bound") == 0)
                snprintf(text, n, "%s", info->bound);
        else if (strcmp(name, "codec") == 0)
                snprintf(text, n, "%s", info->codec);
        else if (strcmp(name, "max_error") == 0)
                snprintf(text, n, "%.9g", info->worst);
        else if (strcmp(name, "max_error_over_bound") == 0)
                snprintf(text, n, "%.6g", info->worst_over_bound);
        else if (strcmp(name, "model") == 0 && info->model != 0)
                snprintf(text, n, "%016" PRIx64, info->model);
        else if (strcmp(name, "model") == 0)
                snprintf(text, n, "none");
        else if (strcmp(name, "fallback") == 0)
                snprintf(text, n, "%s", info->fallback);
        else if (strcmp(name, "lossy_values") == 0)
                snprintf(text, n, "%" PRIu64, info->lossy_values);
        else
                return CAEFS_ERR_NO_ATTRIBUTE;
        return CAEFS_OK;
}

static enum caefs_err
get_stat(struct store *s, store_inode ino, const char *name, void *value, size_t size,
         size_t *length)
{
        struct store_file_info info;
        char                   text[160];
        enum caefs_err         err = store_file_info(s, ino, &info);

        if (err == CAEFS_OK)
                err = stat_text(&info, name, text);
        return err == CAEFS_OK ? give_text(text, value, size, length) : err;
}

static enum caefs_err
get_property(struct store *s, store_inode ino, const char *name, bool effective, void *value,
             size_t size, size_t *length)
{
        struct store_property p;

        if (store_property_get(s, ino, name, &p) != CAEFS_OK)
                return CAEFS_ERR_NO_ATTRIBUTE;
        if (!effective && strcmp(p.source, "local") != 0)
                return CAEFS_ERR_NO_ATTRIBUTE;
        return give_text(p.value, value, size, length);
}

/* ---- stored ones -------------------------------------------------------- */

static enum caefs_err
get_stored(struct store *s, struct inode *inode, const char *name, void *value, size_t size,
           size_t *length)
{
        struct bytes      found = { 0 };
        struct meta_inode row = inode_row(s, inode);

        /* The kernel asks for this one at every write; the answer is in memory. */
        if (!row.has_xattrs ||
            (strcmp(name, "security.capability") == 0 && !row.has_capability))
                return CAEFS_ERR_NO_ATTRIBUTE;
        pthread_mutex_lock(&s->catalogue);
        enum caefs_err err = meta_xattr_read(s->meta, row.ino, name, &found);
        pthread_mutex_unlock(&s->catalogue);
        if (err == CAEFS_OK)
                err = give(found.data, found.size, value, size, length);
        bytes_free(&found);
        return err;
}

enum caefs_err
store_getxattr(struct store *s, store_inode ino, const char *name, void *value, size_t size,
               size_t *length)
{
        const char    *rest;
        struct inode  *inode;
        enum caefs_err err;

        *length = 0;
        if ((rest = after(name, effective_prefix)) != NULL)
                return get_property(s, ino, rest, true, value, size, length);
        if ((rest = after(name, stat_prefix)) != NULL)
                return get_stat(s, ino, rest, value, size, length);
        if ((rest = after(name, property_prefix)) != NULL)
                return get_property(s, ino, rest, false, value, size, length);
        err = check_xattr_name(name);
        if (err != CAEFS_OK)
                return err == CAEFS_ERR_UNSUPPORTED ? err : CAEFS_ERR_NO_ATTRIBUTE;
        err = inode_hold(s, ino, &inode);
        if (err != CAEFS_OK)
                return err;
        err = get_stored(s, inode, name, value, size, length);
        inode_release(s, inode);
        return err;
}

/* The change time, the mode, which goes with an ACL, and what memory knows of attributes;
 * within a change. */
static enum caefs_err
note_change(struct store *s, struct inode *inode, const struct meta_inode *changed)
{
        struct inode_update u = {
                .inode = inode, .row = *changed, .which = ROW_CTIME | ROW_MODE,
        };
        struct meta_inode   row;

        u.row.ctime = now_ns();
        enum caefs_err err = meta_inode_read(s->meta, inode->row.ino, &row);
        if (err == CAEFS_OK)
                err = inodes_write(s, &u, 1);
        if (err != CAEFS_OK)
                return err;
        pthread_mutex_lock(stripe_of(s, inode));
        inode->row.has_xattrs = row.has_xattrs;
        inode->row.has_capability = row.has_capability;
        pthread_mutex_unlock(stripe_of(s, inode));
        return CAEFS_OK;
}

/* One that is new must leave a list that listxattr(2) can give. */
static enum caefs_err
check_room(struct store *s, uint64_t ino, const char *name)
{
        struct bytes   names = { 0 };
        enum caefs_err err = meta_xattr_list(s->meta, ino, &names);
        const bool     fits = names.size + strlen(name) + 1 <= LIST_MAX;

        bytes_free(&names);
        if (err == CAEFS_OK && !fits)
                err = caefs_fail(CAEFS_ERR_NO_SPACE, "inode %" PRIu64 " has too many attributes",
                                 ino);
        return err;
}

/* XATTR_CREATE and XATTR_REPLACE. */
static enum caefs_err
check_flags(struct store *s, uint64_t ino, const char *name, int flags)
{
        struct bytes   old = { 0 };
        enum caefs_err err = meta_xattr_read(s->meta, ino, name, &old);

        bytes_free(&old);
        if (err != CAEFS_OK && err != CAEFS_ERR_NO_ATTRIBUTE)
                return err;
        if (err == CAEFS_OK)
                return flags & XATTR_CREATE ? CAEFS_ERR_EXISTS : CAEFS_OK;
        return flags & XATTR_REPLACE ? err : check_room(s, ino, name);
}

static enum caefs_err
set_stored(struct store *s, uint64_t ino, const char *name, const void *value, size_t size,
           int flags)
{
        struct inode  *inode = NULL;
        enum caefs_err err = change_begin(s, SPACE_SOME);

        if (err != CAEFS_OK)
                return err;
        err = inode_hold_locked(s, ino, &inode);
        if (err == CAEFS_OK)
                err = check_flags(s, ino, name, flags);
        if (err == CAEFS_OK) {
                struct meta_inode row = inode_row(s, inode);
                err = acl_is_name(name) ? acl_set(s, &row, name, value, size)
                                        : meta_xattr_write(s->meta, ino, name, value, size);
                if (err == CAEFS_OK)
                        err = note_change(s, inode, &row);
        }
        err = change_end(s, err);
        inode_release(s, inode);
        return err;
}

/* Setting through an attribute what caefs set would set. */
static enum caefs_err
set_property(struct store *s, store_inode ino, const char *name, const void *value,
             size_t size, int flags)
{
        struct store_property p;
        char                  text[sizeof p.value];

        if (size >= sizeof text || memchr(value, '\0', size) != NULL)
                return CAEFS_ERR_ARGUMENT;
        memcpy(text, value, size);
        text[size] = '\0';
        enum caefs_err err = store_property_get(s, ino, name, &p);
        if (err != CAEFS_OK)
                return err;
        bool is_set = strcmp(p.source, "local") == 0;
        if (is_set && (flags & XATTR_CREATE))
                return CAEFS_ERR_EXISTS;
        if (!is_set && (flags & XATTR_REPLACE))
                return CAEFS_ERR_NO_ATTRIBUTE;
        return store_property_set(s, ino, name, text);
}

enum caefs_err
store_setxattr(struct store *s, store_inode ino, const char *name, const void *value,
               size_t size, int flags)
{
        const char    *rest;
        enum caefs_err err = check_xattr_name(name);

        if (err != CAEFS_OK)
                return err;
        if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
                return CAEFS_ERR_ARGUMENT;
        if (after(name, effective_prefix) != NULL || after(name, stat_prefix) != NULL)
                return CAEFS_ERR_PERMISSION;
        if ((rest = after(name, property_prefix)) != NULL)
                return set_property(s, ino, rest, value, size, flags);
        if (size > STORE_XATTR_MAX)
                return caefs_fail(CAEFS_ERR_NO_SPACE, "an attribute has at most %d bytes",
                                  STORE_XATTR_MAX);
        return set_stored(s, ino, name, value, size, flags);
}

enum caefs_err
store_removexattr(struct store *s, store_inode ino, const char *name)
{
        struct inode  *inode = NULL;
        const char    *rest = after(name, property_prefix);
        enum caefs_err err = check_xattr_name(name);

        if (err != CAEFS_OK)
                return err;
        if (after(name, effective_prefix) != NULL || after(name, stat_prefix) != NULL)
                return CAEFS_ERR_PERMISSION;
        if (rest != NULL) {
                err = store_property_set(s, ino, rest, NULL);
                return err == CAEFS_ERR_ARGUMENT ? CAEFS_ERR_NO_ATTRIBUTE : err;
        }
        err = change_begin(s, SPACE_NONE);
        if (err != CAEFS_OK)
                return err;
        err = inode_hold_locked(s, ino, &inode);
        if (err == CAEFS_OK)
                err = acl_is_name(name) ? acl_remove(s, ino, name)
                                        : meta_xattr_delete(s->meta, ino, name);
        if (err == CAEFS_OK) {
                struct meta_inode row = inode_row(s, inode);
                err = note_change(s, inode, &row);
        }
        err = change_end(s, err);
        inode_release(s, inode);
        return err;
}

/* Properties that are set here, with their prefix. */
static enum caefs_err
append_properties(struct store *s, uint64_t ino, struct bytes *list)
{
        struct bytes   names = { 0 };
        enum caefs_err err = meta_property_list(s->meta, ino, &names);

        for (size_t at = 0; err == CAEFS_OK && at < names.size;) {
                const char *name = (const char *) names.data + at;
                bytes_put(list, property_prefix, sizeof property_prefix - 1);
                bytes_put(list, name, strlen(name) + 1);
                at += strlen(name) + 1;
        }
        bytes_free(&names);
        return err == CAEFS_OK && list->failed ? CAEFS_ERR_NOMEM : err;
}

enum caefs_err
store_listxattr(struct store *s, store_inode ino, char *list, size_t size, size_t *length)
{
        struct bytes   names = { 0 };
        struct inode  *inode;
        enum caefs_err err = inode_hold(s, ino, &inode);

        *length = 0;
        if (err != CAEFS_OK)
                return err;
        pthread_mutex_lock(&s->catalogue);
        err = meta_xattr_list(s->meta, ino, &names);
        if (err == CAEFS_OK)
                err = append_properties(s, ino, &names);
        pthread_mutex_unlock(&s->catalogue);
        if (err == CAEFS_OK)
                err = give(names.data, names.size, list, size, length);
        bytes_free(&names);
        inode_release(s, inode);
        return err;
}
