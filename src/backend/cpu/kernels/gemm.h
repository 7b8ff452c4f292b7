/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products of float32: y = activation(alpha * A B + beta * C).
 *
 * Canonical order. A wide product gives each output one accumulator, which starts at +0 and takes
 * fma(a[i][k], b[k][j], sum) for ascending k; lanes run across columns j, and blocks over k leave
 * the float32 sum in y and take it up again. A narrow product (mls__gemm_is_narrow) has too few
 * columns to fill lanes: an output is a row reduction in the order of reduce.h, with the step
 * fma(a[i][k], b[k][j], lane) and sums as joints. Then t = alpha * sum, t = fma(beta, c, t) where
 * there is a C, and the activation. So an output's bytes depend on its row of A, B, C, N and K,
 * never on the number of rows, the row's place, blocks, threads or the instruction set.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_GEMM_H
#define MLS_BACKEND_CPU_KERNELS_GEMM_H

#include "backend/cpu/kernels/elementwise.h"

#include <stdbool.h>
#include <stdint.h>

/* Columns of a panel: one vector. */
#define MLS__GEMM_PANEL 16

/*
 * Whether a product of n columns over k is narrow. Few outputs are bound by the latency of a
 * chain, more of them by the tree at the end of each, which a long k outweighs.
 */
static inline bool mls__gemm_is_narrow(int64_t n, int64_t k)
{
    return n < MLS__GEMM_PANEL && k >= 32 * (n - 4);
}

static inline int64_t mls__gemm_panels(int64_t n)
{
    return n / MLS__GEMM_PANEL + (n % MLS__GEMM_PANEL != 0);
}

/* One product; the number of rows comes with the call. */
typedef struct mls__gemm {
    int64_t n, k;
    const float *a; /* A[i][k] = a[i * a_row + k * a_step]; a_step is 1 in a narrow product */
    int64_t a_row, a_step;
    /*
     * Narrow: B[k][j] = b[j * K + k], a row of K for each output.
     * Wide, b_row 0: panels. Panel p holds columns 16 p and up, as K rows of 16 at b + 16 p K;
     * the last one is padded with zeros.
     * Wide, b_row > 0: B[k][j] = b[k * b_row + j] in whole panels; the columns left over are a
     * padded panel at b_rest.
     */
    const float *b;
    int64_t b_row;
    const float *b_rest;
    const float *c; /* C[i][j] = c[i * c_row + j * c_step], c_step 0 or 1; NULL: no C */
    int64_t c_row, c_step;
    float alpha, beta;
    float *y; /* Y[i][j] = y[i * y_row + j] */
    int64_t y_row;
    mls__unary_fn activation; /* NULL: none */
    const float *activation_params;
} mls__gemm;

/*
 * A product of another type, in whose memory everything is: float64 in the canonical order of a
 * wide product whatever its columns, integers modulo 2^32 or 2^64, signed or not. B is taken as it
 * lies: B[k][j] = b[k * b_row + j * b_step].
 */
typedef struct mls__gemm_plain {
    int64_t n, k;
    const void *a;
    int64_t a_row, a_step;
    const void *b;
    int64_t b_row, b_step;
    const void *c; /* NULL: no C */
    int64_t c_row, c_step;
    double alpha, beta; /* whole numbers for integers */
    void *y;
    int64_t y_row;
} mls__gemm_plain;

/* Rows row .. row+rows-1. */
typedef void (*mls__gemm_plain_fn)(const mls__gemm_plain *gemm, int64_t row, int64_t rows);

typedef struct mls__gemm_kernels {
    /* Rows row .. row+rows-1 of panels panel .. panel+panels-1. */
    void (*wide)(const mls__gemm *gemm, int64_t row, int64_t rows, int64_t panel, int64_t panels);
    /* Rows row .. row+rows-1. */
    void (*narrow)(const mls__gemm *gemm, int64_t row, int64_t rows);
    mls__gemm_plain_fn float64, uint32, uint64;
} mls__gemm_kernels;

#endif
