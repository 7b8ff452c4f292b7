/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel that Gemm, MatMul and FusedGemm share: products of matrices, as many as the
 * batch dimensions hold.
 *
 * product_ops.c reads an op into one, product_plan.c decides how it is done; product.c runs
 * products of float32 and of 16-bit floats, product_plain.c those of the other dtypes;
 * product_fast.c those that fast numerics allow to be of bfloat16.
 */
#ifndef MLS_BACKEND_CPU_OPS_PRODUCT_H
#define MLS_BACKEND_CPU_OPS_PRODUCT_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/activation.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/pack.h"

/* Of A in the workspace. */
#define MLS__PRODUCT_CHUNK_ROWS 120

/* What the dims say. */
typedef struct mls__product_shape {
    int64_t m, n, k;
    /* Batch dimensions, and the steps from matrix to matrix of A and B in them. */
    int64_t count, b_count; /* of products, of matrices B */
    int rank;
    int64_t dims[MLS_MAX_RANK], a_steps[MLS_MAX_RANK], b_steps[MLS_MAX_RANK];
    int64_t c_row, c_step; /* as in kernels/gemm.h */
} mls__product_shape;

typedef struct mls__product {
    mls__cpu_kernel base;
    mls__product_shape shape;
    size_t y_index; /* of the call's buffers; A, B and C are the first three */
    int32_t dtype;
    uint32_t threads;
    bool is_a_turned, is_b_turned; /* stored with rows as columns */
    bool has_c;
    bool is_half, is_narrow;
    bool is_b_direct; /* B is used as it lies, but for the columns that fill no panel */
    float alpha, beta;
    mls__activation activation;
    mls__half half;
    const float *packed;   /* all matrices of a constant B; NULL: packed by each run */
    int64_t packed_floats; /* of one of them */
    /* Each thread's part of the workspace: B, then some rows of A, of C and of Y. */
    uint64_t slot_bytes, a_offset, c_offset, y_offset;
    /* Of a product in bfloat16, whose slots hold rows of A; what is packed of a constant B. */
    const mls__gemm_bf16_kernels *fast;
    const uint16_t *fast_packed;
} mls__product;

/* A MatMul's. The rows of all matrices of A are one matrix's where B is only one. */
void mls__product_read_matmul(const mls_arg *a, const mls_arg *b, const mls_arg *y,
                              bool is_a_turned, mls__product_shape *ret_shape);

/* The matrices that product `index` is made of. */
void mls__product_matrices(const mls__product_shape *shape, int64_t index, int64_t *ret_a,
                           int64_t *ret_b);

/* Sets all that depends on dims but is no dim; dtype, flags and shape are set. */
void mls__product_follow(mls__product *product);

/* Sets the workspace, for dims that are never exceeded. Errors: MLS_ESHAPE (too large). */
mls_status mls__product_plan(mls__product *product, const mls_op *op);

/* Packs a constant B, once for all sessions of the model. Errors: MLS_ENOMEM, MLS_ESHAPE. */
mls_status mls__product_pack(mls__product *product, const mls_op *op);

/* B as it lies in `data`. */
mls__pack_source mls__product_source(const mls__product *product, const void *data);

/* A kernel of the family (mls__cpu_op.create): of Gemm, FusedGemm, or a MatMul by any name. */
mls_status mls__product_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel);

/* Whether it is to be one in bfloat16, and then what that needs. Errors: MLS_ENOMEM, MLS_ESHAPE. */
bool mls__product_is_fast(mls__product *product, const mls_op *op);
mls_status mls__product_prepare_fast(mls__product *product, const mls_op *op);

mls_status mls__product_run(const mls_kernel *kernel, const mls_kernel_call *call);
mls_status mls__product_run_fast(const mls_kernel *kernel, const mls_kernel_call *call);
mls_status mls__product_run_plain(const mls_kernel *kernel, const mls_kernel_call *call);

/* Work that is worth a second thread. */
bool mls__product_is_large(const mls__product_shape *shape);

#endif
