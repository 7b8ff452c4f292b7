/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions with channels last of groups of one channel with one filter, on one or two axes. A
 * ring holds the rows of the input that a row of the output sees, with their padding and as
 * unsigned bytes; each is copied once.
 */
#include "backend/cpu/ops/int8_conv.h"

#include "base/alloc.h"

#include <string.h>

/* Four vectors of groups: a column of four rows of a filter, for a block. */
#define QUAD 256
/* Rows of a task, at least: each copies some of those before it once more. */
#define BAND_ROWS 4

/* The axes as two: one that is missing has one element. */
enum { ROW, COLUMN, AXES };

static mls__conv_axis axis_of(const mls__convolution *shape, int axis)
{
    const int own = axis - (AXES - shape->rank);
    const mls__conv_axis none = {1, 1, 1, 1, 1, 0};
    return own < 0 ? none : shape->axes[own];
}

static int64_t blocks_of(const mls__int8_conv *c)
{
    return (c->shape.groups + MLS__INT8_BLOCK - 1) / MLS__INT8_BLOCK;
}

/* Groups of rows of a filter. */
static int64_t row_groups(const mls__int8_conv *c)
{
    return mls__int8_groups(axis_of(&c->shape, ROW).kernel);
}

/* Rows of the input that one of the output sees, from the first to the last. */
static int64_t ring_rows(const mls__int8_conv *c)
{
    const mls__conv_axis axis = axis_of(&c->shape, ROW);
    return (axis.kernel - 1) * axis.dilation + 1;
}

/* --- filters --------------------------------------------------------------------------------- */

/* The channel of byte b of a block; few channels are repeated. */
static int64_t channel_of(const mls__int8_conv *c, int64_t block, int64_t b)
{
    const int64_t channels = c->shape.groups;
    return MLS__INT8_BLOCK % channels == 0 ? b % channels : block * MLS__INT8_BLOCK + b;
}

static bool plan_filters(mls__int8_conv *c)
{
    const int64_t columns = axis_of(&c->shape, COLUMN).kernel;
    uint64_t weights_offset, total = 0;
    int64_t quads;
    const bool fits =
        mls__mul_i64(blocks_of(c), row_groups(c), &quads) && mls__mul_i64(quads, columns, &quads) &&
        mls__int8_conv_region(&total, quads, QUAD, &weights_offset) &&
        mls__int8_conv_region(&total, c->shape.groups, sizeof(int32_t), &c->sums_offset);
    c->packed_bytes = total;
    c->own_terms = blocks_of(c) * MLS__INT8_BLOCK;
    return fits;
}

/* The column of four rows from `row` on of all filters of a block. */
static void pack_quad(const mls__int8_conv *c, const uint8_t *w, int64_t block, int64_t row,
                      int64_t column, uint8_t *ret_quad)
{
    const mls__conv_axis rows = axis_of(&c->shape, ROW), columns = axis_of(&c->shape, COLUMN);
    const uint8_t mask = c->is_w_signed ? 0 : 0x80;
    for (int64_t b = 0; b < MLS__INT8_BLOCK; b++) {
        const int64_t channel = channel_of(c, block, b);
        uint8_t *group = ret_quad + MLS__INT8_BLOCK_PLACE(b) * MLS__INT8_GROUP;
        for (int64_t r = 0; r < MLS__INT8_GROUP; r++)
            group[r] = channel < c->shape.groups && row + r < rows.kernel
                           ? w[channel * c->depth + (row + r) * columns.kernel + column] ^ mask
                           : 0;
    }
}

static void pack(const mls__int8_conv *c, const uint8_t *w, char *ret_packed)
{
    const int64_t columns = axis_of(&c->shape, COLUMN).kernel, groups = row_groups(c);
    uint8_t *quad = (uint8_t *) ret_packed;
    int32_t *sums = (int32_t *) (void *) (ret_packed + c->sums_offset);
    for (int64_t block = 0; block < blocks_of(c); block++)
        for (int64_t g = 0; g < groups; g++)
            for (int64_t column = 0; column < columns; column++, quad += QUAD)
                pack_quad(c, w, block, g * MLS__INT8_GROUP, column, quad);
    for (int64_t f = 0; f < c->shape.groups; f++) {
        const int32_t flipped = c->is_w_signed ? 0 : (int32_t) (128 * c->depth);
        sums[f] =
            c->base.cpu->kernels->gemm_int8->row_sum(w + f * c->depth, c->depth, c->is_w_signed) -
            flipped;
    }
}

