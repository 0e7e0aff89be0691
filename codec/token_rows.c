/* codec/token_rows.c - rows without vector instructions, and the choice. */
#include "codec/token_rows.h"

#include "codec/cpu.h"
#include "codec/token_raw.h"
#include "common/bytes.h"

static inline unsigned
split_code(struct token_writer *w, uint64_t code)
{
        unsigned token = token_of(w->rule, code), n = token_raw_bits(w->rule, token);

        if (n > 32) {
                token_put_raw(w, code & UINT32_MAX, 32);
                token_put_raw(w, code >> 32 & ((UINT64_C(1) << (n - 32)) - 1), n - 32);
        } else if (n > 0) {
                token_put_raw(w, code & ((UINT64_C(1) << n) - 1), n);
        }
        return token;
}

static void
split_narrow(struct token_writer *w, const void *const row[], unsigned nrows, uint8_t *tokens)
{
        for (unsigned k = 0; k < nrows; k++) {
                const int32_t *r = row[k];
                for (unsigned i = 0; i < TOKEN_ROW; i++)
                        *tokens++ = (uint8_t) split_code(w, zigzag_encode(r[i]));
        }
}

static void
split_wide(struct token_writer *w, const void *const row[], unsigned nrows, uint8_t *tokens)
{
        for (unsigned k = 0; k < nrows; k++) {
                const int64_t *r = row[k];
                for (unsigned i = 0; i < TOKEN_ROW; i++)
                        *tokens++ = (uint8_t) split_code(w, zigzag_encode(r[i]));
        }
}

token_split_function *
token_split_best(bool wide)
{
        if (wide)
                return split_wide;
        switch (cpu_level()) {
#if defined(__x86_64__)
        case CPU_AVX512: return token_split_avx512;
        case CPU_AVX2:   return token_split_avx2;
#endif
        default:         return split_narrow;
        }
}

uint8_t *
token_writer_finish(struct token_writer *w)
{
        if (w->npending > 0)
                *w->raw++ = (uint8_t) w->pending;
        w->pending = 0;
        w->npending = 0;
        return w->raw;
}

void
token_reader_init(struct token_reader *in, struct token_rule rule, const uint8_t *raw)
{
        in->rule = rule;
        in->raw = raw;
        in->bit = 0;
        for (unsigned i = 0; i < TOKEN_LIMIT; i++) {
                unsigned n = token_raw_bits(rule, i);
                in->nraw[i] = (uint8_t) (n < 64 ? n : 0);
                in->base[i] = n < 64 ? token_base(rule, i) : 0;
        }
}

/* Most tokens are their own zigzag codes: all are first taken for that, which
 * vectorises, and then the few with raw bits are done again. */
static void
join_narrow(struct token_reader *in, const uint8_t *tokens, unsigned nrows, void *const row[])
{
        unsigned direct = 1u << in->rule.split;

        for (unsigned k = 0; k < nrows; k++, tokens += TOKEN_ROW) {
                int32_t *r = row[k];
                for (unsigned i = 0; i < TOKEN_ROW; i++)
                        r[i] = (tokens[i] >> 1) ^ -(tokens[i] & 1);
                for (unsigned i = 0; i < TOKEN_ROW; i++)
                        if (tokens[i] >= direct)
                                r[i] = (int32_t) zigzag_decode(token_take_code(in, tokens[i]));
        }
}

static void
join_wide(struct token_reader *in, const uint8_t *tokens, unsigned nrows, void *const row[])
{
        unsigned direct = 1u << in->rule.split;

        for (unsigned k = 0; k < nrows; k++, tokens += TOKEN_ROW) {
                int64_t *r = row[k];
                for (unsigned i = 0; i < TOKEN_ROW; i++)
                        r[i] = (tokens[i] >> 1) ^ -(tokens[i] & 1);
                for (unsigned i = 0; i < TOKEN_ROW; i++)
                        if (tokens[i] >= direct)
                                r[i] = zigzag_decode(token_take_code(in, tokens[i]));
        }
}

token_join_function *
token_join_best(bool wide)
{
        if (wide)
                return join_wide;
        switch (cpu_level()) {
#if defined(__x86_64__)
        case CPU_AVX512: return token_join_avx512;
        case CPU_AVX2:   return token_join_avx2;
#endif
        default:         return join_narrow;
        }
}

/* Raw bits of N tokens: so few that the sum of 64 does not matter to 32 bits.  The loop
 * vectorises. */
static inline __attribute__((always_inline)) uint32_t
sum_raw_bits(const uint8_t *tokens, size_t n, uint8_t direct, uint8_t first, unsigned msb)
{
        uint32_t sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += tokens[i] < direct ? 0 : first + ((unsigned) (tokens[i] - direct) >> msb);
        return sum;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint32_t
sum_raw_bits_avx2(const uint8_t *tokens, size_t n, uint8_t direct, uint8_t first, unsigned msb)
{
        return sum_raw_bits(tokens, n, direct, first, msb);
}
#endif

uint64_t
token_raw_total(struct token_rule rule, const uint8_t *tokens, size_t n)
{
        const uint8_t direct = (uint8_t) (1u << rule.split);
        const uint8_t first = (uint8_t) (rule.split - rule.msb);
        uint64_t total = 0;

        for (size_t i = 0; i < n; i += 4096) {
                size_t piece = n - i < 4096 ? n - i : 4096;
#if defined(__x86_64__)
                if (cpu_level() != CPU_PLAIN) {
                        total += sum_raw_bits_avx2(tokens + i, piece, direct, first, rule.msb);
                        continue;
                }
#endif
                total += sum_raw_bits(tokens + i, piece, direct, first, rule.msb);
        }
        return total;
}
