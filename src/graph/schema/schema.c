/* SPDX-License-Identifier: Apache-2.0 */
/* The list of op families, and what their inference shares. */
#include "graph/schema/schema.h"

#include "base/error.h"
#include "graph/schema/families.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

/* Each family is a file in this folder, and a line here. */
/* clang-format off */
static const mls__op_schema *const families[] = {
    mls__schemas_elementwise,
    mls__schemas_pointwise,
    mls__schemas_views,
    mls__schemas_movement,
    mls__schemas_generate,
    mls__schemas_matrix,
    mls__schemas_image,
    mls__schemas_late,
    mls__schemas_product,
    mls__schemas_convolution,
    mls__schemas_stack,
    mls__schemas_int8_product,
    mls__schemas_qlinear,
    mls__schemas_int8_convolution,
    mls__schemas_quantize,
    mls__schemas_block_quantized,
    mls__schemas_ml_features,
    mls__schemas_ml_linear,
    mls__schemas_ml_maps,
    mls__schemas_ml_trees,
    mls__schemas_reduction,
    mls__schemas_loss,
    mls__schemas_indexing,
    mls__schemas_recurrent,
    mls__schemas_norm,
    mls__schemas_einsum,
    mls__schemas_pooling,
    mls__schemas_attention,
    mls__schemas_contrib_attention,
    mls__schemas_group_attention,
    mls__schemas_linear_attention,
    mls__schemas_random,
    mls__schemas_contrib,
    mls__schemas_control,
    mls__schemas_spectral,
    mls__schemas_text,
};
/* clang-format on */

#define FAMILIES (sizeof families / sizeof families[0])

const mls__op_schema *mls__op_schema_next(size_t *cursor)
{
    size_t left = (*cursor)++;
    for (size_t f = 0; f < FAMILIES; f++)
        for (const mls__op_schema *row = families[f]; row->type; row++)
            if (left-- == 0)
                return row;
    return NULL;
}

const mls__op_schema *mls__op_schema_find(const char *domain, const char *type)
{
    for (size_t f = 0; f < FAMILIES; f++)
        for (const mls__op_schema *row = families[f]; row->type; row++)
            if (strcmp(row->type, type) == 0 && strcmp(row->domain, domain) == 0)
                return row;
    return NULL;
}

mls_status mls__infer_dtype(const mls_op *op, size_t index, uint32_t set, const char *words)
{
    const int32_t dtype = op->inputs[index].dtype;
    if (dtype >= 0 && dtype < 32 && (set & MLS__DTYPE_BIT(dtype)))
        return MLS_OK;
    return mls__op_error(op, MLS_EDTYPE, "input %zu is %s, expected %s", index,
                         mls_dtype_name((mls_dtype) dtype), words);
}

mls_status mls__infer_same_dtype(const mls_op *op, size_t index, size_t as)
{
    const mls_arg *arg = mls__op_input(op, index);
    if (!arg || arg->dtype == op->inputs[as].dtype)
        return MLS_OK;
    return mls__op_error(op, MLS_EDTYPE, "input %zu is %s and input %zu is %s; they must be equal",
                         as, mls_dtype_name((mls_dtype) op->inputs[as].dtype), index,
                         mls_dtype_name((mls_dtype) arg->dtype));
}

mls_status mls__infer_same(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *input = &op->inputs[0];
    return mls__infer_set(op, &ret_outputs[0], input->dtype, input->rank, input->dims);
}

mls_status mls__infer_set(const mls_op *op, mls_arg *ret_output, int32_t dtype, int64_t rank,
                          const int64_t *dims)
{
    char text[MLS__SHAPE_TEXT];
    size_t bytes;
    if (rank < 0 || rank > MLS_MAX_RANK)
        return mls__op_error(op, MLS_ESHAPE, "an output of rank %" PRId64 "; at most %d", rank,
                             MLS_MAX_RANK);
    if (!mls__shape_bytes(dtype, (int) rank, dims, &bytes))
        return mls__op_error(op, MLS_ESHAPE, "an output of %s %s is more than memory can hold",
                             mls_dtype_name((mls_dtype) dtype),
                             mls__shape_text((int) rank, dims, text));
    *ret_output = (mls_arg){.dtype = dtype, .rank = (int32_t) rank};
    if (rank)
        memcpy(ret_output->dims, dims, (size_t) rank * sizeof *dims);
    return MLS_OK;
}
