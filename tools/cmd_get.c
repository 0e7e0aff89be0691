/*
 * caefs get - shows properties, and where each value comes from.
 */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/describe.h"
#include "tools/path.h"

const char help_get[] =
        "Usage: caefs get [OPTION...] PROPERTY|all PATH...\n"
        "\n"
        "Prints NAME PROPERTY VALUE SOURCE for each path, SOURCE being local,\n"
        "inherited from a directory, or default.  A value that nobody gave is\n"
        "printed as \"-\".  PATH is on a mount, or STORE:/path.\n"
        "\n"
        "  -r, --recursive     everything below as well\n"
        "  --json              one JSON object\n"
        TOOL_COMMON_HELP;

struct get {
        const char *wanted; /* a property, or "all" */
        bool recursive;
        json_t *found; /* an array, with --json */
};

static void print_line(const struct tool_path *p, const char *name,
                       const struct tool_property *property)
{
        printf("%s\t%s\t%s\t%s%s%s\n", p->text, name,
               property->value[0] != '\0' ? property->value : "-",
               property->source, property->from != NULL ? " from " : "",
               property->from != NULL ? property->from : "");
}

static json_t *as_json(const struct tool_path *p, const char *name,
                       const struct tool_property *property)
{
        return json_pack("{s:s, s:s, s:s, s:s, s:s?}",
                         "name", p->text, "property", name,
                         "value", property->value, "source", property->source,
                         "from", property->from);
}

static enum caefs_err show_one(const struct get *g, const struct tool_path *p,
                               const char *name)
{
        struct tool_property property;
        const enum caefs_err err = tool_property_get(p, name, &property);

        if (err != CAEFS_OK)
                return err;
        if (g->found != NULL)
                json_array_append_new(g->found, as_json(p, name, &property));
        else
                print_line(p, name, &property);
        free(property.from);
        return CAEFS_OK;
}

static enum caefs_err show(void *context, const struct tool_path *p)
{
        const struct get *g = context;
        const char *const *name;
        enum caefs_err err = CAEFS_OK;

        if (strcmp(g->wanted, "all") != 0)
                return show_one(g, p, g->wanted);
        for (name = store_property_names(); *name != NULL && err == CAEFS_OK;
             name++)
                err = show_one(g, p, *name);
        return err;
}

static enum caefs_err show_path(void *context, const struct tool_path *p)
{
        const struct get *g = context;

        return g->recursive ? tool_path_walk(p, show, context) :
                              show(context, p);
}

static bool is_property(const char *text)
{
        const char *const *name = store_property_names();

        if (strcmp(text, "all") == 0)
                return true;
        while (*name != NULL && strcmp(*name, text) != 0)
                name++;
        return *name != NULL;
}

int cmd_get(int argc, char **argv)
{
        enum { OPT_JSON = 256 };
        static const struct option options[] = {
                { "recursive", no_argument, NULL, 'r' },
                { "json", no_argument, NULL, OPT_JSON },
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct get g = { 0 };
        int c, status;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS "r",
                                options, NULL)) != -1)
                switch (c) {
                case 'r':
                        g.recursive = true;
                        break;
                case OPT_JSON:
                        if (g.found == NULL)
                                g.found = json_array();
                        break;
                default:
                        if (!tool_common_option(c))
                                return TOOL_USAGE;
                }
        if (argc - optind < 2)
                return tool_usage_error("get", "which property, of which "
                                               "path?");
        g.wanted = argv[optind++];
        if (!is_property(g.wanted))
                return tool_usage_error("get", "there is no property '%s'",
                                        g.wanted);
        status = tool_each_path(argc - optind, argv + optind, false, show_path,
                                &g);
        if (g.found != NULL) {
                json_t *result = json_pack("{s:i, s:o}", "output_version",
                                           DESCRIBE_VERSION, "properties",
                                           g.found);

                json_dumpf(result, stdout, JSON_INDENT(2));
                putchar('\n');
                json_decref(result);
        }
        return status;
}
