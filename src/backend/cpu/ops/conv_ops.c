/* SPDX-License-Identifier: Apache-2.0 */
/* Conv, ConvTranspose and their fused forms as kernels: how each is done, and its workspace. */
#include "backend/cpu/ops/conv.h"

#include "backend/cpu/ops/families.h"
#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

/*
 * Rows of a panel's weights that one pass over a chunk reads, as far as a block has no more: four
 * panels and what comes behind them fit the second cache together with a chunk.
 */
#define STEP_ROWS 576
/* Filters of a group that are too few for lanes across filters: always, and with long rows. */
#define FEW_FILTERS      8
#define FEWER_THAN_LANES 16
#define LONG_ROW         16
/* Tasks that there are for each thread, if each has this many multiply-adds: 1 us. */
#define TASKS_A_THREAD 8
#define TASK_WORK      (1 << 17)
/* Outputs of a task are a multiple: whole tiles, and more for weights that do not stay in a cache.
 */
#define TASK_OUTPUTS  28
#define LARGE_WEIGHTS (1 << 16)
/* Threads have rows each as long as there are no more weights than this for an input. */
#define WEIGHTS_AN_INPUT 4
/* The second cache has an image of no more floats, or what lay where it is to be: 256 KiB. */
#define NEAR_IMAGE (1 << 16)
/* With so few channels the taps of a line are taken as one. */
#define FEW_CHANNELS 8
/* Lanes along a row read inputs this far apart at most. */
#define MOST_STEP (INT64_C(1) << 24)

/* --- dims ------------------------------------------------------------------------------------ */

/* Whether output i reads input i alone, whatever the coordinates. */
static bool is_pointwise(const mls__convolution *s)
{
    for (int i = 0; i < s->rank; i++) {
        const mls__conv_axis *axis = &s->axes[i];
        if (axis->kernel != 1 || axis->stride != 1 || axis->before || axis->input != axis->output)
            return false;
    }
    return true;
}

static void flatten(mls__convolution *s)
{
    for (int i = 1; i < s->rank; i++) {
        s->axes[0].input *= s->axes[i].input;
        s->axes[0].output *= s->axes[i].output;
    }
    s->rank = 1;
}

/*
 * An axis of one element that one weight is for moves nothing. Without it the last axis may be the
 * long one that rows are made of, which models of sequences have first.
 */
static bool is_point(const mls__conv_op *conv, int i)
{
    const mls__conv_axis *axis = &conv->shape.axes[i];
    return axis->kernel == 1 && axis->input <= 1 && axis->input == axis->output && !axis->before &&
           (!conv->is_pooled || mls__conv_is_pool_point(conv, i));
}

static void drop_points(mls__conv_op *conv)
{
    mls__convolution *s = &conv->shape;
    int rank = 0;
    for (int i = 0; i < s->rank; i++) {
        if (!conv->is_dropped[i])
            s->axes[rank++] = s->axes[i];
        else if (conv->is_pooled)
            mls__conv_drop_pool_axis(conv, i);
    }
    s->rank = rank;
}

/* Chooses the axes that stay dropped, whatever dims come. */
static void choose_points(mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    int left = s->rank;
    for (int i = s->rank - 1; i >= 0; i--) {
        conv->is_dropped[i] = left > 1 && is_point(conv, i);
        left -= conv->is_dropped[i];
    }
}

static bool are_dropped_points(const mls__conv_op *conv)
{
    for (int i = 0; i < conv->shape.rank; i++)
        if (conv->is_dropped[i] && !is_point(conv, i))
            return false;
    return true;
}

static void read_planes(mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    conv->x_plane = conv->y_plane = conv->positions = 1;
    for (int i = 0; i < s->rank; i++) {
        conv->x_plane *= s->axes[i].input;
        conv->y_plane *= s->axes[i].output;
        conv->positions *= s->axes[i].kernel;
    }
    conv->out_plane = conv->y_plane;
    if (conv->is_pooled)
        conv->out_plane = conv->pool_rows.output * conv->pool_along.output;
    conv->panels = mls__channel_blocks(s->filters);
    conv->is_empty = !(s->batch && s->filters && conv->out_plane);
}

