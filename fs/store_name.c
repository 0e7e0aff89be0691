/* fs/store_name.c - names: lookup, making, linking, removing.
 *
 * Each change runs under the catalogue mutex from its first look to its last row, so
 * what it has checked still holds when it writes.
 */
#include <string.h>

#include "fs/store_internal.h"

static enum caefs_err
check_name(const char *name)
{
        size_t n = strlen(name);

        if (n == 0)
                return CAEFS_ERR_NO_ENTRY;
        if (n > STORE_NAME_MAX)
                return CAEFS_ERR_NAME_TOO_LONG;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/') != NULL)
                return CAEFS_ERR_ARGUMENT;
        return CAEFS_OK;
}

/* A directory that still has its name, with a hold; catalogue held. */
static enum caefs_err
hold_directory(struct store *s, uint64_t ino, struct inode **out)
{
        enum caefs_err err = inode_hold_locked(s, ino, out);

        if (err != CAEFS_OK)
                return err;
        struct meta_inode row = inode_row(s, *out);
        if (!S_ISDIR(row.mode))
                return CAEFS_ERR_NOT_DIRECTORY;
        return row.nlink == 0 ? CAEFS_ERR_NO_ENTRY : CAEFS_OK;
}

/* The directory's times, and its link count by LINKS. */
static struct inode_update
directory_update(struct store *s, struct inode *directory, int links, int64_t now)
{
        struct inode_update u = {
                .inode = directory,
                .row = inode_row(s, directory),
                .which = ROW_MTIME | ROW_CTIME | ROW_NLINK,
        };

        u.row.content.mtime = u.row.ctime = now;
        u.row.nlink += (uint32_t) links;
        return u;
}

static struct inode_update
link_update(struct store *s, struct inode *inode, int links, int64_t now)
{
        struct inode_update u = {
                .inode = inode,
                .row = inode_row(s, inode),
                .which = ROW_CTIME | ROW_NLINK,
        };

        u.row.ctime = now;
        u.row.nlink += (uint32_t) links;
        return u;
}

/* ---- lookup ------------------------------------------------------------- */

static enum caefs_err
lookup_in_catalogue(struct store *s, uint64_t directory, const char *name,
                    struct inode **inode)
{
        struct meta_entry entry;

        pthread_mutex_lock(&s->catalogue);
        enum caefs_err err = meta_entry_find(s->meta, directory, name, &entry);
        if (err == CAEFS_OK)
                err = inode_hold_locked(s, entry.ino, inode);
        if (err == CAEFS_OK)
                dentry_add(s, directory, name, *inode);
        pthread_mutex_unlock(&s->catalogue);
        return err;
}

/* The directory that has a name for INO. */
static enum caefs_err
parent_of(struct store *s, uint64_t ino, uint64_t *parent)
{
        struct meta_entry entry;

        *parent = STORE_ROOT_INODE;
        if (ino == STORE_ROOT_INODE)
                return CAEFS_OK;
        pthread_mutex_lock(&s->catalogue);
        enum caefs_err err = meta_entry_of(s->meta, ino, &entry);
        pthread_mutex_unlock(&s->catalogue);
        if (err == CAEFS_OK)
                *parent = entry.parent;
        return err;
}

/* "." of INO, which may be of any type, and "..": how file handles are opened again. */
static enum caefs_err
lookup_by_number(struct store *s, uint64_t ino, bool parent, struct stat *st)
{
        struct inode  *inode;
        enum caefs_err err = parent ? parent_of(s, ino, &ino) : CAEFS_OK;

        if (err == CAEFS_OK)
                err = inode_hold(s, ino, &inode);
        if (err != CAEFS_OK)
                return err == CAEFS_ERR_NO_ENTRY ? CAEFS_ERR_STALE : err;
        inode_stat(s, inode, st);
        if (st->st_nlink == 0) {
                inode_release(s, inode);
                return CAEFS_ERR_STALE;
        }
        inode_hold_to_lookup(s, inode);
        return CAEFS_OK;
}

enum caefs_err
store_lookup(struct store *s, store_inode directory, const char *name, struct stat *st)
{
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return lookup_by_number(s, directory, name[1] == '.', st);
        enum caefs_err err = check_name(name);
        if (err != CAEFS_OK)
                return err;
        struct inode *inode = dentry_find(s, directory, name);
        if (inode == NULL)
                err = lookup_in_catalogue(s, directory, name, &inode);
        if (err != CAEFS_OK)
                return err;
        inode_stat(s, inode, st);
        inode_hold_to_lookup(s, inode);
        return CAEFS_OK;
}

/* ---- making ------------------------------------------------------------- */

/* Who owns what C makes in a directory: a setgid directory hands its group down, and
 * to directories the bit as well. */
static void
set_owner(struct meta_inode *row, const struct store_caller *c, const struct meta_inode *parent)
{
        row->uid = c->uid;
        row->gid = c->gid;
        if (parent->mode & S_ISGID) {
                row->gid = parent->gid;
                if (S_ISDIR(row->mode))
                        row->mode |= S_ISGID;
        }
}

