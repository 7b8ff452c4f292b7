/* SPDX-License-Identifier: Apache-2.0 */
/* Ops whose output elements each follow from one element of every input. */
#include "graph/schema/families.h"

#include "tensor/dtype.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

#define BIT(dtype)    (UINT32_C(1) << (dtype))
#define FLOAT_BITS    (BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16) | BIT(MLS_FLOAT32) | BIT(MLS_FLOAT64))
#define SIGNED_BITS   (BIT(MLS_INT8) | BIT(MLS_INT16) | BIT(MLS_INT32) | BIT(MLS_INT64))
#define UNSIGNED_BITS (BIT(MLS_UINT8) | BIT(MLS_UINT16) | BIT(MLS_UINT32) | BIT(MLS_UINT64))
#define FLOAT8_BITS                                                                                \
    (BIT(MLS_FLOAT8E4M3FN) | BIT(MLS_FLOAT8E4M3FNUZ) | BIT(MLS_FLOAT8E5M2) |                       \
     BIT(MLS_FLOAT8E5M2FNUZ))

/* The dtypes that an op takes, and how its errors call them. */
typedef struct dtype_set {
    uint32_t bits;
    const char *words;
} dtype_set;

static const dtype_set floats = {FLOAT_BITS, "a float of 16 bits or more"};
static const dtype_set signed_numbers = {FLOAT_BITS | SIGNED_BITS, "a float or a signed integer"};
static const dtype_set numbers = {FLOAT_BITS | SIGNED_BITS | UNSIGNED_BITS, "a number"};
static const dtype_set comparables = {FLOAT_BITS | SIGNED_BITS | UNSIGNED_BITS | BIT(MLS_BOOL) |
                                          BIT(MLS_STRING),
                                      "a number, bool or string"};
static const dtype_set integers = {SIGNED_BITS | UNSIGNED_BITS, "an integer"};
static const dtype_set unsigned_integers = {UNSIGNED_BITS, "an unsigned integer"};
static const dtype_set bools = {BIT(MLS_BOOL), "bool"};
static const dtype_set classified = {FLOAT_BITS | FLOAT8_BITS, "a float of 8 bits or more"};
static const dtype_set pow_bases = {FLOAT_BITS | BIT(MLS_INT32) | BIT(MLS_INT64),
                                    "a float of 16 bits or more, int32 or int64"};
static const dtype_set prelu_types = {FLOAT_BITS | BIT(MLS_INT32) | BIT(MLS_INT64) |
                                          BIT(MLS_UINT32) | BIT(MLS_UINT64),
                                      "a float of 16 bits or more, or an integer of 32 or 64"};

static mls_status check_in_set(const mls_op *op, size_t index, const dtype_set *set)
{
    const int32_t dtype = op->inputs[index].dtype;
    if (dtype >= 0 && dtype < 32 && (set->bits & BIT(dtype)))
        return MLS_OK;
    return mls__op_error(op, MLS_EDTYPE, "input %zu is %s, expected %s", index,
                         mls_dtype_name((mls_dtype) dtype), set->words);
}

static mls_status check_same_dtype(const mls_op *op, size_t index, size_t as)
{
    if (op->inputs[index].dtype == op->inputs[as].dtype)
        return MLS_OK;
    return mls__op_error(op, MLS_EDTYPE, "input %zu is %s and input %zu is %s; they must be equal",
                         as, mls_dtype_name((mls_dtype) op->inputs[as].dtype), index,
                         mls_dtype_name((mls_dtype) op->inputs[index].dtype));
}

/* The shape of all inputs broadcast together, as an output of `dtype`. */
static mls_status set_broadcast(const mls_op *op, int32_t dtype, mls_arg *ret_output)
{
    int rank = op->inputs[0].rank;
    int64_t dims[MLS_MAX_RANK];
    char a[MLS__SHAPE_TEXT], b[MLS__SHAPE_TEXT];
    memcpy(dims, op->inputs[0].dims, sizeof dims);
    for (size_t i = 1; i < op->input_count; i++) {
        const mls_arg *input = &op->inputs[i];
        if (!mls__shape_broadcast(rank, dims, input->rank, input->dims, &rank, dims))
            return mls__op_error(op, MLS_ESHAPE, "input %zu of shape %s does not broadcast with %s",
                                 i, mls__shape_text(input->rank, input->dims, a),
                                 mls__shape_text(rank, dims, b));
    }
    return mls__infer_set(op, ret_output, dtype, rank, dims);
}

/* --- two and more inputs --------------------------------------------------------------------- */

