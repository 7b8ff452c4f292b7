/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices of 8-bit integers: MatMulInteger, QLinearMatMul, and their kin. */
#include "graph/schema/families.h"
#include "graph/schema/product.h"

#include "op/int8_product.h"
#include "tensor/shape.h"

#define BIT     MLS__DTYPE_BIT
#define BYTES   (BIT(MLS_INT8) | BIT(MLS_UINT8))
#define SINGLES (BIT(MLS_FLOAT32) | BIT(MLS_FLOAT16) | BIT(MLS_BFLOAT16))

static mls_status check_dtype(const mls_op *op, int input, uint32_t set, const char *words)
{
    return mls__op_role(op, input) ? mls__infer_dtype(op, (size_t) input, set, words) : MLS_OK;
}

static mls_status check_same(const mls_op *op, int input, int as)
{
    return mls__op_role(op, input) ? mls__infer_same_dtype(op, (size_t) input, (size_t) as)
                                   : MLS_OK;
}

/* float32 alone but for QLinearMatMul, whose scales may have 16 bits. */
static mls_status check_scales(const mls_op *op, const mls__int8_roles *roles, uint32_t set,
                               const char *words)
{
    mls_status status = check_dtype(op, roles->b_scale, set, words);
    if (!status)
        status = check_dtype(op, roles->a_scale, set, words);
    if (!status && roles->a_scale != MLS__INT8_NONE)
        status = check_same(op, roles->a_scale, roles->b_scale);
    if (!status && roles->y_scale != MLS__INT8_NONE)
        status = check_same(op, roles->y_scale, roles->b_scale);
    return status;
}

static mls_status check_dtypes(const mls_op *op, const mls__int8_roles *roles)
{
    static const char bytes[] = "int8 or uint8";
    const bool is_a_float = roles->a_scale == MLS__INT8_NONE && roles->b_scale != MLS__INT8_NONE;
    mls_status status = is_a_float ? check_dtype(op, roles->a, BIT(MLS_FLOAT32), "float32")
                                   : check_dtype(op, roles->a, BYTES, bytes);
    if (!status)
        status = check_dtype(op, roles->b, BYTES, bytes);
    if (!status)
        status = check_same(op, roles->a_zero, roles->a);
    if (!status)
        status = check_same(op, roles->b_zero, roles->b);
    if (!status)
        status = check_dtype(op, roles->y_zero, BYTES, bytes);
    if (!status)
        status = check_dtype(op, roles->bias, BIT(MLS_INT32), "int32");
    if (!status)
        status = check_dtype(op, roles->addend, BIT(MLS_FLOAT32), "float32");
    if (status)
        return status;
    if (op->domain[0] == '\0')
        return check_scales(op, roles, SINGLES, "a float of 16 or 32 bits");
    return check_scales(op, roles, BIT(MLS_FLOAT32), "float32");
}

static mls_status param_error(const mls_op *op, int input, const char *expected)
{
    char text[MLS__SHAPE_TEXT];
    const mls_arg *arg = &op->inputs[input];
    return mls__op_error(op, MLS_ESHAPE, "input %d has shape %s, expected %s", input,
                         mls__shape_text(arg->rank, arg->dims, text), expected);
}

/*
 * A scale or zero point is one element, a vector of one for each index of the operand's dimension
 * `kept`, or has the operand's dimensions but for 1 where the sum goes.
 */
static mls_status check_param(const mls_op *op, int input, const mls_arg *of, int kept, int summed)
{
    const mls_arg *param = mls__op_role(op, input);
    if (!param || mls__arg_count(param) == 1)
        return MLS_OK;
    if (param->rank == 1 && kept >= 0 && param->dims[0] == of->dims[kept])
        return MLS_OK;
    bool fits = param->rank == of->rank;
    for (int i = 0; fits && i < of->rank; i++)
        fits = param->dims[i] == (i == summed ? 1 : of->dims[i]);
    return fits ? MLS_OK : param_error(op, input, "one element, or one for each row or column");
}

static mls_status check_one(const mls_op *op, int input)
{
    const mls_arg *param = mls__op_role(op, input);
    return !param || mls__arg_count(param) == 1 ? MLS_OK : param_error(op, input, "one element");
}

