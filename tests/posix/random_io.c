/* tests/posix/random_io.c - one file, random operations on its bytes, and a copy in memory
 * that says what every read must give.
 *
 *     random_io FILE SEED OPERATIONS [COMMAND...]
 *
 * COMMAND, once in a while, is run on the closed file and must change nothing that can be
 * read; sealing is such a command.  The operations are those of the file system exerciser
 * of Apple and SGI (fsx), and the reading of holes. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_SIZE   ((size_t) 600000)   /* of the file */
#define LENGTH_MAX  ((size_t) 70000)    /* of one operation */
#define TOLD        40                  /* operations that are told of after a failure */

static const char *path;
static char      **command;             /* NULL: none */
static int         fd = -1;
static uint64_t    random_state;

static unsigned char model[FILE_SIZE + LENGTH_MAX];
static unsigned char buffer[FILE_SIZE + LENGTH_MAX];
static size_t        size;

/* The last operations, for whoever has to find out. */
static char     history[TOLD][80];
static unsigned operations;

static void
note(const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(history[operations % TOLD], sizeof history[0], format, arguments);
        va_end(arguments);
}

static void
die(const char *what)
{
        fprintf(stderr, "%s after %u operations: %s (%s)\n", path, operations, what,
                strerror(errno));
        for (unsigned i = operations >= TOLD ? operations - TOLD + 1 : 0; i <= operations; i++)
                fprintf(stderr, "  %u: %s\n", i, history[i % TOLD]);
        exit(1);
}

