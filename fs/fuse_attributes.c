/* fs/fuse_attributes.c - attributes, extended attributes, the file system's own. */
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fs/describe.h"
#include "fs/fuse_adapter.h"
#include "fs/fuse_control.h"

#define NGROUPS_SHOWN 1024              /* of a caller, that are looked at */

static void
op_getattr(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        struct stat st;

        (void) fi;
        if (control_owns(inode))
                control_getattr(req, inode);
        else
                adapter_reply_attributes(req, store_getattr(adapter_of(req)->store, inode, &st),
                                         &st);
}

static unsigned
what_to_set(int fuse_bits)
{
        static const struct { int fuse; unsigned store; } bits[] = {
                { FUSE_SET_ATTR_MODE, STORE_SET_MODE },
                { FUSE_SET_ATTR_UID, STORE_SET_UID },
                { FUSE_SET_ATTR_GID, STORE_SET_GID },
                { FUSE_SET_ATTR_SIZE, STORE_SET_SIZE },
                { FUSE_SET_ATTR_ATIME, STORE_SET_ATIME },
                { FUSE_SET_ATTR_MTIME, STORE_SET_MTIME },
                { FUSE_SET_ATTR_ATIME_NOW, STORE_SET_ATIME_NOW },
                { FUSE_SET_ATTR_MTIME_NOW, STORE_SET_MTIME_NOW },
                { FUSE_SET_ATTR_CTIME, STORE_SET_CTIME },
        };
        unsigned what = 0;

        for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
                if (fuse_bits & bits[i].fuse)
                        what |= bits[i].store;
        return what;
}

static bool
is_in_group(fuse_req_t req, const struct store_caller *caller, gid_t group)
{
        gid_t groups[NGROUPS_SHOWN];
        const int count = fuse_req_getgroups(req, NGROUPS_SHOWN, groups);

        for (int i = 0; i < count && i < NGROUPS_SHOWN; i++)
                if (groups[i] == group)
                        return true;
        return caller->gid == group;
}

/* The kernel leaves this to us, and does not say so in what it sends: who is not in the
 * group of a file takes set-group-ID away by changing its bytes, its owner or its ACL, also
 * where it is no program. */
enum caefs_err
adapter_drop_group_privilege(fuse_req_t req, fuse_ino_t inode, struct stat *st)
{
        const struct store_caller caller = adapter_caller(req);

        if (!S_ISREG(st->st_mode) || !(st->st_mode & S_ISGID) || caller.uid == 0 ||
            is_in_group(req, &caller, st->st_gid))
                return CAEFS_OK;
        st->st_mode &= ~(mode_t) S_ISGID;
        return store_setattr(adapter_of(req)->store, &caller, inode, NULL, STORE_SET_MODE, st, st);
}

/* A change of bytes comes as one of the mode or of nothing, but never as one of times alone. */
static bool
drops_privileges(unsigned what)
{
        return what == 0 || what == STORE_SET_CTIME ||
               (what & (STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID | STORE_SET_SIZE)) != 0;
}

/* With the writeback cache the kernel owns mtime, ctime and size of a file that has
 * dirty pages, and sends them here when it writes those pages. */
static void
op_setattr(fuse_req_t req, fuse_ino_t inode, struct stat *want, int fuse_bits,
           struct fuse_file_info *fi)
{
        const struct store_caller caller = adapter_caller(req);
        const unsigned what = what_to_set(fuse_bits);
        struct stat st;
        enum caefs_err err;

        if (control_owns(inode)) {
                control_getattr(req, inode);
                return;
        }
        err = store_setattr(adapter_of(req)->store, &caller, inode,
                            fi != NULL ? adapter_handle(fi)->file : NULL, what, want, &st);
        if (err == CAEFS_OK && drops_privileges(what))
                err = adapter_drop_group_privilege(req, inode, &st);
        adapter_reply_attributes(req, err, &st);
}

static void
op_statfs(fuse_req_t req, fuse_ino_t inode)
{
        struct statvfs space;
        const enum caefs_err err = store_statfs(adapter_of(req)->store, &space);

        (void) inode;
        if (err != CAEFS_OK)
                adapter_reply(req, err);
        else
                fuse_reply_statfs(req, &space);
}

/* ---- extended attributes ------------------------------------------------ */

