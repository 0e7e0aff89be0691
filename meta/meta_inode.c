/* meta/meta_inode.c - rows of inodes and of what belongs to one alone. */
#include <string.h>
#include <sys/stat.h>

#include "meta/meta_internal.h"

/* The row of ST_INODE_READ and ST_STAGED_LIST.  A catalogue may be damaged: what
 * makes no sense is refused here, once. */
static enum caefs_err
inode_of_row(sqlite3_stmt *s, struct meta_inode *out)
{
        int64_t state = sqlite3_column_int64(s, 9);
        int64_t size = sqlite3_column_int64(s, 10);

        *out = (struct meta_inode) {
                .ino = (uint64_t) sqlite3_column_int64(s, 0),
                .mode = (uint32_t) sqlite3_column_int64(s, 1),
                .nlink = (uint32_t) sqlite3_column_int64(s, 2),
                .uid = (uint32_t) sqlite3_column_int64(s, 3),
                .gid = (uint32_t) sqlite3_column_int64(s, 4),
                .rdev = (uint64_t) sqlite3_column_int64(s, 5),
                .atime = sqlite3_column_int64(s, 6),
                .ctime = sqlite3_column_int64(s, 7),
                .content = {
                        .mtime = sqlite3_column_int64(s, 8),
                        .state = (enum meta_state) state,
                        .size = (uint64_t) size,
                        .generation = (uint64_t) sqlite3_column_int64(s, 11),
                        .object = (uint64_t) sqlite3_column_int64(s, 12),
                },
                .has_xattrs = sqlite3_column_int(s, 13),
                .has_capability = sqlite3_column_int(s, 14),
                .stored_bytes = (uint64_t) sqlite3_column_int64(s, 15),
        };
        if (state < META_EMPTY || state > META_SEALED || size < 0 ||
            (state != META_EMPTY && !S_ISREG(out->mode)))
                return caefs_fail(CAEFS_ERR_CORRUPT, "inode %llu: its row makes no sense",
                                  (unsigned long long) out->ino);
        return CAEFS_OK;
}

enum caefs_err
meta_inode_read(struct meta *m, uint64_t ino, struct meta_inode *out)
{
        sqlite3_stmt *s = meta_bind(m, ST_INODE_READ, "i", ino);
        enum caefs_err err = meta_step(m, s);

        if (err == CAEFS_OK) {
                err = inode_of_row(s, out);
                meta_done(s);
        }
        return err;
}

enum caefs_err
meta_inode_insert(struct meta *m, struct meta_inode *i)
{
        const struct meta_content *c = &i->content;
        enum caefs_err err = meta_change(
                m, ST_INODE_INSERT, "iiiiiiiiiiii", (uint64_t) i->mode, (uint64_t) i->nlink,
                (uint64_t) i->uid, (uint64_t) i->gid, i->rdev, i->atime, i->ctime, c->mtime,
                (uint64_t) c->state, c->size, c->generation, c->object);

        if (err == CAEFS_OK)
                i->ino = (uint64_t) sqlite3_last_insert_rowid(m->db);
        return err;
}

enum caefs_err
meta_inode_write(struct meta *m, const struct meta_inode *i, bool keep_mtime)
{
        if (keep_mtime)
                return meta_change(m, ST_INODE_WRITE_KEEP_MTIME, "iiiiiiii",
                                   (uint64_t) i->mode, (uint64_t) i->nlink,
                                   (uint64_t) i->uid, (uint64_t) i->gid, i->rdev, i->atime,
                                   i->ctime, i->ino);
        return meta_change(m, ST_INODE_WRITE, "iiiiiiiii", (uint64_t) i->mode,
                           (uint64_t) i->nlink, (uint64_t) i->uid, (uint64_t) i->gid,
                           i->rdev, i->atime, i->ctime, i->content.mtime, i->ino);
}

enum caefs_err
meta_inode_write_content(struct meta *m, uint64_t ino, const struct meta_content *c,
                         int64_t ctime)
{
        return meta_change(m, ST_INODE_CONTENT, "iiiiiii", (uint64_t) c->state, c->size,
                           c->generation, c->object, c->mtime, ctime, ino);
}

enum caefs_err
meta_inode_delete(struct meta *m, uint64_t ino)
{
        static const enum statement parts[] = {
                ST_TARGET_DELETE, ST_XATTR_CLEAR, ST_PROPERTY_CLEAR, ST_INODE_DELETE,
        };
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; err == CAEFS_OK && i < sizeof parts / sizeof parts[0]; i++)
                err = meta_change(m, parts[i], "i", ino);
        return err;
}

enum caefs_err
meta_inode_skip(struct meta *m, uint64_t count)
{
        return meta_change(m, ST_INODE_SKIP, "i", count);
}

enum caefs_err
meta_unlinked_list(struct meta *m, uint64_t after, uint64_t *inodes, size_t limit,
                   size_t *count)
{
        sqlite3_stmt *s = meta_bind(m, ST_UNLINKED_LIST, "ii", after, (uint64_t) limit);
        enum caefs_err err;

        *count = 0;
        while ((err = meta_step(m, s)) == CAEFS_OK)
                inodes[(*count)++] = (uint64_t) sqlite3_column_int64(s, 0);
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}

enum caefs_err
meta_staged_list(struct meta *m, uint64_t after, struct meta_inode *inodes, size_t limit,
                 size_t *count)
{
        sqlite3_stmt *s = meta_bind(m, ST_STAGED_LIST, "ii", after, (uint64_t) limit);
        enum caefs_err err;

        *count = 0;
        while ((err = meta_step(m, s)) == CAEFS_OK) {
                err = inode_of_row(s, &inodes[*count]);
                if (err != CAEFS_OK) {
                        meta_done(s);
                        return err;
                }
                (*count)++;
        }
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_OK : err;
}

enum caefs_err
meta_generation_max(struct meta *m, uint64_t *generation)
{
        sqlite3_stmt *s = meta_bind(m, ST_GENERATION_MAX, "");
        enum caefs_err err = meta_step(m, s);

        *generation = 0;
        if (err == CAEFS_OK) {
                *generation = (uint64_t) sqlite3_column_int64(s, 0);
                meta_done(s);
        }
        return err;
}

enum caefs_err
meta_trouble_write(struct meta *m, uint64_t ino, const char *sentence)
{
        return meta_change(m, ST_TROUBLE_WRITE, "si", sentence, ino);
}

/* One text of one row; with the errors of meta_step(). */
static enum caefs_err
read_text(struct meta *m, sqlite3_stmt *s, char *out, size_t size)
{
        enum caefs_err err = meta_step(m, s);

        if (err == CAEFS_OK) {
                meta_column_text(s, 0, out, size);
                meta_done(s);
        }
        return err;
}

enum caefs_err
meta_trouble_read(struct meta *m, uint64_t ino, char *sentence, size_t size)
{
        return read_text(m, meta_bind(m, ST_TROUBLE_READ, "i", ino), sentence, size);
}

enum caefs_err
meta_target_write(struct meta *m, uint64_t ino, const char *target)
{
        return meta_change(m, ST_TARGET_WRITE, "in", ino, target);
}

enum caefs_err
meta_target_read(struct meta *m, uint64_t ino, char *target, size_t size)
{
        return read_text(m, meta_bind(m, ST_TARGET_READ, "i", ino), target, size);
}
