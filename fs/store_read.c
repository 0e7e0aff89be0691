/* fs/store_read.c - the bytes of sealed files, through the cache of decoded chunks.
 *
 * At most DECODERS threads decode at a time: more would only share the processors, and each
 * needs an arena that may be tens of MiB.  A chunk that is predicted from another object's
 * has that decoded within its own decoding; such nested decodings do not wait for a place, so
 * that nobody waits for a place while holding one.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/arena.h"
#include "fs/store_internal.h"

#define DECODERS_MAX 64
#define DECODERS_MIN 4          /* some of them wait for the disk */

/* lock: all of it. */
struct decoders {
        pthread_mutex_t lock;
        pthread_cond_t  free;           /* places or arenas have become more */
        unsigned        places;
        unsigned        limit;          /* of arenas that are kept */
        unsigned        narenas;
        struct arena    arena[DECODERS_MAX];
};

enum caefs_err
decoders_make(struct store *s)
{
        struct decoders *d = calloc(1, sizeof *d);
        long             processors = sysconf(_SC_NPROCESSORS_ONLN);

        s->decoders = d;
        if (d == NULL)
                return CAEFS_ERR_NOMEM;
        d->places = processors > DECODERS_MAX ? DECODERS_MAX
                    : processors < DECODERS_MIN ? DECODERS_MIN : (unsigned) processors;
        d->limit = d->places;
        pthread_mutex_init(&d->lock, NULL);
        pthread_cond_init(&d->free, NULL);
        return CAEFS_OK;
}

void
decoders_free(struct store *s)
{
        struct decoders *d = s->decoders;

        if (d == NULL)
                return;
        while (d->narenas > 0)
                arena_free(&d->arena[--d->narenas]);
        pthread_mutex_destroy(&d->lock);
        pthread_cond_destroy(&d->free);
        free(d);
}

static struct arena
take_arena(struct decoders *d, bool nested)
{
        struct arena arena = { 0 };

        pthread_mutex_lock(&d->lock);
        while (!nested && d->places == 0)
                pthread_cond_wait(&d->free, &d->lock);
        d->places -= !nested;
        if (d->narenas > 0)
                arena = d->arena[--d->narenas];
        pthread_mutex_unlock(&d->lock);
        return arena;
}

static void
give_arena(struct decoders *d, struct arena *arena, bool nested)
{
        pthread_mutex_lock(&d->lock);
        bool is_kept = d->narenas < d->limit;
        if (is_kept)
                d->arena[d->narenas++] = *arena;
        d->places += !nested;
        pthread_cond_signal(&d->free);
        pthread_mutex_unlock(&d->lock);
        if (!is_kept)
                arena_free(arena);
}

/* ---- one chunk ---------------------------------------------------------- */

/* What a chunk is decoded from. */
struct decoding {
        struct store         *store;
        struct opened_object *opened;
        size_t                index;
        bool                  nested;
};

static enum caefs_err
decode_chunk(void *context, void *buffer)
{
        const struct decoding *d = context;
        struct decoders       *decoders = d->store->decoders;
        struct arena           arena = take_arena(decoders, d->nested);
        struct arena_mark      mark = arena_mark(&arena);
        enum caefs_err err = object_read_chunk(object_of(d->opened), d->index, &arena, buffer);

        arena_release(&arena, mark);
        give_arena(decoders, &arena, d->nested);
        return err;
}

/* The chunk with byte OFFSET, pinned. */
static enum caefs_err
pin_chunk(struct decoding *d, uint64_t offset, struct chunk_extent *e, struct cache_entry **out)
{
        const struct object *object = object_of(d->opened);

        d->index = object_chunk_at(object, offset);
        enum caefs_err err = object_chunk(object, d->index, e);
        if (err == CAEFS_OK)
                err = cache_pin(d->store->cache, object_id(d->opened), d->index,
                                (size_t) e->length, decode_chunk, d, out);
        return err;
}

enum caefs_err
object_decode_ahead(struct store *s, struct opened_object *o, size_t index)
{
        struct decoding     d = { .store = s, .opened = o, .index = index };
        struct chunk_extent e;
        struct cache_entry *entry;

        if (cache_has(s->cache, object_id(o), index))
                return CAEFS_OK;
        enum caefs_err err = object_chunk(object_of(o), index, &e);
        if (err == CAEFS_OK)
                err = cache_pin(s->cache, object_id(o), index, (size_t) e.length, decode_chunk,
                                &d, &entry);
        if (err == CAEFS_OK)
                cache_unpin(s->cache, entry);
        return err;
}

