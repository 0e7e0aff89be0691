/*
 * caefs import - copies files into a store without a mount.
 *
 * One thread reads and stages; the store's workers encode behind it, as they
 * do for a mount.  When they fall behind, the copying waits, so that the
 * staging files stay few.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "tools/path.h"
#include "tools/transfer.h"

const char help_import[] =
        "Usage: caefs import [OPTION...] SRC... STORE:/DIR\n"
        "\n"
        "Copies files and directories into a store that is not mounted, and\n"
        "returns when all of it is encoded and durable.  DIR is made if it is\n"
        "missing.  SRC/ and SRC/. stand for what is in SRC.  Times, modes,\n"
        "extended attributes, links of both kinds and holes are kept, and\n"
        "owners when you are root.  A file that is there with the same size and\n"
        "time is left alone, so an import that was interrupted goes on.\n"
        "\n"
        "  --json              what was done as one JSON object\n"
        TOOL_COMMON_HELP;

/* Bytes that may be staged and not encoded. */
#define AHEAD_MAX ((uint64_t)1 << 30)

struct import {
        struct transfer t;
        struct store *store;
        struct store_caller caller;
        void *links; /* tsearch(3): struct linked by device and inode */
        char *buffer;
};

/* ---- files with several names ---- */

struct linked {
        dev_t device;
        ino_t number;
        store_inode inode; /* with a reference */
};

static int compare_linked(const void *a, const void *b)
{
        const struct linked *x = a, *y = b;

        if (x->device != y->device)
                return x->device < y->device ? -1 : 1;
        return x->number < y->number ? -1 : x->number > y->number;
}

/* The entry of ST, with inode 0 when this is its first name; NULL: no memory. */
static struct linked *find_linked(struct import *m, const struct stat *st)
{
        struct linked *new = calloc(1, sizeof *new), **found;

        if (new == NULL)
                return NULL;
        new->device = st->st_dev;
        new->number = st->st_ino;
        found = tsearch(new, &m->links, compare_linked);
        if (found == NULL || *found != new)
                free(new);
        return found != NULL ? *found : NULL;
}

/* ---- attributes ---- */

static bool is_kept(const char *name)
{
        return strncmp(name, "user.", 5) == 0 ||
               strncmp(name, "trusted.", 8) == 0 ||
               strcmp(name, "security.capability") == 0 ||
               strncmp(name, "system.posix_acl_", 17) == 0;
}

static enum caefs_err copy_xattr(struct import *m, const char *path,
                                 const char *name, store_inode inode)
{
        const ssize_t n = lgetxattr(path, name, m->buffer, TRANSFER_BUFFER);

        if (n < 0)
                return errno == ENODATA ? CAEFS_OK : caefs_fail_errno("%s", name);
        return store_setxattr(m->store, inode, name, m->buffer, (size_t)n, 0);
}

/* Before the content comes: properties are among them. */
static enum caefs_err copy_xattrs(struct import *m, const char *path,
                                  store_inode inode)
{
        const ssize_t size = llistxattr(path, NULL, 0);
        char *names = size > 0 ? malloc((size_t)size) : NULL;
        ssize_t got, at;
        enum caefs_err err = CAEFS_OK;

        if (names == NULL)
                return CAEFS_OK; /* none, or the system has none */
        got = llistxattr(path, names, (size_t)size);
        for (at = 0; at < got && err == CAEFS_OK;
             at += (ssize_t)strlen(names + at) + 1)
                if (is_kept(names + at))
                        err = copy_xattr(m, path, names + at, inode);
        free(names);
        return err;
}

/* The owner first: giving a file away takes bits of its mode. */
static enum caefs_err copy_attributes(struct import *m, const struct stat *st,
                                      store_inode inode)
{
        const unsigned mode = S_ISLNK(st->st_mode) ? 0 : STORE_SET_MODE;
        struct stat after;
        enum caefs_err err = CAEFS_OK;

        if (m->caller.uid == 0)
                err = store_setattr(m->store, &m->caller, inode, NULL,
                                    STORE_SET_UID | STORE_SET_GID, st, &after);
        if (err == CAEFS_OK)
                err = store_setattr(m->store, &m->caller, inode, NULL,
                                    mode | STORE_SET_ATIME | STORE_SET_MTIME,
                                    st, &after);
        return err;
}

/* ---- content ---- */

static void wait_for_workers(struct import *m)
{
        const struct timespec pause = { .tv_nsec = 10000000 };
        struct store_counts counts;

        for (;;) {
                store_counts(m->store, &counts);
                if (counts.seals_waiting == 0 ||
                    m->t.bytes < counts.sealed_bytes + AHEAD_MAX ||
                    progress_cancelled(&m->t.job))
                        return;
                nanosleep(&pause, NULL);
        }
}

