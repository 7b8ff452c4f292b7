/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions: Conv, ConvTranspose, DeformConv, and FusedConv, which is a Conv with a residual and
 * an activation, or a maximum behind it.
 */
#include "graph/schema/families.h"

#include "base/alloc.h"
#include "op/convolution.h"
#include "op/deform.h"
#include "op/pooling.h"

#include <inttypes.h>
#include <string.h>

#define SINGLES                                                                                    \
    (MLS__DTYPE_BIT(MLS_FLOAT16) | MLS__DTYPE_BIT(MLS_BFLOAT16) | MLS__DTYPE_BIT(MLS_FLOAT32))
#define FLOATS (SINGLES | MLS__DTYPE_BIT(MLS_FLOAT64))

static mls_status infer(const mls_op *op, uint32_t set, const char *words, mls_arg *ret_outputs)
{
    mls__convolution c;
    int64_t dims[MLS_MAX_RANK];
    mls_status status = mls__infer_dtype(op, 0, set, words);
    for (size_t i = 1; !status && i < op->input_count; i++)
        status = mls__infer_same_dtype(op, i, 0);
    if (!status)
        status = mls__op_convolution(op, &c);
    if (status)
        return status;
    const int rank = mls__convolution_dims(&c, dims);
    return mls__infer_set(op, &ret_outputs[0], op->inputs[0].dtype, rank, dims);
}

static mls_status infer_conv(const mls_op *op, mls_arg *ret_outputs)
{
    return infer(op, FLOATS, "a float of 16 bits or more", ret_outputs);
}

static mls_status infer_fused(const mls_op *op, mls_arg *ret_outputs)
{
    return infer(op, SINGLES, "a float of 16 or 32 bits", ret_outputs);
}

/* The input, the output and the residual may be wide: see op/convolution.h. */
static mls_status check_wide(const mls_op *op)
{
    const mls_arg *z = mls__op_input(op, 3);
    const bool is_wide = mls__op_int(op, "x_wide", 0) != 0;
    mls_status status = mls__infer_dtype(op, 1, SINGLES, "a float of 16 or 32 bits");
    if (!status && !is_wide)
        status = mls__infer_same_dtype(op, 0, 1);
    if (!status && is_wide)
        status = mls__infer_dtype(op, 0, MLS__DTYPE_BIT(MLS_FLOAT32), "float32, as it is wide");
    if (!status && mls__op_input(op, 2))
        status = mls__infer_same_dtype(op, 2, 1);
    if (status)
        return status;
    if (z && z->dtype != mls__convolution_dtype(op))
        return mls__op_error(op, MLS_EDTYPE, "input 3 must be of the output's dtype");
    if (mls__op_int(op, "y_wide", 0) && !mls__op_int(op, "y_blocked", 0))
        return mls__op_error(op, MLS_EINVAL, "only an output in blocks may be wide");
    return MLS_OK;
}

static mls_status read_blocked(const mls_op *op, mls__convolution *ret_convolution)
{
    const mls_status status = check_wide(op);
    return status ? status : mls__op_convolution(op, ret_convolution);
}

static mls_status infer_blocked_conv(const mls_op *op, mls_arg *ret_outputs)
{
    mls__convolution c;
    int64_t dims[MLS_MAX_RANK];
    mls_status status = read_blocked(op, &c);
    if (status)
        return status;
    const int rank = mls__convolution_dims(&c, dims);
    return mls__infer_set(op, &ret_outputs[0], mls__convolution_dtype(op), rank, dims);
}

/*
 * FusedConvMaxPool(X, W, B): a FusedConv whose output, in blocks, goes through a MaxPool, whose
 * attributes have "pool_" before their names.
 */
