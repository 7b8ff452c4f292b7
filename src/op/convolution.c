/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every attribute and kernel dimension is kept below 2^31, and a dim of a tensor that has elements
 * is below 2^60: so no product here can overflow.
 */
#include "op/convolution.h"

#include <inttypes.h>
#include <string.h>

#define MOST INT64_C(0x7fffffff)

/* --- attributes ------------------------------------------------------------------------------ */

/* The ints attribute `name`, `count` of them in [least, MOST]; NULL when it is absent. */
static mls_status read_ints(const mls_op *op, const char *name, size_t count, int64_t least,
                            const int64_t **ret_values)
{
    size_t given;
    const int64_t *values = mls__op_ints(op, name, &given);
    *ret_values = given ? values : NULL;
    if (given && given != count)
        return mls__op_error(op, MLS_EINVAL, "%s has %zu elements, expected %zu", name, given,
                             count);
    for (size_t i = 0; i < given; i++)
        if (values[i] < least || values[i] > MOST)
            return mls__op_error(op, MLS_EINVAL,
                                 "%s has an element %" PRId64 "; it must be from %" PRId64
                                 " to %" PRId64,
                                 name, values[i], least, MOST);
    return MLS_OK;
}

typedef enum auto_pad { PAD_EXPLICIT, PAD_UPPER, PAD_LOWER, PAD_VALID } auto_pad;

static mls_status read_auto_pad(const mls_op *op, auto_pad *ret_pad)
{
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    for (int i = 0; i < 4; i++)
        if (mls__op_string_is(op, "auto_pad", names[i], names[0])) {
            *ret_pad = (auto_pad) i;
            return MLS_OK;
        }
    const mls_string given = mls__op_string(op, "auto_pad");
    return mls__op_error(op, MLS_EINVAL,
                         "auto_pad is '%.*s', expected NOTSET, SAME_UPPER, SAME_LOWER or VALID",
                         given.size < 64 ? (int) given.size : 64, given.data);
}

/* --- one axis -------------------------------------------------------------------------------- */

/* What decides an axis besides its kernel and stride. */
typedef struct padding {
    auto_pad mode;
    const int64_t *pads; /* NULL: none */
    const int64_t *output_padding, *output_shape;
} padding;

static int64_t extent(const mls__conv_axis *axis)
{
    return (axis->kernel - 1) * axis->dilation + 1;
}

static int64_t half_of(int64_t total, auto_pad mode)
{
    return mode == PAD_UPPER ? total / 2 : total - total / 2;
}

static mls_status set_axis(const mls_op *op, int rank, int i, const padding *p,
                           mls__conv_axis *axis)
{
    const bool is_explicit = p->mode == PAD_EXPLICIT && p->pads;
    const int64_t after = is_explicit ? p->pads[rank + i] : 0;
    axis->before = is_explicit ? p->pads[i] : 0;
    if (p->mode == PAD_UPPER || p->mode == PAD_LOWER) {
        axis->output = axis->input / axis->stride + (axis->input % axis->stride != 0);
        const int64_t total = (axis->output - 1) * axis->stride + extent(axis) - axis->input;
        axis->before = total > 0 ? half_of(total, p->mode) : 0;
        return MLS_OK;
    }
    const int64_t room = axis->input + axis->before + after - extent(axis);
    if (room < 0)
        return mls__op_error(op, MLS_ESHAPE,
                             "its kernel covers %" PRId64 " elements of spatial dimension %d, "
                             "which has %" PRId64 " with its pads",
                             extent(axis), i, axis->input + axis->before + after);
    axis->output = room / axis->stride + 1;
    return MLS_OK;
}

