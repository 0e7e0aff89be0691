/* codec/npy.c - reading and writing the header of .npy files.
 *
 * The header is a Python literal, and we read as much of Python as NumPy's own
 * writers have ever produced: quoted strings, True and False, tuples of integers. */
#include "codec/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const uint8_t magic[6] = { 0x93, 'N', 'U', 'M', 'P', 'Y' };

/* Longest text of 'descr' that we know; a longer one is no number. */
#define DESCR_MAX 15

/* ---- a little of Python's grammar --------------------------------------- */

struct text {
        const char *at;
        const char *end;
};

static void
skip_spaces(struct text *t)
{
        while (t->at < t->end && (*t->at == ' ' || *t->at == '\t' || *t->at == '\n'))
                t->at++;
}

/* Takes C if it comes next. */
static bool
take(struct text *t, char c)
{
        skip_spaces(t);
        if (t->at == t->end || *t->at != c)
                return false;
        t->at++;
        return true;
}

/* A string in either quotes, at most MAX bytes, no escapes. */
static bool
take_string(struct text *t, char *out, size_t max)
{
        size_t n = 0;

        skip_spaces(t);
        if (t->at == t->end || (*t->at != '\'' && *t->at != '"'))
                return false;
        char quote = *t->at++;
        while (t->at < t->end && *t->at != quote) {
                if (n == max || *t->at == '\\')
                        return false;
                out[n++] = *t->at++;
        }
        if (t->at == t->end)
                return false;
        t->at++;
        out[n] = '\0';
        return true;
}

static bool
take_bool(struct text *t, bool *out)
{
        static const char *const words[2] = { "False", "True" };

        skip_spaces(t);
        for (int i = 0; i < 2; i++) {
                size_t n = strlen(words[i]);
                if ((size_t) (t->end - t->at) < n || memcmp(t->at, words[i], n) != 0)
                        continue;
                t->at += n;
                *out = i == 1;
                return true;
        }
        return false;
}

/* A decimal integer that fits 63 bits; Python 2 wrote an L after it. */
static bool
take_integer(struct text *t, uint64_t *out)
{
        uint64_t v = 0;

        skip_spaces(t);
        const char *start = t->at;
        for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++)
                if (__builtin_mul_overflow(v, 10, &v) ||
                    __builtin_add_overflow(v, (uint64_t) (*t->at - '0'), &v) || v >> 63 != 0)
                        return false;
        if (t->at == start)
                return false;
        if (t->at < t->end && *t->at == 'L')
                t->at++;
        *out = v;
        return true;
}

/* "(3, 4)", "(3,)", "()". */
static bool
take_shape(struct text *t, struct shape *s)
{
        s->ndim = 0;
        if (!take(t, '('))
                return false;
        while (!take(t, ')')) {
                if (s->ndim == SHAPE_MAX_DIMENSIONS || !take_integer(t, &s->extent[s->ndim]))
                        return false;
                s->ndim++;
                if (!take(t, ',')) {
                        if (!take(t, ')'))
                                return false;
                        break;
                }
        }
        return true;
}

/* ---- the dictionary ------------------------------------------------------ */

enum { SEEN_DESCR = 1, SEEN_FORTRAN = 2, SEEN_SHAPE = 4, SEEN_ALL = 7 };

/* One "key: value"; *SEEN says which have come.  A key that comes twice, or that
 * we do not know, makes the header unusable. */
static bool
take_entry(struct text *t, char descr[DESCR_MAX + 1], struct npy_header *h, unsigned *seen)
{
        char     key[16];
        unsigned which;
        bool     ok;

        if (!take_string(t, key, sizeof key - 1) || !take(t, ':'))
                return false;
        if (strcmp(key, "descr") == 0) {
                which = SEEN_DESCR;
                ok = take_string(t, descr, DESCR_MAX);
        } else if (strcmp(key, "fortran_order") == 0) {
                which = SEEN_FORTRAN;
                ok = take_bool(t, &h->fortran);
        } else if (strcmp(key, "shape") == 0) {
                which = SEEN_SHAPE;
                ok = take_shape(t, &h->shape);
        } else {
                return false;
        }
        ok = ok && (*seen & which) == 0;
        *seen |= which;
        return ok;
}

