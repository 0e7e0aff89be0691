/*
 * control.c - talking to a mount through its control files.
 */

#include "tools/control.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bytes.h"
#include "fs/describe.h"

static enum caefs_err control_path(const char *root, const char *name,
                                   char path[PATH_MAX])
{
        if (snprintf(path, PATH_MAX, "%s/.caefs/%s", root, name) >= PATH_MAX)
                return CAEFS_ERR_NAME_TOO_LONG;
        return CAEFS_OK;
}

static enum caefs_err open_control(const char *root, const char *name,
                                   int flags, int *fd)
{
        char path[PATH_MAX];
        const enum caefs_err err = control_path(root, name, path);

        if (err != CAEFS_OK)
                return err;
        *fd = open(path, flags | O_CLOEXEC, 0644);
        if (*fd >= 0)
                return CAEFS_OK;
        return errno == ENOENT ? CAEFS_ERR_NO_ENTRY :
                                 caefs_fail_errno("cannot open %s", path);
}

/* Everything from offset 0, at most LIMIT bytes, and a NUL behind it. */
static enum caefs_err read_all(int fd, size_t limit, struct bytes *out)
{
        for (;;) {
                uint8_t *at = bytes_reserve(out, (size_t)1 << 16);
                ssize_t n;

                if (at == NULL)
                        return CAEFS_ERR_NOMEM;
                n = pread(fd, at, ((size_t)1 << 16) - 1, (off_t)out->size);
                if (n < 0)
                        return caefs_fail_errno("cannot read a control file");
                at[n] = '\0';
                if (n == 0)
                        return CAEFS_OK;
                out->size += (size_t)n;
                if (out->size > limit)
                        return CAEFS_ERR_LIMIT;
        }
}

static enum caefs_err read_control(const char *root, const char *name,
                                   size_t limit, struct bytes *out)
{
        int fd;
        enum caefs_err err = open_control(root, name, O_RDONLY, &fd);

        if (err != CAEFS_OK)
                return err;
        err = read_all(fd, limit, out);
        close(fd);
        if (err != CAEFS_OK)
                bytes_free(out);
        return err;
}

/* Opens the control file NAME and puts QUESTION to it. */
static enum caefs_err ask(const char *root, const char *name,
                          const char *question, int *fd)
{
        const ssize_t length = (ssize_t)strlen(question);
        enum caefs_err err = open_control(root, name, O_RDWR, fd);

        if (err != CAEFS_OK)
                return err;
        if (pwrite(*fd, question, (size_t)length, 0) == length)
                return CAEFS_OK;
        err = errno == ENOENT ? CAEFS_ERR_NO_ENTRY :
                                caefs_fail_errno("the mount refuses");
        close(*fd);
        return err;
}

static enum caefs_err ask_inode(const char *root, const char *name,
                                store_inode inode, int *fd)
{
        char text[32];

        snprintf(text, sizeof text, "%" PRIu64 "\n", (uint64_t)inode);
        return ask(root, name, text, fd);
}

/* ---- identity ---- */

/* The rest of the line that begins with KEY and a space. */
static char *line_value(const char *text, const char *key)
{
        const size_t length = strlen(key);
        const char *line = text;

        while (line != NULL && *line != '\0') {
                if (strncmp(line, key, length) == 0 && line[length] == ' ')
                        return strndup(line + length + 1,
                                       strcspn(line + length + 1, "\n"));
                line = strchr(line, '\n');
                if (line != NULL)
                        line++;
        }
        return NULL;
}

enum caefs_err control_identity(const char *root, char **store, pid_t *pid)
{
        struct bytes text = { 0 };
        char *number;
        enum caefs_err err = read_control(root, "store", 1 << 16, &text);

        if (err == CAEFS_ERR_NO_ENTRY)
                return caefs_fail(CAEFS_ERR_UNSUPPORTED,
                                  "%s is not a mount of caefs", root);
        if (err != CAEFS_OK)
                return err;
        *store = line_value((const char *)text.data, "store");
        number = line_value((const char *)text.data, "pid");
        bytes_free(&text);
        if (*store == NULL || number == NULL) {
                free(*store);
                *store = NULL;
                free(number);
                return caefs_fail(CAEFS_ERR_UNSUPPORTED,
                                  "%s is not a mount of caefs", root);
        }
        *pid = (pid_t)strtol(number, NULL, 10);
        free(number);
        return CAEFS_OK;
}

