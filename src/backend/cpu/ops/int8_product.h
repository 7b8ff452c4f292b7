/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel that MatMulInteger, QLinearMatMul and their kin share: products of matrices of 8-bit
 * integers, exact in int32, then scaled.
 *
 * int8_product_ops.c reads an op into one and plans its memory; int8_product.c runs it.
 */
#ifndef MLS_BACKEND_CPU_OPS_INT8_PRODUCT_H
#define MLS_BACKEND_CPU_OPS_INT8_PRODUCT_H

#include "backend/cpu/ops/product.h"
#include "op/int8_product.h"

/* A scale or zero point: one, or one for each row of A or column of B. */
typedef struct mls__int8_param {
    int input; /* MLS__INT8_NONE: left out */
    int32_t dtype;
    int64_t count; /* of elements; element i of the operand's has element i % count */
} mls__int8_param;

typedef struct mls__int8_product {
    mls__cpu_kernel base;
    const mls__int8_roles *roles;
    mls__product_shape shape; /* c_row and c_step are of the bias or the addend */
    uint32_t threads;
    size_t y_index; /* of the call's buffers */
    mls__gemm_int8_form form;
    mls__int8_param a_scale, a_zero, b_scale, b_zero, y_scale, y_zero;
    bool has_bias, has_addend;
    bool is_a_float; /* quantized by each run */
    bool is_a_signed, is_b_signed;
    bool is_a_turned, is_b_turned;
    int64_t a_count; /* of elements */
    float alpha;
    const char *packed; /* all matrices of a constant B; NULL: packed by each run */
    /* Of one packed matrix: in all, and the part before its sums. */
    uint64_t packed_bytes, sums_offset;
    /* The workspace, for the planned dims. */
    uint64_t a_offset, a_sums_offset, a_zeros_offset, b_offset, b_zeros_offset, b_terms_offset,
        scales_offset;
} mls__int8_product;

/* Packs a matrix of B as it lies at `data`. */
void mls__int8_pack(const mls__int8_product *product, const uint8_t *data, char *ret_packed);

mls_status mls__int8_product_run(const mls_kernel *kernel, const mls_kernel_call *call);

#endif
