/* SPDX-License-Identifier: Apache-2.0 */
/* Ops whose outputs' dims follow from the contents of their inputs: here are the largest. */
#include "graph/schema/families.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <string.h>

#define BIT MLS__DTYPE_BIT
#define ELEMENTS                                                                                   \
    (BIT(MLS_INT8) | BIT(MLS_INT16) | BIT(MLS_INT32) | BIT(MLS_INT64) | BIT(MLS_UINT8) |           \
     BIT(MLS_UINT16) | BIT(MLS_UINT32) | BIT(MLS_UINT64) | BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16) |  \
     BIT(MLS_FLOAT32) | BIT(MLS_FLOAT64) | BIT(MLS_BOOL) | BIT(MLS_STRING))

static const char *const element_words = "a float of 16 bits or more, an integer, bool or string";

/* A scalar has no coordinates, whatever the number of its elements that are not zero. */
static mls_status infer_non_zero(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    const int64_t dims[] = {x->rank, mls__arg_count(x)};
    const mls_status status = mls__infer_dtype(op, 0, ELEMENTS, element_words);
    return status ? status : mls__infer_set(op, &ret_outputs[0], MLS_INT64, 2, dims);
}

static mls_status infer_compress(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0], *condition = &op->inputs[1];
    int64_t dims[MLS_MAX_RANK] = {mls__arg_count(x)};
    int axis = 0;
    mls_status status = mls__infer_dtype(op, 1, BIT(MLS_BOOL), "bool");
    if (!status && condition->rank != 1)
        status =
            mls__op_error(op, MLS_ESHAPE, "the condition has rank %d, expected 1", condition->rank);
    const bool has_axis = mls__op_attr(op, "axis") != NULL;
    if (!status && has_axis) {
        status = mls__op_axis(op, mls__op_int(op, "axis", 0), x->rank, &axis);
        memcpy(dims, x->dims, sizeof dims);
    }
    if (status)
        return status;
    if (condition->dims[0] < dims[axis])
        dims[axis] = condition->dims[0];
    return mls__infer_set(op, &ret_outputs[0], x->dtype, has_axis ? x->rank : 1, dims);
}

static mls_status infer_unique(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    const bool has_axis = mls__op_attr(op, "axis") != NULL;
    int64_t count = mls__arg_count(x);
    int axis;
    mls_status status = mls__infer_dtype(op, 0, ELEMENTS, element_words);
    if (!status && has_axis)
        status = mls__op_axis(op, mls__op_int(op, "axis", 0), x->rank, &axis);
    if (!status)
        status = mls__infer_set(op, &ret_outputs[0], x->dtype, has_axis ? x->rank : 1,
                                has_axis ? x->dims : &count);
    if (!status && has_axis)
        count = x->dims[axis];
    for (size_t i = 1; !status && i < op->output_count; i++)
        status = mls__infer_set(op, &ret_outputs[i], MLS_INT64, 1, &count);
    return status;
}

static mls_status check_boxes(const mls_op *op)
{
    const mls_arg *boxes = &op->inputs[0], *scores = &op->inputs[1];
    const int64_t format = mls__op_int(op, "center_point_box", 0);
    mls_status status = mls__infer_dtype(op, 0, BIT(MLS_FLOAT32), "float32");
    if (!status)
        status = mls__infer_dtype(op, 1, BIT(MLS_FLOAT32), "float32");
    for (size_t i = 2; !status && i < op->input_count; i++) {
        const mls_arg *arg = mls__op_input(op, i);
        if (!arg)
            continue;
        status = mls__infer_dtype(op, i, BIT(i == 2 ? MLS_INT64 : MLS_FLOAT32),
                                  i == 2 ? "int64" : "float32");
        if (!status && mls__arg_count(arg) != 1)
            status = mls__op_error(op, MLS_ESHAPE, "input %zu is not one element", i);
    }
    if (status)
        return status;
    if (boxes->rank != 3 || scores->rank != 3 || boxes->dims[2] != 4 ||
        boxes->dims[0] != scores->dims[0] || boxes->dims[1] != scores->dims[2])
        return mls__op_error(op, MLS_ESHAPE,
                             "boxes and scores do not go together; expected [batch, boxes, 4] and "
                             "[batch, classes, boxes]");
    if (boxes->dims[1] > INT32_MAX)
        return mls__op_error(op, MLS_ESHAPE, "%" PRId64 " boxes are too many", boxes->dims[1]);
    if (format != 0 && format != 1)
        return mls__op_error(op, MLS_EINVAL, "center_point_box is %" PRId64 ", expected 0 or 1",
                             format);
    return MLS_OK;
}

static mls_status infer_non_max(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *scores = &op->inputs[1];
    int64_t limit = 0, rows;
    size_t count;
    bool is_given;
    mls_status status = check_boxes(op);
    if (!status)
        status = mls__op_known_ints(op, 2, &limit, 1, &count, &is_given);
    if (status)
        return status;
    const int64_t each = limit < 0 ? 0 : limit < scores->dims[2] ? limit : scores->dims[2];
    if (!mls__mul_i64(scores->dims[0], scores->dims[1], &rows) || !mls__mul_i64(rows, each, &rows))
        return mls__op_error(op, MLS_ESHAPE, "more boxes than memory can hold");
    return mls__infer_set(op, &ret_outputs[0], MLS_INT64, 2, (int64_t[]){rows, 3});
}

mls__op_schema_table mls__schemas_late = {
    {"", "NonZero", 1, 1, 1, 1, MLS__OP_LATE, 0, infer_non_zero, NULL},
    {"", "Compress", 2, 2, 1, 1, MLS__OP_LATE, 0, infer_compress, "axis:int"},
    {"", "Unique", 1, 1, 1, 4, MLS__OP_LATE, 0, infer_unique, "axis:int sorted:int"},
    {"", "NonMaxSuppression", 2, 5, 1, 1, MLS__OP_LATE, 1u << 2, infer_non_max,
     "center_point_box:int"},
    {.type = NULL},
};
