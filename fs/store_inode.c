/* fs/store_inode.c - the inodes in memory, and the names under which they were found.
 *
 * Two hash tables under one mutex.  A name is cached only while its inode is in
 * memory, so both are bounded by what the kernel and open files refer to.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/store_internal.h"

#define BUCKETS_FIRST ((size_t) 1024)

/* The clock that the kernel stamps files with; one that runs ahead of it by a part of a tick
 * would make what was written first look newer. */
int64_t
now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_REALTIME_COARSE, &t);
        return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t
monotonic_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- tables ------------------------------------------------------------- */

/* A mixer of integers: the finalizer of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t
mix(uint64_t x)
{
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        return x ^ (x >> 31);
}

/* FNV-1a of the name, mixed with the directory. */
static uint64_t
hash_name(uint64_t parent, const char *name)
{
        uint64_t h = UINT64_C(0xcbf29ce484222325) ^ parent;

        for (; *name != '\0'; name++)
                h = (h ^ (unsigned char) *name) * UINT64_C(0x100000001b3);
        return mix(h);
}

enum caefs_err
inode_table_init(struct inode_table *t)
{
        t->nbuckets = BUCKETS_FIRST;
        t->bucket = calloc(t->nbuckets, sizeof(struct inode *));
        t->name_bucket = calloc(t->nbuckets, sizeof(struct dentry *));
        return t->bucket == NULL || t->name_bucket == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
}

static struct inode **
bucket_of(const struct inode_table *t, uint64_t ino)
{
        return &t->bucket[mix(ino) & (t->nbuckets - 1)];
}

static struct dentry **
name_bucket_of(const struct inode_table *t, uint64_t parent, const char *name)
{
        return &t->name_bucket[hash_name(parent, name) & (t->nbuckets - 1)];
}

static void
free_names(struct inode *inode)
{
        while (inode->names != NULL) {
                struct dentry *d = inode->names;
                inode->names = d->next_of_inode;
                free(d);
        }
}

void
inode_table_free(struct inode_table *t)
{
        for (size_t i = 0; t->bucket != NULL && i < t->nbuckets; i++)
                while (t->bucket[i] != NULL) {
                        struct inode *inode = t->bucket[i];
                        t->bucket[i] = inode->next;
                        free_names(inode);
                        free(inode);
                }
        free(t->bucket);
        free(t->name_bucket);
}

/* Four times as many buckets; when memory is out the chains stay longer. */
static void
grow(struct inode_table *t)
{
        struct inode_table bigger = *t;

        bigger.nbuckets *= 4;
        bigger.bucket = calloc(bigger.nbuckets, sizeof(struct inode *));
        bigger.name_bucket = calloc(bigger.nbuckets, sizeof(struct dentry *));
        if (bigger.bucket == NULL || bigger.name_bucket == NULL) {
                free(bigger.bucket);
                free(bigger.name_bucket);
                return;
        }
        for (size_t i = 0; i < t->nbuckets; i++) {
                for (struct inode *n = t->bucket[i], *next; n != NULL; n = next) {
                        struct inode **b = bucket_of(&bigger, n->row.ino);
                        next = n->next;
                        n->next = *b;
                        *b = n;
                }
                for (struct dentry *d = t->name_bucket[i], *next; d != NULL; d = next) {
                        struct dentry **b = name_bucket_of(&bigger, d->parent, d->name);
                        next = d->next_in_bucket;
                        d->next_in_bucket = *b;
                        *b = d;
                }
        }
        free(t->bucket);
        free(t->name_bucket);
        *t = bigger;
}

static struct inode *
find(const struct inode_table *t, uint64_t ino)
{
        struct inode *inode = *bucket_of(t, ino);

        while (inode != NULL && inode->row.ino != ino)
                inode = inode->next;
        return inode;
}

/* ---- references --------------------------------------------------------- */

static bool
is_same_content(const struct meta_content *a, const struct meta_content *b)
{
        return a->state == META_SEALED && b->state == META_SEALED && a->object == b->object;
}

/* Beside a writer: the row as it is now, unless somebody has the file open.  STALE when it was
 * deleted: the kernel then looks the name up again.  Catalogue held. */
