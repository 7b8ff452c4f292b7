/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products: Gemm, MatMul, and FusedGemm, which is a Gemm with an activation. */
#include "graph/schema/families.h"
#include "graph/schema/product.h"

#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

#define HALVES  (MLS__DTYPE_BIT(MLS_FLOAT16) | MLS__DTYPE_BIT(MLS_BFLOAT16))
#define SINGLES (HALVES | MLS__DTYPE_BIT(MLS_FLOAT32))
#define NUMBERS                                                                                    \
    (SINGLES | MLS__DTYPE_BIT(MLS_FLOAT64) | MLS__DTYPE_BIT(MLS_INT32) |                           \
     MLS__DTYPE_BIT(MLS_INT64) | MLS__DTYPE_BIT(MLS_UINT32) | MLS__DTYPE_BIT(MLS_UINT64))

static mls_status check_dtypes(const mls_op *op, uint32_t set, const char *words)
{
    mls_status status = mls__infer_dtype(op, 0, set, words);
    for (size_t i = 1; !status && i < op->input_count; i++)
        status = mls__infer_same_dtype(op, i, 0);
    return status;
}

static mls_status check_numbers(const mls_op *op)
{
    return check_dtypes(op, NUMBERS, "a float of 16 bits or more, or an integer of 32 or 64 bits");
}

/* The length that both have along the sum. */
static mls_status check_depth(const mls_op *op, size_t index_a, int64_t depth_a, size_t index_b,
                              int64_t depth_b)
{
    char text_a[MLS__SHAPE_TEXT], text_b[MLS__SHAPE_TEXT];
    const mls_arg *a = &op->inputs[index_a], *b = &op->inputs[index_b];
    if (depth_a == depth_b)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE,
                         "sums over %" PRId64 " elements of input %zu, which is %s, and %" PRId64
                         " of input %zu, which is %s; they must be equal",
                         depth_a, index_a, mls__shape_text(a->rank, a->dims, text_a), depth_b,
                         index_b, mls__shape_text(b->rank, b->dims, text_b));
}

/* --- Gemm ------------------------------------------------------------------------------------ */

/* Whether C is one element, a row, a column, or as large as the output. */
static bool is_broadcast(const mls_arg *c, int rank, const int64_t *dims)
{
    if (c->rank > rank)
        return false;
    const int64_t last = c->rank ? c->dims[c->rank - 1] : 1;
    if (last != 1 && last != dims[rank - 1])
        return false;
    if (mls__arg_span(c, 0, c->rank - 1) == 1)
        return true;
    return mls__shape_equal(c->rank - 1, c->dims, rank - 1, dims);
}

static mls_status check_c(const mls_op *op, int rank, const int64_t *dims)
{
    char a[MLS__SHAPE_TEXT], b[MLS__SHAPE_TEXT];
    const mls_arg *c = mls__op_input(op, 2);
    if (!c || is_broadcast(c, rank, dims))
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE,
                         "input 2 of shape %s is not one element, a row, a column or all of the "
                         "output, which is %s",
                         mls__shape_text(c->rank, c->dims, a), mls__shape_text(rank, dims, b));
}

static mls_status set_gemm(const mls_op *op, mls_arg *ret_output)
{
    const mls_arg *a = &op->inputs[0], *b = &op->inputs[1];
    const bool is_a_turned = mls__op_int(op, "transA", 0) != 0;
    const bool is_b_turned = mls__op_int(op, "transB", 0) != 0;
    const int last = a->rank - 1;
    int64_t dims[MLS_MAX_RANK];
    memcpy(dims, a->dims, sizeof dims);
    if (is_a_turned)
        dims[0] = a->dims[1];
    dims[last] = b->dims[is_b_turned ? 0 : 1];
    mls_status status =
        check_depth(op, 0, a->dims[is_a_turned ? 0 : last], 1, b->dims[is_b_turned ? 1 : 0]);
    if (!status)
        status = check_c(op, a->rank, dims);
    return status ? status : mls__infer_set(op, ret_output, a->dtype, a->rank, dims);
}

static mls_status check_rank(const mls_op *op, size_t index, int rank)
{
    if (op->inputs[index].rank == rank)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %zu has %d dimensions, expected %d", index,
                         op->inputs[index].rank, rank);
}

static mls_status infer_gemm(const mls_op *op, mls_arg *ret_outputs)
{
    mls_status status = check_numbers(op);
    if (!status)
        status = check_rank(op, 0, 2);
    if (!status)
        status = check_rank(op, 1, 2);
    return status ? status : set_gemm(op, &ret_outputs[0]);
}

/* A may have more dimensions: all but the last are rows. */
static mls_status infer_fused_gemm(const mls_op *op, mls_arg *ret_outputs)
{
    const bool is_a_turned = mls__op_int(op, "transA", 0) != 0;
    mls_status status = check_dtypes(op, SINGLES, "a float of 16 or 32 bits");
    if (!status && (is_a_turned || op->inputs[0].rank < 1))
        status = check_rank(op, 0, 2);
    if (!status)
        status = check_rank(op, 1, 2);
    return status ? status : set_gemm(op, &ret_outputs[0]);
}

