/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The radial basis function of support vector machines. As in a wide product (gemm.h), the lanes
 * run across vectors and each output has one accumulator, which takes fma(d, d, sum) for ascending
 * features, d being the difference; so its bits depend on its row and its vector only.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_SVM_H
#define MLS_BACKEND_CPU_KERNELS_SVM_H

#include <stdint.h>

typedef struct mls__svm_kernels {
    /*
     * y[i * n + j] = e^(-gamma |x_i - v_j|^2) for `rows` rows x of k features and n vectors v in
     * panels of 16 as gemm.h has them: k rows of 16 each, the last one padded with anything.
     */
    void (*rbf)(const float *x, int64_t rows, int64_t k, const float *panels, int64_t n,
                float gamma, float *y);
} mls__svm_kernels;

#endif