static mls_status infer_pooled(const mls_op *op, mls_arg *ret_outputs)
{
    mls__convolution c;
    mls__pooling pool;
    int64_t dims[MLS_MAX_RANK];
    mls_status status = read_blocked(op, &c);
    if (status)
        return status;
    if (!c.is_y_blocked || c.groups != 1)
        return mls__op_error(op, MLS_EINVAL, "it must have one group, and its output in blocks");
    const int rank = mls__convolution_dims(&c, dims);
    status = mls__op_pool_within(op, rank - 1, dims, &pool);
    for (int i = 0; !status && i < pool.rank; i++)
        dims[2 + i] = pool.axes[i].output;
    return status ? status
                  : mls__infer_set(op, &ret_outputs[0], mls__convolution_dtype(op), rank, dims);
}

static mls_status infer_deform(const mls_op *op, mls_arg *ret_outputs)
{
    mls__deform d;
    int64_t dims[MLS_MAX_RANK];
    mls_status status = mls__infer_dtype(op, 0, FLOATS, "a float of 16 bits or more");
    for (size_t i = 1; !status && i < op->input_count; i++)
        status = mls__infer_same_dtype(op, i, 0);
    if (!status)
        status = mls__op_deform(op, &d);
    if (status)
        return status;
    const int rank = mls__convolution_dims(&d.conv, dims);
    return mls__infer_set(op, &ret_outputs[0], op->inputs[0].dtype, rank, dims);
}

/*
 * FoldBatchNorm(W, scale, shift, mean, variance, bias): the weights and the bias of a convolution
 * that a batch normalization follows. Filters are W's dimension `axis`, 0 or 1; with 1 there are
 * `group` times as many, those of group g in the g-th part of dimension 0.
 */
static mls_status infer_fold(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *w = &op->inputs[0];
    const int64_t axis = mls__op_int(op, "axis", 0), groups = mls__op_int(op, "group", 1);
    mls_status status = mls__infer_dtype(op, 0, MLS__DTYPE_BIT(MLS_FLOAT32), "float32");
    for (size_t i = 1; !status && i < op->input_count; i++)
        status = mls__infer_same_dtype(op, i, 0);
    if (status)
        return status;
    if (axis < 0 || axis > 1 || w->rank < 2 || groups < 1 || w->dims[0] % groups)
        return mls__op_error(op, MLS_ESHAPE, "input 0 does not have the filters of its groups");
    int64_t filters;
    if (!mls__mul_i64(w->dims[axis], axis ? groups : 1, &filters))
        return mls__op_error(op, MLS_ESHAPE, "input 0 has too many filters");
    for (size_t i = 1; i < op->input_count; i++)
        if (mls__arg_count(&op->inputs[i]) != filters)
            return mls__op_error(op, MLS_ESHAPE, "input %zu must have an element for each filter",
                                 i);
    status = mls__infer_set(op, &ret_outputs[0], w->dtype, w->rank, w->dims);
    return status ? status : mls__infer_set(op, &ret_outputs[1], w->dtype, 1, &filters);
}

/* --- blocks of channels ----------------------------------------------------------------------- */

static mls_status infer_block(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    int64_t dims[MLS_MAX_RANK];
    const mls_status status = mls__infer_dtype(op, 0, SINGLES, "float32 or a float of 16 bits");
    if (status)
        return status;
    if (x->rank < 3 || x->rank >= MLS_MAX_RANK)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has %d dimensions, expected 3 to %d", x->rank,
                             MLS_MAX_RANK - 1);
    memcpy(dims, x->dims, sizeof dims);
    dims[1] = mls__channel_blocks(x->dims[1]);
    dims[x->rank] = MLS__CHANNEL_BLOCK;
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank + 1, dims);
}

/* Whether input 0 is `channels` channels in blocks. */
static mls_status check_blocked(const mls_op *op, int64_t channels)
{
    const mls_arg *x = &op->inputs[0];
    const mls_status status = mls__infer_dtype(op, 0, SINGLES, "float32 or a float of 16 bits");
    if (status)
        return status;
    if (x->rank < 4 || x->dims[x->rank - 1] != MLS__CHANNEL_BLOCK || channels < 0 ||
        x->dims[1] != mls__channel_blocks(channels))
        return mls__op_error(op, MLS_ESHAPE, "input 0 is not %" PRId64 " channels in blocks",
                             channels);
    return MLS_OK;
}

