/* fs/store_key.h - which earlier file of a series a file is predicted from.
 *
 * Thread safety: all functions from any thread.
 */
#ifndef CAEFS_FS_STORE_KEY_H
#define CAEFS_FS_STORE_KEY_H

#include "fs/store_internal.h"

/* The property key. */
struct key_policy {
        bool     is_auto;
        uint64_t every;         /* every so many files has no key; 0: auto or none */
};
bool key_policy_parse(const char *value, struct key_policy *policy);

/* True when A and B differ in numbers only, those of the extension aside, and the first
 * that does is smaller in A. */
bool key_name_is_earlier(const char *a, const char *b);

/* NAME with its last number, that of the extension aside, brought down to a multiple of N;
 * false when it is one, or has none. */
bool key_name_of_multiple(const char *name, uint64_t n, char *out, size_t size);

/* A key to encode with. */
struct key_choice {
        struct opened_object *object;   /* to be released; NULL: none */
        bool                  is_trial; /* its use is not known */
        uint64_t              series;
};
/* For a file of SIZE bytes.  The catalogue is not held. */
void key_choose(struct store *s, uint64_t ino, uint64_t size, struct key_choice *choice);
/* After encoding: whether anything was predicted from the key. */
void key_note(struct store *s, const struct key_choice *choice, bool paid);

#endif