/* xorshift64* (Vigna 2014) */
static uint64_t
random_number(void)
{
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

static size_t
below(size_t n)
{
        return n == 0 ? 0 : (size_t) (random_number() % n);
}

/* ---- ranges ------------------------------------------------------------- */

struct range {
        size_t at, n;
};

/* Often at borders of pages, where mistakes are. */
static size_t
rounded(size_t v)
{
        switch (below(4)) {
        case 0:  return v & ~(size_t) 4095;
        case 1:  return v & ~(size_t) 3;
        default: return v;
        }
}

/* Anywhere that the file may reach. */
static struct range
any_range(void)
{
        struct range r = { .at = rounded(below(FILE_SIZE)), .n = 1 + rounded(below(LENGTH_MAX)) };

        if (r.at + r.n > FILE_SIZE)
                r.n = FILE_SIZE - r.at;
        return r;
}

/* In what it holds; nothing when it is empty. */
static struct range
range_inside(void)
{
        struct range r = { .at = rounded(below(size)) };

        if (size > 0)
                r.n = 1 + below(size - r.at < LENGTH_MAX ? size - r.at : LENGTH_MAX);
        return r;
}

/* Smooth values, so that an encoder has something to do, and now and then noise. */
static void
make_data(unsigned char *to, size_t n)
{
        float value = (float) below(1000);
        const bool is_noise = below(4) == 0;

        for (size_t i = 0; i < n; i += sizeof value) {
                value += is_noise ? (float) below(100000) : 0.25f;
                memcpy(to + i, &value, n - i < sizeof value ? n - i : sizeof value);
        }
}

/* The model when AT + N bytes are there at least. */
static void
grow_to(size_t end)
{
        if (end <= size)
                return;
        memset(model + size, 0, end - size);
        size = end;
}

static void
compare(const unsigned char *got, size_t at, size_t n)
{
        char text[120];

        for (size_t i = 0; i < n; i++)
                if (got[i] != model[at + i]) {
                        snprintf(text, sizeof text, "byte %zu of %zu is %02x and not %02x", at + i,
                                 size, got[i], model[at + i]);
                        errno = 0;
                        die(text);
                }
}

/* ---- operations --------------------------------------------------------- */

static void
check_size(void)
{
        struct stat st;

        if (fstat(fd, &st) != 0 || (size_t) st.st_size != size)
                die("the size differs");
}

static void
do_read(void)
{
        const struct range r = any_range();
        const size_t       left = r.at < size ? size - r.at : 0;
        const ssize_t      n = pread(fd, buffer, r.n, (off_t) r.at);

        note("read %zu at %zu of %zu", r.n, r.at, size);
        if (n < 0 || (size_t) n != (r.n < left ? r.n : left))
                die("a short read");
        compare(buffer, r.at, (size_t) n);
}

static void
write_range(int to, struct range r, const char *what)
{
        note("%s %zu at %zu of %zu", what, r.n, r.at, size);
        grow_to(r.at);
        grow_to(r.at + r.n);
        make_data(model + r.at, r.n);
        if (pwrite(to, model + r.at, r.n, (off_t) r.at) != (ssize_t) r.n)
                die("a short write");
}

static void
do_write(void)
{
        write_range(fd, any_range(), "write");
}

/* Through a descriptor that says where by itself. */
static void
do_append(void)
{
        struct range r = { .at = size, .n = 1 + below(5000) };
        const int    end = open(path, O_WRONLY | O_APPEND);

        if (end < 0)
                die("open");
        if (r.at + r.n <= FILE_SIZE)
                write_range(end, r, "append");
        close(end);
}

/* Past the page cache: whole blocks, there and back. */
static void
do_direct(void)
{
        static _Alignas(4096) unsigned char block[16 * 4096];
        const struct range r = { .at = below(size + 1) & ~(size_t) 4095,
                                 .n = (1 + below(16)) * 4096 };
        const int  past = open(path, O_RDWR | O_DIRECT);
        ssize_t    n;

        if (past < 0 && errno == EINVAL)
                return;
        if (r.at + r.n <= FILE_SIZE && below(2) == 0) {
                note("direct write %zu at %zu of %zu", r.n, r.at, size);
                make_data(block, r.n);
                grow_to(r.at + r.n);
                memcpy(model + r.at, block, r.n);
                if (pwrite(past, block, r.n, (off_t) r.at) != (ssize_t) r.n)
                        die("a short direct write");
        }
        note("direct read %zu at %zu of %zu", r.n, r.at, size);
        n = pread(past, block, r.n, (off_t) r.at);
        if (n < 0 || (size_t) n != (r.at + r.n <= size ? r.n : size - r.at))
                die("a short direct read");
        compare(block, r.at, (size_t) n);
        close(past);
}

static void
do_truncate(void)
{
        const size_t to = rounded(below(3) == 0 ? below(FILE_SIZE) : below(size + 1));

        note("truncate %zu to %zu", size, to);
        if (below(2) == 0 ? ftruncate(fd, (off_t) to) != 0 : truncate(path, (off_t) to) != 0)
                die("truncate");
        if (to < size)
                size = to;
        else
                grow_to(to);
}

/* Maps the pages of R, which lies inside; the bytes of R are at the returned place. */
static unsigned char *
map(struct range r, int protection, void **base, size_t *length)
{
        const size_t page = r.at & ~(size_t) 4095;

        *length = r.at + r.n - page;
        *base = mmap(NULL, *length, protection, MAP_SHARED, fd, (off_t) page);
        if (*base == MAP_FAILED)
                die("mmap");
        return (unsigned char *) *base + (r.at - page);
}

/* What a page has behind the end of the file is zero. */
static void
check_tail(const unsigned char *base, size_t length, struct range r)
{
        if (r.at + r.n != size)
                return;
        for (size_t i = length; i % 4096 != 0; i++)
                if (base[i] != 0)
                        die("a mapped page has something behind the end of the file");
}

static void
do_mapread(void)
{
        const struct range r = range_inside();
        void              *base;
        size_t             length;

        if (r.n == 0)
                return;
        note("mapread %zu at %zu of %zu", r.n, r.at, size);
        compare(map(r, PROT_READ, &base, &length), r.at, r.n);
        check_tail(base, length, r);
        munmap(base, length);
}

static void
do_mapwrite(void)
{
        const struct range r = range_inside();
        void              *base;
        size_t             length;

        if (r.n == 0)
                return;
        note("mapwrite %zu at %zu of %zu", r.n, r.at, size);
        make_data(model + r.at, r.n);
        memcpy(map(r, PROT_READ | PROT_WRITE, &base, &length), model + r.at, r.n);
        if (below(2) == 0 && msync(base, length, MS_SYNC) != 0)
                die("msync");
        check_tail(base, length, r);
        munmap(base, length);
}

static void
do_allocate(void)
{
        static const int   modes[] = { 0, FALLOC_FL_KEEP_SIZE,
                                       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                       FALLOC_FL_ZERO_RANGE,
                                       FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
        const struct range r = any_range();
        const int          mode = modes[below(sizeof modes / sizeof modes[0])];
        size_t             end = r.at + r.n;

        note("fallocate %d, %zu at %zu of %zu", mode, r.n, r.at, size);
        if (fallocate(fd, mode, (off_t) r.at, (off_t) r.n) != 0) {
                if (errno == EOPNOTSUPP)
                        return;
                die("fallocate");
        }
        if (!(mode & FALLOC_FL_KEEP_SIZE))
                grow_to(end);
        if (end > size)
                end = size;
        if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0 && r.at < end)
                memset(model + r.at, 0, end - r.at);
}

static void
do_copy_range(void)
{
        const struct range from = range_inside();
        off_t              at = (off_t) from.at, to = (off_t) rounded(below(FILE_SIZE - from.n));
        size_t             done = 0;

        if (from.n == 0 || (at < to + (off_t) from.n && to < at + (off_t) from.n))
                return;                 /* ranges that overlap are refused */
        note("copy_file_range %zu from %zu to %lld of %zu", from.n, from.at, (long long) to, size);
        grow_to((size_t) to + from.n);
        memcpy(model + to, model + from.at, from.n);
        while (done < from.n) {
                const ssize_t n = copy_file_range(fd, &at, fd, &to, from.n - done, 0);

                if (n <= 0)
                        die("copy_file_range");
                done += (size_t) n;
        }
}

/* What is said to be a hole is zero. */
static void
do_holes(void)
{
        off_t at = 0;

        note("holes of %zu", size);
        while (at < (off_t) size) {
                const off_t data = lseek(fd, at, SEEK_DATA);
                const off_t end = data < 0 && errno == ENXIO ? (off_t) size : data;

                if (end < at)
                        die("SEEK_DATA");
                memset(buffer, 0, (size_t) (end - at));
                compare(buffer, (size_t) at, (size_t) (end - at));
                if (data < 0)
                        return;
                at = lseek(fd, data, SEEK_HOLE);
                if (at <= data || at > (off_t) size)
                        die("SEEK_HOLE");
        }
}

static void
open_file(int flags)
{
        fd = open(path, O_RDWR | flags, 0644);
        if (fd < 0)
                die("open");
}

static void
do_reopen(void)
{
        note("reopen of %zu", size);
        if (close(fd) != 0)
                die("close");
        if (below(20) == 0) {
                open_file(O_TRUNC);
                size = 0;
        } else {
                open_file(0);
        }
}

static void
do_sync(void)
{
        note("sync of %zu", size);
        if ((below(2) == 0 ? fsync(fd) : fdatasync(fd)) != 0)
                die("fsync");
}

static void
do_command(void)
{
        int   status;
        pid_t pid;

        if (command == NULL)
                return;
        note("%s of %zu", command[0], size);
        close(fd);
        pid = fork();
        if (pid == 0) {
                execvp(command[0], command);
                _exit(127);
        }
        if (waitpid(pid, &status, 0) < 0 || status != 0)
                die("the command failed");
        open_file(0);
}

static void
check_all(void)
{
        note("all %zu", size);
        check_size();
        if (pread(fd, buffer, sizeof buffer, 0) != (ssize_t) size)
                die("a short read");
        compare(buffer, 0, size);
}

static const struct {
        void   (*run)(void);
        unsigned weight;
} kinds[] = {
        { do_read, 20 },     { do_write, 20 },    { do_append, 4 },  { do_truncate, 8 },
        { do_mapread, 12 },  { do_mapwrite, 12 }, { do_allocate, 8 }, { do_copy_range, 4 },
        { do_holes, 2 },     { do_reopen, 6 },    { do_sync, 2 },     { do_command, 1 },
        { check_all, 1 },   { do_direct, 4 },
};

static void
run_one(void)
{
        size_t total = 0, at = 0, choice;

        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
                total += kinds[i].weight;
        choice = below(total);
        while (choice >= kinds[at].weight)
                choice -= kinds[at++].weight;
        note("(nothing)");
        kinds[at].run();
        check_size();
}

int
main(int argc, char **argv)
{
        if (argc < 4) {
                fprintf(stderr, "usage: random_io FILE SEED OPERATIONS [COMMAND...]\n");
                return 2;
        }
        path = argv[1];
        random_state = strtoull(argv[2], NULL, 10) * UINT64_C(0x9e3779b97f4a7c15) + 1;
        command = argc > 4 ? argv + 4 : NULL;
        open_file(O_CREAT | O_TRUNC);
        for (const unsigned end = (unsigned) strtoul(argv[3], NULL, 10); operations < end;
             operations++)
                run_one();
        check_all();
        close(fd);
        open_file(0);
        check_all();
        return 0;
}
