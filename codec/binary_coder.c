/* codec/binary_coder.c - numbers, bit by bit. */
#include "codec/binary_coder.h"

#define EVEN 32768      /* as likely 1 as 0 */

void
even_bits_encode(struct binary_encoder *e, uint32_t v, unsigned n)
{
        while (n-- > 0)
                binary_encode(e, v >> n & 1, EVEN);
}

uint32_t
even_bits_decode(struct binary_decoder *d, unsigned n)
{
        uint32_t v = 0;

        while (n-- > 0)
                v = v << 1 | binary_decode(d, EVEN);
        return v;
}

void
adaptive_number_init(struct adaptive_number *a)
{
        for (size_t i = 0; i < 32; i++)
                a->length[i] = a->first[i] = ADAPTIVE_BIT;
}

void
adaptive_number_encode(struct binary_encoder *e, struct adaptive_number *a, uint32_t v)
{
        unsigned below = 31 - (unsigned) __builtin_clz(v + 1);

        for (unsigned i = 0; i < below; i++)
                adaptive_encode(e, &a->length[i], true);
        if (below < 31)
                adaptive_encode(e, &a->length[below], false);
        for (unsigned i = below; i-- > 0;) {
                bool bit = (v + 1) >> i & 1;
                if (i + 1 == below)
                        adaptive_encode(e, &a->first[below], bit);
                else
                        binary_encode(e, bit, EVEN);
        }
}

uint32_t
adaptive_number_decode(struct binary_decoder *d, struct adaptive_number *a)
{
        unsigned below = 0;
        uint32_t v = 1;

        while (below < 31 && adaptive_decode(d, &a->length[below]))
                below++;
        for (unsigned i = below; i-- > 0;) {
                bool bit = i + 1 == below ? adaptive_decode(d, &a->first[below]) :
                           binary_decode(d, EVEN);
                v = v << 1 | bit;
        }
        return v - 1;
}
