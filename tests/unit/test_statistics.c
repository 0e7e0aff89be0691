/* Counters, sums over a store, and the three forms in which figures are given. */

#include "tests/unit/store_fixture.h"

#include <pthread.h>

#include "fs/metrics.h"
#include "fs/statistics.h"

#define THREADS 8
#define EACH    10000

/* ---- counting ----------------------------------------------------------- */

static void *
count_some(void *context)
{
        struct statistics *s = context;

        for (int i = 0; i < EACH; i++) {
                statistics_add(s, OPERATION_READ, 1500 + i % 2 * 1000000);
                statistics_add_read(s, 100);
                statistics_add_error(s, ENOENT);
        }
        return NULL;
}

static void
test_statistics_many_threads(void **state)
{
        struct statistics *s = statistics_new();
        struct statistics_sum sum;
        pthread_t thread[THREADS];

        (void) state;
        for (int i = 0; i < THREADS; i++)
                assert_int_equal(pthread_create(&thread[i], NULL, count_some, s), 0);
        for (int i = 0; i < THREADS; i++)
                pthread_join(thread[i], NULL);
        statistics_read(s, &sum);
        const struct statistics_durations *d = &sum.operation[OPERATION_READ];
        assert_int_equal(d->count, THREADS * EACH);
        assert_int_equal(d->nanoseconds, (uint64_t) THREADS * EACH * (1500 + 500000));
        assert_int_equal(d->bucket[1], THREADS * EACH / 2);     /* 1.5 us: below 2 */
        assert_int_equal(d->bucket[10], THREADS * EACH / 2);    /* 1001.5 us: below 1024 */
        assert_int_equal(sum.read_bytes, THREADS * EACH * 100);
        assert_int_equal(sum.error[ENOENT], THREADS * EACH);
        assert_int_equal(sum.operation[OPERATION_WRITE].count, 0);
        assert_true(statistics_quantile(d, 0.5) == 2);
        assert_true(statistics_quantile(d, 0.99) == 1024);
        assert_true(statistics_quantile(&sum.operation[OPERATION_WRITE], 0.5) == 0);
        statistics_free(s);
}

static void
test_statistics_extremes(void **state)
{
        struct statistics *s = statistics_new();
        struct statistics_sum sum;

        (void) state;
        statistics_add(s, OPERATION_LOOKUP, 0);
        statistics_add(s, OPERATION_LOOKUP, -5);        /* a clock that went back */
        statistics_add(s, OPERATION_LOOKUP, INT64_MAX);
        statistics_add_error(s, 100000);
        statistics_add_error(s, -1);
        statistics_read(s, &sum);
        assert_int_equal(sum.operation[OPERATION_LOOKUP].bucket[0], 2);
        assert_int_equal(sum.operation[OPERATION_LOOKUP].bucket[STATISTICS_BUCKETS - 1], 1);
        assert_int_equal(sum.error[STATISTICS_ERRNOS - 1], 2);
        statistics_free(s);
}

/* ---- sums --------------------------------------------------------------- */

static void
write_bytes(struct store *s, const char *name, size_t size, char fill)
{
        struct store_file *f;
        struct stat st;
        char *bytes = malloc(size);
        size_t put;

        memset(bytes, fill, size);
        assert_ok(store_create(s, &nobody, ROOT, name, 0644, O_RDWR, &st, &f));
        assert_ok(store_file_write(f, bytes, size, 0, &put));
        assert_ok(store_file_flush(f));
        store_file_release(f);
        free(bytes);
}

static void
test_totals(void **state)
{
        struct fixture *f = *state;
        struct store_totals t;
        struct store_counts c;
        uint64_t left;

        assert_ok(store_totals(f->store, false, &t));
        assert_int_equal(t.files, 0);
        write_bytes(f->store, "a", 100000, 'a');
        write_bytes(f->store, "b", 50000, 'b');
        assert_ok(store_totals(f->store, true, &t));
        assert_int_equal(t.files, 2);
        assert_int_equal(t.logical_bytes, 150000);
        assert_int_equal(t.staged_files, 2);
        assert_int_equal(t.staged_bytes, 150000);
        assert_int_equal(t.objects, 0);

        assert_ok(store_sync_tree(f->store, ROOT, true, NULL, &left));
        assert_int_equal(left, 0);
        assert_ok(store_totals(f->store, true, &t));
        assert_int_equal(t.staged_files, 0);
        assert_int_equal(t.objects, 2);
        assert_in_range(t.stored_bytes, 1, 10000);
        store_counts(f->store, &c);
        assert_int_equal(c.seals_done, 2);
        assert_int_equal(c.sealed_bytes, 150000);
        assert_int_equal(c.sealed_stored_bytes, t.stored_bytes);

        /* The same after a reopen, and to one who only reads. */
        struct store_totals again;
        struct store_options o = { .read_only = true };
        fixture_reopen(f);
        assert_ok(store_totals(f->store, false, &again));
        assert_memory_equal(&again, &t, sizeof t);
        assert_ok(store_unlink(f->store, ROOT, "a"));
        assert_ok(store_totals(f->store, true, &t));
        assert_int_equal(t.files, 1);
        assert_ok(store_close(f->store));
        assert_ok(store_open(f->path, &o, &f->store));
        assert_ok(store_totals(f->store, true, &again));
        assert_memory_equal(&again, &t, sizeof t);
}