static enum caefs_err
refresh(struct store *s, struct inode *inode)
{
        struct meta_inode row;
        enum caefs_err    err = meta_inode_read(s->meta, inode->row.ino, &row);

        pthread_mutex_lock(stripe_of(s, inode));
        if (inode->content != NULL) {
                err = CAEFS_OK;
        } else if (err == CAEFS_OK) {
                if (!is_same_content(&inode->row.content, &row.content))
                        inode->changed = true;
                inode->row = row;
        }
        pthread_mutex_unlock(stripe_of(s, inode));
        return err == CAEFS_ERR_NO_ENTRY ? CAEFS_ERR_STALE : err;
}

enum caefs_err
inode_hold_locked(struct store *s, uint64_t ino, struct inode **out)
{
        struct meta_inode row;

        *out = inode_hold_present(s, ino);
        if (*out != NULL) {
                if (s->is_live)
                        refresh(s, *out);       /* without it, what was last known */
                return CAEFS_OK;
        }
        enum caefs_err err = meta_inode_read(s->meta, ino, &row);
        return err == CAEFS_OK ? inode_hold_new(s, &row, out) : err;
}

enum caefs_err
inode_hold_new(struct store *s, const struct meta_inode *row, struct inode **out)
{
        struct inode *inode = calloc(1, sizeof *inode);

        if (inode == NULL)
                return CAEFS_ERR_NOMEM;
        inode->row = *row;
        inode->holds = 1;
        inode->changed = true;
        /* Nobody else can have put it there: that takes the catalogue mutex. */
        pthread_mutex_lock(&s->table_lock);
        if (s->table.count >= 2 * s->table.nbuckets)
                grow(&s->table);
        struct inode **bucket = bucket_of(&s->table, row->ino);
        inode->next = *bucket;
        *bucket = inode;
        s->table.count++;
        pthread_mutex_unlock(&s->table_lock);
        *out = inode;
        return CAEFS_OK;
}

struct inode *
inode_hold_present(struct store *s, uint64_t ino)
{
        pthread_mutex_lock(&s->table_lock);
        struct inode *inode = find(&s->table, ino);
        if (inode != NULL)
                inode->holds++;
        pthread_mutex_unlock(&s->table_lock);
        return inode;
}

enum caefs_err
inode_hold(struct store *s, uint64_t ino, struct inode **out)
{
        enum caefs_err err;

        *out = inode_hold_present(s, ino);
        if (*out != NULL && !s->is_live)
                return CAEFS_OK;
        pthread_mutex_lock(&s->catalogue);
        err = *out != NULL ? refresh(s, *out) : inode_hold_locked(s, ino, out);
        pthread_mutex_unlock(&s->catalogue);
        if (err != CAEFS_OK) {
                inode_release(s, *out);
                *out = NULL;
        }
        return err;
}

void
inode_hold_again(struct store *s, struct inode *inode)
{
        pthread_mutex_lock(&s->table_lock);
        inode->holds++;
        pthread_mutex_unlock(&s->table_lock);
}

void
inode_hold_to_lookup(struct store *s, struct inode *inode)
{
        pthread_mutex_lock(&s->table_lock);
        inode->holds--;
        inode->lookups++;
        pthread_mutex_unlock(&s->table_lock);
}

static void
forget_name(struct inode_table *t, struct dentry *d)
{
        struct dentry **at = name_bucket_of(t, d->parent, d->name);

        while (*at != d)
                at = &(*at)->next_in_bucket;
        *at = d->next_in_bucket;
        for (at = &d->inode->names; *at != d; at = &(*at)->next_of_inode)
                ;
        *at = d->next_of_inode;
        t->names--;
        free(d);
}

static void
drop(struct inode_table *t, struct inode *inode)
{
        struct inode **at = bucket_of(t, inode->row.ino);

        while (*at != inode)
                at = &(*at)->next;
        *at = inode->next;
        t->count--;
        while (inode->names != NULL)
                forget_name(t, inode->names);
        free(inode);
}

