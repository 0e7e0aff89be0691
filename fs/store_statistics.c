/* fs/store_statistics.c - figures: sums over the catalogue, and what is in memory.
 *
 * Sums are read through a connection of their own: it sees the last commit, and nobody
 * who waits for the catalogue waits for it.  They are not kept up to date with every
 * change, which would cost each of them something for the few that ask.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "fs/store_internal.h"

/* Reading the sums takes at most a 20th of the time, however often somebody asks. */
#define PATIENCE 20

struct totals_reader {
        struct meta        *meta;
        struct store_totals totals;
        bool                is_read;
        uint64_t            change;     /* the commit that TOTALS are of, or an earlier one */
        int64_t             read_at;    /* nanoseconds of the monotonic clock */
        int64_t             duration;   /* of reading */
};

static void
tell_fallback(void *context, const char *reason, uint64_t objects)
{
        struct store_totals *t = context;

        snprintf(t->fallback[t->fallbacks].reason, sizeof t->fallback[0].reason, "%.*s",
                 (int) sizeof t->fallback[0].reason - 1, reason);
        t->fallback[t->fallbacks++].objects = objects;
}

static enum caefs_err
read_totals(struct meta *meta, struct store_totals *out)
{
        struct meta_totals sums;
        enum caefs_err     err = meta_totals(meta, &sums);

        if (err != CAEFS_OK)
                return err;
        *out = (struct store_totals) {
                .files = sums.files, .logical_bytes = sums.logical_bytes,
                .staged_files = sums.staged_files, .staged_bytes = sums.staged_bytes,
                .objects = sums.objects, .stored_bytes = sums.stored_bytes,
                .models = sums.models, .model_bytes = sums.model_bytes,
        };
        return meta_fallbacks(meta, STORE_FALLBACKS, tell_fallback, out);
}

/* totals_lock held. */
static enum caefs_err
reader_open(struct store *s)
{
        const enum meta_mode  mode = meta_mode(s->meta);
        struct totals_reader *r;
        char                 *database;

        if (s->totals != NULL)
                return CAEFS_OK;
        if (asprintf(&database, "%s/caefs.db", s->path) < 0)
                return CAEFS_ERR_NOMEM;
        r = calloc(1, sizeof *r);
        enum caefs_err err = r == NULL ? CAEFS_ERR_NOMEM
                                       : meta_open(database, mode == META_WRITE ? META_READ : mode,
                                                   &r->meta);
        free(database);
        if (err == CAEFS_OK)
                s->totals = r;
        else
                free(r);
        return err;
}

static bool
is_good_enough(const struct totals_reader *r, uint64_t committed, bool is_live, bool fresh)
{
        return r->is_read && ((r->change == committed && !is_live) ||
                              (!fresh && monotonic_ns() - r->read_at < PATIENCE * r->duration));
}

enum caefs_err
store_totals(struct store *s, bool fresh, struct store_totals *out)
{
        enum caefs_err err = fresh ? store_commit(s) : CAEFS_OK;

        if (err != CAEFS_OK)
                return err;
        pthread_mutex_lock(&s->catalogue);
        const uint64_t committed = s->committed;
        pthread_mutex_unlock(&s->catalogue);
        pthread_mutex_lock(&s->totals_lock);
        err = reader_open(s);
        if (err == CAEFS_OK && !is_good_enough(s->totals, committed, s->is_live, fresh)) {
                struct totals_reader *r = s->totals;
                const int64_t         begin = monotonic_ns();

                err = read_totals(r->meta, &r->totals);
                r->is_read = err == CAEFS_OK;
                r->change = committed;
                r->read_at = monotonic_ns();
                r->duration = r->read_at - begin;
        }
        if (err == CAEFS_OK)
                *out = s->totals->totals;
        pthread_mutex_unlock(&s->totals_lock);
        return err;
}

void
totals_close(struct store *s)
{
        if (s->totals == NULL)
                return;
        meta_close(s->totals->meta);
        free(s->totals);
        s->totals = NULL;
}

void
seal_note(struct store *s, struct inode *inode)
{
        const struct meta_inode row = inode_row(s, inode);

        atomic_fetch_add(&s->seals_done, 1);
        atomic_fetch_add(&s->sealed_bytes, row.content.size);
        atomic_fetch_add(&s->sealed_stored_bytes, row.stored_bytes);
        log_debug("inode %" PRIu64 " is sealed: %" PRIu64 " bytes take %" PRIu64, row.ino,
                  row.content.size, row.stored_bytes);
}

void
store_counts(struct store *s, struct store_counts *out)
{
        const struct cache_counts cache = cache_counts(s->cache);

        *out = (struct store_counts) {
                .cache_hits = cache.hits, .cache_misses = cache.misses,
                .cache_evictions = cache.evictions, .cache_bytes = cache.bytes,
                .cache_limit_bytes = s->options.cache_bytes,
                .seals_done = atomic_load(&s->seals_done),
                .seals_failed = atomic_load(&s->seals_failed),
                .seals_waiting = queue_waiting(s),
                .sealed_bytes = atomic_load(&s->sealed_bytes),
                .sealed_stored_bytes = atomic_load(&s->sealed_stored_bytes),
        };
        pthread_mutex_lock(&s->table_lock);
        out->inodes = s->table.count;
        out->names = s->table.names;
        pthread_mutex_unlock(&s->table_lock);
}
