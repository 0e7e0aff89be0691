/* test_layout.c - where the values of a file lie, and headers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/layout.h"
#include "codec/npy.h"
#include "common/bytes.h"

static enum caefs_err
read_memory(void *context, void *buffer, size_t n, uint64_t offset)
{
        const struct bytes *b = context;

        assert_true(offset <= b->size && n <= b->size - offset);
        memcpy(buffer, b->data + offset, n);
        return CAEFS_OK;
}

static enum caefs_err
read_nothing(void *context, void *buffer, size_t n, uint64_t offset)
{
        (void) context, (void) buffer, (void) n, (void) offset;
        return caefs_fail(CAEFS_ERR_IO, "the disk is gone");
}

/* The layout of B; regions cover it without gaps, whatever it holds. */
static struct layout
detect(struct bytes *b, const struct layout_hint *hint)
{
        const struct byte_source source = { .read = read_memory, .context = b, .size = b->size };
        struct layout            l;
        uint64_t                 at = 0;

        assert_int_equal(layout_detect(&source, hint, &l), CAEFS_OK);
        for (size_t i = 0; i < l.nregions; i++) {
                const struct region *r = &l.region[i];
                assert_int_equal(r->offset, at);
                assert_true(r->length > 0);
                if (r->dtype != DTYPE_BYTES)
                        assert_int_equal(r->length,
                                         shape_count(&r->shape) * dtype_size(r->dtype));
                else
                        assert_int_equal(r->shape.ndim, 0);
                at += r->length;
        }
        assert_int_equal(at, b->size);
        return l;
}

/* A .npy file with this dictionary and PAYLOAD zero bytes. */
static void
make_file(struct bytes *b, unsigned version, const char *dictionary, size_t payload)
{
        size_t n = strlen(dictionary);

        bytes_clear(b);
        bytes_put(b, "\x93NUMPY", 6);
        bytes_put_u8(b, (uint8_t) version);
        bytes_put_u8(b, 0);
        if (version == 1)
                bytes_put_u16(b, (uint16_t) n);
        else
                bytes_put_u32(b, (uint32_t) n);
        bytes_put(b, dictionary, n);
        for (size_t i = 0; i < payload; i++)
                bytes_put_u8(b, 0);
}

#define DICTIONARY(DESCR, FORTRAN, SHAPE) \
        "{'descr': '" DESCR "', 'fortran_order': " FORTRAN ", 'shape': " SHAPE ", }\n"

static void
test_npy_dtypes(void **state)
{
        static const struct {
                const char *dictionary;
                enum dtype  dtype;
                bool        big_endian;
                unsigned    value_bytes;        /* of a number: a complex one is two values */
        } cases[] = {
                { DICTIONARY("<f8", "False", "(3, 4)"), DTYPE_F64, false, 8 },
                { DICTIONARY(">f4", "False", "(3, 4)"), DTYPE_F32, true, 4 },
                { DICTIONARY("<f2", "False", "(3, 4)"), DTYPE_F16, false, 2 },
                { DICTIONARY("|b1", "False", "(3, 4)"), DTYPE_U8, false, 1 },
                { DICTIONARY("|i1", "False", "(3, 4)"), DTYPE_I8, false, 1 },
                { DICTIONARY(">u1", "False", "(3, 4)"), DTYPE_U8, false, 1 },
                { DICTIONARY(">i2", "False", "(3, 4)"), DTYPE_I16, true, 2 },
                { DICTIONARY("<u8", "False", "(3, 4)"), DTYPE_U64, false, 8 },
                { DICTIONARY("<c8", "False", "(3, 4)"), DTYPE_F32, false, 8 },
                { DICTIONARY(">c16", "False", "(3, 4)"), DTYPE_F64, true, 16 },
                { DICTIONARY("<M8[ns]", "False", "(3, 4)"), DTYPE_I64, false, 8 },
        };
        struct bytes b = { 0 };

        (void) state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                for (unsigned version = 1; version <= 3; version++) {
                        make_file(&b, version, cases[i].dictionary, 12 * cases[i].value_bytes);
                        struct layout l = detect(&b, NULL);
                        assert_string_equal(l.format, "npy");
                        assert_int_equal(l.nregions, 2);
                        assert_int_equal(l.region[1].dtype, cases[i].dtype);
                        assert_int_equal(l.region[1].big_endian, cases[i].big_endian);
                        assert_int_equal(l.region[1].shape.extent[0], 3);
                        assert_int_equal(l.region[1].shape.extent[1], 4);
                        layout_free(&l);
                }
        bytes_free(&b);
}

