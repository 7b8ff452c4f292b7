/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that move elements and compute nothing: any dtype goes. */
#include "graph/schema/families.h"

#include "base/alloc.h"
#include "op/movement.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

static mls_status infer_transpose(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0];
    int perm[MLS_MAX_RANK];
    int64_t dims[MLS_MAX_RANK];
    const mls_status status = mls__op_perm(op, perm);
    if (status)
        return status;
    for (int i = 0; i < data->rank; i++)
        dims[i] = data->dims[perm[i]];
    return mls__infer_set(op, &ret_outputs[0], data->dtype, data->rank, dims);
}

/* Input i of Concat goes with input 0. */
static mls_status check_concat(const mls_op *op, size_t i, int axis)
{
    const mls_arg *first = &op->inputs[0], *arg = &op->inputs[i];
    char text[MLS__SHAPE_TEXT], first_text[MLS__SHAPE_TEXT];
    if (arg->dtype != first->dtype)
        return mls__op_error(op, MLS_EDTYPE, "input %zu is %s, input 0 is %s", i,
                             mls_dtype_name((mls_dtype) arg->dtype),
                             mls_dtype_name((mls_dtype) first->dtype));
    bool fits = arg->rank == first->rank;
    for (int d = 0; fits && d < first->rank; d++)
        fits = d == axis || arg->dims[d] == first->dims[d];
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE,
                             "input %zu is %s, input 0 is %s: they may differ "
                             "along axis %d only",
                             i, mls__shape_text(arg->rank, arg->dims, text),
                             mls__shape_text(first->rank, first->dims, first_text), axis);
    return MLS_OK;
}

static mls_status infer_concat(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *first = &op->inputs[0];
    int64_t dims[MLS_MAX_RANK];
    int axis;
    mls_status status = mls__op_axis(op, mls__op_int(op, "axis", 0), first->rank, &axis);
    if (status)
        return status;
    memcpy(dims, first->dims, sizeof dims);
    for (size_t i = 1; i < op->input_count; i++) {
        status = check_concat(op, i, axis);
        if (status)
            return status;
        if (!mls__add_i64(dims[axis], op->inputs[i].dims[axis], &dims[axis]))
            return mls__op_error(op, MLS_ESHAPE, "axis %d of the output does not fit 64 bits",
                                 axis);
    }
    return mls__infer_set(op, &ret_outputs[0], first->dtype, first->rank, dims);
}

/* Equal parts of `dim` but for the last, which is what remains. */
static mls_status split_evenly(const mls_op *op, int64_t dim, int64_t parts, int64_t *ret_size,
                               int64_t *ret_last)
{
    if (parts < 1 || parts < (int64_t) op->output_count)
        return mls__op_error(op, MLS_EINVAL, "num_outputs is %" PRId64 " for %zu outputs", parts,
                             op->output_count);
    const int64_t size = dim / parts + (dim % parts != 0);
    if (size && dim / size < parts - 1)
        return mls__op_error(op, MLS_ESHAPE,
                             "%" PRId64 " elements do not make %" PRId64 " parts of %" PRId64, dim,
                             parts - 1, size);
    *ret_size = size;
    *ret_last = dim - (parts - 1) * size;
    return MLS_OK;
}

static mls_status set_part(const mls_op *op, int axis, size_t i, int64_t size, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0];
    int64_t dims[MLS_MAX_RANK];
    memcpy(dims, data->dims, sizeof dims);
    dims[axis] = size;
    return mls__infer_set(op, &ret_outputs[i], data->dtype, data->rank, dims);
}

static mls_status infer_even_split(const mls_op *op, int axis, mls_arg *ret_outputs)
{
    const int64_t parts = mls__op_int(op, "num_outputs", (int64_t) op->output_count);
    int64_t size, last;
    mls_status status = split_evenly(op, op->inputs[0].dims[axis], parts, &size, &last);
    for (size_t i = 0; !status && i < op->output_count; i++)
        status = set_part(op, axis, i, (int64_t) i == parts - 1 ? last : size, ret_outputs);
    return status;
}

