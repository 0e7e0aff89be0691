/* codec/pack.c - lossless coding of bytes: which method, behind which transform.
 *
 * The first byte is METHOD + 8 * TRANSFORM.  A transform rearranges the bytes so
 * that a method finds more: planes put the first bytes of all elements together,
 * then the second ones; differences are taken between elements first. */
#include "codec/pack.h"

#include <stdlib.h>

#include "codec/pack_backend.h"

/* The numbers are part of the format. */
enum method {
        METHOD_STORED = 0,
        METHOD_CONSTANT = 1,
        METHOD_ZSTD = 2,
        METHOD_BZIP2 = 3,
        METHOD_LZMA = 4,
};

enum transform {
        TRANSFORM_NONE = 0,
        TRANSFORM_PLANES_2 = 1,
        TRANSFORM_PLANES_4 = 2,
        TRANSFORM_PLANES_8 = 3,
        TRANSFORM_DELTA_1 = 4,
        TRANSFORM_DELTA_2 = 5,
        TRANSFORM_DELTA_4 = 6,
        TRANSFORM_DELTA_8 = 7,
        TRANSFORM_COUNT = 8
};

/* One way to code, as the encoder tries it. */
struct candidate {
        enum method    method;
        enum transform transform;
        unsigned       level;           /* zstd: level; lzma: preset */
        unsigned       properties;      /* lzma: lc, lp, pb */
        double         expected;        /* bytes, to judge by the sample, and slowness */
};

#define LZMA_PROPERTIES(lc, lp, pb) (((pb) * 5 + (lp)) * 9 + (lc))
#define MAX_CANDIDATES 48

/* Pieces of the data on which the candidates are compared. */
#define SAMPLE_PIECES 3
#define SAMPLE_PIECE  ((size_t) 32 << 10)

static unsigned
element_size(enum transform t)
{
        static const uint8_t size[TRANSFORM_COUNT] = { 1, 2, 4, 8, 1, 2, 4, 8 };

        return size[t];
}

static inline uint64_t
load_little_endian(const uint8_t *at, unsigned size)
{
        uint64_t v = 0;

        for (unsigned k = 0; k < size; k++)
                v |= (uint64_t) at[k] << (8 * k);
        return v;
}

/* All ELEMENTS of SIZE bytes (a constant where this is inlined) into planes. */
static inline __attribute__((always_inline)) void
split_elements(const uint8_t *in, size_t elements, unsigned size, bool difference,
               uint8_t *out)
{
        uint64_t before = 0;

        for (size_t i = 0; i < elements; i++) {
                uint64_t v = load_little_endian(in + i * size, size);
                uint64_t d = difference ? v - before : v;
                before = v;
                for (unsigned k = 0; k < size; k++)
                        out[k * elements + i] = (uint8_t) (d >> (8 * k));
        }
}

static inline __attribute__((always_inline)) void
join_elements(const uint8_t *in, size_t elements, unsigned size, bool difference, uint8_t *out)
{
        uint64_t v = 0;

        for (size_t i = 0; i < elements; i++) {
                uint64_t d = 0;
                for (unsigned k = 0; k < size; k++)
                        d |= (uint64_t) in[k * elements + i] << (8 * k);
                v = difference ? v + d : d;
                for (unsigned k = 0; k < size; k++)
                        out[i * size + k] = (uint8_t) (v >> (8 * k));
        }
}

/* The elements are little-endian; bytes behind the last whole one stay as they are. */
static void
transform_forward(enum transform t, const uint8_t *in, size_t n, uint8_t *out)
{
        size_t elements = n / element_size(t);
        size_t whole = elements * element_size(t);

        switch (t) {
        case TRANSFORM_PLANES_2: split_elements(in, elements, 2, false, out); break;
        case TRANSFORM_PLANES_4: split_elements(in, elements, 4, false, out); break;
        case TRANSFORM_PLANES_8: split_elements(in, elements, 8, false, out); break;
        case TRANSFORM_DELTA_1:  split_elements(in, elements, 1, true, out); break;
        case TRANSFORM_DELTA_2:  split_elements(in, elements, 2, true, out); break;
        case TRANSFORM_DELTA_4:  split_elements(in, elements, 4, true, out); break;
        case TRANSFORM_DELTA_8:  split_elements(in, elements, 8, true, out); break;
        default:                 memcpy(out, in, n); return;
        }
        memcpy(out + whole, in + whole, n - whole);
}

