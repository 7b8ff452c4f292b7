/* SPDX-License-Identifier: Apache-2.0 */
/* Ops whose output is the input's memory under other dims. */
#include "graph/schema/families.h"

#include "op/movement.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

/* What Reshape's input 1 asks for. */
typedef struct target {
    size_t rank;
    int64_t dims[MLS_MAX_RANK];
    bool is_copied[MLS_MAX_RANK]; /* a 0 that stands for the input's own dim */
    int derived;                  /* the position of -1, or -1 */
} target;

static mls_status read_entry(const mls_op *op, bool allow_zero, size_t i, target *t)
{
    const mls_arg *data = &op->inputs[0];
    const int64_t dim = t->dims[i];
    if (dim < -1)
        return mls__op_error(op, MLS_EINVAL, "entry %zu of the shape is %" PRId64, i, dim);
    if (dim == -1 && t->derived >= 0)
        return mls__op_error(op, MLS_EINVAL, "more than one entry of the shape is -1");
    if (dim == -1)
        t->derived = (int) i;
    if (dim != 0 || allow_zero)
        return MLS_OK;
    if (i >= (size_t) data->rank)
        return mls__op_error(op, MLS_ESHAPE,
                             "entry %zu of the shape is 0, and the input has no dimension %zu", i,
                             i);
    t->is_copied[i] = true;
    t->dims[i] = data->dims[i];
    return MLS_OK;
}

static mls_status read_target(const mls_op *op, target *t)
{
    const bool allow_zero = mls__op_int(op, "allowzero", 0) != 0;
    bool is_given;
    mls_status status = mls__op_known_ints(op, 1, t->dims, MLS_MAX_RANK, &t->rank, &is_given);
    t->derived = -1;
    bool has_zero = false;
    for (size_t i = 0; !status && i < t->rank; i++) {
        has_zero = has_zero || t->dims[i] == 0;
        status = read_entry(op, allow_zero, i, t);
    }
    if (!status && allow_zero && has_zero && t->derived >= 0)
        return mls__op_error(op, MLS_EINVAL, "with allowzero, a shape may not hold both 0 and -1");
    return status;
}

static mls_status shape_error(const mls_op *op, const target *t)
{
    const mls_arg *data = &op->inputs[0];
    char from[MLS__SHAPE_TEXT], to[MLS__SHAPE_TEXT];
    return mls__op_error(op, MLS_ESHAPE, "%s cannot be reshaped to %s",
                         mls__shape_text(data->rank, data->dims, from),
                         mls__shape_text((int) t->rank, t->dims, to));
}

/*
 * Copied dims stand on both sides: leaving them out lets an empty batch decide the rest.
 * No other 0 goes with -1, so `asked` is at least 1.
 */
static bool derive_dim(const mls_arg *data, target *t)
{
    int64_t from[MLS_MAX_RANK], to[MLS_MAX_RANK];
    int64_t have, asked;
    int from_rank = 0, to_rank = 0;
    for (int i = 0; i < data->rank; i++)
        if ((size_t) i >= t->rank || !t->is_copied[i])
            from[from_rank++] = data->dims[i];
    for (int i = 0; i < (int) t->rank; i++)
        if (!t->is_copied[i] && i != t->derived)
            to[to_rank++] = t->dims[i];
    if (!mls__shape_count(from_rank, from, &have) || !mls__shape_count(to_rank, to, &asked) ||
        have % asked)
        return false;
    t->dims[t->derived] = have / asked;
    return true;
}

static mls_status infer_reshape(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0];
    target t = {0};
    int64_t count;
    const mls_status status = read_target(op, &t);
    if (status)
        return status;
    if (t.derived >= 0 && !derive_dim(data, &t))
        return shape_error(op, &t);
    if (!mls__shape_count((int) t.rank, t.dims, &count) || count != mls__arg_count(data))
        return shape_error(op, &t);
    return mls__infer_set(op, &ret_outputs[0], data->dtype, (int64_t) t.rank, t.dims);
}

static mls_status infer_flatten(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0];
    const int64_t asked = mls__op_int(op, "axis", 1);
    if (asked < -(int64_t) data->rank || asked > data->rank)
        return mls__op_error(op, MLS_EINVAL, "axis %" PRId64 " is outside [%d, %d]", asked,
                             -data->rank, data->rank);
    const int axis = (int) (asked < 0 ? asked + data->rank : asked);
    int64_t dims[2];
    if (!mls__shape_count(axis, data->dims, &dims[0]) ||
        !mls__shape_count(data->rank - axis, data->dims + axis, &dims[1]))
        return mls__op_error(op, MLS_ESHAPE, "the flat dimensions do not fit 64 bits");
    return mls__infer_set(op, &ret_outputs[0], data->dtype, 2, dims);
}

