/* codec/train_family.h - what a family does that learns.
 *
 * train_model() cuts the data (codec/train_pieces.h), lets each trainable family make
 * its part of a model from the learnt pieces, measures with the real encoder what each
 * part is worth on the pieces that were held back, and keeps what pays.  So a family
 * neither judges itself nor sees held-back values.
 *
 * Thread safety: one training at a time in a thread; families may start threads of
 * their own, up to the options' number.
 */
#ifndef CAEFS_CODEC_TRAIN_FAMILY_H
#define CAEFS_CODEC_TRAIN_FAMILY_H

#include "codec/predict.h"
#include "codec/train_pieces.h"

/* One training, as families see it. */
struct training {
        const struct train_options *options;    /* with time_limit and threads filled in */
        const struct train_pieces  *pieces;
        double                      deadline;   /* train_clock() when to stop, better work
                                                 * in hand or not */
        train_watch                *watch;      /* or NULL; false: stop, keep the best so far */
        void                       *context;
};

struct trainable {
        enum family family;

        /* Makes the part from T's learnt pieces.  PART stays empty when there is nothing
         * to learn, and OUT->why says why; else OUT gets epochs and losses if there are
         * such. */
        enum caefs_err (*train)(const struct training *t, struct bytes *part,
                                struct train_result *out);

        /* The part to install once PART, made by train(), has shown its worth; it may
         * hold what was held back.  NULL: PART itself. */
        enum caefs_err (*complete)(const struct training *t, struct bytes *part);
};

extern const struct trainable trainable_cae;
extern const struct trainable trainable_echo;
extern const struct trainable trainable_field;
extern const struct trainable trainable_table;

#endif
