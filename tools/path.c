/*
 * path.c - a path on a mount or in a store: what it is, and walking it.
 */

#include "tools/path.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/describe.h"
#include "fs/fuse_mount.h"
#include "tools/control.h"

#define FUSE_SUPER_MAGIC 0x65735546
#define DATABASE "caefs.db" /* every store has one */

/* ---- what it is ---- */

static bool is_store(const char *directory)
{
        char path[PATH_MAX];

        return snprintf(path, sizeof path, "%s/" DATABASE, directory) <
                       (int)sizeof path &&
               access(path, F_OK) == 0;
}

bool tool_path_split_store(const char *text, char **store, char **path)
{
        const char *colon = strstr(text, ":/");

        for (; colon != NULL; colon = strstr(colon + 1, ":/")) {
                *store = strndup(text, (size_t)(colon - text));
                if (*store != NULL && is_store(*store)) {
                        *path = strdup(colon + 1);
                        return *path != NULL;
                }
                free(*store);
        }
        if (!is_store(text))
                return false;
        *store = strdup(text);
        *path = strdup("/");
        return *store != NULL && *path != NULL;
}

/* The directory of PATH, made absolute and without links. */
static char *real_directory(const char *path, const struct stat *st)
{
        char *copy, *slash, *real;

        if (S_ISDIR(st->st_mode))
                return realpath(path, NULL);
        copy = strdup(path);
        if (copy == NULL)
                return NULL;
        slash = strrchr(copy, '/');
        if (slash != NULL)
                slash[slash == copy ? 1 : 0] = '\0';
        real = realpath(slash != NULL ? copy : ".", NULL);
        free(copy);
        return real;
}

/* Cuts DIRECTORY down to the topmost directory of its file system. */
static void cut_to_mount_point(char *directory, dev_t device)
{
        for (;;) {
                char *slash = strrchr(directory, '/');
                char kept;
                struct stat st;

                if (slash == NULL || directory[1] == '\0')
                        return;
                if (slash == directory)
                        slash++; /* "/" is the parent */
                kept = *slash;
                *slash = '\0';
                if (stat(directory, &st) != 0 || st.st_dev != device) {
                        *slash = kept;
                        return;
                }
        }
}

char *tool_path_mount_root(const char *path)
{
        struct statfs fs;
        struct stat st;
        char *root, *store = NULL;
        pid_t pid;

        if (lstat(path, &st) != 0)
                return NULL;
        root = real_directory(path, &st);
        if (root == NULL || statfs(root, &fs) != 0 ||
            fs.f_type != FUSE_SUPER_MAGIC) {
                free(root);
                return NULL;
        }
        cut_to_mount_point(root, st.st_dev);
        if (control_identity(root, &store, &pid) != CAEFS_OK) {
                free(root);
                return NULL;
        }
        free(store);
        return root;
}

/* ---- opening ---- */

/* Whether the process that wrote itself down is still there. */
static bool holder_lives(const char *who)
{
        char path[64], command[64] = "";
        FILE *f;
        long pid;

        if (sscanf(who, "process %ld", &pid) != 1)
                return false;
        snprintf(path, sizeof path, "/proc/%ld/comm", pid);
        f = fopen(path, "re");
        if (f == NULL)
                return false;
        if (fgets(command, sizeof command, f) == NULL)
                command[0] = '\0';
        fclose(f);
        return strncmp(command, "caefs", 5) == 0;
}

static enum caefs_err open_store(const char *path,
                                 const struct store_options *options,
                                 struct store **out)
{
        char who[PATH_MAX];
        const bool held = fuse_mount_holder(path, who, sizeof who) &&
                          holder_lives(who);
        enum caefs_err err;

        if (held)
                return caefs_fail(CAEFS_ERR_BUSY,
                                  "the store is mounted (%s); use its path "
                                  "there", who);
        err = store_open(path, options, out);
        if (err == CAEFS_ERR_BUSY)
                return caefs_fail(err, "another process has the store open");
        return err;
}

enum caefs_err tool_store_open(const char *path, bool write,
                               struct store **out)
{
        const struct store_options options = { .read_only = !write,
                                               .no_background = true };

        return open_store(path, &options, out);
}

enum caefs_err tool_store_open_working(const char *path, struct store **out)
{
        const struct store_options options = { 0 };

        return open_store(path, &options, out);
}

