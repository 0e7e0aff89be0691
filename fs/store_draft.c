/* fs/store_draft.c - from what writers see to what the catalogue says.
 *
 * A flush notes the content of a file and lists it.  The next commit makes the
 * staged bytes durable first and writes the row after that, so that no row ever
 * speaks of bytes that a crash could take.  Names do not wait for bytes, except that a
 * file that was renamed is stored before the rename is committed: whoever
 * writes a new file and renames it over the old one finds one of the two.
 *
 * LOST GENERATIONS.  When a sync fails the system below forgets which bytes it could not
 * write, and the next sync would say that all is well.  So from then on the generation is
 * lost, and all that are copied from it: never stored, never sealed, and each sync of the file fails.
 * The catalogue stays at what was durable before.  Writing the file anew, from nothing,
 * or removing it ends that.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "fs/store_internal.h"

/* From this many files on, one syncfs() is cheaper than as many fdatasync(). */
#define SYNC_ALL_FROM 32
#define ROWS_AT_ONCE  256       /* between two releases of the catalogue */
#define LIST_MAX      8192      /* files whose bytes wait for a commit */

static bool
same_content(const struct meta_content *a, const struct meta_content *b)
{
        return a->state == b->state && a->size == b->size && a->generation == b->generation &&
               a->object == b->object && a->mtime == b->mtime;
}

/* Drafts held. */
static void
list_last(struct store *s, struct inode *inode)
{
        inode->content->next_draft = NULL;
        inode->content->listed = monotonic_ns();
        if (s->last_draft == NULL)
                s->first_draft = inode;
        else
                s->last_draft->content->next_draft = inode;
        s->last_draft = inode;
}

void
draft_flush(struct store *s, struct inode *inode)
{
        bool is_new = false;

        pthread_mutex_lock(&s->drafts);
        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        if (c != NULL && (c->version != c->flushed.version || c->has_new_times ||
                          !same_content(&inode->row.content, &c->flushed.content))) {
                c->flushed.content = inode->row.content;
                c->flushed.version = c->version;
                c->has_new_times = false;
                c->flushed.sequence++;
                is_new = !c->is_listed;
                c->is_listed = true;
                c->users += is_new;
        }
        pthread_mutex_unlock(stripe_of(s, inode));
        if (is_new) {
                inode_hold_again(s, inode);
                list_last(s, inode);
                s->listed_drafts++;
        }
        pthread_mutex_unlock(&s->drafts);
}

void
draft_order(struct store *s, struct inode *inode)
{
        pthread_mutex_lock(&s->drafts);
        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        bool is_ordered = c != NULL && c->is_listed && !c->is_ordered;
        if (is_ordered)
                c->is_ordered = true;
        pthread_mutex_unlock(stripe_of(s, inode));
        s->ordered_drafts += is_ordered;
        pthread_mutex_unlock(&s->drafts);
}

/* The flushed content; false when it is stored already. */
static bool
take_draft(struct store *s, struct inode *inode, struct draft *out)
{
        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        bool is_ahead = c != NULL && inode->row.nlink > 0 &&
                        c->flushed.sequence > c->stored.sequence;
        if (is_ahead)
                *out = c->flushed;
        pthread_mutex_unlock(stripe_of(s, inode));
        return is_ahead;
}

static enum caefs_err
fail_lost(const struct store *s, const char *name)
{
        return caefs_fail(CAEFS_ERR_IO, "%s/staging/%s: it could not be made durable earlier; "
                          "write the file anew", s->path, name);
}

static bool
is_lost(struct store *s, const struct inode *inode, uint64_t generation)
{
        pthread_mutex_lock(stripe_of(s, inode));
        bool lost = inode->content != NULL && generation != 0 &&
                    generation <= inode->content->lost_upto;
        pthread_mutex_unlock(stripe_of(s, inode));
        return lost;
}

enum caefs_err
draft_check(struct store *s, struct inode *inode)
{
        char     name[STAGING_NAME_SIZE];
        uint64_t generation = inode_row(s, inode).content.generation;

        if (!is_lost(s, inode, generation))
                return CAEFS_OK;
        staging_name(inode->row.ino, generation, name);
        return fail_lost(s, name);
}

