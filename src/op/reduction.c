/* SPDX-License-Identifier: Apache-2.0 */
/* What reductions ask for. */
#include "op/reduction.h"

#include "op/movement.h"

#include <inttypes.h>

mls_status mls__op_reduced(const mls_op *op, bool *ret_reduced)
{
    const int rank = op->inputs[0].rank;
    int axes[MLS_MAX_RANK];
    size_t count = 0;
    if (mls__op_input(op, 1)) {
        bool is_given;
        const mls_status status = mls__op_axes(op, 1, rank, axes, &count, &is_given);
        if (status)
            return status;
    }
    const bool all = count == 0 && mls__op_int(op, "noop_with_empty_axes", 0) == 0;
    for (int i = 0; i < MLS_MAX_RANK; i++)
        ret_reduced[i] = all && i < rank;
    for (size_t i = 0; i < count; i++)
        ret_reduced[axes[i]] = true;
    return MLS_OK;
}

mls_status mls__op_normalized(const mls_op *op, bool *ret_reduced)
{
    static const int64_t channels_apart[] = {0, 2, 3};
    size_t count;
    const int64_t *axes = mls__op_ints(op, "axes", &count);
    if (!mls__op_attr(op, "axes")) {
        axes = channels_apart;
        count = 3;
    }
    for (int i = 0; i < MLS_MAX_RANK; i++)
        ret_reduced[i] = false;
    for (size_t i = 0; i < count; i++) {
        int axis;
        const mls_status status = mls__op_axis(op, axes[i], op->inputs[0].rank, &axis);
        if (status)
            return status;
        if (ret_reduced[axis])
            return mls__op_error(op, MLS_EINVAL, "axis %d is given twice", axis);
        ret_reduced[axis] = true;
    }
    return MLS_OK;
}

mls_status mls__op_attr_axis(const mls_op *op, int64_t fallback, int *ret_axis)
{
    return mls__op_axis(op, mls__op_int(op, "axis", fallback), op->inputs[0].rank, ret_axis);
}

mls_status mls__op_top_k(const mls_op *op, int *ret_axis, int64_t *ret_k)
{
    int axis;
    int64_t k;
    size_t count;
    bool is_given;
    mls_status status = mls__op_attr_axis(op, -1, &axis);
    if (!status)
        status = mls__op_known_ints(op, 1, &k, 1, &count, &is_given);
    if (status)
        return status;
    if (count != 1)
        return mls__op_error(op, MLS_ESHAPE, "input 1 has no elements, expected one");
    const int64_t dim = op->inputs[0].dims[axis];
    if (k < 0 || k > dim)
        return mls__op_error(op, MLS_EINVAL,
                             "k is %" PRId64 ", and there are %" PRId64 " elements along axis %d",
                             k, dim, axis);
    *ret_axis = axis;
    *ret_k = k;
    return MLS_OK;
}
