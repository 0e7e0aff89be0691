/* codec/pack.h - lossless coding of bytes without structure.
 *
 * One byte names the method (stored, constant, zstd, bzip2, lzma, …), then the
 * coded bytes follow.  What does not shrink is stored.
 *
 * Thread safety: any number of threads.
 */
#ifndef CAEFS_CODEC_PACK_H
#define CAEFS_CODEC_PACK_H

#include "codec/types.h"
#include "common/bytes.h"

/* Appends a coding of DATA; its length is not written. FAST tries quick methods
 * only; BALANCED adds slower ones where a sample says they pay; MAX tries all. */
enum caefs_err pack_encode(const void *data, size_t n, enum effort effort, struct bytes *out);

/* The same where only less than LIMIT bytes are of use: slow methods are left out
 * once a sample says that they will not get there.  *BELOW tells whether a coding
 * was appended; without one OUT is unchanged. */
enum caefs_err pack_encode_below(const void *data, size_t n, enum effort effort, size_t limit,
                                 struct bytes *out, bool *below);

/* Decodes all of IN into exactly N bytes at DATA; CAEFS_ERR_CORRUPT otherwise. */
enum caefs_err pack_decode(const void *in, size_t in_size, void *data, size_t n);

#endif
