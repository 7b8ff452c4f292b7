/* SPDX-License-Identifier: Apache-2.0 */
/* DynamicQuantizeLinear: a scale and a zero point for what comes, then as QuantizeLinear. */
#include "backend/cpu/ops/quantize_dynamic.h"

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/ranges.h"

#include <math.h>

#define STEPS 255.0f

/* Fewer elements are not worth a second thread. */
#define GRAIN 16384

mls__dynamic_params mls__dynamic_params_of(const mls__cpu *cpu, const float *x, int64_t n)
{
    const mls__reduce_kernels *reduce = cpu->kernels->reduce;
    const float least = fminf(reduce->row[MLS__REDUCE_MIN](x, n), 0);
    const float most = fmaxf(reduce->row[MLS__REDUCE_MAX](x, n), 0);
    const float scale = most == least ? 1 : (most - least) / STEPS;
    const float zero = rintf(fminf(fmaxf(0 - least / scale, 0), STEPS));
    return (mls__dynamic_params){scale, (uint8_t) zero};
}

typedef struct dynamic_kernel {
    mls__cpu_kernel base;
    int64_t count;
    uint32_t threads;
} dynamic_kernel;

typedef struct work {
    mls__quantize_fn quantize;
    mls__quant_params params;
    uint8_t *y;
    const float *x;
} work;

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    w->quantize(w->y + begin, w->x + begin, end - begin, &w->params);
    return MLS_OK;
}

static mls_status dynamic_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const dynamic_kernel *k = (const dynamic_kernel *) base;
    const float *x = call->buffers[0];
    const mls__dynamic_params params = mls__dynamic_params_of(k->base.cpu, x, k->count);
    work w = {.quantize = k->base.cpu->kernels->quantize->to_uint8,
              .params = {&params.scale, &params.zero, 0},
              .y = call->buffers[1],
              .x = x};
    if (call->buffers[2])
        *(float *) call->buffers[2] = params.scale;
    if (call->buffers[3])
        *(uint8_t *) call->buffers[3] = params.zero;
    return mls__cpu_ranges(call, k->threads, k->count, GRAIN, run_range, &w);
}

static mls_status dynamic_reshape(mls_kernel *base, const mls_op *op)
{
    ((dynamic_kernel *) base)->count = mls__arg_count(&op->inputs[0]);
    return MLS_OK;
}

mls_status mls__dynamic_quantize_create(const mls__cpu *cpu, const mls_op *op,
                                        mls_kernel **ret_kernel)
{
    dynamic_kernel *k;
    mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "dynamic_quantize", dynamic_run, &k);
    if (status)
        return status;
    k->base.base.reshape = dynamic_reshape;
    k->threads = op->threads;
    *ret_kernel = &k->base.base;
    return dynamic_reshape(*ret_kernel, op);
}
