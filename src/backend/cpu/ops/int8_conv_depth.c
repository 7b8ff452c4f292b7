/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions of groups of one channel. A channel is copied with what is outside of it, its rows
 * split by the phase of the stride, so that what lies under a row of the output at any tap of the
 * filter lies side by side.
 */
#include "backend/cpu/ops/int8_conv.h"

#include "base/alloc.h"

#include <string.h>

/* A vector more than there is may be read. */
#define SLACK MLS__INT8_PANEL

bool mls__int8_depth_plan_slot(mls__int8_conv *c)
{
    const mls__convolution *shape = &c->shape;
    uint64_t taps_offset, total = 0;
    int64_t rows = 1;
    for (int i = 0; i < shape->rank; i++) {
        const mls__conv_axis *axis = &shape->axes[i];
        const int64_t reach = (axis->kernel - 1) * axis->dilation + 1;
        const int64_t last = axis->output ? axis->output - 1 : 0;
        if (!mls__mul_i64(last, axis->stride, &c->padded[i]) ||
            !mls__add_i64(c->padded[i], reach, &c->padded[i]))
            return false;
        if (i < shape->rank - 1 && !mls__mul_i64(rows, c->padded[i], &rows))
            return false;
    }
    const int64_t stride = shape->axes[shape->rank - 1].stride;
    c->phase = (c->padded[shape->rank - 1] + stride - 1) / stride;
    c->chunk = shape->axes[shape->rank - 1].output;
    int64_t bytes;
    if (!mls__mul_i64(c->phase, stride, &c->padded_row) ||
        !mls__mul_i64(c->padded_row, rows, &bytes) || !mls__add_i64(bytes, SLACK, &bytes))
        return false;
    const bool fits =
        mls__int8_conv_region(&total, c->depth, sizeof(int64_t) + sizeof(int32_t), &taps_offset) &&
        mls__int8_conv_region(&total, bytes, 1, &c->panels_offset) &&
        mls__int8_conv_region(&total, c->chunk + SLACK, sizeof(int32_t), &c->terms_offset);
    c->slot_bytes = total;
    return fits;
}

/* --- a channel ------------------------------------------------------------------------------- */

/* A row of the input, NULL for one outside, as a padded row of unsigned bytes. */
static void copy_row(const mls__int8_conv_work *w, const uint8_t *row, uint8_t *ret_padded)
{
    const mls__int8_conv *c = w->conv;
    const mls__gemm_int8_kernels *kernels = c->base.cpu->kernels->gemm_int8;
    const mls__conv_axis *axis = &c->shape.axes[c->shape.rank - 1];
    memset(ret_padded, (uint8_t) w->x_zero, (size_t) c->padded_row);
    for (int64_t phase = 0; row && phase < axis->stride; phase++) {
        /* The first padded element of the phase that is inside, and how many there are. */
        const int64_t before = axis->before - phase;
        const int64_t first = before <= 0 ? 0 : (before + axis->stride - 1) / axis->stride;
        const int64_t from = first * axis->stride + phase - axis->before;
        int64_t count = from < axis->input ? (axis->input - from - 1) / axis->stride + 1 : 0;
        if (count > c->phase - first)
            count = c->phase - first;
        if (count <= 0)
            continue;
        uint8_t *to = ret_padded + phase * c->phase + first;
        kernels->take_steps(to, row + from, count, axis->stride);
        if (c->is_x_signed)
            kernels->flip(to, to, count);
    }
}

static void copy_channel(const mls__int8_conv_work *w, const uint8_t *x, uint8_t *ret_padded)
{
    const mls__int8_conv *c = w->conv;
    const mls__convolution *shape = &c->shape;
    const int last = shape->rank - 1;
    int64_t rows = 1;
    for (int i = 0; i < last; i++)
        rows *= c->padded[i];
    for (int64_t row = 0; row < rows; row++) {
        int64_t left = row, at = 0, step = shape->axes[last].input;
        bool is_inside = true;
        for (int i = last - 1; i >= 0; i--) {
            const int64_t index = left % c->padded[i] - shape->axes[i].before;
            is_inside = is_inside && index >= 0 && index < shape->axes[i].input;
            at += index * step;
            step *= shape->axes[i].input;
            left /= c->padded[i];
        }
        copy_row(w, is_inside ? x + at : NULL, ret_padded + row * c->padded_row);
    }
}

/* Where each tap finds the first element of a row of the output that begins at `row`. */
static void place_taps(const mls__int8_conv *c, int64_t *ret_offsets)
{
    const mls__convolution *shape = &c->shape;
    const int last = shape->rank - 1;
    for (int64_t t = 0; t < c->depth; t++) {
        const int64_t column = t % shape->axes[last].kernel * shape->axes[last].dilation;
        const int64_t stride = shape->axes[last].stride;
        int64_t left = t / shape->axes[last].kernel, step = c->padded_row;
        ret_offsets[t] = column % stride * c->phase + column / stride;
        for (int i = last - 1; i >= 0; i--) {
            ret_offsets[t] += left % shape->axes[i].kernel * shape->axes[i].dilation * step;
            step *= c->padded[i];
            left /= shape->axes[i].kernel;
        }
    }
}