static mls_status read_shape(mls__conv_op *conv, const mls_op *op, bool is_first)
{
    mls_status status = mls__op_convolution(op, &conv->shape);
    if (!status && conv->is_pooled)
        status = mls__conv_read_pool(conv, op);
    if (status)
        return status;
    if (is_first)
        choose_points(conv);
    else if (!are_dropped_points(conv))
        return mls__op_error(op, MLS_ELIMIT, "has more dimensions at these dims than planned");
    drop_points(conv);
    if (!conv->is_pooled && is_pointwise(&conv->shape))
        flatten(&conv->shape);
    read_planes(conv);
    return MLS_OK;
}

/* --- how it is done -------------------------------------------------------------------------- */

static mls_status choose_method(mls__conv_op *conv, const mls_op *op)
{
    const mls__convolution *s = &conv->shape;
    const mls__conv_axis *last = &s->axes[s->rank - 1];
    const bool is_blocked = s->is_x_blocked || s->is_y_blocked;
    const bool is_single = s->channels == 1 && s->filters == 1 && !conv->is_pooled;
    conv->method = MLS__CONV_DIRECT;
    if (conv->dtype == MLS_FLOAT64)
        conv->method = MLS__CONV_PLAIN;
    else if (s->is_x_blocked && s->is_y_blocked && is_single)
        conv->method = MLS__CONV_DEPTHWISE;
    else if (!is_blocked && last->stride <= MOST_STEP &&
             (s->filters < FEW_FILTERS ||
              (s->filters < FEWER_THAN_LANES && last->output >= LONG_ROW)))
        conv->method = MLS__CONV_ROWS;
    const bool is_whole = (!s->is_x_blocked || s->channels % MLS__CONV_BLOCK == 0) &&
                          (!s->is_y_blocked || s->filters % MLS__CONV_BLOCK == 0);
    if (is_blocked && conv->method != MLS__CONV_DEPTHWISE &&
        (conv->method == MLS__CONV_PLAIN || (s->groups > 1 && !is_whole)))
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "its groups do not fill blocks of channels in a blocked tensor");
    const mls__conv_kernels *kernels = conv->base.cpu->kernels->conv;
    const char *const names[] = {kernels->direct_name, kernels->depthwise_name, kernels->rows_name,
                                 "conv.float64"};
    if (conv->method == MLS__CONV_DIRECT && mls__conv_is_fast(conv, op)) {
        conv->method = MLS__CONV_FAST;
        conv->base.base.name = conv->fast->conv_name;
        return MLS_OK;
    }
    conv->base.base.name = names[conv->method];
    return MLS_OK;
}

static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

static void cut_units(mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const int64_t units[] = {
        [MLS__CONV_DIRECT] = s->groups * divide_up(conv->panels, MLS__CONV_PANELS),
        [MLS__CONV_DEPTHWISE] = mls__channel_blocks(s->groups),
        [MLS__CONV_ROWS] = s->groups * divide_up(s->filters, MLS__CONV_FILTERS),
        [MLS__CONV_PLAIN] = s->groups * s->filters,
        [MLS__CONV_FAST] = s->groups,
    };
    conv->units = units[conv->method];
}

/*
 * Outputs of a chunk. Threads take one task after another, so they get more of them, that none
 * waits long for another at the end; but each task reads its weights again.
 */
static int64_t chunk_outputs(const mls__conv_op *conv)
{
    if (conv->method == MLS__CONV_FAST)
        return conv->fast_rows;
    if (conv->threads < 2)
        return MLS__CONV_CHUNK;
    const double panel = (double) conv->shape.channels * (double) conv->positions * MLS__CONV_BLOCK;
    const int64_t step = panel * MLS__CONV_PANELS > LARGE_WEIGHTS ? 4 * TASK_OUTPUTS : TASK_OUTPUTS;
    const double tasks = (double) conv->threads * TASKS_A_THREAD;
    const double all = (double) conv->y_plane * (double) conv->units;
    const double even = all / tasks, least = TASK_WORK * all / mls__conv_work(conv);
    const double outputs = even > least ? even : least;
    if (outputs > (double) (MLS__CONV_CHUNK - step))
        return MLS__CONV_CHUNK;
    return divide_up((int64_t) outputs + 1, step) * step;
}

