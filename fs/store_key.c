/* fs/store_key.c - which earlier file of a series a file is predicted from.
 *
 * Files of a directory whose names differ in numbers only are a series.  The key of a file
 * is the object of an earlier one, which refers to no other object itself.  Where the
 * property key says N, it is that of the file whose last number is the multiple of N
 * below; else the key is looked for: what the nearest earlier file is or refers to, until
 * enough files refer to it.  Then a new one begins.
 *
 * Whether a key is of use is known when the file has been encoded with it.  A series in
 * which it was not is left alone for a while.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store_key.h"

/* Files that refer to a key found by itself.  The longer ago, the less it is worth; the
 * more keys, the more files that have none. */
#define DEPENDENTS_MAX 3

/* Names before a file's own that are looked at: other series may lie between. */
#define LOOK_BACK 16

#define SKIP_MAX 63

/* ---- names that count --------------------------------------------------- */

static bool
is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* Where the extension begins, which does not count; or the end. */
static const char *
extension_of(const char *name)
{
        const char *dot = strrchr(name, '.');

        return dot == NULL || dot == name ? name + strlen(name) : dot;
}

/* Moves *AT past a number that ends before END; its digits without zeros in front. */
static const char *
take_number(const char **at, const char *end, size_t *digits)
{
        while (*at < end && **at == '0')
                ++*at;
        const char *start = *at;
        while (*at < end && is_digit(**at))
                ++*at;
        *digits = (size_t) (*at - start);
        return start;
}

bool
key_name_is_earlier(const char *a, const char *b)
{
        const char *a_end = extension_of(a), *b_end = extension_of(b);
        int         order = 0;

        if (strcmp(a_end, b_end) != 0)
                return false;
        while (a < a_end && b < b_end) {
                if (is_digit(*a) && is_digit(*b)) {
                        size_t      na, nb;
                        const char *da = take_number(&a, a_end, &na);
                        const char *db = take_number(&b, b_end, &nb);
                        if (order == 0)
                                order = na != nb ? (na < nb ? -1 : 1) : memcmp(da, db, na);
                } else if (*a++ != *b++) {
                        return false;
                }
        }
        return a == a_end && b == b_end && order < 0;
}

bool
key_name_of_multiple(const char *name, uint64_t n, char *out, size_t size)
{
        const char *end = extension_of(name), *last = end;

        while (last > name && !is_digit(last[-1]))
                last--;
        const char *first = last;
        while (first > name && is_digit(first[-1]))
                first--;
        if (first == last || last - first > 18)
                return false;
        uint64_t number = strtoull(first, NULL, 10);
        int      width = (int) (last - first), stem = (int) (first - name);
        if (number % n == 0)
                return false;
        /* A number that is not filled up has no zeros in front. */
        int written = snprintf(out, size, "%.*s%0*" PRIu64 "%s", stem, name,
                               *first == '0' ? width : 1, number - number % n, last);
        return written > 0 && (size_t) written < size;
}

/* A number for the series that NAME in directory PARENT belongs to. */
static uint64_t
series_of(uint64_t parent, const char *name)
{
        const char *end = extension_of(name);
        uint64_t    hash = UINT64_C(0xcbf29ce484222325) ^ parent;

        for (const char *at = name; *at != '\0'; at++)
                if (at >= end || !is_digit(*at))
                        hash = (hash ^ (unsigned char) *at) * UINT64_C(0x100000001b3);
        return hash;
}

/* ---- what paid ----------------------------------------------------------- */

/* The slot of a series; another one's record is dropped.  Lock held. */
static struct key_trials *
trials_of(struct store *s, uint64_t series)
{
        struct key_trials *t = &s->trials[series % STORE_KEY_SERIES];

        if (t->series != series)
                *t = (struct key_trials) { .series = series };
        return t;
}

/* True when the series is left alone; counts. */
static bool
trial_is_skipped(struct store *s, uint64_t series)
{
        pthread_mutex_lock(&s->trials_lock);
        struct key_trials *t = trials_of(s, series);
        bool               skipped = t->skip > 0;
        t->skip -= skipped;
        pthread_mutex_unlock(&s->trials_lock);
        return skipped;
}

void
key_note(struct store *s, const struct key_choice *choice, bool paid)
{
        if (!choice->is_trial)
                return;
        pthread_mutex_lock(&s->trials_lock);
        struct key_trials *t = trials_of(s, choice->series);
        t->failures = paid ? 0 : t->failures < 6 ? t->failures + 1 : 6;
        t->skip = (1u << t->failures) - 1;
        pthread_mutex_unlock(&s->trials_lock);
}