static void
transform_back(enum transform t, const uint8_t *in, size_t n, uint8_t *out)
{
        size_t elements = n / element_size(t);
        size_t whole = elements * element_size(t);

        switch (t) {
        case TRANSFORM_PLANES_2: join_elements(in, elements, 2, false, out); break;
        case TRANSFORM_PLANES_4: join_elements(in, elements, 4, false, out); break;
        case TRANSFORM_PLANES_8: join_elements(in, elements, 8, false, out); break;
        case TRANSFORM_DELTA_1:  join_elements(in, elements, 1, true, out); break;
        case TRANSFORM_DELTA_2:  join_elements(in, elements, 2, true, out); break;
        case TRANSFORM_DELTA_4:  join_elements(in, elements, 4, true, out); break;
        case TRANSFORM_DELTA_8:  join_elements(in, elements, 8, true, out); break;
        default:                 memcpy(out, in, n); return;
        }
        memcpy(out + whole, in + whole, n - whole);
}

/* DATA is already transformed. */
static bool
run_method(const struct candidate *c, const uint8_t *data, size_t n, size_t limit,
           struct bytes *out)
{
        switch (c->method) {
        case METHOD_ZSTD:
                return backend_zstd_encode(data, n, (int) c->level, limit, out);
        case METHOD_BZIP2:
                return backend_bzip2_encode(data, n, limit, out);
        case METHOD_LZMA:
                return backend_lzma_encode(data, n, c->properties, c->level, limit, out);
        default:
                return false;
        }
}

/* The data behind each transform, made when it is first asked for. */
struct transformed {
        const uint8_t *data;
        size_t         n;
        uint8_t       *copy[TRANSFORM_COUNT];
};

static const uint8_t *
transformed_by(struct transformed *d, enum transform t)
{
        if (t == TRANSFORM_NONE)
                return d->data;
        if (d->copy[t] == NULL) {
                d->copy[t] = malloc(d->n);
                if (d->copy[t] != NULL)
                        transform_forward(t, d->data, d->n, d->copy[t]);
        }
        return d->copy[t];
}

static void
transformed_free(struct transformed *d)
{
        for (enum transform t = 0; t < TRANSFORM_COUNT; t++)
                free(d->copy[t]);
}

/* Codes D by C behind its method byte; false when that takes LIMIT bytes or more. */
static bool
try_candidate(const struct candidate *c, struct transformed *d, size_t limit, struct bytes *out)
{
        size_t start = out->size;
        const uint8_t *data = transformed_by(d, c->transform);

        if (data == NULL) {
                out->failed = true;
                return false;
        }
        if (limit < 2)
                return false;
        bytes_put_u8(out, (uint8_t) (c->method + 8 * c->transform));
        if (out->failed || !run_method(c, data, d->n, limit - 1, out)) {
                out->size = start;
                return false;
        }
        return true;
}

/* The quick method: it says which transforms to look at and, on all of the data, what
 * comes again too far away for the sample to show it. */
#define QUICK_LEVEL 3

static size_t
quick_size(enum transform t, struct transformed *d, struct bytes *scratch)
{
        struct candidate quick = {
                .method = METHOD_ZSTD, .transform = t, .level = QUICK_LEVEL
        };

        bytes_clear(scratch);
        return try_candidate(&quick, d, d->n, scratch) ? scratch->size : d->n;
}

/* What the quick method says. */
struct quick_look {
        size_t         sample[TRANSFORM_COUNT];
        enum transform best;            /* of the sample */
        bool           keep[TRANSFORM_COUNT];
        double         growth[TRANSFORM_COUNT]; /* from the sample to all of the data */
        double         afar;            /* share of bytes left by repeats the sample misses */
};

/* Looks at the sample, and keeps the best MOST transforms that are near the best of all. */
static void
look_at_sample(struct transformed *sample, size_t most, struct quick_look *look,
               struct bytes *scratch)
{
        look->best = TRANSFORM_NONE;
        for (enum transform t = 0; t < TRANSFORM_COUNT; t++) {
                look->sample[t] = quick_size(t, sample, scratch);
                if (look->sample[t] < look->sample[look->best])
                        look->best = t;
        }
        size_t near = look->sample[look->best] + look->sample[look->best] / 16;
        for (enum transform t = 0; t < TRANSFORM_COUNT; t++) {
                size_t better = 0;
                for (enum transform u = 0; u < TRANSFORM_COUNT; u++)
                        better += look->sample[u] < look->sample[t] ||
                                  (look->sample[u] == look->sample[t] && u < t);
                look->keep[t] = better < most && look->sample[t] < near;
        }
}

