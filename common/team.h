/* common/team.h - threads that do many short jobs together.
 *
 * A job is a number of tasks, each done once by whichever thread comes to it; the caller
 * works along.  Jobs may take a few microseconds only: threads that find nothing to do
 * look again for a while before they sleep.
 *
 * Thread safety: one thread at a time calls team_run(); it returns when all tasks are
 * done, and what they wrote is seen by the caller and by the tasks of later jobs.
 */
#ifndef CAEFS_COMMON_TEAM_H
#define CAEFS_COMMON_TEAM_H

#include <stddef.h>

struct team;

/* One task of a job: TASK is 0 to ntasks - 1. */
typedef void team_task(void *context, size_t task);

/* NTHREADS in all, the caller's included; 0: one for each CPU.  Fewer when the system
 * gives no more; NULL only without memory, which team_run() takes for the caller alone. */
struct team *team_new(unsigned nthreads);
void         team_free(struct team *t);                 /* NULL: nothing */

void team_run(struct team *t, team_task *task, void *context, size_t ntasks);

#endif
