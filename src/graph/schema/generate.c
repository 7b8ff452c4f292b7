/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that make a tensor from attributes, dims and scalars. */
#include "graph/schema/families.h"

#include "tensor/float_format.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <math.h>

/* Slices of the input's dims are taken as Python takes them. */
static int64_t clamp_axis(int64_t axis, int64_t rank)
{
    const int64_t position = axis < 0 ? axis + rank : axis;
    return position < 0 ? 0 : position > rank ? rank : position;
}

static mls_status infer_shape(const mls_op *op, mls_arg *ret_outputs)
{
    const int64_t rank = op->inputs[0].rank;
    const int64_t start = clamp_axis(mls__op_int(op, "start", 0), rank);
    const int64_t end = clamp_axis(mls__op_int(op, "end", rank), rank);
    const int64_t count = end > start ? end - start : 0;
    return mls__infer_set(op, &ret_outputs[0], MLS_INT64, 1, &count);
}

static mls_status infer_size(const mls_op *op, mls_arg *ret_outputs)
{
    return mls__infer_set(op, &ret_outputs[0], MLS_INT64, 0, NULL);
}

/* The forms that Constant's one attribute takes. */
static const struct constant_form {
    const char *name;
    int32_t type, dtype, rank;
} constant_forms[] = {
    {"value", MLS_ATTR_TENSOR, MLS_DTYPE_NONE, 0},
    {"value_float", MLS_ATTR_FLOAT, MLS_FLOAT32, 0},
    {"value_floats", MLS_ATTR_FLOATS, MLS_FLOAT32, 1},
    {"value_int", MLS_ATTR_INT, MLS_INT64, 0},
    {"value_ints", MLS_ATTR_INTS, MLS_INT64, 1},
    {"value_string", MLS_ATTR_STRING, MLS_STRING, 0},
    {"value_strings", MLS_ATTR_STRINGS, MLS_STRING, 1},
};

static mls_status infer_constant(const mls_op *op, mls_arg *ret_outputs)
{
    const struct constant_form *form = NULL;
    if (mls__op_attr(op, "sparse_value"))
        return mls__op_error(op, MLS_EUNSUPPORTED, "sparse tensors are not provided");
    for (size_t i = 0; i < sizeof constant_forms / sizeof constant_forms[0]; i++) {
        const mls_attr *attr = mls__op_attr(op, constant_forms[i].name);
        if (!attr)
            continue;
        if (form)
            return mls__op_error(op, MLS_EINVAL, "both %s and %s are given", form->name,
                                 constant_forms[i].name);
        form = &constant_forms[i];
    }
    if (!form)
        return mls__op_error(op, MLS_EINVAL, "there is no attribute value");
    const mls_attr *attr = mls__op_attr(op, form->name);
    if (form->type == MLS_ATTR_TENSOR)
        return mls__infer_set(op, &ret_outputs[0], (int32_t) mls_tensor_dtype(attr->tensor),
                              mls_tensor_rank(attr->tensor), mls_tensor_dims(attr->tensor));
    const int64_t count = (int64_t) attr->count;
    return mls__infer_set(op, &ret_outputs[0], form->dtype, form->rank, &count);
}

static mls_status infer_constant_of_shape(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_tensor *value = mls__op_tensor(op, "value");
    const int32_t dtype = value ? (int32_t) mls_tensor_dtype(value) : MLS_FLOAT32;
    int64_t dims[MLS_MAX_RANK];
    size_t rank;
    bool is_given;
    const mls_status status = mls__op_known_ints(op, 0, dims, MLS_MAX_RANK, &rank, &is_given);
    if (status)
        return status;
    if (value && mls_tensor_element_count(value) != 1)
        return mls__op_error(op, MLS_EINVAL,
                             "the attribute value has %" PRId64 " elements; one is needed",
                             mls_tensor_element_count(value));
    if (dtype == MLS_STRING)
        return mls__op_error(op, MLS_EDTYPE, "the attribute value is string, expected numbers");
    for (size_t i = 0; i < rank; i++)
        if (dims[i] < 0)
            return mls__op_error(op, MLS_EINVAL, "entry %zu of the shape is %" PRId64, i, dims[i]);
    return mls__infer_set(op, &ret_outputs[0], dtype, (int64_t) rank, dims);
}

