/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QLinearGlobalAveragePool and QLinearAveragePool. Sums of bytes are exact; a sum is multiplied by
 * x_scale / (y_scale * count), each of these rounded once, so that a mean that lies half way
 * between two steps mostly stays there, and goes to the even one.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/qlinear.h"
#include "backend/cpu/ops/ranges.h"

#include "op/pooling.h"

#include <string.h>

/* Elements that are worth a second thread. */
#define GRAIN 65536
/* Bytes whose sum int32 holds. */
#define SUM_BYTES (INT64_C(1) << 22)

typedef struct pool_kernel {
    mls__cpu_kernel base;
    mls__qlinear_place x, y;
    size_t output; /* its buffer */
    uint32_t threads;
    /* Global: planes of `count` elements; with channels last those of an image are interleaved. */
    bool is_last;
    int64_t planes, count, channels;
    /* Over windows. */
    mls__pooling g;
    int64_t x_plane, y_plane;
    bool counts_padding;
} pool_kernel;

typedef struct work {
    const pool_kernel *kernel;
    const void *y_zero; /* NULL: 0 */
    const uint8_t *x;
    uint8_t *y;
    float x_scale, y_scale;
    int32_t x_zero;
} work;

static work work_of(const pool_kernel *k, const mls_kernel_call *call)
{
    const mls__quant_params x = mls__qlinear_params(&k->x, call);
    const mls__quant_params y = mls__qlinear_params(&k->y, call);
    work w = {.kernel = k,
              .y_zero = y.zero,
              .x = call->buffers[0],
              .y = call->buffers[k->output],
              .x_scale = *x.scale,
              .y_scale = *y.scale};
    if (x.zero)
        w.x_zero = k->x.is_signed ? *(const int8_t *) x.zero : *(const uint8_t *) x.zero;
    return w;
}

/* The mean of so many bytes in steps of the output; the rest of `count` are 0. */
static float mean_of(const work *w, int64_t sum, int64_t bytes, int64_t count)
{
    return (float) (sum - bytes * w->x_zero) * (w->x_scale / (w->y_scale * (float) count));
}

static void store_means(const work *w, const float *means, int64_t n, uint8_t *ret_bytes)
{
    const float one = 1;
    const mls__quant_params params = {&one, w->y_zero, 0};
    const pool_kernel *k = w->kernel;
    mls__qlinear_writer(k->base.cpu, k->y.is_signed)(ret_bytes, means, n, &params);
}

static int64_t byte_at(const work *w, const uint8_t *x)
{
    return w->kernel->x.is_signed ? *(const int8_t *) x : *x;
}

/* --- whole planes ---------------------------------------------------------------------------- */

static int64_t sum_plane(const work *w, int64_t plane)
{
    const pool_kernel *k = w->kernel;
    const uint8_t *x = w->x + plane * k->count;
    int64_t sum = 0;
    for (int64_t i = 0; i < k->count; i += SUM_BYTES)
        sum += k->base.cpu->kernels->gemm_int8->row_sum(
            x + i, k->count - i < SUM_BYTES ? k->count - i : SUM_BYTES, k->x.is_signed);
    return sum;
}

static mls_status run_planes(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const pool_kernel *k = w->kernel;
    for (int64_t plane = begin; plane < end; plane++) {
        const float mean = mean_of(w, sum_plane(w, plane), k->count, k->count);
        store_means(w, &mean, 1, w->y + plane);
    }
    return MLS_OK;
}

/* Planes that lie side by side, up to MLS__BLOCK of one image. */
static void run_columns(const work *w, int64_t plane, int64_t planes)
{
    const pool_kernel *k = w->kernel;
    const int64_t image = plane / k->channels, channel = plane % k->channels;
    const uint8_t *x = w->x + image * k->count * k->channels + channel;
    int64_t sums[MLS__BLOCK] = {0};
    float means[MLS__BLOCK];
    for (int64_t i = 0; i < k->count; i += SUM_BYTES) {
        int32_t part[MLS__BLOCK] = {0};
        k->base.cpu->kernels->gemm_int8->column_sums(
            part, x + i * k->channels, k->count - i < SUM_BYTES ? k->count - i : SUM_BYTES,
            k->channels, planes, k->x.is_signed);
        for (int64_t p = 0; p < planes; p++)
            sums[p] += part[p];
    }
    for (int64_t p = 0; p < planes; p++)
        means[p] = mean_of(w, sums[p], k->count, k->count);
    store_means(w, means, planes, w->y + plane);
}

static mls_status run_last(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const int64_t channels = w->kernel->channels;
    for (int64_t plane = begin, taken; plane < end; plane += taken) {
        const int64_t left = channels - plane % channels;
        taken = end - plane < left ? end - plane : left;
        taken = taken < MLS__BLOCK ? taken : MLS__BLOCK;
        run_columns(w, plane, taken);
    }
    return MLS_OK;
}