static mls_status infer_squeeze(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0];
    int axes[MLS_MAX_RANK];
    size_t count;
    bool is_given, drop[MLS_MAX_RANK] = {false};
    const mls_status status = mls__op_axes(op, 1, data->rank, axes, &count, &is_given);
    if (status)
        return status;
    for (int i = 0; i < data->rank && !is_given; i++)
        drop[i] = data->dims[i] == 1;
    for (size_t i = 0; i < count; i++) {
        if (data->dims[axes[i]] != 1)
            return mls__op_error(op, MLS_ESHAPE,
                                 "axis %d has %" PRId64 " elements; only 1 can be squeezed",
                                 axes[i], data->dims[axes[i]]);
        drop[axes[i]] = true;
    }
    int64_t dims[MLS_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < data->rank; i++)
        if (!drop[i])
            dims[rank++] = data->dims[i];
    return mls__infer_set(op, &ret_outputs[0], data->dtype, rank, dims);
}

static mls_status infer_unsqueeze(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0];
    const mls_arg *asked;
    int axes[MLS_MAX_RANK];
    size_t count;
    bool is_given, is_new[MLS_MAX_RANK] = {false};
    mls_status status = mls__op_known_arg(op, 1, MLS_MAX_RANK, &asked);
    if (status)
        return status;
    /* Axes count in the output's rank, which their number decides. */
    const int64_t rank = data->rank + (asked ? mls__arg_count(asked) : 0);
    if (rank > MLS_MAX_RANK)
        return mls__op_error(op, MLS_ESHAPE, "an output of rank %" PRId64 "; at most %d", rank,
                             MLS_MAX_RANK);
    status = mls__op_axes(op, 1, (int) rank, axes, &count, &is_given);
    if (status)
        return status;
    for (size_t i = 0; i < count; i++)
        is_new[axes[i]] = true;
    int64_t dims[MLS_MAX_RANK];
    for (int i = 0, from = 0; i < rank; i++)
        dims[i] = is_new[i] ? 1 : data->dims[from++];
    return mls__infer_set(op, &ret_outputs[0], data->dtype, rank, dims);
}

/* Whether an optional floating-point scalar is known to be 0. */
static bool is_known_zero(const mls_arg *arg)
{
    static const char zeros[sizeof(double)];
    const size_t size = arg ? mls_dtype_size((mls_dtype) arg->dtype) : 0;
    return arg && arg->data && size <= sizeof zeros && memcmp(arg->data, zeros, size) == 0;
}

/* Scores need no training mode; with a ratio of 0 it drops nothing, and both are alike. */
static mls_status check_dropout_mode(const mls_op *op)
{
    const mls_arg *ratio = mls__op_input(op, 1), *mode = mls__op_input(op, 2);
    if (ratio && mls__arg_count(ratio) != 1)
        return mls__op_error(op, MLS_ESHAPE, "input 1, the ratio, is not a scalar");
    if (!mode)
        return MLS_OK;
    if (mode->dtype != MLS_BOOL || mls__arg_count(mode) != 1)
        return mls__op_error(op, MLS_EDTYPE, "input 2, training_mode, is not a bool scalar");
    if (!mode->data)
        return mls__op_error(op, MLS_ESTATE, "input 2, training_mode, is not known before the run");
    if (*(const uint8_t *) mode->data && !is_known_zero(ratio))
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "training_mode is true; only inference is provided");
    return MLS_OK;
}

static mls_status infer_dropout(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0];
    mls_status status = check_dropout_mode(op);
    if (!status)
        status = mls__infer_same(op, ret_outputs);
    if (!status && op->output_count > 1)
        status = mls__infer_set(op, &ret_outputs[1], MLS_BOOL, data->rank, data->dims);
    return status;
}

const mls__op_schema mls__schemas_views[] = {
    {"", "Reshape", 2, 2, 1, 1, MLS__OP_VIEW, 1u << 1, infer_reshape, "allowzero:int"},
    {"", "Flatten", 1, 1, 1, 1, MLS__OP_VIEW, 0, infer_flatten, "axis:int"},
    {"", "Squeeze", 1, 2, 1, 1, MLS__OP_VIEW, 1u << 1, infer_squeeze, NULL},
    {"", "Unsqueeze", 2, 2, 1, 1, MLS__OP_VIEW, 1u << 1, infer_unsqueeze, NULL},
    {"", "Identity", 1, 1, 1, 1, MLS__OP_VIEW, 0, mls__infer_same, NULL},
    {"", "Dropout", 1, 3, 1, 2, MLS__OP_VIEW, 1u << 2, infer_dropout, "seed:int"},
    {0},
};
