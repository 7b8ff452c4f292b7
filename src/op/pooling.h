/* SPDX-License-Identifier: Apache-2.0 */
/* What the attributes and dims of pools say, for inference and kernels alike. */
#ifndef MLS_OP_POOLING_H
#define MLS_OP_POOLING_H

#include "op/op.h"

/*
 * One spatial dimension. Position k of the window of element o of the output is element
 * o * stride - before + k * dilation of the input, if there is one; from -before on and below
 * input + after it is padding.
 */
typedef struct mls__pool_axis {
    int64_t input, output, kernel, stride, dilation, before, after;
} mls__pool_axis;

typedef struct mls__pooling {
    int rank;       /* spatial dimensions, at least 1 */
    int64_t planes; /* batch * channels */
    mls__pool_axis axes[MLS_MAX_RANK];
} mls__pooling;

/* A range of the window's positions: [first, last). */
typedef struct mls__pool_window {
    int64_t first, last;
} mls__pool_window;

/*
 * AveragePool, MaxPool, LpPool: the attributes kernel_shape, strides, dilations, pads, auto_pad
 * and ceil_mode. Errors: MLS_ESHAPE, MLS_EINVAL.
 */
mls_status mls__op_pooling(const mls_op *op, mls__pooling *ret_pooling);

/*
 * The same of an image in blocks ([N, blocks, spatial..., 16]), whose last dimension is none of
 * the pool's; `ret_dims`, unless NULL, gets those of the output. Errors: as above.
 */
mls_status mls__op_blocked_pooling(const mls_op *op, mls__pooling *ret_pooling,
                                   int64_t ret_dims[MLS_MAX_RANK]);

/*
 * A pool that another op has taken in: its attributes have "pool_" before their names, and its
 * input is what that op would give, of these dims ([N, C, spatial...]). Errors: as above.
 */
mls_status mls__op_pool_within(const mls_op *op, int rank, const int64_t *dims,
                               mls__pooling *ret_pooling);

/* The name that an attribute of a pool has there; NULL for what does not change a maximum. */
const char *mls__pool_attr_within(const char *name);

/*
 * MaxUnpool, from the attributes alone: the dims of what was pooled are those of `output`, and
 * `input` is what is given. Errors: as above.
 */
mls_status mls__op_unpooling(const mls_op *op, mls__pooling *ret_pooling);

/* The positions of the window of element `o` that are elements of the input. */
mls__pool_window mls__pool_inside(const mls__pool_axis *axis, int64_t o);

/* How many positions there are, with those that are padding. */
int64_t mls__pool_padded_count(const mls__pool_axis *axis, int64_t o);

#endif
