/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions of groups of one channel. A channel is copied with what is outside of it and split
 * by the phases of the strides: what lies under the output at any tap of the filter then lies as
 * the output does, but for rows that are as long as a padded one. So many rows are one run, whose
 * sums between the rows mean nothing and are left out when it is done.
 */
#include "backend/cpu/ops/int8_conv.h"

#include "base/alloc.h"

#include <string.h>

/* A vector more than there is may be read and written. */
#define SLACK (2 * MLS__INT8_PANEL)
/* Bytes that are copied or filled at once. */
#define PIECE 16
/* Sums of a run, which stay in the first cache. */
#define RUN_SUMS 4096

/* The axes as three: those that are missing have one element. */
enum { DEPTH, ROW, COLUMN, AXES };

static mls__conv_axis axis_of(const mls__convolution *shape, int axis)
{
    const int own = axis - (AXES - shape->rank);
    const mls__conv_axis none = {1, 1, 1, 1, 1, 0};
    return own < 0 ? none : shape->axes[own];
}

static bool plan_slot(mls__int8_conv *c)
{
    int64_t bytes = 1, sums;
    uint64_t taps_offset, total = 0;
    for (int i = 0; i < AXES; i++) {
        const mls__conv_axis axis = axis_of(&c->shape, i);
        const int64_t reach = (axis.kernel - 1) * axis.dilation + 1;
        int64_t padded;
        if (!mls__mul_i64(axis.output ? axis.output - 1 : 0, axis.stride, &padded) ||
            !mls__add_i64(padded, reach, &padded))
            return false;
        c->phase[i] = padded / axis.stride + (padded % axis.stride != 0);
        if (!mls__mul_i64(bytes, c->phase[i], &bytes) || !mls__mul_i64(bytes, axis.stride, &bytes))
            return false;
    }
    const mls__conv_axis rows = axis_of(&c->shape, ROW);
    const int64_t fitting = RUN_SUMS / c->phase[COLUMN];
    c->run_rows = fitting < 1 ? 1 : fitting < rows.output ? fitting : rows.output;
    const bool fits =
        mls__add_i64(bytes, SLACK, &bytes) && mls__mul_i64(c->run_rows, c->phase[COLUMN], &sums) &&
        mls__add_i64(sums, SLACK, &sums) &&
        mls__int8_conv_region(&total, c->depth, sizeof(int64_t) + sizeof(int32_t), &taps_offset) &&
        mls__int8_conv_region(&total, bytes, 1, &c->panels_offset) &&
        mls__int8_conv_region(&total, sums, sizeof(int32_t), &c->terms_offset);
    c->slot_bytes = total;
    return fits;
}

/* --- a channel ------------------------------------------------------------------------------- */

/* Where element `index` of a padded axis lies among those of its axis. */
static int64_t split(const mls__int8_conv *c, int axis, int64_t index)
{
    const int64_t stride = axis_of(&c->shape, axis).stride;
    return index % stride * c->phase[axis] + index / stride;
}

/* Elements of the padded axis, and how far apart its rows are. */
static int64_t padded_count(const mls__int8_conv *c, int axis)
{
    return c->phase[axis] * axis_of(&c->shape, axis).stride;
}

/*
 * Columns of one phase lie together over all rows: column phases, depths, rows, columns. This is
 * where a padded row begins, for the first phase of columns, and how far the next one is.
 */
static int64_t row_place(const mls__int8_conv *c, int64_t depth, int64_t row)
{
    return (split(c, DEPTH, depth) * padded_count(c, ROW) + split(c, ROW, row)) * c->phase[COLUMN];
}

static int64_t phase_step(const mls__int8_conv *c)
{
    return padded_count(c, DEPTH) * padded_count(c, ROW) * c->phase[COLUMN];
}

/* One phase of the columns: which of them are inside, from the first one in the input on. */
typedef struct column_phase {
    int64_t first, count, from;
} column_phase;

