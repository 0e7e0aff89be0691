/* codec/types.c - names and sizes of dtypes, bounds, scopes and efforts. */
#include "codec/types.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
        const char *name;
        unsigned    size;
        bool        is_float;
} dtypes[DTYPE_COUNT] = {
        [DTYPE_BYTES] = { "bytes", 1, false },
        [DTYPE_F16] = { "f16", 2, true },
        [DTYPE_BF16] = { "bf16", 2, true },
        [DTYPE_F32] = { "f32", 4, true },
        [DTYPE_F64] = { "f64", 8, true },
        [DTYPE_I8] = { "i8", 1, false },
        [DTYPE_I16] = { "i16", 2, false },
        [DTYPE_I32] = { "i32", 4, false },
        [DTYPE_I64] = { "i64", 8, false },
        [DTYPE_U8] = { "u8", 1, false },
        [DTYPE_U16] = { "u16", 2, false },
        [DTYPE_U32] = { "u32", 4, false },
        [DTYPE_U64] = { "u64", 8, false },
};

static const char *const bound_modes[] = { "lossless", "abs", "rel", "pwrel", "psnr" };
static const char *const scopes[] = { "array", "column", "channel" };
static const char *const efforts[] = { "fast", "balanced", "max" };

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

unsigned
dtype_size(enum dtype t)
{
        return (unsigned) t < DTYPE_COUNT ? dtypes[t].size : 0;
}

bool
dtype_is_float(enum dtype t)
{
        return (unsigned) t < DTYPE_COUNT && dtypes[t].is_float;
}

const char *
dtype_name(enum dtype t)
{
        return (unsigned) t < DTYPE_COUNT ? dtypes[t].name : "unknown";
}

bool
dtype_parse(const char *text, enum dtype *t, bool *big_endian)
{
        const char *colon = strchr(text, ':');
        size_t      n = colon == NULL ? strlen(text) : (size_t) (colon - text);
        bool        big = colon != NULL && strcmp(colon, ":be") == 0;

        if (colon != NULL && !big && strcmp(colon, ":le") != 0)
                return false;
        for (int i = 1; i < DTYPE_COUNT; i++) {
                if (strlen(dtypes[i].name) != n || memcmp(text, dtypes[i].name, n) != 0)
                        continue;
                *t = (enum dtype) i;
                *big_endian = big;
                return true;
        }
        return false;
}

uint64_t
shape_count(const struct shape *s)
{
        uint64_t count = 1;

        for (unsigned i = 0; i < s->ndim; i++)
                if (__builtin_mul_overflow(count, s->extent[i], &count) || count >> 63 != 0)
                        return 0;
        return count;
}

/* Index of TEXT in the COUNT NAMES, or -1. */
static int
index_of(const char *text, size_t n, const char *const *names, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (strlen(names[i]) == n && memcmp(text, names[i], n) == 0)
                        return (int) i;
        return -1;
}

bool
bound_parse(const char *text, struct bound *b)
{
        const char *colon = strchr(text, ':');
        size_t      n = colon == NULL ? strlen(text) : (size_t) (colon - text);
        int         mode = index_of(text, n, bound_modes, COUNT_OF(bound_modes));
        char       *end;

        if (mode == BOUND_LOSSLESS && colon == NULL) {
                *b = (struct bound) { .mode = BOUND_LOSSLESS };
                return true;
        }
        if (mode > BOUND_LOSSLESS && colon != NULL && colon[1] != '\0') {
                double amount = strtod(colon + 1, &end);
                if (*end == '\0' && isfinite(amount) && amount > 0) {
                        *b = (struct bound) { .mode = (enum bound_mode) mode, .amount = amount };
                        return true;
                }
        }
        caefs_fail(CAEFS_ERR_ARGUMENT, "'%s' is no bound: use lossless, abs:E, rel:E, pwrel:E "
                   "or psnr:DB with a number above 0", text);
        return false;
}

void
bound_format(const struct bound *b, char text[32])
{
        if (b->mode == BOUND_LOSSLESS)
                snprintf(text, 32, "lossless");
        else
                snprintf(text, 32, "%s:%.17g", bound_mode_name(b->mode), b->amount);
        /* The shortest form that reads back as the same number: "psnr:60", not "6e+01". */
        for (int digits = 1; b->mode != BOUND_LOSSLESS && digits < 17; digits++) {
                char shorter[32];
                snprintf(shorter, sizeof shorter, "%s:%.*g", bound_mode_name(b->mode), digits,
                         b->amount);
                if (strtod(strchr(shorter, ':') + 1, NULL) == b->amount &&
                    strlen(shorter) < strlen(text))
                        memcpy(text, shorter, sizeof shorter);
        }
}

bool
scope_parse(const char *text, enum scope *s)
{
        int i = index_of(text, strlen(text), scopes, COUNT_OF(scopes));

        if (i < 0) {
                caefs_fail(CAEFS_ERR_ARGUMENT, "'%s' is no scope: use array, column or channel", text);
                return false;
        }
        *s = (enum scope) i;
        return true;
}

bool
effort_parse(const char *text, enum effort *e)
{
        int i = index_of(text, strlen(text), efforts, COUNT_OF(efforts));

        if (i < 0) {
                caefs_fail(CAEFS_ERR_ARGUMENT, "'%s' is no effort: use fast, balanced or max", text);
                return false;
        }
        *e = (enum effort) i;
        return true;
}

const char *
bound_mode_name(enum bound_mode m)
{
        return (unsigned) m < COUNT_OF(bound_modes) ? bound_modes[m] : "unknown";
}

const char *
scope_name(enum scope s)
{
        return (unsigned) s < COUNT_OF(scopes) ? scopes[s] : "unknown";
}

const char *
effort_name(enum effort e)
{
        return (unsigned) e < COUNT_OF(efforts) ? efforts[e] : "unknown";
}
