/* codec/token_rows.h - rows of residuals become tokens and raw bits, and back.
 *
 * A row is TOKEN_ROW residuals that follow each other; shorter ones are filled up
 * with zeros, whose token has no raw bits.  Raw bits lie in the order of the rows, lowest
 * bit first.
 *
 * Thread safety: any number of threads, each with its own objects.
 */
#ifndef CAEFS_CODEC_TOKEN_ROWS_H
#define CAEFS_CODEC_TOKEN_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "codec/token.h"

#define TOKEN_ROW 16

/* Where raw bits go. */
struct token_writer {
        struct token_rule rule;
        uint8_t          *raw;          /* next byte */
        uint64_t          pending;      /* bits for it */
        unsigned          npending;     /* at most 7 between rows */
};

/* Room that raw bits need for each residual, and behind all of them. */
#define TOKEN_RAW_ROOM(wide) ((wide) ? 8 : 4)
#define TOKEN_RAW_MARGIN     256

/* Splits NROWS rows; int64_t if WIDE was said, else int32_t. */
typedef void token_split_function(struct token_writer *w, const void *const row[],
                                  unsigned nrows, uint8_t *tokens);

token_split_function *token_split_best(bool wide);

/* Completes the last byte; returns where the raw bits end. */
uint8_t *token_writer_finish(struct token_writer *w);

/* Where raw bits come from. */
struct token_reader {
        struct token_rule rule;
        const uint8_t    *raw;          /* and TOKEN_RAW_MARGIN bytes behind them */
        uint64_t          bit;          /* next one */
        uint64_t          base[TOKEN_LIMIT];
        uint8_t           nraw[TOKEN_LIMIT];
};

/* RULE is valid. */
void token_reader_init(struct token_reader *in, struct token_rule rule, const uint8_t *raw);

/* Fills NROWS rows from their tokens; the raw bits must be there (token_raw_total()). */
typedef void token_join_function(struct token_reader *in, const uint8_t *tokens,
                                 unsigned nrows, void *const row[]);

token_join_function *token_join_best(bool wide);

/* Raw bits that the N tokens need. */
uint64_t token_raw_total(struct token_rule rule, const uint8_t *tokens, size_t n);

#if defined(__x86_64__)
token_split_function token_split_avx2, token_split_avx512;
token_join_function token_join_avx2, token_join_avx512;
#endif

#endif
