/* SPDX-License-Identifier: Apache-2.0 */
#include "op/indexing.h"

#include <inttypes.h>

/* At most so many bytes of an attribute are shown. */
static int shown(mls_string text)
{
    return (int) (text.size < 64 ? text.size : 64);
}

mls_status mls__op_scatter_reduction(const mls_op *op, mls__scatter_reduction *ret_reduction)
{
    static const char *const names[] = {"none", "add", "mul", "min", "max"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (mls__op_string_is(op, "reduction", names[i], "none")) {
            *ret_reduction = (mls__scatter_reduction) i;
            return MLS_OK;
        }
    const mls_string text = mls__op_string(op, "reduction");
    return mls__op_error(op, MLS_EINVAL, "reduction '%.*s' is none of none, add, mul, min and max",
                         shown(text), text.data);
}

mls_status mls__op_batch_dims(const mls_op *op, int *ret_batch)
{
    const int64_t batch = mls__op_int(op, "batch_dims", 0);
    const int data = op->inputs[0].rank, indices = op->inputs[1].rank;
    const int least = data < indices ? data : indices;
    if (batch < 0 || batch >= least)
        return mls__op_error(op, MLS_EINVAL,
                             "batch_dims is %" PRId64 "; with inputs of %d and %d dimensions it "
                             "must be in [0, %d)",
                             batch, data, indices, least);
    *ret_batch = (int) batch;
    return MLS_OK;
}

mls_status mls__op_time_first(const mls_op *op, bool *ret_is_first)
{
    const int64_t time = mls__op_int(op, "time_axis", 0), batch = mls__op_int(op, "batch_axis", 1);
    if ((time != 0 && time != 1) || batch != 1 - time)
        return mls__op_error(op, MLS_EINVAL,
                             "time_axis is %" PRId64 " and batch_axis %" PRId64
                             "; one must be 0 and the other 1",
                             time, batch);
    *ret_is_first = time == 0;
    return MLS_OK;
}

mls_status mls__op_cache_axis(const mls_op *op, int *ret_axis, bool *ret_is_circular)
{
    const bool is_circular = mls__op_string_is(op, "mode", "circular", "linear");
    const mls_string mode = mls__op_string(op, "mode");
    if (!is_circular && !mls__op_string_is(op, "mode", "linear", "linear"))
        return mls__op_error(op, MLS_EINVAL, "mode '%.*s' is neither linear nor circular",
                             shown(mode), mode.data);
    int axis;
    const mls_status status =
        mls__op_axis(op, mls__op_int(op, "axis", -2), op->inputs[0].rank, &axis);
    if (status)
        return status;
    if (axis == 0)
        return mls__op_error(op, MLS_EINVAL, "axis is 0, which is that of the batch");
    *ret_axis = axis;
    *ret_is_circular = is_circular;
    return MLS_OK;
}
