/* codec/pack_backend.c - zstd, bzip2 and liblzma without their containers. */
#include "codec/pack_backend.h"

#include <bzlib.h>
#include <limits.h>
#include <lzma.h>
#define ZSTD_STATIC_LINKING_ONLY        /* the frame format without magic number */
#include <zstd.h>

/* What every bzip2 stream of at least one byte begins with at block size 9. */
static const char bzip2_head[10] = "BZh91AY&SY";

bool
backend_zstd_encode(const uint8_t *data, size_t n, int level, size_t limit, struct bytes *out)
{
        uint8_t *room = bytes_reserve(out, limit);
        ZSTD_CCtx *context = ZSTD_createCCtx();
        size_t size = 0;

        if (room == NULL || context == NULL) {
                ZSTD_freeCCtx(context);
                out->failed = true;
                return false;
        }
        if (!ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_format, ZSTD_f_zstd1_magicless)) &&
            !ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)) &&
            !ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)))
                size = ZSTD_compress2(context, room, limit, data, n);
        ZSTD_freeCCtx(context);
        if (size == 0 || ZSTD_isError(size) || size >= limit)
                return false;
        out->size += size;
        return true;
}

enum caefs_err
backend_zstd_decode(const uint8_t *in, size_t in_size, uint8_t *data, size_t n)
{
        ZSTD_DCtx *context = ZSTD_createDCtx();

        if (context == NULL)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for zstd");
        size_t size = ZSTD_DCtx_setParameter(context, ZSTD_d_format, ZSTD_f_zstd1_magicless);
        if (!ZSTD_isError(size))
                size = ZSTD_decompressDCtx(context, data, n, in, in_size);
        ZSTD_freeDCtx(context);
        if (ZSTD_isError(size) || size != n)
                return caefs_fail(CAEFS_ERR_CORRUPT, "zstd data is damaged");
        return CAEFS_OK;
}

bool
backend_bzip2_encode(const uint8_t *data, size_t n, size_t limit, struct bytes *out)
{
        size_t head = sizeof bzip2_head;

        if (n > UINT_MAX / 2 || limit > UINT_MAX / 2)
                return false;
        uint8_t *room = bytes_reserve(out, limit + head);
        if (room == NULL)
                return false;
        unsigned size = (unsigned) (limit + head);
        int status = BZ2_bzBuffToBuffCompress((char *) room, &size, (char *) data,
                                              (unsigned) n, 9, 0, 0);
        if (status == BZ_MEM_ERROR)
                out->failed = true;
        if (status != BZ_OK || size < head || size - head >= limit ||
            memcmp(room, bzip2_head, head) != 0)
                return false;
        memmove(room, room + head, size - head);
        out->size += size - head;
        return true;
}

/* Feeds SIZE bytes at IN to S; true while S goes on or ends well. */
static bool
bzip2_feed(bz_stream *s, const void *in, size_t size, int *status)
{
        s->next_in = (char *) in;
        s->avail_in = (unsigned) size;
        do {
                unsigned before_in = s->avail_in, before_out = s->avail_out;
                *status = BZ2_bzDecompress(s);
                if (*status != BZ_OK)
                        return *status == BZ_STREAM_END;
                if (s->avail_in == before_in && s->avail_out == before_out)
                        return s->avail_in == 0;        /* no progress: starved or full */
        } while (s->avail_in > 0);
        return true;
}

enum caefs_err
backend_bzip2_decode(const uint8_t *in, size_t in_size, uint8_t *data, size_t n)
{
        bz_stream s = { 0 };
        int status = BZ_OK;

        if (n > UINT_MAX || in_size > UINT_MAX)
                return caefs_fail(CAEFS_ERR_CORRUPT, "bzip2 data is too long");
        if (BZ2_bzDecompressInit(&s, 0, 0) != BZ_OK)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for bzip2");
        s.next_out = (char *) data;
        s.avail_out = (unsigned) n;
        bool good = bzip2_feed(&s, bzip2_head, sizeof bzip2_head, &status) &&
                status == BZ_OK && bzip2_feed(&s, in, in_size, &status);
        good = good && status == BZ_STREAM_END && s.avail_in == 0 && s.avail_out == 0;
        BZ2_bzDecompressEnd(&s);
        return good ? CAEFS_OK : caefs_fail(CAEFS_ERR_CORRUPT, "bzip2 data is damaged");
}

/* LZMA1 with the dictionary as large as the data, which both sides know. */
static bool
lzma_filter_options(size_t n, unsigned properties, lzma_options_lzma *o)
{
        if (properties >= 9 * 5 * 5 || n > (UINT32_C(1) << 30))
                return false;
        o->lc = properties % 9;
        o->lp = properties / 9 % 5;
        o->pb = properties / 45;
        o->dict_size = n < LZMA_DICT_SIZE_MIN ? LZMA_DICT_SIZE_MIN : (uint32_t) n;
        return o->lc + o->lp <= LZMA_LCLP_MAX;
}

bool
backend_lzma_encode(const uint8_t *data, size_t n, unsigned properties, unsigned preset,
                    size_t limit, struct bytes *out)
{
        lzma_options_lzma options;
        lzma_filter chain[2] = {
                { .id = LZMA_FILTER_LZMA1, .options = &options },
                { .id = LZMA_VLI_UNKNOWN }
        };

        if (lzma_lzma_preset(&options, preset == 9 ? 9 | LZMA_PRESET_EXTREME : preset) ||
            !lzma_filter_options(n, properties, &options))
                return false;
        uint8_t *room = bytes_reserve(out, limit);
        if (room == NULL)
                return false;
        size_t size = 0;
        if (limit < 2)
                return false;
        lzma_ret status = lzma_raw_buffer_encode(chain, NULL, data, n, room + 1, &size,
                                                 limit - 1);
        if (status == LZMA_MEM_ERROR)
                out->failed = true;
        if (status != LZMA_OK || size + 1 >= limit)
                return false;
        room[0] = (uint8_t) properties;
        out->size += size + 1;
        return true;
}

enum caefs_err
backend_lzma_decode(const uint8_t *in, size_t in_size, uint8_t *data, size_t n)
{
        lzma_options_lzma options = { 0 };
        lzma_filter chain[2] = {
                { .id = LZMA_FILTER_LZMA1, .options = &options },
                { .id = LZMA_VLI_UNKNOWN }
        };
        size_t in_at = 1, out_at = 0;

        if (in_size < 1 || !lzma_filter_options(n, in[0], &options))
                return caefs_fail(CAEFS_ERR_CORRUPT, "lzma data has impossible properties");
        lzma_ret status = lzma_raw_buffer_decode(chain, NULL, in, &in_at, in_size, data,
                                                 &out_at, n);
        if (status == LZMA_MEM_ERROR)
                return caefs_fail(CAEFS_ERR_NOMEM, "no memory for lzma");
        if (status != LZMA_OK || in_at != in_size || out_at != n)
                return caefs_fail(CAEFS_ERR_CORRUPT, "lzma data is damaged");
        return CAEFS_OK;
}
