/*
 * report_picture.c - pictures as PNG data URIs.
 *
 * A PNG of 256 colours whose data is deflate's "stored" blocks: pictures are small, and
 * this needs no library.
 */

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "tools/report_page.h"

/* Bytes of a stored block, at most. */
#define STORED_MAX 65535u

/* ---- PNG ---- */

static uint32_t crc32_of(const uint8_t *data, size_t n)
{
        uint32_t crc = 0xffffffffu;
        size_t i;
        int bit;

        for (i = 0; i < n; i++) {
                crc ^= data[i];
                for (bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        }
        return ~crc;
}

static uint32_t adler32_of(const uint8_t *data, size_t n)
{
        uint32_t a = 1, b = 0;
        size_t i;

        for (i = 0; i < n; i++) {
                a = (a + data[i]) % 65521;
                b = (b + a) % 65521;
        }
        return b << 16 | a;
}

static void put_big_endian(struct bytes *out, uint32_t v)
{
        const uint8_t text[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16),
                                  (uint8_t)(v >> 8), (uint8_t)v };

        bytes_put(out, text, 4);
}

static void put_chunk(struct bytes *png, const char *type, const struct bytes *data)
{
        const size_t start = png->size + 4;

        put_big_endian(png, (uint32_t)data->size);
        bytes_put(png, type, 4);
        bytes_put(png, data->data, data->size);
        if (!png->failed)
                put_big_endian(png, crc32_of(png->data + start, png->size - start));
}

/* Linear between these, 0 to 255. */
static void put_colours(struct bytes *out, int diverging)
{
        static const uint8_t dark_to_bright[][3] = {
                { 68, 1, 84 }, { 59, 82, 139 }, { 33, 145, 140 },
                { 94, 201, 98 }, { 253, 231, 37 },
        };
        static const uint8_t two_ways[][3] = {
                { 33, 60, 140 }, { 120, 160, 220 }, { 245, 245, 245 },
                { 235, 150, 110 }, { 150, 30, 40 },
        };
        const uint8_t (*anchor)[3] = diverging ? two_ways : dark_to_bright;
        unsigned i, c;

        for (i = 0; i < 256; i++) {
                const unsigned k = i * 4 / 256, part = i * 4 % 256;

                for (c = 0; c < 3; c++)
                        bytes_put_u8(out, (uint8_t)((anchor[k][c] * (256 - part) +
                                                     anchor[k + 1][c] * part) / 256));
        }
}

/* A zlib stream of stored blocks. */
static void put_stored(struct bytes *out, const struct bytes *data)
{
        size_t at = 0;

        bytes_put(out, "\x78\x01", 2);
        do {
                const size_t n = data->size - at < STORED_MAX ? data->size - at : STORED_MAX;

                bytes_put_u8(out, at + n == data->size);
                bytes_put_u16(out, (uint16_t)n);
                bytes_put_u16(out, (uint16_t)~n);
                bytes_put(out, data->data + at, n);
                at += n;
        } while (at < data->size);
        put_big_endian(out, adler32_of(data->data, data->size));
}

static void make_png(const uint8_t *value, unsigned width, unsigned height, int diverging,
                     struct bytes *png)
{
        struct bytes part = { 0 }, rows = { 0 };
        unsigned y;

        bytes_put(png, "\x89PNG\r\n\x1a\n", 8);
        put_big_endian(&part, width);
        put_big_endian(&part, height);
        bytes_put(&part, "\x08\x03\0\0\0", 5); /* 8 bits of a palette */
        put_chunk(png, "IHDR", &part);
        bytes_clear(&part);
        put_colours(&part, diverging);
        put_chunk(png, "PLTE", &part);
        bytes_clear(&part);
        for (y = 0; y < height; y++) {
                bytes_put_u8(&rows, 0); /* no filter */
                bytes_put(&rows, value + (size_t)y * width, width);
        }
        if (!rows.failed)
                put_stored(&part, &rows);
        put_chunk(png, "IDAT", &part);
        bytes_clear(&part);
        put_chunk(png, "IEND", &part);
        png->failed |= part.failed || rows.failed;
        bytes_free(&part);
        bytes_free(&rows);
}

/* ---- data URI ---- */

static void put_base64(FILE *f, const uint8_t *data, size_t n)
{
        static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        size_t i;

        for (i = 0; i < n; i += 3) {
                const uint32_t v = (uint32_t)data[i] << 16 |
                                   (uint32_t)(i + 1 < n ? data[i + 1] : 0) << 8 |
                                   (i + 2 < n ? data[i + 2] : 0);

                fputc(digits[v >> 18], f);
                fputc(digits[v >> 12 & 63], f);
                fputc(i + 1 < n ? digits[v >> 6 & 63] : '=', f);
                fputc(i + 2 < n ? digits[v & 63] : '=', f);
        }
}

void page_picture(FILE *f, const char *caption, const uint8_t *value, unsigned width,
                  unsigned height, int diverging)
{
        struct bytes png = { 0 };

        make_png(value, width, height, diverging, &png);
        fputs("<figure><img alt=\"", f);
        page_text(f, caption);
        fputs("\" src=\"data:image/png;base64,", f);
        if (!png.failed)
                put_base64(f, png.data, png.size);
        fputs("\"><figcaption>", f);
        page_text(f, caption);
        fputs("</figcaption></figure>\n", f);
        bytes_free(&png);
}
