/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What normalisations are made of, in one float type: float32 here (a table for each instruction
 * set), float64 in ops/norm_plain.h. All elements, and what the `ret_` pointers take, are of it.
 *
 * The mean of n contiguous elements is their sum divided by n; the variance is the sum of the
 * squares of x - mean, each square rounded, divided by n; both sums in the canonical order of
 * reduce.h. Then layer normalisation is, step by step, what ONNX writes it out as: subtract,
 * square, mean, add epsilon, root, reciprocal, multiply, multiply by the scale, add the bias.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_NORM_H
#define MLS_BACKEND_CPU_KERNELS_NORM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct mls__norm_kernels {
    /*
     * The mean, and 1 / sqrt(variance + epsilon). Not centred, the mean is 0: then this is the
     * reciprocal of the root mean square.
     */
    void (*moments)(const void *x, int64_t n, bool is_centred, float epsilon, void *ret_mean,
                    void *ret_factor);
    /* y[i] = (x[i] - mean) * factor * scale[i] + bias[i]; bias may be NULL. y may be x. */
    void (*row)(void *y, const void *x, int64_t n, const void *mean, const void *factor,
                const void *scale, const void *bias);
    /* y[i] = (x[i] - mean) * factor + bias, the sum fused with the product. y may be x. */
    void (*plane)(void *y, const void *x, int64_t n, const void *mean, const void *factor,
                  const void *bias);
    /* y[i] = (x[i] - mean[i]) * factor[i] + bias[i], likewise. y may be any of them. */
    void (*columns)(void *y, const void *x, int64_t n, const void *mean, const void *factor,
                    const void *bias);
    /* factor[i] = scale[i] / sqrt(variance[i] + epsilon) */
    void (*factors)(void *factor, const void *scale, const void *variance, int64_t n,
                    float epsilon);
} mls__norm_kernels;

#endif
