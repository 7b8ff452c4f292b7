/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows and mel filters: tables that signals are weighted with, computed in float64 and rounded
 * once.
 */
#include "backend/cpu/math/f64.h"
#include "backend/cpu/math/turn.h"
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"
#include "op/spectral.h"

#include <math.h>
#include <string.h>

static const mls__cast_rules rules = {.saturate = true};

/* --- windows ---------------------------------------------------------------------------------- */

/* Value k of a window that n steps make whole. */
typedef double (*window_fn)(uint64_t k, uint64_t n);

static double cosine(uint64_t k, uint64_t n)
{
    double x, y;
    mls__f64_turn(k % n, n, &x, &y);
    return x;
}

/* As the square of a sine: nothing cancels near the ends. */
static double hann(uint64_t k, uint64_t n)
{
    double x, y;
    mls__f64_turn(k, 2 * n, &x, &y);
    return y * y;
}

static double hamming(uint64_t k, uint64_t n)
{
    return 25.0 / 46.0 - 21.0 / 46.0 * cosine(k, n);
}

static double blackman(uint64_t k, uint64_t n)
{
    return 0.42 - 0.5 * cosine(k, n) + 0.08 * cosine(2 * k, n);
}

static const struct {
    const char *type;
    window_fn value;
} windows[] = {
    {"HannWindow", hann},
    {"HammingWindow", hamming},
    {"BlackmanWindow", blackman},
};

typedef struct window {
    mls__cpu_kernel base;
    window_fn value;
    int32_t dtype;
    bool is_periodic;
    int64_t size;
} window;

static mls_status run_window(const mls_kernel *base, const mls_kernel_call *call)
{
    const window *kernel = (const window *) base;
    const int64_t size = kernel->size, steps = kernel->is_periodic ? size : size - 1;
    const int64_t bytes = (int64_t) mls_dtype_size((mls_dtype) kernel->dtype);
    char *y = call->buffers[1];
    mls__wide block;
    for (int64_t i = 0; i < size; i += MLS__BLOCK) {
        const int64_t n = size - i < MLS__BLOCK ? size - i : MLS__BLOCK;
        /* A single value is a window's peak, whatever the formula makes of no steps. */
        for (int64_t k = 0; k < n; k++)
            block.f[k] = steps ? kernel->value((uint64_t) (i + k), (uint64_t) steps) : 1.0;
        mls__narrow(kernel->dtype, MLS__WIDE_FLOAT, &block, y + i * bytes, n, &rules);
    }
    return MLS_OK;
}

static mls_status plan_window(mls_kernel *base, const mls_op *op)
{
    ((window *) base)->size = op->outputs[0].dims[0];
    return MLS_OK;
}

static mls_status create_window(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    window *kernel;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, "window", run_window, &kernel);
    if (status)
        return status;
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++)
        if (strcmp(windows[i].type, op->type) == 0)
            kernel->value = windows[i].value;
    kernel->dtype = op->outputs[0].dtype;
    kernel->is_periodic = mls__op_int(op, "periodic", 1) != 0;
    kernel->base.base.reshape = plan_window;
    *ret_kernel = &kernel->base.base;
    return plan_window(*ret_kernel, op);
}

/* --- MelWeightMatrix -------------------------------------------------------------------------- */

typedef struct mel {
    mls__cpu_kernel base;
    int32_t dtype, rate_dtype, edge_dtypes[2];
    int64_t bins, length, rows; /* filters, the transform, and what is kept of it */
} mel;

#define LN_10 2.302585092994045684

/* Where filter `i` begins, `i - 1` has its peak and `i - 2` ends: a row, or -1 for none. */
static int64_t point(const mel *kernel, double low, double high, double rate, int64_t i)
{
    const double from = 2595 * mls__f64_log1p(low / 700) / LN_10;
    const double to = 2595 * mls__f64_log1p(high / 700) / LN_10;
    const double at = (double) i * ((to - from) / (double) (kernel->bins + 2)) + from;
    const double hertz = 700 * mls__f64_expm1(at / 2595 * LN_10);
    const double row = floor((double) (kernel->length + 1) * hertz / rate);
    return row >= 0 && row < (double) kernel->rows ? (int64_t) row : -1;
}

