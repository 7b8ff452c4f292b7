/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix products of bfloat16 with float32 sums, for MLS_NUMERICS_FAST:
 * y = activation(alpha * A B + beta * C + Z).
 *
 * There is no canonical order: sums are taken as the instructions at hand do. With s the sum of
 * |a b| over k, the sum for float32 operands is within s * (2^-7 + 2^-15 + k 2^-23) of the exact
 * one: two operands that are rounded to 8 bits each, then roundings of float32. Some instructions
 * take denormals as zeros, which adds at most 2^-125 times the sum of |a| + |b| + 1.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_GEMM_BF16_H
#define MLS_BACKEND_CPU_KERNELS_GEMM_BF16_H

#include "backend/cpu/kernels/elementwise.h"

#include <stdbool.h>
#include <stdint.h>

/* Columns of a panel; the rows of A and B that k is padded to with zeros, and A's rows to. */
#define MLS__BF16_PANEL 16
#define MLS__BF16_STEP  32
#define MLS__BF16_ROWS  16

/* One product; the number of rows comes with the call. */
typedef struct mls__gemm_bf16 {
    int64_t n, k;
    /*
     * A[i][k] = a[i * a_row + k], with zeros from k to the next whole step. Rows up to the next
     * multiple of 16 may be read, whatever they hold.
     */
    const uint16_t *a;
    int64_t a_row;
    /*
     * Panels of 16 columns, mls__bf16_panel(k) elements each: rows 2 g and 2 g + 1 of B are 32
     * elements, two for each column. What is past n or k is 0.
     */
    const uint16_t *b;
    float alpha, beta;
    /* C of output (i, 16 p + j): c[i * c_row + p * c_panel + j * c_step], c_step 0 or 1. */
    const float *c; /* NULL: no C */
    int64_t c_row, c_panel, c_step;
    /*
     * Output (i, 16 p + j): y[i * y_row + p * y_panel + j], with a y_panel of 16 or else a y_row of
     * 16. Nothing is written past n.
     */
    float *y;
    int64_t y_row, y_panel;
    const float *z; /* lies as y does; NULL: no Z */
    mls__unary_fn activation;
    const float *activation_params;
} mls__gemm_bf16;

static inline int64_t mls__bf16_panels(int64_t n)
{
    return n / MLS__BF16_PANEL + (n % MLS__BF16_PANEL != 0);
}

static inline int64_t mls__bf16_padded(int64_t k)
{
    return (k / MLS__BF16_STEP + (k % MLS__BF16_STEP != 0)) * MLS__BF16_STEP;
}

/* Elements of a panel. */
static inline int64_t mls__bf16_panel(int64_t k)
{
    return mls__bf16_padded(k) * MLS__BF16_PANEL;
}

typedef struct mls__gemm_bf16_kernels {
    const char *product_name, *conv_name; /* of the ops' kernels */
    /*
     * Where these take less time than the exact kernels, as measured: products of at most so many
     * rows, whose B has at least so many elements.
     */
    int64_t most_rows, least_weights;
    /* Rows row .. row+rows-1 of panels panel .. panel+panels-1. */
    void (*run)(const mls__gemm_bf16 *gemm, int64_t row, int64_t rows, int64_t panel,
                int64_t panels);
    /* `rows` rows of `columns` elements, rounded. */
    void (*round)(uint16_t *y, int64_t y_row, const float *x, int64_t x_row, int64_t rows,
                  int64_t columns);
    /* An even number of rows of a panel, 16 floats each, as pairs. */
    void (*pair)(uint16_t *y, const float *rows, int64_t count);
    /* alpha, C, Z and the activation, on sums that are in y. */
    void (*finish)(const mls__gemm_bf16 *gemm, int64_t row, int64_t rows, int64_t panel,
                   int64_t panels);
} mls__gemm_bf16_kernels;

#endif