static mls_status check_params(const mls_op *op, const mls__int8_roles *roles, bool is_a_turned,
                               bool is_b_turned)
{
    const mls_arg *a = &op->inputs[roles->a], *b = &op->inputs[roles->b];
    const int a_sum = is_a_turned ? 0 : a->rank - 1, a_kept = is_a_turned ? 1 : a->rank - 2;
    const int b_kept = is_b_turned ? 0 : b->rank > 1 ? b->rank - 1 : -1;
    const int b_sum = is_b_turned ? 1 : b->rank > 1 ? b->rank - 2 : 0;
    mls_status status = check_param(op, roles->a_scale, a, a_kept, a_sum);
    if (!status)
        status = check_param(op, roles->a_zero, a, a_kept, a_sum);
    if (!status)
        status = check_param(op, roles->b_scale, b, b_kept, b_sum);
    if (!status)
        status = check_param(op, roles->b_zero, b, b_kept, b_sum);
    if (!status)
        status = check_one(op, roles->y_scale);
    return status ? status : check_one(op, roles->y_zero);
}

/* A vector of the output's columns; of QGemm also a column, a scalar or all. */
static mls_status check_added(const mls_op *op, int input, const mls_arg *y, bool is_gemm)
{
    const mls_arg *c = mls__op_role(op, input);
    const int64_t n = y->rank ? y->dims[y->rank - 1] : 1;
    if (!c || (c->rank == 1 && c->dims[0] == n))
        return MLS_OK;
    if (!is_gemm)
        return param_error(op, input, "a vector of one element for each column");
    const int64_t rows = c->rank == 2 ? c->dims[0] : 1;
    const int64_t columns = c->rank ? c->dims[c->rank - 1] : 1;
    const bool fits =
        c->rank <= 2 && (rows == 1 || rows == y->dims[0]) && (columns == 1 || columns == n);
    return fits ? MLS_OK : param_error(op, input, "what broadcasts to the output");
}

static int32_t output_dtype(const mls_op *op, const mls__int8_roles *roles)
{
    const mls_arg *y_zero = mls__op_role(op, roles->y_zero);
    if (roles->b_scale == MLS__INT8_NONE)
        return MLS_INT32;
    if (!mls__op_role(op, roles->y_scale))
        return MLS_FLOAT32;
    return y_zero ? y_zero->dtype : op->inputs[roles->a].dtype;
}

static mls_status infer_matmul(const mls_op *op, mls_arg *ret_outputs)
{
    const mls__int8_roles *roles = mls__op_int8_roles(op);
    mls_arg y;
    mls_status status = check_dtypes(op, roles);
    if (!status)
        status = mls__infer_matmul(op, (size_t) roles->a, (size_t) roles->b,
                                   output_dtype(op, roles), &y);
    if (!status)
        status = check_params(op, roles, false, false);
    if (!status)
        status = check_added(op, roles->addend, &y, false);
    if (!status)
        ret_outputs[0] = y;
    return status;
}

static mls_status infer_gemm(const mls_op *op, mls_arg *ret_outputs)
{
    const mls__int8_roles *roles = mls__op_int8_roles(op);
    const mls_arg *a = &op->inputs[roles->a], *b = &op->inputs[roles->b];
    const bool is_a_turned = mls__op_int(op, "transA", 0) != 0;
    const bool is_b_turned = mls__op_int(op, "transB", 0) != 0;
    mls_arg y;
    mls_status status = check_dtypes(op, roles);
    if (status)
        return status;
    if (a->rank != 2 || b->rank != 2)
        return mls__op_error(op, MLS_ESHAPE, "its matrices have %d and %d dimensions, expected 2",
                             a->rank, b->rank);
    if (a->dims[!is_a_turned] != b->dims[is_b_turned])
        return param_error(op, roles->b, "as many elements along the sum as input 0 has");
    const int64_t dims[] = {a->dims[is_a_turned], b->dims[!is_b_turned]};
    status = mls__infer_set(op, &y, output_dtype(op, roles), 2, dims);
    if (!status)
        status = check_params(op, roles, is_a_turned, is_b_turned);
    if (!status)
        status = check_added(op, roles->bias, &y, true);
    if (!status)
        ret_outputs[0] = y;
    return status;
}

mls__op_schema_table mls__schemas_int8_product = {
    {"", "MatMulInteger", 2, 4, 1, 1, 0, 0, infer_matmul, NULL},
    {"", "QLinearMatMul", 8, 8, 1, 1, 0, 0, infer_matmul, NULL},
    {"com.microsoft", "MatMulIntegerToFloat", 4, 7, 1, 1, 0, 0, infer_matmul, NULL},
    {"com.microsoft", "DynamicQuantizeMatMul", 3, 5, 1, 1, 0, 0, infer_matmul, NULL},
    {"com.microsoft", "QGemm", 6, 9, 1, 1, 0, 0, infer_gemm, "alpha:float transA:int transB:int"},
    {.type = NULL},
};