/* Chunks of a few hundred outputs: rows, or pieces of a row that has more. */
static void cut_chunks(mls__conv_op *conv)
{
    const int64_t width = conv->classes[0].count;
    const bool is_cut = conv->method == MLS__CONV_DIRECT || conv->method == MLS__CONV_FAST;
    if (conv->is_pooled) {
        mls__conv_cut_bands(conv);
        return;
    }
    const int64_t outputs = chunk_outputs(conv);
    const int64_t rows = width < outputs ? outputs / width : 1;
    conv->piece_unit = conv->method == MLS__CONV_FAST ? outputs : TASK_OUTPUTS;
    conv->row_units = divide_up(width, conv->piece_unit);
    conv->row_pieces = 1;
    if (is_cut && width > outputs)
        conv->row_pieces = divide_up(conv->row_units, outputs / conv->piece_unit);
    conv->chunks = divide_up(conv->rows, rows) * conv->row_pieces;
}

/*
 * Threads that have a region of chunks each have as many of them, and as large ones, as far as rows
 * can be cut so: or else one has done its own before the others, and what it then can take of
 * theirs is more than its share of what is left, or nothing.
 */
static void even_chunks(mls__conv_op *conv)
{
    const bool is_cut = conv->row_pieces > 1;
    const int64_t most = is_cut ? conv->row_units : conv->rows, threads = conv->threads;
    if (conv->is_pooled || !conv->is_region_of_rows || conv->chunks <= threads ||
        (is_cut && conv->rows > 1))
        return;
    conv->chunks = mls__at_most(divide_up(conv->chunks, threads) * threads, most);
    if (is_cut)
        conv->row_pieces = conv->chunks;
}

/* So many that there are two tasks a thread, if that can be: each of them rounds its inputs. */
static int64_t fast_parts(const mls__conv_op *conv)
{
    const int64_t tasks = conv->chunks * conv->shape.groups;
    const int64_t wanted = conv->threads > 1 ? divide_up(2 * (int64_t) conv->threads, tasks) : 1;
    const int64_t most = divide_up(conv->panels, MLS__CONV_PANELS);
    return wanted < most ? wanted : most;
}

/*
 * Either the weights or the inputs are read again and again: the smaller ones should be. Threads
 * that have rows each find the inputs in their caches, and read all weights; those that have
 * filters each read their own, and get most of the inputs from others, which takes longer.
 */
static void choose_order(mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const double weights =
        (double) conv->panels * MLS__CONV_BLOCK * (double) s->channels * (double) conv->positions;
    const double inputs = (double) conv->x_plane * (double) s->channels;
    const double groups = (double) divide_up(conv->panels, MLS__CONV_PANELS);
    conv->is_chunk_outer = conv->method == MLS__CONV_DIRECT && s->groups == 1 &&
                           weights * (double) conv->chunks + inputs < inputs * groups + weights;
    conv->is_region_of_rows = conv->chunks >= conv->threads && weights <= inputs * WEIGHTS_AN_INPUT;
    const int64_t rows = conv->positions * MLS__CONV_BLOCK;
    conv->step_blocks = rows < STEP_ROWS ? STEP_ROWS / rows : 1;
    conv->is_x_near = inputs * (double) s->groups <= NEAR_IMAGE;
    conv->is_y_near = conv->y_plane <= NEAR_IMAGE / (s->filters * s->groups);
}

static void follow(mls__conv_op *conv)
{
    if (conv->is_empty)
        return;
    mls__conv_set_rows(conv);
    cut_units(conv);
    cut_chunks(conv);
    conv->fast_parts = fast_parts(conv);
    if (conv->method == MLS__CONV_FAST)
        conv->units *= conv->fast_parts;
    choose_order(conv);
    even_chunks(conv);
}

/* --- workspace ------------------------------------------------------------------------------- */

/* Room for a * b floats at *ret_offset; false when it overflows. */
static bool add_region(size_t *total, size_t a, size_t b, uint64_t *ret_offset)
{
    size_t bytes;
    *ret_offset = *total;
    return mls__mul_size(a, b, &bytes) && mls__mul_size(bytes, sizeof(float), &bytes) &&
           mls__align_size(bytes, &bytes) && mls__add_size(*total, bytes, total);
}

