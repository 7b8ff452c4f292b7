/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a convolution's attributes and dims say, for inference and kernels alike.
 *
 * A tensor may be blocked: [N, C/16, spatial..., 16] in place of [N, C, spatial...], which only
 * the passes make (int attributes x_blocked and y_blocked of ops of the domain mlscale).
 *
 * Images that such an op of 16-bit weights reads and gives may be wide (int attributes x_wide and
 * y_wide): float32 whose elements are rounded to the weights' dtype, so that nobody has to convert
 * them. A residual is as the output is.
 */
#ifndef MLS_OP_CONVOLUTION_H
#define MLS_OP_CONVOLUTION_H

#include "op/op.h"

/* Channels of a block. */
#define MLS__CHANNEL_BLOCK 16

/*
 * One spatial dimension. Element o of the output takes element o * stride - before + k * dilation
 * of the input at position k of the kernel; in a transposed convolution element i of the input
 * goes to element i * stride - before + k * dilation of the output.
 */
typedef struct mls__conv_axis {
    int64_t input, output, kernel, stride, dilation, before;
} mls__conv_axis;

typedef struct mls__convolution {
    bool is_transposed, is_x_blocked, is_y_blocked;
    int rank; /* spatial dimensions, at least 1 */
    int64_t batch, groups;
    int64_t channels, filters; /* of the input and the output, in one group */
    mls__conv_axis axes[MLS_MAX_RANK];
} mls__convolution;

/*
 * Reads an op whose inputs are X, W and perhaps B and Z (which is added, as large as the output).
 * Conv, and with a type that contains ConvTranspose a transposed one. Errors: MLS_ESHAPE,
 * MLS_EINVAL.
 */
mls_status mls__op_convolution(const mls_op *op, mls__convolution *ret_convolution);

/* The dtype of the output, and of what is added to it. */
int32_t mls__convolution_dtype(const mls_op *op);

/* The output's dims; gives their number. */
int mls__convolution_dims(const mls__convolution *convolution, int64_t *ret_dims);

static inline int64_t mls__channel_blocks(int64_t channels)
{
    return channels / MLS__CHANNEL_BLOCK + (channels % MLS__CHANNEL_BLOCK != 0);
}

#endif
