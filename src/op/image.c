/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and checks the blocks of Col2Im. */
#include "op/image.h"

#include "base/alloc.h"

#include <inttypes.h>

/* An attribute with one value for each dimension, or all 1. */
static mls_status read_steps(const mls_op *op, const char *name, int rank, int64_t *ret_steps)
{
    size_t count;
    const int64_t *given = mls__op_ints(op, name, &count);
    if (given && count != (size_t) rank)
        return mls__op_error(op, MLS_EINVAL, "%zu %s for %d dimensions", count, name, rank);
    for (int i = 0; i < rank; i++) {
        ret_steps[i] = given ? given[i] : 1;
        if (ret_steps[i] < 1)
            return mls__op_error(op, MLS_EINVAL, "%s has %" PRId64 ", expected 1 or more", name,
                                 ret_steps[i]);
    }
    return MLS_OK;
}

static mls_status read_lengths(const mls_op *op, mls__blocks *blocks)
{
    size_t images, sizes;
    bool is_given;
    mls_status status =
        mls__op_known_ints(op, 1, blocks->image, MLS_MAX_RANK - 2, &images, &is_given);
    if (!status)
        status = mls__op_known_ints(op, 2, blocks->block, MLS_MAX_RANK - 2, &sizes, &is_given);
    if (status)
        return status;
    if (images != sizes || images == 0)
        return mls__op_error(op, MLS_ESHAPE, "an image of %zu dimensions and blocks of %zu", images,
                             sizes);
    blocks->rank = (int) images;
    for (int i = 0; i < blocks->rank; i++)
        if (blocks->image[i] < 0 || blocks->block[i] < 1)
            return mls__op_error(op, MLS_EINVAL,
                                 "an image of %" PRId64 " by blocks of %" PRId64 " in dimension %d",
                                 blocks->image[i], blocks->block[i], i);
    return MLS_OK;
}

/* Where blocks fit along a dimension; false when numbers do not. */
static bool count_positions(mls__blocks *blocks, int i, int64_t after)
{
    int64_t span, length;
    if (!mls__mul_i64(blocks->dilation[i], blocks->block[i] - 1, &span) ||
        !mls__add_i64(blocks->image[i], blocks->before[i], &length) ||
        !mls__add_i64(length, after, &length) || !mls__add_i64(length, -1 - span, &length))
        return false;
    blocks->positions[i] = length < 0 ? 0 : length / blocks->stride[i] + 1;
    return mls__mul_i64(blocks->block_count, blocks->block[i], &blocks->block_count) &&
           mls__mul_i64(blocks->position_count, blocks->positions[i], &blocks->position_count);
}

mls_status mls__op_blocks(const mls_op *op, mls__blocks *ret_blocks)
{
    size_t pad_count;
    const int64_t *pads = mls__op_ints(op, "pads", &pad_count);
    mls_status status = read_lengths(op, ret_blocks);
    const int rank = ret_blocks->rank;
    if (!status)
        status = read_steps(op, "dilations", rank, ret_blocks->dilation);
    if (!status)
        status = read_steps(op, "strides", rank, ret_blocks->stride);
    if (status)
        return status;
    if (pads && pad_count != 2 * (size_t) rank)
        return mls__op_error(op, MLS_EINVAL, "%zu pads for %d dimensions", pad_count, rank);
    ret_blocks->block_count = ret_blocks->position_count = 1;
    for (int i = 0; i < rank; i++) {
        const int64_t before = pads ? pads[i] : 0, after = pads ? pads[rank + i] : 0;
        ret_blocks->before[i] = before;
        if (before < 0 || after < 0 || !count_positions(ret_blocks, i, after))
            return mls__op_error(op, MLS_EINVAL, "pads %" PRId64 " and %" PRId64 " of dimension %d",
                                 before, after, i);
    }
    return MLS_OK;
}
