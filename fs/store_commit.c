/* fs/store_commit.c - grouped transactions: how changes begin, end, and become durable.
 *
 * Changes of names and attributes go into one long transaction of the catalogue.  It is
 * committed at fsync, at an interval by the committer thread, when it has grown
 * large, and when the store closes.
 *
 * A commit must not fail for want of space, since callers have been told of the
 * changes in it.  So the store keeps a file of STORE_RESERVE_BYTES really allocated.
 * While less than SPACE_LOW_BYTES are free beside it, whatever takes space is refused.
 * A commit that may need more than there is gets the reserve; afterwards the store
 * takes back what it can, and counts what is missing as not free.  Transactions stay
 * below half the reserve, or below all of it while there is ample space.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "fs/store_internal.h"

#define SPACE_LOW_BYTES    ((uint64_t) 4 << 20)
/* From here on a look now and then is enough. */
#define SPACE_AMPLE_BYTES  ((uint64_t) 1 << 30)
#define SPACE_CHECK_MS     50
#define WEIGHT_AMPLE       (2 * STORE_WEIGHT_MAX)
/* What a commit writes beside the pages it changed. */
#define COMMIT_EXTRA_BYTES ((uint64_t) 1 << 20)
#define TRASH_BATCH        256
/* The bytes of a closed file wait so many commits for its sealing, which makes writing
 * them twice unnecessary; then they are made durable as they are. */
#define DRAFT_INTERVALS    5

/* ---- space -------------------------------------------------------------- */

static uint64_t
free_bytes(const struct store *s)
{
        struct statvfs v;

        if (fstatvfs(s->root_fd, &v) < 0)
                return UINT64_MAX;
        return (uint64_t) v.f_bavail * v.f_frsize;
}

bool
store_space_is_low(struct store *s)
{
        int64_t now = now_ns() / 1000000;
        int64_t age = now - atomic_load(&s->space_checked);

        if (age >= 0 && age < SPACE_CHECK_MS)
                return false;
        uint64_t space = free_bytes(s);
        if (space > SPACE_AMPLE_BYTES)
                atomic_store(&s->space_checked, now);
        return space < SPACE_LOW_BYTES + atomic_load(&s->reserve_missing);
}

bool
store_space_is_ample(struct store *s)
{
        int64_t age = now_ns() / 1000000 - atomic_load(&s->space_checked);

        return age >= 0 && age < 2 * SPACE_CHECK_MS;
}

/* Before a commit of WEIGHT bytes; commit held, as for reserve_take(). */
static void
reserve_give(struct store *s, uint64_t weight)
{
        if (s->reserve_missing == STORE_RESERVE_BYTES ||
            free_bytes(s) > 2 * weight + COMMIT_EXTRA_BYTES)
                return;
        s->reserve_missing = STORE_RESERVE_BYTES;
        io->truncate(s->reserve_fd, 0);
}

/* Takes back as much of the reserve as there is room for. */
static void
reserve_take(struct store *s)
{
        uint64_t space = s->reserve_missing > 0 ? free_bytes(s) : 0;
        uint64_t missing = s->reserve_missing;
        uint64_t add = space < missing ? space / 4096 * 4096 : missing;

        while (add >= 4096 && s->reserve_missing > 0) {
                uint64_t have = STORE_RESERVE_BYTES - missing;
                if (io->allocate(s->reserve_fd, 0, have, add) == 0) {
                        s->reserve_missing = missing - add;
                        return;
                }
                if (errno != ENOSPC) {
                        /* Such a system cannot keep space for us: then without. */
                        s->reserve_missing = 0;
                        return;
                }
                add = add / 2 / 4096 * 4096;
        }
}

/* ---- changes ------------------------------------------------------------ */

enum caefs_err
change_begin_locked(struct store *s)
{
        return meta_mark(s->meta);
}

enum caefs_err
change_end_locked(struct store *s, enum caefs_err err)
{
        if (err != CAEFS_OK) {
                meta_undo(s->meta);
                return err;
        }
        meta_keep(s->meta);
        s->change++;
        return CAEFS_OK;
}

/* Is it time to commit, whoever waits?  With ample space a transaction may be larger than
 * what the reserve is for.  Catalogue held. */
