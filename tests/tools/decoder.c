/* tests/tools/decoder.c - decodes an object with the library alone, for builds by other
 * compilers: decoder MODEL OBJECT OUT */
#include <stdio.h>
#include <stdlib.h>

#include "codec/model.h"
#include "codec/object.h"

struct file {
        unsigned char *data;
        size_t         size;
};

static void
quit(const char *what)
{
        fprintf(stderr, "decoder: %s: %s\n", what, caefs_detail());
        exit(1);
}

static struct file
load(const char *path)
{
        struct file f = { 0 };
        FILE *in = fopen(path, "rb");

        if (in == NULL || fseek(in, 0, SEEK_END) != 0)
                quit(path);
        f.size = (size_t) ftell(in);
        f.data = malloc(f.size + 1);
        rewind(in);
        if (f.data == NULL || fread(f.data, 1, f.size, in) != f.size)
                quit(path);
        fclose(in);
        return f;
}

static enum caefs_err
read_file(void *context, void *buffer, size_t n, uint64_t offset)
{
        memcpy(buffer, ((struct file *) context)->data + offset, n);
        return CAEFS_OK;
}

static const struct model *
find(void *context, uint64_t hash)
{
        const struct model *m = context;

        return model_hash(m) == hash ? m : NULL;
}

int
main(int argc, char **argv)
{
        struct model *m;
        struct object *o;

        if (argc != 4)
                quit("usage: decoder MODEL OBJECT OUT");
        struct file blob = load(argv[1]), coded = load(argv[2]);
        if (model_parse(blob.data, blob.size, &m) != CAEFS_OK)
                quit(argv[1]);
        const struct byte_source source = { read_file, &coded, coded.size };
        const struct object_finder finder = { .model = find, .context = m };
        if (object_open(&source, &finder, &o) != CAEFS_OK)
                quit(argv[2]);
        const size_t size = (size_t) object_info(o)->logical_bytes;
        unsigned char *out = malloc(size + 1);
        if (out == NULL || object_read(o, out, size, 0) != CAEFS_OK)
                quit(argv[2]);
        FILE *to = fopen(argv[3], "wb");
        if (to == NULL || fwrite(out, 1, size, to) != size || fclose(to) != 0)
                quit(argv[3]);
        object_close(o);
        model_free(m);
        free(out);
        free(blob.data);
        free(coded.data);
        return 0;
}
