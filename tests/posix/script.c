/* tests/posix/script.c - runs scripts: posix DIRECTORY SCRIPT... */
#include "tests/posix/script.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINES_MAX     400               /* of a case */
#define VARIABLES_MAX 4
#define LINE_BYTES    1024

struct variable {
        const char *name, *value;
};

/* A case as it stands in the script. */
struct part {
        const char *script;
        char       *line[LINES_MAX];
        unsigned    number[LINES_MAX];
        size_t      lines;
        char       *name;
};

static const char *where_script;
static unsigned where_line;
static unsigned failures, checks;
static struct variable variables[VARIABLES_MAX];
static size_t nvariables;

void
complain(const char *format, ...)
{
        va_list arguments;

        failures++;
        fprintf(stderr, "%s:%u: ", where_script, where_line);
        for (size_t i = 0; i < nvariables; i++)
                fprintf(stderr, "[%s] ", variables[i].value);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
}

static void
die(const char *what)
{
        fprintf(stderr, "%s:%u: %s: %s\n", where_script != NULL ? where_script : "posix",
                where_line, what, strerror(errno));
        exit(2);
}

/* ---- who asks ----------------------------------------------------------- */

static void
become_root(void)
{
        if (setresuid(0, 0, 0) != 0 || setresgid(0, 0, 0) != 0 || setgroups(0, NULL) != 0)
                die("becoming root again");
}

/* "65534:65534,65533": real and effective ids; root stays as the saved one. */
static void
become(const char *who)
{
        gid_t  groups[16];
        size_t n = 0;
        char  *end;
        uid_t  uid;

        become_root();
        if (strcmp(who, "root") == 0)
                return;
        uid = (uid_t) strtoul(who, &end, 10);
        while ((*end == ':' || *end == ',') && n < 16)
                groups[n++] = (gid_t) strtoul(end + 1, &end, 10);
        if (n == 0 || *end != '\0')
                die("as UID:GID,GID...");
        if (setgroups(n - 1, groups + 1) != 0 || setresgid(groups[0], groups[0], 0) != 0 ||
            setresuid(uid, uid, 0) != 0)
                die("changing ids");
}

/* ---- words -------------------------------------------------------------- */

static char *
fill(size_t n)
{
        char *text = malloc(n + 1);

        if (text == NULL)
                die("memory");
        memset(text, 'n', n);
        text[n] = '\0';
        return text;
}

/* A path of N bytes whose last name is never empty. */
static char *
long_path(size_t n)
{
        char *path = fill(n);

        for (size_t at = 255; at + 1 < n; at += 256)
                path[at] = '/';
        return path;
}

/* Replaces %name:N and %path:N, which may have text before and after them. */
static char *
expand_length(const char *word)
{
        char *start = strstr(word, "%name:"), *end, *middle, *out;
        bool  is_path = start == NULL;

        if (is_path)
                start = strstr(word, "%path:");
        if (start == NULL)
                return strdup(word);
        size_t n = strtoul(start + 6, &end, 10);
        middle = is_path ? long_path(n) : fill(n);
        if (asprintf(&out, "%.*s%s%s", (int) (start - word), word, middle, end) < 0)
                die("memory");
        free(middle);
        return out;
}

static char *
expand_variables(const char *word)
{
        char       *out = NULL;
        size_t      size;
        FILE       *f = open_memstream(&out, &size);

        while (*word != '\0') {
                size_t i = 0, n = 0;
                for (; *word == '$' && i < nvariables; i++) {
                        n = strlen(variables[i].name);
                        if (strncmp(word + 1, variables[i].name, n) == 0)
                                break;
                }
                if (*word == '$' && i < nvariables) {
                        fputs(variables[i].value, f);
                        word += n + 1;
                } else {
                        fputc(*word++, f);
                }
        }
        fclose(f);
        return out;
}

/* Cuts LINE, which is changed, into words. */
static size_t
split(char *line, char **words)
{
        size_t count = 0;

        for (;;) {
                line += strspn(line, " \t");
                if (*line == '\0' || *line == '#')
                        return count;
                if (count == WORDS_MAX)
                        die("too many words");
                char end = *line == '"' ? '"' : ' ';
                words[count++] = line += end == '"';
                line += strcspn(line, end == '"' ? "\"" : " \t");
                if (*line != '\0')
                        *line++ = '\0';
        }
}

/* ---- outcomes ----------------------------------------------------------- */

/* EXPECTED is errnos with | between them, a number or a text; NULL: success. */
static bool
is_expected(const struct outcome *got, const char *expected)
{
        char number_text[32];

        if (expected == NULL)
                return got->error == 0;
        if (got->error != 0) {
                const char *name = error_name(got->error);
                size_t      n = strlen(name);
                for (const char *at = expected; at != NULL; at = strchr(at, '|')) {
                        at += *at == '|';
                        if (strncmp(at, name, n) == 0 && (at[n] == '|' || at[n] == '\0'))
                                return true;
                }
                return false;
        }
        snprintf(number_text, sizeof number_text, "%ld", got->value);
        return strcmp(expected, got->text != NULL ? got->text : number_text) == 0;
}

static void
say_outcome(const char *line, const struct outcome *got, const char *expected)
{
        char number_text[32];

        snprintf(number_text, sizeof number_text, "%ld", got->value);
        complain("%.200s\n\texpected %.200s, got %.200s", line,
                 expected != NULL ? expected : "success",
                 got->error != 0 ? error_name(got->error)
                                 : got->text != NULL ? got->text : number_text);
}