/* --- memory ---------------------------------------------------------------------------------- */

static mls__int8_depth depth_of(const mls__int8_conv *c)
{
    const mls__conv_axis columns = axis_of(&c->shape, COLUMN);
    return (mls__int8_depth){.channels = c->shape.groups,
                             .groups = row_groups(c),
                             .columns = columns.kernel,
                             .stride = columns.stride,
                             .dilation = columns.dilation,
                             .form = c->form};
}

/* A slot: the rows that a filter sees, the ring, and what the kernel works in. */
static bool plan_slot(mls__int8_conv *c)
{
    const mls__conv_axis columns = axis_of(&c->shape, COLUMN);
    const mls__int8_depth d = depth_of(c);
    uint64_t rows_offset, total = 0;
    int64_t reach, padded, row, ring, scratch;
    const bool fits =
        mls__mul_i64(columns.kernel - 1, columns.dilation, &reach) &&
        mls__add_i64(reach, 1, &reach) &&
        mls__mul_i64(columns.output ? columns.output - 1 : 0, columns.stride, &padded) &&
        mls__add_i64(padded, reach, &padded) && mls__mul_i64(padded, d.channels, &row) &&
        mls__add_i64(row, MLS__INT8_BLOCK, &row) && mls__mul_i64(row, ring_rows(c), &ring) &&
        mls__mul_i64(MLS__INT8_DEPTH_PIXELS - 1, d.stride, &scratch) &&
        mls__add_i64(scratch, reach, &scratch) && mls__mul_i64(scratch, d.groups, &scratch) &&
        mls__int8_conv_region(&total, d.groups * MLS__INT8_GROUP, sizeof(const uint8_t *),
                              &rows_offset) &&
        mls__int8_conv_region(&total, ring, 1, &c->panels_offset) &&
        mls__int8_conv_region(&total, scratch, QUAD, &c->terms_offset);
    c->ring_bytes = fits ? row : 0;
    c->slot_bytes = total;
    return fits;
}

/* --- rows ------------------------------------------------------------------------------------ */

/* What the tasks of one run share. */
typedef struct depth_work {
    mls__int8_conv_work work;
    mls__int8_depth depth;
} depth_work;

/* The place of a row of the input, padding included, in the ring. */
static uint8_t *ring_row(const mls__int8_conv *c, char *slot, int64_t row)
{
    return (uint8_t *) slot + c->panels_offset + row % ring_rows(c) * c->ring_bytes;
}

/* Row `row` of an image with its padding, as unsigned bytes. */
static void copy_row(const mls__int8_conv_work *w, const uint8_t *image, int64_t row,
                     uint8_t *ret_row)
{
    const mls__int8_conv *c = w->conv;
    const mls__conv_axis rows = axis_of(&c->shape, ROW), columns = axis_of(&c->shape, COLUMN);
    const int64_t channels = c->shape.groups, length = c->ring_bytes;
    const int64_t index = row - rows.before, input = columns.input * channels;
    int64_t before = columns.before * channels;
    before = before < length ? before : length;
    const int64_t count = input < length - before ? input : length - before;
    if (index < 0 || index >= rows.input) {
        memset(ret_row, w->x_pad, (size_t) length);
    } else {
        memset(ret_row, w->x_pad, (size_t) before);
        memcpy(ret_row + before, image + index * input, (size_t) count);
        memset(ret_row + before + count, w->x_pad, (size_t) (length - before - count));
    }
    if (c->is_x_signed)
        c->base.cpu->kernels->gemm_int8->flip(ret_row, ret_row, length);
}

/* What lies under each row of the filter; a group's missing rows, which count 0, are the first. */
static void find_rows(const mls__int8_conv *c, int64_t first, char *slot)
{
    const mls__conv_axis axis = axis_of(&c->shape, ROW);
    const uint8_t **rows = (const uint8_t **) (void *) slot;
    for (int64_t r = 0; r < row_groups(c) * MLS__INT8_GROUP; r++)
        rows[r] = ring_row(c, slot, first + (r < axis.kernel ? r * axis.dilation : 0));
}