static mls_status global_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const pool_kernel *k = (const pool_kernel *) base;
    work w = work_of(k, call);
    return mls__cpu_row_ranges(call, k->threads, k->planes, GRAIN / (k->count + 1) + 1,
                               k->is_last ? run_last : run_planes, &w);
}

static mls_status global_reshape(mls_kernel *base, const mls_op *op)
{
    pool_kernel *k = (pool_kernel *) base;
    const mls_arg *x = &op->inputs[0];
    k->is_last = mls__op_int(op, "channels_last", 0) != 0;
    k->channels = x->dims[k->is_last ? x->rank - 1 : 1];
    k->planes = x->dims[0] * k->channels;
    k->count = k->is_last ? mls__arg_span(x, 1, x->rank - 1) : mls__arg_span(x, 2, x->rank);
    return MLS_OK;
}

/* --- windows --------------------------------------------------------------------------------- */

/* The mean of the window of element `index` of the output of a plane. */
static float window_mean(const work *w, const uint8_t *x, int64_t index)
{
    const mls__pooling *g = &w->kernel->g;
    mls__pool_window inside[MLS_MAX_RANK];
    int64_t at[MLS_MAX_RANK], elements = 1, padded = 1, sum = 0;
    for (int i = g->rank - 1; i >= 0; i--) {
        const mls__pool_axis *axis = &g->axes[i];
        const int64_t o = index % axis->output;
        inside[i] = mls__pool_inside(axis, o);
        elements *= inside[i].last - inside[i].first;
        padded *= mls__pool_padded_count(axis, o);
        at[i] = o * axis->stride - axis->before;
        index /= axis->output;
    }
    for (int64_t e = 0; e < elements; e++) {
        int64_t left = e, position = 0, step = 1;
        for (int i = g->rank - 1; i >= 0; i--) {
            const int64_t count = inside[i].last - inside[i].first;
            const int64_t tap = inside[i].first + left % count;
            position += (at[i] + tap * g->axes[i].dilation) * step;
            step *= g->axes[i].input;
            left /= count;
        }
        sum += byte_at(w, x + position);
    }
    return mean_of(w, sum, elements, w->kernel->counts_padding ? padded : elements);
}

static mls_status run_windows(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const pool_kernel *k = w->kernel;
    float means[MLS__BLOCK];
    for (int64_t i = begin; i < end; i += MLS__BLOCK) {
        const int64_t n = end - i < MLS__BLOCK ? end - i : MLS__BLOCK;
        for (int64_t j = 0; j < n; j++)
            means[j] =
                window_mean(w, w->x + (i + j) / k->y_plane * k->x_plane, (i + j) % k->y_plane);
        store_means(w, means, n, w->y + i);
    }
    return MLS_OK;
}

static mls_status window_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const pool_kernel *k = (const pool_kernel *) base;
    work w = work_of(k, call);
    return mls__cpu_ranges(call, k->threads, k->planes * k->y_plane, GRAIN / 16, run_windows, &w);
}

static mls_status window_reshape(mls_kernel *base, const mls_op *op)
{
    pool_kernel *k = (pool_kernel *) base;
    mls_status status = mls__op_pooling(op, &k->g);
    k->planes = k->g.planes;
    k->x_plane = k->y_plane = 1;
    for (int i = 0; !status && i < k->g.rank; i++) {
        k->x_plane *= k->g.axes[i].input;
        k->y_plane *= k->g.axes[i].output;
    }
    return status;
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status create(const mls__cpu *cpu, const mls_op *op, const char *name,
                         mls_status (*run)(const mls_kernel *, const mls_kernel_call *),
                         mls_status (*reshape)(mls_kernel *, const mls_op *),
                         mls_kernel **ret_kernel)
{
    pool_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, name, run, &k);
    if (status)
        return status;
    k->base.base.reshape = reshape;
    k->x = mls__qlinear_place_of(op, 1, 2, op->inputs[0].dtype);
    k->y = mls__qlinear_place_of(op, 3, 4, op->inputs[0].dtype);
    k->output = op->input_count;
    k->threads = op->threads;
    k->counts_padding = mls__op_int(op, "count_include_pad", 0) != 0;
    status = reshape(&k->base.base, op);
    if (status) {
        mls__cpu_kernel_free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

static mls_status create_global(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create(cpu, op, "qlinear_global_pool", global_run, global_reshape, ret_kernel);
}

static mls_status create_window(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create(cpu, op, "qlinear_pool", window_run, window_reshape, ret_kernel);
}

mls__cpu_op_table mls__cpu_ops_qlinear_pool = {
    {"com.microsoft", "QLinearGlobalAveragePool", create_global, 0},
    {"com.microsoft", "QLinearAveragePool", create_window, 0},
    {.type = NULL},
};