static enum caefs_err open_on_mount(const char *text, struct tool_path *p)
{
        p->kind = TOOL_PATH_MOUNT;
        if (lstat(text, &p->st) != 0)
                return errno == ENOENT ? CAEFS_ERR_NO_ENTRY :
                                         caefs_fail_errno("cannot look at it");
        p->root = tool_path_mount_root(text);
        if (p->root == NULL)
                return caefs_fail(CAEFS_ERR_UNSUPPORTED,
                                  "it is neither on a mount of caefs nor "
                                  "STORE:/PATH");
        p->name = strdup(text);
        return p->name != NULL ? CAEFS_OK : CAEFS_ERR_NOMEM;
}

static enum caefs_err stat_in_store(struct tool_path *p)
{
        store_inode inode;
        enum caefs_err err = store_resolve(p->store, p->name, &inode);

        if (err != CAEFS_OK)
                return err;
        err = store_getattr(p->store, inode, &p->st);
        store_forget(p->store, inode, 1);
        return err;
}

enum caefs_err tool_path_open(const char *text, bool write,
                              struct tool_path *out)
{
        enum caefs_err err;

        *out = (struct tool_path){ .text = strdup(text) };
        if (out->text == NULL)
                return CAEFS_ERR_NOMEM;
        if (!tool_path_split_store(text, &out->root, &out->name)) {
                out->root = NULL;
                err = open_on_mount(text, out);
        } else {
                out->kind = TOOL_PATH_STORE;
                err = tool_store_open(out->root, write, &out->store);
                out->owns_store = err == CAEFS_OK;
                if (err == CAEFS_OK)
                        err = stat_in_store(out);
        }
        if (err != CAEFS_OK)
                tool_path_close(out);
        return err;
}

void tool_path_close(struct tool_path *p)
{
        if (p->owns_store)
                store_close(p->store);
        free(p->text);
        free(p->name);
        free(p->root);
        *p = (struct tool_path){ 0 };
}

/* One path: the exit status, after telling what went wrong. */
static int use_path(char *text, bool write, tool_path_use *each, void *context)
{
        struct tool_path p;
        enum caefs_err err;

        caefs_detail_clear();
        err = tool_path_open(text, write, &p);
        if (err == CAEFS_OK) {
                err = each(context, &p);
                tool_path_close(&p);
        }
        return err == CAEFS_OK ? TOOL_OK : tool_fail(err, text, NULL);
}

int tool_each_path(int n, char **paths, bool write, tool_path_use *each,
                   void *context)
{
        int first = TOOL_OK, succeeded = 0, i;

        for (i = 0; i < n; i++) {
                const int status = use_path(paths[i], write, each, context);

                if (status == TOOL_OK)
                        succeeded++;
                else if (first == TOOL_OK)
                        first = status;
        }
        return first != TOOL_OK && succeeded > 0 ? TOOL_PARTIAL : first;
}

/* ---- walking ---- */

struct names {
        char **name;
        size_t n, room;
};

static bool add_name(struct names *names, const char *name)
{
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return true;
        if (names->n == names->room) {
                const size_t room = names->room * 2 + 64;
                char **grown = realloc(names->name, room * sizeof *grown);

                if (grown == NULL)
                        return false;
                names->name = grown;
                names->room = room;
        }
        names->name[names->n] = strdup(name);
        return names->name[names->n++] != NULL;
}

static void free_names(struct names *names)
{
        while (names->n > 0)
                free(names->name[--names->n]);
        free(names->name);
}

static bool take_entry(void *context, const char *name, const struct stat *st,
                       uint64_t next)
{
        (void)st;
        (void)next;
        return add_name(context, name);
}

static enum caefs_err list_in_store(const struct tool_path *p,
                                    struct names *names)
{
        return store_read_directory(p->store, p->st.st_ino, 0, false,
                                    take_entry, names);
}

static enum caefs_err list_on_mount(const struct tool_path *p,
                                    struct names *names)
{
        DIR *directory = opendir(p->name);
        const struct dirent *entry;
        bool taken = true;

