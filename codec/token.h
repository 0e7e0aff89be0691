/* codec/token.h - residuals as one of at most 256 tokens and raw bits.
 *
 * The zigzag code of a residual below 2^SPLIT is its own token.  Larger codes are named by
 * their bit length and the MSB bits below the leading one; the bits below those
 * are stored as they are.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_TOKEN_H
#define CAEFS_CODEC_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#define TOKEN_LIMIT 256

struct token_rule {
        unsigned split;         /* 1 to 7 */
        unsigned msb;           /* 0 to 3, at most SPLIT */
};

/* How many tokens there are for codes of WIDTH bits (32 or 64). */
static inline unsigned
token_count(struct token_rule rule, unsigned width)
{
        return (1u << rule.split) + ((width - rule.split) << rule.msb);
}

static inline bool
token_rule_valid(struct token_rule rule, unsigned width)
{
        return rule.split >= 1 && rule.split <= 7 && rule.msb <= 3 && rule.msb <= rule.split &&
               token_count(rule, width) <= TOKEN_LIMIT;
}

static inline unsigned
token_of(struct token_rule rule, uint64_t code)
{
        if (code < UINT64_C(1) << rule.split)
                return (unsigned) code;
        unsigned top = 63 - (unsigned) __builtin_clzll(code);
        unsigned mantissa = (unsigned) (code >> (top - rule.msb)) & ((1u << rule.msb) - 1);
        return (1u << rule.split) + ((top - rule.split) << rule.msb) + mantissa;
}

/* Raw bits behind TOKEN, at most 63. */
static inline unsigned
token_raw_bits(struct token_rule rule, unsigned token)
{
        if (token < 1u << rule.split)
                return 0;
        return rule.split + ((token - (1u << rule.split)) >> rule.msb) - rule.msb;
}

/* The smallest code that TOKEN stands for; its raw bits are added. */
static inline uint64_t
token_base(struct token_rule rule, unsigned token)
{
        if (token < 1u << rule.split)
                return token;
        unsigned mantissa = (token - (1u << rule.split)) & ((1u << rule.msb) - 1);
        return (uint64_t) ((1u << rule.msb) + mantissa) << token_raw_bits(rule, token);
}

#endif
