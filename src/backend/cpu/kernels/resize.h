/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What resizing along one axis comes down to: weighted sums of a few float32 elements each, or an
 * element twice. A sum is a chain of fused multiply-adds over the taps, the first one a product.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_RESIZE_H
#define MLS_BACKEND_CPU_KERNELS_RESIZE_H

#include <stdint.h>

typedef struct mls__resize_kernels {
    /* y[i] = sum over t of weight[t * step] * x[index[t * step] * stride + i], for i < n. */
    void (*blend)(float *y, const float *x, int64_t stride, const int32_t *index,
                  const float *weight, int64_t step, int64_t taps, int64_t n);
    /* y[i] = sum over t of weight[t * n + i] * x[index[t * n + i]], for i < n. */
    void (*pick)(float *y, const float *x, const int32_t *index, const float *weight, int64_t taps,
                 int64_t n);
    /* y[2 i] = y[2 i + 1] = x[i], for i < n: bits of any type of four bytes. */
    void (*twice)(int32_t *y, const int32_t *x, int64_t n);
} mls__resize_kernels;

#endif
