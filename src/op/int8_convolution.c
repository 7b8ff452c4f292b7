/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of what inputs are. */
#include "op/int8_convolution.h"

#include <string.h>

static const mls__int8_conv_roles table[] = {
    /*              x, w, their zero points, scales, y */
    {"ConvInteger", 0, 1, 2, 3, -1, -1, -1, -1, -1},
    {"QLinearConv", 0, 3, 2, 5, 1, 4, 6, 7, 8},
};

const mls__int8_conv_roles *mls__op_int8_conv_roles(const mls_op *op)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].type, op->type) == 0)
            return &table[i];
    return NULL;
}

const mls_arg *mls__op_conv_role(const mls_op *op, int input)
{
    return input < 0 ? NULL : mls__op_input(op, (size_t) input);
}

mls_status mls__op_int8_convolution(const mls_op *op, mls__convolution *ret_convolution)
{
    const mls__int8_conv_roles *roles = mls__op_int8_conv_roles(op);
    const mls_arg inputs[] = {op->inputs[roles->x], op->inputs[roles->w]};
    mls_op view = *op;
    view.inputs = inputs;
    view.input_count = 2;
    return mls__op_convolution(&view, ret_convolution);
}