/* --- MatMul ---------------------------------------------------------------------------------- */

/* Of inputs whose dims are those of a and b. */
static mls_status set_matmul(const mls_op *op, size_t index_a, const mls_arg *a, size_t index_b,
                             const mls_arg *b, int32_t dtype, mls_arg *ret_output)
{
    char text_a[MLS__SHAPE_TEXT], text_b[MLS__SHAPE_TEXT];
    if (a->rank < 1 || b->rank < 1)
        return mls__op_error(op, MLS_ESHAPE, "input %zu is a scalar; a product needs dimensions",
                             a->rank < 1 ? index_a : index_b);
    const int batch_a = a->rank > 2 ? a->rank - 2 : 0, batch_b = b->rank > 2 ? b->rank - 2 : 0;
    mls_status status = check_depth(op, index_a, a->dims[a->rank - 1], index_b,
                                    b->dims[b->rank > 1 ? b->rank - 2 : 0]);
    if (status)
        return status;
    int64_t dims[MLS_MAX_RANK + 2];
    int rank;
    if (!mls__shape_broadcast(batch_a, a->dims, batch_b, b->dims, &rank, dims))
        return mls__op_error(op, MLS_ESHAPE, "the matrices of %s and %s do not broadcast",
                             mls__shape_text(a->rank, a->dims, text_a),
                             mls__shape_text(b->rank, b->dims, text_b));
    if (a->rank > 1)
        dims[rank++] = a->dims[a->rank - 2];
    if (b->rank > 1)
        dims[rank++] = b->dims[b->rank - 1];
    return mls__infer_set(op, ret_output, dtype, rank, dims);
}

mls_status mls__infer_matmul(const mls_op *op, size_t index_a, size_t index_b, int32_t dtype,
                             mls_arg *ret_output)
{
    return set_matmul(op, index_a, &op->inputs[index_a], index_b, &op->inputs[index_b], dtype,
                      ret_output);
}

static mls_status infer_matmul(const mls_op *op, mls_arg *ret_outputs)
{
    mls_status status = check_numbers(op);
    return status ? status : mls__infer_matmul(op, 0, 1, op->inputs[0].dtype, &ret_outputs[0]);
}

/* --- FusedMatMul ----------------------------------------------------------------------------- */

/* The first dimension behind the batch, where `batch` says so; then the last two turned. */
static mls_arg moved_arg(const mls_op *op, const mls_arg *arg, const char *batch, const char *trans)
{
    mls_arg moved = *arg;
    const int last = arg->rank - 1;
    if (arg->rank > 2 && mls__op_int(op, batch, 0)) {
        memmove(moved.dims, arg->dims + 1, (size_t) (last - 1) * sizeof arg->dims[0]);
        moved.dims[last - 1] = arg->dims[0];
    }
    if (arg->rank > 1 && mls__op_int(op, trans, 0)) {
        const int64_t rows = moved.dims[last - 1];
        moved.dims[last - 1] = moved.dims[last];
        moved.dims[last] = rows;
    }
    return moved;
}

static mls_status infer_fused_matmul(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_status status =
        check_dtypes(op, SINGLES | MLS__DTYPE_BIT(MLS_FLOAT64), "a float of 16, 32 or 64 bits");
    if (status)
        return status;
    const mls_arg a = moved_arg(op, &op->inputs[0], "transBatchA", "transA");
    const mls_arg b = moved_arg(op, &op->inputs[1], "transBatchB", "transB");
    return set_matmul(op, 0, &a, 1, &b, a.dtype, &ret_outputs[0]);
}

/* Activations are there for float32, and for what is computed in it. */
static mls_status infer_matmul_activation(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_status status = check_dtypes(op, SINGLES, "a float of 16 or 32 bits");
    return status ? status : infer_fused_matmul(op, ret_outputs);
}

#define GEMM       "alpha:float beta:float transA:int transB:int"
#define MATMUL     "alpha:float transA:int transB:int transBatchA:int transBatchB:int"
#define ACTIVATION "activation:string activation_alpha:float activation_beta:float"

mls__op_schema_table mls__schemas_product = {
    {"", "Gemm", 2, 3, 1, 1, 0, 0, infer_gemm, GEMM},
    {"", "MatMul", 2, 2, 1, 1, 0, 0, infer_matmul, NULL},
    {"mlscale", "FusedGemm", 2, 3, 1, 1, 0, 0, infer_fused_gemm, GEMM " " ACTIVATION},
    {"com.microsoft", "FusedMatMul", 2, 2, 1, 1, 0, 0, infer_fused_matmul, MATMUL},
    {"com.microsoft", "FusedMatMulActivation", 2, 2, 1, 1, 0, 0, infer_matmul_activation,
     MATMUL " activation:string! activation_alpha:float activation_beta:float"},
    {"com.microsoft", "TransposeMatMul", 2, 2, 1, 1, 0, 0, infer_fused_matmul,
     "alpha:float transA:int transB:int"},
    {.type = NULL},
};
