/* codec/object_encode.c - writing objects.
 *
 * Chunks are encoded by any number of workers and written by the calling thread,
 * in the order of the file.  Chunk i waits for a worker in slot i % nslots; a
 * worker claims the next chunk only while its slot is free, so that no more than
 * nslots coded chunks wait to be written.  With one thread the caller does it all.
 * What a chunk becomes depends on nothing but its own bytes, so the object does
 * not depend on the number of threads. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/model.h"
#include "codec/object_internal.h"
#include "codec/table.h"

/* ---- a chunk ---------------------------------------------------------------- */

/* What a worker leaves for the writer. */
struct coded {
        struct bytes        bytes;
        uint32_t            checksum;
        uint64_t            length;             /* bytes served */
        uint64_t            values;
        struct chunk_report report;             /* FAMILY: as in the chunk table */
        uint64_t            lossy_values;
        bool                uses_key;
        bool                carried;
        bool                kept;               /* part of it is as served before */
        bool                done;
        enum caefs_err      err;
        char                detail[256];        /* the worker's sentence */
};

struct encoder {
        const struct byte_source     *source;
        const struct object_options  *options;
        const struct byte_sink       *sink;
        const struct model           *model;
        uint64_t                      model_hash;
        struct key_reader             key;
        struct index                  index;
        struct region_bound          *bound;    /* (nregions) */

        pthread_mutex_t source_lock;            /* the source is read by one at a time */

        pthread_mutex_t lock;                   /* protects what follows */
        pthread_cond_t  changed;                /* of any of it */
        struct coded   *slot;                   /* (nslots); the claiming worker's until done,
                                                 * then the writer's */
        size_t          nslots;
        size_t          next;                   /* chunk to be claimed */
        size_t          written;                /* chunks before it are written */
        bool            stop;                   /* claim no more */
};

static enum caefs_err
read_raw(struct encoder *e, const struct chunk_place *place, uint8_t *raw)
{
        pthread_mutex_lock(&e->source_lock);
        enum caefs_err err = e->source->read(e->source->context, raw, (size_t) place->length,
                                             place->offset);
        pthread_mutex_unlock(&e->source_lock);
        return err;
}

/* The bound of the chunk's values; AMOUNT stays the region's. */
static struct chunk_bound
bound_of_chunk(const struct encoder *e, const struct chunk_place *place)
{
        const struct region_bound *r = &e->bound[place->region];
        struct chunk_bound         b = {
                .mode = r->mode,
                .amount = r->amount,
                .namounts = r->namounts,
        };

        if (r->namounts > 1 && place->geometry.scope == SCOPE_ARRAY) {
                b.amount += place->column;
                b.namounts = 1;
        }
        if (b.namounts == 1 && b.amount[0] == 0)
                b.mode = BOUND_LOSSLESS;
        return b;
}

/* The old coding as it is. */
static enum caefs_err
carry(const struct object *previous, const struct old_chunk *old,
      const struct chunk_place *place, struct arena *arena, struct coded *out)
{
        const void    *stored;
        size_t         size;
        enum caefs_err err = object_read_stored(previous, old->index, place->length, arena,
                                                &stored, &size);

        if (err != CAEFS_OK)
                return err;
        bytes_put(&out->bytes, stored, size);
        out->report.family = old->family;
        out->carried = true;
        return CAEFS_OK;
}

/* Opaque bytes, coded, decoded again and compared. */
static enum caefs_err
encode_opaque(const struct encoder *e, const uint8_t *raw, size_t n, struct arena *arena,
              struct coded *out)
{
        void          *served = arena_alloc(arena, n);
        enum caefs_err err = chunk_encode_bytes(raw, n, e->options->effort, &out->bytes);

        if (err != CAEFS_OK)
                return err;
        if (served == NULL || out->bytes.failed)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory to encode a chunk");
        err = chunk_decode_bytes(out->bytes.data, out->bytes.size, served, n);
        if (err == CAEFS_OK && memcmp(raw, served, n) != 0)
                err = caefs_fail(CAEFS_ERR_BOUND, "opaque bytes did not come back as they were");
        return err;
}

