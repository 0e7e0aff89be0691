/* test_bytes.c - buffers, cursors, arenas, errors, and the names of the codec. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "codec/types.h"
#include "common/arena.h"
#include "common/bytes.h"
#include "common/error.h"

/* ---- bytes and cursors ---------------------------------------------------------- */

static const uint64_t numbers[] = {
        0, 1, 127, 128, 255, 300, 16383, 16384, UINT32_MAX, (uint64_t) 1 << 62, INT64_MAX,
        (uint64_t) INT64_MAX + 1, UINT64_MAX,
};
#define NUMBERS (sizeof numbers / sizeof *numbers)

static void
test_numbers_come_back(void **state)
{
        struct bytes b = { 0 };

        (void) state;
        for (size_t i = 0; i < NUMBERS; i++) {
                bytes_put_u8(&b, (uint8_t) numbers[i]);
                bytes_put_u16(&b, (uint16_t) numbers[i]);
                bytes_put_u32(&b, (uint32_t) numbers[i]);
                bytes_put_u64(&b, numbers[i]);
                bytes_put_varint(&b, numbers[i]);
                bytes_put_signed(&b, (int64_t) numbers[i]);
                bytes_put_f64(&b, (double) numbers[i] * -0.1);
        }
        assert_false(b.failed);
        struct cursor c = cursor_of(b.data, b.size);
        for (size_t i = 0; i < NUMBERS; i++) {
                assert_int_equal(cursor_u8(&c), (uint8_t) numbers[i]);
                assert_int_equal(cursor_u16(&c), (uint16_t) numbers[i]);
                assert_int_equal(cursor_u32(&c), (uint32_t) numbers[i]);
                assert_true(cursor_u64(&c) == numbers[i]);
                assert_true(cursor_varint(&c) == numbers[i]);
                assert_true(cursor_signed(&c) == (int64_t) numbers[i]);
                assert_true(cursor_f64(&c) == (double) numbers[i] * -0.1);
        }
        assert_false(c.failed);
        assert_int_equal(cursor_left(&c), 0);
        bytes_free(&b);
        assert_null(b.data);
}

static void
test_little_endian(void **state)
{
        static const uint8_t expected[] = { 0x34, 0x12, 0x78, 0x56, 0x34, 0x12, 0xac, 0x02, 0x03 };
        struct bytes b = { 0 };

        (void) state;
        bytes_put_u16(&b, 0x1234);
        bytes_put_u32(&b, 0x12345678);
        bytes_put_varint(&b, 300);
        bytes_put_signed(&b, -2);
        assert_int_equal(b.size, sizeof expected);
        assert_memory_equal(b.data, expected, sizeof expected);
        bytes_free(&b);
}

/* Reading past the end fails, sticks, and gives zeros. */
static void
test_cursor_ends(void **state)
{
        static const uint8_t data[3] = { 1, 2, 3 };
        struct cursor        c = cursor_of(data, sizeof data);

        (void) state;
        assert_int_equal(cursor_u16(&c), 0x0201);
        assert_int_equal(cursor_u32(&c), 0);
        assert_true(c.failed);
        assert_int_equal(cursor_u8(&c), 0);
        assert_null(cursor_take(&c, 0));
        c = cursor_of(NULL, 0);
        assert_int_equal(cursor_u8(&c), 0);
        assert_true(c.failed);
        c = cursor_of(data, sizeof data);
        assert_null(cursor_take(&c, SIZE_MAX));
        assert_true(c.failed);
}

static void
test_bad_varints(void **state)
{
        static const uint8_t endless[11] = {
                0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0,
        };
        static const uint8_t too_large[10] = {
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
        };
        struct cursor c = cursor_of(endless, sizeof endless);

        (void) state;
        assert_true(cursor_varint(&c) == 0 && c.failed);
        c = cursor_of(too_large, sizeof too_large);
        assert_true(cursor_varint(&c) == 0 && c.failed);
        c = cursor_of(endless, 3);
        assert_true(cursor_varint(&c) == 0 && c.failed);
        c = cursor_of("\x05", 1);
        assert_int_equal(cursor_varint_max(&c, 5), 5);
        c = cursor_of("\x05", 1);
        assert_true(cursor_varint_max(&c, 4) == 0 && c.failed);
}

