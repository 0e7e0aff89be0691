/* fs/store_seal.h - the steps of sealing, for those who make an object of a file.
 *
 * Encode what the file holds (seal_begin, seal_encode, seal_end), then let the object take
 * its place (seal_replace); content.sealing of the inode held all the while.
 *
 * Thread safety: all functions from any thread, for one inode from one at a time.
 */
#ifndef CAEFS_FS_STORE_SEAL_H
#define CAEFS_FS_STORE_SEAL_H

#include "fs/store_internal.h"

/* An encoding that is not yet the file's content. */
struct sealed_result {
        uint64_t           version;     /* of the content it was made from */
        struct meta_object object;      /* no id yet */
        struct bytes       data;        /* while it is small */
        int                fd;          /* a temporary file in staging/; -1: none */
        char               name[STAGING_NAME_SIZE];
};

/* NULL without memory. */
struct sealed_result *seal_result_new(uint64_t version);
void seal_result_free(struct store *s, struct sealed_result *r);        /* NULL: nothing */

/* Progress of one file, passed on to that of the whole job. */
struct seal_progress {
        struct progress  own;
        struct progress *outer;         /* or NULL */
        uint64_t         told;
};
void seal_progress_init(struct seal_progress *f, struct progress *outer);

/* Whether somebody has it open: then nothing can take its place. */
bool seal_is_in_use(struct store *s, struct inode *inode);

/* Can it be encoded now?  Notes the encoding, so that a writer cancels it; SEAL_OPEN: a
 * writer has it open.  ROW and VERSION are of the content to encode. */
enum seal_outcome seal_begin(struct store *s, struct inode *inode, struct seal_progress *f,
                             struct meta_inode *row, uint64_t *version);
void              seal_end(struct store *s, struct inode *inode);

/* Encodes SOURCE, which is to be the content of INO, into R, durably.  PREVIOUS is that of
 * O->previous, or NULL. */
enum caefs_err seal_encode(struct store *s, uint64_t ino, const struct byte_source *source,
                           const struct opened_object *previous, struct object_options *o,
                           struct seal_progress *f, struct sealed_result *r);

/* Swaps, and frees R in any case.  SEAL_OPEN, SEAL_CHANGED: nothing has happened. */
enum seal_outcome seal_replace(struct store *s, struct inode *inode, struct sealed_result *r);

#endif
