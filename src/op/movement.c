/* SPDX-License-Identifier: Apache-2.0 */
/* Starts, ends, steps and pads come from models: any 64-bit value must be survived. */
#include "op/movement.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <string.h>

mls_status mls__op_axes(const mls_op *op, size_t index, int rank, int *ret_axes, size_t *ret_count,
                        bool *ret_is_given)
{
    int64_t values[MLS_MAX_RANK];
    size_t count;
    bool is_given, seen[MLS_MAX_RANK] = {false};
    mls_status status = mls__op_known_ints(op, index, values, MLS_MAX_RANK, &count, &is_given);
    for (size_t i = 0; !status && i < count; i++) {
        int axis;
        status = mls__op_axis(op, values[i], rank, &axis);
        if (status)
            break;
        if (seen[axis])
            return mls__op_error(op, MLS_EINVAL, "axis %d appears twice in input %zu", axis, index);
        seen[axis] = true;
        ret_axes[i] = axis;
    }
    if (status)
        return status;
    *ret_count = count;
    *ret_is_given = is_given;
    return MLS_OK;
}

mls_status mls__op_perm(const mls_op *op, int *ret_perm)
{
    const int rank = op->inputs[0].rank;
    size_t count;
    const int64_t *perm = mls__op_ints(op, "perm", &count);
    bool seen[MLS_MAX_RANK] = {false};
    if (!perm && !mls__op_attr(op, "perm")) {
        for (int i = 0; i < rank; i++)
            ret_perm[i] = rank - 1 - i;
        return MLS_OK;
    }
    if (count != (size_t) rank)
        return mls__op_error(op, MLS_EINVAL, "perm has %zu entries for an input of rank %d", count,
                             rank);
    for (int i = 0; i < rank; i++) {
        if (perm[i] < 0 || perm[i] >= rank || seen[perm[i]])
            return mls__op_error(op, MLS_EINVAL,
                                 "perm is no permutation of 0 to %d: entry %d is %" PRId64,
                                 rank - 1, i, perm[i]);
        seen[perm[i]] = true;
        ret_perm[i] = (int) perm[i];
    }
    return MLS_OK;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* The magnitude of any int64, INT64_MIN too. */
static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t) value : (uint64_t) value;
}

static mls__slice slice_of(int64_t dim, int64_t start, int64_t end, int64_t step)
{
    /* Going down, position dim is no start, and the end may lie before position 0. */
    const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? dim - 1 : dim;
    start = clamp(start < 0 ? start + dim : start, 0, high);
    end = clamp(end < 0 ? end + dim : end, low, high);
    const int64_t span = step < 0 ? start - end : end - start;
    mls__slice slice = {start, step, 0};
    if (span > 0 && dim > 0)
        slice.count = (int64_t) ((uint64_t) (span - 1) / magnitude(step)) + 1;
    if (slice.count < 2)
        slice.step = 1;
    return slice;
}

/* An input of Slice that has a value for each axis, or is left out. */
static mls_status per_axis(const mls_op *op, size_t index, const char *what, size_t count,
                           int64_t fallback, int64_t *ret_values)
{
    size_t given;
    bool is_given;
    const mls_status status =
        mls__op_known_ints(op, index, ret_values, MLS_MAX_RANK, &given, &is_given);
    if (status)
        return status;
    if (is_given && given != count)
        return mls__op_error(op, MLS_ESHAPE, "%zu %s for %zu starts", given, what, count);
    for (size_t i = 0; !is_given && i < count; i++)
        ret_values[i] = fallback;
    return MLS_OK;
}

/* The axes that starts (Slice) and pads (Pad) are for: an input, or the first `count`. */
static mls_status axes_or_first(const mls_op *op, size_t index, size_t count, const char *what,
                                int *ret_axes)
{
    const int rank = op->inputs[0].rank;
    size_t given;
    bool is_given;
    const mls_status status = mls__op_axes(op, index, rank, ret_axes, &given, &is_given);
    if (status)
        return status;
    if (is_given ? given != count : count > (size_t) rank)
        return mls__op_error(op, MLS_ESHAPE, "%s for %zu axes; there are %zu", what, count,
                             is_given ? given : (size_t) rank);
    for (size_t i = 0; !is_given && i < count; i++)
        ret_axes[i] = (int) i;
    return MLS_OK;
}

