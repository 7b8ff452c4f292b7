/* SPDX-License-Identifier: Apache-2.0 */
/* What the inputs of the convolutions of 8-bit integers are: each op has them in its own order. */
#ifndef MLS_OP_INT8_CONVOLUTION_H
#define MLS_OP_INT8_CONVOLUTION_H

#include "op/convolution.h"

typedef struct mls__int8_conv_roles {
    const char *type;
    int x, w, x_zero, w_zero;
    int x_scale, w_scale, y_scale, y_zero, bias; /* -1: the op has none */
} mls__int8_conv_roles;

/* NULL when the op is none of them. */
const mls__int8_conv_roles *mls__op_int8_conv_roles(const mls_op *op);

/* The input in a role, NULL where there is none. */
const mls_arg *mls__op_conv_role(const mls_op *op, int input);

/* Whether X and Y are [N, spatial..., C], as QLinearConv of com.microsoft may have them. */
bool mls__op_has_channels_last(const mls_op *op);

/* Errors: as mls__op_convolution(), whose inputs 0 and 1 are X and W. */
mls_status mls__op_int8_convolution(const mls_op *op, mls__convolution *ret_convolution);

/* The output's dims; gives their number. */
int mls__op_int8_convolution_dims(const mls_op *op, const mls__convolution *convolution,
                                  int64_t *ret_dims);

#endif