/* ---- forms -------------------------------------------------------------- */

static void
test_metrics_forms(void **state)
{
        struct fixture *f = *state;
        struct statistics *s = statistics_new();
        const struct metrics_of m = { .store = f->store, .statistics = s,
                                      .store_path = "/a \"quoted\"\\path\n", .mountpoint = "/m",
                                      .since = { .tv_sec = 1700000000 }, .open_files = 3 };
        struct bytes text = { 0 };
        json_t *json;

        statistics_add(s, OPERATION_READ, 3000);
        statistics_add(s, OPERATION_READ, 100000000000);
        statistics_add_error(s, ENOSPC);
        assert_ok(metrics_prometheus(&m, &text));
        bytes_put(&text, "", 1);
        const char *p = (const char *) text.data;
        assert_non_null(strstr(p, "store=\"/a \\\"quoted\\\"\\\\path\\n\",mountpoint=\"/m\"} 1\n"));
        assert_non_null(strstr(p, "\ncaefs_operation_seconds_bucket{operation=\"read\",le=\"2e-06\"} 0\n"));
        assert_non_null(strstr(p, "\ncaefs_operation_seconds_bucket{operation=\"read\",le=\"4e-06\"} 1\n"));
        assert_non_null(strstr(p, "\ncaefs_operation_seconds_bucket{operation=\"read\",le=\"+Inf\"} 2\n"));
        assert_non_null(strstr(p, "\ncaefs_operation_seconds_count{operation=\"read\"} 2\n"));
        assert_non_null(strstr(p, "\ncaefs_operation_seconds_sum{operation=\"read\"} 100.000003000\n"));
        assert_non_null(strstr(p, "\ncaefs_errors_total{errno=\"ENOSPC\"} 1\n"));
        assert_non_null(strstr(p, "\ncaefs_open_files 3\n"));
        assert_non_null(strstr(p, "\ncaefs_seals_done_total 0\n"));
        assert_null(strstr(p, "operation=\"write\""));
        bytes_free(&text);

        assert_ok(metrics_json(&m, &json));
        const json_t *read = json_object_get(json_object_get(json, "operations"), "read");
        assert_int_equal(json_integer_value(json_object_get(read, "count")), 2);
        assert_int_equal(json_integer_value(json_object_get(json, "open_files")), 3);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "errors"),
                                                            "ENOSPC")), 1);
        assert_true(json_integer_value(json_object_get(json, "resident_bytes")) > 1 << 20);
        json_decref(json);

        assert_ok(metrics_text(&m, &text));
        bytes_put(&text, "", 1);
        assert_non_null(strstr((const char *) text.data, "\nopen_files 3\n"));
        assert_non_null(strstr((const char *) text.data, "\nerror ENOSPC 1\n"));
        bytes_free(&text);
        statistics_free(s);
}

static void
test_metrics_file(void **state)
{
        struct fixture *f = *state;
        struct statistics *s = statistics_new();
        const struct metrics_of m = { .store = f->store, .statistics = s, .store_path = "/s",
                                      .mountpoint = "/m" };
        char file[128], line[128];
        struct stat before, after;
        FILE *in;

        snprintf(file, sizeof file, "%s/metrics.prom", f->directory);
        assert_ok(metrics_write(&m, file));
        assert_int_equal(stat(file, &before), 0);
        in = fopen(file, "r");
        assert_non_null(fgets(line, sizeof line, in));
        fclose(in);
        assert_string_equal(line, "# HELP caefs_info what is mounted where\n");
        in = fopen(file, "r");                  /* the old one stays whole for who reads it */
        assert_ok(metrics_write(&m, file));
        assert_int_equal(stat(file, &after), 0);
        assert_int_not_equal(before.st_ino, after.st_ino);
        fclose(in);
        unlink(file);
        assert_err(metrics_write(&m, "/nowhere/at/all"), CAEFS_ERR_NO_ENTRY);
        statistics_free(s);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_statistics_many_threads),
                cmocka_unit_test(test_statistics_extremes),
                cmocka_unit_test_setup_teardown(test_totals, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_metrics_forms, fixture_setup,
                                                fixture_teardown),
                cmocka_unit_test_setup_teardown(test_metrics_file, fixture_setup,
                                                fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
