/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of the matrices that the last two dimensions are. */
#include "graph/schema/families.h"

#include <inttypes.h>

#define BIT    MLS__DTYPE_BIT
#define FLOATS (BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16) | BIT(MLS_FLOAT32) | BIT(MLS_FLOAT64))
#define INTEGERS                                                                                   \
    (BIT(MLS_INT8) | BIT(MLS_INT16) | BIT(MLS_INT32) | BIT(MLS_INT64) | BIT(MLS_UINT8) |           \
     BIT(MLS_UINT16) | BIT(MLS_UINT32) | BIT(MLS_UINT64))

static mls_status check_matrices(const mls_op *op)
{
    if (op->inputs[0].rank >= 2)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input 0 has rank %d; a matrix needs 2 or more",
                         op->inputs[0].rank);
}

static mls_status infer_trilu(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *offset = mls__op_input(op, 1);
    mls_status status = check_matrices(op);
    if (!status && offset)
        status = mls__infer_dtype(op, 1, BIT(MLS_INT64), "int64");
    if (!status && offset && mls__arg_count(offset) != 1)
        status = mls__op_error(op, MLS_ESHAPE, "input 1, the diagonal, is not one element");
    return status ? status : mls__infer_same(op, ret_outputs);
}

static mls_status infer_det(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    mls_status status = mls__infer_dtype(op, 0, FLOATS, "a float of 16 bits or more");
    if (!status)
        status = check_matrices(op);
    if (status)
        return status;
    const int64_t rows = x->dims[x->rank - 2], columns = x->dims[x->rank - 1];
    if (rows != columns)
        return mls__op_error(op, MLS_ESHAPE,
                             "matrices of %" PRId64 " rows and %" PRId64 " columns; only square "
                             "ones have a determinant",
                             rows, columns);
    return mls__infer_set(op, &ret_outputs[0], x->dtype, x->rank - 2, x->dims);
}

static mls_status infer_eye_like(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    const int64_t dtype = mls__op_int(op, "dtype", x->dtype);
    if (x->rank != 2)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has rank %d, expected 2", x->rank);
    if (dtype < 0 || dtype >= 32 || !((FLOATS | INTEGERS | BIT(MLS_BOOL)) & BIT((uint32_t) dtype)))
        return mls__op_error(op, MLS_EDTYPE,
                             "a matrix of data type %" PRId64 "; expected a float of 16 bits or "
                             "more, an integer or bool",
                             dtype);
    return mls__infer_set(op, &ret_outputs[0], (int32_t) dtype, 2, x->dims);
}

mls__op_schema_table mls__schemas_matrix = {
    {"", "Trilu", 1, 2, 1, 1, 0, 0, infer_trilu, "upper:int"},
    {"", "Det", 1, 1, 1, 1, 0, 0, infer_det, NULL},
    {"", "EyeLike", 1, 1, 1, 1, MLS__OP_FROM_DIMS, 0, infer_eye_like, "dtype:int k:int"},
    {.type = NULL},
};
