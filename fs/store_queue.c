/* fs/store_queue.c - which files wait to be sealed, and the threads that do it.
 *
 * A heap by time.  It holds numbers, not inodes: what has become of a file is seen
 * when its time comes.  Files that an earlier run left staged are read from the
 * catalogue in batches, when the heap is empty.
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "fs/store_internal.h"

#define SCAN_BATCH 256
#define WORKER_MAX 64
#define WORKER_NICENESS 10
/* When so many wait, whoever closes a file seals a small one: staging files for what the
 * workers do not come to in time would take more time than that. */
#define HELP_FROM 2048
#define WRITE_PAUSE INT64_C(250000000)  /* nanoseconds */
#define WAIT_MAX    INT64_C(2000000000)

struct waiting {
        int64_t  due;           /* nanoseconds of the monotonic clock */
        uint64_t ino;
};

/* lock: all of it but STORE. */
struct seal_queue {
        struct store    *store;
        pthread_mutex_t  lock;
        pthread_cond_t   changed;       /* something was added, or stop */
        struct waiting  *heap;
        size_t           count, capacity;
        uint64_t         scanned;       /* staged files up to here were read; UINT64_MAX: all */
        bool             stop;
        unsigned         busy;          /* workers that have a file */
        bool             has_worked;    /* since memory was last given back */
        unsigned         nworkers;
        pthread_t        worker[WORKER_MAX];
        struct progress  progress[WORKER_MAX];  /* cancelled by stop */
};

struct worker_start {
        struct seal_queue *queue;
        unsigned           index;
};

/* ---- the heap ----------------------------------------------------------- */

static void
sift_up(struct waiting *heap, size_t i)
{
        while (i > 0 && heap[i].due < heap[(i - 1) / 2].due) {
                struct waiting w = heap[i];
                heap[i] = heap[(i - 1) / 2];
                heap[(i - 1) / 2] = w;
                i = (i - 1) / 2;
        }
}

static void
sift_down(struct waiting *heap, size_t count)
{
        size_t i = 0;

        for (;;) {
                size_t least = i;
                for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < count; child++)
                        if (heap[child].due < heap[least].due)
                                least = child;
                if (least == i)
                        return;
                struct waiting w = heap[i];
                heap[i] = heap[least];
                heap[least] = w;
                i = least;
        }
}

/* Lock held.  Without memory the file stays staged until it is closed again, or until
 * the store is opened again. */
static void
push(struct seal_queue *q, uint64_t ino, int64_t due)
{
        if (q->count == q->capacity) {
                size_t          capacity = q->capacity == 0 ? 256 : 2 * q->capacity;
                struct waiting *heap = realloc(q->heap, capacity * sizeof *heap);
                if (heap == NULL)
                        return;
                q->heap = heap;
                q->capacity = capacity;
        }
        q->heap[q->count] = (struct waiting) { .due = due, .ino = ino };
        sift_up(q->heap, q->count++);
        pthread_cond_signal(&q->changed);
}

static void
push_in(struct seal_queue *q, uint64_t ino, double seconds)
{
        pthread_mutex_lock(&q->lock);
        push(q, ino, monotonic_ns() + (int64_t) (seconds * 1e9));
        pthread_mutex_unlock(&q->lock);
}

void
queue_add(struct store *s, uint64_t ino, double delay)
{
        if (s->queue != NULL)
                push_in(s->queue, ino, delay);
}

uint64_t
queue_waiting(struct store *s)
{
        struct seal_queue *q = s->queue;
        uint64_t waiting = 0;

        if (q != NULL) {
                pthread_mutex_lock(&q->lock);
                waiting = q->count + q->busy;
                pthread_mutex_unlock(&q->lock);
        }
        return waiting;
}

/* ---- what is next ------------------------------------------------------- */

/* Puts the next batch of staged files of an earlier run into the heap; lock not held. */
static void
scan(struct seal_queue *q, uint64_t after)
{
        struct meta_inode *rows = calloc(SCAN_BATCH, sizeof *rows);
        size_t             count = 0;

        if (rows != NULL) {
                pthread_mutex_lock(&q->store->catalogue);
                meta_staged_list(q->store->meta, after, rows, SCAN_BATCH, &count);
                pthread_mutex_unlock(&q->store->catalogue);
        }
        pthread_mutex_lock(&q->lock);
        for (size_t i = 0; i < count; i++)
                push(q, rows[i].ino, 0);
        q->scanned = count < SCAN_BATCH ? UINT64_MAX : rows[count - 1].ino;
        pthread_mutex_unlock(&q->lock);
        free(rows);
}