static void
test_npy_orders_and_spelling(void **state)
{
        static const struct {
                const char *dictionary;
                unsigned    ndim;
                uint64_t    first;
                bool        fortran;
        } cases[] = {
                { DICTIONARY("<f4", "True", "(2, 3, 4)"), 3, 4, true },
                { DICTIONARY("<f4", "False", "(24,)"), 1, 24, false },
                { DICTIONARY("<f4", "False", "(24L,)"), 1, 24, false },
                { "{\"shape\":(4,6),\"descr\":\"<f4\",\"fortran_order\":False}", 2, 4, false },
                { "{ 'fortran_order' : False , 'shape' : ( 4 , 6 ) , 'descr' : '<f4' }   \n", 2, 4,
                  false },
        };
        struct bytes b = { 0 };

        (void) state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                make_file(&b, 1, cases[i].dictionary, 96);
                struct layout l = detect(&b, NULL);
                assert_string_equal(l.format, "npy");
                assert_int_equal(l.region[1].shape.ndim, cases[i].ndim);
                assert_int_equal(l.region[1].shape.extent[0], cases[i].first);
                assert_int_equal(l.region[1].fortran, cases[i].fortran);
                layout_free(&l);
        }
        make_file(&b, 1, DICTIONARY("<f4", "False", "()"), 4);
        struct layout l = detect(&b, NULL);
        assert_int_equal(l.region[1].length, 4);
        layout_free(&l);
        bytes_free(&b);
}

