/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a convolution, an image at a time: tasks are units of filters by chunks of outputs, which
 * threads share. Where the output is not blocked, a direct convolution's chunk is computed in the
 * workspace and then turned; 16-bit floats go through float32 images there.
 */
#include "backend/cpu/ops/conv_tasks.h"

#include "backend/cpu/ops/ranges.h"

#include <math.h>
#include <string.h>

/* Multiply-adds that take longer than handing some to a thread that looks for work: 2 us. */
#define LARGE_WORK (INT64_C(1) << 18)

/* 16-bit floats that are worth handing over. */
#define CONVERT_GRAIN (INT64_C(1) << 14)

/* --- tasks ----------------------------------------------------------------------------------- */

static int64_t piece_begin(const mls__conv_op *conv, int64_t piece)
{
    return mls__cpu_part_begin(conv->row_units, conv->row_pieces, piece) * conv->piece_unit;
}

mls__conv_chunk mls__conv_chunk_at(const mls__conv_op *conv, int64_t index)
{
    if (conv->row_pieces > 1) {
        const int64_t row = index / conv->row_pieces, piece = index % conv->row_pieces;
        return (mls__conv_chunk){row, row + 1, piece_begin(conv, piece),
                                 piece_begin(conv, piece + 1)};
    }
    return (mls__conv_chunk){mls__cpu_part_begin(conv->rows, conv->chunks, index),
                             mls__cpu_part_begin(conv->rows, conv->chunks, index + 1), 0,
                             INT64_MAX};
}

int64_t mls__conv_class_step(const mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    return s->is_transposed ? s->axes[s->rank - 1].stride : 1;
}

mls__conv mls__conv_of(const mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const int64_t unit = s->is_x_blocked ? MLS__CONV_BLOCK : 1;
    const mls__conv_axis *axis = &s->axes[s->rank - 1];
    const mls__activation *activation = &conv->activation;
    const bool is_relu = activation->run && activation->op == MLS__UNARY_RELU;
    const bool is_clip = activation->run && activation->op == MLS__UNARY_CLIP;
    return (mls__conv){
        .channels = s->channels,
        .positions = conv->positions,
        .x_step = s->is_transposed ? unit : unit * axis->stride,
        .x_channel = s->is_x_blocked ? 1 : conv->x_plane,
        .x_block = MLS__CONV_BLOCK * conv->x_plane,
        .is_x_near = conv->is_x_near,
        .is_y_near = conv->is_y_near,
        .activation = activation->run,
        .activation_params = activation->params,
        .is_bounded = is_relu || is_clip,
        .low = is_relu ? 0 : activation->params[0],
        .high = is_relu ? INFINITY : activation->params[1],
        .round = conv->is_rounded && !conv->is_pooled ? conv->half.round : NULL,
    };
}

/* How many of the last lines of a plain image the row of outputs below reads anew. */
static int64_t count_fresh_lines(const mls__conv_op *conv, int64_t index, int64_t line_count)
{
    const mls__convolution *s = &conv->shape;
    const mls__conv_axis *axis = &s->axes[0];
    if (!conv->offsets || s->rank != 2 || s->is_x_blocked || axis->dilation > 1 ||
        index + 1 >= conv->rows)
        return 0;
    return mls__at_most(axis->stride, line_count);
}

mls__conv_row mls__conv_rows_of(const mls__conv_op *conv, const mls__conv_class *class)
{
    return (mls__conv_row){
        .taps = conv->taps + class->tap,
        .tap_count = class->tap_count,
        .begin = class->begin,
        .end = class->end,
        .offsets = conv->offsets,
    };
}

void mls__conv_set_row(const mls__conv_op *conv, int64_t index, mls__conv_line *lines,
                       mls__conv_row *row)
{
    const mls__conv_axis *axes = conv->shape.axes;
    row->lines = lines;
    row->line_count = mls__conv_lines(conv, index, lines);
    row->lines_at_once = conv->shape.rank == 2 ? row->line_count : 1;
    row->fresh_lines = count_fresh_lines(conv, index, row->line_count);
    row->ahead_x = row->fresh_lines ? axes[0].stride * axes[1].input : 0;
}