static column_phase read_phase(const mls__conv_axis *axis, int64_t phase, int64_t length)
{
    const int64_t before = axis->before - phase;
    const int64_t first = before <= 0 ? 0 : (before + axis->stride - 1) / axis->stride;
    const int64_t from = first * axis->stride + phase - axis->before;
    int64_t count = from < axis->input ? (axis->input - from - 1) / axis->stride + 1 : 0;
    if (count > length - first)
        count = length - first;
    return (column_phase){first, count, from};
}

/*
 * Rows of `count` bytes that are `length` apart in the padded plane, with what lies between them,
 * in pieces that go past a row's end: what they spoil is written after them.
 */
static void copy_close_rows(uint8_t *to, int64_t length, const uint8_t *from, int64_t step,
                            int64_t rows, int64_t count, uint8_t pad)
{
    for (int64_t r = 0; r < rows - 1; r++, to += length, from += step) {
        for (int64_t i = 0; i < count; i += PIECE)
            memcpy(to + i, from + i, PIECE);
        for (int64_t i = count; i < length; i += PIECE)
            memset(to + i, pad, PIECE);
    }
    memcpy(to, from, (size_t) count);
    memset(to + count, pad, (size_t) (length - count));
    memset(to + length, pad, PIECE);
}

/* The rows of one plane of the input; `padded` is where the padded plane begins. */
static void copy_rows(const mls__int8_conv_work *w, const column_phase *p, const uint8_t *x,
                      uint8_t *padded)
{
    const mls__int8_conv *c = w->conv;
    const mls__gemm_int8_kernels *kernels = c->base.cpu->kernels->gemm_int8;
    const mls__conv_axis rows = axis_of(&c->shape, ROW), columns = axis_of(&c->shape, COLUMN);
    const int64_t room = padded_count(c, ROW) - rows.before, length = c->phase[COLUMN];
    const int64_t taken = rows.input < room ? rows.input : room;
    int64_t phase = rows.before % rows.stride, place = rows.before / rows.stride;
    /* Two rows more are there for a piece to go on in. */
    const bool is_wide = columns.input >= PIECE / 2 && length >= PIECE / 2;
    if (rows.stride == 1 && columns.stride == 1 && is_wide && taken > 2) {
        uint8_t *to = padded + place * length + p->first;
        const uint8_t *from = x + p->from;
        copy_close_rows(to, length, from, columns.input, taken - 1, p->count, w->x_pad);
        memcpy(to + (taken - 1) * length, from + (taken - 1) * columns.input, (size_t) p->count);
        return;
    }
    for (int64_t r = 0; r < taken; r++) {
        kernels->take_steps(padded + (phase * c->phase[ROW] + place) * length + p->first,
                            x + r * columns.input + p->from, p->count, columns.stride);
        if (++phase == rows.stride) {
            phase = 0;
            place++;
        }
    }
}

/* Copied as it is, and brought to unsigned bytes as a whole. */
static void copy_channel(const mls__int8_conv_work *w, const uint8_t *x, uint8_t *ret_padded)
{
    const mls__int8_conv *c = w->conv;
    const mls__conv_axis depths = axis_of(&c->shape, DEPTH), columns = axis_of(&c->shape, COLUMN);
    const int64_t plane = axis_of(&c->shape, ROW).input * columns.input;
    const int64_t step = phase_step(c), room = padded_count(c, DEPTH) - depths.before;
    memset(ret_padded, w->x_pad, (size_t) (step * columns.stride));
    for (int64_t phase = 0; phase < columns.stride; phase++) {
        const column_phase p = read_phase(&columns, phase, c->phase[COLUMN]);
        for (int64_t d = 0; p.count > 0 && d < depths.input && d < room; d++)
            copy_rows(w, &p, x + d * plane,
                      ret_padded + phase * step + row_place(c, d + depths.before, 0));
    }
    if (c->is_x_signed)
        c->base.cpu->kernels->gemm_int8->flip(ret_padded, ret_padded, step * columns.stride);
}