static bool
parse_dictionary(struct text *t, char descr[DESCR_MAX + 1], struct npy_header *h)
{
        unsigned seen = 0;

        if (!take(t, '{'))
                return false;
        while (!take(t, '}')) {
                if (!take_entry(t, descr, h, &seen))
                        return false;
                if (!take(t, ',')) {
                        if (!take(t, '}'))
                                return false;
                        break;
                }
        }
        skip_spaces(t);
        return seen == SEEN_ALL && t->at == t->end;
}

/* ---- dtypes --------------------------------------------------------------- */

/* What follows the byte order in 'descr'.  Booleans are bytes of 0 and 1; a
 * complex number is two floats; dates and durations are 64-bit integers. */
static const struct {
        const char *code;
        enum dtype  dtype;
        bool        complex;
} codes[] = {
        { "f8", DTYPE_F64, false }, { "f4", DTYPE_F32, false }, { "f2", DTYPE_F16, false },
        { "i1", DTYPE_I8, false },  { "i2", DTYPE_I16, false }, { "i4", DTYPE_I32, false },
        { "i8", DTYPE_I64, false }, { "u1", DTYPE_U8, false },  { "u2", DTYPE_U16, false },
        { "u4", DTYPE_U32, false }, { "u8", DTYPE_U64, false }, { "b1", DTYPE_U8, false },
        { "c8", DTYPE_F32, true },  { "c16", DTYPE_F64, true }, { "M8", DTYPE_I64, false },
        { "m8", DTYPE_I64, false },
};

/* A unit may follow a date: "M8[ns]". */
static bool
code_matches(const char *text, const char *code)
{
        size_t n = strlen(code);

        return strncmp(text, code, n) == 0 &&
               (text[n] == '\0' || (text[n] == '[' && (code[0] == 'M' || code[0] == 'm')));
}

static bool
parse_descr(const char *descr, struct npy_header *h, bool *complex)
{
        if (strchr("<>|=", descr[0]) == NULL || descr[0] == '\0')
                return false;
        for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
                if (!code_matches(descr + 1, codes[i].code))
                        continue;
                h->dtype = codes[i].dtype;
                h->big_endian = descr[0] == '>' && dtype_size(h->dtype) > 1;
                *complex = codes[i].complex;
                return true;
        }
        return false;
}

/* From the header's order to memory's, with the two parts of complex numbers. */
static bool
shape_in_memory(struct npy_header *h, bool complex)
{
        struct shape *s = &h->shape;

        for (unsigned i = 0; h->fortran && i < s->ndim / 2; i++) {
                uint64_t swap = s->extent[i];
                s->extent[i] = s->extent[s->ndim - 1 - i];
                s->extent[s->ndim - 1 - i] = swap;
        }
        if (complex) {
                if (s->ndim == SHAPE_MAX_DIMENSIONS)
                        return false;
                s->extent[s->ndim++] = 2;
        }
        for (unsigned i = 0; i < s->ndim; i++)
                if (s->extent[i] == 0)
                        return false;
        return shape_count(s) != 0;
}

/* Version and length at C: where the dictionary lies. */
static bool
find_dictionary(struct cursor *c, struct text *t)
{
        const uint8_t *start = cursor_take(c, sizeof magic);

        if (start == NULL || memcmp(start, magic, sizeof magic) != 0)
                return false;
        unsigned major = cursor_u8(c);
        unsigned minor = cursor_u8(c);
        if (major < 1 || major > 3 || minor != 0)
                return false;
        size_t length = major == 1 ? cursor_u16(c) : cursor_u32(c);
        if (c->failed || length > cursor_left(c))
                return false;
        t->at = (const char *) cursor_take(c, length);
        t->end = t->at + length;
        return true;
}