/* Waits for DUE or a change; lock held. */
static void
wait_until(struct seal_queue *q, int64_t due)
{
        struct timespec t = { .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 };

        pthread_cond_timedwait(&q->changed, &q->lock, &t);
}

/* Lock held; whoever takes one gives back BUSY. */
static uint64_t
take_first(struct seal_queue *q)
{
        uint64_t ino = q->heap[0].ino;

        q->heap[0] = q->heap[--q->count];
        sift_down(q->heap, q->count);
        q->busy++;
        q->has_worked = true;
        return ino;
}

/* When the first of the heap may begin: while somebody writes, encoding would only slow that
 * down, so it waits for a pause, but not for long.  Lock held. */
static int64_t
begin_time(struct seal_queue *q)
{
        int64_t due = q->heap[0].due, pause = atomic_load(&q->store->last_write) + WRITE_PAUSE;

        if (pause > due + WAIT_MAX)
                pause = due + WAIT_MAX;
        return pause > due ? pause : due;
}

/* Buffers of encodings leave large holes in the heaps of the threads that needed them. */
static void
give_memory_back(void)
{
#ifdef __GLIBC__
        malloc_trim(0);
#endif
}

/* The next file that is due; false when it is time to stop. */
static bool
take_due(struct seal_queue *q, uint64_t *ino)
{
        bool found = false;

        pthread_mutex_lock(&q->lock);
        while (!q->stop && !found) {
                if (q->count == 0 && q->scanned != UINT64_MAX) {
                        uint64_t after = q->scanned;
                        q->scanned = UINT64_MAX;        /* one worker reads */
                        pthread_mutex_unlock(&q->lock);
                        scan(q, after);
                        pthread_mutex_lock(&q->lock);
                } else if (q->count == 0 && q->busy == 0 && q->has_worked) {
                        q->has_worked = false;
                        pthread_mutex_unlock(&q->lock);
                        give_memory_back();
                        pthread_mutex_lock(&q->lock);
                } else if (q->count == 0) {
                        pthread_cond_wait(&q->changed, &q->lock);
                } else if (begin_time(q) > monotonic_ns()) {
                        wait_until(q, begin_time(q));
                } else {
                        *ino = take_first(q);
                        found = true;
                }
        }
        pthread_mutex_unlock(&q->lock);
        return found;
}

/* ---- workers ------------------------------------------------------------ */

/* Seconds since the bytes were last written. */
static double
idle_seconds(struct store *s, struct inode *inode)
{
        char        name[STAGING_NAME_SIZE];
        struct stat st;

        pthread_mutex_lock(stripe_of(s, inode));
        struct meta_inode row = inode->row;
        int64_t           written = inode->content != NULL ? inode->content->written : 0;
        pthread_mutex_unlock(stripe_of(s, inode));
        if (written != 0)
                return (double) (now_ns() - written) / 1e9;
        staging_name(row.ino, row.content.generation, name);
        if (fstatat(s->staging_fd, name, &st, 0) < 0)
                return 1e9;
        return (double) (now_ns() - ((int64_t) st.st_mtim.tv_sec * 1000000000 +
                                     st.st_mtim.tv_nsec)) / 1e9;
}

/* May INODE be sealed now, by its property?  If later, it is put back. */
static bool
is_time(struct seal_queue *q, struct inode *inode)
{
        struct store_property p;
        struct seal_policy    policy;
        struct store         *s = q->store;

        if (store_property_get(s, inode->row.ino, "seal", &p) != CAEFS_OK ||
            !seal_policy_parse(p.value, &policy) || policy.is_manual)
                return false;
        double idle = policy.idle > 0 ? idle_seconds(s, inode) : 0;
        if (idle >= policy.idle)
                return true;
        push_in(q, inode->row.ino, policy.idle - idle);
        return false;
}

