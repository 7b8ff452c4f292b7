/* SPDX-License-Identifier: Apache-2.0 */
/* Einsum: sums of products along axes that an equation names. */
#include "graph/schema/families.h"

#include "op/einsum.h"

#define NUMBERS                                                                                    \
    (MLS__DTYPE_BIT(MLS_FLOAT32) | MLS__DTYPE_BIT(MLS_FLOAT64) | MLS__DTYPE_BIT(MLS_FLOAT16) |     \
     MLS__DTYPE_BIT(MLS_BFLOAT16) | MLS__DTYPE_BIT(MLS_INT8) | MLS__DTYPE_BIT(MLS_INT16) |         \
     MLS__DTYPE_BIT(MLS_INT32) | MLS__DTYPE_BIT(MLS_INT64) | MLS__DTYPE_BIT(MLS_UINT8) |           \
     MLS__DTYPE_BIT(MLS_UINT16) | MLS__DTYPE_BIT(MLS_UINT32) | MLS__DTYPE_BIT(MLS_UINT64))

static mls_status infer_einsum(const mls_op *op, mls_arg *ret_outputs)
{
    mls__einsum e;
    int64_t dims[MLS_MAX_RANK];
    mls_status status = mls__infer_dtype(op, 0, NUMBERS, "a number");
    for (size_t i = 1; !status && i < op->input_count; i++)
        status = mls__infer_same_dtype(op, i, 0);
    if (!status)
        status = mls__op_einsum(op, &e);
    if (status)
        return status;
    for (int i = 0; i < e.output.rank; i++)
        dims[i] = e.sizes[e.output.labels[i]];
    return mls__infer_set(op, &ret_outputs[0], op->inputs[0].dtype, e.output.rank, dims);
}

mls__op_schema_table mls__schemas_einsum = {
    {"", "Einsum", 1, MLS__EINSUM_OPERANDS, 1, 1, 0, 0, infer_einsum, "equation:string!"},
    {.type = NULL},
};