static void
test_buffers_grow_and_fail(void **state)
{
        struct bytes b = { 0 };

        (void) state;
        for (unsigned i = 0; i < 100000; i++)
                bytes_put_u8(&b, (uint8_t) i);
        assert_int_equal(b.size, 100000);
        for (unsigned i = 0; i < 100000; i++)
                assert_int_equal(b.data[i], (uint8_t) i);
        uint8_t *before = b.data;
        bytes_clear(&b);
        assert_int_equal(b.size, 0);
        assert_ptr_equal(b.data, before);
        assert_null(bytes_reserve(&b, SIZE_MAX / 2));
        assert_true(b.failed);
        bytes_put_u8(&b, 1);            /* a failed buffer stays failed */
        assert_int_equal(b.size, 0);
        bytes_free(&b);
}

static void
test_zigzag(void **state)
{
        static const int64_t values[] = { 0, -1, 1, -2, 2, INT64_MAX, INT64_MIN };

        (void) state;
        for (size_t i = 0; i < 5; i++)
                assert_true(zigzag_encode(values[i]) == i);
        for (size_t i = 0; i < sizeof values / sizeof *values; i++)
                assert_true(zigzag_decode(zigzag_encode(values[i])) == values[i]);
}

/* ---- arenas ------------------------------------------------------------------------ */

static void
test_arena(void **state)
{
        struct arena      a = { 0 };
        struct arena_mark start = arena_mark(&a);

        (void) state;
        for (int round = 0; round < 3; round++) {
                uint8_t *last = NULL;
                for (size_t size = 1; size < (size_t) 8 << 20; size *= 3) {
                        uint8_t *p = arena_alloc(&a, size);
                        assert_non_null(p);
                        assert_int_equal((uintptr_t) p % 64, 0);
                        memset(p, (int) size, size);
                        if (last != NULL)       /* the piece before is untouched */
                                assert_int_equal(last[0], (uint8_t) (size / 3));
                        last = p;
                }
                struct arena_mark middle = arena_mark(&a);
                uint8_t *p = arena_alloc(&a, 100);
                arena_release(&a, middle);
                assert_ptr_equal(arena_alloc(&a, 100), p);
                arena_release(&a, start);
        }
        assert_null(arena_alloc(&a, SIZE_MAX / 2));
        assert_null(arena_array(&a, SIZE_MAX / 8, 16));
        assert_non_null(arena_array(&a, 10, 16));
        arena_free(&a);
        assert_null(a.current);
        arena_free(&a);
}

/* ---- errors -------------------------------------------------------------------------- */

static void *
other_thread(void *unused)
{
        (void) unused;
        assert_string_equal(caefs_detail(), "");
        assert_int_equal(caefs_fail(CAEFS_ERR_BUSY, "theirs"), CAEFS_ERR_BUSY);
        return NULL;
}

static void
test_errors(void **state)
{
        pthread_t thread;

        (void) state;
        for (int e = 0; e < CAEFS_ERR_COUNT; e++) {
                assert_non_null(caefs_err_text((enum caefs_err) e));
                assert_true(strlen(caefs_err_text((enum caefs_err) e)) > 0);
                assert_int_equal(caefs_err_errno((enum caefs_err) e) == 0, e == CAEFS_OK);
        }
        assert_int_equal(caefs_err_from_errno(0), CAEFS_OK);
        assert_int_equal(caefs_err_from_errno(EIO), CAEFS_ERR_IO);
        assert_int_equal(caefs_err_from_errno(ENOSPC), CAEFS_ERR_NO_SPACE);
        assert_int_equal(caefs_err_from_errno(ENOENT), CAEFS_ERR_NO_ENTRY);
        assert_int_equal(caefs_err_from_errno(EDOM), CAEFS_ERR_IO);

        assert_int_equal(caefs_fail(CAEFS_ERR_LIMIT, "%d of %s", 3, "four"), CAEFS_ERR_LIMIT);
        assert_string_equal(caefs_detail(), "3 of four");
        assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
        pthread_join(thread, NULL);
        assert_string_equal(caefs_detail(), "3 of four");
        /* A sentence may be made from the sentence before it. */
        caefs_fail(CAEFS_ERR_LIMIT, "again");
        errno = ENOSPC;
        assert_int_equal(caefs_fail_errno("writing"), CAEFS_ERR_NO_SPACE);
        assert_int_equal(errno, ENOSPC);
        assert_non_null(strstr(caefs_detail(), "writing: "));
        caefs_detail_clear();
        assert_string_equal(caefs_detail(), "");
}

