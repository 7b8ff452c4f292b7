/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Losses of classification: [batch, classes, d1, ...] and a label for each [batch, d1, ...]. Labels
 * are contents, which kernels check.
 */
#include "graph/schema/families.h"

#include <inttypes.h>

#define BIT    MLS__DTYPE_BIT
#define FLOATS (BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16) | BIT(MLS_FLOAT32) | BIT(MLS_FLOAT64))

static mls_status check_dtypes(const mls_op *op)
{
    mls_status status = mls__infer_dtype(op, 0, FLOATS, "a float of 16 bits or more");
    if (!status)
        status = mls__infer_dtype(op, 1, BIT(MLS_INT32) | BIT(MLS_INT64), "int32 or int64");
    if (!status && op->input_count > 2)
        status = mls__infer_same_dtype(op, 2, 0);
    return status;
}

static mls_status check_dims(const mls_op *op)
{
    const mls_arg *x = &op->inputs[0], *labels = &op->inputs[1], *weights = mls__op_input(op, 2);
    if (x->rank < 2)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has rank %d, expected 2 or more", x->rank);
    if (labels->rank != x->rank - 1)
        return mls__op_error(op, MLS_ESHAPE, "input 1 has rank %d, expected %d", labels->rank,
                             x->rank - 1);
    for (int i = 0; i < labels->rank; i++)
        if (labels->dims[i] != x->dims[i ? i + 1 : 0])
            return mls__op_error(op, MLS_ESHAPE,
                                 "dimension %d of input 1 is %" PRId64 ", expected %" PRId64, i,
                                 labels->dims[i], x->dims[i ? i + 1 : 0]);
    if (weights && (weights->rank != 1 || weights->dims[0] != x->dims[1]))
        return mls__op_error(op, MLS_ESHAPE,
                             "input 2 must have one dimension of %" PRId64 ", one for each class",
                             x->dims[1]);
    return MLS_OK;
}

static mls_status check_reduction(const mls_op *op)
{
    static const char *const names[] = {"none", "mean", "sum"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (mls__op_string_is(op, "reduction", names[i], "mean"))
            return MLS_OK;
    const mls_string given = mls__op_string(op, "reduction");
    return mls__op_error(op, MLS_EINVAL, "reduction is '%.*s', expected none, mean or sum",
                         given.size < 64 ? (int) given.size : 64, given.data);
}

static mls_status infer_loss(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0], *labels = &op->inputs[1];
    mls_status status = check_dtypes(op);
    if (!status)
        status = check_dims(op);
    if (!status)
        status = check_reduction(op);
    if (status)
        return status;
    const bool is_reduced = !mls__op_string_is(op, "reduction", "none", "mean");
    status =
        mls__infer_set(op, &ret_outputs[0], x->dtype, is_reduced ? 0 : labels->rank, labels->dims);
    if (!status && op->output_count > 1)
        status = mls__infer_set(op, &ret_outputs[1], x->dtype, x->rank, x->dims);
    return status;
}

mls__op_schema_table mls__schemas_loss = {
    {"", "NegativeLogLikelihoodLoss", 2, 3, 1, 1, 0, 0, infer_loss,
     "ignore_index:int reduction:string"},
    {"", "SoftmaxCrossEntropyLoss", 2, 3, 1, 2, 0, 0, infer_loss,
     "ignore_index:int reduction:string"},
    {.type = NULL},
};
