/*
 * path.h - PATH of the command line: a path on a mount, or STORE:/path.
 *
 * Both are asked the same questions.  On a mount the answers come through
 * extended attributes and the control files (fs/fuse_control.h), from the
 * process that has the store open; for STORE:/path the store is opened here.
 *
 * Not safe from several threads; the strings in struct tool_path belong to it.
 */

#ifndef CAEFS_TOOL_PATH_H
#define CAEFS_TOOL_PATH_H

#include <jansson.h>

#include "fs/store.h"
#include "tools/tool.h"

enum tool_path_kind {
        TOOL_PATH_MOUNT, /* on a mount of caefs */
        TOOL_PATH_STORE, /* STORE:/path */
};

struct tool_path {
        enum tool_path_kind kind;
        char *text;   /* as it was given, or grew in a walk: for messages */
        char *name;   /* MOUNT: for system calls; STORE: "/path" in the store */
        char *root;   /* the mount point, or the store's directory */
        struct stat st;
        struct store *store; /* STORE only; shared by the paths of a walk */
        bool owns_store;
};

/*
 * Finds out what TEXT is, and that it is there.  CAEFS_ERR_NO_ENTRY;
 * CAEFS_ERR_UNSUPPORTED when it is neither; CAEFS_ERR_BUSY when the store is
 * mounted; each with a sentence.  WRITE: the store will be changed.
 */
enum caefs_err tool_path_open(const char *text, bool write,
                              struct tool_path *out);
void tool_path_close(struct tool_path *p);

/*
 * STORE:/path into its two halves, which the caller frees; STORE alone, a
 * directory with a store in it, is STORE:/.  False when TEXT is neither.
 */
bool tool_path_split_store(const char *text, char **store, char **path);

/* The mount of caefs that PATH lies on, for the caller to free; or NULL. */
char *tool_path_mount_root(const char *path);

/*
 * Opens a store for a tool: no background work.  CAEFS_ERR_BUSY names who has
 * it mounted.
 */
enum caefs_err tool_store_open(const char *path, bool write,
                               struct store **out);

/* The same for writing, with the workers that encode what is written. */
enum caefs_err tool_store_open_working(const char *path, struct store **out);

/*
 * Calls VISIT for P and for everything below it, a directory before what is
 * in it.  Goes on after a failure of VISIT, and gives the first.
 */
typedef enum caefs_err tool_path_visit(void *context,
                                       const struct tool_path *p);
enum caefs_err tool_path_walk(const struct tool_path *p,
                              tool_path_visit *visit, void *context);

/*
 * Opens each of N paths and calls EACH for it.  Failures are told on stderr.
 * The exit status: that of the first failure when nothing succeeded,
 * TOOL_PARTIAL when something did.
 */
typedef enum caefs_err tool_path_use(void *context, const struct tool_path *p);
int tool_each_path(int n, char **paths, bool write, tool_path_use *each,
                   void *context);

/*
 * The command called name: its options, with --json, and at least one path, for
 * each of which EACH is called.  *FOUND becomes an array when JSON is asked for,
 * which EACH fills; it is printed under the key LIST and freed.  QUESTION is what
 * is asked when there is no path.  Returns an exit status.
 */
struct tool_listing {
        const char *name, *question, *list;
        tool_path_use *each;
        void *context;
        json_t **found;
};
int tool_list_command(int argc, char **argv, const struct tool_listing *listing);

/* ---- questions ---- */

/* fs/describe.h; the caller gives the value back with json_decref(). */
enum caefs_err tool_path_describe(const struct tool_path *p, json_t **out);
enum caefs_err tool_path_explain(const struct tool_path *p, json_t **out);

/* Seals everything at or below P; LEFT counts what could not be. */
enum caefs_err tool_path_sync(const struct tool_path *p,
                              struct progress *progress, uint64_t *left);

/* Encodes every sealed file at or below P again. */
enum caefs_err tool_path_recompress(const struct tool_path *p,
                                    const struct store_recompress *o,
                                    struct progress *progress,
                                    struct store_recompress_report *report);

struct tool_property {
        char value[256];  /* "" when it has none */
        const char *source; /* "local", "inherited", "default" */
        char *from;       /* the directory it is inherited from, or NULL */
};

/* The caller frees OUT->from. */
enum caefs_err tool_property_get(const struct tool_path *p, const char *name,
                                 struct tool_property *out);

/* VALUE NULL: inherit from now on. */
enum caefs_err tool_property_set(const struct tool_path *p, const char *name,
                                 const char *value);

#endif
