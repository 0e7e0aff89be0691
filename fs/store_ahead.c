/* fs/store_ahead.c - decoding ahead of sequential readers.
 *
 * Reads are looked at by file and not by handle: the kernel's own read-ahead sends them from
 * whatever thread, and workers of a loader share a file.  Once a run of reads is long enough, the
 * chunks behind it are decoded into the cache by a few threads; a reader that comes before
 * they are done waits for them there (fs/cache.h) and decodes nothing twice.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/store_internal.h"

#define JOBS        64
#define THREADS_MAX 8
#define RUN_MIN     ((uint64_t) 256 << 10)      /* bytes in a row that promise more */
#define AHEAD_BYTES ((uint64_t) 4 << 20)
#define CACHE_SHARE 4                           /* at most this part of the cache is ahead */

struct job {
        struct opened_object *object;           /* one reference is the job's */
        size_t                index;
};

/* lock: all of it but store. */
struct ahead {
        struct store   *store;
        pthread_mutex_t lock;
        pthread_cond_t  wake;                   /* a job, or the end */
        struct job      job[JOBS];              /* a ring */
        unsigned        first, count;
        pthread_t       thread[THREADS_MAX];    /* started when there is something to do */
        unsigned        nthreads, limit;
        bool            stop;
};

enum caefs_err
ahead_make(struct store *s)
{
        struct ahead *a = calloc(1, sizeof *a);
        long          processors = sysconf(_SC_NPROCESSORS_ONLN);

        s->ahead = a;
        if (a == NULL)
                return CAEFS_ERR_NOMEM;
        a->store = s;
        a->limit = processors < 1 ? 1 : processors > THREADS_MAX ? THREADS_MAX
                                                                 : (unsigned) processors;
        pthread_mutex_init(&a->lock, NULL);
        pthread_cond_init(&a->wake, NULL);
        return CAEFS_OK;
}

/* ---- the threads -------------------------------------------------------- */

/* Waits for a job; lock held.  False at the end. */
static bool
next_job(struct ahead *a, struct job *job)
{
        while (a->count == 0 && !a->stop)
                pthread_cond_wait(&a->wake, &a->lock);
        if (a->stop)
                return false;
        *job = a->job[a->first];
        a->first = (a->first + 1) % JOBS;
        a->count--;
        return true;
}

static void *
decode_jobs(void *argument)
{
        struct ahead *a = argument;
        struct job    job;

        pthread_mutex_lock(&a->lock);
        while (next_job(a, &job)) {
                pthread_mutex_unlock(&a->lock);
                /* What is wrong with the chunk is told to who reads it. */
                object_decode_ahead(a->store, job.object, job.index);
                object_release(a->store, job.object);
                pthread_mutex_lock(&a->lock);
        }
        pthread_mutex_unlock(&a->lock);
        return NULL;
}

/* False when there is no place: whoever reads the chunk decodes it. */
static bool
add_job(struct ahead *a, struct opened_object *o, size_t index)
{
        bool is_added = false;

        object_use_again(a->store, o);
        pthread_mutex_lock(&a->lock);
        if (a->nthreads < a->limit && !a->stop &&
            pthread_create(&a->thread[a->nthreads], NULL, decode_jobs, a) == 0)
                a->nthreads++;
        if (a->nthreads > 0 && a->count < JOBS && !a->stop) {
                a->job[(a->first + a->count++) % JOBS] = (struct job) { o, index };
                pthread_cond_signal(&a->wake);
                is_added = true;
        }
        pthread_mutex_unlock(&a->lock);
        if (!is_added)
                object_release(a->store, o);
        return is_added;
}

void
ahead_free(struct store *s)
{
        struct ahead *a = s->ahead;

        if (a == NULL)
                return;
        pthread_mutex_lock(&a->lock);
        a->stop = true;
        pthread_cond_broadcast(&a->wake);
        pthread_mutex_unlock(&a->lock);
        for (unsigned i = 0; i < a->nthreads; i++)
                pthread_join(a->thread[i], NULL);
        for (; a->count > 0; a->count--, a->first = (a->first + 1) % JOBS)
                object_release(s, a->job[a->first].object);
        pthread_mutex_destroy(&a->lock);
        pthread_cond_destroy(&a->wake);
        free(a);
        s->ahead = NULL;
}

/* ---- the readers -------------------------------------------------------- */

/* The run with this read; a copy. */
static struct read_run
extend_run(struct store *s, struct inode *inode, size_t n, uint64_t offset)
{
        struct read_run *run = &inode->content->run;

        pthread_mutex_lock(stripe_of(s, inode));
        if (offset != run->next)
                /* A file's first read begins a run; elsewhere it takes two. */
                *run = (struct read_run) { .length = offset == 0 ? n : 0 };
        else
                run->length += n;
        run->next = offset + n;
        struct read_run now = *run;
        pthread_mutex_unlock(stripe_of(s, inode));
        return now;
}

static void
note_asked(struct store *s, struct inode *inode, uint64_t end)
{
        struct read_run *run = &inode->content->run;

        pthread_mutex_lock(stripe_of(s, inode));
        if (end > run->ahead)
                run->ahead = end;
        pthread_mutex_unlock(stripe_of(s, inode));
}

/* Asks for the chunks behind the run, which is in the chunk NOW; the end of what is asked. */
static uint64_t
ask_ahead(struct store *s, struct opened_object *o, const struct read_run *run,
          const struct chunk_extent *now)
{
        const struct object *object = object_of(o);
        const uint64_t       size = object_info(object)->logical_bytes;
        const uint64_t       window = now->length > AHEAD_BYTES / 2 ? 2 * now->length : AHEAD_BYTES;
        uint64_t             at = now->offset + now->length;
        struct chunk_extent  e;

        if (window > s->options.cache_bytes / CACHE_SHARE)
                return run->ahead;
        if (at < run->ahead)
                at = run->ahead;
        while (at < size && at < run->next + window) {
                size_t index = object_chunk_at(object, at);
                if (object_chunk(object, index, &e) != CAEFS_OK || !add_job(s->ahead, o, index))
                        break;
                at = e.offset + e.length;
        }
        return at;
}

bool
ahead_note_read(struct store *s, struct inode *inode, struct opened_object *o, size_t n,
                uint64_t offset)
{
        const struct object *object = object_of(o);
        struct chunk_extent  now;

        if (s->ahead == NULL || n == 0)
                return false;
        struct read_run run = extend_run(s, inode, n, offset);
        if (run.length < RUN_MIN ||
            object_chunk(object, object_chunk_at(object, run.next - 1), &now) != CAEFS_OK)
                return false;
        uint64_t asked = ask_ahead(s, o, &run, &now);
        if (asked > run.ahead)
                note_asked(s, inode, asked);
        return true;
}
