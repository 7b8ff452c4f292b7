/* SPDX-License-Identifier: Apache-2.0 */
/* Recurrent layers: LSTM, GRU and RNN. */
#include "graph/schema/families.h"

#include "base/alloc.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

#define FLOATS                                                                                     \
    (MLS__DTYPE_BIT(MLS_FLOAT16) | MLS__DTYPE_BIT(MLS_BFLOAT16) | MLS__DTYPE_BIT(MLS_FLOAT32) |    \
     MLS__DTYPE_BIT(MLS_FLOAT64))

/* Positions of inputs. */
enum { X, W, R, B, LENGTHS, H, C, P };

typedef struct recurrent {
    int64_t steps, rows, inputs, units, directions;
    int64_t gates;
    bool is_row_first;
} recurrent;

static int64_t gates_of(const mls_op *op)
{
    return strcmp(op->type, "LSTM") == 0 ? 4 : strcmp(op->type, "GRU") == 0 ? 3 : 1;
}

/* Input `index`, if it is given, has these dims. */
static mls_status check_dims(const mls_op *op, size_t index, int rank, const int64_t *dims)
{
    char has[MLS__SHAPE_TEXT], expected[MLS__SHAPE_TEXT];
    const mls_arg *arg = mls__op_input(op, index);
    if (!arg || mls__shape_equal(arg->rank, arg->dims, rank, dims))
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %zu is %s, expected %s", index,
                         mls__shape_text(arg->rank, arg->dims, has),
                         mls__shape_text(rank, dims, expected));
}

static mls_status check_rank(const mls_op *op, size_t index)
{
    if (op->inputs[index].rank == 3)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input %zu has %d dimensions, expected 3", index,
                         op->inputs[index].rank);
}

static mls_status check_dtypes(const mls_op *op)
{
    static const size_t same[] = {W, R, B, H, C, P};
    mls_status status = mls__infer_dtype(op, X, FLOATS, "a float of 16, 32 or 64 bits");
    for (size_t i = 0; !status && i < sizeof same / sizeof same[0]; i++)
        status = mls__infer_same_dtype(op, same[i], X);
    if (!status && mls__op_input(op, LENGTHS))
        status = mls__infer_dtype(op, LENGTHS, MLS__DTYPE_BIT(MLS_INT32), "int32");
    return status;
}

static mls_status check_attributes(const mls_op *op, const recurrent *r)
{
    const bool is_both = mls__op_string_is(op, "direction", "bidirectional", "forward");
    if (!is_both && !mls__op_string_is(op, "direction", "forward", "forward") &&
        !mls__op_string_is(op, "direction", "reverse", "forward"))
        return mls__op_error(op, MLS_EINVAL,
                             "direction is none of forward, reverse and bidirectional");
    if (r->directions != (is_both ? 2 : 1))
        return mls__op_error(op, MLS_ESHAPE,
                             "input 1 has %" PRId64 " directions; by its direction it has %d",
                             r->directions, is_both ? 2 : 1);
    const int64_t units = mls__op_int(op, "hidden_size", r->units);
    if (units != r->units)
        return mls__op_error(op, MLS_ESHAPE,
                             "hidden_size is %" PRId64 ", and input 2 has %" PRId64 " units", units,
                             r->units);
    const int64_t layout = mls__op_int(op, "layout", 0);
    if (layout != 0 && layout != 1)
        return mls__op_error(op, MLS_EINVAL, "layout is %" PRId64 ", expected 0 or 1", layout);
    return MLS_OK;
}

static mls_status check_shapes(const mls_op *op, const recurrent *r)
{
    int64_t columns;
    if (!mls__mul_i64(r->gates * 2, r->units, &columns))
        return mls__op_error(op, MLS_ESHAPE, "input 2 has too many units");
    const int64_t w[] = {r->directions, columns / 2, r->inputs};
    const int64_t state_r[] = {r->directions, columns / 2, r->units};
    const int64_t bias[] = {r->directions, columns};
    const int64_t peepholes[] = {r->directions, columns / 8 * 3};
    const int64_t state[] = {r->is_row_first ? r->rows : r->directions,
                             r->is_row_first ? r->directions : r->rows, r->units};
    mls_status status = check_dims(op, W, 3, w);
    if (!status)
        status = check_dims(op, R, 3, state_r);
    if (!status)
        status = check_dims(op, B, 2, bias);
    if (!status)
        status = check_dims(op, LENGTHS, 1, &r->rows);
    if (!status)
        status = check_dims(op, H, 3, state);
    if (!status)
        status = check_dims(op, C, 3, state);
    return status ? status : check_dims(op, P, 2, peepholes);
}

static mls_status read_recurrent(const mls_op *op, recurrent *ret_recurrent)
{
    mls_status status = check_dtypes(op);
    for (size_t i = X; !status && i <= R; i++)
        status = check_rank(op, i);
    if (status)
        return status;
    const mls_arg *x = &op->inputs[X];
    const bool is_row_first = mls__op_int(op, "layout", 0) != 0;
    *ret_recurrent = (recurrent){.steps = x->dims[is_row_first ? 1 : 0],
                                 .rows = x->dims[is_row_first ? 0 : 1],
                                 .inputs = x->dims[2],
                                 .units = op->inputs[R].dims[2],
                                 .directions = op->inputs[W].dims[0],
                                 .gates = gates_of(op),
                                 .is_row_first = is_row_first};
    status = check_attributes(op, ret_recurrent);
    return status ? status : check_shapes(op, ret_recurrent);
}

static mls_status infer_recurrent(const mls_op *op, mls_arg *ret_outputs)
{
    recurrent r;
    mls_status status = read_recurrent(op, &r);
    if (status)
        return status;
    const int64_t y_rows_first[] = {r.rows, r.steps, r.directions, r.units};
    const int64_t y_steps_first[] = {r.steps, r.directions, r.rows, r.units};
    const int64_t state[] = {r.is_row_first ? r.rows : r.directions,
                             r.is_row_first ? r.directions : r.rows, r.units};
    const int32_t dtype = op->inputs[X].dtype;
    for (size_t i = 0; !status && i < op->output_count; i++)
        status = i == 0 ? mls__infer_set(op, &ret_outputs[0], dtype, 4,
                                         r.is_row_first ? y_rows_first : y_steps_first)
                        : mls__infer_set(op, &ret_outputs[i], dtype, 3, state);
    return status;
}

#define LAYER                                                                                      \
    "activation_alpha:floats activation_beta:floats activations:strings clip:float "               \
    "direction:string hidden_size:int layout:int"

mls__op_schema_table mls__schemas_recurrent = {
    {"", "LSTM", 3, 8, 1, 3, 0, 0, infer_recurrent, LAYER " input_forget:int"},
    {"", "GRU", 3, 6, 1, 2, 0, 0, infer_recurrent, LAYER " linear_before_reset:int"},
    {"", "RNN", 3, 6, 1, 2, 0, 0, infer_recurrent, LAYER},
    {.type = NULL},
};