/* ---- sync ---- */

/* True when LINE was the last one; ERR and REPORT are then set. */
static bool take_line(const char *line, struct progress *progress,
                      struct store_recompress_report *report,
                      enum caefs_err *err)
{
        uint64_t done, total;
        int code, at = 0;

        if (sscanf(line, "progress %" SCNu64 " %" SCNu64, &done, &total) == 2) {
                if (progress != NULL) {
                        const uint64_t before = atomic_load(&progress->done);

                        progress->total = total;
                        progress_add(progress, done - before);
                }
                return false;
        }
        if (sscanf(line, "end %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                         " %" SCNu64 " %" SCNu64 " %" SCNu64,
                   &report->left, &report->files, &report->replaced,
                   &report->exact, &report->tighter, &report->bytes_before,
                   &report->bytes_after) >= 1)
                *err = CAEFS_OK;
        else if (sscanf(line, "error %d %n", &code, &at) == 1 && code > 0 &&
                 code < CAEFS_ERR_COUNT)
                *err = caefs_fail((enum caefs_err)code, "%.*s",
                                  (int)strcspn(line + at, "\n"), line + at);
        else
                *err = caefs_fail(CAEFS_ERR_UNSUPPORTED,
                                  "the mount is served by another version of "
                                  "caefs");
        return true;
}

/* Reads what the job behind FD says until its end; closes FD. */
static enum caefs_err follow(int fd, struct progress *progress,
                             struct store_recompress_report *report)
{
        char line[1024];
        enum caefs_err err;

        for (;;) {
                const ssize_t n = pread(fd, line, sizeof line - 1, 0);

                if (progress_cancelled(progress)) {
                        err = CAEFS_ERR_INTERRUPTED;
                        break;
                }
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        err = caefs_fail(CAEFS_ERR_IO,
                                         "the mount ended meanwhile");
                        break;
                }
                line[n] = '\0';
                if (take_line(line, progress, report, &err))
                        break;
        }
        close(fd);
        return err;
}

enum caefs_err control_sync(const char *root, store_inode inode,
                            struct progress *progress, uint64_t *left)
{
        struct store_recompress_report report = { 0 };
        int fd;
        enum caefs_err err = ask_inode(root, "sync", inode, &fd);

        if (err == CAEFS_OK)
                err = follow(fd, progress, &report);
        *left = report.left;
        return err;
}

enum caefs_err control_recompress(const char *root, store_inode inode,
                                  const struct store_recompress *o,
                                  struct progress *progress,
                                  struct store_recompress_report *report)
{
        char question[128], bound[32] = "";
        int fd;
        enum caefs_err err;

        *report = (struct store_recompress_report){ 0 };
        if (o->has_bound)
                bound_format(&o->bound, bound);
        snprintf(question, sizeof question, "%" PRIu64 "%s%s%s\n",
                 (uint64_t)inode, o->has_bound ? " bound=" : "", bound,
                 o->add_loss ? " add-loss" : "");
        err = ask(root, "recompress", question, &fd);
        return err == CAEFS_OK ? follow(fd, progress, report) : err;
}

/* ---- explain and models ---- */

static enum caefs_err parse_json(struct bytes *text, json_t **out)
{
        *out = json_loadb((const char *)text->data, text->size, 0, NULL);
        bytes_free(text);
        if (*out == NULL)
                return caefs_fail(CAEFS_ERR_CORRUPT,
                                  "the mount's answer is not JSON");
        return CAEFS_OK;
}

/* Closes FD. */
static enum caefs_err read_answer(int fd, json_t **out)
{
        struct bytes text = { 0 };
        const enum caefs_err err = read_all(fd, SIZE_MAX / 2, &text);

