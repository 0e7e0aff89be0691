/* codec/token_expand.c - tokens and their raw bits become residuals.
 *
 * Most tokens are their own zigzag codes: all are first taken for that, which
 * vectorises, and then the few with raw bits are done again. */
#include "codec/token_expand.h"

#include <string.h>

/* Tokens done together: they stay in the nearest cache between the passes. */
#define PIECE 4096

/* Loops that compilers vectorise, for AVX2 and for any CPU. */
#define INLINE static inline __attribute__((always_inline))

INLINE uint64_t
sum_raw_bits(const uint8_t *tokens, size_t n, unsigned direct, unsigned first, unsigned msb)
{
        uint32_t sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += tokens[i] < direct ? 0 : first + ((tokens[i] - direct) >> msb);
        return sum;
}

INLINE void
unzigzag(const uint8_t *tokens, size_t n, int32_t *r)
{
        for (size_t i = 0; i < n; i++)
                r[i] = (tokens[i] >> 1) ^ -(tokens[i] & 1);
}

INLINE void
unzigzag_wide(const uint8_t *tokens, size_t n, int64_t *r)
{
        for (size_t i = 0; i < n; i++)
                r[i] = (tokens[i] >> 1) ^ -(tokens[i] & 1);
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))

AVX2 static uint64_t
sum_raw_bits_avx2(const uint8_t *tokens, size_t n, unsigned direct, unsigned first, unsigned msb)
{
        return sum_raw_bits(tokens, n, direct, first, msb);
}

AVX2 static void
unzigzag_avx2(const uint8_t *tokens, size_t n, int32_t *r)
{
        unzigzag(tokens, n, r);
}

AVX2 static void
unzigzag_wide_avx2(const uint8_t *tokens, size_t n, int64_t *r)
{
        unzigzag_wide(tokens, n, r);
}

#define BEST(function, ...) \
        (__builtin_cpu_supports("avx2") ? function##_avx2(__VA_ARGS__) : function(__VA_ARGS__))
#else
#define BEST(function, ...) function(__VA_ARGS__)
#endif

uint64_t
token_raw_total(struct token_rule rule, const uint8_t *tokens, size_t n)
{
        unsigned direct = 1u << rule.split, first = rule.split - rule.msb;
        uint64_t total = 0;

        for (size_t i = 0; i < n; i += PIECE) {
                size_t piece = n - i < PIECE ? n - i : PIECE;
                total += BEST(sum_raw_bits, tokens + i, piece, direct, first, rule.msb);
        }
        return total;
}

static inline uint64_t
load_bits(const uint8_t *raw, uint64_t bit)
{
        uint64_t v;

        memcpy(&v, raw + (bit >> 3), sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        v = __builtin_bswap64(v);
#endif
        return v >> (bit & 7);
}

/* The N (at most 63) bits at *BIT, which moves on. */
static inline uint64_t
take_bits(const uint8_t *raw, uint64_t *bit, unsigned n)
{
        uint64_t v = load_bits(raw, *bit);

        if (n > 57)
                v = (v & UINT32_MAX) | load_bits(raw, *bit + 32) << 32;
        *bit += n;
        return v & ((UINT64_C(1) << n) - 1);
}

/* Where in the 8 tokens at AT one is at least DIRECT: the top bit of its byte. */
static inline uint64_t
find_large(const uint8_t *at, unsigned direct)
{
        const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
        uint64_t v;

        memcpy(&v, at, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        v = __builtin_bswap64(v);
#endif
        /* DIRECT is a power of two up to 128: large means any bit from there up. */
        uint64_t high = v & ones * (256 - direct);
        return (((high & ~tops) + (tops - ones)) | high) & tops;
}

/* Zigzag codes by token, and how many raw bits are added. */
struct token_table {
        uint64_t base[TOKEN_LIMIT];
        uint8_t  raw[TOKEN_LIMIT];
};

static void
token_table_fill(struct token_table *t, struct token_rule rule)
{
        for (unsigned i = 0; i < TOKEN_LIMIT; i++) {
                unsigned raw = token_raw_bits(rule, i);
                t->raw[i] = (uint8_t) (raw < 64 ? raw : 0);
                t->base[i] = raw < 64 ? token_base(rule, i) : 0;
        }
}

static inline uint64_t
unzigzag_code(uint64_t code)
{
        return (code >> 1) ^ (0 - (code & 1));
}

/* Calls DO for each I of N tokens that has raw bits. */
#define FOR_EACH_LARGE(i, tokens, n, direct, DO)                                        \
        do {                                                                            \
                size_t i = 0;                                                           \
                for (; i + 8 <= (n); i += 8) {                                          \
                        uint64_t large = find_large((tokens) + i, direct);              \
                        size_t first = i;                                               \
                        for (; large != 0; large &= large - 1) {                        \
                                i = first + (unsigned) __builtin_ctzll(large) / 8;      \
                                DO;                                                     \
                        }                                                               \
                        i = first;                                                      \
                }                                                                       \
                for (; i < (n); i++)                                                    \
                        if ((tokens)[i] >= (direct))                                    \
                                DO;                                                     \
        } while (0)

void
token_expand(struct token_rule rule, const uint8_t *tokens, size_t n, const uint8_t *raw,
             int32_t *r)
{
        struct token_table table;
        unsigned direct = 1u << rule.split;
        uint64_t bit = 0;

        token_table_fill(&table, rule);
        for (size_t at = 0; at < n; at += PIECE, tokens += PIECE, r += PIECE) {
                size_t piece = n - at < PIECE ? n - at : PIECE;
                BEST(unzigzag, tokens, piece, r);
                FOR_EACH_LARGE(i, tokens, piece, direct,
                               r[i] = (int32_t) unzigzag_code(table.base[tokens[i]] + take_bits(
                                               raw, &bit, table.raw[tokens[i]])));
        }
}

void
token_expand_wide(struct token_rule rule, const uint8_t *tokens, size_t n, const uint8_t *raw,
                  int64_t *r)
{
        struct token_table table;
        unsigned direct = 1u << rule.split;
        uint64_t bit = 0;

        token_table_fill(&table, rule);
        for (size_t at = 0; at < n; at += PIECE, tokens += PIECE, r += PIECE) {
                size_t piece = n - at < PIECE ? n - at : PIECE;
                BEST(unzigzag_wide, tokens, piece, r);
                FOR_EACH_LARGE(i, tokens, piece, direct,
                               r[i] = (int64_t) unzigzag_code(table.base[tokens[i]] + take_bits(
                                               raw, &bit, table.raw[tokens[i]])));
        }
}