static mls_status infer_given_split(const mls_op *op, int axis, const mls_arg *split,
                                    mls_arg *ret_outputs)
{
    const int64_t dim = op->inputs[0].dims[axis], count = mls__arg_count(split);
    int64_t rest = dim;
    if (count != (int64_t) op->output_count)
        return mls__op_error(op, MLS_ESHAPE, "%" PRId64 " split sizes for %zu outputs", count,
                             op->output_count);
    for (size_t i = 0; i < op->output_count; i++) {
        const int64_t size = mls__arg_int(split, i);
        if (size < 0 || size > rest)
            return mls__op_error(op, MLS_ESHAPE,
                                 "split size %" PRId64 " of output %zu; %" PRId64 " of the %" PRId64
                                 " elements of axis %d are left",
                                 size, i, rest, dim, axis);
        const mls_status status = set_part(op, axis, i, size, ret_outputs);
        if (status)
            return status;
        rest -= size;
    }
    if (rest)
        return mls__op_error(op, MLS_ESHAPE,
                             "the split sizes leave %" PRId64 " of the %" PRId64
                             " elements of axis %d",
                             rest, dim, axis);
    return MLS_OK;
}

static mls_status infer_split(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *split;
    int axis;
    mls_status status = mls__op_axis(op, mls__op_int(op, "axis", 0), op->inputs[0].rank, &axis);
    if (!status)
        status = mls__op_known_arg(op, 1, op->output_count, &split);
    if (status)
        return status;
    if (!split)
        return infer_even_split(op, axis, ret_outputs);
    if (mls__op_attr(op, "num_outputs"))
        return mls__op_error(op, MLS_EINVAL, "both split sizes and num_outputs are given");
    return infer_given_split(op, axis, split, ret_outputs);
}

static mls_status infer_slice(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0];
    mls__slice slices[MLS_MAX_RANK];
    int64_t dims[MLS_MAX_RANK];
    const mls_status status = mls__op_slices(op, slices);
    if (status)
        return status;
    for (int i = 0; i < data->rank; i++)
        dims[i] = slices[i].count;
    return mls__infer_set(op, &ret_outputs[0], data->dtype, data->rank, dims);
}

static mls_status infer_gather(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0], *indices = &op->inputs[1];
    int64_t dims[2 * MLS_MAX_RANK];
    int axis, rank = 0;
    const mls_status status = mls__op_axis(op, mls__op_int(op, "axis", 0), data->rank, &axis);
    if (status)
        return status;
    if (indices->dtype != MLS_INT64 && indices->dtype != MLS_INT32)
        return mls__op_error(op, MLS_EDTYPE, "input 1, the indices, is %s, expected int64 or int32",
                             mls_dtype_name((mls_dtype) indices->dtype));
    for (int i = 0; i < axis; i++)
        dims[rank++] = data->dims[i];
    for (int i = 0; i < indices->rank; i++)
        dims[rank++] = indices->dims[i];
    for (int i = axis + 1; i < data->rank; i++)
        dims[rank++] = data->dims[i];
    return mls__infer_set(op, &ret_outputs[0], data->dtype, rank, dims);
}

static mls_status infer_expand(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0];
    int64_t shape[MLS_MAX_RANK], dims[MLS_MAX_RANK];
    char from[MLS__SHAPE_TEXT], to[MLS__SHAPE_TEXT];
    size_t count;
    bool is_given;
    int rank;
    const mls_status status = mls__op_known_ints(op, 1, shape, MLS_MAX_RANK, &count, &is_given);
    if (status)
        return status;
    for (size_t i = 0; i < count; i++)
        if (shape[i] < 0)
            return mls__op_error(op, MLS_EINVAL, "entry %zu of the shape is %" PRId64, i, shape[i]);
    if (!mls__shape_broadcast(data->rank, data->dims, (int) count, shape, &rank, dims))
        return mls__op_error(op, MLS_ESHAPE, "%s does not broadcast with %s",
                             mls__shape_text(data->rank, data->dims, from),
                             mls__shape_text((int) count, shape, to));
    return mls__infer_set(op, &ret_outputs[0], data->dtype, rank, dims);
}

