/* fs/store_idle.c - names that are in memory only because the kernel has not forgotten them.
 *
 * Whoever walks a large tree leaves the kernel with all its names, and us with theirs.  A
 * hand goes round the table, as in the clock algorithm: names that were asked for
 * since it came by last are passed over once.
 */
#include <string.h>

#include "fs/store_internal.h"

#define BUCKETS_AT_ONCE 1024    /* between two releases of the table */

/* Only files: a directory may be somebody's working directory, or have a mount on it.
 * store.table held. */
static bool
is_idle(struct store *s, struct dentry *d)
{
        struct inode *inode = d->inode;
        bool          is_used = d->is_used;

        d->is_used = false;
        if (is_used || inode->holds > 0 || inode->lookups == 0)
                return false;
        pthread_mutex_lock(stripe_of(s, inode));
        bool is_file = S_ISREG(inode->row.mode);
        pthread_mutex_unlock(stripe_of(s, inode));
        return is_file;
}

static void
copy_name(const struct dentry *d, struct store_idle_name *out)
{
        out->directory = d->parent;
        memcpy(out->name, d->name, strlen(d->name) + 1);
}

size_t
store_idle_names(struct store *s, struct store_idle_name *names, size_t limit)
{
        size_t n = 0;

        pthread_mutex_lock(&s->table_lock);
        struct inode_table *t = &s->table;
        for (size_t i = 0; i < BUCKETS_AT_ONCE && i < t->nbuckets && n < limit; i++) {
                struct dentry *d = t->name_bucket[t->hand++ & (t->nbuckets - 1)];
                for (; d != NULL && n < limit; d = d->next_in_bucket)
                        if (is_idle(s, d))
                                copy_name(d, &names[n++]);
        }
        pthread_mutex_unlock(&s->table_lock);
        return n;
}

size_t
store_names_in_memory(struct store *s)
{
        pthread_mutex_lock(&s->table_lock);
        size_t n = s->table.names;
        pthread_mutex_unlock(&s->table_lock);
        return n;
}
