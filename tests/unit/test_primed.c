/* tests/unit/test_primed.c - coding with learnt statistics: what is coded comes back, whatever
 * its sizes and rows; what was learnt makes its like smaller; and hostile bytes give an error or
 * some numbers, never a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/primed.h"
#include "tests/unit/sample_model.h"

enum { SEGMENTS = 5, MOST = 70000 };

/* A guide that tells whether residuals are large. */
struct told {
        uint8_t class[MOST];
};

static bool
tell_nothing_new(void *context, const int32_t *r)
{
        (void) context;
        (void) r;
        return true;
}

static struct residual_guide
guide_of(struct told *t)
{
        return (struct residual_guide) { .class = t->class, .before = tell_nothing_new, .context = t };
}

static size_t
count_of(const struct residual_segment *s)
{
        size_t count = 0;

        for (unsigned i = 0; i < SEGMENTS; i++)
                count += s[i].count;
        return count;
}

/* COUNT residuals up to LARGEST, large ones together, with a guide that is often right. */
static void
make_residuals(uint64_t seed, size_t count, int32_t largest, int32_t *r, struct told *told)
{
        for (size_t i = 0; i < count; i++) {
                bool large = (i / 64 + i / 2048) % 5 == 0;
                r[i] = large ? sample_between(&seed, largest) : sample_between(&seed, 10) / 9;
                told->class[i] = large ? 9 : 0;
        }
}

static void
learn(const struct residual_segment *segment, const int32_t *r, struct told *told,
      struct bytes *out)
{
        struct primed_lesson *lesson = calloc(1, sizeof *lesson);
        struct arena          arena = { 0 };
        struct residual_guide   guide = guide_of(told);

        assert_non_null(lesson);
        if (r != NULL)
                assert_int_equal(primed_lesson_add(lesson, r, segment, SEGMENTS, &guide, &arena),
                                 CAEFS_OK);
        primed_lesson_write(lesson, out);
        free(lesson);
        arena_free(&arena);
}

static void
learnt(const struct residual_segment *segment, const int32_t *r, struct told *told,
       struct primed *p)
{
        struct bytes  bytes = { 0 };

        learn(segment, r, told, &bytes);
        struct cursor in = cursor_of(bytes.data, bytes.size);
        assert_int_equal(primed_parse(&in, p), CAEFS_OK);
        assert_int_equal(cursor_left(&in), 0);
        bytes_free(&bytes);
}

static size_t
check(const struct primed *p, const struct residual_segment *segment, const int32_t *r,
      struct told *told, struct bytes *kept)
{
        static int32_t      back[MOST];
        struct arena        arena = { 0 };
        struct bytes        coded = { 0 };
        struct residual_guide guide = guide_of(told);

        assert_int_equal(primed_encode(p, r, segment, SEGMENTS, &guide, &arena, &coded), CAEFS_OK);
        struct cursor in = cursor_of(coded.data, coded.size);
        assert_int_equal(primed_decode(p, &in, segment, SEGMENTS, &guide, &arena, back), CAEFS_OK);
        assert_memory_equal(back, r, count_of(segment) * sizeof *r);
        size_t size = coded.size;
        if (kept != NULL)
                *kept = coded;
        else
                bytes_free(&coded);
        arena_free(&arena);
        return size;
}

static const struct residual_segment shapes[][SEGMENTS] = {
        { { 1, 0, 0 }, { 2, 0, 1 }, { 3, 2, 1 }, { 9, 3, 2 }, { 50, 7, 2 } },
        { { 17, 0, 0 }, { 320, 16, 1 }, { 1000, 33, 1 }, { 4000, 64, 2 }, { 4001, 4000, 2 } },
        { { 5, 0, 0 }, { 4096, 64, 1 }, { 20000, 101, 1 }, { 30000, 0, 2 }, { 15000, 200, 2 } },
};

