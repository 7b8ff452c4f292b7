/* SPDX-License-Identifier: Apache-2.0 */
/* QLinearAdd and QLinearMul: the bytes of DequantizeLinear, the op and QuantizeLinear. */
#include "backend/cpu/ops/broadcast.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/qlinear.h"
#include "backend/cpu/ops/ranges.h"

/* Fewer elements are not worth a second thread. */
#define GRAIN 16384

typedef struct binary_kernel {
    mls__cpu_kernel base;
    mls__qlinear_place a, b, y;
    size_t output; /* its buffer */
    mls__binary_fn binary;
    mls__quantized_pair_fn pair;
    mls__dequantize_fn read;
    mls__quantize_fn write;
    mls__broadcast plan;
    uint32_t threads;
} binary_kernel;

typedef struct work {
    const binary_kernel *kernel;
    mls__quant_params params[3]; /* of a, b and y */
    const uint8_t *a, *b;
    uint8_t *y;
} work;

static mls_status run_segment(void *arg, int64_t y, const int64_t *x, int64_t n)
{
    const work *w = arg;
    const binary_kernel *k = w->kernel;
    const int64_t a_step = k->plan.steps[0], b_step = k->plan.steps[1];
    float a[MLS__BLOCK], b[MLS__BLOCK];
    if (a_step && b_step) {
        k->pair(w->y + y, w->a + x[0], w->b + x[1], n, w->params);
        return MLS_OK;
    }
    for (int64_t i = 0; i < n; i += MLS__BLOCK) {
        const int64_t m = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        k->read(a, w->a + x[0] + i * a_step, a_step ? m : 1, &w->params[0]);
        k->read(b, w->b + x[1] + i * b_step, b_step ? m : 1, &w->params[1]);
        float values[MLS__BLOCK];
        k->binary(values, a, a_step, b, b_step, m);
        k->write(w->y + y + i, values, m, &w->params[2]);
    }
    return MLS_OK;
}

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    return mls__broadcast_walk(&w->kernel->plan, begin, end, run_segment, arg);
}

static mls_status binary_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const binary_kernel *k = (const binary_kernel *) base;
    work w = {.kernel = k,
              .params = {mls__qlinear_params(&k->a, call), mls__qlinear_params(&k->b, call),
                         mls__qlinear_params(&k->y, call)},
              .a = call->buffers[0],
              .b = call->buffers[3],
              .y = call->buffers[k->output]};
    return mls__cpu_ranges(call, k->threads, k->plan.count, GRAIN, run_range, &w);
}

static mls_status binary_reshape(mls_kernel *base, const mls_op *op)
{
    const mls_arg inputs[] = {op->inputs[0], op->inputs[3]};
    mls__broadcast_plan(&((binary_kernel *) base)->plan, &op->outputs[0], inputs, 2);
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls__binary_op binary,
                         mls_kernel **ret_kernel)
{
    const int32_t dtype = op->inputs[0].dtype;
    binary_kernel *k;
    mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "qlinear_binary", binary_run, &k);
    if (status)
        return status;
    k->base.base.reshape = binary_reshape;
    k->a = mls__qlinear_place_of(op, 1, 2, dtype);
    k->b = mls__qlinear_place_of(op, 4, 5, dtype);
    k->y = mls__qlinear_place_of(op, 6, 7, dtype);
    k->output = op->input_count;
    k->threads = op->threads;
    k->binary = cpu->kernels->elementwise->binary[binary];
    k->pair = cpu->kernels->quantize->pairs[binary == MLS__BINARY_MUL][k->a.is_signed];
    k->read = mls__qlinear_reader(cpu, k->a.is_signed);
    k->write = mls__qlinear_writer(cpu, k->a.is_signed);
    *ret_kernel = &k->base.base;
    return binary_reshape(*ret_kernel, op);
}

static mls_status create_add(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create(cpu, op, MLS__BINARY_ADD, ret_kernel);
}

static mls_status create_mul(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create(cpu, op, MLS__BINARY_MUL, ret_kernel);
}

mls__cpu_op_table mls__cpu_ops_qlinear_binary = {
    {"com.microsoft", "QLinearAdd", create_add, 0},
    {"com.microsoft", "QLinearMul", create_mul, 0},
    {.type = NULL},
};