/* ---- choosing ------------------------------------------------------------- */

/* The object of a sealed file; CAEFS_ERR_NO_ENTRY. */
static enum caefs_err
object_of_file(struct store *s, uint64_t ino, struct meta_object *out)
{
        struct meta_inode row;
        enum caefs_err    err = meta_inode_read(s->meta, ino, &row);

        if (err == CAEFS_OK && row.content.state != META_SEALED)
                err = CAEFS_ERR_NO_ENTRY;
        return err == CAEFS_OK ? meta_object_read(s->meta, row.content.object, out) : err;
}

/* The key of the nearest earlier file of the series that is sealed; 0: none. */
static uint64_t
look_back(struct store *s, const struct meta_entry *file, uint64_t size)
{
        struct meta_entry  before[LOOK_BACK];
        struct meta_object object;
        uint64_t           dependents;
        size_t             count, i = 0;

        if (meta_entry_before(s->meta, file->parent, file->name, before, LOOK_BACK, &count) !=
            CAEFS_OK)
                return 0;
        while (i < count && (!key_name_is_earlier(before[i].name, file->name) ||
                             object_of_file(s, before[i].ino, &object) != CAEFS_OK))
                i++;
        /* Arrays of another size rarely lie where this one does. */
        if (i == count || object.logical_bytes != size)
                return 0;
        uint64_t id = object.reference != 0 ? object.reference : object.id;
        if (meta_object_dependents(s->meta, id, &dependents) != CAEFS_OK)
                return 0;
        return dependents < DEPENDENTS_MAX ? id : 0;
}

/* The object of the file whose last number is the multiple of N below; 0: none. */
static uint64_t
look_at_multiple(struct store *s, const struct meta_entry *file, uint64_t n)
{
        char               name[STORE_NAME_MAX + 1];
        struct meta_entry  entry;
        struct meta_object object;

        if (!key_name_of_multiple(file->name, n, name, sizeof name) ||
            meta_entry_find(s->meta, file->parent, name, &entry) != CAEFS_OK ||
            object_of_file(s, entry.ino, &object) != CAEFS_OK || object.reference != 0)
                return 0;
        return object.id;
}

bool
key_policy_parse(const char *value, struct key_policy *policy)
{
        char *end;

        *policy = (struct key_policy) { .is_auto = strcmp(value, "auto") == 0 };
        if (policy->is_auto || strcmp(value, "none") == 0)
                return true;
        if (!is_digit(value[0]) || strlen(value) > 9)
                return false;
        policy->every = strtoull(value, &end, 10);
        return *end == '\0' && policy->every >= 2;
}

/* Catalogue held. */
static uint64_t
choose(struct store *s, uint64_t ino, uint64_t size, struct key_choice *choice)
{
        struct store_property p;
        struct key_policy     policy;
        struct meta_entry     file;

        if (property_resolve_locked(s, ino, "key", &p) != CAEFS_OK ||
            !key_policy_parse(p.value, &policy) || meta_entry_of(s->meta, ino, &file) != CAEFS_OK)
                return 0;
        if (policy.every > 0)
                return look_at_multiple(s, &file, policy.every);
        if (!policy.is_auto)
                return 0;
        choice->series = series_of(file.parent, file.name);
        uint64_t id = look_back(s, &file, size);
        choice->is_trial = id != 0 && !trial_is_skipped(s, choice->series);
        return choice->is_trial ? id : 0;
}

void
key_choose(struct store *s, uint64_t ino, uint64_t size, struct key_choice *choice)
{
        *choice = (struct key_choice) { 0 };
        pthread_mutex_lock(&s->catalogue);
        uint64_t id = choose(s, ino, size, choice);
        pthread_mutex_unlock(&s->catalogue);
        if (id == 0 || object_acquire(s, id, &choice->object) != CAEFS_OK)
                return;
        if (object_info(object_of(choice->object))->key != 0) {
                object_release(s, choice->object);
                choice->object = NULL;
        }
}

/* ---- telling --------------------------------------------------------------- */

enum caefs_err
store_key_path(struct store *s, uint64_t object, char **path)
{
        uint64_t ino = 0;

        pthread_mutex_lock(&s->catalogue);
        enum caefs_err err = meta_object_file(s->meta, object, &ino);
        pthread_mutex_unlock(&s->catalogue);
        if (err == CAEFS_OK)
                return store_path(s, ino, path);
        *path = strdup("");
        return err != CAEFS_ERR_NO_ENTRY ? err : *path == NULL ? CAEFS_ERR_NOMEM : CAEFS_OK;
}