#define COUNT_DIFFERENT(TYPE)                                           \
        do {                                                            \
                const TYPE *x = a, *y = b;                              \
                for (size_t i = 0; i < n; i++)                          \
                        different += x[i] != y[i];                      \
        } while (0)

/* How many of the N values of WIDTH bytes, aligned, differ. */
static uint64_t
count_different(const void *a, const void *b, size_t n, unsigned width)
{
        uint64_t different = 0;

        if (width == 1)
                COUNT_DIFFERENT(uint8_t);
        else if (width == 2)
                COUNT_DIFFERENT(uint16_t);
        else if (width == 4)
                COUNT_DIFFERENT(uint32_t);
        else
                COUNT_DIFFERENT(uint64_t);
        return different;
}

#undef COUNT_DIFFERENT

/* What the key serves where the chunk lies; nothing when it is damaged. */
static enum caefs_err
find_reference(const struct encoder *e, const struct chunk_place *place, struct arena *arena,
               const struct reference **out)
{
        const struct family_methods *only = family_by_number((unsigned) e->options->family);

        *out = NULL;
        if (only != NULL && !only->uses_reference)
                return CAEFS_OK;
        enum caefs_err err = key_reference(&e->key, &e->index, place, arena, out);
        return err == CAEFS_ERR_CORRUPT ? CAEFS_OK : err;
}

/* Values under today's bound, those of OLD->keep as they are. */
static enum caefs_err
encode_values(const struct encoder *e, const struct chunk_place *place,
              const struct old_chunk *old, const uint8_t *raw, struct arena *arena,
              struct coded *out)
{
        struct chunk_geometry g = place->geometry;
        struct chunk_bound    b = bound_of_chunk(e, place);
        struct chunk_options  o = {
                .effort = e->options->effort,
                .family = e->options->family,
        };
        uint8_t              *served = arena_alloc(arena, (size_t) place->length);

        if (served == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory to encode a chunk");
        g.model = e->model;
        enum caefs_err err = find_reference(e, place, arena, &g.reference);
        if (err == CAEFS_OK)
                err = chunk_encode(&g, &b, &o, raw, old->keep, arena, &out->bytes, served,
                                   &out->report);
        if (err != CAEFS_OK)
                return err;
        out->checksum = served_checksum(served, (size_t) place->length);
        out->lossy_values = count_different(raw, served, out->values, dtype_size(g.dtype));
        out->kept = old->keep != NULL;
        return CAEFS_OK;
}

/* The old coding with the changed values beside it: exact everywhere. */
static enum caefs_err
amend(const struct encoder *e, const struct chunk_place *place, const struct old_chunk *old,
      const uint8_t *raw, struct arena *arena, struct coded *out)
{
        struct chunk_geometry g = place->geometry;
        const void           *stored;
        size_t                size;
        enum caefs_err        err = object_read_stored(e->options->previous, old->index,
                                                       place->length, arena, &stored, &size);

        if (err != CAEFS_OK)
                return err;
        g.model = e->model;
        if (chunk_uses_reference(stored, size))
                err = key_reference(&e->key, &e->index, place, arena, &g.reference);
        if (err == CAEFS_OK)
                err = chunk_amend(&g, stored, size, raw, arena, &out->bytes, &out->report);
        if (err != CAEFS_OK)
                return err;
        uint8_t *served = arena_alloc(arena, (size_t) place->length);
        if (served == NULL || out->bytes.failed)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory to amend a chunk");
        err = chunk_decode(&g, out->bytes.data, out->bytes.size, arena, served);
        if (err == CAEFS_OK && memcmp(raw, served, (size_t) place->length) != 0)
                err = caefs_fail(CAEFS_ERR_BOUND, "an amended chunk did not come back as written");
        out->checksum = served_checksum(served, (size_t) place->length);
        out->report.family = old->family;
        out->kept = true;
        return err;
}

/* Amending pays while few values change: a value costs more in a patch than it
 * would among its neighbours.  Where it makes the chunk hardly larger the new
 * coding need not even be tried. */
static bool
amending_may_pay(const struct old_chunk *old, uint64_t values)
{
        return old->twin && old->keep != NULL && old->changed <= values / 8;
}

static bool
amending_is_enough(const struct object *previous, const struct old_chunk *old, size_t amended)
{
        const struct index_chunk *chunk = &previous->index.chunk_table[old->index];
        uint64_t                  before = chunk[1].start - chunk->start;

        return amended <= before + before / 16 + 64;
}

/* A touched chunk: the smaller of amending and encoding anew. */
static enum caefs_err
encode_touched(const struct encoder *e, const struct chunk_place *place,
               const struct old_chunk *old, const uint8_t *raw, struct arena *arena,
               struct coded *out)
{
        struct coded anew = { .length = out->length, .values = out->values };

