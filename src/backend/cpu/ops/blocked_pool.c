/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools over images in blocks of channels, with the bytes of those over plain ones: windows are
 * reduced in the two steps of kernels/pool.h, whole planes as rows of kernels/reduce.h. 16-bit
 * floats are widened first, and rounded once.
 */
#include "backend/cpu/ops/conv.h"

#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"
#include "base/alloc.h"
#include "op/pooling.h"

#include <math.h>
#include <string.h>

enum { LANES = MLS__CHANNEL_BLOCK };

/* Positions of windows that are worth a task of their own. */
#define GRAIN 32768

typedef struct blocked_pool {
    mls__cpu_kernel base;
    mls__pooling g; /* its planes are blocks */
    bool is_mean, counts_padding, is_half;
    mls__half half;
    int64_t size;   /* bytes of an element */
    int64_t blocks; /* of an image */
    int64_t x_plane, y_plane, rows;
    uint32_t threads;
    /* Each plane's part of the workspace: a row, the rows it is made of, and these widened. */
    uint64_t slot_bytes, rows_offset, wide_offset, result_offset;
} blocked_pool;

typedef struct work {
    const blocked_pool *k;
    const char *x;
    char *y, *workspace;
} work;

/* --- windows --------------------------------------------------------------------------------- */

/* The rows of the plane that a row of outputs reads; gives their number. */
static int64_t collect_rows(const blocked_pool *k, const char *plane, const int64_t *o,
                            const void **rows)
{
    const int rank = k->g.rank - 1;
    const int64_t width = k->g.axes[rank].input;
    mls__pool_window windows[MLS_MAX_RANK];
    int64_t count = 1, found = 0;
    for (int d = 0; d < rank; d++) {
        windows[d] = mls__pool_inside(&k->g.axes[d], o[d]);
        count *= windows[d].last - windows[d].first;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t left = i, step = width, at = 0;
        for (int d = rank - 1; d >= 0; d--) {
            const mls__pool_axis *axis = &k->g.axes[d];
            const int64_t positions = windows[d].last - windows[d].first;
            const int64_t position = windows[d].first + left % positions;
            at += (o[d] * axis->stride - axis->before + position * axis->dilation) * step;
            step *= axis->input;
            left /= positions;
        }
        rows[found++] = plane + at * LANES * k->size;
    }
    return found;
}

static int64_t window_count(const blocked_pool *k, const mls__pool_axis *axis, int64_t o)
{
    if (k->counts_padding)
        return mls__pool_padded_count(axis, o);
    const mls__pool_window window = mls__pool_inside(axis, o);
    return window.last - window.first;
}

static float at_least_one(int64_t count)
{
    return count > 1 ? (float) count : 1.0f;
}

/* Neighbours that have as many elements, as most do, are divided at once. */
static void divide_row(const blocked_pool *k, const int64_t *o, float *y)
{
    const mls__pool_axis *last = &k->g.axes[k->g.rank - 1];
    const mls__binary_fn divide = k->base.cpu->kernels->elementwise->binary[MLS__BINARY_DIV];
    int64_t outer = 1;
    for (int d = 0; d < k->g.rank - 1; d++)
        outer *= window_count(k, &k->g.axes[d], o[d]);
    for (int64_t i = 0, end; i < last->output; i = end) {
        const int64_t count = window_count(k, last, i);
        for (end = i + 1; end < last->output && window_count(k, last, end) == count;)
            end++;
        const float divisor = at_least_one(count) * at_least_one(outer);
        divide(y + i * LANES, y + i * LANES, 1, &divisor, 0, (end - i) * LANES);
    }
}

/* Most maxima are like this: two apart, of two or three along a row. */
static bool is_pairs(const mls__pool_axis *along)
{
    return along->stride == 2 && along->dilation == 1 && (along->kernel == 2 || along->kernel == 3);
}

