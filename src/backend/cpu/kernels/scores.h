/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Post transforms of ai.onnx.ml, in place on rows of scores: those that are neither softmax.h's
 * nor the sigmoid of elementwise.h. A row's sum goes over 16 lanes, column j to lane j mod 16, and
 * then the tree of vf_hsum, so that a row's bits depend on the row only.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_SCORES_H
#define MLS_BACKEND_CPU_KERNELS_SCORES_H

#include <stdint.h>

typedef struct mls__score_kernels {
    /* Softmax without the scores next to 0, which become y e^-max / sum: 0 stays 0. */
    void (*softmax_zero)(float *y, int64_t rows, int64_t columns);
    /*
     * The quantile of the normal distribution by the closed approximation that ONNX Runtime has
     * (absolute error about 0.002): -inf at 0, inf at 1, NaN outside. Near 1/2, where ONNX
     * Runtime loses digits, this keeps them.
     */
    void (*probit)(float *y, int64_t n);
} mls__score_kernels;

#endif