/* --- an image -------------------------------------------------------------------------------- */

/* By mls__conv_method. */
static const mls__conv_task_fn task_fns[] = {mls__conv_run_direct, mls__conv_run_depthwise,
                                             mls__conv_run_rows, mls__conv_run_plain,
                                             mls__conv_run_fast};

/* All units of a chunk follow each other, or all chunks of a unit, as far as they are together. */
static void run_tasks(void *arg, const mls__cpu_take *take)
{
    const mls__conv_image *w = arg;
    const mls__conv_op *conv = w->conv;
    const int64_t first = conv->is_region_of_rows ? take->first : 0;
    const int64_t chunks =
        conv->is_region_of_rows ? (take->last - first) / conv->units : conv->chunks;
    for (int64_t t = take->begin - first; t < take->end - first; t++) {
        const int64_t unit = conv->is_chunk_outer ? t % conv->units : t / chunks;
        const int64_t chunk = conv->is_chunk_outer ? t / conv->units : t % chunks;
        task_fns[conv->method](w, unit, first / conv->units + chunk,
                               w->slots + take->slot * conv->slot_bytes);
    }
}

/* Lanes without a filter take time too; without sums over channels loads are most of it. */
double mls__conv_work(const mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const bool is_depthwise = conv->method == MLS__CONV_DEPTHWISE;
    const int64_t filters = conv->method == MLS__CONV_DIRECT
                                ? conv->panels * MLS__CHANNEL_BLOCK * s->groups
                                : s->filters * s->groups;
    return (double) conv->y_plane * (double) filters * (double) s->channels *
           (double) conv->positions * (is_depthwise ? 4 : 1);
}

static void run_image(mls__conv_image *w, const mls_kernel_call *call)
{
    const mls__conv_op *conv = w->conv;
    const uint32_t threads = mls__conv_work(conv) >= LARGE_WORK ? conv->threads : 1;
    mls__cpu_tasks(call, threads, conv->units * conv->chunks,
                   conv->is_region_of_rows ? conv->units : 1, run_tasks, w);
}

/* --- a run ----------------------------------------------------------------------------------- */

static float *region(const mls_kernel_call *call, uint64_t offset)
{
    return (float *) (void *) ((char *) call->workspace + offset);
}

static const void *weights_of(const mls__conv_op *conv, const mls_kernel_call *call)
{
    if (conv->packed)
        return conv->packed;
    if (mls__conv_is_unpacked(conv))
        return call->buffers[1];
    float *packed = region(call, conv->w_offset);
    mls__conv_pack(conv, call->buffers[1], packed);
    return packed;
}

const void *mls__conv_bias(const mls__conv_op *conv, const mls_kernel_call *call)
{
    const mls__convolution *s = &conv->shape;
    const bool is_depthwise = conv->method == MLS__CONV_DEPTHWISE;
    const int64_t groups = is_depthwise ? 1 : s->groups;
    const int64_t filters = is_depthwise ? s->groups : s->filters;
    const int64_t padded = mls__channel_blocks(filters) * MLS__CONV_BLOCK;
    if (!conv->has_bias || conv->method == MLS__CONV_PLAIN)
        return conv->has_bias ? call->buffers[2] : NULL;
    float *bias = region(call, conv->bias_offset);
    for (int64_t g = 0; g < groups; g++) {
        float *own = bias + g * padded;
        if (conv->is_half)
            conv->half.to_f32(own, (const uint16_t *) call->buffers[2] + g * filters, filters);
        else
            memcpy(own, (const float *) call->buffers[2] + g * filters,
                   (size_t) filters * sizeof *own);
        memset(own + filters, 0, (size_t) (padded - filters) * sizeof *own);
    }
    return bias;
}

/* Elements of an image of the input and of the output. */
static int64_t x_elements(const mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const int64_t channels = s->channels * s->groups;
    return conv->x_plane *
           (s->is_x_blocked ? mls__channel_blocks(channels) * MLS__CONV_BLOCK : channels);
}

