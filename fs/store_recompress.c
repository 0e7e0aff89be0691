/* fs/store_recompress.c - sealed files, encoded again as the properties say today.
 *
 * What is served now is the source.  When nothing was lost, that is the original, and the
 * file is sealed as if it had just been written.  When something was lost, today's bound would
 * come on top: |x'' - x| <= |x'' - x'| + |x' - x|.  So the new encoding gets what a looser
 * bound leaves of room, and none at all, which is lossless, when today's is not looser or cannot
 * be compared.  The catalogue goes on saying what holds against the values written first.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "codec/model.h"
#include "fs/store_seal.h"

/* What the new encoding may lose, and what then holds in all. */
struct plan {
        struct bound bound;             /* against what is served now */
        struct bound promise;           /* against what was written first */
        bool         is_exact;          /* values that lost something keep their bits */
        bool         is_tighter;        /* today's bound cannot be kept any more */
        double       share_before;      /* of PROMISE, that a full use of the bound before takes, */
        double       share_now;         /* and of this one's */
};

/* Largest factor by which a scale that BOUND is relative to can have grown with it. */
static double
growth(const struct bound *b)
{
        return b->mode == BOUND_REL ? 1 + 2 * b->amount : b->mode == BOUND_PWREL ? 1 + b->amount
                                                                                 : 1;
}

static bool
are_comparable(const struct bound *a, const struct bound *b)
{
        return a->mode == b->mode &&
               (a->mode == BOUND_ABS || a->mode == BOUND_REL || a->mode == BOUND_PWREL);
}

static void
plan_exact(const struct bound *before, const struct bound *wanted, struct plan *p)
{
        *p = (struct plan) {
                .bound = { .mode = BOUND_LOSSLESS },
                .promise = *before,
                .is_exact = true,
                .is_tighter = wanted->mode == BOUND_LOSSLESS ||
                              (are_comparable(before, wanted) && wanted->amount < before->amount),
                .share_before = 1,
        };
}

/* For a file that lost something under BEFORE. */
static void
plan_loss(const struct bound *before, const struct bound *wanted, bool add, struct plan *p)
{
        double was = before->amount, now = wanted->amount;

        plan_exact(before, wanted, p);
        if (!are_comparable(before, wanted) || (!add && now <= was))
                return;
        p->bound = p->promise = *wanted;
        p->is_exact = p->is_tighter = false;
        if (add)
                p->promise.amount = (was + now * growth(before)) * (1 + 4 * DBL_EPSILON);
        else
                p->bound.amount = (now - was) / growth(before) * (1 - 4 * DBL_EPSILON);
        p->share_before = was / p->promise.amount;
        p->share_now = p->bound.amount * growth(before) / p->promise.amount;
}

static void
make_plan(const struct meta_object *old, const struct bound *wanted, bool same_scope, bool add,
          struct plan *p)
{
        struct bound before;

        *p = (struct plan) { .bound = *wanted, .promise = *wanted, .share_now = 1 };
        if (old->lossy_values == 0)
                return;
        if (!bound_parse(old->bound, &before))
                before = (struct bound) { .mode = BOUND_LOSSLESS };
        if (same_scope || wanted->mode != BOUND_REL)
                plan_loss(&before, wanted, add, p);
        else
                plan_exact(&before, wanted, p);
}

/* What the catalogue says of the new object, all losses together. */
static void
describe_sum(const struct plan *p, const struct meta_object *old, struct meta_object *now)
{
        double over = p->share_before * old->worst_over_bound +
                      p->share_now * now->worst_over_bound;

        bound_format(&p->promise, now->bound);
        now->worst += old->worst;
        now->worst_over_bound = over < 1 ? over : 1;
        if (old->lossy_values > now->lossy_values)
                now->lossy_values = old->lossy_values;
}

/* ---- one file ----------------------------------------------------------- */

/* One walk through a tree. */
struct work {
        const struct store_recompress  *wanted;
        pthread_mutex_t                 lock;
        struct store_recompress_report *report;         /* lock */
};

/* One file of it. */
struct again {
        struct store         *store;
        struct opened_object *opened;
        struct meta_object    old;
        struct plan           plan;
        uint64_t              model;    /* of today; 0: none */
        uint64_t              dependents;       /* objects that refer to the one there is */
};

static enum caefs_err
read_served(void *context, void *buffer, size_t n, uint64_t offset)
{
        const struct again *a = context;

        return object_read_cached(a->store, a->opened, buffer, n, offset);
}

static enum caefs_err
encode_served(struct again *a, const struct meta_inode *row, const struct store_recompress *wanted,
              struct seal_progress *f, struct sealed_result *r)
{
        struct object_options o;
        char                  name[STORE_NAME_MAX + 1];
        enum caefs_err        err = property_options(a->store, row->ino, &o, name);

