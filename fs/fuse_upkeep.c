/* fs/fuse_upkeep.c - one thread that sleeps until the next thing is due. */
#include "fs/fuse_upkeep.h"

#include <stdlib.h>
#include <sys/statvfs.h>

#include "common/log.h"
#include "common/notify.h"

struct upkeep {
        struct adapter *adapter;
        const char     *metrics_file;
        int64_t         metrics_every, watchdog_every;  /* nanoseconds; 0: never */
        pthread_t       thread;
        pthread_mutex_t lock;           /* taken alone */
        pthread_cond_t  stopped;
        bool            stop;           /* protected by lock */
        bool            has_complained; /* of the file; the thread's own */
};

static int64_t
now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
write_metrics(struct upkeep *u)
{
        const struct metrics_of m = adapter_metrics(u->adapter);
        const enum caefs_err err = metrics_write(&m, u->metrics_file);

        if (err != CAEFS_OK && !u->has_complained)
                log_warning("the metrics cannot be written: %s", caefs_detail());
        u->has_complained = err != CAEFS_OK;
}

/* When the mount no longer answers this does not return, and the manager hears nothing. */
static void
pat_watchdog(struct upkeep *u)
{
        struct statvfs space;

        if (statvfs(u->adapter->mountpoint, &space) == 0)
                notify_send("WATCHDOG=1");
}

/* False when it is time to stop. */
static bool
sleep_until(struct upkeep *u, int64_t due)
{
        const struct timespec t = { .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 };
        bool stop;

        pthread_mutex_lock(&u->lock);
        while (!u->stop && now() < due)
                pthread_cond_timedwait(&u->stopped, &u->lock, &t);
        stop = u->stop;
        pthread_mutex_unlock(&u->lock);
        return !stop;
}

static void *
upkeep_main(void *argument)
{
        struct upkeep *u = argument;
        int64_t metrics_due = u->metrics_every > 0 ? now() : INT64_MAX;
        int64_t watchdog_due = u->watchdog_every > 0 ? now() : INT64_MAX;

        while (sleep_until(u, metrics_due < watchdog_due ? metrics_due : watchdog_due)) {
                if (now() >= watchdog_due) {
                        pat_watchdog(u);
                        watchdog_due = now() + u->watchdog_every;
                }
                if (now() >= metrics_due) {
                        write_metrics(u);
                        metrics_due = now() + u->metrics_every;
                }
        }
        if (u->metrics_every > 0)
                write_metrics(u);
        return NULL;
}

enum caefs_err
upkeep_start(struct adapter *a, const char *metrics_file, double interval, struct upkeep **out)
{
        const uint64_t watchdog = notify_watchdog();
        pthread_condattr_t clock;
        struct upkeep *u;

        *out = NULL;
        if (metrics_file == NULL && watchdog == 0)
                return CAEFS_OK;
        u = calloc(1, sizeof *u);
        if (u == NULL)
                return CAEFS_ERR_NOMEM;
        u->adapter = a;
        u->metrics_file = metrics_file;
        u->metrics_every = metrics_file != NULL ? (int64_t) (interval * 1e9) : 0;
        /* Twice as often as it must be. */
        u->watchdog_every = (int64_t) watchdog * 1000 / 2;
        pthread_mutex_init(&u->lock, NULL);
        pthread_condattr_init(&clock);
        pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
        pthread_cond_init(&u->stopped, &clock);
        pthread_condattr_destroy(&clock);
        if (pthread_create(&u->thread, NULL, upkeep_main, u) != 0) {
                pthread_cond_destroy(&u->stopped);
                pthread_mutex_destroy(&u->lock);
                free(u);
                return caefs_fail(CAEFS_ERR_NOMEM, "no thread can be started");
        }
        *out = u;
        return CAEFS_OK;
}

void
upkeep_stop(struct upkeep *u)
{
        if (u == NULL)
                return;
        pthread_mutex_lock(&u->lock);
        u->stop = true;
        pthread_cond_broadcast(&u->stopped);
        pthread_mutex_unlock(&u->lock);
        pthread_join(u->thread, NULL);
        pthread_cond_destroy(&u->stopped);
        pthread_mutex_destroy(&u->lock);
        free(u);
}