/* Headers that lie or that we do not know make the file opaque, never an error. */
static void
test_npy_hostile(void **state)
{
        static const char *const dictionaries[] = {
                "", "{", "{}", "{'descr'", "{'descr': '<f4'}",
                DICTIONARY("<f4", "False", "(25,)"),            /* one value too many */
                DICTIONARY("<f4", "False", "(0,)"),
                DICTIONARY("<f4", "False", "(-24,)"),
                DICTIONARY("<f4", "False", "(4294967296, 4294967296)"),
                DICTIONARY("<f4", "False", "(9223372036854775808,)"),
                DICTIONARY("<f4", "False", "(99999999999999999999999,)"),
                DICTIONARY("<f8", "False", "(2305843009213693952,)"),
                DICTIONARY("<f4", "False", "(1,1,1,1,1,1,1,1,24)"),
                DICTIONARY("<f4", "False", "(2,3,4"),
                DICTIONARY("<f4", "False", "24"),
                DICTIONARY("<f4", "Maybe", "(24,)"),
                DICTIONARY("<f16", "False", "(24,)"),
                DICTIONARY("<f3", "False", "(24,)"),
                DICTIONARY("|O", "False", "(24,)"),
                DICTIONARY("<U4", "False", "(6,)"),
                DICTIONARY("f4", "False", "(24,)"),
                DICTIONARY("", "False", "(24,)"),
                DICTIONARY("<f4aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "False", "(24,)"),
                "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (24,), }\n",
                "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (24,), }\n",
                "{'descr': '<f4', 'fortran_order': False, 'shape': (24,), 'more': True}\n",
                DICTIONARY("<f4", "False", "(24,)") "x",
                "{'descr': '<f\\x34', 'fortran_order': False, 'shape': (24,), }\n",
        };
        struct bytes b = { 0 };

        (void) state;
        for (size_t i = 0; i < sizeof dictionaries / sizeof *dictionaries; i++) {
                make_file(&b, 1, dictionaries[i], 96);
                struct layout l = detect(&b, NULL);
                assert_string_equal(l.format, "opaque");
                assert_int_equal(l.nregions, 1);
                layout_free(&l);
        }
        bytes_free(&b);
}

/* Cut anywhere, a file is opaque, unless all values are still there. */
static void
test_npy_truncated(void **state)
{
        struct bytes b = { 0 };

        (void) state;
        make_file(&b, 1, DICTIONARY("<f4", "False", "(24,)"), 96);
        size_t whole = b.size;
        for (b.size = 0; b.size < whole; b.size++) {
                struct layout l = detect(&b, NULL);
                assert_string_equal(l.format, "opaque");
                assert_int_equal(l.nregions, b.size > 0);
                layout_free(&l);
        }
        bytes_put(&b, "more", 4);
        struct layout l = detect(&b, NULL);
        assert_int_equal(l.nregions, 3);
        assert_int_equal(l.region[2].length, 4);
        layout_free(&l);
        bytes_free(&b);
}

/* Every header NumPy has written for plain numbers is made again byte for byte. */
static void
test_npy_headers_are_made_again(void **state)
{
        static const struct {
                const char      *text;
                size_t           align;
                enum npy_padding padding;
        } cases[] = {
                { "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }", 64, NPY_PAD_64 },
                { "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }", 16, NPY_PAD_16 },
                { "{'descr': '>f4', 'fortran_order': True, 'shape': (24,), }", 64, NPY_PAD_64 },
                { "{'descr': '|i1', 'fortran_order': False, 'shape': (), }", 64, NPY_PAD_64 },
                { "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }", 1, NPY_OTHER },
                { "{'shape': (3, 4), 'descr': '<f8', 'fortran_order': False, }", 64, NPY_OTHER },
                { "{'descr': '|b1', 'fortran_order': False, 'shape': (24,), }", 64, NPY_OTHER },
        };
        struct bytes b = { 0 }, again = { 0 };

        (void) state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct npy_header h;
                char text[200];
                int  room = (int) (cases[i].align - (10 + strlen(cases[i].text) + 1) %
                                                            cases[i].align);
                snprintf(text, sizeof text, "%s%*s\n", cases[i].text,
                         room % (int) cases[i].align, "");
                make_file(&b, 1, text, 96);
                assert_true(npy_parse(b.data, b.size, &h));
                assert_int_equal(npy_padding_of(&h, b.data), cases[i].padding);
                if (cases[i].padding == NPY_OTHER)
                        continue;
                bytes_clear(&again);
                npy_write(&h, cases[i].padding, &again);
                assert_int_equal(again.size, h.size);
                assert_memory_equal(again.data, b.data, h.size);
        }
        /* With room to grow a long dictionary needs 64 bytes more. */
        struct npy_header h = { .dtype = DTYPE_F64, .shape = { 6, { 1, 20, 30, 40, 50, 60 } } };
        bytes_clear(&b);
        npy_write(&h, NPY_PAD_GROWTH, &b);
        bytes_clear(&again);
        npy_write(&h, NPY_PAD_64, &again);
        assert_int_equal(again.size, 128);
        assert_int_equal(b.size, 128);
        h.shape.extent[1] = 123456789012;
        h.shape.extent[2] = 12345678901234;
        bytes_clear(&b);
        npy_write(&h, NPY_PAD_GROWTH, &b);
        assert_int_equal(b.size, 192);
        bytes_free(&b);
        bytes_free(&again);
}