/* ---- lines -------------------------------------------------------------- */

static void
run_operation(char **words, size_t count, const char *line)
{
        struct outcome got = { 0 };
        const char    *expected = NULL;

        if (count > 2 && strcmp(words[count - 2], "->") == 0) {
                expected = words[count - 1];
                count -= 2;
        }
        checks++;
        if (!operation_run(words, count, &got))
                complain("%s: no such operation, or not with these arguments", words[0]);
        else if (!is_expected(&got, expected))
                say_outcome(line, &got, expected);
        free(got.text);
}

static void run_lines(const struct part *p, size_t from);

static void
run_each(const struct part *p, size_t next, char **words, size_t count)
{
        if (count < 3 || nvariables == VARIABLES_MAX)
                die("each VARIABLE VALUE...");
        char *name = strdup(words[1]);
        for (size_t i = 2; i < count; i++) {
                char *value = strdup(words[i]);
                variables[nvariables++] = (struct variable) { name, value };
                run_lines(p, next);
                nvariables--;
                free(value);
        }
        free(name);
}

static void make_workplace(void);
static void leave_workplace(void);

/* The lines from FROM on; an "each" among them runs those after it several times, each
 * time in a directory of its own. */
static void
run_lines(const struct part *p, size_t from)
{
        bool is_each = false;
        size_t first = from;

        while (first < p->lines && strncmp(p->line[first], "each ", 5) == 0)
                first++;
        is_each = first > from;
        if (!is_each)
                make_workplace();
        for (size_t i = from; i < p->lines; i++) {
                char  *words[WORDS_MAX], *expanded = expand_variables(p->line[i]);
                char  *text = strdup(expanded);
                size_t count = split(text, words);

                where_line = p->number[i];
                for (size_t w = 0; w < count; w++)
                        words[w] = expand_length(words[w]);
                if (is_each)
                        run_each(p, i + 1, words, count);
                else if (strcmp(words[0], "as") == 0 && count == 2)
                        become(words[1]);
                else
                        run_operation(words, count, expanded);
                for (size_t w = 0; w < count; w++)
                        free(words[w]);
                free(text);
                free(expanded);
                if (is_each)
                        return;
        }
        leave_workplace();
}

/* ---- a directory for each case ------------------------------------------ */

static int top = -1;
#define WORKPLACE "posix-workplace"

/* Empties the directory FD, however deep; closes FD. */
static void
empty_directory(int fd)
{
        DIR *d = fdopendir(fd);

        for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                if (unlinkat(fd, e->d_name, 0) == 0)
                        continue;
                int below = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
                if (below >= 0)
                        empty_directory(below);
                unlinkat(fd, e->d_name, AT_REMOVEDIR);
        }
        closedir(d);
}

static void
make_workplace(void)
{
        become_root();
        umask(0);
        if (fchdir(top) != 0 || mkdir(WORKPLACE, 0777) != 0 || chdir(WORKPLACE) != 0)
                die(WORKPLACE);
}

static void
leave_workplace(void)
{
        become_root();
        operations_reset();
        if (fchdir(top) != 0)
                die("fchdir");
        int fd = open(WORKPLACE, O_RDONLY | O_DIRECTORY);
        if (fd >= 0)
                empty_directory(fd);
        if (rmdir(WORKPLACE) != 0) {
                complain("the directory of the case cannot be removed: %s", strerror(errno));
                die(WORKPLACE);
        }
}

/* ---- scripts ------------------------------------------------------------ */

static void
run_part(struct part *p)
{
        const unsigned before = failures;

        if (p->name != NULL) {
                run_lines(p, 0);
                if (failures != before)
                        printf("not ok %s\n", p->name);
        }
        for (size_t i = 0; i < p->lines; i++)
                free(p->line[i]);
        free(p->name);
        *p = (struct part) { .script = p->script };
}

static void
add_line(struct part *p, const char *line, unsigned number)
{
        if (p->lines == LINES_MAX)
                die("the case is too long");
        p->number[p->lines] = number;
        p->line[p->lines++] = strdup(line);
}

static void
run_script(const char *path)
{
        static struct part p;
        char               line[LINE_BYTES];
        FILE              *f = fopen(path, "r");
        const char        *name = strrchr(path, '/');

        where_script = name != NULL ? name + 1 : path;
        if (f == NULL)
                die(path);
        p = (struct part) { .script = path };
        for (unsigned n = 1; fgets(line, sizeof line, f) != NULL; n++) {
                line[strcspn(line, "\n")] = '\0';
                const char *start = line + strspn(line, " \t");
                if (*start == '\0' || *start == '#')
                        continue;
                if (strncmp(start, "case ", 5) == 0) {
                        run_part(&p);
                        p.name = strdup(start + 5);
                } else {
                        add_line(&p, start, n);
                }
        }
        run_part(&p);
        fclose(f);
}

int
main(int argc, char **argv)
{
        if (argc < 3) {
                fprintf(stderr, "usage: posix DIRECTORY SCRIPT...\n");
                return 2;
        }
        top = open(argv[1], O_RDONLY | O_DIRECTORY);
        if (top < 0)
                die(argv[1]);
        if (geteuid() != 0)
                die("this must run as root");
        for (int i = 2; i < argc; i++) {
                int here = open(".", O_RDONLY | O_DIRECTORY);
                run_script(argv[i]);
                if (fchdir(here) != 0)
                        die("fchdir");
                close(here);
        }
        printf("%u checks, %u failed\n", checks, failures);
        return failures == 0 ? 0 : 1;
}