static bool
is_heavy(struct store *s)
{
        uint64_t weight = meta_weight(s->meta);

        if (weight <= STORE_WEIGHT_MAX || meta_has_failed(s->meta))
                return false;
        return weight > WEIGHT_AMPLE || store_space_is_low(s) || !store_space_is_ample(s);
}

enum caefs_err
change_begin(struct store *s, enum space_need need)
{
        enum caefs_err err;

        if (s->options.read_only)
                return CAEFS_ERR_READ_ONLY;
        if (need == SPACE_SOME && store_space_is_low(s))
                return caefs_fail(CAEFS_ERR_NO_SPACE, "%s: the device is nearly full",
                                  s->path);
        pthread_mutex_lock(&s->catalogue);
        while (is_heavy(s)) {
                pthread_mutex_unlock(&s->catalogue);
                err = commit_changes(s, false);
                if (err != CAEFS_OK)
                        return err;
                pthread_mutex_lock(&s->catalogue);
        }
        err = change_begin_locked(s);
        if (err != CAEFS_OK)
                pthread_mutex_unlock(&s->catalogue);
        return err;
}

enum caefs_err
change_end(struct store *s, enum caefs_err err)
{
        err = change_end_locked(s, err);
        pthread_mutex_unlock(&s->catalogue);
        return err;
}

/* ---- trash -------------------------------------------------------------- */

static enum caefs_err
trash_remove(struct store *s, const struct meta_trash *t)
{
        char staging[STAGING_NAME_SIZE], object[OBJECT_NAME_SIZE];
        int  result;

        if (t->kind == META_TRASH_STAGING) {
                staging_name(t->id, t->generation, staging);
                result = io->unlink(s->staging_fd, staging);
        } else {
                object_name(t->id, object);
                result = io->unlink(s->objects_fd, object);
                object_forget(s, t->id);
        }
        if (result < 0 && errno != ENOENT)
                return caefs_fail_errno("%s: cannot remove a file", s->path);
        return CAEFS_OK;
}

/* The rows of COUNT files that are gone; their deletion waits for the next commit. */
static enum caefs_err
trash_forget(struct store *s, const struct meta_trash *trash, size_t count)
{
        enum caefs_err err = change_begin_locked(s);

        if (err != CAEFS_OK)
                return err;
        for (size_t i = 0; err == CAEFS_OK && i < count; i++)
                err = meta_trash_delete(s->meta, &trash[i]);
        return change_end_locked(s, err);
}

/* Objects that were removed must not come back once nothing speaks of them any more.  (A
 * staging file that does is removed at the next opening.)  The first sync takes the
 * others along where a journal keeps the order, so they cost little. */
static enum caefs_err
trash_sync(struct store *s, const struct meta_trash *trash, size_t count)
{
        bool           is_synced[OBJECT_DIRECTORIES] = { false };
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                bool *done = &is_synced[trash[i].id % OBJECT_DIRECTORIES];
                if (trash[i].kind != META_TRASH_OBJECT || *done)
                        continue;
                *done = true;
                err = object_directory_sync(s, trash[i].id);
        }
        return err;
}

/* One batch; the catalogue was committed just now and is held, also afterwards. */
static enum caefs_err
trash_empty_batch(struct store *s, size_t *count)
{
        struct meta_trash trash[TRASH_BATCH];
        enum caefs_err err = meta_trash_list(s->meta, trash, TRASH_BATCH, count);

        pthread_mutex_unlock(&s->catalogue);
        for (size_t i = 0; err == CAEFS_OK && i < *count; i++)
                err = trash_remove(s, &trash[i]);
        if (err == CAEFS_OK)
                err = trash_sync(s, trash, *count);
        pthread_mutex_lock(&s->catalogue);
        if (err == CAEFS_OK && *count > 0)
                err = trash_forget(s, trash, *count);
        return err;
}

/* ---- commit ------------------------------------------------------------- */

/* Commit and catalogue held. */
static enum caefs_err
commit_catalogue(struct store *s)
{
        enum caefs_err err = draft_store_ordered(s);

        if (err != CAEFS_OK)
                return err;
        reserve_give(s, meta_weight(s->meta));
        err = meta_commit(s->meta);
        if (err == CAEFS_OK)
                s->committed = s->change;
        return err;
}

enum caefs_err
commit_if_heavy(struct store *s)
{
        return is_heavy(s) ? commit_catalogue(s) : CAEFS_OK;
}

