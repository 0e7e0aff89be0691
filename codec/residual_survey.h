/* codec/residual_survey.h - what the choice of a residual coder goes by.
 *
 * Private to codec/residual.c.
 *
 * Thread safety: pure function.
 */
#ifndef CAEFS_CODEC_RESIDUAL_SURVEY_H
#define CAEFS_CODEC_RESIDUAL_SURVEY_H

#include "codec/residual_coder.h"

struct residual_survey {
        size_t nonzero;
        size_t active;          /* residuals in blocks of 64 that are not all zero */
        bool   repeats;         /* sequences come again often enough for matches to pay */
};

struct residual_survey residual_survey_of(const struct residuals *r);

#endif
