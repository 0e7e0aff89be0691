/* fs/store_rename.c - rename(2) with its flags. */
#include <stdio.h>
#include <string.h>

#include "fs/store_internal.h"

/* One of the two names; the inodes are held. */
struct end {
        struct inode     *directory;
        struct inode     *inode;        /* NULL: no such name (the target only) */
        struct meta_entry entry;
        bool              is_directory;
        const char       *name;
};

static enum caefs_err
find_end(struct store *s, uint64_t directory, const char *name, struct end *out)
{
        size_t n = strlen(name);

        *out = (struct end) { .name = name };
        if (n > STORE_NAME_MAX)
                return CAEFS_ERR_NAME_TOO_LONG;
        if (n == 0 || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
            strcmp(name, "..") == 0)
                return CAEFS_ERR_BUSY;          /* as the kernel says for "." */
        enum caefs_err err = inode_hold_locked(s, directory, &out->directory);
        if (err != CAEFS_OK)
                return err;
        struct meta_inode row = inode_row(s, out->directory);
        if (!S_ISDIR(row.mode))
                return CAEFS_ERR_NOT_DIRECTORY;
        if (row.nlink == 0)
                return CAEFS_ERR_NO_ENTRY;
        err = meta_entry_find(s->meta, directory, name, &out->entry);
        if (err == CAEFS_ERR_NO_ENTRY)
                return CAEFS_OK;
        if (err == CAEFS_OK)
                err = inode_hold_locked(s, out->entry.ino, &out->inode);
        if (err == CAEFS_OK)
                out->is_directory = S_ISDIR(inode_row(s, out->inode).mode);
        return err;
}

static void
release_end(struct store *s, struct end *e)
{
        inode_release(s, e->inode);
        inode_release(s, e->directory);
}

/* Is directory INO, or one of those it lies in, ANCESTOR? */
static enum caefs_err
is_below(struct store *s, uint64_t ino, uint64_t ancestor, bool *below)
{
        struct meta_entry entry = { 0 };
        enum caefs_err    err = CAEFS_OK;

        while (err == CAEFS_OK && ino != ancestor && ino != STORE_ROOT_INODE) {
                err = meta_entry_of(s->meta, ino, &entry);
                ino = entry.parent;
        }
        *below = ino == ancestor;
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}

/* A directory may not go into itself. */
static enum caefs_err
check_loop(struct store *s, const struct end *from, const struct end *to)
{
        bool below = false;

        if (!from->is_directory || from->directory == to->directory)
                return CAEFS_OK;
        enum caefs_err err = is_below(s, to->directory->row.ino, from->inode->row.ino, &below);
        return err == CAEFS_OK && below ? CAEFS_ERR_ARGUMENT : err;
}

/* May the target, which is there, be replaced? */
static enum caefs_err
check_replace(struct store *s, const struct end *from, const struct end *to)
{
        bool empty = true;

        if (from->is_directory && !to->is_directory)
                return CAEFS_ERR_NOT_DIRECTORY;
        if (!from->is_directory && to->is_directory)
                return CAEFS_ERR_IS_DIRECTORY;
        enum caefs_err err = CAEFS_OK;
        if (to->is_directory)
                err = meta_directory_is_empty(s->meta, to->inode->row.ino, &empty);
        return err == CAEFS_OK && !empty ? CAEFS_ERR_NOT_EMPTY : err;
}

/* The update of INODE in the list, added to it at need. */
static struct inode_update *
update_of(struct store *s, struct inode_update *list, size_t *count, struct inode *inode)
{
        for (size_t i = 0; i < *count; i++)
                if (list[i].inode == inode)
                        return &list[i];
        list[*count] = (struct inode_update) { .inode = inode, .row = inode_row(s, inode) };
        return &list[(*count)++];
}

/* Times of both directories and inodes; link counts where directories change places. */
static enum caefs_err
write_inodes(struct store *s, const struct end *from, const struct end *to, bool exchange)
{
        struct inode_update list[4], *u;
        size_t              count = 0;
        int64_t             now = now_ns();

        u = update_of(s, list, &count, from->directory);
        u->row.nlink -= from->is_directory;
        u->row.nlink += exchange && to->is_directory;
        u = update_of(s, list, &count, to->directory);
        u->row.nlink += from->is_directory;
        u->row.nlink -= to->inode != NULL && to->is_directory;
        for (size_t i = 0; i < count; i++) {
                list[i].which = ROW_NLINK | ROW_MTIME | ROW_CTIME;
                list[i].row.content.mtime = list[i].row.ctime = now;
        }
        u = update_of(s, list, &count, from->inode);
        u->which |= ROW_CTIME;
        u->row.ctime = now;
        if (to->inode != NULL) {
                u = update_of(s, list, &count, to->inode);
                u->which |= ROW_CTIME | ROW_NLINK;
                u->row.ctime = now;
                if (!exchange)
                        u->row.nlink = to->is_directory ? 0 : u->row.nlink - 1;
        }
        return inodes_write(s, list, count);
}

