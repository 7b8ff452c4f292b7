/* SPDX-License-Identifier: Apache-2.0 */
/* See block_gather.h. */
#include "op/block_gather.h"

#include "base/alloc.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

/* uint8 may hold several elements, side by side along the last axis; 4-bit types take a byte. */
static mls_status read_bits(const mls_op *op, mls__block_gather *g)
{
    const mls_arg *data = &op->inputs[0];
    const int64_t bits = mls__op_int(op, "bits", 4);
    g->bits = data->dtype == MLS_UINT8 ? bits : 8;
    if (g->bits != 2 && g->bits != 4 && g->bits != 8)
        return mls__op_error(op, MLS_EINVAL, "bits is %" PRId64 ", expected 2, 4 or 8", bits);
    g->rank = data->rank;
    memcpy(g->dims, data->dims, sizeof g->dims);
    if (!mls__mul_i64(g->dims[g->rank - 1], 8 / g->bits, &g->dims[g->rank - 1]))
        return mls__op_error(op, MLS_ESHAPE, "its data are larger than memory can be");
    return MLS_OK;
}

static mls_status read_axes(const mls_op *op, mls__block_gather *g)
{
    mls_status status =
        mls__op_axis(op, mls__op_int(op, "gather_axis", 0), g->rank, &g->gather_axis);
    if (!status)
        status = mls__op_axis(op, mls__op_int(op, "quantize_axis", 1), g->rank, &g->block_axis);
    if (status)
        return status;
    g->block = mls__op_int(op, "block_size", 128);
    if (g->block < 16 || (g->block & (g->block - 1)))
        return mls__op_error(op, MLS_EINVAL,
                             "block_size is %" PRId64 ", expected a power of two from 16 on",
                             g->block);
    if (op->inputs[0].dtype == MLS_UINT8 && g->gather_axis == g->rank - 1 && g->bits < 8)
        return mls__op_error(op, MLS_EINVAL, "gather_axis is the one along which data are packed");
    const int64_t length = g->dims[g->block_axis];
    g->blocks = length / g->block + (length % g->block != 0);
    return MLS_OK;
}

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

mls_status mls__op_block_gather(const mls_op *op, mls__block_gather *g)
{
    if (op->inputs[0].rank < 1)
        return mls__op_error(op, MLS_ESHAPE, "input 0 is a scalar and has no axis");
    mls_status status = read_bits(op, g);
    if (!status)
        status = read_axes(op, g);
    if (status)
        return status;
    int64_t dims[MLS_MAX_RANK];
    memcpy(dims, g->dims, sizeof dims);
    dims[g->block_axis] = g->blocks;
    g->columns = dims[g->rank - 1];
    status = check_dims(op, 2, g->rank, dims);
    const int64_t in_byte = 8 / g->bits;
    dims[g->rank - 1] = g->columns / in_byte + (g->columns % in_byte != 0);
    return status ? status : check_dims(op, 3, g->rank, dims);
}