/* Bytes that are not rearranged stay candidates when the quick method brings them within
 * this factor of the best: slow methods gain most where records repeat as they are. */
#define NEAR_ENOUGH 1.5

/* Puts what the quick method makes of all the data behind START in OUT, and returns
 * how small it became. */
static size_t
look_at_all(struct transformed *whole, size_t sample_n, struct quick_look *look, size_t start,
            struct bytes *scratch, struct bytes *out)
{
        const enum transform tried[] = { look->best, TRANSFORM_NONE };
        size_t size[2], tries = look->best == TRANSFORM_NONE ? 1 : 2, best = whole->n;

        for (size_t i = 0; i < tries; i++) {
                size[i] = quick_size(tried[i], whole, scratch);
                if (size[i] < whole->n && size[i] < out->size - start) {
                        out->size = start;
                        bytes_put(out, scratch->data, scratch->size);
                }
                best = size[i] < best ? size[i] : best;
        }
        for (enum transform t = 0; t < TRANSFORM_COUNT; t++)
                look->growth[t] = (double) size[0] / (double) look->sample[look->best];
        if (tries == 2) {
                look->growth[TRANSFORM_NONE] =
                        (double) size[1] / (double) look->sample[TRANSFORM_NONE];
                look->keep[TRANSFORM_NONE] |= (double) size[1] < NEAR_ENOUGH * (double) best;
        }
        double afar = look->growth[TRANSFORM_NONE] * (double) sample_n / (double) whole->n;
        look->afar = afar < 1 ? afar : 1;
        return best;
}

/* True when no method will bring N bytes, QUICK by the quick method, below LIMIT.
 * The slow methods were never seen to take less than half of what the quick one
 * does, and gain little over it where it gains little itself (noise). */
static bool
is_hopeless(size_t quick, size_t n, double limit)
{
        double share = (double) quick / (double) n;

        return (double) quick * (1 - 0.5 * (1 - share)) >= limit;
}

/* Fingerprints: 16 bytes at a multiple of 4 are remembered when their hash says so,
 * the same ones wherever they are. */
#define FINGERPRINT_BYTES 16
#define FINGERPRINT_SLOTS 8192
#define SELDOM            16    /* one in this many comes again: repetition */

static bool
repeats_far_apart(const uint8_t *data, size_t n)
{
        uint64_t slot[FINGERPRINT_SLOTS] = { 0 };
        size_t   taken = 0, known = 0;

        for (size_t i = 0; i + FINGERPRINT_BYTES <= n; i += 4) {
                uint64_t a = load_little_endian(data + i, 8), b = load_little_endian(data + i + 8, 8);
                uint64_t h = (a ^ (b << 31 | b >> 33)) * UINT64_C(0x9E3779B97F4A7C15);
                if (h >> 58 != 0 || a == b)
                        continue;
                uint64_t *at = &slot[h >> 45 & (FINGERPRINT_SLOTS - 1)];
                taken++;
                known += *at == h;
                *at = h;
        }
        return known * SELDOM > taken;
}

/* False when a glance says that nothing will come below LIMIT: for the many callers
 * that have something far smaller already. */
static bool
is_worth_a_look(const struct transformed *sample, const uint8_t *data, size_t n, size_t limit,
                struct bytes *scratch)
{
        struct transformed piece = {
                .data = sample->data, .n = sample->n < SAMPLE_PIECE ? sample->n : SAMPLE_PIECE
        };
        double share = (double) limit / (double) n;
        size_t best = piece.n;

        if (limit > n / 2 || n <= SAMPLE_PIECES * SAMPLE_PIECE)
                return true;
        for (enum transform t = TRANSFORM_NONE; t <= TRANSFORM_PLANES_8; t++) {
                size_t size = quick_size(t, &piece, scratch);
                best = size < best ? size : best;
        }
        transformed_free(&piece);
        return !is_hopeless(best, piece.n, 2 * share * (double) piece.n)
                || repeats_far_apart(data, n);
}

