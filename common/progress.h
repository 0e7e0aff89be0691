/* common/progress.h - how long work tells how far it is, and is told to stop.
 *
 * The worker calls progress_add(); whoever shows it sets REPORT.  Thread safety:
 * progress_add() and progress_cancelled() may be called from any thread; REPORT
 * is called from the thread that called progress_add().
 */
#ifndef CAEFS_COMMON_PROGRESS_H
#define CAEFS_COMMON_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
        _Atomic uint64_t done;          /* in the unit of TOTAL, usually bytes */
        _Atomic uint64_t total;         /* 0: not known; may be set while others look */
        atomic_bool      cancelled;     /* set from a signal handler or another thread */
        void           (*report)(struct progress *p);   /* or NULL */
        void            *context;       /* the reporter's */
};

/* P may be NULL in both. */
static inline void
progress_add(struct progress *p, uint64_t amount)
{
        if (p == NULL)
                return;
        atomic_fetch_add(&p->done, amount);
        if (p->report != NULL)
                p->report(p);
}

static inline bool
progress_cancelled(const struct progress *p)
{
        return p != NULL && atomic_load(&p->cancelled);
}

#endif