void mls__blocked_max(const mls__cpu *cpu, const mls__pool_axis *along, const void **rows,
                      int64_t count, float *line, float *y)
{
    const mls__conv_kernels *kernels = cpu->kernels->conv;
    if (count && is_pairs(along)) {
        const mls__conv_pairs pairs = {along->output, along->kernel, along->input, along->before};
        kernels->max_pairs(y, rows, count, &pairs);
        return;
    }
    cpu->kernels->pool->rows[MLS__POOL_MAX](line + along->before * LANES, rows, count,
                                            along->input * LANES);
    kernels->max_along(y, line, along->output, along->kernel, along->stride, along->dilation);
}

int64_t mls__blocked_line(const mls__pool_axis *along)
{
    const int64_t reach =
        (along->output - 1) * along->stride + (along->kernel - 1) * along->dilation + 1;
    const int64_t length = along->before + along->input;
    return reach > length ? reach : length;
}

void mls__blocked_pad(const mls__pool_axis *along, float neutral, float *line)
{
    const int64_t length = mls__blocked_line(along);
    for (int64_t i = 0; i < length * LANES; i++)
        if (i < along->before * LANES || i >= (along->before + along->input) * LANES)
            line[i] = neutral;
}

static void widen_rows(const blocked_pool *k, const void **rows, int64_t count, float *wide)
{
    const int64_t length = k->g.axes[k->g.rank - 1].input * LANES;
    for (int64_t i = 0; i < count; i++, wide += length) {
        k->half.to_f32(wide, rows[i], length);
        rows[i] = wide;
    }
}

/* The row of outputs o, from `count` rows of float32. */
static void reduce_rows(const blocked_pool *k, const int64_t *o, const void **rows, int64_t count,
                        float *row, float *y)
{
    const mls__pool_axis *last = &k->g.axes[k->g.rank - 1];
    const mls__cpu *cpu = k->base.cpu;
    if (!k->is_mean) {
        mls__blocked_max(cpu, last, rows, count, row, y);
        return;
    }
    cpu->kernels->pool->rows[MLS__POOL_SUM](row + last->before * LANES, rows, count,
                                            last->input * LANES);
    cpu->kernels->conv->sum_along(y, row, last->output, last->kernel, last->stride, last->dilation);
    divide_row(k, o, y);
}

static void run_row(const work *w, const char *plane, int64_t index, char *slot, char *y)
{
    const blocked_pool *k = w->k;
    const void **rows = (const void **) (void *) (slot + k->rows_offset);
    float *wide = (float *) (void *) (slot + k->wide_offset);
    float *result = (float *) (void *) (k->is_half ? slot + k->result_offset : y);
    int64_t o[MLS_MAX_RANK];
    for (int d = k->g.rank - 2; d >= 0; d--) {
        o[d] = index % k->g.axes[d].output;
        index /= k->g.axes[d].output;
    }
    const int64_t count = collect_rows(k, plane, o, rows);
    if (k->is_half)
        widen_rows(k, rows, count, wide);
    reduce_rows(k, o, rows, count, (float *) (void *) slot, result);
    if (k->is_half)
        k->half.from_f32((uint16_t *) (void *) y, result, k->g.axes[k->g.rank - 1].output * LANES);
}

static mls_status run_planes(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const blocked_pool *k = w->k;
    const int64_t width = k->g.axes[k->g.rank - 1].output;
    for (int64_t p = begin; p < end; p++) {
        char *slot = w->workspace + (size_t) p * k->slot_bytes;
        mls__blocked_pad(&k->g.axes[k->g.rank - 1], k->is_mean ? 0 : -INFINITY,
                         (float *) (void *) slot);
        for (int64_t r = 0; r < k->rows; r++)
            run_row(w, w->x + p * k->x_plane * LANES * k->size, r, slot,
                    w->y + (p * k->y_plane + r * width) * LANES * k->size);
    }
    return MLS_OK;
}

static mls_status pool_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const blocked_pool *k = (const blocked_pool *) base;
    work w = {k, call->buffers[0], call->buffers[1], call->workspace};
    const int64_t grain = GRAIN / (k->x_plane * LANES + 1) + 1;
    return k->y_plane ? mls__cpu_row_ranges(call, k->threads, k->g.planes, grain, run_planes, &w)
                      : MLS_OK;
}

/* --- some rows ------------------------------------------------------------------------------- */

