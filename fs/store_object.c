/* fs/store_object.c - opened objects.
 *
 * An object that was opened stays so for a while after its last reader: a dataset of
 * small files is read by opening each of them again and again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/store_internal.h"

#define BUCKETS   4096
#define IDLE_MAX  ((size_t) 16 << 20)   /* bytes of opened objects that nobody uses */
#define FILE_COST ((size_t) 64 << 10)   /* what a descriptor counts for: so 256 at most */

/* Of an object that more is read of than its index and a header, all is asked of the disk at
 * once if it is small: it is a tenth of what it serves, and waiting for each chunk takes longer
 * than decoding it. */
#define READS_FOR_ALL 4
#define ALL_MAX       ((size_t) 16 << 20)

struct opened_object {
        struct opened_object *next;             /* in its bucket */
        struct opened_object *older, *newer;    /* in the list of idle ones */
        uint64_t              id;
        unsigned              users;
        bool                  is_gone;          /* its file was removed: closed with the last user */
        int                   fd;               /* -1: the bytes are in DATA */
        atomic_uint           reads;            /* of the file */
        struct bytes          data;
        struct object        *object;
        struct store         *store;
        uint64_t              reference;        /* id of the object it refers to; 0: none */
        struct opened_object *key;              /* that, used while this one is open; or NULL */
};

/* lock: all of it. */
struct object_table {
        pthread_mutex_t       lock;
        struct opened_object *bucket[BUCKETS];
        struct opened_object *newest, *oldest;  /* idle */
        size_t                idle;             /* their bytes */
};

void
object_name(uint64_t id, char name[OBJECT_NAME_SIZE])
{
        snprintf(name, OBJECT_NAME_SIZE, "%02x/%" PRIu64, (unsigned) (id & 0xff), id);
}

enum caefs_err
object_directory_sync(struct store *s, uint64_t id)
{
        char           name[OBJECT_NAME_SIZE];
        enum caefs_err err = CAEFS_OK;

        object_name(id, name);
        *strchr(name, '/') = '\0';
        int fd = io->open(s->objects_fd, name, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0 || io->sync(fd, false) < 0)
                err = caefs_fail_errno("%s/objects/%s", s->path, name);
        if (fd >= 0)
                io->close(fd);
        return err;
}

enum caefs_err
object_table_make(struct store *s)
{
        s->objects = calloc(1, sizeof *s->objects);
        if (s->objects == NULL)
                return CAEFS_ERR_NOMEM;
        pthread_mutex_init(&s->objects->lock, NULL);
        return CAEFS_OK;
}

/* Its key is the caller's to release. */
static void
opened_free(struct opened_object *o)
{
        if (o == NULL)
                return;
        object_close(o->object);
        if (o->fd >= 0)
                io->close(o->fd);
        bytes_free(&o->data);
        free(o);
}

/* With its key, which is nobody's key in turn. */
static void
opened_drop(struct store *s, struct opened_object *o)
{
        struct opened_object *key = o == NULL ? NULL : o->key;

        opened_free(o);
        if (key != NULL)
                object_release(s, key);
}

void
object_table_free(struct store *s)
{
        struct object_table *t = s->objects;

        if (t == NULL)
                return;
        for (size_t i = 0; i < BUCKETS; i++)
                while (t->bucket[i] != NULL) {
                        struct opened_object *o = t->bucket[i];
                        t->bucket[i] = o->next;
                        opened_free(o);
                }
        pthread_mutex_destroy(&t->lock);
        free(t);
}

/* ---- opening ------------------------------------------------------------ */

static enum caefs_err
read_file(void *context, void *buffer, size_t n, uint64_t offset)
{
        struct opened_object *o = context;

        if (atomic_fetch_add(&o->reads, 1) + 1 == READS_FOR_ALL && o->data.size <= ALL_MAX)
                posix_fadvise(o->fd, 0, 0, POSIX_FADV_WILLNEED);
        if (io_read_all(o->fd, buffer, n, offset) < 0)
                return caefs_fail_errno("object %" PRIu64, o->id);
        return CAEFS_OK;
}

static enum caefs_err
read_data(void *context, void *buffer, size_t n, uint64_t offset)
{
        const struct opened_object *o = context;

        if (offset > o->data.size || n > o->data.size - offset)
                return caefs_fail(CAEFS_ERR_CORRUPT, "object %" PRIu64 " ends early", o->id);
        memcpy(buffer, o->data.data + offset, n);
        return CAEFS_OK;
}