static enum caefs_err
purge_rows(struct store *s, const struct meta_inode *row)
{
        enum caefs_err err = CAEFS_OK;

        if (row->content.state == META_STAGED) {
                struct meta_trash trash = {
                        .kind = META_TRASH_STAGING,
                        .id = row->ino,
                        .generation = row->content.generation,
                };
                s->has_trash = true;
                err = meta_trash_insert(s->meta, &trash);
        }
        if (err == CAEFS_OK && row->content.object != 0)
                err = object_discard(s, row->content.object);
        return err == CAEFS_OK ? meta_inode_delete(s->meta, row->ino) : err;
}

enum caefs_err
inode_purge(struct store *s, const struct meta_inode *row)
{
        enum caefs_err err;

        if (s->options.read_only)
                return CAEFS_ERR_READ_ONLY;
        /* Not change_begin(), which may commit: a commit itself lets inodes go. */
        pthread_mutex_lock(&s->catalogue);
        err = change_begin_locked(s);
        if (err == CAEFS_OK)
                return change_end(s, purge_rows(s, row));
        pthread_mutex_unlock(&s->catalogue);
        return err;
}

static bool
is_unlinked(struct store *s, struct inode *inode)
{
        pthread_mutex_lock(stripe_of(s, inode));
        bool unlinked = inode->row.nlink == 0;
        pthread_mutex_unlock(stripe_of(s, inode));
        return unlinked;
}

/* Takes it out of memory when nothing refers to it; table_lock held before, not after. */
static void
drop_if_unused(struct store *s, struct inode *inode)
{
        if (inode->holds == 0 && inode->lookups == 0 && is_unlinked(s, inode)) {
                inode->holds = 1;
                pthread_mutex_unlock(&s->table_lock);
                /* What cannot be deleted now is deleted when the store is next opened. */
                inode_purge(s, &inode->row);
                pthread_mutex_lock(&s->table_lock);
                inode->holds--;
        }
        if (inode->holds == 0 && inode->lookups == 0)
                drop(&s->table, inode);
        pthread_mutex_unlock(&s->table_lock);
}

void
inode_release(struct store *s, struct inode *inode)
{
        if (inode == NULL)
                return;
        pthread_mutex_lock(&s->table_lock);
        inode->holds--;
        drop_if_unused(s, inode);
}

void
store_forget(struct store *s, store_inode ino, uint64_t n)
{
        pthread_mutex_lock(&s->table_lock);
        struct inode *inode = find(&s->table, ino);
        if (inode == NULL) {
                pthread_mutex_unlock(&s->table_lock);
                return;
        }
        inode->lookups -= n < inode->lookups ? n : inode->lookups;
        drop_if_unused(s, inode);
}

/* ---- names -------------------------------------------------------------- */

static struct dentry *
find_name(const struct inode_table *t, uint64_t parent, const char *name)
{
        struct dentry *d = *name_bucket_of(t, parent, name);

        while (d != NULL && (d->parent != parent || strcmp(d->name, name) != 0))
                d = d->next_in_bucket;
        return d;
}

struct inode *
dentry_find(struct store *s, uint64_t parent, const char *name)
{
        if (s->is_live)
                return NULL;
        pthread_mutex_lock(&s->table_lock);
        struct dentry *d = find_name(&s->table, parent, name);
        struct inode  *inode = d == NULL ? NULL : d->inode;
        if (inode != NULL) {
                inode->holds++;
                d->is_used = true;
        }
        pthread_mutex_unlock(&s->table_lock);
        return inode;
}

void
dentry_add(struct store *s, uint64_t parent, const char *name, struct inode *inode)
{
        size_t         size = strlen(name) + 1;
        struct dentry *d = s->is_live ? NULL : malloc(sizeof *d + size);

        if (d == NULL)
                return;         /* lookups read the catalogue */
        d->parent = parent;
        d->inode = inode;
        d->is_used = true;
        memcpy(d->name, name, size);
        pthread_mutex_lock(&s->table_lock);
        if (find_name(&s->table, parent, name) == NULL) {
                struct dentry **bucket = name_bucket_of(&s->table, parent, name);
                d->next_in_bucket = *bucket;
                *bucket = d;
                d->next_of_inode = inode->names;
                inode->names = d;
                s->table.names++;
                d = NULL;
        }
        pthread_mutex_unlock(&s->table_lock);
        free(d);
}

void
dentry_remove(struct store *s, uint64_t parent, const char *name)
{
        pthread_mutex_lock(&s->table_lock);
        struct dentry *d = find_name(&s->table, parent, name);
        if (d != NULL)
                forget_name(&s->table, d);
        pthread_mutex_unlock(&s->table_lock);
}

