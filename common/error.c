/* common/error.c - codes, their words and their errno. */
#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One row an error.  ERRNO is what a system call of the mount returns. */
static const struct {
        int         errno_value;
        const char *text;
} errors[CAEFS_ERR_COUNT] = {
        [CAEFS_OK]                 = { 0,            "done" },
        [CAEFS_ERR_NOMEM]          = { ENOMEM,       "out of memory" },
        [CAEFS_ERR_ARGUMENT]       = { EINVAL,       "invalid argument" },
        [CAEFS_ERR_CORRUPT]        = { EIO,          "damaged data" },
        [CAEFS_ERR_VERSION]        = { EIO,          "written by a newer version of caefs" },
        [CAEFS_ERR_MODEL]          = { EIO,          "a model or an object that it needs is missing or another one" },
        [CAEFS_ERR_BOUND]          = { EIO,          "the error bound is not met" },
        [CAEFS_ERR_LIMIT]          = { EFBIG,        "larger than a limit of caefs" },
        [CAEFS_ERR_UNSUPPORTED]    = { EOPNOTSUPP,   "not supported" },
        [CAEFS_ERR_IO]             = { EIO,          "input/output error" },
        [CAEFS_ERR_NO_SPACE]       = { ENOSPC,       "no space left on the device" },
        [CAEFS_ERR_QUOTA]          = { EDQUOT,       "disk quota exceeded" },
        [CAEFS_ERR_READ_ONLY]      = { EROFS,        "read-only" },
        [CAEFS_ERR_BUSY]           = { EBUSY,        "in use" },
        [CAEFS_ERR_INTERRUPTED]    = { EINTR,        "interrupted" },
        [CAEFS_ERR_PERMISSION]     = { EPERM,        "operation not permitted" },
        [CAEFS_ERR_ACCESS]         = { EACCES,       "permission denied" },
        [CAEFS_ERR_NO_ENTRY]       = { ENOENT,       "no such file or directory" },
        [CAEFS_ERR_EXISTS]         = { EEXIST,       "already exists" },
        [CAEFS_ERR_NOT_DIRECTORY]  = { ENOTDIR,      "not a directory" },
        [CAEFS_ERR_IS_DIRECTORY]   = { EISDIR,       "is a directory" },
        [CAEFS_ERR_NOT_EMPTY]      = { ENOTEMPTY,    "directory not empty" },
        [CAEFS_ERR_NAME_TOO_LONG]  = { ENAMETOOLONG, "name too long" },
        [CAEFS_ERR_TOO_MANY_LINKS] = { EMLINK,       "too many links" },
        [CAEFS_ERR_FILE_TOO_BIG]   = { EFBIG,        "file too large" },
        [CAEFS_ERR_CROSS_DEVICE]   = { EXDEV,        "on another file system" },
        [CAEFS_ERR_NO_ATTRIBUTE]   = { ENODATA,      "no such attribute" },
        [CAEFS_ERR_RANGE]          = { ERANGE,       "buffer too small" },
        [CAEFS_ERR_NO_MORE_DATA]   = { ENXIO,        "no data or hole there" },
        [CAEFS_ERR_STALE]          = { ESTALE,       "stale handle" },
};

static _Thread_local char detail[512];

const char *
caefs_err_text(enum caefs_err err)
{
        if ((unsigned) err >= CAEFS_ERR_COUNT)
                return "unknown error";
        return errors[err].text;
}

int
caefs_err_errno(enum caefs_err err)
{
        if ((unsigned) err >= CAEFS_ERR_COUNT)
                return EIO;
        return errors[err].errno_value;
}

enum caefs_err
caefs_err_from_errno(int errno_value)
{
        if (errno_value == 0)
                return CAEFS_OK;
        /* Several errors share an errno; these are what the system means by it. */
        switch (errno_value) {
        case EIO:    return CAEFS_ERR_IO;
        case EFBIG:  return CAEFS_ERR_FILE_TOO_BIG;
        case EAGAIN: return CAEFS_ERR_BUSY;
        }
        for (int err = 1; err < CAEFS_ERR_COUNT; err++)
                if (errors[err].errno_value == errno_value)
                        return (enum caefs_err) err;
        return CAEFS_ERR_IO;
}

enum caefs_err
caefs_fail(enum caefs_err err, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(detail, sizeof detail, format, arguments);
        va_end(arguments);
        return err;
}

enum caefs_err
caefs_fail_errno(const char *format, ...)
{
        int     saved = errno;
        va_list arguments;

        va_start(arguments, format);
        int used = vsnprintf(detail, sizeof detail, format, arguments);
        va_end(arguments);
        if (used >= 0 && (size_t) used < sizeof detail)
                snprintf(detail + used, sizeof detail - (size_t) used, ": %s",
                         strerror(saved));
        errno = saved;
        return caefs_err_from_errno(saved == 0 ? EIO : saved);
}

const char *
caefs_detail(void)
{
        return detail;
}

void
caefs_detail_clear(void)
{
        detail[0] = '\0';
}