static const struct model *
find_model(void *context, uint64_t hash)
{
        const struct opened_object *o = context;
        const struct model         *model;

        return store_model_find(o->store, hash, &model) == CAEFS_OK ? model : NULL;
}

/* Opens what the row says it refers to, unless that refers to something itself: so that
 * a catalogue in which objects refer to each other opens none of them for ever. */
static const struct object *
find_key(void *context, uint64_t identity)
{
        struct opened_object *o = context;
        struct meta_object    row = { .reference = 0 };

        (void) identity;        /* the codec compares it */
        if (o->reference == 0)
                return NULL;
        pthread_mutex_lock(&o->store->catalogue);
        enum caefs_err err = meta_object_read(o->store->meta, o->reference, &row);
        pthread_mutex_unlock(&o->store->catalogue);
        if (err != CAEFS_OK || row.reference != 0 ||
            object_acquire(o->store, o->reference, &o->key) != CAEFS_OK)
                return NULL;
        return o->key->object;
}

static enum caefs_err
read_key(void *context, const struct object *key, void *buffer, size_t n, uint64_t offset)
{
        const struct opened_object *o = context;

        (void) key;
        return object_read_nested(o->store, o->key, buffer, n, offset);
}

/* Finds the bytes of the object: a file's descriptor, or the catalogue's. */
static enum caefs_err
find_bytes(struct store *s, struct opened_object *o)
{
        struct meta_object row;
        char               name[OBJECT_NAME_SIZE];
        struct stat        st;

        pthread_mutex_lock(&s->catalogue);
        enum caefs_err err = meta_object_read(s->meta, o->id, &row);
        if (err == CAEFS_OK && row.is_inline)
                err = meta_object_data(s->meta, o->id, &o->data);
        pthread_mutex_unlock(&s->catalogue);
        if (err == CAEFS_ERR_NO_ENTRY)
                err = caefs_fail(CAEFS_ERR_CORRUPT, "object %" PRIu64 " is not in the "
                                 "catalogue", o->id);
        if (err == CAEFS_OK)
                o->reference = row.reference;
        if (err != CAEFS_OK || row.is_inline)
                return err;
        object_name(o->id, name);
        o->fd = io->open(s->objects_fd, name, O_RDONLY, 0);
        if (o->fd < 0 || fstat(o->fd, &st) < 0) {
                err = caefs_fail_errno("%s/objects/%s", s->path, name);
                return err == CAEFS_ERR_NO_ENTRY ? CAEFS_ERR_CORRUPT : err;
        }
        if ((uint64_t) st.st_size != row.stored_bytes)
                return caefs_fail(CAEFS_ERR_CORRUPT, "%s/objects/%s: %" PRIu64
                                  " bytes, should be %" PRIu64, s->path, name,
                                  (uint64_t) st.st_size, row.stored_bytes);
        o->data.size = (size_t) row.stored_bytes;
        return CAEFS_OK;
}

static enum caefs_err
open_object(struct store *s, uint64_t id, struct opened_object **out)
{
        struct opened_object *o = calloc(1, sizeof *o);

        *out = NULL;
        if (o == NULL)
                return CAEFS_ERR_NOMEM;
        o->store = s;
        o->id = id;
        o->users = 1;
        o->fd = -1;
        enum caefs_err err = find_bytes(s, o);
        if (err == CAEFS_OK) {
                struct byte_source  source = {
                        .read = o->fd >= 0 ? read_file : read_data,
                        .context = o,
                        .size = o->data.size,
                };
                struct object_finder finder = {
                        .model = find_model, .key = find_key, .read_key = read_key, .context = o,
                };
                err = object_open(&source, &finder, &o->object);
        }
        if (err != CAEFS_OK) {
                opened_drop(s, o);
                return err;
        }
        *out = o;
        return CAEFS_OK;
}

/* ---- the table ---------------------------------------------------------- */

static struct opened_object **
bucket_of(struct object_table *t, uint64_t id)
{
        return &t->bucket[id % BUCKETS];
}

/* Bytes that O is worth, roughly. */
static size_t
cost_of(const struct opened_object *o)
{
        return sizeof *o + 1024 + 32 * object_info(o->object)->nchunks +
               (o->fd >= 0 ? FILE_COST : o->data.size);
}

static void
idle_remove(struct object_table *t, struct opened_object *o)
{
        *(o->newer == NULL ? &t->newest : &o->newer->older) = o->older;
        *(o->older == NULL ? &t->oldest : &o->older->newer) = o->newer;
        o->newer = o->older = NULL;
        t->idle -= cost_of(o);
}

