/* fs/store_info.c - looking inside: what a file costs, and paths. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store_internal.h"

static void
info_of_object(const struct meta_object *o, struct store_file_info *out)
{
        memcpy(out->bound, o->bound, sizeof out->bound);
        memcpy(out->codec, o->codec, sizeof out->codec);
        memcpy(out->fallback, o->fallback, sizeof out->fallback);
        out->stored_bytes = o->stored_bytes;
        out->worst = o->worst;
        out->worst_over_bound = o->worst_over_bound;
        out->model = o->model;
        out->key = o->reference;
        out->lossy_values = o->lossy_values;
}

static enum caefs_err
info_of_row(struct store *s, const struct meta_inode *row, struct store_file_info *out)
{
        struct meta_object object;
        struct stat        st;
        enum caefs_err     err = CAEFS_OK;

        out->logical_bytes = row->content.size;
        if (row->content.state == META_SEALED) {
                strcpy(out->state, "sealed");
                pthread_mutex_lock(&s->catalogue);
                err = meta_object_read(s->meta, row->content.object, &object);
                pthread_mutex_unlock(&s->catalogue);
                if (err == CAEFS_OK)
                        info_of_object(&object, out);
                return err == CAEFS_ERR_NO_ENTRY ? CAEFS_ERR_CORRUPT : err;
        }
        stat_of_row(s, row, &st);
        out->stored_bytes = (uint64_t) st.st_blocks * 512;
        strcpy(out->state, row->content.state == META_STAGED && row->content.size > 0
                                   ? "staged" : "empty");
        pthread_mutex_lock(&s->catalogue);
        meta_trouble_read(s->meta, row->ino, out->fallback, sizeof out->fallback);
        pthread_mutex_unlock(&s->catalogue);
        return CAEFS_OK;
}

enum caefs_err
store_file_info(struct store *s, store_inode ino, struct store_file_info *out)
{
        struct inode  *inode;
        enum caefs_err err = inode_hold(s, ino, &inode);

        *out = (struct store_file_info) { 0 };
        if (err != CAEFS_OK)
                return err;
        struct meta_inode row = inode_row(s, inode);
        inode_release(s, inode);
        err = info_of_row(s, &row, out);
        /* It may have been sealed or rewritten between the two looks: once more. */
        if (err == CAEFS_ERR_CORRUPT && inode_hold(s, ino, &inode) == CAEFS_OK) {
                row = inode_row(s, inode);
                inode_release(s, inode);
                err = info_of_row(s, &row, out);
        }
        return err;
}

enum caefs_err
store_resolve(struct store *s, const char *path, store_inode *out)
{
        struct stat    st;
        store_inode    at = STORE_ROOT_INODE;
        struct inode  *root;
        enum caefs_err err = inode_hold(s, at, &root);

        if (err != CAEFS_OK)
                return err;
        inode_hold_to_lookup(s, root);
        while (err == CAEFS_OK) {
                char   name[STORE_NAME_MAX + 1];
                path += strspn(path, "/");
                size_t n = strcspn(path, "/");
                if (n == 0)
                        break;
                if (n > STORE_NAME_MAX) {
                        err = CAEFS_ERR_NAME_TOO_LONG;
                        break;
                }
                memcpy(name, path, n);
                name[n] = '\0';
                path += n;
                if (strcmp(name, ".") == 0)
                        continue;
                err = store_lookup(s, at, name, &st);
                if (err == CAEFS_OK) {
                        store_forget(s, at, 1);
                        at = st.st_ino;
                }
        }
        if (err != CAEFS_OK)
                store_forget(s, at, 1);
        *out = err == CAEFS_OK ? at : 0;
        return err;
}

enum caefs_err
store_path(struct store *s, store_inode ino, char **path)
{
        struct meta_entry entry;
        enum caefs_err    err = CAEFS_OK;

        *path = strdup(ino == STORE_ROOT_INODE ? "/" : "");
        pthread_mutex_lock(&s->catalogue);
        while (*path != NULL && ino != STORE_ROOT_INODE &&
               (err = meta_entry_of(s->meta, ino, &entry)) == CAEFS_OK) {
                char *longer = NULL;

                if (asprintf(&longer, "/%s%s", entry.name, *path) < 0)
                        longer = NULL;
                free(*path);
                *path = longer;
                ino = entry.parent;
        }
        pthread_mutex_unlock(&s->catalogue);
        if (err == CAEFS_ERR_NO_ENTRY)
                err = CAEFS_OK;
        return *path == NULL ? CAEFS_ERR_NOMEM : err;
}