mls_status mls__op_slices(const mls_op *op, mls__slice *ret_slices)
{
    const mls_arg *data = &op->inputs[0];
    int64_t starts[MLS_MAX_RANK], ends[MLS_MAX_RANK], steps[MLS_MAX_RANK];
    int axes[MLS_MAX_RANK];
    size_t count;
    bool is_given;
    mls_status status = mls__op_known_ints(op, 1, starts, MLS_MAX_RANK, &count, &is_given);
    if (!status)
        status = per_axis(op, 2, "ends", count, 0, ends);
    if (!status)
        status = axes_or_first(op, 3, count, "starts", axes);
    if (!status)
        status = per_axis(op, 4, "steps", count, 1, steps);
    if (status)
        return status;
    for (size_t i = 0; i < count; i++)
        if (steps[i] == 0)
            return mls__op_error(op, MLS_EINVAL, "the step of axis %d is 0", axes[i]);

    for (int i = 0; i < data->rank; i++)
        ret_slices[i] = (mls__slice){0, 1, data->dims[i]};
    for (size_t i = 0; i < count; i++)
        ret_slices[axes[i]] = slice_of(data->dims[axes[i]], starts[i], ends[i], steps[i]);
    return MLS_OK;
}

/* False when the output's dimension would be negative, or past 64 bits. */
static bool pad_of(int64_t dim, int64_t begin, int64_t end, mls__pad *ret_pad)
{
    mls__pad pad;
    if (!mls__add_i64(dim, begin, &pad.dim) || !mls__add_i64(pad.dim, end, &pad.dim) || pad.dim < 0)
        return false;
    const int64_t from = begin >= 0 ? 0 : begin < -dim ? dim : -begin;
    const int64_t to = end >= 0 ? dim : dim + end;
    pad.source = from;
    pad.kept = to > from ? to - from : 0;
    pad.before = !pad.kept ? pad.dim : begin > 0 ? begin : 0;
    *ret_pad = pad;
    return true;
}

mls_status mls__op_pads(const mls_op *op, mls__pad *ret_pads)
{
    const mls_arg *data = &op->inputs[0];
    int64_t values[2 * MLS_MAX_RANK];
    int axes[MLS_MAX_RANK];
    size_t count;
    bool is_given;
    mls_status status = mls__op_known_ints(op, 1, values, 2 * MLS_MAX_RANK, &count, &is_given);
    if (status)
        return status;
    if (count % 2 || (!mls__op_input(op, 3) && count != 2 * (size_t) data->rank))
        return mls__op_error(op, MLS_ESHAPE, "%zu pads for a rank of %d; there must be two an axis",
                             count, data->rank);
    count /= 2;
    status = axes_or_first(op, 3, count, "pads", axes);
    if (status)
        return status;

    for (int i = 0; i < data->rank; i++)
        pad_of(data->dims[i], 0, 0, &ret_pads[i]);
    for (size_t i = 0; i < count; i++) {
        const int64_t dim = data->dims[axes[i]], begin = values[i], end = values[count + i];
        if (!pad_of(dim, begin, end, &ret_pads[axes[i]]))
            return mls__op_error(op, MLS_ESHAPE,
                                 "pads %" PRId64 " and %" PRId64 " of axis %d do not go with its "
                                 "%" PRId64 " elements",
                                 begin, end, axes[i], dim);
    }
    return MLS_OK;
}

/* An odd element is cut, or made up, behind. */
static mls__pad center_of(int64_t dim, int64_t length)
{
    if (length < dim)
        return (mls__pad){.dim = length, .source = (dim - length) / 2, .kept = length};
    return (mls__pad){.dim = length, .before = dim ? (length - dim) / 2 : length, .kept = dim};
}

mls_status mls__op_center(const mls_op *op, mls__pad *ret_pads)
{
    const mls_arg *data = &op->inputs[0];
    int64_t lengths[MLS_MAX_RANK];
    size_t count, axis_count;
    bool is_given;
    mls_status status = mls__op_known_ints(op, 1, lengths, MLS_MAX_RANK, &count, &is_given);
    const int64_t *axes = mls__op_ints(op, "axes", &axis_count);
    if (status)
        return status;
    if (count != (axes ? axis_count : (size_t) data->rank))
        return mls__op_error(op, MLS_ESHAPE, "%zu lengths for %zu axes", count,
                             axes ? axis_count : (size_t) data->rank);
    for (int i = 0; i < data->rank; i++)
        ret_pads[i] = center_of(data->dims[i], data->dims[i]);
    for (size_t i = 0; i < count; i++) {
        int axis = (int) i;
        status = axes ? mls__op_axis(op, axes[i], data->rank, &axis) : MLS_OK;
        if (status)
            return status;
        if (lengths[i] < 0)
            return mls__op_error(op, MLS_EINVAL, "length %" PRId64 " of axis %d", lengths[i], axis);
        ret_pads[axis] = center_of(data->dims[axis], lengths[i]);
    }
    return MLS_OK;
}

mls_status mls__op_pad_mode(const mls_op *op, mls__pad_mode *ret_mode)
{
    static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (mls__op_string_is(op, "mode", names[i], "constant")) {
            *ret_mode = (mls__pad_mode) i;
            return MLS_OK;
        }
    const mls_string mode = mls__op_string(op, "mode");
    return mls__op_error(op, MLS_EINVAL, "mode '%.*s' is none of constant, reflect, edge and wrap",
                         (int) (mode.size < 64 ? mode.size : 64), mode.data);
}
