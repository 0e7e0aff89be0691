/* fs/store_attribute.c - attributes: getattr and setattr. */
#include "fs/store_internal.h"

enum caefs_err
store_getattr(struct store *s, store_inode ino, struct stat *st)
{
        struct inode  *inode;
        enum caefs_err err = inode_hold(s, ino, &inode);

        if (err != CAEFS_OK)
                return err;
        inode_stat(s, inode, st);
        inode_release(s, inode);
        return CAEFS_OK;
}

/* Nanoseconds since 1970; what does not fit becomes the nearest that does. */
static int64_t
ns_of(const struct timespec *t)
{
        int64_t ns;

        if (__builtin_mul_overflow((int64_t) t->tv_sec, INT64_C(1000000000), &ns) ||
            __builtin_add_overflow(ns, (int64_t) t->tv_nsec, &ns))
                return t->tv_sec < 0 ? INT64_MIN : INT64_MAX;
        return ns;
}

/* Set-user-ID and set-group-ID go when somebody without privilege gives a file away. */
static void
drop_privileges(const struct store_caller *c, struct meta_inode *row)
{
        if (c != NULL && c->uid == 0)
                return;
        if (!S_ISREG(row->mode))
                return;
        row->mode &= ~(uint32_t) S_ISUID;
        if (row->mode & S_IXGRP)
                row->mode &= ~(uint32_t) S_ISGID;
}

static void
merge_times(struct inode_update *u, unsigned what, const struct stat *want, int64_t now)
{
        if (what & (STORE_SET_ATIME | STORE_SET_ATIME_NOW)) {
                u->row.atime = what & STORE_SET_ATIME_NOW ? now : ns_of(&want->st_atim);
                u->which |= ROW_ATIME;
        }
        if (what & (STORE_SET_MTIME | STORE_SET_MTIME_NOW)) {
                u->row.content.mtime = what & STORE_SET_MTIME_NOW ? now
                                                                  : ns_of(&want->st_mtim);
                u->which |= ROW_MTIME;
        }
        u->row.ctime = what & STORE_SET_CTIME ? ns_of(&want->st_ctim) : now;
        u->which |= ROW_CTIME;
}

static struct inode_update
attribute_update(struct store *s, const struct store_caller *c, struct inode *inode,
                 unsigned what, const struct stat *want)
{
        struct inode_update u = { .inode = inode, .row = inode_row(s, inode) };

        if (what & (STORE_SET_UID | STORE_SET_GID)) {
                if (what & STORE_SET_UID)
                        u.row.uid = want->st_uid;
                if (what & STORE_SET_GID)
                        u.row.gid = want->st_gid;
                drop_privileges(c, &u.row);
                u.which |= ROW_OWNER | ROW_MODE;
        }
        if (what & STORE_SET_MODE) {
                u.row.mode = (u.row.mode & S_IFMT) | (want->st_mode & 07777);
                u.which |= ROW_MODE;
        }
        merge_times(&u, what, want, now_ns());
        return u;
}

static enum caefs_err
write_attributes(struct store *s, const struct store_caller *c, struct inode *inode,
                 unsigned what, const struct stat *want)
{
        enum caefs_err err = change_begin(s, SPACE_NONE);

        if (err != CAEFS_OK)
                return err;
        struct inode_update u = attribute_update(s, c, inode, what, want);
        if (what & STORE_SET_MODE)
                err = acl_follow_mode(s, &u.row);
        if (err == CAEFS_OK)
                err = inodes_write(s, &u, 1);
        return change_end(s, err);
}

/* Times of a file that somebody writes, and nothing else: they are told at every close, and
 * the flush that follows takes them along.  False: it is no such case. */
static bool
note_times(struct store *s, struct inode *inode, struct content *content, unsigned what,
           const struct stat *want)
{
        if (what != (STORE_SET_MTIME | STORE_SET_CTIME))
                return false;
        pthread_mutex_lock(stripe_of(s, inode));
        const bool is_written = content->writers > 0 && inode->row.nlink > 0;
        if (is_written) {
                inode->row.content.mtime = ns_of(&want->st_mtim);
                inode->row.ctime = ns_of(&want->st_ctim);
                content->has_new_times = true;
        }
        pthread_mutex_unlock(stripe_of(s, inode));
        return is_written;
}

/* The mtime of a regular file goes with its content, which is kept for that; while somebody
 * writes, the next flush takes it along. */
static enum caefs_err
set_attributes(struct store *s, const struct store_caller *c, struct inode *inode,
               unsigned what, const struct stat *want)
{
        struct content *content;

        if (!(what & (STORE_SET_MTIME | STORE_SET_MTIME_NOW)) ||
            !S_ISREG(inode_row(s, inode).mode))
                return write_attributes(s, c, inode, what, want);
        enum caefs_err err = content_get(s, inode, &content);
        if (err != CAEFS_OK)
                return err;
        if (!note_times(s, inode, content, what, want))
                err = write_attributes(s, c, inode, what, want);
        pthread_mutex_lock(stripe_of(s, inode));
        bool is_settled = content->writers == 0;
        pthread_mutex_unlock(stripe_of(s, inode));
        if (err == CAEFS_OK && is_settled)
                draft_flush(s, inode);
        content_put(s, inode);
        return err;
}

/* The size, also of a file that nobody has open: then it is a whole session of writing. */
static enum caefs_err
set_size(struct store *s, struct inode *inode, const struct store_file *file, off_t size)
{
        struct meta_inode row = inode_row(s, inode);

        if (S_ISDIR(row.mode))
                return CAEFS_ERR_IS_DIRECTORY;
        if (!S_ISREG(row.mode) || size < 0)
                return CAEFS_ERR_ARGUMENT;
        if (s->options.read_only)
                return CAEFS_ERR_READ_ONLY;
        return file != NULL ? content_resize(s, inode, (uint64_t) size)
                            : content_truncate(s, inode, (uint64_t) size);
}

enum caefs_err
store_setattr(struct store *s, const struct store_caller *c, store_inode ino,
              struct store_file *file, unsigned what, const struct stat *want,
              struct stat *st)
{
        struct inode  *inode;
        enum caefs_err err = inode_hold(s, ino, &inode);

        if (err != CAEFS_OK)
                return err;
        if (what & STORE_SET_SIZE)
                err = set_size(s, inode, file, want->st_size);
        /* Setting nothing, as chown(-1, -1) does, is a change of the change time. */
        if (err == CAEFS_OK && what != STORE_SET_SIZE)
                err = set_attributes(s, c, inode, what & ~(unsigned) STORE_SET_SIZE, want);
        if (err == CAEFS_OK)
                inode_stat(s, inode, st);
        inode_release(s, inode);
        return err;
}
