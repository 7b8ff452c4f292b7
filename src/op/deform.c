/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution's X and W, and a place for each element of a kernel at each output. */
#include "op/deform.h"

#include "base/alloc.h"

#include <inttypes.h>

/* X and W alone: a plain convolution has its bias where the offsets are. */
static mls_status read_convolution(const mls_op *op, mls__convolution *ret_convolution)
{
    mls_op plain = *op;
    plain.input_count = MLS__DEFORM_OFFSETS;
    return mls__op_convolution(&plain, ret_convolution);
}

static mls_status count_elements(const mls_op *op, mls__deform *d)
{
    bool fits = true;
    d->positions = d->outputs = 1;
    for (int i = 0; fits && i < d->conv.rank; i++)
        fits = mls__mul_i64(d->positions, d->conv.axes[i].kernel, &d->positions) &&
               mls__mul_i64(d->outputs, d->conv.axes[i].output, &d->outputs);
    return fits ? MLS_OK : mls__op_error(op, MLS_ESHAPE, "its kernel or output is too large");
}

static mls_status read_offset_groups(const mls_op *op, mls__deform *d)
{
    const int64_t channels = d->conv.channels * d->conv.groups;
    d->offset_groups = mls__op_int(op, "offset_group", 1);
    if (d->offset_groups >= 1 && channels % d->offset_groups == 0)
        return MLS_OK;
    return mls__op_error(op, MLS_EINVAL,
                         "offset_group is %" PRId64
                         "; it must be at least 1 and divide the %" PRId64 " channels",
                         d->offset_groups, channels);
}

/* An input with `each` channels for every element of a kernel, of every group of offsets. */
static mls_status check_map(const mls_op *op, size_t index, const mls__deform *d, int64_t each)
{
    const mls_arg *map = mls__op_input(op, index);
    int64_t channels;
    if (!map)
        return MLS_OK;
    if (!mls__mul_i64(d->positions, d->offset_groups, &channels) ||
        !mls__mul_i64(channels, each, &channels))
        return mls__op_error(op, MLS_ESHAPE, "its kernel is too large");
    bool is_right =
        map->rank == 2 + d->conv.rank && map->dims[0] == d->conv.batch && map->dims[1] == channels;
    for (int i = 0; is_right && i < d->conv.rank; i++)
        is_right = map->dims[2 + i] == d->conv.axes[i].output;
    if (is_right)
        return MLS_OK;
    return mls__op_error(
        op, MLS_ESHAPE, "input %zu must have the output's dimensions, but for %" PRId64 " channels",
        index, channels);
}

static mls_status check_bias(const mls_op *op, const mls__deform *d)
{
    const mls_arg *bias = mls__op_input(op, MLS__DEFORM_BIAS);
    const int64_t filters = d->conv.filters * d->conv.groups;
    if (!bias || (bias->rank == 1 && bias->dims[0] == filters))
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE,
                         "input %d must have one dimension of %" PRId64 ", one for each filter",
                         MLS__DEFORM_BIAS, filters);
}

mls_status mls__op_deform(const mls_op *op, mls__deform *ret_deform)
{
    mls__deform d = {.offset_groups = 0};
    mls_status status = read_convolution(op, &d.conv);
    if (!status)
        status = count_elements(op, &d);
    if (!status)
        status = read_offset_groups(op, &d);
    if (!status)
        status = check_map(op, MLS__DEFORM_OFFSETS, &d, d.conv.rank);
    if (!status)
        status = check_map(op, MLS__DEFORM_MASK, &d, 1);
    if (!status)
        status = check_bias(op, &d);
    if (!status)
        *ret_deform = d;
    return status;
}
