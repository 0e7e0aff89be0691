/* The catalogue: rows come back as they were, changes are whole, numbers are not reused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "meta/meta.h"

struct fixture {
        char         directory[64];
        char         path[80];
        struct meta *m;
};

static int
setup(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);

        snprintf(f->directory, sizeof f->directory, "/tmp/caefs-meta.XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        /* A name that a URI would take apart. */
        snprintf(f->path, sizeof f->path, "%s/a?b#c%%20.db", f->directory);
        assert_int_equal(meta_make(f->path, 5, 6, 123), CAEFS_OK);
        assert_int_equal(meta_open(f->path, META_WRITE, &f->m), CAEFS_OK);
        *state = f;
        return 0;
}

static int
teardown(void **state)
{
        struct fixture *f = *state;
        char            command[128];

        meta_close(f->m);
        snprintf(command, sizeof command, "rm -rf '%s'", f->directory);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

static void
reopen(struct fixture *f)
{
        meta_close(f->m);
        assert_int_equal(meta_open(f->path, META_WRITE, &f->m), CAEFS_OK);
}

static uint64_t
insert_file(struct meta *m, const char *name)
{
        struct meta_inode inode = {
                .mode = S_IFREG | 0640,
                .nlink = 1,
                .uid = 1,
                .gid = 2,
                .atime = -1,
                .ctime = INT64_MAX,
                .content = { META_STAGED, UINT64_C(1) << 43, 9, 4, INT64_MIN },
        };

        assert_int_equal(meta_inode_insert(m, &inode), CAEFS_OK);
        assert_int_equal(meta_entry_insert(m, META_ROOT_INODE, name, inode.ino, NULL),
                         CAEFS_OK);
        return inode.ino;
}

static void
test_meta_inode(void **state)
{
        struct fixture   *f = *state;
        struct meta_inode row;

        assert_int_equal(meta_inode_read(f->m, META_ROOT_INODE, &row), CAEFS_OK);
        assert_int_equal(row.mode, S_IFDIR | 0755);
        assert_int_equal(row.uid, 5);
        assert_int_equal(row.content.mtime, 123);
        uint64_t ino = insert_file(f->m, "a");
        assert_int_equal(meta_commit(f->m), CAEFS_OK);
        reopen(f);
        assert_int_equal(meta_inode_read(f->m, ino, &row), CAEFS_OK);
        assert_int_equal(row.atime, -1);
        assert_int_equal(row.ctime, INT64_MAX);
        assert_int_equal(row.content.mtime, INT64_MIN);
        assert_int_equal(row.content.size, UINT64_C(1) << 43);
        assert_int_equal(row.content.generation, 9);
        assert_false(row.has_xattrs);
        uint64_t generation;
        assert_int_equal(meta_generation_max(f->m, &generation), CAEFS_OK);
        assert_int_equal(generation, 9);
}

static void
test_meta_undo(void **state)
{
        struct fixture   *f = *state;
        struct meta_entry entry;

        insert_file(f->m, "kept");
        assert_int_equal(meta_mark(f->m), CAEFS_OK);
        insert_file(f->m, "undone");
        meta_undo(f->m);
        assert_int_equal(meta_mark(f->m), CAEFS_OK);
        insert_file(f->m, "kept too");
        meta_keep(f->m);
        assert_int_equal(meta_commit(f->m), CAEFS_OK);
        assert_int_equal(meta_mark(f->m), CAEFS_OK);
        insert_file(f->m, "not committed");
        meta_keep(f->m);
        assert_int_equal(meta_entry_find(f->m, 1, "not committed", &entry), CAEFS_OK);
        reopen(f);
        assert_int_equal(meta_entry_find(f->m, 1, "kept", &entry), CAEFS_OK);
        assert_int_equal(meta_entry_find(f->m, 1, "kept too", &entry), CAEFS_OK);
        assert_int_equal(meta_entry_find(f->m, 1, "undone", &entry), CAEFS_ERR_NO_ENTRY);
        assert_int_equal(meta_entry_find(f->m, 1, "not committed", &entry),
                         CAEFS_ERR_NO_ENTRY);
}

static void
test_meta_numbers_are_not_reused(void **state)
{
        struct fixture   *f = *state;
        struct meta_entry entry;
        uint64_t          id;

        uint64_t ino = insert_file(f->m, "a");
        assert_int_equal(meta_entry_find(f->m, 1, "a", &entry), CAEFS_OK);
        assert_true(entry.entry >= META_FIRST_ENTRY);
        assert_int_equal(meta_entry_delete(f->m, entry.entry), CAEFS_OK);
        assert_int_equal(meta_inode_delete(f->m, ino), CAEFS_OK);
        struct meta_object object = { .id = 7, .bound = "lossless" };
        assert_int_equal(meta_object_insert(f->m, &object, NULL), CAEFS_OK);
        assert_int_equal(meta_object_delete(f->m, 7), CAEFS_OK);
        assert_int_equal(meta_commit(f->m), CAEFS_OK);
        reopen(f);
        assert_true(insert_file(f->m, "a") > ino);
        uint64_t first = entry.entry;
        assert_int_equal(meta_entry_find(f->m, 1, "a", &entry), CAEFS_OK);
        assert_true(entry.entry > first);
        assert_int_equal(meta_object_next(f->m, &id), CAEFS_OK);
        assert_int_equal(id, 8);
        assert_int_equal(meta_inode_skip(f->m, 1000), CAEFS_OK);
        assert_true(insert_file(f->m, "b") > 1000);
}

static void
test_meta_entries(void **state)
{
        struct fixture   *f = *state;
        struct meta_entry list[4], entry;
        size_t            count;
        bool              empty;

        assert_int_equal(meta_directory_is_empty(f->m, 1, &empty), CAEFS_OK);
        assert_true(empty);
        uint64_t a = insert_file(f->m, "a");
        insert_file(f->m, "b");
        insert_file(f->m, "c");
        assert_int_equal(meta_entry_insert(f->m, 1, "a", a, NULL), CAEFS_ERR_EXISTS);
        assert_int_equal(meta_entry_list(f->m, 1, 0, list, 2, &count), CAEFS_OK);
        assert_int_equal(count, 2);
        assert_string_equal(list[0].name, "a");
        /* A rename keeps its place in the walk. */
        assert_int_equal(meta_entry_move(f->m, list[1].entry, 1, "z"), CAEFS_OK);
        assert_int_equal(meta_entry_list(f->m, 1, list[0].entry, list, 4, &count), CAEFS_OK);
        assert_int_equal(count, 2);
        assert_string_equal(list[0].name, "z");
        assert_int_equal(meta_entry_of(f->m, a, &entry), CAEFS_OK);
        assert_string_equal(entry.name, "a");
}

static void
test_meta_objects_and_models(void **state)
{
        struct fixture    *f = *state;
        struct bytes       data = { 0 };
        struct meta_object object = {
                .id = 3, .logical_bytes = 100, .stored_bytes = 4, .bound = "abs:0.5",
                .codec = "lorenzo", .worst = 0.25, .worst_over_bound = 0.5,
                .model = UINT64_C(0xfedcba9876543210), .lossy_values = 17, .fallback = "why",
        }, again;
        struct meta_model  model;
        size_t             count;

        assert_int_equal(meta_model_insert(f->m, object.model, "model", 5, "{}", 99),
                         CAEFS_OK);
        assert_int_equal(meta_object_insert(f->m, &object, "data"), CAEFS_OK);
        assert_int_equal(meta_object_read(f->m, 3, &again), CAEFS_OK);
        assert_true(again.is_inline);
        assert_string_equal(again.bound, "abs:0.5");
        assert_string_equal(again.fallback, "why");
        assert_true(again.worst == 0.25 && again.model == object.model);
        assert_int_equal(meta_object_data(f->m, 3, &data), CAEFS_OK);
        assert_int_equal(data.size, 4);
        assert_int_equal(meta_model_list(f->m, 0, &model, 1, &count), CAEFS_OK);
        assert_int_equal(count, 1);
        assert_true(model.hash == object.model && model.objects == 1 && model.bytes == 5);
        assert_int_equal(meta_model_delete(f->m, object.model), CAEFS_ERR_BUSY);
        assert_int_equal(meta_object_delete(f->m, 3), CAEFS_OK);
        assert_int_equal(meta_property_write(f->m, 1, "model", "fedcba9876543210"), CAEFS_OK);
        assert_int_equal(meta_model_delete(f->m, object.model), CAEFS_ERR_BUSY);
        uint64_t owner;
        assert_int_equal(meta_model_owners(f->m, object.model, &owner, 1, &count), CAEFS_OK);
        assert_true(count == 1 && owner == 1);
        assert_int_equal(meta_property_delete(f->m, 1, "model"), CAEFS_OK);
        assert_int_equal(meta_model_record_write(f->m, object.model, "{\"a\":1}"), CAEFS_OK);
        assert_int_equal(meta_model_record(f->m, object.model, &data), CAEFS_OK);
        assert_int_equal(data.size, 7);
        assert_int_equal(meta_model_delete(f->m, object.model), CAEFS_OK);
        assert_int_equal(meta_model_delete(f->m, object.model), CAEFS_ERR_NO_ENTRY);
        bytes_free(&data);
}

static void
count_sentence(void *context, const char *sentence)
{
        (void) sentence;
        (*(size_t *) context)++;
}

static void
test_meta_check_structure(void **state)
{
        struct fixture   *f = *state;
        struct meta_inode row;
        size_t            findings = 0;

        assert_int_equal(meta_check_structure(f->m, count_sentence, &findings), CAEFS_OK);
        assert_int_equal(findings, 0);
        assert_int_equal(meta_check_pages(f->m, count_sentence, &findings), CAEFS_OK);
        assert_int_equal(findings, 0);
        /* An object that is missing, and a link count that is wrong. */
        uint64_t ino = insert_file(f->m, "a");
        assert_int_equal(meta_check_structure(f->m, count_sentence, &findings), CAEFS_OK);
        assert_int_equal(findings, 1);
        assert_int_equal(meta_inode_read(f->m, ino, &row), CAEFS_OK);
        row.nlink = 3;
        assert_int_equal(meta_inode_write(f->m, &row, false), CAEFS_OK);
        findings = 0;
        assert_int_equal(meta_check_structure(f->m, count_sentence, &findings), CAEFS_OK);
        assert_int_equal(findings, 2);
        /* A name that leads nowhere. */
        assert_int_equal(meta_entry_insert(f->m, 1, "lost", 4711, NULL), CAEFS_OK);
        findings = 0;
        assert_int_equal(meta_check_structure(f->m, count_sentence, &findings), CAEFS_OK);
        assert_int_equal(findings, 3);
}

static void
test_meta_open_refuses_other_files(void **state)
{
        struct fixture *f = *state;
        struct meta    *m;
        char            path[128];

        snprintf(path, sizeof path, "%s/text", f->directory);
        FILE *text = fopen(path, "w");
        assert_non_null(text);
        for (int i = 0; i < 1000; i++)
                fputs("this is no database\n", text);
        fclose(text);
        assert_int_equal(meta_open(path, META_WRITE, &m), CAEFS_ERR_CORRUPT);
        assert_int_equal(meta_open(path, META_READ_IMMUTABLE, &m), CAEFS_ERR_CORRUPT);
        snprintf(path, sizeof path, "%s/absent", f->directory);
        assert_int_not_equal(meta_open(path, META_WRITE, &m), CAEFS_OK);
        assert_int_not_equal(access(path, F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_meta_inode),
                TEST(test_meta_undo),
                TEST(test_meta_numbers_are_not_reused),
                TEST(test_meta_entries),
                TEST(test_meta_objects_and_models),
                TEST(test_meta_check_structure),
                TEST(test_meta_open_refuses_other_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