static mls_status infer_tile(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0];
    int64_t repeats[MLS_MAX_RANK], dims[MLS_MAX_RANK];
    size_t count;
    bool is_given;
    const mls_status status = mls__op_known_ints(op, 1, repeats, MLS_MAX_RANK, &count, &is_given);
    if (status)
        return status;
    if (count != (size_t) data->rank)
        return mls__op_error(op, MLS_ESHAPE, "%zu repeats for an input of rank %d", count,
                             data->rank);
    for (int i = 0; i < data->rank; i++) {
        if (repeats[i] < 0)
            return mls__op_error(op, MLS_EINVAL, "repeat %d is %" PRId64, i, repeats[i]);
        if (!mls__mul_i64(data->dims[i], repeats[i], &dims[i]))
            return mls__op_error(op, MLS_ESHAPE,
                                 "%" PRId64 " repeats of the %" PRId64
                                 " elements of axis %d do not fit 64 bits",
                                 repeats[i], data->dims[i], i);
    }
    return mls__infer_set(op, &ret_outputs[0], data->dtype, data->rank, dims);
}

static mls_status check_pad_value(const mls_op *op)
{
    const mls_arg *data = &op->inputs[0], *value = mls__op_input(op, 2);
    if (value && value->dtype != data->dtype)
        return mls__op_error(op, MLS_EDTYPE, "input 2, the value, is %s, input 0 is %s",
                             mls_dtype_name((mls_dtype) value->dtype),
                             mls_dtype_name((mls_dtype) data->dtype));
    if (value && mls__arg_count(value) != 1)
        return mls__op_error(op, MLS_ESHAPE, "input 2, the value, is not a scalar");
    return MLS_OK;
}

static mls_status infer_pad(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *data = &op->inputs[0];
    mls__pad pads[MLS_MAX_RANK];
    mls__pad_mode mode;
    int64_t dims[MLS_MAX_RANK];
    mls_status status = mls__op_pad_mode(op, &mode);
    if (!status)
        status = mls__op_pads(op, pads);
    if (!status)
        status = check_pad_value(op);
    for (int i = 0; !status && i < data->rank; i++) {
        dims[i] = pads[i].dim;
        if (mode != MLS__PAD_CONSTANT && pads[i].dim && !pads[i].kept)
            status = mls__op_error(op, MLS_ESHAPE,
                                   "the pads leave nothing of the %" PRId64
                                   " elements of axis %d to pad with",
                                   data->dims[i], i);
    }
    if (status)
        return status;
    return mls__infer_set(op, &ret_outputs[0], data->dtype, data->rank, dims);
}

const mls__op_schema mls__schemas_movement[] = {
    {"", "Transpose", 1, 1, 1, 1, 0, 0, infer_transpose, "perm:ints"},
    {"", "Concat", 1, MLS__VARIADIC, 1, 1, MLS__OP_JOIN, 0, infer_concat, "axis:int!"},
    {"", "Split", 1, 2, 1, MLS__VARIADIC, 0, 1u << 1, infer_split, "axis:int num_outputs:int"},
    {"", "Slice", 3, 5, 1, 1, 0, 0x1eu, infer_slice, NULL},
    {"", "Gather", 2, 2, 1, 1, 0, 0, infer_gather, "axis:int"},
    {"", "Expand", 2, 2, 1, 1, 0, 1u << 1, infer_expand, NULL},
    {"", "Tile", 2, 2, 1, 1, 0, 1u << 1, infer_tile, NULL},
    {"", "Pad", 2, 4, 1, 1, 0, 1u << 1 | 1u << 3, infer_pad, "mode:string value:float"},
    {0},
};