/* What to compare on the sample, by effort and quick look. */
static size_t
list_candidates(enum effort effort, const bool keep[TRANSFORM_COUNT],
                struct candidate list[MAX_CANDIDATES])
{
        static const unsigned zstd_level[] = { 3, 19, 22 };
        static const uint8_t properties[] = {
                LZMA_PROPERTIES(3, 0, 2), LZMA_PROPERTIES(0, 2, 2),
                LZMA_PROPERTIES(0, 3, 3), LZMA_PROPERTIES(3, 0, 0),
        };
        unsigned preset = effort == EFFORT_MAX ? 9 : 6;
        size_t count = 0;

        for (enum transform t = 0; t < TRANSFORM_COUNT; t++) {
                if (!keep[t])
                        continue;
                list[count++] = (struct candidate) {
                        .method = METHOD_ZSTD, .transform = t, .level = zstd_level[effort]
                };
                if (effort == EFFORT_FAST)
                        continue;
                list[count++] = (struct candidate) { .method = METHOD_BZIP2, .transform = t };
                /* Planes have no alignment that lp and pb could use. */
                size_t first = t == TRANSFORM_NONE ? 0 : sizeof properties - 1;
                for (size_t i = first; i < sizeof properties; i++)
                        list[count++] = (struct candidate) {
                                .method = METHOD_LZMA, .transform = t, .level = preset,
                                .properties = properties[i]
                        };
        }
        return count;
}

/* zstd decodes ten times as fast as the others: below EFFORT_MAX they must save this
 * share of the size. */
static double
worth_slow_decoding(const struct candidate *c, enum effort effort)
{
        return effort == EFFORT_MAX || c->method == METHOD_ZSTD ? 0 : 0.03;
}

static int
compare_candidates(const void *a, const void *b)
{
        const struct candidate *x = a, *y = b;

        return (x->expected > y->expected) - (x->expected < y->expected);
}

/* SAMPLE becomes pieces from the whole of DATA; they may lie in SPACE. */
static void
take_sample(const uint8_t *data, size_t n, uint8_t *space, struct transformed *sample)
{
        *sample = (struct transformed) { .data = data, .n = n };
        if (n <= SAMPLE_PIECES * SAMPLE_PIECE)
                return;
        for (size_t i = 0; i < SAMPLE_PIECES; i++) {
                /* At a multiple of 8, so that elements stay whole. */
                size_t at = (n - SAMPLE_PIECE) / (SAMPLE_PIECES - 1) * i / 8 * 8;
                memcpy(space + i * SAMPLE_PIECE, data + at, SAMPLE_PIECE);
        }
        sample->data = space;
        sample->n = SAMPLE_PIECES * SAMPLE_PIECE;
}

/* Sorts LIST by what each candidate makes of the sample, and what the quick method
 * made of all data compared with the sample. */
static void
rank_candidates(struct candidate *list, size_t count, enum effort effort,
                const struct quick_look *look, struct transformed *sample,
                struct bytes *scratch)
{
        for (size_t i = 0; i < count; i++) {
                bytes_clear(scratch);
                size_t size = try_candidate(&list[i], sample, sample->n, scratch) ?
                              scratch->size : sample->n;
                list[i].expected = (double) size * look->growth[list[i].transform] /
                                   (1 - worth_slow_decoding(&list[i], effort));
        }
        qsort(list, count, sizeof *list, compare_candidates);
}

/* Runs the first TRIES of LIST that may come below LIMIT, and replaces what OUT holds
 * behind START where one is smaller. */
static void
run_promising(const struct candidate *list, size_t tries, enum effort effort, double limit,
              struct transformed *whole, size_t start, struct bytes *scratch,
              struct bytes *out)
{
        for (size_t i = 0; i < tries; i++) {
                if (0.98 * list[i].expected >= limit)
                        continue;
                double most = (double) (out->size - start) *
                              (1 - worth_slow_decoding(&list[i], effort));
                bytes_clear(scratch);
                if (!try_candidate(&list[i], whole, (size_t) most, scratch))
                        continue;
                out->size = start;
                bytes_put(out, scratch->data, scratch->size);
        }
}

/* Replaces what OUT holds behind START where a method finds less than LIMIT bytes.
 * The quick method sees all of the data, so that repeats far apart are noticed. */
