/*
 * caefs set - gives files and directories properties.
 */

#include <getopt.h>
#include <string.h>

#include "tools/path.h"

const char help_set[] =
        "Usage: caefs set [OPTION...] PROPERTY=VALUE... PATH...\n"
        "\n"
        "Sets properties of files and directories.  What is below inherits\n"
        "them.  They hold for what is written from now on; what is stored\n"
        "stays as it is.  PATH is on a mount, or STORE:/path.\n"
        "\n"
        "  bound=B       how far a value may be off: lossless, abs:E, rel:E,\n"
        "                pwrel:E or psnr:DB\n"
        "  scope=S       what rel and psnr are relative to: array, column or\n"
        "                channel\n"
        "  effort=E      fast, balanced or max\n"
        "  codec=C       auto, or one family\n"
        "  model=HASH    the model that new files use\n"
        "  dtype=T       of raw files: f16, bf16, f32 or f64, and :be\n"
        "  dims=N,N,...  of raw files, slowest first\n"
        "  layout=L      auto, raw or opaque\n"
        "  seal=S        close, idle:SECONDS or manual\n"
        "  chunk=BYTES   raw bytes of a chunk\n"
        "\n"
        TOOL_COMMON_HELP;

struct assignments {
        char **text; /* "name=value" */
        int n;
};

static enum caefs_err set_one(const struct tool_path *p, const char *text)
{
        const size_t length = strcspn(text, "=");
        char name[64];

        if (length >= sizeof name)
                return caefs_fail(CAEFS_ERR_ARGUMENT,
                                  "there is no property '%.*s'", (int)length,
                                  text);
        memcpy(name, text, length);
        name[length] = '\0';
        return tool_property_set(p, name, text + length + 1);
}

static enum caefs_err set_all(void *context, const struct tool_path *p)
{
        const struct assignments *a = context;
        enum caefs_err err = CAEFS_OK;
        int i;

        for (i = 0; i < a->n && err == CAEFS_OK; i++)
                err = set_one(p, a->text[i]);
        return err;
}

/* A path may hold "=" too; then a "/" comes first. */
static bool is_assignment(const char *text)
{
        const char *equals = strchr(text, '=');
        const char *slash = strchr(text, '/');

        return equals != NULL && equals != text &&
               (slash == NULL || equals < slash);
}

int cmd_set(int argc, char **argv)
{
        static const struct option options[] = {
                TOOL_COMMON_LONG_OPTIONS,
                { 0 },
        };
        struct assignments a = { 0 };
        int c;

        while ((c = getopt_long(argc, argv, TOOL_COMMON_SHORT_OPTIONS,
                                options, NULL)) != -1)
                if (!tool_common_option(c))
                        return TOOL_USAGE;
        a.text = argv + optind;
        while (optind + a.n < argc && is_assignment(a.text[a.n]))
                a.n++;
        if (a.n == 0)
                return tool_usage_error("set", "which property?");
        optind += a.n;
        if (optind == argc)
                return tool_usage_error("set", "which path?");
        return tool_each_path(argc - optind, argv + optind, true, set_all, &a);
}