/* Inputs of one dtype of the set; the output is of `dtype`, or of theirs if that is NONE. */
static mls_status infer_broadcast(const mls_op *op, const dtype_set *set, int32_t dtype,
                                  mls_arg *ret_outputs)
{
    mls_status status = check_in_set(op, 0, set);
    for (size_t i = 1; !status && i < op->input_count; i++)
        status = check_same_dtype(op, i, 0);
    if (status)
        return status;
    return set_broadcast(op, dtype == MLS_DTYPE_NONE ? op->inputs[0].dtype : dtype,
                         &ret_outputs[0]);
}

static mls_status infer_numbers(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_broadcast(op, &numbers, MLS_DTYPE_NONE, ret_outputs);
}

static mls_status infer_floats(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_broadcast(op, &floats, MLS_DTYPE_NONE, ret_outputs);
}

static mls_status infer_equal(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_broadcast(op, &comparables, MLS_BOOL, ret_outputs);
}

static mls_status infer_order(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_broadcast(op, &numbers, MLS_BOOL, ret_outputs);
}

static mls_status infer_logic(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_broadcast(op, &bools, MLS_BOOL, ret_outputs);
}

static mls_status infer_bitwise(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_broadcast(op, &integers, MLS_DTYPE_NONE, ret_outputs);
}

static mls_status infer_bit_shift(const mls_op *op, mls_arg *ret_outputs)
{
    if (!mls__op_string_is(op, "direction", "LEFT", "") &&
        !mls__op_string_is(op, "direction", "RIGHT", "")) {
        const mls_string given = mls__op_string(op, "direction");
        return mls__op_error(op, MLS_EINVAL, "direction is '%.*s', expected 'LEFT' or 'RIGHT'",
                             given.size > 64 ? 64 : (int) given.size, given.data ? given.data : "");
    }
    return infer_broadcast(op, &unsigned_integers, MLS_DTYPE_NONE, ret_outputs);
}

/* Of floats only the remainder of C's fmod() is defined. */
static mls_status infer_mod(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_status status = infer_broadcast(op, &numbers, MLS_DTYPE_NONE, ret_outputs);
    if (!status && !mls__op_int(op, "fmod", 0) && (floats.bits & BIT(op->inputs[0].dtype)))
        return mls__op_error(op, MLS_EINVAL, "the inputs are floats, which takes fmod=1");
    return status;
}

static mls_status infer_pow(const mls_op *op, mls_arg *ret_outputs)
{
    mls_status status = check_in_set(op, 0, &pow_bases);
    if (!status)
        status = check_in_set(op, 1, &numbers);
    return status ? status : set_broadcast(op, op->inputs[0].dtype, &ret_outputs[0]);
}

/* The slope broadcasts to the input, never the other way. */
static mls_status infer_prelu(const mls_op *op, mls_arg *ret_outputs)
{
    char a[MLS__SHAPE_TEXT], b[MLS__SHAPE_TEXT];
    const mls_arg *input = &op->inputs[0], *slope = &op->inputs[1];
    mls_status status = infer_broadcast(op, &prelu_types, MLS_DTYPE_NONE, ret_outputs);
    if (status)
        return status;
    if (!mls__shape_equal(input->rank, input->dims, ret_outputs[0].rank, ret_outputs[0].dims))
        return mls__op_error(op, MLS_ESHAPE, "a slope of shape %s does not broadcast to %s",
                             mls__shape_text(slope->rank, slope->dims, a),
                             mls__shape_text(input->rank, input->dims, b));
    return MLS_OK;
}

static mls_status infer_where(const mls_op *op, mls_arg *ret_outputs)
{
    mls_status status = check_in_set(op, 0, &bools);
    if (!status)
        status = check_same_dtype(op, 2, 1);
    return status ? status : set_broadcast(op, op->inputs[1].dtype, &ret_outputs[0]);
}

/* --- one input ------------------------------------------------------------------------------- */

static mls_status infer_like_input(const mls_op *op, const dtype_set *set, mls_arg *ret_outputs)
{
    const mls_status status = check_in_set(op, 0, set);
    return status ? status : mls__infer_same(op, ret_outputs);
}

static mls_status infer_float(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_like_input(op, &floats, ret_outputs);
}

static mls_status infer_signed(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_like_input(op, &signed_numbers, ret_outputs);
}

static mls_status infer_number(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_like_input(op, &numbers, ret_outputs);
}

static mls_status infer_not(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_like_input(op, &bools, ret_outputs);
}

static mls_status infer_celu(const mls_op *op, mls_arg *ret_outputs)
{
    const float alpha = mls__op_float(op, "alpha", 1.0f);
    if (alpha == 0.0f || alpha != alpha)
        return mls__op_error(op, MLS_EINVAL, "alpha is %g, expected a number other than 0",
                             (double) alpha);
    return infer_float(op, ret_outputs);
}