bool
npy_parse(const void *data, size_t size, struct npy_header *h)
{
        if (size > NPY_HEADER_MAX)
                size = NPY_HEADER_MAX;
        struct cursor c = cursor_of(data, size);
        struct text   t;
        char          descr[DESCR_MAX + 1];
        bool          complex;

        *h = (struct npy_header) { 0 };
        if (!find_dictionary(&c, &t) || !parse_dictionary(&t, descr, h) ||
            !parse_descr(descr, h, &complex))
                return false;
        h->size = (size_t) (c.at - (const uint8_t *) data);
        return shape_in_memory(h, complex);
}

/* ---- writing -------------------------------------------------------------- */

/* The code NumPy writes for plain numbers of DTYPE; NULL when it has none. */
static const char *
code_of(enum dtype dtype)
{
        for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
                if (codes[i].dtype == dtype && !codes[i].complex)
                        return codes[i].code;
        return NULL;
}

/* Room for the longest dictionary: 8 extents of 19 digits and its words. */
#define DICTIONARY_MAX 320

/* NumPy leaves room for this many digits of the extent along which a file grows. */
#define GROWTH_DIGITS 21

/* Writes the dictionary without padding; its length.  *GROWTH is the number of
 * spaces that newer versions of NumPy add to it. */
static size_t
write_dictionary(const struct npy_header *h, char text[DICTIONARY_MAX], size_t *growth)
{
        const struct shape *s = &h->shape;
        char   order = dtype_size(h->dtype) == 1 ? '|' : h->big_endian ? '>' : '<';
        size_t n = (size_t) snprintf(text, DICTIONARY_MAX,
                                     "{'descr': '%c%s', 'fortran_order': %s, 'shape': (", order,
                                     code_of(h->dtype), h->fortran ? "True" : "False");

        for (unsigned i = 0; i < s->ndim; i++) {
                uint64_t extent = s->extent[h->fortran ? s->ndim - 1 - i : i];
                n += (size_t) snprintf(text + n, DICTIONARY_MAX - n, "%s%" PRIu64,
                                       i == 0 ? "" : ", ", extent);
        }
        n += (size_t) snprintf(text + n, DICTIONARY_MAX - n, "%s), }", s->ndim == 1 ? "," : "");

        /* The first extent; in Fortran's order the last: memory's slowest either way. */
        char digits[24];
        *growth = s->ndim == 0 ? 0 : GROWTH_DIGITS - (size_t) snprintf(
                digits, sizeof digits, "%" PRIu64, s->extent[0]);
        return n;
}

void
npy_write(const struct npy_header *h, enum npy_padding padding, struct bytes *out)
{
        static const uint8_t version[2] = { 1, 0 };
        char   text[DICTIONARY_MAX];
        size_t growth;
        size_t n = write_dictionary(h, text, &growth);
        size_t align = padding == NPY_PAD_16 ? 16 : 64;
        size_t used = sizeof magic + 4 + n + (padding == NPY_PAD_GROWTH ? growth : 0) + 1;
        size_t total = (used + align - 1) / align * align;

        bytes_put(out, magic, sizeof magic);
        bytes_put(out, version, sizeof version);
        bytes_put_u16(out, (uint16_t) (total - sizeof magic - 4));
        bytes_put(out, text, n);
        for (size_t i = sizeof magic + 4 + n; i + 1 < total; i++)
                bytes_put_u8(out, ' ');
        bytes_put_u8(out, '\n');
}

enum npy_padding
npy_padding_of(const struct npy_header *h, const void *data)
{
        enum npy_padding found = NPY_OTHER;

        if (h->dtype == DTYPE_BYTES || code_of(h->dtype) == NULL)
                return NPY_OTHER;
        for (int p = NPY_PAD_64; p <= NPY_PAD_16 && found == NPY_OTHER; p++) {
                struct bytes made = { 0 };
                npy_write(h, (enum npy_padding) p, &made);
                if (!made.failed && made.size == h->size &&
                    memcmp(made.data, data, made.size) == 0)
                        found = (enum npy_padding) p;
                bytes_free(&made);
        }
        return found;
}
