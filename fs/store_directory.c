/* fs/store_directory.c - walking a directory.
 *
 * Entries come in the order of their numbers, in batches: the catalogue is held for a
 * batch and not while the caller takes entries.
 */
#include <stdlib.h>

#include "fs/store_internal.h"

#define BATCH 64

/* One entry on its way to the caller. */
struct walked {
        struct meta_entry entry;
        struct meta_inode row;
        struct inode     *inode;        /* held; NULL: not in memory and not wanted */
};

/* The inode or its row; catalogue held. */
static enum caefs_err
find_inode(struct store *s, struct walked *w, bool reference)
{
        if (reference) {
                enum caefs_err err = inode_hold_locked(s, w->entry.ino, &w->inode);
                if (err == CAEFS_OK) {
                        w->row = inode_row(s, w->inode);
                        dentry_add(s, w->entry.parent, w->entry.name, w->inode);
                }
                return err;
        }
        w->inode = inode_hold_present(s, w->entry.ino);
        if (w->inode == NULL)
                return meta_inode_read(s->meta, w->entry.ino, &w->row);
        w->row = inode_row(s, w->inode);
        return CAEFS_OK;
}

static enum caefs_err
read_batch(struct store *s, uint64_t directory, uint64_t after, bool reference,
           struct walked *walked, size_t *count)
{
        struct meta_entry *entries = calloc(BATCH, sizeof *entries);

        *count = 0;
        if (entries == NULL)
                return CAEFS_ERR_NOMEM;
        size_t found = 0;
        pthread_mutex_lock(&s->catalogue);
        enum caefs_err err = meta_entry_list(s->meta, directory, after, entries, BATCH,
                                             &found);
        for (size_t i = 0; err == CAEFS_OK && i < found; i++) {
                walked[i] = (struct walked) { .entry = entries[i] };
                err = find_inode(s, &walked[i], reference);
                if (err == CAEFS_OK)
                        (*count)++;
        }
        pthread_mutex_unlock(&s->catalogue);
        free(entries);
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_ERR_CORRUPT : err;
}

/* Hands one entry over; false when the caller is full. */
static bool
hand_over(struct store *s, struct walked *w, bool reference, store_fill *fill, void *context)
{
        struct stat st;

        stat_of_row(s, &w->row, &st);
        bool taken = fill(context, w->entry.name, &st, w->entry.entry);
        if (taken && reference) {
                inode_hold_to_lookup(s, w->inode);
                w->inode = NULL;
        }
        return taken;
}

static enum caefs_err
walk(struct store *s, uint64_t directory, uint64_t after, bool reference, store_fill *fill,
     void *context)
{
        struct walked *walked = calloc(BATCH, sizeof *walked);
        enum caefs_err err = walked == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
        size_t         count = BATCH;
        bool           full = false;

        while (err == CAEFS_OK && count == BATCH && !full) {
                err = read_batch(s, directory, after, reference, walked, &count);
                for (size_t i = 0; i < count; i++) {
                        full = full || err != CAEFS_OK ||
                               !hand_over(s, &walked[i], reference, fill, context);
                        after = walked[i].entry.entry;
                        inode_release(s, walked[i].inode);
                }
        }
        free(walked);
        return err;
}

/* "." (1) and ".." (2), as far as they come after OFFSET. */
static enum caefs_err
fill_dots(struct store *s, struct inode *inode, uint64_t offset, store_fill *fill,
          void *context, bool *full)
{
        struct stat       st;
        struct meta_entry entry = { .parent = STORE_ROOT_INODE };
        enum caefs_err    err = CAEFS_OK;

        inode_stat(s, inode, &st);
        if (offset < 1)
                *full = !fill(context, ".", &st, 1);
        if (*full || offset >= 2)
                return CAEFS_OK;
        pthread_mutex_lock(&s->catalogue);
        if (inode->row.ino != STORE_ROOT_INODE)
                err = meta_entry_of(s->meta, inode->row.ino, &entry);
        pthread_mutex_unlock(&s->catalogue);
        if (err == CAEFS_ERR_NO_ENTRY)
                return CAEFS_OK;        /* removed, still open: no ".." */
        st.st_ino = entry.parent;
        *full = !fill(context, "..", &st, 2);
        return err;
}

enum caefs_err
store_read_directory(struct store *s, store_inode ino, uint64_t offset, bool reference,
                     store_fill *fill, void *context)
{
        struct inode  *inode;
        bool           full = false;
        enum caefs_err err = inode_hold(s, ino, &inode);

        if (err != CAEFS_OK)
                return err;
        if (!S_ISDIR(inode_row(s, inode).mode))
                err = CAEFS_ERR_NOT_DIRECTORY;
        if (err == CAEFS_OK)
                err = fill_dots(s, inode, offset, fill, context, &full);
        if (err == CAEFS_OK && !full)
                err = walk(s, ino, offset, reference, fill, context);
        inode_release(s, inode);
        return err;
}