/* Rows of ROW under NAME; catalogue held, within a change. */
static enum caefs_err
insert_inode(struct store *s, struct inode *directory, const char *name,
             struct meta_inode *row, const char *target, struct bytes *acl)
{
        bool                is_directory = S_ISDIR(row->mode);
        struct inode_update u = directory_update(s, directory, is_directory, row->ctime);

        if (is_directory && u.row.nlink > STORE_LINK_MAX)
                return CAEFS_ERR_TOO_MANY_LINKS;
        /* A name that is there already is refused when its entry is inserted. */
        enum caefs_err err = meta_inode_insert(s->meta, row);
        if (err == CAEFS_OK && target != NULL)
                err = meta_target_write(s->meta, row->ino, target);
        if (err == CAEFS_OK)
                err = acl_inherit_write(s, row, acl);
        if (err == CAEFS_OK)
                err = meta_entry_insert(s->meta, directory->row.ino, name, row->ino, NULL);
        if (err == CAEFS_OK)
                err = inodes_write(s, &u, 1);
        return err;
}

enum caefs_err
name_make(struct store *s, const struct store_caller *c, store_inode directory,
          const char *name, struct meta_inode *row, const char *target, struct inode **out)
{
        struct inode  *parent = NULL;
        struct bytes   acl = { 0 };
        enum caefs_err err = check_name(name);

        *out = NULL;
        if (err == CAEFS_ERR_ARGUMENT)
                err = CAEFS_ERR_EXISTS; /* "." and ".." are there */
        if (err == CAEFS_OK)
                err = change_begin(s, SPACE_SOME);
        if (err != CAEFS_OK)
                return err;
        row->atime = row->ctime = row->content.mtime = now_ns();
        row->nlink = S_ISDIR(row->mode) ? 2 : 1;
        err = hold_directory(s, directory, &parent);
        if (err == CAEFS_OK) {
                struct meta_inode parent_row = inode_row(s, parent);
                set_owner(row, c, &parent_row);
                err = acl_inherit(s, &parent_row, c->umask, row, &acl);
        }
        if (err == CAEFS_OK)
                err = insert_inode(s, parent, name, row, target, &acl);
        if (err == CAEFS_OK)
                err = inode_hold_new(s, row, out);
        if (err == CAEFS_OK)
                dentry_add(s, directory, name, *out);
        err = change_end(s, err);
        inode_release(s, parent);
        bytes_free(&acl);
        return err;
}

/* The same, and a lookup for the caller. */
static enum caefs_err
make_and_look_up(struct store *s, const struct store_caller *c, store_inode directory,
                 const char *name, struct meta_inode *row, const char *target,
                 struct stat *st)
{
        struct inode  *inode;
        enum caefs_err err = name_make(s, c, directory, name, row, target, &inode);

        if (err != CAEFS_OK)
                return err;
        inode_stat(s, inode, st);
        inode_hold_to_lookup(s, inode);
        return CAEFS_OK;
}

enum caefs_err
store_mknod(struct store *s, const struct store_caller *c, store_inode directory,
            const char *name, mode_t mode, dev_t device, struct stat *st)
{
        struct meta_inode row = { .mode = mode & (S_IFMT | 07777) };

        if ((mode & S_IFMT) == 0)
                row.mode |= S_IFREG;
        if (S_ISBLK(row.mode) || S_ISCHR(row.mode))
                row.rdev = device;
        else if (!S_ISREG(row.mode) && !S_ISFIFO(row.mode) && !S_ISSOCK(row.mode))
                return CAEFS_ERR_PERMISSION;
        return make_and_look_up(s, c, directory, name, &row, NULL, st);
}

enum caefs_err
store_mkdir(struct store *s, const struct store_caller *c, store_inode directory,
            const char *name, mode_t mode, struct stat *st)
{
        struct meta_inode row = { .mode = S_IFDIR | (mode & 07777) };

        return make_and_look_up(s, c, directory, name, &row, NULL, st);
}

enum caefs_err
store_symlink(struct store *s, const struct store_caller *c, store_inode directory,
              const char *name, const char *target, struct stat *st)
{
        size_t            n = strlen(target);
        struct meta_inode row = { .mode = S_IFLNK | 0777, .content.size = n };

        if (n == 0)
                return CAEFS_ERR_NO_ENTRY;
        if (n > STORE_TARGET_MAX)
                return CAEFS_ERR_NAME_TOO_LONG;
        return make_and_look_up(s, c, directory, name, &row, target, st);
}

enum caefs_err
store_readlink(struct store *s, store_inode ino, char *target, size_t size)
{
        struct inode *inode;

        if (size == 0)
                return CAEFS_ERR_ARGUMENT;
        enum caefs_err err = inode_hold(s, ino, &inode);
        if (err != CAEFS_OK)
                return err;
        if (S_ISLNK(inode_row(s, inode).mode)) {
                pthread_mutex_lock(&s->catalogue);
                err = meta_target_read(s->meta, ino, target, size);
                pthread_mutex_unlock(&s->catalogue);
                if (err == CAEFS_ERR_NO_ENTRY)
                        err = CAEFS_ERR_CORRUPT;
        } else {
                err = CAEFS_ERR_ARGUMENT;
        }
        inode_release(s, inode);
        return err;
}

