/* SPDX-License-Identifier: Apache-2.0 */
/* The ops that may be pieces, and the reading of programs. */
#include "op/pointwise.h"

#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <string.h>

#define PIECES_ATTR  "pieces"
#define PROGRAM_ATTR "program"

#define UNARY(type)                                                                                \
    {                                                                                              \
        type, 1, 1, 1, MLS__POINTWISE_FIRST                                                        \
    }
#define BINARY(type)                                                                               \
    {                                                                                              \
        type, 2, 2, 2, MLS__POINTWISE_FIRST                                                        \
    }
#define COMPARISON(type)                                                                           \
    {                                                                                              \
        type, 2, 2, 2, MLS__POINTWISE_BOOL                                                         \
    }

/* clang-format off */
static const mls__pointwise_op ops[] = {
    BINARY("Add"), BINARY("Sub"), BINARY("Mul"), BINARY("Div"), BINARY("Pow"), BINARY("PRelu"),
    BINARY("Min"), BINARY("Max"), BINARY("Sum"), BINARY("Mod"),
    BINARY("BitShift"), BINARY("BitwiseAnd"), BINARY("BitwiseOr"), BINARY("BitwiseXor"),
    COMPARISON("Equal"), COMPARISON("Less"), COMPARISON("LessOrEqual"),
    COMPARISON("Greater"), COMPARISON("GreaterOrEqual"),
    COMPARISON("And"), COMPARISON("Or"), COMPARISON("Xor"),
    UNARY("Neg"), UNARY("Abs"), UNARY("Sign"), UNARY("Not"), UNARY("BitwiseNot"),
    UNARY("Sqrt"), UNARY("Reciprocal"), UNARY("Exp"), UNARY("Log"), UNARY("Erf"),
    UNARY("Floor"), UNARY("Ceil"), UNARY("Round"),
    UNARY("Sin"), UNARY("Cos"), UNARY("Tan"), UNARY("Asin"), UNARY("Acos"), UNARY("Atan"),
    UNARY("Sinh"), UNARY("Cosh"), UNARY("Tanh"), UNARY("Asinh"), UNARY("Acosh"), UNARY("Atanh"),
    UNARY("Relu"), UNARY("LeakyRelu"), UNARY("ThresholdedRelu"), UNARY("Elu"), UNARY("Selu"),
    UNARY("Celu"), UNARY("Gelu"), UNARY("Mish"), UNARY("Swish"), UNARY("Sigmoid"),
    UNARY("HardSigmoid"), UNARY("HardSwish"), UNARY("Softplus"), UNARY("Softsign"),
    UNARY("Shrink"),
    {"IsNaN", 1, 1, 1, MLS__POINTWISE_BOOL},
    {"IsInf", 1, 1, 1, MLS__POINTWISE_BOOL},
    {"Where", 3, 3, 3, MLS__POINTWISE_LAST},
    {"Clip", 1, 3, 1, MLS__POINTWISE_FIRST},
    {"Cast", 1, 1, 1, MLS__POINTWISE_TO},
};
/* clang-format on */

const mls__pointwise_op *mls__pointwise_find(mls_string type)
{
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (mls__string_equal(type, (mls_string){ops[i].type, strlen(ops[i].type)}))
            return &ops[i];
    return NULL;
}

/* --- reading --------------------------------------------------------------------------------- */

/* What is left of the program's numbers. */
typedef struct numbers {
    const int64_t *next;
    size_t left;
} numbers;

/* A number in [least, most]. */
static bool take(numbers *from, int64_t least, int64_t most, int64_t *ret_number)
{
    if (!from->left || *from->next < least || *from->next > most)
        return false;
    *ret_number = *from->next++;
    from->left--;
    return true;
}

/* The operands may be the inputs that are given and the pieces before this one. */
static bool read_operands(const mls_op *op, const mls__pointwise *program, int index, numbers *from,
                          mls__pointwise_piece *piece)
{
    for (int k = 0; k < piece->operand_count; k++) {
        int64_t value;
        const int64_t least = k < piece->op->min_operands ? 0 : MLS__POINTWISE_NONE;
        if (!take(from, least, program->inputs + index - 1, &value) ||
            (value >= 0 && value < program->inputs && !mls__op_input(op, (size_t) value)))
            return false;
        piece->operands[k] = (int) value;
    }
    return true;
}

