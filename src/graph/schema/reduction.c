/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that go along axes: reductions, positions, running sums, softmax. */
#include "graph/schema/families.h"

#include "op/reduction.h"

#include <string.h>

#define BIT            MLS__DTYPE_BIT
#define FLOATS         (BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16) | BIT(MLS_FLOAT32) | BIT(MLS_FLOAT64))
#define LARGE_INTEGERS (BIT(MLS_INT32) | BIT(MLS_INT64) | BIT(MLS_UINT32) | BIT(MLS_UINT64))
#define SMALL_INTEGERS (BIT(MLS_INT8) | BIT(MLS_INT16) | BIT(MLS_UINT8) | BIT(MLS_UINT16))

static const char *const float_words = "a float of 16 bits or more";
static const char *const sum_words = "a float of 16 bits or more, or an integer of 32 or 64 bits";
static const char *const number_words = "a float of 16 bits or more, or an integer";
static const char *const order_words = "a float of 16 bits or more, an integer or bool";

/* --- reductions ------------------------------------------------------------------------------ */

/* The dims of input 0 with the reduced ones as 1, or left out. */
static mls_status set_reduced(const mls_op *op, const bool *reduced, int32_t dtype,
                              mls_arg *ret_output)
{
    const mls_arg *data = &op->inputs[0];
    const bool keeps = mls__op_int(op, "keepdims", 1) != 0;
    int64_t dims[MLS_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < data->rank; i++)
        if (!reduced[i] || keeps)
            dims[rank++] = reduced[i] ? 1 : data->dims[i];
    return mls__infer_set(op, ret_output, dtype, rank, dims);
}

static mls_status infer_reduce(const mls_op *op, uint32_t set, const char *words,
                               mls_arg *ret_output)
{
    bool reduced[MLS_MAX_RANK];
    mls_status status = mls__infer_dtype(op, 0, set, words);
    if (!status)
        status = mls__op_reduced(op, reduced);
    return status ? status : set_reduced(op, reduced, op->inputs[0].dtype, ret_output);
}

static mls_status infer_sum(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_reduce(op, FLOATS | LARGE_INTEGERS, sum_words, &ret_outputs[0]);
}

static mls_status infer_extreme(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_reduce(op, FLOATS | LARGE_INTEGERS | SMALL_INTEGERS | BIT(MLS_BOOL), order_words,
                        &ret_outputs[0]);
}

/* --- positions ------------------------------------------------------------------------------- */

static mls_status infer_arg(const mls_op *op, mls_arg *ret_outputs)
{
    bool reduced[MLS_MAX_RANK] = {false};
    int axis;
    mls_status status =
        mls__infer_dtype(op, 0, FLOATS | LARGE_INTEGERS | SMALL_INTEGERS, number_words);
    if (!status)
        status = mls__op_attr_axis(op, 0, &axis);
    if (status)
        return status;
    if (op->inputs[0].dims[axis] == 0)
        return mls__op_error(op, MLS_ESHAPE, "there are no elements along axis %d", axis);
    reduced[axis] = true;
    return set_reduced(op, reduced, MLS_INT64, &ret_outputs[0]);
}

static mls_status infer_top_k(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0];
    int64_t dims[MLS_MAX_RANK], k;
    int axis;
    mls_status status =
        mls__infer_dtype(op, 0, FLOATS | LARGE_INTEGERS | SMALL_INTEGERS, number_words);
    if (!status)
        status = mls__op_top_k(op, &axis, &k);
    if (status)
        return status;
    memcpy(dims, data->dims, sizeof dims);
    dims[axis] = k;
    status = mls__infer_set(op, &ret_outputs[0], data->dtype, data->rank, dims);
    if (!status && op->output_count > 1)
        status = mls__infer_set(op, &ret_outputs[1], MLS_INT64, data->rank, dims);
    return status;
}

/* --- along one axis, element by element ------------------------------------------------------ */

static mls_status infer_cum_sum(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *axis = &op->inputs[1];
    mls_status status = mls__infer_dtype(op, 0, FLOATS | LARGE_INTEGERS, sum_words);
    if (!status)
        status = mls__infer_dtype(op, 1, BIT(MLS_INT32) | BIT(MLS_INT64), "int32 or int64");
    if (status)
        return status;
    if (axis->rank > 1 || mls__arg_count(axis) != 1)
        return mls__op_error(op, MLS_ESHAPE, "input 1, the axis, is not one element");
    if (op->inputs[0].rank == 0)
        return mls__op_error(op, MLS_ESHAPE, "input 0 is a scalar and has no axis");
    return mls__infer_same(op, ret_outputs);
}

static mls_status infer_softmax(const mls_op *op, mls_arg *ret_outputs)
{
    int axis;
    mls_status status = mls__infer_dtype(op, 0, FLOATS, float_words);
    if (!status)
        status = mls__op_attr_axis(op, -1, &axis);
    return status ? status : mls__infer_same(op, ret_outputs);
}

#define AXES (1u << 1)
#define REDUCE(type, infer)                                                                        \
    {                                                                                              \
        "", type, 1, 2, 1, 1, 0, AXES, infer, "keepdims:int noop_with_empty_axes:int"              \
    }

mls__op_schema_table mls__schemas_reduction = {
    REDUCE("ReduceSum", infer_sum),
    REDUCE("ReduceMean", infer_sum),
    REDUCE("ReduceProd", infer_sum),
    REDUCE("ReduceL1", infer_sum),
    REDUCE("ReduceL2", infer_sum),
    REDUCE("ReduceSumSquare", infer_sum),
    REDUCE("ReduceLogSum", infer_sum),
    REDUCE("ReduceLogSumExp", infer_sum),
    REDUCE("ReduceMax", infer_extreme),
    REDUCE("ReduceMin", infer_extreme),
    {"", "ArgMax", 1, 1, 1, 1, 0, 0, infer_arg, "axis:int keepdims:int select_last_index:int"},
    {"", "ArgMin", 1, 1, 1, 1, 0, 0, infer_arg, "axis:int keepdims:int select_last_index:int"},
    {"", "TopK", 2, 2, 1, 2, 0, 1u << 1, infer_top_k, "axis:int largest:int sorted:int"},
    {"", "CumSum", 2, 2, 1, 1, 0, 0, infer_cum_sum, "exclusive:int reverse:int"},
    {"", "CumProd", 2, 2, 1, 1, 0, 0, infer_cum_sum, "exclusive:int reverse:int"},
    {"", "Softmax", 1, 1, 1, 1, 0, 0, infer_softmax, "axis:int mls_flatten:int"},
    {"", "LogSoftmax", 1, 1, 1, 1, 0, 0, infer_softmax, "axis:int mls_flatten:int"},
    {"", "Hardmax", 1, 1, 1, 1, 0, 0, infer_softmax, "axis:int mls_flatten:int"},
    {.type = NULL},
};
