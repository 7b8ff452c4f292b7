/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pools are made of, in one float type: float32 here (a table for each instruction set),
 * float64 in ops/pool_plain.h.
 *
 * A window is reduced in two steps. First its rows: element by element, over all positions of its
 * outer dimensions in ascending order, beginning with the neutral element; rows in the padding are
 * left out. Then along the innermost dimension, in ascending order, beginning with the neutral
 * element again, which is also what padding holds there. Sums are rounded after each step; a
 * square is fused into its sum. A maximum is NaN where an element is.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_POOL_H
#define MLS_BACKEND_CPU_KERNELS_POOL_H

#include <stdbool.h>
#include <stdint.h>

#define MLS__POOL_SLACK 32

typedef enum mls__pool_op {
    MLS__POOL_MAX,
    MLS__POOL_MAX_NUMBERS, /* where no element is NaN: the same, and faster */
    MLS__POOL_SUM,
    MLS__POOL_SUM_ABS, /* the second step of these two is that of SUM */
    MLS__POOL_SUM_SQUARE,
    MLS__POOL_COUNT
} mls__pool_op;

/* How windows lie along the innermost dimension. */
typedef struct mls__pool_along {
    int64_t n, kernel, stride, dilation;
} mls__pool_along;

typedef struct mls__pool_kernels {
    /* y[i] from rows[0 .. count-1][i], for i < n; count may be 0. */
    void (*rows[MLS__POOL_COUNT])(void *y, const void *const *rows, int64_t count, int64_t n);
    /*
     * For each of `rows` rows, which are x_stride apart in x, and one behind the other in y:
     * y[o] from x[o * stride + k * dilation] for k < kernel, for o < n. Behind the last element
     * there are MLS__POOL_SLACK more that may be read.
     */
    void (*along[MLS__POOL_COUNT])(void *y, const void *x, int64_t rows, int64_t x_stride,
                                   const mls__pool_along *along);
    /* False only if no element is NaN. */
    bool (*may_have_nan)(const void *x, int64_t n);
} mls__pool_kernels;

#endif
