/* fs/fuse_files.c - open files: create, read, write, release. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/fuse_adapter.h"
#include "fs/fuse_control.h"

/* ---- open and release --------------------------------------------------- */

/* With the writeback cache the kernel reads a page before it changes a part of it,
 * so whoever opens for writing must be able to read; and it decides itself where the
 * end of the file is, so O_APPEND is not for us. */
static int
flags_for_store(int flags)
{
        if ((flags & O_ACCMODE) == O_WRONLY)
                flags = (flags & ~O_ACCMODE) | O_RDWR;
        return flags & ~O_APPEND;
}

/* Makes FILE the handle of FI. */
static enum caefs_err
take_file(struct adapter *a, struct store_file *file, fuse_ino_t inode, struct fuse_file_info *fi)
{
        const bool writable = (fi->flags & O_ACCMODE) != O_RDONLY;
        const bool changed = store_file_changed(file);
        struct adapter_handle *h = adapter_handle_new(a, file, inode, writable);

        if (h == NULL)
                return CAEFS_ERR_NOMEM;
        fi->fh = (uintptr_t) h;
        fi->keep_cache = !changed;
        return CAEFS_OK;
}

static void
op_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        struct adapter *a = adapter_of(req);
        struct store_file *file;
        enum caefs_err err;

        if (control_owns(inode)) {
                control_open(req, inode, fi);
                return;
        }
        err = store_file_open(a->store, inode, flags_for_store(fi->flags), &file);
        if (err == CAEFS_OK)
                err = take_file(a, file, inode, fi);
        if (err != CAEFS_OK)
                adapter_reply(req, err);
        else if (fuse_reply_open(req, fi) != 0)
                adapter_handle_free(a, adapter_handle(fi));
}

static void
op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
          struct fuse_file_info *fi)
{
        struct adapter *a = adapter_of(req);
        const struct store_caller caller = adapter_caller(req);
        struct fuse_entry_param entry;
        struct store_file *file;
        struct stat st;
        enum caefs_err err;

        if (control_owns(parent) || adapter_reserved_name(parent, name)) {
                control_create(req, parent, name, fi);
                return;
        }
        err = store_create(a->store, &caller, parent, name, mode, flags_for_store(fi->flags), &st,
                           &file);
        if (err != CAEFS_OK) {
                adapter_reply(req, err);
                return;
        }
        err = take_file(a, file, st.st_ino, fi);
        if (err != CAEFS_OK) {
                store_forget(a->store, st.st_ino, 1);
                adapter_reply(req, err);
                return;
        }
        adapter_fill_entry(a, &entry, &st);
        if (fuse_reply_create(req, &entry, fi) != 0) {
                adapter_handle_free(a, adapter_handle(fi));
                store_forget(a->store, st.st_ino, 1);
        }
}

/* There is no op_flush: the kernel writes dirty pages and times back at each close(2), and
 * tells of errors, before it would ask for one; the rest is done at release.  Without it,
 * opening and closing is one request that somebody waits for, not two. */
static void
op_release(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        if (control_owns(inode)) {
                control_release(req, fi);
                return;
        }
        adapter_handle_free(adapter_of(req), adapter_handle(fi));
        fuse_reply_err(req, 0);
}

static void
op_fsync(fuse_req_t req, fuse_ino_t inode, int data_only, struct fuse_file_info *fi)
{
        if (control_owns(inode))
                control_fsync(req, fi);
        else
                adapter_reply(req, store_file_sync(adapter_handle(fi)->file, data_only != 0));
}

/* ---- bytes -------------------------------------------------------------- */

/* Decoded chunks go to the kernel from where they are. */
static void
op_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *fi)
{
        struct adapter *a = adapter_of(req);
        struct store_view view;
        void *buffer;
        enum caefs_err err;

        if (control_owns(inode)) {
                control_read(req, size, offset, fi);
                return;
        }
        buffer = adapter_buffer(size);
        err = buffer == NULL ? CAEFS_ERR_NOMEM
                             : store_file_view(adapter_handle(fi)->file, buffer, size,
                                               (uint64_t) offset, &view);
        if (err != CAEFS_OK) {
                adapter_reply(req, err);
                return;
        }
        fuse_reply_iov(req, view.piece, (int) view.npieces);
        store_view_release(a->store, &view);
}

