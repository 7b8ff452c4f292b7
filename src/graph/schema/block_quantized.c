/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of com.microsoft on weights of few bits, in blocks that share a scale. */
#include "graph/schema/families.h"

#include "op/block_gather.h"
#include "op/block_product.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

#define BIT    MLS__DTYPE_BIT
#define FLOATS (BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16) | BIT(MLS_FLOAT32))

static mls_status infer_product(const mls_op *op, mls_arg *ret_outputs)
{
    mls__block_product p;
    const mls_arg *a = &op->inputs[MLS__BLOCK_PRODUCT_A];
    const mls_arg *zeros = mls__op_input(op, MLS__BLOCK_PRODUCT_ZEROS);
    int64_t dims[MLS_MAX_RANK];
    mls_status status =
        mls__infer_dtype(op, MLS__BLOCK_PRODUCT_A, FLOATS, "a float of 16 or 32 bits");
    if (!status)
        status = mls__infer_dtype(op, MLS__BLOCK_PRODUCT_B, BIT(MLS_UINT8), "uint8");
    if (!status)
        status = mls__infer_same_dtype(op, MLS__BLOCK_PRODUCT_SCALES, MLS__BLOCK_PRODUCT_A);
    if (!status && zeros && zeros->dtype != MLS_UINT8)
        status = mls__infer_same_dtype(op, MLS__BLOCK_PRODUCT_ZEROS, MLS__BLOCK_PRODUCT_A);
    if (!status)
        status = mls__infer_same_dtype(op, MLS__BLOCK_PRODUCT_BIAS, MLS__BLOCK_PRODUCT_A);
    if (!status)
        status = mls__op_block_product(op, &p);
    if (status)
        return status;
    if (a->rank < 1 || a->dims[a->rank - 1] != p.k)
        return mls__op_error(op, MLS_ESHAPE, "rows of input 0 do not have K, %" PRId64 ", elements",
                             p.k);
    memcpy(dims, a->dims, sizeof dims);
    dims[a->rank - 1] = p.n;
    return mls__infer_set(op, &ret_outputs[0], a->dtype, a->rank, dims);
}

static mls_status infer_gather(const mls_op *op, mls_arg *ret_outputs)
{
    mls__block_gather g;
    int64_t dims[2 * MLS_MAX_RANK];
    mls_status status = mls__infer_dtype(op, 0, BIT(MLS_UINT8) | BIT(MLS_UINT4) | BIT(MLS_INT4),
                                         "uint8, uint4 or int4");
    if (!status)
        status = mls__infer_dtype(op, 1, BIT(MLS_INT32) | BIT(MLS_INT64), "int32 or int64");
    if (!status)
        status = mls__infer_dtype(op, 2, FLOATS, "a float of 16 or 32 bits");
    if (!status)
        status = mls__infer_same_dtype(op, 3, 0);
    if (!status)
        status = mls__op_block_gather(op, &g);
    if (status)
        return status;
    const mls_arg *indices = &op->inputs[1];
    int rank = 0;
    for (int i = 0; i < g.gather_axis; i++)
        dims[rank++] = g.dims[i];
    for (int i = 0; i < indices->rank; i++)
        dims[rank++] = indices->dims[i];
    for (int i = g.gather_axis + 1; i < g.rank; i++)
        dims[rank++] = g.dims[i];
    return mls__infer_set(op, &ret_outputs[0], op->inputs[2].dtype, rank, dims);
}

mls__op_schema_table mls__schemas_block_quantized = {
    {"com.microsoft", "GatherBlockQuantized", 3, 4, 1, 1, 0, 0, infer_gather,
     "bits:int block_size:int gather_axis:int quantize_axis:int"},
    {"com.microsoft", "MatMulNBits", 3, 6, 1, 1, 0, 0, infer_product,
     "K:int! N:int! accuracy_level:int bits:int block_size:int! weight_prepacked:int"},
    {.type = NULL},
};