/* ---- reading ------------------------------------------------------------ */

static enum caefs_err
check_range(const struct opened_object *o, size_t n, uint64_t offset)
{
        uint64_t size = object_info(object_of(o))->logical_bytes;

        if (offset > size || n > size - offset)
                return caefs_fail(CAEFS_ERR_CORRUPT, "object %" PRIu64 " serves only %" PRIu64
                                  " bytes", object_id(o), size);
        return CAEFS_OK;
}

/* How much of [OFFSET, OFFSET + N) lies in the chunk, and where in it. */
static size_t
part_in(const struct chunk_extent *e, size_t n, uint64_t offset, size_t *skip)
{
        *skip = (size_t) (offset - e->offset);
        return e->length - *skip < n ? (size_t) e->length - *skip : n;
}

static enum caefs_err
read_copy(struct decoding *d, char *buffer, size_t n, uint64_t offset)
{
        struct chunk_extent e;
        struct cache_entry *entry;
        size_t              skip;
        enum caefs_err      err = check_range(d->opened, n, offset);

        while (err == CAEFS_OK && n > 0) {
                err = pin_chunk(d, offset, &e, &entry);
                if (err != CAEFS_OK)
                        break;
                size_t used = part_in(&e, n, offset, &skip);
                memcpy(buffer, (const char *) cache_data(entry) + skip, used);
                cache_unpin(d->store->cache, entry);
                buffer += used;
                offset += used;
                n -= used;
        }
        return err;
}

enum caefs_err
object_read_cached(struct store *s, struct opened_object *o, void *buffer, size_t n,
                   uint64_t offset)
{
        struct decoding d = { .store = s, .opened = o };

        return read_copy(&d, buffer, n, offset);
}

enum caefs_err
object_read_nested(struct store *s, struct opened_object *o, void *buffer, size_t n,
                   uint64_t offset)
{
        struct decoding d = { .store = s, .opened = o, .nested = true };

        return read_copy(&d, buffer, n, offset);
}

/* ---- without a copy ----------------------------------------------------- */

static void
view_add(struct store_view *v, void *data, size_t n, struct cache_entry *entry, bool is_passed)
{
        v->piece[v->npieces] = (struct iovec) { .iov_base = data, .iov_len = n };
        v->is_passed[v->npieces] = is_passed;
        v->pinned[v->npieces++] = entry;
}

void
view_add_buffer(struct store_view *v, void *data, size_t n)
{
        view_add(v, data, n, NULL, false);
}

enum caefs_err
object_view(struct store *s, struct opened_object *o, void *buffer, size_t n, uint64_t offset,
            bool in_a_row, struct store_view *v)
{
        struct decoding     d = { .store = s, .opened = o };
        struct chunk_extent e;
        struct cache_entry *entry;
        size_t              skip;
        enum caefs_err      err = check_range(o, n, offset);

        while (err == CAEFS_OK && n > 0 && v->npieces < STORE_VIEW_PIECES - 1) {
                err = pin_chunk(&d, offset, &e, &entry);
                if (err != CAEFS_OK)
                        break;
                size_t used = part_in(&e, n, offset, &skip);
                view_add(v, (char *) cache_data(entry) + skip, used, entry,
                         in_a_row && skip + used == e.length);
                offset += used;
                n -= used;
        }
        if (err == CAEFS_OK && n > 0) {         /* the chunks are small and many */
                err = read_copy(&d, buffer, n, offset);
                view_add_buffer(v, buffer, n);
        }
        if (err != CAEFS_OK)
                store_view_release(s, v);
        return err;
}

void
store_view_release(struct store *s, struct store_view *v)
{
        while (v->npieces > 0) {
                struct cache_entry *entry = v->pinned[--v->npieces];
                if (entry != NULL && v->is_passed[v->npieces])
                        cache_unpin_passed(s->cache, entry);
                else if (entry != NULL)
                        cache_unpin(s->cache, entry);
        }
}