static void
encode_compressible(const uint8_t *data, size_t n, enum effort effort, size_t limit,
                    uint8_t *space, struct bytes *scratch, size_t start, struct bytes *out)
{
        static const size_t tries_of[] = { 1, 2, 4 }, transforms_of[] = { 1, 2, 8 };
        struct candidate list[MAX_CANDIDATES];
        struct transformed whole = { .data = data, .n = n }, sample;
        struct quick_look look;

        take_sample(data, n, space, &sample);
        if (!is_worth_a_look(&sample, data, n, limit, scratch))
                return;
        look_at_sample(&sample, transforms_of[effort], &look, scratch);
        size_t reached = look_at_all(&whole, sample.n, &look, start, scratch, out);
        /* Slow methods find as much again of what is far away. */
        double within_reach = (double) limit / look.afar;
        if (reached < n - n / 64 && !is_hopeless(reached, n, within_reach)) {
                size_t count = list_candidates(effort, look.keep, list);
                rank_candidates(list, count, effort, &look, &sample, scratch);
                size_t tries = tries_of[effort] < count ? tries_of[effort] : count;
                run_promising(list, tries, effort, within_reach, &whole, start, scratch, out);
        }
        transformed_free(&sample);
        transformed_free(&whole);
}

static bool
is_constant(const uint8_t *data, size_t n)
{
        return n > 0 && memcmp(data, data + 1, n - 1) == 0;
}

enum caefs_err
pack_encode_below(const void *data, size_t n, enum effort effort, size_t limit,
                  struct bytes *out, bool *below)
{
        struct bytes scratch = { 0 };
        size_t start = out->size;

        if (is_constant(data, n)) {
                bytes_put_u8(out, METHOD_CONSTANT);
                bytes_put(out, data, 1);
        } else {
                bytes_put_u8(out, METHOD_STORED);
                bytes_put(out, data, n);
                uint8_t *space = malloc(SAMPLE_PIECES * SAMPLE_PIECE);
                if (space != NULL && !out->failed && n > 0)
                        encode_compressible(data, n, effort, limit, space, &scratch, start, out);
                if (space == NULL || scratch.failed)
                        out->failed = true;
                free(space);
                bytes_free(&scratch);
        }
        *below = out->size - start < limit;
        if (!*below)
                out->size = start;
        return out->failed ? caefs_fail(CAEFS_ERR_NOMEM, "no memory to pack") : CAEFS_OK;
}

enum caefs_err
pack_encode(const void *data, size_t n, enum effort effort, struct bytes *out)
{
        bool below;

        return pack_encode_below(data, n, effort, SIZE_MAX, out, &below);
}

static enum caefs_err
decode_method(unsigned method, const uint8_t *in, size_t in_size, uint8_t *data, size_t n)
{
        switch (method) {
        case METHOD_STORED:
                if (in_size != n)
                        break;
                memcpy(data, in, n);
                return CAEFS_OK;
        case METHOD_CONSTANT:
                if (in_size != 1)
                        break;
                memset(data, in[0], n);
                return CAEFS_OK;
        case METHOD_ZSTD:
                return backend_zstd_decode(in, in_size, data, n);
        case METHOD_BZIP2:
                return backend_bzip2_decode(in, in_size, data, n);
        case METHOD_LZMA:
                return backend_lzma_decode(in, in_size, data, n);
        }
        return caefs_fail(CAEFS_ERR_CORRUPT, "packed data has an impossible method or length");
}

enum caefs_err
pack_decode(const void *in, size_t in_size, void *data, size_t n)
{
        const uint8_t *at = in;

        if (in_size < 1 || at[0] >= 8 * TRANSFORM_COUNT)
                return caefs_fail(CAEFS_ERR_CORRUPT, "packed data has no known method");
        enum transform t = at[0] / 8;
        if (t == TRANSFORM_NONE)
                return decode_method(at[0] % 8, at + 1, in_size - 1, data, n);
        uint8_t *space = malloc(n == 0 ? 1 : n);
        if (space == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory to unpack");
        enum caefs_err err = decode_method(at[0] % 8, at + 1, in_size - 1, space, n);
        if (err == CAEFS_OK)
                transform_back(t, space, n, data);
        free(space);
        return err;
}
