/* Lines of the log: levels, their prefixes, what a file name may not do, the limit. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

static char text[65536];

/* The limit counts by seconds: each test begins one of its own. */
static void
begin_a_second(void)
{
        const time_t before = time(NULL);

        while (time(NULL) == before)
                usleep(1000);
}

/* What FILE holds, as a string. */
static const char *
content(const char *path)
{
        FILE *f = fopen(path, "r");

        assert_non_null(f);
        text[fread(text, 1, sizeof text - 1, f)] = '\0';
        fclose(f);
        return text;
}

static int
lines(const char *s)
{
        int n = 0;

        for (; *s != '\0'; s++)
                n += *s == '\n';
        return n;
}

static void
test_log_file(void **state)
{
        char path[] = "/tmp/caefs-log.XXXXXX";
        enum log_level level;
        int fd = mkstemp(path);

        (void) state;
        close(fd);
        begin_a_second();
        assert_int_equal(log_to_file("/nowhere/at/all"), CAEFS_ERR_NO_ENTRY);
        assert_int_equal(log_to_file(path), CAEFS_OK);
        log_info("one %d", 1);
        assert_non_null(strstr(content(path), "Z caefs: one 1\n"));

        assert_false(log_level_parse("loud", &level));
        assert_true(log_level_parse("warning", &level));
        log_set_level(level);
        log_info("two");
        log_debug("two");
        log_warning("a name\nthat ends the line: \x1b[2J");
        assert_null(strstr(content(path), "two"));
        assert_non_null(strstr(text, "a name?that ends the line: ?[2J\n"));
        assert_int_equal(lines(text), 2);

        begin_a_second();
        for (int i = 0; i < 100; i++)
                log_error("again");
        const int written = lines(content(path));
        assert_in_range(written, 12, 23);       /* a second may have ended meanwhile */
        begin_a_second();
        log_error("later");
        assert_non_null(strstr(content(path), " lines more were left out\n"));
        assert_non_null(strstr(text, "caefs: later\n"));
        unlink(path);
}

static void
test_log_journal(void **state)
{
        char path[] = "/tmp/caefs-log.XXXXXX", stream[64];
        const int fd = mkstemp(path), saved = dup(STDERR_FILENO);
        struct stat st;

        (void) state;
        begin_a_second();
        dup2(fd, STDERR_FILENO);
        fstat(fd, &st);
        snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        log_set_level(LOG_LEVEL_INFO);
        log_to_stderr();
        log_error("bad");
        log_info("good");
        setenv("JOURNAL_STREAM", "1:2", 1);
        log_to_stderr();
        log_info("plain");
        dup2(saved, STDERR_FILENO);
        close(saved);
        close(fd);
        assert_string_equal(content(path), "<3>bad\n<6>good\ncaefs: plain\n");
        unlink(path);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_log_file),
                cmocka_unit_test(test_log_journal),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