static mls_status infer_gelu(const mls_op *op, mls_arg *ret_outputs)
{
    if (!mls__op_string_is(op, "approximate", "none", "none") &&
        !mls__op_string_is(op, "approximate", "tanh", "none")) {
        const mls_string given = mls__op_string(op, "approximate");
        return mls__op_error(op, MLS_EINVAL, "approximate is '%.*s', expected 'none' or 'tanh'",
                             given.size > 64 ? 64 : (int) given.size, given.data);
    }
    return infer_float(op, ret_outputs);
}

static mls_status infer_bitwise_not(const mls_op *op, mls_arg *ret_outputs)
{
    return infer_like_input(op, &integers, ret_outputs);
}

/* Whether each element is of a kind: bool. */
static mls_status infer_classify(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_status status = check_in_set(op, 0, &classified);
    if (status)
        return status;
    return mls__infer_set(op, &ret_outputs[0], MLS_BOOL, op->inputs[0].rank, op->inputs[0].dims);
}

/* The bounds are scalars; models also hold them as tensors of one element. */
static mls_status infer_clip(const mls_op *op, mls_arg *ret_outputs)
{
    mls_status status = check_in_set(op, 0, &numbers);
    for (size_t i = 1; !status && i < op->input_count; i++) {
        const mls_arg *bound = mls__op_input(op, i);
        if (!bound)
            continue;
        status = check_same_dtype(op, i, 0);
        if (!status && mls__arg_count(bound) != 1)
            status = mls__op_error(op, MLS_ESHAPE, "input %zu has %" PRId64 " elements, expected 1",
                                   i, mls__arg_count(bound));
    }
    return status ? status : mls__infer_same(op, ret_outputs);
}

/* --- conversion ------------------------------------------------------------------------------ */

static mls_status set_cast(const mls_op *op, int64_t to, mls_arg *ret_outputs)
{
    const mls_arg *input = &op->inputs[0];
    if (to < 0 || to > INT32_MAX || !mls__dtype_is_valid((int32_t) to))
        return mls__op_error(op, MLS_EUNSUPPORTED, "a cast to data type %" PRId64, to);
    if (!mls__op_string_is(op, "round_mode", "up", "up") &&
        !mls__op_string_is(op, "round_mode", "down", "up") &&
        !mls__op_string_is(op, "round_mode", "nearest", "up")) {
        const mls_string given = mls__op_string(op, "round_mode");
        return mls__op_error(op, MLS_EINVAL,
                             "round_mode is '%.*s', expected 'up', 'down' or 'nearest'",
                             given.size > 64 ? 64 : (int) given.size, given.data);
    }
    return mls__infer_set(op, &ret_outputs[0], (int32_t) to, input->rank, input->dims);
}

static mls_status infer_cast(const mls_op *op, mls_arg *ret_outputs)
{
    return set_cast(op, mls__op_int(op, "to", 0), ret_outputs);
}

static mls_status infer_cast_like(const mls_op *op, mls_arg *ret_outputs)
{
    return set_cast(op, op->inputs[1].dtype, ret_outputs);
}

/* Types below 8 bits have their own form in memory, which is not that of the file. */
static bool has_plain_bits(int32_t dtype)
{
    return dtype != MLS_STRING && dtype != MLS_INT4 && dtype != MLS_UINT4 && dtype != MLS_INT2 &&
           dtype != MLS_UINT2 && dtype != MLS_FLOAT4E2M1;
}

static mls_status infer_bit_cast(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *input = &op->inputs[0];
    const int64_t to = mls__op_int(op, "to", MLS_DTYPE_NONE);
    if (to <= 0 || to > INT32_MAX || !mls__dtype_is_valid((int32_t) to))
        return mls__op_error(op, MLS_EUNSUPPORTED, "a cast to data type %" PRId64, to);
    if (mls_dtype_size((mls_dtype) to) != mls_dtype_size((mls_dtype) input->dtype) ||
        !has_plain_bits((int32_t) to) || !has_plain_bits(input->dtype))
        return mls__op_error(op, MLS_EDTYPE, "%s has not the bits of %s",
                             mls_dtype_name((mls_dtype) input->dtype),
                             mls_dtype_name((mls_dtype) to));
    return mls__infer_set(op, &ret_outputs[0], (int32_t) to, input->rank, input->dims);
}

