/* fs/fuse_directory.c - reading directories. */
#include <stdlib.h>
#include <string.h>

#include "fs/fuse_adapter.h"
#include "fs/fuse_control.h"

/* A reply that is being filled. */
struct listing {
        fuse_req_t req;
        char      *buffer;
        size_t     size, used;
        bool       plus;                /* entries with attributes (readdirplus) */
};

static bool
is_dot(const char *name)
{
        return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static size_t
add_plus(struct listing *l, char *at, size_t room, const char *name, const struct stat *st,
         uint64_t next)
{
        struct fuse_entry_param entry;

        adapter_fill_entry(adapter_of(l->req), &entry, st);
        if (is_dot(name))
                entry.ino = 0;          /* the kernel is to make no inode of it */
        return fuse_add_direntry_plus(l->req, at, room, name, &entry, (off_t) next);
}

static bool
add_entry(void *context, const char *name, const struct stat *st, uint64_t next)
{
        struct listing *l = context;
        char *at = l->buffer + l->used;
        const size_t room = l->size - l->used;
        const size_t needed = l->plus ? add_plus(l, at, room, name, st, next)
                                      : fuse_add_direntry(l->req, at, room, name, st,
                                                          (off_t) next);

        if (needed > room)
                return false;
        l->used += needed;
        return true;
}

static void
list(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, bool plus)
{
        struct listing l = { .req = req, .buffer = adapter_buffer(size), .size = size,
                             .plus = plus };
        enum caefs_err err = CAEFS_ERR_NOMEM;

        if (l.buffer != NULL)
                err = store_read_directory(adapter_of(req)->store, inode, (uint64_t) offset, plus,
                                           add_entry, &l);
        /* An error after some entries is met again by the next call. */
        if (err != CAEFS_OK && l.used == 0)
                adapter_reply(req, err);
        else
                fuse_reply_buf(req, l.buffer, l.used);
}

static void
op_readdir(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *fi)
{
        (void) fi;
        if (control_owns(inode))
                control_readdir(req, inode, size, offset);
        else
                list(req, inode, size, offset, false);
}

static void
op_readdirplus(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset,
               struct fuse_file_info *fi)
{
        (void) fi;
        if (control_owns(inode))
                control_readdirplus(req, inode, size, offset);
        else
                list(req, inode, size, offset, true);
}

static void
op_fsyncdir(fuse_req_t req, fuse_ino_t inode, int data_only, struct fuse_file_info *fi)
{
        (void) inode;
        (void) data_only;
        (void) fi;
        adapter_reply(req, store_commit(adapter_of(req)->store));
}

/* Nothing is kept between opendir and releasedir: an offset says it all. */
static void
op_opendir(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        (void) inode;
        fuse_reply_open(req, fi);
}

static void
op_releasedir(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        (void) inode;
        (void) fi;
        fuse_reply_err(req, 0);
}

void
adapter_directory_operations(struct fuse_lowlevel_ops *ops)
{
        ops->opendir = op_opendir;
        ops->readdir = op_readdir;
        ops->readdirplus = op_readdirplus;
        ops->releasedir = op_releasedir;
        ops->fsyncdir = op_fsyncdir;
}