static void
seal_one(struct seal_queue *q, uint64_t ino, struct progress *progress)
{
        struct inode *inode;

        if (inode_hold(q->store, ino, &inode) != CAEFS_OK)
                return;         /* deleted meanwhile */
        struct meta_inode row = inode_row(q->store, inode);
        if (row.nlink == 0)
                seal_drop_parked(q->store, inode);
        else if (row.content.state == META_STAGED && is_time(q, inode) &&
                 seal_inode(q->store, inode, progress) == SEAL_FAILED)
                log_warning("%s: inode %" PRIu64 " stays as written: %s", q->store->path, ino,
                            caefs_detail());
        inode_release(q->store, inode);
}

static void *
worker_main(void *context)
{
        struct worker_start start = *(struct worker_start *) context;
        struct seal_queue  *q = start.queue;
        uint64_t            ino;

        free(context);
        /* Whoever reads or writes comes first. */
        setpriority(PRIO_PROCESS, (id_t) gettid(), WORKER_NICENESS);
        while (take_due(q, &ino)) {
                seal_one(q, ino, &q->progress[start.index]);
                pthread_mutex_lock(&q->lock);
                q->busy--;
                pthread_mutex_unlock(&q->lock);
        }
        return NULL;
}

static bool
is_in_memory(struct store *s, uint64_t ino)
{
        struct inode *inode = inode_hold_present(s, ino);

        if (inode == NULL)
                return false;
        pthread_mutex_lock(stripe_of(s, inode));
        bool small = inode->content != NULL && inode->content->small.is_used;
        pthread_mutex_unlock(stripe_of(s, inode));
        inode_release(s, inode);
        return small;
}

void
queue_help(struct store *s)
{
        struct seal_queue *q = s->queue;
        struct progress    progress = { 0 };
        uint64_t           ino = 0;

        if (q == NULL)
                return;
        pthread_mutex_lock(&q->lock);
        if (!q->stop && q->count >= HELP_FROM && q->heap[0].due <= monotonic_ns())
                ino = take_first(q);
        pthread_mutex_unlock(&q->lock);
        if (ino == 0)
                return;
        if (is_in_memory(s, ino))
                seal_one(q, ino, &progress);
        else
                push_in(q, ino, 0);
        pthread_mutex_lock(&q->lock);
        q->busy--;
        pthread_mutex_unlock(&q->lock);
}

static enum caefs_err
start_worker(struct seal_queue *q)
{
        struct worker_start *start = malloc(sizeof *start);

        if (start == NULL)
                return CAEFS_ERR_NOMEM;
        *start = (struct worker_start) { .queue = q, .index = q->nworkers };
        if (pthread_create(&q->worker[q->nworkers], NULL, worker_main, start) != 0) {
                free(start);
                return caefs_fail(CAEFS_ERR_NOMEM, "cannot start a thread");
        }
        q->nworkers++;
        return CAEFS_OK;
}

enum caefs_err
queue_start(struct store *s)
{
        pthread_condattr_t clock;
        struct seal_queue *q = calloc(1, sizeof *q);
        enum caefs_err     err = CAEFS_OK;

        if (q == NULL)
                return CAEFS_ERR_NOMEM;
        q->store = s;
        pthread_mutex_init(&q->lock, NULL);
        pthread_condattr_init(&clock);
        pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
        pthread_cond_init(&q->changed, &clock);
        pthread_condattr_destroy(&clock);
        s->queue = q;
        for (unsigned i = 0; err == CAEFS_OK && i < s->options.seal_threads && i < WORKER_MAX;
             i++)
                err = start_worker(q);
        return err;
}

void
queue_stop(struct store *s)
{
        struct seal_queue *q = s->queue;

        if (q == NULL)
                return;
        pthread_mutex_lock(&q->lock);
        q->stop = true;
        for (unsigned i = 0; i < q->nworkers; i++)
                atomic_store(&q->progress[i].cancelled, true);
        pthread_cond_broadcast(&q->changed);
        pthread_mutex_unlock(&q->lock);
        for (unsigned i = 0; i < q->nworkers; i++)
                pthread_join(q->worker[i], NULL);
        s->queue = NULL;
        pthread_mutex_destroy(&q->lock);
        pthread_cond_destroy(&q->changed);
        free(q->heap);
        free(q);
}
