/* test_memory.c - memory depends on the chunk, and not on the file.
 *
 * Each run is a process of its own, and what counts is the largest it ever was: so
 * everything is in it, the compression libraries and the allocator's losses too.
 * Values are made as they are read and objects go to a file, so that nothing but
 * the codec holds any of them.
 */
#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "codec/object.h"

#define MIB ((uint64_t) 1 << 20)

/* The array: planes of PLANE_EDGE x PLANE_EDGE float32. */
#define PLANE_EDGE  128
#define PLANE_BYTES ((uint64_t) PLANE_EDGE * PLANE_EDGE * 4)

/* What a larger file may need more: its index, and luck with pages. */
#define SLACK (8 * MIB)

/* ---- an array that nobody holds -------------------------------------------- */

/* 0 at even multiples of 128, 1 at odd ones, straight between. */
static float
triangle(uint32_t at)
{
        return fabsf((float) (int32_t) (at % 256) - 128) / 128;
}

/* The large file is the small one over and over: the same chunks take the same coders,
 * whose memory differs, so that what is left to see is what grows with the file. */
static uint64_t period;         /* values */

/* Waves along the three axes with a little noise: 0 to VALUE_MAX. */
static float
value_at(uint64_t index)
{
        index %= period;
        uint32_t x = index % PLANE_EDGE, y = index / PLANE_EDGE % PLANE_EDGE;
        uint32_t z = (uint32_t) (index / ((uint64_t) PLANE_EDGE * PLANE_EDGE));
        uint32_t noise = (uint32_t) index * 0x9e3779b9 >> 8;

        return triangle(5 * x + 3 * z) + triangle(7 * y + 11 * z) * triangle(2 * x + z)
                + (float) noise * 0x1p-32f;
}

#define VALUE_MAX (2 + 0x1p-8)

static enum caefs_err
make_values(void *context, void *buffer, size_t n, uint64_t offset)
{
        float   *to = buffer;

        (void) context;
        for (size_t i = 0; i < n / sizeof *to; i++)
                to[i] = value_at(offset / sizeof *to + i);
        return CAEFS_OK;
}

/* ---- an object in a file --------------------------------------------------- */

struct file {
        int      fd;
        uint64_t size;
};

static enum caefs_err
append(void *context, const void *data, size_t n)
{
        struct file *f = context;

        if (write(f->fd, data, n) != (ssize_t) n)
                return caefs_fail_errno("cannot write");
        f->size += n;
        return CAEFS_OK;
}

static enum caefs_err
read_file(void *context, void *buffer, size_t n, uint64_t offset)
{
        const struct file *f = context;

        return pread(f->fd, buffer, n, (off_t) offset) == (ssize_t) n
                ? CAEFS_OK : caefs_fail_errno("cannot read");
}

/* ---- what is measured ------------------------------------------------------ */

struct run {
        struct object_options options;
        uint64_t              bytes;    /* of the array */
        FILE                 *object;
};

#define BOUND 1e-3              /* of the range */

static bool
do_nothing(const struct run *r)
{
        return r->bytes > 0;
}

static bool
encode(const struct run *r)
{
        struct object_options o = r->options;
        struct file           f = { .fd = fileno(r->object) };
        struct byte_source    source = { .read = make_values, .size = r->bytes };
        struct byte_sink      sink = { .write = append, .context = &f };
        struct object_report  report;

        o.hint = (struct layout_hint) {
                .mode = LAYOUT_RAW,
                .dtype = DTYPE_F32,
                .shape = { 3, { r->bytes / PLANE_BYTES, PLANE_EDGE, PLANE_EDGE } },
        };
        return object_encode(&source, &o, &sink, &report) == CAEFS_OK
                && report.logical_bytes == r->bytes && report.stored_bytes == f.size
                && f.size < r->bytes;
}

/* Whether chunk INDEX comes back within the bound. */
static bool
chunk_holds(const struct object *o, size_t index, struct arena *arena)
{
        struct chunk_extent e;
        double              worst = 0;

        if (object_chunk(o, index, &e) != CAEFS_OK)
                return false;
        float *value = malloc((size_t) e.length);
        bool   ok = value != NULL && object_read_chunk(o, index, arena, value) == CAEFS_OK;
        for (size_t i = 0; ok && i < e.length / sizeof *value; i++)
                worst = fmax(worst, fabs((double) value[i]
                                         - (double) value_at(e.offset / sizeof *value + i)));
        free(value);
        return ok && worst <= BOUND * VALUE_MAX;
}

static bool
decode(const struct run *r)
{
        struct file        f = { .fd = fileno(r->object) };
        struct byte_source source = { .read = read_file, .context = &f };
        struct arena       arena = { 0 };
        struct object     *o;

        source.size = (uint64_t) lseek(f.fd, 0, SEEK_END);
        if (object_open(&source, NULL, &o) != CAEFS_OK)
                return false;
        bool ok = object_info(o)->logical_bytes == r->bytes;
        for (size_t i = 0; ok && i < object_info(o)->nchunks; i++)
                ok = chunk_holds(o, i, &arena);
        arena_free(&arena);
        object_close(o);
        return ok;
}