static mls_status set_transposed_axis(const mls_op *op, int rank, int i, const padding *p,
                                      mls__conv_axis *axis)
{
    const int64_t extra = p->output_padding ? p->output_padding[i] : 0;
    const bool is_same = p->mode == PAD_UPPER || p->mode == PAD_LOWER;
    const bool is_explicit = p->mode == PAD_EXPLICIT && p->pads && !p->output_shape;
    if (axis->input > (INT64_MAX >> 2) / axis->stride)
        return mls__op_error(op, MLS_ESHAPE, "spatial dimension %d of the output is too large", i);
    const int64_t whole =
        axis->input ? axis->stride * (axis->input - 1) + extent(axis) + extra : extra;
    axis->before = is_explicit ? p->pads[i] : 0;
    axis->output = whole - (is_explicit ? p->pads[i] + p->pads[rank + i] : 0);
    if (p->output_shape || is_same) {
        axis->output = p->output_shape ? p->output_shape[i] : axis->input * axis->stride;
        const int64_t total = whole - axis->output;
        axis->before = total > 0 ? half_of(total, p->mode) : 0;
    }
    if (axis->output < 0)
        return mls__op_error(op, MLS_ESHAPE,
                             "its pads take more than spatial dimension %d of the output has", i);
    return MLS_OK;
}

/* --- shapes ---------------------------------------------------------------------------------- */

static mls_status check_ranks(const mls_op *op, const mls__convolution *c)
{
    const mls_arg *x = &op->inputs[0], *w = &op->inputs[1];
    if (c->rank < 1)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has %d dimensions, expected at least %d",
                             x->rank, 3 + c->is_x_blocked);
    if (w->rank != c->rank + 2)
        return mls__op_error(op, MLS_ESHAPE, "input 1 has %d dimensions, expected %d", w->rank,
                             c->rank + 2);
    if (c->rank + 2 + c->is_y_blocked > MLS_MAX_RANK)
        return mls__op_error(op, MLS_ESHAPE, "its output has more than %d dimensions",
                             MLS_MAX_RANK);
    return MLS_OK;
}

/* Whether the channels of the input are those that the groups take. */
static bool has_channels(const mls_op *op, const mls__convolution *c, int64_t channels)
{
    const mls_arg *x = &op->inputs[0];
    if (!c->is_x_blocked)
        return x->dims[1] == channels;
    return x->dims[1] == mls__channel_blocks(channels) &&
           x->dims[x->rank - 1] == MLS__CHANNEL_BLOCK;
}

static mls_status read_channels(const mls_op *op, mls__convolution *c)
{
    const mls_arg *x = &op->inputs[0], *w = &op->inputs[1];
    c->groups = mls__op_int(op, "group", 1);
    const int64_t rows = w->dims[0], columns = w->dims[1];
    if (c->groups < 1 || c->groups > MOST)
        return mls__op_error(op, MLS_EINVAL, "group is %" PRId64 "; it must be at least 1",
                             c->groups);
    if (rows % c->groups)
        return mls__op_error(op, MLS_ESHAPE,
                             "dimension 0 of input 1 is %" PRId64 ", not a multiple of the %" PRId64
                             " groups",
                             rows, c->groups);
    c->channels = c->is_transposed ? rows / c->groups : columns;
    c->filters = c->is_transposed ? columns : rows / c->groups;
    if (columns > MOST || rows > MOST || columns * c->groups > MOST)
        return mls__op_error(op, MLS_ESHAPE, "input 1 has too many channels");
    if (!has_channels(op, c, c->channels * c->groups))
        return mls__op_error(op, MLS_ESHAPE,
                             "dimension 1 of input 0 is %" PRId64 "; with input 1 and %" PRId64
                             " groups there must be %" PRId64 " channels",
                             x->dims[1], c->groups, c->channels * c->groups);
    return MLS_OK;
}

static mls_status check_bias(const mls_op *op, const mls__convolution *c)
{
    const mls_arg *bias = mls__op_input(op, 2);
    const int64_t filters = c->filters * c->groups;
    const bool is_fused = strcmp(op->domain, "mlscale") == 0; /* of any rank: once added apart */
    if (!bias || ((bias->rank == 1 || is_fused) && mls__arg_count(bias) == filters))
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE,
                         "input 2 must have one dimension of %" PRId64 ", one for each filter",
                         filters);
}

static mls_status check_residual(const mls_op *op, const mls__convolution *c)
{
    const mls_arg *z = mls__op_input(op, 3);
    int64_t dims[MLS_MAX_RANK];
    if (!z)
        return MLS_OK;
    const int rank = mls__convolution_dims(c, dims);
    if (z->rank == rank && memcmp(z->dims, dims, (size_t) rank * sizeof *dims) == 0)
        return MLS_OK;
    return mls__op_error(op, MLS_ESHAPE, "input 3 must have the output's dimensions");
}

