/* fs/store_sync.c - sealing a whole tree, or something else for each of its files, for those
 * who wait for it. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fs/store_internal.h"

#define ENTRY_BATCH 256

struct number_list {
        uint64_t *number;
        size_t    count, capacity;
};

static enum caefs_err
list_push(struct number_list *l, uint64_t number)
{
        if (l->count == l->capacity) {
                size_t    capacity = l->capacity == 0 ? 256 : 2 * l->capacity;
                uint64_t *more = realloc(l->number, capacity * sizeof *more);
                if (more == NULL)
                        return CAEFS_ERR_NOMEM;
                l->number = more;
                l->capacity = capacity;
        }
        l->number[l->count++] = number;
        return CAEFS_OK;
}

/* ---- finding them ------------------------------------------------------- */

struct finding {
        struct store      *store;
        struct number_list directories; /* still to be read */
        struct number_list files;
        bool               sealed;      /* look for sealed ones; else for those that are staged,
                                         * or open and about to be */
        uint64_t           bytes;
};

/* The row as memory has it, or the catalogue; catalogue held.  *USED: somebody has it open. */
static enum caefs_err
current_row(struct store *s, uint64_t ino, struct meta_inode *row, bool *used)
{
        struct inode *inode = inode_hold_present(s, ino);

        *used = false;
        if (inode == NULL)
                return meta_inode_read(s->meta, ino, row);
        pthread_mutex_lock(stripe_of(s, inode));
        *row = inode->row;
        *used = inode->content != NULL && inode->content->writers > 0;
        pthread_mutex_unlock(stripe_of(s, inode));
        /* It has a name or another reference, so this deletes nothing. */
        inode_release(s, inode);
        return CAEFS_OK;
}

/* Catalogue held. */
static enum caefs_err
note_inode(struct finding *f, uint64_t ino)
{
        struct meta_inode row;
        bool              used;
        enum caefs_err    err = current_row(f->store, ino, &row, &used);

        if (err != CAEFS_OK)
                return err;
        if (S_ISDIR(row.mode))
                return list_push(&f->directories, ino);
        if (!S_ISREG(row.mode) ||
            (f->sealed ? row.content.state != META_SEALED
                       : row.content.state != META_STAGED && !used))
                return CAEFS_OK;
        f->bytes += row.content.size;
        return list_push(&f->files, ino);
}

static enum caefs_err
read_directory(struct finding *f, uint64_t directory, struct meta_entry *entries)
{
        size_t         count = ENTRY_BATCH;
        uint64_t       after = 0;
        enum caefs_err err = CAEFS_OK;

        while (err == CAEFS_OK && count == ENTRY_BATCH) {
                pthread_mutex_lock(&f->store->catalogue);
                err = meta_entry_list(f->store->meta, directory, after, entries, ENTRY_BATCH,
                                      &count);
                for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                        after = entries[i].entry;
                        err = note_inode(f, entries[i].ino);
                }
                pthread_mutex_unlock(&f->store->catalogue);
        }
        return err;
}

static enum caefs_err
find_files(struct finding *f, uint64_t ino)
{
        struct meta_entry *entries = calloc(ENTRY_BATCH, sizeof *entries);

        if (entries == NULL)
                return CAEFS_ERR_NOMEM;
        pthread_mutex_lock(&f->store->catalogue);
        enum caefs_err err = note_inode(f, ino);
        pthread_mutex_unlock(&f->store->catalogue);
        while (err == CAEFS_OK && f->directories.count > 0)
                err = read_directory(f, f->directories.number[--f->directories.count],
                                     entries);
        free(entries);
        return err;
}

/* ---- working on them ---------------------------------------------------- */

struct job {
        struct store            *store;
        const struct tree_work  *work;
        const struct number_list *files;
        struct progress         *progress;
        atomic_size_t            next;
        _Atomic uint64_t         left;
        pthread_mutex_t          lock;
        char                     why[256];      /* lock: the first failure */
};

void
sync_note_closed(struct store *s)
{
        pthread_mutex_lock(&s->wake_lock);
        pthread_cond_broadcast(&s->closed);
        pthread_mutex_unlock(&s->wake_lock);
}