static void put(const mel *kernel, char *y, int64_t row, int64_t filter, double value)
{
    const int64_t size = (int64_t) mls_dtype_size((mls_dtype) kernel->dtype);
    const mls__wide element = {.f = {value}};
    mls__narrow(kernel->dtype, MLS__WIDE_FLOAT, &element, y + (row * kernel->bins + filter) * size,
                1, &rules);
}

/* A triangle; where its first side has no rows, its peak is still there. */
static void put_filter(const mel *kernel, char *y, int64_t filter, const int64_t points[3])
{
    const int64_t begin = points[0], peak = points[1], end = points[2];
    if (begin == peak)
        put(kernel, y, peak, filter, 1);
    for (int64_t row = begin; begin < peak && row <= peak; row++)
        put(kernel, y, row, filter, (double) (row - begin) / (double) (peak - begin));
    for (int64_t row = peak; row < end; row++)
        put(kernel, y, row, filter, (double) (end - row) / (double) (end - peak));
}

static mls_status run_mel(const mls_kernel *base, const mls_kernel_call *call)
{
    const mel *kernel = (const mel *) base;
    mls__wide low, high;
    char *y = call->buffers[5];
    mls__widen(kernel->edge_dtypes[0], &low, call->buffers[3], 1);
    mls__widen(kernel->edge_dtypes[1], &high, call->buffers[4], 1);
    const double rate = kernel->rate_dtype == MLS_INT64
                            ? (double) *(const int64_t *) call->buffers[2]
                            : (double) *(const int32_t *) call->buffers[2];
    if (!(low.f[0] >= 0 && high.f[0] >= low.f[0] && rate > 0))
        return mls__cpu_run_error(base, MLS_ERANGE,
                                  "edges of %g and %g Hz and a rate of %g; they must be ordered, "
                                  "and positive",
                                  low.f[0], high.f[0], rate);
    memset(y, 0,
           (size_t) (kernel->rows * kernel->bins) * mls_dtype_size((mls_dtype) kernel->dtype));
    for (int64_t i = 0; i < kernel->bins; i++) {
        int64_t points[3];
        for (int64_t j = 0; j < 3; j++)
            points[j] = point(kernel, low.f[0], high.f[0], rate, i + j);
        if (points[0] < 0 || points[1] < 0 || points[2] < 0)
            return mls__cpu_run_error(base, MLS_ERANGE,
                                      "the upper edge of %g Hz is past what a rate of %g has",
                                      high.f[0], rate);
        put_filter(kernel, y, i, points);
    }
    return MLS_OK;
}

static mls_status plan_mel(mls_kernel *base, const mls_op *op)
{
    mel *kernel = (mel *) base;
    kernel->rows = op->outputs[0].dims[0];
    kernel->bins = op->outputs[0].dims[1];
    return mls__op_known_scalar(op, 1, 0, MLS__DFT_LONGEST, &kernel->length);
}

static mls_status create_mel(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mel *kernel;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, "mel_weight_matrix", run_mel, &kernel);
    if (status)
        return status;
    kernel->dtype = op->outputs[0].dtype;
    kernel->rate_dtype = op->inputs[2].dtype;
    kernel->edge_dtypes[0] = op->inputs[3].dtype;
    kernel->edge_dtypes[1] = op->inputs[4].dtype;
    kernel->base.base.reshape = plan_mel;
    *ret_kernel = &kernel->base.base;
    return plan_mel(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_window = {
    {"", "HannWindow", create_window, 0},
    {"", "HammingWindow", create_window, 0},
    {"", "BlackmanWindow", create_window, 0},
    {"", "MelWeightMatrix", create_mel, 0},
    {.type = NULL},
};
