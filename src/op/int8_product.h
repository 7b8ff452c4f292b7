/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the inputs of the products of 8-bit integers are: each op has them in an order of its own.
 * Inference and kernels read it through this, so that they cannot disagree.
 */
#ifndef MLS_OP_INT8_PRODUCT_H
#define MLS_OP_INT8_PRODUCT_H

#include "op/op.h"

/* The op has no such input, or it is left out. */
#define MLS__INT8_NONE (-1)

typedef struct mls__int8_roles {
    const char *domain, *type;
    int a, b;
    int a_scale, a_zero, b_scale, b_zero;
    int bias;   /* of the sums, int32 */
    int addend; /* of the scaled sums, float32 */
    int y_scale, y_zero;
} mls__int8_roles;

/* NULL when the op is none of them. */
const mls__int8_roles *mls__op_int8_roles(const mls_op *op);

/* The input in a role, NULL where there is none. */
const mls_arg *mls__op_role(const mls_op *op, int input);

#endif
