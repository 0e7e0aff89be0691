/* constant.c - the constant-buffer file system: what FUSE itself can do.
 *
 *     constant MOUNTPOINT
 *
 * One directory of files whose names and attributes are in memory.  Reads are answered
 * from one buffer, writes are counted and thrown away: nobody who must do something for an
 * answer can be faster.  For benchmarks only. */
#include "tests/bench/mount/serve.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS    ((size_t) 1 << 14)
#define READ_MAX   ((size_t) 4 << 20)   /* more than any request asks for */
#define FIRST_FILE ((fuse_ino_t) FUSE_ROOT_ID + 1)

struct node {
        struct node *next_in_bucket;
        struct stat  st;
        uint64_t     lookups;
        bool         linked;
        char         name[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;        /* all below, but BUFFER */
static struct node  *bucket[BUCKETS];
static struct node **file;              /* by inode number, from FIRST_FILE; NULL: gone */
static size_t        files, room;
static struct stat   root;
static char         *buffer;

static uint64_t
hash(const char *name)
{
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        while (*name != '\0')
                h = (h ^ (unsigned char) *name++) * UINT64_C(0x100000001b3);
        return h;
}

/* The place that points to the node of NAME, or to NULL. */
static struct node **
find(const char *name)
{
        struct node **at = &bucket[hash(name) % BUCKETS];

        while (*at != NULL && strcmp((*at)->name, name) != 0)
                at = &(*at)->next_in_bucket;
        return at;
}

static struct node *
node_of(fuse_ino_t inode)
{
        return inode < FIRST_FILE || inode - FIRST_FILE >= files ? NULL : file[inode - FIRST_FILE];
}

static void
free_unused(struct node *n)
{
        if (n->linked || n->lookups > 0)
                return;
        file[n->st.st_ino - FIRST_FILE] = NULL;
        free(n);
}

static struct fuse_entry_param
entry_of(struct node *n)
{
        n->lookups++;
        return (struct fuse_entry_param) {
                .ino = n->st.st_ino, .generation = 1, .attr = n->st,
                .attr_timeout = SERVE_TIMEOUT, .entry_timeout = SERVE_TIMEOUT,
        };
}

/* ---- names -------------------------------------------------------------- */

static void
op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct fuse_entry_param entry = { .entry_timeout = 0 };

        (void) parent;
        pthread_mutex_lock(&lock);
        struct node *n = *find(name);
        if (n != NULL)
                entry = entry_of(n);
        pthread_mutex_unlock(&lock);
        if (n == NULL)
                fuse_reply_err(req, ENOENT);
        else
                fuse_reply_entry(req, &entry);
}

static void
forget(fuse_ino_t inode, uint64_t count)
{
        pthread_mutex_lock(&lock);
        struct node *n = node_of(inode);
        if (n != NULL) {
                n->lookups -= count;
                free_unused(n);
        }
        pthread_mutex_unlock(&lock);
}

static void
op_forget(fuse_req_t req, fuse_ino_t inode, uint64_t count)
{
        forget(inode, count);
        fuse_reply_none(req);
}

static void
op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
        for (size_t i = 0; i < count; i++)
                forget(forgets[i].ino, forgets[i].nlookup);
        fuse_reply_none(req);
}

static struct node *
node_new(const char *name, mode_t mode, const struct fuse_ctx *ctx)
{
        const size_t length = strlen(name) + 1;
        struct node *n = calloc(1, sizeof *n + length);

        if (files == room) {
                const size_t more = room == 0 ? 1024 : 2 * room;
                struct node **grown = realloc(file, more * sizeof *file);
                if (grown == NULL) {
                        free(n);
                        return NULL;
                }
                file = grown;
                room = more;
        }
        if (n == NULL)
                return NULL;
        memcpy(n->name, name, length);
        n->linked = true;
        n->st.st_ino = FIRST_FILE + files;
        n->st.st_mode = S_IFREG | (mode & 07777);
        n->st.st_nlink = 1;
        n->st.st_uid = ctx->uid;
        n->st.st_gid = ctx->gid;
        n->st.st_blksize = 65536;
        clock_gettime(CLOCK_REALTIME, &n->st.st_mtim);
        n->st.st_ctim = n->st.st_atim = n->st.st_mtim;
        file[files++] = n;
        return n;
}

static void
op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
          struct fuse_file_info *fi)
{
        struct fuse_entry_param entry = { .entry_timeout = 0 };

        (void) parent;
        pthread_mutex_lock(&lock);
        struct node **at = find(name);
        if (*at == NULL)
                *at = node_new(name, mode, fuse_req_ctx(req));
        struct node *n = *at;
        if (n != NULL)
                entry = entry_of(n);
        pthread_mutex_unlock(&lock);
        fi->keep_cache = 1;
        if (n == NULL)
                fuse_reply_err(req, ENOMEM);
        else
                fuse_reply_create(req, &entry, fi);
}

static void
op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        (void) parent;
        pthread_mutex_lock(&lock);
        struct node **at = find(name);
        struct node *n = *at;
        if (n != NULL) {
                *at = n->next_in_bucket;
                n->linked = false;
                n->st.st_nlink = 0;
                free_unused(n);
        }
        pthread_mutex_unlock(&lock);
        fuse_reply_err(req, n == NULL ? ENOENT : 0);
}