/* ---- rows --------------------------------------------------------------- */

pthread_mutex_t *
stripe_of(struct store *s, const struct inode *inode)
{
        return &s->stripe[inode->row.ino % STORE_STRIPES];
}

struct meta_inode
inode_row(struct store *s, struct inode *inode)
{
        pthread_mutex_lock(stripe_of(s, inode));
        struct meta_inode row = inode->row;
        pthread_mutex_unlock(stripe_of(s, inode));
        return row;
}

/* What UPDATE makes of ROW. */
static void
merge(struct meta_inode *row, const struct inode_update *update)
{
        const struct meta_inode *want = &update->row;

        if (update->which & ROW_MODE)
                row->mode = want->mode;
        if (update->which & ROW_OWNER) {
                row->uid = want->uid;
                row->gid = want->gid;
        }
        if (update->which & ROW_NLINK)
                row->nlink = want->nlink;
        if (update->which & ROW_ATIME)
                row->atime = want->atime;
        if (update->which & ROW_MTIME)
                row->content.mtime = want->content.mtime;
        if (update->which & ROW_CTIME)
                row->ctime = want->ctime;
}

/* A file with a draft keeps its new mtime in the draft: a row that told of it before
 * the bytes are there would deceive whoever compares times after a crash. */
static enum caefs_err
write_row(struct store *s, const struct inode_update *update)
{
        struct inode *inode = update->inode;

        pthread_mutex_lock(stripe_of(s, inode));
        struct meta_inode row = inode->row;
        bool              has_draft = inode->content != NULL;
        pthread_mutex_unlock(stripe_of(s, inode));
        merge(&row, update);
        return meta_inode_write(s->meta, &row, has_draft || !(update->which & ROW_MTIME));
}

enum caefs_err
inodes_write(struct store *s, const struct inode_update *updates, size_t count)
{
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; err == CAEFS_OK && i < count; i++)
                err = write_row(s, &updates[i]);
        for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                struct inode *inode = updates[i].inode;
                pthread_mutex_lock(stripe_of(s, inode));
                merge(&inode->row, &updates[i]);
                pthread_mutex_unlock(stripe_of(s, inode));
        }
        return err;
}

/* ---- stat --------------------------------------------------------------- */

static struct timespec
timespec_of(int64_t ns)
{
        struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

        if (t.tv_nsec < 0) {
                t.tv_nsec += 1000000000;
                t.tv_sec--;
        }
        return t;
}

/* Blocks that a staged file takes now; sparse ones take few. */
static uint64_t
staged_blocks(struct store *s, const struct meta_inode *row)
{
        char        name[STAGING_NAME_SIZE];
        struct stat st;

        staging_name(row->ino, row->content.generation, name);
        if (fstatat(s->staging_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return (row->content.size + 511) / 512;
        return (uint64_t) st.st_blocks;
}

void
stat_of_row(struct store *s, const struct meta_inode *row, struct stat *st)
{
        uint64_t blocks = 0;

        if (row->content.state == META_STAGED)
                blocks = staged_blocks(s, row);
        else if (row->content.state == META_SEALED)
                blocks = (row->stored_bytes + 511) / 512;
        /* GNU tar takes a file of no blocks for a hole, and loses it. */
        if (blocks == 0 && S_ISREG(row->mode) && row->content.size > 0)
                blocks = 1;
        *st = (struct stat) {
                .st_ino = row->ino,
                .st_mode = row->mode,
                .st_nlink = row->nlink,
                .st_uid = row->uid,
                .st_gid = row->gid,
                .st_rdev = row->rdev,
                .st_size = (off_t) row->content.size,
                .st_blksize = STORE_BLOCK_SIZE,
                .st_blocks = (blkcnt_t) blocks,
                .st_atim = timespec_of(row->atime),
                .st_mtim = timespec_of(row->content.mtime),
                .st_ctim = timespec_of(row->ctime),
        };
}

void
inode_stat(struct store *s, struct inode *inode, struct stat *st)
{
        struct meta_inode row = inode_row(s, inode);

        stat_of_row(s, &row, st);
}