mls__op_schema_table mls__schemas_elementwise = {
    {"", "Add", 2, 2, 1, 1, 0, 0, infer_numbers, NULL},
    {"", "Sub", 2, 2, 1, 1, 0, 0, infer_numbers, NULL},
    {"", "Mul", 2, 2, 1, 1, 0, 0, infer_numbers, NULL},
    {"", "Div", 2, 2, 1, 1, 0, 0, infer_numbers, NULL},
    {"", "Pow", 2, 2, 1, 1, 0, 0, infer_pow, NULL},
    {"", "PRelu", 2, 2, 1, 1, 0, 0, infer_prelu, NULL},
    {"", "Min", 1, MLS__VARIADIC, 1, 1, 0, 0, infer_numbers, NULL},
    {"", "Max", 1, MLS__VARIADIC, 1, 1, 0, 0, infer_numbers, NULL},
    {"", "Mod", 2, 2, 1, 1, 0, 0, infer_mod, "fmod:int"},
    {"", "BitShift", 2, 2, 1, 1, 0, 0, infer_bit_shift, "direction:string!"},
    {"", "BitwiseAnd", 2, 2, 1, 1, 0, 0, infer_bitwise, NULL},
    {"", "BitwiseOr", 2, 2, 1, 1, 0, 0, infer_bitwise, NULL},
    {"", "BitwiseXor", 2, 2, 1, 1, 0, 0, infer_bitwise, NULL},
    {"", "BitwiseNot", 1, 1, 1, 1, 0, 0, infer_bitwise_not, NULL},
    {"", "Sum", 1, MLS__VARIADIC, 1, 1, 0, 0, infer_floats, NULL},
    {"", "Mean", 1, MLS__VARIADIC, 1, 1, 0, 0, infer_floats, NULL},
    {"", "Equal", 2, 2, 1, 1, 0, 0, infer_equal, NULL},
    {"", "Less", 2, 2, 1, 1, 0, 0, infer_order, NULL},
    {"", "LessOrEqual", 2, 2, 1, 1, 0, 0, infer_order, NULL},
    {"", "Greater", 2, 2, 1, 1, 0, 0, infer_order, NULL},
    {"", "GreaterOrEqual", 2, 2, 1, 1, 0, 0, infer_order, NULL},
    {"", "And", 2, 2, 1, 1, 0, 0, infer_logic, NULL},
    {"", "Or", 2, 2, 1, 1, 0, 0, infer_logic, NULL},
    {"", "Xor", 2, 2, 1, 1, 0, 0, infer_logic, NULL},
    {"", "Not", 1, 1, 1, 1, 0, 0, infer_not, NULL},
    {"", "Where", 3, 3, 1, 1, 0, 0, infer_where, NULL},
    {"", "Neg", 1, 1, 1, 1, 0, 0, infer_signed, NULL},
    {"", "Abs", 1, 1, 1, 1, 0, 0, infer_number, NULL},
    {"", "Sign", 1, 1, 1, 1, 0, 0, infer_number, NULL},
    {"", "Relu", 1, 1, 1, 1, 0, 0, infer_signed, NULL},
    {"", "Sqrt", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Exp", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Log", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Reciprocal", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Floor", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Ceil", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Round", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Erf", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Sigmoid", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Tanh", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Sin", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Cos", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Tan", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Asin", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Acos", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Atan", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Sinh", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Cosh", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Asinh", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Acosh", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Atanh", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "LeakyRelu", 1, 1, 1, 1, 0, 0, infer_float, "alpha:float"},
    {"", "ThresholdedRelu", 1, 1, 1, 1, 0, 0, infer_float, "alpha:float"},
    {"", "Elu", 1, 1, 1, 1, 0, 0, infer_float, "alpha:float"},
    {"", "Selu", 1, 1, 1, 1, 0, 0, infer_float, "alpha:float gamma:float"},
    {"", "Celu", 1, 1, 1, 1, 0, 0, infer_celu, "alpha:float"},
    {"", "Gelu", 1, 1, 1, 1, 0, 0, infer_gelu, "approximate:string"},
    {"", "Mish", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Swish", 1, 1, 1, 1, 0, 0, infer_float, "alpha:float"},
    {"", "HardSigmoid", 1, 1, 1, 1, 0, 0, infer_float, "alpha:float beta:float"},
    {"", "HardSwish", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Softplus", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "Shrink", 1, 1, 1, 1, 0, 0, infer_number, "bias:float lambd:float"},
    {"", "Softsign", 1, 1, 1, 1, 0, 0, infer_float, NULL},
    {"", "IsNaN", 1, 1, 1, 1, 0, 0, infer_classify, NULL},
    {"", "IsInf", 1, 1, 1, 1, 0, 0, infer_classify, "detect_negative:int detect_positive:int"},
    {"", "Clip", 1, 3, 1, 1, 0, 0, infer_clip, "max:float min:float"},
    {"", "Cast", 1, 1, 1, 1, 0, 0, infer_cast, "round_mode:string saturate:int to:int!"},
    {"", "CastLike", 2, 2, 1, 1, 0, 0, infer_cast_like, "round_mode:string saturate:int"},
    {"", "BitCast", 1, 1, 1, 1, MLS__OP_VIEW, 0, infer_bit_cast, "to:int!"},
    {.type = NULL},
};
