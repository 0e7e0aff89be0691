/* fs/cache.c - a hash table, a list by last use, and a condition for waiters. */
#include "fs/cache.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define BUCKETS ((size_t) 4096)         /* chunks are large: entries are few */

enum state { FILLING, READY, FAILED };

struct cache_entry {
        struct cache_entry *next_in_bucket;
        struct cache_entry *older, *newer;      /* while READY and not pinned */
        uint64_t            object, index;
        size_t              size;
        void               *data;
        unsigned            pins;
        enum state          state;
        enum caefs_err      err;                /* when FAILED */
};

struct cache {
        pthread_mutex_t      lock;              /* all below */
        pthread_cond_t       filled;            /* an entry left FILLING */
        uint64_t             limit;
        struct cache_entry  *bucket[BUCKETS];
        struct cache_entry  *newest, *oldest;
        struct cache_counts  counts;
};

struct cache *
cache_new(uint64_t limit_bytes)
{
        struct cache *c = calloc(1, sizeof *c);

        if (c == NULL)
                return NULL;
        c->limit = limit_bytes;
        pthread_mutex_init(&c->lock, NULL);
        pthread_cond_init(&c->filled, NULL);
        return c;
}

static void
entry_free(struct cache_entry *e)
{
        free(e->data);
        free(e);
}

void
cache_free(struct cache *c)
{
        if (c == NULL)
                return;
        while (c->newest != NULL) {
                struct cache_entry *e = c->newest;
                c->newest = e->older;
                entry_free(e);
        }
        pthread_mutex_destroy(&c->lock);
        pthread_cond_destroy(&c->filled);
        free(c);
}

static struct cache_entry **
bucket_of(struct cache *c, uint64_t object, uint64_t index)
{
        uint64_t h = (object * UINT64_C(0x9e3779b97f4a7c15)) ^
                     (index * UINT64_C(0xc2b2ae3d27d4eb4f));

        return &c->bucket[(h ^ (h >> 29)) % BUCKETS];
}

static struct cache_entry *
find(struct cache *c, uint64_t object, uint64_t index)
{
        struct cache_entry *e = *bucket_of(c, object, index);

        while (e != NULL && (e->object != object || e->index != index))
                e = e->next_in_bucket;
        return e;
}

static void
remove_from_table(struct cache *c, struct cache_entry *e)
{
        struct cache_entry **at = bucket_of(c, e->object, e->index);

        while (*at != e)
                at = &(*at)->next_in_bucket;
        *at = e->next_in_bucket;
        c->counts.bytes -= e->size;
}

static void
list_remove(struct cache *c, struct cache_entry *e)
{
        *(e->newer == NULL ? &c->newest : &e->newer->older) = e->older;
        *(e->older == NULL ? &c->oldest : &e->older->newer) = e->newer;
        e->newer = e->older = NULL;
}

static void
list_add_newest(struct cache *c, struct cache_entry *e)
{
        e->older = c->newest;
        *(c->newest == NULL ? &c->oldest : &c->newest->newer) = e;
        c->newest = e;
}

static void
evict(struct cache *c)
{
        while (c->counts.bytes > c->limit && c->oldest != NULL) {
                struct cache_entry *e = c->oldest;
                list_remove(c, e);
                remove_from_table(c, e);
                entry_free(e);
                c->counts.evictions++;
        }
}

static struct cache_entry *
entry_new(struct cache *c, uint64_t object, uint64_t index, size_t size)
{
        struct cache_entry  *e = calloc(1, sizeof *e);
        struct cache_entry **bucket = bucket_of(c, object, index);

        if (e == NULL)
                return NULL;
        e->data = malloc(size);
        if (e->data == NULL) {
                free(e);
                return NULL;
        }
        e->object = object;
        e->index = index;
        e->size = size;
        e->pins = 1;
        e->next_in_bucket = *bucket;
        *bucket = e;
        c->counts.bytes += size;
        return e;
}

/* Pins E and waits until it is filled.  Lock held. */
static enum caefs_err
pin_present(struct cache *c, struct cache_entry *e)
{
        if (e->pins++ == 0)
                list_remove(c, e);
        while (e->state == FILLING)
                pthread_cond_wait(&c->filled, &c->lock);
        return e->state == READY ? CAEFS_OK : e->err;
}

/* Gives up one pin; lock held. */
static void
unpin(struct cache *c, struct cache_entry *e)
{
        if (--e->pins > 0)
                return;
        if (e->state == FAILED) {
                entry_free(e);
                return;
        }
        list_add_newest(c, e);
        evict(c);
}

/* Makes the entry and fills it; lock held, but not during FILL. */
static enum caefs_err
pin_absent(struct cache *c, uint64_t object, uint64_t index, size_t size, cache_fill *fill,
           void *context, struct cache_entry **out)
{
        struct cache_entry *e = entry_new(c, object, index, size);

        *out = e;
        if (e == NULL)
                return CAEFS_ERR_NOMEM;
        evict(c);
        pthread_mutex_unlock(&c->lock);
        enum caefs_err err = fill(context, e->data);
        pthread_mutex_lock(&c->lock);
        e->state = err == CAEFS_OK ? READY : FAILED;
        e->err = err;
        if (err != CAEFS_OK)
                remove_from_table(c, e);
        pthread_cond_broadcast(&c->filled);
        return err;
}

enum caefs_err
cache_pin(struct cache *c, uint64_t object, uint64_t index, size_t size, cache_fill *fill,
          void *context, struct cache_entry **out)
{
        enum caefs_err err;

        pthread_mutex_lock(&c->lock);
        *out = find(c, object, index);
        if (*out != NULL) {
                c->counts.hits++;
                err = pin_present(c, *out);
        } else {
                c->counts.misses++;
                err = pin_absent(c, object, index, size, fill, context, out);
        }
        if (err != CAEFS_OK && *out != NULL) {
                unpin(c, *out);
                *out = NULL;
        }
        pthread_mutex_unlock(&c->lock);
        return err;
}

const void *
cache_data(const struct cache_entry *e)
{
        return e->data;
}

void
cache_unpin(struct cache *c, struct cache_entry *e)
{
        pthread_mutex_lock(&c->lock);
        unpin(c, e);
        pthread_mutex_unlock(&c->lock);
}

struct cache_counts
cache_counts(struct cache *c)
{
        pthread_mutex_lock(&c->lock);
        struct cache_counts counts = c->counts;
        pthread_mutex_unlock(&c->lock);
        return counts;
}
