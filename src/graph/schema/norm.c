/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisations: by channels, along the last axes, by norms and neighbours. */
#include "graph/schema/families.h"

#include "op/reduction.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

#define BIT    MLS__DTYPE_BIT
#define FLOATS (BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16) | BIT(MLS_FLOAT32) | BIT(MLS_FLOAT64))

static const char *const float_words = "a float of 16 bits or more";

static mls_status check_float(const mls_op *op, size_t index)
{
    return mls__op_input(op, index) ? mls__infer_dtype(op, index, FLOATS, float_words) : MLS_OK;
}

/* --- along the last axes --------------------------------------------------------------------- */

/* Input `index` broadcasts to input 0, never the other way. */
static mls_status check_stretches(const mls_op *op, size_t index)
{
    const mls_arg *x = &op->inputs[0], *input = mls__op_input(op, index);
    char a[MLS__SHAPE_TEXT], b[MLS__SHAPE_TEXT];
    int64_t dims[MLS_MAX_RANK];
    int rank;
    if (!input)
        return MLS_OK;
    if (mls__shape_broadcast(x->rank, x->dims, input->rank, input->dims, &rank, dims) &&
        mls__shape_equal(x->rank, x->dims, rank, dims))
        return MLS_OK;
    return mls__op_error(
        op, MLS_ESHAPE, "input %zu of shape %s does not broadcast to input 0 of shape %s", index,
        mls__shape_text(input->rank, input->dims, a), mls__shape_text(x->rank, x->dims, b));
}

/* The dims of input 0, with 1 from `axis` on. */
static mls_status set_statistic(const mls_op *op, int axis, int32_t dtype, mls_arg *ret_output)
{
    const mls_arg *x = &op->inputs[0];
    int64_t dims[MLS_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        dims[i] = i < axis ? x->dims[i] : 1;
    return mls__infer_set(op, ret_output, dtype, x->rank, dims);
}

static mls_status read_stash_type(const mls_op *op, int32_t *ret_dtype)
{
    const int64_t type = mls__op_int(op, "stash_type", MLS_FLOAT32);
    if (type < 0 || type >= 32 || !(FLOATS & BIT(type)))
        return mls__op_error(op, MLS_EINVAL, "stash_type is %" PRId64 ", expected %s", type,
                             float_words);
    *ret_dtype = (int32_t) type;
    return MLS_OK;
}

/* What all of these have: x, whose dims output 0 has too, and statistics from output 1 on. */
static mls_status infer_rows(const mls_op *op, int32_t y_dtype, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    int axis;
    int32_t stash = MLS_FLOAT32;
    mls_status status = mls__op_attr_axis(op, -1, &axis);
    if (!status)
        status = read_stash_type(op, &stash);
    if (!status)
        status = mls__infer_set(op, &ret_outputs[0], y_dtype, x->rank, x->dims);
    for (size_t i = 1; !status && i < op->output_count && i < 3; i++)
        status = set_statistic(op, axis, stash, &ret_outputs[i]);
    return status;
}

static mls_status infer_layer_norm(const mls_op *op, mls_arg *ret_outputs)
{
    mls_status status = check_float(op, 0);
    for (size_t i = 1; !status && i < op->input_count; i++) {
        status = mls__infer_same_dtype(op, i, 0);
        if (!status)
            status = check_stretches(op, i);
    }
    return status ? status : infer_rows(op, op->inputs[0].dtype, ret_outputs);
}

/* The result has the dtype of the scale. */
static mls_status infer_rms_norm(const mls_op *op, mls_arg *ret_outputs)
{
    mls_status status = check_float(op, 0);
    if (!status)
        status = check_float(op, 1);
    if (!status)
        status = check_stretches(op, 1);
    return status ? status : infer_rows(op, op->inputs[1].dtype, ret_outputs);
}

/* The residual has whole rows; the other inputs are one row. */
static mls_status infer_skip_norm(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    mls_status status = check_float(op, 0);
    if (!status && x->rank < 1)
        status = mls__op_error(op, MLS_ESHAPE, "input 0 is a scalar and has no axis");
    for (size_t i = 1; !status && i < op->input_count; i++) {
        const mls_arg *arg = mls__op_input(op, i);
        status = mls__infer_same_dtype(op, i, 0);
        if (!status)
            status = check_stretches(op, i);
        if (!status && arg && (arg->rank < 1 || arg->dims[arg->rank - 1] != x->dims[x->rank - 1]))
            status = mls__op_error(op, MLS_ESHAPE,
                                   "the last dimension of input %zu is not that of input 0, "
                                   "%" PRId64,
                                   i, x->dims[x->rank - 1]);
    }
    if (!status)
        status = infer_rows(op, x->dtype, ret_outputs);
    if (!status && op->output_count > 3)
        status = mls__infer_set(op, &ret_outputs[3], x->dtype, x->rank, x->dims);
    return status;
}

/* --- by channels ----------------------------------------------------------------------------- */

/* Input `index` has `count` elements in one dimension. */
static mls_status check_channels(const mls_op *op, size_t index, int64_t count)
{
    const mls_arg *arg = &op->inputs[index];
    char text[MLS__SHAPE_TEXT];
    if (arg->rank == 1 && arg->dims[0] == count)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %zu has shape %s, expected [%" PRId64 "]", index,
                         mls__shape_text(arg->rank, arg->dims, text), count);
}

static mls_status check_rank(const mls_op *op, int rank)
{
    if (op->inputs[0].rank >= rank)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input 0 has %d dimensions, expected at least %d",
                         op->inputs[0].rank, rank);
}

