/* fs/store_seal.c - from a staging file to an object.
 *
 * The encoding runs without locks that readers need.  Its result takes the place of
 * the staging file in one step, and only while nobody has the file open and nobody
 * has written to it since: an open file never changes under its reader.  When somebody
 * has it open by then, the result waits ("parked") for the last close.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store_key.h"
#include "fs/store_seal.h"

/* Files from this size on are encoded by several threads. */
#define PARALLEL_FROM ((uint64_t) 32 << 20)

/* In files up to this size there is too little to gain from a longer search, and setting
 * up the slow methods takes longer than all the rest. */
#define TINY_MAX 4096

void
seal_result_free(struct store *s, struct sealed_result *r)
{
        if (r == NULL)
                return;
        if (r->fd >= 0)
                io->close(r->fd);
        if (r->name[0] != '\0')
                io->unlink(s->staging_fd, r->name);
        bytes_free(&r->data);
        free(r);
}

/* ---- encoding ----------------------------------------------------------- */

struct writer {
        struct store         *store;
        struct sealed_result *result;
        uint64_t              size;
};

/* What was gathered in memory goes to a file. */
static enum caefs_err
spill(struct writer *w)
{
        struct sealed_result *r = w->result;
        uint64_t number = atomic_fetch_add(&w->store->next_generation, 1);

        snprintf(r->name, sizeof r->name, TEMPORARY_PREFIX "%" PRIu64, number);
        r->fd = io->open(w->store->staging_fd, r->name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (r->fd < 0 || io_write_all(r->fd, r->data.data, r->data.size, 0) < 0)
                return caefs_fail_errno("%s/staging/%s", w->store->path, r->name);
        bytes_free(&r->data);
        return CAEFS_OK;
}

static enum caefs_err
write_result(void *context, const void *data, size_t n)
{
        struct writer        *w = context;
        struct sealed_result *r = w->result;
        enum caefs_err        err = CAEFS_OK;

        if (r->fd < 0 && w->size + n > STORE_INLINE_MAX)
                err = spill(w);
        if (err != CAEFS_OK)
                return err;
        if (r->fd < 0) {
                bytes_put(&r->data, data, n);
                err = r->data.failed ? CAEFS_ERR_NOMEM : CAEFS_OK;
        } else if (io_write_all(r->fd, data, n, w->size) < 0) {
                err = caefs_fail_errno("%s/staging/%s", w->store->path, r->name);
        }
        w->size += n;
        return err;
}

/* The bytes of a generation that is being encoded: a file, or a copy of small ones. */
struct staged_bytes {
        int   fd;
        char *small;                    /* or NULL */
};

static enum caefs_err
read_staged(void *context, void *buffer, size_t n, uint64_t offset)
{
        const struct staged_bytes *b = context;

        if (b->small != NULL)
                memcpy(buffer, b->small + offset, n);
        else if (io_read_all(b->fd, buffer, n, offset) < 0)
                return caefs_fail_errno("a staging file");
        return CAEFS_OK;
}

static enum caefs_err
open_staged(struct store *s, struct inode *inode, const struct meta_inode *row,
            struct staged_bytes *out)
{
        char     name[STAGING_NAME_SIZE];
        uint64_t size = row->content.size;

        if (small_is_used(s, inode)) {
                out->small = malloc(size + 1);
                if (out->small == NULL)
                        return CAEFS_ERR_NOMEM;
                if (small_read(s, inode, row->content.generation, out->small, size, 0))
                        return CAEFS_OK;
                free(out->small);       /* it got its file just now */
                out->small = NULL;
        }
        staging_name(row->ino, row->content.generation, name);
        out->fd = io->open(s->staging_fd, name, O_RDONLY, 0);
        if (out->fd < 0)
                return caefs_fail_errno("%s/staging/%s", s->path, name);
        return CAEFS_OK;
}

static void
forward(struct progress *p)
{
        struct seal_progress *f = p->context;
        uint64_t           done = atomic_load(&p->done);

        if (f->outer == NULL)
                return;
        if (progress_cancelled(f->outer))
                atomic_store(&p->cancelled, true);
        progress_add(f->outer, done - f->told);
        f->told = done;
}

void
seal_progress_init(struct seal_progress *f, struct progress *outer)
{
        *f = (struct seal_progress) { .own = { .report = forward, .context = f }, .outer = outer };
}

/* "lorenzo+cae": families by the bytes they take. */
static void
codec_summary(const struct object_report *r, char out[64])
{
        bool   used[FAMILY_LIMIT] = { false };
        size_t at = 0;

        out[0] = '\0';
        for (;;) {
                int largest = -1;
                for (int f = 0; f < FAMILY_LIMIT; f++)
                        if (!used[f] && r->family_bytes[f] > 0 &&
                            (largest < 0 || r->family_bytes[f] > r->family_bytes[largest]))
                                largest = f;
                if (largest < 0 || at >= 63)
                        return;
                const struct family_methods *m = family_by_number((unsigned) largest);
                at += (size_t) snprintf(out + at, 64 - at, "%s%s", at > 0 ? "+" : "",
                                        m != NULL ? m->name : "bytes");
                used[largest] = true;
        }
}

static void
describe(const struct object_options *o, const struct object_report *r,
         struct meta_object *out)
{
        out->logical_bytes = r->logical_bytes;
        out->stored_bytes = r->stored_bytes;
        bound_format(&o->bound, out->bound);
        codec_summary(r, out->codec);
        out->worst = r->worst;
        out->worst_over_bound = r->worst_over_bound;
        out->lossy_values = r->lossy_values;
        out->model = r->model_hash;
        snprintf(out->fallback, sizeof out->fallback, "%s",
                 r->fallback != NULL ? r->fallback : "");
}

/* The object that the file rewrites.  Without it nobody knows any more which values
 * changed, so everything is kept as it is. */
static struct opened_object *
acquire_previous(struct store *s, uint64_t id, struct object_options *o)
{
        struct opened_object *previous = NULL;

        if (id == 0)
                return NULL;
        if (object_acquire(s, id, &previous) == CAEFS_OK)
                o->previous = object_of(previous);
        else
                o->bound = (struct bound) { .mode = BOUND_LOSSLESS };
        return previous;
}

/* The object that the result refers to: what was rewritten keeps its key. */
static uint64_t
reference_of(const struct object_report *r, const struct key_choice *key,
             const struct opened_object *previous)
{
        if (r->key == 0)
                return 0;
        if (previous != NULL && object_info(object_of(previous))->key == r->key)
                return object_reference(previous);
        return object_id(key->object);
}

enum caefs_err
seal_encode(struct store *s, uint64_t ino, const struct byte_source *source,
            const struct opened_object *previous, struct object_options *o,
            struct seal_progress *f, struct sealed_result *r)
{
        struct writer        w = { .store = s, .result = r };
        struct byte_sink     sink = { write_result, &w };
        struct object_report report = { 0 };
        struct key_choice    key;

        o->progress = &f->own;
        o->threads = source->size >= PARALLEL_FROM ? s->options.seal_threads : 1;
        key_choose(s, ino, source->size, &key);
        o->key = key.object != NULL ? object_of(key.object) : NULL;
        enum caefs_err err = object_encode(source, o, &sink, &report);
        if (err == CAEFS_OK) {
                describe(o, &report, &r->object);
                r->object.reference = reference_of(&report, &key, previous);
                key_note(s, &key, report.key != 0);
        }
        if (err == CAEFS_OK && r->fd >= 0 && io->sync(r->fd, false) < 0)
                err = caefs_fail_errno("%s/staging/%s", s->path, r->name);
        if (key.object != NULL)
                object_release(s, key.object);
        return err;
}

static enum caefs_err
encode(struct store *s, struct inode *inode, const struct meta_inode *row,
       struct object_options *o, struct seal_progress *f, struct sealed_result *r)
{
        struct staged_bytes staged = { .fd = -1 };
        enum caefs_err      err = open_staged(s, inode, row, &staged);
        if (err != CAEFS_OK)
                return progress_cancelled(&f->own) ? CAEFS_ERR_INTERRUPTED : err;
        struct byte_source    source = { read_staged, &staged, row->content.size };
        struct opened_object *previous = acquire_previous(s, row->content.object, o);
        err = seal_encode(s, row->ino, &source, previous, o, f, r);

        if (previous != NULL)
                object_release(s, previous);
        if (staged.fd >= 0)
                io->close(staged.fd);
        free(staged.small);
        return err;
}

struct sealed_result *
seal_result_new(uint64_t version)
{
        struct sealed_result *r = calloc(1, sizeof *r);

        if (r != NULL)
                *r = (struct sealed_result) { .fd = -1, .version = version };
        return r;
}

/* Encodes ROW's content; a write to it cancels PROGRESS. */
static enum caefs_err
make_result(struct store *s, struct inode *inode, const struct meta_inode *row,
            uint64_t version, struct seal_progress *f, struct sealed_result **out)
{
        struct object_options o;
        char                  name[STORE_NAME_MAX + 1];
        struct sealed_result *r = seal_result_new(version);

        *out = NULL;
        if (r == NULL)
                return CAEFS_ERR_NOMEM;
        enum caefs_err err = property_options(s, row->ino, &o, name);
        if (row->content.size <= TINY_MAX && o.effort == EFFORT_BALANCED)
                o.effort = EFFORT_FAST;
        if (err == CAEFS_OK)
                err = encode(s, inode, row, &o, f, r);
        if (err != CAEFS_OK) {
                seal_result_free(s, r);
                return err;
        }
        *out = r;
        return CAEFS_OK;
}

/* ---- the swap ----------------------------------------------------------- */

/* A number that no object has or had. */
static enum caefs_err
new_object_id(struct store *s, uint64_t *id)
{
        enum caefs_err err = meta_object_next(s->meta, id);

        if (*id < s->next_object)
                *id = s->next_object;
        s->next_object = *id + 1;
        return err;
}

/* Gives the temporary file its place in objects/, durably. */
static enum caefs_err
place_file(struct store *s, struct sealed_result *r)
{
        char name[OBJECT_NAME_SIZE];

        pthread_mutex_lock(&s->catalogue);
        enum caefs_err err = new_object_id(s, &r->object.id);
        pthread_mutex_unlock(&s->catalogue);
        if (err != CAEFS_OK)
                return err;
        object_name(r->object.id, name);
        if (io->rename(s->staging_fd, r->name, s->objects_fd, name) < 0)
                return caefs_fail_errno("%s/objects/%s", s->path, name);
        r->name[0] = '\0';
        return object_directory_sync(s, r->object.id);
}

static void
remove_placed(struct store *s, const struct sealed_result *r)
{
        char name[OBJECT_NAME_SIZE];

        object_name(r->object.id, name);
        io->unlink(s->objects_fd, name);
}

/* What a swap replaced in memory, to be put back if the catalogue refuses. */
struct replaced {
        struct meta_content content;
        struct draft        flushed;
        uint64_t            stored_bytes;
};

/* Memory first: from here on readers see the object.  Not done when somebody has the
 * file open or wrote to it. */
static enum seal_outcome
swap_memory(struct store *s, struct inode *inode, const struct sealed_result *r,
            struct draft *draft, struct replaced *old)
{
        enum seal_outcome outcome = SEAL_DONE;

        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        bool            is_lost = inode->row.content.generation != 0 &&
                                  inode->row.content.generation <= c->lost_upto;
        if (c->version != r->version || inode->row.nlink == 0 || is_lost)
                outcome = SEAL_CHANGED;
        else if (c->handles > 0)
                outcome = SEAL_OPEN;
        if (outcome == SEAL_DONE) {
                *old = (struct replaced) { inode->row.content, c->flushed,
                                           inode->row.stored_bytes };
                inode->row.content.state = META_SEALED;
                inode->row.content.generation = 0;
                inode->row.content.object = r->object.id;
                inode->row.stored_bytes = r->object.stored_bytes;
                c->flushed.content = inode->row.content;
                c->flushed.version = c->version;
                c->flushed.sequence++;
                *draft = c->flushed;
        }
        pthread_mutex_unlock(stripe_of(s, inode));
        return outcome;
}

static void
swap_back(struct store *s, struct inode *inode, const struct draft *draft,
          const struct replaced *old)
{
        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        if (inode->row.content.object == draft->content.object &&
            inode->row.content.state == META_SEALED) {
                inode->row.content = old->content;
                inode->row.stored_bytes = old->stored_bytes;
        }
        if (c->flushed.sequence == draft->sequence) {
                uint64_t sequence = c->flushed.sequence + 1;
                c->flushed = old->flushed;
                c->flushed.sequence = sequence;
        }
        pthread_mutex_unlock(stripe_of(s, inode));
}

/* The model that was encoded with may have been removed meanwhile; within a change. */
static enum caefs_err
check_model(struct store *s, uint64_t hash)
{
        struct bytes   unused = { 0 };
        enum caefs_err err = hash == 0 ? CAEFS_OK : meta_model_record(s->meta, hash, &unused);

        bytes_free(&unused);
        return err == CAEFS_ERR_NO_ENTRY
                       ? caefs_fail(CAEFS_ERR_MODEL, "its model was removed while it was encoded")
                       : err;
}

/* Within a change. */
static enum caefs_err
write_rows(struct store *s, struct inode *inode, const struct sealed_result *r,
           const struct draft *draft)
{
        enum caefs_err err = check_model(s, r->object.model);

        if (err == CAEFS_OK)
                err = meta_object_insert(s->meta, &r->object, r->fd < 0 ? r->data.data : NULL);
        if (err == CAEFS_OK)
                err = draft_write_row(s, inode, draft);
        if (err == CAEFS_OK)
                err = meta_trouble_write(s->meta, inode->row.ino, NULL);
        return err;
}

/* What caches above hold of the file is not what it serves from now on. */
static void
note_change(struct store *s, struct inode *inode)
{
        pthread_mutex_lock(stripe_of(s, inode));
        inode->changed = true;
        pthread_mutex_unlock(stripe_of(s, inode));
}

/* The descriptor of the staging file that the object replaced, or its bytes. */
static void
close_staging(struct store *s, struct inode *inode)
{
        int fd = -1;

        pthread_mutex_lock(stripe_of(s, inode));
        if (inode->row.content.state == META_SEALED) {
                fd = inode->content->fd;
                inode->content->fd = -1;
                small_free(s, &inode->content->small);
        }
        pthread_mutex_unlock(stripe_of(s, inode));
        if (fd >= 0)
                io->close(fd);
}

/* The key may have lost its last user meanwhile: then the result is of no use, and the file is
 * encoded again.  Within a change. */
static bool
key_is_gone(struct store *s, const struct sealed_result *r)
{
        struct meta_object key;

        return r->object.reference != 0 &&
               meta_object_read(s->meta, r->object.reference, &key) != CAEFS_OK;
}

static enum caefs_err
swap(struct store *s, struct inode *inode, struct sealed_result *r,
     enum seal_outcome *outcome)
{
        struct draft    draft;
        struct replaced old;
        /* The object is on the disk already, and the staging file will go. */
        enum caefs_err  err = change_begin(s, SPACE_NONE);

        if (err != CAEFS_OK)
                return err;
        if (key_is_gone(s, r)) {
                *outcome = SEAL_CHANGED;
                err = change_end(s, CAEFS_OK);
                queue_add(s, inode->row.ino, 0);
                return err;
        }
        if (r->fd < 0)
                err = new_object_id(s, &r->object.id);
        *outcome = err == CAEFS_OK ? swap_memory(s, inode, r, &draft, &old) : SEAL_FAILED;
        if (*outcome != SEAL_DONE)
                return change_end(s, err);
        err = write_rows(s, inode, r, &draft);
        if (err != CAEFS_OK)
                swap_back(s, inode, &draft, &old);
        else if (r->object.lossy_values > 0)
                note_change(s, inode);
        err = change_end(s, err);
        if (err == CAEFS_OK)
                close_staging(s, inode);
        return err;
}

enum seal_outcome
seal_replace(struct store *s, struct inode *inode, struct sealed_result *r)
{
        enum seal_outcome outcome = SEAL_DONE;
        enum caefs_err    err = r->fd >= 0 ? place_file(s, r) : CAEFS_OK;

        if (err == CAEFS_OK)
                err = swap(s, inode, r, &outcome);
        if (r->fd >= 0 && r->object.id != 0 && (err != CAEFS_OK || outcome != SEAL_DONE))
                remove_placed(s, r);
        seal_result_free(s, r);
        return err == CAEFS_OK ? outcome : SEAL_FAILED;
}

/* ---- one file ----------------------------------------------------------- */

/* Takes a parked result that still fits, or drops it.  The caller uses the content, so
 * the reference that parking took is not the last. */
static struct sealed_result *
take_parked(struct store *s, struct inode *inode)
{
        pthread_mutex_lock(stripe_of(s, inode));
        struct content       *c = inode->content;
        struct sealed_result *r = c->parked;
        bool                  fits = r != NULL && r->version == c->version;
        c->parked = NULL;
        pthread_mutex_unlock(stripe_of(s, inode));
        if (r == NULL)
                return NULL;
        content_put(s, inode);
        inode_release(s, inode);
        if (fits)
                return r;
        seal_result_free(s, r);
        return NULL;
}

/* Keeps R for the last close, and the inode in memory for it. */
static void
park(struct store *s, struct inode *inode, struct sealed_result *r)
{
        inode_hold_again(s, inode);
        pthread_mutex_lock(stripe_of(s, inode));
        inode->content->users++;
        inode->content->parked = r;
        pthread_mutex_unlock(stripe_of(s, inode));
}

bool
seal_is_in_use(struct store *s, struct inode *inode)
{
        pthread_mutex_lock(stripe_of(s, inode));
        bool used = inode->content->handles > 0;
        pthread_mutex_unlock(stripe_of(s, inode));
        return used;
}

void
seal_drop_parked(struct store *s, struct inode *inode)
{
        struct content *c;

        if (content_get(s, inode, &c) != CAEFS_OK)
                return;
        inode_hold_again(s, inode);
        pthread_mutex_lock(&c->sealing);
        struct sealed_result *r = take_parked(s, inode);
        pthread_mutex_unlock(&c->sealing);
        content_put(s, inode);
        inode_release(s, inode);
        seal_result_free(s, r);
}

/* Can it be encoded now?  Notes the encoding, so that a writer cancels it. */
enum seal_outcome
seal_begin(struct store *s, struct inode *inode, struct seal_progress *f,
           struct meta_inode *row, uint64_t *version)
{
        enum seal_outcome outcome = SEAL_DONE;

        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        *row = inode->row;
        *version = c->version;
        if (c->writers > 0)
                outcome = SEAL_OPEN;
        else
                c->encoding = &f->own;
        pthread_mutex_unlock(stripe_of(s, inode));
        return outcome;
}

void
seal_end(struct store *s, struct inode *inode)
{
        pthread_mutex_lock(stripe_of(s, inode));
        inode->content->encoding = NULL;
        pthread_mutex_unlock(stripe_of(s, inode));
}

static enum seal_outcome
encode_now(struct store *s, struct inode *inode, struct progress *outer,
           struct sealed_result **out)
{
        struct seal_progress f;
        struct meta_inode    row;
        uint64_t             version;

        seal_progress_init(&f, outer);
        enum seal_outcome outcome = seal_begin(s, inode, &f, &row, &version);
        if (outcome != SEAL_DONE)
                return outcome;
        enum caefs_err err = draft_check(s, inode);
        if (err == CAEFS_OK)
                err = make_result(s, inode, &row, version, &f, out);
        seal_end(s, inode);
        if (err == CAEFS_OK)
                return SEAL_DONE;
        return err == CAEFS_ERR_INTERRUPTED ? SEAL_CHANGED : SEAL_FAILED;
}

static bool
is_sealable(struct store *s, struct inode *inode)
{
        struct meta_inode row = inode_row(s, inode);

        return S_ISREG(row.mode) && row.nlink > 0 && row.content.state == META_STAGED &&
               row.content.size > 0;
}

/* content.sealing held. */
static enum seal_outcome
seal_content(struct store *s, struct inode *inode, struct progress *progress)
{
        struct sealed_result *r = take_parked(s, inode);
        enum seal_outcome     outcome = SEAL_DONE;

        if (!is_sealable(s, inode)) {
                seal_result_free(s, r);
                return SEAL_DONE;
        }
        if (r == NULL)
                outcome = encode_now(s, inode, progress, &r);
        if (outcome != SEAL_DONE)
                return outcome;
        if (seal_is_in_use(s, inode)) {
                park(s, inode, r);
                return SEAL_OPEN;
        }
        outcome = seal_replace(s, inode, r);
        if (outcome == SEAL_DONE)
                seal_note(s, inode);
        return outcome;
}

/* Why it stays staged: for stat and explain.  If even that cannot be written, nothing
 * is lost. */
static void
note_trouble(struct store *s, struct inode *inode)
{
        char sentence[256];

        atomic_fetch_add(&s->seals_failed, 1);
        snprintf(sentence, sizeof sentence, "%s", caefs_detail());
        enum caefs_err err = change_begin(s, SPACE_NONE);
        if (err == CAEFS_OK)
                change_end(s, meta_trouble_write(s->meta, inode->row.ino, sentence));
        caefs_fail(CAEFS_ERR_IO, "%s", sentence);
}

enum seal_outcome
seal_inode(struct store *s, struct inode *inode, struct progress *progress)
{
        struct content *c;

        if (!is_sealable(s, inode))
                return SEAL_DONE;
        caefs_detail_clear();
        if (content_get(s, inode, &c) != CAEFS_OK)
                return SEAL_FAILED;
        pthread_mutex_lock(&c->sealing);
        enum seal_outcome outcome = seal_content(s, inode, progress);
        pthread_mutex_unlock(&c->sealing);
        content_put(s, inode);
        if (outcome == SEAL_FAILED)
                note_trouble(s, inode);
        if (outcome == SEAL_DONE && s->options.sealed != NULL)
                s->options.sealed(s->options.sealed_context, inode->row.ino);
        return outcome;
}