static bool add_slots(mls__conv_op *conv, size_t *total)
{
    const bool is_turned =
        conv->is_narrowed || (conv->method == MLS__CONV_DIRECT && !conv->shape.is_y_blocked);
    const size_t outputs = (size_t) MLS__CONV_CHUNK * MLS__CONV_BLOCK;
    const size_t panels =
        (size_t) (conv->panels < MLS__CONV_PANELS ? conv->panels : MLS__CONV_PANELS);
    uint64_t lines_offset;
    size_t bytes = 0, all, rows = 0;
    bool fits =
        (conv->method != MLS__CONV_FAST || mls__conv_fast_size(conv, &rows)) &&
        add_region(&bytes, (size_t) mls__conv_most_lines(conv),
                   sizeof(mls__conv_line) / sizeof(float), &lines_offset) &&
        add_region(&bytes, is_turned ? panels : 0, outputs, &conv->slot_y) &&
        add_region(&bytes, is_turned && conv->has_residual ? panels : 0, outputs, &conv->slot_z) &&
        add_region(&bytes, rows / sizeof(float), 1, &conv->slot_a);
    if (conv->is_pooled)
        fits = fits && mls__conv_band_regions(conv, &bytes);
    conv->slot_bytes = bytes;
    conv->slots_offset = *total;
    return fits && mls__mul_size(bytes, conv->threads, &all) && mls__add_size(*total, all, total);
}

static size_t blocked(int64_t channels)
{
    return (size_t) (mls__channel_blocks(channels) * MLS__CONV_BLOCK);
}

/* What the present dims need. */
static mls_status measure(mls__conv_op *conv, const mls_op *op, size_t *ret_bytes)
{
    const mls__convolution *s = &conv->shape;
    const bool is_wide = conv->is_y_half && !conv->is_narrowed;
    const size_t groups = (size_t) s->groups;
    const size_t x = blocked(s->channels * s->groups), y = blocked(s->filters * s->groups);
    size_t bytes = 0, packed = 0;
    bool fits = conv->packed || mls__conv_is_unpacked(conv) || mls__conv_pack_size(conv, &packed);
    fits =
        fits && add_region(&bytes, packed / sizeof(float), 1, &conv->w_offset) &&
        add_region(&bytes, conv->has_bias ? groups : 0, blocked(s->filters), &conv->bias_offset) &&
        add_region(&bytes, conv->is_x_half ? x : 0, (size_t) conv->x_plane, &conv->x_offset) &&
        add_region(&bytes, is_wide ? y : 0, (size_t) conv->out_plane, &conv->y_offset) &&
        add_region(&bytes, is_wide && conv->has_residual ? y : 0, (size_t) conv->y_plane,
                   &conv->z_offset) &&
        add_slots(conv, &bytes);
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    *ret_bytes = bytes;
    return MLS_OK;
}

/* Taps and classes for the planned dims. */
static mls_status make_rows(mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const mls__conv_axis *axis = &s->axes[s->rank - 1];
    conv->class_capacity = !s->is_transposed             ? 1
                           : axis->stride < axis->output ? axis->stride
                                                         : axis->output;
    const mls__allocator *allocator = conv->base.cpu->allocator;
    const size_t taps = (size_t) axis->kernel, classes = (size_t) conv->class_capacity;
    conv->taps = mls__alloc_array(allocator, taps, sizeof *conv->taps);
    conv->classes = mls__alloc_array(allocator, classes, sizeof *conv->classes);
    if (!conv->taps || !conv->classes)
        return mls__error_nomem(taps * sizeof *conv->taps);
    if (conv->method != MLS__CONV_DIRECT || s->is_transposed || s->channels < 1 ||
        s->channels > FEW_CHANNELS || taps < 2)
        return MLS_OK;
    const size_t offsets = taps * (size_t) (s->channels * mls__conv_lines_at_once(conv));
    conv->offsets = mls__alloc_array(allocator, offsets, sizeof *conv->offsets);
    return conv->offsets ? MLS_OK : mls__error_nomem(offsets * sizeof *conv->offsets);
}

/* --- kernels --------------------------------------------------------------------------------- */

