/* SPDX-License-Identifier: Apache-2.0 */
/* Products of rows with a constant matrix that an attribute holds. */
#ifndef MLS_BACKEND_CPU_OPS_ML_PRODUCT_H
#define MLS_BACKEND_CPU_OPS_ML_PRODUCT_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"

/* y = activation(alpha * x B^T + beta * c): B has n rows of k. */
typedef struct mls__ml_product {
    mls__gemm gemm; /* all but a and y; alpha 1, beta 1 and no c until they are set */
    bool is_narrow;
} mls__ml_product;

/*
 * `matrix` lives as long as the model. Packs it where that is needed, once for all sessions;
 * `part` tells the matrices of one node apart. Errors: MLS_ENOMEM, MLS_ESHAPE.
 */
mls_status mls__ml_product_init(mls__ml_product *product, const mls__cpu *cpu, const mls_op *op,
                                uint32_t part, const float *matrix, int64_t n, int64_t k);

/* `rows` rows of k at x to rows of n at y. */
void mls__ml_product_run(const mls__ml_product *product, const mls__cpu *cpu, const float *x,
                         int64_t rows, float *y);

#endif