/* ---- names ------------------------------------------------------------------------------ */

static void
test_dtypes(void **state)
{
        (void) state;
        for (int i = 1; i < DTYPE_COUNT; i++) {
                enum dtype t;
                bool       big;
                char       text[32];
                snprintf(text, sizeof text, "%s:be", dtype_name((enum dtype) i));
                assert_true(dtype_parse(text, &t, &big));
                assert_int_equal(t, i);
                assert_true(big);
                text[strlen(text) - 3] = '\0';
                assert_true(dtype_parse(text, &t, &big));
                assert_false(big);
                assert_true(dtype_size(t) >= 1 && dtype_size(t) <= 8);
        }
        enum dtype t;
        bool       big;
        assert_false(dtype_parse("f33", &t, &big));
        assert_false(dtype_parse("f32:xx", &t, &big));
        assert_false(dtype_parse("", &t, &big));
        assert_int_equal(dtype_size(DTYPE_COUNT), 0);
        assert_true(dtype_is_float(DTYPE_BF16));
        assert_false(dtype_is_float(DTYPE_I32));
}

static void
test_shape_count(void **state)
{
        struct shape s = { .ndim = 0 };

        (void) state;
        assert_int_equal(shape_count(&s), 1);
        s = (struct shape) { 3, { 2, 3, 4 } };
        assert_int_equal(shape_count(&s), 24);
        s = (struct shape) { 2, { (uint64_t) 1 << 32, (uint64_t) 1 << 31 } };
        assert_int_equal(shape_count(&s), 0);
        s = (struct shape) { 2, { (uint64_t) 1 << 32, (uint64_t) 1 << 30 } };
        assert_true(shape_count(&s) == (uint64_t) 1 << 62);
}

static void
test_bounds(void **state)
{
        static const char *const good[] = {
                "lossless", "abs:0.001", "rel:1e-05", "pwrel:0.1", "psnr:60", "abs:5e-324",
                "abs:1.7976931348623157e+308", "rel:0.30000000000000004",
        };
        static const char *const bad[] = {
                "", "lossless:1", "abs", "abs:", "abs:0", "abs:-1", "abs:nan", "abs:inf",
                "abs:1x", "rel 1", "absolute:1", "pwrel:1e400",
        };
        struct bound b;
        char         text[32];

        (void) state;
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
                assert_true(bound_parse(good[i], &b));
                bound_format(&b, text);
                assert_string_equal(text, good[i]);
        }
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                caefs_detail_clear();
                assert_false(bound_parse(bad[i], &b));
                assert_true(*caefs_detail() != '\0');
        }
}

static void
test_scopes_and_efforts(void **state)
{
        enum scope  s;
        enum effort e;

        (void) state;
        for (int i = 0; i < 3; i++) {
                assert_true(scope_parse(scope_name((enum scope) i), &s));
                assert_int_equal(s, i);
                assert_true(effort_parse(effort_name((enum effort) i), &e));
                assert_int_equal(e, i);
        }
        assert_false(scope_parse("rows", &s));
        assert_false(effort_parse("some", &e));
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers_come_back),
                cmocka_unit_test(test_little_endian),
                cmocka_unit_test(test_cursor_ends),
                cmocka_unit_test(test_bad_varints),
                cmocka_unit_test(test_buffers_grow_and_fail),
                cmocka_unit_test(test_zigzag),
                cmocka_unit_test(test_arena),
                cmocka_unit_test(test_errors),
                cmocka_unit_test(test_dtypes),
                cmocka_unit_test(test_shape_count),
                cmocka_unit_test(test_bounds),
                cmocka_unit_test(test_scopes_and_efforts),
        };

        return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