/* Where a row of the output begins in the padded channel. */
static int64_t row_begin(const mls__int8_conv *c, int64_t row)
{
    const mls__convolution *shape = &c->shape;
    int64_t at = 0, step = c->padded_row;
    for (int i = shape->rank - 2; i >= 0; i--) {
        at += row % shape->axes[i].output * shape->axes[i].stride * step;
        row /= shape->axes[i].output;
        step *= c->padded[i];
    }
    return at;
}

/* --- a filter -------------------------------------------------------------------------------- */

static void read_weights(const mls__int8_conv_work *w, int64_t filter, int32_t *ret_weights)
{
    const mls__int8_conv *c = w->conv;
    const int8_t *bytes = (const int8_t *) w->filters.bytes + filter * c->row_bytes;
    const mls__int8_ints *zeros = &w->gemm.a_zeros;
    const int32_t zero = zeros->data ? zeros->data[filter * zeros->row] : 0;
    for (int64_t t = 0; t < c->depth; t++)
        ret_weights[t] = bytes[t] - zero;
}

/* The input's zero point goes with the sum of the weights, which have theirs taken off. */
static void run_filter(const mls__int8_conv_work *w, int64_t image, int64_t filter, char *slot)
{
    const mls__int8_conv *c = w->conv;
    const mls__gemm_int8_kernels *kernels = c->base.cpu->kernels->gemm_int8;
    const int64_t *offsets = (const int64_t *) (const void *) slot;
    int32_t *weights = (int32_t *) (void *) (slot + c->depth * (int64_t) sizeof *offsets);
    int32_t *sums = (int32_t *) (void *) (slot + c->terms_offset);
    const uint8_t *padded = (const uint8_t *) slot + c->panels_offset;
    const size_t y_size = c->form == MLS__INT8_SUM ? sizeof(int32_t) : 1;
    const int64_t filters = c->shape.filters * c->shape.groups;
    mls__gemm_int8 g = w->gemm;
    read_weights(w, filter, weights);
    int32_t weight_sum = 0;
    for (int64_t t = 0; t < c->depth; t++)
        weight_sum += weights[t];
    g.a_zeros.data = NULL;
    g.a_sums = &weight_sum;
    g.bias.data = g.bias.data ? g.bias.data + filter * g.bias.row : NULL;
    g.scale.data = g.scale.data ? g.scale.data + filter * g.scale.row : NULL;
    g.y = (char *) g.y + (size_t) ((image * filters + filter) * c->pixels) * y_size;
    for (int64_t row = 0; row < c->pixels / c->chunk; row++) {
        kernels->taps(sums, padded + row_begin(c, row), offsets, weights, c->depth, c->chunk);
        kernels->finish(&g, sums, 0, row * c->chunk, c->chunk);
    }
}

/* Channels of all images, each with its filters. */
static void run_share(void *arg, size_t index)
{
    const mls__int8_conv_work *w = arg;
    const mls__int8_conv *c = w->conv;
    const mls__convolution *shape = &c->shape;
    const int64_t all = shape->groups * shape->batch, share = (int64_t) index;
    char *slot = (char *) w->call->workspace + c->slots_offset + index * c->slot_bytes;
    int64_t channel_bytes = 1;
    for (int i = 0; i < shape->rank; i++)
        channel_bytes *= shape->axes[i].input;
    place_taps(c, (int64_t *) (void *) slot);
    const int64_t end = mls__int8_conv_part(all, c->threads, share + 1);
    for (int64_t i = mls__int8_conv_part(all, c->threads, share); i < end; i++) {
        const int64_t group = i % shape->groups, image = i / shape->groups;
        copy_channel(w, (const uint8_t *) w->call->buffers[c->roles->x] + i * channel_bytes,
                     (uint8_t *) slot + c->panels_offset);
        for (int64_t f = 0; f < shape->filters; f++)
            run_filter(w, image, group * shape->filters + f, slot);
    }
}

mls_status mls__int8_depth_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__int8_conv *c = (const mls__int8_conv *) kernel;
    mls__int8_conv_work w;
    if (c->pixels == 0 || c->shape.batch == 0 || c->shape.filters == 0)
        return MLS_OK;
    mls__int8_conv_start(c, call, &w);
    if (c->threads < 2)
        run_share(&w, 0);
    else
        call->parallel_for(call->executor, c->threads, run_share, &w);
    return MLS_OK;
}