        if (err != CAEFS_OK)
                return err;
        if (wanted->has_bound)
                o.bound = wanted->bound;
        a->model = o.model != NULL ? model_hash(o.model) : 0;
        make_plan(&a->old, &o.bound, object_info(object_of(a->opened))->scope == o.scope,
                  wanted->add_loss, &a->plan);
        o.bound = a->plan.bound;
        struct byte_source source = { read_served, a, row->content.size };
        err = seal_encode(a->store, row->ino, &source, NULL, &o, f, r);
        if (err == CAEFS_OK && a->old.lossy_values > 0)
                describe_sum(&a->plan, &a->old, &r->object);
        return err;
}

/* Reads the row of the object that ROW has now, opens it, and encodes what it serves. */
static enum caefs_err
encode_again(struct again *a, const struct meta_inode *row, const struct store_recompress *wanted,
             struct seal_progress *f, struct sealed_result *r)
{
        pthread_mutex_lock(&a->store->catalogue);
        enum caefs_err err = meta_object_read(a->store->meta, row->content.object, &a->old);
        if (err == CAEFS_OK)
                err = meta_object_dependents(a->store->meta, a->old.id, &a->dependents);
        pthread_mutex_unlock(&a->store->catalogue);
        if (err == CAEFS_OK)
                err = object_acquire(a->store, row->content.object, &a->opened);
        if (err != CAEFS_OK)
                return err;
        err = encode_served(a, row, wanted, f, r);
        object_release(a->store, a->opened);
        return err;
}

static bool
is_wanted(const struct again *a, const struct meta_object *now,
          const struct store_recompress *wanted)
{
        const bool frees = a->old.model != 0 && a->old.model != a->model && !a->plan.is_exact;

        /* What others refer to would stay beside it, until they have moved as well. */
        if (a->dependents > 0)
                return wanted->has_bound || frees;
        return now->stored_bytes < a->old.stored_bytes || wanted->has_bound || frees;
}

static void
count(struct work *w, const struct again *a, uint64_t after, bool replaced)
{
        pthread_mutex_lock(&w->lock);
        w->report->files++;
        w->report->replaced += replaced;
        w->report->exact += a->plan.is_exact;
        w->report->tighter += a->plan.is_tighter;
        w->report->bytes_before += a->old.stored_bytes;
        w->report->bytes_after += after;
        pthread_mutex_unlock(&w->lock);
}

static enum seal_outcome
keep_better(struct work *w, struct store *s, struct inode *inode, const struct again *a,
            struct sealed_result *r)
{
        const uint64_t after = r->object.stored_bytes;

        if (!is_wanted(a, &r->object, w->wanted)) {
                seal_result_free(s, r);
                count(w, a, a->old.stored_bytes, false);
                return SEAL_DONE;
        }
        enum seal_outcome outcome = seal_replace(s, inode, r);
        if (outcome == SEAL_DONE)
                count(w, a, after, true);
        return outcome;
}

/* content.sealing held. */
static enum seal_outcome
recompress_content(struct work *w, struct store *s, struct inode *inode,
                   struct progress *progress)
{
        struct again         a = { .store = s };
        struct seal_progress f;
        struct meta_inode    row;
        uint64_t             version;

        if (seal_is_in_use(s, inode))
                return SEAL_OPEN;
        seal_progress_init(&f, progress);
        enum seal_outcome outcome = seal_begin(s, inode, &f, &row, &version);
        if (outcome != SEAL_DONE)
                return outcome;
        struct sealed_result *r = seal_result_new(version);
        enum caefs_err        err = CAEFS_ERR_NOMEM;
        bool is_sealed = S_ISREG(row.mode) && row.nlink > 0 && row.content.state == META_SEALED;
        if (is_sealed && r != NULL)
                err = encode_again(&a, &row, w->wanted, &f, r);
        seal_end(s, inode);
        if (is_sealed && err == CAEFS_OK)
                return keep_better(w, s, inode, &a, r);
        seal_result_free(s, r);
        if (!is_sealed)
                return SEAL_DONE;
        return err == CAEFS_ERR_INTERRUPTED ? SEAL_CHANGED : SEAL_FAILED;
}

static enum seal_outcome
recompress_each(void *context, struct store *s, struct inode *inode, struct progress *progress)
{
        struct content *c;

        caefs_detail_clear();
        if (content_get(s, inode, &c) != CAEFS_OK)
                return SEAL_FAILED;
        pthread_mutex_lock(&c->sealing);
        enum seal_outcome outcome = recompress_content(context, s, inode, progress);
        pthread_mutex_unlock(&c->sealing);
        content_put(s, inode);
        if (outcome == SEAL_DONE && s->options.sealed != NULL)
                s->options.sealed(s->options.sealed_context, inode->row.ino);
        return outcome;
}

enum caefs_err
store_recompress_tree(struct store *s, store_inode ino, const struct store_recompress *o,
                      struct progress *progress, struct store_recompress_report *report)
{
        struct work      w = { .wanted = o, .lock = PTHREAD_MUTEX_INITIALIZER, .report = report };
        struct tree_work work = { .sealed = true, .wait = o->wait, .each = recompress_each,
                                  .context = &w };

        *report = (struct store_recompress_report) { 0 };
        return tree_run(s, ino, &work, progress, &report->left);
}
