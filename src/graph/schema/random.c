/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that draw random numbers. TrainingDropout is what the reader makes of some Dropouts. */
#include "graph/schema/families.h"

#include <inttypes.h>

#define FLOATS                                                                                     \
    (MLS__DTYPE_BIT(MLS_FLOAT32) | MLS__DTYPE_BIT(MLS_FLOAT64) | MLS__DTYPE_BIT(MLS_FLOAT16) |     \
     MLS__DTYPE_BIT(MLS_BFLOAT16))
#define SMALL_FLOATS                                                                               \
    (MLS__DTYPE_BIT(MLS_FLOAT8E4M3FN) | MLS__DTYPE_BIT(MLS_FLOAT8E4M3FNUZ) |                       \
     MLS__DTYPE_BIT(MLS_FLOAT8E5M2) | MLS__DTYPE_BIT(MLS_FLOAT8E5M2FNUZ))
#define WIDE_INTS (MLS__DTYPE_BIT(MLS_INT32) | MLS__DTYPE_BIT(MLS_INT64))
#define NUMBERS                                                                                    \
    (FLOATS | WIDE_INTS | MLS__DTYPE_BIT(MLS_INT8) | MLS__DTYPE_BIT(MLS_INT16) |                   \
     MLS__DTYPE_BIT(MLS_UINT8) | MLS__DTYPE_BIT(MLS_UINT16) | MLS__DTYPE_BIT(MLS_UINT32) |         \
     MLS__DTYPE_BIT(MLS_UINT64) | MLS__DTYPE_BIT(MLS_BOOL))

/* The attribute dtype, which must be in the set, or else `fallback`, which must be too. */
static mls_status read_dtype(const mls_op *op, int32_t fallback, uint32_t set, const char *words,
                             int32_t *ret_dtype)
{
    const int64_t dtype = mls__op_int(op, "dtype", fallback);
    if (dtype < 0 || dtype >= 32 || !(set & MLS__DTYPE_BIT(dtype)))
        return mls__op_error(
            op, MLS_EDTYPE, "the output would be of dtype %" PRId64 " (%s), expected %s", dtype,
            dtype > 0 && dtype < 32 ? mls_dtype_name((mls_dtype) dtype) : "?", words);
    *ret_dtype = (int32_t) dtype;
    return MLS_OK;
}

static mls_status infer_random(const mls_op *op, mls_arg *ret_outputs)
{
    size_t rank;
    int32_t dtype;
    const int64_t *shape = mls__op_ints(op, "shape", &rank);
    const mls_status status = read_dtype(op, MLS_FLOAT32, FLOATS, "a float", &dtype);
    if (status)
        return status;
    for (size_t i = 0; i < rank; i++)
        if (shape[i] < 0)
            return mls__op_error(op, MLS_EINVAL, "entry %zu of the shape is %" PRId64, i, shape[i]);
    return mls__infer_set(op, &ret_outputs[0], dtype, (int64_t) rank, shape);
}

static mls_status infer_random_like(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *like = &op->inputs[0];
    int32_t dtype;
    const mls_status status = read_dtype(op, like->dtype, FLOATS, "a float", &dtype);
    return status ? status : mls__infer_set(op, &ret_outputs[0], dtype, like->rank, like->dims);
}

static mls_status infer_bernoulli(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *chances = &op->inputs[0];
    int32_t dtype;
    mls_status status = mls__infer_dtype(op, 0, FLOATS, "a float");
    if (!status)
        status = read_dtype(op, chances->dtype, NUMBERS, "a number or bool", &dtype);
    return status ? status
                  : mls__infer_set(op, &ret_outputs[0], dtype, chances->rank, chances->dims);
}

static mls_status infer_multinomial(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *weights = &op->inputs[0];
    const int64_t samples = mls__op_int(op, "sample_size", 1);
    int32_t dtype;
    mls_status status = mls__infer_dtype(op, 0, FLOATS, "a float");
    if (!status)
        status = read_dtype(op, MLS_INT32, WIDE_INTS, "int32 or int64", &dtype);
    if (status)
        return status;
    if (weights->rank != 2)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has %d dimensions, expected 2: rows, classes",
                             weights->rank);
    if (samples < 0)
        return mls__op_error(op, MLS_EINVAL, "sample_size is %" PRId64, samples);
    const int64_t dims[] = {weights->dims[0], samples};
    return mls__infer_set(op, &ret_outputs[0], dtype, 2, dims);
}

static mls_status infer_dropout(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0], *ratio = mls__op_input(op, 1);
    if (!mls__op_input(op, 2))
        return mls__op_error(op, MLS_EINVAL, "input 2, training_mode, is left out");
    mls_status status = mls__infer_dtype(op, 0, FLOATS | SMALL_FLOATS, "a float");
    if (!status && ratio)
        status = mls__infer_dtype(op, 1, FLOATS | SMALL_FLOATS, "a float");
    if (!status)
        status = mls__infer_dtype(op, 2, MLS__DTYPE_BIT(MLS_BOOL), "bool");
    if (status)
        return status;
    if ((ratio && mls__arg_count(ratio) != 1) || mls__arg_count(&op->inputs[2]) != 1)
        return mls__op_error(op, MLS_ESHAPE, "the ratio or training_mode is not a scalar");
    status = mls__infer_same(op, ret_outputs);
    if (!status && op->output_count > 1)
        status = mls__infer_set(op, &ret_outputs[1], MLS_BOOL, data->rank, data->dims);
    return status;
}

mls__op_schema_table mls__schemas_random = {
    {"", "RandomNormal", 0, 0, 1, 1, 0, 0, infer_random,
     "dtype:int mean:float scale:float seed:float shape:ints!"},
    {"", "RandomNormalLike", 1, 1, 1, 1, 0, 0, infer_random_like,
     "dtype:int mean:float scale:float seed:float"},
    {"", "RandomUniform", 0, 0, 1, 1, 0, 0, infer_random,
     "dtype:int high:float low:float seed:float shape:ints!"},
    {"", "RandomUniformLike", 1, 1, 1, 1, 0, 0, infer_random_like,
     "dtype:int high:float low:float seed:float"},
    {"", "Bernoulli", 1, 1, 1, 1, 0, 0, infer_bernoulli, "dtype:int seed:float"},
    {"", "Multinomial", 1, 1, 1, 1, 0, 0, infer_multinomial,
     "dtype:int sample_size:int seed:float"},
    {"mlscale", "TrainingDropout", 1, 3, 1, 2, 0, 0, infer_dropout, "seed:int"},
    {.type = NULL},
};