static enum caefs_err copy_range(struct import *m, int fd,
                                 struct store_file *file, off_t at, off_t end)
{
        while (at < end) {
                const size_t want = (size_t)(end - at) < TRANSFER_BUFFER ?
                                            (size_t)(end - at) :
                                            TRANSFER_BUFFER;
                const ssize_t n = pread(fd, m->buffer, want, at);
                size_t put;
                enum caefs_err err;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return caefs_fail_errno("cannot read");
                if (n == 0)
                        return CAEFS_OK; /* it became shorter */
                if (progress_cancelled(&m->t.job))
                        return CAEFS_ERR_INTERRUPTED;
                err = store_file_write(file, m->buffer, (size_t)n,
                                       (uint64_t)at, &put);
                if (err != CAEFS_OK)
                        return err;
                at += (off_t)put;
                progress_add(&m->t.job, put);
        }
        return CAEFS_OK;
}

/* What is data; holes stay holes. */
static enum caefs_err copy_content(struct import *m, int fd,
                                   struct store_file *file, store_inode inode,
                                   const struct stat *st)
{
        off_t at = 0, end = 0;
        struct stat after;
        enum caefs_err err = CAEFS_OK;

        while (err == CAEFS_OK && end < st->st_size) {
                at = lseek(fd, end, SEEK_DATA);
                if (at < 0 && errno != ENXIO)
                        at = end; /* a system without holes */
                else if (at < 0)
                        break;
                progress_add(&m->t.job, (uint64_t)(at - end));
                end = lseek(fd, at, SEEK_HOLE);
                if (end < 0)
                        end = st->st_size;
                err = copy_range(m, fd, file, at, end);
        }
        if (err == CAEFS_OK)
                err = store_setattr(m->store, &m->caller, inode, file,
                                    STORE_SET_SIZE, st, &after);
        return err;
}

static enum caefs_err fill_file(struct import *m, const FTSENT *e,
                                struct store_file *file, store_inode inode)
{
        const int fd = open(e->fts_accpath, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        enum caefs_err err;

        if (fd < 0)
                return caefs_fail_errno("cannot open");
        err = copy_content(m, fd, file, inode, e->fts_statp);
        close(fd);
        if (err == CAEFS_OK)
                err = store_file_flush(file);
        return err;
}

/* INODE is new, or another file's of that name that will be replaced. */
static enum caefs_err open_target(struct import *m, store_inode parent,
                                  const char *name, store_inode *inode,
                                  struct store_file **file)
{
        struct stat st;
        enum caefs_err err = store_create(m->store, &m->caller, parent, name,
                                          0600, O_RDWR | O_EXCL, &st, file);

