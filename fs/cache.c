/* fs/cache.c - a hash table, two lists by last use, and a condition for waiters. */
#include "fs/cache.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define BUCKETS      ((size_t) 1 << 15)
#define PAGE         ((size_t) 4096)
#define PASSED_SHARE 2                  /* at most this part of the limit was passed by */

enum state { FILLING, READY, FAILED };

/* Memory for a chunk. */
struct buffer {
        void  *data;
        size_t capacity;
};

struct cache_entry {
        struct cache_entry *next_in_bucket;     /* or the next to be freed */
        struct cache_entry *older, *newer;      /* while READY and not pinned */
        bool                is_passed;          /* which list that is */
        uint64_t            object, index;
        struct buffer       buffer;             /* capacity: from the start; data: of who fills */
        unsigned            pins;
        enum state          state;
        enum caefs_err      err;                /* when FAILED */
};

struct list {
        struct cache_entry *newest, *oldest;
        uint64_t            bytes;
};

struct cache {
        pthread_mutex_t      lock;              /* all below */
        pthread_cond_t       filled;            /* an entry left FILLING */
        uint64_t             limit;
        struct cache_entry  *bucket[BUCKETS];
        struct list          used, passed;
        struct cache_counts  counts;
};

/* Whole pages, so that memory fits what comes later. */
static size_t
capacity_for(size_t size)
{
        return size < PAGE ? size : (size + PAGE - 1) / PAGE * PAGE;
}

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
        free(e->buffer.data);
        free(e);
}

static void
list_free(struct list *l)
{
        while (l->newest != NULL) {
                struct cache_entry *e = l->newest;
                l->newest = e->older;
                entry_free(e);
        }
}

void
cache_free(struct cache *c)
{
        if (c == NULL)
                return;
        list_free(&c->used);
        list_free(&c->passed);
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
        c->counts.bytes -= e->buffer.capacity;
}

static void
list_remove(struct cache *c, struct cache_entry *e)
{
        struct list *l = e->is_passed ? &c->passed : &c->used;

        *(e->newer == NULL ? &l->newest : &e->newer->older) = e->older;
        *(e->older == NULL ? &l->oldest : &e->older->newer) = e->newer;
        e->newer = e->older = NULL;
        l->bytes -= e->buffer.capacity;
}

static void
list_add_newest(struct cache *c, struct cache_entry *e)
{
        struct list *l = e->is_passed ? &c->passed : &c->used;

        e->older = l->newest;
        *(l->newest == NULL ? &l->oldest : &l->newest->newer) = e;
        l->newest = e;
        l->bytes += e->buffer.capacity;
}

/* What has to go first, or NULL. */
static struct cache_entry *
next_to_go(struct cache *c)
{
        const bool is_full = c->counts.bytes > c->limit;

        if (c->passed.bytes > c->limit / PASSED_SHARE || (is_full && c->used.oldest == NULL))
                return c->passed.newest;
        return is_full ? c->used.oldest : NULL;
}

/* Takes what is over the limits out: entries to be freed without the lock. */
static struct cache_entry *
evict(struct cache *c)
{
        struct cache_entry *gone = NULL, *e;

        while ((e = next_to_go(c)) != NULL) {
                list_remove(c, e);
                remove_from_table(c, e);
                e->next_in_bucket = gone;
                gone = e;
                c->counts.evictions++;
        }
        return gone;
}

static void
free_evicted(struct cache_entry *gone)
{
        while (gone != NULL) {
                struct cache_entry *e = gone;
                gone = e->next_in_bucket;
                entry_free(e);
        }
}

/* Memory of CAPACITY bytes: that of one of the evicted, which are freed. */
static void *
buffer_from(struct cache_entry *gone, size_t capacity)
{
        void *data = NULL;

        for (struct cache_entry *e = gone; e != NULL && data == NULL; e = e->next_in_bucket)
                if (e->buffer.capacity == capacity) {
                        data = e->buffer.data;
                        e->buffer.data = NULL;
                }
        free_evicted(gone);
        return data != NULL ? data : malloc(capacity);
}

/* In the table, FILLING, without memory yet. */
static struct cache_entry *
entry_new(struct cache *c, uint64_t object, uint64_t index, size_t size)
{
        struct cache_entry  *e = calloc(1, sizeof *e);
        struct cache_entry **bucket = bucket_of(c, object, index);

        if (e == NULL)
                return NULL;
        e->object = object;
        e->index = index;
        e->buffer.capacity = capacity_for(size);
        e->pins = 1;
        e->next_in_bucket = *bucket;
        *bucket = e;
        c->counts.bytes += e->buffer.capacity;
        return e;
}

/* Pins E and waits until it is filled.  Lock held. */
static enum caefs_err
pin_present(struct cache *c, struct cache_entry *e)
{
        if (e->pins++ == 0)
                list_remove(c, e);
        e->is_passed = false;
        while (e->state == FILLING)
                pthread_cond_wait(&c->filled, &c->lock);
        return e->state == READY ? CAEFS_OK : e->err;
}

/* Gives up one pin; lock held.  What is to be freed without it is returned. */
static struct cache_entry *
unpin(struct cache *c, struct cache_entry *e)
{
        if (--e->pins > 0)
                return NULL;
        if (e->state == FAILED) {
                e->next_in_bucket = NULL;
                return e;
        }
        list_add_newest(c, e);
        /* What is only passed waits for who can use its memory. */
        return c->counts.bytes > c->limit ? evict(c) : NULL;
}

/* Makes the entry and fills it; lock held, but not meanwhile. */
static enum caefs_err
pin_absent(struct cache *c, uint64_t object, uint64_t index, size_t size, cache_fill *fill,
           void *context, struct cache_entry **out)
{
        struct cache_entry *e = entry_new(c, object, index, size);

        *out = e;
        if (e == NULL)
                return CAEFS_ERR_NOMEM;
        struct cache_entry *gone = evict(c);
        pthread_mutex_unlock(&c->lock);
        e->buffer.data = buffer_from(gone, e->buffer.capacity);
        enum caefs_err err = e->buffer.data == NULL ? CAEFS_ERR_NOMEM
                                                    : fill(context, e->buffer.data);
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
        struct cache_entry *gone = NULL;
        enum caefs_err      err;

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
                gone = unpin(c, *out);
                *out = NULL;
        }
        pthread_mutex_unlock(&c->lock);
        free_evicted(gone);
        return err;
}

bool
cache_has(struct cache *c, uint64_t object, uint64_t index)
{
        pthread_mutex_lock(&c->lock);
        bool has = find(c, object, index) != NULL;
        pthread_mutex_unlock(&c->lock);
        return has;
}

const void *
cache_data(const struct cache_entry *e)
{
        return e->buffer.data;
}

void
cache_unpin(struct cache *c, struct cache_entry *e)
{
        pthread_mutex_lock(&c->lock);
        struct cache_entry *gone = unpin(c, e);
        pthread_mutex_unlock(&c->lock);
        free_evicted(gone);
}

void
cache_unpin_passed(struct cache *c, struct cache_entry *e)
{
        pthread_mutex_lock(&c->lock);
        e->is_passed = true;
        struct cache_entry *gone = unpin(c, e);
        pthread_mutex_unlock(&c->lock);
        free_evicted(gone);
}

struct cache_counts
cache_counts(struct cache *c)
{
        pthread_mutex_lock(&c->lock);
        struct cache_counts counts = c->counts;
        pthread_mutex_unlock(&c->lock);
        return counts;
}
