/* fs/fuse_names.c - names: lookup, make, link, rename, remove. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fuse_adapter.h"
#include "fs/fuse_control.h"

/* A name that is not there is remembered too: loaders ask for many that are not. */
static void
reply_no_entry(fuse_req_t req)
{
        const struct fuse_entry_param absent = { .entry_timeout = adapter_of(req)->timeout };

        fuse_reply_entry(req, &absent);
}

/* "." and ".." come from NFS file handles, and may name any inode. */
static void
op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct adapter *a = adapter_of(req);
        struct stat st;
        enum caefs_err err;

        if (control_owns(parent) || adapter_reserved_name(parent, name)) {
                control_lookup(req, parent, name);
                return;
        }
        err = store_lookup(a->store, parent, name, &st);
        if (err == CAEFS_ERR_NO_ENTRY)
                reply_no_entry(req);
        else
                adapter_reply_entry(req, err, &st);
}

static void
op_forget(fuse_req_t req, fuse_ino_t inode, uint64_t n)
{
        if (!control_owns(inode))
                store_forget(adapter_of(req)->store, inode, n);
        fuse_reply_none(req);
}

static void
op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
        struct adapter *a = adapter_of(req);

        for (size_t i = 0; i < count; i++)
                if (!control_owns(forgets[i].ino))
                        store_forget(a->store, forgets[i].ino, forgets[i].nlookup);
        fuse_reply_none(req);
}

/* Answers, and returns false, when PARENT cannot take NAME. */
static bool
may_name(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        if (!control_owns(parent) && !adapter_reserved_name(parent, name))
                return true;
        adapter_reply(req, CAEFS_ERR_PERMISSION);
        return false;
}

static void
op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
        const struct store_caller caller = adapter_caller(req);
        struct stat st;

        if (may_name(req, parent, name))
                adapter_reply_entry(req, store_mknod(adapter_of(req)->store, &caller, parent, name,
                                                     mode, device, &st), &st);
}

static void
op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
        const struct store_caller caller = adapter_caller(req);
        struct stat st;

        if (may_name(req, parent, name))
                adapter_reply_entry(req, store_mkdir(adapter_of(req)->store, &caller, parent, name,
                                                     mode, &st), &st);
}

static void
op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
        const struct store_caller caller = adapter_caller(req);
        struct stat st;

        if (may_name(req, parent, name))
                adapter_reply_entry(req, store_symlink(adapter_of(req)->store, &caller, parent,
                                                       name, target, &st), &st);
}

static void
op_link(fuse_req_t req, fuse_ino_t inode, fuse_ino_t parent, const char *name)
{
        struct stat st;

        if (control_owns(inode))
                adapter_reply(req, CAEFS_ERR_PERMISSION);
        else if (may_name(req, parent, name))
                adapter_reply_entry(req, store_link(adapter_of(req)->store, inode, parent, name,
                                                    &st), &st);
}

static void
op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        if (control_owns(parent))
                control_unlink(req, parent, name);
        else if (may_name(req, parent, name))
                adapter_reply(req, store_unlink(adapter_of(req)->store, parent, name));
}

static void
op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        if (may_name(req, parent, name))
                adapter_reply(req, store_rmdir(adapter_of(req)->store, parent, name));
}

static void
op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
          const char *new_name, unsigned flags)
{
        if (may_name(req, parent, name) && may_name(req, new_parent, new_name))
                adapter_reply(req, store_rename(adapter_of(req)->store, parent, name, new_parent,
                                                new_name, flags));
}

static void
op_readlink(fuse_req_t req, fuse_ino_t inode)
{
        char target[PATH_MAX + 1];
        const enum caefs_err err = store_readlink(adapter_of(req)->store, inode, target,
                                                  sizeof target);

        if (err != CAEFS_OK)
                adapter_reply(req, err);
        else
                fuse_reply_readlink(req, target);
}

void
adapter_name_operations(struct fuse_lowlevel_ops *ops)
{
        ops->lookup = op_lookup;
        ops->forget = op_forget;
        ops->forget_multi = op_forget_multi;
        ops->mknod = op_mknod;
        ops->mkdir = op_mkdir;
        ops->symlink = op_symlink;
        ops->link = op_link;
        ops->unlink = op_unlink;
        ops->rmdir = op_rmdir;
        ops->rename = op_rename;
        ops->readlink = op_readlink;
}
