/* SPDX-License-Identifier: Apache-2.0 */
/*
 * com.microsoft's ops on quantized elements: each is DequantizeLinear, the op without QLinear in
 * its name, QuantizeLinear.
 */
#include "graph/schema/families.h"

#include "op/pooling.h"
#include "tensor/shape.h"

#include <inttypes.h>

#define BYTES   (MLS__DTYPE_BIT(MLS_INT8) | MLS__DTYPE_BIT(MLS_UINT8))
#define FLOAT32 MLS__DTYPE_BIT(MLS_FLOAT32)

static mls_status check_one(const mls_op *op, size_t index)
{
    char text[MLS__SHAPE_TEXT];
    const mls_arg *arg = mls__op_input(op, index);
    if (!arg || mls__arg_count(arg) == 1)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %zu has shape %s, expected one element", index,
                         mls__shape_text(arg->rank, arg->dims, text));
}

/* A scale, and a zero point of a type that may be left out. */
static mls_status check_params(const mls_op *op, size_t scale, size_t zero, size_t as)
{
    mls_status status = mls__infer_dtype(op, scale, FLOAT32, "float32");
    if (!status)
        status = check_one(op, scale);
    if (!status)
        status = mls__infer_same_dtype(op, zero, as);
    return status ? status : check_one(op, zero);
}

static mls_status check_unary(const mls_op *op)
{
    mls_status status = mls__infer_dtype(op, 0, BYTES, "int8 or uint8");
    if (!status)
        status = check_params(op, 1, 2, 0);
    return status ? status : check_params(op, 3, 4, 0);
}

static mls_status infer_unary(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_status status = check_unary(op);
    return status ? status : mls__infer_same(op, ret_outputs);
}

static mls_status infer_binary(const mls_op *op, mls_arg *ret_outputs)
{
    char text_a[MLS__SHAPE_TEXT], text_b[MLS__SHAPE_TEXT];
    const mls_arg *a = &op->inputs[0], *b = &op->inputs[3];
    int64_t dims[MLS_MAX_RANK];
    int rank;
    mls_status status = mls__infer_dtype(op, 0, BYTES, "int8 or uint8");
    if (!status)
        status = mls__infer_same_dtype(op, 3, 0);
    if (!status)
        status = check_params(op, 1, 2, 0);
    if (!status)
        status = check_params(op, 4, 5, 0);
    if (!status)
        status = check_params(op, 6, 7, 0);
    if (status)
        return status;
    if (!mls__shape_broadcast(a->rank, a->dims, b->rank, b->dims, &rank, dims))
        return mls__op_error(op, MLS_ESHAPE, "inputs 0 and 3 of %s and %s do not broadcast",
                             mls__shape_text(a->rank, a->dims, text_a),
                             mls__shape_text(b->rank, b->dims, text_b));
    return mls__infer_set(op, &ret_outputs[0], a->dtype, rank, dims);
}

/* --- pools ----------------------------------------------------------------------------------- */

static mls_status infer_global_pool(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    const int channels = mls__op_int(op, "channels_last", 0) ? x->rank - 1 : 1;
    int64_t dims[MLS_MAX_RANK];
    mls_status status = check_unary(op);
    if (status)
        return status;
    if (x->rank < 3)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has %d dimensions, expected at least 3",
                             x->rank);
    for (int i = 0; i < x->rank; i++)
        dims[i] = i == 0 || i == channels ? x->dims[i] : 1;
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank, dims);
}

static mls_status infer_average_pool(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    mls__pooling g;
    int64_t dims[MLS_MAX_RANK];
    mls_status status = check_unary(op);
    if (!status && mls__op_int(op, "channels_last", 0))
        status = mls__op_error(op, MLS_EUNSUPPORTED, "channels_last is not supported");
    if (!status)
        status = mls__op_pooling(op, &g);
    if (status)
        return status;
    for (int d = 0; d < x->rank; d++)
        dims[d] = d < 2 ? x->dims[d] : g.axes[d - 2].output;
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank, dims);
}

/* --- QLinearConcat --------------------------------------------------------------------------- */

/* Part `index` of the whole: an input, its scale and its zero point. */
static mls_status add_part(const mls_op *op, size_t index, int axis, int64_t *dims)
{
    char text_a[MLS__SHAPE_TEXT], text_b[MLS__SHAPE_TEXT];
    const mls_arg *first = &op->inputs[2], *part = &op->inputs[index];
    mls_status status = mls__infer_dtype(op, index, BYTES, "int8 or uint8");
    if (!status)
        status = check_params(op, index + 1, index + 2, index);
    if (status)
        return status;
    bool fits = part->rank == first->rank;
    for (int i = 0; fits && i < part->rank; i++)
        fits = i == axis || part->dims[i] == first->dims[i];
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE, "input %zu of %s does not go with input 2 of %s",
                             index, mls__shape_text(part->rank, part->dims, text_a),
                             mls__shape_text(first->rank, first->dims, text_b));
    dims[axis] += part->dims[axis];
    return MLS_OK;
}

static mls_status infer_concat(const mls_op *op, mls_arg *ret_outputs)
{
    int64_t dims[MLS_MAX_RANK] = {0};
    int axis;
    mls_status status = mls__infer_dtype(op, 0, FLOAT32, "float32");
    if (!status)
        status = mls__infer_dtype(op, 1, BYTES, "int8 or uint8");
    for (size_t i = 0; !status && i < 2; i++)
        status = check_one(op, i);
    if (!status && op->input_count % 3 != 2)
        status = mls__op_error(op, MLS_EINVAL, "it has %zu inputs, expected two and three a part",
                               op->input_count);
    if (!status)
        status = mls__op_axis(op, mls__op_int(op, "axis", 0), op->inputs[2].rank, &axis);
    if (status)
        return status;
    for (int i = 0; i < op->inputs[2].rank; i++)
        dims[i] = i == axis ? 0 : op->inputs[2].dims[i];
    for (size_t i = 2; !status && i < op->input_count; i += 3)
        status = add_part(op, i, axis, dims);
    return status
               ? status
               : mls__infer_set(op, &ret_outputs[0], op->inputs[1].dtype, op->inputs[2].rank, dims);
}

mls__op_schema_table mls__schemas_qlinear = {
    {"com.microsoft", "QLinearAdd", 7, 8, 1, 1, 0, 0, infer_binary, NULL},
    {"com.microsoft", "QLinearMul", 7, 8, 1, 1, 0, 0, infer_binary, NULL},
    {"com.microsoft", "QLinearSigmoid", 4, 5, 1, 1, 0, 0, infer_unary, NULL},
    {"com.microsoft", "QLinearLeakyRelu", 4, 5, 1, 1, 0, 0, infer_unary, "alpha:float"},
    {"com.microsoft", "QLinearGlobalAveragePool", 5, 5, 1, 1, 0, 0, infer_global_pool,
     "channels_last:int"},
    {"com.microsoft", "QLinearAveragePool", 4, 5, 1, 1, 0, 0, infer_average_pool,
     "auto_pad:string ceil_mode:int channels_last:int count_include_pad:int kernel_shape:ints! "
     "pads:ints strides:ints"},
    {"com.microsoft", "QLinearConcat", 5, MLS__VARIADIC, 1, 1, 0, 0, infer_concat, "axis:int!"},
    {.type = NULL},
};