/* With DRAFTS those that were flushed before LISTED. */
static enum caefs_err
commit_drafts(struct store *s, bool drafts, int64_t listed)
{
        if (s->options.read_only)
                return CAEFS_OK;
        pthread_mutex_lock(&s->catalogue);
        uint64_t wanted = s->change;
        pthread_mutex_unlock(&s->catalogue);

        pthread_mutex_lock(&s->commit);
        enum caefs_err err = drafts ? draft_store_all(s, listed) : CAEFS_OK;
        pthread_mutex_lock(&s->catalogue);
        /* Somebody else's commit may have taken ours along. */
        if (drafts || s->committed < wanted || s->ordered_drafts > 0) {
                enum caefs_err commit_err = commit_catalogue(s);
                err = err != CAEFS_OK ? err : commit_err;
        }
        if (err == CAEFS_OK && s->has_trash && s->committed == s->change) {
                size_t count = 0;
                s->has_trash = false;
                err = trash_empty_batch(s, &count);
                s->has_trash = s->has_trash || count == TRASH_BATCH || err != CAEFS_OK;
        }
        pthread_mutex_unlock(&s->catalogue);
        reserve_take(s);
        pthread_mutex_unlock(&s->commit);
        return err;
}

enum caefs_err
commit_changes(struct store *s, bool drafts)
{
        return commit_drafts(s, drafts, INT64_MAX);
}

enum caefs_err
trash_empty(struct store *s)
{
        enum caefs_err err = CAEFS_OK;
        size_t         count = TRASH_BATCH;

        pthread_mutex_lock(&s->commit);
        pthread_mutex_lock(&s->catalogue);
        while (err == CAEFS_OK && count == TRASH_BATCH) {
                err = trash_empty_batch(s, &count);
                if (err == CAEFS_OK)
                        err = commit_catalogue(s);
        }
        s->has_trash = err != CAEFS_OK;
        pthread_mutex_unlock(&s->catalogue);
        pthread_mutex_unlock(&s->commit);
        return err;
}

enum caefs_err
store_commit(struct store *s)
{
        enum caefs_err err = commit_changes(s, true);

        /* Once more for what the first round left: rows of emptied trash. */
        return err != CAEFS_OK ? err : commit_changes(s, false);
}

/* ---- the committer thread ----------------------------------------------- */

/* Waits for an interval; false when it is time to stop. */
static bool
committer_wait(struct store *s)
{
        struct timespec until;
        double          seconds = s->options.commit_interval;

        clock_gettime(CLOCK_MONOTONIC, &until);
        int64_t at = until.tv_sec * INT64_C(1000000000) + until.tv_nsec +
                     (int64_t) (seconds * 1e9);
        until = (struct timespec) { .tv_sec = at / 1000000000, .tv_nsec = at % 1000000000 };
        pthread_mutex_lock(&s->wake_lock);
        int waited = 0;
        while (!s->stop && waited != ETIMEDOUT)
                waited = pthread_cond_timedwait(&s->wake, &s->wake_lock, &until);
        bool go_on = !s->stop;
        pthread_mutex_unlock(&s->wake_lock);
        return go_on;
}

static void *
committer_main(void *context)
{
        struct store *s = context;
        int64_t       delay = (int64_t) (s->options.commit_interval * DRAFT_INTERVALS * 1e9);
        bool          complained = false;

        while (committer_wait(s)) {
                enum caefs_err err = commit_drafts(s, true, monotonic_ns() - delay);
                if (err != CAEFS_OK && !complained)
                        log_error("%s: changes cannot be committed: %s", s->path, caefs_detail());
                complained = err != CAEFS_OK;
        }
        return NULL;
}

enum caefs_err
committer_start(struct store *s)
{
        int failed = pthread_create(&s->committer, NULL, committer_main, s);

        s->has_committer = failed == 0;
        return failed == 0 ? CAEFS_OK : caefs_fail(CAEFS_ERR_NOMEM, "cannot start a thread");
}

void
committer_stop(struct store *s)
{
        if (!s->has_committer)
                return;
        pthread_mutex_lock(&s->wake_lock);
        s->stop = true;
        pthread_cond_broadcast(&s->wake);
        pthread_mutex_unlock(&s->wake_lock);
        pthread_join(s->committer, NULL);
        s->has_committer = false;
}
