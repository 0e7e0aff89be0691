/* tests/posix/script.h - scripts of system calls and what must come of them.
 *
 * A script is lines of words, one system call or comparison a line (operations.c has
 * them all), with its outcome behind "->": an errno, a number or a text; without it the
 * call must succeed.
 *
 *     case unlink/sticky              a new directory to work in, root, umask 0
 *     each type regular fifo symlink  all that follows, once for each: $type
 *     as 65534:65534,65533            user, group and further groups from here on
 *     unlink a/b -> EACCES|EPERM
 *
 * %name:255 becomes a name of 255 bytes and %path:4095 a path of 4095, whose
 * components are as long as can be; a word in double quotes may have blanks.
 *
 * Thread safety: none; a process runs one script at a time.
 */
#ifndef CAEFS_TESTS_POSIX_SCRIPT_H
#define CAEFS_TESTS_POSIX_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define WORDS_MAX 24

/* What a call came to. */
struct outcome {
        int    error;                   /* an errno; 0: success */
        long   value;                   /* of a call that returns a number */
        char  *text;                    /* of one that returns a text: malloc()ed; or NULL */
};

typedef void operation(char **arguments, size_t count, struct outcome *outcome);

/* A failed comparison: says so, with the line, and counts. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Runs the operation WORDS[0] with its COUNT - 1 arguments.  False: no such operation, or
 * not so many arguments. */
bool operation_run(char **words, size_t count, struct outcome *outcome);

/* At the end of a case: descriptors that are still open, times that were noted. */
void operations_reset(void);

/* A number in C's notation; complains and gives 0 when it is none. */
long long number(const char *word);

const char *error_name(int error);

/* Flags written as "O_RDWR,O_CREAT"; a number is taken too. */
int flags_of(const char *words);

/* RESULT of a system call: its value, or errno. */
void   came_to(struct outcome *outcome, long result);
mode_t mode_of(const char *octal);

/* An operation on words A, made of an expression. */
#define OPERATION(name, expression)                                             \
        operation name;                                                         \
        void                                                                    \
        name(char **a, size_t count, struct outcome *outcome)                   \
        {                                                                       \
                (void) count;                                                   \
                (void) a;                                                       \
                came_to(outcome, (expression));                                 \
        }

/* comparisons.c: operations that look at what is there. */
operation compare_stat, compare_fstat, note_times, compare_later, compare_same;
void comparisons_reset(void);
int  descriptor(const char *number);

/* descriptors.c: operations on open files. */
operation do_close, do_copy, do_fallocate, do_flock, do_fsync, do_hold, do_linkfd, do_lock,
        do_lock_elsewhere, do_open, do_posix_fallocate, do_pread, do_pwrite, do_seek, do_start,
        do_stop, do_write;

/* acl.c: ACLs written as "u::rw-,u:7:r--,g::r--,m::rw-,o::---". */
operation acl_set, acl_get;

#endif
