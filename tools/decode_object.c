#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/decode_object.h"

/* What the decoding threads share. */
struct decoding {
        const struct object *object;
        struct file_output *file; /* where memory is NULL */
        uint8_t *memory;          /* all of the result, or NULL */
        struct progress *progress;
        atomic_size_t next; /* chunk */
        atomic_bool stop;

        pthread_mutex_t lock; /* protects what follows */
        enum caefs_err err;   /* the first */
        char detail[256];
};

static enum caefs_err decode_chunk(struct decoding *d, size_t i, struct arena *arena)
{
        struct chunk_extent e;
        struct arena_mark mark = arena_mark(arena);
        uint8_t *to;
        enum caefs_err err = object_chunk(d->object, i, &e);

        if (err != CAEFS_OK)
                return err;
        to = d->memory != NULL ? d->memory + e.offset
                               : arena_alloc(arena, (size_t)e.length);
        if (to == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for a chunk");
        err = object_read_chunk(d->object, i, arena, to);
        if (err == CAEFS_OK && d->memory == NULL)
                err = file_output_write(d->file, to, (size_t)e.length, e.offset);
        arena_release(arena, mark);
        progress_add(d->progress, e.length);
        if (err == CAEFS_OK && progress_cancelled(d->progress))
                err = caefs_fail(CAEFS_ERR_INTERRUPTED, "stopped");
        return err;
}

static void *decode_chunks(void *context)
{
        struct decoding *d = context;
        struct arena arena = { 0 };
        size_t n = object_info(d->object)->nchunks;

        while (!atomic_load(&d->stop)) {
                size_t i = atomic_fetch_add(&d->next, 1);
                enum caefs_err err;

                if (i >= n)
                        break;
                err = decode_chunk(d, i, &arena);
                if (err == CAEFS_OK)
                        continue;
                pthread_mutex_lock(&d->lock);
                if (d->err == CAEFS_OK) {
                        d->err = err;
                        snprintf(d->detail, sizeof d->detail, "%s", caefs_detail());
                }
                pthread_mutex_unlock(&d->lock);
                atomic_store(&d->stop, true);
        }
        arena_free(&arena);
        return NULL;
}

enum caefs_err decode_object_all(const struct object *object, unsigned threads,
                                 struct progress *progress, void *memory,
                                 struct file_output *file)
{
        struct decoding d = {
                .object = object,
                .file = file,
                .memory = memory,
                .progress = progress,
                .lock = PTHREAD_MUTEX_INITIALIZER,
        };
        size_t most = object_info(object)->nchunks;
        pthread_t *thread;
        unsigned started = 0, i;

        if (threads > most)
                threads = most > 0 ? (unsigned)most : 1;
        thread = threads > 1 ? calloc(threads, sizeof *thread) : NULL;
        /* This thread is one of them. */
        while (thread != NULL && started + 1 < threads &&
               pthread_create(&thread[started], NULL, decode_chunks, &d) == 0)
                started++;
        decode_chunks(&d);
        for (i = 0; i < started; i++)
                pthread_join(thread[i], NULL);
        free(thread);
        return d.err == CAEFS_OK ? CAEFS_OK : caefs_fail(d.err, "%s", d.detail);
}