/* Adds entries from OFFSET on, which is how many files were passed; the bytes used. */
static size_t
fill_directory(fuse_req_t req, char *out, size_t size, off_t offset, bool plus)
{
        size_t used = 0;

        for (size_t i = (size_t) offset; i < files; i++) {
                struct node *n = file[i];
                if (n == NULL || !n->linked)
                        continue;
                struct fuse_entry_param entry = entry_of(n);
                const size_t length = plus
                        ? fuse_add_direntry_plus(req, out + used, size - used, n->name, &entry,
                                                 (off_t) i + 1)
                        : fuse_add_direntry(req, out + used, size - used, n->name, &n->st,
                                            (off_t) i + 1);
                if (!plus || length > size - used)
                        n->lookups--;
                if (length > size - used)
                        break;
                used += length;
        }
        return used;
}

static void
read_directory(fuse_req_t req, size_t size, off_t offset, bool plus)
{
        char *out = malloc(size);

        if (out == NULL) {
                fuse_reply_err(req, ENOMEM);
                return;
        }
        pthread_mutex_lock(&lock);
        const size_t used = fill_directory(req, out, size, offset, plus);
        pthread_mutex_unlock(&lock);
        fuse_reply_buf(req, out, used);
        free(out);
}

static void
op_readdir(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *fi)
{
        (void) inode;
        (void) fi;
        read_directory(req, size, offset, false);
}

static void
op_readdirplus(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset,
               struct fuse_file_info *fi)
{
        (void) inode;
        (void) fi;
        read_directory(req, size, offset, true);
}

/* ---- attributes --------------------------------------------------------- */

static void
op_getattr(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        struct stat st = root;

        (void) fi;
        pthread_mutex_lock(&lock);
        const struct node *n = node_of(inode);
        if (n != NULL)
                st = n->st;
        pthread_mutex_unlock(&lock);
        fuse_reply_attr(req, &st, SERVE_TIMEOUT);
}

static void
set_size(struct stat *st, off_t size)
{
        st->st_size = size;
        st->st_blocks = (size + 511) / 512;
}

static void
op_setattr(fuse_req_t req, fuse_ino_t inode, struct stat *want, int what,
           struct fuse_file_info *fi)
{
        struct stat st = root;

        (void) fi;
        pthread_mutex_lock(&lock);
        struct node *n = node_of(inode);
        if (n != NULL) {
                if (what & FUSE_SET_ATTR_SIZE)
                        set_size(&n->st, want->st_size);
                if (what & FUSE_SET_ATTR_MODE)
                        n->st.st_mode = S_IFREG | (want->st_mode & 07777);
                if (what & FUSE_SET_ATTR_MTIME)
                        n->st.st_mtim = want->st_mtim;
                st = n->st;
        }
        pthread_mutex_unlock(&lock);
        fuse_reply_attr(req, &st, SERVE_TIMEOUT);
}

static void
op_getxattr(fuse_req_t req, fuse_ino_t inode, const char *name, size_t size)
{
        (void) inode;
        (void) name;
        (void) size;
        fuse_reply_err(req, ENODATA);
}

/* ---- bytes -------------------------------------------------------------- */

static void
op_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        (void) inode;
        fi->keep_cache = 1;
        fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
        fuse_reply_open(req, fi);
}

static void
op_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *fi)
{
        (void) fi;
        pthread_mutex_lock(&lock);
        const struct node *n = node_of(inode);
        const off_t end = n == NULL ? 0 : n->st.st_size;
        pthread_mutex_unlock(&lock);
        if (offset >= end)
                size = 0;
        else if (size > (size_t) (end - offset))
                size = (size_t) (end - offset);
        fuse_reply_buf(req, buffer, size < READ_MAX ? size : READ_MAX);
}

static void
op_write(fuse_req_t req, fuse_ino_t inode, const char *data, size_t size, off_t offset,
         struct fuse_file_info *fi)
{
        (void) data;
        (void) fi;
        pthread_mutex_lock(&lock);
        struct node *n = node_of(inode);
        if (n != NULL && offset + (off_t) size > n->st.st_size)
                set_size(&n->st, offset + (off_t) size);
        pthread_mutex_unlock(&lock);
        fuse_reply_write(req, size);
}

static void
op_done(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
        (void) inode;
        (void) fi;
        fuse_reply_err(req, 0);
}

int
main(int argc, char **argv)
{
        const struct fuse_lowlevel_ops ops = {
                .init = serve_init, .lookup = op_lookup, .forget = op_forget,
                .forget_multi = op_forget_multi, .create = op_create, .unlink = op_unlink,
                .readdir = op_readdir, .readdirplus = op_readdirplus, .getattr = op_getattr,
                .setattr = op_setattr, .getxattr = op_getxattr, .open = op_open,
                .read = op_read, .write = op_write, .flush = op_done, .release = op_done,
        };

        if (argc != 2) {
                fprintf(stderr, "Usage: %s MOUNTPOINT\n", argv[0]);
                return 1;
        }
        root = (struct stat) {
                .st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR | 0755, .st_nlink = 2,
                .st_uid = getuid(), .st_gid = getgid(),
        };
        buffer = malloc(READ_MAX);
        if (buffer == NULL)
                return 1;
        memset(buffer, 1, READ_MAX);
        return serve("constant", &ops, argv[1]);
}