        if (!amending_may_pay(old, out->values))
                return encode_values(e, place, old, raw, arena, out);
        enum caefs_err err = amend(e, place, old, raw, arena, out);
        if (err != CAEFS_OK || amending_is_enough(e->options->previous, old, out->bytes.size))
                return err;
        err = encode_values(e, place, old, raw, arena, &anew);
        if (err == CAEFS_OK && !anew.bytes.failed && anew.bytes.size < out->bytes.size) {
                bytes_free(&out->bytes);
                *out = anew;
        } else {
                bytes_free(&anew.bytes);
        }
        return err;
}

/* Encodes chunk I into OUT, which is empty.  Scratch memory is ARENA's. */
static enum caefs_err
encode_chunk(struct encoder *e, size_t i, struct arena *arena, struct coded *out)
{
        struct chunk_place place;
        struct old_chunk   old;

        index_chunk_place(&e->index, i, &place);
        out->length = place.length;
        if (place.made != NPY_OTHER)
                return CAEFS_OK;
        out->values = place.length / dtype_size(place.geometry.dtype);
        uint8_t *raw = arena_alloc(arena, (size_t) place.length);
        if (raw == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for a chunk");
        enum caefs_err err = read_raw(e, &place, raw);
        if (err == CAEFS_OK)
                err = old_chunk_find(e->options->previous, &place, raw, arena, &old);
        if (err != CAEFS_OK)
                return err;
        out->checksum = served_checksum(raw, (size_t) place.length);
        if (old.same)
                err = carry(e->options->previous, &old, &place, arena, out);
        else if (place.geometry.dtype == DTYPE_BYTES)
                return encode_opaque(e, raw, (size_t) place.length, arena, out);
        else
                err = encode_touched(e, &place, &old, raw, arena, out);
        out->uses_key = e->key.key != NULL && place.geometry.dtype != DTYPE_BYTES
                && chunk_uses_reference(out->bytes.data, out->bytes.size);
        return err;
}

/* encode_chunk() with what surrounds it: the scratch memory is given back, and a
 * failure is kept for the writer. */
static void
run_chunk(struct encoder *e, size_t i, struct arena *arena, struct coded *out)
{
        struct arena_mark mark = arena_mark(arena);

        *out = (struct coded) { 0 };
        out->err = encode_chunk(e, i, arena, out);
        if (out->err == CAEFS_OK && out->bytes.failed)
                out->err = caefs_fail(CAEFS_ERR_NOMEM, "no memory to encode a chunk");
        if (out->err != CAEFS_OK)
                snprintf(out->detail, sizeof out->detail, "%s", caefs_detail());
        arena_release(arena, mark);
}

/* ---- writing in order -------------------------------------------------------- */

static void
add_to_report(struct object_report *r, const struct coded *c)
{
        unsigned family = (unsigned) c->report.family < FAMILY_LIMIT
                                  ? (unsigned) c->report.family : 0;

        r->chunks++;
        r->carried += c->carried;
        r->family_bytes[family] += c->bytes.size;
        r->family_values[family] += c->values;
        r->patched += c->report.patched;
        r->lossy_values += c->lossy_values;
        r->worst = fmax(r->worst, c->report.worst);
        r->worst_over_bound = fmax(r->worst_over_bound, c->report.worst_over_bound);
        if (r->fallback == NULL)
                r->fallback = c->report.fallback;
}

/* Whether what is kept of an earlier object may need its model. */
static bool
keeps_model(const struct encoder *e)
{
        const struct object *previous = e->options->previous;

        return previous != NULL && previous->info.model_hash != 0;
}

/* Writes chunk I and frees what it held. */
static enum caefs_err
write_chunk(struct encoder *e, size_t i, struct coded *c, struct object_report *report,
            bool *kept)
{
        struct index_chunk *chunk = &e->index.chunk_table[i];
        enum caefs_err      err = c->err;

        if (err != CAEFS_OK)
                err = caefs_fail(err, "%s", c->detail);
        else if (progress_cancelled(e->options->progress))
                err = caefs_fail(CAEFS_ERR_INTERRUPTED, "stopped");
        else if (c->bytes.size > 0)
                err = e->sink->write(e->sink->context, c->bytes.data, c->bytes.size);
        if (err == CAEFS_OK) {
                chunk[1].start = chunk->start + c->bytes.size;
                chunk->checksum = c->checksum;
                chunk->family = (uint8_t) c->report.family;
                *kept |= c->carried || c->kept;
                if (c->report.uses_model || ((c->carried || c->kept) && keeps_model(e)))
                        e->index.model_hash = e->model_hash;
                if (c->uses_key)
                        e->index.key = e->key.key->info.identity;
                add_to_report(report, c);
                progress_add(e->options->progress, c->length);
        }
        bytes_free(&c->bytes);
        return err;
}

/* ---- one thread ---------------------------------------------------------------- */

static enum caefs_err
encode_alone(struct encoder *e, struct object_report *report, bool *kept)
{
        struct arena   arena = { 0 };
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; i < e->index.nchunks && err == CAEFS_OK; i++) {
                struct coded c;
                run_chunk(e, i, &arena, &c);
                err = write_chunk(e, i, &c, report, kept);
        }
        arena_free(&arena);
        return err;
}

/* ---- several -------------------------------------------------------------------- */

/* Claims the next chunk, waiting for its slot; false when there is no more to do. */
static bool
claim(struct encoder *e, size_t *i)
{
        pthread_mutex_lock(&e->lock);
        while (!e->stop && e->next < e->index.nchunks && e->next >= e->written + e->nslots)
                pthread_cond_wait(&e->changed, &e->lock);
        bool claimed = !e->stop && e->next < e->index.nchunks;
        if (claimed)
                *i = e->next++;
        pthread_mutex_unlock(&e->lock);
        return claimed;
}

static void *
worker(void *context)
{
        struct encoder *e = context;
        struct arena    arena = { 0 };
        size_t          i;

        while (claim(e, &i)) {
                struct coded c;
                run_chunk(e, i, &arena, &c);
                c.done = true;
                pthread_mutex_lock(&e->lock);
                e->slot[i % e->nslots] = c;
                pthread_cond_broadcast(&e->changed);
                pthread_mutex_unlock(&e->lock);
        }
        arena_free(&arena);
        return NULL;
}

/* Waits for chunk I and takes it out of its slot, which is free from then on. */
static struct coded
take_slot(struct encoder *e, size_t i)
{
        struct coded *slot = &e->slot[i % e->nslots];

        pthread_mutex_lock(&e->lock);
        while (!slot->done)
                pthread_cond_wait(&e->changed, &e->lock);
        struct coded c = *slot;
        *slot = (struct coded) { 0 };
        e->written = i + 1;
        pthread_cond_broadcast(&e->changed);
        pthread_mutex_unlock(&e->lock);
        return c;
}

static enum caefs_err
write_in_order(struct encoder *e, struct object_report *report, bool *kept)
{
        enum caefs_err err = CAEFS_OK;

        for (size_t i = 0; i < e->index.nchunks && err == CAEFS_OK; i++) {
                struct coded c = take_slot(e, i);
                err = write_chunk(e, i, &c, report, kept);
        }
        pthread_mutex_lock(&e->lock);
        e->stop = true;
        pthread_cond_broadcast(&e->changed);
        pthread_mutex_unlock(&e->lock);
        return err;
}

static enum caefs_err
encode_together(struct encoder *e, unsigned threads, struct object_report *report, bool *kept)
{
        pthread_t     *thread = calloc(threads, sizeof *thread);
        unsigned       started = 0;
        enum caefs_err err = CAEFS_OK;

        e->nslots = 2 * (size_t) threads;
        e->slot = calloc(e->nslots, sizeof *e->slot);
        if (thread == NULL || e->slot == NULL)
                err = caefs_fail(CAEFS_ERR_NOMEM, "no memory for %u threads", threads);
        while (err == CAEFS_OK && started < threads &&
               pthread_create(&thread[started], NULL, worker, e) == 0)
                started++;
        if (err == CAEFS_OK)
                err = started == 0 ? encode_alone(e, report, kept) : write_in_order(e, report, kept);
        for (unsigned i = 0; i < started; i++)
                pthread_join(thread[i], NULL);
        for (size_t i = 0; e->slot != NULL && i < e->nslots; i++)
                bytes_free(&e->slot[i].bytes);
        free(e->slot);
        free(thread);
        return err;
}

/* ---- all of it ------------------------------------------------------------------ */

/* Raw bytes of a chunk: larger ones give better ratios, smaller ones faster
 * random reads.  Without a bound what repeats far apart is worth more. */
static uint64_t
default_chunk(const struct encoder *e)
{
        const struct object_options *o = e->options;

        if (o->scope == SCOPE_COLUMN && model_part(e->model, FAMILY_TABLE) != NULL)
                return TABLE_CHUNK_BYTES;
        switch (o->effort) {
        case EFFORT_FAST: return (uint64_t) 512 << 10;
        case EFFORT_MAX:  return (uint64_t) 8 << 20;
        default:          return (uint64_t) (o->bound.mode == BOUND_LOSSLESS ? 4 : 2) << 20;
        }
}

/* Which headers NumPy would write just so. */
static enum caefs_err
find_made_headers(const struct byte_source *source, const struct layout *l,
                  enum npy_padding *made)
{
        if (strcmp(l->format, "npy") != 0 || l->nregions < 2)
                return CAEFS_OK;
        size_t size = (size_t) l->region[0].length;
        void  *head = malloc(size);
        if (head == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for a header");
        struct npy_header h;
        enum caefs_err    err = source->read(source->context, head, size, 0);
        if (err == CAEFS_OK && npy_parse(head, size, &h))
                made[0] = npy_padding_of(&h, head);
        free(head);
        return err;
}

static enum caefs_err
plan(struct encoder *e)
{
        const struct object_options *o = e->options;
        struct layout                layout;
        enum caefs_err               err = layout_detect(e->source, &o->hint, &layout);

        if (err != CAEFS_OK)
                return err;
        enum npy_padding *made = calloc(layout.nregions + 1, sizeof *made);
        err = made == NULL ? caefs_fail(CAEFS_ERR_NOMEM, "no memory for a layout")
                           : find_made_headers(e->source, &layout, made);
        if (err == CAEFS_OK) {
                e->index.bound = o->bound;
                e->index.scope = o->scope;
                e->index.chunk = o->chunk != 0 ? o->chunk : default_chunk(e);
                err = index_plan(&e->index, &layout, made);
        }
        free(made);
        layout_free(&layout);
        return err;
}

static enum caefs_err
find_bounds(struct encoder *e)
{
        const struct object_options *o = e->options;
        enum caefs_err               err = CAEFS_OK;

        e->bound = calloc(e->index.nregions + 1, sizeof *e->bound);
        if (e->bound == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for the bounds");
        for (size_t i = 0; i < e->index.nregions && err == CAEFS_OK; i++)
                err = region_bound_find(e->source, &e->index.region[i].region, &o->bound,
                                        o->scope, o->progress, &e->bound[i]);
        return err;
}

static enum caefs_err
write_chunks(struct encoder *e, struct object_report *report, bool *kept)
{
        unsigned threads = e->options->threads;

        if (threads > e->index.nchunks)
                threads = (unsigned) e->index.nchunks;
        return threads > 1 ? encode_together(e, threads, report, kept)
                           : encode_alone(e, report, kept);
}

/* What the errors take in the index, and the object size from which on they are
 * recorded: a thousandth. */
#define WORST_SIZE 3

/* Values that are as they were served have the errors they had. */
static void
record_worst(struct encoder *e, bool kept, struct object_report *report)
{
        const struct object *previous = e->options->previous;
        struct index        *x = &e->index;
        bool                 known = x->bound.mode != BOUND_LOSSLESS;

        if (kept && previous->info.bound.mode != BOUND_LOSSLESS) {
                known = previous->info.worst_known;
                report->worst = fmax(report->worst, previous->info.worst);
                report->worst_over_bound = fmax(report->worst_over_bound,
                                                previous->info.worst_over_bound);
        }
        if (!known || x->chunk_table[x->nchunks].start < 1000 * WORST_SIZE)
                return;
        x->worst_known = true;
        x->worst = report->worst;
        x->worst_over_bound = report->worst_over_bound;
}

static enum caefs_err
write_index(struct encoder *e, struct object_report *report)
{
        struct bytes   index = { 0 };
        enum caefs_err err = index_write(&e->index, &index);

        if (err == CAEFS_OK)
                err = e->sink->write(e->sink->context, index.data, index.size);
        report->logical_bytes = e->index.logical_bytes;
        report->model_hash = e->index.model_hash;
        report->key = e->index.key;
        report->stored_bytes = e->index.chunk_table[e->index.nchunks].start + index.size;
        bytes_free(&index);
        return err;
}

/* What is carried over from an object that needs a model can be read with that
 * model only; an object names one. */
static void
choose_model(struct encoder *e)
{
        const struct object *previous = e->options->previous;

        if (previous != NULL && previous->info.model_hash != 0) {
                e->model = previous->model;
                e->model_hash = previous->info.model_hash;
        } else if (e->options->model != NULL) {
                e->model = e->options->model;
                e->model_hash = model_hash(e->model);
        }
}

/* An object names one key as well. */
static enum caefs_err
choose_key(struct encoder *e)
{
        const struct object *previous = e->options->previous, *key = e->options->key;

        if (key != NULL && !object_may_be_key(key))
                return caefs_fail(CAEFS_ERR_ARGUMENT, "the key refers to an object itself");
        e->key = previous != NULL && previous->key != NULL ? object_key_reader(previous)
                                                           : (struct key_reader) { .key = key };
        return CAEFS_OK;
}

enum caefs_err
object_encode(const struct byte_source *source, const struct object_options *o,
              const struct byte_sink *sink, struct object_report *report)
{
        struct encoder e = {
                .source = source,
                .options = o,
                .sink = sink,
                .source_lock = PTHREAD_MUTEX_INITIALIZER,
                .lock = PTHREAD_MUTEX_INITIALIZER,
                .changed = PTHREAD_COND_INITIALIZER,
        };
        bool           kept = false;

        *report = (struct object_report) { 0 };
        choose_model(&e);
        enum caefs_err err = choose_key(&e);
        if (err == CAEFS_OK)
                err = plan(&e);
        if (err == CAEFS_OK)
                err = find_bounds(&e);
        if (err == CAEFS_OK)
                err = sink->write(sink->context, object_magic, OBJECT_MAGIC_SIZE);
        if (err == CAEFS_OK)
                err = write_chunks(&e, report, &kept);
        if (err == CAEFS_OK) {
                record_worst(&e, kept, report);
                err = write_index(&e, report);
        }
        for (size_t i = 0; e.bound != NULL && i < e.index.nregions; i++)
                free(e.bound[i].amount);
        free(e.bound);
        index_free(&e.index);
        return err;
}
