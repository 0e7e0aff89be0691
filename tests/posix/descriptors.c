/* tests/posix/descriptors.c - the system calls on open files, and programs that run. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/posix/script.h"

#define DESCRIPTORS 10

static int held[DESCRIPTORS] = { -1, -1, -1, -1, -1, -1, -1, -1, -1, -1 };

int
descriptor(const char *word)
{
        long long i = number(word);

        return i >= 0 && i < DESCRIPTORS ? held[i] : -1;
}

void
operations_reset(void)
{
        for (size_t i = 0; i < DESCRIPTORS; i++)
                if (held[i] >= 0) {
                        close(held[i]);
                        held[i] = -1;
                }
        comparisons_reset();
}

/* ---- open files --------------------------------------------------------- */

static int
open_words(char **a, size_t count)
{
        return open(a[0], flags_of(a[1]), count > 2 ? mode_of(a[2]) : 0644);
}

void
do_open(char **a, size_t count, struct outcome *outcome)
{
        int fd = open_words(a, count);

        came_to(outcome, fd < 0 ? -1 : 0);
        if (fd >= 0)
                close(fd);
}

/* hold N PATH FLAGS [MODE]: opens and keeps it as number N. */
void
do_hold(char **a, size_t count, struct outcome *outcome)
{
        int fd = open_words(a + 1, count - 1);

        came_to(outcome, fd < 0 ? -1 : 0);
        if (fd >= 0)
                held[number(a[0]) % DESCRIPTORS] = fd;
}

void
do_close(char **a, size_t count, struct outcome *outcome)
{
        (void) count;
        came_to(outcome, close(descriptor(a[0])));
        held[number(a[0]) % DESCRIPTORS] = -1;
}

OPERATION(do_write, write(descriptor(a[0]), a[1], strlen(a[1])))
OPERATION(do_pwrite, pwrite(descriptor(a[0]), a[1], strlen(a[1]), number(a[2])))
OPERATION(do_seek, lseek(descriptor(a[0]), number(a[1]), flags_of(a[2])))
OPERATION(do_fsync, fsync(descriptor(a[0])))
OPERATION(do_flock, flock(descriptor(a[0]), flags_of(a[1])))
OPERATION(do_fallocate, fallocate(descriptor(a[0]), flags_of(a[1]), number(a[2]), number(a[3])))

void
do_posix_fallocate(char **a, size_t count, struct outcome *outcome)
{
        (void) count;
        outcome->error = posix_fallocate(descriptor(a[0]), number(a[1]), number(a[2]));
}

/* linkfd N PATH: a name for what is open, as O_TMPFILE wants it. */
void
do_linkfd(char **a, size_t count, struct outcome *outcome)
{
        char path[64];

        (void) count;
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor(a[0]));
        came_to(outcome, linkat(AT_FDCWD, path, AT_FDCWD, a[1], AT_SYMLINK_FOLLOW));
}

void
do_pread(char **a, size_t count, struct outcome *outcome)
{
        char    text[4096];
        ssize_t n = pread(descriptor(a[0]), text, (size_t) number(a[1]) % sizeof text,
                          number(a[2]));

        (void) count;
        came_to(outcome, n);
        if (n > 0)
                outcome->text = strndup(text, (size_t) n);
}

/* lock N read|write|none [START LENGTH]: in another process, which tries and ends. */
void
do_lock_elsewhere(char **a, size_t count, struct outcome *outcome)
{
        struct flock l = { .l_type = *a[1] == 'r' ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET,
                           .l_start = count > 2 ? number(a[2]) : 0,
                           .l_len = count > 3 ? number(a[3]) : 0 };
        int          status;
        pid_t        pid = fork();

        if (pid == 0)
                _exit(fcntl(descriptor(a[0]), F_SETLK, &l) == 0 ? 0 : errno);
        waitpid(pid, &status, 0);
        outcome->error = WEXITSTATUS(status);
}

void
do_lock(char **a, size_t count, struct outcome *outcome)
{
        struct flock l = { .l_type = *a[1] == 'r' ? F_RDLCK : *a[1] == 'w' ? F_WRLCK : F_UNLCK,
                           .l_whence = SEEK_SET, .l_start = count > 2 ? number(a[2]) : 0,
                           .l_len = count > 3 ? number(a[3]) : 0 };

        came_to(outcome, fcntl(descriptor(a[0]), F_SETLK, &l));
}

/* copy FROM TO: a program that can be run. */
void
do_copy(char **a, size_t count, struct outcome *outcome)
{
        int     from = open(a[0], O_RDONLY), to = open(a[1], O_WRONLY | O_CREAT, 0755);
        char    buffer[65536];
        ssize_t n;

        (void) count;
        while ((n = read(from, buffer, sizeof buffer)) > 0)
                if (write(to, buffer, (size_t) n) != n)
                        n = -1;
        came_to(outcome, n);
        close(from);
        close(to);
}

static pid_t running;

/* start PROGRAM: runs it in the background until stop. */
void
do_start(char **a, size_t count, struct outcome *outcome)
{
        int pipe_ends[2], error = 0;

        (void) count;
        if (pipe2(pipe_ends, O_CLOEXEC) != 0)
                return;
        running = fork();
        if (running == 0) {
                execl(a[0], a[0], "30", (char *) NULL);
                error = errno;
                _exit(write(pipe_ends[1], &error, sizeof error) < 0);
        }
        close(pipe_ends[1]);
        /* The end of the pipe: it runs. */
        if (read(pipe_ends[0], &error, sizeof error) > 0)
                outcome->error = error;
        close(pipe_ends[0]);
}

void
do_stop(char **a, size_t count, struct outcome *outcome)
{
        (void) a;
        (void) count;
        came_to(outcome, kill(running, 9));
        waitpid(running, NULL, 0);
}
