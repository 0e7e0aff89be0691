/* What the commands share: the text of sizes and times, exit statuses. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/tool.h"

static void test_tool_format_bytes(void **state)
{
        char out[TOOL_SIZE_MAX];

        (void)state;
        assert_string_equal(tool_format_bytes(out, 0), "0 B");
        assert_string_equal(tool_format_bytes(out, 1023), "1023 B");
        assert_string_equal(tool_format_bytes(out, 1536), "1.5 KiB");
        assert_string_equal(tool_format_bytes(out, UINT64_MAX), "16.0 EiB");
}

static void test_tool_format_ratio(void **state)
{
        char out[TOOL_SIZE_MAX];

        (void)state;
        assert_string_equal(tool_format_ratio(out, 1000, 80), "12.50x");
        assert_string_equal(tool_format_ratio(out, 1000, 0), "-");
}

static void test_tool_format_seconds(void **state)
{
        char out[TOOL_SIZE_MAX];

        (void)state;
        assert_string_equal(tool_format_seconds(out, 4.12), "4.1 s");
        assert_string_equal(tool_format_seconds(out, 187.9), "3:07");
        assert_string_equal(tool_format_seconds(out, 7387), "2:03:07");
        /* No time left can be estimated from a rate near zero. */
        tool_format_seconds(out, 1e300);
}

static void test_tool_exit_for(void **state)
{
        (void)state;
        assert_int_equal(tool_exit_for(CAEFS_OK), TOOL_OK);
        assert_int_equal(tool_exit_for(CAEFS_ERR_ARGUMENT), TOOL_USAGE);
        assert_int_equal(tool_exit_for(CAEFS_ERR_CORRUPT), TOOL_DATA);
        assert_int_equal(tool_exit_for(CAEFS_ERR_BOUND), TOOL_DATA);
        assert_int_equal(tool_exit_for(CAEFS_ERR_NO_SPACE), TOOL_SYSTEM);
        assert_int_equal(tool_exit_for(CAEFS_ERR_ACCESS), TOOL_SYSTEM);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tool_format_bytes),
                cmocka_unit_test(test_tool_format_ratio),
                cmocka_unit_test(test_tool_format_seconds),
                cmocka_unit_test(test_tool_exit_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