static void
mark_lost(struct store *s, const struct inode *inode, uint64_t generation)
{
        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        if (c->lost_upto < generation)
                c->lost_upto = generation;
        pthread_mutex_unlock(stripe_of(s, inode));
}

/* Makes the bytes of DRAFT durable.  A generation that is gone has been replaced and
 * stored by a later flush; draft_write_row() will find that out. */
static enum caefs_err
sync_draft(struct store *s, struct inode *inode, const struct draft *draft)
{
        char     name[STAGING_NAME_SIZE];
        uint64_t generation = draft->content.generation;

        if (draft->content.state != META_STAGED)
                return CAEFS_OK;
        enum caefs_err err = small_spill(s, inode);
        if (err != CAEFS_OK)
                return err;
        staging_name(inode->row.ino, generation, name);
        if (is_lost(s, inode, generation))
                return fail_lost(s, name);
        int fd = io->open(s->staging_fd, name, O_RDONLY, 0);
        if (fd < 0 && errno == ENOENT)
                return CAEFS_OK;
        if (fd < 0) {
                err = caefs_fail_errno("%s/staging/%s: cannot make it durable", s->path, name);
        } else if (io->sync(fd, true) < 0) {
                err = caefs_fail_errno("%s/staging/%s: cannot make it durable", s->path, name);
                mark_lost(s, inode, generation);
        }
        if (fd >= 0)
                io->close(fd);
        return err;
}

/* *REFERENCE becomes what the object referred to; 0 when it did not go. */
static enum caefs_err
discard_one(struct store *s, uint64_t id, uint64_t *reference)
{
        struct meta_object object;
        uint64_t           dependents = 0;
        enum caefs_err     err = meta_object_read(s->meta, id, &object);

        *reference = 0;
        if (err == CAEFS_OK)
                err = meta_object_dependents(s->meta, id, &dependents);
        if (err == CAEFS_ERR_NO_ENTRY || dependents > 0)
                return CAEFS_OK;
        if (err == CAEFS_OK)
                err = meta_object_delete(s->meta, id);
        *reference = object.reference;
        if (err == CAEFS_OK && !object.is_inline) {
                struct meta_trash trash = { .kind = META_TRASH_OBJECT, .id = id };
                err = meta_trash_insert(s->meta, &trash);
                s->has_trash = true;
        }
        return err;
}

enum caefs_err
object_discard(struct store *s, uint64_t id)
{
        uint64_t       key, file, none;
        enum caefs_err err = discard_one(s, id, &key);

        if (err != CAEFS_OK || key == 0)
                return err;
        err = meta_object_file(s->meta, key, &file);
        return err == CAEFS_ERR_NO_ENTRY ? discard_one(s, key, &none) : err;
}

/* A generation that neither readers nor a row need once DRAFT is stored; 0: none. */
static uint64_t
take_retired(struct store *s, struct inode *inode, const struct draft *draft)
{
        uint64_t retired = 0;

        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        for (unsigned i = 0; i < c->ngenerations && retired == 0; i++) {
                uint64_t g = c->generations[i];
                if (g == draft->content.generation || g == c->flushed.content.generation ||
                    g == inode->row.content.generation)
                        continue;
                retired = g;
                c->generations[i] = c->generations[--c->ngenerations];
        }
        pthread_mutex_unlock(stripe_of(s, inode));
        return retired;
}

static enum caefs_err
discard_retired(struct store *s, struct inode *inode, const struct draft *draft)
{
        enum caefs_err err = CAEFS_OK;
        uint64_t       generation;

        while (err == CAEFS_OK && (generation = take_retired(s, inode, draft)) != 0) {
                struct meta_trash trash = {
                        .kind = META_TRASH_STAGING,
                        .id = inode->row.ino,
                        .generation = generation,
                };
                err = meta_trash_insert(s->meta, &trash);
                s->has_trash = true;
        }
        return err;
}

