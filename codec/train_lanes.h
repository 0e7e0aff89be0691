/* codec/train_lanes.h - what training does element by element, for several CPUs.
 *
 * The same operations on every CPU, none of them fused, sums in a fixed order: so the
 * results are the same on all.
 *
 * Thread safety: pure functions.
 */
#ifndef CAEFS_CODEC_TRAIN_LANES_H
#define CAEFS_CODEC_TRAIN_LANES_H

#include <stddef.h>

/* Evenly spaced levels that values are rounded to: LOW and whole steps above, at most
 * HIGH. */
struct lanes_levels {
        float low, high;
        float step;
};

/* Adam at one step (Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015):
 * the learning rate and the second moment's correction, with those of the moments'
 * start from zero. */
struct lanes_adam {
        float rate;
        float correction;
};

struct train_lanes {
        /* Y (n) = f(Y). */
        void (*sigmoid)(float *y, size_t n);
        void (*relu)(float *y, size_t n);
        void (*round_levels)(const struct lanes_levels *levels, float *y, size_t n);

        /* DELTA (n), a gradient by the outputs Y, becomes that by what went into f; of
         * a ReLU it is nothing from HIGH on. */
        void (*sigmoid_gradient)(const float *y, float *delta, size_t n);
        void (*relu_gradient)(const float *y, float high, float *delta, size_t n);

        /* The sum of squares of Y - X, (n); DELTA, unless NULL, becomes scale (Y - X). */
        double (*error)(const float *y, const float *x, size_t n, float scale, float *delta);

        /* SUM (n) += X. */
        void (*add)(const float *x, float *sum, size_t n);
        void (*adam)(const struct lanes_adam *a, const float *gradient, float *momentum,
                     float *variance, float *parameter, size_t n);

        float (*largest)(const float *x, size_t n);     /* magnitude */
        /* OUT (n) = the whole number of steps nearest to X. */
        void  (*round_steps)(const float *x, float step, float *out, size_t n);
        /* OUT (n, rows), rows of OUT_ROW, from X (rows, n), rows of X_ROW. */
        void  (*transpose)(const float *x, size_t x_row, size_t rows, size_t n, float *out,
                           size_t out_row);
};

/* The fastest for this CPU (codec/cpu.h). */
const struct train_lanes *train_lanes(void);

#endif
