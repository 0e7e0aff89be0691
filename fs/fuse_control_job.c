/* fs/fuse_control_job.c - sealing a tree in a thread of its own. */
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
        struct progress progress;
        pthread_t       thread;

        pthread_mutex_t lock;           /* taken alone */
        pthread_cond_t  ended;
        bool            done;           /* protected by lock, as all below */
        bool            told;           /* the last line has been given out */
        enum caefs_err  err;
        uint64_t        left;
        char            sentence[512];
};

static void *
run(void *argument)
{
        struct control_job *j = argument;
        uint64_t left = 0;
        const enum caefs_err err = store_sync_tree(j->store, j->inode, true, &j->progress, &left);
        const char *sentence = caefs_detail();

        pthread_mutex_lock(&j->lock);
        j->err = err;
        j->left = left;
        snprintf(j->sentence, sizeof j->sentence, "%s",
                 *sentence != '\0' ? sentence : caefs_err_text(err));
        j->done = true;
        pthread_cond_broadcast(&j->ended);
        pthread_mutex_unlock(&j->lock);
        return NULL;
}

enum caefs_err
control_job_start(struct store *store, store_inode inode, struct control_job **out)
{
        struct control_job *j = calloc(1, sizeof *j);

        if (j == NULL)
                return CAEFS_ERR_NOMEM;
        j->store = store;
        j->inode = inode;
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
        if (j->err == CAEFS_OK)
                return (size_t) snprintf(line, CONTROL_JOB_LINE, "end %" PRIu64 "\n", j->left);
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
