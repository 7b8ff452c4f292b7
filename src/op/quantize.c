/* SPDX-License-Identifier: Apache-2.0 */
/* One scale for all, one for each index of an axis, or one for each block along it. */
#include "op/quantize.h"

#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

/* Zero points lie as the scales do. One element may be a scalar or have a dimension. */
static mls_status check_zero_points(const mls_op *op)
{
    char a[MLS__SHAPE_TEXT], b[MLS__SHAPE_TEXT];
    const mls_arg *scale = &op->inputs[1], *zero = mls__op_input(op, 2);
    if (!zero || mls__shape_equal(zero->rank, zero->dims, scale->rank, scale->dims) ||
        (mls__arg_count(zero) == 1 && mls__arg_count(scale) == 1))
        return MLS_OK;
    return mls__op_error(
        op, MLS_ESHAPE, "the zero points are %s and the scales %s; they must be equal",
        mls__shape_text(zero->rank, zero->dims, a), mls__shape_text(scale->rank, scale->dims, b));
}

static mls_status scale_error(const mls_op *op, const char *expected)
{
    char a[MLS__SHAPE_TEXT], b[MLS__SHAPE_TEXT];
    const mls_arg *x = &op->inputs[0], *scale = &op->inputs[1];
    return mls__op_error(op, MLS_ESHAPE, "scales of shape %s for an input of %s; expected %s",
                         mls__shape_text(scale->rank, scale->dims, a),
                         mls__shape_text(x->rank, x->dims, b), expected);
}

/* One dimension needs no axis: it is the one. */
static mls_status read_axis(const mls_op *op, int *ret_axis)
{
    const int64_t axis = op->inputs[0].rank == 1 ? 0 : mls__op_int(op, "axis", 1);
    return mls__op_axis(op, axis, op->inputs[0].rank, ret_axis);
}

static mls_status read_per_axis(const mls_op *op, int axis, mls__quant_grid *grid)
{
    const mls_arg *x = &op->inputs[0], *scale = &op->inputs[1];
    if (scale->rank != 1 || scale->dims[0] != x->dims[axis])
        return scale_error(op, "one, or as many as there are along the axis");
    grid->block = 1;
    grid->block_step = 1;
    return MLS_OK;
}

static mls_status read_blocks(const mls_op *op, int axis, int64_t block, mls__quant_grid *grid)
{
    const mls_arg *x = &op->inputs[0], *scale = &op->inputs[1];
    int64_t dims[MLS_MAX_RANK];
    memcpy(dims, x->dims, sizeof dims);
    const int64_t blocks = x->dims[axis] / block + (x->dims[axis] % block != 0);
    dims[axis] = blocks;
    if (!mls__shape_equal(scale->rank, scale->dims, x->rank, dims))
        return scale_error(op, "the input's, with the number of blocks along the axis");
    grid->block = block;
    grid->block_step = grid->inner;
    grid->outer_step = blocks * grid->inner;
    grid->inner_step = 1;
    return MLS_OK;
}

mls_status mls__op_quant_grid(const mls_op *op, mls__quant_grid *ret_grid)
{
    const mls_arg *x = &op->inputs[0];
    const int64_t block = mls__op_int(op, "block_size", 0);
    const int64_t count = mls__arg_count(x);
    mls__quant_grid grid = {.count = count, .length = 1, .inner = count, .block = 1};
    mls_status status = check_zero_points(op);
    if (!status && block < 0)
        status = mls__op_error(op, MLS_EINVAL, "block_size is %" PRId64 ", less than 0", block);
    if (!status && mls__arg_count(&op->inputs[1]) != 1) {
        int axis = 0;
        status = read_axis(op, &axis);
        if (status)
            return status;
        grid.length = x->dims[axis];
        grid.inner = mls__arg_span(x, axis + 1, x->rank);
        status = block ? read_blocks(op, axis, block, &grid) : read_per_axis(op, axis, &grid);
    }
    if (!status)
        *ret_grid = grid;
    return status;
}

mls__quant_run mls__quant_run_at(const mls__quant_grid *g, int64_t begin, int64_t end)
{
    const int64_t i = begin % g->inner, row = begin / g->inner;
    const int64_t d = row % g->length, o = row / g->length;
    const int64_t scale = o * g->outer_step + d / g->block * g->block_step + i * g->inner_step;
    mls__quant_run run = {g->inner - i, scale, g->inner_step};
    if (g->inner == 1) {
        const int64_t left = g->length - d, in_block = g->block - d % g->block;
        run.count = g->block == 1 || left < in_block ? left : in_block;
        run.scale_step = g->block == 1 ? g->block_step : 0;
    }
    if (run.count > end - begin)
        run.count = end - begin;
    return run;
}