/* Where each tap finds what lies under the first element of the output. */
static void place_taps(const mls__int8_conv *c, int64_t *ret_offsets)
{
    const mls__conv_axis depths = axis_of(&c->shape, DEPTH), rows = axis_of(&c->shape, ROW),
                         columns = axis_of(&c->shape, COLUMN);
    for (int64_t d = 0; d < depths.kernel; d++)
        for (int64_t r = 0; r < rows.kernel; r++)
            for (int64_t k = 0; k < columns.kernel; k++) {
                const int64_t column = k * columns.dilation;
                *ret_offsets++ = column % columns.stride * phase_step(c) + column / columns.stride +
                                 row_place(c, d * depths.dilation, r * rows.dilation);
            }
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

static void run_rows(const mls__int8_conv *c, const mls__gemm_int8 *g, char *slot)
{
    const mls__gemm_int8_kernels *kernels = c->base.cpu->kernels->gemm_int8;
    const int64_t *offsets = (const int64_t *) (const void *) slot;
    const int32_t *weights = (const int32_t *) (const void *) (offsets + c->depth);
    int32_t *sums = (int32_t *) (void *) (slot + c->terms_offset);
    const uint8_t *padded = (const uint8_t *) slot + c->panels_offset;
    const int64_t width = axis_of(&c->shape, COLUMN).output, length = c->phase[COLUMN];
    const int64_t rows = axis_of(&c->shape, ROW).output, depths = axis_of(&c->shape, DEPTH).output;
    for (int64_t d = 0; d < depths; d++) {
        const uint8_t *plane = padded + d * padded_count(c, ROW) * length;
        for (int64_t row = 0; row < rows; row += c->run_rows) {
            const int64_t taken = rows - row < c->run_rows ? rows - row : c->run_rows;
            kernels->taps(sums, plane + row * length, offsets, weights, c->depth,
                          (taken - 1) * length + width);
            kernels->close_up(sums, taken, width, length);
            kernels->finish(g, sums, 0, 0, 1, (d * rows + row) * width, taken * width);
        }
    }
}

/* The input's zero point goes with the sum of the weights, which have theirs taken off. */
static void run_filter(const mls__int8_conv_work *w, int64_t image, int64_t filter, char *slot)
{
    const mls__int8_conv *c = w->conv;
    int32_t *weights = (int32_t *) (void *) (slot + (size_t) c->depth * sizeof(int64_t));
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
    run_rows(c, &g, slot);
}

/* Channels of all images, each with its filters. */
static void run_channels(void *arg, const mls__cpu_take *take)
{
    const mls__int8_conv_work *w = arg;
    const mls__int8_conv *c = w->conv;
    const mls__convolution *shape = &c->shape;
    char *slot = mls__int8_conv_slot(w, take->slot);
    int64_t channel_bytes = 1;
    for (int i = 0; i < shape->rank; i++)
        channel_bytes *= shape->axes[i].input;
    place_taps(c, (int64_t *) (void *) slot);
    for (int64_t i = take->begin; i < take->end; i++) {
        const int64_t group = i % shape->groups, image = i / shape->groups;
        copy_channel(w, (const uint8_t *) w->call->buffers[c->roles->x] + i * channel_bytes,
                     (uint8_t *) slot + c->panels_offset);
        for (int64_t f = 0; f < shape->filters; f++)
            run_filter(w, image, group * shape->filters + f, slot);
    }
}

static mls_status run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__int8_conv *c = (const mls__int8_conv *) kernel;
    mls__int8_conv_work w;
    if (c->pixels == 0 || c->shape.batch == 0 || c->shape.filters == 0)
        return MLS_OK;
    mls__int8_conv_start(c, call, &w);
    mls__cpu_tasks(call, c->threads, c->shape.groups * c->shape.batch, 1, run_channels, &w);
    return MLS_OK;
}

const mls__int8_conv_way mls__int8_way_depth = {
    "int8_conv_depth", "int8cnv", run, mls__int8_conv_pack, mls__int8_conv_plan_filters, plan_slot};
