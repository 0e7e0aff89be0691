/* fs/fuse_control_job.c - sealing or recompressing a tree in a thread of its own. */
#include "fs/fuse_control_job.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LINE_INTERVAL_NS 250000000L

struct control_job {
        struct store   *store;
        store_inode     inode;
        bool            is_again;
        struct store_recompress again;
        struct progress progress;
        pthread_t       thread;

        pthread_mutex_t lock;           /* taken alone */
        pthread_cond_t  ended;
        bool            done;           /* protected by lock, as all below */
        bool            told;           /* the last line has been given out */
        enum caefs_err  err;
        struct store_recompress_report report;  /* of sealing only what is left */
        char            sentence[512];
};

static void *
run(void *argument)
{
        struct control_job *j = argument;
        struct store_recompress_report report = { 0 };
        const enum caefs_err err =
                j->is_again ? store_recompress_tree(j->store, j->inode, &j->again, &j->progress,
                                                    &report)
                            : store_sync_tree(j->store, j->inode, true, &j->progress,
                                              &report.left);
        const char *sentence = caefs_detail();

        pthread_mutex_lock(&j->lock);
        j->err = err;
        j->report = report;
        snprintf(j->sentence, sizeof j->sentence, "%s",
                 *sentence != '\0' ? sentence : caefs_err_text(err));
        j->done = true;
        pthread_cond_broadcast(&j->ended);
        pthread_mutex_unlock(&j->lock);
        return NULL;
}

enum caefs_err
control_job_start(struct store *store, store_inode inode, const struct store_recompress *again,
                  struct control_job **out)
{
        struct control_job *j = calloc(1, sizeof *j);

        if (j == NULL)
                return CAEFS_ERR_NOMEM;
        j->store = store;
        j->inode = inode;
        j->is_again = again != NULL;
        if (again != NULL)
                j->again = *again;
        pthread_mutex_init(&j->lock, NULL);
        pthread_cond_init(&j->ended, NULL);
        if (pthread_create(&j->thread, NULL, run, j) != 0) {
                pthread_cond_destroy(&j->ended);
                pthread_mutex_destroy(&j->lock);
                free(j);
                return caefs_fail(CAEFS_ERR_NOMEM, "no thread can be started");
        }
        *out = j;
        return CAEFS_OK;
}

static size_t
last_line(struct control_job *j, char line[CONTROL_JOB_LINE])
{
        if (j->told)
                return 0;
        j->told = true;
        const struct store_recompress_report *r = &j->report;
        if (j->err == CAEFS_OK && j->is_again)
                return (size_t) snprintf(line, CONTROL_JOB_LINE, "end %" PRIu64 " %" PRIu64
                                         " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                                         " %" PRIu64 "\n", r->left, r->files, r->replaced,
                                         r->exact, r->tighter, r->bytes_before, r->bytes_after);
        if (j->err == CAEFS_OK)
                return (size_t) snprintf(line, CONTROL_JOB_LINE, "end %" PRIu64 "\n", r->left);
        return (size_t) snprintf(line, CONTROL_JOB_LINE, "error %d %s\n", (int) j->err,
                                 j->sentence);
}

size_t
control_job_next_line(struct control_job *j, char line[CONTROL_JOB_LINE])
{
        struct timespec until;
        size_t length;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LINE_INTERVAL_NS;
        if (until.tv_nsec >= 1000000000L) {
                until.tv_nsec -= 1000000000L;
                until.tv_sec++;
        }
        pthread_mutex_lock(&j->lock);
        while (!j->done && pthread_cond_timedwait(&j->ended, &j->lock, &until) == 0)
                ;
        if (j->done)
                length = last_line(j, line);
        else
                length = (size_t) snprintf(line, CONTROL_JOB_LINE,
                                           "progress %" PRIu64 " %" PRIu64 "\n",
                                           atomic_load(&j->progress.done), j->progress.total);
        pthread_mutex_unlock(&j->lock);
        return length;
}

void
control_job_free(struct control_job *j)
{
        if (j == NULL)
                return;
        atomic_store(&j->progress.cancelled, true);
        pthread_join(j->thread, NULL);
        pthread_cond_destroy(&j->ended);
        pthread_mutex_destroy(&j->lock);
        free(j);
}