/* Until some file is closed, or a moment is over: a close may have come in between. */
static void
wait_for_close(struct store *s)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_nsec += 100 * 1000000;
        if (t.tv_nsec >= 1000000000) {
                t.tv_nsec -= 1000000000;
                t.tv_sec++;
        }
        pthread_mutex_lock(&s->wake_lock);
        pthread_cond_timedwait(&s->closed, &s->wake_lock, &t);
        pthread_mutex_unlock(&s->wake_lock);
}

static void
note_failure(struct job *j)
{
        pthread_mutex_lock(&j->lock);
        if (j->why[0] == '\0')
                snprintf(j->why, sizeof j->why, "%s", caefs_detail());
        pthread_mutex_unlock(&j->lock);
}

static bool
is_open_for_writing(struct store *s, struct inode *inode)
{
        pthread_mutex_lock(stripe_of(s, inode));
        bool open = inode->content != NULL && inode->content->writers > 0;
        pthread_mutex_unlock(stripe_of(s, inode));
        return open;
}

static void
work_on(struct job *j, uint64_t ino)
{
        struct inode     *inode;
        enum seal_outcome outcome;

        if (inode_hold(j->store, ino, &inode) != CAEFS_OK)
                return;         /* deleted meanwhile */
        for (;;) {
                outcome = is_open_for_writing(j->store, inode)
                                  ? SEAL_OPEN
                                  : j->work->each(j->work->context, j->store, inode, j->progress);
                if ((outcome != SEAL_OPEN && outcome != SEAL_CHANGED) || !j->work->wait ||
                    progress_cancelled(j->progress))
                        break;
                wait_for_close(j->store);
        }
        if (outcome == SEAL_FAILED)
                note_failure(j);
        if (outcome != SEAL_DONE)
                atomic_fetch_add(&j->left, 1);
        inode_release(j->store, inode);
}

static void *
job_main(void *context)
{
        struct job *j = context;
        size_t      i;

        while ((i = atomic_fetch_add(&j->next, 1)) < j->files->count) {
                if (progress_cancelled(j->progress))
                        atomic_fetch_add(&j->left, 1);
                else
                        work_on(j, j->files->number[i]);
        }
        return NULL;
}

/* In this thread and as many others as the store may use. */
static void
run_job(struct job *j)
{
        pthread_t helper[63];
        unsigned  n = 0, wanted = j->store->options.seal_threads - 1;

        while (n < wanted && n < 63 && n + 1 < j->files->count &&
               pthread_create(&helper[n], NULL, job_main, j) == 0)
                n++;
        job_main(j);
        while (n > 0)
                pthread_join(helper[--n], NULL);
}

enum caefs_err
tree_run(struct store *s, store_inode ino, const struct tree_work *work,
         struct progress *progress, uint64_t *left)
{
        struct finding f = { .store = s, .sealed = work->sealed };
        enum caefs_err err = s->options.read_only ? CAEFS_ERR_READ_ONLY : find_files(&f, ino);
        struct job     j = {
                .store = s,
                .work = work,
                .files = &f.files,
                .progress = progress,
                .lock = PTHREAD_MUTEX_INITIALIZER,
        };

        if (err == CAEFS_OK) {
                if (progress != NULL)
                        progress->total = f.bytes;
                run_job(&j);
                err = store_commit(s);
        }
        free(f.directories.number);
        free(f.files.number);
        if (left != NULL)
                *left = j.left;
        if (err == CAEFS_OK && progress_cancelled(progress))
                err = CAEFS_ERR_INTERRUPTED;
        if (err == CAEFS_OK && j.why[0] != '\0')
                caefs_fail(CAEFS_OK, "%s", j.why);
        return err;
}

static enum seal_outcome
seal_each(void *context, struct store *s, struct inode *inode, struct progress *progress)
{
        (void) context;
        return seal_inode(s, inode, progress);
}

enum caefs_err
store_sync_tree(struct store *s, store_inode ino, bool wait, struct progress *progress,
                uint64_t *left)
{
        const struct tree_work work = { .wait = wait, .each = seal_each };

        return tree_run(s, ino, &work, progress, left);
}