/* Rows begin .. end-1 of the output of one image. */
static void run_rows(const depth_work *d, int64_t image, int64_t begin, int64_t end, char *slot)
{
    const mls__int8_conv *c = d->work.conv;
    const mls__conv_axis rows = axis_of(&c->shape, ROW), columns = axis_of(&c->shape, COLUMN);
    const int64_t channels = c->shape.groups;
    const uint8_t *x = d->work.call->buffers[c->roles->x];
    uint8_t *y = (uint8_t *) d->work.gemm.y + image * c->pixels * channels;
    int64_t copied = 0;
    x += image * rows.input * columns.input * channels;
    for (int64_t row = begin; row < end; row++) {
        const int64_t first = row * rows.stride;
        copied = copied < first ? first : copied;
        for (; copied < first + ring_rows(c); copied++)
            copy_row(&d->work, x, copied, ring_row(c, slot, copied));
        find_rows(c, first, slot);
        c->base.cpu->kernels->gemm_int8->depth(
            &d->depth, (const uint8_t *const *) (const void *) slot, columns.output,
            y + row * columns.output * channels, (uint8_t *) slot + c->terms_offset);
    }
}

/* Rows of all images. */
static void run_band(void *arg, const mls__cpu_take *take)
{
    const depth_work *d = arg;
    const mls__int8_conv *c = d->work.conv;
    const int64_t rows = axis_of(&c->shape, ROW).output;
    const int64_t end = mls__int8_conv_piece(c, rows * c->shape.batch, BAND_ROWS, take->end);
    char *slot = mls__int8_conv_slot(&d->work, take->slot);
    int64_t at = mls__int8_conv_piece(c, rows * c->shape.batch, BAND_ROWS, take->begin);
    while (at < end) {
        const int64_t image = at / rows, left = rows - at % rows;
        const int64_t taken = left < end - at ? left : end - at;
        run_rows(d, image, at % rows, at % rows + taken, slot);
        at += taken;
    }
}

/* --- a run ----------------------------------------------------------------------------------- */

/* Biases and scales in the order of blocks. */
static void set_terms(depth_work *d)
{
    const mls__int8_conv_work *w = &d->work;
    const mls__int8_conv *c = w->conv;
    char *workspace = w->call->workspace;
    int32_t *bias = (int32_t *) (void *) (workspace + c->own_bias_offset);
    float *scales = (float *) (void *) (workspace + c->own_scales_offset);
    for (int64_t i = 0; i < c->own_terms; i++) {
        const int64_t block = i / MLS__INT8_BLOCK, b = i % MLS__INT8_BLOCK;
        const int64_t place = block * MLS__INT8_BLOCK + MLS__INT8_BLOCK_PLACE(b);
        const int64_t channel = channel_of(c, block, b);
        bias[place] = 0;
        scales[place] = 0;
        if (channel >= c->shape.groups)
            continue;
        const uint32_t given = w->gemm.bias.data ? (uint32_t) w->gemm.bias.data[channel] : 0;
        const uint32_t zeros = (uint32_t) w->x_zero * (uint32_t) w->filters.sums[channel];
        bias[place] = (int32_t) (given - zeros);
        scales[place] = w->gemm.scale.data[channel * w->gemm.scale.row];
    }
    d->depth.weights = (const int8_t *) w->filters.bytes;
    d->depth.bias = bias;
    d->depth.scales = scales;
    d->depth.y_zero = w->gemm.y_zero;
}

static mls_status run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__int8_conv *c = (const mls__int8_conv *) kernel;
    depth_work d = {.depth = depth_of(c)};
    if (c->pixels == 0 || c->shape.batch == 0 || c->shape.groups == 0)
        return MLS_OK;
    mls__int8_conv_start(c, call, &d.work);
    set_terms(&d);
    const int64_t rows = axis_of(&c->shape, ROW).output * c->shape.batch;
    mls__cpu_tasks(call, c->threads, mls__int8_conv_pieces(c, rows, BAND_ROWS), 1, run_band, &d);
    return MLS_OK;
}

const mls__int8_conv_way mls__int8_way_last_depth = {"int8_conv_last_depth", "int8lsd", run, pack,
                                                     plan_filters,           plan_slot};