        if (err == CAEFS_ERR_EXISTS) {
                err = store_lookup(m->store, parent, name, &st);
                if (err != CAEFS_OK)
                        return err;
                err = S_ISREG(st.st_mode) ?
                              store_file_open(m->store, st.st_ino,
                                              O_RDWR | O_TRUNC, file) :
                              caefs_fail(CAEFS_ERR_EXISTS,
                                         "something else has its name");
                if (err != CAEFS_OK)
                        store_forget(m->store, st.st_ino, 1);
        }
        *inode = st.st_ino;
        return err;
}

static bool is_there(struct import *m, store_inode parent, const FTSENT *e,
                     store_inode *inode)
{
        struct stat st;

        if (store_lookup(m->store, parent, e->fts_name, &st) != CAEFS_OK)
                return false;
        *inode = st.st_ino;
        if (transfer_is_same(&st, e->fts_statp))
                return true;
        store_forget(m->store, st.st_ino, 1);
        return false;
}

/* Gives the inode, with a reference, also where it was there already. */
static enum caefs_err import_file(struct import *m, store_inode parent,
                                  const FTSENT *e, store_inode *inode)
{
        struct store_file *file;
        enum caefs_err err;

        if (is_there(m, parent, e, inode)) {
                m->t.skipped++;
                progress_add(&m->t.job, (uint64_t)e->fts_statp->st_size);
                return CAEFS_OK;
        }
        err = open_target(m, parent, e->fts_name, inode, &file);
        if (err != CAEFS_OK)
                return err;
        err = copy_xattrs(m, e->fts_accpath, *inode);
        if (err == CAEFS_OK)
                err = fill_file(m, e, file, *inode);
        store_file_release(file);
        if (err == CAEFS_OK)
                err = copy_attributes(m, e->fts_statp, *inode);
        if (err != CAEFS_OK) {
                store_unlink(m->store, parent, e->fts_name);
                store_forget(m->store, *inode, 1);
                return err;
        }
        m->t.files++;
        m->t.bytes += (uint64_t)e->fts_statp->st_size;
        wait_for_workers(m);
        return CAEFS_OK;
}

/* ---- the rest ---- */

static enum caefs_err import_symlink(struct import *m, store_inode parent,
                                     const FTSENT *e, struct stat *st)
{
        const ssize_t n = readlink(e->fts_accpath, m->buffer,
                                   TRANSFER_BUFFER - 1);

        if (n < 0)
                return caefs_fail_errno("cannot read the link");
        m->buffer[n] = '\0';
        return store_symlink(m->store, &m->caller, parent, e->fts_name,
                             m->buffer, st);
}

/* A symbolic link, a device, a pipe or a socket; what had its name is replaced. */
static enum caefs_err import_special(struct import *m, store_inode parent,
                                     const FTSENT *e, store_inode *inode)
{
        const struct stat *from = e->fts_statp;
        struct stat st;
        enum caefs_err err = store_unlink(m->store, parent, e->fts_name);

        if (err != CAEFS_OK && err != CAEFS_ERR_NO_ENTRY)
                return err;
        err = S_ISLNK(from->st_mode) ?
                      import_symlink(m, parent, e, &st) :
                      store_mknod(m->store, &m->caller, parent, e->fts_name,
                                  from->st_mode, from->st_rdev, &st);
        if (err != CAEFS_OK)
                return err;
        *inode = st.st_ino;
        err = copy_xattrs(m, e->fts_accpath, *inode);
        if (err == CAEFS_OK)
                err = copy_attributes(m, from, *inode);
        m->t.files++;
        return err;
}

/* What is no directory. */
static enum caefs_err import_entry(struct import *m, store_inode parent,
                                   const FTSENT *e)
{
        struct linked *linked = NULL;
        store_inode inode = 0;
        struct stat st;
        enum caefs_err err;

        if (e->fts_statp->st_nlink > 1) {
                linked = find_linked(m, e->fts_statp);
                if (linked == NULL)
                        return CAEFS_ERR_NOMEM;
        }
        if (linked != NULL && linked->inode != 0) {
                err = store_unlink(m->store, parent, e->fts_name);
                if (err == CAEFS_OK || err == CAEFS_ERR_NO_ENTRY)
                        err = store_link(m->store, linked->inode, parent,
                                         e->fts_name, &st);
                if (err == CAEFS_OK)
                        store_forget(m->store, st.st_ino, 1);
                progress_add(&m->t.job, (uint64_t)e->fts_statp->st_size);
                return err;
        }
        err = e->fts_info == FTS_F ? import_file(m, parent, e, &inode) :
                                     import_special(m, parent, e, &inode);
        if (err != CAEFS_OK)
                return err;
        if (linked != NULL)
                linked->inode = inode;
        else
                store_forget(m->store, inode, 1);
        return CAEFS_OK;
}

static enum caefs_err import_directory(struct import *m, store_inode parent,
                                       FTSENT *e)
{
        struct stat st;
        enum caefs_err err = store_mkdir(m->store, &m->caller, parent,
                                         e->fts_name, 0700, &st);

        if (err == CAEFS_ERR_EXISTS)
                err = store_lookup(m->store, parent, e->fts_name, &st);
        if (err != CAEFS_OK)
                return err;
        e->fts_number = (long)st.st_ino;
        if (!S_ISDIR(st.st_mode))
                return caefs_fail(CAEFS_ERR_NOT_DIRECTORY,
                                  "something else has its name");
        return copy_xattrs(m, e->fts_accpath, st.st_ino);
}

/* ---- the walk ---- */

/* SRC/ and SRC/. are what is in SRC. */
static bool is_content_only(const FTSENT *e)
{
        return e->fts_level == FTS_ROOTLEVEL &&
               (*e->fts_name == '\0' || strcmp(e->fts_name, ".") == 0 ||
                strcmp(e->fts_name, "..") == 0);
}

static enum caefs_err visit(struct import *m, store_inode target, FTS *walk,
                            FTSENT *e)
{
        const store_inode parent = e->fts_level == FTS_ROOTLEVEL ?
                                           target :
                                           (store_inode)e->fts_parent->fts_number;
        enum caefs_err err = CAEFS_OK;

        switch (e->fts_info) {
        case FTS_D:
                e->fts_number = (long)parent;
                if (is_content_only(e))
                        return CAEFS_OK;
                err = import_directory(m, parent, e);
                if (err != CAEFS_OK)
                        fts_set(walk, e, FTS_SKIP);
                return err;
        case FTS_DP:
                if (is_content_only(e))
                        return CAEFS_OK;
                err = copy_attributes(m, e->fts_statp,
                                      (store_inode)e->fts_number);
                store_forget(m->store, (store_inode)e->fts_number, 1);
                return err;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
                errno = e->fts_errno;
                return caefs_fail_errno("cannot read");
        default:
                return import_entry(m, parent, e);
        }
}

static uint64_t measure(char **sources)
{
        FTS *walk = fts_open(sources, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
        uint64_t bytes = 0;
        FTSENT *e;

        while (walk != NULL && (e = fts_read(walk)) != NULL)
                if (e->fts_info == FTS_F)
                        bytes += (uint64_t)e->fts_statp->st_size;
        if (walk != NULL)
                fts_close(walk);
        return bytes;
}

static void import_all(struct import *m, char **sources, store_inode target)
{
        FTS *walk = fts_open(sources, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
        FTSENT *e;

        if (walk == NULL) {
                transfer_failed(&m->t, CAEFS_ERR_NOMEM, sources[0]);
                return;
        }
        while (!progress_cancelled(&m->t.job) &&
               (e = fts_read(walk)) != NULL) {
                const enum caefs_err err = visit(m, target, walk, e);

                if (err != CAEFS_OK && err != CAEFS_ERR_INTERRUPTED)
                        transfer_failed(&m->t, err, e->fts_path);
        }
        fts_close(walk);
}

/* ---- the command ---- */

static enum caefs_err open_directory(struct import *m, char *path,
                                     store_inode *out)
{
        struct stat st;
        store_inode above;
        char *name;
        enum caefs_err err = store_resolve(m->store, path, out);

        if (err != CAEFS_ERR_NO_ENTRY)
                return err;
        err = transfer_resolve_above(m->store, path, &above, &name);
        if (err == CAEFS_ERR_NO_ENTRY)
                return caefs_fail(err, "the directory above it is not there");
        if (err != CAEFS_OK)
                return err;
        err = store_mkdir(m->store, &m->caller, above, name, 0777, &st);
        store_forget(m->store, above, 1);
        *out = st.st_ino;
        return err;
}

static void seal(struct import *m, store_inode target)
{
        struct tool_progress bar;
        uint64_t left = 0;
        enum caefs_err err;

        atomic_store(&m->t.job.done, 0);
        atomic_store(&m->t.job.total, 0);
        tool_progress_begin(&bar, "sealing", TOOL_PROGRESS_BYTES, 0);
        tool_progress_follow(&bar, &m->t.job);
        err = store_sync_tree(m->store, target, true, &m->t.job, &left);
        tool_progress_end(&bar);
        if (err == CAEFS_OK && left > 0)
                err = caefs_fail(CAEFS_ERR_BUSY, "%llu files could not be "
                                 "sealed; they stay as they were written",
                                 (unsigned long long)left);
        if (err != CAEFS_OK && err != CAEFS_ERR_INTERRUPTED)
                transfer_failed(&m->t, err, NULL);
}

static int run(struct import *m, char **sources, char *path)
{
        store_inode target;
        enum caefs_err err = open_directory(m, path, &target);

        if (err != CAEFS_OK) {
                transfer_failed(&m->t, err, path);
                return transfer_end(&m->t);
        }
        transfer_start(&m->t, measure(sources));
        import_all(m, sources, target);
        tool_progress_end(&m->t.bar);
        tdestroy(m->links, free);
        if (!progress_cancelled(&m->t.job))
                seal(m, target);
        return transfer_end(&m->t);
}

static int import_into(char **sources, const char *store, char *path, bool json)
{
        struct import m = { .caller = { .uid = geteuid(), .gid = getegid() } };
        enum caefs_err err = tool_store_open_working(store, &m.store);
        int status;

        if (err != CAEFS_OK)
                return tool_fail(err, store, NULL);
        m.buffer = malloc(TRANSFER_BUFFER);
        if (m.buffer == NULL) {
                store_close(m.store);
                return tool_fail(CAEFS_ERR_NOMEM, store, NULL);
        }
        transfer_begin(&m.t, "import", json);
        status = run(&m, sources, path);
        free(m.buffer);
        err = store_close(m.store);
        return err != CAEFS_OK ? tool_fail(err, store, NULL) : status;
}

int cmd_import(int argc, char **argv)
{
        enum { OPT_JSON = 1 };
        static const struct option options[] = {
                { "json", no_argument, NULL, OPT_JSON },
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        char *store, *path;
        bool json = false;
        int c, status;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS,
                                options, NULL)) != -1)
                if (c == OPT_JSON)
                        json = true;
                else if (!tool_common_option(c))
                        return TOOL_USAGE;
        if (argc - optind < 2)
                return tool_usage_error("import", "it takes what to copy, and "
                                                  "STORE:/DIR");
        if (!tool_path_split_store(argv[argc - 1], &store, &path)) {
                tool_error(argv[argc - 1], "make a store with 'caefs mkfs'",
                           "this is no STORE:/DIR");
                return TOOL_USAGE;
        }
        argv[argc - 1] = NULL;
        status = import_into(argv + optind, store, path, json);
        free(store);
        free(path);
        return status;
}
