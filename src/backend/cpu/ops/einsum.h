/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Einsum as products of matrices.
 *
 * Operands are taken in their order: the first with the second, the result with the third, and
 * so on. What only one of them has and nobody needs later is summed before; of what is left a
 * label is a batch dimension (both have it, somebody needs it later), a dimension of the sum (both
 * have it, nobody needs it), a row or a column. The order of every sum follows from the equation
 * and the sizes along it.
 *
 * einsum_plan.c turns an equation into steps, einsum.c runs them.
 */
#ifndef MLS_BACKEND_CPU_OPS_EINSUM_H
#define MLS_BACKEND_CPU_OPS_EINSUM_H

#include "backend/cpu/ops/copy.h"
#include "backend/cpu/ops/product.h"
#include "op/einsum.h"

/* The most labels that a result on the way may have: as many as a copy has loops. */
#define MLS__EINSUM_LIVE MLS__COPY_LOOPS

/* A part of the workspace; without bytes it is not needed. */
typedef struct mls__einsum_region {
    uint64_t offset, bytes;
} mls__einsum_region;

/* The same elements in another order; not done where they have it already. */
typedef struct mls__einsum_move {
    bool is_needed;
    mls__copy copy;
    mls__einsum_region region;
} mls__einsum_move;

/* An input on its way to a product. */
typedef struct mls__einsum_operand {
    int64_t count;           /* elements */
    mls__einsum_region wide; /* as elements of the type that is computed in */
    bool is_summed;
    mls__einsum_move rows; /* each to be summed */
    int64_t row_count, row_length;
    mls__einsum_region sums;
} mls__einsum_operand;

/* What there is so far, and the next operand. */
typedef struct mls__einsum_step {
    mls__einsum_operand operand;
    bool is_swapped; /* the next operand has the rows */
    mls__einsum_move sides[2];
    bool is_elementwise; /* nothing is summed, and nothing repeated */
    bool gives_output;   /* the result is the output, as it is */
    mls__product product;
    int64_t result_count;
    mls__einsum_region workspace, result;
} mls__einsum_step;

typedef struct mls__einsum_kernel {
    mls__cpu_kernel base;
    int32_t dtype, computed; /* of the operands, and what is computed in */
    uint32_t threads;
    mls__half half;
    size_t operands;
    uint64_t workspace_bytes; /* claimed so far */
    int64_t output_count;
    mls__einsum_operand first;
    mls__einsum_move last; /* the result, as the output has it */
    mls__einsum_step steps[];
} mls__einsum_kernel;

/*
 * Follows op's dims; the first time it also lays out the workspace. Errors: MLS_ESHAPE (a result
 * larger than memory), MLS_EUNSUPPORTED (too many labels), MLS_ELIMIT (dims that need another
 * layout than the first ones).
 */
mls_status mls__einsum_plan(mls__einsum_kernel *kernel, const mls_op *op, bool is_first);

#endif
