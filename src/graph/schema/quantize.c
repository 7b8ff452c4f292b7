/* SPDX-License-Identifier: Apache-2.0 */
/* To and from quantized elements: QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear. */
#include "graph/schema/families.h"

#include "op/quantize.h"

#include <inttypes.h>

#define BIT     MLS__DTYPE_BIT
#define SINGLES (BIT(MLS_FLOAT32) | BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16))
#define QUANTIZED                                                                                  \
    (BIT(MLS_INT8) | BIT(MLS_UINT8) | BIT(MLS_INT16) | BIT(MLS_UINT16) | BIT(MLS_INT4) |           \
     BIT(MLS_UINT4) | BIT(MLS_INT2) | BIT(MLS_UINT2) | BIT(MLS_FLOAT8E4M3FN) |                     \
     BIT(MLS_FLOAT8E4M3FNUZ) | BIT(MLS_FLOAT8E5M2) | BIT(MLS_FLOAT8E5M2FNUZ) |                     \
     BIT(MLS_FLOAT4E2M1))
#define QUANTIZED_WORDS "an integer of 16 bits or fewer, or a float of 8 or fewer"

static mls_status check_attr_dtype(const mls_op *op, const char *name, uint32_t set,
                                   const char *words, int32_t *ret_dtype)
{
    const int64_t dtype = mls__op_int(op, name, 0);
    if (dtype != 0 && (dtype < 0 || dtype > 31 || !(set & BIT(dtype))))
        return mls__op_error(op, MLS_EDTYPE, "%s is data type %" PRId64 ", expected %s", name,
                             dtype, words);
    *ret_dtype = (int32_t) dtype;
    return MLS_OK;
}

/* Of the zero points, else as output_dtype says, else uint8. */
static mls_status quantized_dtype(const mls_op *op, int32_t *ret_dtype)
{
    const mls_arg *zero = mls__op_input(op, 2);
    int32_t dtype;
    mls_status status = check_attr_dtype(op, "output_dtype", QUANTIZED, QUANTIZED_WORDS, &dtype);
    if (!status && zero)
        status = mls__infer_dtype(op, 2, QUANTIZED, QUANTIZED_WORDS);
    if (status)
        return status;
    if (zero && dtype && dtype != zero->dtype)
        return mls__op_error(op, MLS_EDTYPE, "output_dtype is %s and the zero points are %s",
                             mls_dtype_name((mls_dtype) dtype),
                             mls_dtype_name((mls_dtype) zero->dtype));
    *ret_dtype = zero ? zero->dtype : dtype ? dtype : MLS_UINT8;
    return MLS_OK;
}

static mls_status infer_quantize(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    mls__quant_grid grid;
    int32_t dtype, precision;
    mls_status status =
        mls__infer_dtype(op, 0, SINGLES | BIT(MLS_INT32), "a float of 16 or 32 bits or int32");
    if (!status)
        status = mls__infer_dtype(op, 1, SINGLES | BIT(MLS_INT32) | BIT(MLS_FLOAT8E8M0),
                                  "a float of 16 or 32 bits, int32 or float8e8m0");
    if (!status)
        status = check_attr_dtype(op, "precision", SINGLES | BIT(MLS_FLOAT64),
                                  "a float of 16 bits or more", &precision);
    if (!status)
        status = quantized_dtype(op, &dtype);
    if (!status)
        status = mls__op_quant_grid(op, &grid);
    return status ? status : mls__infer_set(op, &ret_outputs[0], dtype, x->rank, x->dims);
}

static mls_status infer_dequantize(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    const int32_t scale = op->inputs[1].dtype;
    mls__quant_grid grid;
    int32_t dtype;
    mls_status status =
        mls__infer_dtype(op, 0, QUANTIZED | BIT(MLS_INT32), QUANTIZED_WORDS ", or int32");
    if (!status)
        status = mls__infer_dtype(op, 1, SINGLES | BIT(MLS_FLOAT8E8M0),
                                  "a float of 16 or 32 bits or float8e8m0");
    if (!status)
        status = mls__infer_same_dtype(op, 2, 0);
    if (!status)
        status = check_attr_dtype(op, "output_dtype", SINGLES, "a float of 16 or 32 bits", &dtype);
    if (!status && !dtype && scale == MLS_FLOAT8E8M0)
        status = mls__op_error(op, MLS_EDTYPE, "scales of float8e8m0 need an output_dtype");
    if (!status)
        status = mls__op_quant_grid(op, &grid);
    if (status)
        return status;
    return mls__infer_set(op, &ret_outputs[0], dtype ? dtype : scale, x->rank, x->dims);
}

static mls_status infer_dynamic(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    mls_status status = mls__infer_dtype(op, 0, BIT(MLS_FLOAT32), "float32");
    if (!status)
        status = mls__infer_set(op, &ret_outputs[0], MLS_UINT8, x->rank, x->dims);
    if (!status && op->output_count > 1)
        status = mls__infer_set(op, &ret_outputs[1], MLS_FLOAT32, 0, NULL);
    if (!status && op->output_count > 2)
        status = mls__infer_set(op, &ret_outputs[2], MLS_UINT8, 0, NULL);
    return status;
}

mls__op_schema_table mls__schemas_quantize = {
    {"", "QuantizeLinear", 2, 3, 1, 1, 0, 0, infer_quantize,
     "axis:int block_size:int output_dtype:int precision:int saturate:int"},
    {"", "DequantizeLinear", 2, 3, 1, 1, 0, 0, infer_dequantize,
     "axis:int block_size:int output_dtype:int"},
    {"", "DynamicQuantizeLinear", 1, 1, 3, 3, 0, 0, infer_dynamic, NULL},
    {"com.microsoft", "QuantizeLinear", 2, 3, 1, 1, 0, 0, infer_quantize, "axis:int"},
    {"com.microsoft", "DequantizeLinear", 2, 3, 1, 1, 0, 0, infer_dequantize, "axis:int"},
    {.type = NULL},
};
