/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of 4 or 8 bits in blocks that share a scale and a zero point, as float32 in the panels of
 * gemm.h: (q - zero) * scale, each step rounded once. Products with a row are summed in the order
 * of a wide product.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_BLOCK_WEIGHTS_H
#define MLS_BACKEND_CPU_KERNELS_BLOCK_WEIGHTS_H

#include <stdint.h>

/* A panel of 16 columns. */
typedef struct mls__block_weights {
    int64_t rows;
    int64_t block; /* rows that share scales; an even number */
    int bits;      /* 4 or 8 */
    /*
     * 16 bytes: a row, or with 4 bits two of them, the first in the low halves. Behind the last
     * row of an odd number is any half.
     */
    const uint8_t *packed;
    const float *scales, *zeros; /* 16 for each block */
} mls__block_weights;

/* Panels of one call of multiply. */
#define MLS__BLOCK_PANELS 4

typedef struct mls__block_weight_kernels {
    void (*expand)(const mls__block_weights *weights, float *ret_panel);
    /* A row times 1 to MLS__BLOCK_PANELS panels that are alike but for their pointers. */
    void (*multiply)(const mls__block_weights *weights, int panels, const float *row,
                     float *ret_sums);
} mls__block_weight_kernels;

#endif