bool mls__blocked_pool_is_banded(const mls_kernel *kernel)
{
    const blocked_pool *k = (const blocked_pool *) kernel;
    return k->g.rank == 2 && !k->is_half && k->y_plane;
}

size_t mls__blocked_pool_slot(const mls_kernel *kernel)
{
    return (size_t) ((const blocked_pool *) kernel)->slot_bytes;
}

/* The rows of a ring that row o of outputs reads; gives their number. */
static int64_t collect_ring_rows(const blocked_pool *k, const mls__band *band, const float *x,
                                 int64_t o, const void **rows)
{
    const mls__pool_axis *axis = &k->g.axes[0];
    const mls__pool_window window = mls__pool_inside(axis, o);
    const int64_t length = k->g.axes[1].input * LANES;
    int64_t found = 0;
    for (int64_t p = window.first; p < window.last; p++) {
        const int64_t row = o * axis->stride - axis->before + p * axis->dilation;
        rows[found++] = x + row % band->x_rows * length;
    }
    return found;
}

void mls__blocked_pool_run_band(const mls_kernel *kernel, const mls__band *band)
{
    const blocked_pool *k = (const blocked_pool *) kernel;
    const void **rows = (const void **) (void *) (band->slot + k->rows_offset);
    float *row = (float *) (void *) band->slot;
    const mls__pool_axis *along = &k->g.axes[1];
    const bool is_padded = k->is_mean || !is_pairs(along);
    if (is_padded)
        mls__blocked_pad(along, k->is_mean ? 0 : -INFINITY, row);
    for (int64_t b = 0; b < k->blocks; b++)
        for (int64_t r = band->first; r < band->last; r++) {
            const int64_t o[] = {r, 0};
            float *y = band->y + b * band->y_block + r % band->y_rows * band->width * LANES;
            const int64_t count = collect_ring_rows(k, band, band->x + b * band->x_block, r, rows);
            if (!count && !is_padded)
                mls__blocked_pad(along, -INFINITY, row);
            reduce_rows(k, o, rows, count, row, y);
        }
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status read_dims(blocked_pool *k, const mls_op *op, size_t *ret_bytes)
{
    const mls_status status = mls__op_blocked_pooling(op, &k->g, NULL);
    if (status)
        return status;
    const mls__pool_axis *last = &k->g.axes[k->g.rank - 1];
    int64_t lines = 1;
    k->blocks = op->inputs[0].dims[1];
    k->x_plane = k->y_plane = k->rows = 1;
    for (int i = 0; i < k->g.rank; i++) {
        k->x_plane *= k->g.axes[i].input;
        k->y_plane *= k->g.axes[i].output;
        if (i < k->g.rank - 1) {
            k->rows *= k->g.axes[i].output;
            lines *= k->g.axes[i].kernel;
        }
    }
    size_t slot = 0;
    uint64_t row;
    int64_t wide = 0;
    const bool fits =
        (!k->is_half || mls__mul_i64(lines, last->input, &wide)) &&
        mls__work_region(&slot, mls__blocked_line(last), LANES * sizeof(float), &row) &&
        mls__work_region(&slot, lines, sizeof(void *), &k->rows_offset) &&
        mls__work_region(&slot, wide, LANES * sizeof(float), &k->wide_offset) &&
        mls__work_region(&slot, k->is_half ? last->output : 0, LANES * sizeof(float),
                         &k->result_offset) &&
        mls__mul_size(slot, (size_t) k->g.planes, ret_bytes);
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE, "its rows are larger than memory can be");
    k->slot_bytes = slot;
    return MLS_OK;
}

static mls_status pool_reshape(mls_kernel *kernel, const mls_op *op)
{
    size_t bytes;
    const mls_status status = read_dims((blocked_pool *) kernel, op, &bytes);
    if (!status && bytes > kernel->workspace_bytes)
        return mls__op_error(op, MLS_ELIMIT, "needs more memory at these dims than planned");
    return status;
}