static void
test_raw(void **state)
{
        static const struct {
                struct layout_hint hint;
                size_t             size;
                enum dtype         dtype;       /* DTYPE_BYTES: opaque */
                unsigned           ndim;
        } cases[] = {
                { { .name = "a.f32" }, 96, DTYPE_F32, 1 },
                { { .name = "a.f64" }, 96, DTYPE_F64, 1 },
                { { .name = "a.d64" }, 96, DTYPE_F64, 1 },
                { { .name = "a.bf16" }, 96, DTYPE_BF16, 1 },
                { { .name = "a.f32" }, 97, DTYPE_BYTES, 0 },
                { { .name = "a.dat" }, 96, DTYPE_BYTES, 0 },
                { { .name = ".f32" }, 96, DTYPE_BYTES, 0 },
                { { .name = "a.dat", .dtype = DTYPE_F32 }, 96, DTYPE_F32, 1 },
                { { .name = "a", .dtype = DTYPE_F32 }, 96, DTYPE_F32, 1 },
                { { .dtype = DTYPE_F32 }, 96, DTYPE_F32, 1 },
                { { .name = "README.txt", .dtype = DTYPE_F32 }, 96, DTYPE_BYTES, 0 },
                { { .name = "x.txt", .dtype = DTYPE_F32, .mode = LAYOUT_RAW }, 96, DTYPE_F32, 1 },
                { { .name = "a.f32", .mode = LAYOUT_OPAQUE }, 96, DTYPE_BYTES, 0 },
                { { .dtype = DTYPE_F32, .shape = { 2, { 4, 6 } } }, 96, DTYPE_F32, 2 },
                { { .dtype = DTYPE_F32, .shape = { 2, { 4, 7 } } }, 96, DTYPE_F32, 1 },
                { { .dtype = DTYPE_F32, .shape = { 2, { UINT64_MAX, 24 } } }, 96, DTYPE_F32, 1 },
                { { .name = "a.f64", .dtype = DTYPE_F32 }, 96, DTYPE_F32, 1 },
        };
        struct bytes b = { 0 };

        (void) state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                bytes_clear(&b);
                while (b.size < cases[i].size)
                        bytes_put_u8(&b, 1);
                struct layout l = detect(&b, &cases[i].hint);
                assert_int_equal(l.nregions, 1);
                assert_int_equal(l.region[0].dtype, cases[i].dtype);
                assert_int_equal(l.region[0].shape.ndim, cases[i].ndim);
                assert_string_equal(l.format, cases[i].dtype == DTYPE_BYTES ? "opaque" : "raw");
                layout_free(&l);
        }
        bytes_free(&b);
}

/* A .npy file says itself what it is, whatever the directory says. */
static void
test_npy_before_hints(void **state)
{
        struct layout_hint hint = { .dtype = DTYPE_F64, .mode = LAYOUT_RAW, .name = "a.f64" };
        struct bytes       b = { 0 };

        (void) state;
        make_file(&b, 1, DICTIONARY("<f4", "False", "(24,)"), 96);
        struct layout l = detect(&b, &hint);
        assert_string_equal(l.format, "npy");
        layout_free(&l);
        hint.mode = LAYOUT_OPAQUE;
        l = detect(&b, &hint);
        assert_string_equal(l.format, "opaque");
        layout_free(&l);
        bytes_free(&b);
}

static void
test_failing_source(void **state)
{
        const struct byte_source source = { .read = read_nothing, .size = 100 };
        struct layout            l;

        (void) state;
        assert_int_equal(layout_detect(&source, NULL, &l), CAEFS_ERR_IO);
        assert_null(l.region);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_npy_dtypes),
                cmocka_unit_test(test_npy_orders_and_spelling),
                cmocka_unit_test(test_npy_hostile),
                cmocka_unit_test(test_npy_truncated),
                cmocka_unit_test(test_npy_headers_are_made_again),
                cmocka_unit_test(test_raw),
                cmocka_unit_test(test_npy_before_hints),
                cmocka_unit_test(test_failing_source),
        };

        return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
