/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of com.microsoft on weights of few bits, in blocks that share a scale. */
#include "graph/schema/families.h"

#include "op/block_product.h"

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

mls__op_schema_table mls__schemas_block_quantized = {
    {"com.microsoft", "MatMulNBits", 3, 6, 1, 1, 0, 0, infer_product},
    {.type = NULL},
};