enum caefs_err
draft_write_row(struct store *s, struct inode *inode, const struct draft *draft)
{
        pthread_mutex_lock(stripe_of(s, inode));
        struct content *c = inode->content;
        struct draft    stored = c->stored;
        bool            is_late = draft->sequence <= stored.sequence || inode->row.nlink == 0;
        /* Not the draft's: a link or a rename since the flush has stored a later one. */
        int64_t         ctime = inode->row.ctime;
        pthread_mutex_unlock(stripe_of(s, inode));
        if (is_late)
                return CAEFS_OK;

        enum caefs_err err = meta_inode_write_content(s->meta, inode->row.ino,
                                                      &draft->content, ctime);
        if (err == CAEFS_OK && stored.content.object != 0 &&
            stored.content.object != draft->content.object)
                err = object_discard(s, stored.content.object);
        if (err == CAEFS_OK)
                err = discard_retired(s, inode, draft);
        if (err != CAEFS_OK)
                return err;
        pthread_mutex_lock(stripe_of(s, inode));
        c->stored = *draft;
        pthread_mutex_unlock(stripe_of(s, inode));
        return CAEFS_OK;
}

/* Catalogue held. */
static enum caefs_err
write_row_locked(struct store *s, struct inode *inode, const struct draft *draft)
{
        enum caefs_err err = change_begin_locked(s);

        if (err != CAEFS_OK)
                return err;
        return change_end_locked(s, draft_write_row(s, inode, draft));
}

enum caefs_err
draft_store(struct store *s, struct inode *inode)
{
        struct draft draft;

        if (!take_draft(s, inode, &draft))
                return CAEFS_OK;
        enum caefs_err err = sync_draft(s, inode, &draft);
        if (err != CAEFS_OK)
                return err;
        pthread_mutex_lock(&s->catalogue);
        err = write_row_locked(s, inode, &draft);
        pthread_mutex_unlock(&s->catalogue);
        return err;
}

enum caefs_err
draft_store_ordered(struct store *s)
{
        enum caefs_err err = CAEFS_OK;

        pthread_mutex_lock(&s->drafts);
        /* Only whoever holds commit takes inodes off the list, so the place stays valid. */
        for (struct inode *inode = s->first_draft;
             err == CAEFS_OK && s->ordered_drafts > 0 && inode != NULL;
             inode = inode->content->next_draft) {
                struct draft draft;

                if (!inode->content->is_ordered)
                        continue;
                inode->content->is_ordered = false;
                s->ordered_drafts--;
                pthread_mutex_unlock(&s->drafts);
                if (take_draft(s, inode, &draft)) {
                        err = sync_draft(s, inode, &draft);
                        if (err == CAEFS_OK)
                                err = write_row_locked(s, inode, &draft);
                }
                if (err != CAEFS_OK)
                        draft_order(s, inode);
                pthread_mutex_lock(&s->drafts);
        }
        pthread_mutex_unlock(&s->drafts);
        return err;
}

/* ---- all of them -------------------------------------------------------- */

/* A listed inode on its way into the catalogue. */
struct stored_draft {
        struct inode *inode;
        struct draft  draft;
        bool          is_ahead;
};

/* The first COUNT of the list, without taking them off. */
static size_t
copy_list(struct store *s, struct stored_draft *list, size_t count)
{
        size_t n = 0;

        pthread_mutex_lock(&s->drafts);
        for (struct inode *i = s->first_draft; i != NULL && n < count;
             i = i->content->next_draft)
                list[n++].inode = i;
        pthread_mutex_unlock(&s->drafts);
        for (size_t i = 0; i < n; i++)
                list[i].is_ahead = take_draft(s, list[i].inode, &list[i].draft);
        return n;
}

static enum caefs_err
check_draft(struct store *s, const struct stored_draft *d)
{
        char name[STAGING_NAME_SIZE];

        if (!is_lost(s, d->inode, d->draft.content.generation))
                return CAEFS_OK;
        staging_name(d->inode->row.ino, d->draft.content.generation, name);
        return fail_lost(s, name);
}