mls_status mls__blocked_pool_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    blocked_pool *k;
    size_t bytes;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "pool.blocked", pool_run, &k);
    if (status)
        return status;
    k->base.base.reshape = pool_reshape;
    k->is_mean = strcmp(op->type, "BlockedAveragePool") == 0;
    k->counts_padding = mls__op_int(op, "count_include_pad", 0) != 0;
    k->is_half = mls__is_half(op->inputs[0].dtype);
    k->half = mls__half_of(cpu, op->inputs[0].dtype);
    k->size = (int64_t) mls_dtype_size((mls_dtype) op->inputs[0].dtype);
    k->threads = op->threads;
    status = read_dims(k, op, &bytes);
    if (status) {
        mls__cpu_kernel_free(&k->base.base);
        return status;
    }
    k->base.base.workspace_bytes = bytes;
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

/* --- whole planes ---------------------------------------------------------------------------- */

typedef struct global_pool {
    mls__cpu_kernel base;
    bool is_half;
    mls__half half;
    int64_t blocks, plane;
    uint32_t threads;
} global_pool;

typedef struct global_work {
    const global_pool *k;
    const void *x;
    void *y;
    float *wide; /* for 16-bit floats: a plane for each block */
} global_work;

static void mean_of_plane(const global_pool *k, const float *x, float *y)
{
    k->base.cpu->kernels->conv->plane_sum(y, x, k->plane);
    for (int64_t c = 0; c < LANES; c++)
        y[c] /= (float) k->plane;
}

static void mean_of_halves(const global_work *w, int64_t block)
{
    const global_pool *k = w->k;
    const int64_t first = block * k->plane * LANES;
    float y[LANES];
    k->half.to_f32(w->wide + first, (const uint16_t *) w->x + first, k->plane * LANES);
    mean_of_plane(k, w->wide + first, y);
    k->half.from_f32((uint16_t *) w->y + block * LANES, y, LANES);
}

static mls_status run_means(void *arg, int64_t begin, int64_t end)
{
    const global_work *w = arg;
    const global_pool *k = w->k;
    for (int64_t b = begin; b < end; b++) {
        if (k->is_half)
            mean_of_halves(w, b);
        else
            mean_of_plane(k, (const float *) w->x + b * k->plane * LANES,
                          (float *) w->y + b * LANES);
    }
    return MLS_OK;
}

static mls_status global_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const global_pool *k = (const global_pool *) base;
    global_work w = {k, call->buffers[0], call->buffers[1], call->workspace};
    const int64_t grain = GRAIN / (k->plane * LANES + 1) + 1;
    return mls__cpu_row_ranges(call, k->threads, k->blocks, grain, run_means, &w);
}

static mls_status read_planes(global_pool *k, const mls_op *op, size_t *ret_bytes)
{
    const mls_arg *x = &op->inputs[0];
    uint64_t offset;
    k->blocks = x->dims[0] * x->dims[1];
    k->plane = mls__arg_span(x, 2, x->rank - 1);
    *ret_bytes = 0;
    if (k->is_half && !mls__work_region(ret_bytes, mls__arg_count(x), sizeof(float), &offset))
        return mls__op_error(op, MLS_ESHAPE, "its planes are larger than memory can be");
    return MLS_OK;
}

static mls_status global_reshape(mls_kernel *kernel, const mls_op *op)
{
    size_t bytes;
    const mls_status status = read_planes((global_pool *) kernel, op, &bytes);
    if (!status && bytes > kernel->workspace_bytes)
        return mls__op_error(op, MLS_ELIMIT, "needs more memory at these dims than planned");
    return status;
}

mls_status mls__blocked_global_pool_create(const mls__cpu *cpu, const mls_op *op,
                                           mls_kernel **ret_kernel)
{
    global_pool *k;
    mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "global_pool.blocked", global_run, &k);
    if (status)
        return status;
    k->base.base.reshape = global_reshape;
    k->is_half = mls__is_half(op->inputs[0].dtype);
    k->half = mls__half_of(cpu, op->inputs[0].dtype);
    k->threads = op->threads;
    size_t bytes;
    status = read_planes(k, op, &bytes);
    if (status) {
        mls__cpu_kernel_free(&k->base.base);
        return status;
    }
    k->base.base.workspace_bytes = bytes;
    *ret_kernel = &k->base.base;
    return MLS_OK;
}
