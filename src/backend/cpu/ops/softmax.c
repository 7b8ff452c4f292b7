/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax and LogSoftmax: kernels/softmax.h, and the same in float64. */
#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/math/f64.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"
#include "backend/cpu/ops/reduce_plain.h"
#include "backend/cpu/ops/softmax.h"
#include "base/alloc.h"
#include "op/reduction.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 4096

typedef struct softmax_kernel {
    mls__cpu_kernel base;
    int32_t dtype;
    bool is_log, is_flat; /* is_flat: all dimensions from the axis on are one */
    bool is_rows;         /* along the innermost axis: inner is 1 */
    mls__half half;
    uint32_t threads;
    int64_t outer, n, inner;
} softmax_kernel;

/* --- float64 --------------------------------------------------------------------------------- */

static void finish_f64(const softmax_kernel *k, double *y, const double *x, double maximum,
                       double sum)
{
    const double log_sum = k->is_log ? mls__f64_log(sum) : 0, scale = 1 / sum;
    for (int64_t i = 0; i < k->n; i++) {
        const int64_t at = i * k->inner;
        y[at] = k->is_log ? x[at] - maximum - log_sum : mls__f64_exp(x[at] - maximum) * scale;
    }
}

/* The sum goes to 64 lanes, as kernels/reduce.h has it. */
static double sum_of_row(const double *x, int64_t n, double maximum)
{
    enum { LANES = 64 };
    double lanes[LANES] = {0};
    for (int64_t i = 0; i < n; i++)
        lanes[i % LANES] += mls__f64_exp(x[i] - maximum);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

static void run_row_f64(const softmax_kernel *k, double *y, const double *x)
{
    double maximum;
    mls__reduce_f64.row[MLS__REDUCE_MAX](&maximum, x, k->n);
    finish_f64(k, y, x, maximum, sum_of_row(x, k->n, maximum));
}

void mls__softmax_row_f64(double *y, const double *x, int64_t n)
{
    const softmax_kernel k = {.n = n, .inner = 1};
    run_row_f64(&k, y, x);
}

static void run_column_f64(const softmax_kernel *k, double *y, const double *x)
{
    double maximum, sum = 0;
    mls__reduce_f64.columns[MLS__REDUCE_MAX](&maximum, x, k->n, k->inner, 1);
    for (int64_t i = 0; i < k->n; i++)
        sum += mls__f64_exp(x[i * k->inner] - maximum);
    finish_f64(k, y, x, maximum, sum);
}

/* --- a run ----------------------------------------------------------------------------------- */

typedef struct work {
    const softmax_kernel *kernel;
    const void *x; /* float64 or float32 */
    void *y;
} work;

static void run_rows_f32(const softmax_kernel *k, float *y, const float *x, int64_t rows)
{
    const mls__softmax_kernels *kernels = k->base.cpu->kernels->softmax;
    (k->is_log ? kernels->log_rows : kernels->rows)(y, x, rows, k->n);
}

static void run_columns_f32(const softmax_kernel *k, float *y, const float *x, int64_t columns)
{
    const mls__softmax_kernels *kernels = k->base.cpu->kernels->softmax;
    (k->is_log ? kernels->log_columns : kernels->columns)(y, x, k->n, k->inner, columns);
}

static void run_columns(const work *w, int64_t at, int64_t columns)
{
    const softmax_kernel *k = w->kernel;
    if (k->dtype != MLS_FLOAT64) {
        run_columns_f32(k, (float *) w->y + at, (const float *) w->x + at, columns);
        return;
    }
    for (int64_t j = at; j < at + columns; j++)
        run_column_f64(k, (double *) w->y + j, (const double *) w->x + j);
}

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const softmax_kernel *k = w->kernel;
    if (k->is_rows && k->dtype != MLS_FLOAT64)
        run_rows_f32(k, (float *) w->y + begin * k->n, (const float *) w->x + begin * k->n,
                     end - begin);
    else if (k->is_rows)
        for (int64_t i = begin; i < end; i++)
            run_row_f64(k, (double *) w->y + i * k->n, (const double *) w->x + i * k->n);
    for (int64_t i = begin; !k->is_rows && i < end;) {
        const int64_t outer = i / k->inner, column = i % k->inner;
        const int64_t left = k->inner - column, columns = left < end - i ? left : end - i;
        run_columns(w, outer * k->n * k->inner + column, columns);
        i += columns;
    }
    return MLS_OK;
}

void mls__log_softmax_slices(const mls__log_softmax *slices, void *y, const void *x, int64_t begin,
                             int64_t end)
{
    const softmax_kernel k = {.base = {.cpu = slices->cpu},
                              .dtype = slices->dtype,
                              .is_log = true,
                              .is_rows = slices->is_rows,
                              .n = slices->n,
                              .inner = slices->inner};
    work w = {&k, x, y};
    run_range(&w, begin, end);
}

static mls_status widen_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    w->kernel->half.to_f32((float *) w->y + begin, (const uint16_t *) w->x + begin, end - begin);
    return MLS_OK;
}

static mls_status narrow_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    w->kernel->half.from_f32((uint16_t *) w->y + begin, (const float *) w->x + begin, end - begin);
    return MLS_OK;
}

static mls_status softmax_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const softmax_kernel *k = (const softmax_kernel *) kernel;
    const int64_t slices = k->outer * k->inner, count = slices * k->n;
    const bool is_half = mls__is_half(k->dtype);
    void *memory = call->workspace;
    if (!count)
        return MLS_OK;
    work w = {k, call->buffers[0], call->buffers[1]};
    if (is_half) {
        w.y = memory;
        mls__cpu_ranges(call, k->threads, count, GRAIN, widen_range, &w);
        w.x = memory;
    }
    (k->inner == 1 ? mls__cpu_row_ranges : mls__cpu_ranges)(call, k->threads, slices,
                                                            GRAIN / k->n + 1, run_range, &w);
    if (is_half) {
        w.y = call->buffers[1];
        mls__cpu_ranges(call, k->threads, count, GRAIN, narrow_range, &w);
    }
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status softmax_reshape(mls_kernel *kernel, const mls_op *op)
{
    softmax_kernel *k = (softmax_kernel *) kernel;
    const mls_arg *x = &op->inputs[0];
    int axis;
    const mls_status status = mls__op_attr_axis(op, -1, &axis);
    if (status)
        return status;
    const int next = k->is_flat ? x->rank : axis + 1;
    k->is_rows = next == x->rank;
    k->outer = mls__arg_span(x, 0, axis);
    k->n = mls__arg_span(x, axis, next);
    k->inner = mls__arg_span(x, next, x->rank);
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    softmax_kernel *k;
    size_t bytes = 0;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "softmax", softmax_run, &k);
    if (status)
        return status;
    k->base.base.reshape = softmax_reshape;
    k->dtype = op->inputs[0].dtype;
    k->is_log = strcmp(op->type, "LogSoftmax") == 0;
    k->is_flat = mls__op_int(op, "mls_flatten", 0) != 0;
    k->threads = op->threads;
    if (mls__is_half(k->dtype)) {
        k->half = mls__half_of(cpu, k->dtype);
        if (!mls__mul_size((size_t) mls__arg_count(&op->inputs[0]), sizeof(float), &bytes)) {
            k->base.base.free(&k->base.base);
            return mls__op_error(op, MLS_ESHAPE, "input 0 is larger than memory can be");
        }
        k->base.base.workspace_bytes = bytes;
    }
    *ret_kernel = &k->base.base;
    return softmax_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_softmax = {
    {"", "Softmax", create, MLS__CPU_IN_PLACE},
    {"", "LogSoftmax", create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
