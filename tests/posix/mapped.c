/* tests/posix/mapped.c - a file that is mapped while its size changes, and many that append
 * to one file: what random_io.c and scripts cannot say.
 *
 *     mapped DIRECTORY */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE      4096
#define APPENDERS 8
#define LINES     400

static int failures;

static void
check(bool holds, const char *what)
{
        if (!holds) {
                fprintf(stderr, "not so: %s\n", what);
                failures++;
        }
}

static int
open_new(const char *name)
{
        const int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

        if (fd < 0) {
                perror(name);
                exit(2);
        }
        return fd;
}

static char *
map(int fd, size_t n, int how)
{
        char *base = mmap(NULL, n, PROT_READ | PROT_WRITE, how, fd, 0);

        if (base == MAP_FAILED) {
                perror("mmap");
                exit(2);
        }
        return base;
}

/* ---- behind the end ----------------------------------------------------- */

static sigjmp_buf behind_the_end;

static void
caught(int number)
{
        siglongjmp(behind_the_end, number);
}

/* Does reading (or writing) the byte raise SIGBUS? */
static bool
raises(volatile char *byte, bool write_it)
{
        if (sigsetjmp(behind_the_end, 1) != 0)
                return true;
        if (write_it)
                *byte = 'w';
        else
                (void) *byte;
        return false;
}

static bool
is_filled(const char *at, size_t n, char with)
{
        for (size_t i = 0; i < n; i++)
                if (at[i] != with)
                        return false;
        return true;
}

static void
truncate_while_mapped(void)
{
        const int fd = open_new("shrinks");
        char     *base = map(fd, 4 * PAGE, MAP_SHARED);

        check(raises(base, false), "an empty file that is mapped has no page");
        check(ftruncate(fd, 3 * PAGE + 100) == 0, "ftruncate");
        check(!raises(base + 3 * PAGE, true), "the last page can be written");
        memset(base, 'x', 3 * PAGE + 100);
        check(ftruncate(fd, PAGE + 1000) == 0, "ftruncate");
        check(raises(base + 2 * PAGE, false), "a page behind the new end cannot be read");
        check(raises(base + 3 * PAGE, true), "nor written");
        check(is_filled(base, PAGE + 1000, 'x'), "what is left is left");
        check(is_filled(base + PAGE + 1000, PAGE - 1000, 0), "the rest of the last page is zero");
        check(ftruncate(fd, 4 * PAGE) == 0, "ftruncate");
        check(is_filled(base + PAGE + 1000, 3 * PAGE - 1000, 0), "what comes back is zero");
        check(msync(base, 4 * PAGE, MS_SYNC) == 0, "msync");
        munmap(base, 4 * PAGE);
        close(fd);
}

/* What was written behind the end, within the last page, is not the file's. */
static void
write_behind_the_end(void)
{
        const int fd = open_new("tail");
        char     *base, got[200];

        check(pwrite(fd, "abc", 3, 0) == 3, "pwrite");
        base = map(fd, PAGE, MAP_SHARED);
        base[10] = 'z';
        check(msync(base, PAGE, MS_SYNC) == 0, "msync");
        munmap(base, PAGE);
        check(ftruncate(fd, 200) == 0, "ftruncate");
        check(pread(fd, got, 200, 0) == 200 && memcmp(got, "abc", 3) == 0 &&
              is_filled(got + 3, 197, 0), "a longer file has zeros where nothing was written");
        close(fd);
}

static void
share_and_keep(void)
{
        const int fd = open_new("shared");
        char      got[4] = "";
        char     *one, *other, *mine;

        check(ftruncate(fd, 2 * PAGE) == 0, "ftruncate");
        one = map(fd, 2 * PAGE, MAP_SHARED);
        other = map(fd, 2 * PAGE, MAP_SHARED);
        mine = map(fd, 2 * PAGE, MAP_PRIVATE);
        memcpy(mine, "own", 3);
        memcpy(one + PAGE, "abc", 3);
        check(memcmp(other + PAGE, "abc", 3) == 0, "one mapping sees the other's bytes");
        check(pread(fd, got, 3, PAGE) == 3 && memcmp(got, "abc", 3) == 0, "and so does read");
        check(pwrite(fd, "def", 3, PAGE) == 3 && memcmp(one + PAGE, "def", 3) == 0,
              "a mapping sees what is written");
        check(pread(fd, got, 3, 0) == 3 && is_filled(got, 3, 0), "what is private stays so");
        close(fd);
        check(unlink("shared") == 0, "unlink");
        memcpy(one, "still", 5);
        check(memcmp(other, "still", 5) == 0, "a mapping keeps an unlinked file");
        check(msync(one, 2 * PAGE, MS_SYNC) == 0, "msync of an unlinked file");
        munmap(one, 2 * PAGE);
        munmap(other, 2 * PAGE);
        munmap(mine, 2 * PAGE);
}

/* ---- appending ---------------------------------------------------------- */

/* Line I of appender W; lengths differ, so that lines straddle pages. */
static size_t
make_line(char line[400], int w, int i)
{
        const size_t n = 20 + (size_t) (w * 31 + i * 7) % 300;

        memset(line, 'a' + w, n);
        snprintf(line, 20, "%d %d ", w, i);
        line[strlen(line)] = 'a' + (char) w;
        line[n] = '\n';
        return n + 1;
}

static void
append(int w)
{
        char line[400];
        int  fd = open("log", O_WRONLY | O_APPEND);

        for (int i = 0; i < LINES; i++) {
                const size_t n = make_line(line, w, i);

                if (i % 100 == 99) {
                        close(fd);
                        fd = open("log", O_WRONLY | O_APPEND);
                }
                if (write(fd, line, n) != (ssize_t) n)
                        _exit(1);
                if (i % 50 == 0 && fsync(fd) != 0)
                        _exit(1);
        }
        _exit(close(fd) != 0);
}

static void
compare_lines(void)
{
        static int next[APPENDERS];
        FILE      *f = fopen("log", "r");
        char       got[500], line[400];
        int        w, i, count = 0;

        while (f != NULL && fgets(got, sizeof got, f) != NULL) {
                bool good = sscanf(got, "%d %d", &w, &i) == 2 && w >= 0 && w < APPENDERS &&
                            i == next[w];
                if (good) {
                        line[make_line(line, w, i)] = '\0';
                        good = strcmp(got, line) == 0;
                        next[w]++;
                }
                if (!good) {
                        check(false, "each line is whole and in the order of its writer");
                        break;
                }
                count++;
        }
        check(count == APPENDERS * LINES, "every line is there");
        if (f != NULL)
                fclose(f);
}

static void
append_together(void)
{
        int status;

        close(open_new("log"));
        for (int w = 0; w < APPENDERS; w++)
                if (fork() == 0)
                        append(w);
        while (wait(&status) > 0)
                check(status == 0, "an appending process failed");
        compare_lines();
}

int
main(int argc, char **argv)
{
        const struct sigaction action = { .sa_handler = caught };

        if (argc != 2 || chdir(argv[1]) != 0) {
                fprintf(stderr, "usage: mapped DIRECTORY\n");
                return 2;
        }
        sigaction(SIGBUS, &action, NULL);
        truncate_while_mapped();
        write_behind_the_end();
        share_and_keep();
        append_together();
        return failures == 0 ? 0 : 1;
}
