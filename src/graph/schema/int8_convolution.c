/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions of 8-bit integers: ConvInteger, QLinearConv. */
#include "graph/schema/families.h"

#include "op/int8_convolution.h"
#include "tensor/shape.h"

#define BYTES (MLS__DTYPE_BIT(MLS_INT8) | MLS__DTYPE_BIT(MLS_UINT8))

static mls_status check_dtype(const mls_op *op, int input, uint32_t set, const char *words)
{
    return mls__op_conv_role(op, input) ? mls__infer_dtype(op, (size_t) input, set, words) : MLS_OK;
}

static mls_status check_same(const mls_op *op, int input, int as)
{
    return input < 0 ? MLS_OK : mls__infer_same_dtype(op, (size_t) input, (size_t) as);
}

static mls_status check_dtypes(const mls_op *op, const mls__int8_conv_roles *roles)
{
    const struct {
        int input;
        uint32_t set;
        const char *words;
    } rows[] = {
        {roles->x, BYTES, "int8 or uint8"},
        {roles->w, BYTES, "int8 or uint8"},
        {roles->y_zero, BYTES, "int8 or uint8"},
        {roles->x_scale, MLS__DTYPE_BIT(MLS_FLOAT32), "float32"},
        {roles->w_scale, MLS__DTYPE_BIT(MLS_FLOAT32), "float32"},
        {roles->y_scale, MLS__DTYPE_BIT(MLS_FLOAT32), "float32"},
        {roles->bias, MLS__DTYPE_BIT(MLS_INT32), "int32"},
    };
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < sizeof rows / sizeof rows[0]; i++)
        status = check_dtype(op, rows[i].input, rows[i].set, rows[i].words);
    if (!status)
        status = check_same(op, roles->x_zero, roles->x);
    return status ? status : check_same(op, roles->w_zero, roles->w);
}

/* One element, or with `filters` not 0 also a vector of one for each of them. */
static mls_status check_count(const mls_op *op, int input, int64_t filters)
{
    char text[MLS__SHAPE_TEXT];
    const mls_arg *arg = mls__op_conv_role(op, input);
    if (!arg || mls__arg_count(arg) == 1)
        return MLS_OK;
    if (filters && arg->rank == 1 && arg->dims[0] == filters)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %d has shape %s, expected one element%s", input,
                         mls__shape_text(arg->rank, arg->dims, text),
                         filters ? " or one for each filter" : "");
}

static mls_status check_params(const mls_op *op, const mls__int8_conv_roles *roles, int64_t filters)
{
    const int singles[] = {roles->x_zero, roles->x_scale, roles->y_scale, roles->y_zero};
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < sizeof singles / sizeof singles[0]; i++)
        status = check_count(op, singles[i], 0);
    if (!status)
        status = check_count(op, roles->w_scale, filters);
    if (!status)
        status = check_count(op, roles->w_zero, filters);
    const mls_arg *bias = mls__op_conv_role(op, roles->bias);
    if (!status && bias && (bias->rank != 1 || bias->dims[0] != filters))
        status = mls__op_error(op, MLS_ESHAPE, "input %d must have one element for each filter",
                               roles->bias);
    return status;
}

static mls_status infer(const mls_op *op, mls_arg *ret_outputs)
{
    const mls__int8_conv_roles *roles = mls__op_int8_conv_roles(op);
    const mls_arg *y_zero = mls__op_conv_role(op, roles->y_zero);
    mls__convolution c;
    int64_t dims[MLS_MAX_RANK];
    mls_status status = check_dtypes(op, roles);
    if (!status)
        status = mls__op_int8_convolution(op, &c);
    if (!status)
        status = check_params(op, roles, c.filters * c.groups);
    if (status)
        return status;
    const int rank = mls__op_int8_convolution_dims(op, &c, dims);
    const int32_t quantized = y_zero ? y_zero->dtype : op->inputs[roles->x].dtype;
    return mls__infer_set(op, &ret_outputs[0], roles->y_scale < 0 ? MLS_INT32 : quantized, rank,
                          dims);
}

#define CONV "auto_pad:string dilations:ints group:int kernel_shape:ints pads:ints strides:ints"

mls__op_schema_table mls__schemas_int8_convolution = {
    {"", "ConvInteger", 2, 4, 1, 1, 0, 0, infer, CONV},
    {"", "QLinearConv", 8, 9, 1, 1, 0, 0, infer, CONV},
    {"com.microsoft", "QLinearConv", 8, 9, 1, 1, 0, 0, infer, "channels_last:int " CONV},
    {.type = NULL},
};