static void
op_write(fuse_req_t req, fuse_ino_t inode, const char *data, size_t size, off_t offset,
         struct fuse_file_info *fi)
{
        size_t put;
        enum caefs_err err;

        if (control_owns(inode)) {
                control_write(req, data, size, offset, fi);
                return;
        }
        err = store_file_write(adapter_handle(fi)->file, data, size, (uint64_t) offset, &put);
        if (err != CAEFS_OK)
                adapter_reply(req, err);
        else
                fuse_reply_write(req, put);
}

static void
op_fallocate(fuse_req_t req, fuse_ino_t inode, int mode, off_t offset, off_t length,
             struct fuse_file_info *fi)
{
        if (control_owns(inode))
                adapter_reply(req, CAEFS_ERR_UNSUPPORTED);
        else
                adapter_reply(req, store_file_allocate(adapter_handle(fi)->file, mode,
                                                       (uint64_t) offset, (uint64_t) length));
}

/* ---- holes -------------------------------------------------------------- */

struct seek {
        fuse_req_t         req;
        struct adapter    *adapter;
        fuse_ino_t         inode;
        struct store_file *file;
        uint64_t           offset;
        int                whence;
};

static void
answer_seek(const struct seek *k)
{
        uint64_t found;
        const enum caefs_err err = store_file_seek(k->file, k->offset, k->whence, &found);

        if (err != CAEFS_OK)
                adapter_reply(k->req, err);
        else
                fuse_reply_lseek(k->req, (off_t) found);
}

static void *
seek_after_writeback(void *argument)
{
        struct seek *k = argument;
        struct adapter *a = k->adapter;

        fuse_lowlevel_notify_inval_inode(a->session, k->inode, 0, 0);
        answer_seek(k);
        free(k);
        adapter_helper_done(a);
        return NULL;
}

/* The kernel asks for holes without writing its dirty pages first; what lies in them
 * would look like a hole here, and a copying program would lose it.  So, when
 * somebody has the file open for writing, its pages are called in before the
 * answer.  They arrive as requests, so no thread that serves requests may wait for them. */
static void
op_lseek(fuse_req_t req, fuse_ino_t inode, off_t offset, int whence, struct fuse_file_info *fi)
{
        struct seek k = { .req = req, .adapter = adapter_of(req), .inode = inode,
                          .offset = (uint64_t) offset, .whence = whence };
        struct seek *later;

        if (control_owns(inode)) {
                adapter_reply(req, CAEFS_ERR_UNSUPPORTED);
                return;
        }
        k.file = adapter_handle(fi)->file;
        if (!adapter_has_writer(k.adapter, inode)) {
                answer_seek(&k);
                return;
        }
        later = malloc(sizeof *later);
        if (later == NULL) {
                adapter_reply(req, CAEFS_ERR_NOMEM);
                return;
        }
        *later = k;
        if (!adapter_helper_start(k.adapter, seek_after_writeback, later)) {
                free(later);
                adapter_reply(req, CAEFS_ERR_NOMEM);
        }
}

static void
op_copy_file_range(fuse_req_t req, fuse_ino_t from_inode, off_t from_offset,
                   struct fuse_file_info *from, fuse_ino_t to_inode, off_t to_offset,
                   struct fuse_file_info *to, size_t length, int flags)
{
        uint64_t copied;
        enum caefs_err err;

        (void) flags;                   /* none are defined */
        if (control_owns(from_inode) || control_owns(to_inode)) {
                adapter_reply(req, CAEFS_ERR_UNSUPPORTED);
                return;
        }
        err = store_file_copy(adapter_handle(from)->file, (uint64_t) from_offset,
                              adapter_handle(to)->file, (uint64_t) to_offset, length, &copied);
        if (err != CAEFS_OK)
                adapter_reply(req, err);
        else
                fuse_reply_write(req, copied);
}

void
adapter_file_operations(struct fuse_lowlevel_ops *ops)
{
        ops->open = op_open;
        ops->create = op_create;
        ops->release = op_release;
        ops->fsync = op_fsync;
        ops->read = op_read;
        ops->write = op_write;
        ops->fallocate = op_fallocate;
        ops->lseek = op_lseek;
        ops->copy_file_range = op_copy_file_range;
}
