/* common/error.h - the one error type of caefs.
 *
 * Every function that can fail returns an enum caefs_err.  CAEFS_OK is zero.
 * The words for a person travel beside the code: caefs_fail() records a
 * sentence for the calling thread and returns the code it was given, so that
 *
 *     return caefs_fail(CAEFS_ERR_CORRUPT, "chunk %u: checksum differs", i);
 *
 * is how an error begins.  Callers that only pass an error on add nothing.
 * Errors that are part of normal life (a name that is not there) are returned
 * without a sentence.
 *
 * Thread safety: all functions may be called from any thread; the sentence
 * belongs to the thread that recorded it.
 */
#ifndef CAEFS_COMMON_ERROR_H
#define CAEFS_COMMON_ERROR_H

enum caefs_err {
        CAEFS_OK = 0,
        CAEFS_ERR_NOMEM,        /* memory could not be had */
        CAEFS_ERR_ARGUMENT,     /* the caller asked for something that makes no sense */
        CAEFS_ERR_CORRUPT,      /* stored bytes are damaged or hostile */
        CAEFS_ERR_VERSION,      /* written by a newer caefs */
        CAEFS_ERR_MODEL,        /* a model, or an object that is referred to, is needed and not
                                 * there, or is another one */
        CAEFS_ERR_BOUND,        /* a bound cannot be met or was not met */
        CAEFS_ERR_LIMIT,        /* larger than a documented limit */
        CAEFS_ERR_UNSUPPORTED,  /* well formed, but not for this operation */
        CAEFS_ERR_IO,           /* the system below failed to read or write */
        CAEFS_ERR_NO_SPACE,     /* the device below is full */
        CAEFS_ERR_QUOTA,        /* a quota below is used up */
        CAEFS_ERR_READ_ONLY,    /* the store or the system below is read-only */
        CAEFS_ERR_BUSY,         /* somebody else has it */
        CAEFS_ERR_INTERRUPTED,  /* a signal asked to stop */
        CAEFS_ERR_PERMISSION,   /* EPERM: not the owner, or never allowed */
        CAEFS_ERR_ACCESS,       /* EACCES: permission bits say no */
        CAEFS_ERR_NO_ENTRY,     /* no such name, inode or row */
        CAEFS_ERR_EXISTS,       /* the name is taken */
        CAEFS_ERR_NOT_DIRECTORY,
        CAEFS_ERR_IS_DIRECTORY,
        CAEFS_ERR_NOT_EMPTY,
        CAEFS_ERR_NAME_TOO_LONG,
        CAEFS_ERR_TOO_MANY_LINKS,
        CAEFS_ERR_FILE_TOO_BIG,
        CAEFS_ERR_CROSS_DEVICE,
        CAEFS_ERR_NO_ATTRIBUTE, /* ENODATA: no such extended attribute */
        CAEFS_ERR_RANGE,        /* ERANGE: the caller's buffer is too small */
        CAEFS_ERR_NO_MORE_DATA, /* ENXIO: lseek found no data or hole there */
        CAEFS_ERR_STALE,        /* ESTALE: a handle to something that is gone */
        CAEFS_ERR_COUNT
};

/* A few words in English, such as "no space left on the device"; never NULL. */
const char *caefs_err_text(enum caefs_err err);

/* The errno that a system call returns for ERR; 0 for CAEFS_OK. */
int caefs_err_errno(enum caefs_err err);

/* The error that stands for an errno; CAEFS_ERR_IO for those not listed. */
enum caefs_err caefs_err_from_errno(int errno_value);

/* Records a sentence for this thread and returns ERR. */
enum caefs_err caefs_fail(enum caefs_err err, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* The same for a system call that has just set errno: the sentence is followed
 * by ": " and the system's own words, and the code is made from errno. */
enum caefs_err caefs_fail_errno(const char *format, ...)
        __attribute__((format(printf, 1, 2)));

/* The sentence last recorded by this thread, "" if none; valid until the next. */
const char *caefs_detail(void);

/* Forgets the sentence. */
void caefs_detail_clear(void);

#endif