static void
test_residuals_come_back(void **state)
{
        static const int32_t largest[] = { 1, 7, 8, 300, INT32_MAX / 2 };
        static int32_t       r[MOST];
        static struct told   told;
        static struct primed p[2];

        (void) state;
        for (unsigned s = 0; s < sizeof shapes / sizeof *shapes; s++)
                for (unsigned k = 0; k < sizeof largest / sizeof *largest; k++) {
                        size_t count = count_of(shapes[s]);
                        make_residuals(k, count, 3, r, &told);
                        learnt(shapes[s], NULL, &told, &p[0]);
                        learnt(shapes[s], r, &told, &p[1]);
                        make_residuals(k + 1, count, largest[k], r, &told);
                        r[count / 2] = k == 0 ? INT32_MIN : INT32_MAX;
                        check(&p[0], shapes[s], r, &told, NULL);
                        check(&p[1], shapes[s], r, &told, NULL);
                        memset(r, 0, count * sizeof *r);
                        check(&p[1], shapes[s], r, &told, NULL);
                }
}

static void
test_what_was_learnt_saves(void **state)
{
        static int32_t       r[MOST];
        static struct told   told;
        static struct primed nothing, much;
        const struct residual_segment *s = shapes[1];

        (void) state;
        make_residuals(1, count_of(s), 40, r, &told);
        learnt(s, NULL, &told, &nothing);
        learnt(s, r, &told, &much);
        assert_int_equal(nothing.nclasses, 1);
        assert_true(much.nclasses > 1);
        make_residuals(2, count_of(s), 40, r, &told);
        assert_true(check(&much, s, r, &told, NULL) < check(&nothing, s, r, &told, NULL) * 9 / 10);
}

static void
test_damage_is_refused_or_read(void **state)
{
        static int32_t       r[MOST], back[MOST];
        static struct told   told;
        static struct primed p;
        struct bytes         coded = { 0 };
        struct arena         arena = { 0 };
        uint64_t             seed = 3;
        const struct residual_segment *s = shapes[1];

        (void) state;
        make_residuals(1, count_of(s), 40, r, &told);
        learnt(s, r, &told, &p);
        check(&p, s, r, &told, &coded);
        struct residual_guide guide = guide_of(&told);
        for (size_t size = 0; size < coded.size; size += size < 64 ? 1 : 29) {
                struct cursor in = cursor_of(coded.data, size);
                assert_int_equal(primed_decode(&p, &in, s, SEGMENTS, &guide, &arena, back),
                                 CAEFS_ERR_CORRUPT);
                arena_free(&arena);
        }
        for (unsigned k = 0; k < 300; k++) {
                size_t  at = sample_random(&seed) % (k % 2 ? coded.size : 48);
                uint8_t was = coded.data[at];
                coded.data[at] = (uint8_t) sample_random(&seed);
                struct cursor in = cursor_of(coded.data, coded.size);
                (void) primed_decode(&p, &in, s, SEGMENTS, &guide, &arena, back);
                arena_free(&arena);
                coded.data[at] = was;
        }
        bytes_free(&coded);
}

static void
test_damaged_statistics_are_refused_or_read(void **state)
{
        static int32_t       r[MOST];
        static struct told   told;
        static struct primed p;
        struct bytes         bytes = { 0 };
        uint64_t             seed = 4;
        const struct residual_segment *s = shapes[1];

        (void) state;
        make_residuals(1, count_of(s), 40, r, &told);
        learn(s, r, &told, &bytes);
        for (unsigned k = 0; k < 1000; k++) {
                size_t  at = sample_random(&seed) % bytes.size;
                uint8_t was = bytes.data[at];
                bytes.data[at] = (uint8_t) sample_random(&seed);
                struct cursor in = cursor_of(bytes.data, bytes.size);
                if (primed_parse(&in, &p) == CAEFS_OK)
                        check(&p, shapes[0], r, &told, NULL);
                bytes.data[at] = was;
        }
        bytes_free(&bytes);
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_residuals_come_back),
                cmocka_unit_test(test_what_was_learnt_saves),
                cmocka_unit_test(test_damage_is_refused_or_read),
                cmocka_unit_test(test_damaged_statistics_are_refused_or_read),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