/* The most memory, in bytes, that a process needs which does WORK. */
static uint64_t
most_memory(bool (*work)(const struct run *r), const struct run *r)
{
        struct rusage used;
        int           status;
        pid_t         child = fork();

        assert_true(child >= 0);
        if (child == 0) {
                bool ok = work(r);
                if (!ok)
                        fprintf(stderr, "%s\n", caefs_detail());
                _exit(ok ? 0 : 1);
        }
        assert_int_equal(wait4(child, &status, 0, &used), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        return (uint64_t) used.ru_maxrss * 1024;
}

/* ---- the promises ---------------------------------------------------------- */

/* A value takes so many bytes of memory on top of what does not depend on the chunk
 * (tables of the models, dictionaries of the compression libraries): what was measured,
 * with room for other allocators and processors.  codec/object.h states the largest. */
struct promise {
        enum effort     effort;
        enum bound_mode mode;
        unsigned        threads;
        uint64_t        chunk;                  /* bytes */
        uint64_t        small, large;           /* bytes of two files */
        uint64_t        fixed;                  /* bytes, for each thread */
        uint64_t        encoding, decoding;     /* bytes a value of a chunk */
};

struct need {
        uint64_t encoding, decoding;    /* bytes */
};

static struct need
need_of(const struct promise *p, uint64_t bytes)
{
        struct run r = {
                .options = {
                        .bound = { .mode = p->mode, .amount = BOUND },
                        .effort = p->effort,
                        .chunk = p->chunk,
                        .threads = p->threads,
                },
                .bytes = bytes,
                .object = tmpfile(),
        };

        assert_non_null(r.object);
        uint64_t    nothing = most_memory(do_nothing, &r);
        struct need n = { most_memory(encode, &r) - nothing, most_memory(decode, &r) - nothing };
        fclose(r.object);
        return n;
}

static void
test_promise(void **state)
{
        const struct promise *p = *state;

        period = p->small / sizeof(float);
        struct need small = need_of(p, p->small), large = need_of(p, p->large);
        uint64_t    values = p->chunk / sizeof(float);

        print_message("chunks of %.2f MiB: encoding %.1f and %.1f, decoding %.1f and %.1f MiB\n",
                      (double) p->chunk / MIB, (double) small.encoding / MIB,
                      (double) large.encoding / MIB, (double) small.decoding / MIB,
                      (double) large.decoding / MIB);
        assert_true(large.encoding <= small.encoding + SLACK);
        assert_true(large.decoding <= small.decoding + SLACK);
        assert_true(large.encoding <= p->threads * (p->fixed + values * p->encoding));
        assert_true(large.decoding <= p->fixed + values * p->decoding);
}

static struct promise fast = {
        EFFORT_FAST, BOUND_REL, 1, MIB / 2, 8 * MIB, 64 * MIB, 8 * MIB, 64, 32,
};
static struct promise fast_together = {
        EFFORT_FAST, BOUND_REL, 2, MIB / 2, 4 * MIB, 32 * MIB, 8 * MIB, 64, 32,
};
static struct promise balanced = {
        EFFORT_BALANCED, BOUND_REL, 1, 2 * MIB, 8 * MIB, 48 * MIB, 16 * MIB, 96, 32,
};
static struct promise balanced_lossless = {
        EFFORT_BALANCED, BOUND_LOSSLESS, 1, MIB / 2, MIB, 4 * MIB, 32 * MIB, 192, 32,
};
static struct promise max = {
        EFFORT_MAX, BOUND_REL, 1, MIB / 4, MIB / 4, MIB / 2, 64 * MIB, 192, 32,
};

static bool
memory_can_be_measured(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
        return false;
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) \
    || __has_feature(memory_sanitizer)
        return false;
#endif
#endif
        return true;
}

int
main(void)
{
        const struct CMUnitTest tests[] = {
                { "fast", test_promise, NULL, NULL, &fast },
                { "fast_together", test_promise, NULL, NULL, &fast_together },
                { "balanced", test_promise, NULL, NULL, &balanced },
                { "balanced_lossless", test_promise, NULL, NULL, &balanced_lossless },
                { "max", test_promise, NULL, NULL, &max },
        };

        if (!memory_can_be_measured()) {
                puts("skipped: a sanitizer keeps memory that was freed");
                return 77;
        }
#ifdef M_PERTURB
        /* MALLOC_PERTURB_ would touch what is only reserved. */
        mallopt(M_PERTURB, 0);
#endif
        return cmocka_run_group_tests(tests, NULL, NULL);
}