        close(fd);
        if (err != CAEFS_OK) {
                bytes_free(&text);
                return err;
        }
        return parse_json(&text, out);
}

enum caefs_err control_explain(const char *root, store_inode inode,
                               json_t **out)
{
        int fd;
        const enum caefs_err err = ask_inode(root, "explain", inode, &fd);

        return err != CAEFS_OK ? err : read_answer(fd, out);
}

static enum caefs_err read_json(const char *root, const char *name,
                                json_t **out)
{
        struct bytes text = { 0 };
        const enum caefs_err err = read_control(root, name, SIZE_MAX / 2,
                                                &text);

        return err != CAEFS_OK ? err : parse_json(&text, out);
}

enum caefs_err control_models(const char *root, json_t **out)
{
        return read_json(root, "models.json", out);
}

enum caefs_err control_totals(const char *root, json_t **out)
{
        return read_json(root, "totals.json", out);
}

static void model_name(uint64_t hash, char name[32])
{
        memcpy(name, "models/", 7);
        model_hash_format(hash, name + 7);
}

enum caefs_err control_model_get(const char *root, uint64_t hash,
                                 struct model **out)
{
        struct bytes blob = { 0 };
        char name[32];
        enum caefs_err err;

        model_name(hash, name);
        err = read_control(root, name, MODEL_MAX_BYTES, &blob);
        if (err != CAEFS_OK)
                return err;
        err = model_parse(blob.data, blob.size, out);
        bytes_free(&blob);
        return err;
}

enum caefs_err control_model_show(const char *root, uint64_t hash, json_t **out)
{
        char question[18];
        int fd;
        enum caefs_err err;

        model_hash_format(hash, question);
        strcat(question, "\n");
        err = ask(root, "model", question, &fd);
        return err != CAEFS_OK ? err : read_answer(fd, out);
}

static enum caefs_err write_all(int fd, const char *data, size_t size)
{
        size_t done = 0;

        while (done < size) {
                const ssize_t n = write(fd, data + done, size - done);

                if (n < 0)
                        return caefs_fail_errno("the mount refuses the model");
                done += (size_t)n;
        }
        return CAEFS_OK;
}

/* The control file takes over what it was given when it is synced; a close tells nothing. */
static enum caefs_err close_upload(int fd, enum caefs_err err)
{
        if (err == CAEFS_OK && fsync(fd) != 0)
                err = caefs_fail_errno("the mount refuses the model");
        close(fd);
        return err;
}

static enum caefs_err add_record(const char *root, uint64_t hash,
                                 const char *record)
{
        char line[18];
        int fd;
        enum caefs_err err = open_control(root, "record", O_WRONLY, &fd);

        if (err != CAEFS_OK)
                return err;
        model_hash_format(hash, line);
        strcat(line, "\n");
        err = write_all(fd, line, strlen(line));
        if (err == CAEFS_OK)
                err = write_all(fd, record, strlen(record));
        return close_upload(fd, err);
}

enum caefs_err control_model_add(const char *root, const struct model *m,
                                 const char *record)
{
        size_t size;
        const char *blob = model_blob(m, &size);
        char name[32];
        int fd;
        enum caefs_err err;

        model_name(model_hash(m), name);
        err = open_control(root, name, O_WRONLY | O_CREAT | O_TRUNC, &fd);
        if (err != CAEFS_OK)
                return err;
        err = close_upload(fd, write_all(fd, blob, size));
        if (err == CAEFS_OK && record != NULL)
                err = add_record(root, model_hash(m), record);
        return err;
}

enum caefs_err control_model_remove(const char *root, uint64_t hash)
{
        char name[32], path[PATH_MAX];
        enum caefs_err err;

        model_name(hash, name);
        err = control_path(root, name, path);
        if (err != CAEFS_OK)
                return err;
        if (unlink(path) == 0)
                return CAEFS_OK;
        if (errno == EBUSY)
                return caefs_fail(CAEFS_ERR_BUSY, "files need this model");
        return errno == ENOENT ? CAEFS_ERR_NO_ENTRY :
                                 caefs_fail_errno("cannot remove the model");
}