/* The description of a file as the value of an attribute. */
static enum caefs_err
get_description(struct store *store, fuse_ino_t inode, void *value, size_t size, size_t *length)
{
        json_t *description;
        enum caefs_err err = describe_file(store, inode, &description);

        if (err != CAEFS_OK)
                return err;
        /* With no room, json_dumpb() says how much it takes. */
        *length = json_dumpb(description, value, size, JSON_COMPACT);
        json_decref(description);
        if (*length == 0)
                return CAEFS_ERR_NOMEM;
        return size != 0 && *length > size ? CAEFS_ERR_RANGE : CAEFS_OK;
}

static enum caefs_err
get_attribute(struct store *store, fuse_ino_t inode, const char *name, void *value, size_t size,
              size_t *length)
{
        if (strcmp(name, DESCRIBE_ATTRIBUTE) == 0)
                return get_description(store, inode, value, size, length);
        return store_getxattr(store, inode, name, value, size, length);
}

/* Answers with LENGTH bytes of VALUE, or, SIZE being 0, with LENGTH alone. */
static void
reply_attribute(fuse_req_t req, enum caefs_err err, const char *value, size_t size, size_t length)
{
        if (err != CAEFS_OK)
                adapter_reply(req, err);
        else if (size == 0)
                fuse_reply_xattr(req, length);
        else
                fuse_reply_buf(req, value, length);
}

static void
op_getxattr(fuse_req_t req, fuse_ino_t inode, const char *name, size_t size)
{
        char *value = size != 0 ? adapter_buffer(size) : NULL;
        size_t length = 0;
        enum caefs_err err;

        if (control_owns(inode))
                err = CAEFS_ERR_NO_ATTRIBUTE;
        else if (size != 0 && value == NULL)
                err = CAEFS_ERR_NOMEM;
        else
                err = get_attribute(adapter_of(req)->store, inode, name, value, size, &length);
        reply_attribute(req, err, value, size, length);
}

/* Takes the names of trusted.* out of LIST. */
static size_t
hide_trusted(char *list, size_t length)
{
        size_t kept = 0;

        for (size_t at = 0, n; at < length; at += n) {
                n = strlen(list + at) + 1;
                if (strncmp(list + at, "trusted.", strlen("trusted.")) == 0)
                        continue;
                memmove(list + kept, list + at, n);
                kept += n;
        }
        return kept;
}

/* Trusted attributes are root's alone, as on other file systems. */
static void
op_listxattr(fuse_req_t req, fuse_ino_t inode, size_t size)
{
        char *list = adapter_buffer(XATTR_LIST_MAX);
        size_t length = 0;
        enum caefs_err err = CAEFS_OK;

        if (list == NULL)
                err = CAEFS_ERR_NOMEM;
        else if (!control_owns(inode))
                err = store_listxattr(adapter_of(req)->store, inode, list, XATTR_LIST_MAX,
                                      &length);
        if (err == CAEFS_OK && adapter_caller(req).uid != 0)
                length = hide_trusted(list, length);
        if (err == CAEFS_OK && size != 0 && length > size)
                err = CAEFS_ERR_RANGE;
        reply_attribute(req, err, list, size, length);
}

static void
op_setxattr(fuse_req_t req, fuse_ino_t inode, const char *name, const char *value, size_t size,
            int flags)
{
        struct store *store = adapter_of(req)->store;
        enum caefs_err err = CAEFS_ERR_PERMISSION;
        struct stat st;

        if (!control_owns(inode))
                err = store_setxattr(store, inode, name, value, size, flags);
        if (err == CAEFS_OK && strcmp(name, "system.posix_acl_access") == 0) {
                err = store_getattr(store, inode, &st);
                if (err == CAEFS_OK)
                        err = adapter_drop_group_privilege(req, inode, &st);
        }
        adapter_reply(req, err);
}

static void
op_removexattr(fuse_req_t req, fuse_ino_t inode, const char *name)
{
        if (control_owns(inode))
                adapter_reply(req, CAEFS_ERR_PERMISSION);
        else
                adapter_reply(req, store_removexattr(adapter_of(req)->store, inode, name));
}

void
adapter_attribute_operations(struct fuse_lowlevel_ops *ops)
{
        ops->getattr = op_getattr;
        ops->setattr = op_setattr;
        ops->statfs = op_statfs;
        ops->getxattr = op_getxattr;
        ops->listxattr = op_listxattr;
        ops->setxattr = op_setxattr;
        ops->removexattr = op_removexattr;
}
