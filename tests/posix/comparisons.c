/* tests/posix/comparisons.c - what a script says that must be so: attributes, times. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/posix/script.h"

#define NOTES_MAX 16

/* Attributes that a later line compares with. */
struct note {
        char        name[32];
        struct stat st;
};

static struct note notes[NOTES_MAX];
static size_t nnotes;

void
comparisons_reset(void)
{
        nnotes = 0;
}

static const char *
type_name(mode_t mode)
{
        switch (mode & S_IFMT) {
        case S_IFREG:  return "regular";
        case S_IFDIR:  return "directory";
        case S_IFIFO:  return "fifo";
        case S_IFBLK:  return "block";
        case S_IFCHR:  return "char";
        case S_IFSOCK: return "socket";
        case S_IFLNK:  return "symlink";
        default:       return "unknown";
        }
}

static void
field_text(const struct stat *st, const char *field, size_t n, char text[64])
{
        if (strncmp(field, "type", n) == 0)
                snprintf(text, 64, "%s", type_name(st->st_mode));
        else if (strncmp(field, "mode", n) == 0)
                snprintf(text, 64, "%04o", st->st_mode & 07777);
        else if (strncmp(field, "nlink", n) == 0)
                snprintf(text, 64, "%lu", (unsigned long) st->st_nlink);
        else if (strncmp(field, "uid", n) == 0)
                snprintf(text, 64, "%ld", (long) (int) st->st_uid);
        else if (strncmp(field, "gid", n) == 0)
                snprintf(text, 64, "%ld", (long) (int) st->st_gid);
        else if (strncmp(field, "size", n) == 0)
                snprintf(text, 64, "%lld", (long long) st->st_size);
        else if (strncmp(field, "rdev", n) == 0)
                snprintf(text, 64, "%llu", (unsigned long long) st->st_rdev);
        else if (strncmp(field, "atime", n) == 0)
                snprintf(text, 64, "%lld.%09ld", (long long) st->st_atim.tv_sec,
                         st->st_atim.tv_nsec);
        else if (strncmp(field, "mtime", n) == 0)
                snprintf(text, 64, "%lld.%09ld", (long long) st->st_mtim.tv_sec,
                         st->st_mtim.tv_nsec);
        else
                snprintf(text, 64, "(no such field)");
}

static void
compare_fields(const struct stat *st, char **fields, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                const char *value = strchr(fields[i], '=');
                char        text[64];

                if (value == NULL) {
                        complain("%s: a field needs a value", fields[i]);
                        continue;
                }
                field_text(st, fields[i], (size_t) (value - fields[i]), text);
                if (strcmp(text, value + 1) != 0)
                        complain("%s, but it is %s", fields[i], text);
        }
}

void
compare_stat(char **arguments, size_t count, struct outcome *outcome)
{
        struct stat st;

        if (lstat(arguments[0], &st) != 0)
                outcome->error = errno;
        else
                compare_fields(&st, arguments + 1, count - 1);
}

void
compare_fstat(char **arguments, size_t count, struct outcome *outcome)
{
        struct stat st;

        if (fstat(descriptor(arguments[0]), &st) != 0)
                outcome->error = errno;
        else
                compare_fields(&st, arguments + 1, count - 1);
}

/* ---- times -------------------------------------------------------------- */

/* note NAME PATH: and waits until the clock of the kernel has gone on. */
void
note_times(char **arguments, size_t count, struct outcome *outcome)
{
        (void) count;
        if (nnotes == NOTES_MAX) {
                complain("too many notes");
                return;
        }
        snprintf(notes[nnotes].name, sizeof notes[nnotes].name, "%s", arguments[0]);
        if (lstat(arguments[1], &notes[nnotes].st) != 0)
                outcome->error = errno;
        else
                nnotes++;
        usleep(12000);
}

/* The last of that name. */
static const struct stat *
find_note(const char *name)
{
        for (size_t i = nnotes; i-- > 0;)
                if (strcmp(notes[i].name, name) == 0)
                        return &notes[i].st;
        complain("nothing was noted as %s", name);
        return NULL;
}

static struct timespec
time_of(const struct stat *st, const char *which)
{
        switch (*which) {
        case 'a': return st->st_atim;
        case 'm': return st->st_mtim;
        default:  return st->st_ctim;
        }
}

/* NOTE PATH TIME...: how each time of PATH compares with the note: <0, 0, >0. */
static void
compare_times(char **arguments, size_t count, struct outcome *outcome, bool later)
{
        const struct stat *then = find_note(arguments[0]);
        struct stat        st;

        if (then == NULL)
                return;
        if (lstat(arguments[1], &st) != 0) {
                outcome->error = errno;
                return;
        }
        for (size_t i = 2; i < count; i++) {
                struct timespec a = time_of(then, arguments[i]), b = time_of(&st, arguments[i]);
                bool is_later = b.tv_sec > a.tv_sec ||
                                (b.tv_sec == a.tv_sec && b.tv_nsec > a.tv_nsec);
                bool is_same = b.tv_sec == a.tv_sec && b.tv_nsec == a.tv_nsec;
                if (later ? !is_later : !is_same)
                        complain("%s of %s is %s", arguments[i], arguments[1],
                                 is_same ? "as before" : is_later ? "later" : "earlier");
        }
}

void
compare_later(char **arguments, size_t count, struct outcome *outcome)
{
        compare_times(arguments, count, outcome, true);
}

void
compare_same(char **arguments, size_t count, struct outcome *outcome)
{
        compare_times(arguments, count, outcome, false);
}