static void
idle_add(struct object_table *t, struct opened_object *o)
{
        o->older = t->newest;
        *(t->newest == NULL ? &t->oldest : &t->newest->newer) = o;
        t->newest = o;
        t->idle += cost_of(o);
}

/* The opened object with one user more, or NULL; lock held. */
static struct opened_object *
use_present(struct object_table *t, uint64_t id)
{
        struct opened_object *o = *bucket_of(t, id);

        while (o != NULL && o->id != id)
                o = o->next;
        if (o != NULL && o->users++ == 0)
                idle_remove(t, o);
        return o;
}

enum caefs_err
object_acquire(struct store *s, uint64_t id, struct opened_object **out)
{
        struct object_table  *t = s->objects;
        struct opened_object *mine;

        pthread_mutex_lock(&t->lock);
        *out = use_present(t, id);
        pthread_mutex_unlock(&t->lock);
        if (*out != NULL)
                return CAEFS_OK;
        enum caefs_err err = open_object(s, id, &mine);
        if (err != CAEFS_OK)
                return err;
        pthread_mutex_lock(&t->lock);
        *out = use_present(t, id);      /* another thread was faster? */
        if (*out == NULL) {
                struct opened_object **bucket = bucket_of(t, id);
                mine->next = *bucket;
                *bucket = mine;
                *out = mine;
                mine = NULL;
        }
        pthread_mutex_unlock(&t->lock);
        opened_drop(s, mine);
        return CAEFS_OK;
}

/* Out of the table, an idle one; lock held. */
static struct opened_object *
take_idle(struct object_table *t, struct opened_object *o)
{
        struct opened_object **at = bucket_of(t, o->id);

        idle_remove(t, o);
        while (*at != o)
                at = &(*at)->next;
        *at = o->next;
        o->next = NULL;
        return o;
}

/* One user less.  What is returned, by NEXT, is to be freed: it, or what has been idle for
 * longest when there is too much. */
static struct opened_object *
release_one(struct object_table *t, struct opened_object *o)
{
        struct opened_object *unused = NULL;

        pthread_mutex_lock(&t->lock);
        if (--o->users == 0) {
                idle_add(t, o);
                if (o->is_gone)
                        unused = take_idle(t, o);
                while (t->idle > IDLE_MAX) {
                        struct opened_object *oldest = take_idle(t, t->oldest);
                        oldest->next = unused;
                        unused = oldest;
                }
        }
        pthread_mutex_unlock(&t->lock);
        return unused;
}

void
object_release(struct store *s, struct opened_object *o)
{
        struct opened_object *unused = o == NULL ? NULL : release_one(s->objects, o);

        while (unused != NULL) {
                struct opened_object *next = unused->next;
                opened_drop(s, unused);         /* and its key, which has none */
                unused = next;
        }
}

void
object_forget(struct store *s, uint64_t id)
{
        struct object_table *t = s->objects;

        pthread_mutex_lock(&t->lock);
        struct opened_object *o = use_present(t, id);
        if (o != NULL)
                o->is_gone = true;
        pthread_mutex_unlock(&t->lock);
        object_release(s, o);
}

void
object_use_again(struct store *s, struct opened_object *o)
{
        pthread_mutex_lock(&s->objects->lock);
        o->users++;
        pthread_mutex_unlock(&s->objects->lock);
}

uint64_t
object_id(const struct opened_object *o)
{
        return o->id;
}

uint64_t
object_reference(const struct opened_object *o)
{
        return o->reference;
}

const struct object *
object_of(const struct opened_object *o)
{
        return o->object;
}

/* ---- for explain -------------------------------------------------------- */

enum caefs_err
store_object_get(struct store *s, store_inode ino, const struct object **out)
{
        struct inode         *inode;
        struct opened_object *o;
        enum caefs_err        err = inode_hold(s, ino, &inode);

        *out = NULL;
        if (err != CAEFS_OK)
                return err;
        struct meta_content now = inode_row(s, inode).content;
        inode_release(s, inode);
        if (now.state != META_SEALED)
                return CAEFS_ERR_NO_ENTRY;
        err = object_acquire(s, now.object, &o);
        if (err == CAEFS_OK)
                *out = o->object;
        return err;
}

void
store_object_release(struct store *s, const struct object *object)
{
        struct object_table  *t = s->objects;
        struct opened_object *o = NULL;

        if (object == NULL)
                return;
        pthread_mutex_lock(&t->lock);
        for (size_t i = 0; i < BUCKETS && o == NULL; i++)
                for (o = t->bucket[i]; o != NULL && o->object != object;)
                        o = o->next;
        pthread_mutex_unlock(&t->lock);
        object_release(s, o);
}
