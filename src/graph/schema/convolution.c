/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions: Conv, ConvTranspose, and FusedConv, which is a Conv with a residual and an
 * activation. */
#include "graph/schema/families.h"

#include "op/convolution.h"

#define SINGLES                                                                                    \
    (MLS__DTYPE_BIT(MLS_FLOAT16) | MLS__DTYPE_BIT(MLS_BFLOAT16) | MLS__DTYPE_BIT(MLS_FLOAT32))
#define FLOATS (SINGLES | MLS__DTYPE_BIT(MLS_FLOAT64))

static mls_status infer(const mls_op *op, uint32_t set, const char *words, mls_arg *ret_outputs)
{
    mls__convolution c;
    int64_t dims[MLS_MAX_RANK];
    mls_status status = mls__infer_dtype(op, 0, set, words);
    for (size_t i = 1; !status && i < op->input_count; i++)
        status = mls__infer_same_dtype(op, i, 0);
    if (!status)
        status = mls__op_convolution(op, &c);
    if (status)
        return status;
    const int rank = mls__convolution_dims(&c, dims);
    return mls__infer_set(op, &ret_outputs[0], op->inputs[0].dtype, rank, dims);
}

static mls_status infer_conv(const mls_op *op, mls_arg *ret_outputs)
{
    return infer(op, FLOATS, "a float of 16 bits or more", ret_outputs);
}

static mls_status infer_fused(const mls_op *op, mls_arg *ret_outputs)
{
    return infer(op, SINGLES, "a float of 16 or 32 bits", ret_outputs);
}

mls__op_schema_table mls__schemas_convolution = {
    {"", "Conv", 2, 3, 1, 1, 0, 0, infer_conv},
    {"", "ConvTranspose", 2, 3, 1, 1, 0, 0, infer_conv},
    {"com.microsoft", "FusedConv", 2, 4, 1, 1, 0, 0, infer_fused},
    {"mlscale", "FusedConv", 2, 4, 1, 1, 0, 0, infer_fused},
    {"mlscale", "FusedConvTranspose", 2, 4, 1, 1, 0, 0, infer_fused},
    {.type = NULL},
};
