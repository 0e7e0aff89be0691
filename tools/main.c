/*
 * main.c - the caefs program: finds the subcommand and answers --help.
 */

#include <stdio.h>
#include <string.h>

#include "tools/tool.h"

#define COMMAND(NAME, SUMMARY) \
        { #NAME, cmd_##NAME, SUMMARY, help_##NAME, false },
#define HIDDEN(NAME, SUMMARY) { #NAME, cmd_##NAME, SUMMARY, help_##NAME, true },
static const struct tool_command commands[] = {
#include "tools/commands.inc"
        { 0 }, /* a name of NULL ends the table */
};
#undef COMMAND
#undef HIDDEN

static const struct tool_command *find_command(const char *name)
{
        const struct tool_command *c;

        for (c = commands; c->name != NULL; c++)
                if (strcmp(c->name, name) == 0)
                        return c;
        return NULL;
}

static void print_help(void)
{
        const struct tool_command *c;

        puts("Usage: caefs COMMAND [ARGUMENT...]\n"
             "\n"
             "A file system for floating-point datasets that keeps every value\n"
             "within a stated bound.\n"
             "\n"
             "Commands:");
        for (c = commands; c->name != NULL; c++)
                if (!c->hidden)
                        printf("  %-12s %s\n", c->name, c->summary);
        puts("\n"
             "  caefs help COMMAND, caefs COMMAND --help    about one command\n"
             "  caefs --version                             the version");
}

static int unknown_command(const char *name)
{
        tool_error(name, "caefs --help lists the commands",
                   "there is no such command");
        return TOOL_USAGE;
}

/* caefs help [COMMAND] */
static int help(int argc, char **argv)
{
        const struct tool_command *c;

        if (argc < 2) {
                print_help();
                return TOOL_OK;
        }
        c = find_command(argv[1]);
        if (c == NULL)
                return unknown_command(argv[1]);
        fputs(c->help, stdout);
        return TOOL_OK;
}

static bool asks_for_help(int argc, char **argv)
{
        int i;

        for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], "--help") == 0)
                        return true;
        return false;
}

/* Results that could not be written are not done (a full disk, a closed pipe). */
static int finish_output(int status)
{
        if (fflush(stdout) != 0 || ferror(stdout)) {
                tool_error("standard output", NULL, "cannot write: %m");
                if (status == TOOL_OK)
                        status = TOOL_SYSTEM;
        }
        return status;
}

static int run(int argc, char **argv)
{
        const struct tool_command *c;

        if (argc < 2) {
                tool_error(NULL, "caefs --help lists the commands",
                           "which command?");
                return TOOL_USAGE;
        }
        if (strcmp(argv[1], "--version") == 0) {
                puts(PACKAGE_STRING);
                return TOOL_OK;
        }
        if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
                return help(1, argv);
        if (strcmp(argv[1], "help") == 0)
                return help(argc - 1, argv + 1);

        c = find_command(argv[1]);
        if (c == NULL)
                return unknown_command(argv[1]);
        if (asks_for_help(argc - 1, argv + 1)) {
                fputs(c->help, stdout);
                return TOOL_OK;
        }
        return c->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
        return finish_output(run(argc, argv));
}