static mls_status infer_unblock(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    const int64_t channels = mls__op_int(op, "channels", -1);
    int64_t dims[MLS_MAX_RANK];
    const mls_status status = check_blocked(op, channels);
    if (status)
        return status;
    memcpy(dims, x->dims, sizeof dims);
    dims[1] = channels;
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank - 1, dims);
}

static mls_status infer_blocked_pool(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    mls__pooling g;
    int64_t dims[MLS_MAX_RANK];
    mls_status status = check_blocked(op, mls__op_int(op, "channels", -1));
    if (!status)
        status = mls__op_blocked_pooling(op, &g, dims);
    if (status)
        return status;
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank, dims);
}

static mls_status infer_blocked_global(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    int64_t dims[MLS_MAX_RANK];
    const mls_status status = check_blocked(op, mls__op_int(op, "channels", -1));
    if (status)
        return status;
    memcpy(dims, x->dims, sizeof dims);
    for (int i = 2; i < x->rank - 1; i++)
        dims[i] = 1;
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank, dims);
}

#define CONV       "auto_pad:string dilations:ints group:int kernel_shape:ints pads:ints strides:ints"
#define TRANSPOSE  CONV " output_padding:ints output_shape:ints"
#define ACTIVATION "activation:string activation_alpha:float activation_beta:float"
#define BLOCKED    "x_blocked:int y_blocked:int x_wide:int y_wide:int"
#define WITHIN                                                                                     \
    "pool_auto_pad:string pool_ceil_mode:int pool_dilations:ints pool_kernel_shape:ints! "         \
    "pool_pads:ints pool_strides:ints"
#define POOL                                                                                       \
    "auto_pad:string ceil_mode:int kernel_shape:ints! pads:ints strides:ints dilations:ints"

mls__op_schema_table mls__schemas_convolution = {
    {"", "Conv", 2, 3, 1, 1, 0, 0, infer_conv, CONV},
    {"", "ConvTranspose", 2, 3, 1, 1, 0, 0, infer_conv, TRANSPOSE},
    {"", "DeformConv", 3, 5, 1, 1, 0, 0, infer_deform,
     "dilations:ints group:int kernel_shape:ints offset_group:int pads:ints strides:ints"},
    {"com.microsoft", "FusedConv", 2, 4, 1, 1, 0, 0, infer_fused,
     CONV " activation:string activation_params:floats"},
    {"mlscale", "FusedConv", 2, 4, 1, 1, 0, 0, infer_blocked_conv, CONV " " ACTIVATION " " BLOCKED},
    {"mlscale", "FusedConvTranspose", 2, 4, 1, 1, 0, 0, infer_blocked_conv,
     TRANSPOSE " " ACTIVATION " " BLOCKED},
    {"mlscale", "FusedConvMaxPool", 2, 3, 1, 1, 0, 0, infer_pooled,
     CONV " " ACTIVATION " " BLOCKED " " WITHIN},
    {"mlscale", "BlockChannels", 1, 1, 1, 1, 0, 0, infer_block, "channels:int!"},
    {"mlscale", "UnblockChannels", 1, 1, 1, 1, 0, 0, infer_unblock, "channels:int!"},
    {"mlscale", "BlockedMaxPool", 1, 1, 1, 1, 0, 0, infer_blocked_pool,
     POOL " storage_order:int channels:int!"},
    {"mlscale", "BlockedAveragePool", 1, 1, 1, 1, 0, 0, infer_blocked_pool,
     POOL " count_include_pad:int channels:int!"},
    {"mlscale", "BlockedGlobalAveragePool", 1, 1, 1, 1, 0, 0, infer_blocked_global,
     "channels:int!"},
    {"mlscale", "FoldBatchNorm", 5, 6, 2, 2, 0, 0, infer_fold, "axis:int epsilon:float group:int"},
    {.type = NULL},
};
