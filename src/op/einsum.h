/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The equation of Einsum, read: each axis of each operand and of the output has a label, and each
 * label a size. Inference and the kernel read it through this, so that they cannot disagree.
 */
#ifndef MLS_OP_EINSUM_H
#define MLS_OP_EINSUM_H

#include "op/op.h"

#define MLS__EINSUM_OPERANDS 64
/* A to Z, a to z, then the axes that an ellipsis stands for, counted from the right. */
#define MLS__EINSUM_LETTERS 52
#define MLS__EINSUM_LABELS  (MLS__EINSUM_LETTERS + MLS_MAX_RANK)

typedef struct mls__einsum_term {
    int rank;
    uint8_t labels[MLS_MAX_RANK];
} mls__einsum_term;

typedef struct mls__einsum {
    size_t count; /* of operands */
    mls__einsum_term operands[MLS__EINSUM_OPERANDS];
    mls__einsum_term output;
    /*
     * An operand may have 1 along a label whose size is another: then all of the label's indices
     * find the same element.
     */
    int64_t sizes[MLS__EINSUM_LABELS];
} mls__einsum;

/* Errors: MLS_EINVAL (the equation), MLS_ESHAPE (operands that do not go with it). */
mls_status mls__op_einsum(const mls_op *op, mls__einsum *ret_einsum);

#endif
