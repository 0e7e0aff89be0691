/* fs/fuse_forget.c - asks the kernel to forget names. */
#include "fs/fuse_forget.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEEP_NAMES 65536
#define BATCH      64
#define PAUSE      0.25         /* seconds between two looks */
#define LONG_PAUSE 5.0          /* after one that was of no use */

struct forgetter {
        struct adapter *adapter;
        size_t          keep;
        pthread_t       thread;
        pthread_mutex_t lock;           /* taken alone */
        pthread_cond_t  wake;
        bool            stop;           /* protected by lock */
        bool            is_joined;      /* protected by lock */
        struct store_idle_name names[BATCH];    /* the thread's own */
};

static bool
is_stopped(struct forgetter *f)
{
        pthread_mutex_lock(&f->lock);
        bool stop = f->stop;
        pthread_mutex_unlock(&f->lock);
        return stop;
}

/* False when it is time to stop. */
static bool
sleep_for(struct forgetter *f, double seconds)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        const int64_t due = t.tv_sec * INT64_C(1000000000) + t.tv_nsec + (int64_t) (seconds * 1e9);
        t = (struct timespec) { .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 };
        pthread_mutex_lock(&f->lock);
        int result = 0;
        while (!f->stop && result == 0)
                result = pthread_cond_timedwait(&f->wake, &f->lock, &t);
        bool go_on = !f->stop;
        pthread_mutex_unlock(&f->lock);
        return go_on;
}

/* How many of COUNT the kernel still had. */
static size_t
take_back(struct forgetter *f, size_t count)
{
        size_t had = 0;

        for (size_t i = 0; i < count && !is_stopped(f); i++)
                had += fuse_lowlevel_notify_inval_entry(f->adapter->session,
                                                        f->names[i].directory, f->names[i].name,
                                                        strlen(f->names[i].name)) == 0;
        return had;
}

/* Takes back what is too much of NAMES, and an eighth more.  False when that was of little use:
 * the kernel knows what it holds by other names, or has it open. */
static bool
shed(struct forgetter *f, size_t names)
{
        const size_t wanted = names - f->keep + f->keep / 8;
        size_t taken = 0, had = 0;

        for (size_t looks = 0; taken < wanted && looks < names && !is_stopped(f); looks++) {
                const size_t left = wanted - taken;
                const size_t n = store_idle_names(f->adapter->store, f->names,
                                                  left < BATCH ? left : BATCH);
                had += take_back(f, n);
                taken += n;
        }
        return 4 * had >= wanted;
}

static void *
forgetter_main(void *context)
{
        struct forgetter *f = context;
        double pause = PAUSE;

        while (sleep_for(f, pause)) {
                const size_t names = store_names_in_memory(f->adapter->store);
                pause = names <= f->keep || shed(f, names) ? PAUSE : LONG_PAUSE;
        }
        return NULL;
}

enum caefs_err
forgetter_start(struct adapter *a, size_t keep, struct forgetter **out)
{
        struct forgetter *f = calloc(1, sizeof *f);
        pthread_condattr_t clock;

        *out = NULL;
        if (f == NULL)
                return CAEFS_ERR_NOMEM;
        f->adapter = a;
        f->keep = keep != 0 ? keep : KEEP_NAMES;
        pthread_mutex_init(&f->lock, NULL);
        pthread_condattr_init(&clock);
        pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
        pthread_cond_init(&f->wake, &clock);
        pthread_condattr_destroy(&clock);
        if (pthread_create(&f->thread, NULL, forgetter_main, f) != 0) {
                f->is_joined = true;
                forgetter_free(f);
                return caefs_fail(CAEFS_ERR_NOMEM, "no thread can be started");
        }
        *out = f;
        return CAEFS_OK;
}

void
forgetter_stop(struct forgetter *f)
{
        if (f == NULL)
                return;
        pthread_mutex_lock(&f->lock);
        f->stop = true;
        pthread_cond_broadcast(&f->wake);
        bool is_mine = !f->is_joined;
        f->is_joined = true;
        pthread_mutex_unlock(&f->lock);
        if (is_mine)
                pthread_join(f->thread, NULL);
}

void
forgetter_free(struct forgetter *f)
{
        if (f == NULL)
                return;
        forgetter_stop(f);
        pthread_cond_destroy(&f->wake);
        pthread_mutex_destroy(&f->lock);
        free(f);
}