        if (directory == NULL)
                return caefs_fail_errno("cannot list it");
        while (taken && (entry = readdir(directory)) != NULL)
                taken = add_name(names, entry->d_name);
        closedir(directory);
        return taken ? CAEFS_OK : CAEFS_ERR_NOMEM;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *join(const char *directory, const char *name)
{
        const size_t n = strlen(directory);
        char *path = NULL;

        if (asprintf(&path, "%s%s%s", directory,
                     n > 0 && directory[n - 1] == '/' ? "" : "/", name) < 0)
                return NULL;
        return path;
}

/* NAME in the directory P.  What is gone meanwhile is CAEFS_ERR_NO_ENTRY. */
static enum caefs_err open_child(const struct tool_path *p, const char *name,
                                 struct tool_path *child)
{
        enum caefs_err err = CAEFS_OK;

        *child = (struct tool_path){ .kind = p->kind, .store = p->store };
        child->text = join(p->text, name);
        child->name = join(p->name, name);
        child->root = strdup(p->root);
        if (child->text == NULL || child->name == NULL || child->root == NULL)
                err = CAEFS_ERR_NOMEM;
        else if (p->kind == TOOL_PATH_STORE)
                err = stat_in_store(child);
        else if (lstat(child->name, &child->st) != 0)
                err = caefs_err_from_errno(errno);
        if (err != CAEFS_OK)
                tool_path_close(child);
        return err;
}

static enum caefs_err walk_entries(const struct tool_path *p,
                                   const struct names *names,
                                   tool_path_visit *visit, void *context)
{
        enum caefs_err first = CAEFS_OK;
        size_t i;

        for (i = 0; i < names->n; i++) {
                struct tool_path child;
                enum caefs_err err = open_child(p, names->name[i], &child);

                if (err == CAEFS_ERR_NO_ENTRY)
                        continue;
                if (err == CAEFS_OK) {
                        err = tool_path_walk(&child, visit, context);
                        tool_path_close(&child);
                }
                if (first == CAEFS_OK)
                        first = err;
        }
        return first;
}

enum caefs_err tool_path_walk(const struct tool_path *p,
                              tool_path_visit *visit, void *context)
{
        struct names names = { 0 };
        enum caefs_err err = visit(context, p);
        enum caefs_err below;

        /* A directory of another file system that is mounted below is not ours. */
        if (!S_ISDIR(p->st.st_mode))
                return err;
        below = p->kind == TOOL_PATH_STORE ? list_in_store(p, &names) :
                                             list_on_mount(p, &names);
        if (below == CAEFS_OK) {
                if (names.n > 0)
                        qsort(names.name, names.n, sizeof *names.name,
                              compare_names);
                below = walk_entries(p, &names, visit, context);
        }
        free_names(&names);
        return err != CAEFS_OK ? err : below;
}

/* ---- questions ---- */

static enum caefs_err describe_on_mount(const struct tool_path *p,
                                        json_t **out)
{
        char text[4096];
        const ssize_t n = lgetxattr(p->name, DESCRIBE_ATTRIBUTE, text,
                                    sizeof text);

        if (n < 0)
                return caefs_fail_errno("cannot ask how it is stored");
        *out = json_loadb(text, (size_t)n, 0, NULL);
        if (*out == NULL)
                return caefs_fail(CAEFS_ERR_CORRUPT,
                                  "the mount's answer is not JSON");
        return CAEFS_OK;
}

enum caefs_err tool_path_describe(const struct tool_path *p, json_t **out)
{
        if (p->kind == TOOL_PATH_STORE)
                return describe_file(p->store, p->st.st_ino, out);
        return describe_on_mount(p, out);
}

enum caefs_err tool_path_explain(const struct tool_path *p, json_t **out)
{
        if (p->kind == TOOL_PATH_STORE)
                return describe_explain(p->store, p->st.st_ino, out);
        return control_explain(p->root, p->st.st_ino, out);
}

enum caefs_err tool_path_sync(const struct tool_path *p,
                              struct progress *progress, uint64_t *left)
{
        if (p->kind == TOOL_PATH_STORE)
                return store_sync_tree(p->store, p->st.st_ino, true, progress,
                                       left);
        return control_sync(p->root, p->st.st_ino, progress, left);
}

enum caefs_err tool_path_recompress(const struct tool_path *p,
                                    const struct store_recompress *o,
                                    struct progress *progress,
                                    struct store_recompress_report *report)
{
        if (p->kind == TOOL_PATH_STORE)
                return store_recompress_tree(p->store, p->st.st_ino, o, progress,
                                             report);
        return control_recompress(p->root, p->st.st_ino, o, progress, report);
}
