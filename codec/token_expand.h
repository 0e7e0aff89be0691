/* codec/token_expand.h - tokens and their raw bits become residuals.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_TOKEN_EXPAND_H
#define CAEFS_CODEC_TOKEN_EXPAND_H

#include <stddef.h>

#include "codec/token.h"

/* Bytes that must be readable behind the raw bits. */
#define TOKEN_RAW_MARGIN 16

/* Raw bits that the N tokens need. */
uint64_t token_raw_total(struct token_rule rule, const uint8_t *tokens, size_t n);

/* RAW, lowest bit first, holds what token_raw_total() says and then the margin. */
void token_expand(struct token_rule rule, const uint8_t *tokens, size_t n, const uint8_t *raw,
                  int32_t *r);
void token_expand_wide(struct token_rule rule, const uint8_t *tokens, size_t n,
                       const uint8_t *raw, int64_t *r);

#endif
