/* codec/amount.c - the amount of a bound in few bytes. */
#include "codec/amount.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void
amount_write(struct bytes *out, double amount)
{
        char digits[40];
        int  n = 0;

        /* The fewest digits that read back as the same double. */
        do {
                snprintf(digits, sizeof digits, "%.*e", n++, amount);
        } while (n < 17 && strtod(digits, NULL) != amount);

        uint64_t mantissa = 0;
        int      exponent = 0;
        char    *at = digits;
        for (; *at != 'e' && *at != '\0'; at++)
                if (*at >= '0' && *at <= '9')
                        mantissa = mantissa * 10 + (uint64_t) (*at - '0');
        if (*at == 'e')
                exponent = atoi(at + 1);
        bytes_put_varint(out, mantissa);
        bytes_put_signed(out, exponent - (n - 1));
}

double
amount_parse(struct cursor *in)
{
        char     text[48];
        uint64_t mantissa = cursor_varint_max(in, UINT64_C(99999999999999999));
        int64_t  exponent = cursor_signed(in);

        if (in->failed || exponent < -400 || exponent > 400)
                return NAN;
        snprintf(text, sizeof text, "%" PRIu64 "e%" PRId64, mantissa, exponent);
        double amount = strtod(text, NULL);
        return isfinite(amount) && amount > 0 ? amount : NAN;
}