static bool is_float(int32_t dtype)
{
    return dtype == MLS_FLOAT32 || dtype == MLS_FLOAT64 || dtype == MLS_FLOAT16 ||
           dtype == MLS_BFLOAT16;
}

static bool is_int(int32_t dtype)
{
    return dtype == MLS_INT16 || dtype == MLS_INT32 || dtype == MLS_INT64;
}

static double float_value(const mls_arg *arg)
{
    if (arg->dtype == MLS_FLOAT64)
        return *(const double *) arg->data;
    if (arg->dtype == MLS_FLOAT32)
        return (double) *(const float *) arg->data;
    return mls__float_decode(mls__float_format_of(arg->dtype), *(const uint16_t *) arg->data);
}

static int64_t int_value(const mls_arg *arg)
{
    return arg->dtype == MLS_INT16 ? *(const int16_t *) arg->data : mls__arg_int(arg, 0);
}

/* start, limit and delta: known scalars of one type. */
static mls_status check_range(const mls_op *op)
{
    const int32_t dtype = op->inputs[0].dtype;
    if (!is_float(dtype) && !is_int(dtype))
        return mls__op_error(op, MLS_EDTYPE,
                             "input 0 is %s; expected a float, int16, int32 or int64",
                             mls_dtype_name((mls_dtype) dtype));
    for (size_t i = 0; i < 3; i++) {
        const mls_arg *arg = &op->inputs[i];
        if (arg->dtype != dtype)
            return mls__op_error(op, MLS_EDTYPE, "input %zu is %s, input 0 is %s", i,
                                 mls_dtype_name((mls_dtype) arg->dtype),
                                 mls_dtype_name((mls_dtype) dtype));
        if (mls__arg_count(arg) != 1)
            return mls__op_error(op, MLS_ESHAPE, "input %zu is not a scalar", i);
        if (!arg->data)
            return mls__op_error(
                op, MLS_ESTATE, "input %zu decides a shape, and its contents are not known yet", i);
    }
    return MLS_OK;
}

static mls_status float_range_count(const mls_op *op, int64_t *ret_count)
{
    const double start = float_value(&op->inputs[0]), limit = float_value(&op->inputs[1]);
    const double delta = float_value(&op->inputs[2]);
    if (delta == 0.0)
        return mls__op_error(op, MLS_EINVAL, "delta is 0");
    const double count = ceil((limit - start) / delta);
    /* Not less: NaN is caught too. */
    if (!(count < 0x1p53))
        return mls__op_error(op, MLS_EINVAL, "from %g to %g by %g is no count of elements", start,
                             limit, delta);
    *ret_count = count > 0.0 ? (int64_t) count : 0;
    return MLS_OK;
}

static mls_status int_range_count(const mls_op *op, int64_t *ret_count)
{
    const int64_t start = int_value(&op->inputs[0]), limit = int_value(&op->inputs[1]);
    const int64_t delta = int_value(&op->inputs[2]);
    if (delta == 0)
        return mls__op_error(op, MLS_EINVAL, "delta is 0");
    if (delta > 0 ? start >= limit : start <= limit) {
        *ret_count = 0;
        return MLS_OK;
    }
    /* Unsigned: the distance of two int64 may take all 64 bits. */
    const uint64_t span =
        delta > 0 ? (uint64_t) limit - (uint64_t) start : (uint64_t) start - (uint64_t) limit;
    const uint64_t step = delta > 0 ? (uint64_t) delta : 0 - (uint64_t) delta;
    const uint64_t steps = (span - 1) / step;
    if (steps >= INT64_MAX)
        return mls__op_error(op, MLS_EINVAL,
                             "from %" PRId64 " to %" PRId64 " by %" PRId64
                             " is more elements than memory can hold",
                             start, limit, delta);
    *ret_count = (int64_t) steps + 1;
    return MLS_OK;
}

static mls_status infer_range(const mls_op *op, mls_arg *ret_outputs)
{
    const int32_t dtype = op->inputs[0].dtype;
    int64_t count;
    mls_status status = check_range(op);
    if (!status)
        status = is_float(dtype) ? float_range_count(op, &count) : int_range_count(op, &count);
    if (status)
        return status;
    return mls__infer_set(op, &ret_outputs[0], dtype, 1, &count);
}

