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

bool mls__op_has_channels_last(const mls_op *op)
{
    return mls__op_int(op, "channels_last", 0) != 0;
}

/* [N, spatial..., C] as [N, C, spatial...] */
static mls_arg channels_second(const mls_arg *x)
{
    mls_arg turned = *x;
    turned.dims[1] = x->dims[x->rank - 1];
    for (int i = 2; i < x->rank; i++)
        turned.dims[i] = x->dims[i - 1];
    return turned;
}

mls_status mls__op_int8_convolution(const mls_op *op, mls__convolution *ret_convolution)
{
    const mls__int8_conv_roles *roles = mls__op_int8_conv_roles(op);
    mls_arg inputs[] = {op->inputs[roles->x], op->inputs[roles->w]};
    mls_op view = *op;
    if (mls__op_has_channels_last(op) && inputs[0].rank > 2)
        inputs[0] = channels_second(&inputs[0]);
    view.inputs = inputs;
    view.input_count = 2;
    return mls__op_convolution(&view, ret_convolution);
}

int mls__op_int8_convolution_dims(const mls_op *op, const mls__convolution *convolution,
                                  int64_t *ret_dims)
{
    const int rank = mls__convolution_dims(convolution, ret_dims);
    if (!mls__op_has_channels_last(op))
        return rank;
    const int64_t channels = ret_dims[1];
    memmove(ret_dims + 1, ret_dims + 2, (size_t) (rank - 2) * sizeof *ret_dims);
    ret_dims[rank - 1] = channels;
    return rank;
}
