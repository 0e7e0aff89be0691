/* tests/bench/bench_names.c - names by the hundred thousand, without a mount: what each
 * costs in time and what all of them cost in memory.
 *
 *     bench_names [FILES [BYTES]]        (default: 1000000 files of 0 bytes)
 *
 * Files are made in directories of 10,000, in a store of its own under $TMPDIR.  A line for each
 * step: operations, microseconds of each on the wall and of the processors, the
 * process's memory then and at most.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "fs/store.h"

#define FILES_IN_DIRECTORY 10000
#define CACHE_BYTES        ((uint64_t) 1 << 20)
#define OPEN_PART          100          /* one file of so many is open */

static const struct store_caller caller = { .umask = 022 };

struct run {
        char          path[256];
        struct store *store;
        unsigned      files, bytes;
        double        wall, cpu;        /* when the step began */
};

static void
must(enum caefs_err err, const char *what)
{
        if (err == CAEFS_OK)
                return;
        fprintf(stderr, "%s: %s: %s\n", what, caefs_err_text(err), caefs_detail());
        exit(1);
}

/* ---- time and memory ---------------------------------------------------- */

static double
wall_seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static double
cpu_seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

/* A line of /proc/self/status in MiB. */
static double
memory(const char *name)
{
        FILE  *f = fopen("/proc/self/status", "r");
        char   line[256];
        double kib = 0;

        while (f != NULL && fgets(line, sizeof line, f) != NULL)
                if (strncmp(line, name, strlen(name)) == 0)
                        kib = strtod(line + strlen(name) + 1, NULL);
        if (f != NULL)
                fclose(f);
        return kib / 1024;
}

static void
step_begin(struct run *r)
{
        r->wall = wall_seconds();
        r->cpu = cpu_seconds();
}

static void
step_end(struct run *r, const char *what, unsigned count)
{
        printf("%-28s %9u  %8.2f us  %8.2f us cpu  %7.1f MiB  at most %7.1f MiB\n", what, count,
               (wall_seconds() - r->wall) / count * 1e6, (cpu_seconds() - r->cpu) / count * 1e6,
               memory("VmRSS:"), memory("VmHWM:"));
        fflush(stdout);
}

/* ---- steps -------------------------------------------------------------- */

static void
open_store(struct run *r)
{
        const struct store_options o = { .cache_bytes = CACHE_BYTES };

        must(store_open(r->path, &o, &r->store), "opening");
}

/* The directory of file I; it keeps a reference. */
static store_inode
directory_of(struct run *r, unsigned i)
{
        char        name[32];
        struct stat st;

        snprintf(name, sizeof name, "d%04u", i / FILES_IN_DIRECTORY);
        enum caefs_err err = store_lookup(r->store, STORE_ROOT_INODE, name, &st);
        if (err == CAEFS_ERR_NO_ENTRY)
                err = store_mkdir(r->store, &caller, STORE_ROOT_INODE, name, 0755, &st);
        must(err, name);
        return st.st_ino;
}

static void
make_files(struct run *r)
{
        char       *data = calloc(1, r->bytes + 1);
        store_inode directory = 0;

        step_begin(r);
        for (unsigned i = 0; i < r->files; i++) {
                struct store_file *f;
                struct stat        st;
                char               name[32];
                size_t             put;
                if (i % FILES_IN_DIRECTORY == 0)
                        directory = directory_of(r, i);
                snprintf(name, sizeof name, "sample-%08u.npy", i);
                must(store_create(r->store, &caller, directory, name, 0644, O_RDWR, &st, &f),
                     "create");
                if (r->bytes > 0)
                        must(store_file_write(f, data, r->bytes, 0, &put), "write");
                store_file_release(f);
                store_forget(r->store, st.st_ino, 1);
        }
        step_end(r, "create, write, close", r->files);
        free(data);
}

static bool
count_entry(void *context, const char *name, const struct stat *st, uint64_t next)
{
        (void) name;
        (void) st;
        (void) next;
        ++*(unsigned *) context;
        return true;
}