static enum caefs_err
exchange_names(struct store *s, const struct end *from, const struct end *to)
{
        enum caefs_err err = check_loop(s, from, to);

        if (err == CAEFS_OK)
                err = check_loop(s, to, from);
        if (err == CAEFS_OK)
                err = meta_entry_point(s->meta, from->entry.entry, to->inode->row.ino);
        if (err == CAEFS_OK)
                err = meta_entry_point(s->meta, to->entry.entry, from->inode->row.ino);
        return err == CAEFS_OK ? write_inodes(s, from, to, true) : err;
}

static enum caefs_err
move_name(struct store *s, const struct end *from, const struct end *to)
{
        enum caefs_err err = check_loop(s, from, to);

        if (err == CAEFS_OK && to->inode != NULL)
                err = check_replace(s, from, to);
        if (err == CAEFS_OK && to->inode != NULL)
                err = meta_entry_delete(s->meta, to->entry.entry);
        if (err == CAEFS_OK)
                err = meta_entry_move(s->meta, from->entry.entry, to->directory->row.ino,
                                      to->name);
        return err == CAEFS_OK ? write_inodes(s, from, to, false) : err;
}

/* What overlay file systems leave under the old name: a device of number 0. */
static enum caefs_err
leave_whiteout(struct store *s, const struct end *from)
{
        const struct meta_inode moved = inode_row(s, from->inode);
        const int64_t           now = now_ns();
        struct meta_inode       row = {
                .mode = S_IFCHR, .nlink = 1, .uid = moved.uid, .gid = moved.gid,
                .atime = now, .ctime = now, .content.mtime = now,
        };
        enum caefs_err          err = meta_inode_insert(s->meta, &row);

        return err == CAEFS_OK ? meta_entry_insert(s->meta, from->directory->row.ino,
                                                   from->name, row.ino, NULL)
                               : err;
}

static enum caefs_err
rename_ends(struct store *s, const struct end *from, const struct end *to, unsigned flags)
{
        enum caefs_err err;

        if (from->inode == NULL)
                return CAEFS_ERR_NO_ENTRY;
        if (flags == RENAME_EXCHANGE) {
                if (to->inode == NULL)
                        return CAEFS_ERR_NO_ENTRY;
                if (to->inode == from->inode)
                        return CAEFS_OK;
                err = exchange_names(s, from, to);
        } else {
                if (to->inode != NULL && (flags & RENAME_NOREPLACE))
                        return CAEFS_ERR_EXISTS;
                if (to->inode == from->inode)
                        return CAEFS_OK;        /* two names of one file: POSIX says nothing happens */
                err = move_name(s, from, to);
                if (err == CAEFS_OK && (flags & RENAME_WHITEOUT))
                        err = leave_whiteout(s, from);
        }
        if (err != CAEFS_OK)
                return err;
        dentry_remove(s, from->directory->row.ino, from->name);
        dentry_remove(s, to->directory->row.ino, to->name);
        draft_order(s, from->inode);
        if (to->inode != NULL && flags == RENAME_EXCHANGE)
                draft_order(s, to->inode);
        return CAEFS_OK;
}

enum caefs_err
store_rename(struct store *s, store_inode from_directory, const char *from_name,
             store_inode to_directory, const char *to_name, unsigned flags)
{
        struct end     from = { 0 }, to = { 0 };
        enum caefs_err err;

        if (flags != RENAME_EXCHANGE && (flags & ~(unsigned) (RENAME_NOREPLACE | RENAME_WHITEOUT)))
                return CAEFS_ERR_ARGUMENT;
        err = change_begin(s, flags & RENAME_WHITEOUT ? SPACE_SOME : SPACE_NONE);
        if (err != CAEFS_OK)
                return err;
        err = find_end(s, from_directory, from_name, &from);
        if (err == CAEFS_OK)
                err = find_end(s, to_directory, to_name, &to);
        if (err == CAEFS_OK && from.inode != NULL)
                draft_flush(s, from.inode);
        if (err == CAEFS_OK)
                err = rename_ends(s, &from, &to, flags);
        err = change_end(s, err);
        release_end(s, &from);
        release_end(s, &to);
        return err;
}