/* Every small one has a file afterwards; false when one has not. */
static bool
spill_list(struct store *s, const struct stored_draft *list, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (list[i].is_ahead && small_spill(s, list[i].inode) != CAEFS_OK)
                        return false;
        return true;
}

/* Those that cannot be synced are not ahead any more: the others need not wait for them.  The
 * first failure is returned. */
static enum caefs_err
sync_list(struct store *s, struct stored_draft *list, size_t count)
{
        enum caefs_err first = CAEFS_OK;

        /* When it fails, doing each of them tells which they are. */
        bool all_synced = count >= SYNC_ALL_FROM && spill_list(s, list, count) &&
                          io->sync_all(s->staging_fd) == 0;

        for (size_t i = 0; i < count; i++) {
                if (!list[i].is_ahead)
                        continue;
                enum caefs_err err = all_synced ? check_draft(s, &list[i])
                                                : sync_draft(s, list[i].inode, &list[i].draft);
                if (err == CAEFS_OK)
                        continue;
                list[i].is_ahead = false;
                first = first != CAEFS_OK ? first : err;
        }
        return first;
}

static enum caefs_err
write_list(struct store *s, const struct stored_draft *list, size_t count)
{
        enum caefs_err err = CAEFS_OK;

        pthread_mutex_lock(&s->catalogue);
        for (size_t i = 0; err == CAEFS_OK && i < count; i++) {
                if (list[i].is_ahead)
                        err = write_row_locked(s, list[i].inode, &list[i].draft);
                if (err == CAEFS_OK)
                        err = commit_if_heavy(s);
        }
        pthread_mutex_unlock(&s->catalogue);
        return err;
}

/* Takes the first inode off the list, unless it was flushed again meanwhile: then it
 * goes to the end.  Its reference is the caller's. */
static struct inode *
unlist_first(struct store *s)
{
        struct draft unused;

        pthread_mutex_lock(&s->drafts);
        struct inode   *inode = s->first_draft;
        struct content *c = inode->content;
        s->first_draft = c->next_draft;
        c->next_draft = NULL;
        if (s->first_draft == NULL)
                s->last_draft = NULL;
        if (take_draft(s, inode, &unused)) {
                list_last(s, inode);
                inode = NULL;
        } else {
                c->is_listed = false;
                s->listed_drafts--;
                s->ordered_drafts -= c->is_ordered;
                c->is_ordered = false;
        }
        pthread_mutex_unlock(&s->drafts);
        return inode;
}

/* How many from the first on are to be looked at: those that were flushed before LISTED
 * or have been stored meanwhile, and whatever is too much to keep in memory. */
static size_t
count_list(struct store *s, int64_t listed)
{
        struct draft unused;
        size_t       n = 0;

        pthread_mutex_lock(&s->drafts);
        for (struct inode *i = s->first_draft;
             i != NULL && (i->content->listed < listed || s->listed_drafts - n > LIST_MAX ||
                           !take_draft(s, i, &unused));
             i = i->content->next_draft)
                n++;
        pthread_mutex_unlock(&s->drafts);
        return n;
}

enum caefs_err
draft_store_all(struct store *s, int64_t listed)
{
        size_t               left = count_list(s, listed);
        struct stored_draft *list = calloc(ROWS_AT_ONCE, sizeof *list);
        enum caefs_err       err = list == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK, sync_err = CAEFS_OK;

        while (err == CAEFS_OK && left > 0) {
                size_t n = copy_list(s, list, left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE);
                if (n == 0)
                        break;
                err = sync_list(s, list, n);
                sync_err = sync_err != CAEFS_OK ? sync_err : err;
                err = write_list(s, list, n);
                for (size_t i = 0; err == CAEFS_OK && i < n; i++) {
                        struct inode *inode = unlist_first(s);
                        if (inode == NULL)
                                continue;
                        content_put(s, inode);
                        inode_release(s, inode);
                }
                left -= n;
        }
        free(list);
        return err != CAEFS_OK ? err : sync_err;
}