static void
list_all(struct run *r)
{
        unsigned count = 0, directories = 0;

        step_begin(r);
        for (unsigned i = 0; i < r->files; i += FILES_IN_DIRECTORY, directories++)
                must(store_read_directory(r->store, directory_of(r, i), 0, false, count_entry,
                                          &count), "readdir");
        step_end(r, "readdir with attributes", count);
        if (count != r->files + 2 * directories)
                must(CAEFS_ERR_CORRUPT, "readdir");
}

/* As find or ls -l after the kernel has forgotten everything. */
static void
look_up_all(struct run *r)
{
        store_inode directory = 0;

        step_begin(r);
        for (unsigned i = 0; i < r->files; i++) {
                struct stat st;
                char        name[32];
                if (i % FILES_IN_DIRECTORY == 0)
                        directory = directory_of(r, i);
                snprintf(name, sizeof name, "sample-%08u.npy", i);
                must(store_lookup(r->store, directory, name, &st), name);
                store_forget(r->store, st.st_ino, 1);
        }
        step_end(r, "lookup, cold", r->files);
}

static void
hold_open(struct run *r)
{
        unsigned            count = r->files / OPEN_PART;
        struct store_file **open = calloc(count + 1, sizeof *open);
        store_inode        *ino = calloc(count + 1, sizeof *ino);

        step_begin(r);
        for (unsigned i = 0; i < count; i++) {
                struct stat st;
                char        name[32];
                snprintf(name, sizeof name, "sample-%08u.npy", i * OPEN_PART);
                must(store_lookup(r->store, directory_of(r, i * OPEN_PART), name, &st), name);
                must(store_file_open(r->store, st.st_ino, O_RDONLY, &open[i]), name);
                ino[i] = st.st_ino;
        }
        if (count > 0)
                step_end(r, "lookup, open; all stay open", count);
        for (unsigned i = 0; i < count; i++) {
                store_file_release(open[i]);
                store_forget(r->store, ino[i], 1);
        }
        free(open);
        free(ino);
}

static void
remove_files(struct run *r)
{
        store_inode directory = 0;

        step_begin(r);
        for (unsigned i = 0; i < r->files; i++) {
                struct stat st;
                char        name[32];
                if (i % FILES_IN_DIRECTORY == 0)
                        directory = directory_of(r, i);
                snprintf(name, sizeof name, "sample-%08u.npy", i);
                /* As the kernel does. */
                must(store_lookup(r->store, directory, name, &st), name);
                must(store_unlink(r->store, directory, name), name);
                store_forget(r->store, st.st_ino, 1);
        }
        step_end(r, "lookup, unlink, forget", r->files);
}

static void
commit(struct run *r, const char *what)
{
        step_begin(r);
        must(store_commit(r->store), "commit");
        step_end(r, what, 1);
}

static void
reopen(struct run *r)
{
        step_begin(r);
        must(store_close(r->store), "close");
        step_end(r, "close the store", 1);
        step_begin(r);
        open_store(r);
        step_end(r, "open the store", 1);
}

int
main(int argc, char **argv)
{
        const char *base = getenv("TMPDIR");
        struct run  r = { .files = argc > 1 ? (unsigned) atoi(argv[1]) : 1000000,
                          .bytes = argc > 2 ? (unsigned) atoi(argv[2]) : 0 };
        char        command[300];

        if (r.files == 0) {
                fputs("usage: bench_names [FILES [BYTES]]\n", stderr);
                return 1;
        }
        snprintf(r.path, sizeof r.path, "%s/caefs-names.XXXXXX", base != NULL ? base : "/tmp");
        if (mkdtemp(r.path) == NULL) {
                perror(r.path);
                return 1;
        }
        must(store_make(r.path), "mkfs");
        open_store(&r);
        make_files(&r);
        step_begin(&r);
        must(store_sync_tree(r.store, STORE_ROOT_INODE, true, NULL, NULL), "sync");
        step_end(&r, "caefs sync", r.files);
        reopen(&r);
        list_all(&r);
        look_up_all(&r);
        hold_open(&r);
        remove_files(&r);
        commit(&r, "commit of the removals");
        must(store_close(r.store), "close");
        snprintf(command, sizeof command, "rm -rf '%s'", r.path);
        return system(command) == 0 ? 0 : 1;
}
