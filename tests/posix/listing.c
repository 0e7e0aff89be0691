/* tests/posix/listing.c - reading a large directory: each name once, positions, names that
 * come and go meanwhile.
 *
 *     listing DIRECTORY COUNT */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int    failures;
static long   count;
static char  *seen;                     /* how often each name came */
static long  *position;                 /* of each, as telldir(3) said before it came */

static void
check(bool holds, const char *what)
{
        if (!holds) {
                fprintf(stderr, "not so: %s\n", what);
                failures++;
        }
}

static void
make(long i, const char *prefix)
{
        char name[64];

        snprintf(name, sizeof name, "%s%ld", prefix, i);
        check(mknod(name, S_IFREG | 0644, 0) == 0, "mknod");
}

/* The number of the next name with PREFIX; -1 at the end. */
static long
next(DIR *d, char prefix)
{
        for (;;) {
                const long           at = telldir(d);
                const struct dirent *e = readdir(d);

                if (e == NULL)
                        return -1;
                if (*e->d_name != prefix)
                        continue;
                const long i = strtol(e->d_name + 1, NULL, 10);
                position[i] = at;
                return i;
        }
}

static void
check_seen(long from, long step, char times, const char *what)
{
        for (long i = from; i < count; i += step)
                if (seen[i] != times) {
                        check(false, what);
                        return;
                }
}

static void
read_all(DIR *d)
{
        memset(seen, 0, (size_t) count);
        for (long i; (i = next(d, 'n')) >= 0;)
                seen[i]++;
}

static void
positions(DIR *d)
{
        rewinddir(d);
        read_all(d);
        check_seen(0, 1, 1, "every name comes once");
        for (long i = 0; i < count; i += 97) {
                seekdir(d, position[i]);
                check(next(d, 'n') == i, "seekdir(3) goes back to a name");
        }
        rewinddir(d);
        check(next(d, 'n') >= 0, "rewinddir(3) goes back to the start");
}

/* Every second name goes, and others come, while the directory is being read. */
static void
changes(DIR *d)
{
        char name[64];

        rewinddir(d);
        memset(seen, 0, (size_t) count);
        for (long i, n = 0; (i = next(d, 'n')) >= 0; n++) {
                seen[i]++;
                if (n == 10)
                        for (long k = 1; k < count; k += 2) {
                                snprintf(name, sizeof name, "n%ld", k);
                                check(unlink(name) == 0, "unlink");
                                make(k, "m");
                        }
        }
        check_seen(0, 2, 1, "what stays comes once");
        for (long i = 1; i < count; i += 2)
                check(seen[i] <= 1, "what goes comes once at most");
}

/* As rm -r does it: one walk, and each name goes when it has come. */
static void
empty(DIR *d)
{
        const struct dirent *e;

        rewinddir(d);
        while ((e = readdir(d)) != NULL)
                if (*e->d_name != '.')
                        check(unlink(e->d_name) == 0, "unlink while reading");
        rewinddir(d);
        read_all(d);
        check_seen(0, 1, 0, "one walk that removes leaves nothing");
}

int
main(int argc, char **argv)
{
        DIR *d;

        if (argc != 3 || chdir(argv[1]) != 0) {
                fprintf(stderr, "usage: listing DIRECTORY COUNT\n");
                return 2;
        }
        count = strtol(argv[2], NULL, 10);
        seen = calloc((size_t) count, sizeof *seen);
        position = calloc((size_t) count, sizeof *position);
        d = opendir(".");
        if (seen == NULL || position == NULL || d == NULL)
                return 2;
        for (long i = 0; i < count; i++)
                make(i, "n");
        positions(d);
        changes(d);
        empty(d);
        closedir(d);
        free(seen);
        free(position);
        return failures == 0 ? 0 : 1;
}