static int64_t y_elements(const mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const int64_t filters = s->filters * s->groups;
    return conv->out_plane *
           (s->is_y_blocked ? mls__channel_blocks(filters) * MLS__CONV_BLOCK : filters);
}

/* An image of 16-bit floats from or to float32; `lanes` of a place lie together. */
typedef struct conversion {
    const mls__half *half;
    const uint16_t *from;
    uint16_t *to;
    float *wide;
    int64_t planes, plane, lanes;
} conversion;

/* Places begin .. end-1 of all planes: about those that a region of tasks reads or writes. */
static mls_status convert_places(void *arg, int64_t begin, int64_t end)
{
    const conversion *c = arg;
    for (int64_t i = 0; i < c->planes; i++) {
        const int64_t at = (i * c->plane + begin) * c->lanes, count = (end - begin) * c->lanes;
        if (c->from)
            c->half->to_f32(c->wide + at, c->from + at, count);
        else
            c->half->from_f32(c->to + at, c->wide + at, count);
    }
    return MLS_OK;
}

static void convert(const mls__conv_op *conv, const mls_kernel_call *call, bool is_blocked,
                    int64_t elements, conversion c)
{
    c.half = &conv->half;
    c.lanes = is_blocked ? MLS__CONV_BLOCK : 1;
    c.planes = c.plane ? elements / (c.plane * c.lanes) : 0;
    if (c.planes)
        mls__cpu_row_ranges(call, conv->threads, c.plane, CONVERT_GRAIN / (c.planes * c.lanes) + 1,
                            convert_places, &c);
}

/* An image whose input or output are of 16 bits, but for what is narrowed by the chunk. */
static void run_half(mls__conv_image *w, const mls_kernel_call *call)
{
    const mls__conv_op *conv = w->conv;
    float *wide_x = region(call, conv->x_offset), *wide_y = region(call, conv->y_offset);
    float *wide_z = region(call, conv->z_offset);
    const bool is_wide = conv->is_y_half && !conv->is_narrowed;
    void *y = w->y;
    if (conv->is_x_half) {
        convert(conv, call, conv->shape.is_x_blocked, x_elements(conv),
                (conversion){.from = w->x, .wide = wide_x, .plane = conv->x_plane});
        w->x = wide_x;
    }
    if (is_wide && w->z) {
        convert(conv, call, conv->shape.is_y_blocked, y_elements(conv),
                (conversion){.from = w->z, .wide = wide_z, .plane = conv->out_plane});
        w->z = wide_z;
    }
    if (is_wide)
        w->y = wide_y;
    run_image(w, call);
    if (is_wide)
        convert(conv, call, conv->shape.is_y_blocked, y_elements(conv),
                (conversion){.to = y, .wide = wide_y, .plane = conv->out_plane});
}

mls_status mls__conv_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__conv_op *conv = (const mls__conv_op *) kernel;
    if (conv->is_empty)
        return MLS_OK;
    const int64_t x_size = (int64_t) mls_dtype_size((mls_dtype) conv->dtype);
    const int64_t y_size = (int64_t) mls_dtype_size((mls_dtype) conv->y_dtype);
    mls__conv_image w = {.conv = conv,
                         .kernels = conv->base.cpu->kernels->conv,
                         .w = weights_of(conv, call),
                         .bias = mls__conv_bias(conv, call),
                         .slots = (char *) call->workspace + conv->slots_offset};
    for (int64_t n = 0; n < conv->shape.batch; n++) {
        const int64_t at = n * y_elements(conv) * y_size;
        w.x = (const char *) call->buffers[0] + n * x_elements(conv) * x_size;
        w.y = (char *) call->buffers[conv->y_index] + at;
        w.z = conv->has_residual ? (const char *) call->buffers[3] + at : NULL;
        if (conv->is_x_half || conv->is_y_half)
            run_half(&w, call);
        else
            run_image(&w, call);
    }
    return MLS_OK;
}