int mls__convolution_dims(const mls__convolution *c, int64_t *ret_dims)
{
    const int64_t filters = c->filters * c->groups;
    int rank = 2;
    ret_dims[0] = c->batch;
    ret_dims[1] = c->is_y_blocked ? mls__channel_blocks(filters) : filters;
    for (int i = 0; i < c->rank; i++)
        ret_dims[rank++] = c->axes[i].output;
    if (c->is_y_blocked)
        ret_dims[rank++] = MLS__CHANNEL_BLOCK;
    return rank;
}

/* --- all of it ------------------------------------------------------------------------------- */

static mls_status read_padding(const mls_op *op, const mls__convolution *c, padding *ret_padding)
{
    const size_t rank = (size_t) c->rank;
    padding p = {.pads = NULL};
    size_t count = 0;
    mls_status status = read_auto_pad(op, &p.mode);
    if (!status)
        status = read_ints(op, "pads", 2 * rank, 0, &p.pads);
    if (!status && c->is_transposed)
        status = read_ints(op, "output_padding", rank, 0, &p.output_padding);
    if (!status && c->is_transposed) {
        mls__op_ints(op, "output_shape", &count);
        /* Some exporters write the batch and the channels too. */
        const size_t more = count == rank + 2 ? 2 : 0;
        status = read_ints(op, "output_shape", rank + more, 0, &p.output_shape);
        if (!status && p.output_shape)
            p.output_shape += more;
    }
    *ret_padding = p;
    return status;
}

static mls_status read_axes(const mls_op *op, mls__convolution *c)
{
    const mls_arg *x = &op->inputs[0], *w = &op->inputs[1];
    const size_t rank = (size_t) c->rank;
    const int64_t *kernel, *strides, *dilations;
    padding p;
    mls_status status = read_ints(op, "kernel_shape", rank, 1, &kernel);
    if (!status)
        status = read_ints(op, "strides", rank, 1, &strides);
    if (!status)
        status = read_ints(op, "dilations", rank, 1, &dilations);
    if (!status)
        status = read_padding(op, c, &p);
    for (int i = 0; !status && i < c->rank; i++) {
        mls__conv_axis *axis = &c->axes[i];
        *axis = (mls__conv_axis){.input = x->dims[2 + i],
                                 .kernel = w->dims[2 + i],
                                 .stride = strides ? strides[i] : 1,
                                 .dilation = dilations ? dilations[i] : 1};
        if (axis->kernel < 1 || axis->kernel > MOST || (kernel && kernel[i] != axis->kernel))
            return mls__op_error(op, MLS_ESHAPE,
                                 "dimension %d of input 1 is %" PRId64
                                 "; it must be at least 1 and as kernel_shape says",
                                 2 + i, axis->kernel);
        status = c->is_transposed ? set_transposed_axis(op, c->rank, i, &p, axis)
                                  : set_axis(op, c->rank, i, &p, axis);
    }
    return status;
}

mls_status mls__op_convolution(const mls_op *op, mls__convolution *ret_convolution)
{
    const mls_arg *x = &op->inputs[0];
    mls__convolution c = {
        .is_transposed = strstr(op->type, "ConvTranspose") != NULL,
        .is_x_blocked = mls__op_int(op, "x_blocked", 0) != 0,
        .is_y_blocked = mls__op_int(op, "y_blocked", 0) != 0,
        .batch = x->rank ? x->dims[0] : 0,
    };
    c.rank = x->rank - 2 - c.is_x_blocked;
    mls_status status = check_ranks(op, &c);
    if (!status)
        status = read_channels(op, &c);
    if (!status)
        status = read_axes(op, &c);
    if (!status)
        status = check_bias(op, &c);
    if (!status)
        status = check_residual(op, &c);
    if (!status)
        *ret_convolution = c;
    return status;
}

int32_t mls__convolution_dtype(const mls_op *op)
{
    return mls__op_int(op, "y_wide", 0) ? MLS_FLOAT32 : op->inputs[1].dtype;
}