/* ---- linking ------------------------------------------------------------ */

static enum caefs_err
insert_link(struct store *s, struct inode *inode, struct inode *directory, const char *name)
{
        int64_t             now = now_ns();
        struct inode_update u[] = {
                link_update(s, inode, +1, now),
                directory_update(s, directory, 0, now),
        };
        struct meta_entry   entry;

        if (S_ISDIR(u[0].row.mode))
                return CAEFS_ERR_PERMISSION;
        if (u[0].row.nlink == 1)
                return CAEFS_ERR_NO_ENTRY;      /* it had no name any more */
        if (u[0].row.nlink > STORE_LINK_MAX)
                return CAEFS_ERR_TOO_MANY_LINKS;
        enum caefs_err err = meta_entry_find(s->meta, directory->row.ino, name, &entry);
        if (err != CAEFS_ERR_NO_ENTRY)
                return err == CAEFS_OK ? CAEFS_ERR_EXISTS : err;
        err = meta_entry_insert(s->meta, directory->row.ino, name, inode->row.ino, NULL);
        return err == CAEFS_OK ? inodes_write(s, u, 2) : err;
}

enum caefs_err
store_link(struct store *s, store_inode ino, store_inode directory, const char *name,
           struct stat *st)
{
        struct inode  *inode = NULL, *parent = NULL;
        enum caefs_err err = check_name(name);

        if (err == CAEFS_OK)
                err = change_begin(s, SPACE_SOME);
        if (err != CAEFS_OK)
                return err;
        err = inode_hold_locked(s, ino, &inode);
        if (err == CAEFS_OK)
                err = hold_directory(s, directory, &parent);
        if (err == CAEFS_OK)
                err = insert_link(s, inode, parent, name);
        if (err == CAEFS_OK)
                dentry_add(s, directory, name, inode);
        err = change_end(s, err);
        inode_release(s, parent);
        if (err != CAEFS_OK) {
                inode_release(s, inode);
                return err;
        }
        inode_stat(s, inode, st);
        inode_hold_to_lookup(s, inode);
        return CAEFS_OK;
}

/* ---- removing ----------------------------------------------------------- */

static enum caefs_err
remove_entry(struct store *s, struct inode *directory, const struct meta_entry *entry,
             struct inode *inode, bool wants_directory)
{
        int64_t           now = now_ns();
        struct meta_inode row = inode_row(s, inode);
        bool              empty;

        if (wants_directory && !S_ISDIR(row.mode))
                return CAEFS_ERR_NOT_DIRECTORY;
        if (!wants_directory && S_ISDIR(row.mode))
                return CAEFS_ERR_IS_DIRECTORY;
        if (wants_directory) {
                enum caefs_err err = meta_directory_is_empty(s->meta, row.ino, &empty);
                if (err != CAEFS_OK || !empty)
                        return err == CAEFS_OK ? CAEFS_ERR_NOT_EMPTY : err;
        }
        enum caefs_err err = meta_entry_delete(s->meta, entry->entry);
        if (err != CAEFS_OK)
                return err;
        struct inode_update u[] = {
                link_update(s, inode, wants_directory ? -(int) row.nlink : -1, now),
                directory_update(s, directory, wants_directory ? -1 : 0, now),
        };
        err = inodes_write(s, u, 2);
        if (err == CAEFS_OK)
                dentry_remove(s, directory->row.ino, entry->name);
        return err;
}

static enum caefs_err
remove_name(struct store *s, store_inode directory, const char *name, bool wants_directory)
{
        struct inode     *parent = NULL, *inode = NULL;
        struct meta_entry entry;
        enum caefs_err    err = check_name(name);

        if (err == CAEFS_ERR_ARGUMENT && strcmp(name, "..") == 0)
                err = CAEFS_ERR_NOT_EMPTY;
        if (err == CAEFS_OK)
                err = change_begin(s, SPACE_NONE);
        if (err != CAEFS_OK)
                return err;
        err = hold_directory(s, directory, &parent);
        if (err == CAEFS_OK)
                err = meta_entry_find(s->meta, directory, name, &entry);
        if (err == CAEFS_OK)
                err = inode_hold_locked(s, entry.ino, &inode);
        if (err == CAEFS_OK)
                err = remove_entry(s, parent, &entry, inode, wants_directory);
        err = change_end(s, err);
        inode_release(s, inode);
        inode_release(s, parent);
        return err;
}

enum caefs_err
store_unlink(struct store *s, store_inode directory, const char *name)
{
        return remove_name(s, directory, name, false);
}

enum caefs_err
store_rmdir(struct store *s, store_inode directory, const char *name)
{
        return remove_name(s, directory, name, true);
}