/* Of each element: the dims of x behind the batch, or as many elements in one dimension. */
static mls_status check_elements(const mls_op *op, size_t index)
{
    const mls_arg *x = &op->inputs[0], *arg = &op->inputs[index];
    if (mls__arg_count(arg) == mls__arg_span(x, 1, x->rank))
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE,
                         "input %zu has %" PRId64 " elements, expected %" PRId64
                         ", one for each element of a row of input 0",
                         index, mls__arg_count(arg), mls__arg_span(x, 1, x->rank));
}

static mls_status infer_batch_norm(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    const bool is_each = mls__op_int(op, "mls_per_element", 0) != 0;
    if (mls__op_int(op, "training_mode", 0))
        return mls__op_error(op, MLS_EUNSUPPORTED, "training_mode is set: this is for training");
    mls_status status = check_rank(op, 1);
    for (size_t i = 0; !status && i < op->input_count; i++)
        status = check_float(op, i);
    for (size_t i = 1; !status && i < op->input_count; i++)
        status =
            is_each ? check_elements(op, i) : check_channels(op, i, x->rank > 1 ? x->dims[1] : 1);
    return status ? status : mls__infer_same(op, ret_outputs);
}

/* Each of the inputs behind x, of its dtype, has `count` elements. */
static mls_status infer_scaled(const mls_op *op, int64_t count, mls_arg *ret_outputs)
{
    mls_status status = check_float(op, 0);
    for (size_t i = 1; !status && i < op->input_count; i++) {
        status = mls__infer_same_dtype(op, i, 0);
        if (!status)
            status = check_channels(op, i, count);
    }
    return status ? status : mls__infer_same(op, ret_outputs);
}

static mls_status infer_instance_norm(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_status status = check_rank(op, 2);
    return status ? status : infer_scaled(op, op->inputs[0].dims[1], ret_outputs);
}

static mls_status infer_group_norm(const mls_op *op, mls_arg *ret_outputs)
{
    const int64_t groups = mls__op_int(op, "num_groups", 0);
    int32_t stash;
    mls_status status = check_rank(op, 2);
    if (!status)
        status = read_stash_type(op, &stash);
    if (status)
        return status;
    const int64_t channels = op->inputs[0].dims[1];
    if (groups < 1 || channels % groups)
        return mls__op_error(op, MLS_EINVAL,
                             "num_groups is %" PRId64 ", expected a divisor of %" PRId64
                             ", the channels of input 0",
                             groups, channels);
    return infer_scaled(op, mls__op_int(op, "mls_scale_groups", 0) ? groups : channels,
                        ret_outputs);
}

/* --- others ---------------------------------------------------------------------------------- */

static mls_status infer_lp_norm(const mls_op *op, mls_arg *ret_outputs)
{
    const int64_t p = mls__op_int(op, "p", 2);
    int axis;
    mls_status status = check_float(op, 0);
    if (!status)
        status = mls__op_attr_axis(op, -1, &axis);
    if (!status && p != 1 && p != 2)
        status = mls__op_error(op, MLS_EINVAL, "p is %" PRId64 ", expected 1 or 2", p);
    return status ? status : mls__infer_same(op, ret_outputs);
}

static mls_status infer_lrn(const mls_op *op, mls_arg *ret_outputs)
{
    const int64_t size = mls__op_int(op, "size", 0);
    mls_status status = check_float(op, 0);
    if (!status)
        status = check_rank(op, 2);
    if (!status && size < 1)
        status = mls__op_error(op, MLS_EINVAL, "size is %" PRId64 ", expected 1 or more", size);
    return status ? status : mls__infer_same(op, ret_outputs);
}

static mls_status infer_mean_variance(const mls_op *op, mls_arg *ret_outputs)
{
    bool reduced[MLS_MAX_RANK];
    mls_status status = check_float(op, 0);
    if (!status)
        status = mls__op_normalized(op, reduced);
    return status ? status : mls__infer_same(op, ret_outputs);
}

mls__op_schema_table mls__schemas_norm = {
    {"", "BatchNormalization", 5, 5, 1, 1, 0, 0, infer_batch_norm,
     "epsilon:float mls_per_element:int momentum:float training_mode:int"},
    {"", "InstanceNormalization", 3, 3, 1, 1, 0, 0, infer_instance_norm, "epsilon:float"},
    {"", "GroupNormalization", 3, 3, 1, 1, 0, 0, infer_group_norm,
     "epsilon:float mls_scale_groups:int num_groups:int! stash_type:int"},
    {"", "LayerNormalization", 2, 3, 1, 3, 0, 0, infer_layer_norm,
     "axis:int epsilon:float stash_type:int"},
    {"", "RMSNormalization", 2, 2, 1, 1, 0, 0, infer_rms_norm,
     "axis:int epsilon:float stash_type:int"},
    {"", "SimplifiedLayerNormalization", 2, 2, 1, 2, 0, 0, infer_rms_norm,
     "axis:int epsilon:float stash_type:int"},
    {"", "LpNormalization", 1, 1, 1, 1, 0, 0, infer_lp_norm, "axis:int p:int"},
    {"", "LRN", 1, 1, 1, 1, 0, 0, infer_lrn, "alpha:float beta:float bias:float size:int!"},
    {"", "MeanVarianceNormalization", 1, 1, 1, 1, 0, 0, infer_mean_variance, "axes:ints"},
    {"com.microsoft", "SkipLayerNormalization", 3, 5, 1, 4, 0, 0, infer_skip_norm, "epsilon:float"},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", 3, 4, 1, 4, 0, 0, infer_skip_norm,
     "epsilon:float"},
    {.type = NULL},
};
