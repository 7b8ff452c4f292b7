/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Softmax and its logarithm, float32. With m the maximum of the n elements and s the sum of
 * e^(x - m) in the canonical order of reduce.h, softmax is e^(x - m) times 1 / s (rounded), and
 * its logarithm (x - m) - log(s). An element's bits depend on its n elements only. A NaN, an
 * infinity above or nothing but infinities below make all results NaN.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_SOFTMAX_H
#define MLS_BACKEND_CPU_KERNELS_SOFTMAX_H

#include <stdint.h>

typedef struct mls__softmax_kernels {
    /* Along the innermost axis: `rows` rows of n contiguous elements. y may be x. */
    void (*rows)(float *y, const float *x, int64_t rows, int64_t n);
    void (*log_rows)(float *y, const float *x, int64_t rows, int64_t n);
    /*
     * Along an outer axis: for each of `columns` contiguous columns its n elements, which are
     * `stride` apart in x and in y. y may be x.
     */
    void (*columns)(float *y, const float *x, int64_t n, int64_t stride, int64_t columns);
    void (*log_columns)(float *y, const float *x, int64_t n, int64_t stride, int64_t columns);
} mls__softmax_kernels;

#endif
