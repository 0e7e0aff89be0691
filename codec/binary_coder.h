/* codec/binary_coder.h - an arithmetic coder for single bits, and adaptive bits.
 *
 * Carryless, 32 bits: LOW and HIGH bound the interval, a byte leaves when they
 * agree in it.  The method is that of M. Mahoney, "Adaptive Weighing of Context Models
 * for Lossless Data Compression" (2005), sec. 3.1, with 16-bit probabilities.
 *
 * A stream ends itself: the encoder writes as many bytes as make every
 * continuation fall into the interval, and the decoder, which knows the interval,
 * knows how many those were.  So no length is stored.
 *
 * Thread safety: none; an object belongs to one thread at a time.
 */
#ifndef CAEFS_CODEC_BINARY_CODER_H
#define CAEFS_CODEC_BINARY_CODER_H

#include "common/bytes.h"

struct binary_encoder {
        uint32_t      low, high;
        struct bytes *out;
};

struct binary_decoder {
        uint32_t       low, high, code;
        struct cursor *in;              /* AT is the first byte not yet shifted out */
};

static inline struct binary_encoder
binary_encoder_of(struct bytes *out)
{
        return (struct binary_encoder) { .high = UINT32_MAX, .out = out };
}

/* Where the interval is cut: below it lie the ones.  P1, 1 to 65535, is the
 * probability of a one in 65536ths. */
static inline uint32_t
binary_cut(uint32_t low, uint32_t high, uint32_t p1)
{
        return low + (uint32_t) (((uint64_t) (high - low) * p1) >> 16);
}

static inline void
binary_encode(struct binary_encoder *e, bool bit, uint32_t p1)
{
        uint32_t cut = binary_cut(e->low, e->high, p1);

        if (bit)
                e->high = cut;
        else
                e->low = cut + 1;
        while ((e->low ^ e->high) >> 24 == 0) {
                bytes_put_u8(e->out, (uint8_t) (e->high >> 24));
                e->low <<= 8;
                e->high = e->high << 8 | 255;
        }
}

/* How many bytes, and which, put every continuation between LOW and HIGH. */
static inline unsigned
binary_tail(uint32_t low, uint32_t high, uint32_t *tail)
{
        for (unsigned n = 0; n < 4; n++) {
                uint32_t rest = n == 0 ? UINT32_MAX : UINT32_MAX >> (8 * n);
                uint64_t first = ((uint64_t) low + rest) & ~(uint64_t) rest;
                if (first + rest <= high) {
                        *tail = (uint32_t) first;
                        return n;
                }
        }
        *tail = low;
        return 4;
}

/* Ends the stream. */
static inline void
binary_encoder_finish(struct binary_encoder *e)
{
        uint32_t tail;
        unsigned n = binary_tail(e->low, e->high, &tail);

        for (unsigned i = 0; i < n; i++)
                bytes_put_u8(e->out, (uint8_t) (tail >> (24 - 8 * i)));
}

/* The byte I places on, or 0 behind the end: the decoder looks ahead. */
static inline uint32_t
binary_peek(const struct cursor *in, size_t i)
{
        return i < (size_t) (in->end - in->at) ? in->at[i] : 0;
}

static inline struct binary_decoder
binary_decoder_of(struct cursor *in)
{
        struct binary_decoder d = { .high = UINT32_MAX, .in = in };

        for (size_t i = 0; i < 4; i++)
                d.code = d.code << 8 | binary_peek(in, i);
        return d;
}

static inline bool
binary_decode(struct binary_decoder *d, uint32_t p1)
{
        uint32_t cut = binary_cut(d->low, d->high, p1);
        bool bit = d->code <= cut;

        if (bit)
                d->high = cut;
        else
                d->low = cut + 1;
        while ((d->low ^ d->high) >> 24 == 0) {
                if (d->in->at == d->in->end) {
                        d->in->failed = true;   /* bits from nowhere: read zeros */
                        d->low = 0;
                        d->high = UINT32_MAX;
                        d->code = 0;
                        break;
                }
                d->in->at++;
                d->low <<= 8;
                d->high = d->high << 8 | 255;
                d->code = d->code << 8 | binary_peek(d->in, 3);
        }
        return bit;
}

/* Moves the cursor behind the stream; false when the stream was cut short. */
static inline bool
binary_decoder_finish(struct binary_decoder *d)
{
        uint32_t tail;

        return cursor_take(d->in, binary_tail(d->low, d->high, &tail)) != NULL;
}

/* A bit that learns its probability: quickly at first. All zero is no start:
 * use ADAPTIVE_BIT. */
struct adaptive_bit {
        uint16_t p1;                    /* in 65536ths */
        uint8_t  seen;
};

#define ADAPTIVE_BIT ((struct adaptive_bit) { .p1 = 32768 })

static inline uint32_t
adaptive_probability(const struct adaptive_bit *a)
{
        return a->p1 < 64 ? 64 : a->p1 > 65472 ? 65472 : a->p1;
}

static inline void
adaptive_update(struct adaptive_bit *a, bool bit)
{
        static const uint16_t rate[] = {        /* 65536 / (n + 1.6) */
                40960, 25206, 18204, 14247, 11703, 9930, 8623, 7620, 6827, 6183, 5650, 5201, 4819
        };
        const unsigned last = sizeof rate / sizeof rate[0] - 1;

        int32_t goal = bit ? 65535 : 0;
        a->p1 = (uint16_t) (a->p1 + (int32_t) (((int64_t) (goal - a->p1) * rate[a->seen]) >> 16));
        if (a->seen < last)
                a->seen++;
}

static inline void
adaptive_encode(struct binary_encoder *e, struct adaptive_bit *a, bool bit)
{
        binary_encode(e, bit, adaptive_probability(a));
        adaptive_update(a, bit);
}

static inline bool
adaptive_decode(struct binary_decoder *d, struct adaptive_bit *a)
{
        bool bit = binary_decode(d, adaptive_probability(a));

        adaptive_update(a, bit);
        return bit;
}

/* The low N bits of V, the highest first, each as likely 0 as 1; N <= 32. */
void     even_bits_encode(struct binary_encoder *e, uint32_t v, unsigned n);
uint32_t even_bits_decode(struct binary_decoder *d, unsigned n);

/* Numbers 0 to 2^32 - 2: V + 1 has a length of L bits; L - 1 ones and a zero, each of
 * them adaptive, then the L - 1 bits below the leading one; the first is adaptive. */
struct adaptive_number {
        struct adaptive_bit length[32];
        struct adaptive_bit first[32];
};

void     adaptive_number_init(struct adaptive_number *a);
void     adaptive_number_encode(struct binary_encoder *e, struct adaptive_number *a, uint32_t v);
uint32_t adaptive_number_decode(struct binary_decoder *d, struct adaptive_number *a);

#endif
