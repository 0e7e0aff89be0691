/* codec/train_survey.h - what training is worth, looked at without training.
 *
 * From a sample of the arrays: how their values are spread (coefficient of variation),
 * what a value costs at the bound (entropy of the quantised values, of their differences,
 * and as the encoder stores it), and how much is known of a value from elsewhere:
 * from the array before it, from the other columns of its row, from values that stood
 * somewhere else already.  Where that is more than its neighbours tell, a family
 * that learns it is likely to pay.
 *
 * The share of the data to learn from follows "Reducing the Training Overhead of the HPC
 * Compression Autoencoder via Dataset Proportioning", sec. V: about 5 % where the
 * coefficient of variation is 0.01 or more, or differs much between two halves of the
 * data; the more, the further it is below.
 *
 * Thread safety: one thread in a call.
 */
#ifndef CAEFS_CODEC_TRAIN_SURVEY_H
#define CAEFS_CODEC_TRAIN_SURVEY_H

#include "codec/train.h"

/* What a model could know of a value that its neighbours do not tell. */
enum train_lead {
        TRAIN_LEAD_NONE = 0,
        TRAIN_LEAD_EARLIER,             /* the array before it, an earlier step of a series */
        TRAIN_LEAD_COLUMNS,             /* the other columns of its row */
        TRAIN_LEAD_REPEATS,             /* the same values in an array before */
};
#define TRAIN_LEADS 4

struct train_survey {
        uint64_t raw_bytes;             /* of all arrays */
        uint64_t values;                /* of them, looked at */

        /* Standard deviation over mean, as magnitudes; mean over the columns of a table. */
        double   cv;                    /* of the values */
        double   cv_normalised;         /* of the values between their array's lowest, 0, and
                                         * highest, 1 */
        double   cv_first, cv_rest;     /* of the first half of the data, of the second */

        /* Bits a value, at the bound. */
        double   entropy;               /* of the quantised values */
        double   entropy_neighbours;    /* of what the best simple prediction from neighbours
                                         * leaves of them */
        double   entropy_lead[TRAIN_LEADS];     /* the same from LEAD; 0: cannot be had */
        double   stored;                /* by the encoder, without a model */
        double   repeated;              /* share of values that stood in an earlier array so */

        enum train_lead lead;           /* the most promising that a family learns */
        double   ratio;                 /* untrained, of the sample */
        double   ratio_expected;        /* with a model; the same where none is likely to pay */
        double   proportion;            /* of the data to learn from, 0 to 1 */
        const char *proportion_why;     /* static: a clause */
        double   seconds_expected;      /* of a training with OPTIONS, on this machine */
};

/* OPTIONS: bound, scope, time_limit and threads count.  CAEFS_ERR_ARGUMENT: no arrays. */
enum caefs_err train_survey(const struct train_input *input, size_t ninputs,
                            const struct train_options *options, struct train_survey *out);

/* "earlier" ...: a static word; "none". */
const char *train_lead_name(enum train_lead lead);

/* The family that learns it; NULL: none does. */
const char *train_lead_family(enum train_lead lead);

/* The guidance alone: values from COUNT on, and the two halves' coefficients of variation. */
double train_proportion(double cv, double cv_first, double cv_rest, uint64_t count,
                        const char **why);

#endif