/* Smaller dims may still need more: a longer row, fewer images that are larger. */
static mls_status conv_reshape(mls_kernel *kernel, const mls_op *op)
{
    mls__conv_op *conv = (mls__conv_op *) kernel;
    const bool was_empty = conv->is_empty && !conv->taps;
    size_t bytes;
    mls_status status = read_shape(conv, op, false);
    if (status || conv->is_empty)
        return status;
    const mls__conv_axis *axis = &conv->shape.axes[conv->shape.rank - 1];
    const bool fits = !conv->shape.is_transposed || axis->stride <= conv->class_capacity ||
                      axis->output <= conv->class_capacity;
    status = measure(conv, op, &bytes);
    if (!status && (was_empty || !fits || bytes > conv->base.base.workspace_bytes))
        status = mls__op_error(op, MLS_ELIMIT, "needs more memory at these dims than planned");
    if (!status)
        follow(conv);
    return status;
}

static void conv_free(mls_kernel *kernel)
{
    mls__conv_op *conv = (mls__conv_op *) kernel;
    mls__free(conv->base.cpu->allocator, conv->taps);
    mls__free(conv->base.cpu->allocator, conv->classes);
    mls__free(conv->base.cpu->allocator, conv->offsets);
    mls__cpu_kernel_free(kernel);
}

/* FusedConv of com.microsoft has its activation's parameters in a list. */
static mls_status read_activation(mls__conv_op *conv, const mls_op *op)
{
    size_t count;
    const float *params = mls__op_floats(op, "activation_params", &count);
    const mls_status status = mls__activation_read(conv->base.cpu, op, &conv->activation);
    for (size_t i = 0; !status && i < count && i < 2; i++)
        conv->activation.params[i] = params[i];
    return status;
}

static void read_dtypes(mls__conv_op *conv, const mls_op *op)
{
    const int32_t weights = op->inputs[1].dtype;
    conv->dtype = op->inputs[0].dtype;
    conv->y_dtype = mls__convolution_dtype(op);
    conv->is_half = mls__is_half(weights);
    conv->is_x_half = mls__is_half(conv->dtype);
    conv->is_y_half = mls__is_half(conv->y_dtype);
    conv->is_rounded = conv->is_half && !conv->is_y_half;
    conv->half = mls__half_of(conv->base.cpu, weights);
}

static mls_status prepare(mls__conv_op *conv, const mls_op *op)
{
    read_dtypes(conv, op);
    conv->threads = op->threads;
    conv->y_index = op->input_count;
    conv->has_bias = mls__op_input(op, 2) != NULL;
    conv->has_residual = mls__op_input(op, 3) != NULL;
    conv->is_pooled = mls__op_attr(op, "pool_kernel_shape") != NULL;
    size_t bytes = 0;
    mls_status status = read_activation(conv, op);
    if (!status)
        status = read_shape(conv, op, true);
    if (status || conv->is_empty)
        return status;
    status = choose_method(conv, op);
    conv->is_narrowed = conv->is_y_half && conv->method == MLS__CONV_DIRECT && !conv->is_pooled &&
                        conv->shape.is_y_blocked && !conv->shape.is_transposed;
    if (!status)
        status = conv->method == MLS__CONV_FAST ? mls__conv_pack_fast(conv, op)
                                                : mls__conv_pack_constant(conv, op);
    if (!status)
        status = make_rows(conv);
    if (!status)
        status = measure(conv, op, &bytes);
    conv->base.base.workspace_bytes = bytes;
    if (!status)
        follow(conv);
    return status;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__conv_op *conv;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *conv, "conv", mls__conv_run, &conv);
    if (status)
        return status;
    mls_kernel *kernel = &conv->base.base;
    kernel->reshape = conv_reshape;
    kernel->free = conv_free;
    status = prepare(conv, op);
    if (status) {
        kernel->free(kernel);
        return status;
    }
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_conv = {
    {"", "Conv", create, 0},
    {"", "ConvTranspose", create, 0},
    {"com.microsoft", "FusedConv", create, 0},
    {"mlscale", "FusedConv", create, 0},
    {"mlscale", "FusedConvTranspose", create, 0},
    {"mlscale", "FusedConvMaxPool", create, 0},
    {"mlscale", "FoldBatchNorm", mls__fold_batch_norm_create, 0},
    {"mlscale", "BlockedMaxPool", mls__blocked_pool_create, 0},
    {"mlscale", "BlockedAveragePool", mls__blocked_pool_create, 0},
    {"mlscale", "BlockedGlobalAveragePool", mls__blocked_global_pool_create, 0},
    {"mlscale", "BlockChannels", mls__reorder_create, 0},
    {"mlscale", "UnblockChannels", mls__reorder_create, 0},
    {.type = NULL},
};
