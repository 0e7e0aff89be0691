/* common/team.c - tasks are handed out by one counter. */
#include "common/team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST_THREADS 64

/* Looks at the counter before a thread sleeps: some tens of microseconds. */
#define LOOKS 4000

struct team {
        /* Of the job under way, how many tasks nobody has taken.  Whoever counts it down
         * to n does task n; it is raised only when all are done, so a thread that takes
         * a task finds TASK and CONTEXT those of that task's job. */
        atomic_size_t   waiting;
        atomic_size_t   finished;
        team_task      *task;
        void           *context;

        /* Taken only to sleep and to wake. */
        pthread_mutex_t lock;
        pthread_cond_t  work;
        atomic_uint     sleepers;
        atomic_bool     closing;

        unsigned        nthreads;       /* beside the caller */
        pthread_t       thread[MOST_THREADS];
};

static void
pause_briefly(void)
{
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
}

/* Does tasks while there are any. */
static void
work(struct team *t)
{
        size_t n = atomic_load(&t->waiting);

        while (n > 0) {
                if (!atomic_compare_exchange_weak(&t->waiting, &n, n - 1))
                        continue;
                t->task(t->context, n - 1);
                atomic_fetch_add(&t->finished, 1);
                n = atomic_load(&t->waiting);
        }
}

static bool
nothing_to_do(struct team *t)
{
        return atomic_load(&t->waiting) == 0 && !atomic_load(&t->closing);
}

static void
sleep_until_work(struct team *t)
{
        pthread_mutex_lock(&t->lock);
        atomic_fetch_add(&t->sleepers, 1);
        while (nothing_to_do(t))
                pthread_cond_wait(&t->work, &t->lock);
        atomic_fetch_sub(&t->sleepers, 1);
        pthread_mutex_unlock(&t->lock);
}

static void *
member(void *argument)
{
        struct team *t = argument;

        while (!atomic_load(&t->closing)) {
                work(t);
                for (int look = 0; look < LOOKS && nothing_to_do(t); look++)
                        pause_briefly();
                if (nothing_to_do(t))
                        sleep_until_work(t);
        }
        return NULL;
}

/* A sleeper counts itself before it looks for work, and the caller offers work before it
 * counts sleepers: one of them sees the other. */
static void
wake(struct team *t)
{
        if (atomic_load(&t->sleepers) == 0)
                return;
        pthread_mutex_lock(&t->lock);
        pthread_cond_broadcast(&t->work);
        pthread_mutex_unlock(&t->lock);
}

struct team *
team_new(unsigned nthreads)
{
        struct team *t = calloc(1, sizeof *t);

        if (t == NULL)
                return NULL;
        if (nthreads == 0) {
                long cpus = sysconf(_SC_NPROCESSORS_ONLN);
                nthreads = cpus > 1 ? (unsigned) cpus : 1;
        }
        nthreads = nthreads > MOST_THREADS ? MOST_THREADS : nthreads;
        pthread_mutex_init(&t->lock, NULL);
        pthread_cond_init(&t->work, NULL);
        while (t->nthreads + 1 < nthreads &&
               pthread_create(&t->thread[t->nthreads], NULL, member, t) == 0)
                t->nthreads++;
        return t;
}

void
team_free(struct team *t)
{
        if (t == NULL)
                return;
        atomic_store(&t->closing, true);
        wake(t);
        for (unsigned i = 0; i < t->nthreads; i++)
                pthread_join(t->thread[i], NULL);
        pthread_cond_destroy(&t->work);
        pthread_mutex_destroy(&t->lock);
        free(t);
}

void
team_run(struct team *t, team_task *task, void *context, size_t ntasks)
{
        if (t == NULL || t->nthreads == 0 || ntasks < 2) {
                for (size_t i = 0; i < ntasks; i++)
                        task(context, i);
                return;
        }
        t->task = task;
        t->context = context;
        atomic_store(&t->finished, 0);
        atomic_store(&t->waiting, ntasks);
        wake(t);
        work(t);
        for (int look = 0; atomic_load(&t->finished) < ntasks; look++) {
                if (look < LOOKS)
                        pause_briefly();
                else
                        sched_yield();
        }
}