/* --- OneHot ---------------------------------------------------------------------------------- */

#define BIT MLS__DTYPE_BIT
#define NUMBERS                                                                                    \
    (BIT(MLS_INT8) | BIT(MLS_INT16) | BIT(MLS_INT32) | BIT(MLS_INT64) | BIT(MLS_UINT8) |           \
     BIT(MLS_UINT16) | BIT(MLS_UINT32) | BIT(MLS_UINT64) | BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16) |  \
     BIT(MLS_FLOAT32) | BIT(MLS_FLOAT64))

/* A scalar of any number's dtype, rounded toward zero; -1 where no int64 holds it. */
static int64_t number_value(const mls_arg *arg)
{
    switch (arg->dtype) {
    case MLS_INT8:
        return *(const int8_t *) arg->data;
    case MLS_UINT8:
        return *(const uint8_t *) arg->data;
    case MLS_UINT16:
        return *(const uint16_t *) arg->data;
    case MLS_UINT32:
        return *(const uint32_t *) arg->data;
    case MLS_UINT64:
        return *(const uint64_t *) arg->data > INT64_MAX ? -1
                                                         : (int64_t) * (const uint64_t *) arg->data;
    case MLS_INT16:
    case MLS_INT32:
    case MLS_INT64:
        return int_value(arg);
    default:
        break;
    }
    const double value = float_value(arg);
    return value >= 0 && value < 0x1p63 ? (int64_t) value : -1;
}

static mls_status read_depth(const mls_op *op, int64_t *ret_depth)
{
    const mls_arg *arg = &op->inputs[1];
    const mls_status status = mls__infer_dtype(op, 1, NUMBERS, "a number");
    if (status)
        return status;
    if (arg->rank > 1 || mls__arg_count(arg) != 1)
        return mls__op_error(op, MLS_ESHAPE, "input 1, the depth, is not one element");
    if (!arg->data)
        return mls__op_error(op, MLS_ESTATE,
                             "input 1 decides a shape, and its contents are not known yet");
    *ret_depth = number_value(arg);
    if (*ret_depth < 0)
        return mls__op_error(op, MLS_EINVAL, "the depth is not from 0 to 2^63 - 1");
    return MLS_OK;
}

static mls_status infer_one_hot(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *indices = &op->inputs[0], *values = &op->inputs[2];
    const int rank = indices->rank + 1;
    int64_t dims[MLS_MAX_RANK + 1], depth;
    int axis;
    mls_status status = mls__infer_dtype(op, 0, NUMBERS, "a number");
    if (!status)
        status = read_depth(op, &depth);
    if (!status)
        status = mls__op_axis(op, mls__op_int(op, "axis", -1), rank, &axis);
    if (status)
        return status;
    if (values->rank != 1 || values->dims[0] != 2)
        return mls__op_error(op, MLS_ESHAPE, "input 2, the values, are not two elements");
    for (int i = 0; i < rank; i++)
        dims[i] = i < axis ? indices->dims[i] : i > axis ? indices->dims[i - 1] : depth;
    return mls__infer_set(op, &ret_outputs[0], values->dtype, rank, dims);
}

const mls__op_schema mls__schemas_generate[] = {
    {"", "Shape", 1, 1, 1, 1, MLS__OP_FROM_DIMS, 0, infer_shape, "end:int start:int"},
    {"", "Size", 1, 1, 1, 1, MLS__OP_FROM_DIMS, 0, infer_size, NULL},
    {"", "Constant", 0, 0, 1, 1, 0, 0, infer_constant,
     "sparse_value:tensor value:tensor value_float:float value_floats:floats value_int:int "
     "value_ints:ints value_string:string value_strings:strings"},
    {"", "ConstantOfShape", 1, 1, 1, 1, 0, 1u << 0, infer_constant_of_shape, "value:tensor"},
    {"", "OneHot", 3, 3, 1, 1, 0, 1u << 1, infer_one_hot, "axis:int"},
    {"", "Range", 3, 3, 1, 1, 0, 7u, infer_range, "stash_type:int"},
    {0},
};