static bool read_piece(const mls_op *op, mls__pointwise *program, int index, numbers *from,
                       size_t *attr_end)
{
    mls__pointwise_piece *piece = &program->pieces[index];
    int64_t attrs, operands;
    if (!piece->op || !take(from, 0, (int64_t) (op->attr_count - *attr_end), &attrs) ||
        !take(from, piece->op->min_operands, piece->op->max_operands, &operands))
        return false;
    piece->attr_begin = *attr_end;
    piece->attr_count = (size_t) attrs;
    piece->operand_count = (int) operands;
    *attr_end += piece->attr_count;
    return read_operands(op, program, index, from, piece);
}

/* Whether each piece but the last is read. */
static bool is_connected(const mls__pointwise *program)
{
    bool is_read[MLS__POINTWISE_VALUES] = {false};
    for (int i = 0; i < program->count; i++)
        for (int k = 0; k < program->pieces[i].operand_count; k++)
            if (program->pieces[i].operands[k] >= 0)
                is_read[program->pieces[i].operands[k]] = true;
    for (int i = 0; i + 1 < program->count; i++)
        if (!is_read[program->inputs + i])
            return false;
    return true;
}

mls_status mls__pointwise_read(const mls_op *op, mls__pointwise *ret_program)
{
    size_t count, length, attr_end = 2;
    const mls_string *types = mls__op_strings(op, PIECES_ATTR, &count);
    const int64_t *program = mls__op_ints(op, PROGRAM_ATTR, &length);
    if (op->attr_count < attr_end || !count || count > MLS__POINTWISE_PIECES ||
        op->input_count > MLS__POINTWISE_INPUTS)
        return mls__op_error(op, MLS_EINVAL, "%zu pieces of %zu inputs; at most %d of %d", count,
                             op->input_count, MLS__POINTWISE_PIECES, MLS__POINTWISE_INPUTS);
    *ret_program = (mls__pointwise){.inputs = (int) op->input_count, .count = (int) count};
    numbers from = {program, length};
    for (int i = 0; i < ret_program->count; i++) {
        ret_program->pieces[i].op = mls__pointwise_find(types[i]);
        if (!read_piece(op, ret_program, i, &from, &attr_end))
            return mls__op_error(op, MLS_EINVAL, "piece %d is not one that can be run", i);
    }
    if (from.left || attr_end != op->attr_count || !is_connected(ret_program))
        return mls__op_error(op, MLS_EINVAL, "the program has more than its %zu pieces need",
                             count);
    return MLS_OK;
}

/* --- pieces ---------------------------------------------------------------------------------- */

void mls__pointwise_view_piece(const mls__pointwise *program, int piece, const mls_op *fused,
                               const mls_arg *values, mls__pointwise_view *view)
{
    const mls__pointwise_piece *p = &program->pieces[piece];
    for (int k = 0; k < p->operand_count; k++) {
        if (p->operands[k] >= 0)
            view->inputs[k] = values[p->operands[k]];
        else
            view->inputs[k] = (mls_arg){.dtype = MLS_DTYPE_NONE};
    }
    view->op = *fused;
    view->op.domain = "";
    view->op.type = p->op->type;
    view->op.attrs = fused->attrs + p->attr_begin;
    view->op.attr_count = p->attr_count;
    view->op.inputs = view->inputs;
    view->op.input_count = (size_t) p->operand_count;
    view->op.outputs = NULL;
}

static int32_t result_dtype(const mls__pointwise_op *op, const mls__pointwise_view *view)
{
    if (op->dtype == MLS__POINTWISE_BOOL)
        return MLS_BOOL;
    if (op->dtype == MLS__POINTWISE_TO)
        return (int32_t) mls__op_int(&view->op, "to", MLS_DTYPE_NONE);
    return view->inputs[op->dtype == MLS__POINTWISE_LAST ? view->op.input_count - 1 : 0].dtype;
}

void mls__pointwise_result(const mls__pointwise *program, int piece,
                           const mls__pointwise_view *view, mls_arg *ret_result)
{
    const mls__pointwise_op *op = program->pieces[piece].op;
    mls_arg result = view->inputs[0];
    for (int k = 1; k < op->shaping; k++) {
        int rank = result.rank;
        mls__shape_broadcast(result.rank, result.dims, view->inputs[k].rank, view->inputs[k].dims,
                             &rank, result.dims);
        result.rank = rank;
    }
    result.dtype = result_dtype(op, view);
    result.data = NULL;
    result.weight_id = 0;
    *ret_result = result;
}
